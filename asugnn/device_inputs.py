"""Model inputs on the device of a run: kept there where they fit, and joined to batches there.

A batch is made of arrays of several crystals, joined end to end. The functions here do this alike for arrays of numpy
and for tensors on any device, and need no value of a tensor on the host: on a GPU nothing waits. Shapes are known on
the host; the few small arrays that follow from them are copied from pinned memory without waiting.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SHARE = 0.25  # of the free memory of a GPU that inputs may take
CHUNK = 1024  # crystals that are copied at once
# PyTorch computes little with unsigned integers.
_WIDER = {np.dtype(np.uint16): np.int32, np.dtype(np.uint32): np.int64}


def device_of(inputs: Sequence[Mapping[str, Any]]) -> torch.device:
    """Return the device of inputs; arrays of numpy are on the CPU."""
    first = next(iter(inputs[0].values()))
    return first.device if isinstance(first, Tensor) else torch.device("cpu")


def join(parts: Sequence[Any]) -> Tensor:
    """Join arrays, or tensors of one device, along their first axis."""
    return torch.cat(list(parts)) if isinstance(parts[0], Tensor) else torch.from_numpy(np.concatenate(parts))


def upload(array: NDArray[Any] | Tensor, device: torch.device) -> Tensor:
    """Copy an array to a device; to a GPU from pinned memory, without waiting."""
    tensor = array if isinstance(array, Tensor) else torch.from_numpy(array)
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def repeat_rows(values: Tensor, counts: Tensor, total: int) -> Tensor:
    """Repeat each of the values (n,) as often as counts (n,) say, `total` in all: (total,)."""
    return torch.repeat_interleave(values, counts, output_size=total)


def move_inputs(
    inputs: Sequence[Mapping[str, NDArray[Any]]], device: torch.device, most: float
) -> list[dict[str, Tensor]] | None:
    """Copy the inputs of all crystals to a device; None where they would have more than `most` bytes there.

    The tensors of some crystals share memory.
    """
    moved: list[dict[str, Tensor]] = []
    size = 0
    for start in range(0, len(inputs), CHUNK):
        few = [inputs[i] for i in range(start, min(start + CHUNK, len(inputs)))]
        size += sum(array.size * _widened(array).itemsize for x in few for array in x.values())
        if size > most:
            return None
        columns = {name: _move_column([x[name] for x in few], device) for name in few[0]}
        moved += [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return moved


def free_bytes(device: torch.device) -> float:
    """Return how many bytes of inputs may be kept on a device."""
    return SHARE * torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else math.inf


def _widened(array: NDArray[Any]) -> np.dtype[Any]:
    """The type of an array on a device."""
    return np.dtype(_WIDER.get(array.dtype, array.dtype))


def _move_column(arrays: Sequence[NDArray[Any]], device: torch.device) -> list[Tensor]:
    flat = np.concatenate([array.ravel() for array in arrays])
    moved = torch.from_numpy(flat.astype(_widened(flat), copy=False)).to(device)
    parts = torch.split(moved, [array.size for array in arrays])
    return [part.view(array.shape) for part, array in zip(parts, arrays, strict=True)]
