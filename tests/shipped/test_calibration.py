"""Intervals of shipped models: they hold what they promise, and do not depend on the cell."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asugnn import Crystal
from leaderboard.shipped.calibration import (
    Calibration,
    calibrate,
    calibrate_classes,
    calibrate_uncertainty,
    conformal_quantile,
    describe_crystals,
)

ELEMENTS = {"Na": 1000, "Cl": 900, "Cs": 12}
SALT = Crystal(4.0 * (np.ones((3, 3)) - np.eye(3)) / math.sqrt(2), [[0, 0, 0], [0.5, 0.5, 0.5]], [11, 17])


@given(st.integers(1, 60), st.floats(0.5, 0.99))
def test_the_quantile_is_the_smallest_score_that_enough_are_below(n: int, level: float):
    scores = np.random.default_rng(n).permutation(np.arange(1.0, n + 1))
    q = conformal_quantile(scores, level)
    # A new score is equally likely in each of the n + 1 gaps: those below q must be `level` of them.
    assert (q == math.inf) == (n / (n + 1) < level - 1e-12)
    if q < math.inf:
        assert q / (n + 1) >= level - 1e-12 > (q - 1) / (n + 1) - 1e-9


def test_intervals_hold_nine_in_ten_and_are_wider_where_errors_are_larger():
    rng = np.random.default_rng(0)
    covered, narrow, wide = [], [], []
    for _ in range(30):
        rare = rng.uniform(0, 8, size=3000)
        terms = np.stack([np.ones(3000), rare, *rng.normal(size=(3, 3000))], axis=1)
        errors = np.abs(rng.standard_t(3, size=3000)) * np.exp(-0.4 * rare)
        calibration = calibrate([str(i) for i in range(1000)], errors[:1000], terms[:1000])
        half = calibration.ends(np.zeros(2000), terms[1000:])[1]
        covered.append(np.mean(errors[1000:] <= half))
        narrow.append(half[rare[1000:] > 7].mean())
        wide.append(half[rare[1000:] < 1].mean())
    assert np.mean(covered) == pytest.approx(0.9, abs=0.01)
    assert np.mean(wide) > 5 * np.mean(narrow)  # the errors themselves: 11 times as large


def test_sets_of_classes_hold_nine_in_ten():
    rng = np.random.default_rng(0)
    p = rng.uniform(size=20_000)
    y = (rng.uniform(size=20_000) < p).astype(float)
    calibration = calibrate_classes(p[:10_000], y[:10_000])
    assert np.mean(np.abs(y - p)[10_000:] <= calibration.quantiles[0]) == pytest.approx(0.9, abs=0.01)


def test_what_the_width_depends_on_is_no_matter_of_the_cell():
    fewer = describe_crystals([SALT], np.array([-2.0]), ELEMENTS)
    doubled = Crystal(SALT.lattice * [[2], [1], [1]],
                      np.concatenate([SALT.frac_coords * [0.5, 1, 1], SALT.frac_coords * [0.5, 1, 1] + [0.5, 0, 0]]),
                      [11, 17, 11, 17])  # fmt: skip
    np.testing.assert_allclose(describe_crystals([doubled], np.array([-2.0]), ELEMENTS), fewer)
    assert fewer.tolist() == [[1.0, math.log1p(900), math.log(2), math.log(SALT.volume / 2), math.log(2.02)]]


def test_intervals_hold_nine_in_ten_whatever_the_magnitude():
    """As of gaps: near 0 they are those of metals and predicted well, others are not, the largest least of all."""
    rng = np.random.default_rng(0)
    predicted = np.concatenate([rng.uniform(0, 0.03, 6000), rng.uniform(0.1, 8, 6000)])
    errors = np.abs(rng.normal(size=12000)) * np.minimum(0.5, 0.01 + predicted) * np.where(predicted > 7, 3, 1)
    terms = describe_crystals([SALT] * 12000, predicted, ELEMENTS)
    learnt = rng.permutation(12000)[:6000]
    least = {}
    for groups in (1, 8):
        found = calibrate([str(i) for i in range(6000)], errors[learnt], terms[learnt], groups)
        inside = predicted + errors <= found.ends(predicted, terms)[1]
        assert np.mean(inside) == pytest.approx(0.9, abs=0.02)
        least[groups] = min(np.mean(inside[np.digitize(predicted, [0.02, 0.5, 4, 7]) == k]) for k in range(5))
    assert least[8] > 0.75
    assert least[1] < 0.7


def test_intervals_by_the_range_that_a_model_states_hold_nine_in_ten_and_are_lopsided_as_it_is():
    """Errors above are ten times as large as below; the model knows so, but takes all for half as large as they are."""
    rng = np.random.default_rng(0)
    size = rng.uniform(0.1, 3, 6000)
    predicted = rng.uniform(0, 8, 6000)
    errors = np.abs(rng.normal(size=6000)) * size * np.where(rng.uniform(size=6000) < 0.5, 1, -0.1)
    ranges = size[:, None] * [0.1, 1.0] * conformal_quantile(np.abs(rng.normal(size=6000)), 0.9) / 2
    found = calibrate_uncertainty(errors[:3000], ranges[:3000], predicted[:3000])
    low, high = found.ends(predicted[3000:], ranges[3000:])
    y = (predicted + errors)[3000:]
    assert np.mean((low <= y) & (y <= high)) == pytest.approx(0.9, abs=0.015)
    np.testing.assert_allclose(high - predicted[3000:], 10 * (predicted[3000:] - low))
    assert found.quantiles == pytest.approx([2.0] * len(found.quantiles), rel=0.15)
    assert found.coefficients == ()


def test_few_crystals_are_one_group():
    rng = np.random.default_rng(0)
    terms = describe_crystals([SALT] * 300, rng.uniform(0, 3, 300), ELEMENTS)
    assert calibrate([str(i) for i in range(300)], np.abs(rng.normal(size=300)), terms).edges == ()


@pytest.mark.parametrize(("quantiles", "edges", "coefficients"), [
    ((1.0,), (), (0.0,)), ((1.0,), (), (0.0,) * 6), ((1.0,), (2.0,), ()), ((), (), ()), ((1.0,) * 3, (2.0, 1.0), ()),
    ((-1.0,), (), ()), ((math.nan,), (), ()),
])  # fmt: skip
def test_a_calibration_that_does_not_fit_is_refused(quantiles: tuple, edges: tuple, coefficients: tuple):
    with pytest.raises(ValueError, match=r"^calibration\."):
        Calibration(quantiles, edges, coefficients)


def test_too_few_validation_crystals_give_no_finite_interval():
    assert Calibration((conformal_quantile(np.ones(8), 0.9),)).quantiles == (math.inf,)
