"""A batch of crystals of different sizes, end to end: where its atoms and pairs are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class PackedLayout:
    """Where the atoms of a batch are. Crystals are sorted by size; those of a group have equally many places.

    groups
        Crystals and places of each: (b, n), (b', n'), ...
    place
        (A,) the place of every atom, where some places are empty; None where none is.
    crystal
        (A,) the crystal of every atom.
    """

    groups: Sequence[tuple[int, int]]
    place: Tensor | None
    crystal: Tensor

    @property
    def places(self) -> int:
        """S, with the empty ones."""
        return sum(b * n for b, n in self.groups)

    @property
    def crystals(self) -> int:
        """B."""
        return sum(b for b, _ in self.groups)

    def spread(self, x: Tensor) -> Tensor:
        """(A, ...) of atoms to (S, ...) of places, zero in empty ones."""
        if self.place is None:
            return x
        return x.new_zeros((self.places, *x.shape[1:])).index_copy(0, self.place, x)

    def gather(self, x: Tensor) -> Tensor:
        """(S, ...) of places to (A, ...) of atoms."""
        return x if self.place is None else x.index_select(0, self.place)

    def views(self, x: Tensor) -> Iterator[Tensor]:
        """(S, ...) of places as (b, n, ...) for each group."""
        parts = torch.split(x, [b * n for b, n in self.groups])
        return (part.view(*group, *x.shape[1:]) for part, group in zip(parts, self.groups, strict=True))

    def pair_views(self, x: Tensor) -> Iterator[Tensor]:
        """(P, ...) of pairs of places as (b, n, n, ...) for each group."""
        parts = torch.split(x, [b * n * n for b, n in self.groups])
        return (part.view(b, n, n, *x.shape[1:]) for part, (b, n) in zip(parts, self.groups, strict=True))

    def real(self, like: Tensor) -> Tensor | None:
        """(S,) one for an atom and zero for an empty place, or None where none is empty."""
        return None if self.place is None else self.spread(like.new_ones(len(self.place)))

    def blocks(self, most: int) -> Iterator[tuple[int, int, int, int, int, int]]:
        """First place, crystals b, places n, first row, rows r, first pair: blocks of at most about `most` pairs."""
        place, pair = 0, 0
        for crystals, n in self.groups:
            b = max(1, min(crystals, most // (n * n)))
            r = n if b > 1 else min(n, max(1, most // n))
            for i in range(0, crystals, b):
                k = min(b, crystals - i)
                for row in range(0, n, r):
                    rows = min(r, n - row)
                    yield place, k, n, row, rows, pair
                    pair += k * rows * n
                place += k * n


def pack_batch(inputs: Sequence[Mapping[str, NDArray[Any]]], exact: bool = True) -> dict[str, Any]:
    """A batch of embeddings, sorted by size and end to end: what `asugnn.network.Network` takes.

    `nodes` (A, 106), `asuam` and `dam` (P,), `pxrd` (B, 140), the fields of a `Layout`, and `order` (B,), where each
    crystal as it was given is among the sorted ones. Without `exact`, places are rounded up to a multiple of four, of
    eight above 32 and so on, so that there are few groups.
    """
    sizes = np.array([len(x["nodes"]) for x in inputs])
    places = sizes if exact else np.array([_rounded(n) for n in sizes.tolist()])
    by = np.argsort(places, kind="stable")
    chosen = [inputs[i] for i in by]
    number, count = np.unique(places, return_counts=True)
    batch: dict[str, Any] = {"groups": tuple(zip(count.tolist(), number.tolist(), strict=True))}
    batch["order"] = torch.from_numpy(np.argsort(by))
    batch["crystal"] = torch.from_numpy(np.repeat(np.arange(len(inputs)), sizes[by]))
    batch["nodes"] = torch.from_numpy(np.concatenate([x["nodes"] for x in chosen]))
    batch["pxrd"] = torch.from_numpy(np.stack([x["pxrd"] for x in chosen]))
    spare = places[by] - sizes[by]
    for name in ("asuam", "dam"):
        parts = [
            np.pad(x[name], (0, k), constant_values=1) if k else x[name] for x, k in zip(chosen, spare, strict=True)
        ]
        batch[name] = torch.from_numpy(np.concatenate([p.ravel() for p in parts]))
    if spare.any():
        first = np.cumsum(places[by]) - places[by]
        batch["place"] = torch.from_numpy(
            np.concatenate([f + np.arange(n) for f, n in zip(first, sizes[by], strict=True)])
        )
    return batch


def _rounded(n: int) -> int:
    """To the next multiple of 4, of 8 above 32, of 16 above 64, ..."""
    step = 1 << max(2, (n - 1).bit_length() - 3)
    return -(-n // step) * step
