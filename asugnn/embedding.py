"""The embedding of a crystal: nodes, two adjacency matrices and the powder pattern (paper, section 2)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from asugnn.crystal import Crystal, Floats, Ints
from asugnn.diffraction import TOGETHER, Profile, powder_patterns
from asugnn.elements import check_elements, element_values
from asugnn.errors import InputError
from asugnn.symmetry import ConventionalCell, Origin, conventional_cells

Distance = Literal["nearest", "cell"]
Mass = Literal["mean", "total"]

MAX_WEIGHT = 1.1  # 1/angstrom, largest weight of an edge (section 2.2)
BLOCK = 4096  # pairs of atoms at once, which fit into a processor's cache
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
    (found,) = embed_crystals([crystal], distance=distance, mass=mass, profile=profile, origin=origin)
    if isinstance(found, InputError):
        raise found
    return found


def embed_crystals(
    crystals: Sequence[Crystal],
    *,
    distance: Distance = "nearest",
    mass: Mass = "mean",
    profile: Profile = "integrated",
    origin: Origin = "given",
) -> list[Embedding | InputError]:
    """Compute the embedding of each crystal, or the error that `embed_crystal` raises, in half the time.

    No embedding depends on the other crystals.
    """
    found: list[Any] = [_unknown_element(crystal) for crystal in crystals]
    known = [i for i, error in enumerate(found) if error is None]
    for start in range(0, len(known), TOGETHER):
        few = known[start : start + TOGETHER]
        for i, cell in zip(few, conventional_cells([crystals[i] for i in few], origin), strict=True):
            found[i] = cell
        few = [i for i in few if not isinstance(found[i], InputError)]
        patterns = powder_patterns([found[i].primitive for i in few], profile)
        for i, pattern in zip(few, patterns, strict=True):
            found[i] = pattern if isinstance(pattern, InputError) else _embed_cell(found[i], pattern, distance, mass)
    return found


def _unknown_element(crystal: Crystal) -> InputError | None:
    try:
        check_elements(crystal, "ASUGNN")
    except InputError as error:
        return error
    return None


def _embed_cell(conventional: ConventionalCell, pattern: Floats, distance: Distance, mass: Mass) -> Embedding:
    from ase.data import atomic_masses

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
    return Embedding(nodes, asuam, dam, orbits, pattern)


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
    lattice = _reduce_lattice(crystal.lattice)
    frac = (crystal.lattice @ np.linalg.inv(lattice)).T @ crystal.frac_coords.T  # (3, n)
    cells = _HALF_CELLS @ lattice  # (13, 3)
    squares, along = (cells**2).sum(axis=1), cells @ lattice.T  # (13,), (13, 3)
    tried = abs(along).sum(axis=1) > squares * (1 + 1e-12)
    squares, along = squares[tried, None], 2 * along[tried]
    distance = np.empty((n, n))
    rows = max(1, BLOCK // n)
    for start in range(0, n, rows):
        stop = min(start + rows, n)
        separation = (frac[:, start:stop, None] - frac[:, None, start:]).reshape(3, -1)  # (3, pairs)
        separation -= np.rint(separation)
        square = ((lattice.T @ separation) ** 2).sum(axis=0)  # (pairs,)
        if len(along):
            nearer = squares - abs(along @ separation)  # (at most 13, pairs)
            square += np.minimum(nearer.min(axis=0), 0)
        distance[start:stop, start:] = np.sqrt(square, out=square).reshape(stop - start, n - start)
        distance[stop:, start:stop] = distance[start:stop, stop:].T
    np.fill_diagonal(distance, 0)
    return distance


def _reduce_lattice(lattice: Floats) -> Floats:
    import moyopy

    reduced: Floats = np.array(moyopy.minkowski_reduce(lattice.tolist())[0])
    return reduced
