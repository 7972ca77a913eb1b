"""With `origin=settled` nothing depends on the origin, in any polar group; with `given` nothing else changed."""

from collections.abc import Iterator
from pathlib import Path

import moyopy
import numpy as np
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_symmetry import described_otherwise

from asugnn import Crystal
from asugnn.embedding import Embedding, embed_crystal
from asugnn.symmetry import conventional_cell
from leaderboard.data import load_dataset
from leaderboard.data.dataset import crystal_from_row
from leaderboard.data.tasks import parse_task

# The 68 groups that leave the origin free along one axis, along two (Pm, Pc, Cm, Cc) or along three (P1).
FREE = [1, *range(3, 10), *range(25, 47), *range(75, 81), *range(99, 111), *range(143, 147), *range(156, 162),
        *range(168, 174), *range(183, 187)]  # fmt: skip


def polar_crystal(number: int, seed: int) -> Crystal:
    """Three atoms in general positions of a space group, two of them of one element."""
    rng = np.random.default_rng(seed)
    lattice = np.diag(rng.uniform(6, 9, 3))
    if number >= 143:
        lattice[1, 1] = lattice[0, 0]
        lattice[:2, :2] = lattice[0, 0] * np.array([[1, 0], [-0.5, 0.75**0.5]])
    elif number >= 75:
        lattice[1, 1] = lattice[0, 0]
    elif number < 10:
        lattice[2, 0] = rng.uniform(-2, 2)
        if number == 1:
            lattice[1, 0], lattice[2, 1] = rng.uniform(-2, 2, 2)
    found = moyopy.operations_from_number(number, setting=moyopy.Setting.spglib())
    elements = rng.permutation([8, 8, 30])
    while True:  # until no atoms nearly coincide, and none are nearly on a mirror
        images = np.einsum("rij,sj->sri", np.array(found.rotations), rng.random((3, 3))) + np.array(found.translations)
        crystal = Crystal.checked(lattice, images.reshape(-1, 3), np.repeat(elements, images.shape[1]))
        distance = embed_crystal(crystal).dam
        if (
            distance[~np.eye(len(distance), dtype=bool)].min() > 0.3
            and conventional_cell(crystal).space_group == number
        ):
            return crystal


def moved_along_free_axes(crystal: Crystal, seed: int) -> Crystal:
    """Moved at random as a whole along the axes that the space group leaves free."""
    found = conventional_cell(crystal)
    assert found.free
    axes = found.crystal.lattice[list(found.free)] @ np.linalg.inv(crystal.lattice)  # (f, 3)
    shift = np.random.default_rng(seed).random(len(axes)) @ axes
    return Crystal.checked(crystal.lattice, crystal.frac_coords + shift, crystal.numbers)


def assert_equal_embeddings(one: Embedding, other: Embedding) -> None:
    assert largest_difference(one, other) < 1e-6


def largest_difference(one: Embedding, other: Embedding) -> float:
    """The largest but for the order of the atoms; a coordinate just below 1 is one at 0."""
    assert one.nodes.shape == other.nodes.shape
    gaps = abs(one.nodes[:, None] - other.nodes)  # (N, N, 106)
    gaps[..., 92:95] = abs(gaps[..., 92:95] - np.rint(gaps[..., 92:95]))
    match = gaps.max(axis=-1).argmin(axis=1)  # (N,)
    assert sorted(match) == list(range(len(match)))
    both = np.ix_(match, match)
    others = ((one.asuam, other.asuam[both]), (one.dam, other.dam[both]), (one.pxrd, other.pxrd))
    return max(gaps.max(axis=-1).min(axis=1).max(), *(float(abs(a - b).max()) for a, b in others))


@pytest.mark.parametrize("number", FREE)
def test_in_every_polar_group(number):
    """Moved, turned, in another order and another cell of either hand."""
    crystal = polar_crystal(number, number)
    settled = embed_crystal(crystal, origin="settled")
    for seed in range(2):
        moved = moved_along_free_axes(crystal, seed)
        assert_equal_embeddings(settled, embed_crystal(described_otherwise(moved, seed), origin="settled"))


@given(st.integers(0, 10**6), st.sampled_from([1, 4, 8, 9, 33, 146, 186]))
def test_a_settled_origin_is_one_that_the_group_allows(seed, number):
    """The crystal is the given one, moved along the free axes, and an atom is at the origin along them."""
    crystal = polar_crystal(number, seed)
    one, other = embed_crystal(crystal), embed_crystal(crystal, origin="settled")
    free = conventional_cell(crystal).free
    for first, second in ((one.asuam, other.asuam), (one.dam, other.dam), (one.pxrd, other.pxrd)):
        np.testing.assert_allclose(np.sort(first, axis=None), np.sort(second, axis=None), atol=1e-9)
    along = other.nodes[:, [92 + axis for axis in free]]  # (N, f)
    assert abs(along - np.rint(along)).max(axis=1).min() < 1e-9


def test_crystals_of_open_dft():
    data = load_dataset(parse_task("open-dft/formation-energy").source)
    moved_atoms = [name for name in data.rows if name.startswith("zs-")]
    found = (c for c in data.crystals(moved_atoms) if conventional_cell(c).free)
    for seed, crystal in zip(range(8), found, strict=False):
        moved = moved_along_free_axes(crystal, seed)
        assert_equal_embeddings(embed_crystal(crystal, origin="settled"), embed_crystal(moved, origin="settled"))
    assert seed == 7


def polar_and_p1(folder: Path, count: int) -> Iterator[Crystal]:
    table = polars.read_parquet(folder / "mp_subset.parquet").sample(8 * count, seed=1)
    rows = table.select("lattice", "frac_coords", "atomic_numbers").iter_rows()
    found = (crystal for row in rows if conventional_cell(crystal := crystal_from_row(*row)).free)
    return (crystal for crystal, _ in zip(found, range(count), strict=False))


@pytest.mark.parametrize("count", [30, pytest.param(600, marks=pytest.mark.slow)])
def test_real_crystals_moved_three_times(data, count):
    tested = 0
    for tested, crystal in enumerate(polar_and_p1(data, count), 1):
        settled = embed_crystal(crystal, origin="settled")
        for seed in range(3):
            moved = moved_along_free_axes(crystal, 3 * tested + seed)
            assert_equal_embeddings(settled, embed_crystal(moved, origin="settled"))
    assert tested == count


@pytest.mark.slow
def test_real_crystals_described_otherwise(data):
    """Moved, turned, in another order and another cell: as well as their atoms obey the symmetry, within 1e-3."""
    found = []
    for seed, crystal in enumerate(polar_and_p1(data, 600)):
        other = described_otherwise(moved_along_free_axes(crystal, seed), seed)
        pair = (embed_crystal(c, origin="settled") for c in (crystal, other))
        found.append(largest_difference(*pair))
    same = np.mean(np.array(found) < 1e-6)
    print(f"{same:.1%} of {len(found)} keep their embedding to 1e-6, all to {max(found):.1e}")
    assert same > 0.88
    assert max(found) < 1e-3
