"""What interval bars, rank lines and the shades of the periodic table show of their values."""

import re

import numpy as np
import pytest

from leaderboard.board import ErrorClass, MetricValue
from leaderboard.site.periodic_table import periodic_table
from leaderboard.site.svg_figures import interval_bar, interval_span


def test_one_value_far_above_the_others_does_not_shrink_their_bars():
    values = [MetricValue(v, v - 0.1, v + 0.1) for v in (1.0, 1.2, 1.4, 1.6)]
    assert interval_span(values) == pytest.approx((0.9, 1.7))
    low, high = interval_span([*values, MetricValue(1e6, 1e5, 1e7)]) or (0, 0)
    assert (low, high) == pytest.approx((0.9, 0.9 + 2.5 * (1.5 - 0.9)))
    bar = interval_bar(MetricValue(1e6, 1e5, 1e7), (low, high), False, 100)
    assert "beyond" in bar  # an arrow, no dot
    assert "circle" not in bar
    assert interval_span([MetricValue(None, None, None)]) is None
    assert interval_span([MetricValue(1.0, None, None)]) == (0.5, 1.5)


def test_shades_are_the_same_for_every_model_and_grow_with_the_error():
    errors = dict(zip(("H", "He", "Li", "Be", "B", "C"), np.geomspace(0.01, 1, 6), strict=True))
    classes = [ErrorClass(symbol, 5, {"good": e, "bad": 10 * e}) for symbol, e in errors.items()]
    classes.append(ErrorClass("N", 5, {"bad": 1.0}))

    def shades(model: str) -> dict[str, str]:
        return dict(re.findall(r'data-symbol="(\w+)" class="(\w+)"', periodic_table(classes, (), model, "error", "eV")))

    good, bad = shades("good"), shades("bad")
    levels = [good[symbol] for symbol in errors]
    assert levels == sorted(levels)
    assert (levels[0], good["N"], good["Og"]) == ("q0", "none", "none")
    assert bad["C"] == "q6"
    assert all(bad[symbol] > good[symbol] for symbol in errors)
    assert shades("good")["C"] == bad["N"]  # an error of 1 has one shade, whoever made it
