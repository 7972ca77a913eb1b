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
from leaderboard.board import MetricValue, Row
from leaderboard.scoring import THRESHOLD, chemical_system, roc_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, VERMILION, BLACK, GREY = "#0072B2", "#D55E00", "#000000", "0.5"
COLOURS = {"Ag": BLUE, "Fe-C": VERMILION}  # of systems that are drawn apart
MARKERS = {"Ag": "o", "Fe-C": "^"}
MANY = 2000  # points from which on a panel holds them as one picture, even in a vector file
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
class PanelData:
    """What a panel shows of one row: labels, predictions and reduced formulas of all its folds, each (n,)."""

    row: Row
    y: Floats
    p: Floats
    formulas: tuple[str, ...]
    reference: str  # what the labels are: DFT
    name: str  # of the quantity, for an axis
    apart: bool  # whether Ag and Fe-C are drawn apart
    classes: tuple[str, str] = ("class 0", "class 1")  # their names, of a binary target

    @property
    def unit(self) -> str:
        """As it is printed."""
        return self.row.unit.replace("log10", "log₁₀")

    def parts(self) -> list[tuple[str, NDArray[np.bool_]]]:
        """What is drawn apart, by name, and which rows (n,) it has."""
        if not self.apart:
            return [("", np.ones(len(self.y), dtype=bool))]
        names = np.array([chemical_system(formula) for formula in self.formulas])
        return [(name, names == name) for name in COLOURS]


def panel_title(axis: Axes, letter: str, *lines: str) -> None:
    """The letter of a panel, in bold, and lines of text after it and below."""
    bold = rf"$\bf{{({letter})}}$ " if letter else ""
    axis.set_title(bold + "\n".join(line for line in lines if line), loc="left")


def draw_parity(axis: Axes, shown: PanelData, letter: str, head: str = "") -> None:
    """Predictions over labels; those far outside the range of the labels are crosses at the edge, and are counted."""
    y, p = shown.y, shown.p
    room = 0.25 * (float(np.ptp(y)) or 1.0)
    low, high = max(min(y.min(), p.min()), y.min() - room), min(max(y.max(), p.max()), y.max() + room)
    pad = 0.05 * (high - low)
    limits = (low - pad, high + pad)
    axis.plot(limits, limits, color=GREY, linewidth=0.6, zorder=3)
    inside = (p >= low) & (p <= high)
    for name, mask in shown.parts():
        at = mask & inside
        axis.scatter(
            y[at], p[at], s=float(np.clip(3000 / len(y), 1, 8)), color=COLOURS.get(name, BLUE),
            marker=MARKERS.get(name, "o"), alpha=0.6 if len(y) < 500 else 0.35, linewidths=0,
            rasterized=len(y) > MANY, label=name,
        )  # fmt: skip
    if outside := int((~inside).sum()):
        axis.scatter(y[~inside], np.clip(p[~inside], low, high), s=10, color=BLACK, marker="x", linewidths=0.6)
        axis.text(0.97, 0.04, f"× {outside} beyond", transform=axis.transAxes, ha="right", fontsize=7)
    mae, r2 = shown.row.metrics["mae"], shown.row.metrics["r2"]
    panel_title(
        axis, letter, head, f"MAE {figure_number(mae.value)}, R² {figure_number(r2.value, 2)}", figure_interval(mae)
    )
    axis.set(xlim=limits, ylim=limits, box_aspect=1)
    axis.set(xlabel=f"{shown.reference} {shown.name}\n({shown.unit})", ylabel=f"predicted ({shown.unit})")
    axis.locator_params(nbins=5, steps=STEPS)
    if shown.apart:
        axis.legend(loc="upper left", markerscale=1.5)


def draw_residuals(axis: Axes, shown: PanelData, letter: str = "") -> None:
    """How often a prediction is off by how much; what lies beyond 99 % of all is counted in the outermost bins."""
    residual, parts = shown.p - shown.y, shown.parts()
    edge = float(np.quantile(abs(residual), 0.99)) or 1.0
    edges = np.linspace(-edge, edge, 42 if len(residual) > MANY else 22).tolist()
    clipped = np.clip(residual, -edge, edge)
    axis.axvline(0, color=GREY, linewidth=0.6, zorder=0)
    colours = [COLOURS.get(name, BLUE) for name, _ in parts]
    axis.hist([clipped[mask] for _, mask in parts], edges, stacked=True, color=colours)
    panel_title(axis, letter, f"mean {figure_number(residual.mean())}, s.d. {figure_number(residual.std())}")
    axis.set(xlabel=f"predicted − {shown.reference}\n({shown.unit})", ylabel="crystals", box_aspect=1)
    axis.locator_params(nbins=4, steps=STEPS)


def draw_roc(axis: Axes, shown: PanelData, letter: str) -> None:
    """True over false positives for every threshold; equal probabilities are one step."""
    false, true = roc_curve(shown.y, shown.p)
    axis.plot((0, 1), (0, 1), color=GREY, linewidth=0.6)
    axis.plot(false, true, color=BLUE, linewidth=1)
    auc = shown.row.metrics["roc_auc"]
    panel_title(axis, letter, f"ROC-AUC {figure_number(auc.value)}", figure_interval(auc))
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), box_aspect=1, xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
    axis.set(xlabel=f"false positive rate\n({shown.classes[1]} is positive)", ylabel="true positive rate")


def draw_confusion(axis: Axes, shown: PanelData) -> None:
    """Counts of what was said over what is, and the share of each class that was said to be it."""
    said, true = shown.p >= THRESHOLD, shown.y == 1
    counts = np.array([[np.sum((true == t) & (said == s)) for s in (False, True)] for t in (False, True)])
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    axis.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for i, j in np.ndindex(2, 2):
        colour = "w" if shares[i, j] < 0.5 else "k"
        axis.text(j, i, f"{counts[i, j]:,}\n{100 * shares[i, j]:.0f} %", ha="center", va="center", color=colour)
    names = shown.classes
    axis.set(xticks=(0, 1), yticks=(0, 1), xticklabels=names, box_aspect=1, xlabel="predicted", ylabel=shown.reference)
    axis.set_yticklabels(names, rotation=90, va="center")
    accuracy = shown.row.metrics["accuracy"].value
    panel_title(axis, "", f"accuracy {100 * accuracy:.1f} %" if accuracy is not None else "")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


def draw_histogram(axis: Axes, values: Sequence[Floats], labels: Sequence[str]) -> None:
    """Values of one quantity, in stacked bars of one colour for each label."""
    every = np.concatenate(values)
    edges = np.histogram_bin_edges(every, bins=int(np.clip(len(every) / 10, 15, 60))).tolist()
    axis.hist(values, edges, stacked=True, color=[COLOURS.get(name, BLUE) for name in labels], label=list(labels))
    axis.set(ylabel="crystals")
    axis.locator_params(nbins=5, steps=STEPS)
    if len(labels) > 1:
        axis.legend(loc="upper right")


def figure_number(value: float | None, digits: int = 3) -> str:
    """With a minus sign, which is longer than a hyphen."""
    return "-" if value is None else f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def figure_interval(value: MetricValue) -> str:
    """In brackets; nothing where there is none."""
    return "" if value.low is None else f"({figure_number(value.low)}–{figure_number(value.high)})"
