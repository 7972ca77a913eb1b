"""Predict the crystals in files, by a stored run or any fitted model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from asugnn import Crystal, InputError, Model
from asugnn.atomic_write import atomic_write
from asugnn.model import HasDomain, HasReferences
from asugnn.model_registry import find_model, is_file_model
from leaderboard._util import check_predictions, move_to_device, require_model_packages, show_progress
from leaderboard.records import (
    PUBLISHED,
    SUBMITTED,
    StoredRun,
    open_run,
    run_folders,
)
from leaderboard.running.crystal_files import read_crystal_files
from leaderboard.running.model_code import model_code
from leaderboard.running.pretrained import (
    load_pretrained,
    models_with_weights,
    published_weights,
    weights_owner,
)

EXAMPLE = "runs/open-dft/band-gap@random/quick/forest/0-0"


def predict_files(model: Model, files: Sequence[Path], refer: bool = False) -> tuple[dict[str, float], list[str]]:
    """Predict the crystals in some files: values by id, and a sentence for each skipped file or crystal.

    With `refer`, a potential takes the energies of elements from the crystals of pure elements in these files. Skipped
    is what cannot be read, and what the model does not support. Raises `InputError` where nothing can be read.
    """
    crystals, skipped = read_crystal_files(files)
    given = list(crystals.values())
    if refer and isinstance(model, HasReferences):
        with _failing(model, "refer"):
            model.refer(given)
    with _failing(model, "outside"):
        reasons = outside_domain(model, tuple(crystals), given)
    inside = {name: crystal for name, crystal in crystals.items() if name not in reasons}
    values = _predicted_values(model, inside) if inside else []
    skipped += [f"{name}: {reason}" for name, reason in reasons.items()]
    return dict(zip(inside, values, strict=True)), skipped


def _predicted_values(model: Model, crystals: Mapping[str, Crystal]) -> list[float]:
    """The predictions for crystals (by id); raises `InputError` where the model fails, or returns something else."""
    with _failing(model, "predict"):
        values = model.predict(list(crystals.values()))
        check_predictions(list(crystals), values, is_probability=False)
    return [float(value) for value in values]


@contextmanager
def _failing(model: Model, method: str) -> Iterator[None]:
    """Turn whatever a method of somebody's model raises into an `InputError` that names both."""
    name = type(model).__name__
    try:
        yield
    except InputError as error:
        raise InputError(f"{name} failed: {error}") from error
    except Exception as error:
        raise InputError(f"{name} failed in {method}: {type(error).__name__}: {error}; --debug shows where") from error


def load_run_model(folder: Path, named: str = "") -> tuple[str, Model]:
    """Load the fitted model of a stored run, after the name of its target; raises `InputError`."""
    if not folder.is_dir():
        raise InputError(f"there is no folder '{folder}': --run names that of a finished run, such as {EXAMPLE}")
    if not (folder / "run.json").exists() and (runs := run_folders(folder)):
        raise InputError(f"{folder} holds several runs: --run names the folder of one, such as {runs[0]}")
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
        if stored.run.preset in (SUBMITTED, PUBLISHED):
            raise InputError(f"{stored.folder} has predictions that somebody handed in, and no model")
        if stored.packaged:
            raise InputError(
                f"{stored.folder} is stored with the package, without its model: `bench run` trains it anew in ./runs"
            )
        if stored.run.task.training_task != stored.run.task:
            origin = replace(stored.run, task=stored.run.task.training_task)
            root = stored.folder.parents[4]
            raise InputError(f"a zero-shot run has no model of its own: name that of {origin.folder(root)}")
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
    try:
        loaded = model.load(stored.folder / "model")
    except InputError:
        raise
    except Exception as error:  # of somebody's model
        raise InputError(f"{entry} failed in load: {type(error).__name__}: {error}; --debug shows where") from error
    if not isinstance(loaded, Model):
        kind = type(loaded).__name__
        raise InputError(f"{entry}: load returned {kind}, not a model; does it end with `return model`?")
    return move_to_device(loaded)


def load_predictor(run: Path | None, weights: str, models: Sequence[str]) -> tuple[str, Model]:
    """What a fitted model predicts, and that model: of a stored run, else with published weights; raises `InputError`.

    `models` are those that `weights` may belong to; none names all that take published weights.
    """
    if run is not None:
        return load_run_model(run, models[0] if models else "")
    name = weights_owner(models or models_with_weights(), weights)
    known = published_weights(name).get(weights)
    return known.target if known else "prediction", load_pretrained(name, weights)


def embed_files(files: Sequence[Path], out: Path) -> tuple[int, list[str]]:
    """Write the embeddings of the crystals in some files as one .npz; returns how many, and what was skipped and why.

    Raises `InputError` where there is no crystal to write.
    """
    from asugnn.embedding import embed_crystal

    crystals, skipped = read_crystal_files(files)
    several = len(crystals) + len(skipped) > 1
    arrays: dict[str, Any] = {}
    count = 0
    with show_progress("crystals", len(crystals)) as bar:
        for name, crystal in crystals.items():
            bar.advance()
            try:
                embedding = embed_crystal(crystal)
            except InputError as error:
                skipped.append(f"'{name}': {error}")
                continue
            arrays |= {(f"{name}/{k}" if several else k): v for k, v in vars(embedding).items()}
            count += 1
    if not arrays:
        raise InputError("\n".join(skipped))
    with atomic_write(out) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)
    return count, skipped
