"""The mean of the training labels, which every model must beat."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from asugnn import Context, Crystal, Labelled
from asugnn.atomic_write import write_text
from asugnn.crystal import Floats
from asugnn.model import INVARIANCES
from asugnn.reading import read_json, reading


@dataclass
class Mean:
    """Mean of the training labels; for a binary target, the frequency of class 1."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": {}, "hours": {}, "paper": {}}
    invariances: ClassVar[frozenset[str]] = INVARIANCES

    def fit(self, train: Labelled, val: Labelled, context: Context) -> None:
        self._mean = float(train.y.mean())

    def predict(self, crystals: Sequence[Crystal]) -> Floats:
        return np.full(len(crystals), self._mean)

    def save(self, folder: Path) -> None:
        write_text(folder / "model.json", json.dumps({"mean": self._mean}) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        model, path = cls(), folder / "model.json"
        with reading(path, "a saved mean"):
            model._mean = float(read_json(path, "a saved mean")["mean"])
        return model
