"""Score one CSV of predictions."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from leaderboard.board.ground_truth import GroundTruth, load_ground_truth
from leaderboard.board.row_scores import metric_value, system_rows
from leaderboard.board.rows import NOISE
from leaderboard.board.unit_hints import unit_hints
from leaderboard.data import Task
from leaderboard.records import ColumnNames, read_predictions
from leaderboard.scoring import estimate_metrics


def score_file(
    file: Path, task: Task, fold: int, columns: ColumnNames | None = None, truth: GroundTruth | None = None
) -> dict[str, Any]:
    """Validate and score a CSV of predictions, as the object that `bench score --json` prints.

    Its columns are `id` and the target, unless others are given. `truth` is that of the fold, where it has been loaded.
    Raises `InputError` with every fault of the file.
    """
    names = columns or ColumnNames("id", task.target.name)
    truth = truth or load_ground_truth(task, fold)
    p = read_predictions(file, truth.ids, names.target, task.target.kind, names.id)
    scored = truth.pair_scored(p)
    estimates = estimate_metrics(task.target.kind, [scored], task.target.ranked_by)
    systems = {name: asdict(system) for name, system in system_rows(task, [scored], [truth]).items()}
    return {
        "task": task.name,
        "fold": fold,
        "n": len(scored.y),
        "groups": len(set(scored.groups)),
        "unit": task.target.unit,
        **({"scope": truth.scope} if truth.scope else {}),
        "noise": NOISE,
        "metrics": {name: asdict(metric_value(estimate)) for name, estimate in estimates.items()},
        **({"systems": systems} if systems else {}),
        "hints": unit_hints(task.target, scored),
    }
