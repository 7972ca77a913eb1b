import copy
import warnings

import numpy as np
import polars
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from literal import Literal, pad_batch
from test_symmetry import KNOWN
from torch.nn import functional

from asugnn import Crystal
from asugnn.asugnn import ASUGNN
from asugnn.fused_gated_conv import PairEdges, fused_gated_conv, gate_moments
from asugnn.network import EDGES, Network, asuam_edges, gaussian_expansion
from asugnn.packed_batch import PackedLayout, pack_batch
from asugnn.readout import Set2Set
from leaderboard.data.dataset import crystal_from_row

SMALL = {"width": 32, "heads": 4, "initial": 0.0}
EMBEDDED = [ASUGNN().inputs(crystal) for crystal, _, _ in KNOWN.values()]


def network(**options):
    torch.manual_seed(0)
    return Network(**{**SMALL, **options})


@pytest.mark.parametrize(("width", "published"), [(384, 10_531_686), (512, 18_614_886), (768, 41_662_566)])
def test_as_many_parameters_as_published(width, published):
    with torch.device("meta"):
        count = sum(p.numel() for p in Network(width=width).parameters() if p.requires_grad)
    assert count == pytest.approx(published, rel=0.01)


OPTIONS = [
    {},
    {"adjacencies": ("asuam", "asuam")},
    {"adjacencies": ("dam", "asuam"), "windows": 1},
    {"adjacencies": ("dam", "none")},
    {"xrd": False},
    {"term": "after"},
    {"readout": "recurrent"},
]


def double(batch):
    return {k: v.double() if isinstance(v, torch.Tensor) and v.is_floating_point() else v for k, v in batch.items()}


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "places"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_fast_network_is_the_literal_one(options, exact):
    """Outputs, gradients and running statistics of a ragged batch in training, outputs in use: where nothing is rounded
    away, and in float32, in which both have errors.
    """
    torch.manual_seed(0)
    slow = Literal(**SMALL, drop_key=0.0, **options).double()
    fast = copy.deepcopy(slow.network)
    with torch.no_grad():
        rounded = copy.deepcopy(fast).float()(pack_batch(EMBEDDED, exact))
    one, other = slow(double(pad_batch(EMBEDDED, 17))), fast(double(pack_batch(EMBEDDED, exact)))
    assert one.std() > 1e-3
    torch.testing.assert_close(other, one, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(rounded, one.float(), rtol=1e-5, atol=1e-6)
    one.pow(2).sum().backward()
    other.pow(2).sum().backward()
    for (name, p), q in zip(slow.network.named_parameters(), fast.parameters(), strict=True):
        if p.grad is None and q.grad is None:
            assert options == {"xrd": False}, name
        else:
            torch.testing.assert_close(q.grad, p.grad, rtol=1e-8, atol=1e-12, msg=name)
    for (name, p), q in zip(slow.network.named_buffers(), fast.buffers(), strict=True):
        torch.testing.assert_close(q, p, rtol=1e-10, atol=1e-12, msg=name)
    with torch.no_grad():
        one, other = slow.eval()(double(pad_batch(EMBEDDED, 9))), fast.eval()(double(pack_batch(EMBEDDED, exact)))
    torch.testing.assert_close(other, one, rtol=1e-10, atol=1e-12)


@pytest.mark.slow
def test_the_published_network_on_real_crystals(data):
    """Padded to 220 atoms as the authors do; gradients to 5e-5 of the largest of each parameter, or as exact.

    Rounding depends on the processor: below 1e-5 with AVX-512, 2.5e-5 with AVX2.
    """
    table = polars.read_parquet(data / "mp_subset.parquet").sample(40, seed=2)
    crystals = [crystal_from_row(*row) for row in table.select("lattice", "frac_coords", "atomic_numbers").iter_rows()]
    inputs = [x for x in map(ASUGNN().inputs, crystals) if len(x["nodes"]) <= 220][:6]
    torch.manual_seed(0)
    slow = Literal(drop_key=0.0)
    fast, exact = copy.deepcopy(slow.network), copy.deepcopy(slow.network).double()
    outputs = slow(pad_batch(inputs)), fast(pack_batch(inputs)), exact(double(pack_batch(inputs)))
    for out in outputs:
        out.pow(2).sum().backward()
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-5, atol=1e-5)
    for (name, p), q, r in zip(slow.network.named_parameters(), fast.parameters(), exact.parameters(), strict=True):
        largest = r.grad.abs().max()
        literal, ours = ((g.double() - r.grad).abs().max() / largest for g in (p.grad, q.grad))
        assert ours < max(5e-5, 2 * literal), name


@pytest.mark.parametrize("flaw", ["norms_see_padding", "readout_sees_padding"])
def test_the_faults_of_the_authors_code_can_be_seen(flaw):
    """With either of them an output depends on the length of the padding, without them it does not."""
    torch.manual_seed(0)
    for options in ({}, {flaw: True}):
        slow = Literal(**SMALL, drop_key=0.0, readout="recurrent", **options)
        with torch.no_grad():
            one, other = slow(pad_batch(EMBEDDED, 12)), slow(pad_batch(EMBEDDED, 24))
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6) is not options.get(flaw, False)


def test_a_batch_gives_what_each_crystal_gives_alone():
    model = network()
    model(pack_batch(EMBEDDED))  # running means that are not those of the start
    model.eval()
    with torch.no_grad():
        together = model(pack_batch(EMBEDDED))
        alone = torch.cat([model(pack_batch([x])) for x in EMBEDDED])
    assert together.std() > 0
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)


def made_inputs(dam):
    n = len(dam)
    return {
        "nodes": np.zeros((n, 1)), "asuam": np.ones((n, n)), "dam": dam, "orbits": np.zeros(n), "pxrd": np.zeros(1),
    }  # fmt: skip


@given(st.lists(st.integers(1, 90), min_size=1, max_size=8), st.booleans(), st.sampled_from([16, 64, 4096]))
def test_every_pair_is_in_one_block(sizes, exact, most):
    inputs = [made_inputs(np.ones((n, n))) for n in sizes]
    batch = pack_batch(inputs, exact)
    layout = PackedLayout(batch["groups"], batch.get("place"), batch["crystal"])
    assert layout.crystals == len(sizes)
    assert sum(sizes) <= layout.places <= sum(n + max(3, n / 4) for n in sizes)
    assert exact <= (layout.place is None)
    pairs, seen = 0, 0
    for place, b, n, row, rows, pair in layout.pair_blocks(most):
        assert pair == pairs
        assert b == 1 or (rows == n and b * n * n <= most)
        assert rows == 1 or rows * n <= most or b > 1
        seen = max(seen, place + b * n)
        pairs += b * rows * n
        assert row + rows <= n
    assert pairs == len(batch["asuam"])
    assert seen == layout.places


@given(st.integers(0, 10**6))
def test_the_gated_sum_by_every_pair(seed):
    """Moments, sum and gradients in float64 against the formula, also where rows of a crystal are cut."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    inputs = []
    for n in (1, 3, 70, 3, 2):
        d = rng.uniform(1, 9, (n, n))
        inputs.append(made_inputs(d + d.T))
    batch = pack_batch(inputs, bool(seed % 2))
    layout = PackedLayout(batch["groups"], batch.get("place"), batch["crystal"])
    edges = PairEdges.from_values(gaussian_expansion(batch["dam"]), layout)
    c, o = (torch.randn(79, 6, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2))
    w = torch.randn(6, 12, generator=generator, dtype=torch.float64, requires_grad=True)
    down = torch.randn(79, 3, generator=generator, dtype=torch.float64)
    sizes = torch.bincount(layout.crystal).tolist()
    first, z = 0, []
    ordered = [inputs[i]["dam"] for i in np.argsort(batch["order"].numpy())]
    for n, d in zip(sizes, ordered, strict=True):
        at = slice(first, first + n)
        z.append((c[at, None] + o[at] + gaussian_expansion(torch.from_numpy(d)) @ w.T).flatten(0, 1))
        first += n
    mean, variance, count = gate_moments(c, o, w, edges, layout)
    torch.testing.assert_close(mean, torch.cat(z).mean(0))
    torch.testing.assert_close(variance, torch.cat(z).var(0, correction=0))
    assert count == sum(n * n for n in sizes)
    total = torch.cat([(torch.sigmoid(p[:, :3]) * functional.softplus(p[:, 3:])).view(n, n, 3).sum(1)
                       for p, n in zip(z, sizes, strict=True)])  # fmt: skip
    ours = fused_gated_conv(c, o, w, edges, layout)
    torch.testing.assert_close(ours, total)
    for one, other in zip(*(torch.autograd.grad((t * down).sum(), (c, o, w)) for t in (ours, total)), strict=True):
        torch.testing.assert_close(one, other)


def test_every_parameter_learns():
    model = network()
    model(pack_batch(EMBEDDED)).pow(2).mean().backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 1e-12]
    assert not still


def test_the_order_of_the_atoms_is_nothing():
    model = network().eval()
    x = EMBEDDED[-3]
    order = np.random.default_rng(0).permutation(len(x["nodes"]))
    mixed = {
        "nodes": x["nodes"][order],
        "asuam": x["asuam"][np.ix_(order, order)],
        "dam": x["dam"][np.ix_(order, order)],
        "orbits": x["orbits"][order],
        "pxrd": x["pxrd"],
    }
    with torch.no_grad():
        one, other = model(pack_batch([x])), model(pack_batch([mixed]))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["nodes", "asuam", "dam", "pxrd"])
def test_every_input_matters(name):
    model = network().eval()
    batch = pack_batch(EMBEDDED)
    with torch.no_grad():
        before = model(batch)
        batch[name] = batch[name] * 0.7
        assert not torch.allclose(before, model(batch), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("adjacencies", [("asuam", "asuam"), ("dam", "dam"), ("dam", "asuam")])
def test_the_orders_of_table_1_differ(adjacencies):
    with torch.no_grad():
        one, other = (network(**options).eval()(pack_batch(EMBEDDED)) for options in ({}, {"adjacencies": adjacencies}))
    assert not torch.allclose(one, other)


def test_edges_by_hand():
    centres, spacing = np.arange(12) * 8 / 11, 8 / 11
    edges = gaussian_expansion(torch.tensor([0.0, 2.5, 8.0, 40.0])).numpy()
    for d, row in zip((0.0, 2.5, 8.0, 40.0), edges, strict=True):
        np.testing.assert_allclose(row, np.exp(-(((d - centres) / spacing) ** 2)), atol=1e-6)
    assert edges[3].max() == 0
    edges = asuam_edges(torch.tensor([1.0, 1 / 2.5, 1.1]), torch.tensor([True, False, False]))
    assert (edges[0] == 1).all()
    torch.testing.assert_close(edges[1:], gaussian_expansion(torch.tensor([2.5, 1 / 1.1])))


def test_two_orbits_at_one_angstrom_are_not_one_orbit():
    """Their weight is 1, like that of two atoms of one orbit."""
    inputs = ASUGNN().inputs(Crystal(np.diag([4.0, 4.0, 8.0]), [[0, 0, 0], [0, 0, 0.125]], [1, 9]))
    np.testing.assert_array_equal(inputs["asuam"], 1)
    for exact in (True, False):
        batch = pack_batch([EMBEDDED[0], inputs, EMBEDDED[1]], exact)
        layout = PackedLayout(batch["groups"], batch.get("place"), batch["crystal"])
        (edges,) = next(layout.split_pair_groups(EDGES["asuam"](batch)))[:1, :2, :2]
        between = gaussian_expansion(torch.tensor(1.0))
        torch.testing.assert_close(
            edges, torch.stack([torch.ones(12), between, between, torch.ones(12)]).view(2, 2, 12)
        )


def test_without_the_pattern_the_cross_attention_is_zero():
    """Not a constant that is learnt: no value of its parameters, nor of the pattern, changes the output."""
    model, batch = network(xrd=False).eval(), pack_batch(EMBEDDED)
    with torch.no_grad():
        before = model(batch)
        batch["pxrd"] = batch["pxrd"].flip(0)
        for p in (*model.pattern.parameters(), *(p for codec in model.codecs for p in codec.across.parameters())):
            p.add_(1.0)
        torch.testing.assert_close(model(batch), before, rtol=0, atol=0)
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in network().parameters())


def test_one_window_is_one_token_and_cannot_attend():
    """The authors' network: queries and keys of the cross-attention get no gradient."""
    model = network(windows=1)
    model(pack_batch(EMBEDDED)).pow(2).mean().backward()
    for codec in model.codecs:
        assert codec.across.query.weight.grad.abs().max() < 1e-9
        assert codec.across.key.weight.grad.abs().max() < 1e-9


def test_dropped_keys_are_not_all_that_there_is():
    model = network(drop_key=0.9)
    for _ in range(5):
        assert torch.isfinite(model(pack_batch(EMBEDDED))).all()


def test_set2set_is_the_one_of_pytorch_geometric():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its import
        from torch_geometric.nn.aggr import Set2Set as Reference
    torch.manual_seed(0)
    ours, theirs = Set2Set(8, 3), Reference(8, 3)
    theirs.lstm.load_state_dict({f"{k}_l0": v for k, v in ours.lstm.state_dict().items()})
    index = torch.repeat_interleave(torch.arange(3), torch.tensor([1, 3, 5]))
    x = torch.randn(9, 8)
    layout = PackedLayout(((1, 1), (1, 3), (1, 5)), None, index)
    torch.testing.assert_close(ours(x, layout), theirs(x, index, dim_size=3))
