"""The board: rows of a task, ranked. Every score follows from predictions, labels and split, never from a record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from asugnn.errors import InputError
from leaderboard.board.best_settings import best_settings
from leaderboard.board.ground_truth import GroundTruth, load_ground_truth
from leaderboard.board.row_scores import check_origin
from leaderboard.board.rows import OTHERS, Row, make_row
from leaderboard.board.score_cache import ScoreCache
from leaderboard.data import Task, load_dataset, source_provenance
from leaderboard.records import (
    PRETRAINED,
    SUBMITTED,
    UNPRESET,
    StoredRun,
    SubmissionLog,
    comparable_runs,
    list_failures,
    list_runs,
    packaged_note,
)
from leaderboard.scoring import Estimate, rank_models
from leaderboard.splitting import fold_leakage, known_duplicates, read_split


def rank_rows(
    root: Path | None, tasks: Sequence[Task], preset: str, private: bool = False, one_per_model: bool = False
) -> tuple[list[Row], list[str]]:
    """Rank the runs that are stored under `root`, or without it those of ./runs and the package; see `rank_runs`."""
    runs, faults = list_runs(root)
    rows, notes = rank_runs(runs, tasks, preset, private, one_per_model)
    shown = {row.key for row in rows}
    packaged = packaged_note(root, [stored for stored in runs if stored.row in shown])
    return rows, [*packaged, *faults, *notes, *_failure_notes(root, tasks, preset)]


def _failure_notes(root: Path | None, tasks: Sequence[Task], preset: str) -> list[str]:
    """A sentence for each run that failed and would have a place among the rows."""
    names, presets = {t.name for t in tasks}, {preset, *UNPRESET}
    return [
        f"{run.title} failed: {reason}; `bench run` repeats it, or delete {folder}"
        for run, folder, reason in list_failures(root)
        if run.task.name in names and run.preset in presets
    ]


def rank_runs(
    runs: Sequence[StoredRun], tasks: Sequence[Task], preset: str, private: bool = False, one_per_model: bool = False
) -> tuple[list[Row], list[str]]:
    """The rows of some tasks, ranked within each task, and notes on runs that could not be used.

    Rows of one preset are ranked together with submissions; rows with published weights have no rank. `private` scores
    the private rows of a host's solution. `one_per_model` ranks of each model only its `best_settings` on a task.
    """
    notes = []
    names, shown = {t.name for t in tasks}, {preset, *UNPRESET}
    presets = {r.run.preset for r in runs if r.run.task.name in names}
    if other := " or ".join(sorted(presets - shown)):
        start = f"{OTHERS} too" if preset in presets else f"no row has preset '{preset}'; {OTHERS}"
        notes.append(f"{start}: --preset {other}")
    by_task: dict[str, dict[tuple[str, str], list[StoredRun]]] = {}  # then by preset and model
    for stored in runs:
        if stored.run.preset in shown:
            of_task = by_task.setdefault(stored.run.task.name, {})
            of_task.setdefault((stored.run.preset, stored.run.model), []).append(stored)
    rows: list[Row] = []
    without_truth: dict[str, list[str]] = {}  # tasks, by the reason
    for task in tasks:
        try:
            rows += _rank_task(task, by_task.get(task.name, {}), preset, private, one_per_model, notes)
        except InputError as error:
            without_truth.setdefault(str(error), []).append(task.name)
    return rows, [*notes, *(f"{', '.join(of_reason)}: {reason}" for reason, of_reason in without_truth.items())]


def _rank_task(
    task: Task,
    by_model: Mapping[tuple[str, str], Sequence[StoredRun]],
    preset: str,
    private: bool,
    one_per_model: bool,
    notes: list[str],
) -> list[Row]:
    """Rows of one task, best first, then those without a rank.

    Only models whose runs compare (`comparable_runs`) are ranked; none on published weights.
    """
    folds = {r.run.fold for runs in by_model.values() for r in runs}
    truths, missing = _load_truths(task, folds, private)
    leaked = _count_leaked(task, truths)
    logs: dict[Path, Counter[tuple[str, int, str]]] = {}
    cached, provenance = ScoreCache(task, preset), source_provenance(task.source)
    found: list[tuple[Row, list[StoredRun], dict[str, Estimate]]] = []
    for (_, model), of_model in by_model.items():
        notes += [f"{r.run.title} skipped: {missing[r.run.fold]}" for r in of_model if r.run.fold in missing]
        runs = [r for r in of_model if r.run.fold in truths]
        if not runs:
            continue
        try:
            check_origin(task, runs, truths)
            scores = cached.score_runs(runs, truths)
        except InputError as error:
            notes.append(f"{model} on {task.name} skipped: {error}")
            continue
        truth = truths[runs[0].run.fold]
        row = make_row(task, runs, scores, truth.varying, leaked, provenance)
        tries = _count_tries(runs, logs)
        found.append((replace(row, scope=truth.scope, tries=tries, **asdict(truth.rules)), runs, scores.estimates))
    cached.save()
    every = [(row, runs) for row, runs, _ in found]
    shown = best_settings(every) if one_per_model else {row.title: row for row, _ in every}
    trained: dict[str, tuple[Row, dict[str, Estimate]]] = {}
    tested: dict[str, frozenset[tuple[int, int]]] = {}  # by title, as `trained`
    rows: list[Row] = []
    for scored, runs, estimates in found:
        if scored.title not in shown:
            continue
        row = shown[scored.title]
        if row.preset == PRETRAINED or row.pretrained_on is not None:
            rows.append(row)
        else:
            trained[row.title] = row, estimates
            tested[row.title] = comparable_runs((r.run.fold, r.run.seed) for r in runs)
    metric = task.target.metrics[0]
    most = Counter(tested.values()).most_common(1)
    compared = {title: e[metric.name] for title, (_, e) in trained.items() if tested[title] == most[0][0]}
    places = rank_models(compared, metric.higher_is_better)
    if unranked := sorted(trained.keys() - compared.keys()):
        notes.append(f"{task.name}: {', '.join(unranked)} not ranked: other folds or seeds than the rest")
    for title, (row, _) in trained.items():
        place = places.get(title)
        rows.append(replace(row, rank=place.low, rank_high=place.high, tied_with=place.tied_with) if place else row)
    sign = -1 if metric.higher_is_better else 1

    def order(row: Row) -> tuple[bool, bool, float]:
        value = row.metrics[metric.name].value
        return row.rank is None, row.pretrained_on is not None, np.inf if value is None else sign * value

    return sorted(_mark_front(rows, metric.name, sign), key=order)


def _load_truths(task: Task, folds: set[int], private: bool) -> tuple[dict[int, GroundTruth], dict[int, InputError]]:
    """The ground truth of some folds of a task, and of each fold without one the reason; raises it if all have none."""
    truths: dict[int, GroundTruth] = {}
    missing: dict[int, InputError] = {}
    for fold in sorted(folds):
        try:
            truths[fold] = load_ground_truth(task, fold, private)
        except InputError as error:
            missing[fold] = error
    if missing and not truths:
        raise next(iter(missing.values()))
    return truths, missing


def _count_tries(runs: Sequence[StoredRun], logs: dict[Path, Counter[tuple[str, int, str]]]) -> int | None:
    """How many files were handed in for the runs of a row; None where the log does not say. `logs` are those read."""
    if runs[0].run.preset != SUBMITTED:
        return None
    root = runs[0].folder.parents[4]
    if root not in logs:
        logs[root] = Counter()
        with suppress(InputError):  # `bench verify` says what is wrong with it
            logs[root] = SubmissionLog(root).count_tries()
    return sum(logs[root][stored.run.task.name, stored.run.fold, stored.run.model] for stored in runs) or None


def _mark_front(rows: Sequence[Row], metric: str, sign: int) -> list[Row]:
    """Mark the rows of the Pareto front of the metric and the seconds of training, as far as both are known.

    A row on published weights is not among them: most of what it learnt cost its authors.
    """
    cost: dict[str, tuple[float, float]] = {}
    for row in rows:
        value = row.metrics[metric].value
        if value is not None and row.seconds_train is not None and row.pretrained_on is None:
            cost[row.title] = sign * value, row.seconds_train
    titles = list(cost)
    front = {titles[i] for i in pareto_front(list(cost.values()))}
    return [replace(row, front=row.title in front) for row in rows]


def pareto_front(costs: Sequence[tuple[float, float]]) -> list[int]:
    """Indices of the Pareto front of pairs of costs: no other pair is as good in both and better in one."""
    return [i for i, (a, b) in enumerate(costs) if not any(x <= a and y <= b and (x, y) != (a, b) for x, y in costs)]


def _count_leaked(task: Task, folds: Iterable[int]) -> dict[int, int] | None:
    """How many test structures of each fold also train or validate; None where they were not compared."""
    if task.training_task.source != task.source:
        return None
    data = load_dataset(task.source)
    duplicates = known_duplicates(data)
    # Ids that a published split lists on two sides are leaks, whether or not structures were compared.
    if duplicates is None and not read_split(data, task.rule).lists_ids_twice:
        return None
    return {fold: len(fold_leakage(task, fold, data, duplicates or ()).shared) for fold in folds}
