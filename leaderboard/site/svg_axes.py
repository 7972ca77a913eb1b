"""Axes of the site's figures: from values to positions in an SVG, with ticks and grid lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from asugnn.crystal import Floats

NOTHING = Markup()


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` lie between the positions `start` and `end`, on a scale that may be logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def over(cls, values: Floats, start: float, end: float, log: bool = False, room: float = 0.05) -> Axis:
        """Make an axis that contains all values (n,), with some room at its ends."""
        scaled = np.log10(values) if log else np.asarray(values, float)
        low, high = (float(scaled.min()), float(scaled.max())) if len(scaled) else (0.0, 1.0)
        room = (high - low) * room or 0.5 * (abs(high) or 1.0)
        low, high = low - room, high + room
        if log:  # powers that a floating-point number holds
            low, high = max(min(low, 299.0), -300.0), min(max(high, -299.0), 300.0)
        return cls(10**low, 10**high, start, end, log) if log else cls(low, high, start, end)

    def __call__(self, values: Floats) -> Floats:
        """Positions of values, both (n,); values outside get the nearer end."""
        inside = np.clip(values, self.low, self.high)
        low, high = self.low, self.high
        if self.log:
            inside, low, high = np.log10(inside), math.log10(low), math.log10(high)
        out: Floats = self.start + (inside - low) / (high - low) * (self.end - self.start)
        return out

    def position(self, value: float) -> float:
        """The position of one value."""
        return float(self(np.array([value]))[0])

    @property
    def ticks(self) -> list[float]:
        """Round values on the axis, about three to six."""
        if self.log:
            decades = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            if len(decades) >= 2:
                return [10.0**k for k in decades][:: math.ceil(len(decades) / 5)]
            powers = [10.0**k for k in range(decades.start - 1, decades.stop + 1)]
            for multiples in ((1, 2, 5), (1, 2, 3, 5, 7)):
                inside = [m * power for power in powers for m in multiples if self.low <= m * power <= self.high]
                if len(inside) >= 3:
                    return inside
            # within a factor of about two, a logarithmic axis is nearly a linear one
        rough = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(m * unit for m in (1, 2, 5, 10) if m * unit >= rough)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]

    @property
    def attribute(self) -> str:
        """What site.js reads: low, high, start, end, and whether the axis is logarithmic."""
        return f"{self.low!r} {self.high!r} {self.start:g} {self.end:g} {int(self.log)}"


def axes_frame(x: Axis, y: Axis, across: str, up: str, classes: Sequence[tuple[float, str]] = ()) -> Markup:
    """Draw grid lines, ticks and titles of two axes; `y.start` is the lower edge. `classes` are ticks with names."""
    bottom, left = y.start, x.start
    parts = []
    for value, label in _labelled(x.ticks):
        at = svg_number(x.position(value))
        parts.append(Markup('<path class="grid" d="M{} {}V{}"/>').format(at, svg_number(y.end), svg_number(bottom)))
        parts.append(svg_text(x.position(value), bottom + 15, label, "tick"))
    for value, label in classes or _labelled(y.ticks):
        at = svg_number(y.position(value))
        parts.append(Markup('<path class="grid" d="M{} {}H{}"/>').format(svg_number(left), at, svg_number(x.end)))
        parts.append(svg_text(left - 6, y.position(value) + 4, label, "tick end"))
    parts.append(svg_text((x.start + x.end) / 2, bottom + 33, across, "title"))
    middle = svg_number((y.start + y.end) / 2)
    parts.append(Markup('<text class="title" transform="translate(11 {}) rotate(-90)">{}</text>').format(middle, up))
    return Markup("").join(parts)


def svg_figure(width: int, height: int, about: str, drawn: Markup, more: Markup = NOTHING) -> Markup:
    """Make an SVG; `about` describes it for screen readers, `more` are further attributes."""
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}"{}>{}</svg>').format(
        width, height, about, more, drawn
    )


def svg_text(x: float, y: float, words: str, kind: str) -> Markup:
    """Write text at a position; `kind` are classes of site.css."""
    return Markup('<text class="{}" x="{}" y="{}">{}</text>').format(kind, svg_number(x), svg_number(y), words)


def svg_path(xs: Floats, ys: Floats) -> str:
    """The path through points at positions (n,)."""
    return "M" + "L".join(f"{svg_number(x)} {svg_number(y)}" for x, y in zip(xs.tolist(), ys.tolist(), strict=True))


def svg_number(position: float) -> str:
    """A position rounded to half a unit, in as few characters as possible."""
    return f"{round(2 * position) / 2:g}"


def _labelled(ticks: Sequence[float]) -> list[tuple[float, str]]:
    return [(t, f"{0.0 if abs(t) < 1e-12 else t:.6g}".replace("-", "−")) for t in ticks]
