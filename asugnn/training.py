"""The training loop of all torch models: mixed precision, early stopping, best checkpoint, resuming, history.

Every epoch is a pure function of the state at its start, the seed and its number. So a run that is killed and
resumed from an older checkpoint ends with the same weights, bit for bit on one machine, as one never killed.
"""

from __future__ import annotations

import copy
import csv
import io
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from asugnn.atomic_write import write_text
from asugnn.checkpoint import read_checkpoint, write_checkpoint
from asugnn.errors import InputError
from asugnn.model import Context
from asugnn.reading import reading

Batch = Any  # the input of a network: a dict of tensors, or an object with `.to(device)`
Loss = Callable[[Tensor, Tensor], Tensor]
SMOOTH = 5  # epochs over which the validation score is averaged: the best single epoch of few crystals is luck
CHECKPOINT_EVERY = 15.0  # seconds between checkpoints: what a killed run loses at most
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batches:
    """Inputs and targets of the training and the validation side, and how inputs are collated to a batch.

    `train` (n inputs) and `val` (m inputs) are lists of anything that `collate` takes; `y_train` (n,) and `y_val` (m,)
    are in the unit of the network's output; `size` is the number of inputs in a batch.
    """

    train: Sequence[Any]
    y_train: Tensor
    val: Sequence[Any]
    y_val: Tensor
    collate: Callable[[Sequence[Any]], Batch]
    size: int

    def shuffle_chunks(self, seed: int, epoch: int) -> list[Any]:
        """Draw the batches of one epoch, as arrays of indices into `train`; they depend on seed and epoch only."""
        order = np.random.default_rng([seed, epoch]).permutation(len(self.train))
        chunks = [order[i : i + self.size] for i in range(0, len(order), self.size)]
        if len(chunks) > 1 and len(chunks[-1]) < max(2, self.size // 4):
            chunks[-2:] = [np.concatenate(chunks[-2:])]  # a batch of one or two has no useful batch statistics
        return chunks

    @property
    def steps(self) -> int:
        """Number of optimiser steps in an epoch."""
        return len(self.shuffle_chunks(0, 0))


def train(
    module: nn.Module,
    batches: Batches,
    loss: Loss,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler | None,
    context: Context,
    *,
    epochs: int,
    patience: int,
    score: Loss | None = None,
    clip: float | None = None,
) -> list[dict[str, float]]:
    """Train `module` in place and leave it with the weights that were best on the validation side.

    `loss` is minimised; `score` (default: `loss`), computed from all validation outputs at once, selects the epoch: the
    lowest mean over an epoch and the four before it. `schedule` steps after every optimiser step; `clip` limits the
    norm of the gradient. Training stops after `epochs`, or after `patience` epochs without a better score. With
    `context.folder`, `checkpoint.pt` and `history.csv` are written there, and an interrupted run resumes from them. A
    checkpoint that is damaged, or of another seed or `context.identity`, is removed, which is logged as a warning, and
    training starts again.

    Returns the history: one dict per epoch with `epoch`, `train` (mean loss), `val` (score), `rate` (learning rate) and
    `seconds`. Raises `FloatingPointError` where the score was never a finite number.
    """
    from torch import _dynamo  # noqa: F401, the first step of an optimiser imports it: named here, `bench run` does so

    device, score = torch.device(context.device), score or loss
    module.to(device)
    y_train, y_val = batches.y_train.to(device), batches.y_val.to(device)
    checkpoint = context.folder / "checkpoint.pt" if context.folder else None
    state = _TrainingState(module, optimiser, schedule)
    identity = f"{context.identity} seed {context.seed}"
    if checkpoint and checkpoint.exists():
        state.resume(checkpoint, identity, device)
    val_batches = [
        move_batch(batches.collate(batches.val[i : i + 2 * batches.size]), device)
        for i in range(0, len(batches.val), 2 * batches.size)
    ]
    saved = time.monotonic()
    with context.progress("training", epochs) as bar:
        bar.advance(len(state.history))
        while len(state.history) < epochs and not state.is_stalled(patience):
            epoch, started = len(state.history), time.monotonic()
            torch.manual_seed(int(np.random.SeedSequence([context.seed, epoch]).generate_state(1)[0]))  # for dropout
            module.train()
            total = torch.zeros((), device=device)
            for chunk, batch in _collate_ahead(batches, batches.shuffle_chunks(context.seed, epoch), device):
                target = y_train[torch.from_numpy(chunk).to(device)]
                optimiser.zero_grad(set_to_none=True)
                with autocast(context):
                    output = module(batch)
                value = loss(output.float(), target)
                value.backward()  # type: ignore[no-untyped-call]
                if clip:
                    nn.utils.clip_grad_norm_(module.parameters(), clip)
                optimiser.step()
                if schedule:
                    schedule.step()
                total += value.detach() * len(chunk)
            module.eval()
            with torch.inference_mode(), autocast(context):
                val = float(score(torch.cat([module(b).float() for b in val_batches]), y_val))
            mean = float(total) / len(batches.train)
            rate = float(optimiser.param_groups[0]["lr"])
            seconds = time.monotonic() - started
            state.add_epoch({"epoch": epoch + 1, "train": mean, "val": val, "rate": rate, "seconds": seconds})
            bar.advance(1, f"loss {mean:.4f}  val {val:.4f}  best {state.best:.4f}")
            if checkpoint and time.monotonic() - saved > CHECKPOINT_EVERY:
                state.save(checkpoint, identity)
                saved = time.monotonic()
    if state.best_weights is None:
        raise FloatingPointError("the validation loss was never a finite number: lower the learning rate")
    module.load_state_dict(state.best_weights)
    module.eval()
    if context.folder and checkpoint:
        _write_history(context.folder / "history.csv", state.history)
        state.save(checkpoint, identity)  # so that a run killed after this point does not train again
    return state.history


def autocast(context: Context) -> torch.autocast:
    """Return PyTorch's autocast for the precision of the context: matrix products, and what it counts with them."""
    return torch.autocast(context.device, dtype=torch.bfloat16, enabled=context.precision == "bfloat16")


def move_batch(batch: Batch, device: torch.device) -> Batch:
    """Move a batch to a device."""
    if isinstance(batch, Mapping):
        return {k: v.to(device, non_blocking=True) if isinstance(v, Tensor) else v for k, v in batch.items()}
    return batch.to(device)


def _collate_ahead(batches: Batches, chunks: Sequence[Any], device: torch.device) -> Iterator[tuple[Any, Batch]]:
    """Collate and move the batches of an epoch, each in a thread while the network works on the one before."""

    def prepare(chunk: Any) -> Batch:
        return move_batch(batches.collate([batches.train[i] for i in chunk]), device)

    with ThreadPoolExecutor(max_workers=1) as thread:
        ahead = thread.submit(prepare, chunks[0])
        for chunk, following in zip(chunks, [*chunks[1:], None], strict=True):
            batch = ahead.result()
            if following is not None:
                ahead = thread.submit(prepare, following)
            yield chunk, batch


class _TrainingState:
    """All that an epoch depends on, and the best epoch so far: the content of a checkpoint."""

    SAVED = ("history", "best", "best_epoch", "best_weights")

    def __init__(self, module: nn.Module, optimiser: torch.optim.Optimizer, schedule: Any) -> None:
        self.parts: dict[str, Any] = {"module": module, "optimiser": optimiser}
        if schedule:
            self.parts["schedule"] = schedule
        self.history: list[dict[str, float]] = []
        self.best, self.best_epoch = float("inf"), 0
        self.best_weights: dict[str, Tensor] | None = None

    def is_stalled(self, patience: int) -> bool:
        """Whether the last `patience` epochs brought no better score."""
        return len(self.history) - self.best_epoch >= patience

    def add_epoch(self, row: dict[str, float]) -> None:
        """Append an epoch to the history, and remember its weights if its smoothed score is the best."""
        self.history.append(row)
        recent = [r["val"] for r in self.history[-SMOOTH:] if np.isfinite(r["val"])]
        score = float(np.mean(recent)) if np.isfinite(row["val"]) else np.inf
        if score < self.best:
            self.best, self.best_epoch = score, len(self.history)
            self.best_weights = {k: v.detach().clone() for k, v in self.parts["module"].state_dict().items()}

    def save(self, path: Path, identity: str) -> None:
        content = {name: part.state_dict() for name, part in self.parts.items()}
        content |= {name: getattr(self, name) for name in self.SAVED}
        payload = io.BytesIO()
        torch.save(content, payload)
        write_checkpoint(path, payload.getvalue(), identity)

    def resume(self, path: Path, identity: str, device: torch.device) -> None:
        """Continue from a checkpoint; one that does not fit is removed, with a warning, and changes nothing."""
        before = {name: copy.deepcopy(part.state_dict()) for name, part in self.parts.items()}
        try:
            payload = read_checkpoint(path, identity)
            with reading(path, "a checkpoint of this network"):
                content = torch.load(io.BytesIO(payload), map_location=device, weights_only=True)
                saved = {name: content[name] for name in self.SAVED}
                for name, part in self.parts.items():
                    part.load_state_dict(content[name])
        except InputError as error:
            logger.warning("%s: training started again", error)
            path.unlink()
            for name, part in self.parts.items():
                part.load_state_dict(before[name])
            return
        vars(self).update(saved)


def _write_history(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_text(path, text.getvalue())
