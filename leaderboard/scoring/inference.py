"""Confidence intervals of scores: how much they would change with other test formulas, and with other training runs.

Rows of one group (a reduced formula) are correlated, so groups are what varies, not rows:

- The variance over test sets follows from the influence of each group (see `Metric`). The interval is Student's, on the
  logarithm of an error and on the logit of an area or a share, as Hinkley & Wei, Biometrika 71, 331 (1984), and DeLong
  et al., Biometrics 44, 837 (1988), have it for large samples.
- The variance itself is estimated. Its relative variance is about (kurtosis - 1) / groups, which gives
  2 groups / (kurtosis - 1) degrees of freedom (Satterthwaite, Biometrics Bull. 2, 110 (1946)). Errors of models have
  heavy tails, which a small sample shows too rarely: for them a third of these degrees are used, and at most one for
  ten groups.
- Where a model was trained with several seeds, the variance of their scores is added, with its own degrees of freedom.
  Where it was trained once on each of several folds, the interval of the folds' scores is taken if it is longer.

benchmarks/interval_coverage.py draws test sets from real errors and counts how many intervals hold the true value:
about nine in ten or more from `FEWEST_GROUPS` groups on. For RMSE and R2 no interval was found that does: they have
none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from asugnn.crystal import Floats, Ints
from asugnn.model import Kind
from leaderboard.scoring.metrics import DOMINATED, Metric, Scale, metrics_for
from leaderboard.scoring.student_t import t_quantile

Training = Literal["once", "seeds", "folds"]  # one run; several seeds of some fold; one seed of each of several folds

DIVERGED = 10  # times the largest label: a mean error beyond is no prediction, as one of nothing but zeros is better
TOO_FAR = f"the mean error of the predictions is more than {DIVERGED} times the largest label: no interval, and no rank"
LEVEL = 0.95  # of every confidence interval
FEWEST_GROUPS = 30  # for an interval
BLOCKS = 10_000  # groups are merged into at most this many blocks: a board compares many models in memory
# Share of the degrees of freedom that the kurtosis suggests, and groups that give at most one degree.
DEGREES: dict[Scale, tuple[float, float]] = {"log": (1 / 3, 10.0), "logit": (1.0, 1.0)}


@dataclass(frozen=True)
class PredictedFold:
    """The test rows of one fold and seed."""

    y: Floats  # (n,) labels
    p: Floats  # (n,) predictions, in the unit of the labels; probabilities of class 1 for a binary target
    groups: Sequence[str]  # (n,) names of groups, such as reduced formulas
    fold: int = 0  # runs of one fold differ by their seeds


@dataclass(frozen=True)
class Variance:
    """The variance of a score, and how many degrees of freedom its estimate has."""

    value: float
    dof: float

    def __add__(self, other: Variance) -> Variance:
        """The variance of a sum of independent deviations (Welch-Satterthwaite)."""
        if not (self.value and other.value):
            return max(self, other, key=lambda v: v.value)
        values, dofs = (np.array([getattr(v, name) for v in (self, other)]) for name in ("value", "dof"))
        return Variance(self.value + other.value, float(total_dof(values, dofs)))


def total_dof(values: Floats, dofs: Floats) -> Floats:
    """The degrees of freedom (...) of a sum of independent variances (k, ...), each with its own (Welch-Satterthwaite).

    nan where the sum is zero or infinite.
    """
    with np.errstate(invalid="ignore"):
        shares = values / values.sum(axis=0)
    out: Floats = 1 / (shares**2 / dofs).sum(axis=0)
    return out


@dataclass(frozen=True)
class Estimate:
    """A metric of one model, with its 95 % confidence interval.

    value
        The metric, the mean over runs; None where it is undefined.
    low, high
        Ends of the interval; None where there is none.
    groups
        The number of groups of test rows.
    reason
        Why value or interval is missing; empty where nothing is.
    runs, folds
        The metric of each run, and its fold.
    influence
        (blocks,) the contribution of each block of groups to the deviation of `value`, see `Metric.evaluate`.
    population
        sha256 of the names of the groups: two estimates with the same one can be compared in pairs.
    diverged
        Whether the errors are beyond comparison, see `has_diverged`. A few of them then decide both the value and its
        variance, so no test tells it from the best model: it has no interval, and no rank.
    """

    value: float | None
    low: float | None
    high: float | None
    groups: int
    reason: str = ""
    runs: tuple[float, ...] = field(default=(), repr=False)
    folds: tuple[int, ...] = field(default=(), repr=False)
    influence: Floats = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)
    population: str = field(default="", repr=False, compare=False)
    diverged: bool = False

    @property
    def ranked(self) -> bool:
        """Whether it can be compared with others: it has a value, and did not diverge."""
        return self.value is not None and not self.diverged


class GroupBlocks:
    """Groups by their names: each is a block, unless there are more than `BLOCKS`.

    Then the i-th of the sorted names belongs to block i modulo `BLOCKS`.
    """

    def __init__(self, groups: Sequence[str]) -> None:
        self.names = sorted(set(groups))
        self._index = {name: i % BLOCKS for i, name in enumerate(self.names)}
        self.sha256 = hashlib.sha256(json.dumps(self.names).encode()).hexdigest()

    def __len__(self) -> int:
        return min(BLOCKS, len(self.names))

    def index(self, groups: Sequence[str]) -> Ints:
        """(n,) the index of the block of each row, from the group of each row."""
        return np.fromiter(map(self._index.__getitem__, groups), np.int64, len(groups))


def describe_training(folds: Sequence[int]) -> Training:
    """How often a model was trained, from the fold of each of its runs."""
    different = len(set(folds))
    return "seeds" if different < len(folds) else "folds" if different > 1 else "once"


def estimate_metrics(kind: Kind, runs: Sequence[PredictedFold], ranked_by: str = "") -> dict[str, Estimate]:
    """Every metric of a target by name, the one that ranks first: the mean over the runs, with its interval.

    Influences are those of the mean over the runs (folds, seeds), so that a group in the test sets of two runs varies
    for both at once.
    """
    blocks = GroupBlocks([group for run in runs for group in run.groups])
    diverged = kind == "regression" and any(has_diverged(run.y, run.p) for run in runs)
    rows = [(run.y, run.p, blocks.index(run.groups), len(blocks)) for run in runs]
    estimates = {}
    for metric in metrics_for(kind, ranked_by):
        values, influences = zip(*(metric.evaluate(*row) for row in rows), strict=True)
        influence = influences[0] if len(runs) == 1 else np.mean(influences, axis=0)
        found = Estimate(None, None, None, len(blocks.names), "", values, tuple(run.fold for run in runs))
        undefined = next((run for run, value in zip(runs, values, strict=True) if not np.isfinite(value)), None)
        if undefined:
            estimates[metric.name] = replace(found, reason=metric.why_undefined(undefined.y, undefined.p))
            continue
        known = replace(found, value=float(np.mean(values)), influence=influence, population=blocks.sha256)
        estimates[metric.name] = (
            replace(known, reason=TOO_FAR, diverged=True) if diverged else _add_interval(metric, known)
        )
    return estimates


def has_diverged(y: Floats, p: Floats) -> bool:
    """Whether predictions p (n,) are so far from the labels y (n,) that they cannot be compared with other ones.

    Their mean error is more than `DIVERGED` times the largest label, or its variance is infinite.
    """
    with np.errstate(over="ignore"):
        error, largest = np.abs(y - p), float(np.abs(y).max(initial=0.0))
        return not np.isfinite(np.square(error).sum()) or bool(largest > 0 and error.mean() > DIVERGED * largest)


def _is_inside(value: float, scale: Scale) -> bool:
    """Whether a value lies inside the range of a scale, so that it may have an interval there."""
    return value > 0 and (scale == "log" or value < 1)


def student_interval(value: float, variance: Variance, scale: Scale) -> tuple[float, float] | None:
    """The interval of a value, symmetric on its scale; None where it does not exist there, or nothing varies."""
    if not (_is_inside(value, scale) and variance.value > 0 and np.isfinite(variance.value)):
        return None
    width = t_quantile(LEVEL, variance.dof) * np.sqrt(variance.value)
    with np.errstate(over="ignore"):
        if scale == "log":
            factor = np.exp(width / value)
            ends = value / factor, value * factor
        else:
            factor = np.exp(width / (value * (1 - value)))
            odds = value / (1 - value)
            ends = odds / factor / (1 + odds / factor), 1 - 1 / (1 + odds * factor)
    return (float(ends[0]), float(ends[1])) if np.isfinite(ends).all() else None


def group_variance(influence: Floats, scale: Scale) -> Variance:
    """The variance over test sets of a metric with the `influence` (blocks,) and an interval on `scale`."""
    n = len(influence)
    largest = float(np.abs(influence).max()) if n > 1 else 0.0
    if not largest > 0:
        return Variance(0.0, 1.0)
    squares = (influence / largest) ** 2  # else the fourth power of a large one is no number
    kurtosis = float((squares**2).mean() / squares.mean() ** 2)
    share, groups_per_degree = DEGREES[scale]
    most = (n - 1) / groups_per_degree
    dof = min(most, share * 2 * n / (kurtosis - 1)) if kurtosis > 1 else most
    return Variance(float(squares.sum() * np.square(largest) * n / (n - 1)), max(1.0, dof))


def seed_variance(runs: Sequence[float], folds: Sequence[int]) -> Variance | None:
    """The variance of the mean of some runs over the seeds of training; None if no fold has two runs."""
    of_fold = [[value for value, f in zip(runs, folds, strict=True) if f == fold] for fold in dict.fromkeys(folds)]
    dof = len(runs) - len(of_fold)
    if not dof:
        return None
    squares = sum(float(np.var(values)) * len(values) for values in of_fold)  # about the mean of each fold
    return Variance(squares / dof / len(runs), dof)


def fold_variance(runs: Sequence[float]) -> Variance:
    """The variance of the mean of runs (two or more) that each test and train on a fold of their own."""
    return Variance(float(np.var(runs, ddof=1)) / len(runs), len(runs) - 1)


def _no_interval(value: float, scale: Scale) -> str:
    """Why a value has no interval, although its test crystals are many."""
    if not _is_inside(value, scale):
        return f"a value of {value:g} has no interval"
    return "any test crystals would give this value: it has no interval"


@np.errstate(over="ignore")  # a variance may be infinite, of a model that diverged
def _add_interval(metric: Metric, estimate: Estimate) -> Estimate:
    """The estimate with its interval, or with the reason why there is none."""
    if metric.scale is None:
        return replace(estimate, reason=DOMINATED)
    if estimate.groups < FEWEST_GROUPS:
        return replace(estimate, reason=f"fewer than {FEWEST_GROUPS} groups of test crystals have no interval")
    assert estimate.value is not None
    if np.isnan(estimate.influence).any():
        return replace(estimate, reason="one group of test crystals decides the value: it has no interval")
    variances = [group_variance(estimate.influence, metric.scale)]
    if seeds := seed_variance(estimate.runs, estimate.folds):
        variances = [variances[0] + seeds]
    elif len(estimate.folds) > 1:
        variances.append(fold_variance(estimate.runs))
    ends = [found for v in variances if (found := student_interval(estimate.value, v, metric.scale))]
    if not np.isfinite([v.value for v in variances]).all():
        return replace(estimate, reason="the errors are too large for an interval")
    if not ends:
        return replace(estimate, reason=_no_interval(estimate.value, metric.scale))
    return replace(estimate, low=min(low for low, _ in ends), high=max(high for _, high in ends))
