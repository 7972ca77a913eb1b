"""The conventional cell of a crystal, its space group and its orbits, all from one tolerance.

The cell is spglib's `standardize_cell(to_primitive=False, no_idealize=True)`: the atoms stay where they are, about the
origin they were given with. Which of several equally conventional cells that is (which of two equal axes comes
first, which way one points) depends in spglib on the rounding of the input: one real crystal in seven gets other
fractional coordinates when it is merely turned. So the last step here chooses among those cells by the atoms alone.
"""

from __future__ import annotations

import itertools
import os
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from asugnn.crystal import Crystal, Floats, Ints
from asugnn.errors import InputError

SYMPREC = 1e-3  # angstrom, as the authors': space group and orbits both


@dataclass(frozen=True, eq=False)
class Conventional:
    """A crystal in its conventional cell.

    `crystal` has the N atoms of that cell, fractional coordinates from 0 to 1 (an atom within 1e-4 below 1 counts
    as one at 0); `space_group` is the number 1 to 230; `orbits` is (N,), equal for equivalent atoms, 0, 1, ...
    """

    crystal: Crystal
    space_group: int
    orbits: Ints


def conventional(crystal: Crystal) -> Conventional:
    """The conventional cell of `crystal` (paper, section 2), which may be primitive, a supercell, or turned.

    Raises `InputError` where spglib finds no symmetry.
    """
    lattice, frac, numbers = _spglib("standardize_cell", crystal, no_idealize=True)
    data = _spglib("get_symmetry_dataset", Crystal(lattice, frac, numbers))
    change = _settled(lattice, frac, numbers, data)  # (3, 3)
    frac = frac @ np.linalg.inv(change)
    frac -= np.floor(frac + 1e-4)  # rounding must not move an atom at 0 to the far side of the cell
    orbits = np.unique(data.equivalent_atoms, return_inverse=True)[1]
    return Conventional(Crystal(change @ lattice, frac, numbers), int(data.number), orbits.astype(np.int64))


def space_group(crystal: Crystal) -> int:
    """The number, 1 to 230, without the cell; raises `InputError` where spglib finds no symmetry."""
    return int(_spglib("get_symmetry_dataset", crystal).number)


def _spglib(function: str, crystal: Crystal, **options: Any) -> Any:
    import spglib

    os.environ.setdefault("SPGLIB_WARNING", "OFF")  # what is None below is told in words of our own
    cell = (crystal.lattice, crystal.frac_coords, crystal.numbers)
    with warnings.catch_warnings():
        # The switch to exceptions is global, and others in this process still count on None.
        warnings.filterwarnings("ignore", "Set OLD_ERROR_HANDLING", DeprecationWarning)
        try:
            found = getattr(spglib, function)(cell, symprec=SYMPREC, **options)
        except spglib.SpglibError:
            found = None
    if found is None:
        raise InputError(
            f"no symmetry was found for {crystal.formula} ({len(crystal)} atoms) at {SYMPREC} angstrom: "
            "look for atoms that nearly coincide"
        )
    return found


def _settled(lattice: Floats, frac: Floats, numbers: Ints, data: Any) -> Ints:
    """(3, 3) whole numbers W: the cell `W @ lattice`, among the equally conventional ones, that the atoms choose."""
    changes = _rotations()  # (m, 3, 3)
    metric = lattice @ lattice.T
    slack = 2 * SYMPREC * np.sqrt(metric.diagonal().max())
    same = abs(changes @ metric @ changes.transpose(0, 2, 1) - metric).max(axis=(1, 2)) < slack
    changes = changes[same]
    # The axes of the point group and the centring must stay as convention has them.
    turns = np.unique(data.rotations, axis=0)  # (r, 3, 3), of coordinates as columns
    shifts = data.translations[(data.rotations == np.eye(3, dtype=int)).all(axis=(1, 2))]  # (s, 3)
    kept = [w for w in changes if _keeps(w, turns, shifts)]
    # A generic function of the cell, smooth and periodic: two settings that differ get two values.
    moved = frac @ np.linalg.inv(np.array(kept))  # (k, N, 3)
    waves = np.cos(2 * np.pi * moved - (0.3, 1.1, 2.3)) @ (1.0, 0.8, 0.6)  # (k, N)
    chosen: Ints = kept[int(np.argmax(np.exp(waves) @ numbers))]
    return chosen


def _keeps(change: Ints, turns: Ints, shifts: Floats) -> bool:
    inverse = np.rint(np.linalg.inv(change)).astype(int)
    images = inverse.T @ turns @ change.T  # (r, 3, 3)
    moved = shifts @ inverse
    gaps = moved[:, None] - shifts[None]  # (s, s, 3)
    centred = (abs(gaps - np.rint(gaps)).max(axis=-1) < 0.1).any(axis=1).all()  # centrings are halves and thirds
    return bool(centred) and {t.tobytes() for t in images} == {t.astype(int).tobytes() for t in turns}


@cache
def _rotations() -> Ints:
    """(m, 3, 3): the matrices of -1, 0 and 1 with determinant 1, all the ways one short-edged cell repeats another."""
    every = np.array(list(itertools.product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    proper: Ints = every[np.rint(np.linalg.det(every)) == 1]
    return proper
