"""Support vectors on the frozen embedding of CHGNet, a universal potential, for any property."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from asugnn import Context, Crystal, InputError, Labelled
from asugnn.atomic_write import file_sha256
from asugnn.cache import Inputs, RefusedCrystalsError, cached_inputs, inputs_or_error, naming
from asugnn.crystal import Floats
from asugnn.model import INVARIANCES, Publication
from asugnn.model_registry import model_settings
from asugnn.progress import Progress, no_progress
from asugnn.published_weights import FrozenWeights
from asugnn.reading import reading
from asugnn.workers import map_chunks
from baselines._chgnet import (
    FOLDER,
    PUBLICATION,
    TRAINED_ON,
    VERSION,
    WEIGHTS,
    WEIGHTS_SHA256,
    build_graph,
    build_network,
    without_its_warnings,
)
from baselines.forest import composition_features

EMBEDDED = 64  # numbers of the embedding
FILE = "vectors.safetensors"
CACHE = 1000  # megabytes of kernel values that libsvm keeps
ROWS = 2000  # of crystals whose kernel values are in memory at once


@dataclass
class CHGNetSVR:
    """Support-vector regression on CHGNet's frozen embedding (Deng et al. 2023) and the composition's statistics.

    The embedding is the mean over atoms of CHGNet's last layer (64 numbers), beside the 87 features of the forest; the
    kernel is Gaussian. Labels of classes are fitted as 0 and 1, and a logistic function of the result, fitted on the
    validation crystals (Platt 1999; on training crystals where these have one class), is the probability. Only the
    vectors and that function are trained here: CHGNet has seen crystals of the test sets, with other labels, so rows of
    this model are not ranked. Supports hydrogen to plutonium.
    """

    penalty: float = 10.0  # of an error, for standardised labels
    width: float = 2.0  # of the kernel exp(-d^2 / (columns width^2)), in standard deviations of the features
    margin: float = 0.01  # of errors that cost nothing, for standardised labels

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": {}, "hours": {}, "paper": {}}
    publication: ClassVar[Publication] = PUBLICATION
    frozen_weights: ClassVar[FrozenWeights] = FrozenWeights(f"CHGNet {VERSION}", {WEIGHTS: WEIGHTS_SHA256}, TRAINED_ON)
    requires: ClassVar[tuple[str, ...]] = ("torch", "sklearn", "safetensors", "jarvis", "pymatgen", "chgnet")
    invariances: ClassVar[frozenset[str]] = INVARIANCES

    def __post_init__(self) -> None:
        for name, least in (("penalty", 1e-6), ("width", 1e-6), ("margin", 0.0)):
            if not least <= getattr(self, name) <= 1e6:
                raise InputError(f"chgnet-svr.{name} must be from {least:g} to 1e+06, not {getattr(self, name)}")

    def fit(self, train: Labelled, val: Labelled, context: Context) -> None:
        from sklearn.svm import SVR

        features = _features_of_side(train, context.progress)
        offset, spread = float(train.y.mean()), float(train.y.std()) or 1.0
        scale, largest = features.std(axis=0), np.abs(features).max(axis=0)
        self._arrays = {
            "mean": features.mean(axis=0),
            "scale": np.where(scale > 1e-6 * largest, scale, np.inf),  # a column that is the same for all becomes 0
            "gamma": np.array(1 / (features.shape[1] * self.width**2)),
            "offset": np.array(offset),
            "spread": np.array(spread),
        }
        machine = SVR(C=self.penalty, gamma=float(self._arrays["gamma"]), epsilon=self.margin, cache_size=CACHE)
        machine.fit(self._standardise(features), (train.y - offset) / spread)
        self._arrays |= {
            "vectors": machine.support_vectors_.astype(np.float32),  # as they were
            "weights": machine.dual_coef_[0],
            "constant": machine.intercept_[0:1].reshape(()),
        }
        if train.kind == "binary":
            known = val if len(np.unique(val.y)) == 2 else train
            self._arrays["link"] = _logistic_link(self._decide(_features_of_side(known, context.progress)), known.y)

    def predict(self, crystals: Sequence[Crystal]) -> Floats:
        values = self._decide(crystal_features(crystals))
        if "link" not in self._arrays:
            return values
        constant, slope = self._arrays["link"]
        probabilities: Floats = 1 / (1 + np.exp(-(constant + slope * values)))
        return probabilities

    def outside(self, crystals: Sequence[Crystal]) -> dict[int, str]:
        """List the crystals with elements that CHGNet does not know, or without two atoms near each other."""
        try:
            _embeddings(crystals)  # `predict` needs them, too
        except RefusedCrystalsError as error:
            return error.reasons
        return {}

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save_file

        save_file(self._arrays, folder / FILE, metadata={"settings": json.dumps(model_settings(self))})

    @classmethod
    def load(cls, folder: Path) -> Self:
        from safetensors import safe_open

        with reading(folder / FILE, "a saved chgnet-svr"), safe_open(folder / FILE, framework="numpy") as file:
            model = cls(**json.loads(file.metadata()["settings"]))
            model._arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
            model._check()
        return model

    @property
    def parameters(self) -> int:
        """Number of weights of support vectors, and the constant; CHGNet's 412,525 were not trained here."""
        return len(self._arrays["weights"]) + 1

    # Details -------------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        """Raise `ValueError` or `KeyError` where an array is missing, of another shape, or not finite."""
        arrays = self._arrays
        vectors, columns = arrays["vectors"].shape
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("gamma", "offset", "spread", "constant"), ())
        shapes |= {"mean": (columns,), "scale": (columns,), "weights": (vectors,), "vectors": (vectors, columns)}
        if "link" in arrays:  # of classes
            shapes["link"] = (2,)
        for name, shape in shapes.items():
            if arrays[name].shape != shape or not (np.isfinite(arrays[name]).all() or name == "scale"):
                raise ValueError(f"the array {name} is damaged")

    def _standardise(self, features: Floats) -> Floats:
        """Standardise features (n, columns), rounded to float32 as support vectors are saved."""
        standardised: Floats = ((features - self._arrays["mean"]) / self._arrays["scale"]).astype(np.float32)
        return standardised.astype(np.float64)

    def _decide(self, features: Floats) -> Floats:
        """Compute the values (n,) of the regression, in the unit of the labels, from features (n, columns)."""
        vectors, gamma = self._arrays["vectors"].astype(np.float64), self._arrays["gamma"]
        squares = (vectors**2).sum(axis=1)
        values: Floats = np.empty(len(features))
        for start in range(0, len(features), ROWS):
            x = self._standardise(features[start : start + ROWS])
            distances = (x**2).sum(axis=1)[:, None] + squares - 2 * x @ vectors.T
            values[start : start + len(x)] = np.exp(-gamma * distances) @ self._arrays["weights"]
        values = (values + self._arrays["constant"]) * self._arrays["spread"] + self._arrays["offset"]
        return values


def _logistic_link(values: Floats, labels: Floats) -> Floats:
    """Fit the probability of class 1 as a logistic function of the regression's values: constant and slope, (2,)."""
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(labels)) == 1:  # nothing to tell apart
        return np.array([100.0 if labels[0] else -100.0, 0.0])
    link = LogisticRegression(C=1e6).fit(values[:, None], labels)
    return np.array([link.intercept_[0], link.coef_[0, 0]])


def crystal_features(crystals: Sequence[Crystal], progress: Progress = no_progress) -> Floats:
    """Compute the features (n, 151): the 87 of the forest, then CHGNet's embedding.

    Raises `RefusedCrystalsError` with the positions of crystals that CHGNet does not support.
    """
    embeddings = _embeddings(crystals, progress)
    return np.concatenate([composition_features(crystals), embeddings], axis=1, dtype=np.float64)


def embed(crystal: Crystal) -> Inputs:
    """Compute CHGNet's embedding of a crystal: the mean over atoms (64,) of the last layer, normalised as it is read.

    Raises `InputError` for an element that CHGNet does not know, or where no two atoms are within its 6 angstrom.
    """
    import torch

    network = _network()
    with without_its_warnings(), torch.inference_mode():
        graph = build_graph(network, crystal)
        summed = network([graph], task="e", return_crystal_feas=True)["crystal_fea"][0]
        mean: NDArray[np.float32] = (summed / len(crystal)).numpy()
    return {"embedding": mean}


def _embed_many(crystals: Sequence[Crystal]) -> list[Inputs | InputError]:
    _network()  # what is wrong with it is no fault of a crystal
    return [inputs_or_error(embed, crystal) for crystal in crystals]


def _embeddings(crystals: Sequence[Crystal], progress: Progress = no_progress) -> NDArray[np.float32]:
    """Return the embeddings (n, 64) of crystals, from the cache where they are there."""
    together = partial(map_chunks, _embed_many)
    inputs = cached_inputs(crystals, embed, "chgnet-1", {"version": VERSION}, progress, together)
    return np.array([x["embedding"] for x in inputs], dtype=np.float32).reshape(len(crystals), EMBEDDED)


def _features_of_side(side: Labelled, progress: Progress) -> Floats:
    with naming(side.ids):
        return crystal_features(side.crystals, progress)


@cache
def _network() -> Any:
    """Load CHGNet from its package, whose file must be the one that a run records."""
    import chgnet
    import torch

    file = Path(chgnet.__file__).parent.parent / FOLDER / WEIGHTS
    with reading(file, "the weights of CHGNet"):
        if file_sha256(file) != CHGNetSVR.frozen_weights.sha256[WEIGHTS]:
            raise ValueError("it is not the file that was published")
        state = torch.load(file, map_location="cpu", weights_only=True)["model"]
        return build_network(state["model_args"], state["state_dict"])
