"""The embedding of a crystal: nodes, two adjacency matrices and the powder pattern (paper, section 2)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from asugnn.crystal import Crystal, Floats, Ints
from asugnn.diffraction import Profile, powder_pattern
from asugnn.elements import check_elements, element_values
from asugnn.symmetry import Origin, conventional_cell

Distance = Literal["nearest", "cell"]
Mass = Literal["mean", "total"]

MAX_WEIGHT = 1.1  # 1/angstrom, largest weight of an edge (section 2.2)
_HALF_CELLS = np.array(list(itertools.product((-1, 0, 1), repeat=3))[:13])  # (13, 3), one of each opposite pair


@dataclass(frozen=True, eq=False)
class Embedding:
    """Input of the network for one crystal, over the N atoms of its conventional cell.

    nodes
        (N, 106): 92 element values of CGCNN; fractional x, y, z; a, b, c in angstrom; alpha, beta, gamma in degrees;
        space-group number; N; number of orbits; volume in cubic angstrom; mass in dalton.
    asuam
        (N, N): 1 for two atoms of one orbit and on the diagonal, else 1/d in 1/angstrom, at most 1.1.
    dam
        (N, N): d, the shortest distance between any images of the two atoms in angstrom; 0 on the diagonal.
    orbits
        (N,): the orbit of each atom, from 0. A weight of 1 in `asuam` may also be a distance of 1 angstrom.
    pxrd
        (140,): the powder pattern of `asugnn.diffraction.powder_pattern`.
    """

    nodes: Floats
    asuam: Floats
    dam: Floats
    orbits: Ints
    pxrd: Floats


def embed_crystal(
    crystal: Crystal,
    *,
    distance: Distance = "nearest",
    mass: Mass = "mean",
    profile: Profile = "integrated",
    origin: Origin = "given",
) -> Embedding:
    """Compute the embedding of a crystal, given in any cell; raises `InputError` for elements beyond californium.

    A chiral crystal and its mirror image have different embeddings, as in the paper: their coordinates differ.

    Parameters
    ----------
    distance
        Between `nearest` images of two atoms, or inside the `cell`, as in the authors' code.
    mass
        The `mean` of the atoms (paper), or the `total` of the cell (authors' code).
    profile
        Peaks of the pattern are `integrated` over bins, or `sampled` at points (near to the authors' code).
    origin
        Where the space group leaves it free: as `given`, or `settled` by the atoms, so that nothing depends on it.
    """
    from ase.data import atomic_masses

    check_elements(crystal, "ASUGNN")
    conventional = conventional_cell(crystal, origin)
    cell, orbits = conventional.crystal, conventional.orbits
    dam = _shortest_distances(cell) if distance == "nearest" else _cell_distances(cell)  # (N, N)
    same_orbit = orbits[:, None] == orbits  # (N, N)
    asuam = np.minimum(1 / np.where(same_orbit, 1, dam), MAX_WEIGHT)
    metric = cell.lattice @ cell.lattice.T
    a, b, c = np.sqrt(metric.diagonal())
    angles = np.degrees(np.arccos(np.clip(metric[(1, 0, 0), (2, 2, 1)] / (b * c, a * c, a * b), -1, 1)))
    masses = atomic_masses[cell.numbers]
    shared = (a, b, c, *angles, conventional.space_group, len(cell), orbits.max() + 1, cell.volume)
    nodes = np.empty((len(cell), 106))
    nodes[:, :92] = element_values()[cell.numbers]
    nodes[:, 92:95] = cell.frac_coords
    nodes[:, 95:105] = shared
    nodes[:, 105] = masses.mean() if mass == "mean" else masses.sum()
    return Embedding(nodes, asuam, dam, orbits, powder_pattern(conventional.primitive, profile))


def _cell_distances(crystal: Crystal) -> Floats:
    """Compute distances (N, N) in angstrom between atoms inside the cell."""
    separation = crystal.cart_coords[:, None] - crystal.cart_coords
    distance: Floats = np.sqrt((separation**2).sum(axis=-1))
    return distance


def _shortest_distances(crystal: Crystal) -> Floats:
    """Compute distances (N, N) in angstrom by minimum image, exact in any cell; 0 on the diagonal.

    In a Minkowski-reduced cell the nearest image of a point wrapped to the middle lies in one of the 27 cells around
    it (Nguyen & Stehle 2009). Of two opposite cells T and -T the nearer image has the square d^2 + T^2 - 2 |d . T|,
    and where no d in the middle cell can make this less than d^2, as in a rectangular one, they need not be tried.
    """
    n = len(crystal)
    first, second = _atom_pairs(n)
    lattice = _reduce_lattice(crystal.lattice)
    frac = crystal.frac_coords @ (crystal.lattice @ np.linalg.inv(lattice))
    separation = frac[first] - frac[second]  # (pairs, 3)
    separation -= np.rint(separation)
    cells = _HALF_CELLS @ lattice  # (13, 3)
    squares, along = (cells**2).sum(axis=1), lattice @ cells.T  # (13,), (3, 13)
    tried = abs(along).sum(axis=0) > squares * (1 + 1e-12)
    square = ((separation @ lattice) ** 2).sum(axis=1)  # (pairs,)
    if tried.any():
        nearer = squares[tried] - 2 * abs(separation @ along[:, tried])  # (pairs, at most 13)
        square += np.minimum(nearer.min(axis=1), 0)
    distance = np.zeros((n, n))
    distance[first, second] = distance[second, first] = np.sqrt(square)
    return distance


@lru_cache(256)
def _atom_pairs(n: int) -> tuple[Ints, Ints]:
    """List the first and the second atom of all n (n - 1) / 2 pairs."""
    first, second = np.triu_indices(n, 1)
    return first, second


def _reduce_lattice(lattice: Floats) -> Floats:
    import moyopy

    reduced: Floats = np.array(moyopy.minkowski_reduce(lattice.tolist())[0])
    return reduced
