"""Paired tests and ranks, against scipy and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from leaderboard.scoring.inference import Estimate, PredictedFold, estimate_metrics
from leaderboard.scoring.ranking import holm_significant, paired_p_value, paired_p_values, rank_models


def names(n: int) -> list[str]:
    return [f"group {i}" for i in range(n)]


def correlated(rng, groups: int, rows: int = 5, spread: float = 1.0):
    """Errors (n,) with a part that rows of a group share, and the groups."""
    errors = np.repeat(rng.normal(0, spread, groups), rows) + rng.normal(0, 0.5, groups * rows)
    return errors, np.repeat(names(groups), rows).tolist()


@pytest.mark.parametrize("groups", [6, 10, 30, 1000])
def test_two_errors_are_compared_by_a_paired_t_test(groups):
    rng = np.random.default_rng(groups)
    errors = abs(rng.normal(size=(2, groups))) + np.array([[0], [0.3]])
    a, b = (estimate_metrics("regression", [PredictedFold(np.zeros(groups), e, names(groups))])["mae"] for e in errors)
    expected = stats.ttest_rel(*errors).pvalue
    assert paired_p_value(a, b) == pytest.approx(expected, rel=0.02, abs=1e-6)
    assert paired_p_value(a, b) == paired_p_value(b, a)
    assert paired_p_value(a, a) == 1


@given(st.lists(st.floats(0, 1), min_size=0, max_size=10))
def test_holm_by_its_definition(values):
    """A pair is significant if it and all smaller p-values pass their steps: adjusted p-values, the textbook's way."""
    order = sorted(values)
    adjusted = np.maximum.accumulate([min(1, (len(order) - i) * v) for i, v in enumerate(order)]) if order else []
    assert holm_significant(np.array(values)).sum() == sum(a <= 0.05 + 1e-12 for a in adjusted) or any(
        abs(a - 0.05) < 1e-9 for a in adjusted
    )


def test_holm_is_less_strict_with_each_pair_that_passes():
    """Bonferroni would accept the first pair alone, no correction all three of the second table."""
    assert holm_significant(np.array([0.03, 0.01, 0.02])).all()
    assert holm_significant(np.array([0.04, 0.01, 0.03])).tolist() == [False, True, False]


def test_without_a_difference_one_table_in_twenty_says_otherwise():
    """Ten equal models: without correction, most tables would name a winner."""
    rng = np.random.default_rng(0)
    false, uncorrected = 0, 0
    for i in range(200):
        labels = [f"{i} {n}" for n in names(60)]
        models = {
            str(k): estimate_metrics("regression", [PredictedFold(np.zeros(60), rng.normal(size=60), labels)])["mae"]
            for k in range(10)
        }
        found = rank_models(models, higher_is_better=False)
        false += any(rank.high < 10 for rank in found.values())
        uncorrected += (paired_p_values(list(models.values())) < 0.05).any()
    assert false / 200 < 0.08
    assert uncorrected / 200 > 0.4


def test_a_better_model_is_told_from_a_worse_one_even_where_intervals_overlap():
    """The comparison is paired: both fail on the same groups."""
    rng = np.random.default_rng(0)
    errors, groups = correlated(rng, 200)
    y = np.zeros_like(errors)
    a, b = (estimate_metrics("regression", [PredictedFold(y, p, groups)])["mae"] for p in (errors, 1.05 * errors))
    assert a.high > b.low
    assert {m: r.low for m, r in rank_models({"a": a, "b": b}, higher_is_better=False).items()} == {"a": 1, "b": 2}
    assert {m: r.low for m, r in rank_models({"a": a, "b": b}, higher_is_better=True).items()} == {"a": 2, "b": 1}


def test_few_groups_cannot_tell_models_apart():
    for n, expected in ((5, 1), (6, 0)):
        y = np.zeros(n)
        a, b = (estimate_metrics("regression", [PredictedFold(y, y + p, names(n))])["mae"] for p in (1, 2))
        assert paired_p_value(a, b) == expected


def test_models_on_other_groups_are_compared_without_pairs():
    rng = np.random.default_rng(0)
    errors = abs(rng.normal(size=(2, 300))) + np.array([[0], [0.1]])
    labels = [[f"{k}{n}" for n in names(300)] for k in "ab"]
    a, b = (
        estimate_metrics("regression", [PredictedFold(np.zeros(300), e, g)])["mae"]
        for e, g in zip(errors, labels, strict=True)
    )
    assert paired_p_value(a, b) == pytest.approx(stats.ttest_ind(*errors, equal_var=False).pvalue, rel=0.02)


def made(value: float, own: float) -> Estimate:
    """An estimate whose difference to another has the standard error |own - other's own|."""
    return Estimate(value, None, None, 100, "", (value,), (0,), own * np.tile([1, -1], 50) * np.sqrt(99) / 100, "same")


def test_ranks_by_hand():
    """a and b tie, b and c tie, a beats c; d is beaten by all; e has no value."""
    models = {
        "a": made(0.0, 0.0),
        "b": made(1.5, 1.0),
        "c": made(3.0, 0.2),
        "d": made(9.0, 0.1),
        "e": Estimate(None, None, None, 100, "none"),
    }
    found = rank_models(models, higher_is_better=False)
    assert {m: (r.low, r.high, r.tied_with) for m, r in found.items()} == {
        "a": (1, 2, ("b",)),
        "b": (1, 3, ("a", "c")),
        "c": (2, 3, ("b",)),
        "d": (4, 4, ()),
    }
    assert rank_models({}, True) == {}


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.booleans())
def test_ranks_hold_together(seed, n, higher):
    rng = np.random.default_rng(seed)
    models = {str(i): made(v, own) for i, (v, own) in enumerate(zip(rng.normal(0, 3, n), rng.random(n), strict=True))}
    found = rank_models(models, higher)
    for name, rank in found.items():
        assert 1 <= rank.low <= rank.high <= n
        assert rank.high - rank.low == len(rank.tied_with)
        assert all(name in found[other].tied_with for other in rank.tied_with)
    assert min(rank.low for rank in found.values()) == 1


def ties(repeats: int, groups: int, seed: int) -> float:
    """How often two models of equal worth tie."""
    rng = np.random.default_rng(seed)
    tied = 0
    for _ in range(repeats):
        shared, labels = correlated(rng, groups)
        y = np.zeros_like(shared)
        a, b = (
            estimate_metrics("regression", [PredictedFold(y, shared + correlated(rng, groups)[0], labels)])["mae"]
            for _ in "ab"
        )
        tied += paired_p_value(a, b) > 0.05
    return tied / repeats


def test_equal_models_tie():
    assert ties(300, groups=200, seed=2) >= 0.91


def trained(rng, seeds: int, folds: int = 1, noise: float = 0.1, shift: float = 0.0) -> Estimate:
    """The error of a model on the same 200 test rows a fold: each training has an error of its own."""
    hard = np.random.default_rng(0).gamma(1.0, 1.0, (folds, 1, 200))  # the rows of a fold are the same for all models
    errors = hard * (1 + shift + noise * rng.normal(size=(folds, seeds, 1))) + rng.gamma(1, 0.1, (folds, seeds, 200))
    means = errors.mean(axis=2)  # (folds, seeds)
    influence = (errors.mean(axis=1) - means.mean(axis=1, keepdims=True)).ravel() / errors.shape[2] / folds
    places = tuple(np.repeat(np.arange(folds), seeds).tolist())
    return Estimate(float(means.mean()), None, None, 200 * folds, "", tuple(means.ravel()), places, influence, "same")


def told_apart(seeds: int, folds: int = 1, models: int = 2, repeats: int = 400) -> float:
    """In how many tables of equal models some differ."""
    rng = np.random.default_rng(0)
    tables = (rank_models({str(k): trained(rng, seeds, folds) for k in range(models)}, False) for _ in range(repeats))
    return sum(any(rank.high < models for rank in table.values()) for table in tables) / repeats


def test_siblings_of_one_model_are_not_told_apart():
    """With one run each they are: it is two networks that are compared. Seeds, or folds, say how networks differ."""
    assert told_apart(seeds=1, repeats=100) > 0.5
    assert told_apart(seeds=5) <= 0.07
    assert told_apart(seeds=2) <= 0.07
    assert told_apart(seeds=3, models=4, repeats=200) <= 0.07
    assert told_apart(seeds=1, folds=5, repeats=200) <= 0.07
    assert told_apart(seeds=2, folds=3, repeats=200) <= 0.07


def test_a_better_model_is_told_from_a_worse_one_with_seeds_and_folds():
    rng = np.random.default_rng(0)
    for seeds, folds in ((5, 1), (1, 5)):
        a, b = (trained(rng, seeds, folds, noise=0.02, shift=shift) for shift in (0.0, 0.2))
        assert paired_p_value(a, b) < 1e-3


def test_seeds_alone_are_compared_by_welchs_test():
    """Where rows hardly vary, the p-value is that of the seeds' scores."""
    scores = np.array([[1.0, 1.3, 1.1, 1.4], [1.5, 1.9, 1.6, 1.4]])
    rows = np.random.default_rng(0).uniform(-1e-6, 1e-6, 50)
    a, b = (
        estimate_metrics("regression", [PredictedFold(np.zeros(50), s + rows, names(50)) for s in of_model])["mae"]
        for of_model in scores
    )
    assert paired_p_value(a, b) == pytest.approx(stats.ttest_ind(*scores, equal_var=False).pvalue, rel=1e-3)


def test_folds_alone_are_compared_by_a_paired_test():
    scores = np.array([[1.0, 1.3, 1.1, 1.4], [1.05, 1.32, 1.19, 1.42]])
    rows = np.random.default_rng(0).uniform(-1e-6, 1e-6, 50)
    a, b = (
        estimate_metrics(
            "regression",
            [PredictedFold(np.zeros(50), s + rows, [f"{k}{g}" for g in names(50)], k) for k, s in enumerate(of_model)],
        )["mae"]
        for of_model in scores
    )
    assert paired_p_value(a, b) == pytest.approx(stats.ttest_rel(*scores).pvalue, rel=1e-3)
