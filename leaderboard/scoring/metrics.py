"""Metrics of predictions against labels, under many sets of weights at once.

A bootstrap asks for one metric a thousand times, each time with other weights of the groups. So a metric is prepared
once from labels and predictions and then takes weights (b, groups) to (b,) values. All of them but the ROC-AUC are
functions of sums over rows, which are summed within each group beforehand; the ROC-AUC sorts the rows beforehand.

numpy only: `bench score` must start within a second. Definitions as in scikit-learn, to which tests hold them.
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

THRESHOLD = 0.5  # a probability from here on says class 1


@dataclass(frozen=True)
class Metric:
    """One number that says how well predictions meet labels.

    `prepare(y, p, group, groups)` takes labels (n,), predictions (n,), the group of each row (n,) as an index below
    `groups`, and returns the function from weights (b, groups) to values (b,). A row counts as often as its group
    weighs: 0 leaves it out. What cannot be computed (see `undefined`) is nan.

    `influence`, of the same arguments, is (groups,): how much each group moves the value. Its sum is zero, and that of
    its squares, times groups / (groups - 1), the variance of the value over other groups. By leaving one group out
    (the jackknife), but for the ROC-AUC, where it is that of DeLong et al. (1988), for groups as by Obuchowski (1997).
    """

    name: str
    title: str
    higher_is_better: bool
    has_unit: bool  # its values carry the unit of the label
    prepare: Prepare
    influence: Influence
    undefined: str = "its value is too large for a floating-point number"  # why a value may not exist
    resampled: bool = True  # whether resamples make its interval, or `influence` alone

    def __call__(self, y: Floats, p: Floats) -> float:
        """The metric of all rows, each counting once."""
        one = np.zeros(len(y), dtype=np.int64)
        return float(self.prepare(y, p, one, 1)(np.ones((1, 1)))[0])


def _of_sums(
    columns: Callable[[Floats, Floats], list[NDArray[np.generic]]], finish: Callable[..., Floats]
) -> tuple[Prepare, Influence]:
    """A metric that is a function of sums over rows: the count of rows first, then each of `columns`."""

    def within(y: Floats, p: Floats, group: Ints, groups: int) -> Floats:
        """(k, groups) the sums of each group."""
        with np.errstate(over="ignore", invalid="ignore"):
            each = [np.ones(len(y)), *columns(y, p)]
            return np.stack([np.bincount(group, c.astype(np.float64), groups) for c in each])

    def prepare(y: Floats, p: Floats, group: Ints, groups: int) -> Weighted:
        sums = within(y, p, group, groups)

        def weighted(weights: Floats) -> Floats:
            with np.errstate(all="ignore"):
                # No matrix product: its last bits depend on the number of threads, which wait for each other.
                values: Floats = finish(*np.einsum("bg,kg->kb", weights, sums))
            return np.where(np.isfinite(values), values, np.nan)

        return weighted

    def influence(y: Floats, p: Floats, group: Ints, groups: int) -> Floats:
        sums = within(y, p, group, groups)
        with np.errstate(all="ignore"):
            without: Floats = finish(*(sums.sum(axis=1, keepdims=True) - sums))  # (groups,)
            out: Floats = (without.mean() - without) * (groups - 1) / groups
        return out

    return prepare, influence


def _spread(y: Floats, p: Floats) -> list[NDArray[np.generic]]:
    centred = y - y.mean() if len(y) else y  # else the variance would be a small difference of large sums
    return [(y - p) ** 2, centred, centred**2]


def _r2(n: Floats, residual: Floats, first: Floats, second: Floats) -> Floats:
    total = second - first**2 / n
    constant = total <= 1e-12 * second  # equal labels leave only rounding
    return np.where(constant, np.nan, 1 - residual / total)


def _logarithmic(y: Floats, p: Floats) -> list[NDArray[np.generic]]:
    with np.errstate(all="ignore"):
        return [(np.log1p(p) - np.log1p(y)) ** 2]


def _confusion(y: Floats, p: Floats) -> list[NDArray[np.generic]]:
    said, true = p >= THRESHOLD, y == 1
    return [said & true, said | true]


def _roc_auc(y: Floats, p: Floats, group: Ints, groups: int) -> Weighted:
    """Share of pairs of both classes in which class 1 has the higher score; a tie is half a pair (midranks).

    Twice the number of won pairs is a sum of whole numbers, exact in float64 up to 2**53.
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
    """The placement of each row among those of the other class, less the area, over the rows of its class."""
    order = np.argsort(p, kind="stable")
    score, true, group = p[order], y[order] == 1, group[order]
    ones, zeros = score[true], score[~true]
    with np.errstate(all="ignore"):
        of_ones = _below(zeros, ones) / len(zeros)  # (ones,) share of the zeros below each, ties half
        of_zeros = 1 - _below(ones, zeros) / len(ones)
        area = of_ones.mean() if len(ones) else np.nan
        out = np.bincount(group[true], (of_ones - area) / len(ones), groups)
        out = out + np.bincount(group[~true], (of_zeros - area) / len(zeros), groups)
    return np.asarray(out, dtype=np.float64)


def _below(values: Floats, at: Floats) -> Floats:
    """How many of the sorted `values` lie below each of `at`, equal ones half."""
    counts: Floats = (np.searchsorted(values, at, side="left") + np.searchsorted(values, at, side="right")) / 2
    return counts


METRICS: dict[Kind, tuple[Metric, ...]] = {
    "regression": (
        Metric("mae", "MAE", False, True, *_of_sums(lambda y, p: [abs(y - p)], lambda n, e: e / n)),
        Metric("rmse", "RMSE", False, True, *_of_sums(lambda y, p: [(y - p) ** 2], lambda n, e: np.sqrt(e / n))),
        Metric("r2", "R2", True, False, *_of_sums(_spread, _r2), "the labels are all equal"),
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
            *_of_sums(lambda y, p: [(p >= THRESHOLD) == (y == 1)], lambda n, right: right / n),
        ),
        Metric(
            "f1",
            "F1",
            True,
            False,
            *_of_sums(_confusion, lambda n, both, either: 2 * both / (both + either)),
            "no row is of class 1, neither by label nor by prediction",
        ),
    ),
}
"""The metrics of a kind of target, the one that ranks first."""

RANKING: dict[str, Metric] = {
    "rmsle": Metric(
        "rmsle",
        "RMSLE",
        False,
        False,
        *_of_sums(_logarithmic, lambda n, e: np.sqrt(e / n)),
        "a label or a prediction is -1 or less",
    ),
}
"""Metrics by which some targets are ranked, and which others do not have."""


def metrics_for(kind: Kind, ranked_by: str = "") -> tuple[Metric, ...]:
    """The metrics of a target, the one that ranks first."""
    return (*([RANKING[ranked_by]] if ranked_by else []), *METRICS[kind])


def roc_curve(y: Floats, p: Floats) -> tuple[Floats, Floats]:
    """False and true positive rates, both (k,), of all thresholds from the highest: a tie is one step."""
    order = np.argsort(-p, kind="stable")
    last = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1)  # of each run of equal values
    true = np.concatenate([[0], np.cumsum(y[order] == 1)[last]])
    false = np.concatenate([[0], np.cumsum(y[order] != 1)[last]])
    bend = np.ones(len(true), dtype=bool)  # points on a straight line say nothing
    bend[1:-1] = (np.diff(false)[:-1] * np.diff(true)[1:]) != (np.diff(false)[1:] * np.diff(true)[:-1])
    return false[bend] / max(false[-1], 1), true[bend] / max(true[-1], 1)
