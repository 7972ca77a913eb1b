"""PyTorch's optimisers, step by step the same, without its compiler, whose import takes as long as that of torch."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import torch
from torch.optim import Optimizer


class _Uncompiled(Optimizer):
    """An optimiser of a network that is not compiled.

    PyTorch's optimisers import `torch._dynamo` when they are made and at the first step, to tell the compiler to leave
    them alone (torch/_compile.py, torch/optim/optimizer.py). Once one of these is made, no optimiser of the process
    does so for the four methods below, unless the compiler is imported already.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("differentiable"):
            raise ValueError("a step is not differentiable here: take PyTorch's own optimiser")
        if "torch._dynamo" not in sys.modules:
            for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
                if method := getattr(getattr(Optimizer, name), "__wrapped__", None):
                    setattr(method, "__dynamo_disable", method)  # what PyTorch would ask the compiler for
        super().__init__(*args, **kwargs)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        return inspect.unwrap(super().step)(self, closure)


class AdamW(_Uncompiled, torch.optim.AdamW):
    """Arguments as of `torch.optim.AdamW`, without `differentiable`."""


class SGD(_Uncompiled, torch.optim.SGD):
    """Arguments as of `torch.optim.SGD`, without `differentiable`."""
