"""The models of a suite over all its tasks: mean ranks, and never without the rank on each task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from leaderboard.board.rows import Row
from leaderboard.data import Task
from leaderboard.scoring import Metric


@dataclass(frozen=True)
class TaskRank:
    """The rank of a model on one task, among the compared models.

    `value` is the rank by the metric, equal values sharing the mean of their ranks. The significance tests of the task
    leave open the ranks from `low`, 1 + the number of models significantly better, to `high`.
    """

    value: float
    low: int
    high: int


@dataclass(frozen=True)
class OverviewLine:
    """A model over all tasks: the means of `TaskRank` over the tasks, and the ranks themselves.

    `best_in` is on how many tasks no model of the board, compared here or not, is significantly better.
    """

    model: str  # the title of its rows
    mean_rank: float
    low: float
    high: float
    best_in: int
    ranks: Mapping[str, TaskRank]  # by task


@dataclass(frozen=True)
class Overview:
    """The models that have a rank on all compared tasks, best mean rank first.

    Ranks depend on who is compared, so a model without a rank on one of the tasks is in `missing` instead, with those
    tasks. Tasks on which no two models have a rank are not compared: `skipped`.
    """

    tasks: tuple[str, ...]
    models: tuple[OverviewLine, ...]
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()


def overview(rows: Sequence[Row], tasks: Sequence[Task]) -> Overview:
    """Compare the ranked rows of some tasks, each ranked within its task; without two of one task, none is compared."""
    by_task = {task.name: {r.title: r for r in rows if r.task == task.name and r.rank is not None} for task in tasks}
    compared = [task for task in tasks if len(by_task[task.name]) > 1]
    titles = list(dict.fromkeys(row.title for row in rows if row.rank is not None))
    absent = {title: tuple(t.name for t in compared if title not in by_task[t.name]) for title in titles}
    models = [title for title in titles if not absent[title]] if len(compared) > 1 else []
    ranks: dict[str, dict[str, TaskRank]] = {title: {} for title in models}
    for task in compared:
        of_task = by_task[task.name]
        for title in models:
            others = [of_task[other] for other in models if other != title]
            ranks[title][task.name] = _rank_among(of_task[title], others, task.target.metrics[0])
    lines = []
    for title in models:
        of_model = list(ranks[title].values())
        value, low, high = (fmean(getattr(r, end) for r in of_model) for end in ("value", "low", "high"))
        best_in = sum(by_task[task.name][title].rank == 1 for task in compared)
        lines.append(OverviewLine(title, value, low, high, best_in, ranks[title]))
    return Overview(
        tasks=tuple(task.name for task in compared),
        models=tuple(sorted(lines, key=lambda line: (line.mean_rank, line.low, line.high, line.model))),
        missing={title: names for title, names in absent.items() if names},
        skipped=tuple(task.name for task in tasks if task not in compared),
    )


def _rank_among(row: Row, others: Sequence[Row], metric: Metric) -> TaskRank:
    value = row.metrics[metric.name].value
    better = equal = surely_better = surely_worse = 0
    for other in others:
        theirs = other.metrics[metric.name].value
        ahead, behind = metric.is_better(theirs, value), metric.is_better(value, theirs)
        tied = other.title in row.tied_with or row.title in other.tied_with
        better += ahead
        equal += not ahead and not behind
        surely_better += ahead and not tied
        surely_worse += behind and not tied
    return TaskRank(1 + better + equal / 2, 1 + surely_better, 1 + len(others) - surely_worse)
