"""The crystal: lattice, fractional coordinates and atomic numbers, checked on entry."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from asugnn.errors import InputError
from asugnn.limits import ATOMS

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
# Deuterium and tritium are read as hydrogen: no label here depends on the mass of a nucleus.
ATOMIC_NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS, 1)} | {"D": 1, "T": 1}
HEAVIEST_IN_CAPITALS = 100  # no crystal holds a heavier element: in capitals, CN, NH and NO are groups of atoms

# A larger component of the lattice (angstrom) or coordinate (cells) is a wrong unit, and float64 loses the positions.
MAX_LENGTH, MAX_COORDINATE = 1e4, 1e6
MIN_DISTANCE = 0.05  # angstrom: two atoms closer than this are one atom written twice
MIN_FLATNESS = 1e-3  # volume over the product of the three lengths, below which a cell counts as flat


@dataclass(frozen=True, eq=False)
class Crystal:
    """A periodic arrangement of atoms, each site fully occupied by one.

    Parameters
    ----------
    lattice
        (3, 3) row vectors in angstrom.
    frac_coords
        (n, 3) fractional coordinates; any real values, they are periodic.
    numbers
        (n,) atomic numbers, 1 to 118.

    The arrays are read-only copies. Raises `InputError` for a wrong shape, a value that is not finite, a cell without
    volume, an unknown element, or two atoms closer than 0.05 angstrom.
    """

    lattice: Floats
    frac_coords: Floats
    numbers: Ints

    def __init__(self, lattice: ArrayLike, frac_coords: ArrayLike, numbers: ArrayLike) -> None:
        object.__setattr__(self, "lattice", _read_only_floats(lattice, "lattice"))  # (3, 3)
        object.__setattr__(self, "frac_coords", _read_only_floats(frac_coords, "fractional coordinates"))  # (n, 3)
        object.__setattr__(self, "numbers", _check_numbers(_read_only_floats(numbers, "atomic numbers")))  # (n,)
        self._check()

    @classmethod
    def checked(cls, lattice: Floats, frac_coords: Floats, numbers: Ints) -> Self:
        """Make a crystal from arrays that were computed from a checked one, without checks or copies.

        The arrays become read-only and must not be used elsewhere.
        """
        crystal = object.__new__(cls)
        for name, array in (("lattice", lattice), ("frac_coords", frac_coords), ("numbers", numbers)):
            array.flags.writeable = False
            object.__setattr__(crystal, name, array)
        return crystal

    def _check(self) -> None:
        n = len(self.numbers) if self.numbers.ndim == 1 else 0
        if n == 0:
            raise InputError("the crystal has no atoms: give one atomic number per atom")
        if n > ATOMS:
            raise InputError(f"the crystal has {n:,} atoms: at most {ATOMS:,} are read")
        if self.lattice.shape != (3, 3):
            raise InputError(f"the lattice has shape {self.lattice.shape}: it must be (3, 3), one row per vector")
        if self.frac_coords.shape != (n, 3):
            raise InputError(f"{n} atoms need fractional coordinates of shape ({n}, 3), not {self.frac_coords.shape}")
        if not np.isfinite(self.lattice).all():
            raise InputError("the lattice holds a value that is not a finite number")
        if not (finite := np.isfinite(self.frac_coords).all(axis=1)).all():
            raise InputError(f"atom {int(np.argmin(finite)) + 1} has a coordinate that is not a finite number")
        if np.abs(self.lattice).max() > MAX_LENGTH or np.abs(self.frac_coords).max() > MAX_COORDINATE:
            raise InputError(
                f"the cell is longer than {MAX_LENGTH:g} angstrom, or an atom over {MAX_COORDINATE:g} cells away"
            )
        a, b, c = self.lattice.tolist()  # numbers of Python: numpy takes longer for so few
        lengths = math.hypot(*a) * math.hypot(*b) * math.hypot(*c)
        if lengths == 0 or abs(_dot(a, _cross(b, c))) < MIN_FLATNESS * lengths:
            raise InputError("the cell has no volume: its three vectors lie in one plane")
        if pair := find_coinciding_pair(self.lattice, self.frac_coords):
            i, j = pair
            names = f"{i + 1} ({SYMBOLS[self.numbers[i] - 1]}) and {j + 1} ({SYMBOLS[self.numbers[j] - 1]})"
            raise InputError(f"atoms {names} coincide (closer than {MIN_DISTANCE} angstrom): remove one of them")

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
        """Digest of the content, 32 hexadecimal digits: equal bytes have equal keys, others do not."""
        digest = hashlib.sha256(self.lattice.tobytes())
        digest.update(self.frac_coords.tobytes())
        digest.update(self.numbers.tobytes())
        return digest.hexdigest()[:32]


def find_coinciding_pair(lattice: Floats, frac_coords: Floats) -> tuple[int, int] | None:
    """Find the first two atoms closer than `MIN_DISTANCE`, by blocks of rows: memory stays in megabytes."""
    n = len(frac_coords)
    rows = max(1, 1_000_000 // n)
    a, b, c = lattice.tolist()
    volume = abs(_dot(a, _cross(b, c)))
    heights = [volume / math.hypot(*_cross(*faces)) for faces in ((b, c), (c, a), (a, b))]  # between opposite faces
    axis = heights.index(max(heights))
    along = frac_coords[:, axis]  # (n,)
    for start in range(0, n, rows):
        # Two atoms are at least as far apart as along the longest axis, which is cheap to compute for all pairs.
        shift = along[start : start + rows, None] - along[None, start:]  # (rows, n - start)
        shift -= np.rint(shift)
        first, second = np.nonzero(np.abs(shift, out=shift) < 1.01 * MIN_DISTANCE / heights[axis])
        near = np.stack((first, second), axis=1)[second > first] + start  # (pairs, 2)
        for pairs in (near[i : i + 1_000_000] for i in range(0, len(near), 1_000_000)):
            vectors = frac_coords[pairs[:, 0]] - frac_coords[pairs[:, 1]]  # (pairs, 3)
            # A coinciding pair differs by a lattice vector, so rounding finds its shortest image in any cell.
            close = (((vectors - np.rint(vectors)) @ lattice) ** 2).sum(axis=1) < MIN_DISTANCE**2
            if close.any():
                i, j = pairs[close.argmax()]
                return int(i), int(j)
    return None


def _cross(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def reduced_formula(numbers: Iterable[Any]) -> str:
    """Return the formula in lowest terms, elements in alphabetical order, of atoms given by their atomic numbers."""
    counts = Counter(SYMBOLS[int(z) - 1] for z in numbers)
    divisor = gcd(*counts.values())
    return "".join(f"{s}{n // divisor if n > divisor else ''}" for s, n in sorted(counts.items()))


def _read_only_floats(values: ArrayLike, what: str) -> Floats:
    try:
        array = np.array(values, dtype=np.float64, order="C")
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"the {what} cannot be read as numbers: {error}") from error
    array.setflags(write=False)
    return array


def _check_numbers(values: Floats) -> Ints:
    if not (valid := (values >= 1) & (values <= len(SYMBOLS)) & (values == np.rint(values))).all():
        raise InputError(f"{values[~valid][0]:g} is not the atomic number of a known element (1 to 118)")
    numbers = values.astype(np.int64)
    numbers.setflags(write=False)
    return numbers
