"""The ground truth of one fold's test set: labels, groups, and which rows count."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import Floats
from asugnn.errors import InputError
from leaderboard.data import Task, load_dataset
from leaderboard.records import (
    StoredRun,
    find_solution,
)
from leaderboard.scoring import PredictedFold
from leaderboard.splitting import fold_sides, read_split


@dataclass(frozen=True)
class GroundTruth:
    """What predictions of one fold are held against: all (n,). A file must predict all `ids`; `scored` ones count."""

    ids: tuple[str, ...]
    y: Floats
    groups: tuple[str, ...]
    scored: NDArray[np.bool_]
    sha256: str  # of the split
    solution: str | None = None  # sha256 of the host's solution that they are from
    formulas: tuple[str, ...] = ()  # of each row, where the task is scored by system

    def without(self, some: Collection[str]) -> GroundTruth:
        """The answers but for some ids."""
        keep = np.array([name not in some for name in self.ids], dtype=bool)
        texts = (self.ids, self.groups, self.formulas)
        ids, groups, formulas = (tuple(x for x, k in zip(xs, keep, strict=False) if k) for xs in texts)
        return replace(self, ids=ids, y=self.y[keep], groups=groups, scored=self.scored[keep], formulas=formulas)

    def read(self, stored: StoredRun) -> tuple[GroundTruth, Floats]:
        """What a stored run is held against, less what is outside its domain, and its predictions of that."""
        held = self.without(stored.record.outside) if stored.record.outside else self
        return held, stored.read(held.ids)

    def run(self, p: Floats) -> PredictedFold:
        """Predictions (n,) beside the labels, of the rows that count."""
        groups = [g for g, k in zip(self.groups, self.scored, strict=True) if k]
        return PredictedFold(self.y[self.scored], p[self.scored], groups)

    @property
    def scored_formulas(self) -> tuple[str, ...]:
        """The formula of each row that counts."""
        return tuple(s for s, k in zip(self.formulas, self.scored, strict=False) if k)


def load_ground_truth(task: Task, fold: int, private: bool = False) -> GroundTruth:
    """The labels of a task's test set; with a host's solution for it (BENCH_SOLUTION), its labels.

    Of a solution the public rows count, or with `private` the others.
    """
    data = load_dataset(task.source)
    parts = read_split(data, task.rule)
    ids = fold_sides(parts, data, task.target, fold).test
    y = data.labels(task.target)[[data.rows[i] for i in ids]]
    # Distorted structures of one composition are draws of their own; elsewhere a composition's rows go together.
    groups = ids if task.target.model_of else data.groups(ids)
    scored = np.ones(len(ids), dtype=bool)
    held = find_solution(task.name, fold, task.target.name, ids)
    if held:
        y, scored = held.y, ~held.public if private else held.public
    elif private:
        raise InputError(f"private scores need the host's solution of {task.name}: name the file with BENCH_SOLUTION")
    formulas = data.groups(ids) if task.target.by_system else ()
    return GroundTruth(ids, y, groups, scored, parts.sha256, held.sha256 if held else None, formulas)
