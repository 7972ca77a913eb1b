"""Error bars and ranks: a bootstrap over groups, the same resamples for every model on the same rows.

Rows of one group (a reduced formula) resemble each other, so the bootstrap draws whole groups (the cluster bootstrap
of Davison & Hinkley 1997, section 3.8), with replacement and as many as there are. The draw depends on the groups
alone: two models on the same rows meet the same resamples, and the interval of their difference is a paired test.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from asugnn.crystal import Floats, Ints
from asugnn.model import Kind
from leaderboard.metrics import METRICS, Metric

RESAMPLES = 1000
LEVEL = 0.95  # of every interval
FEWEST = 6  # groups: with fewer, chance gives all of them one sign more often (2 / 2**5) than in one of twenty cases
CHUNK = 2**20  # weights in memory at once


@dataclass(frozen=True)
class Run:
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
    replicates: Floats = field(default_factory=lambda: np.full(RESAMPLES, np.nan), repr=False, compare=False)


@dataclass(frozen=True)
class Rank:
    """Between which places a model stands, and the models that it cannot be told from."""

    low: int  # 1 + number of models significantly better
    high: int  # number of models - number significantly worse
    tied_with: tuple[str, ...]


class Resamples:
    """The resamples of a set of groups: how often each of its `names`, sorted, is drawn in each of 1000 draws."""

    def __init__(self, groups: Sequence[str]) -> None:
        self.names = sorted(set(groups))
        self._index = {name: i for i, name in enumerate(self.names)}
        self._seed = int.from_bytes(hashlib.sha256(json.dumps(self.names).encode()).digest()[:16], "big")

    def __len__(self) -> int:
        return len(self.names)

    def index(self, groups: Sequence[str]) -> Ints:
        """(n,) the place of each group among the names."""
        return np.fromiter((self._index[g] for g in groups), np.int64, len(groups))

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


def score(kind: Kind, runs: Sequence[Run]) -> dict[str, Estimate]:
    """Every metric of a kind, by name, the primary one first: of each run, then the mean over the runs.

    The runs are resampled together, over all their groups, so that a group that two of them test counts as one.
    """
    resamples = Resamples([group for run in runs for group in run.groups])
    indices = [resamples.index(run.groups) for run in runs]
    prepared = {
        metric: [metric.prepare(run.y, run.p, index, len(resamples)) for run, index in zip(runs, indices, strict=True)]
        for metric in METRICS[kind]
    }
    parts: dict[Metric, list[Floats]] = {metric: [] for metric in prepared}
    for weights in resamples.weights(max(len(run.y) for run in runs)):
        for metric, of_runs in prepared.items():
            parts[metric].append(np.mean([weighted(weights) for weighted in of_runs], axis=0))
    return {
        metric.name: _estimate(metric, [metric(run.y, run.p) for run in runs], np.concatenate(rows), len(resamples))
        for metric, rows in parts.items()
    }


def interval(replicates: Floats) -> tuple[float, float] | None:
    """The middle 95 % of the resamples that have a value; None if every twentieth or more has none."""
    defined = replicates[np.isfinite(replicates)]
    if len(defined) <= LEVEL * len(replicates):
        return None
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def compare(a: Estimate, b: Estimate, higher_is_better: bool) -> int:
    """1 if `a` is significantly better than `b`, -1 if worse, 0 if that cannot be told.

    Significantly: the 95 % interval of the difference, resample by resample, excludes 0. Models that were tested on
    different groups have independent resamples, and the test is then not paired, but still right.
    """
    between = interval(a.replicates - b.replicates) if min(a.groups, b.groups) >= FEWEST else None
    if between is None or between[0] <= 0 <= between[1]:
        return 0
    return 1 if (between[0] > 0) == higher_is_better else -1


def ranks(estimates: Mapping[str, Estimate], higher_is_better: bool) -> dict[str, Rank]:
    """The places of the models that have a value: by name, in the order given."""
    models = [name for name, estimate in estimates.items() if estimate.value is not None]
    signs = {a: {b: compare(estimates[a], estimates[b], higher_is_better) for b in models if b != a} for a in models}
    return {
        a: Rank(
            low=1 + sum(sign < 0 for sign in others.values()),
            high=len(models) - sum(sign > 0 for sign in others.values()),
            tied_with=tuple(b for b, sign in others.items() if sign == 0),
        )
        for a, others in signs.items()
    }


def _estimate(metric: Metric, values: Sequence[float], replicates: Floats, groups: int) -> Estimate:
    value = float(np.mean(values))
    if not np.isfinite(value):
        return Estimate(None, None, None, groups, metric.undefined)
    if groups < 2:
        return Estimate(value, None, None, groups, "one group of rows has no interval", replicates)
    if (ends := interval(replicates)) is None:
        return Estimate(value, None, None, groups, "too few rows for an interval", replicates)
    return Estimate(value, *ends, groups, replicates=replicates)
