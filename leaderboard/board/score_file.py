"""Score predictions: one CSV, or predictions in the order of a test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from asugnn.crystal import Floats
from leaderboard.board.ground_truth import GroundTruth, Scope, load_ground_truth
from leaderboard.board.prediction_hints import prediction_hints
from leaderboard.board.row_scores import MetricValue, SystemRow, metric_value, system_rows
from leaderboard.board.rows import group_words, interval_words
from leaderboard.data import Task
from leaderboard.records import ColumnNames, read_predictions
from leaderboard.scoring import Estimate, describe_training, estimate_metrics

Folds = int | Literal["all"]


@dataclass(frozen=True)
class Score:
    """Metrics of predictions against labels, by name, the one that ranks first, with 95 % confidence intervals.

    `n` test crystals count, in `groups` over which the intervals are: reduced formulas, or of a zero-shot task single
    structures. `unit` is that of the metrics that have one. `scope` is empty unless a host's solution scores its public
    or private rows. `systems` are the scores by chemical system of a task that has them, `hints` sentences on
    predictions in another unit.
    """

    task: str
    fold: Folds
    n: int
    groups: int
    unit: str
    scope: Scope
    noise: str
    metrics: dict[str, MetricValue]
    systems: dict[str, SystemRow]
    hints: list[str]

    def __str__(self) -> str:
        scope = f"{self.scope} " if self.scope else ""
        head = f"{self.task}, fold {self.fold}: {self.n} {scope}test crystals in {group_words(self.groups)}"
        return "\n".join([head, *(f"  {name}: {value}" for name, value in self.metrics.items()), f"  {self.noise}"])


def score_predictions(
    task: Task, fold: Folds, truths: Sequence[GroundTruth], predictions: Sequence[Floats]
) -> tuple[Score, dict[str, Estimate]]:
    """Score predictions of one fold or several, each (n,) in the order of its ground truth; also the estimates."""
    scored = [truth.pair_scored(p, k) for k, (truth, p) in enumerate(zip(truths, predictions, strict=True))]
    estimates = estimate_metrics(task.target.kind, scored, task.target.ranked_by)
    score = Score(
        task=task.name,
        fold=fold,
        n=sum(len(rows.y) for rows in scored),
        groups=len({group for rows in scored for group in rows.groups}),
        unit=task.target.unit,
        scope=truths[0].scope,
        noise=interval_words(truths[0].varying, describe_training([rows.fold for rows in scored])),
        metrics={name: metric_value(estimate) for name, estimate in estimates.items()},
        systems=system_rows(task, scored, truths),
        hints=[hint for rows in scored for hint in prediction_hints(task.target, rows)],
    )
    return score, estimates


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
    score, _ = score_predictions(task, fold, [truth], [p])
    return {key: value for key, value in asdict(score).items() if value or key not in {"scope", "systems"}}
