"""`bench data`: list, fetch, build, import and audit data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from asugnn.errors import InputError
from leaderboard._util.extras import require_packages
from leaderboard.cli.options import DataDir, progress_bars

if TYPE_CHECKING:
    from leaderboard.data import Source

STRUCTURES = ("pymatgen", "spglib", "ase")  # packages that read and compare structures

app = typer.Typer(help="List, fetch, build, import and audit data sets.", no_args_is_help=True)


@app.command("list")
def list_(data_dir: DataDir = None) -> None:
    """List the data sets, their tasks and where they come from.

    Example: bench data list
    """
    from leaderboard.reports import render_datasets

    typer.echo(render_datasets())


@app.command()
def build(
    name: Annotated[Literal["mp-2024-1"], typer.Argument(help="The data set.", show_default=False)],
    api: Annotated[
        bool, typer.Option("--api", help="From the Materials Project's API, by the key in MP_API_KEY: its newest data.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Build a data set from its source: download, screen and split it. An interrupted build resumes.

    Example: bench data build mp-2024-1
    """
    from leaderboard.ingest import build_dataset, screening_report

    require_packages(STRUCTURES, "audit")
    with progress_bars(name):
        made, counts = build_dataset(api)
    typer.echo(screening_report(counts))
    typer.echo(f"{made.folder}: excluded.csv lists what was excluded, and why")
    _print_made(made)


@app.command()
def fetch(
    name: Annotated[Literal["hm", "nomad2018"], typer.Argument(help="The data set.", show_default=False)],
    data_dir: DataDir = None,
) -> None:
    """Download a data set. An interrupted download resumes.

    Example: bench data fetch hm
    """
    from leaderboard.ingest import fetch_dataset

    require_packages(STRUCTURES, "audit")
    with progress_bars(name):
        made, excluded = fetch_dataset(name)
    if excluded:
        typer.echo(f"{excluded:,} rows cannot be used: see {made.folder}/excluded.csv")
    _print_made(made)


@app.command()
def audit(
    name: Annotated[str, typer.Argument(help="A data set.", show_default=False)],
    rule: Annotated[str, typer.Option("--split", help="The split to audit.")] = "random",
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for tables of all findings, and figures.", show_default=False)
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Audit a data set and a split: duplicates, implausible labels, leaks. Exits with 1 if the split leaks.

    Example: bench data audit open-dft --out audit
    """
    from leaderboard.reports.audit import audit_dataset, write_audit

    require_packages((*STRUCTURES, "matplotlib") if out else STRUCTURES, "audit")
    with progress_bars(name):
        found = audit_dataset(name, rule)
    for title, lines in found.sections:
        typer.echo(title)
        for line in lines:
            typer.echo(f"  {line}")
    for file in write_audit(found, out) if out else ():
        typer.echo(str(file))
    if leaking := [str(fold) for fold, shared in found.leaks.items() if shared]:
        raise InputError(f"split {rule} of {name} leaks: a structure is on two sides of fold {', '.join(leaking)}")


@app.command("import")
def import_(
    path: Annotated[
        Path,
        typer.Argument(help="Parquet, folder of CIFs with one CSV, ASE database, or extended XYZ.", show_default=False),
    ],
    target: Annotated[
        list[str],
        typer.Option("--target", help="COLUMN:UNIT of a label; COLUMN alone, if it is 0 or 1.", show_default=False),
    ],
    name: Annotated[
        str, typer.Option("--name", help="Name of the data set. [default: that of the file]", show_default=False)
    ] = "",
    title: Annotated[str, typer.Option("--title", help="What it is, for the reader of a board.")] = "",
    licence: Annotated[str, typer.Option("--licence", help="Its licence.")] = "licence not stated",
    citation: Annotated[str, typer.Option("--citation", help="What to cite.")] = "citation not stated",
    skip: Annotated[bool, typer.Option("--skip", help="Skip rows that cannot be used.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Import your own crystals and labels as a data set, with tasks and splits.

    Example: bench data import FOLDER --target gap:eV --target is_magnetic
    """
    from leaderboard.ingest import import_dataset, parse_target

    require_packages(STRUCTURES, "audit")
    name = name or path.stem
    about = {"title": title or f"imported from {path.name}", "licence": licence, "citation": citation}
    with progress_bars(name):
        made = import_dataset(path, name, [parse_target(text) for text in target], about, skip)
    _print_made(made)


def _print_made(made: Source) -> None:
    """What there is of a data set that was made, and what to do with it."""
    from leaderboard.data import EXCLUSIONS_FILE, read_exclusions, suite_tasks
    from leaderboard.splitting import list_rules, split_size

    named = ", ".join(task.name for task in suite_tasks(made.name))
    typer.echo(f"{made.name}: {split_size(made):,} crystals in {made.folder}; tasks: {named}")
    if skipped := read_exclusions(made):
        typer.echo(f"{len(skipped):,} rows were skipped: {made.folder}/{EXCLUSIONS_FILE} says why")
    typer.echo(f"splits: {', '.join(list_rules(made))}")
    typer.echo(f"Now: bench run {made.name} --model mean,forest")
