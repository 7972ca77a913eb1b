"""The exception whose message is written for the user, and helpers for such messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

LISTED = 12  # names at most that a sentence lists


class InputError(ValueError):
    """A fault of the input: its message is a sentence for the person who can fix it.

    The command line prints the message and exits with status 1; any other exception that reaches it is a bug. Words
    that are longer than any path are shortened: a damaged file may hold one of megabytes, and the sentence quotes it.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(re.sub(r"(?<!\S)(\S{60})\S{4000,}", r"\1...", message) if len(message) > 4000 else message)


class BrokenModelError(InputError):
    """A fault in the code of a model, which ends its own runs but no others."""


class TrainingStoppedError(Exception):
    """Training was asked to stop, and has saved a checkpoint to resume from."""


@contextmanager
def prefix_errors(prefix: str) -> Iterator[None]:
    """Put "PREFIX: " before the message of an `InputError` that is raised in the block."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{prefix}: {error}") from error


def did_you_mean(word: str, known: Iterable[str], prefix: str = "", command: str = "") -> str:
    """Return the end of a sentence about an unknown word: the most similar known one, and the list of all.

    `prefix` is written before each known word, and not compared. Of many known words, the `command` that lists them
    takes the place of the list.
    """
    names = sorted(known)
    similar = nearest_name(word, names)
    hint = f"; did you mean '{prefix}{similar}'?" if similar else ""
    if command and len(names) > LISTED:
        return f"{hint} `{command}` lists all" if hint else f": `{command}` lists all"
    listed = ", ".join(prefix + name for name in names)
    return f"{hint} There is: {listed}" if hint else f"; there is: {listed or 'nothing'}"


def nearest_name(word: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """Return the known name that a mistyped word most likely stands for, whatever its capitals; None if all differ."""
    by_folded = {name.casefold(): name for name in known}
    similar = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[similar[0]] if similar else None
