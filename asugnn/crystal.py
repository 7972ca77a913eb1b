"""The crystal: lattice, fractional coordinates and atomic numbers, checked on entry."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from asugnn.errors import InputError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# fmt: off
SYMBOLS = (
    "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K", "Ca",
    "Sc", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr", "Rb", "Sr", "Y",
    "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Xe", "Cs", "Ba", "La", "Ce",
    "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho", "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W", "Re", "Os", "Ir",
    "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U", "Np", "Pu", "Am", "Cm",
    "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc",
    "Lv", "Ts", "Og",
)
# fmt: on

LONGEST, FARTHEST = 1e4, 1e6  # angstrom, cells: beyond these it is a wrong unit, and float64 loses the positions
SAME_PLACE = 0.05  # angstrom: two atoms closer than this are one atom written twice
FLAT = 1e-3  # volume over the product of the three lengths, below which a cell is flat


@dataclass(frozen=True, eq=False)
class Crystal:
    """A periodic arrangement of whole atoms.

    Parameters
    ----------
    lattice
        (3, 3) row vectors in angstrom.
    frac_coords
        (n, 3) fractional coordinates; any real values, they are periodic.
    numbers
        (n,) atomic numbers, 1 to 118.

    The arrays are copies that cannot be written to. Raises `InputError` for a wrong shape, a value that is
    not finite, a cell without volume, an unknown element, or two atoms on one place.
    """

    lattice: Floats
    frac_coords: Floats
    numbers: Ints

    def __init__(self, lattice: ArrayLike, frac_coords: ArrayLike, numbers: ArrayLike) -> None:
        object.__setattr__(self, "lattice", _frozen(lattice, "lattice"))  # (3, 3)
        object.__setattr__(self, "frac_coords", _frozen(frac_coords, "fractional coordinates"))  # (n, 3)
        object.__setattr__(self, "numbers", _elements(_frozen(numbers, "atomic numbers")))  # (n,)
        self._check()

    @classmethod
    def checked(cls, lattice: Floats, frac_coords: Floats, numbers: Ints) -> Self:
        """A crystal of new arrays that were made from one that is known to be right: nothing is checked or copied."""
        made = object.__new__(cls)
        for name, array in (("lattice", lattice), ("frac_coords", frac_coords), ("numbers", numbers)):
            array.flags.writeable = False
            object.__setattr__(made, name, array)
        return made

    def _check(self) -> None:
        n = len(self.numbers) if self.numbers.ndim == 1 else 0
        if n == 0:
            raise InputError("the crystal has no atoms: give one atomic number per atom")
        if self.lattice.shape != (3, 3):
            raise InputError(f"the lattice has shape {self.lattice.shape}: it must be (3, 3), one row per vector")
        if self.frac_coords.shape != (n, 3):
            raise InputError(f"{n} atoms need fractional coordinates of shape ({n}, 3), not {self.frac_coords.shape}")
        if not np.isfinite(self.lattice).all():
            raise InputError("the lattice holds a value that is not a finite number")
        if not (finite := np.isfinite(self.frac_coords).all(axis=1)).all():
            raise InputError(f"atom {int(np.argmin(finite)) + 1} has a coordinate that is not a finite number")
        if np.abs(self.lattice).max() > LONGEST or np.abs(self.frac_coords).max() > FARTHEST:
            raise InputError(f"the cell is longer than {LONGEST:g} angstrom, or an atom over {FARTHEST:g} cells away")
        lengths = np.linalg.norm(self.lattice, axis=1)
        if lengths.min() == 0 or self.volume < FLAT * lengths.prod():
            raise InputError("the cell has no volume: its three vectors lie in one plane")
        shift = self.frac_coords[:, None] - self.frac_coords[None]  # (n, n, 3)
        # A pair on one place differs by a lattice vector, so rounding finds its shortest image in any cell.
        close = np.linalg.norm((shift - np.round(shift)) @ self.lattice, axis=-1) < SAME_PLACE  # (n, n)
        if (pairs := np.argwhere(np.triu(close, 1))).size:
            i, j = (int(k) for k in pairs[0])
            names = f"{i + 1} ({SYMBOLS[self.numbers[i] - 1]}) and {j + 1} ({SYMBOLS[self.numbers[j] - 1]})"
            raise InputError(f"atoms {names} are on one place (closer than {SAME_PLACE} angstrom): remove one of them")

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def volume(self) -> float:
        """Volume of the cell in cubic angstrom."""
        return float(abs(np.linalg.det(self.lattice)))

    @property
    def cart_coords(self) -> Floats:
        """(n, 3) Cartesian coordinates in angstrom."""
        return self.frac_coords @ self.lattice

    @property
    def formula(self) -> str:
        """Reduced formula with its elements in alphabetical order, such as `Al2O3` or `ClNa`."""
        return reduced_formula(self.numbers)

    @cached_property
    def key(self) -> str:
        """Digest of the content: equal for equal arrays and nothing else."""
        digest = hashlib.sha256(self.lattice.tobytes())
        digest.update(self.frac_coords.tobytes())
        digest.update(self.numbers.tobytes())
        return digest.hexdigest()[:32]


def reduced_formula(numbers: Iterable[Any]) -> str:
    """Composition in lowest terms, elements in alphabetical order, from atomic numbers."""
    counts = Counter(SYMBOLS[int(z) - 1] for z in numbers)
    divisor = gcd(*counts.values())
    return "".join(f"{s}{n // divisor if n > divisor else ''}" for s, n in sorted(counts.items()))


def _frozen(values: ArrayLike, what: str) -> Floats:
    try:
        array = np.array(values, dtype=np.float64, order="C")
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"the {what} cannot be read as numbers: {error}") from error
    array.setflags(write=False)
    return array


def _elements(values: Floats) -> Ints:
    if not (known := (values >= 1) & (values <= len(SYMBOLS)) & (values == np.rint(values))).all():
        raise InputError(f"{values[~known][0]:g} is not the atomic number of a known element (1 to 118)")
    numbers = values.astype(np.int64)
    numbers.setflags(write=False)
    return numbers
