"""The exception whose message a user is meant to read, and how an unknown word is answered."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A fault of the input: its message is a sentence for the person who can fix it.

    The command line prints the message and exits with 1; anything else that reaches it is a bug.
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: the nearest known one, and all there are."""
    names = sorted(known)
    hits = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{hits[0]}'?" if hits else ""
    return f"{hint} There is: {', '.join(names) if names else 'nothing'}" if hint else f"; there is: {', '.join(names)}"
