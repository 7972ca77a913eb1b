"""Networks on merged atoms, bonds and angles give what the packages' own classes give on every one of them."""

import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from every_atom import Network, merged_batch_in_float64, outputs

from asugnn import Crystal
from asugnn.crystal import SYMBOLS
from baselines.alignn import ALIGNN
from baselines.cgcnn import CGCNN
from baselines.cogn import CoGN
from baselines.m3gnet import M3GNet
from baselines.megnet import MEGNet

NETWORKS = {
    "CGCNN": CGCNN(width=8, convolutions=2, hidden=8),
    "MEGNet": MEGNet(blocks=2),
    "M3GNet": M3GNet(width=8, blocks=2),
    "ALIGNN": ALIGNN(width=8, alignn_layers=2, gcn_layers=2),
    "coGN": CoGN(width=8, blocks=2, depth=3),
}
EQUAL = 1e-10

# Space group, cell lengths and angles, and sites: element and position. All crystal systems, all centrings.
SPACE_GROUPS = {
    "P1": (1, (4.1, 4.7, 5.2, 83, 97, 104), {"Si": (0.1, 0.2, 0.3), "O": (0.6, 0.1, 0.7), "Al": (0.3, 0.7, 0.9)}),
    "P-1": (2, (4.1, 4.7, 5.2, 83, 97, 104), {"Si": (0.1, 0.2, 0.3), "O": (0.6, 0.1, 0.7)}),
    "C2": (5, (5.3, 4.1, 4.9, 90, 106, 90), {"Na": (0, 0.1, 0), "Cl": (0.2, 0.6, 0.3)}),
    "P2_1/c": (14, (4.3, 5.1, 4.8, 90, 101, 90), {"Ti": (0, 0, 0), "O": (0.2, 0.3, 0.1)}),
    "Pnma": (62, (5.4, 7.6, 5.3, 90, 90, 90), {"Ca": (0.04, 0.25, 0.99), "Ti": (0, 0, 0.5)}),
    "Fddd": (70, (6.1, 7.2, 8.3, 90, 90, 90), {"Pu": (0.125, 0.125, 0.125)}),
    "Imm2": (44, (3.1, 3.7, 4.9, 90, 90, 90), {"Li": (0, 0, 0), "F": (0, 0.5, 0.2)}),
    "P4_2/mnm": (136, (4.59, 4.59, 2.96, 90, 90, 90), {"Ti": (0, 0, 0), "O": (0.305, 0.305, 0)}),
    "I4/mmm": (139, (3.8, 3.8, 9.7, 90, 90, 90), {"Ti": (0, 0, 0), "Al": (0, 0, 0.37)}),
    "R-3m": (166, (3.2, 3.2, 15.8, 90, 90, 120), {"Li": (0, 0, 0), "Cl": (0, 0, 0.26)}),
    "P3_121": (152, (4.91, 4.91, 5.4, 90, 90, 120), {"Si": (0.47, 0, 1 / 3), "O": (0.41, 0.27, 0.45)}),
    "P6_3mc": (186, (3.25, 3.25, 5.2, 90, 90, 120), {"Zn": (1 / 3, 2 / 3, 0), "O": (1 / 3, 2 / 3, 0.38)}),
    "Pa-3": (205, (5.42, 5.42, 5.42, 90, 90, 90), {"Fe": (0, 0, 0), "S": (0.385, 0.385, 0.385)}),
    "Pm-3m": (221, (3.9, 3.9, 3.9, 90, 90, 90), {"Sr": (0, 0, 0), "Ti": (0.5, 0.5, 0.5), "O": (0.5, 0.5, 0)}),
    "Fm-3m": (225, (5.64, 5.64, 5.64, 90, 90, 90), {"Na": (0, 0, 0), "Cl": (0.5, 0.5, 0.5)}),
    "Ia-3": (206, (6.2, 6.2, 6.2, 90, 90, 90), {"Mn": (0.25, 0.25, 0.25)}),
}
FCC = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2
OTHERS = {
    "cells of one atom": [Crystal(4.05 * FCC, [[0, 0, 0]], [13]), Crystal(3.6 * FCC, [[0, 0, 0]], [29])],
    "an atom alone": [Crystal(20 * np.eye(3), [[0, 0, 0]], [2]), Crystal(4.05 * FCC, [[0, 0, 0]], [13])],
    "molecules in a box": [
        Crystal(20 * np.eye(3), [[0, 0, 0], [0, 0, 0.055]], [7, 7]),
        Crystal(20 * np.eye(3), [[0, 0, 0], [0.04, 0.03, 0], [-0.04, 0.03, 0], [0.5, 0.5, 0.5]], [8, 1, 1, 18]),
    ],
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Networks this small spend their time waiting for a second one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def in_space_group(name: str) -> Crystal:
    """Apply the operations of the group to the sites; pymatgen's own function rounds to ten decimals."""
    from pymatgen.core import Lattice
    from pymatgen.symmetry.groups import SpaceGroup

    number, cell, sites = SPACE_GROUPS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        operations = SpaceGroup.from_int_number(number).symmetry_ops
    frac: list[np.ndarray] = []
    numbers: list[int] = []
    for symbol, site in sites.items():
        images = np.array([op.rotation_matrix @ site + op.translation_vector for op in operations])
        apart = images[:, None] - images
        same = np.abs(apart - np.round(apart)).max(axis=2) < 1e-6
        distinct = images[same.argmax(axis=1) == np.arange(len(images))]  # the first of each set of equal points
        frac += list(distinct)
        numbers += [SYMBOLS.index(symbol) + 1] * len(distinct)
    return Crystal(Lattice.from_parameters(*cell).matrix, frac, numbers)


def assert_equal(model: Network, crystals: Sequence[Crystal], training: bool = True) -> None:
    """Outputs, gradients of all parameters, and running statistics after a training step."""
    torch.manual_seed(0)
    ours, theirs = (model.network().double().train(training) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    values = ours(merged_batch_in_float64(model, crystals))
    expected = outputs(model, theirs, crystals)
    assert values.shape == (len(crystals),)
    assert torch.allclose(values, expected, rtol=EQUAL, atol=EQUAL)
    for y in (values, expected):
        (y - 1).square().mean().backward()
    for (name, a), (_, b) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        if a.grad is None or b.grad is None:  # the last edges of ALIGNN are not read
            assert (a.grad is None) == (b.grad is None), name
            continue
        assert torch.allclose(a.grad, b.grad, rtol=EQUAL, atol=EQUAL), name
    for (name, a), (_, b) in zip(ours.named_buffers(), theirs.named_buffers(), strict=True):
        assert torch.allclose(a, b, rtol=EQUAL, atol=EQUAL), name


@pytest.mark.parametrize("name", NETWORKS)
def test_one_class_for_each_orbit(name: str):
    for group, (_, _, sites) in SPACE_GROUPS.items():
        graph = NETWORKS[name].graph(in_space_group(group))
        assert len(graph.atom) == len(sites), group


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_crystals_of_all_systems_in_one_batch(name: str, training: bool):
    assert_equal(NETWORKS[name], [in_space_group(group) for group in SPACE_GROUPS], training)


@pytest.mark.parametrize("group", ["P1", "R-3m"])
@pytest.mark.parametrize("name", NETWORKS)
def test_one_crystal(name: str, group: str):
    assert_equal(NETWORKS[name], [in_space_group(group)])


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_crystals_with_few_or_no_neighbours(name: str, kind: str):
    assert_equal(NETWORKS[name], OTHERS[kind])


@pytest.mark.parametrize("name", ["MEGNet", "M3GNet", "ALIGNN", "coGN"])
def test_real_crystals(name: str, data: Path):
    """Published coordinates are rounded, which splits classes: what remains merged is equal to 1e-10, too."""
    import polars as pl

    table = pl.read_parquet(data / "mp_subset.parquet", n_rows=12)
    crystals = [
        Crystal(np.reshape(lattice, (3, 3)), np.reshape(frac, (-1, 3)), numbers)
        for lattice, frac, numbers in table.select("lattice", "frac_coords", "atomic_numbers").iter_rows()
    ]
    assert_equal(NETWORKS[name], crystals)


def test_blocks_do_not_change_the_convolution(monkeypatch: pytest.MonkeyPatch):
    """A block of few edges, which ends inside the edges of a node."""
    from baselines import _edge_gated

    monkeypatch.setattr(_edge_gated, "CPU_VALUES", 8 * 7)  # seven edges
    assert_equal(NETWORKS["ALIGNN"], [in_space_group("P-1"), in_space_group("Fm-3m")])


@pytest.mark.parametrize("training", [True, False], ids=["training", "in use"])
@pytest.mark.parametrize("name", NETWORKS)
def test_bfloat16_is_close(name: str, training: bool):
    """Matrix products in 16 bits: sums and norms stay in 32."""
    model = NETWORKS[name]
    batch = model.batch([model.inputs(in_space_group(group)) for group in ("P1", "Fm-3m", "P-1")])
    torch.manual_seed(0)
    network = model.network().train(training)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    exact = network(batch)
    gradient = torch.autograd.grad(exact.sum(), weights, allow_unused=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = network(batch)
    assert torch.allclose(exact, rounded.float(), atol=0.05)
    near = torch.autograd.grad(rounded.float().sum(), weights, allow_unused=True)
    flat, near_flat = (torch.cat([g.flatten() for g in grads if g is not None]) for grads in (gradient, near))
    assert (near_flat - flat).norm() <= 0.05 * flat.norm()
