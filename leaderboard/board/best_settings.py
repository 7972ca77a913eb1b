"""One row per model: of several settings of a model, those that predict the validation crystals best."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite
from statistics import fmean

from asugnn.errors import InputError
from leaderboard.records import UNPRESET, StoredRun, base_name


def best_settings(runs: Sequence[StoredRun]) -> tuple[list[StoredRun], list[str]]:
    """Keep, of the settings of a model on a task, those with the lowest error on validation crystals in training.

    The error is the lowest among epochs, in the mean over runs. A model without epochs records none: of its settings,
    those of the preset stay. Runs that were not trained here all stay. Settings whose record of training was changed
    go, with a note.
    """
    by_model: dict[tuple[str, str, str], dict[str, list[StoredRun]]] = {}  # then by name of the row
    for stored in runs:
        task, preset, row = stored.row
        by_model.setdefault((task, preset, name_without_settings(stored)), {}).setdefault(row, []).append(stored)
    kept: set[tuple[str, str, str]] = set()
    notes = []
    for (task, preset, _), variants in by_model.items():
        errors = dict.fromkeys(variants, inf)
        for row in variants if len(variants) > 1 else ():
            try:
                errors[row] = _validation_error(variants[row])
            except InputError as error:
                notes.append(f"{row} on {task} skipped: {error}")
                del errors[row]
        kept |= {(task, preset, row) for row in sorted(errors, key=lambda row: (errors[row], len(row), row))[:1]}
    return [stored for stored in runs if stored.row in kept], notes


def name_without_settings(stored: StoredRun) -> str:
    """The name of a run's model, whatever settings were changed; of predictions by others the name of their row.

    A row that is not named after the model that its record states keeps its name: it hides no other.
    """
    name, model = stored.run.model, base_name(stored.record.entry)
    trained_here = stored.run.preset not in UNPRESET
    return model if trained_here and model and name.startswith(f"{model}+") else name


def _validation_error(runs: Sequence[StoredRun]) -> float:
    """The mean over runs of the lowest validation error of an epoch; infinite where one is not known."""
    return fmean(min(filter(isfinite, run.read_history().get("val", [])), default=inf) for run in runs)
