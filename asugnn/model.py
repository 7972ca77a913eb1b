"""The interface of a model: what it is given, what it must do, and what it may offer beyond that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self, runtime_checkable

import numpy as np

from asugnn.crystal import Crystal, Floats
from asugnn.progress import Progress, no_progress

if TYPE_CHECKING:
    from asugnn.published_weights import PublishedWeights

Kind = Literal["regression", "binary"]
Precision = Literal["float32", "bfloat16"]
# Changes of the description of a crystal, not of the crystal, that no prediction should depend on.
INVARIANCES = frozenset({"rotation", "translation", "atom order", "cell choice", "supercell"})


@dataclass(frozen=True)
class Labelled:
    """n crystals with their ids and labels.

    `y` is (n,): a value in the unit of the target or, where `kind` is `binary`, 0 or 1. Raises `ValueError` where the
    lengths differ, a label is not finite, or a binary label is neither 0 nor 1.
    """

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


def never() -> bool:
    """Return False: nobody asks to stop."""
    return False


@dataclass(frozen=True)
class Team:
    """Processes that train one network together: this one is number `rank` of `size`, and they meet at a new file."""

    rank: int
    size: int
    meeting: Path


@dataclass(frozen=True)
class Context:
    """Settings of a run that a model receives beside the data."""

    seed: int = 0
    device: str = "cpu"  # "cpu" or "cuda"
    precision: Precision = "float32"  # of matrix products during training; weights stay float32
    folder: Path | None = None  # for checkpoints and the training history; None: they are not written
    progress: Progress = field(default=no_progress, repr=False)
    identity: str = ""  # what is trained, and on what: a checkpoint that states another one is not resumed from
    # Asked after every step, which also tells that training is alive: whether to save and raise `TrainingStoppedError`.
    should_stop: Callable[[], bool] = field(default=never, repr=False)
    team: Team | None = None  # the processes that train together, for a model that `trains_together`


@dataclass(frozen=True)
class Publication:
    """Where a model was published, for whoever wants to read or cite it; what is not known stays empty."""

    paper: str  # authors, journal and year, as one cites it
    doi: str = ""  # such as 10.1103/PhysRevLett.120.145301
    code: str = ""  # address of the authors' code, or of the library that has it
    licence: str = ""  # of that code, as it is stated there


@runtime_checkable
class Model(Protocol):
    """The four methods that every model has. A model is a dataclass: its fields are its hyper-parameters.

    These attributes are optional:

    - `presets` (of the class): name of a preset to the fields that it sets. Without it the presets `quick` and `paper`
      both stand for the defaults; an empty one says that the model comes trained and is not fitted here.
    - `invariances` (of the class): those of `INVARIANCES` that do not change predictions. `bench check` verifies them.
    - `requires` (of the class): names of the packages that it imports when it works. One that is missing is named to
      the user before anything is trained.
    - `publication` (of the class): the `Publication` that it implements, shown on its card.
    - `frozen_weights` (of the class): the `FrozenWeights` that it builds on. They may know test crystals, so its rows
      are shown and not ranked.
    - `trains_together` (of the class): whether several processes can train one model (`bench run --ranks`); then
      `Context.team` is theirs.
    - `parameters` (of a fitted model): how many numbers it has learnt. The board shows it.

    Optional methods have protocols of their own: `HasDevice`, `HasDomain`, `HasUncertainty`, `HasReferences`,
    `HasPretrained`, `HasAblation`. A model need not name them as base classes: whoever has the method has the ability.
    """

    def fit(self, train: Labelled, val: Labelled, context: Context) -> None:
        """Learn from `train`; only `val` may influence early stopping."""

    def predict(self, crystals: Sequence[Crystal]) -> Floats:
        """Predict n crystals: (n,) values in the unit of the labels, or probabilities of class 1."""

    def save(self, folder: Path) -> None:
        """Write what `load` needs into an existing, empty folder."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the model that `save` wrote, ready to predict; raises `InputError` where that cannot be done."""


@runtime_checkable
class HasDevice(Protocol):
    """A fitted model that can predict on another device than the CPU, where `load` and `pretrained` leave it."""

    def to(self, device: str) -> object:
        """Move the model to a device, `cpu` or `cuda`, on which it then predicts."""


@runtime_checkable
class HasDomain(Protocol):
    """A model that cannot predict every crystal, such as one that knows some elements only."""

    def outside(self, crystals: Sequence[Crystal]) -> Mapping[int, str]:
        """List the crystals that `predict` would refuse: position in `crystals`, from 0, to the reason in a sentence.

        Called before `predict`, which then gets the other crystals only. A run with published weights counts those left
        out; a run that was trained here must predict its whole test set.
        """


@runtime_checkable
class HasUncertainty(Protocol):
    """A regression model that can estimate the uncertainty of each of its predictions."""

    def fit_uncertainty(self, train: Labelled, context: Context) -> None:
        """Fit the estimate on the training side on which the model was fitted; `save` then keeps it, too.

        Called once, where a model is to be shipped with intervals (recipes/ship_models.py).
        """

    def uncertainty(self, crystals: Sequence[Crystal], predicted: Floats) -> Floats:
        """Estimate how far labels lie below and above predictions (n,): (n, 2), above 0, in the unit of the labels.

        Only their relative size counts: intervals are scaled until they hold as many labels of validation crystals as
        they promise. Raises `InputError` where `fit_uncertainty` was not called.
        """


@runtime_checkable
class HasReferences(Protocol):
    """A pretrained model that measures its predictions from reference crystals, such as energies from the elements'."""

    def refer(self, crystals: Sequence[Crystal]) -> None:
        """Take the references from these crystals, which come without labels.

        Called once before `outside` and `predict`, with the crystals of the training side of the fold, or with all
        that `bench predict` was given.
        """


@runtime_checkable
class HasPretrained(Protocol):
    """A model that published weights can be loaded into: `--pretrained FOLDER`."""

    @classmethod
    def pretrained(cls, files: Mapping[str, Path]) -> Model:
        """Build a model that is ready to predict from files: name to path.

        `files` are those of the user's folder, or those that `HasWeights.weights` lists under the user's name, verified
        by their sha256. Raises `InputError` where they hold no such model. Nothing in a file may be executed.
        """


@runtime_checkable
class HasWeights(HasPretrained, Protocol):
    """A model that knows where weights for it were published: `--pretrained NAME`."""

    weights: Mapping[str, PublishedWeights]  # of the class, by the name that users type


@runtime_checkable
class HasAblation(Protocol):
    """A model whose publication compares variants of it: `bench run ablation --model NAME`."""

    @classmethod
    def ablation(cls, preset: str) -> Sequence[Mapping[str, str]]:
        """List the variants of a preset: each maps names of fields to values as text, `{}` is the preset itself.

        `preset` is one of `presets`.
        """
