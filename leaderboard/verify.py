"""Recompute every row of a board from its files, and name each file that does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asugnn.atomic import digest
from asugnn.errors import InputError
from leaderboard import board, datasets, log, split, statistics, store
from leaderboard.store import Record


@dataclass(frozen=True)
class Checked:
    """A run and what is wrong with it: nothing, or a sentence a fault, each naming a file."""

    title: str
    faults: tuple[str, ...]
    notes: tuple[str, ...] = ()  # what could not be checked, and why that is no fault


def verify(root: Path, data_dir: Path | None) -> Iterator[Checked]:
    """Check the runs under `root` one by one, then the log of submissions."""
    for file in sorted(root.glob("*/*@*/*/*/*-*/run.json")):
        yield _run(file.parent, data_dir)
    for file in sorted(root.glob("*/*@*/*/*/*-*/predictions.csv")):
        if not (file.parent / "run.json").exists():
            yield Checked(str(file.parent), (f"{file} stands alone: its run.json is missing",))
    if (root / log.NAME).exists():
        yield _log(root)


def _run(folder: Path, data_dir: Path | None) -> Checked:
    file = folder / "run.json"
    try:
        record = store.at(folder)
    except InputError as error:
        return Checked(str(folder), (str(error),))
    faults: list[str] = []
    notes: list[str] = []
    if record.about["format"] >= 2:
        _files(record, faults, notes)
    else:
        notes.append("made before run.json held digests: only its predictions can be checked")
    for key, value in (("model", record.run.model), ("preset", record.run.preset), ("fold", record.run.fold)):
        if record.about[key] != value:
            faults.append(f"{file} says {key} {record.about[key]}, and lies where {value} belongs")
    if record.predictions.is_file() and digest(record.predictions) != record.about["predictions_sha256"]:
        faults.append(f"{record.predictions} was changed: its sha256 is not that in run.json")
    if "log" in record.about and not log.entry(folder.parents[4], record.about["log"]):
        faults.append(f"{folder.parents[4] / log.NAME} has lost or changed the line of {folder}")
    try:
        _row(record, data_dir, faults, notes)
    except InputError as error:
        (notes if datasets.path(record.run.task.source, data_dir) is None else faults).append(str(error))
    return Checked(record.run.title, tuple(dict.fromkeys(faults)), tuple(notes))


def _files(record: Record, faults: list[str], notes: list[str]) -> None:
    """Hold the files of a run, run.json among them, against the digests that it states."""
    folder = record.folder
    if (folder / "run.json").read_text(encoding="utf-8") != store.record_text(record.about):
        faults.append(f"{folder / 'run.json'} was changed: it is not what was written")
    found, stated = store.digests(folder), record.about["files"]
    for name in sorted(found.keys() | stated.keys()):
        if name not in stated:
            faults.append(f"{folder / name} was added later: run.json does not list it")
        elif name in found and found[name] != stated[name]:
            faults.append(f"{folder / name} was changed: its sha256 is not that in run.json")
        elif name not in found and name.startswith("model/"):
            notes.append(f"{name} is not kept")
        elif name not in found:
            faults.append(f"{folder / name} is missing")


def _row(record: Record, data_dir: Path | None, faults: list[str], notes: list[str]) -> None:
    """Recompute the metrics from predictions, labels and split."""
    task, about = record.run.task, record.about
    data = datasets.load(task.source, data_dir)
    parts = split.load(data, task.rule)
    if about["data"]["sha256"] != data.sha256:
        faults.append(f"{record.folder} was made with another version of the data set {data.source.name}")
    if about["split"]["sha256"] != parts.sha256:
        faults.append(f"{record.folder} was made with another version of the split {parts.rule}")
        return
    held, p = board.answers(task, record.run.fold, data_dir).read(record)
    estimates = statistics.score(task.target.kind, [held.run(p)], task.target.ranked_by)
    if "log" not in about:
        return
    entry = log.entry(record.folder.parents[4], about["log"])
    if entry and entry.get("solution") != held.solution:
        notes.append(
            "its score is not compared with the log: it is by a host's solution, and BENCH_SOLUTION names another"
        )
        return
    for name, value in (entry["metrics"] if entry else {}).items():
        ours = estimates[name].value
        if ours != value and not (ours and value and np.isclose(ours, value, rtol=1e-12)):
            faults.append(f"{record.predictions} scores {name} {ours}, and the log says {value}")


def _log(root: Path) -> Checked:
    title = f"{root / log.NAME}"
    try:
        entries = log.entries(root)
    except InputError as error:
        return Checked(title, (str(error),))
    latest = {(e["task"], e["fold"], e["name"]): e for e in entries}
    kept = {
        (r.run.task.name, r.run.fold, r.run.model): r.about["predictions_sha256"]
        for r in store.records(root)[0]
        if r.run.preset == store.SUBMITTED
    }
    faults = [
        f"{root / log.NAME}, line {e['n']}: the latest file of '{e['name']}' is not the one kept for {e['task']}"
        for key, e in latest.items()
        if kept.get(key) != e["sha256"]
    ]
    return Checked(title, tuple(faults))
