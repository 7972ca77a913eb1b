"""The scores of one model on one task: all that follows from its predictions, its histories and the ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asugnn.errors import InputError
from leaderboard.board.ground_truth import GroundTruth
from leaderboard.data import Task, load_dataset
from leaderboard.records import Convergence, StoredRun
from leaderboard.scoring import Estimate, PredictedFold, estimate_metrics, score_by_system


@dataclass(frozen=True)
class MetricValue:
    """A metric with its interval. None where there is none, for a reason that a reader of the board can understand."""

    value: float | None
    low: float | None
    high: float | None
    reason: str = ""

    def __str__(self) -> str:
        if self.value is None:
            return "undefined"
        return f"{self.value:.4g}" + ("" if self.low is None else f" ({self.low:.4g} to {self.high:.4g})")


@dataclass(frozen=True)
class SystemRow:
    """Scores of the crystals of one chemical system, as predicted and after adding `offset` to the predictions."""

    n: int
    metrics: dict[str, MetricValue]
    offset: float | None  # in the unit of the label; None of all systems together, and of a binary target
    after_offset: dict[str, MetricValue]  # none of a binary target


@dataclass(frozen=True)
class RowScores:
    """The scores of some runs of one model on one task."""

    n: int  # test crystals, over all folds
    estimates: dict[str, Estimate]  # by metric, the one that ranks first
    spread: dict[str, float | None] | None  # standard deviation of each metric over runs, where there are several
    systems: dict[str, SystemRow]  # of a task that has them: of all crystals, then of each system
    convergence: tuple[Convergence, ...]  # of each run of a model that has epochs


def score_runs(task: Task, runs: Sequence[StoredRun], truths: Mapping[int, GroundTruth]) -> RowScores:
    """Score the runs of one model; `truths` is the ground truth by fold.

    Raises `InputError` for predictions that cannot be read.
    """
    pairs = [truths[stored.run.fold].read_run(stored) for stored in runs]
    folds = [truth.pair_scored(p, s.run.fold) for s, (truth, p) in zip(runs, pairs, strict=True)]
    estimates = estimate_runs(task, runs, folds)
    spread = None
    if len(folds) > 1:
        spread = {name: None if e.value is None else float(np.std(e.runs, ddof=1)) for name, e in estimates.items()}
    systems = system_rows(task, folds, [truth for truth, _ in pairs])
    curves = [stored.read_convergence() for stored in runs]
    n = sum({run.fold: len(run.y) for run in folds}.values())  # seeds of a fold test the same crystals
    return RowScores(n, estimates, spread, systems, tuple(c for c in curves if c))


def estimate_runs(task: Task, runs: Sequence[StoredRun], folds: Sequence[PredictedFold]) -> dict[str, Estimate]:
    """The metrics of some runs from labels and predictions of each; those of probabilities have no value of classes."""
    estimates = estimate_metrics(task.target.kind, folds, task.target.ranked_by)
    if any(stored.record.published and stored.record.published.classes for stored in runs):
        reason = "classes were stored instead of probabilities"
        for name in OF_PROBABILITIES & estimates.keys():
            estimates[name] = Estimate(None, None, None, estimates[name].groups, reason)
    return estimates


OF_PROBABILITIES = {"roc_auc"}


def check_origin(task: Task, runs: Sequence[StoredRun], truths: Mapping[int, GroundTruth]) -> None:
    """Raise `InputError` for a run that was made with another version of the split or of the data set."""
    data = load_dataset(task.source)
    hint = "run it with --again, or submit predictions for the test crystals of this version"
    for stored in runs:
        if stored.record.data.sha256 != data.sha256:
            raise InputError(
                f"{stored.folder} was made with another version of the data set {data.source.name}: {hint}"
            )
        if stored.record.split.sha256 != truths[stored.run.fold].split_sha256:
            raise InputError(f"{stored.folder} was made with another version of the split: {hint}")


def system_rows(task: Task, folds: Sequence[PredictedFold], truths: Sequence[GroundTruth]) -> dict[str, SystemRow]:
    """The scores by chemical system, of folds with the ground truth of each; nothing for a task without systems."""
    if not task.target.by_system:
        return {}

    def values(estimates: Mapping[str, Estimate]) -> dict[str, MetricValue]:
        return {name: metric_value(e) for name, e in estimates.items()}

    paired = [(fold, truth.scored_formulas) for fold, truth in zip(folds, truths, strict=True)]
    found = score_by_system(paired, task.target.kind)
    return {name: SystemRow(s.n, values(s.raw), s.offset, values(s.shifted)) for name, s in found.items()}


def metric_value(estimate: Estimate) -> MetricValue:
    """What a board shows of an estimate."""
    return MetricValue(estimate.value, estimate.low, estimate.high, estimate.reason)
