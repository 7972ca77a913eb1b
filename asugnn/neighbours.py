"""Periodic neighbours, in whole shells: no rounding at a cut decides who is a neighbour.

Atoms at one distance form a shell. A cut that falls inside a shell keeps different members after a rotation,
a translation or a change of cell, and with them a different graph. `within` and `nearest` keep a shell whole when
any of it is kept; `shares` gives its members the weight of those that a model counts; `quotient` keeps one of the
atoms that no message can tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import Crystal, Floats, Ints

SHELL = 1e-4  # angstrom: distances closer than this belong to one shell


@dataclass(frozen=True)
class Neighbours:
    """Directed pairs, sorted by centre and then by distance: all (m,), but `image` (m, 3)."""

    centre: Ints  # index of the atom at the centre
    other: Ints  # index of its neighbour in the cell
    image: Ints  # the cell in which that neighbour lies, in lattice vectors
    distance: Floats  # angstrom

    def __len__(self) -> int:
        return len(self.centre)

    def vectors(self, crystal: Crystal) -> Floats:
        """(m, 3) from centre to neighbour, in angstrom."""
        frac = crystal.frac_coords
        out: Floats = (frac[self.other] + self.image - frac[self.centre]) @ crystal.lattice
        return out


def neighbours_within(crystal: Crystal, radius: float) -> Neighbours:
    """All neighbours at most `radius` angstrom away, the shell at the cut included."""
    from pymatgen.optimization.neighbors import find_points_in_spheres

    reach = radius + SHELL
    # The search wants its points near the origin cell; the wrapped part goes back into the images below.
    home = np.floor(crystal.frac_coords)  # (n, 3)
    points = np.ascontiguousarray((crystal.frac_coords - home) @ crystal.lattice)
    centre, other, image, distance = find_points_in_spheres(
        points, points, r=reach, pbc=np.ones(3, dtype=np.int64), lattice=np.array(crystal.lattice), tol=1e-8
    )
    itself = (centre == other) & (image == 0).all(axis=1)
    cell = np.rint(image + home[centre] - home[other]).astype(np.int64)
    order = np.lexsort((distance, centre))
    order = order[~itself[order]]
    return Neighbours(centre[order].astype(np.int64), other[order].astype(np.int64), cell[order], distance[order])


def nearest_neighbours(crystal: Crystal, count: int, radius: float) -> Neighbours:
    """For each atom its `count` nearest neighbours within `radius` angstrom, and the rest of the last one's shell."""
    pairs = neighbours_within(crystal, radius)
    first = np.searchsorted(pairs.centre, np.arange(len(crystal)))  # (n,) where each atom's pairs start
    last = np.searchsorted(pairs.centre, np.arange(len(crystal)), side="right") - 1
    cut = np.full(len(crystal), -np.inf)
    some = last >= first
    cut[some] = pairs.distance[np.minimum(first + count - 1, last)[some]]  # the count-th distance, or the largest
    keep = pairs.distance <= cut[pairs.centre] + SHELL
    return Neighbours(pairs.centre[keep], pairs.other[keep], pairs.image[keep], pairs.distance[keep])


def shell_weights(pairs: Neighbours, count: int) -> Floats:
    """(m,) weights under which the pairs of `nearest` count as `count` neighbours of each atom, if it has so many.

    1, but in the shell at the cut, whose members share what the closer ones leave: where they are equal to the atom,
    their sum is that of any choice among them.
    """
    atoms, centre = np.unique(pairs.centre, return_inverse=True)
    last = np.searchsorted(pairs.centre, atoms, side="right") - 1
    at_cut = pairs.distance > pairs.distance[last][centre] - 2 * SHELL
    inside = np.bincount(centre, ~at_cut, minlength=len(atoms))
    size = np.bincount(centre, at_cut, minlength=len(atoms))
    left = np.minimum(count - inside, size) / size
    return np.where(at_cut, left[centre], 1.0)


@dataclass(frozen=True)
class MergedGraph:
    """A graph with one atom for all that are alike: k of them, and e pairs that stand for many.

    Atoms are alike if they are of one element and have the same neighbours, by distance, each of which is alike too.
    So are the atoms of an orbit, and what a network makes of lengths and elements is the same for all of them.
    """

    atom: Ints  # (k,) the first atom of each class
    multiplicity: Ints  # (k,) atoms of each
    centre: Ints  # (e,) class at the centre
    other: Ints  # (e,) class of the neighbour
    distance: Floats  # (e,) angstrom, the mean of its shell
    weight: Floats  # (e,) sum of the weights of the pairs it stands for, of one atom

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All but `atom`, by name, as small as a network needs them."""
        kinds = {"multiplicity": np.float32, "centre": np.int32, "other": np.int32, "distance": np.float32,
                 "weight": np.float32}  # fmt: skip
        return {name: getattr(self, name).astype(kind) for name, kind in kinds.items()}


def merge_equivalent_atoms(crystal: Crystal, pairs: Neighbours, weight: Floats) -> MergedGraph:
    """Merge what is alike, by colour refinement: split classes until the neighbours of their members agree."""
    order = np.argsort(pairs.distance, kind="stable")
    shell = np.empty(len(pairs), dtype=np.int64)
    shell[order] = np.cumsum(np.diff(pairs.distance[order], prepend=-1.0) > SHELL) - 1
    distance = np.bincount(shell, pairs.distance) / np.bincount(shell)
    _, colour = np.unique(crystal.numbers, return_inverse=True)
    while True:
        # One column for each kind of neighbour: its class and its distance.
        kinds, kind = np.unique(colour[pairs.other] * len(distance) + shell, return_inverse=True)
        table = np.zeros((len(crystal), 1 + len(kinds)))
        table[:, 0] = colour
        np.add.at(table, (pairs.centre, 1 + kind), weight)
        rows, atom, new, multiplicity = np.unique(
            table.round(9), axis=0, return_index=True, return_inverse=True, return_counts=True
        )
        new = new.reshape(-1)
        if len(rows) == colour.max() + 1:
            break
        colour = new
    centre, column = np.nonzero(rows[:, 1:])
    renamed = np.empty(len(rows), dtype=np.int64)
    renamed[colour] = new
    kept = kinds[column]
    return MergedGraph(
        atom,
        multiplicity,
        centre,
        renamed[kept // len(distance)],
        distance[kept % len(distance)],
        rows[centre, 1 + column],
    )
