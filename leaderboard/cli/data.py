"""`bench data`: list, fetch, build, import and audit data sets."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from asugnn.atomic_write import check_writable
from asugnn.errors import InputError
from leaderboard._util import current_workspace, printable, require_packages
from leaderboard.cli.options import DataDir, print_words, progress_bars

if TYPE_CHECKING:
    from leaderboard.data import Source

STRUCTURES = ("pymatgen", "spglib", "ase")  # packages that read and compare structures

app = typer.Typer(help="List, fetch, build, import and audit data sets.", no_args_is_help=True)


@app.command("list")
def list_(data_dir: DataDir = None) -> None:
    """List the data sets, their tasks and where they come from.

    Example:

    bench data list
    """
    from leaderboard.reports import render_datasets

    typer.echo(render_datasets())


@app.command()
def build(
    name: Annotated[Literal["mp-2024-1"], typer.Argument(help="Data set.", show_default=False)],
    api: Annotated[
        bool,
        typer.Option("--api", help="Take the newest data from the Materials Project API, with the key in MP_API_KEY."),
    ] = False,
    symprec: Annotated[
        float,
        typer.Option(min=1e-8, max=0.5, help="Tolerance of spglib in angstrom; the paper may have had 0.00001."),
    ] = 1e-3,
    data_dir: DataDir = None,
) -> None:
    """Build a data set: download its source, screen it, split it.

    An interrupted build resumes.

    Example:

    bench data build mp-2024-1
    """
    from leaderboard.data import data_folder
    from leaderboard.ingest import build_dataset, screening_report

    require_packages(STRUCTURES, "audit")
    check_writable(data_folder())
    with progress_bars(name):
        source, counts = build_dataset(api, symprec)
    print_words(screening_report(counts))
    _print_source(source)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="Data set: hm, nomad2018, matbench_*, jarvis_*.", show_default=False)],
    given: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Read a checkout of the board, or a folder of its files, instead of downloading.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        bool, typer.Option("--labels", help="Labels and splits alone, which are enough to score predictions.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Download a data set.

    An interrupted download resumes.

    Example:

    bench data fetch matbench_jdft2d
    """
    from leaderboard.ingest import fetch_dataset

    if name in ("hm", "nomad2018"):
        require_packages(STRUCTURES, "audit")
    with progress_bars(name):
        source = fetch_dataset(name, given, labels)
    _print_source(source)


@app.command()
def audit(
    name: Annotated[str, typer.Argument(help="Data set.", show_default=False)],
    rule: Annotated[str, typer.Option("--split", help="Split to audit.", show_default="random or official")] = "",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for figures, and tables of all findings.", show_default=False)
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Audit a data set and a split: duplicates, implausible labels, leakage.

    The exit status is 1 if test structures also appear in training or validation.

    Example:

    bench data audit open-dft --out audit
    """
    from leaderboard.reports.audit import audit_dataset, write_audit

    require_packages((*STRUCTURES, "matplotlib") if out else STRUCTURES, "audit")
    if out:
        check_writable(out)
    with progress_bars(name):
        report = audit_dataset(name, rule)
    for title, lines in report.sections:
        print_words(title)
        for line in lines:
            print_words(f"  {line}")
    for file in write_audit(report, out) if out else ():
        typer.echo(printable(str(file)))
    if leaking := [str(fold) for fold, shared in report.leaks.items() if shared]:
        raise InputError(
            f"split {report.parts.rule} of {name} leaks: test structures also appear in training or validation, "
            f"in fold {', '.join(leaking)}"
        )


@app.command("import")
def import_(
    path: Annotated[
        Path,
        typer.Argument(help="Parquet, folder of CIFs with one CSV, ASE database, or extended XYZ.", show_default=False),
    ],
    target: Annotated[
        list[str],
        typer.Option(
            "--target",
            help="COLUMN:UNIT of a label, or COLUMN alone if it holds 0 and 1 or True and False; repeatable.",
            show_default=False,
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Name of the data set.", show_default="that of the file")] = "",
    title: Annotated[str, typer.Option("--title", help="One line about the data, shown with a board.")] = "",
    licence: Annotated[str, typer.Option("--licence", help="Licence of the data.")] = "licence not stated",
    citation: Annotated[str, typer.Option("--citation", help="What to cite.")] = "citation not stated",
    skip: Annotated[
        bool, typer.Option("--skip", help="Skip rows that cannot be used, and list them in excluded.csv.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Import crystals and labels of your own as a data set.

    Tasks and splits are made with it.

    Example:

    bench data import FOLDER --target gap:eV --target is_magnetic
    """
    from leaderboard.data import data_folder
    from leaderboard.ingest import import_dataset, parse_target

    require_packages(STRUCTURES, "audit")
    check_writable(data_folder())
    name = name or path.stem
    description = {"title": title or f"imported from {path.name}", "licence": licence, "citation": citation}
    with progress_bars(name):
        source = import_dataset(path, name, [parse_target(text) for text in target], description, skip)
    _print_source(source)


def _print_source(source: Source) -> None:
    """Print the size, tasks and splits of a data set that was just written, and the command to run it."""
    from leaderboard.data import EXCLUSIONS_FILE, load_dataset, read_exclusions, suite_tasks
    from leaderboard.splitting import list_rules, split_size

    named = ", ".join(task.name for task in suite_tasks(source.name))
    print_words(f"{source.name}: {split_size(source):,} crystals in {source.folder}; tasks: {named}")
    data = load_dataset(source)
    for target in source.targets:
        if (labelled := sum(map(math.isfinite, data.labels(target).tolist()))) < len(data.ids):
            print_words(f"{target.name}: {labelled:,} of them have this label")
    if skipped := read_exclusions(source):
        typer.echo(f"{len(skipped):,} rows or labels were left out: {source.folder}/{EXCLUSIONS_FILE} says why")
    typer.echo(f"splits: {', '.join(list_rules(source))}")
    empty = {} if source.command else _empty_sides(source)
    for name, folds in empty.items():
        print_words(f"note: {name}: {', '.join(folds.values())}: such a fold cannot be run", err=True)
    if not data.has_crystals:
        print_words(
            "The data set has labels but no crystals: `bench score` and `bench published` work, but no model can be "
            "trained"
        )
    elif not any(0 in folds for name, folds in empty.items() if "@" not in name):
        named = f" --data-dir {shlex.quote(str(folder))}" if (folder := current_workspace().data) else ""
        print_words(f"Now: bench run {source.name} --model mean,forest{named}")


def _empty_sides(source: Source) -> dict[str, dict[int, str]]:
    """Sentences about folds with an empty side, by task and fold, for each split of a data set."""
    from leaderboard.data import load_dataset, parse_task, suite_tasks
    from leaderboard.splitting import find_empty_sides, list_rules, read_split

    data = load_dataset(source)
    found = {}
    for task in suite_tasks(source.name):
        for chosen in [parse_task(f"{task.name}@{rule}") for rule in list_rules(source)]:
            found[chosen.name] = find_empty_sides(read_split(data, chosen.rule), data, task.target)
    return {name: folds for name, folds in found.items() if folds}
