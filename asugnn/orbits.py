"""ASUGNN on the asymmetric unit: one token for each orbit, with the results of the network on every atom.

The nodes of the paper differ within an orbit in one thing, the fractional coordinates. Without them all atoms of an
orbit have equal values in every layer, because a symmetry operation maps the distances of one to those of another. So a
sum over the atoms of a crystal is a sum over its orbits, in which a pair of orbits counts as often as it occurs:

- gated sums run over the distances between an atom of one orbit and all atoms of another;
- a softmax over the atoms of an orbit, whose keys and values are equal and whose structural terms differ, is a softmax
  over orbits with the logarithm of the sum of the exponentials of these terms;
- batch norms weight each row by the pairs or atoms that it stands for, and the read-out adds the logarithm of the
  multiplicity to each score.

Predictions then do not depend on the choice of origin, and a crystal and its mirror image get the same.

Shapes: B crystals with K orbits in all; E edges, each a distance from an orbit to another; P ordered pairs of orbits of
one crystal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from asugnn.device_inputs import device_of, join, repeat_rows, upload
from asugnn.embedding import MAX_WEIGHT
from asugnn.network import IGNORED, Convolution, Network, asuam_edges, gaussian_expansion
from asugnn.packed_batch import PackedLayout, arrange, atom_places
from asugnn.weighted_norm import WeightedNorm, shares


def pack_orbits(inputs: Sequence[Mapping[str, Any]], exact: bool = True) -> dict[str, Any]:
    """Pack the results of `merge_orbits`, sorted by number of orbits and end to end, into a batch of the network.

    The arrays of `inputs` may be tensors on a device: the batch then is there. Returns `nodes` (K, 106), `multiplicity`
    (K,), `pxrd` (B, 140), `distance` and `weight` (E,), the orbits at both ends of an edge, `centre` and `other` (E,),
    `pair` (E,), from 0 to P - 1, the fields of a `PackedLayout`, and `order` (B,). Without `exact`, the number of
    places is rounded up as in `pack_batch`: P are then the pairs of places.
    """
    device = device_of(inputs)
    order, sizes, places, groups = arrange(inputs, exact)
    ordered = [inputs[i] for i in order]
    edges = np.array([len(x["pair"]) for x in ordered])
    # The first orbit and the first pair of places of each crystal.
    firsts = (np.cumsum(sizes) - sizes, np.cumsum(places**2) - places**2)
    position, size, width, edge_count, *starts = upload(
        np.stack([np.argsort(order), sizes, places, edges, *firsts]), device
    )
    n, w, *of_edges = (repeat_rows(v, edge_count, int(edges.sum())) for v in (size, width, *starts))
    pair = join([x["pair"] for x in ordered]).long()
    row = torch.div(pair, n, rounding_mode="floor")
    column = pair - row * n
    batch: dict[str, Any] = {
        "groups": groups,
        "order": position,
        "crystal": repeat_rows(torch.arange(len(inputs), device=device), size, int(sizes.sum())),
        "pxrd": join([x["pxrd"][None] for x in ordered]),
        "centre": row + of_edges[0],
        "other": column + of_edges[0],
        "pair": row * w + column + of_edges[1],
    }
    if (places > sizes).any():
        batch["place"] = atom_places(batch["crystal"], size, width)
    return batch | {name: join([x[name] for x in ordered]) for name in ("nodes", "multiplicity", "distance", "weight")}


@dataclass(frozen=True)
class OrbitEdges:
    """The edges of a batch of orbits; E of them between P pairs of orbits.

    values
        (E, 12) the Gaussians of a distance, or ones.
    centre, other, pair
        (E,) the two orbits, and the pair of orbits.
    weight
        (E,) how many atoms of the second orbit an edge stands for.
    share, count
        (E,) the share of all pairs of atoms that it stands for, and their number.
    atom_share, atoms
        (K,) the share of all atoms that an orbit has, and their number.
    """

    values: Tensor
    centre: Tensor
    other: Tensor
    pair: Tensor
    pairs: int
    weight: Tensor
    share: Tensor
    count: Tensor
    atom_share: Tensor
    atoms: Tensor

    @classmethod
    def from_batch(cls, batch: Mapping[str, Any]) -> dict[str, OrbitEdges]:
        """Take the edges of a batch of `pack_orbits`, by adjacency."""
        centre, other, distance, multiplicity = (batch[x] for x in ("centre", "other", "distance", "multiplicity"))
        asuam = (1 / distance.clamp(min=1 / MAX_WEIGHT)).clamp(max=MAX_WEIGHT)
        values = {"asuam": asuam_edges(asuam, centre == other), "dam": gaussian_expansion(distance)}
        pairs = batch["weight"] * multiplicity[centre]  # (E,)
        (share, count), (atom_share, atoms) = shares(pairs), shares(multiplicity)
        shared = cls(
            values=values["dam"],
            centre=centre,
            other=other,
            pair=batch["pair"],
            pairs=sum(b * n * n for b, n in batch["groups"]),
            weight=batch["weight"],
            share=share,
            count=count,
            atom_share=atom_share,
            atoms=atoms,
        )
        return {name: replace(shared, values=of_edges) for name, of_edges in values.items()}

    def structural_term(self, structure: Callable[[Tensor], Tensor]) -> Tensor:
        """Compute what is added to the scores of pairs of orbits (P, H): `structure` maps values to terms (E, H)."""
        term = structure(self.values)
        index = self.pair[:, None].expand_as(term)
        # Pairs of empty places have no edge.
        highest = term.detach().new_full((self.pairs, term.shape[1]), IGNORED)
        highest = highest.scatter_reduce(0, index, term.detach(), "amax")  # (P, H)
        share = self.weight[:, None] * torch.exp(term - highest.index_select(0, self.pair))
        total = share.new_zeros(highest.shape).index_add(0, self.pair, share)  # at least 1 where there is an edge
        out: Tensor = total.clamp_min(0.5).log() + highest
        return out


class OrbitConvolution(Convolution):
    """The gated sum over all atoms of the crystal, at one atom of each orbit."""

    def __init__(self) -> None:
        super().__init__(WeightedNorm)

    def forward(self, x: Tensor, edges: OrbitEdges, layout: PackedLayout) -> Tensor:  # type: ignore[override]
        """Update orbits x (K, 64)."""
        with torch.autocast(x.device.type, enabled=False):
            w_centre, w_partner, w_edge = self.split_weight()
            z = edges.values @ w_edge.T  # (E, 128)
            z = z + (x @ w_centre.T).index_select(0, edges.centre) + (x @ w_partner.T).index_select(0, edges.other)
            gate, core = self.pair_norm(z, edges.share, edges.count).chunk(2, dim=1)  # (E, 64) each
            message = torch.sigmoid(gate) * functional.softplus(core) * edges.weight[:, None]
            total = torch.zeros_like(x).index_add(0, edges.centre, message)  # (K, 64)
            out: Tensor = x + functional.softplus(self.sum_norm(total, edges.atom_share, edges.atoms))
        return out


class OrbitNetwork(Network):
    """The network of ASUGNN with one token for each orbit; takes the weights of a `Network`, and batches of orbits."""

    def new_convolution(self) -> nn.Module:
        return OrbitConvolution()

    def read_edges(self, batch: Mapping[str, Any], layout: PackedLayout) -> Mapping[str, OrbitEdges]:
        return OrbitEdges.from_batch(batch)
