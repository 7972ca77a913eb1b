"""Metrics of predictions against labels, and the influence of each group of rows on them.

The influence of a group is what it contributes to the deviation of a metric: from the influences follow the variance of
the metric over test sets of other groups, its interval, and the paired tests of two models. All metrics but the ROC-AUC
are functions of sums over rows, which are added up once within each group.

Only numpy is imported, as `bench score` must start within a second. The definitions are those of scikit-learn, against
which they are tested.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import Floats, Ints
from asugnn.model import Kind

Evaluate = Callable[[Floats, Floats, Ints, int], tuple[float, Floats]]
Scale = Literal["log", "logit"]

THRESHOLD = 0.5  # this probability and higher ones predict class 1
TOO_LARGE = "its value is too large for a floating-point number"
DOMINATED = "no interval, since a few large errors decide the value and intervals would be too short"


@dataclass(frozen=True)
class Metric:
    """A measure of the agreement of predictions with labels.

    name, title
        In files and options; on boards.
    higher_is_better
        Whether larger values are better.
    has_unit
        Whether values have the unit of the label.
    evaluate
        From labels y (n,), predictions p (n,), the index (n,) of the group of each row and the number of groups to the
        value, nan where it is undefined, and the influence (groups,) of each group. Influences add up to zero, and the
        sum of their squares times groups / (groups - 1) estimates the variance of the value over test sets of other
        groups. They are the jackknife's, which leaves one group out at a time (Efron & Tibshirani, An Introduction to
        the Bootstrap (1993), chapter 11); for the ROC-AUC they are made of the placement values of DeLong et al.,
        Biometrics 44, 837 (1988), added up within groups as by Obuchowski, Biometrics 53, 567 (1997).
    scale
        On which an interval is symmetric; None for a metric whose intervals would be too short (docs/statistics.md).
    why_undefined
        From labels and predictions to the reason why their value does not exist, for the reader of a board.
    """

    name: str
    title: str
    higher_is_better: bool
    has_unit: bool
    evaluate: Evaluate
    scale: Scale | None
    why_undefined: Callable[[Floats, Floats], str] = lambda y, p: TOO_LARGE

    def __call__(self, y: Floats, p: Floats) -> float:
        """The metric for labels (n,) and predictions (n,), each row counting once; nan where it is undefined."""
        return self.evaluate(y, p, np.zeros(len(y), dtype=np.int64), 1)[0]

    def is_better(self, value: float | None, other: float | None) -> bool:
        """Whether a value is better than another one; None, which is undefined, is the worst."""
        if value is None or other is None:
            return value is not None
        return value > other if self.higher_is_better else value < other


def _from_sums(
    columns: Callable[[Floats, Floats], list[NDArray[np.generic]]], finish: Callable[..., Floats]
) -> Evaluate:
    """`evaluate` of a metric that is a function of sums over rows.

    `columns` maps y (n,) and p (n,) to k - 1 arrays (n,); `finish` maps the number of rows and the sums of the columns,
    k arrays of one shape, to values of this shape.
    """

    def evaluate(y: Floats, p: Floats, group: Ints, groups: int) -> tuple[float, Floats]:
        with np.errstate(all="ignore"):
            each = [np.ones(len(y)), *(c.astype(np.float64) for c in columns(y, p))]
            sums = np.stack([np.bincount(group, c, groups) for c in each])  # (k, groups)
            one = np.zeros(len(y), dtype=np.int64)
            total = np.stack([np.bincount(one, c, 1) for c in each])  # (k, 1), not rounded by groups
            value = float(finish(*total)[0])
            without: Floats = finish(*(total - sums))  # (groups,)
            influence: Floats = (without.mean() - without) * (groups - 1) / groups
        return (value if np.isfinite(value) else np.nan), influence

    return evaluate


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


def _roc_auc(y: Floats, p: Floats, group: Ints, groups: int) -> tuple[float, Floats]:
    """The area under the ROC curve: the share of pairs of both classes in which class 1 has the higher prediction.

    A tie counts as half a pair. The influences are sums within groups of (placement value - area) / rows of the class.
    """
    order = np.argsort(p, kind="stable")
    score, true, group = p[order], y[order] == 1, group[order]
    ones, zeros = score[true], score[~true]
    below, above = _count_below(zeros, ones), len(ones) - _count_below(ones, zeros)
    with np.errstate(all="ignore"):
        area = np.divide(below.sum(), len(ones) * len(zeros))  # halves are exact in float64 up to 2**52
        out = np.bincount(group[true], (below / len(zeros) - area) / len(ones), groups)
        out = out + np.bincount(group[~true], (above / len(ones) - area) / len(zeros), groups)
    return float(area), np.asarray(out, dtype=np.float64)


def _count_below(values: Floats, limits: Floats) -> Floats:
    """How many of the sorted `values` lie below each of the limits; equal ones count half."""
    left, right = np.searchsorted(values, limits, side="left"), np.searchsorted(values, limits, side="right")
    counts: Floats = (left + right) / 2
    return counts


def _why_no_r2(y: Floats, p: Floats) -> str:
    return "the labels are all equal" if np.isnan(R2(y, y)) else TOO_LARGE


MAE = Metric("mae", "MAE", False, True, _from_sums(lambda y, p: [abs(y - p)], lambda n, e: e / n), "log")
RMSE = Metric("rmse", "RMSE", False, True, _from_sums(lambda y, p: [(y - p) ** 2], lambda n, e: np.sqrt(e / n)), None)
R2 = Metric("r2", "R2", True, False, _from_sums(_squares, _r2), None, _why_no_r2)
ROC_AUC = Metric("roc_auc", "ROC-AUC", True, False, _roc_auc, "logit", lambda y, p: "the labels are all of one class")
ACCURACY = Metric(
    "accuracy", "accuracy", True, False,
    _from_sums(lambda y, p: [(p >= THRESHOLD) == (y == 1)], lambda n, right: right / n), "logit",
)  # fmt: skip
F1 = Metric(
    "f1", "F1", True, False, _from_sums(_positives, lambda n, both, either: 2 * both / (both + either)), "logit",
    lambda y, p: "no row is of class 1, neither by label nor by prediction",
)  # fmt: skip
RMSLE = Metric(
    "rmsle", "RMSLE", False, False, _from_sums(_squared_log_errors, lambda n, e: np.sqrt(e / n)), "log",
    lambda y, p: "a label or a prediction is -1 or less",
)  # fmt: skip

METRICS: dict[Kind, tuple[Metric, ...]] = {"regression": (MAE, RMSE, R2), "binary": (ROC_AUC, ACCURACY, F1)}
"""The metrics of each kind of target; models are ranked by the first."""

RANKING: dict[str, Metric] = {"rmsle": RMSLE}
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
