"""A batch of crystals of different sizes, end to end, with little or no padding.

Shapes: B crystals with A atoms in all. Crystals are sorted by size and grouped: a group of b crystals has b x n places
for atoms, of which some may be empty. S places in all, and P ordered pairs of places of one crystal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class PairBlock(NamedTuple):
    """A block of pairs: of `crystals` crystals with `places` places each, those of `rows` centre atoms."""

    place: int  # the first place
    crystals: int  # b
    places: int  # n
    row: int  # the first centre atom, from 0 to n - 1
    rows: int  # r
    pair: int  # the first pair


@dataclass(frozen=True)
class PackedLayout:
    """The places of the atoms in a batch.

    groups
        (b, n) for each group: its crystals, and the places of each of them.
    place
        (A,) the place of every atom, from 0 to S - 1; None where no place is empty.
    crystal
        (A,) the crystal of every atom, from 0 to B - 1.
    """

    groups: Sequence[tuple[int, int]]
    place: Tensor | None
    crystal: Tensor

    @property
    def places(self) -> int:
        """S, the number of places."""
        return sum(b * n for b, n in self.groups)

    @property
    def crystals(self) -> int:
        """B, the number of crystals."""
        return sum(b for b, _ in self.groups)

    def scatter_atoms(self, x: Tensor) -> Tensor:
        """Move values of atoms (A, ...) to their places (S, ...); empty places get zero."""
        if self.place is None:
            return x
        return x.new_zeros((self.places, *x.shape[1:])).index_copy(0, self.place, x)

    def gather_atoms(self, x: Tensor) -> Tensor:
        """Take the values of atoms (A, ...) from those of places (S, ...)."""
        return x if self.place is None else x.index_select(0, self.place)

    def split_groups(self, x: Tensor) -> Iterator[Tensor]:
        """View values of places (S, ...) as (b, n, ...) for each group."""
        parts = torch.split(x, [b * n for b, n in self.groups])
        return (part.view(*group, *x.shape[1:]) for part, group in zip(parts, self.groups, strict=True))

    def split_pair_groups(self, x: Tensor) -> Iterator[Tensor]:
        """View values of pairs of places (P, ...) as (b, n, n, ...) for each group."""
        parts = torch.split(x, [b * n * n for b, n in self.groups])
        return (part.view(b, n, n, *x.shape[1:]) for part, (b, n) in zip(parts, self.groups, strict=True))

    def atom_mask(self, like: Tensor) -> Tensor | None:
        """Return a mask (S,) in the type of `like`: one for an atom, zero for an empty place; None if none is empty."""
        return None if self.place is None else self.scatter_atoms(like.new_ones(len(self.place)))

    def pair_blocks(self, most: int) -> Iterator[PairBlock]:
        """Cut all pairs into blocks of at most about `most` pairs, in their order: some crystals, or rows of one."""
        place, pair = 0, 0
        for crystals, n in self.groups:
            block_crystals = max(1, min(crystals, most // (n * n)))
            block_rows = n if block_crystals > 1 else min(n, max(1, most // n))
            for i in range(0, crystals, block_crystals):
                b = min(block_crystals, crystals - i)
                for row in range(0, n, block_rows):
                    rows = min(block_rows, n - row)
                    yield PairBlock(place, b, n, row, rows, pair)
                    pair += b * rows * n
                place += b * n


def pack_batch(inputs: Sequence[Mapping[str, NDArray[Any]]], exact: bool = True) -> dict[str, Any]:
    """Pack embeddings, sorted by size and end to end, into the batch that `asugnn.network.Network` takes.

    Returns `nodes` (A, 106), `asuam` and `dam` (P,), `same_orbit` (P,), `pxrd` (B, 140), the fields of a
    `PackedLayout`, and `order` (B,), the position of each input among the sorted ones. Without `exact`, the number of
    places is rounded up to a multiple of four, of eight above 32 and so on, so that there are few groups.
    """
    sizes = np.array([len(x["nodes"]) for x in inputs])
    places = sizes if exact else np.array([_round_up(n) for n in sizes.tolist()])
    order = np.argsort(places, kind="stable")
    sizes, places, ordered = sizes[order], places[order], [inputs[i] for i in order]
    group_places, group_crystals = np.unique(places, return_counts=True)
    batch: dict[str, Any] = {"groups": tuple(zip(group_crystals.tolist(), group_places.tolist(), strict=True))}
    batch["order"] = torch.from_numpy(np.argsort(order))
    batch["crystal"] = torch.from_numpy(np.repeat(np.arange(len(inputs)), sizes))
    batch["nodes"] = torch.from_numpy(np.concatenate([x["nodes"] for x in ordered]))
    batch["pxrd"] = torch.from_numpy(np.stack([x["pxrd"] for x in ordered]))
    spare = places - sizes
    pairs = {name: [x[name] for x in ordered] for name in ("asuam", "dam")}
    pairs["same_orbit"] = [x["orbits"][:, None] == x["orbits"] for x in ordered]
    for name, values in pairs.items():
        parts = [np.pad(x, (0, k), constant_values=1) if k else x for x, k in zip(values, spare, strict=True)]
        batch[name] = torch.from_numpy(np.concatenate([p.ravel() for p in parts]))
    if spare.any():
        first = np.cumsum(places) - places
        batch["place"] = torch.from_numpy(np.concatenate([f + np.arange(n) for f, n in zip(first, sizes, strict=True)]))
    return batch


def _round_up(n: int) -> int:
    """Round up to the next multiple of 4, of 8 above 32, of 16 above 64, ..."""
    step = 1 << max(2, (n - 1).bit_length() - 3)
    return -(-n // step) * step
