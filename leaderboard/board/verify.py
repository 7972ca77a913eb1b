"""Recompute every row of a board from its files, and name each file that does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asugnn.atomic_write import file_sha256
from asugnn.errors import InputError
from leaderboard.board.ground_truth import load_ground_truth
from leaderboard.data import data_file, load_dataset
from leaderboard.records import (
    LOG_FILE,
    SUBMITTED,
    StoredRun,
    file_digests,
    find_entry,
    list_runs,
    open_run,
    read_entries,
    record_text,
)
from leaderboard.scoring import estimate_metrics
from leaderboard.splitting import read_split


@dataclass(frozen=True)
class CheckedRun:
    """A run and what is wrong with it: nothing, or a sentence a fault, each naming a file."""

    title: str
    faults: tuple[str, ...]
    notes: tuple[str, ...] = ()  # what could not be checked, and why that is no fault


def verify_runs(root: Path) -> Iterator[CheckedRun]:
    """Check the runs under `root` one by one, then the log of submissions."""
    for file in sorted(root.glob("*/*@*/*/*/*-*/run.json")):
        yield _run(file.parent)
    for file in sorted(root.glob("*/*@*/*/*/*-*/predictions.csv")):
        if not (file.parent / "run.json").exists():
            yield CheckedRun(str(file.parent), (f"{file} stands alone: its run.json is missing",))
    if (root / LOG_FILE).exists():
        yield _log(root)


def _run(folder: Path) -> CheckedRun:
    file = folder / "run.json"
    try:
        record = open_run(folder)
    except InputError as error:
        return CheckedRun(str(folder), (str(error),))
    faults: list[str] = []
    notes: list[str] = []
    if record.record.format >= 2:
        _files(record, faults, notes)
    else:
        notes.append("made before run.json held digests: only its predictions can be checked")
    for key, value in (("model", record.run.model), ("preset", record.run.preset), ("fold", record.run.fold)):
        if (stated := getattr(record.record, key)) != value:
            faults.append(f"{file} says {key} {stated}, and lies where {value} belongs")
    if record.predictions.is_file() and file_sha256(record.predictions) != record.record.predictions_sha256:
        faults.append(f"{record.predictions} was changed: its sha256 is not that in run.json")
    if record.record.log and not find_entry(folder.parents[4], record.record.log):
        faults.append(f"{folder.parents[4] / LOG_FILE} has lost or changed the line of {folder}")
    try:
        _row(record, faults, notes)
    except InputError as error:
        (notes if data_file(record.run.task.source) is None else faults).append(str(error))
    return CheckedRun(record.run.title, tuple(dict.fromkeys(faults)), tuple(notes))


def _files(record: StoredRun, faults: list[str], notes: list[str]) -> None:
    """Hold the files of a run, run.json among them, against the digests that it states."""
    folder = record.folder
    if (folder / "run.json").read_text(encoding="utf-8") != record_text(record.record.raw):
        faults.append(f"{folder / 'run.json'} was changed: it is not what was written")
    found, stated = file_digests(folder), record.record.files
    for name in sorted(found.keys() | stated.keys()):
        if name not in stated:
            faults.append(f"{folder / name} was added later: run.json does not list it")
        elif name in found and found[name] != stated[name]:
            faults.append(f"{folder / name} was changed: its sha256 is not that in run.json")
        elif name not in found and name.startswith("model/"):
            notes.append(f"{name} is not kept")
        elif name not in found:
            faults.append(f"{folder / name} is missing")


def _row(record: StoredRun, faults: list[str], notes: list[str]) -> None:
    """Recompute the metrics from predictions, labels and split."""
    task, about = record.run.task, record.record
    data = load_dataset(task.source)
    parts = read_split(data, task.rule)
    if about.data.sha256 != data.sha256:
        faults.append(f"{record.folder} was made with another version of the data set {data.source.name}")
    if about.split.sha256 != parts.sha256:
        faults.append(f"{record.folder} was made with another version of the split {parts.rule}")
        return
    held, p = load_ground_truth(task, record.run.fold).read(record)
    estimates = estimate_metrics(task.target.kind, [held.run(p)], task.target.ranked_by)
    if not about.log:
        return
    entry = find_entry(record.folder.parents[4], about.log)
    if entry and entry.get("solution") != held.solution:
        notes.append(
            "its score is not compared with the log: it is by a host's solution, and BENCH_SOLUTION names another"
        )
        return
    for name, value in (entry["metrics"] if entry else {}).items():
        ours = estimates[name].value
        if ours != value and not (ours and value and np.isclose(ours, value, rtol=1e-12)):
            faults.append(f"{record.predictions} scores {name} {ours}, and the log says {value}")


def _log(root: Path) -> CheckedRun:
    title = f"{root / LOG_FILE}"
    try:
        entries = read_entries(root)
    except InputError as error:
        return CheckedRun(title, (str(error),))
    latest = {(e["task"], e["fold"], e["name"]): e for e in entries}
    kept = {
        (r.run.task.name, r.run.fold, r.run.model): r.record.predictions_sha256
        for r in list_runs(root)[0]
        if r.run.preset == SUBMITTED
    }
    faults = [
        f"{root / LOG_FILE}, line {e['n']}: the latest file of '{e['name']}' is not the one kept for {e['task']}"
        for key, e in latest.items()
        if kept.get(key) != e["sha256"]
    ]
    return CheckedRun(title, tuple(faults))
