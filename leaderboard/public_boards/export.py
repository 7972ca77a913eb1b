"""`bench export --to`: own runs in the form that a public board takes, so that they can be proposed there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asugnn.crystal import Floats
from asugnn.errors import InputError
from leaderboard.board import check_origin, load_ground_truth
from leaderboard.data import BOARDS, Task
from leaderboard.public_boards.enter import FORMS
from leaderboard.records import PUBLISHED, StoredRun

Fold = tuple[Sequence[str], Floats, Floats]  # ids, labels, predictions (n,)


def export_entries(board: str, runs: Sequence[StoredRun], tasks: Sequence[Task], out: Path) -> list[Path]:
    """Write an entry for each model of some runs of a board's tasks, the first seed of each fold; returns the files.

    Raises `InputError` where there is no such run, where one was made with other data or another split, and where a
    model has several presets or lacks folds that the board wants.
    """
    if foreign := [task.name for task in tasks if task.source.name not in BOARDS[board]]:
        raise InputError(f"{', '.join(foreign)}: not a task of {board}")
    models: dict[str, dict[Task, dict[int, Fold]]] = {}
    presets: dict[str, set[str]] = {}
    for stored in sorted(runs, key=lambda s: (s.run.fold, s.run.seed)):
        run = stored.run
        if run.task not in tasks or run.preset == PUBLISHED:
            continue
        presets.setdefault(run.model, set()).add(run.preset)
        folds = models.setdefault(run.model, {}).setdefault(run.task, {})
        if run.fold not in folds:
            truth = load_ground_truth(run.task, run.fold)
            check_origin(run.task, [stored], {run.fold: truth})
            if n := len(stored.record.outside):
                raise InputError(f"{stored.folder} leaves out {n} test crystals, and {board} wants a value of each")
            _, p = truth.read_run(stored)
            folds[run.fold] = truth.ids, truth.y, p
    if not models:
        names = ", ".join(task.name for task in tasks)
        raise InputError(f"there are no runs of {names}: `bench run` makes some; --runs names their folder")
    for model, named in presets.items():
        if len(named) > 1:
            raise InputError(f"{model} has runs of presets {', '.join(sorted(named))}: choose one with --preset")
    return [file for model, results in models.items() for file in FORMS[board].write_entry(out, model, results)]
