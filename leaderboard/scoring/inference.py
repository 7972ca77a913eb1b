"""Confidence intervals, paired tests and ranks: how much scores would change with other test formulas.

Rows of one group (a reduced formula) are correlated, so groups are resampled, not rows:

- Metrics that are functions of means (all but the ROC-AUC) have BCa intervals (Efron, J. Am. Stat. Assoc. 82, 171
  (1987)) from a bootstrap of whole groups (Davison & Hinkley, Bootstrap Methods and their Application (1997), section
  3.8).
- The ROC-AUC has the interval of DeLong et al. (Biometrics 44, 837 (1988)) with the variance of clustered data by
  Obuchowski (Biometrics 53, 567 (1997)), symmetric on the logit scale.
- Two models are compared by a t-test over groups of the differences of their influence (see `Metric`), paired where
  both are scored on the same groups. The p-values of all pairs of models on a board are corrected together (Holm,
  Scand. J. Stat. 6, 65 (1979)): among boards of equally good models, one in twenty shows a significant difference.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import compress
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import Floats, Ints
from asugnn.model import Kind
from leaderboard.scoring.metrics import Metric, metrics_for

RESAMPLES = 1000
LEVEL = 0.95  # of every confidence interval
MIN_GROUPS = 6  # for a test: with fewer, models are never told apart
BLOCKS = 10_000  # groups are merged into at most this many blocks: resampling a million groups would take minutes
CHUNK = 2**20  # weights in memory at a time
NORMAL = NormalDist()


@dataclass(frozen=True)
class PredictedFold:
    """The test rows of one fold and seed."""

    y: Floats  # (n,) labels
    p: Floats  # (n,) predictions, in the unit of the labels; probabilities of class 1 for a binary target
    groups: Sequence[str]  # (n,) names of groups, such as reduced formulas


@dataclass(frozen=True)
class Estimate:
    """A metric of one model, with its 95 % confidence interval.

    value
        The metric, the mean over runs; None where it is undefined.
    low, high
        Ends of the interval; None where there is none.
    groups
        The number of groups that were resampled.
    reason
        Why value or interval is missing; empty where nothing is.
    influence
        (blocks,) the contribution of each block of groups to the deviation of `value`, see `Metric.influence`.
    population
        sha256 of the names of the groups: two estimates with the same one can be compared in pairs.
    """

    value: float | None
    low: float | None
    high: float | None
    groups: int
    reason: str = ""
    influence: Floats = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)
    population: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True)
class Rank:
    """The range of ranks that a model can have, and the models from which it does not differ significantly."""

    low: int  # 1 + number of models significantly better
    high: int  # number of models - number significantly worse
    tied_with: tuple[str, ...]


class GroupResamples:
    """1000 bootstrap resamples of a set of groups, drawn with a seed that follows from their names.

    What is resampled are blocks. A block is one group, unless there are more than `BLOCKS` groups: then the i-th of the
    sorted names belongs to block i modulo `BLOCKS`.
    """

    def __init__(self, groups: Sequence[str]) -> None:
        self.names = sorted(set(groups))
        self._index = {name: i % BLOCKS for i, name in enumerate(self.names)}
        self.sha256 = hashlib.sha256(json.dumps(self.names).encode()).hexdigest()
        self._seed = int(self.sha256[:32], 16)

    def __len__(self) -> int:
        return min(BLOCKS, len(self.names))

    def index(self, groups: Sequence[str]) -> Ints:
        """(n,) the index of the block of each row, from the group of each row."""
        return np.fromiter(map(self._index.__getitem__, groups), np.int64, len(groups))

    def weights(self, width: int = 1) -> Iterator[Floats]:
        """Yield how often each block is drawn, as arrays (b, blocks) whose rows add up to the 1000 resamples.

        b is chosen so that an array (b, `width`) fits in memory too.
        """
        step = max(1, CHUNK // max(len(self), width))
        if step >= RESAMPLES:
            yield _all_weights(self._seed, len(self))
            return
        bits = np.random.PCG64(self._seed)
        for start in range(0, RESAMPLES, step):
            yield _draw_weights(bits, min(step, RESAMPLES - start), len(self))


def _draw_weights(bits: np.random.PCG64, rows: int, size: int) -> Floats:
    """The next `rows` resamples of `size` blocks: (rows, size) counts."""
    # The bits of PCG64 are promised to be the same in every numpy, the methods of Generator are not (NEP 19).
    raw = bits.random_raw(rows * size).reshape(rows, size) >> np.uint64(32)
    drawn = (raw * np.uint64(size) >> np.uint64(32)).astype(np.int64)
    drawn += size * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size).astype(np.float64)


@lru_cache(maxsize=4)  # the models of a task share their groups; no entry is above 8 MB, see `CHUNK`
def _all_weights(seed: int, size: int) -> Floats:
    """All resamples of `size` blocks: (1000, size) counts, not to be written to."""
    weights = _draw_weights(np.random.PCG64(seed), RESAMPLES, size)
    weights.flags.writeable = False
    return weights


def estimate_metrics(kind: Kind, runs: Sequence[PredictedFold], ranked_by: str = "") -> dict[str, Estimate]:
    """Every metric of a target by name, the one that ranks first: the mean over the runs, with its interval.

    The runs (folds, seeds) of a model are resampled together, over the groups of all of them, so that a group in the
    test sets of two runs is drawn for both or for none.
    """
    resamples = GroupResamples([group for run in runs for group in run.groups])
    rows = [(run.y, run.p, resamples.index(run.groups), len(resamples)) for run in runs]
    metrics = metrics_for(kind, ranked_by)
    prepared = {metric.name: [metric.prepare(*row) for row in rows] for metric in metrics if metric.resampled}
    chunks: dict[str, list[Floats]] = {name: [] for name in prepared}
    for weights in resamples.weights(max(len(run.y) for run in runs)):
        for name, of_runs in prepared.items():
            chunks[name].append(_mean([weighted(weights) for weighted in of_runs]))
    estimates = {}
    for metric in metrics:
        value = float(np.mean([metric(run.y, run.p) for run in runs]))
        influence = _mean([metric.influence(*row) for row in rows])
        replicates = np.concatenate(chunks[metric.name]) if metric.name in chunks else None
        estimates[metric.name] = _estimate(metric, value, influence, replicates, resamples)
    return estimates


def bca_interval(value: float, replicates: Floats, influence: Floats) -> tuple[float, float] | None:
    """The bias-corrected and accelerated (BCa) bootstrap interval (Efron 1987).

    `replicates` (b,) are the values of the resamples, nan where undefined; the acceleration follows from `influence`
    (blocks,). None if 5 % of the resamples or more are undefined.
    """
    defined = np.sort(replicates[np.isfinite(replicates)])
    if len(defined) <= LEVEL * len(replicates):
        return None
    below = np.searchsorted(defined, value, side="left") + np.searchsorted(defined, value, side="right")
    share = min(max(below / 2 / len(defined), 0.5 / len(defined)), 1 - 0.5 / len(defined))
    bias = NORMAL.inv_cdf(share)
    largest = float(np.abs(influence).max())
    scaled = influence / largest if largest > 0 else influence  # else the cube of a large one is no number
    squares = float((scaled**2).sum())
    skew = float((scaled**3).sum()) / (6 * squares**1.5) if squares > 0 else 0.0
    ends = []
    for level in ((1 - LEVEL) / 2, (1 + LEVEL) / 2):
        z = bias + NORMAL.inv_cdf(level)
        ends.append(NORMAL.cdf(bias + z / (1 - skew * z)) if skew * z < 1 else float(z > 0))
    low, high = (_quantile(defined, end) for end in ends)
    return low, high


def _quantile(ordered: Floats, share: float) -> float:
    """The quantile of ascending values (n,), as `numpy.quantile` has it to the last bit, in a tenth of the time."""
    place = share * (len(ordered) - 1)
    below = min(int(place), len(ordered) - 2) if len(ordered) > 1 else 0
    low, high = float(ordered[below]), float(ordered[min(below + 1, len(ordered) - 1)])
    part = place - below
    return high - (high - low) * (1 - part) if part >= 0.5 else low + (high - low) * part


def _mean(arrays: Sequence[Floats]) -> Floats:
    """The mean of some arrays (n,): of one, itself."""
    return arrays[0] if len(arrays) == 1 else np.mean(arrays, axis=0)


def delong_interval(value: float, influence: Floats) -> tuple[float, float] | None:
    """The interval of an area under the ROC curve from its `influence` (blocks,), symmetric on the logit scale.

    None for an area of 0 or 1, and where the influence is zero.
    """
    error = float(_standard_errors(influence[None])[0])
    if not (0 < value < 1 and error > 0):
        return None
    logit, width = np.log(value / (1 - value)), NORMAL.inv_cdf((1 + LEVEL) / 2) * error / (value * (1 - value))
    low, high = 1 / (1 + np.exp(-(logit - width))), 1 / (1 + np.exp(-(logit + width)))
    return float(low), float(high)


def paired_p_value(a: Estimate, b: Estimate) -> float:
    """The two-sided p-value of the difference of two models: a t-test over groups, paired if the groups are the same.

    1 where one of the models has no value, or fewer than `MIN_GROUPS` groups.
    """
    return float(paired_p_values([a, b])[0])


def paired_p_values(estimates: Sequence[Estimate]) -> Floats:
    """The p-values (k (k - 1) / 2,) of all pairs of k models, in the order of `itertools.combinations`.

    See `paired_p_value`.
    """
    values = np.array([np.nan if e.value is None else e.value for e in estimates])
    groups = np.array([e.groups for e in estimates])
    first, second = np.triu_indices(len(estimates), 1)
    error = _paired_errors(estimates)[first, second]
    difference = abs(values[first] - values[second])
    fewest = np.minimum(groups[first], groups[second])
    tested = (fewest >= MIN_GROUPS) & np.isfinite(error) & (difference > 0)  # False where one has no value
    p = np.where(tested, 0.0, 1.0)  # 0 is that of an error of 0
    uncertain = tested & (error > 0)
    t, dof = difference[uncertain] / error[uncertain], fewest[uncertain] - 1
    # Wallace (1959): the normal quantile of a t, good to three digits from five degrees of freedom.
    z = (8 * dof + 1) / (8 * dof + 3) * np.sqrt(dof * np.log1p(t**2 / dof))
    p[uncertain] = [2 * NORMAL.cdf(-x) for x in z.tolist()]
    return p


def _paired_errors(estimates: Sequence[Estimate]) -> Floats:
    """The standard errors (k, k) of the difference of each two models, above the diagonal."""
    own = np.array([_standard_errors(e.influence[None])[0] for e in estimates])
    errors: Floats = np.hypot(own[:, None], own)
    shared: dict[str, list[int]] = {}  # models that were tested on the same groups, with a value
    for i, estimate in enumerate(estimates):
        if estimate.value is not None:
            shared.setdefault(estimate.population, []).append(i)
    for members in shared.values():
        influence = np.stack([estimates[i].influence for i in members])  # (m, blocks)
        for k, i in enumerate(members[:-1]):
            errors[i, members[k + 1 :]] = _standard_errors(influence[k] - influence[k + 1 :])
    return errors


def holm_significant(p: Floats) -> NDArray[np.bool_]:
    """Which of the p-values (n,) are significant after Holm's correction: (n,)."""
    order = np.argsort(p, kind="stable")
    passed = p[order] <= (1 - LEVEL) / np.arange(len(p), 0, -1)
    significant = np.zeros(len(p), dtype=bool)
    significant[order] = np.logical_and.accumulate(passed)  # none after the first that fails
    return significant


def rank_models(estimates: Mapping[str, Estimate], higher_is_better: bool) -> dict[str, Rank]:
    """The ranks of the models that have a value, by name, in the given order."""
    known = {name: e for name, e in estimates.items() if e.value is not None}
    names, values = list(known), np.array([e.value for e in known.values()], dtype=float)
    differ = np.zeros((len(names), len(names)), dtype=bool)
    differ[np.triu_indices(len(names), 1)] = holm_significant(paired_p_values(list(known.values())))
    differ |= differ.T
    better = differ & ((values[:, None] > values) == higher_is_better)  # the model of the row than that of the column
    tied = ~differ
    np.fill_diagonal(tied, False)
    return {
        name: Rank(
            low=1 + int((differ[i] & ~better[i]).sum()),
            high=len(names) - int(better[i].sum()),
            tied_with=tuple(compress(names, tied[i].tolist())),
        )
        for i, name in enumerate(names)
    }


def _standard_errors(influence: Floats) -> Floats:
    """The standard errors (k,) of metrics with the influences (k, blocks)."""
    n = influence.shape[1]
    out: Floats = np.sqrt((influence**2).sum(axis=1) * n / (n - 1)) if n > 1 else np.zeros(len(influence))
    return out


def _estimate(
    metric: Metric, value: float, influence: Floats, replicates: Floats | None, resamples: GroupResamples
) -> Estimate:
    groups = len(resamples.names)
    if not np.isfinite(value):
        return Estimate(None, None, None, groups, metric.undefined)
    estimate = Estimate(value, None, None, groups, "too few rows for an interval", influence, resamples.sha256)
    if groups < 2:
        return replace(estimate, reason="one group of rows has no interval")
    ends = delong_interval(value, influence) if replicates is None else bca_interval(value, replicates, influence)
    return replace(estimate, low=ends[0], high=ends[1], reason="") if ends else estimate
