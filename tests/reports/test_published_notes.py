"""What a board says of predictions that a public board stores."""

from dataclasses import replace

import pytest

from leaderboard.board import MetricValue, Row
from leaderboard.records import PublishedReference
from leaderboard.reports.published_notes import published_notes, stated_differences
from leaderboard.reports.wording import decimals_for


def row(
    model: str, kind: str, metrics: dict[str, float | None], stated: dict[str, float], classes: bool = False
) -> Row:
    values = {name: MetricValue(value, None, None) for name, value in metrics.items()}
    entry = PublishedReference(
        "matbench", f"e_{model}", "0", "936176db18ca4cd7", "A. One", "doi.org/1", stated, classes
    )
    return Row(
        model=model, preset="published", task="m/metal", kind=kind, unit="", n=9, groups=9, runs=("0-0",),
        metrics=values, spread=None, varying="formulas", noise="", seconds_train=None, seconds_predict=None,
        peak_memory_mb=None, parameters=None, device=None, settings={}, versions={}, split="", commit=None, trained=0,
        epochs=None, flat=None, pretrained_on=None, outside=0, leaks=None, training="once", published=entry,
    )  # fmt: skip


def test_stated_scores_that_differ_are_told_to_four_digits():
    metal = row(
        "coNGN", "binary", {"roc_auc": 0.95403, "accuracy": 0.9, "f1": 0.8}, {"roc_auc": 0.90892, "f1": 0.80001}
    )
    assert stated_differences(metal) == [("ROC-AUC", "0.9089", "0.9540")]
    classes = row("rf", "binary", {"roc_auc": None, "accuracy": 0.9, "f1": 0.8}, {"roc_auc": 0.9}, True)
    notes = published_notes([metal, classes], detailed=True)
    assert notes == [
        "published: predictions that matbench stores, commit 936176db18ca; one seed each",
        "m/metal, coNGN: stated ROC-AUC 0.9089; recomputed 0.9540",
        "m/metal: rf stored classes instead of probabilities: ROC-AUC is not shown",
        "coNGN: A. One; doi.org/1",
        "rf: A. One; doi.org/1",
    ]
    assert published_notes([replace(metal, published=None)], detailed=True) == []


@pytest.mark.parametrize(("width", "decimals"), [(0.001, 4), (0.05, 3), (5.0, 2), (50.0, 1)])
def test_decimals_show_the_narrowest_interval(width: float, decimals: int):
    value = MetricValue(1.0, 1.0, 1.0 + width)
    narrow = replace(row("a", "regression", {}, {}), metrics={"mae": value})
    wide = replace(narrow, metrics={"mae": MetricValue(1.0, 1.0, 99.0)})
    assert decimals_for([wide, narrow], "mae") == decimals
    assert decimals_for([row("a", "regression", {"mae": 1.0}, {})], "mae") == 3
