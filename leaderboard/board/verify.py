"""Recompute every row of a board from its files, and name each file that does not fit.

Everything is computed again, from the files alone: nothing is taken from the cache folder.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from asugnn.errors import InputError
from asugnn.reading import reading
from leaderboard.board.ground_truth import GroundTruth, load_ground_truth
from leaderboard.data import Task, data_file, load_dataset, parse_task
from leaderboard.records import (
    SUBMITTED,
    StoredRun,
    SubmissionLog,
    compare_digests,
    file_digests,
    open_run,
    record_text,
    run_folders,
)
from leaderboard.scoring import estimate_metrics


@dataclass(frozen=True)
class CheckedRun:
    """A run and what is wrong with it: nothing, or a sentence a fault, each naming a file."""

    title: str
    faults: tuple[str, ...]
    notes: tuple[str, ...] = ()  # what could not be checked, and why that is no fault
    no_data: str = ""  # why its scores were not recomputed, where its data set is not at hand: what to do
    without_model: bool = False  # whether files of its model are not kept, as in the package


def verify_runs(root: Path) -> Iterator[CheckedRun]:
    """Check the runs under `root` one by one, then the log of submissions."""
    log = SubmissionLog(root)
    load_truth = cache(load_ground_truth)
    submitted: list[StoredRun] = []
    for folder in run_folders(root):
        try:
            stored = open_run(folder)
        except InputError as error:
            yield CheckedRun(str(folder), (str(error),))
            continue
        if stored.run.preset == SUBMITTED:
            submitted.append(stored)
        yield _check_run(stored, log, load_truth)
    for folder in run_folders(root, "predictions.csv"):
        if not os.path.lexists(folder / "run.json"):
            yield CheckedRun(str(folder), (f"{folder / 'predictions.csv'} stands alone: its run.json is missing",))
    if os.path.lexists(log.file):
        yield _check_log(log, submitted)


LoadTruth = Callable[[Task, int], GroundTruth]


def _check_run(stored: StoredRun, log: SubmissionLog, load_truth: LoadTruth) -> CheckedRun:
    record = stored.record
    faults: list[str] = []
    notes: list[str] = []
    without_model, no_data = False, ""
    digests: Mapping[str, str] = {}
    try:
        digests = file_digests(stored.folder)
        if record.format >= 2:
            without_model = _check_files(stored, digests, faults)
        else:
            notes.append("made before run.json held digests: only its predictions can be checked")
    except InputError as error:
        faults.append(str(error))
    if digests.get(stored.predictions.name, record.predictions_sha256) != record.predictions_sha256:
        faults.append(f"{stored.predictions} was changed: its sha256 is not that in run.json")
    entry = log.find_entry(record.log) if record.log else None
    if record.log and not entry:
        faults.append(f"{log.file} has lost or changed the line of {stored.folder}")
    try:
        _check_scores(stored, entry, load_truth, faults, notes)
    except InputError as error:
        if data_file(stored.run.task.source) is None:
            no_data = str(error)
        else:
            faults.append(str(error))
    return CheckedRun(stored.run.title, tuple(dict.fromkeys(faults)), tuple(notes), no_data, without_model)


def _check_files(stored: StoredRun, digests: Mapping[str, str], faults: list[str]) -> bool:
    """Compare the files of a run, run.json among them, with the digests that it states.

    Returns whether files of its model are missing, which is no fault: predictions are scored without it.
    """
    without_model = False
    folder, stated = stored.folder, stored.record.files
    with reading(folder / "run.json", "the record of a run"):
        text = (folder / "run.json").read_text(encoding="utf-8")
    if text != record_text(stored.record.raw):
        faults.append(f"{folder / 'run.json'} was changed: it is not what was written")
    for name, fault in compare_digests(folder, digests, stated):
        if name not in digests and name.startswith("model/"):
            without_model = True
        else:
            faults.append(fault)
    return without_model


def _check_scores(
    stored: StoredRun, entry: Mapping[str, Any] | None, load_truth: LoadTruth, faults: list[str], notes: list[str]
) -> None:
    """Recompute the metrics from predictions, labels and split, and compare those of a submission with its log entry.

    Raises `InputError` where there is no ground truth, or no readable predictions.
    """
    task, record = stored.run.task, stored.record
    data = load_dataset(task.source)
    truth = load_truth(task, stored.run.fold)
    if record.data.sha256 != data.sha256:
        faults.append(f"{stored.folder} was made with another version of the data set {data.source.name}")
    if record.split.sha256 != truth.split_sha256:
        faults.append(f"{stored.folder} was made with another version of the split {task.rule}")
        return
    truth, p = truth.read_run(stored)
    estimates = estimate_metrics(task.target.kind, [truth.pair_scored(p)], task.target.ranked_by)
    if not entry:
        return
    if entry.get("solution") != truth.solution:
        other = "names another" if truth.solution else "does not name it"
        notes.append(f"its score is not compared with the log: it is by a host's solution, and BENCH_SOLUTION {other}")
        return
    for name, value in entry["metrics"].items():
        ours = estimates[name].value if name in estimates else None
        if ours != value and not (ours and value and np.isclose(ours, value, rtol=1e-12)):
            faults.append(f"{stored.predictions} scores {name} {ours}, and the log says {value}")


def _check_log(log: SubmissionLog, submitted: list[StoredRun]) -> CheckedRun:
    """Check that each line fits the one before it, and that the file of each name is the one that is stored.

    That is the latest, but for files that stayed off the board because they scored worse.
    """
    try:
        entries = log.entries()
    except InputError as error:
        return CheckedRun(str(log.file), (str(error),))
    latest: dict[tuple[str, int, str], dict[str, Any]] = {}
    faults = []
    for e in entries:
        key = (e["task"], e["fold"], e["name"])
        if e.get("on_board", True):
            latest[key] = e
        elif not _scores_worse(e, latest.get(key)):
            faults.append(f"{log.file}, line {e['n']}: the file was left off the board, and is better than that on it")
    stored = {(r.run.task.name, r.run.fold, r.run.model): r.record.predictions_sha256 for r in submitted}
    faults += [
        f"{log.file}, line {e['n']}: the latest file of '{e['name']}' is not the one stored for {e['task']}"
        for key, e in latest.items()
        if stored.get(key) != e["sha256"]
    ]
    return CheckedRun(str(log.file), tuple(faults))


def _scores_worse(entry: Mapping[str, Any], other: Mapping[str, Any] | None) -> bool:
    """Whether a file scored no better than another one, by the log; also where the labels were others."""
    if other is None:
        return False
    if entry.get("solution") != other.get("solution"):
        return True
    try:
        metric = parse_task(entry["task"]).target.metrics[0]
    except InputError:
        return True  # its data set is not here, so that nothing can be said
    return not metric.is_better(entry["metrics"].get(metric.name), other["metrics"].get(metric.name))
