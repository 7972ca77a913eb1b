"""Ranks: which models of a board differ significantly.

Two models are compared by a t-test of the difference of their scores. Its variance is

- that over groups of test rows, from the differences of their influence (see `Metric`), paired where both are scored on
  the same groups;
- plus, where models were trained with several seeds, that of the mean over the seeds of each model: another seed is
  another network. The degrees of freedom are those of Welch and Satterthwaite, so that two seeds tell little;
- where models were trained once on each of several folds, the difference must also be significant in a paired t-test
  over the folds, whose networks and training sets are others. Training sets of folds overlap, so this test is slightly
  too sure of itself (Nadeau & Bengio, Machine Learning 52, 239 (2003)).

With one run each, it is two trained networks that are compared, not two methods. The p-values of all pairs of models on
a board are corrected together (Holm, Scand. J. Stat. 6, 65 (1979)): among boards of equally good models, one in twenty
shows a significant difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import Floats
from leaderboard.scoring.inference import LEVEL, Estimate, Variance, seed_variance, total_dof
from leaderboard.scoring.student_t import t_p_values

MIN_GROUPS = 6  # with fewer, models are never told apart
NO_VARIANCE = Variance(0.0, 1.0)


@dataclass(frozen=True)
class Rank:
    """The range of ranks that a model can have, and the models from which it does not differ significantly."""

    low: int  # 1 + number of models significantly better
    high: int  # number of models - number significantly worse
    tied_with: tuple[str, ...]


def rank_models(estimates: Mapping[str, Estimate], higher_is_better: bool) -> dict[str, Rank]:
    """The ranks of the models that can be compared (`Estimate.ranked`), by name, in the given order."""
    known = {name: e for name, e in estimates.items() if e.ranked}
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


def holm_significant(p: Floats) -> NDArray[np.bool_]:
    """Which of the p-values (n,) are significant after Holm's correction: (n,)."""
    order = np.argsort(p, kind="stable")
    passed = p[order] <= (1 - LEVEL) / np.arange(len(p), 0, -1)
    significant = np.zeros(len(p), dtype=bool)
    significant[order] = np.logical_and.accumulate(passed)  # none after the first that fails
    return significant


def paired_p_value(a: Estimate, b: Estimate) -> float:
    """The two-sided p-value of the difference of two models.

    1 where a value is missing or there are fewer than `MIN_GROUPS` groups.
    """
    return float(paired_p_values([a, b])[0])


@np.errstate(over="ignore")  # a variance may be infinite, of a model that diverged: it is told apart from none
def paired_p_values(estimates: Sequence[Estimate]) -> Floats:
    """The p-values (k (k - 1) / 2,) of all pairs of k models, in the order of `itertools.combinations`.

    See `paired_p_value`.
    """
    values = np.array([np.nan if e.value is None else e.value for e in estimates])
    groups = np.array([e.groups for e in estimates])
    seeds = [seed_variance(e.runs, e.folds) or NO_VARIANCE if e.value is not None else NO_VARIANCE for e in estimates]
    own, own_dof = np.array([v.value for v in seeds]), np.array([v.dof for v in seeds])
    first, second = np.triu_indices(len(estimates), 1)
    tested = (np.minimum(groups[first], groups[second]) >= MIN_GROUPS) & np.isfinite(values[first] - values[second])
    error = _paired_errors(estimates)[first, second] ** 2  # (pairs,)
    dof = np.minimum(groups[first], groups[second]) - 1
    total = error + own[first] + own[second]
    with np.errstate(all="ignore"):
        parts = np.stack([error, own[first], own[second]]), np.stack([dof, own_dof[first], own_dof[second]])
        both = np.where(total > 0, total_dof(*parts), dof)
    p = _t_test(abs(values[first] - values[second]), total, both)
    p = np.maximum(p, _fold_p_values(estimates)[first, second])
    return np.where(tested & np.isfinite(error), p, 1.0)


def _t_test(difference: Floats, variance: Floats, dof: Floats) -> Floats:
    """The p-values (n,) of absolute differences (n,); 1 of no difference, 0 of one without variance."""
    p = np.where(difference > 0, 0.0, 1.0)
    uncertain = (difference > 0) & (variance > 0)
    p[uncertain] = t_p_values(difference[uncertain] / np.sqrt(variance[uncertain]), dof[uncertain])
    return p


def _paired_errors(estimates: Sequence[Estimate]) -> Floats:
    """The standard errors (k, k), over groups, of the difference of each two models, above the diagonal."""
    own = np.array([_standard_errors(e.influence[None])[0] for e in estimates])
    errors: Floats = np.hypot(own[:, None], own)
    for members in _same([e.population if e.value is not None else None for e in estimates]):
        influence = np.stack([estimates[i].influence for i in members])  # (m, blocks)
        for k, i in enumerate(members[:-1]):
            errors[i, members[k + 1 :]] = _standard_errors(influence[k] - influence[k + 1 :])
    return errors


def _fold_p_values(estimates: Sequence[Estimate]) -> Floats:
    """The p-values (k, k) over folds, above the diagonal, of models trained once on each of several folds; else 0."""
    p = np.zeros((len(estimates), len(estimates)))
    once = [e.folds if e.value is not None and 1 < len(e.folds) == len(set(e.folds)) else None for e in estimates]
    for members in _same(once):
        runs = np.array([estimates[i].runs for i in members])  # (m, folds)
        for k, i in enumerate(members[:-1]):
            differences = runs[k] - runs[k + 1 :]
            variance = differences.var(axis=1, ddof=1) / runs.shape[1]
            dof = np.full(len(variance), runs.shape[1] - 1.0)
            p[i, members[k + 1 :]] = _t_test(abs(differences.mean(axis=1)), variance, dof)
    return p


def _same(keys: Sequence[object]) -> list[list[int]]:
    """The positions of equal keys; None is no key."""
    places: dict[object, list[int]] = {}
    for i, key in enumerate(keys):
        if key is not None:
            places.setdefault(key, []).append(i)
    return list(places.values())


def _standard_errors(influence: Floats) -> Floats:
    """The standard errors (k,) of metrics with the influences (k, blocks)."""
    n = influence.shape[1]
    out: Floats = np.sqrt((influence**2).sum(axis=1) * n / (n - 1)) if n > 1 else np.zeros(len(influence))
    return out
