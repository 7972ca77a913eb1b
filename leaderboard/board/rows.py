"""One row of a board: the scores of one model on one task, what it cost, and where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from asugnn.model import Kind
from leaderboard.board.ground_truth import Scope, Varying
from leaderboard.board.row_scores import MetricValue, RowScores, SystemRow, metric_value
from leaderboard.data import Task
from leaderboard.records import PRETRAINED, Keep, PublishedReference, StoredRun, row_title
from leaderboard.scoring import Training, describe_training

NOISE = "95 % confidence interval over test"
WIDER: dict[Training, str] = {"once": "", "seeds": " and training seeds", "folds": " and folds"}
OTHERS = "there are rows of other presets"


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
    spread: dict[str, float | None] | None  # standard deviation of each metric over runs, where there are several
    varying: Varying  # what intervals and tests are over: test formulas, or test structures one by one
    noise: str  # what the intervals show
    training: Training  # whether the noise of training is in intervals and ranks
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
    outside: int  # test crystals that the model does not support, over all runs
    leaks: int | None  # test structures that also occur in training or validation; None: not known
    front: bool = False  # whether no other row of the task is both better and faster to train
    rank: int | None = None
    rank_high: int | None = None
    tied_with: tuple[str, ...] = ()
    systems: dict[str, SystemRow] = field(default_factory=dict)  # of a task that has them: of all rows, then of each
    data: dict[str, str] = field(default_factory=dict)  # name, sha256, source, version, date, licence, citation
    scope: Scope = ""  # of rows that a host's solution scores: public or private
    keep: Keep = "last"  # which of the files that were handed in under one name counts
    limit: int | None = None  # how many files each name may hand in, where the host says so
    deadline: str = ""  # the last moment to hand in, UTC, where the host says so
    tries: int | None = None  # how many these were, over all folds; None of a row that was not handed in
    label: str = ""  # the model's name without its settings, where a board has one row per model
    left_out: tuple[str, ...] = ()  # of such a board: rows with other settings of this model
    validated: bool = False  # whether it was chosen by its validation error
    published: PublishedReference | None = None  # of an entry of a public board; `stated` is the mean over its folds

    @property
    def key(self) -> tuple[str, str, str]:
        """Task, preset and model, as `StoredRun.row`."""
        return self.task, self.preset, self.model

    @property
    def name(self) -> str:
        """The name of the model that the board shows."""
        return self.label or self.model

    @property
    def title(self) -> str:
        """The same, and where it is from if it was not trained here."""
        return row_title(self.name, self.preset)

    @property
    def ranking_value(self) -> MetricValue:
        """The value of the metric by which its task ranks, the first one."""
        return next(iter(self.metrics.values()))


def runs_by_row(rows: Iterable[Row], runs: Iterable[StoredRun]) -> dict[tuple[str, str, str], list[StoredRun]]:
    """The runs that each row summarises, by its `key`: not those of its model that could not be scored."""
    scored = {row.key: set(row.runs) for row in rows}
    out: dict[tuple[str, str, str], list[StoredRun]] = {}
    for stored in runs:
        if stored.run.fold_seed in scored.get(stored.row, ()):
            out.setdefault(stored.row, []).append(stored)
    return out


def group_words(groups: int) -> str:
    """How many groups there are, for people."""
    return f"{groups} group{'s' * (groups != 1)}"


def interval_words(varying: Varying, training: Training) -> str:
    """What an interval shows: "95 % confidence interval over test formulas and training seeds"."""
    return f"{NOISE} {varying}{WIDER[training]}"


def make_row(
    task: Task,
    runs: Sequence[StoredRun],
    scores: RowScores,
    varying: Varying,
    leaked: Mapping[int, int] | None,
    provenance: Mapping[str, str],
) -> Row:
    """The row of some runs of one model and their scores, without a rank.

    `leaked` is how many test structures of each fold also train or validate, None where that is not known;
    `provenance` says where the data set is from.
    """
    first, curves = runs[0].record, scores.convergence
    training = describe_training([r.run.fold for r in runs])
    seconds = [r.record.seconds for r in runs]
    return Row(
        model=runs[0].run.model,
        preset=runs[0].run.preset,
        task=task.name,
        kind=task.target.kind,
        unit=task.target.unit,
        n=scores.n,
        groups=next(iter(scores.estimates.values())).groups,
        runs=tuple(r.run.fold_seed for r in runs),
        metrics={name: metric_value(estimate) for name, estimate in scores.estimates.items()},
        spread=scores.spread,
        varying=varying,
        noise=interval_words(varying, training),
        training=training,
        seconds_train=_mean_known([s.train for s in seconds]),
        seconds_predict=_mean_known([s.predict for s in seconds]),
        peak_memory_mb=max((m for r in runs if (m := r.record.peak_memory_mb) is not None), default=None),
        parameters=first.parameters,
        device=first.device.name if first.device else None,
        settings=dict(first.settings),
        versions=dict(first.versions),
        split=first.split.sha256,
        commit=first.commit,
        trained=first.counts.train if first.seconds.train is not None else 0,
        epochs=max((c.epochs for c in curves), default=None),
        flat=all(c.flat for c in curves) if curves else None,
        pretrained_on=next((r.record.weights.trained_on for r in runs if r.record.weights), None),
        outside=sum(len(r.record.outside) for r in runs),
        systems=scores.systems,
        data={"name": first.data.name, "sha256": first.data.sha256, **provenance},
        leaks=None if runs[0].run.preset == PRETRAINED else _count_leaks(runs, leaked),
        published=_mean_published([r.record.published for r in runs]),
    )


def _mean_published(entries: Sequence[PublishedReference | None]) -> PublishedReference | None:
    """The entry of the first fold, with the means over folds of the stated scores that each fold has."""
    known = [entry for entry in entries if entry]
    if not known:
        return None
    shared = [name for name in known[0].stated if all(name in entry.stated for entry in known)]
    stated = {name: float(np.mean([entry.stated[name] for entry in known])) for name in shared}
    return replace(known[0], stated=stated, classes=any(entry.classes for entry in known))


def _count_leaks(runs: Sequence[StoredRun], leaked: Mapping[int, int] | None) -> int | None:
    """Leaked test structures over the folds of some runs: as counted now, else as the runs recorded them."""
    recorded = {r.run.fold: r.record.leaks for r in runs}
    if leaked is not None:
        return sum(leaked[fold] for fold in recorded)
    return None if None in recorded.values() else sum(n for n in recorded.values() if n)


def _mean_known(values: Sequence[float | None]) -> float | None:
    """The mean of those that are known."""
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None
