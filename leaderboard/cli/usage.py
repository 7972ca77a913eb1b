"""Wrong usage in one sentence, with the nearest name where one was mistyped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from asugnn.errors import nearest_name

MEANT = {  # words of other programs, and those of this one
    "train": "run",
    "board": "leaderboard",
    "test": "score",
    "evaluate": "score",
    "eval": "score",
    "get": "fetch",
    "download": "fetch",
    "help": "--help",
    "gpu": "cuda",
    "--gpu": "--device cuda",
    "--cuda": "--device cuda",
    "--cpu": "--device cpu",
    "--epochs": "--set MODEL.epochs=NUMBER",
    "--lr": "--set MODEL.learning_rate=NUMBER",
    "--output": "--out",
    "--dataset": "--task",
}


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
        sentence = unknown[0] + _nearest(unknown[1], [*options, "--help"], cutoff=0.7)
    if unknown := re.match(r"No such command '([^']*)'", sentence):
        sentence = unknown[0] + _nearest_command(unknown[1], error.ctx)
    if extra := re.match(r"Got unexpected extra arguments?\S* \((.*)\)", sentence):
        sentence = f"Unexpected extra argument: {extra[1]}"
    path = error.ctx.command_path if error.ctx else " ".join(["bench", *_command_words(app, words)])
    return f"Error: {sentence}{'' if sentence.endswith('?') else '.'}\nTry '{path} --help'."


def _nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The end of a sentence with the known word that is meant; the dashes of options do not make words alike."""
    bare = {name.lstrip("-"): name for name in known}
    meant = MEANT.get(word) or bare.get(nearest_name(word.lstrip("-"), bare, cutoff) or "")
    return f". Did you mean '{meant}'?" if meant else ""


def _nearest_command(word: str, context: Any) -> str:
    """The end of a sentence with the command that is meant, or all of them."""
    names = list(context.command.commands)
    return _nearest(word, names) or f". There is: {', '.join(names)}"


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
