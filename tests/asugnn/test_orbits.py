"""ASUGNN with one token for each orbit is the network on every atom, when its nodes have no coordinates."""

import numpy as np
import pytest
import torch
from test_network import SMALL, double
from test_symmetry import KNOWN

from asugnn import Crystal
from asugnn.asugnn import ASUGNN
from asugnn.embedding import embed_crystal, merge_orbits
from asugnn.errors import InputError
from asugnn.network import Network
from asugnn.orbits import OrbitNetwork, pack_orbits
from asugnn.packed_batch import pack_batch


def embeddings():
    """Of known crystals of all kinds, each exactly symmetric."""
    return [embed_crystal(crystal) for crystal, _, _ in KNOWN.values()]


def without_coordinates(embedding):
    return {**vars(embedding), "nodes": merge_orbits(embedding)["nodes"][embedding.orbits]}


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "places"])
@pytest.mark.parametrize(
    "options",
    [{}, {"adjacencies": ("dam", "none")}, {"adjacencies": ("dam", "asuam"), "windows": 1}, {"xrd": False}],
    ids=str,
)
def test_orbits_give_what_all_atoms_give(options, exact):
    """Outputs, gradients and running statistics of a batch in training, and outputs in use."""
    torch.manual_seed(0)
    atoms = Network(**SMALL, drop_key=0.0, **options).double()
    orbits = OrbitNetwork(**SMALL, drop_key=0.0, **options).double()
    orbits.load_state_dict(atoms.state_dict())
    every = double(pack_batch([without_coordinates(e) for e in embeddings()]))
    merged = double(pack_orbits([merge_orbits(e) for e in embeddings()], exact))
    assert ("place" in merged) is not exact
    assert len(merged["nodes"]) < 0.5 * len(every["nodes"])
    one, other = atoms(every), orbits(merged)
    assert one.std() > 1e-3
    torch.testing.assert_close(other, one, rtol=1e-10, atol=1e-12)
    one.pow(2).sum().backward()
    other.pow(2).sum().backward()
    for (name, p), q in zip(atoms.named_parameters(), orbits.parameters(), strict=True):
        if p.grad is not None or q.grad is not None:
            torch.testing.assert_close(q.grad, p.grad, rtol=1e-8, atol=1e-11, msg=name)
    for (name, p), q in zip(atoms.named_buffers(), orbits.buffers(), strict=True):
        torch.testing.assert_close(q, p, rtol=1e-10, atol=1e-12, msg=name)
    with torch.no_grad():
        torch.testing.assert_close(orbits.eval()(merged), atoms.eval()(every), rtol=1e-10, atol=1e-12)


def test_neither_origin_nor_handedness_matters():
    """Polar and chiral crystals are among them."""
    torch.manual_seed(0)
    model = ASUGNN(**SMALL, nodes="orbit")
    network = model.network().eval()
    for crystal, *_ in KNOWN.values():
        mirrored = Crystal(crystal.lattice, -crystal.frac_coords, crystal.numbers)
        moved = Crystal(crystal.lattice, crystal.frac_coords + np.array([0.1, 0.2, 0.3]), crystal.numbers)
        with torch.no_grad():
            one, *others = network(model.batch([model.inputs(c) for c in (crystal, mirrored, moved)]))
        torch.testing.assert_close(torch.stack(others), one.expand(2), rtol=1e-4, atol=1e-5)


def test_an_edge_counts_the_atoms_at_its_distance():
    merged = merge_orbits(embed_crystal(KNOWN["rutile"][0]))
    k = len(merged["nodes"])
    counted = np.bincount(merged["pair"], merged["weight"]).reshape(k, k)
    np.testing.assert_array_equal(counted, np.tile(merged["multiplicity"], (k, 1)))
    nearest = merged["distance"][(merged["pair"] == k - 1) | (merged["pair"] == k)].reshape(2, -1)[:, 0]
    assert nearest == pytest.approx(1.95, abs=0.05)  # Ti-O, from either side


@pytest.mark.parametrize("other", [{"term": "after"}, {"readout": "recurrent"}, {"distance": "cell"}], ids=str)
def test_what_distinguishes_atoms_of_an_orbit_is_refused(other):
    with pytest.raises(InputError, match=r"asugnn.nodes=orbit needs asugnn\."):
        ASUGNN(**other, nodes="orbit")
