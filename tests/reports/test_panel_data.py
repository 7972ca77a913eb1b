"""What panels show is computed once: paper and site draw the same axes, and count the same outliers."""

import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from leaderboard.data.registry import PACKAGE
from leaderboard.reports.panel_data import PanelData, panel_data
from leaderboard.reports.paper.figures import model_panels
from leaderboard.reports.paper.panels import ModelPanel, draw_confusion, draw_parity, draw_residuals
from leaderboard.reports.paper.stored_runs import load_paper_runs
from leaderboard.site.svg_figures import parity_figure, residual_figure, residual_histogram

LABELS = np.arange(41) / 10  # 0 to 4: a quarter of their range is 1, a twentieth 0.2


def distorted(**changes: float) -> PanelData:
    """Predictions that are off by 0.1, but for some at places such as `at3=1e9`."""
    predictions = LABELS + 0.1
    for place, value in changes.items():
        predictions[int(place.removeprefix("at"))] = value
    (data,) = panel_data([(LABELS, predictions)])
    return data


@pytest.fixture(scope="module")
def panel() -> ModelPanel:
    runs = load_paper_runs("open-dft", ["band-gap"], "", PACKAGE / "runs")
    return model_panels(runs, "cgcnn")["band-gap"]


def test_limits_are_those_of_labels_and_of_predictions_a_quarter_of_their_range_beyond():
    assert distorted().limits == pytest.approx((-0.2, 4.3))
    assert distorted(at0=-0.5, at9=1e9).limits == pytest.approx((-0.7, 5.2))
    assert distorted(at0=-0.5, at9=1e9).outliers.nonzero()[0].tolist() == [9]
    data = distorted(at0=-1.19, at1=-1.21, at2=5.19, at3=5.21)
    assert data.limits == pytest.approx((-1.2, 5.2))
    assert data.outliers.nonzero()[0].tolist() == [1, 3]


def test_outliers_do_not_depend_on_the_models_that_share_the_axes():
    rng = np.random.default_rng(0)
    models = [(LABELS, LABELS + scale * rng.standard_cauchy(len(LABELS))) for scale in (0.01, 0.3, 1, 10)]
    shared = panel_data(models)
    assert len({data.limits for data in shared}) == 1
    for model, data in zip(models, shared, strict=True):
        assert panel_data([model])[0].outliers.tolist() == data.outliers.tolist()
    assert 0 < shared[2].outliers.sum() < len(LABELS)


def test_the_residual_axis_is_twice_what_holds_nineteen_of_twenty_and_the_outermost_bins_count_the_rest():
    data = distorted(at0=1e9, at1=-1e9)
    assert data.residual_limit == pytest.approx(0.2)
    assert data.residual_outliers == 2
    counts = data.residual_counts()
    assert len(counts) == len(data.residual_edges) - 1 == 21
    assert (counts[0], counts[-1], counts.sum()) == (1, 1, 41)
    reference, _ = np.histogram(np.clip(data.residuals, -data.residual_limit, data.residual_limit), data.residual_edges)
    assert counts.tolist() == reference.tolist()
    halves = [data.residual_counts(LABELS < 2), data.residual_counts(LABELS >= 2)]
    assert (halves[0] + halves[1]).tolist() == counts.tolist()
    better, worse = (panel_data([(LABELS, LABELS + off)])[0] for off in (0.01, 1.0))
    models = panel_data([(d.labels, d.predictions) for d in (better, distorted(), worse)])
    assert [d.residual_limit for d in models] == pytest.approx([0.2] * 3)  # of the middle one


def test_labels_that_are_all_equal_and_residuals_that_are_all_zero_have_axes():
    (data,) = panel_data([(np.ones(3), np.ones(3))])
    assert data.limits[0] < 1 < data.limits[1]
    assert data.residual_limit == 1
    (data,) = panel_data([(np.ones(3), np.full(3, 1e308))])
    assert np.isfinite(data.residual_edges).all()
    assert data.residual_counts().tolist() == [0] * 20 + [3]


def test_paper_and_site_draw_the_same_axes_and_count_the_same_outliers(panel: ModelPanel):
    predictions = np.where(np.arange(len(panel.data.labels)) < 1, 1e3, panel.data.predictions)
    (data,) = panel_data([(panel.data.labels, predictions)])
    assert data.outliers.sum() == 1
    top, bottom = Figure().subplots(2, 1)
    draw_parity(top, replace(panel, data=data), "a")
    assert "× 1 outside" in [t.get_text() for t in top.texts]
    assert top.get_xlim() == top.get_ylim() == data.limits
    assert data.limits[1] < 20
    drawn = sum(len(c.get_offsets()) for c in top.collections)
    assert drawn == len(predictions)  # none is dropped
    parity = parity_figure(data, "eV", 300)
    for name in "xy":
        (axis,) = re.findall(rf'data-{name}="(\S+) (\S+) ', parity)
        assert tuple(map(float, axis)) == data.limits
    assert parity.count("h0") == len(predictions)
    edge = [y for y in re.findall(r"M\S+ (\S+)h0", parity) if float(y) == 18]  # the upper end of the axis
    assert len(edge) == 1

    draw_residuals(bottom, replace(panel, data=data))
    bars = [int(bar.get_height()) for bar in bottom.patches]
    assert bars == data.residual_counts().tolist()
    assert bars[-1] >= 1
    histogram = residual_histogram(data, "eV", 300, 150)
    assert histogram.count('class="count"') == sum(n > 0 for n in bars)
    assert f"; {data.residual_outliers} beyond the axis" in histogram
    (axis,) = re.findall(r'data-y="(\S+) (\S+) ', residual_figure(data, "eV", 300))
    assert tuple(map(float, axis)) == (-data.residual_limit, data.residual_limit)


def test_confusion_and_roc_by_hand(panel: ModelPanel):
    labels, predictions = np.array([0.0, 0, 0, 1, 1]), np.array([0.1, 0.5, 0.2, 0.9, 0.3])
    (data,) = panel_data([(labels, predictions)])
    assert data.confusion.tolist() == [[2, 1], [1, 1]]  # a probability of one half predicts class 1
    false, true = data.roc
    assert np.trapezoid(true, false) == pytest.approx(5 / 6)
    row = replace(panel.row, metrics={**panel.row.metrics, "accuracy": panel.row.metrics["mae"]})
    axis = Figure().subplots()
    draw_confusion(axis, replace(panel, row=row, data=data, classes=("non-metal", "metal")))
    assert [t.get_text().split("\n")[0] for t in axis.texts] == ["2", "1", "1", "1"]
    assert [t.get_text() for t in axis.get_yticklabels()] == ["non-metal", "metal"]
