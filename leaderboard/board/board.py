"""The board: every row computed from predictions, labels and split, never from a stored score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from asugnn.errors import InputError
from leaderboard.board.ground_truth import load_ground_truth
from leaderboard.board.rows import OTHERS, Row, make_row
from leaderboard.data import Task, load_dataset
from leaderboard.records import (
    PRETRAINED,
    UNPRESET,
    StoredRun,
    list_runs,
)
from leaderboard.scoring import Estimate, rank_models
from leaderboard.splitting import fold_leakage, known_duplicates


def rank_rows(root: Path, tasks: Sequence[Task], preset: str, private: bool = False) -> tuple[list[Row], list[str]]:
    """The rows of some tasks, ranked within each task, and notes on what could not be used.

    Rows of one preset, and what was handed in, are ranked together; published weights are shown and hold no rank.
    """
    records, notes = list_runs(root)
    wanted = {t.name for t in tasks}
    shown = {preset, *UNPRESET}
    chosen = [r for r in records if r.run.preset in shown and r.run.task.name in wanted]
    if other := sorted({r.run.preset for r in records if r.run.task.name in wanted} - shown):
        notes.append(f"{OTHERS}: --preset {' or '.join(other)}")
    out: list[Row] = []
    for task in tasks:
        by_model: dict[tuple[str, str], list[StoredRun]] = {}
        for record in chosen:
            if record.run.task == task:
                by_model.setdefault((record.run.preset, record.run.model), []).append(record)
        try:
            out += _ranked(task, by_model, private, notes)
        except InputError as error:  # the labels are not at hand
            notes.append(f"{task.name}: {error}")
    return out, notes


def _ranked(
    task: Task, by_model: Mapping[tuple[str, str], Sequence[StoredRun]], private: bool, notes: list[str]
) -> list[Row]:
    """Rows of one task, best first, then those without a rank.

    Only models with the same folds and seeds are compared, and so ranked; none that others trained.
    """
    held = {f: load_ground_truth(task, f, private) for f in {r.run.fold for rs in by_model.values() for r in rs}}
    shared = _leaked_by_fold(task, held)
    made: dict[str, tuple[Row, dict[str, Estimate]]] = {}
    others: list[Row] = []
    for (preset, model), records in by_model.items():
        try:
            row, estimates = make_row(task, records, held, shared)
        except InputError as error:
            notes.append(f"{model} on {task.name} is left out: {error}")
            continue
        if preset == PRETRAINED:
            others.append(row)
        else:
            made[row.title] = row, estimates
    metric = task.target.metrics[0]
    most = Counter(row.runs for row, _ in made.values()).most_common(1)
    compared = {m: e[metric.name] for m, (row, e) in made.items() if row.runs == most[0][0]}
    places = rank_models(compared, metric.higher_is_better)
    if apart := sorted(made.keys() - compared.keys()):
        notes.append(f"{task.name}: {', '.join(apart)} not ranked: other folds or seeds than the rest")
    out = others
    for title, (row, _) in made.items():
        place = places.get(title)
        out.append(replace(row, rank=place.low, rank_high=place.high, tied_with=place.tied_with) if place else row)
    sign = -1 if metric.higher_is_better else 1
    out = _with_front(out, metric.name, sign)

    def order(row: Row) -> tuple[bool, bool, float]:
        value = row.metrics[metric.name].value
        return row.rank is None, row.pretrained_on is not None, np.inf if value is None else sign * value

    return sorted(out, key=order)


def _with_front(rows: Sequence[Row], metric: str, sign: int) -> list[Row]:
    """Mark the rows of the Pareto front of the metric and the seconds of training, as far as both are known."""
    cost: dict[str, tuple[float, float]] = {}
    for row in rows:
        value = row.metrics[metric].value
        if value is not None and row.seconds_train is not None:
            cost[row.title] = sign * value, row.seconds_train

    titles = list(cost)
    best = {titles[i] for i in pareto_front(list(cost.values()))}
    return [replace(r, front=r.title in best) for r in rows]


def pareto_front(costs: Sequence[tuple[float, float]]) -> list[int]:
    """The Pareto front of pairs of which less is better: those than which no other is as good in both."""
    return [i for i, (a, b) in enumerate(costs) if not any(x <= a and y <= b and (x, y) != (a, b) for x, y in costs)]


def _leaked_by_fold(task: Task, folds: Iterable[int]) -> dict[int, int] | None:
    """How many tested structures are on another side too, by fold; None where it is not known which are the same."""
    data = load_dataset(task.source)
    if (found := known_duplicates(data)) is None:
        return None
    return {fold: len(fold_leakage(task, fold, data, found).shared) for fold in folds}
