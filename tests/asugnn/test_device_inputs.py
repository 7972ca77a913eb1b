"""What a GPU would do, without one.

PyTorch's device `meta` holds no values and does not mix with the CPU's: what passes there neither mixes devices nor
waits for a value. Values are compared where inputs are tensors on the CPU instead of arrays.
"""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from test_symmetry import KNOWN
from torch.nn.functional import mse_loss

from asugnn.asugnn import ASUGNN
from asugnn.device_inputs import device_of, move_inputs
from asugnn.model import Context
from asugnn.packed_batch import PackedLayout, pack_batch
from asugnn.torch_model import TorchModel
from asugnn.training import Batches, _Batchwise
from asugnn.training_state import TrainingState
from baselines.alignn import ALIGNN
from baselines.cgcnn import CGCNN
from baselines.cogn import CoGN
from baselines.m3gnet import M3GNet
from baselines.megnet import MEGNet

CRYSTALS = [crystal for crystal, _, _ in KNOWN.values()]
CPU, META = torch.device("cpu"), torch.device("meta")
MODELS: dict[str, TorchModel] = {
    "ASUGNN": ASUGNN(width=32, heads=4, initial=0.0),
    "ASUGNN, orbits": ASUGNN(width=32, heads=4, initial=0.0, nodes="orbit"),
    "CGCNN": CGCNN(hidden=16),
    "MEGNet": MEGNet(blocks=1),
    "M3GNet": M3GNet(blocks=1, width=16),
    "ALIGNN": ALIGNN(alignn_layers=1, gcn_layers=1, width=32),
    "coGN": CoGN(width=32, blocks=1, depth=2),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return MODELS[request.param]


@pytest.fixture(scope="module")
def inputs(model):
    return [model.inputs(crystal) for crystal in CRYSTALS]


def assert_same_batch(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        if torch.is_tensor(value):
            assert value.dtype == other[name].dtype, name
            assert torch.equal(value, other[name]), name
        else:
            assert value == other[name], name


def test_tensors_are_collated_as_arrays_are(model, inputs):
    moved = move_inputs(inputs, CPU, 1e9)
    order = np.random.default_rng(0).permutation(len(inputs))
    assert_same_batch(model.batch([inputs[i] for i in order]), model.batch([moved[i] for i in order]))


@pytest.mark.parametrize("exact", [True, False])
def test_places_by_hand(exact):
    """Each atom and pair at its place, as loops over the crystals put them."""
    inputs = [MODELS["ASUGNN"].inputs(crystal) for crystal in CRYSTALS]
    batch = pack_batch(move_inputs(inputs, CPU, 1e9), exact)
    layout = PackedLayout(batch["groups"], batch.get("place"), batch["crystal"])
    ordered = [inputs[i] for i in np.argsort(batch["order"].numpy())]
    assert (sum(b * n for b, n in batch["groups"]) == sum(len(x["nodes"]) for x in inputs)) is exact
    nodes = [g for group in layout.split_groups(layout.scatter_atoms(batch["nodes"])) for g in group]
    pairs = {
        name: [g for group in layout.split_pair_groups(batch[name]) for g in group]
        for name in ("asuam", "dam", "same_orbit")
    }
    for i, x in enumerate(ordered):
        n = len(x["nodes"])
        assert np.array_equal(nodes[i][:n], x["nodes"])
        assert not nodes[i][n:].any()
        for name in ("asuam", "dam"):
            assert np.array_equal(pairs[name][i][:n, :n], x[name])
        assert np.array_equal(pairs["same_orbit"][i][:n, :n], x["orbits"][:, None] == x["orbits"])


def test_inputs_stay_on_the_device_only_where_they_fit(model, inputs):
    wider = {"uint16": 4, "uint32": 8}  # bytes: a device has no such types
    size = sum(a.size * wider.get(a.dtype.name, a.itemsize) for x in inputs for a in x.values())
    assert move_inputs(inputs, CPU, size - 1) is None
    moved = move_inputs(inputs, META, size)
    assert device_of(moved) == META
    assert [{k: v.shape for k, v in x.items()} for x in moved] == [{k: v.shape for k, v in x.items()} for x in inputs]


def test_training_on_a_device_waits_for_nothing(model, inputs, monkeypatch):
    """Batches gathered on the device, forward, backward, clipping; the fused AdamW, PyTorch's own, refuses `meta`."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # `meta` has none
    monkeypatch.setattr(model, "_device", "meta")
    network = model.network().to(META)
    optimiser = model.optimiser(network)
    y = torch.zeros(len(inputs))
    batches = Batches(inputs, y, inputs[:2], y[:2], model.batch, 8, model.batch_on_device)
    assert model.batch_on_device
    context = Context(device="meta")
    work = _Batchwise(network, batches, mse_loss, mse_loss, optimiser, context)
    state = TrainingState(network, optimiser, None, META)
    for chunk, ready in work.collate_ahead(batches.shuffle_chunks(0, 0)[:2], state):
        batch, targets = ready
        assert all(v.device == META for v in (*batch.values(), targets) if torch.is_tensor(v))
        loss = work.train_batch(chunk, ready, parts=1)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        assert loss.device == META
    assert sum(p.grad is not None for p in network.parameters()) > 5


def test_the_layout_follows_the_device_of_the_run(monkeypatch):
    """Not whether the machine has a GPU."""
    model = ASUGNN()
    inputs = [model.inputs(crystal) for crystal in CRYSTALS]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert "place" not in model.batch(inputs)
    monkeypatch.setattr(model, "_device", "cuda")
    assert "place" in model.batch(inputs)
