"""A task by its name: what trains, validates and tests, and the score of predictions."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from asugnn.crystal import Crystal, Floats
from asugnn.errors import InputError
from asugnn.model import Kind, Labelled
from leaderboard.api.comparison import Comparison, compare_estimates
from leaderboard.board import Folds, GroundTruth, Score, check_origin, load_ground_truth, score_predictions
from leaderboard.data import Task, load_dataset, parse_task
from leaderboard.records import Run, list_runs, order_predictions
from leaderboard.scoring import Estimate
from leaderboard.splitting import fold_sides, read_split

Predictions = Mapping[str, float]  # id to value: in the unit of the task, or the probability of class 1


def task(name: str) -> BenchTask:
    """Open a task, `dataset/target[@split]`, such as `open-dft/band-gap`; raises `InputError` for an unknown one.

    Data sets outside the package are looked for in the folder that BENCH_DATA names.
    """
    if not isinstance(name, str):
        raise InputError(f"a task is named by a text such as 'open-dft/band-gap', not by a {type(name).__name__}")
    return BenchTask(parse_task(name))


@dataclass(frozen=True)
class Unlabelled:
    """n test crystals with their ids; a model never sees their labels."""

    ids: tuple[str, ...]
    crystals: Sequence[Crystal]

    def __len__(self) -> int:
        return len(self.ids)


class FoldData(NamedTuple):
    """One fold of a task. Only `val` may influence early stopping and the choice of hyper-parameters."""

    train: Labelled
    val: Labelled
    test: Unlabelled


@dataclass(frozen=True)
class BenchTask:
    """One label of one data set under one fixed split. Every method raises `InputError` for a fault of the input."""

    definition: Task

    @property
    def name(self) -> str:
        """As it is typed."""
        return self.definition.name

    @property
    def kind(self) -> Kind:
        """`regression`, or `binary`, of which the probability of class 1 is predicted."""
        return self.definition.target.kind

    @property
    def unit(self) -> str:
        """The unit of labels and predictions; empty for a binary task."""
        return self.definition.target.unit

    @property
    def metric(self) -> str:
        """The metric that ranks: a key of `Score.metrics`."""
        return self.definition.target.metrics[0].name

    @property
    def folds(self) -> tuple[int, ...]:
        """The folds of the split."""
        return tuple(read_split(load_dataset(self.definition.source), self.definition.rule).folds)

    def split(self, fold: int = 0) -> FoldData:
        """The crystals of a fold, in the order of the data set.

        A zero-shot task trains on its origin: train and val are those of the task whose models predict it.
        """
        fold = _whole(fold, "fold")
        origin = self.definition.training_task
        training, data = load_dataset(origin.source), load_dataset(self.definition.source)
        sides = fold_sides(read_split(training, origin.rule), training, origin.target, fold)
        (truth,) = self._truths(fold)
        train, val = (training.labelled(origin.target, ids) for ids in (sides.train, sides.validate))
        return FoldData(train, val, Unlabelled(truth.ids, data.crystals(truth.ids)))

    def score(self, predictions: Predictions, fold: Folds = 0) -> Score:
        """Score predictions of all test crystals of a fold, or of all folds (`"all"`): the mean of their metrics.

        `predictions` is a mapping from id to value. Missing and unknown ids, and values that are not numbers or no
        probabilities, are refused all at once.
        """
        fold = _read_folds(fold)
        score, _ = self._score("predictions", predictions, fold, self._truths(fold))
        return score

    def compare(self, models: Mapping[str, Predictions], fold: Folds = 0) -> Comparison:
        """Compare the predictions of two models or more on the same test crystals, as a board does.

        `models` maps a name of your choice to the predictions of a model, see `score`. Ties follow from paired tests
        of all pairs, corrected together, so they depend on which models are compared.
        """
        if not isinstance(models, Mapping) or len(models) < 2:
            example = "{'mine': {id: value, ..}, 'theirs': {id: value, ..}}"
            raise InputError(f"a comparison takes the predictions of two models or more: {example}")
        if unnamed := [name for name in models if not isinstance(name, str)]:
            raise InputError(f"a model is named by a text, not by {unnamed[0]!r:.40}")
        fold = _read_folds(fold)
        truths = self._truths(fold)
        scored = {
            name: self._score(f"predictions of '{name}'", predictions, fold, truths)
            for name, predictions in models.items()
        }
        metric = self.definition.target.metrics[0]
        estimates = {name: estimates[metric.name] for name, (_, estimates) in scored.items()}
        return compare_estimates({name: score for name, (score, _) in scored.items()}, estimates, metric)

    def stored_predictions(
        self, model: str, fold: int = 0, preset: str = "quick", seed: int = 0, runs: str | Path | None = None
    ) -> dict[str, float]:
        """The predictions of a stored run, to compare others with; of published weights, the preset is `pretrained`.

        The runs are those in the folder `runs`, else those of ./runs and of the package.
        """
        fold, seed = _whole(fold, "fold"), _whole(seed, "seed")
        for what, value in (("model", model), ("preset", preset)):
            if not isinstance(value, str):
                raise InputError(f"a {what} is named by a text, not by {value!r:.40}")
        stored, _ = list_runs(None if runs is None else Path(runs))
        of_task = {s.run: s for s in stored if s.run.task == self.definition}
        found = of_task.get(Run(self.definition, preset, model, fold, seed))
        if found is None:
            names = sorted({f"{run.model}, {run.preset}, {run.fold}, {run.seed}" for run in of_task})
            raise InputError(
                f"no run of {self.name} is stored for model '{model}', preset '{preset}', fold {fold} and seed {seed}; "
                f"there is: {'; '.join(names) or 'none'}"
            )
        (truth,) = self._truths(fold)
        check_origin(self.definition, [found], {fold: truth})
        truth, p = truth.read_run(found)
        return dict(zip(truth.ids, p.tolist(), strict=True))

    def _score(
        self, title: str, predictions: Predictions, fold: Folds, truths: Sequence[GroundTruth]
    ) -> tuple[Score, dict[str, Estimate]]:
        ids = tuple(name for truth in truths for name in truth.ids)
        ordered = order_predictions(predictions, ids, self.kind, title)
        parts: list[Floats] = []
        for truth in truths:
            parts.append(ordered[: len(truth.ids)])
            ordered = ordered[len(truth.ids) :]
        return score_predictions(self.definition, fold, truths, parts)

    def _truths(self, fold: Folds) -> list[GroundTruth]:
        """The ground truth of a fold, or of all folds, which must test different crystals."""
        if fold != "all":
            return [load_ground_truth(self.definition, fold)]
        truths = [load_ground_truth(self.definition, k) for k in self.folds]
        if len({name for truth in truths for name in truth.ids}) < sum(len(truth.ids) for truth in truths):
            raise InputError(f"the folds of {self.name} share test crystals: score them one by one")
        return truths


def _read_folds(fold: Any) -> Folds:
    """The number of a fold, or "all"; raises `InputError` for anything else."""
    return "all" if isinstance(fold, str) and fold == "all" else _whole(fold, "fold", ", or 'all'")


def _whole(value: Any, what: str, otherwise: str = "") -> int:
    """A whole number from 0, of Python or numpy; raises `InputError` for anything else."""
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if number < 0 or isinstance(value, bool | np.bool_) or np.ndim(value):
        raise InputError(f"{what} is a whole number from 0{otherwise}, not {value!r:.40}")
    return number
