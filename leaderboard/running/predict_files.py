"""Predict the crystals in files, by a stored run or any fitted model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asugnn import Crystal, InputError, Model
from asugnn.atomic_write import atomic_write
from asugnn.model import HasDomain
from asugnn.model_registry import find_model, is_file_model
from asugnn.structure_files import read_crystals
from leaderboard._util import require_model_packages, show_progress
from leaderboard.records import (
    StoredRun,
    open_run,
)
from leaderboard.running.model_code import model_code
from leaderboard.running.pretrained import load_pretrained, models_with_weights, published_weights, weights_owner


def read_crystal_files(files: Sequence[Path]) -> dict[str, Crystal]:
    """Read the crystals in some files, by id; raises `InputError`, also where an id comes twice."""
    crystals: dict[str, Crystal] = {}
    for file in files:
        for name, crystal in read_crystals(file).items():
            if name in crystals:
                raise InputError(f"id '{name}' comes twice, the second time from {file}: rename one of the files")
            crystals[name] = crystal
    return crystals


def predict_files(model: Model, files: Sequence[Path]) -> tuple[dict[str, float], dict[str, str]]:
    """Predict the crystals in some files: values by id, and of each unsupported crystal the reason by id."""
    crystals = read_crystal_files(files)
    reasons = outside_domain(model, tuple(crystals), list(crystals.values()))
    inside = {name: crystal for name, crystal in crystals.items() if name not in reasons}
    values = model.predict(list(inside.values())).tolist() if inside else []
    return dict(zip(inside, values, strict=True)), reasons


def load_run_model(folder: Path, named: str = "") -> tuple[str, Model]:
    """Load the fitted model of a stored run, after the name of its target; raises `InputError`."""
    stored = open_run(folder)
    return stored.run.task.target.name, load_fitted_model(stored, named)


def outside_domain(model: Model, ids: Sequence[str], crystals: Sequence[Crystal]) -> dict[str, str]:
    """Ids of the crystals that a model does not support, each with the reason that it gives."""
    reasons: Mapping[int, str] = model.outside(crystals) if isinstance(model, HasDomain) else {}
    return {ids[i]: reason for i, reason in reasons.items()}


def load_fitted_model(stored: StoredRun, named: str = "") -> Model:
    """Load the fitted model of a stored run; raises `InputError` where that cannot be done, or its files were changed.

    A record names an installed model. Where it names a file, that file is executed only if the user has named it too,
    as `named`, and if it is the one that made the run.
    """
    if not (stored.folder / "model").is_dir():
        raise InputError(f"{stored.folder} has no folder 'model': delete its run.json and repeat `bench run`")
    stored.check_files("model")
    entry, code = stored.record.entry, stored.record.code
    if is_file_model(entry):
        if not is_file_model(named):
            raise InputError(
                f"{stored.folder} was made by {entry}, and a file is executed only if you name it: add --model {entry}"
            )
        if code and model_code(named)["sha256"] != code.sha256:
            raise InputError(
                f"{named.rpartition(':')[0]} has changed since it made {stored.folder}: repeat `bench run`"
            )
        entry = named
    model = find_model(entry)
    require_model_packages(model)
    return model.load(stored.folder / "model")


def load_predictor(run: Path | None, weights: str, models: Sequence[str]) -> tuple[str, Model]:
    """What a fitted model predicts, and that model: of a stored run, else with published weights; raises `InputError`.

    `models` are those that `weights` may belong to; none names all that take published weights.
    """
    if run is not None:
        return load_run_model(run, models[0] if models else "")
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
                embedding = embed_crystal(crystal)
            except InputError as error:
                raise InputError(f"'{name}': {error}") from error
            arrays |= {(f"{name}/{k}" if len(crystals) > 1 else k): v for k, v in vars(embedding).items()}
            bar.advance()
    with atomic_write(out) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    return len(crystals)
