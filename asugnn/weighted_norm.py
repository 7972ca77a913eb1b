"""Batch normalisation over rows that each stand for several equal ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WeightedNorm(nn.BatchNorm1d):
    """`BatchNorm1d` over weighted rows: outputs, gradients and running statistics are those of the rows repeated."""

    def forward(self, x: Tensor, share: Tensor, count: Tensor) -> Tensor:  # type: ignore[override]
        """Normalise x (m, F); `share` (m,) are the weights of the rows, of sum 1, and `count` is the number of rows."""
        if not self.training:
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):  # sums over a million rows
            x = x.to(share.dtype)
            mean = share @ x
            deviation = x - mean
            variance = share @ (deviation * deviation)
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
