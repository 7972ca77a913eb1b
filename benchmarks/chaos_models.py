"""Models for chaos.py: a small network with all state that a resume could lose, and models that misbehave."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn

import asugnn.training
from asugnn import Context, Crystal, Labelled
from asugnn.torch_model import TorchModel, flat_batch

asugnn.training.CHECKPOINT_EVERY = 0.1  # seconds: so that a short run has many


@dataclass
class Toy(TorchModel):
    """Volume and atomic numbers through a small network with dropout and batch statistics."""

    epochs: int = 25
    batch_size: int = 64
    pause: float = 0.01  # seconds of a pass

    def inputs(self, crystal: Crystal) -> dict[str, Any]:
        """Two numbers an atom."""
        return {"x": np.stack([crystal.numbers, np.full(len(crystal), crystal.volume)], 1).astype(np.float32)}

    def batch(self, inputs: Sequence[Any]) -> Any:
        """Atoms of all crystals, end to end."""
        return flat_batch(inputs, "x")

    def network(self) -> nn.Module:
        """Two layers, summed over atoms."""
        return _Net(self.pause)


class _Net(nn.Module):
    def __init__(self, pause: float) -> None:
        super().__init__()
        self.pause = pause
        self.layers = nn.Sequential(nn.Linear(2, 16), nn.Dropout(0.2), nn.BatchNorm1d(16), nn.Linear(16, 1))

    def forward(self, batch: Any) -> torch.Tensor:
        time.sleep(self.pause)
        y = self.layers(batch["x"] / 100)
        return torch.zeros(batch["size"], 1).index_add(0, batch["crystal"], y).view(-1)


class Good:
    """The mean."""

    def fit(self, train: Labelled, val: Labelled, context: Context) -> None:
        """Take the mean of the labels, and misbehave."""
        self.mean = float(train.y.mean())
        self.act()

    def act(self) -> None:
        """Misbehave."""

    def predict(self, crystals: Sequence[Crystal]) -> Any:
        """The mean."""
        return np.full(len(crystals), self.mean)

    def save(self, folder: Path) -> None:
        """One number."""
        (folder / "mean").write_text(str(self.mean))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """One number."""
        model = cls()
        model.mean = float((folder / "mean").read_text())
        return model


class Busy(Good):
    """Works for some seconds of the processor, with one thread."""

    seconds = 4.0

    def act(self) -> None:
        """Count."""
        until = time.process_time() + float(os.environ.get("BUSY", self.seconds))
        while time.process_time() < until:
            sum(range(10_000))


class Hangs(Good):
    """Waits for ever."""

    def act(self) -> None:
        """Wait."""
        time.sleep(1e6)


class Eats(Good):
    """Takes all memory there is."""

    def act(self) -> None:
        """Eat."""
        taken = []
        while True:
            taken.append(np.ones(2**23))


class Aborts(Good):
    """Ends as a failed assertion in C does."""

    def act(self) -> None:
        """Abort."""
        os.abort()


class Exits(Good):
    """Ends its process as if all were well."""

    def act(self) -> None:
        """Exit."""
        os._exit(0)
