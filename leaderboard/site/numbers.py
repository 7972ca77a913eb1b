"""How numbers are written on the pages: as in the terminal, with the signs that a page can have."""

from __future__ import annotations

from leaderboard import render
from leaderboard.board import Row, Value
from leaderboard.metrics import Metric
from leaderboard.tasks import Task

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
NONE = "–"


def number(value: float | None) -> str:
    """A value to three decimals."""
    return NONE if value is None else render.number(value).replace("-", "−")


def interval(value: Value) -> str:
    """The ends of an interval; nothing where there is none."""
    return "" if value.low is None else render.interval(value).replace("-", "−")


def rank(row: Row) -> str:
    """The places that a row can hold."""
    return render.rank(row).replace("-", NONE)


def thousands(count: int | None) -> str:
    """A count in three digits or so."""
    return NONE if count is None else render.thousands(count)


def seconds(value: float | None) -> str:
    """Whole seconds from ten on."""
    return NONE if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def formula(text: str) -> str:
    """A formula with its numbers below the line."""
    return text.translate(SUBSCRIPTS)


def short(value: float) -> float:
    """Five digits: enough for what a pointer shows."""
    return float(f"{value:.5g}")


def unit(task: Task, metric: Metric) -> str:
    """The unit of a metric's values."""
    return task.target.unit if metric.has_unit else ""


def ranges(indices: list[int]) -> str:
    """Some indices as ranges: `0-2,5`."""
    out: list[list[int]] = []
    for i in sorted(indices):
        if out and out[-1][1] == i - 1:
            out[-1][1] = i
        else:
            out.append([i, i])
    return ",".join(f"{a}-{b}" if b > a else f"{a}" for a, b in out)
