"""Enter the predictions that a public board stores, as runs of the preset `published`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from asugnn.crystal import Floats
from asugnn.errors import InputError
from leaderboard._util import lock_folder, show_progress
from leaderboard.board import GroundTruth, load_ground_truth
from leaderboard.data import Task, load_dataset
from leaderboard.public_boards import jarvis, matbench
from leaderboard.public_boards.entries import BoardEntry, FoldEntry, read_numbers
from leaderboard.records import (
    PUBLISHED,
    PublishedReference,
    Run,
    file_digest,
    find_run,
    replace_run,
    write_predictions,
)
from leaderboard.splitting import read_split

FORMS = {"matbench": matbench.FORM, "jarvis": jarvis.FORM}
ROUNDED = 1e-3  # of a label or of 1: labels that an entry repeats are rounded, some to three decimals

LoadTruth = Callable[[Task, int], GroundTruth]


def enter_published(
    board: str, checkout: Path, commit: str, tasks: Sequence[Task], root: Path
) -> tuple[dict[str, int], list[str]]:
    """Enter what a checkout of a board stores of some tasks into the runs under `root`.

    Returns how many folds of each model were entered, and a sentence for each entry or fold that was left out or is
    odd. A fold counts whole: one whose ids are not those of our test set is not entered. Raises `InputError` where the
    folder holds no entry.
    """
    form = FORMS[board]
    if not (folders := form.list_entries(checkout)):
        raise InputError(f"'{checkout}' holds no entry of {board}: there is no {form.pattern} in it")
    load_truth: LoadTruth = cache(load_ground_truth)
    counts: dict[str, int] = {}
    folder_of: dict[str, str] = {}  # of each model
    notes: list[str] = []
    with show_progress("entries", len(folders)) as bar:
        for folder in folders:
            try:
                for entry in form.read_entries(folder):
                    if folder_of.setdefault(entry.model, folder.name) != folder.name:
                        raise InputError(f"its model is called {entry.model}, as that of {folder_of[entry.model]}")
                    notes += [f"{folder.name}: {oddity}" for oddity in entry.oddities]
                    for task in tasks:
                        if (folds := entry.folds.get(_name(task))) is None:
                            continue
                        if missing := sorted(set(_folds(task)) - folds.keys()):
                            listed = ", ".join(map(str, missing))
                            notes.append(f"{entry.model} on {task.name} has no predictions of fold {listed}")
                        for fold, stored in sorted(folds.items()):
                            entered = _enter_fold(entry, commit, task, fold, stored, root, load_truth, notes)
                            counts[entry.model] = counts.get(entry.model, 0) + entered
            except InputError as error:
                notes.append(f"{folder.name} is not entered: {error}")
            bar.advance(note=folder.name)
    return counts, notes


def _folds(task: Task) -> Sequence[int]:
    return list(read_split(load_dataset(task.source), task.rule).folds)


def _name(task: Task) -> str:
    return f"{task.source.name}/{task.target.name}"


def _enter_fold(
    entry: BoardEntry,
    commit: str,
    task: Task,
    fold: int,
    stored: FoldEntry,
    root: Path,
    load_truth: LoadTruth,
    notes: list[str],
) -> bool:
    """Enter one fold, unless that was done before; False with a sentence in `notes` where it cannot be."""
    run = Run(task, PUBLISHED, entry.model, fold, 0)
    try:
        truth = load_truth(task, fold)
        p, classes = _join(stored, truth, task)
    except InputError as error:
        notes.append(f"{entry.model} on {task.name}, fold {fold} is not entered: {error}")
        return False
    if oddity := _compare_labels(stored, truth):
        notes.append(f"{entry.model} on {task.name}: {oddity}")
    published = PublishedReference(
        entry.board, entry.name, entry.sha256, commit, entry.authors, entry.reference, stored.stated, classes
    )
    folder = run.folder(root)
    data = load_dataset(task.source)
    split = read_split(data, task.rule)
    identity = {
        "split": {"rule": split.rule, "version": split.version, "sha256": split.sha256},
        "data": {"name": data.source.name, "sha256": data.sha256},
        "published": asdict(published),
    }
    with lock_folder(folder, wait=True):
        if _is_entered(run, root, identity):
            return True
        about = {"task": task.name, "model": run.model, "preset": PUBLISHED, "fold": fold, "seed": 0}
        finished = datetime.now(UTC).isoformat("T", "seconds")
        fields = {**about, **identity, "counts": {"test": len(p)}, "seconds": {}, "finished": finished}
        replace_run(folder, fields, lambda path: write_predictions(path, truth.ids, task.target.name, p))
    return True


def _is_entered(run: Run, root: Path, identity: Mapping[str, Any]) -> bool:
    """Whether these predictions are stored already, undamaged."""
    with suppress(InputError):
        if stored := find_run(run, root):
            same = all(stored.record.raw.get(key) == value for key, value in identity.items())
            return same and file_digest(stored.predictions) == stored.record.predictions_sha256
    return False


def _join(stored: FoldEntry, truth: GroundTruth, task: Task) -> tuple[Floats, bool]:
    """Predictions (n,) in the order of the ground truth, and whether they are classes; raises `InputError`."""
    known = stored.predictions
    if not isinstance(known, Mapping):
        raise InputError("its predictions are not an object that gives each id a number")
    if missing := [name for name in truth.ids if name not in known]:
        raise InputError(f"{len(missing):,} of {len(truth.ids):,} test ids are missing, such as '{missing[0]}'")
    if len(known) > len(truth.ids):
        surplus = min(known.keys() - set(truth.ids))
        raise InputError(f"it predicts {len(known) - len(truth.ids):,} ids outside its test set, such as '{surplus}'")
    p = read_numbers({name: known[name] for name in truth.ids}, task.target.kind)
    if task.target.kind == "regression":
        return p, False
    if not ((p >= 0) & (p <= 1)).all():
        raise InputError("it predicts numbers that are no probabilities")
    return p, bool(np.isin(p, (0.0, 1.0)).all())


def _compare_labels(stored: FoldEntry, truth: GroundTruth) -> str:
    """A sentence where an entry repeats labels that are not those of the task."""
    if not stored.labels:
        return ""
    theirs = np.array([stored.labels[name] for name in truth.ids])
    apart = np.abs(theirs - truth.y) > ROUNDED * np.maximum(1, np.abs(truth.y))
    if not apart.any():
        return ""
    worst = int(np.argmax(np.abs(theirs - truth.y)))
    stated = f"{theirs[worst]:g} for '{truth.ids[worst]}', whose label is {truth.y[worst]:g}"
    return f"its file states other labels for {int(apart.sum()):,} crystals, such as {stated}; ours count"
