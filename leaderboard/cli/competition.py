"""`bench export`, `bench score`, `bench submit`: for competitions and their participants."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from asugnn.errors import InputError
from leaderboard.cli.options import Columns, DataDir, Fold, TaskName, parse_columns, print_notes, print_words


def score(
    file: Annotated[
        Path, typer.Argument(help="Predictions: a CSV with the header id,<target>.", show_default=False)
    ],
    task: TaskName,
    fold: Fold = 0,
    format_: Annotated[Literal["table", "json"], typer.Option("--format", help="Output format.")] = "table",
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    columns: Columns = "",
    data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Validate and score a CSV of predictions.

    Nothing is written.

    Example:

    bench score predictions.csv --task open-dft/band-gap
    """
    from leaderboard.board import score_file
    from leaderboard.data import parse_task
    from leaderboard.reports import render_score

    scored = score_file(file, parse_task(task), fold, parse_columns(columns))
    typer.echo(json.dumps(scored) if as_json or format_ == "json" else render_score(scored, parse_task(task)))


def submit(
    files: Annotated[
        list[Path], typer.Argument(help="Predictions: CSVs with the header id,<target>.", show_default=False)
    ],
    task: TaskName,
    name: Annotated[str, typer.Option("--name", help="Name on the board.", show_default="that of the file")] = "",
    fold: Fold = 0,
    runs: Annotated[Path, typer.Option("--runs", help="Folder of the runs.")] = Path("runs"),
    columns: Columns = "",
    data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Validate and score predictions, and enter them on the board.

    The board shows the last file of each name, or the best if the host chose so; the log keeps every submission but
    a file that was handed in before.

    Example:

    bench submit predictions.csv --task open-dft/band-gap --name mine
    """
    from leaderboard.data import parse_task
    from leaderboard.reports import render_entry
    from leaderboard.submissions import enter_submission

    if name and len(files) > 1:
        raise typer.BadParameter("--name takes one file; several files are named after themselves")
    refused = 0
    for file in files:
        try:
            scored = enter_submission(file, parse_task(task), name or file.stem, fold, runs, parse_columns(columns))
        except InputError as error:
            if len(files) == 1:
                raise
            print_words(f"Error: {error}", err=True)
            refused += 1
        else:
            typer.echo(render_entry(scored, parse_task(task)))
    if refused:
        raise InputError(f"{refused} of {len(files)} files were refused: see above; the others are on the board")


def export(
    task: TaskName,
    out: Annotated[Path, typer.Option("--out", help="Folder to write into.", show_default=False)],
    host: Annotated[
        bool, typer.Option("--host", help="Add the solution and a Kaggle metric, for the host alone.")
    ] = False,
    fold: Fold = 0,
    columns: Columns = "",
    metric: Annotated[
        str, typer.Option("--metric", help="Metric of the competition.", show_default="the task's first")
    ] = "",
    keep: Annotated[
        Literal["best", "last"] | None,
        typer.Option(
            "--keep",
            help="With --host: which file of a participant counts, by its public score.",
            show_default="last",
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Write the files of a competition.

    Participants get labelled rows, structures, and the ids to predict.

    Example:

    bench export --task open-dft/metal --out competition --host
    """
    from leaderboard.data import parse_task
    from leaderboard.records import ColumnNames
    from leaderboard.submissions import export_competition

    if keep and not host:
        raise typer.BadParameter("--keep is for the host, whose files are written with --host")
    parsed = parse_task(task)
    names = parse_columns(columns) or ColumnNames("id", parsed.target.name)
    files, notes = export_competition(parsed, fold, out, host, names, metric, keep or "last")
    for file in files:
        typer.echo(str(file))
    print_notes(notes)
