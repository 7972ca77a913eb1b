"""One row per model: of several settings of a model, those that predict the validation crystals best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf, isfinite
from statistics import fmean

from leaderboard.board.rows import Row
from leaderboard.records import UNPRESET, StoredRun, base_name

FoldSeed = tuple[int, int]
SMOOTH = 5  # epochs, as in asugnn/training_state.py, which needs torch


def best_settings(rows: Sequence[tuple[Row, Sequence[StoredRun]]]) -> dict[str, Row]:
    """Choose, of the rows of one task, one for each model, by title; each gets a `label`, and the `left_out`.

    Of the settings with the most folds, those count that have the lowest error on validation crystals in training, in
    the mean over the folds and seeds that all of them have. Where they have none in common, and for a model without
    epochs, which records no such error, the settings of the preset stay, or else those of the shortest name. Rows that
    were not trained here all stay.
    """
    by_model: dict[tuple[str, str], list[tuple[Row, Sequence[StoredRun]]]] = {}
    for row, runs in rows:
        by_model.setdefault((row.preset, _name_without_settings(row, runs)), []).append((row, runs))
    chosen = {}
    for (_, label), variants in by_model.items():
        most = max(len(_folds(runs)) for _, runs in variants)
        candidates = [(row, runs) for row, runs in variants if len(_folds(runs)) == most]
        # Of a model with one variant there is nothing to choose, and nothing is read.
        errors = _validation_errors(candidates) if len(variants) > 1 else {variants[0][0].model: inf}
        best = min((row for row, _ in candidates), key=lambda row: (errors[row.model], len(row.model), row.model))
        left_out = tuple(sorted(row.model for row, _ in variants if row.model != best.model))
        chosen[best.title] = replace(best, label=label, left_out=left_out, validated=isfinite(errors[best.model]))
    return chosen


def _name_without_settings(row: Row, runs: Sequence[StoredRun]) -> str:
    """The name of a row's model, whatever settings were changed; of predictions by others their own name.

    A row whose records do not all state the model that it is named after keeps its name.
    """
    entries = {stored.record.entry for stored in runs}
    base = base_name(entries.pop()) if row.preset not in UNPRESET and len(entries) == 1 else ""
    return base if base and row.model.startswith(f"{base}+") else row.model


def _folds(runs: Sequence[StoredRun]) -> set[int]:
    return {stored.run.fold for stored in runs}


def _validation_errors(variants: Sequence[tuple[Row, Sequence[StoredRun]]]) -> dict[str, float]:
    """The mean validation error of each of some settings, infinite where one is not known."""
    errors = {row.model: {(r.run.fold, r.run.seed): _validation_error(r) for r in runs} for row, runs in variants}
    shared: set[FoldSeed] = set.intersection(*map(set, errors.values()))
    return {name: fmean(of_run[pair] for pair in shared) if shared else inf for name, of_run in errors.items()}


def _validation_error(stored: StoredRun) -> float:
    """The lowest validation error of a run, smoothed over epochs, as training chooses the weights that it keeps."""
    val = stored.read_history().get("val", [])
    ends = [end for end, value in enumerate(val, start=1) if isfinite(value)]
    recent = ([v for v in val[max(0, end - SMOOTH) : end] if isfinite(v)] for end in ends)
    return min(map(fmean, recent), default=inf)
