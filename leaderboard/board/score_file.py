"""Score one CSV of predictions."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from leaderboard.board.ground_truth import load_ground_truth
from leaderboard.board.rows import NOISE, metric_value, system_rows
from leaderboard.data import Task
from leaderboard.records import (
    ColumnNames,
    read_predictions,
)
from leaderboard.scoring import estimate_metrics


def score_file(file: Path, task: Task, fold: int, columns: ColumnNames | None = None) -> dict[str, Any]:
    """Validate and score a CSV of predictions; raises `InputError` with every fault of it.

    Its columns are `id` and the target, unless others are given.
    """
    names = columns or ColumnNames("id", task.target.name)
    held = load_ground_truth(task, fold)
    p = read_predictions(file, held.ids, names.target, task.target.kind, names.id)
    run = held.run(p)
    estimates = estimate_metrics(task.target.kind, [run], task.target.ranked_by)
    return {
        "task": task.name,
        "fold": fold,
        "n": len(run.y),
        "groups": len(set(run.groups)),
        "unit": task.target.unit,
        "noise": NOISE,
        "metrics": {name: asdict(metric_value(estimate)) for name, estimate in estimates.items()},
        **({"systems": {k: asdict(v) for k, v in of.items()}} if (of := system_rows(task, [run], [held])) else {}),
    }
