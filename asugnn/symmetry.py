"""The conventional cell of a crystal, its space group and its orbits, all from one tolerance.

moyopy finds them, in a tenth of the time that spglib takes; tests compare the two. The cell is that of the
International Tables, origin included, in spglib's choice of settings, but atoms and lattice are not idealised. It keeps
the hand of the crystal, so that a chiral crystal and its mirror image have different cells.

Where the space group leaves a choice (which of two equal axes comes first, which of two equivalent centres is the
origin), libraries choose by the rounding of the input. So the last step here chooses by the atoms alone among all
equally conventional cells, which are those that the Euclidean normaliser of the group exchanges. Where the group leaves
the origin free, as along the axis of a polar group, it stays as given, or on request is `settled` by the atoms: along
the free axes it is at an atom, chosen in the same way.
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

Origin = Literal["given", "settled"]

SYMPREC = 1e-3  # angstrom, the authors' tolerance; here for space group and orbits alike
# Phases and weights of the nine waves by which a setting is chosen: all different, so that no two settings tie.
_WAVE_PHASES, _WAVE_WEIGHTS = 0.3 + 0.8 * np.arange(9), 0.9 ** np.arange(9)

# moyo warns that it drops operations of a supercell; those used here are of the primitive cell.
logging.getLogger("moyo").setLevel(logging.ERROR)


@dataclass(frozen=True, eq=False)
class ConventionalCell:
    """A crystal in its conventional cell.

    crystal
        The N atoms of the conventional cell, with fractional coordinates from -1e-4 to 1 - 1e-4.
    space_group
        Its number, 1 to 230.
    orbits
        (N,) the orbit of each atom, from 0: equal for atoms that the space group makes equivalent.
    primitive
        The same crystal in a primitive cell.
    free
        The axes, 0 to 2, along which the space group leaves the origin free.
    """

    crystal: Crystal
    space_group: int
    orbits: Ints
    primitive: Crystal
    free: tuple[int, ...]


def conventional_cell(crystal: Crystal, origin: Origin = "given") -> ConventionalCell:
    """Find the conventional cell of `crystal` (paper, section 2), which may be given in any cell and orientation.

    `origin` says where an origin is put that the space group leaves free: as `given`, or `settled` by the atoms. Raises
    `InputError` where no symmetry is found.
    """
    hand = np.sign(np.linalg.det(crystal.lattice))  # all three vectors of a left-handed cell are inverted
    lattice, frac = hand * crystal.lattice, hand * crystal.frac_coords
    dataset = _find_symmetry(crystal, lattice, frac)
    representatives = dict(zip(reversed(dataset.mapping_std_prim), range(len(crystal) - 1, -1, -1), strict=True))
    first = [representatives[i] for i in range(len(representatives))]  # (p,) one atom for each of the primitive cell
    linear, prim_linear = np.array(dataset.std_linear), np.array(dataset.prim_std_linear)
    group = _space_group(dataset.hall_number)
    to_standard = np.linalg.inv(linear).T
    shift = np.array(dataset.std_origin_shift) @ to_standard
    shift[group.free] = 0
    standard = linear.T @ lattice
    prim_frac = frac[first] @ to_standard - shift  # (p, 3)
    numbers = crystal.numbers[first]
    choose = _choose_setting_and_origin if origin == "settled" and group.free else _choose_setting
    change, turn, move = choose(standard, prim_frac, numbers, group)
    full_frac = ((prim_frac @ turn + move)[:, None] + group.centring @ turn).reshape(-1, 3)  # (N, 3)
    full_frac -= np.floor(full_frac + 1e-4)  # rounding must not move an atom at 0 to the far side of the cell
    renumbered: dict[int, int] = {}
    dataset_orbits = dataset.orbits
    orbits = np.array([renumbered.setdefault(dataset_orbits[i], len(renumbered)) for i in first])
    c = len(group.centring)
    primitive = Crystal.checked(prim_linear.T @ lattice, frac[first] @ np.linalg.inv(prim_linear).T, numbers)
    cell = Crystal.checked(change @ standard, full_frac, np.repeat(numbers, c))
    return ConventionalCell(cell, int(dataset.number), np.repeat(orbits, c), primitive, tuple(group.free))


def space_group_number(crystal: Crystal, symprec: float = SYMPREC) -> int:
    """Find the space-group number, 1 to 230, by spglib, the reference, within `symprec` angstrom.

    Raises `InputError` where it finds none.
    """
    import spglib

    os.environ.setdefault("SPGLIB_WARNING", "OFF")  # a result of None becomes an error of ours below
    cell = (crystal.lattice, crystal.frac_coords, crystal.numbers)
    with warnings.catch_warnings():
        # Switching spglib to exceptions would be global, and other packages in this process expect None.
        warnings.filterwarnings("ignore", "Set OLD_ERROR_HANDLING", DeprecationWarning)
        try:
            dataset = spglib.get_symmetry_dataset(cell, symprec=symprec)
        except spglib.SpglibError:
            dataset = None
    if dataset is None:
        raise _no_symmetry_error(crystal, symprec)
    return int(dataset.number)


def _no_symmetry_error(crystal: Crystal, symprec: float = SYMPREC) -> InputError:
    return InputError(
        f"no symmetry was found for {crystal.formula} ({len(crystal)} atoms) at {symprec:g} angstrom: "
        "look for atoms that nearly coincide"
    )


def _find_symmetry(crystal: Crystal, lattice: Floats, frac: Floats) -> Any:
    import moyopy

    cell = moyopy.Cell(lattice.tolist(), frac.tolist(), crystal.numbers.tolist())
    try:
        dataset = moyopy.MoyoDataset(cell, symprec=SYMPREC, setting=moyopy.Setting.spglib())
    except ValueError as error:
        raise _no_symmetry_error(crystal) from error
    return dataset


@dataclass(frozen=True, eq=False)
class _SpaceGroup:
    """A space group in the setting of a Hall number: r rotations without repetition, and c centrings."""

    hall: int
    rotations: Ints  # (r, 3, 3), which act on columns
    translations: Floats  # (r, 3)
    centring: Floats  # (c, 3), the zero vector included
    free: list[int]  # the axes along which the origin is free
    waves: Ints  # (9, 3) the shortest reflections that the centring allows, one of each Friedel pair


@cache
def _space_group(hall: int) -> _SpaceGroup:
    import moyopy

    number = moyopy.HallSymbolEntry(hall).number
    operations = moyopy.operations_from_number(number, setting=moyopy.Setting.hall_number(hall))
    rotations, translations = np.array(operations.rotations), np.array(operations.translations)
    centring = translations[(rotations == np.eye(3)).all(axis=(1, 2))]
    rotations, first = np.unique(rotations, axis=0, return_index=True)
    fixed = (rotations == np.eye(3)).all(axis=0).all(axis=0)  # the columns that no rotation changes
    indices = np.array(list(itertools.product(range(-2, 3), repeat=3)))
    indices = indices[len(indices) // 2 + 1 :]
    indices = indices[_are_whole(indices @ centring.T)]
    waves = indices[np.argsort((indices**2).sum(axis=1), kind="stable")[:9]]
    return _SpaceGroup(hall, rotations, translations[first], centring, np.flatnonzero(fixed).tolist(), waves)


def _choose_setting(lattice: Floats, frac: Floats, numbers: Ints, group: _SpaceGroup) -> tuple[Ints, Ints, Floats]:
    """Choose by the atoms among equally conventional cells: returns change (3, 3), turn (3, 3) and move (3,).

    `change`, of whole numbers, makes the chosen cell `change @ lattice`, with coordinates `frac @ turn + move`.
    """
    indices, turns, moves = _equivalent_settings(group.hall, _same_cells(lattice).tobytes())
    # A smooth function of the atoms with the periods of the centring, otherwise generic: settings differ in its value.
    phases = 2 * np.pi * ((frac @ turns + moves[:, None]) @ group.waves.T) - _WAVE_PHASES  # (k, p, w)
    strength = np.exp(np.cos(phases) @ _WAVE_WEIGHTS)  # (k, p)
    best = int(np.argmax(strength @ numbers))
    return _cell_changes()[0][indices[best]], turns[best], moves[best]


def _choose_setting_and_origin(
    lattice: Floats, frac: Floats, numbers: Ints, group: _SpaceGroup
) -> tuple[Ints, Ints, Floats]:
    """Choose as `_choose_setting`, and with the setting the atom at which the free coordinates of the origin are.

    It is one of the element with the fewest atoms, and of the heaviest of several such elements. So the candidates are
    the same wherever the origin was. (The phase of a strong wave of the density gives the origin up to a fraction of
    the cell, and which wave is the strongest may depend on rounding.)
    """
    indices, turns, moves = _equivalent_settings(group.hall, _same_cells(lattice).tobytes())
    elements, counts = np.unique(numbers, return_counts=True)
    chosen = frac[numbers == elements[counts == counts.min()][-1]]  # (a, 3)
    waves = 2j * np.pi * group.waves.T  # (3, w)
    best, setting, origin = -np.inf, 0, np.zeros(3)
    for k, (turn, move) in enumerate(zip(turns, moves, strict=True)):
        origins = np.zeros_like(chosen)
        origins[:, group.free] = (chosen @ turn)[:, group.free]
        at_atoms = np.exp((frac @ turn + move) @ waves - 1j * _WAVE_PHASES)  # (p, w)
        at_origins = np.exp(-origins @ waves) * _WAVE_WEIGHTS  # (a, w)
        values = np.exp((at_origins @ at_atoms.T).real) @ numbers  # (a,)
        i = int(np.argmax(values))
        if values[i] > best:
            best, setting, origin = values[i], k, origins[i]
    return _cell_changes()[0][indices[setting]], turns[setting], moves[setting] - origin


def _same_cells(lattice: Floats) -> Ints:
    """List the indices (m,) of the changes of a cell that keep its lengths and angles."""
    metric = lattice @ lattice.T
    tolerance = 2 * SYMPREC * np.sqrt(metric.diagonal().max())
    changes, vectors, rows = _cell_changes()
    square = np.einsum("vi,ij,vj->v", vectors, metric, vectors)  # (27,)
    same_length = abs(square - metric.diagonal()[:, None]) < tolerance  # (3, 27)
    kept = np.flatnonzero(same_length[0, rows[0]] & same_length[1, rows[1]] & same_length[2, rows[2]])
    changed = changes[kept] @ metric @ changes[kept].transpose(0, 2, 1)
    same: Ints = kept[(abs(changed - metric) < tolerance).all(axis=(1, 2))]
    return same


@cache
def _equivalent_settings(hall: int, candidates: bytes) -> tuple[Ints, Ints, Floats]:
    """List the k conventional settings of a group: indices of their changes (k,), turns (k, 3, 3) and moves (k, 3).

    `candidates` are indices (int64) of changes that keep the metric. A setting is one of them with a move of the origin
    such that the operations of the group stay the same; of changes that differ by an operation of the group itself,
    one is listed.
    """
    group, changes = _space_group(hall), _cell_changes()[0]
    rotation_index = {rotation.tobytes(): i for i, rotation in enumerate(group.rotations)}

    def differ_by_operation(turn: Ints, move: Floats, listed_turn: Ints, listed_move: Floats) -> bool:
        rotation = (np.rint(np.linalg.inv(listed_turn)).astype(np.int64) @ turn).T
        k = rotation_index.get(np.ascontiguousarray(rotation).tobytes())
        if k is None:
            return False
        return bool(_are_whole(move - listed_move @ rotation.T - group.translations[k] - group.centring).any())

    settings: list[tuple[int, Ints, Floats]] = []
    for index in np.frombuffer(candidates, dtype=np.int64).tolist():
        turn = np.rint(np.linalg.inv(changes[index])).astype(np.int64)
        images = turn.T @ group.rotations @ changes[index].T  # (r, 3, 3)
        targets = [rotation_index.get(image.tobytes()) for image in images]
        if None in targets or not _are_whole((group.centring @ turn)[:, None] - group.centring).any(axis=1).all():
            continue
        moves = _origin_moves()
        moves = moves[(moves[:, group.free] == 0).all(axis=1)]
        for image, translation, k in zip(images, group.translations, targets, strict=True):
            gap = translation @ turn + moves - moves @ image.T - group.translations[k]  # (t, 3)
            moves = moves[_are_whole(gap[:, None] - group.centring).any(axis=1)]
        # Several moves of one change may be listed: they differ by a centring and give the same cell.
        settings += [
            (index, turn, move)
            for move in moves
            if not any(differ_by_operation(turn, move, *listed[1:]) for listed in settings)
        ]
    numbers, turns, shifts = zip(*settings, strict=True)
    return np.array(numbers), np.array(turns), np.array(shifts)


def _are_whole(x: Floats) -> NDArray[np.bool_]:
    """Whether all n values of (..., n) are whole numbers: (...)."""
    return np.asarray((abs(x - np.rint(x)) < 1e-6).all(axis=-1))


@cache
def _cell_changes() -> tuple[Ints, Ints, Ints]:
    """List the m changes of a cell: matrices (m, 3, 3) of -1, 0 and 1 with determinant 1.

    Returned with the 27 vectors (27, 3) that their rows can be, and the index of each of their rows in these, (3, m).
    """
    vectors = np.array(list(itertools.product((-1, 0, 1), repeat=3)))
    rows = np.array(list(itertools.product(range(27), repeat=3)))
    proper = rows[np.rint(np.linalg.det(vectors[rows])) == 1]
    return vectors[proper], vectors, proper.T


@cache
def _origin_moves() -> Floats:
    """List moves of the origin (t, 3): multiples of 1/8 and of 1/12, which suffice for all normalisers."""
    steps = np.unique(np.concatenate([np.arange(8) / 8, np.arange(12) / 12]))
    return np.array(list(itertools.product(steps, repeat=3)))
