import warnings

import numpy as np
import pytest
import torch
from test_symmetry import KNOWN

from asugnn.asugnn import ASUGNN
from asugnn.embedding import embed
from asugnn.network import Network, Set2Set, asuam_edges, gaussians

SMALL = {"width": 32, "heads": 4, "initial": 0.0}
EMBEDDED = [{k: v.astype(np.float32) for k, v in vars(embed(crystal)).items()} for crystal, _, _ in KNOWN.values()]


def padded(inputs, more: int = 0):
    """A batch with `more` rows of padding than it needs, filled with rubbish."""
    batch = ASUGNN().batch(inputs)
    if more:
        real = batch["real"]
        for name in ("nodes", "asuam", "dam", "real"):
            old = batch[name]
            axes = [1] if name in ("nodes", "real") else [1, 2]
            shape = [n + more * (k in axes) for k, n in enumerate(old.shape)]
            new = torch.zeros(shape, dtype=old.dtype) if name == "real" else torch.rand(shape) * 9
            new[tuple(slice(n) for n in old.shape)] = old
            batch[name] = new
        assert batch["real"].sum() == real.sum()
    return batch


def network(**options):
    torch.manual_seed(0)
    return Network(**{**SMALL, **options})


@pytest.mark.parametrize(("width", "published"), [(384, 10_531_686), (512, 18_614_886), (768, 41_662_566)])
def test_as_many_parameters_as_published(width, published):
    with torch.device("meta"):
        count = sum(p.numel() for p in Network(width=width).parameters() if p.requires_grad)
    assert count == pytest.approx(published, rel=0.01)


def test_a_batch_gives_what_each_crystal_gives_alone():
    model = network()
    model(padded(EMBEDDED))  # running means that are not those of the start
    model.eval()
    with torch.no_grad():
        together = model(padded(EMBEDDED))
        alone = torch.cat([model(padded([x])) for x in EMBEDDED])
        stuffed = model(padded(EMBEDDED, 5))
    assert together.shape == (len(EMBEDDED),)
    assert together.std() > 0
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(together, stuffed, rtol=1e-4, atol=1e-6)


def test_padding_does_not_reach_training():
    """Outputs, gradients and running statistics, whatever the padding holds."""
    results = []
    for more in (0, 5):
        model = network(drop_key=0.0)
        out = model(padded(EMBEDDED, more))
        out.pow(2).sum().backward()
        results.append([out.detach(), *(p.grad for p in model.parameters()), *model.buffers()])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_every_parameter_learns():
    model = network()
    model(padded(EMBEDDED)).pow(2).mean().backward()
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
        "pxrd": x["pxrd"],
    }
    with torch.no_grad():
        one, other = model(padded([x])), model(padded([mixed]))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["nodes", "asuam", "dam", "pxrd"])
def test_every_input_matters(name):
    model = network().eval()
    batch = padded(EMBEDDED)
    with torch.no_grad():
        before = model(batch)
        batch[name] = batch[name] * 0.7
        assert not torch.allclose(before, model(batch), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("adjacencies", [("asuam", "asuam"), ("dam", "dam"), ("dam", "asuam")])
def test_the_orders_of_table_1_differ(adjacencies):
    with torch.no_grad():
        one, other = (network(**options).eval()(padded(EMBEDDED)) for options in ({}, {"adjacencies": adjacencies}))
    assert not torch.allclose(one, other)


def test_edges_by_hand():
    centres, spacing = np.arange(12) * 8 / 11, 8 / 11
    edges = gaussians(torch.tensor([0.0, 2.5, 8.0, 40.0])).numpy()
    for d, row in zip((0.0, 2.5, 8.0, 40.0), edges, strict=True):
        np.testing.assert_allclose(row, np.exp(-(((d - centres) / spacing) ** 2)), atol=1e-6)
    assert edges[3].max() == 0
    edges = asuam_edges(torch.tensor([1.0, 1 / 2.5, 1.1]))
    assert (edges[0] == 1).all()
    torch.testing.assert_close(edges[1:], gaussians(torch.tensor([2.5, 1 / 1.1])))


def test_one_window_is_one_token_and_cannot_attend():
    """The authors' network: queries and keys of the cross-attention get no gradient."""
    model = network(windows=1)
    model(padded(EMBEDDED)).pow(2).mean().backward()
    for codec in model.codecs:
        assert codec.across.query.weight.grad.abs().max() < 1e-9
        assert codec.across.key.weight.grad.abs().max() < 1e-9


def test_dropped_keys_are_not_all_that_there_is():
    model = network(drop_key=0.9)
    for _ in range(5):
        assert torch.isfinite(model(padded(EMBEDDED))).all()


def test_set2set_is_the_one_of_pytorch_geometric():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its import
        from torch_geometric.nn.aggr import Set2Set as Reference
    torch.manual_seed(0)
    ours, theirs = Set2Set(8, 3), Reference(8, 3)
    theirs.lstm.load_state_dict({f"{k}_l0": v for k, v in ours.lstm.state_dict().items()})
    real = torch.arange(5) < torch.tensor([[5], [1], [3]])
    x = torch.randn(3, 5, 8)
    index = torch.arange(3)[:, None].expand(3, 5)[real]
    torch.testing.assert_close(ours(x, real), theirs(x[real], index, dim_size=3))
