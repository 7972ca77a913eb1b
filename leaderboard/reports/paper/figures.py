"""The figures of the paper, from stored runs: 3, distributions of labels; 4, parity and classification; 5, zero-shot.

Each is one or two columns of a journal wide. The same runs give the same bytes.
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
from leaderboard._util import figure_words, one_line
from leaderboard.data import Source, find_source, load_dataset
from leaderboard.reports.interval_words import interval_note
from leaderboard.reports.panel_data import panel_data
from leaderboard.reports.paper.panels import (
    COLOURS,
    STYLE,
    ModelPanel,
    draw_confusion,
    draw_histogram,
    draw_parity,
    draw_residuals,
    draw_roc,
    set_panel_title,
)
from leaderboard.reports.paper.stored_runs import DATA, ZERO_SHOT, PaperRuns, load_paper_runs, row_target
from leaderboard.reports.wording import preset_warning
from leaderboard.scoring import system_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_FORMATS = ("svg", "png")
SINGLE, DOUBLE = 3.3, 7.0  # inches: the columns of a journal
TARGETS = {"formation-energy": "formation energy", "bulk-modulus": "bulk modulus", "band-gap": "band gap", "metal": ""}
TRAJECTORIES, OURS = "m3gnet-potential", "asugnn"  # the two models of Figure 5


@dataclass(frozen=True)
class PaperFigure:
    """A figure, its name, its caption, and sentences on stored runs that could not be used."""

    name: str
    figure: Figure
    caption: str
    faults: Sequence[str] = ()


def figure_3(dataset: str, preset: str, models: Sequence[str], root: Path | None) -> PaperFigure:
    """Distributions of the formation energy: of the data set, and of its zero-shot structures by system."""
    if preset or models:
        raise InputError("figure-3 shows labels, not runs: leave --preset and --model out")
    sources = [find_source(name) for name in ([dataset] if dataset else [DATA, ZERO_SHOT])]
    wanted = [(s, t) for s in sources for t in s.targets if t.name in {"formation-energy", "zero-shot"}]
    if not wanted:
        raise InputError(f"data set {dataset} has no target formation-energy, which figure-3 shows")
    figure, axes = _make_grid(1, len(wanted), SINGLE if len(wanted) == 1 else DOUBLE, 2.2)
    meanings = []
    for axis, letter, (source, target) in zip(axes.flat, "ab", wanted, strict=False):
        data = load_dataset(source)
        labels = data.labels(target)
        labelled = np.isfinite(labels)
        parts = {"": labels[labelled]}
        if target.model_of:
            systems = system_names(data.groups(np.array(data.ids)[labelled]))
            parts = {name: labels[labelled][systems == name] for name in COLOURS}
        draw_histogram(axis, list(parts.values()), list(parts))
        axis.set(xlabel=f"formation energy ({figure_words(target.unit)})")
        counted = f"{labelled.sum():,} {'structures' if target.model_of else 'crystals'}"
        set_panel_title(axis, letter, f"{source.name}, {counted}")
        meanings.append(f"({letter}) {source.name}/{target.name}: {target.meaning}")
    return PaperFigure("figure-3", figure, "Distribution of labels. " + "; ".join(meanings))


def figure_4(dataset: str, preset: str, models: Sequence[str], root: Path | None) -> PaperFigure:
    """Parity and residuals of three regressions, ROC curve and confusion matrix of one classification."""
    runs = load_paper_runs(dataset or DATA, list(TARGETS), preset, root)
    if len(models) > 1:
        raise InputError("figure-4 shows one model")
    model = (models or [OURS])[0]
    panels = model_panels(runs, model)
    if missing := [name for name in TARGETS if name not in panels]:
        raise InputError(
            f"{model} has no run of {', '.join(missing)} on {runs.dataset}; {_list_stored(runs, len(TARGETS))}"
        )
    figure, axes = _make_grid(2, 4, DOUBLE, 4.4)
    for i, (name, letter) in enumerate(zip(list(TARGETS)[:3], "abc", strict=True)):
        draw_parity(axes[0, i], panels[name], letter)
        draw_residuals(axes[1, i], panels[name])
    draw_roc(axes[0, 3], panels["metal"], "d")
    draw_confusion(axes[1, 3], panels["metal"])
    return _add_caption("figure-4", figure, runs, [panels[name] for name in TARGETS])


def figure_5(dataset: str, preset: str, models: Sequence[str], root: Path | None) -> PaperFigure:
    """Parity and residuals of two models on distorted Ag and Fe-C; the paper's are M3GNet and ASUGNN."""
    runs = load_paper_runs(dataset or ZERO_SHOT, ["zero-shot"], preset, root)
    two = list(models) or [TRAJECTORIES, OURS]
    panels = [by_target["zero-shot"] for by_target in (model_panels(runs, model) for model in two) if by_target]
    if len(two) != 2 or len(panels) != 2:
        raise InputError(f"figure-5 shows two models that have runs on {runs.dataset}; {_list_stored(runs, 1)}")
    figure, axes = _make_grid(2, 2, 1.5 * SINGLE, 5.0)
    for i, panel in enumerate(panels):
        draw_parity(axes[i, 0], panel, "ac"[i], panel.row.title)
        draw_residuals(axes[i, 1], panel, "bd"[i])
    return _add_caption("figure-5", figure, runs, panels)


FIGURES: dict[str, Callable[[str, str, Sequence[str], Path | None], PaperFigure]] = {
    "figure-3": figure_3,
    "figure-4": figure_4,
    "figure-5": figure_5,
}


def draw_figure(
    name: str, dataset: str, preset: str, models: Sequence[str], root: Path | None, out: Path, formats: Sequence[str]
) -> tuple[str, list[Path], Sequence[str]]:
    """Draw a figure into the folder `out`, a file for each of some `FIGURE_FORMATS`.

    Returns its caption, the files, and sentences on stored runs that could not be used.
    """
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        drawn = FIGURES[name](dataset, preset, models, root)
        files = [out / f"{name}.{form}" for form in formats]
        metadata: dict[str, Any] = {"Title": name, "Description": drawn.caption}
        for form, file in zip(formats, files, strict=True):
            dated = {**metadata, "Date": None} if form == "svg" else metadata  # the same bytes on every day
            with atomic_write(file) as temporary:
                drawn.figure.savefig(temporary, format=form, metadata=dated)
    return drawn.caption, files, drawn.faults


def model_panels(runs: PaperRuns, model: str) -> Mapping[str, ModelPanel]:
    """The panels of one model by target, all folds together; what was trained here comes before published weights."""
    panels: dict[str, ModelPanel] = {}
    for row in sorted(runs.rows, key=lambda r: (r.preset != runs.preset, r.model != model)):
        target = row_target(row)
        if model not in runs.row_names(row) or target in panels:
            continue
        # Of several seeds the first of each fold, so that a crystal is one point.
        by_fold = {record.run.fold: (fold, formulas) for fold, formulas, record in reversed(runs.predictions(row))}
        labels, predictions = (np.concatenate([getattr(f, side) for f, _ in by_fold.values()]) for side in ("y", "p"))
        formulas = tuple(formula for _, names in by_fold.values() for formula in names)
        (data,) = panel_data([(labels, predictions)])
        by_system = target == "zero-shot"
        quantity = "formation energy" if by_system else TARGETS[target]
        origin = _label_origin(runs.tasks[0].source)
        classes = next(task.target.class_names for task in runs.tasks if task.target.name == target)
        panels[target] = ModelPanel(row, data, formulas, origin, quantity, by_system, classes)
    return panels


def _make_grid(rows: int, columns: int, width: float, height: float) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _label_origin(source: Source) -> str:
    """The word for labels on an axis: those of an imported data set may not be from DFT."""
    return "labelled" if source.folder else "DFT"


def _list_stored(runs: PaperRuns, targets: int) -> str:
    """The end of a sentence about models that are not stored: those that are, with runs of so many targets."""
    if not runs.rows and runs.faults:
        return runs.faults[0]
    counts: dict[str, int] = {}
    for row in runs.rows:
        word = row.model if row.preset == runs.preset else f"{row.model}:{row.preset}"
        counts[word] = counts.get(word, 0) + 1
    names = [word for word, n in counts.items() if n >= targets]
    stored = f"--model takes {', '.join(names)}" if names else "no model is stored"
    return f"{stored}; there are runs on other data: {', '.join(runs.elsewhere)}" if runs.elsewhere else stored


def _add_caption(name: str, figure: Figure, runs: PaperRuns, panels: Sequence[ModelPanel]) -> PaperFigure:
    """Name models, data and training in small print on the figure, and the runs in its caption."""
    rows = [panel.row for panel in panels]
    trained = any(row.preset == runs.preset for row in rows)
    warning = preset_warning(rows, runs.preset) or (f"preset {runs.preset}" if trained else "")
    titles = list(dict.fromkeys(row.title for row in rows))
    small_print = f"{' and '.join(titles)} on {runs.dataset}" + (f"; {warning}" if warning else "")
    wrapped = textwrap.fill(figure_words(small_print), int(16 * figure.get_figwidth()))  # letters an inch, at 7 points
    figure.supxlabel(wrapped, x=0.005, ha="left", fontsize=7, color="0.3")
    origins = [
        f"{p.row.title} on {p.row.task} (fold-seed {', '.join(p.row.runs)}; n = {len(p.data.labels):,})" for p in panels
    ]
    outliers = sum(panel.data.residual_outliers for panel in panels if panel.row.kind == "regression")
    beyond = f"outermost bins of residuals include values beyond the axis, {outliers} in all" if outliers else ""
    sentences = [*origins, *filter(None, [warning, interval_note(rows, "markdown"), beyond])]
    return PaperFigure(name, figure, one_line("; ".join(sentences)), runs.faults)
