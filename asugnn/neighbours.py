"""Periodic neighbours, in whole shells: no rounding at a cut decides who is a neighbour.

Neighbours of an atom at one distance form a shell. A cut inside a shell keeps other members after a rotation, a
translation or a change of cell, and so another graph. `neighbours_within` and `nearest_neighbours` keep a shell whole
or drop it; `shell_weights` divides the places that a model has left among the members of the last shell;
`bind_or_refuse` is the one rule for atoms without a neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from asugnn.crystal import Crystal, Floats, Ints
from asugnn.errors import InputError
from asugnn.limits import PAIRS

SHELL = 1e-4  # angstrom: distances closer than this belong to one shell


@dataclass(frozen=True)
class Neighbours:
    """m directed pairs of atoms, sorted by centre and then by distance."""

    centre: Ints  # (m,) index of the atom at the centre
    other: Ints  # (m,) index of its neighbour in the cell
    image: Ints  # (m, 3) the cell in which that neighbour lies, in lattice vectors
    distance: Floats  # (m,) angstrom

    def __len__(self) -> int:
        return len(self.centre)

    def vectors(self, crystal: Crystal) -> Floats:
        """Compute the vectors (m, 3) from centre to neighbour, in angstrom."""
        frac = crystal.frac_coords
        vectors: Floats = (frac[self.other] + self.image - frac[self.centre]) @ crystal.lattice
        return vectors


def neighbours_within(crystal: Crystal, radius: float) -> Neighbours:
    """Find all neighbours at most `radius` angstrom away; a shell at the cut is kept whole.

    Raises `InputError` where they would be too many, as in a cell in nanometres.
    """
    from pymatgen.optimization.neighbors import find_points_in_spheres

    reach = radius + SHELL
    if (count := len(crystal) ** 2 * 4 / 3 * np.pi * reach**3 / crystal.volume) > PAIRS:
        raise InputError(
            f"{crystal.formula} has about {count:.1g} pairs of atoms within {radius:g} angstrom, and at most {PAIRS:,} "
            "are computed: is its cell in angstrom?"
        )
    # The search needs its points in the cell at the origin; the shift is added to the images below.
    home = np.floor(crystal.frac_coords)  # (n, 3)
    points = np.ascontiguousarray((crystal.frac_coords - home) @ crystal.lattice)
    centre, neighbour, image, distance = find_points_in_spheres(
        points, points, r=reach, pbc=np.ones(3, dtype=np.int64), lattice=np.array(crystal.lattice), tol=1e-8
    )
    itself = (centre == neighbour) & (image == 0).all(axis=1)
    cell = np.rint(image + home[centre] - home[neighbour]).astype(np.int64)
    order = np.lexsort((distance, centre))
    order = order[~itself[order]]
    return Neighbours(centre[order].astype(np.int64), neighbour[order].astype(np.int64), cell[order], distance[order])


def nearest_neighbours(crystal: Crystal, count: int, radius: float) -> Neighbours:
    """Find the `count` nearest neighbours of each atom within `radius` angstrom; the last one's shell is kept whole."""
    pairs = neighbours_within(crystal, radius)
    first = np.searchsorted(pairs.centre, np.arange(len(crystal)))  # (n,) where each atom's pairs start
    last = np.searchsorted(pairs.centre, np.arange(len(crystal)), side="right") - 1
    cut = np.full(len(crystal), -np.inf)
    bound = last >= first  # (n,) atoms with a neighbour
    cut[bound] = pairs.distance[np.minimum(first + count - 1, last)[bound]]  # the count-th distance, or the largest
    keep = pairs.distance <= cut[pairs.centre] + SHELL
    return Neighbours(pairs.centre[keep], pairs.other[keep], pairs.image[keep], pairs.distance[keep])


def bind_or_refuse(crystal: Crystal, pairs: Neighbours, radius: float, bind: bool, model: str) -> Neighbours:
    """Treat the atoms that have no pair, because no other atom is within `radius` angstrom.

    With `bind`, as in training, their nearest shell is added, so that every crystal has a graph: that of caesium is
    otherwise empty at 5 angstrom, and a network would see the elements alone. Without, as with published weights, which
    were trained without such pairs, raises `InputError`, which names `model`, for a crystal without any pair.
    """
    if not bind:
        if not len(pairs):
            reason = f"no atom has a neighbour within {radius:g} angstrom"
            raise InputError(f"{crystal.formula} is outside the domain of {model}: {reason}")
        return pairs
    while len(isolated := np.setdiff1d(np.arange(len(crystal)), pairs.centre)):
        radius *= 1.5
        nearest = nearest_neighbours(crystal, 1, radius)
        rows = np.isin(nearest.centre, isolated)
        columns = [
            np.concatenate([getattr(pairs, name), getattr(nearest, name)[rows]])
            for name in ("centre", "other", "image", "distance")
        ]
        order = np.lexsort((columns[3], columns[0]))  # by centre, then by distance
        pairs = Neighbours(*(column[order] for column in columns))
    return pairs


def shell_weights(pairs: Neighbours, count: int) -> Floats:
    """Compute weights (m,) with which the pairs of `nearest_neighbours` add up to `count` neighbours of each atom.

    The weight is 1 except in the last shell, whose members share what the closer ones leave: where they are equivalent,
    their weighted sum is that of any choice among them. An atom with fewer neighbours keeps weights of 1.
    """
    atoms, centre = np.unique(pairs.centre, return_inverse=True)
    last = np.searchsorted(pairs.centre, atoms, side="right") - 1
    at_cut = pairs.distance > pairs.distance[last][centre] - 2 * SHELL
    closer = np.bincount(centre, ~at_cut, minlength=len(atoms))
    members = np.bincount(centre, at_cut, minlength=len(atoms))
    share = np.minimum(count - closer, members) / members
    return np.where(at_cut, share[centre], 1.0)
