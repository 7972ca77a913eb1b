"""Find the crystals of a data set that are the same structure.

Two crystals are the same structure if all of this holds:

- the reduced formula is the same;
- the volumes per atom differ by at most `VOLUME`, which is a strain of 1 % along each axis (1.01^3 = 1.0303);
- pymatgen's StructureMatcher with `scale=False` maps one onto the other, in either order;
- it still does when cells may differ in lengths by `LENGTH` and in angles by `ANGLE` alone: its own 20 % and
  5 degrees would call a distorted crystal the same as the one it was made from;
- they are not two points of a series of volumes, such as an equation of state. `SERIES` or more volumes of exactly one
  shape are such a series; in it only volumes within `SAME_VOLUME` are the same.

Only pairs that pass the first two tests are given to the matcher, which is fast enough when each cell is reduced only
once. No further prefilter is used, so that no pair that the matcher would confirm is lost. Every pair that shares
formula and volume is stored with its verdict.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any, Literal

import numpy as np

from asugnn.crystal import Crystal, Floats
from asugnn.neighbours import nearest_neighbours
from leaderboard._util import parallel_map, show_progress

MATCH_VERSION = 1  # of this module: stored results of another version are not used
VOLUME = 0.031  # relative difference in volume per atom, above which crystals are different
LENGTH, ANGLE = 0.03, 2.0  # relative, degrees: the most by which cells of one structure differ
SERIES = 4  # volumes of one shape that make a series
SAME_VOLUME = 0.005  # relative: closer volumes are one
SAME_SHAPE = 1e-3  # of distances, in units of the cube root of the volume per atom
EXACT = 0.05  # angstrom: tolerance within which atoms repeat in a supercell
PARALLEL_FROM = 2000  # pairs, below which a second process would cost more than it saves

Verdict = Literal["same", "volume of a series", "another cell", "another structure"]


@dataclass(frozen=True)
class ComparedPair:
    """The verdict on two crystals (ids) of one formula and nearly one volume."""

    a: str
    b: str
    verdict: Verdict
    volume: float  # relative difference of the volumes per atom
    moved: float | None = None  # root mean square displacement of the atoms, angstrom, where the matcher gives one


def compare_structures(crystals: Mapping[str, Crystal], formulas: Sequence[str]) -> list[ComparedPair]:
    """The verdict on every pair of crystals (by id) that shares its reduced formula (n,) and nearly its volume.

    The pairs are in the order of the crystals.
    """
    place = {name: i for i, name in enumerate(crystals)}
    by_formula: dict[str, dict[str, Crystal]] = {}
    for (name, crystal), formula in zip(crystals.items(), formulas, strict=True):
        by_formula.setdefault(formula, {})[name] = crystal
    groups = [(group, pairs) for group in by_formula.values() if (pairs := _pairs_of_close_volume(group))]
    total = sum(len(pairs) for _, pairs in groups)
    compared: list[ComparedPair] = []
    with show_progress("comparing structures", total) as bar:
        # The slowest groups first, so that no core works alone on one of them at the end.
        groups.sort(key=lambda group: -sum(len(group[0][a]) ** 2 for a, _ in group[1]))
        for verdicts in parallel_map(_compare_group, groups, chunk=4, alone=total < PARALLEL_FROM):
            compared += verdicts
            bar.advance(len(verdicts))
    return sorted(compared, key=lambda pair: (place[pair.a], place[pair.b]))


Group = tuple[dict[str, Crystal], list[tuple[str, str]]]  # the crystals of a formula, and which are to be compared


def _pairs_of_close_volume(group: Mapping[str, Crystal]) -> list[tuple[str, str]]:
    if len(group) == 1:
        return []
    volumes = {name: crystal.volume / len(crystal) for name, crystal in group.items()}
    return [(a, b) for a, b in combinations(group, 2) if _relative_difference(volumes[a], volumes[b]) <= VOLUME]


def _relative_difference(v: float, w: float) -> float:
    return max(v, w) / min(v, w) - 1


def _compare_group(group: Group) -> list[ComparedPair]:
    """The verdicts on the pairs of one formula."""
    crystals, pairs = group
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cells = _Cells(crystals)
        compared = [_compare(cells, a, b) for a, b in pairs]
    scaled = [pair for pair in compared if pair.verdict == "same" and pair.volume > SAME_VOLUME]
    if not scaled:
        return compared
    shapes = {name: crystal_shape(crystal) for name, crystal in crystals.items()}
    series = {pair for pair in scaled if _count_volumes(crystals, shapes, pair) >= SERIES}
    return [ComparedPair(p.a, p.b, "volume of a series", p.volume, p.moved) if p in series else p for p in compared]


def _count_volumes(crystals: Mapping[str, Crystal], shapes: Mapping[str, Floats], pair: ComparedPair) -> int:
    """The number of different volumes of the shape that both crystals of a pair have; 0 where their shapes differ."""
    shape = shapes[pair.a]
    if abs(shapes[pair.b] - shape).max() > SAME_SHAPE:
        return 0
    alike = [crystals[name] for name, other in shapes.items() if abs(other - shape).max() <= SAME_SHAPE]
    distinct: list[float] = []
    for volume in sorted(crystal.volume / len(crystal) for crystal in alike):
        if not distinct or _relative_difference(volume, distinct[-1]) > SAME_VOLUME:
            distinct.append(volume)
    return len(distinct)


def crystal_shape(crystal: Crystal) -> Floats:
    """Mean distance (12 elements,) of the k-th nearest neighbour, k = 1 to 12, around the atoms of each element.

    Distances are in units of the cube root of the volume per atom, so that the result does not depend on the cell, nor
    on rotation, translation and scale.
    """
    unit, far = (crystal.volume / len(crystal)) ** (1 / 3), 4.0
    pairs = nearest_neighbours(crystal, 12, far * unit)
    first = np.searchsorted(pairs.centre, np.arange(len(crystal)))
    rank = np.arange(len(pairs)) - first[pairs.centre]
    table = np.full((len(crystal), 12), far)
    near = rank < 12
    table[pairs.centre[near], rank[near]] = pairs.distance[near] / unit
    return np.concatenate([table[crystal.numbers == z].mean(axis=0) for z in np.unique(crystal.numbers)])


class _Cells:
    """The cells of crystals that the matcher compares, each reduced once, when it is first needed."""

    def __init__(self, crystals: Mapping[str, Crystal]) -> None:
        self.crystals = crystals
        self.loose = cache(self._loose)
        self.exact = cache(self._exact)

    def _loose(self, name: str) -> Any:
        """The cell that the matcher would reduce to, which takes atoms within 0.25 angstrom as repeated."""
        c = self.crystals[name]
        return _structure(c.lattice, c.frac_coords, c.numbers).get_reduced_structure().get_primitive_structure()

    def _exact(self, name: str) -> Any:
        """The primitive cell by spglib, within `EXACT`."""
        import spglib

        c = self.crystals[name]
        cell = spglib.find_primitive((c.lattice, c.frac_coords, c.numbers), symprec=EXACT)
        return _structure(*(cell or (c.lattice, c.frac_coords, c.numbers))).get_reduced_structure()


def _structure(lattice: Any, frac_coords: Any, numbers: Any) -> Any:
    from pymatgen.core import Structure

    order = np.argsort(numbers, kind="stable")
    return Structure(lattice, np.asarray(numbers)[order], np.asarray(frac_coords)[order])


@cache
def _matchers() -> tuple[Any, Any]:
    """StructureMatcher with its own tolerances, and with `LENGTH` and `ANGLE`."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    return StructureMatcher(scale=False), StructureMatcher(scale=False, ltol=LENGTH, angle_tol=ANGLE)


def _compare(cells: _Cells, a: str, b: str) -> ComparedPair:
    v, w = (cells.crystals[n].volume / len(cells.crystals[n]) for n in (a, b))
    volume = round(_relative_difference(v, w), 6)
    one, other = cells.loose(a), cells.loose(b)
    if len(one) != len(other):  # rounding decides whether an approximate supercell is reduced
        one, other = cells.exact(a), cells.exact(b)
    own, tight = _matchers()
    if len(one) != len(other) or not _fit(own, one, other):
        return ComparedPair(a, b, "another structure", volume)
    distance = own.get_rms_dist(one, other)
    moved = round(float(distance[0] * ((v + w) / 2) ** (1 / 3)), 4) if distance else None
    return ComparedPair(a, b, "same" if _fit(tight, one, other) else "another cell", volume, moved)


def _fit(matcher: Any, one: Any, other: Any) -> bool:
    return any(matcher.fit(x, y, skip_structure_reduction=True) for x, y in ((one, other), (other, one)))
