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
from torch import Tensor

from asugnn.crystal import Ints
from asugnn.device_inputs import device_of, join, repeat_rows, upload


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


def pack_batch(inputs: Sequence[Mapping[str, Any]], exact: bool = True) -> dict[str, Any]:
    """Pack embeddings, sorted by size and end to end, into the batch that `asugnn.network.Network` takes.

    The arrays of `inputs` may be tensors on a device: the batch then is there. Returns `nodes` (A, 106), `asuam` and
    `dam` (P,), `same_orbit` (P,), `pxrd` (B, 140), the fields of a `PackedLayout`, and `order` (B,), the position of
    each input among the sorted ones. Without `exact`, the number of places is rounded up to a multiple of four, of
    eight above 32 and so on, so that there are few groups: for crystals of mp-2018, 128 at once, 18 groups instead of
    45, with 6 % more places and 15 % more pairs.
    """
    device = device_of(inputs)
    order, sizes, places, groups = arrange(inputs, exact)
    ordered = [inputs[i] for i in order]
    position, size, width = upload(np.stack([np.argsort(order), sizes, places]), device)  # (B,) each
    crystal = repeat_rows(torch.arange(len(inputs), device=device), size, int(sizes.sum()))
    orbits = join([x["orbits"] for x in ordered])
    batch: dict[str, Any] = {"groups": groups, "order": position, "crystal": crystal}
    batch["nodes"] = join([x["nodes"] for x in ordered])
    batch["pxrd"] = join([x["pxrd"][None] for x in ordered])
    pairs = {name: join([x[name].reshape(-1) for x in ordered]) for name in ("asuam", "dam")}
    if (places > sizes).any():
        batch["place"] = atom_places(crystal, size, width)
        orbits = orbits.new_full((int(places.sum()),), -1).index_copy(0, batch["place"], orbits)
        index = _pair_places(size, width, int((sizes**2).sum()))
        pairs = {k: v.new_ones(int((places**2).sum())).index_copy(0, index, v) for k, v in pairs.items()}
    of_groups = PackedLayout(groups, None, crystal).split_groups(orbits)  # (b, n) each
    same_orbit = torch.cat([(o[:, :, None] == o[:, None]).flatten() for o in of_groups])
    return batch | pairs | {"same_orbit": same_orbit}


def arrange(inputs: Sequence[Mapping[str, Any]], exact: bool) -> tuple[Ints, Ints, Ints, tuple[tuple[int, int], ...]]:
    """Sort crystals by their numbers of places, and group those with equal ones.

    Returns the order (B,) of the inputs, their numbers of nodes and of places (B,), so ordered, and the groups of a
    `PackedLayout`. Without `exact` the numbers of places are rounded up, as `pack_batch` says.
    """
    sizes = np.array([len(x["nodes"]) for x in inputs])
    places = sizes if exact else np.array([_round_up(n) for n in sizes.tolist()])
    order = np.argsort(places, kind="stable")
    numbers, crystals = np.unique(places, return_counts=True)
    return order, sizes[order], places[order], tuple(zip(crystals.tolist(), numbers.tolist(), strict=True))


def atom_places(crystal: Tensor, size: Tensor, width: Tensor) -> Tensor:
    """Return the place (A,) of each atom, in the crystal `crystal` (A,).

    Crystals have `size` (B,) atoms and `width` (B,) places.
    """
    first = width.cumsum(0) - width  # (B,) the first place of each crystal
    return _count_within(crystal, size) + first.index_select(0, crystal)


def _pair_places(size: Tensor, width: Tensor, pairs: int) -> Tensor:
    """Return the position of each of the `pairs` pairs of atoms among all pairs of places.

    Crystals have `size` (B,) atoms and `width` (B,) places.
    """
    crystal = repeat_rows(torch.arange(len(size), device=size.device), size.square(), pairs)
    pair, n = _count_within(crystal, size.square()), size.index_select(0, crystal)
    row = torch.div(pair, n, rounding_mode="floor")
    first = width.square().cumsum(0) - width.square()
    return first.index_select(0, crystal) + row * width.index_select(0, crystal) + pair - row * n


def _count_within(crystal: Tensor, count: Tensor) -> Tensor:
    """Number the rows of each crystal from 0: (m,), for the crystal of each row (m,), `count` (B,) rows for each."""
    start = count.cumsum(0) - count
    return torch.arange(len(crystal), device=crystal.device) - start.index_select(0, crystal)


def _round_up(n: int) -> int:
    """Round up to the next multiple of 4, of 8 above 32, of 16 above 64, ..."""
    step = 1 << max(2, (n - 1).bit_length() - 3)
    return -(-n // step) * step
