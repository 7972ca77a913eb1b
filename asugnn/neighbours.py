"""Periodic neighbours, in whole shells: no rounding at a cut decides who is a neighbour.

Atoms at one distance form a shell. A cut that falls inside a shell keeps different members after a rotation,
a translation or a change of cell, and with them a different graph. Both functions here keep a shell whole when
any of it is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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


def within(crystal: Crystal, radius: float) -> Neighbours:
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


def nearest(crystal: Crystal, count: int, radius: float) -> Neighbours:
    """For each atom its `count` nearest neighbours within `radius` angstrom, and the rest of the last one's shell."""
    pairs = within(crystal, radius)
    first = np.searchsorted(pairs.centre, np.arange(len(crystal)))  # (n,) where each atom's pairs start
    last = np.searchsorted(pairs.centre, np.arange(len(crystal)), side="right") - 1
    cut = np.full(len(crystal), -np.inf)
    some = last >= first
    cut[some] = pairs.distance[np.minimum(first + count - 1, last)[some]]  # the count-th distance, or the largest
    keep = pairs.distance <= cut[pairs.centre] + SHELL
    return Neighbours(pairs.centre[keep], pairs.other[keep], pairs.image[keep], pairs.distance[keep])
