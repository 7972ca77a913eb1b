"""Metrics of predictions against labels, for many sets of weights at once.

A bootstrap evaluates one metric a thousand times, each time with other weights of the groups. So a metric is prepared
once from labels and predictions, and then maps weights (b, groups) to values (b,). All metrics but the ROC-AUC are
functions of sums over rows, which are added up within each group beforehand; for the ROC-AUC the rows are sorted.

Only numpy is imported, as `bench score` must start within a second. The definitions are those of scikit-learn, against
which they are tested.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import Floats, Ints
from asugnn.model import Kind

Weighted = Callable[[Floats], Floats]  # weights (b, groups), counts as floats -> values (b,), nan where undefined
Prepare = Callable[[Floats, Floats, Ints, int], Weighted]
Influence = Callable[[Floats, Floats, Ints, int], Floats]

THRESHOLD = 0.5  # this probability and higher ones predict class 1


@dataclass(frozen=True)
class Metric:
    """A measure of the agreement of predictions with labels.

    name, title
        In files and options; on boards.
    higher_is_better
        Whether larger values are better.
    has_unit
        Whether values have the unit of the label.
    prepare
        From labels y (n,), predictions p (n,), the index (n,) of the group of each row and the number of groups to a
        function from weights (b, groups) to values (b,). A row counts as often as its group weighs, 0 excludes it. A
        value that is undefined is nan.
    influence
        From the same arguments to (groups,), the contribution of each group to the deviation of the metric. It adds up
        to zero, and the sum of its squares times groups / (groups - 1) estimates the variance of the metric over test
        sets of other groups. It is the jackknife's, which leaves one group out at a time (Efron & Tibshirani, An
        Introduction to the Bootstrap (1993), chapter 11); for the ROC-AUC it is made of the placement values of DeLong
        et al., Biometrics 44, 837 (1988), added up within groups as by Obuchowski, Biometrics 53, 567 (1997).
    undefined
        Why a value may not exist, for the reader of a board.
    resampled
        Whether the interval comes from bootstrap resamples; otherwise from `influence` alone.
    """

    name: str
    title: str
    higher_is_better: bool
    has_unit: bool
    prepare: Prepare
    influence: Influence
    undefined: str = "its value is too large for a floating-point number"
    resampled: bool = True

    def __call__(self, y: Floats, p: Floats) -> float:
        """The metric for labels (n,) and predictions (n,), each row counting once; nan where it is undefined."""
        one = np.zeros(len(y), dtype=np.int64)
        return float(self.prepare(y, p, one, 1)(np.ones((1, 1)))[0])

    def is_better(self, value: float | None, other: float | None) -> bool:
        """Whether a value is better than another one; None, which is undefined, is the worst."""
        if value is None or other is None:
            return value is not None
        return value > other if self.higher_is_better else value < other


def _from_sums(
    columns: Callable[[Floats, Floats], list[NDArray[np.generic]]], finish: Callable[..., Floats]
) -> tuple[Prepare, Influence]:
    """`prepare` and `influence` of a metric that is a function of sums over rows.

    `columns` maps y (n,) and p (n,) to k - 1 arrays (n,); `finish` maps the number of rows and the sums of the columns,
    k arrays of one shape, to values of this shape.
    """

    def group_sums(y: Floats, p: Floats, group: Ints, groups: int) -> Floats:
        """(k, groups) the number of rows and the sums of the columns in each group."""
        with np.errstate(over="ignore", invalid="ignore"):
            each = [np.ones(len(y)), *columns(y, p)]
            return np.stack([np.bincount(group, c.astype(np.float64), groups) for c in each])

    def prepare(y: Floats, p: Floats, group: Ints, groups: int) -> Weighted:
        sums = group_sums(y, p, group, groups)

        def weighted(weights: Floats) -> Floats:
            with np.errstate(all="ignore"):
                # No matrix product: its last bits depend on the number of threads, which wait for each other.
                values: Floats = finish(*np.einsum("bg,kg->kb", weights, sums))
            return np.where(np.isfinite(values), values, np.nan)

        return weighted

    def influence(y: Floats, p: Floats, group: Ints, groups: int) -> Floats:
        sums = group_sums(y, p, group, groups)
        with np.errstate(all="ignore"):
            without: Floats = finish(*(sums.sum(axis=1, keepdims=True) - sums))  # (groups,)
            out: Floats = (without.mean() - without) * (groups - 1) / groups
        return out

    return prepare, influence


def _squares(y: Floats, p: Floats) -> list[NDArray[np.generic]]:
    centred = y - y.mean() if len(y) else y  # else the variance would be a small difference of large sums
    return [(y - p) ** 2, centred, centred**2]


def _r2(n: Floats, residual: Floats, first: Floats, second: Floats) -> Floats:
    total = second - first**2 / n
    constant = total <= 1e-12 * second  # equal labels leave only rounding
    return np.where(constant, np.nan, 1 - residual / total)


def _squared_log_errors(y: Floats, p: Floats) -> list[NDArray[np.generic]]:
    with np.errstate(all="ignore"):
        return [(np.log1p(p) - np.log1p(y)) ** 2]


def _positives(y: Floats, p: Floats) -> list[NDArray[np.generic]]:
    predicted, true = p >= THRESHOLD, y == 1
    return [predicted & true, predicted | true]


def _roc_auc(y: Floats, p: Floats, group: Ints, groups: int) -> Weighted:
    """The area under the ROC curve: the share of pairs of both classes in which class 1 has the higher prediction.

    A tie counts as half a pair (midranks). Twice the number of such pairs is an integer, exact in float64 up to 2**53.
    """
    order = np.argsort(p, kind="stable")
    score, true, group = p[order], y[order] == 1, group[order]
    zeros = np.concatenate([[0], np.cumsum(~true)])  # (n + 1,) rows of class 0 before each row
    below = zeros[np.searchsorted(score, score[true], side="left")]  # (ones,) rows of class 0 with a lower score
    upto = zeros[np.searchsorted(score, score[true], side="right")]
    group_1, group_0 = group[true], group[~true]

    def weighted(weights: Floats) -> Floats:
        ones = np.take(weights, group_1, axis=1)  # (b, ones)
        before = np.zeros((len(weights), len(group_0) + 1))
        np.cumsum(np.take(weights, group_0, axis=1), axis=1, out=before[:, 1:])  # (b, zeros + 1)
        won = np.einsum("ij,ij->i", ones, np.take(before, below, axis=1) + np.take(before, upto, axis=1))
        pairs = ones.sum(axis=1) * before[:, -1]
        out = np.full(len(weights), np.nan)
        np.divide(won, 2 * pairs, out=out, where=pairs > 0)
        return out

    return weighted


def _auc_influence(y: Floats, p: Floats, group: Ints, groups: int) -> Floats:
    """The sums within groups of (placement value - area) / rows of the class (DeLong 1988, Obuchowski 1997)."""
    order = np.argsort(p, kind="stable")
    score, true, group = p[order], y[order] == 1, group[order]
    ones, zeros = score[true], score[~true]
    with np.errstate(all="ignore"):
        of_ones = _count_below(zeros, ones) / len(zeros)  # (ones,) share of the zeros below each, ties half
        of_zeros = 1 - _count_below(ones, zeros) / len(ones)
        area = of_ones.mean() if len(ones) else np.nan
        out = np.bincount(group[true], (of_ones - area) / len(ones), groups)
        out = out + np.bincount(group[~true], (of_zeros - area) / len(zeros), groups)
    return np.asarray(out, dtype=np.float64)


def _count_below(values: Floats, limits: Floats) -> Floats:
    """How many of the sorted `values` lie below each of the limits; equal ones count half."""
    left, right = np.searchsorted(values, limits, side="left"), np.searchsorted(values, limits, side="right")
    counts: Floats = (left + right) / 2
    return counts


METRICS: dict[Kind, tuple[Metric, ...]] = {
    "regression": (
        Metric("mae", "MAE", False, True, *_from_sums(lambda y, p: [abs(y - p)], lambda n, e: e / n)),
        Metric("rmse", "RMSE", False, True, *_from_sums(lambda y, p: [(y - p) ** 2], lambda n, e: np.sqrt(e / n))),
        Metric("r2", "R2", True, False, *_from_sums(_squares, _r2), "the labels are all equal"),
    ),
    "binary": (
        Metric(
            "roc_auc",
            "ROC-AUC",
            True,
            False,
            _roc_auc,
            _auc_influence,
            "the labels are all of one class",
            resampled=False,
        ),
        Metric(
            "accuracy",
            "accuracy",
            True,
            False,
            *_from_sums(lambda y, p: [(p >= THRESHOLD) == (y == 1)], lambda n, right: right / n),
        ),
        Metric(
            "f1",
            "F1",
            True,
            False,
            *_from_sums(_positives, lambda n, both, either: 2 * both / (both + either)),
            "no row is of class 1, neither by label nor by prediction",
        ),
    ),
}
"""The metrics of each kind of target; models are ranked by the first."""

RANKING: dict[str, Metric] = {
    "rmsle": Metric(
        "rmsle",
        "RMSLE",
        False,
        False,
        *_from_sums(_squared_log_errors, lambda n, e: np.sqrt(e / n)),
        "a label or a prediction is -1 or less",
    ),
}
"""Metrics by which some targets are ranked, and which other targets do not have."""


def metrics_for(kind: Kind, ranked_by: str = "") -> tuple[Metric, ...]:
    """The metrics of a target: first the one that ranks, `ranked_by` or the first of its kind."""
    return (*([RANKING[ranked_by]] if ranked_by else []), *METRICS[kind])


def roc_curve(y: Floats, p: Floats) -> tuple[Floats, Floats]:
    """False and true positive rates, both (k,), for all thresholds on p (n,) from the highest; ties are one step."""
    order = np.argsort(-p, kind="stable")
    last = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)  # of each run of equal values
    true = np.concatenate([[0], np.cumsum(y[order] == 1)[last]])
    false = np.concatenate([[0], np.cumsum(y[order] != 1)[last]])
    bend = np.ones(len(true), dtype=bool)  # points on a straight line are left out
    bend[1:-1] = (np.diff(false)[:-1] * np.diff(true)[1:]) != (np.diff(false)[1:] * np.diff(true)[:-1])
    return false[bend] / max(false[-1], 1), true[bend] / max(true[-1], 1)
