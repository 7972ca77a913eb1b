"""What only a GPU can show: the CPU's values, nothing that waits, no more memory than there is, a run that resumes."""

import itertools
import json
import logging
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from torch.nn.functional import mse_loss

import leaderboard
from asugnn import Labelled
from asugnn.asugnn import ASUGNN
from asugnn.device_inputs import move_inputs
from asugnn.errors import TrainingStoppedError
from asugnn.model import Context
from asugnn.model_registry import model_settings
from asugnn.torch_model import TorchModel
from asugnn.training import Batches, _Batchwise
from asugnn.training_state import TrainingState
from baselines.alignn import ALIGNN
from baselines.cgcnn import CGCNN
from baselines.cogn import CoGN
from baselines.m3gnet import M3GNet
from baselines.megnet import MEGNet

pytestmark = pytest.mark.gpu
GPU = torch.device("cuda")
FEW = {"epochs": 2, "batch_size": 16, "updates": 0}
MODELS: dict[str, TorchModel] = {
    "ASUGNN": ASUGNN(width=32, heads=4, **FEW),
    "ASUGNN, orbits": ASUGNN(width=32, heads=4, nodes="orbit", **FEW),
    "CGCNN": CGCNN(hidden=16, **FEW),
    "MEGNet": MEGNet(blocks=1, **FEW),
    "M3GNet": M3GNet(blocks=1, width=16, **FEW),
    "ALIGNN": ALIGNN(alignn_layers=1, gcn_layers=1, width=32, **FEW),
    "coGN": CoGN(width=32, blocks=1, depth=2, **FEW),
}


@pytest.fixture(params=MODELS)
def model(request) -> TorchModel:
    return MODELS[request.param]


def sides(rows: int = 64) -> tuple[Labelled, Labelled]:
    train, val, _ = leaderboard.task("open-dft/formation-energy").split()
    few = slice(0, rows)
    return tuple(Labelled(x.ids[few], x.crystals[few], x.y[few], x.kind) for x in (train, val))


def test_outputs_and_gradients_are_those_on_the_cpu(model, monkeypatch):
    """Of one network in use: batch statistics and dropout are those of training."""
    crystals = sides()[0].crystals
    inputs = [model.inputs(crystal) for crystal in crystals]
    torch.manual_seed(0)
    network = model.network().eval()
    outputs, gradients = [], []
    for device in ("cpu", "cuda"):
        monkeypatch.setattr(model, "_device", device)
        moved = inputs if device == "cpu" else move_inputs(inputs, GPU, 1e9)
        network.to(device).zero_grad()
        with torch.backends.cudnn.flags(enabled=False):  # its LSTM has gradients in training only
            y = network(model.batch(moved))
            y.square().sum().backward()
        outputs.append(y.detach().cpu())
        gradients.append([p.grad.detach().cpu() for p in network.parameters() if p.grad is not None])
    torch.testing.assert_close(outputs[1], outputs[0], rtol=1e-3, atol=1e-4)
    for one, other in zip(*gradients, strict=True):
        assert (one - other).abs().max() <= 2e-3 * one.abs().max() + 1e-5


def test_a_step_waits_for_nothing(model, monkeypatch):
    if isinstance(model, M3GNet):
        pytest.skip("matgl's basis of angles copies constants from the host in every step")
    train, _ = sides()
    monkeypatch.setattr(model, "_device", "cuda")
    inputs = [model.inputs(crystal) for crystal in train.crystals]
    network = model.network().to(GPU)
    optimiser = model.optimiser(network)
    y = torch.zeros(len(inputs))
    batches = Batches(inputs, y, inputs[:2], y[:2], model.batch, 16, model.batch_on_device)
    work = _Batchwise(network, batches, mse_loss, mse_loss, optimiser, Context(device="cuda"))
    assert isinstance(work.train[0][next(iter(inputs[0]))], torch.Tensor)  # inputs stay on the device
    state = TrainingState(network, optimiser, None, GPU)

    def step(chunk, ready):
        work.train_batch(chunk, ready, parts=1)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()

    steps = work.collate_ahead(batches.shuffle_chunks(0, 0), state)
    step(*next(steps))  # the first one starts libraries
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the mode does not find everything
        try:
            torch.cuda.set_sync_debug_mode("error")
            for chunk, ready in itertools.islice(steps, 2):
                step(chunk, ready)
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_model_learns_and_predicts_alike_on_both(model, precision, tmp_path):
    train, val = sides()
    model.fit(train, val, Context(device="cuda", precision=precision))
    on_gpu = model.predict(val.crystals)
    model.save(tmp_path)
    on_cpu = type(model).load(tmp_path).predict(val.crystals)
    assert np.isfinite(on_gpu).all()
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=1e-3, atol=1e-3 * train.y.std())


def test_a_batch_that_does_not_fit_is_worked_on_in_parts(caplog):
    train, val = sides(400)
    model = ASUGNN(width=128, heads=4, epochs=1, batch_size=400)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    model.fit(train, val, Context(device="cuda"))
    assert "device memory ran out" not in caplog.text
    needed, total = torch.cuda.max_memory_reserved(), torch.cuda.get_device_properties(GPU).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.6 * needed / total)
    try:
        with caplog.at_level(logging.WARNING):
            model.fit(train, val, Context(device="cuda"))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "device memory ran out" in caplog.text
    assert np.isfinite(model.predict(val.crystals)).all()


def test_a_stopped_training_resumes(tmp_path):
    train, val = sides()
    model = CoGN(**{**model_settings(MODELS["coGN"]), "epochs": 6})
    steps = itertools.count()
    stopped = Context(device="cuda", folder=tmp_path, should_stop=lambda: next(steps) == 9)
    with pytest.raises(TrainingStoppedError):
        model.fit(train, val, stopped)
    assert (tmp_path / "checkpoint.pt").exists()
    model.fit(train, val, Context(device="cuda", folder=tmp_path))
    rows = (tmp_path / "history.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize("name", ["alignn", "asugnn", "cgcnn", "cogn", "m3gnet", "megnet"])
def test_bench_run_trains_on_the_gpu_and_says_so(name, tmp_path):
    """The process that trains is forked, and the packages of its model may start CUDA when they are imported."""
    words = ["--task", "open-dft/band-gap", "--model", name, "--set", f"{name}.epochs=2", "--device", "cuda"]
    command = [sys.executable, "-c", "from leaderboard.cli import main; main()", "run", *words, "--runs", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (record,) = tmp_path.rglob("run.json")
    device = json.loads(record.read_text())["device"]
    assert device["kind"] == "cuda"
    assert device["name"] == torch.cuda.get_device_name()
