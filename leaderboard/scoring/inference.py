"""Error bars and ranks, over groups: what other formulas of the same kind would give.

Rows of one group (a reduced formula) resemble each other, so all that is uncertain is drawn by groups. The interval of
a mean, and of what is made of means, is BCa (Efron 1987) over a bootstrap of whole groups (Davison & Hinkley 1997,
section 3.8); that of the ROC-AUC is DeLong's, for groups, on the scale of the logit. Two models on the same rows are
compared by what each group contributes to the difference, a paired t-test over groups, and the p-values of all pairs
of a table are corrected together (Holm 1979): of tables in which no model is better, one in twenty says otherwise.
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
LEVEL = 0.95  # of every interval
FEWEST = 6  # groups: with fewer, no test is made
BLOCKS = 10_000  # groups are merged into no more than these, which are as independent: a million would take minutes
CHUNK = 2**20  # weights in memory at once
NORMAL = NormalDist()


@dataclass(frozen=True)
class PredictedFold:
    """Labels, predictions and groups of the test rows of one fold and seed: all (n,)."""

    y: Floats
    p: Floats
    groups: Sequence[str]


@dataclass(frozen=True)
class Estimate:
    """A metric with its 95 % interval; None, with the reason, where there is none."""

    value: float | None
    low: float | None
    high: float | None
    groups: int  # how many were resampled
    reason: str = ""
    influence: Floats = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)  # (blocks,) see `Metric`
    population: str = field(default="", repr=False, compare=False)  # which groups those are


@dataclass(frozen=True)
class Rank:
    """Between which places a model stands, and the models that it cannot be told from."""

    low: int  # 1 + number of models significantly better
    high: int  # number of models - number significantly worse
    tied_with: tuple[str, ...]


class GroupResamples:
    """The resamples of a set of groups: how often each block of its `names`, sorted, is drawn in each of 1000 draws.

    A block is one group, unless there are more than `BLOCKS`: then neighbours by name go to different ones.
    """

    def __init__(self, groups: Sequence[str]) -> None:
        self.names = sorted(set(groups))
        self._index = {name: i % BLOCKS for i, name in enumerate(self.names)}
        self.sha256 = hashlib.sha256(json.dumps(self.names).encode()).hexdigest()
        self._seed = int(self.sha256[:32], 16)

    def __len__(self) -> int:
        return min(BLOCKS, len(self.names))

    def index(self, groups: Sequence[str]) -> Ints:
        """(n,) the block of each group."""
        return np.fromiter(map(self._index.__getitem__, groups), np.int64, len(groups))

    def weights(self, width: int = 1) -> Iterator[Floats]:
        """The counts, some rows (b, groups) of the 1000 at a time: no more than fit memory beside `width` columns."""
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
    """Every metric of a target, by name, the primary one first: of each run, then the mean over the runs.

    The runs are resampled together, over all their groups, so that a group that two of them test counts as one.
    """
    resamples = GroupResamples([group for run in runs for group in run.groups])
    rows = [(run.y, run.p, resamples.index(run.groups), len(resamples)) for run in runs]
    found = metrics_for(kind, ranked_by)
    drawn = [metric for metric in found if metric.resampled]
    prepared = {metric.name: [metric.prepare(*row) for row in rows] for metric in drawn}
    parts: dict[str, list[Floats]] = {name: [] for name in prepared}
    for weights in resamples.weights(max(len(run.y) for run in runs)):
        for name, of_runs in prepared.items():
            parts[name].append(np.mean([weighted(weights) for weighted in of_runs], axis=0))
    out = {}
    for metric in found:
        value = float(np.mean([metric(run.y, run.p) for run in runs]))
        influence = np.mean([metric.influence(*row) for row in rows], axis=0)
        replicates = np.concatenate(parts[metric.name]) if metric.name in parts else None
        out[metric.name] = _estimate(metric, value, influence, replicates, resamples)
    return out


def bca_interval(value: float, replicates: Floats, influence: Floats) -> tuple[float, float] | None:
    """The bias-corrected and accelerated interval; None if every twentieth resample or more has no value."""
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
    low, high = np.quantile(defined, ends)
    return float(low), float(high)


def delong_interval(value: float, influence: Floats) -> tuple[float, float] | None:
    """The interval of an area under the curve, on the scale of the logit; None where all areas are alike."""
    error = float(_standard_errors(influence[None])[0])
    if not (0 < value < 1 and error > 0):
        return None
    logit, width = np.log(value / (1 - value)), NORMAL.inv_cdf((1 + LEVEL) / 2) * error / (value * (1 - value))
    low, high = 1 / (1 + np.exp(-(logit - width))), 1 / (1 + np.exp(-(logit + width)))
    return float(low), float(high)


def paired_p_value(a: Estimate, b: Estimate) -> float:
    """How likely models of equal worth would differ at least as much: a t-test over groups, paired if they share them.

    1 where there are too few groups to tell, or one of the models has no value.
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
    tested = (fewest >= FEWEST) & np.isfinite(error) & (difference > 0)  # False where one has no value
    p = np.where(tested, 0.0, 1.0)  # 0 is that of an error of 0
    uncertain = tested & (error > 0)
    t, dof = difference[uncertain] / error[uncertain], fewest[uncertain] - 1
    # Wallace (1959): the normal quantile of a t, good to three digits from five degrees of freedom.
    z = (8 * dof + 1) / (8 * dof + 3) * np.sqrt(dof * np.log1p(t**2 / dof))
    p[uncertain] = [2 * NORMAL.cdf(-x) for x in z.tolist()]
    return p


def _paired_errors(estimates: Sequence[Estimate]) -> Floats:
    """(k, k) the standard error of the difference of each two models; above the diagonal."""
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
    """Which of some p-values (n,) are significant when all are judged together: (n,)."""
    order = np.argsort(p, kind="stable")
    passed = p[order] <= (1 - LEVEL) / np.arange(len(p), 0, -1)
    significant = np.zeros(len(p), dtype=bool)
    significant[order] = np.logical_and.accumulate(passed)  # none after the first that fails
    return significant


def rank_models(estimates: Mapping[str, Estimate], higher_is_better: bool) -> dict[str, Rank]:
    """The places of the models that have a value: by name, in the order given."""
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
    """(k,) the standard errors that belong to k influences (k, n)."""
    n = influence.shape[1]
    out: Floats = np.sqrt((influence**2).sum(axis=1) * n / (n - 1)) if n > 1 else np.zeros(len(influence))
    return out


def _estimate(
    metric: Metric, value: float, influence: Floats, replicates: Floats | None, resamples: GroupResamples
) -> Estimate:
    groups = len(resamples.names)
    if not np.isfinite(value):
        return Estimate(None, None, None, groups, metric.undefined)
    made = Estimate(value, None, None, groups, "too few rows for an interval", influence, resamples.sha256)
    if groups < 2:
        return replace(made, reason="one group of rows has no interval")
    ends = delong_interval(value, influence) if replicates is None else bca_interval(value, replicates, influence)
    return replace(made, low=ends[0], high=ends[1], reason="") if ends else made
