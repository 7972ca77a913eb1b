"""Scores kept in the cache folder, so that a board of thousands of runs opens at once.

The scores of a row follow from the contents of a few files and from the code, and are kept by the sha256 of all these:
predictions.csv and history.csv of every run, the ground truth (ids, labels, groups, split, host's solution), and the
modules that compute scores. Files are hashed each time: so a changed file never shows an old score, whatever its size
and date say. The user risks two things: that numpy rounds differently on another machine that shares the cache folder,
and that somebody who may write there forges it. `bench verify` never reads it.

One file holds the rows of one task and preset. It appears whole; where it is damaged, the scores are computed again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from asugnn.atomic_write import atomic_write
from asugnn.cache import cache_folder
from asugnn.crystal import Floats
from asugnn.errors import InputError
from asugnn.reading import reading
from leaderboard.board.ground_truth import GroundTruth
from leaderboard.board.row_scores import MetricValue, RowScores, SystemRow, score_runs
from leaderboard.data import PACKAGE, Task
from leaderboard.records import Convergence, StoredRun, file_digest
from leaderboard.scoring import Estimate

CODE = (  # what computes scores
    "scoring/*.py", "board/*.py", "records/prediction*.py", "records/run_folder.py", "data/csv_table.py",
)  # fmt: skip
LARGEST = 2**25  # bytes of rows that a file keeps although this board did not show them


class ScoreCache:
    """The scores of rows, from the cache where they are known there; call `save` when all are asked for."""

    def __init__(self, task: Task, preset: str) -> None:
        self._task = task
        name = hashlib.sha256(json.dumps([task.name, preset]).encode()).hexdigest()[:16]
        self._file = cache_folder() / "scores" / f"{name}.npz"
        self._known = _read_rows(self._file)
        self._shown: dict[str, tuple[str, Floats]] = {}
        self._added = False

    def score_runs(self, runs: Sequence[StoredRun], truths: Mapping[int, GroundTruth]) -> RowScores:
        """The scores of the runs of one model; raises `InputError` like the function of that name."""
        key = _row_key(self._task, runs, truths)
        if key in self._known:
            with suppress(InputError), reading(self._file, "scores"):
                scores = _decode_row(*self._known[key])
                self._shown[key] = self._known[key]
                return scores
        scores = score_runs(self._task, runs, truths)
        if key and key == _row_key(self._task, runs, truths):  # no file changed meanwhile
            self._shown[key] = _encode_row(scores)
            self._added = True
        return scores

    def save(self) -> None:
        """Write the rows that were asked for, and others that were known as far as there is room."""
        if not self._added:
            return
        rows, size = dict(self._shown), 0
        for key, (text, influence) in self._known.items():
            size += len(text) + influence.nbytes
            if size <= LARGEST:
                rows.setdefault(key, (text, influence))
        with suppress(OSError):  # a full or read-only disk costs the next board some time, and this one nothing
            _write_rows(self._file, rows)


def _row_key(task: Task, runs: Sequence[StoredRun], truths: Mapping[int, GroundTruth]) -> str:
    """sha256 of all that the scores of a row follow from; empty where a file cannot be read."""
    target = task.target
    of_runs = []
    for stored in runs:
        history = stored.folder / "history.csv"
        try:
            digests = file_digest(stored.predictions), file_digest(history) if os.path.lexists(history) else None
        except InputError:
            return ""
        record = stored.record
        stated = record.predictions_sha256, record.files.get("history.csv"), stored.run.preset, record.weights is None
        classes = record.published is not None and record.published.classes
        of_runs.append(
            [truths[stored.run.fold].content_sha256, *digests, *stated, classes, record.columns, sorted(record.outside)]
        )
    content = [_code_sha256(), target.name, target.kind, target.ranked_by, target.by_system, of_runs]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@cache
def _code_sha256() -> str:
    """sha256 of the modules that compute scores, and of the version of numpy."""
    files = [file for pattern in CODE for file in sorted((PACKAGE).glob(pattern))]
    return hashlib.sha256(np.__version__.encode() + b"".join(file.read_bytes() for file in files)).hexdigest()


def _encode_row(scores: RowScores) -> tuple[str, Floats]:
    """Everything but the influences as JSON, whose numbers read back as they were, and all influences end to end."""
    estimates = {}
    for name, estimate in scores.estimates.items():
        plain = {k: v for k, v in vars(estimate).items() if k != "influence"}
        estimates[name] = {**plain, "blocks": len(estimate.influence)}
    text = json.dumps({
        "n": scores.n,
        "estimates": estimates,
        "spread": scores.spread,
        "systems": {name: asdict(system) for name, system in scores.systems.items()},
        "convergence": [asdict(c) for c in scores.convergence],
    })  # fmt: skip
    return text, np.concatenate([e.influence for e in scores.estimates.values()])


def _decode_row(text: str, influence: Floats) -> RowScores:
    plain = json.loads(text)
    estimates, start = {}, 0
    for name, stated in plain["estimates"].items():
        end = start + stated.pop("blocks")
        stated |= {"runs": tuple(stated["runs"]), "folds": tuple(stated["folds"]), "influence": influence[start:end]}
        estimates[name] = Estimate(**stated)
        start = end

    def values(metrics: Mapping[str, Any]) -> dict[str, MetricValue]:
        return {name: MetricValue(**value) for name, value in metrics.items()}

    systems = {
        name: SystemRow(s["n"], values(s["metrics"]), s["offset"], values(s["after_offset"]))
        for name, s in plain["systems"].items()
    }
    convergence = tuple(Convergence(**c) for c in plain["convergence"])
    return RowScores(plain["n"], estimates, plain["spread"], systems, convergence)


def _read_rows(file: Path) -> dict[str, tuple[str, Floats]]:
    """The rows in a file by key; none where there is no file, or a damaged one."""
    if not file.is_file():
        return {}
    with suppress(InputError), reading(file, "scores"), file.open("rb") as stream:
        arrays = np.load(stream, allow_pickle=False)
        stated = json.loads(arrays["text"].tobytes())  # key, JSON, number of influences
        parts = np.split(arrays["influence"], np.cumsum([blocks for _, _, blocks in stated])[:-1])
        return {key: (text, part) for (key, text, _), part in zip(stated, parts, strict=True)}
    return {}


def _write_rows(file: Path, rows: Mapping[str, tuple[str, Floats]]) -> None:
    text = json.dumps([(key, text, len(influence)) for key, (text, influence) in rows.items()])
    with atomic_write(file) as temporary, temporary.open("wb") as stream:
        arrays: dict[str, Any] = {"text": np.frombuffer(text.encode(), np.uint8)}
        arrays["influence"] = np.concatenate([influence for _, influence in rows.values()])
        np.savez(stream, **arrays)
