"""Wrong usage in one sentence, with the nearest name where one was mistyped."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

import typer


def usage_message(error: Any, app: typer.Typer, words: Sequence[str]) -> str:
    """The two lines about an error of usage: what is wrong, and which help to read; empty if help was printed.

    `error` is the parser's exception, whose text depends on the version of typer: parts of it that speak of Python
    are put in words.
    """
    sentence = " ".join(error.format_message().split()).removeprefix("Invalid value: ")
    if not sentence:
        return ""
    sentence = sentence.replace(": Value error, ", ": ").rstrip(".")
    if (value := _refused_value(error)) is not None:
        sentence = re.sub(r"Input (should be [^,]*).*", lambda match: f"'{value}' {match[1]}", sentence)
    if choice := re.search(r"'([^']*)' is not one of (.*)", sentence):
        sentence += _nearest(choice[1], re.findall(r"'([^']*)'", choice[2]))
    if unknown := re.match(r"No such option: (\S+)", sentence):
        options = [name for param in error.ctx.command.params for name in param.opts] if error.ctx else []
        sentence = unknown[0] + _nearest(unknown[1], options)
    path = error.ctx.command_path if error.ctx else " ".join(["bench", *_command_words(app, words)])
    return f"Error: {sentence}{'' if sentence.endswith('?') else '.'}\nTry '{path} --help'."


def _nearest(word: str, known: Iterable[str]) -> str:
    hits = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f". Did you mean '{hits[0]}'?" if hits else ""


def _refused_value(error: Any) -> str | None:
    """What was typed, where typer's validation refused it."""
    details = getattr(error.__cause__, "errors", None)
    return str(details()[0]["input"]) if callable(details) else None


def output_option(app: typer.Typer, words: Sequence[str]) -> str:
    """The option by which a command takes the folder that it writes into; empty for a command without one."""
    command: Any = typer.main.get_command(app)
    for word in _command_words(app, words):
        command = command.commands[word]
    names = {name: param.opts[0] for param in command.params for name in param.opts}
    return next((names[name] for name in ("--out", "--runs", "--data-dir") if name in names), "")


def _command_words(app: typer.Typer, words: Sequence[str]) -> list[str]:
    """The words that name a command, such as `data list`."""
    command: Any = typer.main.get_command(app)
    path = []
    for word in words:
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            break
        path.append(word)
    return path
