"""The conventional cell of a crystal, its space group and its orbits, all from one tolerance.

moyopy finds them, in a tenth of the time that spglib takes; tests compare the two. The cell is that of the
International Tables, origin included, in spglib's choice of settings, but atoms and lattice are not idealised. Where
the space group leaves a choice (which of two equal axes comes first, which of two like centres is the origin),
libraries choose by the rounding of the input. So the last step here chooses among all equally conventional cells,
which are those that the group's Euclidean normaliser exchanges, by the atoms alone. Where the group leaves the origin
free, as along the axis of a polar group, it stays where it was given, unless it is asked to be settled by the atoms.
"""

from __future__ import annotations

import itertools
import logging
import os
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import Crystal, Floats, Ints
from asugnn.errors import InputError

SYMPREC = 1e-3  # angstrom, as the authors': space group and orbits both
_PHASES, _HEIGHTS = 0.3 + 0.8 * np.arange(9), 0.9 ** np.arange(9)  # of nine waves, all different
Origin = Literal["given", "settled"]

# It tells that operations of a supercell were left out: what is used here is of the primitive cell.
logging.getLogger("moyo").setLevel(logging.ERROR)


@dataclass(frozen=True, eq=False)
class ConventionalCell:
    """A crystal in its conventional cell.

    `crystal` has the N atoms of that cell, fractional coordinates from 0 to 1 (an atom within 1e-4 below 1 counts
    as one at 0); `space_group` is the number 1 to 230; `orbits` is (N,), equal for equivalent atoms, 0, 1, ...;
    `primitive` is the same crystal in a primitive cell; `free` are the axes along which the origin can be anywhere.
    """

    crystal: Crystal
    space_group: int
    orbits: Ints
    primitive: Crystal
    free: tuple[int, ...]


def conventional_cell(crystal: Crystal, origin: Origin = "given") -> ConventionalCell:
    """The conventional cell of `crystal` (paper, section 2), which may be primitive, a supercell, or turned.

    `origin` says what becomes of an origin that the space group leaves free. Raises `InputError` where no symmetry is
    found.
    """
    hand = np.sign(np.linalg.det(crystal.lattice))  # of a left-handed cell all three vectors are turned about
    given, frac = hand * crystal.lattice, hand * crystal.frac_coords
    data = _dataset(crystal, given, frac)
    atoms = dict(zip(reversed(data.mapping_std_prim), range(len(crystal) - 1, -1, -1), strict=True))
    first = [atoms[i] for i in range(len(atoms))]  # one of each atom of a primitive cell
    linear, prim_linear = np.array(data.std_linear), np.array(data.prim_std_linear)
    group = _group(data.hall_number)
    into = np.linalg.inv(linear).T
    shift = np.array(data.std_origin_shift) @ into
    shift[group.free] = 0
    lattice = linear.T @ given
    some = frac[first] @ into - shift  # (p, 3)
    numbers = crystal.numbers[first]
    if origin == "settled":
        some[:, group.free] += [_phase(x, numbers) for x in some[:, group.free].T]
    change, turn, move = _settled(lattice, some, numbers, group)
    every = ((some @ turn + move)[:, None] + group.centring @ turn).reshape(-1, 3)  # (N, 3)
    every -= np.floor(every + 1e-4)  # rounding must not move an atom at 0 to the far side of the cell
    seen: dict[int, int] = {}
    given_orbits = data.orbits
    orbits = np.array([seen.setdefault(given_orbits[i], len(seen)) for i in first])
    c = len(group.centring)
    primitive = Crystal.checked(prim_linear.T @ given, frac[first] @ np.linalg.inv(prim_linear).T, numbers)
    cell = Crystal.checked(change @ lattice, every, np.repeat(numbers, c))
    return ConventionalCell(cell, int(data.number), np.repeat(orbits, c), primitive, tuple(group.free))


def space_group_number(crystal: Crystal) -> int:
    """The number, 1 to 230, by spglib, the reference; raises `InputError` where it finds no symmetry."""
    import spglib

    os.environ.setdefault("SPGLIB_WARNING", "OFF")  # what is None below is told in words of our own
    cell = (crystal.lattice, crystal.frac_coords, crystal.numbers)
    with warnings.catch_warnings():
        # The switch to exceptions is global, and others in this process still count on None.
        warnings.filterwarnings("ignore", "Set OLD_ERROR_HANDLING", DeprecationWarning)
        try:
            found = spglib.get_symmetry_dataset(cell, symprec=SYMPREC)
        except spglib.SpglibError:
            found = None
    if found is None:
        raise _none(crystal)
    return int(found.number)


def _none(crystal: Crystal) -> InputError:
    return InputError(
        f"no symmetry was found for {crystal.formula} ({len(crystal)} atoms) at {SYMPREC} angstrom: "
        "look for atoms that nearly coincide"
    )


def _dataset(crystal: Crystal, lattice: Floats, frac: Floats) -> Any:
    import moyopy

    cell = moyopy.Cell(lattice.tolist(), frac.tolist(), crystal.numbers.tolist())
    try:
        found = moyopy.MoyoDataset(cell, symprec=SYMPREC, setting=moyopy.Setting.spglib())
    except ValueError as error:
        raise _none(crystal) from error
    return found


@dataclass(frozen=True, eq=False)
class _Group:
    """A space group in a setting: rotations (r, 3, 3) of columns with translations (r, 3), and its centrings (c, 3).

    `free` holds the axes along which the origin can be anywhere, `waves` the shortest (w, 3) indices of reflections
    that the centring allows, one of each two opposite ones.
    """

    hall: int
    rotations: Ints
    translations: Floats
    centring: Floats
    free: list[int]
    waves: Ints


@cache
def _group(hall: int) -> _Group:
    import moyopy

    number = moyopy.HallSymbolEntry(hall).number
    found = moyopy.operations_from_number(number, setting=moyopy.Setting.hall_number(hall))
    rotations, translations = np.array(found.rotations), np.array(found.translations)
    centring = translations[(rotations == np.eye(3)).all(axis=(1, 2))]
    rotations, one = np.unique(rotations, axis=0, return_index=True)
    fixed = (rotations == np.eye(3)).all(axis=0).all(axis=0)  # the columns that no rotation changes
    indices = np.array(list(itertools.product(range(-2, 3), repeat=3)))
    indices = indices[len(indices) // 2 + 1 :]
    indices = indices[_whole(indices @ centring.T)]
    waves = indices[np.argsort((indices**2).sum(axis=1), kind="stable")[:9]]
    return _Group(hall, rotations, translations[one], centring, np.flatnonzero(fixed).tolist(), waves)


def _phase(x: Floats, numbers: Ints) -> float:
    """By how much coordinates (p,) along a free axis must move for the first strong wave of the atoms to peak at 0."""
    waves = np.exp(2j * np.pi * np.arange(1, 25)[:, None] * x) @ numbers  # (24,)
    strong = int(np.argmax(abs(waves) > 0.5 * abs(waves).max()))
    return float(-np.angle(waves[strong]) / (2 * np.pi * (strong + 1)))


def _settled(lattice: Floats, frac: Floats, numbers: Ints, group: _Group) -> tuple[Ints, Ints, Floats]:
    """Whole numbers W (3, 3): the cell `W @ lattice`, which the atoms choose, has coordinates `x @ turn + move`."""
    metric = lattice @ lattice.T
    slack = 2 * SYMPREC * np.sqrt(metric.diagonal().max())
    changes, short, rows = _rotations()
    square = np.einsum("vi,ij,vj->v", short, metric, short)  # (27,)
    long = abs(square - metric.diagonal()[:, None]) < slack  # (3, 27)
    some = np.flatnonzero(long[0, rows[0]] & long[1, rows[1]] & long[2, rows[2]])
    some = some[(abs(changes[some] @ metric @ changes[some].transpose(0, 2, 1) - metric) < slack).all(axis=(1, 2))]
    kept, turns, moves = _choices(group.hall, some.tobytes())
    # A generic function of the cell, smooth and as periodic as its centring: two settings that differ get two values.
    phases = 2 * np.pi * ((frac @ turns + moves[:, None]) @ group.waves.T) - _PHASES  # (k, p, w)
    strength = np.exp(np.cos(phases) @ _HEIGHTS)  # (k, p)
    best = int(np.argmax(strength @ numbers))
    return changes[kept[best]], turns[best], moves[best]


@cache
def _choices(hall: int, among: bytes) -> tuple[Ints, Ints, Floats]:
    """The conventional cells of a group: numbers of the changes (k,), turns (k, 3, 3) and moves (k, 3).

    Of the changes with these numbers, which keep the lattice, those with which a move of the origin keeps the
    operations of the group; one each of those that differ by an operation of the group itself.
    """
    group, changes = _group(hall), _rotations()[0]
    index = {r.tobytes(): i for i, r in enumerate(group.rotations)}

    def alike(turn: Ints, move: Floats, other: Ints, moved: Floats) -> bool:
        """Whether one is the other and then an operation of the group."""
        rotation = (np.rint(np.linalg.inv(other)).astype(np.int64) @ turn).T
        k = index.get(np.ascontiguousarray(rotation).tobytes())
        if k is None:
            return False
        return bool(_whole(move - moved @ rotation.T - group.translations[k] - group.centring).any())

    found: list[tuple[int, Ints, Floats]] = []
    for number in np.frombuffer(among, dtype=np.int64).tolist():
        turn = np.rint(np.linalg.inv(changes[number])).astype(np.int64)
        images = turn.T @ group.rotations @ changes[number].T  # (r, 3, 3)
        target = [index.get(image.tobytes()) for image in images]
        if None in target or not _whole((group.centring @ turn)[:, None] - group.centring).any(axis=1).all():
            continue
        moves = _steps()
        moves = moves[(moves[:, group.free] == 0).all(axis=1)]
        for image, translation, k in zip(images, group.translations, target, strict=True):
            gap = translation @ turn + moves - moves @ image.T - group.translations[k]  # (t, 3)
            moves = moves[_whole(gap[:, None] - group.centring).any(axis=1)]
        found += [(number, turn, move) for move in moves if not any(alike(turn, move, *f[1:]) for f in found)]
    numbers, turns, shifts = zip(*found, strict=True)
    return np.array(numbers), np.array(turns), np.array(shifts)


def _whole(x: Floats) -> NDArray[np.bool_]:
    """(..., n) to (...): whether all n are whole numbers."""
    return np.asarray((abs(x - np.rint(x)) < 1e-6).all(axis=-1))


@cache
def _rotations() -> tuple[Ints, Ints, Ints]:
    """(m, 3, 3): the matrices of -1, 0 and 1 with determinant 1, all the ways one short-edged cell repeats another.

    And what their rows can be, (27, 3), and which of these they are, (3, m).
    """
    short = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    rows = np.array(list(itertools.product(range(27), repeat=3)))
    proper = rows[np.rint(np.linalg.det(short[rows])) == 1]
    return short[proper], short, proper.T


@cache
def _steps() -> Floats:
    """(t, 3) moves of the origin: whole multiples of an eighth and of a twelfth, as the normalisers need."""
    one = np.unique(np.concatenate([np.arange(8) / 8, np.arange(12) / 12]))
    return np.array(list(itertools.product(one, repeat=3)))
