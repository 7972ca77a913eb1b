"""The figures of the paper, from stored runs: 3, distributions of labels; 4, parity and classification; 5, zero-shot.

As wide as a column of a journal, or two. The same runs give the same bytes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asugnn.atomic_write import atomic_write
from asugnn.errors import InputError
from leaderboard.board import NOISE
from leaderboard.data import Source, find_source, load_dataset
from leaderboard.reports import preset_warning
from leaderboard.reports.paper.panels import (
    COLOURS,
    STYLE,
    PanelData,
    draw_confusion,
    draw_histogram,
    draw_parity,
    draw_residuals,
    draw_roc,
    panel_title,
)
from leaderboard.reports.paper.stored_runs import DATA, ZERO_SHOT, PaperRuns, load_paper_runs, row_target
from leaderboard.scoring import chemical_system

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_FORMATS = ("svg", "png")
SINGLE, DOUBLE = 3.3, 7.0  # inches: the columns of a journal
TARGETS = {"formation-energy": "formation energy", "bulk-modulus": "bulk modulus", "band-gap": "band gap", "metal": ""}
TRAJECTORIES, OURS = "m3gnet-potential", "asugnn"  # the two models of Figure 5


@dataclass(frozen=True)
class Drawn:
    """A figure, its name, and what its caption must say."""

    name: str
    figure: Figure
    caption: str


Made = tuple[Drawn, Sequence[str]]  # the figure, and what could not be used


def figure_3(data: str, preset: str, models: Sequence[str], root: Path) -> Made:
    """Distributions of the formation energy: of the data set, and of its zero-shot structures by system."""
    if preset or models:
        raise InputError("figure-3 shows labels, not runs: leave --preset and --model out")
    sources = [find_source(name) for name in ([data] if data else [DATA, ZERO_SHOT])]
    wanted = [(s, t) for s in sources for t in s.targets if t.name in {"formation-energy", "zero-shot"}]
    if not wanted:
        raise InputError(f"data set {data} has no target formation-energy, which figure-3 is about")
    figure, axes = _grid(1, len(wanted), SINGLE if len(wanted) == 1 else DOUBLE, 2.2)
    said = []
    for axis, letter, (source, target) in zip(axes.flat, "ab", wanted, strict=False):
        held = load_dataset(source)
        labels = held.labels(target)
        known = np.isfinite(labels)
        parts = {"": labels[known]}
        if target.model_of:
            names = np.array([chemical_system(formula) for formula in held.groups(np.array(held.ids)[known])])
            parts = {name: labels[known][names == name] for name in COLOURS}
        draw_histogram(axis, list(parts.values()), list(parts))
        axis.set(xlabel=f"formation energy ({target.unit})")
        panel_title(axis, letter, f"{source.name}, {known.sum():,} {'structures' if target.model_of else 'crystals'}")
        said.append(f"({letter}) {source.name}/{target.name}: {target.meaning}")
    return Drawn("figure-3", figure, "Distribution of labels. " + "; ".join(said)), []


def figure_4(data: str, preset: str, models: Sequence[str], root: Path) -> Made:
    """Parity and residuals of three regressions, ROC curve and confusion matrix of one classification."""
    of = load_paper_runs(data or DATA, list(TARGETS), preset, root)
    if len(models) > 1:
        raise InputError("figure-4 shows one model")
    model = (models or [OURS])[0]
    shown = _panel_data(of, model)
    if missing := [name for name in TARGETS if name not in shown]:
        raise InputError(
            f"{model} has no run of {', '.join(missing)} on {of.data}; {_what_is_stored(of, len(TARGETS))}"
        )
    figure, axes = _grid(2, 4, DOUBLE, 4.4)
    for i, (name, letter) in enumerate(zip(list(TARGETS)[:3], "abc", strict=True)):
        draw_parity(axes[0, i], shown[name], letter)
        draw_residuals(axes[1, i], shown[name])
    draw_roc(axes[0, 3], shown["metal"], "d")
    draw_confusion(axes[1, 3], shown["metal"])
    return _captioned("figure-4", figure, of, [shown[name] for name in TARGETS]), of.faults


def figure_5(data: str, preset: str, models: Sequence[str], root: Path) -> Made:
    """Parity and residuals of two models on distorted Ag and Fe-C; the paper's are M3GNet and ASUGNN."""
    of = load_paper_runs(data or ZERO_SHOT, ["zero-shot"], preset, root)
    two = list(models) or [TRAJECTORIES, OURS]
    shown = [found["zero-shot"] for found in (_panel_data(of, model) for model in two) if found]
    if len(two) != 2 or len(shown) != 2:
        raise InputError(f"figure-5 shows two models that have runs on {of.data}; {_what_is_stored(of, 1)}")
    figure, axes = _grid(2, 2, 1.5 * SINGLE, 5.0)
    for i, one in enumerate(shown):
        draw_parity(axes[i, 0], one, "ac"[i], one.row.title)
        draw_residuals(axes[i, 1], one, "bd"[i])
    return _captioned("figure-5", figure, of, shown), of.faults


FIGURES: dict[str, Callable[[str, str, Sequence[str], Path], Made]] = {
    "figure-3": figure_3,
    "figure-4": figure_4,
    "figure-5": figure_5,
}


def draw_figure(
    name: str, data: str, preset: str, models: Sequence[str], root: Path, out: Path,
    formats: Sequence[str]) -> tuple[str, list[Path], Sequence[str]]:  # fmt: skip
    """Draw a figure into a folder, a file for each format; returns its caption, the files, and what was not used."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        drawn, faults = FIGURES[name](data, preset, models, root)
        files = [out / f"{name}.{form}" for form in formats]
        about: dict[str, Any] = {"Title": name, "Description": drawn.caption}
        for form, file in zip(formats, files, strict=True):
            with atomic_write(file) as temporary:
                metadata = {**about, "Date": None} if form == "svg" else about  # the same bytes on every day
                drawn.figure.savefig(temporary, format=form, metadata=metadata)
    return drawn.caption, files, faults


def _grid(rows: int, columns: int, width: float, height: float) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _panel_data(of: PaperRuns, word: str) -> Mapping[str, PanelData]:
    """By target, what is stored of a model; what was trained here comes before published weights."""
    found: dict[str, PanelData] = {}
    for row in sorted(of.rows, key=lambda r: (r.preset != of.preset, r.model != word)):
        name = row_target(row)
        if word not in of.called(row) or name in found:
            continue
        runs = {record.run.fold: (run, formulas) for run, formulas, record in reversed(of.predictions(row))}
        y, p = (np.concatenate([getattr(run, side) for run, _ in runs.values()]) for side in ("y", "p"))
        formulas = tuple(formula for _, names in runs.values() for formula in names)
        zero_shot = name == "zero-shot"
        quantity = "formation energy" if zero_shot else TARGETS[name]
        found[name] = PanelData(row, y, p, formulas, _reference(of.tasks[0].source), quantity, zero_shot)
    return found


def _reference(source: Source) -> str:
    """What labels are compared with: of what somebody imported that is not known."""
    return "labelled" if source.folder else "DFT"


def _what_is_stored(of: PaperRuns, targets: int) -> str:
    """The end of a sentence about models that are not stored: those that are."""
    if not of.rows and of.faults:
        return of.faults[0]
    counts: dict[str, int] = {}
    for row in of.rows:
        word = row.model if row.preset == of.preset else f"{row.model}:{row.preset}"
        counts[word] = counts.get(word, 0) + 1
    names = [word for word, n in counts.items() if n >= targets]
    there = f"--model takes {', '.join(names)}" if names else "none is stored"
    return f"{there}; there are runs of other data: {', '.join(of.elsewhere)}" if of.elsewhere else there


def _captioned(name: str, figure: Figure, of: PaperRuns, shown: Sequence[PanelData]) -> Drawn:
    """With the runs that it is from in the caption, and who trained them how in small print."""
    titles = list(dict.fromkeys(s.row.title for s in shown))
    rows = [s.row for s in shown]
    trained = any(row.preset == of.preset for row in rows)
    warning = preset_warning(rows, of.preset) or (f"preset {of.preset}" if trained else "")
    print_ = f"{' and '.join(titles)} on {of.data}" + (f"; {warning}" if warning else "")
    wrapped = textwrap.fill(print_, int(16 * figure.get_figwidth()))  # letters an inch, at 7 points
    figure.supxlabel(wrapped, x=0.005, ha="left", fontsize=7, color="0.3")
    runs = [f"{s.row.title} on {s.row.task} (fold-seed {', '.join(s.row.runs)}; n = {len(s.y):,})" for s in shown]
    beyond = "residuals beyond 99 % of all are counted in the outermost bins"
    return Drawn(name, figure, "; ".join([*runs, *filter(None, [warning]), f"in brackets the {NOISE}", beyond]))
