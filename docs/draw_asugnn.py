"""Draw docs/asugnn.svg, the embedding of rutile: `nox -s docs`."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

from asugnn import Crystal
from asugnn.diffraction import EDGES
from asugnn.embedding import embed_crystal
from asugnn.symmetry import conventional_cell

mpl.use("Agg")
import matplotlib.pyplot as plt

U = 0.3048  # the coordinate of oxygen
RUTILE = Crystal(
    np.diag([4.594, 4.594, 2.959]),
    [[0, 0, 0], [0.5, 0.5, 0.5], [U, U, 0], [-U, -U, 0], [0.5 + U, 0.5 - U, 0.5], [0.5 - U, 0.5 + U, 0.5]],
    [22, 22, 8, 8, 8, 8],
)


def draw(path: Path) -> None:
    """Draw ASUAM, DAM and powder pattern in three panels, as wide as two columns of a journal."""
    embedding, cell = embed_crystal(RUTILE), conventional_cell(RUTILE)
    names = ["Ti" if z == 22 else "O" for z in cell.crystal.numbers]
    plt.rcParams.update({"font.size": 8, "svg.fonttype": "none", "svg.hashsalt": "rutile", "axes.linewidth": 0.6})
    figure, axes = plt.subplots(1, 3, figsize=(7.0, 2.3), width_ratios=[1, 1, 1.7], layout="constrained")
    for axis, values, title in ((axes[0], embedding.asuam, "ASUAM (1/Å)"), (axes[1], embedding.dam, "DAM (Å)")):
        image = axis.imshow(values, cmap="viridis")
        for i, j in np.ndindex(values.shape):
            dark = values[i, j] < 0.6 * values.max()
            axis.text(j, i, f"{values[i, j]:.2f}", ha="center", va="center", size=5.5, color="w" if dark else "k")
        axis.set(title=title, xticks=range(6), yticks=range(6), xticklabels=names, yticklabels=names)
        axis.tick_params(length=0)
        image.set_clim(0, values.max())
    middle = (EDGES[:-1] + EDGES[1:]) / 2
    axes[2].stairs(100 * embedding.pxrd, EDGES, fill=True, color="#3b528b")
    axes[2].set(
        title="G, the powder pattern", xlabel="2θ of Cu Kα (degrees)", ylabel="share of the area (%)", xlim=(10, 80)
    )
    axes[2].spines[["top", "right"]].set_visible(False)
    top = int(embedding.pxrd.argmax())
    axes[2].annotate("110", (middle[top], 100 * embedding.pxrd[top]), (4, -2), textcoords="offset points", va="top")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=200)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "asugnn.svg")
