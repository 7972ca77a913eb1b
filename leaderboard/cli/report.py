"""`bench leaderboard`, `errors`, `site`, `paper`, `verify`: reports on stored runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from asugnn.errors import InputError, did_you_mean
from leaderboard._util import printable
from leaderboard.cli.options import (
    SUITE,
    DataDir,
    Preset,
    StoredRuns,
    Suite,
    TableFormat,
    TaskName,
    TaskNames,
    chosen_tasks,
    parse_list,
    print_notes,
    print_words,
    progress_bars,
    stored_runs,
)

if TYPE_CHECKING:
    from leaderboard.data import Task


def leaderboard(
    suite: Suite = SUITE,
    task: TaskNames = "",
    preset: Preset = "quick",
    format_: Annotated[TableFormat, typer.Option("--format", help="Output format.")] = "table",
    overall: Annotated[
        bool, typer.Option("--overall", help="Only the mean ranks over all tasks, with the rank on each task.")
    ] = False,
    best_settings: Annotated[
        bool,
        typer.Option("--best", help="One row per model: of its settings, on each task, those with the best "
                     "validation score that training recorded."),
    ] = False,
    private: Annotated[
        bool, typer.Option("--private", help="Score the private rows of the solution that BENCH_SOLUTION names.")
    ] = False,
    runs: StoredRuns = None,
    data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Rank the stored runs.

    Every number is computed from predictions, labels and split.

    Example:

    bench leaderboard --task open-dft/metal --format markdown
    """
    root = stored_runs(runs)
    print_board(root, chosen_tasks(suite, task), format_, preset, bool(task), private, overall, best_settings)


def print_board(
    root: Path | None,
    tasks: list[Task],
    format_: str,
    preset: str,
    detailed: bool = False,
    private: bool = False,
    overall: bool = False,
    one_per_model: bool = False,
) -> None:
    """Print the board of some tasks, and on standard error notes on runs that could not be used."""
    from leaderboard.board import overview, rank_rows
    from leaderboard.reports import preset_warning, render_board, render_overview, settings_notes

    rows, notes = rank_rows(root, tasks, preset, private, one_per_model)
    if not any(row.preset == preset for row in rows):
        _check_preset(preset, root)
    if overall:
        before = [*filter(None, [preset_warning(rows, preset)]), *settings_notes(rows, format_)]
        text = render_overview(overview(rows, tasks), format_, before)
        empty = "an overall ranking needs at least two tasks, each with at least two ranked models"
    else:
        text = render_board(rows, tasks, preset, format_, detailed)
        empty = f"no run of preset '{preset}' can be shown for {', '.join(task.name for task in tasks)}: " + (
            "see above" if notes else "`bench run` makes some"
        )
    if text:
        typer.echo(text)
    print_notes(notes)
    if not text:
        raise InputError(empty)


def _check_preset(preset: str, root: Path | None) -> None:
    """Raise `InputError` for a preset that neither a run nor a model has."""
    from asugnn.model_registry import list_models, model_presets
    from leaderboard.records import UNPRESET, list_runs

    known = {stored.run.preset for stored in list_runs(root)[0]} - UNPRESET
    known |= {name for entry in list_models() if entry.model for name in model_presets(entry.model)}
    if preset not in known:
        raise InputError(f"there is no preset '{preset}'{did_you_mean(preset, known)}")


def errors(
    task: TaskName,
    by: Annotated[
        Literal["element", "space-group", "size", "label"],
        typer.Option("--by", help="Property by which crystals are grouped."),
    ] = "element",
    preset: Preset = "quick",
    format_: Annotated[Literal["table", "markdown", "csv"], typer.Option("--format", help="Output format.")] = "table",
    runs: StoredRuns = None,
    data_dir: DataDir = None,
) -> None:
    """Break errors down by element, space group, size or label.

    Cells show mean absolute errors or, for binary targets, accuracies.

    Example:

    bench errors --task open-dft/band-gap --by element
    """
    from leaderboard.board import break_down_errors
    from leaderboard.data import parse_task
    from leaderboard.records import UNPRESET, list_runs, packaged_note
    from leaderboard.reports import omitted_classes, render_errors

    parsed, root = parse_task(task), stored_runs(runs)
    stored, faults = list_runs(root)
    breakdown = break_down_errors(by, parsed, stored, preset)
    shown = [s for s in stored if s.run.task == parsed and s.run.preset in {preset, *UNPRESET}]
    notes = [*faults, *breakdown.skipped, *packaged_note(root, shown)]
    try:
        typer.echo(render_errors(breakdown, by, parsed, format_))
        if format_ == "csv" and (omitted := omitted_classes(breakdown, by)):
            print_notes([f"left out: {omitted}"])
    finally:
        print_notes(notes)


def site(
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the site; an older site there is replaced.")
    ] = Path("site"),
    runs: StoredRuns = None,
    data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Write a site about the stored runs: a folder of static pages.

    It needs no server: open its index.html in a browser.

    Example:

    bench site --out public
    """
    from leaderboard.site import build_site

    with progress_bars("site"):
        pages, notes = build_site(stored_runs(runs), out)
    print_notes(notes)
    typer.echo(f"{pages} pages: open {out / 'index.html'}")


def paper(
    item: Annotated[
        Literal["table-1", "table-2", "zero-shot", "figure-3", "figure-4", "figure-5"],
        typer.Argument(help="Table or figure.", show_default=False),
    ],
    on: Annotated[
        str, typer.Option("--data", help="Data set for the measured columns.", show_default="the paper's")
    ] = "",
    preset: Annotated[
        str, typer.Option("--preset", help="Preset of the measured runs.", show_default="the longest-trained one")
    ] = "",
    model: Annotated[
        str, typer.Option("--model", help="Models, separated by commas, each NAME or NAME:PRESET; figure-4 takes one, "
                          "figure-5 two.", show_default="all")
    ] = "",
    format_: Annotated[
        Literal["table", "markdown", "latex", "json", "svg", "png"] | None,
        typer.Option("--format", help="Output format: svg or png of a figure, the others of a table.",
                     show_default="table on the terminal, all in files"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder to write into; else tables are printed, figures written here.",
                     show_default=False),
    ] = None,
    runs: StoredRuns = None,
    data_dir: DataDir = None,
) -> None:  # fmt: skip
    """Make a table or figure of the ASUGNN paper.

    Published values are shown with their source, measured ones with their runs.

    Example:

    bench paper table-2 --data open-dft
    """
    from leaderboard.reports import TABLE_FORMATS, draw_table, write_table
    from leaderboard.reports.paper import FIGURE_FORMATS, FIGURES, TABLES, draw_figure

    root, models = stored_runs(runs), parse_list(model)
    allowed = FIGURE_FORMATS if item in FIGURES else TABLE_FORMATS
    if format_ and format_ not in allowed:
        raise typer.BadParameter(f"--format of {item} is one of {', '.join(allowed)}, not '{format_}'")
    if item in FIGURES:
        formats = [format_] if format_ else [*FIGURE_FORMATS]
        caption, written, faults = draw_figure(item, on, preset, models, root, out or Path(), formats)
        print_words(caption)
    else:
        formats = [format_] if format_ else [*TABLE_FORMATS] if out else ["table"]
        table, faults = TABLES[item](on, preset, models, root)
        if out is None:
            typer.echo(draw_table(table, formats[0]))
        written = write_table(table, out, formats) if out else []
    for file in written:
        typer.echo(printable(str(file)))
    print_notes([*faults])


def verify(runs: StoredRuns = None, data_dir: DataDir = None) -> None:
    """Recompute every row from its files, and report files that were changed.

    Example:

    bench verify --runs runs
    """
    from leaderboard.board import verify_runs
    from leaderboard.records import OWN_RUNS, default_runs_folder

    counts, wrong, without_model = 0, 0, 0
    no_data: Counter[str] = Counter()
    root = stored_runs(runs) or default_runs_folder()
    for checked in verify_runs(root):
        counts += 1
        wrong += bool(checked.faults)
        without_model += checked.without_model
        no_data.update([checked.no_data] if checked.no_data else [])
        for fault in checked.faults:
            print_words(f"FAULT {fault}")
        print_notes([f"{checked.title}: {note}" for note in checked.notes])
    if wrong:
        raise InputError(f"{wrong} of {counts} runs and logs do not match their files: see above")
    if not counts:
        raise InputError(f"there are no runs in '{root}': `bench run` makes some, or name another folder with --runs")
    if not runs and root != OWN_RUNS:
        print_notes([f"there are no runs in '{OWN_RUNS}': these are those of the package"])
    if without_model:
        print_notes([f"stored without their models, which scores do not need: {without_model}"])
    print_notes([f"not scored: {n}; {reason}" for reason, n in no_data.items()])
    match = "1 run or log matches its" if counts == 1 else f"{counts:,} runs and logs match their"
    recomputed = f"{counts - no_data.total():,} of them" if no_data else "every row"
    typer.echo(f"{match} files: {recomputed} can be recomputed")
