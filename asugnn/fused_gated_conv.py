"""The gated sum over pairs of atoms with a batch norm inside, without a tensor of all pairs.

A convolution of CGCNN maps [x_i, x_j, e_ij] linearly, normalises the result z_ij over all pairs of the batch, and sums
sigmoid(gate) softplus(core) over j. Three facts make it cheap where every atom is paired with all atoms of its crystal:

- z_ij = c_i + p_j + W e_ij is a sum of a part of the centre atom, one of its partner, and one of the edge.
- So its mean and variance over all pairs follow from sums over atoms and from the second moment of the edges, which
  have no parameters: no tensor of all pairs is needed to normalise them. The norm is then absorbed in c, p and W.
- The rest is one pass, block by block in the processor's cache. It turns z into the slopes of the messages, from which
  the backward pass follows by products and sums alone.

Shapes as in `asugnn.packed_batch`; E values of an edge, F of z_ij: F/2 of the gate, then F/2 of the core.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from asugnn.packed_batch import PackedLayout
from asugnn.weighted_norm import sum_over_ranks

CPU_PAIRS = 4096  # pairs of a block on a processor: their intermediate values fit into its cache
GPU_PAIRS = 1 << 20  # on a GPU: 512 MB


@dataclass(frozen=True)
class PairEdges:
    """The edges of a batch and their moments, which do not depend on parameters.

    values
        (P, E) of all pairs of places, zero where a place is empty; symmetric in the two atoms.
    sums
        (A, E) sums over the partners of each atom, in float64.
    moment
        (E, E) sum over all pairs of e e^T, added up by blocks in float64.
    """

    values: Tensor
    sums: Tensor
    moment: Tensor

    @classmethod
    def from_values(cls, values: Tensor, layout: PackedLayout) -> PairEdges:
        """Compute the moments of `values` (P, E), which may be any number where a place is empty."""
        mask = layout.atom_mask(values)
        if mask is not None:
            pair_masks = [(m[:, :, None] & m[:, None]).flatten() for m in layout.split_groups(mask.bool())]
            values = values * torch.cat(pair_masks)[:, None]
        of_groups = [v.sum(2, dtype=torch.float64).flatten(0, 1) for v in layout.split_pair_groups(values)]
        moment = sum((v.T @ v).double() for v in torch.split(values, 1 << 16))
        assert isinstance(moment, Tensor)
        return cls(values, layout.gather_atoms(torch.cat(of_groups)), moment)

    def structural_term(self, structure: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply `structure` to the values of all pairs: (P, E) to (P, H)."""
        return structure(self.values)


def gate_moments(
    centre: Tensor, partner: Tensor, weight: Tensor, edges: PairEdges, layout: PackedLayout
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute mean (F,) and variance (F,) of c_i + p_j + W e_ij over all pairs, and the number of pairs.

    `centre` c and `partner` p are (A, F), `weight` W is (F, E). Summed in float64: the variance is a small difference.
    """
    c, p, w = centre.double(), partner.double(), weight.double()
    size = torch.zeros(layout.crystals, dtype=torch.float64, device=c.device)
    size.index_add_(0, layout.crystal, torch.ones_like(c[:, 0]))
    partners = size.index_select(0, layout.crystal)[:, None]  # (A, 1)
    count = sum_over_ranks(partners.sum())
    mean = sum_over_ranks((partners * (c + p)).sum(0) + w @ edges.sums.sum(0)) / count
    c_sum, p_sum = (c.new_zeros(layout.crystals, c.shape[1]).index_add(0, layout.crystal, x) for x in (c, p))  # (B, F)
    square = (partners * (c.square() + p.square())).sum(0) + 2 * (c_sum * p_sum).sum(0)
    square = square + ((w @ edges.moment) * w).sum(1) + 2 * ((c + p) * (edges.sums @ w.T)).sum(0)
    variance = (sum_over_ranks(square) / count - mean.square()).clamp_min(0)
    return mean.to(centre.dtype), variance.to(centre.dtype), count


def fused_gated_conv(centre: Tensor, partner: Tensor, weight: Tensor, edges: PairEdges, layout: PackedLayout) -> Tensor:
    """Sum sigmoid(first half) softplus(second half) of c_i + p_j + W e_ij over j: (A, F/2).

    `centre` c and `partner` p are (A, F), `weight` W is (F, E). Where gradients are enabled, (P, F) values are kept.
    """
    places = layout.scatter_atoms(centre), layout.scatter_atoms(partner)
    keep = torch.is_grad_enabled()
    out: Tensor = _FusedGatedConv.apply(*places, weight, edges.values, layout, keep)  # type: ignore[no-untyped-call]
    return layout.gather_atoms(out)


class _FusedGatedConv(torch.autograd.Function):
    """The sum over places (S, F). Its forward pass turns z into the slopes of the messages, which it keeps."""

    @staticmethod
    def forward(
        ctx: Any, centre: Tensor, partner: Tensor, weight: Tensor, edges: Tensor, layout: PackedLayout, keep: bool
    ) -> Tensor:
        half = weight.shape[0] // 2
        mask = layout.atom_mask(centre)
        slopes = []
        total = centre.new_empty(centre.shape[0], half)
        for block in layout.pair_blocks(_block_pairs(centre)):
            b, n, r = block.crystals, block.places, block.rows
            places, rows = slice(block.place, block.place + b * n), slice(block.row, block.row + r)
            z = (edges[block.pair : block.pair + b * r * n] @ weight.T).view(b, r, n, -1)
            z += centre[places].view(b, n, 1, -1)[:, rows]
            z += partner[places].view(b, 1, n, -1)
            message = functional.softplus(z[..., half:])  # (b, r, n, F/2)
            z.sigmoid_()
            gate, slope = z[..., :half], z[..., half:]  # of the core, the slope of softplus
            if mask is not None:
                gate *= mask[places].view(b, 1, n, 1)
            message *= gate
            total[places].view(b, -1, half)[:, rows] = message.sum(2)
            if keep:
                slope *= gate
                torch.addcmul(message, message, gate, value=-1, out=gate)
                slopes.append(z)
        ctx.save_for_backward(centre, partner, weight, edges, *slopes)
        ctx.layout = layout
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        centre, partner, weight, edges, *slopes = ctx.saved_tensors
        (grad_total,) = gradients
        both = torch.cat([grad_total, grad_total], dim=1)  # (S, F)
        grad_centre, grad_partner, grad_weight = (torch.zeros_like(x) for x in (centre, partner, weight.T))
        blocks = ctx.layout.pair_blocks(_block_pairs(centre))
        for block, slope in zip(blocks, slopes, strict=True):
            b, r, n, _ = slope.shape
            places, rows = slice(block.place, block.place + b * n), slice(block.row, block.row + r)
            grad = slope * both[places].view(b, n, 1, -1)[:, rows]  # of z, (b, r, n, F)
            grad_centre[places].view(b, n, -1)[:, rows] = grad.sum(2)
            grad_partner[places] += grad.sum(1).flatten(0, 1)
            grad_weight += edges[block.pair : block.pair + b * r * n].T @ grad.view(b * r * n, -1)
        return grad_centre, grad_partner, grad_weight.T, None, None, None


def _block_pairs(like: Tensor) -> int:
    return CPU_PAIRS if like.device.type == "cpu" else GPU_PAIRS
