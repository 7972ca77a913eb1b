"""The embedding of a crystal: nodes, two adjacency matrices and the powder pattern (paper, section 2)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from asugnn.crystal import Crystal, Floats
from asugnn.diffraction import pattern
from asugnn.elements import check_elements, element_values
from asugnn.symmetry import conventional

STRONGEST = 1.1  # largest weight of an edge (section 2.2)


@dataclass(frozen=True, eq=False)
class Embedding:
    """A crystal as the network takes it, over the N atoms of its conventional cell.

    nodes
        (N, 106): 92 element values of CGCNN; fractional x, y, z; a, b, c in angstrom; alpha, beta, gamma in degrees;
        space-group number; N; number of orbits; volume in cubic angstrom; mean atomic mass in dalton.
    asuam
        (N, N): 1 for two atoms of one orbit and on the diagonal, else 1/d in 1/angstrom, at most 1.1.
    dam
        (N, N): d, the shortest distance between any images of the two atoms in angstrom; 0 on the diagonal.
    pxrd
        (140,): the powder pattern of `asugnn.diffraction.pattern`.
    """

    nodes: Floats
    asuam: Floats
    dam: Floats
    pxrd: Floats


def embed(crystal: Crystal) -> Embedding:
    """The embedding of a crystal given in any cell; raises `InputError` out of its domain (elements beyond Cf)."""
    from ase.data import atomic_masses

    check_elements(crystal, "ASUGNN")
    found = conventional(crystal)
    cell = found.crystal
    dam = _shortest(cell)  # (N, N)
    one = found.orbits[:, None] == found.orbits  # (N, N)
    asuam = np.minimum(1 / np.where(one, 1, dam), STRONGEST)
    a, b, c = np.linalg.norm(cell.lattice, axis=1)
    cosines = (cell.lattice @ cell.lattice.T) / np.outer((a, b, c), (a, b, c))
    angles = np.degrees(np.arccos(np.clip(cosines[(1, 0, 0), (2, 2, 1)], -1, 1)))
    mass = atomic_masses[cell.numbers].mean()
    shared = [a, b, c, *angles, found.space_group, len(cell), found.orbits.max() + 1, cell.volume, mass]
    elements = element_values()[cell.numbers]  # (N, 92)
    nodes = np.hstack([elements, cell.frac_coords, np.tile(shared, (len(cell), 1))])
    return Embedding(nodes, asuam, dam, pattern(cell))


def _shortest(crystal: Crystal) -> Floats:
    """(N, N) distances by minimum image, exact in any cell; 0 on the diagonal.

    In a Minkowski-reduced cell the nearest image of a point wrapped to the middle lies in one of the 27 cells about
    it (Nguyen & Stehle 2009).
    """
    from ase.geometry.minkowski_reduction import minkowski_reduce

    lattice, _ = minkowski_reduce(np.array(crystal.lattice))
    frac = crystal.cart_coords @ np.linalg.inv(lattice)
    apart = frac[:, None] - frac  # (N, N, 3)
    apart -= np.rint(apart)
    square = np.full(apart.shape[:2], np.inf)
    for image in itertools.product((-1, 0, 1), repeat=3):
        square = np.minimum(square, (((apart + image) @ lattice) ** 2).sum(axis=-1))
    np.fill_diagonal(square, 0)
    distance: Floats = np.sqrt(square)
    return distance
