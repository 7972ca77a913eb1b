"""Merged graphs against orbits counted by hand, and against sums over every atom, bond and angle."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_neighbours import CRYSTALS, FCC, doubled, moved, random_crystal

from asugnn import Crystal
from asugnn.merging import Angles, MergedGraph, merge_equivalent, merged_batch
from asugnn.neighbours import SHELL, Neighbours, nearest_neighbours, neighbours_within, shell_weights


def shells(crystal: Crystal) -> MergedGraph:
    """The twelve nearest neighbours, with the weights of CGCNN."""
    pairs = nearest_neighbours(crystal, 12, 8.0)
    return merge_equivalent(crystal.numbers, pairs, shell_weights(pairs, 12), tolerance=SHELL)


def all_angles(pairs: Neighbours, crystal: Crystal) -> Angles:
    """All ordered pairs of different bonds at one atom, one by one."""
    first, second = np.nonzero((pairs.centre[:, None] == pairs.centre) & ~np.eye(len(pairs), dtype=bool))
    unit = pairs.vectors(crystal) / pairs.distance[:, None]
    return Angles(first, second, (unit[first] * unit[second]).sum(axis=1))


def with_angles(crystal: Crystal, radius: float) -> MergedGraph:
    pairs = neighbours_within(crystal, radius)
    return merge_equivalent(crystal.numbers, pairs, np.ones(len(pairs)), all_angles(pairs, crystal))


@pytest.mark.parametrize(
    ("name", "classes"), [("fcc", 1), ("diamond", 1), ("rocksalt", 2), ("hcp", 1), ("perovskite", 3)]
)
def test_atoms_of_an_orbit_are_merged(name: str, classes: int):
    graph = shells(CRYSTALS[name])
    assert len(graph.atom) == classes
    assert graph.multiplicity.sum() == len(CRYSTALS[name])
    assert np.allclose(np.bincount(graph.centre, graph.weight), 12)


def test_bonds_and_angles_of_a_close_packing():
    """Twelve equal bonds, of which each meets the other eleven at 60, 90, 120 and 180 degrees: 4, 2, 4 and 1 times."""
    graph = with_angles(Crystal(4.05 * FCC, [[0, 0, 0]], [13]), 3.0)
    assert (graph.centre.tolist(), graph.other.tolist(), graph.weight.tolist()) == ([0], [0], [12])
    cosine = graph.cosine[graph.angle].round(9).tolist()
    assert dict(zip(cosine, graph.angle_weight.tolist(), strict=True)) == {-1: 1, -0.5: 4, 0: 2, 0.5: 4}


def test_bonds_that_differ_only_in_their_angles():
    """Water, bent: the bonds are equal. With one hydrogen moved along its circle around another atom they differ."""
    oxygen, box = np.full(3, 10.0), 20 * np.eye(3)

    def molecule(*directions: list[float]) -> Crystal:
        rows = [np.array(d) / np.linalg.norm(d) for d in directions]
        return Crystal(box, (oxygen + np.array([np.zeros(3), *rows])) @ np.linalg.inv(box), [8, *[1] * len(rows)])

    bent = with_angles(molecule([1, 0.5, 0], [-1, 0.5, 0]), 1.2)
    assert (len(bent.atom), len(bent.centre), len(bent.first)) == (2, 2, 1)
    star = with_angles(molecule([1, 0, 0], [0, 1, 0], [0, 0, 1]), 1.2)  # three at right angles
    assert (len(star.atom), len(star.centre), len(star.first)) == (2, 2, 1)
    skewed = with_angles(molecule([1, 0, 0], [0, 1, 0], [-1, 0, 0]), 1.2)  # a T: its stem is another atom
    assert (len(skewed.atom), len(skewed.centre), len(skewed.first)) == (3, 4, 3)


def test_atoms_that_differ_only_far_away():
    """Two chains of equal bonds, one of which ends at another element: its atoms differ from the inside out."""
    frac = np.array([[i / 8, 0, 0] for i in range(8)])
    for numbers, classes in (([6] * 8, 1), ([7] + [6] * 7, 5)):  # mirror images stay together
        crystal = Crystal(np.diag([16.0, 20, 20]), frac, numbers)
        assert len(with_angles(crystal, 2.5).atom) == classes


def described(crystal: Crystal, graph: MergedGraph) -> Counter[tuple[float, ...]]:
    """The bonds of a graph, and its angles, per atom and without an order."""
    per_atom = graph.multiplicity / len(crystal)
    z = crystal.numbers[graph.atom]
    columns = np.column_stack(
        [z[graph.centre], per_atom[graph.centre], z[graph.other], graph.distance, graph.weight]
    ).round(5)
    angles = np.column_stack(
        [columns[graph.first], columns[graph.second], graph.cosine[graph.angle].round(5) + 0.0, graph.angle_weight]
    )
    return Counter(map(tuple, columns.tolist())) + Counter(map(tuple, angles.tolist()))


@pytest.mark.parametrize("name", CRYSTALS)
def test_merged_graphs_do_not_depend_on_how_the_crystal_is_given(name: str):
    crystal = CRYSTALS[name]
    for other in (moved(crystal, 5), doubled(crystal), moved(doubled(crystal), 6)):
        assert described(other, shells(other)) == described(crystal, shells(crystal))
        assert described(other, with_angles(other, 4.0)) == described(crystal, with_angles(crystal, 4.0))


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.booleans())
def test_sums_over_classes_are_those_over_all(seed: int, symmetric: bool):
    """Messages along angles, to bonds, and along bonds to both of their ends, repeated twice."""
    crystal = random_crystal(seed)
    if symmetric:  # an inversion centre, and twice the cell
        frac = np.concatenate([crystal.frac_coords, -crystal.frac_coords])
        crystal = doubled(Crystal(crystal.lattice * 1.3, frac, np.tile(crystal.numbers, 2)))
    pairs = neighbours_within(crystal, 4.0)
    angles = all_angles(pairs, crystal)
    graph = merge_equivalent(crystal.numbers, pairs, np.ones(len(pairs)), angles)
    assert len(graph.atom) <= len(crystal) / (4 if symmetric else 1)
    assert len(graph.first) <= len(angles.first) / (4 if symmetric else 1)
    x, bond = np.sqrt(crystal.numbers), np.exp(-pairs.distance)
    y, merged = x[graph.atom], np.exp(-graph.distance)
    ending = graph.weight * graph.multiplicity[graph.centre] / graph.multiplicity[graph.other]
    cosine = graph.cosine[graph.angle]
    for _ in range(2):
        bond = bond + np.bincount(angles.second, bond[angles.first] * (2 + angles.cosine), len(bond)) / 100
        message = graph.angle_weight * merged[graph.first] * (2 + cosine)
        merged = merged + np.bincount(graph.second, message, len(merged)) / 100
        x = (
            x
            + np.bincount(pairs.centre, bond * x[pairs.other], len(x)) / 10
            + np.bincount(pairs.other, bond, len(x)) / 7
        )
        y = (
            y
            + np.bincount(graph.centre, graph.weight * merged * y[graph.other], len(y)) / 10
            + np.bincount(graph.other, ending * merged, len(y)) / 7
        )
    assert np.allclose(x[graph.atom], y, rtol=1e-10)
    assert np.isclose(x.sum(), (y * graph.multiplicity).sum(), rtol=1e-10)
    assert np.isclose(bond.sum(), (merged * graph.weight * graph.multiplicity[graph.centre]).sum(), rtol=1e-10)


def test_noise_splits_classes_and_is_not_averaged_away():
    """Four atoms of an fcc cell, of which one is moved by 1e-6 angstrom along an axis."""
    corners = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    corners[0, 0] += 1e-6 / 4.05
    crystal = Crystal(4.05 * np.eye(3), corners, [13] * 4)
    graph = with_angles(crystal, 3.0)
    assert len(graph.atom) == 3  # it, the two that are equivalent by a mirror plane, and the third
    pairs = neighbours_within(crystal, 3.0)
    assert np.abs(np.unique(pairs.distance)[:, None] - graph.distance).min(axis=1).max() < 1e-9


def test_a_batch_counts_bonds_and_cosines_over_all_crystals():
    graphs = [with_angles(CRYSTALS[name], 4.0) for name in ("rocksalt", "perovskite")]
    batch = merged_batch([{"z": g.atom, **g.angle_arrays()} for g in graphs], "z")
    bonds = len(graphs[0].centre)
    assert batch["first"].tolist() == [*graphs[0].first, *(graphs[1].first + bonds)]
    assert batch["second"].tolist() == [*graphs[0].second, *(graphs[1].second + bonds)]
    assert batch["centre"].tolist() == [*graphs[0].centre, *(graphs[1].centre + 2)]
    expected = np.concatenate([g.cosine[g.angle] for g in graphs])
    assert np.allclose(batch["cosine"][batch["angle"]], expected)


def test_a_crystal_without_bonds():
    crystal = Crystal(20 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [2, 2])
    graph = with_angles(crystal, 3.0)
    assert graph.multiplicity.tolist() == [2]
    assert len(graph.centre) == len(graph.first) == len(graph.cosine) == 0
    batch = merged_batch([{"z": graph.atom, **graph.angle_arrays()}], "z")
    assert batch["second"].tolist() == []
