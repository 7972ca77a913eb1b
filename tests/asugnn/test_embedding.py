import json
from functools import cache
from pathlib import Path

import numpy as np
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jarvis.core import specie
from test_symmetry import KNOWN, described_otherwise, fcc

from asugnn import Crystal, InputError
from asugnn.embedding import Embedding, _shortest_distances, embed_crystal
from asugnn.symmetry import conventional_cell


@cache
def embedded(name: str) -> Embedding:
    return embed_crystal(KNOWN[name][0])


def test_caesium_by_hand():
    found = embed_crystal(Crystal(6.2569 / 2 * np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]), [[0, 0, 0]], [55]))
    shared = [6.2569, 6.2569, 6.2569, 90, 90, 90, 229, 2, 1, 244.95, 132.905]
    expected = np.array([[0, 0, 0, *shared], [0.5, 0.5, 0.5, *shared]])
    order = np.argsort(found.nodes[:, 92])
    np.testing.assert_allclose(found.nodes[order, 92:], expected, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(found.dam, [[0, 5.4187], [5.4187, 0]], atol=1e-4)
    np.testing.assert_array_equal(found.asuam, 1)


def test_rock_salt_by_hand():
    found, half = embedded("rock salt"), 5.64 / 2
    assert found.nodes.shape == (8, 106)
    assert (found.nodes[:, -5:-2] == (225, 8, 2)).all()
    np.testing.assert_allclose(found.nodes[:, -1], (22.98977 + 35.45) / 2, atol=0.01)
    np.testing.assert_allclose(np.unique(found.dam.round(6)), [0, half, half * 2**0.5, half * 3**0.5], atol=1e-5)
    kinds = (found.nodes[:, None, :92] == found.nodes[:, :92]).all(axis=-1)  # here one element is one orbit
    np.testing.assert_array_equal(found.asuam[kinds], 1)
    np.testing.assert_allclose(found.asuam[~kinds], 1 / found.dam[~kinds])


@pytest.mark.parametrize("name", KNOWN)
def test_every_atom_has_the_values_of_its_element(name):
    """The authors' featuriser exchanges them in one crystal of six."""
    table = json.loads(Path(specie.cgcnn_feature_json).read_text(encoding="utf-8"))
    numbers = conventional_cell(KNOWN[name][0]).crystal.numbers
    np.testing.assert_array_equal(embedded(name).nodes[:, :92], [table[str(z)] for z in numbers])


@given(st.sampled_from(sorted(KNOWN)), st.integers(0, 10**6))
def test_the_description_does_not_matter(name, seed):
    one, other = embedded(name), embed_crystal(described_otherwise(KNOWN[name][0], seed))
    assert one.nodes.shape == other.nodes.shape
    match = abs(one.nodes[:, None, :95] - other.nodes[:, :95]).max(axis=-1).argmin(axis=1)  # (N,)
    assert sorted(match) == list(range(len(match)))
    np.testing.assert_allclose(one.nodes, other.nodes[match], rtol=1e-6, atol=1e-6)
    both = np.ix_(match, match)
    np.testing.assert_allclose(one.asuam, other.asuam[both], atol=1e-6)
    np.testing.assert_allclose(one.dam, other.dam[both], atol=1e-6)
    np.testing.assert_allclose(one.pxrd, other.pxrd, atol=1e-8)


@given(st.integers(0, 10**6))
def test_the_shortest_image_is_found_in_skewed_cells(seed):
    rng = np.random.default_rng(seed)
    change = np.eye(3)
    for i, j in ((0, 1), (1, 2), (2, 0)):
        change[i] += rng.integers(-3, 4) * change[j]
    nice = rng.uniform(2, 5, 3)[:, None] * (np.eye(3) + rng.uniform(-0.2, 0.2, (3, 3)))
    frac = np.array([[0, 0, 0], rng.random(3), rng.random(3)]) + rng.integers(-2, 3, (3, 3))
    crystal = Crystal(change @ nice, frac @ np.linalg.inv(change), [1, 2, 3])
    images = np.stack(np.meshgrid(*[np.arange(-8, 9)] * 3), axis=-1).reshape(-1, 1, 1, 3)
    every = np.linalg.norm((frac[:, None] - frac + images) @ nice, axis=-1)  # (images, 3, 3)
    np.testing.assert_allclose(_shortest_distances(crystal), every.min(axis=0), atol=1e-9)


def test_the_readings_of_the_authors_code():
    """Total mass, distances inside the cell, a sampled pattern; nothing else differs."""
    crystal = KNOWN["rutile"][0]
    one, other = embed_crystal(crystal), embed_crystal(crystal, distance="cell", mass="total", profile="sampled")
    np.testing.assert_array_equal(one.nodes[:, :-1], other.nodes[:, :-1])
    np.testing.assert_allclose(other.nodes[:, -1], 6 * one.nodes[:, -1])
    cart = conventional_cell(crystal).crystal.cart_coords
    np.testing.assert_allclose(other.dam, np.linalg.norm(cart[:, None] - cart, axis=-1), atol=1e-12)
    assert (other.dam >= one.dam - 1e-12).all()
    assert (other.dam > one.dam + 0.1).any()
    assert abs(one.pxrd - other.pxrd).max() > 0.01


@pytest.mark.parametrize(("name", "numbers"), [("quartz", (154, 152)), ("triclinic", (1, 1)), ("rutile", (136, 136))])
def test_a_chiral_crystal_differs_from_its_mirror_image_in_coordinates_alone(name, numbers):
    crystal = KNOWN[name][0]
    mirrored = Crystal(crystal.lattice * [1, 1, -1], crystal.frac_coords, crystal.numbers)
    one, other = (embed_crystal(c, origin="settled") for c in (crystal, mirrored))
    assert (one.nodes[0, 101], other.nodes[0, 101]) == numbers
    gaps = abs(one.nodes[:, None, 92:95] - other.nodes[:, 92:95]).max(axis=-1).min(axis=1).max()
    assert (gaps > 1e-3) == (name != "rutile")
    for first, second in ((one.asuam, other.asuam), (one.dam, other.dam), (one.pxrd, other.pxrd)):
        np.testing.assert_allclose(np.sort(first, axis=None), np.sort(second, axis=None), atol=1e-6)


def test_weights_are_capped():
    """Hydrogen at 0.74 angstrom: 1.1, not 1.35."""
    molecule = Crystal(np.diag([5.0, 5.0, 6.0]), [[0, 0, 0], [0, 0, 0.74 / 6]], [1, 9])
    found = embed_crystal(molecule)
    np.testing.assert_allclose(found.asuam, [[1, 1.1], [1.1, 1]])
    np.testing.assert_allclose(found.dam, [[0, 0.74], [0.74, 0]])


def test_an_atom_below_one_is_an_atom_at_zero():
    for shift in (-1e-9, 1e-9):
        found = embed_crystal(Crystal(fcc(4.0), [[0, 0, shift], [0.5] * 3], [11, 17]))
        assert found.nodes[:, 92:95].max() < 0.51


@pytest.mark.parametrize(("number", "words"), [(101, "Md"), (99, "Es")])
def test_elements_without_values_are_named(number, words):
    with pytest.raises(InputError, match=words):
        embed_crystal(Crystal(4 * np.eye(3), [[0, 0, 0]], [number]))


@pytest.mark.slow
def test_real_crystals_do_not_depend_on_their_description(data):
    table = polars.read_parquet(data / "mp_subset.parquet").sample(200, seed=1)
    changed = []
    for seed, row in enumerate(table.iter_rows(named=True)):
        lattice, frac = (np.array(row[k]).reshape(-1, 3) for k in ("lattice", "frac_coords"))
        crystal = Crystal(lattice, frac, row["atomic_numbers"])
        one, other = embed_crystal(crystal), embed_crystal(described_otherwise(crystal, seed))
        if one.nodes.shape != other.nodes.shape:
            changed.append(row["material_id"])
            continue
        gaps = abs(one.nodes[:, None, :95] - other.nodes[:, :95]).max(axis=-1)  # (N, N)
        if gaps.min(axis=1).max() > 1e-3 or abs(one.nodes[0, 95:] - other.nodes[0, 95:]).max() > 1e-2:
            changed.append(row["material_id"])
    assert len(changed) <= 1, changed  # a symmetry that holds to just about the tolerance
