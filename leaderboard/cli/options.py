"""Options that several commands share, and the parsing of lists, numbers and column names."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from asugnn.errors import InputError
from leaderboard._util import printable, use_workspace, wrap_lines

if TYPE_CHECKING:  # start-up is a feature: what a command needs is imported in it
    from leaderboard.data import Task
    from leaderboard.records import ColumnNames

ABLATION = "ablation"  # a suite of variants instead of tasks: Table 1 of ASUGNN's paper, on any task
SUITE = "open-dft"  # the suite of a command that names none


def was_typed(ctx: typer.Context, name: str) -> bool:
    """Whether a parameter of a command was given on the command line, not by a default or a variable."""
    source = ctx.get_parameter_source(name)
    return bool(source and source.name == "COMMANDLINE")


def _use_data_folder(ctx: typer.Context, folder: Path | None) -> Path | None:
    """Use the folder of --data-dir until the command ends; that of BENCH_DATA is used without this."""
    if folder and folder.exists() and not folder.is_dir():
        raise InputError(f"'{folder}' is a file: --data-dir or BENCH_DATA names a folder of data sets")
    if folder and was_typed(ctx, "data_dir"):
        ctx.with_resource(use_workspace(data=folder))
    return folder


DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="BENCH_DATA",
        help="Folder of data sets that are not in the package.",
        callback=_use_data_folder,
        show_default=False,
    ),
]
StoredRuns = Annotated[
    Path | None,
    typer.Option("--runs", help="Folder of the runs.", show_default="./runs and the package's"),
]
TaskName = Annotated[str, typer.Option("--task", help="Task, such as open-dft/metal.", show_default=False)]
TaskNames = Annotated[
    str, typer.Option("--task", help="Tasks, separated by commas, instead of a suite.", show_default=False)
]
BoardTasks = Annotated[str, typer.Option("--task", help="Tasks of the board, separated by commas.", show_default="all")]
Suite = Annotated[str, typer.Argument(help="Suite of tasks: the name of a data set, paper, matbench or jarvis.")]
Fold = Annotated[int, typer.Option("--fold", min=0, help="Fold whose test set is predicted.")]
Columns = Annotated[
    str, typer.Option("--columns", help="Names of the two columns, ID,TARGET.", show_default="id and the target's name")
]
Preset = Annotated[
    str, typer.Option("--preset", help="Named set of hyper-parameters; presets are never ranked together.")
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Device of networks; auto: a GPU if there is one.")
]
Crystals = Annotated[
    list[Path],
    typer.Argument(help="Crystals: CIF, POSCAR, extended XYZ, ASE database, JSON.", show_default=False),
]
TableFormat = Literal["table", "markdown", "csv", "json"]
PredictionFormat = Literal["auto", "table", "csv", "json"]


@contextmanager
def progress_bars(title: str = "") -> Iterator[None]:
    """Show progress on the terminal, under a title, while a block runs."""
    from functools import partial

    from rich.console import Console

    from leaderboard._util import console_progress

    console = Console(stderr=True, highlight=False)
    with use_workspace(progress=partial(console_progress, console), title=title):
        yield


def parse_list(text: str) -> list[str]:
    """Split a text at commas: the words in order, each once."""
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def parse_numbers(option: str, text: str) -> list[int]:
    """Split a text at commas into whole numbers; raises `typer.BadParameter` for anything else."""
    try:
        numbers = list(dict.fromkeys(int(part) for part in parse_list(text)))
    except ValueError as error:
        raise typer.BadParameter(f"{option} takes whole numbers separated by commas, not '{text}'") from error
    if not numbers or min(numbers) < 0:
        raise typer.BadParameter(f"{option} takes whole numbers from 0, not '{text}'")
    return numbers


def parse_jobs(text: str) -> int | Literal["auto"]:
    """The number of runs at a time; raises `typer.BadParameter` for what is neither a number from 1 nor `auto`."""
    if text == "auto":
        return "auto"
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise typer.BadParameter(f"--jobs takes auto or a whole number from 1, not '{text}'")
    return int(text)


def parse_columns(text: str) -> ColumnNames | None:
    """The two names given with `--columns`, or None without that option; raises `typer.BadParameter`."""
    from leaderboard.records import ColumnNames

    if not text:
        return None
    names = parse_list(text)
    if taken := {"side", "Usage"} & set(names):
        raise typer.BadParameter(f"--columns cannot take '{min(taken)}': a file of a competition has such a column")
    if len(names) != 2 or any(not name.isprintable() or '"' in name for name in names):
        raise typer.BadParameter(f"--columns takes two names, ID,TARGET, not '{text}'")
    return ColumnNames(*names)


def parse_tasks(suite: str, task: str) -> list[Task]:
    """The tasks named by `--task`, else those of a suite; raises `InputError`."""
    from leaderboard.data import parse_task, suite_tasks

    if suite == ABLATION and not task:
        task = "mp-2024-1/formation-energy"  # the paper's
    if task and not parse_list(task):
        raise InputError(f"--task '{task}' names no task: `bench data list` lists them")
    return [parse_task(name) for name in parse_list(task)] if task else list(suite_tasks(suite, [ABLATION]))


def chosen_tasks(suite: str, task: str) -> list[Task]:
    """`parse_tasks`, for a command whose first word is a suite; raises `InputError` for a suite beside `--task`.

    That is seldom a suite: after a space instead of a comma in a list, a shell takes the rest for a word of its own.
    """
    if task and suite not in (SUITE, ABLATION):
        raise InputError(
            f"'{suite}' is read as a suite, and --task takes the place of a suite: leave it out; "
            "if it belongs to a list, write the list without spaces, such as --model mean,forest"
        )
    return parse_tasks(suite, task)


def stored_runs(runs: Path | None) -> Path | None:
    """The folder of the stored runs; None stands for ./runs and the package's. Raises `InputError` if it is missing."""
    if runs and not runs.is_dir():
        raise InputError(f"there is no folder '{runs}': run `bench run` first, or name another with --runs")
    return runs


def print_notes(notes: list[str] | tuple[str, ...]) -> None:
    """Print notes on standard error."""
    for note in notes:
        print_words(f"note: {note}", err=True)


def print_words(text: str, err: bool = False) -> None:
    """Print words, perhaps a stranger's, of which nothing steers the terminal, in lines that fit it."""
    typer.echo(wrap_lines(printable(text), sys.stderr if err else sys.stdout), err=err)
