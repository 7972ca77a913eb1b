"""The scores of one model on one task: a row of a board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from asugnn.errors import InputError
from asugnn.model import Kind
from leaderboard.board.ground_truth import GroundTruth
from leaderboard.data import Task, source_provenance
from leaderboard.records import (
    StoredRun,
    row_title,
)
from leaderboard.scoring import Estimate, PredictedFold, estimate_metrics, score_by_system

NOISE = "95 % confidence interval (resampling test formulas)"
OTHERS = "there are rows of other presets too"


@dataclass(frozen=True)
class MetricValue:
    """A metric with its interval: what another test set of the same kind would give. None where it is undefined."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class SystemRow:
    """Scores of the crystals of one chemical system, as predicted and after adding `offset` to the predictions."""

    n: int
    metrics: dict[str, MetricValue]
    offset: float | None  # in the unit of the label; None of all systems together, and of a binary target
    after_offset: dict[str, MetricValue]  # none of a binary target


@dataclass(frozen=True)
class Row:
    """One model on one task. `rank` to `rank_high` are the places it can hold: models in `tied_with` share them."""

    model: str
    preset: str
    task: str
    kind: Kind
    unit: str
    n: int  # test crystals, over all folds
    groups: int
    runs: tuple[str, ...]  # <fold>-<seed> of each
    metrics: dict[str, MetricValue]
    spread: (
        dict[str, float | None] | None
    )  # standard deviation of each metric over folds and seeds, where there are several
    noise: str  # what the intervals show
    seconds_train: float | None
    seconds_predict: float | None
    peak_memory_mb: int | None
    parameters: int | None
    device: str | None
    settings: dict[str, Any]
    versions: dict[str, str]
    split: str
    commit: str | None
    trained: int  # crystals that trained, of the first run; 0 where none did
    epochs: int | None  # of training, where a model has them: the most among its runs
    flat: bool | None  # whether the last tenth of them improved no run's validation score by more than 1 %
    pretrained_on: str | None  # what the published weights were trained on, which may contain the test set
    outside: int  # test crystals left out because the model says that they are outside its domain
    leaks: int | None  # test crystals that are, as structures, also in training or validation; None: not known
    front: bool = False  # whether no other row of the task is both better and faster to train
    rank: int | None = None
    rank_high: int | None = None
    tied_with: tuple[str, ...] = ()
    systems: dict[str, SystemRow] = field(default_factory=dict)  # of a task that has them: of all rows, then of each
    data: dict[str, str] = field(default_factory=dict)  # name, sha256, source, version, date, licence, citation

    @property
    def title(self) -> str:
        """The name that the board shows."""
        return row_title(self.model, self.preset)


def make_row(
    task: Task, records: Sequence[StoredRun], held: Mapping[int, GroundTruth], shared: Mapping[int, int] | None
) -> tuple[Row, dict[str, Estimate]]:
    """The row that some runs of one model make, unranked, and the estimates that it is ranked by.

    `held` is the ground truth by fold, `shared` how many test structures leak by fold, None where that is not known.
    Raises `InputError` for predictions that cannot be read or belong to another version of the split.
    """
    runs, answered = [], []
    for stored in records:
        answer = held[stored.run.fold]
        if stored.record.split.sha256 != answer.sha256:
            raise InputError(f"{stored.folder} was made with another version of the split")
        answer, p = answer.read(stored)
        runs.append(answer.run(p))
        answered.append(answer)
    estimates = estimate_metrics(task.target.kind, runs, task.target.ranked_by)
    spread = None
    if len(runs) > 1:
        deviations = {m.name: float(np.std([m(r.y, r.p) for r in runs], ddof=1)) for m in task.target.metrics}
        spread = {name: value if np.isfinite(value) else None for name, value in deviations.items()}
    first, curves = records[0].record, [r.curve for r in records if r.curve]
    seconds = [r.record.seconds for r in records]
    row = Row(
        model=records[0].run.model,
        preset=records[0].run.preset,
        task=task.name,
        kind=task.target.kind,
        unit=task.target.unit,
        n=sum(len(r.y) for r in runs),
        groups=next(iter(estimates.values())).groups,
        runs=tuple(f"{r.run.fold}-{r.run.seed}" for r in records),
        metrics={name: metric_value(estimate) for name, estimate in estimates.items()},
        spread=spread,
        noise=NOISE,
        seconds_train=_mean([s.train for s in seconds]),
        seconds_predict=_mean([s.predict for s in seconds]),
        peak_memory_mb=max((m for r in records if (m := r.record.peak_memory_mb) is not None), default=None),
        parameters=first.parameters,
        device=first.device.name if first.device else None,
        settings=dict(first.settings),
        versions=dict(first.versions),
        split=first.split.sha256,
        commit=first.commit,
        trained=first.counts.train if first.seconds.train is not None else 0,
        epochs=max((c.epochs for c in curves), default=None),
        flat=all(c.flat for c in curves) if curves else None,
        pretrained_on=first.weights.trained_on if first.weights else None,
        outside=sum(len(r.record.outside) for r in records),
        systems=system_rows(task, runs, answered),
        data={"name": first.data.name, "sha256": first.data.sha256, **source_provenance(task.source)},
        leaks=None if first.weights else _count_leaks(records, shared),
    )
    return row, estimates


def system_rows(task: Task, runs: Sequence[PredictedFold], answered: Sequence[GroundTruth]) -> dict[str, SystemRow]:
    """The scores by system; nothing for a task that has none."""
    if not task.target.by_system:
        return {}

    def values(estimates: Mapping[str, Estimate]) -> dict[str, MetricValue]:
        return {name: metric_value(e) for name, e in estimates.items()}

    paired = [(run, answer.scored_formulas) for run, answer in zip(runs, answered, strict=True)]
    found = score_by_system(paired, task.target.kind)
    return {name: SystemRow(s.n, values(s.raw), s.offset, values(s.shifted)) for name, s in found.items()}


def _count_leaks(records: Sequence[StoredRun], shared: Mapping[int, int] | None) -> int | None:
    """Over the folds of some runs: by the structures that are known to be the same, else as the runs say."""
    folds = {r.run.fold: r.record.leaks for r in records}
    if shared is not None:
        return sum(shared[fold] for fold in folds)
    return None if None in folds.values() else sum(n for n in folds.values() if n)


def metric_value(estimate: Estimate) -> MetricValue:
    """What a board shows of an estimate."""
    return MetricValue(estimate.value, estimate.low, estimate.high)


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean of those that are known."""
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None
