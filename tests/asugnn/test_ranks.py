"""Several processes train one network together: what comes of it is what one process makes, to rounding."""

import multiprocessing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from asugnn import Context, InputError, Labelled
from asugnn.errors import TrainingStoppedError
from asugnn.model import Team
from asugnn.model_registry import configure_model
from asugnn.torch_model import TorchModel, flat_batch
from asugnn.weighted_norm import BatchNorm
from leaderboard.data import load_dataset, parse_task


@dataclass
class Toy(TorchModel):
    """Volume and atomic numbers through dropout and batch statistics."""

    epochs: int = 3
    batch_size: int = 8
    drop: float = 0.0
    own_norm: bool = True

    def inputs(self, crystal):
        return {"x": np.stack([crystal.numbers, np.full(len(crystal), crystal.volume)], 1).astype(np.float32)}

    def batch(self, inputs):
        return flat_batch(inputs, "x")

    def network(self):
        return Net(self.drop, BatchNorm if self.own_norm else nn.BatchNorm1d)


class Net(nn.Module):
    def __init__(self, drop: float, norm: type[nn.Module]):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 16), nn.Dropout(drop), norm(16), nn.SiLU(), nn.Linear(16, 1))

    def forward(self, batch):
        y = self.layers(batch["x"] / 100)
        return torch.zeros(batch["size"], 1).index_add(0, batch["crystal"], y).view(-1)


@cache
def sides() -> tuple[Labelled, Labelled]:
    """29 crystals to train on and 13 to validate: neither is divided without a rest."""
    task = parse_task("open-dft/bulk-modulus")
    data = load_dataset(task.source)
    labelled = [name for name, y in zip(data.ids, data.labels(task.target), strict=True) if np.isfinite(y)]
    ids = [name for name, crystal in zip(labelled, data.crystals(labelled), strict=True) if len(crystal) <= 4][:42]
    return data.labelled(task.target, ids[:29]), data.labelled(task.target, ids[29:])


def fit(rank: int, size: int, folder: Path, name: str, fields: dict[str, Any], stop_after: int) -> None:
    """In one of some processes: train, and keep predictions, or the reason why not."""
    torch.set_num_threads(1)
    train, val = sides()
    model = Toy(**fields) if name == "toy" else configure_model(name, "quick", fields)
    # Not Adam, which makes steps of the rounding of gradients that are zero, such as those of a bias before a norm.
    model.optimiser = lambda network: torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    steps = iter(range(10**6))
    team = Team(rank, size, folder / "meeting") if size > 1 else None
    context = Context(3, folder=folder, team=team, should_stop=lambda: rank == 0 and next(steps) == stop_after)
    try:
        model.fit(train, val, context)
    except (InputError, TrainingStoppedError) as error:
        (folder / f"reason-{rank}").write_text(f"{type(error).__name__}: {error}")
        return
    np.save(folder / f"predictions-{rank}.npy", model.predict(val.crystals))


def together(
    folder: Path, size: int, name: str = "toy", fields: dict[str, Any] | None = None, stop_after: int = -1
) -> list[Any]:
    """Predictions of each process, or the reason why there are none."""
    folder.mkdir(exist_ok=True)
    for old in folder.glob("reason-*"):
        old.unlink()
    (folder / "meeting").unlink(missing_ok=True)
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([__name__])  # torch is imported once
    rest = (size, folder, name, fields or {}, stop_after)
    processes = [server.Process(target=fit, args=(rank, *rest)) for rank in range(size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
        assert process.exitcode == 0
    return [
        (folder / f"reason-{r}").read_text()
        if (folder / f"reason-{r}").exists()
        else np.load(folder / f"predictions-{r}.npy")
        for r in range(size)
    ]


MODELS = {
    "toy": {},
    "cgcnn": {"epochs": "2", "batch_size": "8"},
    "megnet": {"epochs": "2", "batch_size": "8"},
    "m3gnet": {"epochs": "2", "batch_size": "8"},
    "alignn": {"epochs": "2", "batch_size": "8"},
    "asugnn": {"epochs": "2", "batch_size": "8", "drop_key": "0"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_two_processes_make_what_one_makes(name: str, tmp_path: Path):
    alone, *_ = together(tmp_path / "one", 1, name, MODELS[name])
    first, second = together(tmp_path / "two", 2, name, MODELS[name])
    np.testing.assert_array_equal(first, second, "the ranks have one network")
    np.testing.assert_allclose(first, alone, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_all_stop_at_one_step_and_resume_as_if_nothing_had_been(tmp_path: Path):
    fields = {"drop": 0.3}
    whole = together(tmp_path / "whole", 2, fields=fields)
    stopped = together(tmp_path / "stopped", 2, fields=fields, stop_after=5)
    assert stopped == ["TrainingStoppedError: "] * 2
    resumed = together(tmp_path / "stopped", 2, fields=fields)
    np.testing.assert_array_equal(resumed, whole)


@pytest.mark.slow
def test_statistics_of_a_part_of_a_batch_are_refused(tmp_path: Path):
    reasons = together(tmp_path, 2, fields={"own_norm": False})
    assert len({*reasons}) == 1
    assert reasons[0].startswith("InputError: BatchNorm1d 'layers.2' would see only a part of each batch")


@pytest.mark.slow
def test_a_batch_smaller_than_the_team_is_refused(tmp_path: Path):
    reasons = together(tmp_path, 3, fields={"batch_size": 2})
    assert reasons == ["InputError: a batch of 2 crystals cannot be shared by 3 processes"] * 3
