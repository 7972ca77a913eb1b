"""The command line: parse, one call, print."""

from __future__ import annotations

import errno
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from asugnn import __version__
from asugnn.errors import InputError

if TYPE_CHECKING:  # start-up is a feature: what a command needs is imported in it
    from leaderboard.datasets import Source
    from leaderboard.store import Run
    from leaderboard.submission import Columns
    from leaderboard.tasks import Task

app = typer.Typer(
    name="bench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data = typer.Typer(help="Data sets.", no_args_is_help=True)
app.add_typer(data, name="data")


def _use(folder: Path | None) -> Path | None:
    """From here on this is where data sets are."""
    if folder:
        os.environ["BENCH_DATA"] = str(folder)
    return folder


DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Folder of data sets that are not in the package (else BENCH_DATA).", callback=_use
    ),
]
ColumnNames = Annotated[str, typer.Option("--columns", help="Names of the two columns, ID,TARGET, if not the usual.")]
StoredRuns = Annotated[
    Path | None, typer.Option("--runs", help="Folder of the runs (else ./runs, else those of the package).")
]
ABLATION = "ablation"  # a suite not of tasks but of variants: Table 1 of ASUGNN's paper, on any task
TaskName = Annotated[str, typer.Option("--task", help="A task, such as open-dft/band-gap.")]


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False) -> None:
    """Compare crystal-property models on identical fixed splits, with honest error bars."""
    if show:
        typer.echo(f"bench {__version__}")
        raise typer.Exit


@app.command()
def run(
    suite: Annotated[
        str, typer.Argument(help="Tasks that are run together: a data set's, or paper; or ablation, ASUGNN's variants.")
    ] = "open-dft",
    task: Annotated[str, typer.Option(help="Tasks instead of a suite, separated by commas.")] = "",
    model: Annotated[str, typer.Option(help="Models, separated by commas, or all; FILE.py:CLASS works too.")] = "all",
    preset: Annotated[
        str, typer.Option(help="Named hyper-parameters: quick trains for minutes on two cores.")
    ] = "quick",
    fold: Annotated[str, typer.Option(help="Folds of the split, separated by commas, or all.")] = "0",
    seed: Annotated[str, typer.Option(help="Seeds, separated by commas.")] = "0",
    set_: Annotated[list[str] | None, typer.Option("--set", help="MODEL.FIELD=VALUE, one hyper-parameter.")] = None,
    weights: Annotated[
        str, typer.Option("--pretrained", help="Published weights instead of training: a name, all, or a folder.")
    ] = "",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[str, typer.Option(help="Of matrix products in training: float32 or bfloat16.")] = "float32",
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs"),
    jobs: Annotated[int, typer.Option(help="Runs at a time, which share the cores.")] = 1,
    allow_leaks: Annotated[
        bool, typer.Option("--allow-leaks", help="Run splits that test structures which also train.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Train models, predict their test sets, and rank them. What is done already is kept; what was cut off goes on."""
    from rich.console import Console

    from leaderboard import parallel, progress, runner

    asked = _tasks(suite, task)
    console = Console(stderr=True, highlight=False)
    if weights and (set_ or suite == ABLATION):
        word = "--set" if set_ else ABLATION
        raise InputError(f"{word} changes how a model is trained, and with --pretrained none is: leave one out")
    if model == "all" and suite == ABLATION:
        model = "asugnn"
    models = _published(model) if weights else _able(preset) if model == "all" else _list(model)
    request = parallel.Request(
        tasks=tuple(t.name for t in asked),
        models=tuple(models),
        preset=preset,
        folds=None if fold == "all" else tuple(_numbers("fold", fold)),
        seeds=tuple(_numbers("seed", seed)),
        overrides=_overrides(set_ or [], models),
        weights=weights,
        data_dir=data_dir,
        ablation=suite == ABLATION,
        allow_leaks=allow_leaks,
    )
    planned = request.jobs(progress.shown(console, "split"))
    width, seen = len(str(len(planned))), 0

    def report(run: Run, outcome: str, note: str) -> None:
        nonlocal seen
        seen += 1
        words = {"done": note, "kept": "there already", "failed": f"failed: {note}"}[outcome]
        line = f"[{seen:{width}}/{len(planned)}] {run.title:60} {words}"
        console.print(line, style="red" if outcome == "failed" else None, markup=False, soft_wrap=True)

    where = runner.device(_one_of("device", device, ("auto", "cpu", "cuda")))
    digits = _one_of("precision", precision, ("float32", "bfloat16"))
    if jobs < 1:
        raise InputError(f"--jobs takes a whole number from 1, not {jobs}")
    if jobs > 1:
        with progress.shown(console, "all runs")("done", len(planned)) as bar:

            def counted(run: Run, outcome: str, note: str) -> None:
                report(run, outcome, note)
                bar.advance()

            counts = parallel.work(request, out, where, digits, min(jobs, len(planned)), counted)
    else:
        counts = runner.work(
            planned, runner.Bench(out, data_dir, where, digits, partial(progress.shown, console)), report
        )
    if counts["done"] + counts["kept"]:
        _print_board(out, asked, "table", preset, data_dir)
    if counts["failed"]:
        raise InputError(f"{counts['failed']} of {len(planned)} runs failed: see the lines above; the others are kept")


@app.command()
def score(
    file: Annotated[Path, typer.Argument(help="Predictions: a CSV with header id,<target>.")],
    task: TaskName,
    fold: Annotated[int, typer.Option(help="Fold whose test set was predicted.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
    columns: ColumnNames = "",
    data_dir: DataDir = None,
) -> None:
    """Check a CSV of predictions and score it. Changes nothing."""
    from leaderboard import board, render, tasks

    scored = board.score(file, tasks.parse(task), fold, data_dir, _columns(columns))
    typer.echo(json.dumps(scored) if as_json else render.score(scored, tasks.parse(task)))


@app.command()
def submit(
    files: Annotated[list[Path], typer.Argument(help="Predictions: CSVs with header id,<target>.")],
    task: TaskName,
    name: Annotated[str, typer.Option(help="Name on the board; else that of the file.")] = "",
    fold: Annotated[int, typer.Option(help="Fold whose test set was predicted.")] = 0,
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs"),
    columns: ColumnNames = "",
    data_dir: DataDir = None,
) -> None:
    """Enter predictions on the board. They are checked, scored, kept, and logged."""
    from leaderboard import render, tasks
    from leaderboard.submit import submit as enter

    if name and len(files) > 1:
        raise InputError("--name is for one file; of several, each goes by the name of its file")
    refused = 0
    for file in files:
        try:
            scored = enter(file, tasks.parse(task), name or file.stem, fold, runs, data_dir, _columns(columns))
        except InputError as error:
            if len(files) == 1:
                raise
            typer.echo(f"Error: {error}", err=True)
            refused += 1
        else:
            typer.echo(render.entered(scored, tasks.parse(task)))
    if refused:
        raise InputError(f"{refused} of {len(files)} files were refused: see above; the others are on the board")


@app.command()
def export(
    task: TaskName,
    out: Annotated[Path, typer.Option(help="Folder to write into.")],
    host: Annotated[bool, typer.Option("--host", help="Add what the host keeps: solution and Kaggle metric.")] = False,
    fold: Annotated[int, typer.Option(help="Fold whose test set is to be predicted.")] = 0,
    columns: ColumnNames = "",
    metric: Annotated[str, typer.Option(help="What the competition is scored by, if not by the task's own.")] = "",
    data_dir: DataDir = None,
) -> None:
    """Write the files of a competition. Labelled rows, structures, ids to predict, and what the host keeps."""
    from leaderboard import tasks
    from leaderboard.export import export as write
    from leaderboard.submission import Columns

    parsed = tasks.parse(task)
    names = _columns(columns) or Columns("id", parsed.target.name)
    for file in write(parsed, fold, out, host, names, metric, data_dir):
        typer.echo(str(file))


@app.command()
def verify(
    runs: StoredRuns = None,
    data_dir: DataDir = None,
) -> None:
    """Recompute every row from its files. Each file that does not fit is named."""
    from leaderboard.verify import verify as check_all

    counts, wrong = 0, 0
    for checked in check_all(_stored(runs), data_dir):
        counts += 1
        wrong += bool(checked.faults)
        for fault in checked.faults:
            typer.echo(f"FAULT {fault}")
        for note in checked.notes:
            typer.echo(f"note: {checked.title}: {note}", err=True)
    if wrong:
        raise InputError(f"{wrong} of {counts} do not fit their files: see above")
    typer.echo(f"{counts} runs and logs fit their files: every row can be recomputed")


@app.command()
def leaderboard(
    suite: Annotated[str, typer.Argument(help="Tasks that are shown together: a data set's, or paper.")] = "open-dft",
    task: Annotated[str, typer.Option(help="Tasks instead of a suite, with all metrics of each.")] = "",
    preset: Annotated[str, typer.Option(help="Rows of this preset; presets are never ranked together.")] = "quick",
    format_: Annotated[str, typer.Option("--format", help="table, markdown, csv or json.")] = "table",
    private: Annotated[
        bool, typer.Option("--private", help="Score the private rows of the host's solution (BENCH_SOLUTION).")
    ] = False,
    runs: StoredRuns = None,
    data_dir: DataDir = None,
) -> None:
    """Rank the stored runs. Every number is computed anew from predictions, labels and split."""
    root = _stored(runs)
    format_ = _one_of("format", format_, ("table", "markdown", "csv", "json"))
    _print_board(root, _tasks(suite, task), format_, preset, data_dir, detailed=bool(task), private=private)


@app.command()
def errors(
    task: TaskName,
    by: Annotated[str, typer.Option(help="element, space-group, size or label.")] = "element",
    preset: Annotated[str, typer.Option(help="Rows of this preset, and what was handed in.")] = "quick",
    format_: Annotated[str, typer.Option("--format", help="table, markdown or csv.")] = "table",
    runs: StoredRuns = None,
    data_dir: DataDir = None,
) -> None:
    """Show where models err, by chemistry. Mean absolute errors, or accuracies."""
    from leaderboard import errors as where
    from leaderboard import render, tasks

    kind = _one_of("by", by, tuple(where.CLASSES))
    parsed = tasks.parse(task)
    found = where.by(kind, parsed, _stored(runs), preset, data_dir)
    typer.echo(render.errors(found, kind, parsed, _one_of("format", format_, ("table", "markdown", "csv"))))


@app.command()
def paper(
    item: Annotated[str, typer.Argument(help="table-1, table-2, zero-shot, figure-3, figure-4 or figure-5.")],
    on: Annotated[str, typer.Option("--data", help="Data set of what is measured, if not the paper's.")] = "",
    preset: Annotated[str, typer.Option(help="Runs of this preset; else of the best-trained that is stored.")] = "",
    model: Annotated[
        str, typer.Option(help="Models, separated by commas, NAME or NAME:PRESET; figure-4 shows one, figure-5 two.")
    ] = "",
    format_: Annotated[str, typer.Option("--format", help="table, markdown, latex or json; svg or png.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder to write into; else tables are printed.")] = None,
    runs: StoredRuns = None,
    data_dir: DataDir = None,
) -> None:
    """Make a table or a figure of the paper. Each number is quoted, with its source, or measured, with its runs."""
    from asugnn.model import suggestion
    from leaderboard import figures, paper_tables, table

    root = _stored(runs)
    models = _list(model)
    if item in figures.FIGURES:
        formats = [_one_of("format", format_, figures.FORMATS)] if format_ else [*figures.FORMATS]
        caption, written, faults = figures.draw(item, on, preset, models, root, data_dir, out or Path(), formats)
        typer.echo(caption)
    elif item in paper_tables.TABLES:
        formats = [_one_of("format", format_, table.FORMATS)] if format_ else [*table.FORMATS] if out else ["table"]
        made, faults = paper_tables.TABLES[item](on, preset, models, root, data_dir)
        if out is None:
            typer.echo(table.draw(made, formats[0]))
        written = table.write(made, out, formats) if out else []
    else:
        raise InputError(
            f"there is no '{item}' of the paper{suggestion(item, [*paper_tables.TABLES, *figures.FIGURES])}"
        )
    for file in written:
        typer.echo(str(file))
    for fault in faults:
        typer.echo(f"note: {fault}", err=True)


@app.command()
def site(
    out: Annotated[Path, typer.Option(help="Folder of the site; an older site in it is replaced.")] = Path("site"),
    runs: StoredRuns = None,
    data_dir: DataDir = None,
) -> None:
    """Make a site of the stored runs. One folder of static pages: board, tasks and runs; it needs no server."""
    from rich.console import Console

    from leaderboard import progress
    from leaderboard.site import pages

    made, notes = pages.build(_stored(runs), out, data_dir, progress.shown(Console(stderr=True), "site"))
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    typer.echo(f"{made} pages: open {out / 'index.html'}")


@app.command()
def models() -> None:
    """List the installed models."""
    from asugnn.model import found
    from leaderboard import render

    typer.echo(render.models(found()))


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="A model, or FILE.py:CLASS.")],
    preset: Annotated[str, typer.Option(help="Named hyper-parameters.")] = "quick",
) -> None:
    """Check that a model keeps the contract. Shapes, seeds, saving, batches, and the invariances it claims."""
    from leaderboard import check as contract
    from leaderboard import render

    findings = []
    for finding in contract.check(name, preset):
        typer.echo(render.finding(finding))
        findings.append(finding)
    if broken := contract.failed(findings):
        raise InputError(f"model '{name}' breaks {len(broken)} of {len(findings)} points of the contract")
    typer.echo(f"model '{name}' keeps the contract")


@app.command()
def predict(
    files: Annotated[list[Path], typer.Argument(help="Crystals: CIF, POSCAR, extended XYZ, ASE database, JSON.")],
    run: Annotated[
        Path | None, typer.Option(help="Folder of a run, such as runs/open-dft/band-gap@random/quick/forest/0-0.")
    ] = None,
    weights: Annotated[str, typer.Option("--pretrained", help="Published weights: a name, or a folder.")] = "",
    model: Annotated[str, typer.Option(help="The model that a folder of weights belongs to.")] = "all",
) -> None:
    """Predict crystals from files. A stored run or published weights do it; prints id,<target> as CSV."""
    from leaderboard import pretrained, runner, submission

    if (run is None) == (not weights):
        raise InputError("say what predicts: --run FOLDER of a run, or --pretrained NAME of published weights")
    if run is not None:
        target, fitted = runner.stored(run)
    else:
        name = pretrained.owner(_published(model), weights)
        known = pretrained.published(name).get(weights)
        target, fitted = known.target if known else "prediction", pretrained.load(name, weights)
    values, reasons = runner.predict(fitted, files)
    typer.echo(submission.text(list(values), target, list(values.values())), nl=False)
    for name, reason in reasons.items():
        typer.echo(f"left out: {name}: {reason}", err=True)
    if reasons:
        raise InputError(f"{len(reasons)} of {len(values) + len(reasons)} crystals were left out: see the lines above")


@app.command()
def embed(
    files: Annotated[list[Path], typer.Argument(help="Crystals: CIF, POSCAR, extended XYZ, ASE database, JSON.")],
    out: Annotated[Path, typer.Option(help="The .npz file to write.")],
) -> None:
    """Embed crystals as ASUGNN sees them. Writes nodes, asuam, dam, pxrd; of several crystals as ID/nodes and so on."""
    import numpy as np
    from rich.console import Console

    from asugnn.atomic import replaced
    from asugnn.embedding import embed as embedded
    from leaderboard import progress, runner

    crystals = runner.crystals(files)
    arrays: dict[str, Any] = {}
    with progress.shown(Console(stderr=True), "embed")("crystals", len(crystals)) as bar:
        for name, crystal in crystals.items():
            try:
                found = embedded(crystal)
            except InputError as error:
                raise InputError(f"'{name}': {error}") from error
            arrays |= {(f"{name}/{k}" if len(crystals) > 1 else k): v for k, v in vars(found).items()}
            bar.advance()
    with replaced(out) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    typer.echo(f"{len(crystals)} crystals in {out}")


@data.command("list")
def data_list(data_dir: DataDir = None) -> None:
    """List the data sets, their tasks and where they come from."""
    from leaderboard import render

    typer.echo(render.data_sets(data_dir))


@data.command("build")
def data_build(
    name: Annotated[str, typer.Argument(help="mp-2024-1.")],
    api: Annotated[
        bool, typer.Option("--api", help="From the Materials Project's API, by the key in MP_API_KEY: its newest data.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Make a data set from its source. Downloads, screens and splits it, and goes on where it was cut off."""
    from rich.console import Console

    from leaderboard import materials_project, progress, screening

    _one_of("NAME", name, (materials_project.NAME,), "")
    made, counts = materials_project.build(progress.shown(Console(stderr=True, highlight=False), name), api)
    typer.echo(screening.report(counts))
    typer.echo(f"{made.folder}: what was excluded, and why, is in excluded.csv")
    _then(made)


@data.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="hm or nomad2018.")],
    data_dir: DataDir = None,
) -> None:
    """Download a data set. What has come is kept when it is cut off."""
    from rich.console import Console

    from leaderboard import fetch, progress

    _one_of("NAME", name, tuple(fetch.FETCHED), "")
    made, excluded = fetch.fetch(name, progress.shown(Console(stderr=True, highlight=False), name))
    if excluded:
        typer.echo(f"{excluded:,} rows cannot be used: see {made.folder}/excluded.csv")
    _then(made)


@data.command("audit")
def data_audit(
    name: Annotated[str, typer.Argument(help="A data set.")],
    rule: Annotated[str, typer.Option("--split", help="The split to look at.")] = "random",
    out: Annotated[Path | None, typer.Option(help="Folder for tables of all that was found, and figures.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Look for duplicates, odd labels and leaks. Exit 1 if a tested structure is on another side of the split, too."""
    from rich.console import Console

    from leaderboard import audit, audit_files, progress

    found = audit.audit(name, rule, data_dir, progress.shown(Console(stderr=True, highlight=False), name))
    for title, lines in found.sections:
        typer.echo(title)
        for line in lines:
            typer.echo(f"  {line}")
    for file in audit_files.write(found, out) if out else ():
        typer.echo(str(file))
    if leaking := [str(fold) for fold, shared in found.leaks.items() if shared]:
        raise InputError(f"split {rule} of {name} leaks: a structure is on two sides of fold {', '.join(leaking)}")


@data.command("import")
def data_import(
    path: Annotated[Path, typer.Argument(help="Parquet, folder of CIFs with one CSV, ASE database, or extended XYZ.")],
    target: Annotated[list[str], typer.Option(help="COLUMN:UNIT of a label; COLUMN alone, if it is 0 or 1.")],
    name: Annotated[str, typer.Option(help="Name of the data set; else that of the file or folder.")] = "",
    title: Annotated[str, typer.Option(help="What it is, for the reader of a board.")] = "",
    licence: Annotated[str, typer.Option(help="Its licence.")] = "licence not stated",
    citation: Annotated[str, typer.Option(help="What to cite.")] = "citation not stated",
    skip: Annotated[bool, typer.Option("--skip", help="Leave out rows that cannot be used.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Make a data set of your own. Its tasks and its splits are made with it."""
    from rich.console import Console

    from leaderboard import importer, progress

    name = name or path.stem
    about = {"title": title or f"imported from {path.name}", "licence": licence, "citation": citation}
    wanted = [importer.parse(text) for text in target]
    bar = progress.shown(Console(stderr=True, highlight=False), name)
    made = importer.make(path, name, wanted, about, skip, bar)
    _then(made)


def _then(made: Source) -> None:
    """What there is of a data set that was made, and what to do with it."""
    from leaderboard import importer, split, tasks

    named = ", ".join(task.name for task in tasks.suite(made.name))
    typer.echo(f"{made.name}: {split.size(made):,} crystals in {made.folder}; tasks: {named}")
    if left_out := importer.excluded(made):
        typer.echo(f"{len(left_out):,} rows were left out: {made.folder}/{importer.EXCLUDED} says why")
    typer.echo(f"splits: {', '.join(split.rules(made))}")
    typer.echo(f"Now: bench run {made.name} --model mean,forest")


def _stored(runs: Path | None) -> Path:
    """The folder of the stored runs; raises `InputError` where it is not there."""
    from leaderboard import store

    root = runs or store.default_root()
    if not root.is_dir():
        raise InputError(f"there is no folder '{root}': run `bench run` first, or name another with --runs")
    return root


def _print_board(
    root: Path,
    tasks: list[Task],
    format_: str,
    preset: str,
    data_dir: Path | None,
    detailed: bool = False,
    private: bool = False,
) -> None:
    from leaderboard import board, render

    rows, notes = board.rows(root, tasks, preset, data_dir, private)
    typer.echo(render.board(rows, tasks, preset, format_, detailed))
    for note in notes:
        typer.echo(f"note: {note}", err=True)


def _tasks(suite: str, task: str) -> list[Task]:
    from leaderboard import tasks

    if suite == ABLATION and not task:
        task = "mp-2024-1/formation-energy"  # the paper's
    return [tasks.parse(name) for name in _list(task)] if task else list(tasks.suite(suite))


def _able(preset: str) -> list[str]:
    """All models that can be loaded and have the preset; the others are left out, aloud."""
    from asugnn.model import found, presets

    names = []
    for m in found():
        if m.model is None:
            typer.echo(f"left out: model '{m.name}' ({m.source}) cannot be loaded: {m.reason}", err=True)
        elif not presets(m.model):
            continue  # it comes with published weights alone
        elif preset not in presets(m.model):
            typer.echo(f"left out: model '{m.name}' has no preset '{preset}'", err=True)
        else:
            names.append(m.name)
    if not names:
        raise InputError(f"no model has a preset '{preset}': `bench models` lists them")
    return names


def _columns(text: str) -> Columns | None:
    from leaderboard.submission import Columns

    if not text:
        return None
    names = _list(text)
    if len(names) != 2 or "Usage" in names or any(not name.isprintable() or '"' in name for name in names):
        raise InputError(f"--columns takes two names, ID,TARGET, not '{text}'")
    return Columns(*names)


def _published(model: str) -> list[str]:
    """The models that may take published weights, or those that were named."""
    from leaderboard import pretrained

    return pretrained.with_weights() if model == "all" else _list(model)


def _list(text: str) -> list[str]:
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _numbers(what: str, text: str) -> list[int]:
    try:
        numbers = [int(part) for part in _list(text)]
    except ValueError as error:
        raise InputError(f"--{what} takes whole numbers separated by commas, not '{text}'") from error
    if not numbers or min(numbers) < 0:
        raise InputError(f"--{what} takes whole numbers from 0, not '{text}'")
    return numbers


def _one_of(what: str, word: str, known: tuple[str, ...], dashes: str = "--") -> Any:
    if word not in known:
        raise InputError(f"{dashes}{what} is one of {', '.join(known)}, not '{word}'")
    return word


def _overrides(texts: list[str], models: list[str]) -> dict[str, dict[str, str]]:
    from asugnn.model import suggestion

    out: dict[str, dict[str, str]] = {}
    for text in texts:
        left, equals, value = text.partition("=")
        model, dot, field = left.rpartition(".")
        if not equals or not dot or not field:
            raise InputError(f"--set takes MODEL.FIELD=VALUE, not '{text}'")
        if model not in models:
            raise InputError(f"--set {text}: model '{model}' is not among those to run{suggestion(model, models)}")
        out.setdefault(model, {})[field] = value
    return out


def main() -> None:
    """Run the command line: 0 for success, 1 for a fault of the input, 2 for wrong usage."""
    # Threads that wait shall sleep: spinning beside another busy process, small networks train ten times slower.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        app()
    except InputError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        typer.echo(f"Error: the disk is full: {error.filename or 'a file'} did not fit; what is done is kept", err=True)
        sys.exit(1)
    except SystemExit as left:
        if left.code == 130:  # typer's word for an interrupt
            typer.echo("\nInterrupted. The same command goes on from here.", err=True)
        raise


if __name__ == "__main__":
    main()
