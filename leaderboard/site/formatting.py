"""Numbers on the pages: as in the terminal, with proper minus signs and dashes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup, escape

from leaderboard.board import MetricValue, Row
from leaderboard.data import Task
from leaderboard.reports import format_count, format_interval, format_number, format_rank
from leaderboard.scoring import Metric

NONE = "–"


def html_number(value: float | None) -> str:
    """A value with three decimals; a dash for None."""
    return NONE if value is None else format_number(value).replace("-", "−")


def html_interval(value: MetricValue) -> str:
    """The ends of an interval; empty if it is undefined."""
    return "" if value.low is None else format_interval(value).replace("-", "−")


def html_rank(row: Row) -> str:
    """The rank of a row, or the range of ranks that it may have."""
    return format_rank(row).replace("-", NONE)


def html_count(count: int | None) -> str:
    """A count in about three digits: 149k."""
    return NONE if count is None else format_count(count)


def html_seconds(value: float | None) -> str:
    """Seconds: whole ones from ten on, else with one decimal."""
    return NONE if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def html_range(values: Sequence[float], write: Callable[[float], str]) -> str:
    """The range of some values, or the one that they all are; empty for none."""
    return NONE.join(dict.fromkeys(write(v) for v in (min(values), max(values)))) if values else ""


def five_digits(value: float) -> float:
    """A value rounded to five digits, enough for what the pointer shows."""
    return float(f"{value:.5g}")


def html_name(name: str) -> Markup:
    """The name of a model, which may be broken before each setting in it rather than within one."""
    return escape(name).replace("+", Markup("<wbr>+"))


def metric_unit(task: Task, metric: Metric) -> str:
    """The unit of a metric of a task; empty if it has none."""
    return task.target.unit if metric.has_unit else ""


def index_ranges(indices: list[int]) -> str:
    """Write indices as ranges: `0-2,5`."""
    out: list[list[int]] = []
    for i in sorted(indices):
        if out and out[-1][1] == i - 1:
            out[-1][1] = i
        else:
            out.append([i, i])
    return ",".join(f"{a}-{b}" if b > a else f"{a}" for a, b in out)
