"""What the paper states, and what is stored beside it: the material of its tables and figures.

What is quoted lies in paper.toml, each number with its source; what is measured is computed anew from stored runs, as
on the board. One preset is shown at a time, beside published weights and what was handed in; nothing is ranked.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from asugnn.errors import InputError, did_you_mean
from leaderboard.board import NOISE, MetricValue, Row, load_ground_truth, rank_rows
from leaderboard.data import Task, find_source, load_dataset
from leaderboard.records import PRETRAINED, SUBMITTED, UNPRESET, StoredRun, list_runs
from leaderboard.reports import Cell, Notes, preset_warning
from leaderboard.scoring import Estimate, PredictedFold

DATA, ZERO_SHOT = "mp-2024-1", "hm"  # the paper's own data sets
TRAINED = ("paper", "hours", "quick")  # presets, the best-trained first
ROW_KINDS = {PRETRAINED: "published weights", SUBMITTED: "handed in"}  # what a row is that nothing here has trained


@dataclass(frozen=True)
class PaperRuns:
    """The stored runs of some targets of a data set: `rows` as on the board, `records` by preset, model and target."""

    data: str
    tasks: Sequence[Task]
    preset: str
    rows: Sequence[Row]
    records: Mapping[tuple[str, str, str], Sequence[StoredRun]]
    faults: Sequence[str]  # what could not be used
    elsewhere: Sequence[str]  # `--data NAME` of the other data sets of which there are runs

    def runs(self, row: Row) -> Sequence[StoredRun]:
        """The runs that a row is of."""
        return self.records[row.preset, row.model, row_target(row)]

    def entry(self, row: Row) -> str:
        """The model that a row is of, whatever was set by hand; what was handed in is of none."""
        return "" if row.preset == SUBMITTED else self.runs(row)[0].record.entry or row.model

    def predictions(self, row: Row) -> list[tuple[PredictedFold, tuple[str, ...], StoredRun]]:
        """Of each run of a row: labels and predictions, the reduced formulas of its crystals (n,), and its record."""
        (task,) = [t for t in self.tasks if t.name == row.task]
        data, out = load_dataset(task.source), []
        for record in self.runs(row):
            held, p = load_ground_truth(task, record.run.fold).read(record)
            ids = [name for name, counts in zip(held.ids, held.scored, strict=True) if counts]
            out.append((held.run(p), data.groups(ids), record))
        return out

    def called(self, row: Row) -> set[str]:
        """The words for a row after --model: its model, its name on the board, and that with its preset."""
        return {self.entry(row) or row.model, row.model, f"{row.model}:{row.preset}"}


def load_paper_runs(data: str, targets: Sequence[str], preset: str, root: Path, entry: str = "") -> PaperRuns:
    """The runs of some targets under a preset, or under the best-trained that is stored; raises `InputError`.

    With `entry` those of that model alone.
    """
    source = find_source(data)
    by_name = {t.name: t for t in source.targets}
    if missing := [name for name in targets if name not in by_name]:
        raise InputError(f"data set {data} has no target {', '.join(missing)}, which this is about")
    tasks = [Task(source, by_name[name]) for name in targets]
    records: dict[tuple[str, str, str], list[StoredRun]] = {}
    others: dict[str, set[str]] = {}
    for record in list_runs(root)[0]:
        run = record.run
        if entry not in {"", record.record.entry}:
            continue
        if run.task in tasks:
            records.setdefault((run.preset, run.model, run.task.target.name), []).append(record)
        elif run.task.target.name in targets and run.task.source.name != data:
            others.setdefault(run.task.source.name, set()).add(run.preset)
    found = sorted({key[0] for key in records} - UNPRESET, key=lambda p: (*[p != q for q in TRAINED], p))
    if preset and found and preset not in found:
        raise InputError(f"no runs of preset '{preset}' are stored of {data}; there is: {', '.join(found)}")
    chosen = preset or (found or TRAINED)[0]
    rows, faults = rank_rows(root, [t for t in tasks if t.target.name in {k[2] for k in records}], chosen)
    rows = [row for row in rows if (row.preset, row.model, row_target(row)) in records]
    elsewhere = [f"--data {name}" for name, of in sorted(others.items()) if of - UNPRESET]
    return PaperRuns(data, tasks, chosen, rows, records, faults, elsewhere)


@cache
def paper_values() -> Mapping[str, Any]:
    """What the paper states, from paper.toml."""
    return tomllib.loads(Path(__file__).with_name("paper.toml").read_text(encoding="utf-8"))


MeasuredRow = Mapping[str, Row]  # of one model and preset, by target
ModelBlock = tuple[str, Mapping[str, Any] | None, Sequence[MeasuredRow]]  # title, what is quoted, what is measured


def model_blocks(table: str, of: PaperRuns, rows: Iterable[Row], models: Collection[str]) -> list[ModelBlock]:
    """The models of a table in the paper's order, then all others of the rows, each with its own; or `models` alone.

    Raises `InputError` for one of `models` that is neither quoted nor stored.
    """
    rows = list(rows)
    known = {name for row in rows for name in of.called(row)} | {
        e for said in paper_values()[table] for e in said["entries"]
    }
    if unknown := sorted(set(models) - known):
        raise InputError(f"no run of '{unknown[0]}' is stored on {of.data}{did_you_mean(unknown[0], known)}")
    by_model: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        if not models or of.called(row) & set(models):
            by_model.setdefault((of.entry(row), row.preset, row.model), {})[row_target(row)] = row
    out: list[ModelBlock] = []
    for said in paper_values()[table]:
        places = {name: i for i, name in enumerate(said["entries"])}
        keys = [key for key in by_model if key[0] in places]
        keys.sort(key=lambda key: (places[key[0]], key[1] in UNPRESET, len(key[2]), key[2]))
        if keys or not models or set(models) & set(said["entries"]):
            out.append((said["model"], said, [by_model.pop(key) for key in keys]))
    titles: dict[str, list[MeasuredRow]] = {}
    for key in sorted(by_model):
        titles.setdefault(key[0] or key[2], []).append(by_model[key])
    return out + [(title, None, rows) for title, rows in titles.items()]


def row_target(row: Row) -> str:
    """The target of a row's task."""
    return row.task.partition("/")[2].partition("@")[0]


def quoted_cell(said: Mapping[str, Any] | None, notes: Notes) -> Cell:
    """A quoted number: `value`, perhaps with `spread`, `source` and `marks`, whose sentences are added to `notes`."""
    if said is None:
        return Cell()
    source = paper_values()["sources"][said.get("source", "paper")]
    sentences = [*([source] if "source" in said else []), *(paper_values()["notes"][m] for m in said.get("marks", []))]
    marks = sorted(notes.mark(sentence) for sentence in sentences)
    text = " ± ".join(said[k] for k in ("value", "spread") if k in said)
    numbers = {k: float(said[k]) if k in said else None for k in ("value", "spread")}
    about = {"kind": "quoted", **numbers, "source": source, "notes": sentences}
    return Cell(text, "", tuple(marks), about)


def measured_cell(
    found: MetricValue | Estimate,
    about: Mapping[str, Any],
    digits: int = 3,
    factor: int = 1,
    spread: float | None = None,
) -> Cell:
    """A measured number, times `factor`, with its spread over runs, or else its interval; `about` is of what."""
    parts = (found.value, found.low, found.high, spread)
    value, low, high, over = (None if x is None else x * factor for x in parts)
    if value is None:
        return Cell()
    text, interval = _decimal(value, digits), ""
    if over is not None:
        text += f" ± {_decimal(over, digits)}"
    elif low is not None and high is not None:
        interval = f"{_decimal(low, digits)}{' to ' if low < 0 else '–'}{_decimal(high, digits)}"
    numbers = {"value": value, "low": low, "high": high, "spread": over}
    return Cell(text, interval, (), {"kind": "measured", **numbers, **about})


def row_origin(rows: Iterable[Row], of: PaperRuns) -> str:
    """The footnote of measured numbers: the runs that they are from, their test crystals, and who trained on what."""
    rows = list(rows)
    first = rows[0]
    where = f"{of.tasks[0].source.name}/{{}}@{of.tasks[0].rule}/{first.preset}/{first.model}/{{}}"
    by_runs: dict[str, list[str]] = {}
    for row in rows:
        by_runs.setdefault(_braced(row.runs), []).append(row_target(row))
    parts = [where.format(_braced(targets), runs) for runs, targets in by_runs.items()]
    counts: dict[int, list[str]] = {}
    for row in rows:
        counts.setdefault(row.n, []).append(row_target(row))
    numbers = [f"{n:,}" + (f" ({', '.join(targets)})" if len(counts) > 1 else "") for n, targets in counts.items()]
    out = [*parts, f"n = {', '.join(numbers)}"]
    if outside := sum(row.outside for row in rows):
        out.append(f"{outside:,} outside its domain left out")
    if on := dict.fromkeys(row.pretrained_on for row in rows if row.pretrained_on):
        out.append(f"weights trained on what may contain the test set: {'; '.join(on)}")
    return "; ".join(out)


def table_caption(of: PaperRuns, rows: Sequence[Row], theirs: str, extra: Sequence[str]) -> list[str]:
    """What stands below a table: what is quoted, what is measured on which data, and how its noise is shown."""
    lines = [f"quoted: {paper_values()['sources']['paper']}, on {theirs}"]
    if not rows:
        lines.append(
            f"the runs of {of.data} cannot be scored"
            if of.records and not of.rows
            else f"nothing is measured on {of.data}"
        )
        lines += of.faults[:1]
        lines += [f"there are runs of other data: {', '.join(of.elsewhere)}"] if of.elsewhere else []
        return [*lines, *extra]
    source = of.tasks[0].source
    trained = f", preset {of.preset}" if any(row.preset == of.preset for row in rows) else ""
    lines.append(f"measured: on {source.name} ({source.title}), split {of.tasks[0].rule}{trained}")
    lines += [warning] if (warning := preset_warning(rows, of.preset)) else []
    if of.data not in {DATA, ZERO_SHOT}:
        lines.append("quoted and measured numbers are of different data: they are no comparison")
    lines.append(f"with each measured number its {NOISE}")
    several = {_braced(row.runs) for row in rows if row.spread}
    if several:
        lines.append(f"±, of what is measured: standard deviation over runs (fold-seed) {', '.join(sorted(several))}")
    return [*lines, *extra]


def cell_record(row: Row, of: PaperRuns, n: int | None = None) -> dict[str, Any]:
    """What a program wants to know of a measured number: test crystals, and the folders of its runs."""
    runs = ["/".join(record.folder.absolute().parts[-5:]) for record in of.runs(row)]
    return {"n": n or row.n, "preset": row.preset, "model": row.model, "runs": runs}


def _decimal(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}"  # no minus before a zero


def _braced(words: Iterable[str]) -> str:
    found = list(dict.fromkeys(words))
    return found[0] if len(found) == 1 else f"{{{','.join(found)}}}"
