"""The mean of the training labels: what any model must beat."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from asugnn import Context, Crystal, InputError, Labelled
from asugnn.atomic_write import write_text
from asugnn.crystal import Floats


@dataclass
class Mean:
    """Mean of the training labels; of a binary target, the frequency of class 1."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"quick": {}, "hours": {}, "paper": {}}
    invariances: ClassVar[frozenset[str]] = frozenset(
        {"rotation", "translation", "atom order", "cell choice", "supercell"}
    )

    def fit(self, train: Labelled, val: Labelled, context: Context) -> None:
        self._mean = float(train.y.mean())

    def predict(self, crystals: Sequence[Crystal]) -> Floats:
        return np.full(len(crystals), self._mean)

    def save(self, folder: Path) -> None:
        write_text(folder / "model.json", json.dumps({"mean": self._mean}) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        model = cls()
        try:
            model._mean = float(json.loads((folder / "model.json").read_text(encoding="utf-8"))["mean"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{folder} holds no mean that can be read: {error}") from error
        return model
