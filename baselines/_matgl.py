"""What MEGNet and M3GNet share: matgl's elements, graphs and file format, read without unpickling code."""

from __future__ import annotations

import importlib
import json
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from asugnn import Crystal, InputError
from asugnn.atomic_write import file_sha256
from asugnn.crystal import SYMBOLS
from asugnn.neighbours import Neighbours, nearest_neighbours, neighbours_within
from asugnn.published_weights import PublishedWeights

if TYPE_CHECKING:
    from torch import Tensor
UNKNOWN = {"Po", "At", "Rn", "Fr", "Ra"}  # and all beyond plutonium: matgl's networks have no place for them
ELEMENTS = tuple(s for s in SYMBOLS[:94] if s not in UNKNOWN)


PUBLISHED = "https://raw.githubusercontent.com/materialsvirtuallab/matgl/v2.0.4/pretrained_models"


def published_by_matgl(name: str, state: str, model: str, target: str, trained_on: str) -> PublishedWeights:
    """Weights that matgl published, by the sha256 of their two files that hold numbers and settings."""
    files = {"state.pt": state, "model.json": model}
    return PublishedWeights(f"matgl/{name}", files, f"{PUBLISHED}/{name}", target, trained_on)


def matgl_neighbours(crystal: Crystal, cutoff: float, bind: bool, model: str) -> Neighbours:
    """The pairs that a network of matgl sees; raises `InputError` where it would see none."""
    if bind:
        return bind_isolated_atoms(crystal, cutoff)
    pairs = neighbours_within(crystal, cutoff)
    if not len(pairs):
        raise InputError(
            f"{crystal.formula} is outside the domain of {model}: no atom has a neighbour within {cutoff:g} angstrom"
        )
    return pairs


def bind_isolated_atoms(crystal: Crystal, cutoff: float) -> Neighbours:
    """All neighbours within `cutoff` angstrom; for an atom that has none, its nearest shell.

    So no graph is empty, in which these networks have no meaning: caesium's nearest atoms are 5.4 angstrom away.
    """
    pairs, reach = neighbours_within(crystal, cutoff), cutoff
    while len(alone := np.setdiff1d(np.arange(len(crystal)), pairs.centre)):
        reach *= 1.5
        far = nearest_neighbours(crystal, 1, reach)
        rows = np.isin(far.centre, alone)
        parts = [
            np.concatenate([getattr(pairs, name), getattr(far, name)[rows]])
            for name in ("centre", "other", "image", "distance")
        ]
        order = np.lexsort((parts[3], parts[0]))
        pairs = Neighbours(*(part[order] for part in parts))
    return pairs


@dataclass(frozen=True)
class SavedModel:
    """A model in matgl's format."""

    settings: Mapping[str, Any]
    weights: dict[str, Tensor]
    mean: float  # of the target: the network's output is standardised
    scale: float
    before_3: bool  # whether it is one that matgl published for its versions before 3, which computed otherwise


def read_saved_model(files: Mapping[str, Path], kind: str, known: Mapping[str, PublishedWeights]) -> SavedModel:
    """Read a model in matgl's format; raises `InputError`.

    Mean and scale stand in `model.json` as text, so that nothing needs to be unpickled but tensors. What matgl
    published long ago is told by its digest; anything else is taken for the work of the matgl of today.
    """
    import torch

    try:
        about = json.loads(files["model.json"].read_text(encoding="utf-8"))["kwargs"]
        state = torch.load(files["state.pt"], map_location="cpu", weights_only=True)
        if (found := about["model"]["@class"]) != kind:
            raise ValueError(f"it is a {found}, not a {kind}")
        made = about["model"]["init_args"]
        if tuple(made["element_types"] or ELEMENTS) != ELEMENTS:
            raise ValueError("it has other elements than matgl's usual 89")
        transformer = about["target_transformer"]
        numbers = [float(x) for x in re.findall(r"-?\d+\.?\d*(?:[eE][+-]?\d+)?", transformer)]
        if not transformer.startswith("Normalizer") or len(numbers) != 2:
            raise ValueError(f"its target transformer is no Normalizer of two numbers, but {transformer}")
        weights = {name.removeprefix("model."): value for name, value in state.items()}
        return SavedModel(made, weights, numbers[0], numbers[1], is_published(files["state.pt"], known))
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise InputError(f"{folder_of(files)} holds no model in matgl's format: {first_line(error)}") from error


def is_published(state: Path, known: Mapping[str, PublishedWeights]) -> bool:
    """Whether a file is that of one of some published weights."""
    return file_sha256(state) in {w.files["state.pt"] for w in known.values()}


def folder_of(files: Mapping[str, Path]) -> Path:
    """Where some files lie."""
    return next(iter(files.values())).parent


def first_line(error: Exception) -> str:
    """What an exception says, short; a missing file by its name."""
    text = str(error).partition("\n")[0]
    return f"there is no {text}" if isinstance(error, KeyError) else text


def exchange_atoms(weight: Tensor, width: int) -> Tensor:
    """(out, 2 width + rest) the weight of a layer that sees (v_i, v_j, ...), for one that sees (v_j, v_i, ...)."""
    import torch

    first, second, rest = torch.split(weight, [width, width, weight.shape[1] - 2 * width], dim=1)
    return torch.cat([second, first, rest], dim=1)


def element_index(crystal: Crystal, model: str) -> Any:
    """(n,) positions in `ELEMENTS`; raises `InputError` for an element that is not there."""
    table = np.full(len(SYMBOLS) + 1, -1, dtype=np.int32)
    table[[SYMBOLS.index(symbol) + 1 for symbol in ELEMENTS]] = np.arange(len(ELEMENTS))
    index = table[crystal.numbers]
    if index.min() < 0:
        symbol = SYMBOLS[crystal.numbers[index.argmin()] - 1]
        raise InputError(f"{model} does not know the element {symbol} of {crystal.formula}: leave this crystal out")
    return index


def import_matgl_models() -> ModuleType:
    """The package's models, whose import takes seconds and warns of others' deprecations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module("matgl.models")
