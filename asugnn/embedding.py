"""The embedding of a crystal: nodes, two adjacency matrices and the powder pattern (paper, section 2)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import Crystal, Floats, Ints
from asugnn.diffraction import TOGETHER, Profile, powder_patterns
from asugnn.elements import element_values, unknown_element
from asugnn.errors import InputError
from asugnn.neighbours import SHELL
from asugnn.symmetry import ConventionalCell, Origin, conventional_cells

Distance = Literal["nearest", "cell"]
Mass = Literal["mean", "total"]

COORDINATES, SPACE_GROUP = slice(92, 95), 101  # columns of a node
# Of each enantiomorphic pair of space groups, the larger number to the smaller one.
_MIRRORED = {78: 76, 95: 91, 96: 92, 145: 144, 153: 151, 154: 152, 170: 169, 172: 171, 179: 178, 181: 180, 213: 212}
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
    found: list[Any] = [unknown_element(crystal, "ASUGNN") for crystal in crystals]
    known = [i for i, error in enumerate(found) if error is None]
    for start in range(0, len(known), TOGETHER):
        few = known[start : start + TOGETHER]
        for i, cell in zip(few, conventional_cells([crystals[i] for i in few], origin), strict=True):
            found[i] = cell
        few = [i for i in few if not isinstance(found[i], InputError)]
        if not few:
            continue
        cells: list[ConventionalCell] = [found[i] for i in few]
        patterns = powder_patterns([cell.primitive for cell in cells], profile)
        nodes = _compute_nodes(cells, mass)
        distances = (_shortest_distances if distance == "nearest" else _cell_distances)([c.crystal for c in cells])
        for i, cell, pattern, own, dam in zip(few, cells, patterns, nodes, distances, strict=True):
            found[i] = pattern
            if not isinstance(pattern, InputError):
                found[i] = Embedding(own, _orbit_weights(cell.orbits, dam), dam, cell.orbits, pattern)
    return found


def _orbit_weights(orbits: Ints, distances: Floats) -> Floats:
    """Compute the ASUAM (N, N)."""
    weights = np.where(orbits[:, None] == orbits, 1, distances)
    return np.minimum(np.divide(1, weights, out=weights), MAX_WEIGHT, out=weights)


def _compute_nodes(cells: Sequence[ConventionalCell], mass: Mass) -> list[Floats]:
    """Compute the nodes (N, 106) of each cell."""
    from ase.data import atomic_masses

    crystals = [cell.crystal for cell in cells]
    sizes = [len(crystal) for crystal in crystals]
    starts: Ints = np.cumsum(sizes) - np.array(sizes)
    lattices = np.array([crystal.lattice for crystal in crystals])  # (B, 3, 3)
    metric = lattices @ lattices.transpose(0, 2, 1)
    a, b, c = lengths = np.sqrt(metric.diagonal(axis1=1, axis2=2)).T  # (B,) each
    cosines = metric[:, (1, 0, 0), (2, 2, 1)].T / (b * c, a * c, a * b)
    numbers = np.concatenate([crystal.numbers for crystal in crystals])
    masses: Floats = np.add.reduceat(atomic_masses[numbers], starts)
    shared = [*lengths, *np.degrees(np.arccos(np.clip(cosines, -1, 1)))]
    shared += [[cell.space_group for cell in cells], sizes, [cell.orbits.max() + 1 for cell in cells]]
    shared += [abs(np.linalg.det(lattices)), masses / sizes if mass == "mean" else masses]
    nodes = np.empty((len(numbers), 106))
    nodes[:, :92] = element_values()[numbers]
    nodes[:, COORDINATES] = np.concatenate([crystal.frac_coords for crystal in crystals])
    nodes[:, 95:] = np.array(shared).T.repeat(sizes, axis=0)
    return np.split(nodes, starts[1:])


def merge_orbits(embedding: Embedding) -> dict[str, NDArray[Any]]:
    """Merge the atoms of each orbit of an embedding, k orbits with e edges in all.

    Returns `nodes` (k, 106) without coordinates, and with the smaller number of a pair of enantiomorphic space groups;
    `multiplicity` (k,); `pxrd` (140,); and of each edge `pair` (e,), which is k times its first orbit plus its second,
    `distance` (e,) in angstrom and `weight` (e,), the number of atoms of the second orbit at that distance from an atom
    of the first. The distances from an orbit are means over its atoms, which rounding may distinguish.
    """
    _, first, multiplicity = np.unique(embedding.orbits, return_index=True, return_counts=True)
    k = len(first)
    members = [np.flatnonzero(embedding.orbits == i) for i in range(k)]
    pairs, distances, weights = [], [], []
    for a in range(k):
        for b in range(k):
            shells = np.sort(embedding.dam[np.ix_(members[a], members[b])], axis=1).mean(axis=0)  # (atoms of b,)
            level = np.cumsum(np.diff(shells, prepend=shells[0]) > SHELL)
            weight = np.bincount(level)
            pairs.append(np.full(len(weight), a * k + b))
            distances.append(np.bincount(level, shells) / weight)
            weights.append(weight)
    nodes = embedding.nodes[first].copy()
    nodes[:, COORDINATES] = 0.5
    nodes[:, SPACE_GROUP] = _MIRRORED.get(int(nodes[0, SPACE_GROUP]), nodes[0, SPACE_GROUP])
    return {
        "nodes": nodes,
        "multiplicity": multiplicity.astype(float),
        "pair": np.concatenate(pairs).astype(np.int32),
        "distance": np.concatenate(distances),
        "weight": np.concatenate(weights).astype(float),
        "pxrd": embedding.pxrd,
    }


def _cell_distances(crystals: Sequence[Crystal]) -> Iterator[Floats]:
    """Compute distances (N, N) in angstrom between atoms inside the cell, for each crystal."""
    for crystal in crystals:
        separation = crystal.cart_coords[:, None] - crystal.cart_coords
        yield np.sqrt((separation**2).sum(axis=-1))


def _shortest_distances(crystals: Sequence[Crystal]) -> Iterator[Floats]:
    """Compute distances (N, N) in angstrom by minimum image, exact in any cell, for each crystal; 0 on the diagonal.

    In a Minkowski-reduced cell the nearest image of a point wrapped to the middle lies in one of the 27 cells around
    it (Nguyen & Stehle 2009). Of two opposite cells T and -T the nearer image has the square d^2 + T^2 - 2 |d . T|,
    and where no d in the middle cell can make this less than d^2, as in a rectangular one, they need not be tried.
    """
    lattices = np.array([crystal.lattice for crystal in crystals])
    reduced = np.array([_reduce_lattice(lattice) for lattice in lattices])
    to_reduced = lattices @ np.linalg.inv(reduced)
    cells = _HALF_CELLS @ reduced  # (B, 13, 3)
    squares, along = (cells**2).sum(axis=2), cells @ reduced.transpose(0, 2, 1)  # (B, 13), (B, 13, 3)
    tried = abs(along).sum(axis=2) > squares * (1 + 1e-12)
    for i, crystal in enumerate(crystals):
        frac = to_reduced[i].T @ crystal.frac_coords.T  # (3, N)
        yield _nearest_images(frac, reduced[i], squares[i, tried[i]], along[i, tried[i]])


def _nearest_images(frac: Floats, lattice: Floats, squares: Floats, along: Floats) -> Floats:
    """Compute distances (N, N) in a reduced cell, trying the cells with these T^2 (c,) and T . lattice (c, 3)."""
    n = frac.shape[1]
    distance = np.empty((n, n))
    rows = max(1, BLOCK // n)
    for start in range(0, n, rows):
        stop = min(start + rows, n)
        separation = (frac[:, start:stop, None] - frac[:, None, start:]).reshape(3, -1)  # (3, pairs)
        separation -= np.rint(separation)
        square = ((lattice.T @ separation) ** 2).sum(axis=0)  # (pairs,)
        if len(along):
            nearer = 2 * along @ separation  # (at most 13, pairs)
            np.subtract(squares[:, None], np.abs(nearer, out=nearer), out=nearer)
            square += np.minimum(nearer.min(axis=0), 0)
        distance[start:stop, start:] = np.sqrt(square, out=square).reshape(stop - start, n - start)
        distance[stop:, start:stop] = distance[start:stop, stop:].T
    np.fill_diagonal(distance, 0)
    return distance


def _reduce_lattice(lattice: Floats) -> Floats:
    import moyopy

    return np.array(moyopy.minkowski_reduce(lattice.tolist())[0])
