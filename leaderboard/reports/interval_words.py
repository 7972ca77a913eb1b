"""The notes below a board on its intervals: over what test crystals and trainings, and why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leaderboard.board import NOISE, WIDER, MetricValue, Row
from leaderboard.data import parse_task
from leaderboard.scoring import Training

REPEATED: dict[Training, str] = {
    "seeds": ", with several seeds over training seeds too",
    "folds": ", with several folds over folds too",
}


def interval_note(rows: Sequence[Row], form: str) -> str:
    """Where intervals stand, and which noise they show; empty where no row has one."""
    if all(value.low is None for row in rows for value in row.metrics.values()):
        return ""
    where = "in brackets" if form == "markdown" else "below each value"
    one_by_one = list(dict.fromkeys(row.task.partition("/")[2] for row in rows if row.varying == "structures"))
    mixed = one_by_one and any(row.varying == "formulas" for row in rows)
    over = f"formulas ({', '.join(one_by_one)}: test structures)" if mixed else rows[0].varying
    trainings = {row.training for row in rows}
    also = [words for training, words in REPEATED.items() if training in trainings]
    return f"{where}: {NOISE} {over}{WIDER[rows[0].training] if len(trainings) == 1 else ''.join(also)}"


def interval_gaps(metrics: Mapping[str, MetricValue], titles: Mapping[str, str]) -> list[str]:
    """A sentence for each reason why metrics have a value and no interval; `titles` are the metrics' by name."""
    by_reason: dict[str, list[str]] = {}
    for name, value in metrics.items():
        if value.reason and (value.value is None or value.low is None):
            by_reason.setdefault(value.reason, []).append(titles[name])
    return [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]


def metrics_without_intervals(rows: Sequence[Row]) -> list[str]:
    """A sentence for each reason why metrics have no interval in any row."""
    none: dict[str, MetricValue] = {}
    for row in rows:
        for name, value in row.metrics.items():
            if value.low is None and all(r.metrics[name].low is None for r in rows if name in r.metrics):
                none.setdefault(name, value)
    return interval_gaps(none, {m.name: m.title for row in rows for m in parse_task(row.task).target.metrics})


def has_interval(row: Row) -> bool:
    """Whether the metric by which a row is ranked has an interval."""
    return row.ranking_value.low is not None


def tasks_without_intervals(rows: Sequence[Row]) -> list[str]:
    """A sentence for each reason why the ranking metric has no interval in any row of some tasks."""
    tasks: dict[str, list[str]] = {}
    for task in dict.fromkeys(row.task for row in rows):
        of_task = [row for row in rows if row.task == task]
        reasons = [row.ranking_value.reason for row in of_task]
        if not any(map(has_interval, of_task)) and reasons[0]:
            tasks.setdefault(reasons[0], []).append(task)
    return [f"{', '.join(names)}: {reason}" for reason, names in tasks.items()]
