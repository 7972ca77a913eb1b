"""An audit as files: pairs, outliers, leaks and dropped rows as CSV, coverage and labels as figures for print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asugnn.atomic_write import atomic_write, write_text
from asugnn.crystal import SYMBOLS
from leaderboard._util import figure_words, group_and_row, spreadsheet_text
from leaderboard.data import Target
from leaderboard.reports.audit.audit import Audit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Draw = Callable[[Audit, "Figure"], bool]
INK, PALE = "#1f5a8a", "#d9d9d9"
SYSTEMS = (  # the last space group of each crystal system
    (2, "triclinic"),
    (15, "monoclinic"),
    (74, "orthorhombic"),
    (142, "tetragonal"),
    (167, "trigonal"),
    (194, "hexagonal"),
    (230, "cubic"),
)
STYLE: Any = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "audit",  # the same audit gives the same bytes
}


def write_audit(audit: Audit, folder: Path) -> list[Path]:
    """Write all files of an audit into `folder` and return their paths."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    tables: dict[str, Iterable[Sequence[object]]] = {
        "duplicates": _duplicates(audit),
        "leaks": _leaks(audit),
        "outliers": _outliers(audit),
        "dropped": [("id", "reason"), *audit.dropped],
        "elements": _elements(audit),
        "space-groups": [("space_group", "crystals"), *sorted(Counter(audit.space_groups.values()).items())],
    }
    written = []
    for name, rows in tables.items():
        write_text(folder / f"{name}.csv", spreadsheet_text(rows) + "\n")
        written.append(folder / f"{name}.csv")
    with rc_context(STYLE):
        for name, draw in FIGURES.items():
            figure = Figure(figsize=(6.7, 3), layout="constrained")
            if draw(audit, figure):
                with atomic_write(folder / f"{name}.svg") as temporary, temporary.open("wb") as file:
                    figure.savefig(file, format="svg", metadata={"Date": None})
                written.append(folder / f"{name}.svg")
    return written


def _duplicates(audit: Audit) -> Iterator[Sequence[object]]:
    """Every pair with equal formula and similar volume, duplicates first, with the labels of both."""
    targets = audit.data.source.targets
    labels = [audit.data.labels(t) for t in targets]
    ends = [f"{t.name}_{end}" for t in targets for end in "ab"]
    yield ("a", "b", "formula", "verdict", "volume_difference", "displacement_angstrom", "part_a", "part_b", *ends)
    for p in sorted(audit.pairs, key=lambda p: p.verdict != "same"):
        parts = [audit.parts.id_to_part.get(i, "") for i in (p.a, p.b)]
        values = [y[audit.data.rows[i]] for y in labels for i in (p.a, p.b)]
        known = ["" if np.isnan(v) else v for v in values]
        displacement = "" if p.moved is None else p.moved
        yield (p.a, p.b, audit.crystals[p.a].formula, p.verdict, p.volume, displacement, *parts, *known)


def _leaks(audit: Audit) -> Iterator[Sequence[object]]:
    yield "fold", "tested", "same_as", "part"
    for fold, shared in audit.leaks.items():
        for name, other in shared.items():
            yield fold, name, other, next(parts[other] for parts in audit.parts.of_targets if other in parts)


def _outliers(audit: Audit) -> Iterator[Sequence[object]]:
    yield "id", "formula", "target", "value", "unit", "robust_deviations"
    for o in audit.outliers:
        yield o.name, audit.crystals[o.name].formula, o.target.name, o.value, o.target.unit, round(o.deviations, 2)


def _elements(audit: Audit) -> Iterator[Sequence[object]]:
    yield "element", "crystals"
    for z in range(1, len(SYMBOLS) + 1):
        yield SYMBOLS[z - 1], audit.elements[z]


def _axis_label(target: Target) -> str:
    return figure_words(f"{_words(target)} / {target.unit}" if target.unit else _words(target))


def _words(target: Target) -> str:
    return target.name.replace("-", " ")


def _add_panels(figure: Figure, n: int) -> list[Axes]:
    """Add `n` panels in rows of at most three, as wide as a page."""
    columns = 2 if n == 4 else min(n, 3)
    rows = -(-n // columns)
    figure.set_size_inches(6.7, 2.2 * rows)
    return [figure.add_subplot(rows, columns, i + 1) for i in range(n)]


def _label_figure(audit: Audit, figure: Figure) -> bool:
    known = [(t, y[np.isfinite(y)]) for t in audit.data.source.targets for y in [audit.data.labels(t)]]
    known = [(t, y) for t, y in known if len(y)]
    for axes, (target, y) in zip(_add_panels(figure, len(known)) if known else [], known, strict=True):
        if target.kind == "binary":
            counts = [int((y == 0).sum()), int((y == 1).sum())]
            axes.bar(["0", "1"], counts, width=0.6, color=[PALE, INK])
            axes.margins(y=0.15)
            for i, n in enumerate(counts):
                axes.annotate(f"{n:,}", (i, n), ha="center", va="bottom", xytext=(0, 1), textcoords="offset points")
        else:
            axes.hist(y, bins=50, color=INK, log=True)
        axes.set_xlabel(_axis_label(target))
        axes.set_ylabel("crystals")
        axes.set_title(f"{len(y):,} labels", fontsize=8)
    return bool(known)


def _size_figure(audit: Audit, figure: Figure) -> bool:
    sizes = np.array([len(c) for c in audit.crystals.values()])
    left, right = _add_panels(figure, 2)
    edges = np.unique(np.geomspace(1, sizes.max() + 1, 40).astype(int))
    left.hist(sizes, bins=(edges - 0.5).tolist(), color=INK)
    left.set_xscale("log")
    left.xaxis.set_major_formatter("{x:g}")
    left.xaxis.set_minor_formatter("")
    left.set_xlabel("atoms in the cell")
    left.set_ylabel("crystals")
    names = [next(name for last, name in SYSTEMS if g <= last) for g in audit.space_groups.values()]
    counts = Counter(names)
    order = [name for _, name in reversed(SYSTEMS)]
    right.barh(order, [counts[name] for name in order], color=INK)
    right.set_xlabel("crystals")
    return True


def _element_figure(audit: Audit, figure: Figure) -> bool:
    """Draw how many crystals contain each element, on the periodic table."""
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm

    figure.set_size_inches(6.7, 3.5)
    axes = figure.add_subplot()
    norm, colours = LogNorm(1, max(2, *audit.elements.values())), colormaps["Blues"]
    for z, symbol in enumerate(SYMBOLS, 1):
        column, row = table_position(z)
        n = audit.elements[z]
        axes.add_patch(_box(column, row, colours(0.1 + 0.8 * norm(n)) if n else "white"))
        ink = "white" if n and norm(n) > 0.6 else "black" if n else "#a0a0a0"
        axes.text(column, row - 0.13, symbol, ha="center", va="center", color=ink, fontsize=7)
        if n:
            axes.text(column, row + 0.25, f"{n}", ha="center", va="center", color=ink, fontsize=4)
    axes.set(xlim=(0.4, 18.6), ylim=(9.7, 0.4), aspect="equal")
    axes.axis("off")
    figure.suptitle(figure_words(f"{audit.data.source.name}: crystals that contain each element"), fontsize=8)
    return True


def table_position(z: int) -> tuple[int, float]:
    """Where an element is drawn: its group, and its row; lanthanides and actinides a little lower."""
    group, row = group_and_row(z)
    return group, row + 0.1 * (row > 7)


def _box(column: float, row: float, colour: Any) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, facecolor=colour, edgecolor="#b0b0b0", linewidth=0.3)


def _difference_figure(audit: Audit, figure: Figure) -> bool:
    """Draw the cumulative distribution of differences between labels of duplicates."""
    targets = [t for t in audit.data.source.targets if t.kind == "regression"]
    by_target = [(t, [d for d, *_ in audit.differences(t)]) for t in targets]
    shown = [(t, values) for t, values in by_target if len(values) >= 5]
    for axes, (target, values) in zip(_add_panels(figure, len(shown)) if shown else [], shown, strict=True):
        y = np.sort(values)
        floor = max(y[y > 0].min() / 2, 1e-6) if (y > 0).any() else 1e-6
        axes.step(np.maximum(y, floor), np.arange(1, len(y) + 1) / len(y), where="post", color=INK, linewidth=1.2)
        axes.axvline(float(np.median(y)) or floor, color="black", linewidth=0.6, linestyle=":")
        axes.set(xscale="log", ylim=(0, 1.02))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.set_xlabel(figure_words(f"difference / {target.unit}"))
        axes.set_ylabel("share of pairs")
        title = f"{_words(target)}, {len(y):,} pairs, median {np.median(y):.2g}"
        axes.set_title(figure_words(title), fontsize=7)
    return bool(shown)


FIGURES: dict[str, Draw] = {
    "labels": _label_figure,
    "sizes": _size_figure,
    "elements": _element_figure,
    "label-differences": _difference_figure,
}
