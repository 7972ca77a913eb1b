"""The numbers of the paper's tables and figures: quoted from the paper, and measured on stored runs.

Quoted numbers are in paper.toml, each with its source; measured ones are computed anew from stored runs, as on the
board. One preset is shown at a time, beside published weights and submissions.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from asugnn.errors import InputError, did_you_mean
from leaderboard.board import MetricValue, Row, load_ground_truth, rank_runs, runs_by_row
from leaderboard.data import Task, find_source, load_dataset
from leaderboard.records import (
    PRETRAINED,
    PUBLISHED,
    SUBMITTED,
    UNPRESET,
    StoredRun,
    base_name,
    list_runs,
    packaged_note,
)
from leaderboard.reports.publication_table import Cell, Notes
from leaderboard.reports.wording import (
    comparison_notes,
    count_unsupported,
    format_interval,
    format_number,
    preset_warning,
)
from leaderboard.scoring import Estimate, PredictedFold

DATA, ZERO_SHOT = "mp-2024-1", "hm"  # the paper's own data sets
TRAINED = ("paper", "hours", "quick")  # presets, the best-trained first
ROW_KINDS = {
    PRETRAINED: "published weights",
    SUBMITTED: "submission",
    PUBLISHED: "published predictions",
}  # by preset, of rows that were not trained here


@dataclass(frozen=True)
class PaperRuns:
    """The stored runs of some targets of a data set."""

    dataset: str
    tasks: Sequence[Task]
    preset: str
    rows: Sequence[Row]  # as on the board
    runs: Mapping[tuple[str, str, str], Sequence[StoredRun]]  # by the key of a row
    unscored: bool  # whether there are runs, and none that can be scored
    faults: Sequence[str]  # sentences on runs that could not be used
    elsewhere: Sequence[str]  # `--data NAME` of the other data sets of which there are runs

    def row_runs(self, row: Row) -> Sequence[StoredRun]:
        """The runs that a row summarises."""
        return self.runs[row.key]

    def base_model(self, row: Row) -> str:
        """The board's name of a row's model, whatever settings were changed; empty for predictions of others."""
        return "" if row.preset in {SUBMITTED, PUBLISHED} else base_name(self._typed(row))

    def predictions(self, row: Row) -> list[tuple[PredictedFold, tuple[str, ...], StoredRun]]:
        """Labels and predictions of each run of a row, the reduced formulas of its crystals (n,), and its record."""
        (task,) = [t for t in self.tasks if t.name == row.task]
        data, out = load_dataset(task.source), []
        for record in self.row_runs(row):
            truth, predictions = load_ground_truth(task, record.run.fold).read_run(record)
            ids = [name for name, scored in zip(truth.ids, truth.scored, strict=True) if scored]
            out.append((truth.pair_scored(predictions, record.run.fold), data.groups(ids), record))
        return out

    def row_names(self, row: Row) -> set[str]:
        """What --model calls a row: its model, its name on the board, and that name with its preset."""
        return {self.base_model(row) or row.model, row.model, f"{row.model}:{row.preset}", self._typed(row)}

    def _typed(self, row: Row) -> str:
        """A row's model as `bench run` takes it: of one in a file, FILE.py:CLASS."""
        return self.row_runs(row)[0].record.entry or row.model


def load_paper_runs(dataset: str, targets: Sequence[str], preset: str, root: Path | None, model: str = "") -> PaperRuns:
    """Load the runs of some targets under a preset, or under the best-trained one that is stored, the user's first.

    Without `root` they are those of ./runs and of the package. With `model` only those of that registered model. Raises
    `InputError` for an unknown data set, and for a target or a preset that it does not have.
    """
    source = find_source(dataset)
    by_name = {t.name: t for t in source.targets}
    if missing := [name for name in targets if name not in by_name]:
        raise InputError(f"data set {dataset} has no target {', '.join(missing)}, which this table or figure needs")
    tasks = [Task(source, by_name[name]) for name in targets]
    wanted: list[StoredRun] = []
    presets_elsewhere: dict[str, set[str]] = {}  # by data set
    all_runs, faults = list_runs(root)
    for record in all_runs:
        run = record.run
        if model not in {"", record.record.entry}:
            continue
        if run.task in tasks:
            wanted.append(record)
        elif run.task.target.name in targets and run.task.source.name != dataset:
            presets_elsewhere.setdefault(run.task.source.name, set()).add(run.preset)
    own = {stored.run.preset for stored in wanted if not stored.packaged} - UNPRESET
    trained = {stored.run.preset for stored in wanted} - UNPRESET
    presets = sorted(trained, key=lambda p: (p not in own, *[p != q for q in TRAINED], p))
    if preset and presets and preset not in presets:
        raise InputError(f"no runs of preset '{preset}' are stored for {dataset}; stored: {', '.join(presets)}")
    chosen = preset or (presets or TRAINED)[0]
    rows, notes = rank_runs(all_runs, [t for t in tasks if t in {stored.run.task for stored in wanted}], chosen)
    by_row = runs_by_row(rows, wanted)
    rows = [row for row in rows if row.key in by_row]
    elsewhere = [f"--data {name}" for name, trained in sorted(presets_elsewhere.items()) if trained - UNPRESET]
    chosen_runs = [stored for row in rows for stored in by_row[row.key]]
    notes = [*packaged_note(root, chosen_runs), *faults, *notes]
    return PaperRuns(dataset, tasks, chosen, rows, by_row, bool(wanted) and not rows, notes, elsewhere)


@cache
def paper_values() -> Mapping[str, Any]:
    """The numbers that the paper states, as in paper.toml."""
    return tomllib.loads(Path(__file__).with_name("paper.toml").read_text(encoding="utf-8"))


MeasuredRow = Mapping[str, Row]  # the rows of one model and preset, by target
ModelBlock = tuple[str, Mapping[str, Any] | None, Sequence[MeasuredRow]]  # title, quoted numbers, measured rows


def model_blocks(table: str, runs: PaperRuns, rows: Iterable[Row], models: Collection[str]) -> list[ModelBlock]:
    """Group rows by model: those of the table in the paper's order, then all others; or `models` alone.

    Raises `InputError` for one of `models` that is neither quoted nor stored.
    """
    rows = list(rows)
    published = paper_values()[table]
    known = {name for row in rows for name in runs.row_names(row)} | {e for q in published for e in q["entries"]}
    if unknown := sorted(set(models) - known):
        raise InputError(f"no run of '{unknown[0]}' is stored on {runs.dataset}{did_you_mean(unknown[0], known)}")
    by_model: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        if not models or runs.row_names(row) & set(models):
            by_model.setdefault((runs.base_model(row), row.preset, row.model), {})[row_target(row)] = row
    blocks: list[ModelBlock] = []
    for quoted in published:
        places = {name: i for i, name in enumerate(quoted["entries"])}
        keys = [key for key in by_model if key[0] in places]
        keys.sort(key=lambda key: (places[key[0]], key[1] in UNPRESET, len(key[2]), key[2]))
        if keys or not models or set(models) & set(quoted["entries"]):
            blocks.append((quoted["model"], quoted, [by_model.pop(key) for key in keys]))
    titles: dict[str, list[MeasuredRow]] = {}
    for key in sorted(by_model):
        titles.setdefault(key[0] or key[2], []).append(by_model[key])
    return blocks + [(title, None, measured) for title, measured in titles.items()]


def row_target(row: Row) -> str:
    """The name of the target of a row's task."""
    return row.task.partition("/")[2].partition("@")[0]


def quoted_cell(quoted: Mapping[str, Any] | None, notes: Notes) -> Cell:
    """Make the cell of a quoted number: `value`, perhaps with `spread`, `source` and `marks`.

    The sentences of source and marks are added to `notes`.
    """
    if quoted is None:
        return Cell()
    source = paper_values()["sources"][quoted.get("source", "paper")]
    sentences = [source] if "source" in quoted else []
    sentences += [paper_values()["notes"][mark] for mark in quoted.get("marks", [])]
    marks = sorted(notes.mark(sentence) for sentence in sentences)
    text = " ± ".join(quoted[k] for k in ("value", "spread") if k in quoted)
    numbers = {k: float(quoted[k]) if k in quoted else None for k in ("value", "spread")}
    return Cell(text, "", tuple(marks), {"kind": "quoted", **numbers, "source": source, "notes": sentences})


def measured_cell(
    metric: MetricValue | Estimate,
    record: Mapping[str, Any],
    digits: int = 3,
    factor: int = 1,
    spread: float | None = None,
) -> Cell:
    """Make the cell of a measured number times `factor`, with its spread over runs or else its interval.

    `record` is what JSON says beside the numbers, see `cell_record`.
    """
    parts = (metric.value, metric.low, metric.high, spread)
    value, low, high, deviation = (None if x is None else x * factor for x in parts)
    if value is None:
        return Cell()
    text, interval = format_number(value, digits), ""
    if deviation is not None:
        text += f" ± {format_number(deviation, digits)}"
    elif metric.low is not None:
        interval = format_interval(metric, digits, factor)
    numbers = {"value": value, "low": low, "high": high, "spread": deviation}
    return Cell(text, interval, (), {"kind": "measured", **numbers, **record})


def cell_record(row: Row, runs: PaperRuns, n: int | None = None) -> dict[str, Any]:
    """What JSON says of a measured number: test crystals, preset, model and the folders of its runs."""
    folders = ["/".join(record.folder.absolute().parts[-5:]) for record in runs.row_runs(row)]
    return {"n": n or row.n, "preset": row.preset, "model": row.model, "runs": folders}


def row_origin(rows: Iterable[Row], runs: PaperRuns) -> str:
    """The footnote of measured numbers: their runs, how many test crystals, and what published weights trained on."""
    rows = list(rows)
    first, task = rows[0], runs.tasks[0]
    by_runs: dict[str, list[str]] = {}
    for row in rows:
        by_runs.setdefault(_in_braces(row.runs), []).append(row_target(row))
    folders = [
        f"{task.source.name}/{_in_braces(targets)}@{task.rule}/{first.preset}/{first.model}/{fold_seeds}"
        for fold_seeds, targets in by_runs.items()
    ]
    by_count: dict[int, list[str]] = {}
    for row in rows:
        by_count.setdefault(row.n, []).append(row_target(row))
    counts = [f"{n:,}" + (f" ({', '.join(targets)})" if len(by_count) > 1 else "") for n, targets in by_count.items()]
    parts = [*folders, f"n = {', '.join(counts)}"]
    if skipped := sum(row.outside for row in rows):
        parts.append(count_unsupported(skipped))
    if trained_on := dict.fromkeys(row.pretrained_on for row in rows if row.pretrained_on):
        parts.append(f"weights trained on data that may include the test set: {'; '.join(trained_on)}")
    return "; ".join(parts)


def table_caption(
    runs: PaperRuns, rows: Sequence[Row], published_on: str, extra: Sequence[str], starred: bool = True
) -> list[str]:
    """The lines below a table of these rows: sources of quoted numbers, data of measured ones, meaning of intervals.

    `starred` says whether numbers are marked as on the board.
    """
    lines = [f"quoted: {paper_values()['sources']['paper']}, on {published_on}"]
    if not rows:
        fault = "the runs on {} cannot be scored" if runs.unscored else "nothing is measured on {}"
        lines.append(fault.format(runs.dataset))
        lines += runs.faults[:1]
        lines += [f"there are runs on other data: {', '.join(runs.elsewhere)}"] if runs.elsewhere else []
        return [*lines, *extra]
    source = runs.tasks[0].source
    trained = f", preset {runs.preset}" if any(row.preset == runs.preset for row in rows) else ""
    lines.append(f"measured: on {source.name} ({source.title}), split {runs.tasks[0].rule}{trained}")
    lines += [warning] if (warning := preset_warning(rows, runs.preset)) else []
    if runs.dataset not in {DATA, ZERO_SHOT}:
        lines.append("quoted and measured numbers are for different data and cannot be compared")
    if alone := [row for row in rows if not row.spread]:  # the others have their deviation beside them
        lines.append(f"with measured MAE, accuracy and ROC-AUC: {alone[0].noise}")
    lines += comparison_notes(rows) if starred else []
    if repeated := {_in_braces(row.runs) for row in rows if row.spread}:
        lines.append(f"± of measured numbers: standard deviation over runs (fold-seed) {', '.join(sorted(repeated))}")
    return [*lines, *extra]


def _in_braces(words: Iterable[str]) -> str:
    """One word as it is, several in a shell's braces: {a,b}."""
    different = list(dict.fromkeys(words))
    return different[0] if len(different) == 1 else f"{{{','.join(different)}}}"
