import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from leaderboard.scoring import inference
from leaderboard.scoring.inference import (
    RESAMPLES,
    Estimate,
    GroupResamples,
    PredictedFold,
    bca_interval,
    estimate_metrics,
    holm_significant,
    paired_p_value,
    rank_models,
)
from leaderboard.scoring.metrics import METRICS


def names(n: int) -> list[str]:
    return [f"group {i}" for i in range(n)]


def weights_of(resamples: GroupResamples, width: int = 1):
    return np.concatenate(list(resamples.weights(width)))


def correlated(rng, groups: int, rows: int = 5, spread: float = 1.0):
    """Errors (n,) with a part that rows of a group share, and the groups."""
    errors = np.repeat(rng.normal(0, spread, groups), rows) + rng.normal(0, 0.5, groups * rows)
    return errors, np.repeat(names(groups), rows).tolist()


def test_a_resample_draws_as_many_groups_as_there_are():
    weights = weights_of(GroupResamples(names(37)))
    assert weights.shape == (RESAMPLES, 37)
    assert (weights.sum(axis=1) == 37).all()
    # Each group is drawn a binomial number of times: a chi-squared test over all draws.
    observed = np.bincount(weights.astype(int).ravel(), minlength=5)
    expected = stats.binom.pmf(np.arange(4), 37, 1 / 37) * weights.size
    chi2 = ((observed[:4] - expected) ** 2 / expected).sum()
    assert stats.chi2.sf(chi2, 3) > 1e-3


@given(st.lists(st.text(max_size=5), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_resamples_depend_on_the_set_of_groups_alone(groups, random):
    one = GroupResamples(groups)
    other = GroupResamples(random.sample(groups, len(groups)) + groups[:3])
    assert one.names == other.names
    assert (weights_of(one) == weights_of(other)).all()
    assert [one.names[i] for i in one.index(groups)] == groups


def test_resamples_do_not_depend_on_how_many_fit_into_memory(monkeypatch):
    whole = weights_of(GroupResamples(names(11)))
    assert (whole == weights_of(GroupResamples(names(11)), width=10_000)).all()
    monkeypatch.setattr(inference, "CHUNK", 70)
    assert (whole == weights_of(GroupResamples(names(11)))).all()


def test_resamples_of_today_are_those_of_tomorrow():
    """A published interval must come out again: the draw is a format, not a detail."""
    assert weights_of(GroupResamples(["a", "b", "c"]))[:4].astype(int).tolist() == [
        [1, 2, 0],
        [1, 1, 1],
        [0, 1, 2],
        [1, 2, 0],
    ]


def test_other_groups_other_draws():
    assert (weights_of(GroupResamples(["a", "b"])) != weights_of(GroupResamples(["a", "c"]))).any()
    assert GroupResamples(["a\nb"]).names != GroupResamples(["a", "b"]).names


def test_the_interval_is_that_of_scipy():
    """scipy's BCa bootstrap of skewed errors, with a group a row, up to the noise of a thousand draws."""
    rng = np.random.default_rng(0)
    y, p = np.zeros(300), rng.lognormal(0, 1.2, 300)
    ours = estimate_metrics("regression", [PredictedFold(y, p, names(300))])["mae"]
    theirs = stats.bootstrap((p,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1))
    theirs, plain = (
        theirs.confidence_interval,
        stats.bootstrap((p,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)),
    )
    width = theirs.high - theirs.low
    assert ours.value == pytest.approx(p.mean(), rel=1e-14)
    assert ours.low == pytest.approx(theirs.low, abs=0.06 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.06 * width)
    assert theirs.high - plain.confidence_interval.high > 0.07 * width  # else the test could not tell


@pytest.mark.parametrize("kind", METRICS)
def test_influence_is_the_jackknife(kind):
    """By leaving groups out, one by one; of the ROC-AUC the same to the first order."""
    rng = np.random.default_rng(3)
    n, groups = 400, 80
    group = rng.integers(0, groups, n)
    y = rng.normal(size=n) if kind == "regression" else rng.integers(0, 2, n).astype(float)
    p = np.round(np.clip(0.3 * y + 0.7 * rng.random(n), 0, 1), 2)
    for metric in METRICS[kind]:
        without = np.array([metric(y[group != g], p[group != g]) for g in range(groups)])
        expected = (without.mean() - without) * (groups - 1) / groups
        found = metric.influence(y, p, group, groups)
        assert found.sum() == pytest.approx(0, abs=1e-12)
        assert np.abs(found - expected).max() < (0.06 if metric.name == "roc_auc" else 1e-12) * np.abs(expected).max()


def delong_by_pairs(y, p, q):
    """Variances and covariance of two areas, from all pairs of rows (DeLong et al. 1988, equations 4 to 6)."""
    components = []
    for s in (p, q):
        wins = np.subtract.outer(s[y == 1], s[y == 0])
        wins = np.where(wins > 0, 1.0, np.where(wins == 0, 0.5, 0.0))
        components.append((wins.mean(), wins.mean(axis=1), wins.mean(axis=0)))
    (a, a1, a0), (b, b1, b0) = components
    return a, b, np.cov(a1, b1) / len(a1) + np.cov(a0, b0) / len(a0)


def test_the_area_has_the_error_of_delong():
    rng = np.random.default_rng(5)
    y = rng.integers(0, 2, 500).astype(float)
    p, q = (np.round(np.clip(0.25 * y + 0.75 * rng.random(500), 0, 1), 2) for _ in "pq")
    q = (p + q) / 2
    a, b = (estimate_metrics("binary", [PredictedFold(y, s, names(500))])["roc_auc"] for s in (p, q))
    first, second, covariance = delong_by_pairs(y, p, q)
    assert (a.value, b.value) == pytest.approx((first, second), rel=1e-12)
    error = np.sqrt(covariance[0, 0])
    logit, width = np.log(first / (1 - first)), 1.96 * error / (first * (1 - first))
    assert (a.low, a.high) == pytest.approx(1 / (1 + np.exp(-np.array([logit - width, logit + width]))), rel=1e-3)
    z = (first - second) / np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert paired_p_value(a, b) == pytest.approx(2 * stats.t.sf(abs(z), 499), rel=0.03)


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
        uncorrected += any(paired_p_value(a, b) < 0.05 for a in models.values() for b in models.values() if a is not b)
    assert false / 200 < 0.08
    assert uncorrected / 200 > 0.4


def test_rows_of_one_group_are_one_draw():
    """Five copies of each row tell nothing new: the interval stays as wide as that of single rows."""
    rng = np.random.default_rng(0)
    y, p = rng.normal(size=100), rng.normal(size=100)
    once = estimate_metrics("regression", [PredictedFold(y, p, names(100))])["mae"]
    copied = estimate_metrics(
        "regression", [PredictedFold(np.repeat(y, 5), np.repeat(p, 5), np.repeat(names(100), 5).tolist())]
    )["mae"]
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high), rel=1e-12)
    apart = estimate_metrics("regression", [PredictedFold(np.repeat(y, 5), np.repeat(p, 5), names(500))])["mae"]
    assert apart.high - apart.low < 0.6 * (once.high - once.low)


def test_runs_are_scored_one_by_one_and_averaged():
    rng = np.random.default_rng(0)
    folds = [
        PredictedFold(rng.normal(size=n), rng.normal(size=n), [f"{k} {g}" for g in names(n)])
        for k, n in enumerate((30, 80))
    ]
    both = estimate_metrics("regression", folds)["r2"]
    alone = [estimate_metrics("regression", [fold])["r2"] for fold in folds]
    assert both.value == pytest.approx(np.mean([a.value for a in alone]), rel=1e-13)
    assert both.groups == 110
    # Seeds on the same test rows share their resamples: the same predictions twice are no more certain than once.
    twice = estimate_metrics("regression", [folds[0], folds[0]])["r2"]
    assert (twice.low, twice.high) == pytest.approx((alone[0].low, alone[0].high), rel=1e-12)


@pytest.mark.parametrize(
    ("kind", "y", "p", "name", "reason"),
    [
        ("regression", [1, 1, 1.0], [1, 2, 3.0], "r2", "the labels are all equal"),
        ("binary", [1, 1, 1.0], [0.1, 0.2, 0.3], "roc_auc", "the labels are all of one class"),
        ("binary", [0, 0, 0.0], [0.1, 0.2, 0.3], "f1", "no row is of class 1, neither by label nor by prediction"),
        ("regression", [1, 1, 2.0], [1, 1e300, 3.0], "rmse", "its value is too large for a floating-point number"),
    ],
)
def test_no_value_has_a_reason(kind, y, p, name, reason):
    estimate = estimate_metrics(kind, [PredictedFold(np.array(y), np.array(p), names(3))])[name]
    assert (estimate.value, estimate.low, estimate.high, estimate.reason) == (None, None, None, reason)


def test_no_interval_has_a_reason():
    one = estimate_metrics("regression", [PredictedFold(np.array([1, 2.0]), np.array([1, 3.0]), ["Ag", "Ag"])])["mae"]
    assert (one.value, one.low, one.high, one.reason) == (0.5, None, None, "one group of rows has no interval")
    rare = estimate_metrics(
        "binary", [PredictedFold(np.array([1, 0, 0, 0.0]), np.array([0.9, 0.2, 0.3, 0.4]), names(4))]
    )["roc_auc"]
    assert (rare.value, rare.low, rare.reason) == (1.0, None, "too few rows for an interval")


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
    return Estimate(value, None, None, 100, "", own * np.tile([1, -1], 50) * np.sqrt(99) / 100, "same")


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


def test_replicates_without_a_value_do_not_spoil_the_interval():
    replicates = np.arange(1000.0)
    replicates[::25] = np.nan
    low, high = bca_interval(499.5, replicates, np.zeros(100))  # neither bias nor skew: the percentiles
    assert (low, high) == pytest.approx((25, 975), abs=3)
    replicates[::20] = np.nan
    assert bca_interval(499.5, replicates, np.zeros(100)) is None
    assert bca_interval(1.0, np.full(10, np.inf), np.zeros(100)) is None


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30), st.floats(0, 1))
def test_a_quantile_is_numpys_to_the_last_bit(values, share):
    ordered = np.sort(values)
    assert inference._quantile(ordered, share) == np.quantile(ordered, share)


def test_many_groups_are_merged_into_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    y, p = np.zeros(4000), rng.lognormal(size=4000)
    whole = estimate_metrics("regression", [PredictedFold(y, p, names(4000))])["mae"]
    monkeypatch.setattr(inference, "BLOCKS", 500)
    merged = estimate_metrics("regression", [PredictedFold(y, p, names(4000))])["mae"]
    assert merged.groups == 4000
    assert len(merged.influence) == 500
    assert merged.value == whole.value
    assert merged.high - merged.low == pytest.approx(whole.high - whole.low, rel=0.15)


def coverage(repeats: int, groups: int, seed: int) -> float:
    """How often the interval of the mean absolute error holds the true one, rows of a group being alike."""
    rng = np.random.default_rng(seed)
    truth = np.sqrt(2 / np.pi) * np.hypot(1.0, 0.5)  # of a normal error
    hits = 0
    for i in range(repeats):
        errors, labels = correlated(rng, groups)
        labels = [f"{i} {label}" for label in labels]  # else every repeat would draw the same resamples
        mae = estimate_metrics("regression", [PredictedFold(np.zeros_like(errors), errors, labels)])["mae"]
        hits += mae.low <= truth <= mae.high
    return hits / repeats


def ties(repeats: int, groups: int, seed: int) -> float:
    """How often two models of equal worth tie."""
    rng = np.random.default_rng(seed)
    tied = 0
    for i in range(repeats):
        shared, labels = correlated(rng, groups)
        labels = [f"{i} {label}" for label in labels]
        y = np.zeros_like(shared)
        a, b = (
            estimate_metrics("regression", [PredictedFold(y, shared + correlated(rng, groups)[0], labels)])["mae"]
            for _ in "ab"
        )
        tied += paired_p_value(a, b) > 0.05
    return tied / repeats


def test_coverage_roughly():
    assert 0.90 <= coverage(300, groups=200, seed=1) <= 0.99
    assert ties(200, groups=200, seed=2) >= 0.90


@pytest.mark.slow
def test_coverage():
    assert 0.93 <= coverage(2000, groups=200, seed=3) <= 0.97
    assert ties(2000, groups=200, seed=4) >= 0.94


def test_ten_thousand_rows_take_a_second():
    rng = np.random.default_rng(0)
    y = rng.normal(size=10_000)
    p, groups = y + rng.normal(size=10_000), rng.choice(names(8000), 10_000).tolist()
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        estimate_metrics("regression", [PredictedFold(y, p, groups)])
        estimate_metrics("binary", [PredictedFold((y > 0).astype(float), 1 / (1 + np.exp(-p)), groups)])
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 2, seconds


@pytest.mark.slow
def test_a_million_rows_fit_a_small_machine():
    rng = np.random.default_rng(0)
    y = rng.normal(size=1_000_000)
    p, groups = y + rng.normal(size=len(y)), [f"g{i}" for i in rng.integers(0, 400_000, len(y))]
    runs = {
        "regression": PredictedFold(y, p, groups),
        "binary": PredictedFold((y > 0).astype(float), 1 / (1 + np.exp(-p)), groups),
    }
    for kind, run in runs.items():
        tracemalloc.start()
        estimate_metrics(kind, [run])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 500e6
        start = time.perf_counter()
        estimate_metrics(kind, [run])
        print(f"{kind}: {time.perf_counter() - start:.1f} s, {peak / 1e6:.0f} MB")


def test_scoring_imports_nothing_heavy():
    code = (
        "import sys, leaderboard.scoring, leaderboard.records;"
        "print(sorted({'torch', 'scipy', 'sklearn', 'pandas', 'polars', 'pymatgen', 'ase'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
