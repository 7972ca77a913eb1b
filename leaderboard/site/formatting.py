"""How numbers are written on the pages: as in the terminal, with the signs that a page can have."""

from __future__ import annotations

from leaderboard.board import MetricValue, Row
from leaderboard.data import Task
from leaderboard.reports import format_count, format_interval, format_number, format_rank
from leaderboard.scoring import Metric

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
NONE = "–"


def html_number(value: float | None) -> str:
    """A value to three decimals."""
    return NONE if value is None else format_number(value).replace("-", "−")


def html_interval(value: MetricValue) -> str:
    """The ends of an interval; nothing where there is none."""
    return "" if value.low is None else format_interval(value).replace("-", "−")


def html_rank(row: Row) -> str:
    """The places that a row can hold."""
    return format_rank(row).replace("-", NONE)


def html_count(count: int | None) -> str:
    """A count in three digits or so."""
    return NONE if count is None else format_count(count)


def html_seconds(value: float | None) -> str:
    """Whole seconds from ten on."""
    return NONE if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def html_formula(text: str) -> str:
    """A formula with its numbers below the line."""
    return text.translate(SUBSCRIPTS)


def five_digits(value: float) -> float:
    """Five digits: enough for what a pointer shows."""
    return float(f"{value:.5g}")


def metric_unit(task: Task, metric: Metric) -> str:
    """The unit of a metric's values."""
    return task.target.unit if metric.has_unit else ""


def index_ranges(indices: list[int]) -> str:
    """Some indices as ranges: `0-2,5`."""
    out: list[list[int]] = []
    for i in sorted(indices):
        if out and out[-1][1] == i - 1:
            out[-1][1] = i
        else:
            out.append([i, i])
    return ",".join(f"{a}-{b}" if b > a else f"{a}" for a, b in out)
