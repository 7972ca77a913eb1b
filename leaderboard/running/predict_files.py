"""Predict the crystals in files, by a stored run or any fitted model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asugnn import Crystal, InputError, Model
from asugnn.atomic_write import atomic_write
from asugnn.model import HasDomain
from asugnn.model_registry import find_model
from asugnn.structure_files import read_crystals
from leaderboard._util import require_model_packages, show_progress
from leaderboard.records import (
    StoredRun,
    open_run,
)
from leaderboard.running.pretrained import load_pretrained, models_with_weights, published_weights, weights_owner


def read_crystal_files(files: Sequence[Path]) -> dict[str, Crystal]:
    """The crystals in some files, by id; raises `InputError`, also where an id comes twice."""
    found: dict[str, Crystal] = {}
    for file in files:
        for name, crystal in read_crystals(file).items():
            if name in found:
                raise InputError(f"id '{name}' comes twice, the second time from {file}: rename one of the files")
            found[name] = crystal
    return found


def predict_files(model: Model, files: Sequence[Path]) -> tuple[dict[str, float], dict[str, str]]:
    """What a fitted model predicts for the crystals in some files, by id; and why it does not, for those it cannot."""
    found = read_crystal_files(files)
    reasons = outside_domain(model, tuple(found), list(found.values()))
    inside = {name: crystal for name, crystal in found.items() if name not in reasons}
    values = model.predict(list(inside.values())).tolist() if inside else []
    return dict(zip(inside, values, strict=True)), reasons


def load_run_model(folder: Path) -> tuple[str, Model]:
    """The target of a stored run, and its fitted model."""
    record = open_run(folder)
    return record.run.task.target.name, fitted_model(record)


def outside_domain(model: Model, ids: Sequence[str], crystals: Sequence[Crystal]) -> dict[str, str]:
    """Ids of the crystals that the model says it cannot predict, with its reasons."""
    reasons: Mapping[int, str] = model.outside(crystals) if isinstance(model, HasDomain) else {}
    return {ids[i]: reason for i, reason in reasons.items()}


def fitted_model(record: StoredRun) -> Model:
    """The model of a stored run."""
    if not (record.folder / "model").is_dir():
        raise InputError(f"{record.folder} has no folder 'model': delete its run.json, and the run is made again")
    model = find_model(record.record.entry)
    require_model_packages(model)
    return model.load(record.folder / "model")


def load_predictor(run: Path | None, weights: str, models: Sequence[str]) -> tuple[str, Model]:
    """What a fitted model predicts, and that model: of a stored run, else with published weights; raises `InputError`.

    `models` are those that `weights` may belong to; none names all that take published weights.
    """
    if run is not None:
        return load_run_model(run)
    name = weights_owner(models or models_with_weights(), weights)
    known = published_weights(name).get(weights)
    return known.target if known else "prediction", load_pretrained(name, weights)


def embed_files(files: Sequence[Path], out: Path) -> int:
    """Write the embeddings of all crystals in some files as one .npz; returns how many; raises `InputError`."""
    from asugnn.embedding import embed_crystal

    crystals = read_crystal_files(files)
    arrays: dict[str, Any] = {}
    with show_progress("crystals", len(crystals)) as bar:
        for name, crystal in crystals.items():
            try:
                found = embed_crystal(crystal)
            except InputError as error:
                raise InputError(f"'{name}': {error}") from error
            arrays |= {(f"{name}/{k}" if len(crystals) > 1 else k): v for k, v in vars(found).items()}
            bar.advance()
    with atomic_write(out) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    return len(crystals)
