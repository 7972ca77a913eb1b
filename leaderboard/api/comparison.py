"""Predictions of several models on the same test crystals, compared as on a board."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from leaderboard.board import Folds, MetricValue, Score, group_words
from leaderboard.scoring import Estimate, Metric, paired_p_value, rank_models


@dataclass(frozen=True)
class ComparedModel:
    """One of the models: its metrics, and the places from `rank` to `rank_high` that it can hold.

    It shares them with the models in `tied_with`. A model whose ranking metric is undefined, or whose errors are beyond
    comparison, has no rank; the `reason` of the metric says why.
    """

    metrics: dict[str, MetricValue]
    rank: int | None
    rank_high: int | None
    tied_with: tuple[str, ...]


@dataclass(frozen=True)
class PairedTest:
    """Two of the models: the difference of the ranking metric, and how it compares with chance.

    `difference` is that of `first` minus that of `second`. `p` is the two-sided p-value of a t-test over groups of
    test crystals (reduced formulas; in zero-shot single structures), paired, of this pair alone. `tied` is what a board
    shows: whether the difference is not significant at 5 % after the correction for all pairs (Holm). A pair of which
    one has no rank is not tested: `p` is None.
    """

    first: str
    second: str
    difference: float | None
    p: float | None
    tied: bool


@dataclass(frozen=True)
class Comparison:
    """Models by name, best first, and the tests of all pairs of them. `metric` is the one that ranks."""

    task: str
    fold: Folds
    n: int  # test crystals
    groups: int  # reduced formulas among them, over which intervals and tests are; in zero-shot single structures
    metric: str
    unit: str
    noise: str  # what the intervals show
    models: dict[str, ComparedModel]
    pairs: tuple[PairedTest, ...]

    def __str__(self) -> str:
        lines = [f"{self.task}, fold {self.fold}: {self.n} test crystals in {group_words(self.groups)}"]
        for name, model in self.models.items():
            ties = f", tied with {', '.join(model.tied_with)}" if model.tied_with else ""
            lines.append(f"  {name}: {self.metric} {model.metrics[self.metric]} {self.unit}".rstrip() + ties)
        lines += [f"  {pair.first} against {pair.second}: {_p_words(pair.p)}" for pair in self.pairs]
        return "\n".join([*lines, f"  {self.noise}"])


def _p_words(p: float | None) -> str:
    """A p-value in words: none is zero, and none so small that its digits mean anything."""
    return "not compared" if p is None else "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def compare_estimates(scores: Mapping[str, Score], estimates: Mapping[str, Estimate], metric: Metric) -> Comparison:
    """Compare the models of some scores, by name, by the estimates of the metric that ranks."""
    ranks = rank_models(estimates, metric.higher_is_better)
    sign = -1 if metric.higher_is_better else 1

    def order(name: str) -> tuple[bool, float]:
        value = estimates[name].value
        return name not in ranks, np.inf if value is None else sign * value

    names = sorted(scores, key=order)
    first = scores[names[0]]
    models = {}
    for name in names:
        rank = ranks.get(name)
        places = (rank.low, rank.high, rank.tied_with) if rank else (None, None, ())
        models[name] = ComparedModel(scores[name].metrics, *places)
    pairs = []
    for a, b in combinations(names, 2):
        values = estimates[a].value, estimates[b].value
        difference = None if values[0] is None or values[1] is None else values[0] - values[1]
        p = paired_p_value(estimates[a], estimates[b]) if a in ranks and b in ranks else None
        pairs.append(PairedTest(a, b, difference, p, a in ranks and b in ranks[a].tied_with))
    has_unit = first.unit if metric.has_unit else ""
    return Comparison(
        first.task, first.fold, first.n, first.groups, metric.name, has_unit, first.noise, models, tuple(pairs)
    )
