"""Processes that train one network together: each works on a part of every batch, and what counts is summed over all.

The network of every process, its *rank*, has the same weights at every step. Losses, gradients and batch statistics are
those of the whole batch, so the result is that of one process, to rounding. Where there is one process, nothing here
costs anything or changes a bit.

The ranks meet in a process group of `torch.distributed`: one that `Context.team` describes, or that a program has made,
such as under torchrun.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, distributed, nn

from asugnn.errors import InputError
from asugnn.model import Context
from asugnn.weighted_norm import BatchNorm, WeightedNorm, count_ranks, sum_over_ranks

T = TypeVar("T")
logger = logging.getLogger(__name__)


@contextmanager
def joined_team(context: Context) -> Iterator[None]:
    """Be one of the processes of `context.team`, if there is one, for a block."""
    if context.team is None:
        yield
        return
    team = context.team
    distributed.init_process_group(
        "nccl" if context.device == "cuda" else "gloo",
        init_method=team.meeting.absolute().as_uri(),
        rank=team.rank,
        world_size=team.size,
    )
    try:
        distributed.barrier()  # nobody leaves, for a fault of its own, while another one is joining
        yield
    finally:
        distributed.destroy_process_group()


def own_rank() -> int:
    """The number of this process, from 0; rank 0 writes what is written."""
    return distributed.get_rank() if count_ranks() > 1 else 0


def own_part(items: Any) -> Any:
    """The part of a batch (n,), or of a list of batches, that this process works on; as an array where it is one."""
    if count_ranks() == 1:
        return items
    bounds = np.linspace(0, len(items), count_ranks() + 1).round().astype(int)
    return items[bounds[own_rank()] : bounds[own_rank() + 1]]


def check_fit_for_ranks(module: nn.Module, smallest: int) -> None:
    """Raise `InputError` for a network, or batches of a `smallest` size, that several processes cannot share."""
    if count_ranks() == 1:
        return
    for name, part in module.named_modules():
        alone = isinstance(part, nn.modules.batchnorm._BatchNorm) and not isinstance(part, BatchNorm | WeightedNorm)
        if alone:
            raise InputError(
                f"{type(part).__name__} '{name}' would see only a part of each batch: train this network with one "
                "process, or use asugnn.weighted_norm.BatchNorm in its place"
            )
    if smallest < count_ranks():
        raise InputError(f"a batch of {smallest} crystals cannot be shared by {count_ranks()} processes")
    logger.warning("trained by %d processes together", count_ranks())


@torch.no_grad()
def sum_gradients(module: nn.Module) -> None:
    """Replace the gradients by their sums over all ranks."""
    if count_ranks() == 1:
        return
    parameters = [p for p in module.parameters() if p.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([g.reshape(-1) for g in gradients])
    distributed.all_reduce(flat)
    used = torch.tensor([p.grad is not None for p in parameters], dtype=torch.float32, device=flat.device)
    distributed.all_reduce(used)
    start = 0
    for parameter, gradient, anywhere in zip(parameters, gradients, used.tolist(), strict=True):
        if anywhere:
            parameter.grad = flat[start : start + gradient.numel()].view_as(gradient).clone()
        start += gradient.numel()


def agree(device: torch.device, *flags: bool) -> tuple[bool, ...]:
    """Whether each flag is true on any rank."""
    if count_ranks() == 1:
        return flags
    counts = sum_over_ranks(torch.tensor(flags, dtype=torch.float32, device=device))
    return tuple(bool(c) for c in counts.tolist())


def join_rows(own: Sequence[Tensor], start: int, like: Tensor) -> Tensor:
    """All rows, shaped as `like`, of which this process has some from `start` on, perhaps none."""
    if count_ranks() == 1:
        return torch.cat([*own])
    rows = torch.zeros_like(like)
    for part in own:
        rows[start : start + len(part)] = part
        start += len(part)
    distributed.all_reduce(rows)
    return rows


def wait_for_ranks() -> None:
    """Wait until all ranks are here."""
    if count_ranks() > 1:
        distributed.barrier()


def gather_objects(own: T) -> list[T]:
    """What each rank has, by rank."""
    if count_ranks() == 1:
        return [own]
    everything: list[Any] = [None] * count_ranks()
    distributed.all_gather_object(everything, own)
    return everything
