import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as reference

from leaderboard.scoring.metrics import METRICS

ALL = {metric.name: metric for kind in METRICS.values() for metric in kind}
REFERENCE = {
    "mae": reference.mean_absolute_error,
    "rmse": reference.root_mean_squared_error,
    "r2": reference.r2_score,
    "roc_auc": reference.roc_auc_score,
    "accuracy": lambda y, p, **kw: reference.accuracy_score(y, p >= 0.5, **kw),
    "f1": lambda y, p, **kw: reference.f1_score(y, p >= 0.5, **kw),
}
seeds = st.integers(0, 2**32 - 1)


def sample(name: str, seed: int, n: int, ties: bool):
    """Labels and predictions fit for a metric; with ties, few values occur."""
    rng = np.random.default_rng(seed)
    if name in {"roc_auc", "accuracy", "f1"}:
        y = (rng.random(n) < rng.uniform(0.2, 0.8)).astype(float)
        y[:2] = 0, 1
        p = np.clip(0.3 * y + 0.7 * rng.random(n), 0, 1)
        return y, np.round(p * 4) / 4 if ties else p
    y = rng.normal(rng.normal(0, 10), 1, n)
    return y, y + rng.normal(0, rng.uniform(0.01, 2), n)


def test_the_primary_metric_comes_first():
    assert [m.name for m in METRICS["regression"]] == ["mae", "rmse", "r2"]
    assert [m.name for m in METRICS["binary"]] == ["roc_auc", "accuracy", "f1"]
    assert {m.name for m in ALL.values() if not m.higher_is_better} == {"mae", "rmse"}
    assert {m.name for m in ALL.values() if m.has_unit} == {"mae", "rmse"}


@pytest.mark.parametrize("name", ALL)
@given(seed=seeds, n=st.integers(3, 300), ties=st.booleans())
def test_equal_to_scikit_learn(name, seed, n, ties):
    y, p = sample(name, seed, n, ties)
    assert ALL[name](y, p) == pytest.approx(REFERENCE[name](y, p), rel=1e-12, abs=1e-12)


@given(
    y=arrays(float, 30, elements=st.sampled_from([0.0, 1.0])),
    p=arrays(float, 30, elements=st.floats(0, 1, width=16)),
)
def test_roc_auc_is_the_share_of_pairs_in_order(y, p):
    """Against its definition, pair by pair."""
    pairs = [(a > b) + 0.5 * (a == b) for a in p[y == 1] for b in p[y == 0]]
    expected = np.mean(pairs) if pairs else np.nan
    assert ALL["roc_auc"](y, p) == pytest.approx(expected, rel=1e-14, nan_ok=True)


def test_roc_auc_is_no_balanced_accuracy():
    y = np.array([0, 0, 0, 1, 1, 1.0])
    p = np.array([0.1, 0.2, 0.6, 0.55, 0.7, 0.9])
    assert ALL["roc_auc"](y, p) == pytest.approx(8 / 9)
    assert reference.balanced_accuracy_score(y, p >= 0.5) == pytest.approx(5 / 6)
    # Ranks do not feel a shift that moves every row over the threshold; the accuracy does.
    assert ALL["roc_auc"](y, p / 10) == ALL["roc_auc"](y, p)
    assert ALL["accuracy"](y, p / 10) == 0.5


def test_by_hand():
    y, p = np.array([0.0, 1, 2, 5]), np.array([1.0, 1, 0, 5])
    assert ALL["mae"](y, p) == 3 / 4
    assert ALL["rmse"](y, p) == np.sqrt(5 / 4)
    assert ALL["r2"](y, p) == pytest.approx(1 - 5 / 14)
    y, p = np.array([0, 0, 1, 1.0]), np.array([0.2, 0.5, 0.5, 0.4])  # 0.5 says class 1
    assert ALL["roc_auc"](y, p) == 2.5 / 4
    assert ALL["accuracy"](y, p) == 2 / 4
    assert ALL["f1"](y, p) == 2 / 4


@pytest.mark.parametrize(
    ("name", "y", "p"),
    [
        ("r2", [0.1] * 7, [0, 1, 2, 3, 4, 5, 6.0]),
        ("r2", [3.0], [3.0]),
        ("roc_auc", [1, 1, 1.0], [0.1, 0.2, 0.3]),
        ("roc_auc", [0.0], [0.3]),
        ("f1", [0, 0, 0.0], [0.1, 0.2, 0.3]),
        ("mae", [], []),
        ("r2", [], []),
        ("roc_auc", [], []),
        ("mae", [-1e308, 1.0], [1e308, 1e308]),
        ("rmse", [0.0, 1.0], [1e200, 0]),
        ("r2", [0.0, 1.0], [1e200, 0]),
        ("r2", [0.0, 1.0], [np.inf, 0]),
    ],
)
def test_what_is_undefined_is_nan_without_a_warning(name, y, p):
    assert np.isnan(ALL[name](np.array(y, dtype=float), np.array(p, dtype=float)))
    assert ALL[name].why_undefined(np.array(y, dtype=float), np.array(p, dtype=float))


def test_no_true_positive_is_an_f1_of_zero():
    assert ALL["f1"](np.array([0, 1.0]), np.array([0.9, 0.1])) == 0


@example(seed=0)
@given(seed=seeds)
def test_r2_of_labels_far_from_zero(seed):
    """The spread is a difference of large sums unless the labels are centred first."""
    y, p = sample("r2", seed, 50, False)
    assert ALL["r2"](y + 1e6, p + 1e6) == pytest.approx(reference.r2_score(y + 1e6, p + 1e6), rel=1e-12, abs=1e-12)


def test_inputs_are_not_changed():
    for kind, metrics in METRICS.items():
        y, p = np.array([0, 1, 1.0]), np.array([0.3, 0.2, 0.9])
        group = np.array([0, 1, 1])
        for array in (y, p, group):
            array.setflags(write=False)
        for metric in metrics:
            assert np.isfinite(metric.evaluate(y, p, group, 2)[0]), kind
