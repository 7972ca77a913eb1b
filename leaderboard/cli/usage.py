"""Wrong usage in one sentence, with the nearest name where one was mistyped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
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
OF_DATA = {"get": "fetch", "download": "fetch", **{name: name for name in ("fetch", "import", "build", "audit")}}
LISTED = {  # what an option without a value does not name, and where it stands
    "--task": "names no task: `bench data list` lists them",
    "--model": "names no model: `bench models` lists them",
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
    other = MEANT.get(word, "")
    here = other and other.split()[0] in {"--help", *bare.values()}
    meant = other if here else bare.get(nearest_name(word.lstrip("-"), bare, cutoff) or "")
    return f". Did you mean '{meant}'?" if meant else ""


def _nearest_command(word: str, context: Any) -> str:
    """The end of a sentence with the command that is meant, or all of them."""
    names = list(context.command.commands)
    if word in OF_DATA and "data" in names:
        return f". Did you mean 'data {OF_DATA[word]}'?"
    return _nearest(word, names) or f". There is: {', '.join(names)}"


def _refused_value(error: Any) -> str | None:
    """What was typed, where typer's validation refused it."""
    details = getattr(error.__cause__, "errors", None)
    return str(details()[0]["input"]) if callable(details) else None


def output_option(app: typer.Typer, words: Sequence[str]) -> str:
    """The option by which a command takes the folder that it writes into; empty for a command without one.

    Of an option with two names, it is the one that was typed.
    """
    params = _find_command(app, words).params
    names: list[str] = next(
        (p.opts for name in ("--out", "--runs", "--data-dir") for p in params if name in p.opts), []
    )
    typed = {word.partition("=")[0] for word in words}
    return next((name for name in names if name in typed), names[0] if names else "")


def refuse_empty_options(app: typer.Typer, words: Sequence[str]) -> None:
    """Raise `typer.BadParameter` for an option that was typed with an empty value, as that of an unset variable is."""
    typed = [name for name, value in pairwise(words) if not value] + [w[:-1] for w in words if w.endswith("=")]
    if not typed:  # else the command would be looked up at every start
        return
    options = {name for p in _find_command(app, words).params if not getattr(p, "is_flag", False) for name in p.opts}
    for name in typed:
        if name in options:
            raise typer.BadParameter(f"{name} {LISTED.get(name, f'is empty: give it a value, or leave {name} out')}")


def _find_command(app: typer.Typer, words: Sequence[str]) -> Any:
    """The command that words name, as the parser holds it; the group itself where they name none."""
    command: Any = typer.main.get_command(app)
    for word in _command_words(app, words):
        command = command.commands[word]
    return command


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
