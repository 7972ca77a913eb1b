"""Panels of the paper's figures: parity, residuals, ROC curve and confusion matrix of one model on one target.

Text of 7 and 8 points at the width of a journal's column, and the colours of Okabe & Ito (2008), which colour-blind
readers tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import Floats
from leaderboard._util import figure_words
from leaderboard.board import MetricValue, Row
from leaderboard.reports.panel_data import MANY, PanelData
from leaderboard.reports.wording import format_interval, format_number
from leaderboard.scoring import system_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, VERMILION, BLACK, GREY = "#0072B2", "#D55E00", "#000000", "0.5"
COLOURS = {"Ag": BLUE, "Fe-C": VERMILION}  # of the chemical systems that a panel tells apart
MARKERS = {"Ag": "o", "Fe-C": "^"}
STEPS = (1, 2, 5, 10)  # between ticks
STYLE: dict[Any, Any] = {
    "font.size": 8, "axes.labelsize": 8, "axes.titlesize": 7, "xtick.labelsize": 7, "ytick.labelsize": 7,
    "legend.fontsize": 7, "axes.linewidth": 0.6, "xtick.major.width": 0.6, "ytick.major.width": 0.6,
    "xtick.major.size": 2.5, "ytick.major.size": 2.5, "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlepad": 4, "legend.frameon": False, "legend.handletextpad": 0.3, "legend.borderpad": 0.1,
    "legend.handlelength": 1.0, "svg.hashsalt": "asugnn-bench", "svg.fonttype": "path", "savefig.dpi": 300,
    "figure.constrained_layout.h_pad": 0.06,
}  # fmt: skip


@dataclass(frozen=True)
class ModelPanel:
    """One row of a board as panels show it: its labels and predictions of all folds, and how axes are labelled."""

    row: Row
    data: PanelData
    formulas: tuple[str, ...]  # (n,) reduced
    reference: str  # what the labels are: DFT
    quantity: str  # the words of an axis, such as band gap
    by_system: bool  # whether Ag and Fe-C differ in colour and marker
    classes: tuple[str, str] = ("class 0", "class 1")  # their names, for a binary target

    @property
    def unit(self) -> str:
        """The unit as it is printed."""
        return figure_words(self.row.unit.replace("log10", "log₁₀"))

    def systems(self) -> list[tuple[str, NDArray[np.bool_]]]:
        """The names of the systems that are told apart, and whether each crystal belongs to them, (n,)."""
        if not self.by_system:
            return [("", np.ones(len(self.formulas), dtype=bool))]
        names = system_names(self.formulas)
        return [(name, names == name) for name in COLOURS]


def set_panel_title(axis: Axes, letter: str, *lines: str) -> None:
    """Write the letter of a panel in bold, and lines of text after it and below."""
    bold = rf"$\bf{{({letter})}}$ " if letter else ""
    axis.set_title(bold + "\n".join(figure_words(line) for line in lines if line), loc="left")


def draw_parity(axis: Axes, panel: ModelPanel, letter: str, heading: str = "") -> None:
    """Draw predictions over labels; outliers are crosses at the edge, and are counted."""
    data, limits = panel.data, panel.data.limits
    labels, predictions, outliers = data.labels, data.predictions, data.outliers
    axis.plot(limits, limits, color=GREY, linewidth=0.6, zorder=3)
    for name, members in panel.systems():
        drawn = members & ~outliers
        axis.scatter(
            labels[drawn], predictions[drawn], s=float(np.clip(3000 / len(labels), 1, 8)),
            color=COLOURS.get(name, BLUE), marker=MARKERS.get(name, "o"), alpha=0.6 if len(labels) < 500 else 0.35,
            linewidths=0, rasterized=len(labels) > MANY, label=name,
        )  # fmt: skip
    if count := int(outliers.sum()):
        edge = np.clip(predictions[outliers], *limits)
        axis.scatter(labels[outliers], edge, s=10, color=BLACK, marker="x", linewidths=0.6, clip_on=False)
        axis.text(0.97, 0.06, f"× {count} outside", transform=axis.transAxes, ha="right", fontsize=7)
    mae, r2 = panel.row.metrics["mae"], panel.row.metrics["r2"]
    scores = f"MAE {figure_number(mae.value)}, R² {figure_number(r2.value, 2)}"
    set_panel_title(axis, letter, heading, scores, figure_interval(mae))
    axis.set(xlim=limits, ylim=limits, box_aspect=1)
    axis.set(xlabel=f"{panel.reference} {panel.quantity}\n({panel.unit})", ylabel=f"predicted ({panel.unit})")
    axis.locator_params(nbins=5, steps=STEPS)
    if panel.by_system:
        axis.legend(loc="upper left", markerscale=1.5)


def draw_residuals(axis: Axes, panel: ModelPanel, letter: str = "") -> None:
    """Draw the histogram of prediction minus label; the outermost bins count what lies beyond the axis too."""
    data, edges = panel.data, panel.data.residual_edges
    axis.axvline(0, color=GREY, linewidth=0.6, zorder=0)
    below = np.zeros(len(edges) - 1)
    for name, members in panel.systems():
        counts = data.residual_counts(members)
        axis.bar(edges[:-1], counts, np.diff(edges), bottom=below, align="edge", color=COLOURS.get(name, BLUE))
        below = below + counts
    mean, deviation = data.residuals.mean(), data.residuals.std()
    set_panel_title(axis, letter, f"mean {figure_number(mean)}, s.d. {figure_number(deviation)}")
    axis.set(xlabel=f"predicted − {panel.reference}\n({panel.unit})", ylabel="crystals", box_aspect=1)
    axis.locator_params(nbins=4, steps=STEPS)


def draw_roc(axis: Axes, panel: ModelPanel, letter: str) -> None:
    """Draw true over false positive rate for every threshold; equal probabilities are one step."""
    axis.plot((0, 1), (0, 1), color=GREY, linewidth=0.6)
    axis.plot(*panel.data.roc, color=BLUE, linewidth=1)
    auc = panel.row.metrics["roc_auc"]
    set_panel_title(axis, letter, f"ROC-AUC {figure_number(auc.value)}", figure_interval(auc))
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), box_aspect=1, xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axis.set(xlabel=f"false positive rate\n({figure_words(panel.classes[1])} is positive)", ylabel="true positive rate")


def draw_confusion(axis: Axes, panel: ModelPanel) -> None:
    """Draw the counts of true by predicted class, and which share of its true class each is."""
    counts = panel.data.confusion
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    axis.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(2, 2):
        colour = "w" if shares[i, j] < 0.5 else "k"
        axis.text(j, i, f"{counts[i, j]:,}\n{100 * shares[i, j]:.0f} %", ha="center", va="center", color=colour)
    names = tuple(map(figure_words, panel.classes))
    axis.set(xticks=(0, 1), yticks=(0, 1), xticklabels=names, box_aspect=1, xlabel="predicted", ylabel=panel.reference)
    axis.set_yticklabels(names, rotation=90, va="center")
    accuracy = panel.row.metrics["accuracy"].value
    set_panel_title(axis, "", f"accuracy {100 * accuracy:.1f} %" if accuracy is not None else "")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def draw_histogram(axis: Axes, values: Sequence[Floats], labels: Sequence[str]) -> None:
    """Draw the histogram of one quantity: arrays (n,) in stacked bars, a colour for each of their `labels`."""
    pooled = np.concatenate(values)
    edges = np.histogram_bin_edges(pooled, bins=int(np.clip(len(pooled) / 10, 15, 60))).tolist()
    axis.hist(values, edges, stacked=True, color=[COLOURS.get(name, BLUE) for name in labels], label=list(labels))
    axis.set(ylabel="crystals")
    axis.locator_params(nbins=5, steps=STEPS)
    if len(labels) > 1:
        axis.legend(loc="upper right")


def figure_number(value: float | None, digits: int = 3) -> str:
    """A number with a minus sign, which is longer than a hyphen; a dash for None."""
    return "-" if value is None else format_number(value, digits).replace("-", "−")


def figure_interval(value: MetricValue) -> str:
    """The ends of an interval in brackets; empty if it is undefined."""
    return "" if value.low is None else f"({format_interval(value).replace('-', '−')})"
