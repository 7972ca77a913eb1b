"""Draw docs/asymmetric-unit.svg and write the table of docs/asymmetric-unit.md: `nox -s docs`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from draw_asugnn import RUTILE

from asugnn.merging import merge_equivalent
from asugnn.neighbours import neighbours_within

mpl.use("Agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).resolve().parent
RESULT = HERE.parent / "benchmarks" / "results" / "merging.json"
MODELS = {"CGCNN": "#bbbbbb", "MEGNet": "#5ec962", "M3GNet": "#21918c", "ALIGNN": "#3b528b"}
LONGEST = 2.2  # angstrom: bonds of titanium and oxygen in rutile


def draw(path: Path) -> None:
    """Draw rutile with its classes, members of a class, and gains in speed, as wide as two columns of a journal."""
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    plt.rcParams.update({"font.size": 8, "svg.fonttype": "none", "svg.hashsalt": "merging", "axes.linewidth": 0.6})
    figure, axes = plt.subplots(1, 3, figsize=(7.0, 2.6), width_ratios=[1, 1.25, 1.25], layout="constrained")
    _draw_rutile(axes[0])
    systems = list(result["steps"])
    rows = np.arange(len(systems))[::-1]
    kinds = {"atoms": "#bbbbbb", "bonds": "#5ec962", "angles": "#3b528b"}
    for i, (kind, colour) in enumerate(kinds.items()):
        values = [result["by system"][system]["ALIGNN"][i] for system in systems]
        axes[1].barh(rows + 0.26 * (1 - i), values, 0.26, color=colour, label=kind)
    axes[1].set(title="members of a class, ALIGNN", yticks=rows, yticklabels=systems)
    for i, (model, colour) in enumerate(MODELS.items()):
        values = [result["steps"][system][model] for system in systems]
        axes[2].barh(rows + 0.2 * (1.5 - i), values, 0.2, color=colour, label=model)
    axes[2].set(title="training step: package / here", yticks=rows, yticklabels=[])
    for axis in axes[1:]:
        axis.tick_params(axis="y", length=0)
        axis.spines[["top", "right"]].set_visible(False)
        axis.axvline(1, color="k", linewidth=0.6)
        axis.legend(frameon=False, fontsize=7, loc="upper right")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=200)


def _draw_rutile(axis: Any) -> None:
    """Draw atoms and bonds along c, in the colours of their classes."""
    pairs = neighbours_within(RUTILE, LONGEST)
    graph = merge_equivalent(RUTILE.numbers, pairs, np.ones(len(pairs)))
    lengths = np.unique(graph.distance.round(6))
    cell = RUTILE.frac_coords @ RUTILE.lattice
    bonds = zip(pairs.centre, pairs.other, pairs.vectors(RUTILE), pairs.distance, strict=True)
    for centre, other, vector, distance in bonds:
        ends = np.array([cell[centre], cell[centre] + vector])[:, :2]
        colour = ("#21918c", "#fde725")[int(np.abs(lengths - distance).argmin())]
        axis.plot(*ends.T, color=colour, linewidth=2, zorder=1)
        for point, atom in zip(ends, (centre, other), strict=True):
            size, fill = (60, "#444444") if RUTILE.numbers[atom] == 22 else (25, "#d1495b")
            axis.scatter(*point, s=size, color=fill, zorder=2, linewidths=0)
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]) * RUTILE.lattice[0, 0]
    axis.plot(*square.T, color="#999999", linewidth=0.6, zorder=0)
    axis.set(title=f"rutile: {len(RUTILE)} atoms, {len(graph.atom)} classes", aspect="equal")
    axis.axis("off")


def table() -> str:
    """Write the table of gains in Markdown."""
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    lines = [
        "Columns atoms, bonds and angles: the mean number of members of a class, over "
        f"{result['counted']:,} crystals of {result['data']}. Columns with the name of a model: the speed-up of a "
        f"training step, the package's time for {result['timed']} crystals of the system divided by ours, the median "
        f"of three repetitions (one thread, {result['machine']}; CGCNN against itself on every atom). "
        "`python benchmarks/merging.py` measures both.",
        "",
        "| crystal system | crystals | atoms | bonds | angles | " + " | ".join(MODELS) + " |",
        "|---|" + "---:|" * (4 + len(MODELS)),
    ]
    for system, steps in result["steps"].items():
        counts = result["by system"][system]
        members = " | ".join(f"{value:.1f}" for value in counts["ALIGNN"])
        gains = " | ".join(f"{steps[model]:.1f}" for model in MODELS)
        lines.append(f"| {system} | {counts['crystals']} | {members} | {gains} |")
    lines += ["", "| atoms in the cell | crystals | atoms | bonds | angles |", "|---|---:|---:|---:|---:|"]
    for size, counts in result["by size"].items():
        members = " | ".join(f"{value:.1f}" for value in counts["ALIGNN"])
        lines.append(f"| {size} | {counts['crystals']} | {members} |")
    lines += ["", "Bonds and angles are those of ALIGNN."]
    return "\n".join(lines)


def page() -> str:
    """Return docs/asymmetric-unit.md with its table replaced by that of the stored result."""
    text = (HERE / "asymmetric-unit.md").read_text(encoding="utf-8")
    return re.sub(r"(## What it gains\n\n).*?(\n\nIn P1 )", lambda m: m[1] + table() + m[2], text, flags=re.DOTALL)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "asymmetric-unit.svg")
    (HERE / "asymmetric-unit.md").write_text(page(), encoding="utf-8")
