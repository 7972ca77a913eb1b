"""The state of a training between two steps, as a checkpoint keeps it: the last one and the one before it.

A step is a pure function of the state before it and of the batch. So training that is resumed from any checkpoint ends
with the same weights, bit for bit on one machine, as training that was never interrupted.
"""

from __future__ import annotations

import copy
import io
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from asugnn.checkpoint import checkpoint_files, read_checkpoint, write_checkpoint
from asugnn.errors import InputError
from asugnn.ranks import gather_objects, own_rank, wait_for_ranks
from asugnn.reading import reading
from asugnn.weighted_norm import count_ranks

SMOOTH = 5  # epochs over which the validation score is averaged: the best single epoch of few crystals is luck
logger = logging.getLogger(__name__)


class TrainingState:
    """All that the next step depends on, and the best epoch so far.

    `step` steps of the epoch under way are done: they took `spent` seconds, and the sum of their losses is `total`.
    Each batch is worked on in `parts` parts.
    """

    SAVED = ("history", "best", "best_epoch", "best_weights", "step", "total", "spent", "parts")

    def __init__(
        self, module: nn.Module, optimiser: torch.optim.Optimizer, schedule: Any, device: torch.device
    ) -> None:
        self.device = device
        self.modules: dict[str, Any] = {"module": module, "optimiser": optimiser}
        if schedule:
            self.modules["schedule"] = schedule
        self.history: list[dict[str, float]] = []
        self.best, self.best_epoch = float("inf"), 0
        self.best_weights: dict[str, Tensor] | None = None
        self.step, self.parts, self.spent = 0, 1, 0.0
        self.total: Tensor | None = None
        self.random: list[Tensor] = []  # the states of random numbers at the checkpoint that was read
        self._clock = time.monotonic()

    def is_stalled(self, patience: int) -> bool:
        """Whether the last `patience` epochs brought no better score."""
        return len(self.history) - self.best_epoch >= patience

    def start_epoch(self, seed: int) -> Tensor:
        """Set random numbers and the clock for what is left of an epoch; returns the sum of losses so far."""
        self._clock = time.monotonic() - self.spent
        if self.step == 0 or self.total is None:
            torch.manual_seed(int(np.random.SeedSequence([seed, len(self.history)]).generate_state(1)[0]))
            self.total = torch.zeros((), device=self.device)
        elif self.random:
            set_random_state(self.random, self.device)
        self.random = []
        return self.total

    def end_epoch(self, row: dict[str, float]) -> None:
        """Append an epoch to the history, and remember its weights if its smoothed score is the best."""
        self.history.append({**row, "seconds": time.monotonic() - self._clock})
        self.step, self.total, self.spent = 0, None, 0.0
        recent = [r["val"] for r in self.history[-SMOOTH:] if np.isfinite(r["val"])]
        score = float(np.mean(recent)) if np.isfinite(row["val"]) else np.inf
        if score < self.best:
            self.best, self.best_epoch = score, len(self.history)
            self.best_weights = {k: v.detach().clone() for k, v in self.modules["module"].state_dict().items()}

    def save(self, path: Path, identity: str) -> None:
        """Write a checkpoint; the one that was there is kept as the one before it.

        Where several processes train together, all call this, and rank 0 writes.
        """
        random = gather_objects(random_state(self.device))
        if own_rank():
            return
        if self.step:
            self.spent = time.monotonic() - self._clock
        content = {name: part.state_dict() for name, part in self.modules.items()}
        content |= {name: getattr(self, name) for name in self.SAVED}
        content["random"] = random[0]
        if len(random) > 1:
            content["random of ranks"] = random
        payload = io.BytesIO()
        torch.save(content, payload)
        write_checkpoint(path, payload.getvalue(), identity)

    def resume(self, path: Path, identity: str) -> None:
        """Continue from the last checkpoint that fits; one that does not is removed, with a warning."""
        faults = []
        if own_rank():
            wait_for_ranks()
        for file in checkpoint_files(path):
            before = {name: copy.deepcopy(part.state_dict()) for name, part in self.modules.items()}
            try:
                payload = read_checkpoint(file, identity)
                with reading(file, "a checkpoint of this network"):
                    content = torch.load(io.BytesIO(payload), map_location=self.device, weights_only=True)
                    saved = {name: content[name] for name in self.SAVED}
                    of_ranks = content.get("random of ranks", ())
                    chosen = of_ranks[own_rank()] if len(of_ranks) == count_ranks() else content["random"]
                    random = [state.cpu() for state in chosen]
                    for name, part in self.modules.items():
                        part.load_state_dict(content[name])
            except InputError as error:
                if isinstance(error.__cause__, OSError | torch.OutOfMemoryError):
                    raise  # this passes, and is no fault of the file
                faults.append(str(error))
                file.unlink()
                for name, part in self.modules.items():
                    part.load_state_dict(before[name])
                continue
            vars(self).update(saved, random=random)
            if (on_gpu := len(random) > 1) != (self.device.type == "cuda"):
                where = ("a GPU", "a CPU") if on_gpu else ("a CPU", "a GPU")
                logger.warning(
                    "training began on %s and went on, after %d epochs, on %s", where[0], len(self.history), where[1]
                )
            break
        if faults:
            resumed = bool(self.history or self.step)
            how = "resumed from the checkpoint before it" if resumed else "started again"
            logger.warning("%s: training %s", faults[0], how, extra={"started_again": not resumed})
        if not own_rank():  # the others read what it left
            wait_for_ranks()


def random_state(device: torch.device) -> list[Tensor]:
    """Return the states of PyTorch's random numbers: of the CPU and, where that is the device, of the GPU."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def set_random_state(states: list[Tensor], device: torch.device) -> None:
    """Put states of `random_state` in force."""
    torch.set_rng_state(states[0])
    if len(states) > 1 and device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
