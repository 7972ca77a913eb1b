"""The gated sum over pairs of atoms with a batch norm inside, without a tensor of all pairs.

A convolution of CGCNN maps [x_i, x_j, e_ij] linearly, normalises the result z_ij over all pairs of the batch, and sums
sigmoid(gate) softplus(core) over j. Three facts make it cheap where every atom meets every atom of its crystal:

- z_ij = c_i + o_j + W e_ij is a sum of an atom's part, another's, and the edge's.
- So its mean and variance over all pairs follow from sums over atoms and from the second moment of the edges, which
  are no parameters: nothing as large as the pairs is needed to normalise them. The norm then is part of c, o and W.
- What is left is one pass, done block by block in the processor's cache, forward and again backward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from asugnn.packed_batch import PackedLayout

CACHED = 4096  # pairs of a block on a processor: what is computed of them fits into its cache
HELD = 1 << 20  # on a GPU: 512 MB


@dataclass(frozen=True)
class PairEdges:
    """What the convolutions need to know of the edges of a batch, which have no parameters.

    values
        (P, E), of all pairs of places, zero for an empty one; symmetric in the two atoms.
    sums
        (A, E) over the partners of each atom, in float64.
    moment
        (E, E) sum over all pairs of e e^T, in float64.
    """

    values: Tensor
    sums: Tensor
    moment: Tensor

    @classmethod
    def of(cls, values: Tensor, layout: PackedLayout) -> PairEdges:
        """With `values` (P, E), whatever they are in empty places."""
        real = layout.real(values)
        if real is not None:
            both = [(r[:, :, None] & r[:, None]).flatten() for r in layout.views(real.bool())]
            values = values * torch.cat(both)[:, None]
        sums = torch.cat([v.double().sum(2).flatten(0, 1) for v in layout.pair_views(values)])  # (S, E)
        moment = sum((v.T @ v).double() for v in torch.split(values, 1 << 16))
        assert isinstance(moment, Tensor)
        return cls(values, layout.gather(sums), moment)


def gate_moments(
    centre: Tensor, other: Tensor, weight: Tensor, edges: PairEdges, layout: PackedLayout
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance (F,) of c_i + o_j + W e_ij over the pairs of one crystal each, and how many pairs there are.

    `centre` and `other` are (A, F), `weight` is (F, E). In float64, because the variance is a difference.
    """
    c, o, w = centre.double(), other.double(), weight.double()
    size = torch.zeros(layout.crystals, dtype=torch.float64, device=c.device)
    size.index_add_(0, layout.crystal, torch.ones_like(c[:, 0]))
    partners = size.index_select(0, layout.crystal)[:, None]  # (A, 1)
    count = partners.sum()
    mean = ((partners * (c + o)).sum(0) + w @ edges.sums.sum(0)) / count
    c_sum, o_sum = (c.new_zeros(layout.crystals, c.shape[1]).index_add(0, layout.crystal, x) for x in (c, o))  # (B, F)
    square = (partners * (c.square() + o.square())).sum(0) + 2 * (c_sum * o_sum).sum(0)
    square = square + ((w @ edges.moment) * w).sum(1) + 2 * ((c + o) * (edges.sums @ w.T)).sum(0)
    variance = (square / count - mean.square()).clamp_min(0)
    return mean.to(centre.dtype), variance.to(centre.dtype), count


def fused_gated_conv(centre: Tensor, other: Tensor, weight: Tensor, edges: PairEdges, layout: PackedLayout) -> Tensor:
    """(A, F/2): sum over j of sigmoid(first half) softplus(second half) of c_i + o_j + W e_ij."""
    places = layout.spread(centre), layout.spread(other)
    out: Tensor = _FusedGatedConv.apply(*places, weight, edges.values, layout)  # type: ignore[no-untyped-call]
    return layout.gather(out)


class _FusedGatedConv(torch.autograd.Function):
    """Its gradient computes the pairs of a block again instead of keeping them."""

    @staticmethod
    def forward(ctx: Any, centre: Tensor, other: Tensor, weight: Tensor, edges: Tensor, layout: PackedLayout) -> Tensor:
        half = weight.shape[0] // 2
        real = layout.real(centre)
        ctx.save_for_backward(centre, other, weight, edges, real)
        ctx.layout = layout
        total = centre.new_empty(centre.shape[0], half)
        for block in layout.blocks(_most(centre)):
            z, at, rows = _pairs(block, centre, other, weight, edges)
            message = torch.sigmoid(z[..., :half]).mul_(functional.softplus(z[..., half:]))  # (b, r, n, F/2)
            if real is not None:
                message *= real[at].view(z.shape[0], 1, -1, 1)
            total[at].view(z.shape[0], -1, half)[:, rows] = message.sum(2)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        centre, other, weight, edges, real = ctx.saved_tensors
        (up,) = gradients
        half = weight.shape[0] // 2
        to_centre, to_other, to_weight = (torch.zeros_like(x) for x in (centre, other, weight))
        for block in ctx.layout.blocks(_most(centre)):
            z, at, rows = _pairs(block, centre, other, weight, edges)
            b, r, n, _ = z.shape
            gate, core = torch.sigmoid(z[..., :half]), z[..., half:]
            message = up[at].view(b, -1, 1, half)[:, rows]
            if real is not None:
                message = message * real[at].view(b, 1, n, 1)
            down = message * gate  # (b, r, n, F/2)
            by_gate = functional.softplus(core).mul_(1 - gate).mul_(down)
            by_core = core.sigmoid_().mul_(down)
            z[..., :half], z[..., half:] = by_gate, by_core
            to_centre[at].view(b, -1, 2 * half)[:, rows] += z.sum(2)
            to_other[at] += z.sum(1).flatten(0, 1)
            pairs = block[-1]
            to_weight += z.view(-1, 2 * half).T @ edges[pairs : pairs + b * r * n]
        return to_centre, to_other, to_weight, None, None


def _most(like: Tensor) -> int:
    return CACHED if like.device.type == "cpu" else HELD


def _pairs(
    block: tuple[int, int, int, int, int, int], centre: Tensor, other: Tensor, weight: Tensor, edges: Tensor
) -> tuple[Tensor, slice, slice]:
    """z (b, r, n, F) of a block, its places, and its rows among them."""
    place, b, n, row, r, pair = block
    at, rows = slice(place, place + b * n), slice(row, row + r)
    z = (edges[pair : pair + b * r * n] @ weight.T).view(b, r, n, -1)
    z += centre[at].view(b, n, 1, -1)[:, rows]
    z += other[at].view(b, 1, n, -1)
    return z, at, rows
