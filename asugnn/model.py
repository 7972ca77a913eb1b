"""The interface of a model, and how models are found, named and configured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np

from asugnn.crystal import Crystal, Floats

Kind = Literal["regression", "binary"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Labelled:
    """Crystals with their labels: `y` is (n,), a value or, for `binary`, 0 or 1."""

    ids: tuple[str, ...]
    crystals: Sequence[Crystal]
    y: Floats
    kind: Kind

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.crystals) == len(self.y):
            raise ValueError(f"{len(self.ids)} ids, {len(self.crystals)} crystals, {len(self.y)} labels")
        if not np.isfinite(self.y).all():
            raise ValueError("a label is not a finite number")
        if self.kind == "binary" and not np.isin(self.y, (0, 1)).all():
            raise ValueError("a binary label is neither 0 nor 1")

    def __len__(self) -> int:
        return len(self.ids)


class Bar(Protocol):
    """A progress bar: `advance` by some steps, with a note such as the loss."""

    def advance(self, steps: int = 1, note: str = "") -> None: ...


Progress = Callable[[str, int], AbstractContextManager[Bar]]


class _NoBar:
    def advance(self, steps: int = 1, note: str = "") -> None:
        pass


@contextmanager
def no_progress(description: str, total: int) -> Any:
    """The progress that shows nothing."""
    yield _NoBar()


@dataclass(frozen=True)
class Context:
    """What a run hands to a model beside the data."""

    seed: int = 0
    device: str = "cpu"  # "cpu" or "cuda"
    precision: Precision = "float32"  # of the matrix products in training; weights stay float32
    folder: Path | None = None  # where checkpoints and the training history go; None: nowhere
    progress: Progress = field(default=no_progress, repr=False)


@runtime_checkable
class Model(Protocol):
    """What `fit`s and `predict`s. A model is a dataclass: its fields are its hyper-parameters.

    Optional class attributes: `presets`, name to overrides of the fields (without it, every preset is the
    defaults); `invariances`, the names in `leaderboard.running.model_contract.INVARIANCES` under which predictions do
    not change; `requires`, the names of the packages that it imports, so that a missing one is named;
    `ablation(preset)`, the variants that its paper compares, each as fields to set from text.
    """

    def fit(self, train: Labelled, val: Labelled, context: Context) -> None:
        """Learn from `train`; only `val` may influence early stopping."""

    def predict(self, crystals: Sequence[Crystal]) -> Floats:
        """(n,) values in the unit of the labels, or probabilities of class 1."""

    def save(self, folder: Path) -> None:
        """Write what `load` needs into an existing, empty folder."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model that `save` wrote, ready to predict."""
