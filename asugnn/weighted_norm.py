"""Batch normalisation over rows that each stand for several equal ones, and over rows that several processes have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, distributed, nn

_alone = False


@contextmanager
def each_alone() -> Iterator[None]:
    """Let each process work alone inside the block, on crystals of its own, without waiting for the others."""
    global _alone  # noqa: PLW0603, as torch.distributed keeps its group
    _alone = True
    try:
        yield
    finally:
        _alone = False


def count_ranks() -> int:
    """The number of processes that train one network together."""
    if _alone:
        return 1
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def sum_over_ranks(values: Tensor) -> Tensor:
    """The sums of values over the processes that train one network together; gradients flow to all of them."""
    if count_ranks() == 1:
        return values
    total: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return total


class _Sum(torch.autograd.Function):
    """Every process depends on the values of all, so each receives the sum of the gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        del ctx
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        del ctx
        total = grads[0].contiguous().clone()
        distributed.all_reduce(total)
        return total


def shares(weight: Tensor) -> tuple[Tensor, Tensor]:
    """The weights (m,) of rows divided by their sum, and that sum: over the rows of all processes."""
    count = sum_over_ranks(weight.sum())
    return weight / count, count


class WeightedNorm(nn.BatchNorm1d):
    """`BatchNorm1d` over weighted rows: outputs, gradients and running statistics are those of the rows repeated."""

    def forward(self, x: Tensor, share: Tensor, count: Tensor) -> Tensor:  # type: ignore[override]
        """Normalise x (m, F); `share` (m,) and `count` are those of `shares`."""
        x = x.to(share.dtype)  # never in half precision
        if not self.training:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):  # sums over a million rows
            mean = sum_over_ranks(share @ x)
            deviation = x - mean
            variance = sum_over_ranks(share @ (deviation * deviation))
            self.track(mean, variance, count)
            return torch.addcmul(self.bias, deviation, self.weight * torch.rsqrt(variance + self.eps))

    @torch.no_grad()
    def track(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Update the running statistics with mean (F,) and variance (F,) of `count` rows."""
        assert self.running_mean is not None and self.running_var is not None and self.momentum
        assert self.num_batches_tracked is not None
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        unbiased = variance * (count / (count - 1).clamp(min=1))
        self.running_var.lerp_(unbiased.to(self.running_var), self.momentum)
        self.num_batches_tracked.add_(1)


class BatchNorm(WeightedNorm):
    """`BatchNorm1d`, and over the rows of all processes where several train one network together."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Normalise x (m, F)."""
        if count_ranks() == 1 or not self.training:
            return nn.BatchNorm1d.forward(self, x)
        return super().forward(x, *shares(torch.ones_like(x[:, 0])))
