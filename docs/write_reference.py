"""Write the pages of reference that follow from the code: commands, from typer, and the Python API, from docstrings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from leaderboard.cli import app

API = {
    "Tasks, scores and boards": (
        "leaderboard.task",
        "leaderboard.api.bench_task.BenchTask",
        "leaderboard.api.bench_task.FoldData",
        "leaderboard.api.bench_task.Unlabelled",
        "leaderboard.board.score_file.Score",
        "leaderboard.api.comparison.Comparison",
        "leaderboard.api.comparison.ComparedModel",
        "leaderboard.api.comparison.PairedTest",
        "leaderboard.leaderboard",
    ),
    "Crystals, labels and models": (
        "asugnn.Crystal",
        "asugnn.Labelled",
        "asugnn.Context",
        "asugnn.Model",
        "asugnn.structure_files.read_crystals",
        "asugnn.neighbours.neighbours_within",
        "asugnn.InputError",
    ),
    "Torch models": ("asugnn.torch_model.TorchModel", "asugnn.torch_model.flat_batch"),
    "What a model may offer beyond its four methods": tuple(
        f"asugnn.model.{name}"
        for name in ("HasDomain", "HasUncertainty", "HasReferences", "HasPretrained", "HasWeights", "HasAblation")
    ),
}
API_INTRODUCTION = """# Python API

What a program or a model of your own may use. [In Python](python.md) shows how to split, score and compare,
[Add a model](add-a-model.md) how to write a model. Names that are not listed here may change in any version.
"""
COMMANDS_INTRODUCTION = """# Commands

Every command with its arguments and options, as `bench COMMAND --help` prints them. Exit status 0 is success, 1 is a
fault of the input, which is told in a sentence, and 2 is wrong usage. `--debug`, anywhere in a command, also shows the
traceback of a fault. [Environment variables](environment.md) have a page of their own.
"""


def write_api() -> str:
    """The page of the Python API: directives of mkdocstrings, which reads signatures and docstrings."""
    lines = [API_INTRODUCTION]
    for title, names in API.items():
        lines += [f"## {title}\n", *(f"::: {name}\n" for name in names)]
    return "\n".join(lines)


def write_commands() -> str:
    """The page of commands: for each its help, its example, and a table of arguments and options."""
    return "\n\n".join([COMMANDS_INTRODUCTION, *describe_command(typer.main.get_command(app), "bench")]) + "\n"


def describe_command(command: Any, words: str) -> Iterator[str]:
    """The parts of the page that describe a command and those below it."""
    inner = getattr(command, "commands", {})
    yield f"## `{words}`" if not inner or " " in words else "## All commands"
    text, _, example = (command.help or "").partition("Example:")
    yield from (" ".join(part.split()) for part in text.split("\n\n") if part.strip())
    if example.strip():
        yield f"    {example.strip()}"
    rows = [describe_parameter(option) for option in command.params if not getattr(option, "hidden", False)]
    if inner:
        names = [(f"`{words} {name}`", first_sentence(below.help)) for name, below in inner.items()]
        yield "\n".join(["| command | purpose |", "|---|---|", *(f"| {name} | {what} |" for name, what in names)])
    if rows:
        table = [f"| {name} | {default} | {meaning} |" for name, default, meaning in rows]
        yield "\n".join(["| argument or option | default | meaning |", "|---|---|---|", *table])
    for name, below in inner.items():
        yield from describe_command(below, f"{words} {name}")


def describe_parameter(option: Any) -> tuple[str, str, str]:
    """How an argument or option is written, its default, and what it means."""
    meaning = option.help or ""
    if choices := option_choices(option):
        meaning += f" One of {', '.join(f'`{choice}`' for choice in choices)}."
    if option.envvar:
        meaning += f" Without it: `{option.envvar}`."
    return written_form(option), default_text(option), meaning.strip().replace("|", "\\|").replace("<", "&lt;")


def option_choices(option: Any) -> tuple[str, ...]:
    """The words that an argument or option can be, where it is one of a few."""
    annotation = option.type_descriptor.annotation
    return tuple(get_args(annotation)) if get_origin(annotation) is Literal else ()


def written_form(option: Any) -> str:
    """`FILE` for an argument, `--name TEXT` for an option."""
    if option.param_type_name == "argument":
        name = option.name.rstrip("_").upper()
        return f"`{name}`, one or more" if option.nargs != 1 else f"`{name}`"
    if option.is_flag:
        return ", ".join(f"`{name}`" for name in option.opts)
    kinds = {Path: "PATH", int: "NUMBER", float: "NUMBER"}
    kind = "CHOICE" if option_choices(option) else kinds.get(option.type_descriptor.annotation, "TEXT")
    return ", ".join(f"`{name} {kind}`" for name in option.opts)


def default_text(option: Any) -> str:
    """The default of an argument or option, or that it has to be given."""
    if option.required:
        return "required"
    if isinstance(option.show_default, str):
        return option.show_default
    plain = getattr(option, "is_flag", False) or option.default in (None, "") or not option.show_default
    return "" if plain else f"`{option.default}`"


def first_sentence(text: str | None) -> str:
    """The first sentence of a help text."""
    return " ".join((text or "").split("\n\n")[0].split())


if __name__ == "__main__":
    print(write_commands())
