"""Formation energies from the total energies of a universal potential."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from asugnn import Context, Crystal, InputError, Labelled
from asugnn.atomic_write import write_text
from asugnn.crystal import SYMBOLS, Floats
from asugnn.reading import read_json, reading
from asugnn.torch_model import OnDevice

FILE = "weights.safetensors"


class Potential(OnDevice, ABC):
    """A potential as a model of formation energy: its energy per atom minus that of the elements by itself.

    Nothing is fitted. The energy of an element is that of its lowest-energy crystal on the training side, or among the
    files of `bench predict`; no label is read. Structures are not relaxed.
    """

    saved: ClassVar[str]  # what `save` writes, for people
    batch_size: int

    _about: Mapping[str, Any]  # settings of the network, as `model.json` stores them
    _elements: dict[int, float]  # atomic number to eV/atom

    @abstractmethod
    def _with_weights(self, weights: Mapping[str, Any], about: Mapping[str, Any]) -> Self:
        """Give the model a network with these weights and settings, and no references; on the CPU, see `to`."""

    @abstractmethod
    def energies(self, crystals: Sequence[Crystal]) -> Floats:
        """Compute total energies (n,) in eV/atom, of crystals that `unsupported` does not list."""

    @abstractmethod
    def unsupported(self, crystals: Sequence[Crystal]) -> dict[int, str]:
        """List the crystals that the potential cannot compute, and why."""

    def fit(self, train: Labelled, val: Labelled, context: Context) -> None:
        raise InputError("a potential is not trained here: run it with --pretrained NAME or FOLDER")

    def refer(self, crystals: Sequence[Crystal]) -> None:
        """Compute the energy per atom of each element from its lowest-energy crystal among these."""
        pure = [c for c in crystals if len(set(c.numbers.tolist())) == 1]
        unsupported = self.unsupported(pure)
        pure = [c for i, c in enumerate(pure) if i not in unsupported]
        self._elements.clear()
        for crystal, energy in zip(pure, self.energies(pure), strict=True):
            z = int(crystal.numbers[0])
            self._elements[z] = min(float(energy), self._elements.get(z, np.inf))

    def outside(self, crystals: Sequence[Crystal]) -> dict[int, str]:
        """List the crystals that are not supported, or have elements of which no reference is known."""
        reasons = self.unsupported(crystals)
        for i, crystal in enumerate(crystals):
            if missing := sorted(set(crystal.numbers.tolist()) - self._elements.keys()):
                symbols = ", ".join(SYMBOLS[z - 1] for z in missing)
                reasons.setdefault(
                    i, f"{crystal.formula}: its energy is relative to pure {symbols}, of which no crystal is there"
                )
        return reasons

    def predict(self, crystals: Sequence[Crystal]) -> Floats:
        for reason in self.outside(crystals).values():
            raise InputError(reason)
        elements = np.array([np.mean([self._elements[z] for z in c.numbers.tolist()]) for c in crystals])
        values: Floats = self.energies(crystals) - elements
        return values

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        weights = {k: v.detach().cpu().contiguous() for k, v in self._network.state_dict().items()}
        save_file(weights, folder / FILE)
        content = {"about": self._about, "elements": self._elements, "batch_size": self.batch_size}
        write_text(folder / "model.json", json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        from safetensors.torch import load_file

        with reading(folder, cls.saved):
            content = read_json(folder / "model.json", cls.saved)
            model = cls()._with_weights(load_file(folder / FILE), content["about"])
            model.batch_size = content["batch_size"]
            model._elements = {int(z): energy for z, energy in content["elements"].items()}
        return model

    @property
    def parameters(self) -> int:
        """Number of parameters of the network."""
        return sum(p.numel() for p in self._network.parameters())
