import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from leaderboard import statistics
from leaderboard.metrics import METRICS
from leaderboard.statistics import RESAMPLES, Estimate, Resamples, Run, compare, interval, ranks, score


def names(n: int) -> list[str]:
    return [f"group {i}" for i in range(n)]


def weights_of(resamples: Resamples, width: int = 1):
    return np.concatenate(list(resamples.weights(width)))


def correlated(rng, groups: int, rows: int = 5, spread: float = 1.0):
    """Errors (n,) with a part that rows of a group share, and the groups."""
    errors = np.repeat(rng.normal(0, spread, groups), rows) + rng.normal(0, 0.5, groups * rows)
    return errors, np.repeat(names(groups), rows).tolist()


def test_a_resample_draws_as_many_groups_as_there_are():
    weights = weights_of(Resamples(names(37)))
    assert weights.shape == (RESAMPLES, 37)
    assert (weights.sum(axis=1) == 37).all()
    # Each group is drawn a binomial number of times: a chi-squared test over all draws.
    observed = np.bincount(weights.astype(int).ravel(), minlength=5)
    expected = stats.binom.pmf(np.arange(4), 37, 1 / 37) * weights.size
    chi2 = ((observed[:4] - expected) ** 2 / expected).sum()
    assert stats.chi2.sf(chi2, 3) > 1e-3


@given(st.lists(st.text(max_size=5), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_resamples_depend_on_the_set_of_groups_alone(groups, random):
    one = Resamples(groups)
    other = Resamples(random.sample(groups, len(groups)) + groups[:3])
    assert one.names == other.names
    assert (weights_of(one) == weights_of(other)).all()
    assert [one.names[i] for i in one.index(groups)] == groups


def test_resamples_do_not_depend_on_how_many_fit_into_memory(monkeypatch):
    whole = weights_of(Resamples(names(11)))
    assert (whole == weights_of(Resamples(names(11)), width=10_000)).all()
    monkeypatch.setattr(statistics, "CHUNK", 70)
    assert (whole == weights_of(Resamples(names(11)))).all()


def test_resamples_of_today_are_those_of_tomorrow():
    """A published interval must come out again: the draw is a format, not a detail."""
    assert weights_of(Resamples(["a", "b", "c"]))[:4].astype(int).tolist() == [
        [1, 2, 0],
        [1, 1, 1],
        [0, 1, 2],
        [1, 2, 0],
    ]


def test_other_groups_other_draws():
    assert (weights_of(Resamples(["a", "b"])) != weights_of(Resamples(["a", "c"]))).any()
    assert Resamples(["a\nb"]).names != Resamples(["a", "b"]).names


def test_the_interval_is_that_of_scipy():
    """scipy's percentile bootstrap, with a group a row, up to the noise of a thousand draws."""
    rng = np.random.default_rng(0)
    y, p = rng.normal(size=400), rng.normal(size=400)
    ours = score("regression", [Run(y, p, names(400))])["mae"]
    theirs = stats.bootstrap(
        (abs(y - p),), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.value == pytest.approx(abs(y - p).mean(), rel=1e-14)
    assert ours.low == pytest.approx(theirs.low, abs=0.06 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.06 * width)


def test_every_replicate_is_the_metric_of_the_repeated_rows():
    rng = np.random.default_rng(3)
    groups = rng.choice(names(12), 60).tolist()
    resamples = Resamples(groups)
    for kind, y in (("regression", rng.normal(size=60)), ("binary", rng.integers(0, 2, 60).astype(float))):
        p = rng.random(60)
        estimates = score(kind, [Run(y, p, groups)])
        assert list(estimates) == [m.name for m in METRICS[kind]]
        for b, weights in list(enumerate(weights_of(resamples)))[::100]:
            rows = np.repeat(np.arange(60), weights.astype(int)[resamples.index(groups)])
            for metric in METRICS[kind]:
                assert estimates[metric.name].replicates[b] == pytest.approx(metric(y[rows], p[rows]), rel=1e-12)


def test_rows_of_one_group_are_one_draw():
    """Five copies of each row tell nothing new: the interval stays as wide as that of single rows."""
    rng = np.random.default_rng(0)
    y, p = rng.normal(size=100), rng.normal(size=100)
    once = score("regression", [Run(y, p, names(100))])["mae"]
    copied = score("regression", [Run(np.repeat(y, 5), np.repeat(p, 5), np.repeat(names(100), 5).tolist())])["mae"]
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high), rel=1e-12)
    apart = score("regression", [Run(np.repeat(y, 5), np.repeat(p, 5), names(500))])["mae"]
    assert apart.high - apart.low < 0.6 * (once.high - once.low)


def test_runs_are_scored_one_by_one_and_averaged():
    rng = np.random.default_rng(0)
    folds = [
        Run(rng.normal(size=n), rng.normal(size=n), [f"{k} {g}" for g in names(n)]) for k, n in enumerate((30, 80))
    ]
    both = score("regression", folds)["r2"]
    alone = [score("regression", [fold])["r2"] for fold in folds]
    assert both.value == pytest.approx(np.mean([a.value for a in alone]), rel=1e-13)
    assert both.groups == 110
    # Seeds on the same test rows share their resamples: the same predictions twice are no more certain than once.
    twice = score("regression", [folds[0], folds[0]])["r2"]
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
    estimate = score(kind, [Run(np.array(y), np.array(p), names(3))])[name]
    assert (estimate.value, estimate.low, estimate.high, estimate.reason) == (None, None, None, reason)


def test_no_interval_has_a_reason():
    one = score("regression", [Run(np.array([1, 2.0]), np.array([1, 3.0]), ["Ag", "Ag"])])["mae"]
    assert (one.value, one.low, one.high, one.reason) == (0.5, None, None, "one group of rows has no interval")
    rare = score("binary", [Run(np.array([1, 0, 0, 0.0]), np.array([0.9, 0.2, 0.3, 0.4]), names(4))])["roc_auc"]
    assert (rare.value, rare.low, rare.reason) == (1.0, None, "too few rows for an interval")


def test_a_better_model_is_told_from_a_worse_one_even_where_intervals_overlap():
    """The comparison is paired: both fail on the same groups."""
    rng = np.random.default_rng(0)
    errors, groups = correlated(rng, 200)
    y = np.zeros_like(errors)
    a, b = (score("regression", [Run(y, p, groups)])["mae"] for p in (errors, 1.05 * errors))
    assert a.high > b.low
    assert (compare(a, b, False), compare(b, a, False)) == (1, -1)
    assert (compare(a, b, True), compare(b, a, True)) == (-1, 1)
    assert compare(a, a, False) == 0


def test_few_groups_cannot_tell_models_apart():
    for n, expected in ((5, 0), (6, 1)):
        y = np.zeros(n)
        a, b = (score("regression", [Run(y, y + p, names(n))])["mae"] for p in (1, 2))
        assert compare(a, b, False) == expected


def test_ranks_by_hand():
    """a and b tie, b and c tie, a beats c; d is beaten by all; e has no value."""
    noise = np.random.default_rng(0).normal(0, 1, (2, RESAMPLES))

    def made(value, own):
        return Estimate(value, None, None, 100, "", value + 0.7 * own)

    models = {
        "a": made(0.0, noise[0]),
        "b": made(1.5, noise[1]),
        "c": made(3.0, noise[0]),
        "d": made(9.0, noise[0]),
        "e": Estimate(None, None, None, 100, "none"),
    }
    found = ranks(models, higher_is_better=False)
    assert {m: (r.low, r.high, r.tied_with) for m, r in found.items()} == {
        "a": (1, 2, ("b",)),
        "b": (1, 3, ("a", "c")),
        "c": (2, 3, ("b",)),
        "d": (4, 4, ()),
    }
    assert ranks({}, True) == {}


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.booleans())
def test_ranks_hold_together(seed, n, higher):
    rng = np.random.default_rng(seed)
    models = {
        str(i): Estimate(v, None, None, 50, "", v + rng.normal(0, 1, RESAMPLES))
        for i, v in enumerate(rng.normal(0, 3, n))
    }
    found = ranks(models, higher)
    for name, rank in found.items():
        assert 1 <= rank.low <= rank.high <= n
        assert rank.high - rank.low == len(rank.tied_with)
        assert all(name in found[other].tied_with for other in rank.tied_with)
    assert min(rank.low for rank in found.values()) == 1


def test_replicates_without_a_value_do_not_spoil_the_interval():
    replicates = np.arange(1000.0)
    replicates[::25] = np.nan
    low, high = interval(replicates)
    assert (low, high) == pytest.approx((25, 975), abs=2)
    replicates[::20] = np.nan
    assert interval(replicates) is None
    assert interval(np.full(10, np.inf)) is None


def coverage(repeats: int, groups: int, seed: int) -> float:
    """How often the interval of the mean absolute error holds the true one, rows of a group being alike."""
    rng = np.random.default_rng(seed)
    truth = np.sqrt(2 / np.pi) * np.hypot(1.0, 0.5)  # of a normal error
    hits = 0
    for i in range(repeats):
        errors, labels = correlated(rng, groups)
        labels = [f"{i} {label}" for label in labels]  # else every repeat would draw the same resamples
        mae = score("regression", [Run(np.zeros_like(errors), errors, labels)])["mae"]
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
        a, b = (score("regression", [Run(y, shared + correlated(rng, groups)[0], labels)])["mae"] for _ in "ab")
        tied += compare(a, b, False) == 0
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
        score("regression", [Run(y, p, groups)])
        score("binary", [Run((y > 0).astype(float), 1 / (1 + np.exp(-p)), groups)])
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 2, seconds


@pytest.mark.slow
def test_a_million_rows_fit_a_small_machine():
    rng = np.random.default_rng(0)
    y = rng.normal(size=1_000_000)
    p, groups = y + rng.normal(size=len(y)), [f"g{i}" for i in rng.integers(0, 400_000, len(y))]
    tracemalloc.start()
    start = time.perf_counter()
    score("binary", [Run((y > 0).astype(float), 1 / (1 + np.exp(-p)), groups)])
    seconds, peak = time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 400e6
    assert seconds < 120


def test_scoring_imports_nothing_heavy():
    code = (
        "import sys, leaderboard.statistics, leaderboard.submission;"
        "print(sorted({'torch', 'scipy', 'sklearn', 'pandas', 'polars', 'pymatgen', 'ase'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
