"""The ground truth of one fold's test set: labels, groups, and which rows count."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import Floats
from asugnn.errors import InputError
from leaderboard.data import Task, load_dataset
from leaderboard.records import NO_RULES, PRETRAINED, CompetitionRules, StoredRun, find_solution
from leaderboard.scoring import PredictedFold
from leaderboard.splitting import fold_sides, read_split

Scope = Literal["", "public", "private"]
Varying = Literal["formulas", "structures"]


@dataclass(frozen=True)
class GroundTruth:
    """Ground truth of one fold's test set, a row a crystal. A file must predict all `ids`; `scored` rows count."""

    ids: tuple[str, ...]
    y: Floats  # (n,)
    groups: tuple[str, ...]
    scored: NDArray[np.bool_]  # (n,)
    split_sha256: str
    solution: str | None = None  # sha256 of the host's solution, where the labels are from one
    formulas: tuple[str, ...] = ()  # of each row, where the task is scored by system
    scope: Scope = ""  # which rows of the host's solution count; empty without one
    rules: CompetitionRules = NO_RULES  # for handing in

    def drop_ids(self, dropped: Collection[str]) -> GroundTruth:
        """The ground truth of all other ids."""
        keep = np.array([name not in dropped for name in self.ids], dtype=bool)
        texts = (self.ids, self.groups, self.formulas)
        ids, groups, formulas = (tuple(x for x, k in zip(xs, keep, strict=False) if k) for xs in texts)
        return replace(self, ids=ids, y=self.y[keep], groups=groups, scored=self.scored[keep], formulas=formulas)

    def read_run(self, stored: StoredRun) -> tuple[GroundTruth, Floats]:
        """Ground truth of the crystals that a run supports, and its predictions of them (n,); raises `InputError`.

        Only a run with published weights, which has no rank, may leave out crystals as unsupported. A run that was
        trained here, or a submission, must predict the whole test set: else leaving out the hard crystals would pay.
        """
        outside = len(stored.record.outside)
        if outside and (stored.run.preset != PRETRAINED or stored.record.weights is None):
            raise InputError(
                f"{stored.folder / 'run.json'} lists {outside} unsupported test crystals ('outside'), which only a "
                "run with published weights may: predict every test crystal"
            )
        truth = self.drop_ids(stored.record.outside) if stored.record.outside else self
        if not truth.ids:
            raise InputError(f"{stored.folder} has nothing to score: its model supports no test crystal")
        return truth, stored.read_predictions(truth.ids)

    def pair_scored(self, p: Floats, fold: int = 0) -> PredictedFold:
        """Labels and predictions of the rows of one fold that count; `p` (n,) is of all rows."""
        groups = [g for g, k in zip(self.groups, self.scored, strict=True) if k]
        return PredictedFold(self.y[self.scored], p[self.scored], groups, fold)

    @property
    def varying(self) -> Varying:
        """What intervals and tests are over: formulas, or structures where each is a group of its own."""
        return "structures" if self.groups == self.ids else "formulas"

    @property
    def scored_formulas(self) -> tuple[str, ...]:
        """The formula of each row that counts."""
        return tuple(s for s, k in zip(self.formulas, self.scored, strict=False) if k)

    @cached_property
    def content_sha256(self) -> str:
        """sha256 of everything that a score depends on: ids, labels, groups, formulas, and which rows count."""
        texts = json.dumps([self.ids, self.groups, self.formulas, self.split_sha256, self.solution])
        return hashlib.sha256(texts.encode() + self.y.tobytes() + self.scored.tobytes()).hexdigest()


def load_ground_truth(task: Task, fold: int, private: bool = False) -> GroundTruth:
    """Load the ground truth of one fold of a task; raises `InputError`.

    Where the environment variable BENCH_SOLUTION names a host's solution of this task and fold, the labels are from
    there, and its public rows count, or with `private` the others.
    """
    data = load_dataset(task.source)
    split = read_split(data, task.rule)
    ids = fold_sides(split, data, task.target, fold).test
    if not ids:
        raise InputError(f"{task.name} has nothing to score: fold {fold} has no test crystal")
    y = data.labels(task.target)[list(map(data.rows.__getitem__, ids))]
    # Structures of most zero-shot tasks were drawn independently, from few systems that stay as they are; elsewhere
    # formulas were drawn, and the rows of one stay together.
    groups = ids if task.target.model_of and not task.target.dependent else data.groups(ids)
    scored = np.ones(len(ids), dtype=bool)
    solution = find_solution(task.name, fold, ids)
    if solution:
        y, scored = solution.y, ~solution.public if private else solution.public
        if not scored.any():
            side = "Private" if private else "Public"
            raise InputError(f"the host's solution of {task.name}, fold {fold}, has no {side} row: nothing is scored")
    elif private:
        raise InputError(f"private scores need the host's solution of {task.name}: name the file with BENCH_SOLUTION")
    formulas = data.groups(ids) if task.target.by_system else ()
    truth = GroundTruth(ids, y, groups, scored, split.sha256, formulas=formulas)
    if not solution:
        return truth
    return replace(truth, solution=solution.sha256, scope="private" if private else "public", rules=solution.rules)
