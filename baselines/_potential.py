"""Formation energies from the total energies of a universal potential."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from asugnn import Context, Crystal, InputError, Labelled
from asugnn.crystal import SYMBOLS, Floats


class Potential(ABC):
    """A potential as a model of formation energy: its energy per atom minus that of the elements by itself.

    Nothing is fitted. The energy of an element is that of its lowest-energy crystal on the training side, or among the
    files of `bench predict`; no label is read. Structures are not relaxed.
    """

    _elements: dict[int, float]  # atomic number to eV/atom

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
