"""Where models err: by element, space group, size of the cell, and range of the label."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from statistics import fmean

import numpy as np

from asugnn.crystal import SYMBOLS, Crystal, Floats
from asugnn.errors import InputError
from asugnn.symmetry import conventional_cell
from leaderboard.board.ground_truth import load_ground_truth
from leaderboard.board.row_scores import check_origin
from leaderboard.data import Task, load_dataset
from leaderboard.records import UNPRESET, StoredRun, row_title
from leaderboard.scoring import THRESHOLD

FEWEST = 5  # crystals of a class that is shown
SIZES = ((1, 4), (5, 10), (11, 20), (21, 40), (41, 80), (81, 10**6))  # atoms in the cell as it is given


@dataclass(frozen=True)
class ErrorClass:
    """The crystals that have something in common, and each model's mean error on them, or its accuracy."""

    name: str
    n: int
    values: Mapping[str, float]  # by the model's title


@dataclass(frozen=True)
class ErrorBreakdown:
    """The classes of test crystals that are large enough, and what was left out."""

    classes: tuple[ErrorClass, ...]
    n: int  # test crystals
    small: tuple[str, ...] = ()  # classes with fewer than `FEWEST` crystals
    in_small: int = 0  # crystals in these; an element's may be in others too
    skipped: tuple[str, ...] = ()  # a sentence for each run that could not be used


def break_down_errors(what: str, task: Task, runs: Sequence[StoredRun], preset: str) -> ErrorBreakdown:
    """Mean errors by class of the test crystals, over all folds that were run, of each model on what it predicted.

    `what` is one of `BREAKDOWNS`; of the runs, those of the task under the preset count, and those under none.
    """
    data = load_dataset(task.source)
    errors: dict[str, dict[str, list[float]]] = {}  # by id, then by model
    skipped: list[str] = []
    load_truth = cache(load_ground_truth)
    for stored in runs:
        run = stored.run
        if run.task != task or run.preset not in {preset, *UNPRESET}:
            continue
        try:
            truths = load_truth(task, run.fold)
            check_origin(task, [stored], {run.fold: truths})
            truth, p = truths.read_run(stored)
        except InputError as error:
            skipped.append(f"{run.title} skipped: {error}")
            continue
        wrong = (
            abs(p - truth.y) if task.target.kind == "regression" else ((p >= THRESHOLD) == (truth.y == 1)).astype(float)
        )
        title = row_title(run.model, run.preset)
        for name, wrong_by, counts in zip(truth.ids, wrong.tolist(), truth.scored, strict=True):
            if counts:
                errors.setdefault(name, {}).setdefault(title, []).append(wrong_by)
    if not errors:
        return ErrorBreakdown((), 0, skipped=tuple(skipped))
    ids = list(errors)
    labels = data.labels(task.target)[[data.rows[i] for i in ids]]
    classes = BREAKDOWNS[what](data.crystals(ids), labels)
    means = [{model: _mean(of_runs) for model, of_runs in errors[name].items()} for name in ids]
    shown = []
    small = {name: rows for name, rows in classes.items() if len(rows) < FEWEST}
    for name, rows in classes.items():
        if name not in small:
            models = sorted({model for i in rows for model in means[i]})
            of_class = {model: _mean([means[i][model] for i in rows if model in means[i]]) for model in models}
            shown.append(ErrorClass(name, len(rows), of_class))
    in_small = len({i for rows in small.values() for i in rows})
    return ErrorBreakdown(tuple(shown), len(ids), tuple(small), in_small, tuple(skipped))


def _mean(values: Sequence[float]) -> float:
    """The mean; infinite where the sum is larger than a floating-point number."""
    try:
        return fmean(values)
    except OverflowError:
        return math.inf


def _elements(crystals: Sequence[Crystal], _: Floats) -> dict[str, list[int]]:
    """A crystal counts for each of its elements; by atomic number."""
    found: dict[int, list[int]] = {}
    for i, crystal in enumerate(crystals):
        for z in np.unique(crystal.numbers).tolist():
            found.setdefault(z, []).append(i)
    return {SYMBOLS[z - 1]: found[z] for z in sorted(found)}


def _space_groups(crystals: Sequence[Crystal], _: Floats) -> dict[str, list[int]]:
    found: dict[int, list[int]] = {}
    for i, crystal in enumerate(crystals):
        found.setdefault(conventional_cell(crystal).space_group, []).append(i)
    return {str(number): found[number] for number in sorted(found)}


def _sizes(crystals: Sequence[Crystal], _: Floats) -> dict[str, list[int]]:
    sizes = np.array([len(c) for c in crystals])
    parts = ((f"{a}-{b} atoms" if b < 10**6 else f"{a} atoms or more", (sizes >= a) & (sizes <= b)) for a, b in SIZES)
    return {name: np.flatnonzero(inside).tolist() for name, inside in parts if inside.any()}


def _labels(_: Sequence[Crystal], y: Floats) -> dict[str, list[int]]:
    """Fifths of the test crystals by label; of a binary target, its classes."""
    if set(y.tolist()) <= {0.0, 1.0}:
        return {f"class {k}": np.flatnonzero(y == k).tolist() for k in (0, 1) if (y == k).any()}
    edges = np.unique(np.quantile(y, np.linspace(0, 1, 6)))
    place = np.clip(np.searchsorted(edges, y, side="right") - 1, 0, max(len(edges) - 2, 0))
    digits = next(d for d in range(3, 18) if d == 17 or len({f"{e:.{d}g}" for e in edges}) == len(edges))
    names = [f"{a:.{digits}g} to {b:.{digits}g}" for a, b in pairwise(edges)] or [f"{edges[0]:.3g}"]
    return {name: np.flatnonzero(place == k).tolist() for k, name in enumerate(names)}


BREAKDOWNS: dict[str, Callable[[Sequence[Crystal], Floats], dict[str, list[int]]]] = {
    "element": _elements,
    "space-group": _space_groups,
    "size": _sizes,
    "label": _labels,
}
