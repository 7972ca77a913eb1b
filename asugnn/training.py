"""The training loop of all torch models: mixed precision, early stopping, best checkpoint, resuming, history.

Every step is a pure function of the state before it, the seed, and the numbers of step and epoch. So a run that is
killed and resumed from an older checkpoint ends with the same weights, bit for bit on one machine, as one never killed.
"""

from __future__ import annotations

import csv
import io
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from asugnn.atomic_write import write_text
from asugnn.device_inputs import free_bytes, move_inputs, upload
from asugnn.errors import TrainingStoppedError
from asugnn.model import Context
from asugnn.ranks import agree, check_fit_for_ranks, join_rows, own_part, own_rank, sum_gradients
from asugnn.training_state import TrainingState, random_state, set_random_state
from asugnn.weighted_norm import count_ranks, each_alone, sum_over_ranks

Batch = Any  # the input of a network: a dict of tensors, or an object with `.to(device)`
Loss = Callable[[Tensor, Tensor], Tensor]
T = TypeVar("T")
CHECKPOINT_EVERY = 15.0  # seconds between checkpoints: what a killed run loses at most
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batches:
    """Inputs and targets of the training and the validation side, and how inputs are collated to a batch.

    `train` (n inputs) and `val` (m inputs) are lists of anything that `collate` takes; `y_train` (n,) and `y_val` (m,)
    are in the unit of the network's output; `size` is the number of inputs in a batch. With `on_device`, inputs are
    dicts of arrays, for which `collate` also takes tensors on the device of the run.
    """

    train: Sequence[Any]
    y_train: Tensor
    val: Sequence[Any]
    y_val: Tensor
    collate: Callable[[Sequence[Any]], Batch]
    size: int
    on_device: bool = False

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
    training resumes from the one before it, or starts again. Where the memory of the device runs out, batches are
    worked on in parts, two, four and so on, whose gradients are added up; this too is logged as a warning.

    Where several processes train together (`asugnn.ranks`), each works on a part of every batch; all stop at the same
    step, rank 0 writes, and memory that runs out is an error. Dropout then is another one than that of one process.

    Returns the history: one dict per epoch with `epoch`, `train` (mean loss), `val` (score), `rate` (learning rate) and
    `seconds`. Raises `FloatingPointError` where the score was never a finite number, `TrainingStoppedError` after the
    step at which `context.should_stop()` is true, with a checkpoint saved.
    """
    device = torch.device(context.device)
    module.to(device)
    work = _Batchwise(module, batches, loss, score or loss, optimiser, context)
    checkpoint = context.folder / "checkpoint.pt" if context.folder else None
    state = TrainingState(module, optimiser, schedule, device)
    identity = f"{context.identity} seed {context.seed}"
    if checkpoint:
        state.resume(checkpoint, identity)
    _warn_of_parts(state, batches.size)
    saved = time.monotonic()

    def save_or_stop() -> None:
        nonlocal saved
        stop, late = agree(device, context.should_stop(), time.monotonic() - saved > CHECKPOINT_EVERY)
        if checkpoint and (stop or late):
            state.save(checkpoint, identity)
            saved = time.monotonic()
        if stop:
            raise TrainingStoppedError

    with context.progress("training", epochs) as bar:
        bar.advance(len(state.history))
        while len(state.history) < epochs and not state.is_stalled(patience):
            total = state.start_epoch(context.seed)
            module.train()
            chunks = batches.shuffle_chunks(context.seed, len(state.history))
            for chunk, ready in work.collate_ahead(chunks[state.step :], state):
                value = _halve_until_it_fits(partial(work.train_batch, chunk, ready), state, len(chunk))
                sum_gradients(module)
                if clip:
                    nn.utils.clip_grad_norm_(module.parameters(), clip)
                optimiser.step()
                if schedule:
                    schedule.step()
                total += value * len(chunk)
                state.step += 1
                if state.step < len(chunks):
                    save_or_stop()
            module.eval()
            val = _halve_until_it_fits(work.validate, state, batches.size)
            mean, rate = float(total) / len(batches.train), float(optimiser.param_groups[0]["lr"])
            state.end_epoch({"epoch": len(state.history) + 1, "train": mean, "val": val, "rate": rate})
            bar.advance(1, f"loss {mean:.4f}  val {val:.4f}  best {state.best:.4f}")
            save_or_stop()
    if state.best_weights is None:
        raise FloatingPointError("the validation loss was never a finite number: lower the learning rate")
    module.load_state_dict(state.best_weights)
    module.eval()
    if checkpoint:
        _write_history(checkpoint.with_name("history.csv"), state.history)
        state.save(checkpoint, identity)  # so that a run killed after this point does not train again
    return state.history


class _Batchwise:
    """Passes through the network, a batch at a time or, for want of memory, a part of one."""

    def __init__(
        self,
        module: nn.Module,
        batches: Batches,
        loss: Loss,
        score: Loss,
        optimiser: torch.optim.Optimizer,
        context: Context,
    ) -> None:
        self.module, self.batches, self.loss, self.score = module, batches, loss, score
        self.optimiser, self.context, self.device = optimiser, context, torch.device(context.device)
        self.y_train, self.y_val = batches.y_train.to(self.device), batches.y_val.to(self.device)
        self.train: Sequence[Any] = batches.train
        if batches.on_device and self.device.type != "cpu":
            self.train = move_inputs(batches.train, self.device, free_bytes(self.device)) or batches.train
        self.val: dict[int, list[Batch]] = {}  # batches of the validation side, by the number of parts
        check_fit_for_ranks(module, min(map(len, batches.shuffle_chunks(context.seed, 0))))
        self.first = 0  # the first row of them, in this process

    def collate_ahead(
        self, chunks: Sequence[Any], state: TrainingState
    ) -> Iterator[tuple[Any, tuple[Batch, Tensor] | None]]:
        """Collate and move batches, each in a thread while the network works on the one before.

        Yields the indices, and the batch with its targets, or None where it is worked on in parts, or where the memory
        of the device does not hold it beside the one before.
        """

        def prepare(chunk: Any) -> tuple[Batch, Tensor] | None:
            with suppress(torch.OutOfMemoryError):
                return self._collate(chunk) if state.parts == 1 else None
            return None

        with ThreadPoolExecutor(max_workers=1) as thread:
            ahead = thread.submit(prepare, chunks[0])
            for chunk, following in zip(chunks, [*chunks[1:], None], strict=True):
                ready = ahead.result()
                if following is not None:
                    ahead = thread.submit(prepare, following)
                yield chunk, ready

    def _collate(self, chunk: Any) -> tuple[Batch, Tensor]:
        """Collate the inputs of some indices on the device, with their targets: those of this process."""
        own = own_part(chunk)
        batch = move_batch(self.batches.collate([self.train[i] for i in own]), self.device)
        return batch, self.y_train.index_select(0, upload(own, self.device))

    def train_batch(self, chunk: Any, ready: tuple[Batch, Tensor] | None, parts: int) -> Tensor:
        """Add up the gradients of a batch, or of its parts, and return its mean loss; `chunk` are the indices.

        Gradients are those of the rows that this process works on; the loss is that of all.
        """
        self.optimiser.zero_grad(set_to_none=True)
        mean = torch.zeros((), device=self.device)
        for part in np.array_split(chunk, parts):
            inputs, targets = self._collate(part) if ready is None or parts > 1 else ready
            with autocast(self.context):
                output = self.module(inputs)
            value = self.loss(output.float(), targets)
            if len(targets) < len(chunk):
                value = value * (len(targets) / len(chunk))
            value.backward()  # type: ignore[no-untyped-call]
            mean += value.detach()
        return sum_over_ranks(mean)

    def validate(self, parts: int) -> float:
        """Score the validation side, in batches of twice the size, which no gradient makes larger."""
        if parts not in self.val:
            self.val.clear()
            size, inputs = max(1, 2 * self.batches.size // parts), self.batches.val
            starts = own_part(range(0, len(inputs), size))
            self.first = starts[0] if starts else 0
            sides = [self.batches.collate(inputs[i : i + size]) for i in starts]
            self.val[parts] = [move_batch(side, self.device) for side in sides]
        with torch.inference_mode(), autocast(self.context):
            with each_alone():
                outputs = [self.module(b).float() for b in self.val[parts]]
            return float(self.score(join_rows(outputs, self.first, self.y_val), self.y_val))


def _halve_until_it_fits(work: Callable[[int], T], state: TrainingState, size: int) -> T:
    """Work on a batch of `size` in `state.parts` parts, in twice as many while the memory of the device runs out."""
    before = random_state(state.device)
    while count_ranks() == 1:
        with suppress(torch.OutOfMemoryError):
            return work(state.parts)
        if state.parts >= size:
            return work(state.parts)  # which says by how much it does not fit
        if state.device.type == "cuda":
            torch.cuda.empty_cache()
        set_random_state(before, state.device)
        state.parts *= 2
        _warn_of_parts(state, size)
    return work(1)  # the other processes would wait for this one


def _warn_of_parts(state: TrainingState, size: int) -> None:
    if state.parts == 1:
        return
    logger.warning(
        "device memory ran out: from epoch %d on, each batch of %d was worked on in %d parts and their gradients added "
        "up; batch statistics are those of a part",
        len(state.history) + 1,
        size,
        state.parts,
    )


def autocast(context: Context) -> torch.autocast:
    """Return PyTorch's autocast for the precision of the context: matrix products, and what it counts with them."""
    return torch.autocast(context.device, dtype=torch.bfloat16, enabled=context.precision == "bfloat16")


def move_batch(batch: Batch, device: torch.device) -> Batch:
    """Move a batch to a device, without waiting for the copy where it has tensors by name."""
    if isinstance(batch, Mapping):
        return {k: upload(v, device) if isinstance(v, Tensor) else v for k, v in batch.items()}
    return batch.to(device)


def _write_history(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    if own_rank():
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_text(path, text.getvalue())
