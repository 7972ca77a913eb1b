"""`bench published`: enter the predictions that a public board stores."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from asugnn.errors import InputError
from leaderboard.cli.options import BoardTasks, DataDir, parse_tasks, print_notes, progress_bars


def published(
    board: Annotated[Literal["matbench", "jarvis"], typer.Argument(help="Public board.", show_default=False)],
    task: BoardTasks = "",
    given: Annotated[
        Path | None,
        typer.Option("--from", help="Checkout of the board's repository, instead of a download.", show_default=False),
    ] = None,
    runs: Annotated[
        Path | None, typer.Option("--runs", "--out", help="Folder of the runs.", show_default="runs")
    ] = None,
    data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Enter the predictions that Matbench or the JARVIS-Leaderboard stores, as rows of the preset published.

    Labels and splits are fetched with them. Existing entries are kept.

    Example:

    bench published matbench --task matbench_jdft2d/exfoliation-energy
    """
    from leaderboard.data import BOARDS
    from leaderboard.ingest import check_folder, commit_of, fetch_board, fetch_dataset
    from leaderboard.public_boards import enter_published
    from leaderboard.records import OWN_RUNS

    tasks = parse_tasks(board, task)
    if foreign := [t.name for t in tasks if t.source.name not in BOARDS[board] or t.rule != t.source.default_rule]:
        raise InputError(f"{', '.join(foreign)}: not a task of {board}; its data sets are {', '.join(BOARDS[board])}")
    check_folder(given)
    with progress_bars(board):
        for name in dict.fromkeys(t.source.name for t in tasks):
            fetch_dataset(name, given, labels_only=True)
        checkout, commit = (given, commit_of(given)) if given else fetch_board(board)
        counts, notes = enter_published(board, checkout, commit, tasks, runs or OWN_RUNS)
    print_notes(notes)
    for model, folds in counts.items():
        if folds:
            typer.echo(f"{model}: {folds} {'fold' if folds == 1 else 'folds'}")
    if not any(counts.values()):
        named = ", ".join(t.name for t in tasks)
        raise InputError(f"nothing was entered: no entry of {board} has one of these tasks, or none fits: {named}")
    where = f" --runs {shlex.quote(str(runs))}" if runs else ""
    typer.echo(f"{sum(counts.values())} folds of {sum(map(bool, counts.values()))} entries are on the board: "
               f"bench leaderboard {f'--task {task}' if task else board}{where}")  # fmt: skip
