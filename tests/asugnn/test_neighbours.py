"""Neighbours against ase, pymatgen and counting by hand; whole shells under rigid motions and changes of cell."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asugnn import Crystal
from asugnn.neighbours import (
    SHELL,
    Neighbours,
    nearest_neighbours,
    neighbours_within,
    shell_weights,
)

FCC = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2
BCC = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 2

CRYSTALS = {
    "fcc": Crystal(4.05 * FCC, [[0, 0, 0]], [13]),
    "bcc": Crystal(2.87 * BCC, [[0, 0, 0]], [26]),
    "diamond": Crystal(5.43 * FCC, [[0, 0, 0], [0.25, 0.25, 0.25]], [14, 14]),
    "rocksalt": Crystal(5.64 * FCC, [[0, 0, 0], [0.5, 0.5, 0.5]], [11, 17]),
    "hcp": Crystal(
        [[2.51, 0, 0], [-1.255, 1.255 * 3**0.5, 0], [0, 0, 4.07]],
        [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]],
        [27, 27],
    ),
    "perovskite": Crystal(
        3.9 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]], [38, 22, 8, 8, 8]
    ),
    "flat and outside": Crystal(
        [[2.2, 0, 0], [7.9, 2.4, 0], [-3.1, 0.7, 9]], [[1.2, -3.4, 0.1], [0.4, 0.9, 7.7]], [3, 8]
    ),
}


def random_crystal(seed: int) -> Crystal:
    """Up to six atoms in a skewed cell, at least 0.8 angstrom apart."""
    rng = np.random.default_rng(seed)
    lattice = np.diag(rng.uniform(2.5, 6, 3)) + rng.uniform(-1, 1, (3, 3))
    frac = rng.uniform(-1, 2, (int(rng.integers(1, 7)), 3))
    return Crystal(lattice, frac, rng.integers(1, 80, len(frac)))


def rows(pairs: Neighbours) -> list[tuple[int, ...]]:
    return sorted(map(tuple, np.column_stack([pairs.centre, pairs.other, pairs.image]).tolist()))


def rotation(seed: int) -> np.ndarray:
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    return q * np.sign(np.diag(r))


def moved(crystal: Crystal, seed: int) -> Crystal:
    """Rotated, translated, its atoms reordered, and in another cell of the same lattice."""
    rng = np.random.default_rng(seed)
    change = np.array([[1, int(rng.integers(-2, 3)), 0], [0, 1, int(rng.integers(-2, 3))], [0, 0, 1]])
    order = rng.permutation(len(crystal))
    frac = (crystal.frac_coords + rng.uniform(-2, 2, 3)) @ np.linalg.inv(change)
    return Crystal(change @ crystal.lattice @ rotation(seed), frac[order], crystal.numbers[order])


def doubled(crystal: Crystal) -> Crystal:
    half = crystal.frac_coords / [1, 1, 2]
    frac = np.concatenate([half, half + np.array([0, 0, 0.5])])
    return Crystal(crystal.lattice * np.array([[1], [1], [2]]), frac, np.tile(crystal.numbers, 2))


def shells(crystal: Crystal, pairs: Neighbours) -> Counter[tuple[int, tuple[tuple[int, float], ...]]]:
    """How often each environment occurs: an element, and the elements and distances around it."""
    around: list[list[tuple[int, float]]] = [[] for _ in crystal.numbers]
    for i, j, d in zip(pairs.centre, pairs.other, pairs.distance, strict=True):
        around[i].append((int(crystal.numbers[j]), round(float(d), 3) + 0.0))
    return Counter((int(z), tuple(sorted(a))) for z, a in zip(crystal.numbers, around, strict=True))


@pytest.mark.parametrize("radius", [1.9, 3.0, 6.1])
@pytest.mark.parametrize("name", CRYSTALS)
def test_within_is_ase(name: str, radius: float) -> None:
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    crystal = CRYSTALS[name]
    atoms = Atoms(crystal.numbers, cell=crystal.lattice, scaled_positions=crystal.frac_coords, pbc=True)
    i, j, image, distance = neighbor_list("ijSd", atoms, radius)
    pairs = neighbours_within(crystal, radius)
    assert rows(pairs) == sorted(map(tuple, np.column_stack([i, j, image]).tolist()))
    assert np.allclose(sorted(pairs.distance), sorted(distance), atol=1e-10)


@pytest.mark.parametrize("name", CRYSTALS)
def test_within_is_pymatgen(name: str) -> None:
    from pymatgen.core import Structure

    crystal = CRYSTALS[name]
    structure = Structure(crystal.lattice, crystal.numbers, crystal.frac_coords)
    around = structure.get_all_neighbors(5.3)
    expected = [(i, n.index, *map(round, n.image)) for i, some in enumerate(around) for n in some]
    assert rows(neighbours_within(crystal, 5.3)) == sorted(expected)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.5, 5))
def test_within_is_all_pairs_of_images(seed: int, radius: float) -> None:
    crystal = random_crystal(seed)
    pairs = neighbours_within(crystal, radius)
    # Planes of the lattice along an axis are 1 / |reciprocal vector| apart, and coordinates span three cells.
    reach = np.ceil(radius * np.linalg.norm(np.linalg.inv(crystal.lattice), axis=0)).astype(int) + 3
    images = np.stack(np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), axis=-1).reshape(-1, 3)
    frac = crystal.frac_coords
    between = frac[None, :, None] + images[None, None] - frac[:, None, None]  # (n, n, images, 3)
    distance = np.linalg.norm(between @ crystal.lattice, axis=-1)
    i, j, k = np.nonzero((distance <= radius + SHELL) & (distance > 1e-9))
    assert rows(pairs) == sorted(map(tuple, np.column_stack([i, j, images[k]]).tolist())), f"seed {seed}"
    assert np.allclose(np.linalg.norm(pairs.vectors(crystal), axis=1), pairs.distance, atol=1e-9), f"seed {seed}"
    assert (np.lexsort((pairs.distance, pairs.centre)) == np.arange(len(pairs))).all(), f"seed {seed}"


@pytest.mark.parametrize(
    ("name", "count", "expected"),
    [
        ("fcc", 1, {4.05 / 2**0.5: 12}),
        ("fcc", 12, {4.05 / 2**0.5: 12}),
        ("fcc", 13, {4.05 / 2**0.5: 12, 4.05: 6}),
        ("bcc", 12, {2.87 * 0.75**0.5: 8, 2.87: 6}),
        ("diamond", 12, {5.43 * 3**0.5 / 4: 4, 5.43 / 2**0.5: 12}),
        ("rocksalt", 12, {2.82: 6, 5.64 / 2**0.5: 12}),
    ],
)
def test_nearest_keeps_whole_shells(name: str, count: int, expected: dict[float, int]) -> None:
    crystal = CRYSTALS[name]
    pairs = nearest_neighbours(crystal, count, 8.0)
    for atom in range(len(crystal)):
        distances = pairs.distance[pairs.centre == atom]
        assert len(distances) == sum(expected.values())
        for distance, n in expected.items():
            assert np.isclose(distances, distance, atol=1e-9).sum() == n


def test_nearest_takes_what_there_is() -> None:
    alone = Crystal(9 * np.eye(3), [[0, 0, 0]], [2])
    assert len(nearest_neighbours(alone, 12, 8.0)) == len(neighbours_within(alone, 8.0)) == 0
    molecule = Crystal(9 * np.eye(3), [[0, 0, 0], [0, 0, 0.12]], [7, 7])
    pairs = nearest_neighbours(molecule, 12, 7.0)
    assert rows(pairs) == [(0, 1, 0, 0, 0), (1, 0, 0, 0, 0)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", CRYSTALS)
def test_shells_survive_motions_and_cells(name: str, seed: int) -> None:
    crystal = CRYSTALS[name]
    other = moved(crystal, seed)
    at_shell = float(
        np.sort(neighbours_within(crystal, 6.0).distance)[len(neighbours_within(crystal, 6.0)) // 2]
    )  # a cut through a shell
    for count in (1, 5, 12):
        expected = shells(crystal, nearest_neighbours(crystal, count, 8.0))
        assert shells(other, nearest_neighbours(other, count, 8.0)) == expected, f"seed {seed}"
        twice = doubled(other)
        assert shells(twice, nearest_neighbours(twice, count, 8.0)) == {k: 2 * n for k, n in expected.items()}, (
            f"seed {seed}"
        )
    assert shells(other, neighbours_within(other, at_shell)) == shells(crystal, neighbours_within(crystal, at_shell)), (
        f"seed {seed}"
    )


@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("count", [1, 8, 12, 15])
def test_shares_count_as_many_as_asked_for(name: str, count: int):
    crystal = CRYSTALS[name]
    pairs = nearest_neighbours(crystal, count, 8.0)
    weight = shell_weights(pairs, count)
    assert np.allclose(np.bincount(pairs.centre, weight), count)
    assert (weight > 0).all()
    assert (weight <= 1).all()
    assert (weight[pairs.distance < pairs.distance.max() - SHELL] > 0).all()


def test_shares_of_rocksalt():
    """Six of the twelve in the second shell count in all: a half each."""
    pairs = nearest_neighbours(CRYSTALS["rocksalt"], 12, 8.0)
    weight = shell_weights(pairs, 12)
    near = pairs.distance < 3
    assert near.sum() == 12
    assert (weight[near] == 1).all()
    assert (~near).sum() == 24
    assert (weight[~near] == 0.5).all()


def test_shares_where_there_are_fewer():
    crystal = Crystal(6 * np.eye(3), [[0, 0, 0]], [55])
    pairs = nearest_neighbours(crystal, 12, 7.0)
    assert len(pairs) == 6
    assert (shell_weights(pairs, 12) == 1).all()
