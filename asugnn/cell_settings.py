"""The choice among equally conventional cells, which are those that the Euclidean normaliser of the group exchanges.

Libraries choose by the rounding of the input; here the atoms alone decide: `symmetry.py` says when.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import Floats, Ints

# Phases and weights of the nine waves by which a setting is chosen: all different, so that no two settings tie.
_WAVE_PHASES, _WAVE_WEIGHTS = 0.3 + 0.8 * np.arange(9), 0.9 ** np.arange(9)


@dataclass(frozen=True, eq=False)
class SpaceGroup:
    """A space group in the setting of a Hall number: r rotations without repetition, and c centrings."""

    hall: int
    rotations: Ints  # (r, 3, 3), which act on columns
    translations: Floats  # (r, 3)
    centring: Floats  # (c, 3), the zero vector included
    free: list[int]  # the axes along which the origin is free
    waves: Ints  # (9, 3) the shortest reflections that the centring allows, one of each Friedel pair


@cache
def space_group(hall: int) -> SpaceGroup:
    """Return the space group of a Hall number, 1 to 530."""
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
    return SpaceGroup(hall, rotations, translations[first], centring, np.flatnonzero(fixed).tolist(), waves)


@dataclass(frozen=True, eq=False)
class Setting:
    """A conventional cell `change @ lattice` of a crystal, with fractional coordinates `frac @ turn + move`."""

    change: Ints  # (3, 3)
    turn: Ints  # (3, 3)
    move: Floats  # (3,)


def choose_settings(
    lattices: Floats,
    fracs: Sequence[Floats],
    numbers: Sequence[Ints],
    groups: Sequence[SpaceGroup],
    *,
    settled: bool,
    symprec: float,
) -> list[Setting]:
    """Choose a setting of each of B crystals by its atoms: lattices (B, 3, 3), and fracs (p, 3) and numbers (p,) each.

    If `settled`, an origin that the group leaves free is chosen too.
    """
    candidates = _same_cells(lattices, 2 * symprec)
    settings = [_equivalent_settings(g.hall, c.tobytes()) for g, c in zip(groups, candidates, strict=True)]
    angles = [frac @ s.waves for frac, s in zip(fracs, settings, strict=True)]  # (p, v) each
    flat = np.concatenate([a.ravel() for a in angles])
    cosines, sines = np.cos(flat), np.sin(flat)
    chosen, start = [], 0
    for frac, z, s, g, a in zip(fracs, numbers, settings, groups, angles, strict=True):
        part = slice(start, start := start + a.size)
        if settled and g.free:
            best, origin = _choose_with_origin(frac, z, g, s)
        else:
            exponent = cosines[part].reshape(a.shape) @ s.even + sines[part].reshape(a.shape) @ s.odd  # (p, k)
            best, origin = int(np.argmax(z @ np.exp(exponent))), None
        move = s.moves[best] if origin is None else s.moves[best] - origin
        chosen.append(Setting(s.changes[best], s.turns[best], move))
    return chosen


def _choose_with_origin(frac: Floats, numbers: Ints, group: SpaceGroup, settings: _Settings) -> tuple[int, Floats]:
    """Choose a setting, and with it the atom at which the free coordinates of the origin (3,) are.

    It is one of the element with the fewest atoms, and of the heaviest of several such elements. So the candidates are
    the same wherever the origin was. (The phase of a strong wave of the density gives the origin up to a fraction of
    the cell, and which wave is the strongest may depend on rounding.)
    """
    elements, counts = np.unique(numbers, return_counts=True)
    chosen = frac[numbers == elements[counts == counts.min()][-1]]  # (a, 3)
    waves = 2j * np.pi * group.waves.T  # (3, w)
    highest, best, origin = -np.inf, 0, np.zeros(3)
    for k, (turn, move) in enumerate(zip(settings.turns, settings.moves, strict=True)):
        origins = np.zeros_like(chosen)
        origins[:, group.free] = (chosen @ turn)[:, group.free]
        at_atoms = np.exp((frac @ turn + move) @ waves - 1j * _WAVE_PHASES)  # (p, w)
        at_origins = np.exp(-origins @ waves) * _WAVE_WEIGHTS  # (a, w)
        values = np.exp((at_origins @ at_atoms.T).real) @ numbers  # (a,)
        i = int(np.argmax(values))
        if values[i] > highest:
            highest, best, origin = values[i], k, origins[i]
    return best, origin


def _same_cells(lattices: Floats, tolerance: float) -> list[Ints]:
    """List for each lattice of (B, 3, 3) the indices (m,) of the changes that keep its lengths and angles.

    Elements of the metric may differ by `tolerance` times the longest of the three lengths.
    """
    vectors, rows = _cell_changes()[1:]
    metric = lattices @ lattices.transpose(0, 2, 1)
    lengths = metric.diagonal(axis1=1, axis2=2)  # (B, 3), their squares
    allowed = tolerance * np.sqrt(lengths.max(axis=1))[:, None, None]
    products = vectors @ metric @ vectors.T  # (B, 27, 27)
    same_length = abs(products.diagonal(axis1=1, axis2=2)[:, None] - lengths[:, :, None]) < allowed  # (B, 3, 27)
    kept = [_changes_by_vectors(same.tobytes()) for same in same_length]
    crystal = np.repeat(np.arange(len(kept)), [len(k) for k in kept])
    a, b, c = rows[:, np.concatenate(kept)]
    same = np.full(len(crystal), True)
    for first, second, i, j in ((a, b, 0, 1), (a, c, 0, 2), (b, c, 1, 2)):
        same &= abs(products[crystal, first, second] - metric[crystal, i, j]) < allowed[crystal, 0, 0]
    ends = np.cumsum([len(k) for k in kept]).tolist()
    return [k[same[end - len(k) : end]] for k, end in zip(kept, ends, strict=True)]


@lru_cache(4096)
def _changes_by_vectors(allowed: bytes) -> Ints:
    """List the indices (m,) of the changes whose rows are `allowed`, a matrix (3, 27) of which vector each may be."""
    matrix, rows = np.frombuffer(allowed, dtype=bool).reshape(3, 27), _cell_changes()[2]
    return np.flatnonzero(matrix[0, rows[0]] & matrix[1, rows[1]] & matrix[2, rows[2]])


@dataclass(frozen=True, eq=False)
class _Settings:
    """The k conventional settings of a group for a shape of the cell, and the function that chooses among them.

    It is a smooth function of the atoms with the periods of the centring, otherwise generic, so that settings differ in
    its value: the sum over atoms of their numbers times the exponential of `cos(a) @ even + sin(a) @ odd`, of angles
    `a = frac @ waves`.
    """

    changes: Ints  # (k, 3, 3)
    turns: Ints  # (k, 3, 3)
    moves: Floats  # (k, 3)
    waves: Floats  # (3, v), of all settings
    even: Floats  # (v, k)
    odd: Floats  # (v, k)


@cache
def _equivalent_settings(hall: int, candidates: bytes) -> _Settings:
    """List the conventional settings of a group.

    `candidates` are indices (int64) of changes that keep the metric. A setting is one of them with a move of the origin
    such that the operations of the group stay the same; of those that differ by an operation of the group itself, such
    as a centring, one is listed: they give the same cell, and rounding would choose the order of its atoms.
    """
    group, changes = space_group(hall), _cell_changes()[0]
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
        for move in moves:
            if not any(differ_by_operation(turn, move, *listed[1:]) for listed in settings):
                settings.append((index, turn, move))
    indices, turns, shifts = (np.array(x) for x in zip(*settings, strict=True))
    # The wave w of a setting has the phase `frac @ turn @ w + move @ w` at an atom; its vector `turn @ w`, or the
    # opposite one, is often also that of another wave of another setting.
    vectors = (turns @ group.waves.T).transpose(0, 2, 1)  # (k, 9, 3)
    signs = np.sign(vectors @ [9**2, 9, 1])  # (k, 9), never 0: the components are small whole numbers
    distinct, index = np.unique((vectors * signs[:, :, None]).reshape(-1, 3), axis=0, return_inverse=True)
    phases = 2 * np.pi * (shifts @ group.waves.T) - _WAVE_PHASES  # (k, 9)
    even, odd = np.zeros((2, len(distinct), len(settings)))
    at = index.reshape(signs.shape), np.arange(len(settings))[:, None]
    np.add.at(even, at, _WAVE_WEIGHTS * np.cos(phases))
    np.add.at(odd, at, -signs * _WAVE_WEIGHTS * np.sin(phases))
    waves = (2 * np.pi * distinct.T).astype(np.float64)
    return _Settings(changes[indices], turns, shifts, waves, even, odd)


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
