"""Shared by MEGNet and M3GNet: matgl's elements, graphs and file format, which is read without executing code."""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np

from asugnn import Crystal, InputError
from asugnn.atomic_write import file_sha256
from asugnn.crystal import SYMBOLS
from asugnn.neighbours import Neighbours, bind_or_refuse, neighbours_within
from asugnn.published_weights import PublishedWeights
from asugnn.reading import read_json, reading

if TYPE_CHECKING:
    from torch import Tensor

UNSUPPORTED = {"Po", "At", "Rn", "Fr", "Ra"}  # and all beyond plutonium: matgl's networks have no embedding of them
ELEMENTS = tuple(s for s in SYMBOLS[:94] if s not in UNSUPPORTED)  # in the order of matgl's embedding
PUBLISHED = "https://raw.githubusercontent.com/materialsvirtuallab/matgl/v2.0.4/pretrained_models"


def published_by_matgl(name: str, state: str, model: str, target: str, trained_on: str) -> PublishedWeights:
    """Describe weights that matgl published; `state` and `model` are the sha256 of `state.pt` and `model.json`."""
    files = {"state.pt": state, "model.json": model}
    return PublishedWeights(f"matgl/{name}", files, f"{PUBLISHED}/{name}", target, trained_on)


def matgl_neighbours(crystal: Crystal, cutoff: float, bind: bool, model: str) -> Neighbours:
    """Find the pairs within `cutoff` angstrom, the edges of matgl's graph; raises `InputError` as `bind_or_refuse`."""
    return bind_or_refuse(crystal, neighbours_within(crystal, cutoff), cutoff, bind, model)


@dataclass(frozen=True)
class SavedModel:
    """A model in matgl's format."""

    settings: Mapping[str, Any]  # the arguments of matgl's class
    weights: dict[str, Tensor]
    mean: float  # of the target, in its unit: the network's output is standardised
    scale: float  # standard deviation of the target, in its unit
    as_2023: bool  # whether matgl published it in 2023: its versions before 3 summed messages at other atoms


def read_saved_model(files: Mapping[str, Path], kind: str, published: Mapping[str, PublishedWeights]) -> SavedModel:
    """Read a model of class `kind` in matgl's format from `model.json` and `state.pt`; raises `InputError`.

    Mean and scale are text in `model.json`, so that nothing but tensors needs to be unpickled. The models that matgl
    published for its old versions are recognised by their digests; any other file is taken as of the current version.
    """
    import torch

    with reading(weights_folder(files), "a model in matgl's format"):
        model = read_json(files["model.json"], "a model in matgl's format")["kwargs"]
        state = torch.load(files["state.pt"], map_location="cpu", weights_only=True)
        if (saved_kind := model["model"]["@class"]) != kind:
            raise ValueError(f"it is a {saved_kind}, not a {kind}")
        settings = model["model"]["init_args"]
        if tuple(settings["element_types"] or ELEMENTS) != ELEMENTS:
            raise ValueError("it has other elements than matgl's usual 89")
        transformer = model["target_transformer"]
        numbers = [float(x) for x in re.findall(r"-?\d+\.?\d*(?:[eE][+-]?\d+)?", transformer)]
        if not transformer.startswith("Normalizer") or len(numbers) != 2:
            raise ValueError(f"its target transformer is not a Normalizer of two numbers, but {transformer}")
        weights = {name.removeprefix("model."): value for name, value in state.items()}
        mean, scale = numbers
        return SavedModel(settings, weights, mean, scale, matches_published(files["state.pt"], published))


def matches_published(state: Path, published: Mapping[str, PublishedWeights]) -> bool:
    """Whether a file is the `state.pt` of one of the published weights, by its sha256."""
    return file_sha256(state) in {weights.files["state.pt"] for weights in published.values()}


def weights_folder(files: Mapping[str, Path]) -> Path:
    """Return the folder in which the files of a model lie."""
    return next(iter(files.values())).parent


def exchange_atoms(weight: Tensor, width: int) -> Tensor:
    """Turn the weight (out, 2 width + rest) of a layer on [v_i, v_j, ...] into that of a layer on [v_j, v_i, ...]."""
    import torch

    first, second, rest = torch.split(weight, [width, width, weight.shape[1] - 2 * width], dim=1)
    return torch.cat([second, first, rest], dim=1)


def element_index(crystal: Crystal, model: str) -> Any:
    """Return the positions (n,) of the atoms' elements in `ELEMENTS`; raises `InputError` for another element."""
    table = np.full(len(SYMBOLS) + 1, -1, dtype=np.int32)
    table[[SYMBOLS.index(symbol) + 1 for symbol in ELEMENTS]] = np.arange(len(ELEMENTS))
    index = table[crystal.numbers]
    if index.min() < 0:
        symbol = SYMBOLS[crystal.numbers[index.argmin()] - 1]
        raise InputError(f"{model} does not know the element {symbol} of {crystal.formula}: remove this crystal")
    return index


def import_matgl_models() -> ModuleType:
    """Import `matgl.models`, which takes seconds, without the deprecation warnings of its dependencies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            import matgl.models
        except (OSError, RuntimeError):  # it makes a folder in the user's home folder, which may not be possible
            with tempfile.TemporaryDirectory() as home, patch.dict(os.environ, HOME=home):
                import matgl.models
    models: ModuleType = matgl.models
    return models


def set2set(reader: Any, x: Tensor, weight: Tensor, index: Tensor, size: int) -> Tensor:
    """Read (size, 2F) out of rows x (m, F) by matgl's Set2Set; its softmax counts a row as often as its weight says.

    `index` (m,) are the crystals of the rows; `size` is the number of crystals. It counts in the precision of its
    weights: with bfloat16, PyTorch has no LSTM on processors without AVX-512.
    """
    import torch

    lstm = reader.lstm
    with torch.autocast(x.device.type, enabled=False):
        x = x.to(lstm.weight_ih_l0.dtype)
        shape = (lstm.num_layers, size, lstm.hidden_size)
        hidden, star = (x.new_zeros(shape), x.new_zeros(shape)), x.new_zeros(size, 2 * lstm.hidden_size)
        for _ in range(reader.n_iters):
            q, hidden = lstm(star[None], hidden)
            q = q[0]  # (size, F)
            score = (x * q[index]).sum(dim=1) + weight.log()
            top = score.new_full((size,), -torch.inf).scatter_reduce(0, index, score.detach(), "amax")
            share = (score - top[index]).exp()
            share = share / share.new_zeros(size).index_add(0, index, share)[index]
            weighted = share[:, None] * x
            read = weighted.new_zeros(size, x.shape[1]).index_add(0, index, weighted)
            star = torch.cat([q, read], dim=1)
    return star


def linear_of_parts(weight: Tensor, bias: Tensor, *parts: tuple[Tensor, Tensor | None]) -> Tensor:
    """Map rows [v[i], w[j], ...] by a linear layer, given parts (v, i), (w, j), ..; None is the index of all rows.

    The map is the sum of maps of the parts: that of a part is computed once for each of its rows, then indexed.
    """
    import torch
    from torch.nn import functional

    weights = torch.split(weight, [values.shape[1] for values, _ in parts], dim=1)
    total = bias
    for (values, index), part in zip(parts, weights, strict=True):
        mapped = functional.linear(values, part)
        total = total + (mapped if index is None else mapped.index_select(0, index))
    return total
