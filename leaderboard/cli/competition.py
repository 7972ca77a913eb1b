"""`bench export`, `bench score`, `bench submit`: for competitions and their participants."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from asugnn.errors import InputError
from leaderboard._util import printable
from leaderboard.cli.options import (
    Columns,
    DataDir,
    Fold,
    StoredRuns,
    TaskName,
    parse_columns,
    parse_list,
    parse_tasks,
    print_notes,
    print_words,
    stored_runs,
    was_typed,
)
from leaderboard.cli.submission_hints import explain_refusal


def score(
    ctx: typer.Context,
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

    chosen, names = parse_task(task), parse_columns(columns)
    with explain_refusal(file, chosen, fold, names, was_typed(ctx, "fold")):
        scored = score_file(file, chosen, fold, names)
    typer.echo(json.dumps(scored) if as_json or format_ == "json" else render_score(scored, chosen))


def submit(
    ctx: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(help="Predictions: CSVs with the header id,<target>.", show_default=False)
    ],
    task: TaskName,
    name: Annotated[
        str | None, typer.Option("--name", help="Name on the board.", show_default="that of the file")
    ] = None,
    fold: Fold = 0,
    runs: Annotated[Path, typer.Option("--runs", help="Folder of the runs.")] = Path("runs"),
    columns: Columns = "",
    data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Validate and score predictions, and enter them on the board.

    The board shows the last file of each name, or the best if the host chose so;
    every submission is logged, except a file identical to the one on the board.

    Example:

    bench submit predictions.csv --task open-dft/band-gap --name mine
    """
    from leaderboard.data import parse_task
    from leaderboard.reports import render_entry
    from leaderboard.submissions import enter_submission

    if name is not None and len(files) > 1:
        raise typer.BadParameter("--name takes one file; several files are named after themselves")
    stems = [file.stem for file in files]
    if twice := next((file for file in files if stems.count(file.stem) > 1), None):
        same = " and ".join(str(file) for file in files if file.stem == twice.stem)
        raise typer.BadParameter(f"{same} would both be named '{twice.stem}': enter each alone, with --name")
    refused, chosen, names = 0, parse_task(task), parse_columns(columns)
    for file in files:
        try:
            with explain_refusal(file, chosen, fold, names, was_typed(ctx, "fold")):
                scored = enter_submission(file, chosen, file.stem if name is None else name, fold, runs, names)
        except InputError as error:
            if len(files) == 1:
                raise
            print_words(f"Error: {error}", err=True)
            refused += 1
        else:
            typer.echo(render_entry(scored, chosen))
            if len(files) == 1:
                _print_place(scored, task, runs)
    if refused:
        raise InputError(f"{refused} of {len(files)} files were refused: see above; the others are on the board")


def _print_place(scored: dict[str, Any], task: str, runs: Path) -> None:
    """Print the place of a submission on the board of its task, and the next step."""
    from leaderboard.board import rank_rows
    from leaderboard.data import parse_task
    from leaderboard.records import OWN_RUNS, SUBMITTED
    from leaderboard.reports import render_place

    own = runs == OWN_RUNS
    rows, _ = rank_rows(None if own else runs, [parse_task(task)], "quick")
    row = next((row for row in rows if (row.preset, row.model) == (SUBMITTED, scored["name"])), None)
    where = "" if own else f" --runs {shlex.quote(str(runs))}"
    typer.echo(render_place(row, rows, scored, f"bench leaderboard --task {shlex.quote(task)}{where}"))


def export(
    out: Annotated[Path, typer.Option("--out", help="Folder to write into.", show_default=False)],
    task: Annotated[
        str,
        typer.Option(
            "--task",
            help="Task of the competition; with --to: tasks of the board, separated by commas.",
            show_default=False,
        ),
    ] = "",
    to: Annotated[
        Literal["matbench", "jarvis"] | None,
        typer.Option("--to", help="Write your runs as an entry for a public board instead.", show_default=False),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", help="With --to: models, separated by commas.", show_default="all")
    ] = "",
    preset: Annotated[str, typer.Option("--preset", help="With --to: preset of the runs.", show_default="any")] = "",
    runs: StoredRuns = None,
    host: Annotated[
        bool, typer.Option("--host", help="Add the solution and a Kaggle metric, for the host alone.")
    ] = False,
    fold: Fold = 0,
    columns: Columns = "",
    metric: Annotated[
        str, typer.Option("--metric", help="Metric of the competition.", show_default="the task's first")
    ] = "",
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", min=1, help="With --host: files each participant may hand in.", show_default="no limit"
        ),
    ] = None,
    deadline: Annotated[
        str,
        typer.Option(
            "--deadline",
            help="With --host: when `bench submit` closes, such as 2027-01-31T18:00Z (UTC).",
            show_default="never",
        ),
    ] = "",
    keep: Annotated[
        Literal["best", "last"] | None,
        typer.Option(
            "--keep",
            help="With --host: which file of a participant counts: the last, or the best by public score.",
            show_default="last",
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Write the files of a competition, or your runs as an entry for a public board.

    Participants get labelled rows, structures, and the ids to predict.

    Example:

    bench export --task open-dft/metal --out competition --host
    """
    host_options = {"--keep": keep, "--limit": limit, "--deadline": deadline}
    if to:
        others = {"--host": host, "--fold": fold, "--columns": columns, "--metric": metric, **host_options}
        _refuse_options(others, "{0} is for a competition, and --to writes none: leave one of them out")
        return _export_entries(to, task, model, preset, runs, out)
    options = {"--model": model, "--preset": preset, "--runs": runs}
    _refuse_options(options, "{0} is for --to, the entry for a public board: add --to, or leave {0} out")
    if not task:
        raise typer.BadParameter("give --task, the task of the competition, or --to, a public board")
    if "," in task:
        raise typer.BadParameter("a competition has one task: name one; several go with --to")
    if not host:
        _refuse_options(host_options, "{0} is for the host, whose files are written with --host")
    from leaderboard.data import parse_task
    from leaderboard.records import ColumnNames, competition_rules
    from leaderboard.submissions import export_competition

    rules = competition_rules(keep or "last", limit, deadline)
    if rules.is_over:
        raise InputError(f"--deadline {deadline} is in the past: write a later date")
    parsed = parse_task(task)
    names = parse_columns(columns) or ColumnNames("id", parsed.target.name)
    files, notes = export_competition(parsed, fold, out, host, names, metric, rules)
    for file in files:
        typer.echo(printable(str(file)))
    print_notes(notes)


def _refuse_options(options: Mapping[str, object], sentence: str) -> None:
    """Raise `typer.BadParameter` for the first option that was given; `{0}` in the sentence stands for its name."""
    for option, value in options.items():
        if value:
            raise typer.BadParameter(sentence.format(option))


def _export_entries(board: str, task: str, model: str, preset: str, runs: Path | None, out: Path) -> None:
    """Write own runs of a public board's tasks in its form; without `task`, of all tasks that have runs."""
    from leaderboard.public_boards import export_entries
    from leaderboard.records import PUBLISHED, list_runs

    stored, faults = list_runs(stored_runs(runs))
    print_notes(faults)
    names = parse_list(model)
    chosen = [
        s for s in stored if s.run.preset != PUBLISHED and (not names or s.run.model in names)
        and preset in ("", s.run.preset)
    ]  # fmt: skip
    tasks = parse_tasks(board, task)
    if missing := sorted(set(names) - {s.run.model for s in chosen}):
        raise InputError(
            f"there are no runs of {', '.join(missing)}: `bench leaderboard {board}` shows those there are"
        )
    for file in export_entries(board, chosen, tasks, out):
        typer.echo(printable(str(file)))
