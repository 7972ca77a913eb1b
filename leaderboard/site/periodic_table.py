"""The periodic table, each element shaded by the mean error of a model on the crystals that contain it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from markupsafe import Markup

from asugnn.crystal import SYMBOLS
from leaderboard._util import group_and_row
from leaderboard.board import FEWEST, ErrorClass
from leaderboard.site.formatting import html_number
from leaderboard.site.svg_axes import svg_figure, svg_text

SHADES = 7  # classes of an error
CELL = 40  # an element, in units of the figure
KEY, STEP = 2.5 * CELL, 52  # left end of the key, in the gap above the transition metals, and width of a shade in it


def periodic_table(classes: Sequence[ErrorClass], few: Collection[str], model: str, measure: str, unit: str) -> Markup:
    """Draw the table in the shades of one model, on a colour scale that all models share.

    `classes` are the elements, `few` are those in too few test crystals, `measure` is what the values are, in words,
    and `unit` follows a value. Elements of no test crystal are empty.
    """
    by_symbol = {c.name: c for c in classes}
    edges = _shade_edges([v for c in classes for v in c.values.values() if v > 0])
    parts = []
    for z, symbol in enumerate(SYMBOLS, 1):
        group, row = group_and_row(z)
        error = by_symbol[symbol].values.get(model) if symbol in by_symbol else None
        if error is not None:
            shade = f"q{int(np.searchsorted(edges, error, side='right'))}"
            tip = f"{symbol}: {html_number(error)} {unit}, {by_symbol[symbol].n:,} crystals"
        elif symbol in by_symbol:
            shade, tip = "none", f"{symbol}: no prediction by {model}"
        elif symbol in few:
            shade, tip = "few", f"{symbol}: in fewer than {FEWEST} test crystals"
        else:
            shade, tip = "none", f"{symbol}: in no test crystal"
        x, y = CELL * (group - 1), CELL * (row - 1) + (10 if row > 7 else 0)
        parts.append(
            Markup('<g data-symbol="{}" class="{}" data-tip="{}"><rect x="{}" y="{}" width="38" height="38" rx="3"/>'
                   '<text x="{}" y="{}">{}</text></g>').format(symbol, shade, tip, x, y, x + 19, y + 25, symbol)
        )  # fmt: skip
    for i in range(SHADES):  # the key, in the gap above the transition metals
        left = KEY + STEP * i
        parts.append(Markup('<g class="q{}"><rect x="{}" y="44" width="{}" height="16"/></g>').format(i, left, STEP))
        if i:
            parts.append(svg_text(left, 80, f"{edges[i - 1]:.2g}", "tick" if i % 2 else "tick wide"))
    parts.append(svg_text(KEY, 30, measure, "measure"))
    drawn = Markup('<g class="elements" data-edges="{}" data-unit="{}">{}</g>').format(
        " ".join(f"{e:.6g}" for e in edges), unit, Markup("").join(parts)
    )
    return svg_figure(18 * CELL - 2, 9 * CELL + 10, "errors by element; the table below has the numbers", drawn)


def _shade_edges(values: Sequence[float]) -> list[float]:
    """The edges between shades, equally spaced on a logarithmic scale from the 5 % to the 95 % quantile."""
    finite = [v for v in values if np.isfinite(v)]
    low, high = np.quantile(finite, [0.05, 0.95]).tolist() if finite else (0.1, 1.0)
    if high <= low * 1.01:
        low, high = low / 2, min(high * 2, np.finfo(float).max)
    return [float(v) for v in np.geomspace(low, high, SHADES + 1)[1:-1]]
