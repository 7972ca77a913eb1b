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
from itertools import combinations
from statistics import NormalDist

import numpy as np

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
        # The bits of PCG64 are promised to be the same in every numpy, the methods of Generator are not (NEP 19).
        bits, size = np.random.PCG64(self._seed), len(self)
        step = max(1, CHUNK // max(size, width))
        for start in range(0, RESAMPLES, step):
            rows = min(step, RESAMPLES - start)
            raw = bits.random_raw(rows * size).reshape(rows, size) >> np.uint64(32)
            drawn = (raw * np.uint64(size) >> np.uint64(32)).astype(np.int64)
            drawn += size * np.arange(rows)[:, None]
            yield np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size).astype(np.float64)


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
    error = _standard_error(influence)
    if not (0 < value < 1 and error > 0):
        return None
    logit, width = np.log(value / (1 - value)), NORMAL.inv_cdf((1 + LEVEL) / 2) * error / (value * (1 - value))
    low, high = 1 / (1 + np.exp(-(logit - width))), 1 / (1 + np.exp(-(logit + width)))
    return float(low), float(high)


def paired_p_value(a: Estimate, b: Estimate) -> float:
    """How likely models of equal worth would differ at least as much: a t-test over groups, paired if they share them.

    1 where there are too few groups to tell, or one of the models has no value.
    """
    if a.value is None or b.value is None or min(a.groups, b.groups) < FEWEST:
        return 1.0
    if a.population == b.population:
        error = _standard_error(a.influence - b.influence)
    else:
        error = float(np.hypot(_standard_error(a.influence), _standard_error(b.influence)))
    if not np.isfinite(error) or a.value == b.value:
        return 1.0
    if error == 0:
        return 0.0
    t, dof = abs(a.value - b.value) / error, min(a.groups, b.groups) - 1
    # Wallace (1959): the normal quantile of a t, good to three digits from five degrees of freedom.
    z = (8 * dof + 1) / (8 * dof + 3) * np.sqrt(dof * np.log1p(t**2 / dof))
    return 2 * NORMAL.cdf(-float(z))


def holm_significant(p: Mapping[tuple[str, str], float]) -> set[tuple[str, str]]:
    """The pairs whose difference is significant when all are judged together."""
    found = set()
    for i, pair in enumerate(sorted(p, key=lambda pair: p[pair])):
        if p[pair] > (1 - LEVEL) / (len(p) - i):
            break
        found.add(pair)
    return found


def rank_models(estimates: Mapping[str, Estimate], higher_is_better: bool) -> dict[str, Rank]:
    """The places of the models that have a value: by name, in the order given."""
    values = {name: estimate.value for name, estimate in estimates.items() if estimate.value is not None}
    told = holm_significant({(a, b): paired_p_value(estimates[a], estimates[b]) for a, b in combinations(values, 2)})

    def sign(a: str, b: str) -> int:
        """1 if a is significantly better than b, -1 if worse, 0 if that cannot be told."""
        if not {(a, b), (b, a)} & told:
            return 0
        return 1 if (values[a] > values[b]) == higher_is_better else -1

    return {
        a: Rank(
            low=1 + sum(sign(a, b) < 0 for b in values if b != a),
            high=len(values) - sum(sign(a, b) > 0 for b in values if b != a),
            tied_with=tuple(b for b in values if b != a and sign(a, b) == 0),
        )
        for a in values
    }


def _standard_error(influence: Floats) -> float:
    """The standard error that belongs to an influence."""
    n = len(influence)
    return float(np.sqrt((influence**2).sum() * n / (n - 1))) if n > 1 else 0.0


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
