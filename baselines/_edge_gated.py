"""ALIGNN's convolution on merged graphs, in blocks of edges that stay in the processor's cache.

An edge-gated convolution (Bresson & Laurent 2017; equations 1 to 4 of the ALIGNN paper) computes, for an edge e from
node j to node i,

    m_e = A x_j + B x_i + C y_e        y_e' = y_e + silu(norm(m_e))
    h_i = sum_e s(m_e) V x_j / (sum_e s(m_e) + 1e-6)        x_i' = x_i + silu(norm(U x_i + h_i))

with the sigmoid s, and batch norms over all edges and all nodes. Here an edge stands for equivalent ones: `weight` says
how many of them end at one node, and the norms count it as often as it occurs. Of all edges only m and y are kept, in
the precision of matrix products; what lies between is computed block by block in that of the weights, and again in the
backward pass, whose formulas are written out below.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from asugnn.weighted_norm import WeightedNorm, count_ranks, shares, sum_over_ranks

CPU_VALUES = 1 << 18  # of a block: 1 MB
GPU_VALUES = 1 << 28
SMALL = 1e-6  # keeps the division by the sum of gates finite


@dataclass(frozen=True)
class EdgeGraph:
    """n nodes and m edges, each of which stands for equivalent ones."""

    source: Tensor  # (m,) node that sends
    target: Tensor  # (m,) node that receives
    weight: Tensor  # (m,) equivalent edges that one target receives
    node_share: Tensor  # (n,) nodes that each stands for, divided by their sum
    edge_share: Tensor  # (m,) edges that each stands for, divided by their sum
    nodes: Tensor  # () number of nodes that all stand for
    edges: Tensor  # () number of edges that all stand for

    @classmethod
    def from_multiplicity(cls, source: Tensor, target: Tensor, weight: Tensor, multiplicity: Tensor) -> EdgeGraph:
        """Make the graph whose nodes stand for `multiplicity` (n,) equivalent ones."""
        occurrences = weight * multiplicity.index_select(0, target)  # (m,)
        node_share, nodes = shares(multiplicity)
        edges = sum_over_ranks(occurrences.sum())
        return cls(source, target, weight, node_share, occurrences / edges.clamp(min=1), nodes, edges)


def edge_gated_convolution(
    layer: Any, graph: EdgeGraph, x: Tensor, y: Tensor, row: Tensor | None = None, last: bool = False
) -> tuple[Tensor, Tensor]:
    """Apply `layer`, alignn's EdgeGatedGraphConv, to nodes x (n, F) and edges y (m, F); returns their new values.

    Where many edges have one value, y (c, F) are the distinct ones and `row` (m,) says which an edge has: the linear
    map is then computed for those alone. In the `last` layer nobody needs the edges: they stay as they are, but the
    statistics of their norm are updated.
    """
    sender, value = layer.src_gate(x), layer.dst_update(x)
    receiver = layer.dst_gate(x) + layer.edge_gate.bias
    norm: WeightedNorm = layer.bn_edges
    device = x.device.type
    half = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    low = torch.get_autocast_dtype(device) if half else y.dtype
    with torch.autocast(device, enabled=False):  # sums over many edges are never in half precision
        gated, gates, new = _GatedSums.apply(  # type: ignore[no-untyped-call]
            sender, receiver, value, y, layer.edge_gate.weight, norm.weight, norm.bias, norm, graph, row, last, low
        )
    x = x + functional.silu(
        layer.bn_nodes(layer.src_update(x) + gated / (gates + SMALL), graph.node_share, graph.nodes)
    )
    return x, y if last else new


def _blocks(values: Tensor) -> Iterator[slice]:
    step = max(1, (CPU_VALUES if values.device.type == "cpu" else GPU_VALUES) // values.shape[1])
    for start in range(0, len(values), step):
        yield slice(start, start + step)


class _GatedSums(torch.autograd.Function):
    """Sums (n, F) of s(m) V x_j and of s(m) over the edges of each node, and the new values (m, F) of edges."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, Tensor, Tensor | None]:
        sender, receiver, value, y, matrix, scale, shift, norm, graph, row, last, low = inputs
        high = matrix.dtype
        sender, receiver, value, y = sender.to(high), receiver.to(high), value.to(high), y.to(low)
        product = matrix.to(low)
        m = y.new_empty(len(graph.source), y.shape[1])
        blocks = list(_blocks(m))
        mapped = None if row is None else functional.linear(y, product)
        gated, gates = torch.zeros_like(receiver), torch.zeros_like(receiver)
        moments: list[tuple[Tensor, Tensor, Tensor]] = []
        for block in blocks:
            source, target = graph.source[block], graph.target[block]
            part = sender.index_select(0, source)
            part += receiver.index_select(0, target)
            part += functional.linear(y[block], product) if mapped is None else mapped.index_select(0, row[block])
            m[block] = part
            if norm.training:
                moments.append(_block_moments(part, graph.edge_share[block]))
            gate = part.sigmoid_().mul_(graph.weight[block, None])
            gates.index_add_(0, target, gate)
            gated.index_add_(0, target, gate.mul_(value.index_select(0, source)))
        mean, variance = norm.running_mean, norm.running_var
        if norm.training and not moments and count_ranks() > 1:  # other processes may have edges
            moments.append((gates.new_zeros(()), torch.zeros_like(mean), torch.zeros_like(mean)))
        if moments:
            mean, variance = (values.to(high) for values in _join_moments(moments))
            norm.track(mean, variance, graph.edges)
        spread = torch.rsqrt(variance + norm.eps)
        new = None
        if not last:
            new, slope = torch.empty_like(m), scale * spread
            offset = shift - mean * slope
            for block in blocks:
                inner = functional.silu(torch.addcmul(offset, m[block].to(high), slope), inplace=True)
                inner += y[block] if row is None else y.index_select(0, row[block])
                new[block] = inner
        ctx.save_for_backward(value, y, m, matrix, scale, shift, mean, spread)
        ctx.graph, ctx.row, ctx.training = graph, row, norm.training
        ctx.set_materialize_grads(False)
        return gated, gates, new

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        value, y, m, matrix, scale, shift, mean, spread = ctx.saved_tensors
        graph, row, blocks, high, low = ctx.graph, ctx.row, list(_blocks(m)), matrix.dtype, m.dtype
        product = matrix.to(low)
        d_gated, d_gates = (torch.zeros_like(value) if g is None else g for g in grads[:2])
        d_new = grads[2]
        d_sender, d_receiver, d_value = (torch.zeros_like(value) for _ in range(3))
        d_matrix, d_inner = torch.zeros_like(matrix), torch.empty_like(m)
        d_mapped = None if row is None else torch.zeros_like(y, dtype=high)
        d_y = d_inner if row is None else torch.zeros_like(y, dtype=high)  # a block's d_inner is read before
        slope = scale * spread
        d_scale = d_shift = None
        if d_new is not None:
            offset = shift - mean * slope
            sums = torch.zeros(2, len(scale), dtype=torch.float64, device=y.device)
            for block in blocks:  # of the gradient by norm(m), kept
                part = m[block].to(high)
                inner = torch.addcmul(offset, part, slope)
                inner = torch.ops.aten.silu_backward(d_new[block].to(high), inner)
                d_inner[block] = inner
                sums[0] += inner.sum(0)
                sums[1] += inner.mul_((part - mean).mul_(spread)).sum(0)
            d_shift, d_scale = sums.to(high)
            whole_shift, whole_scale = sum_over_ranks(sums).to(high)
        for block in blocks:
            source, target = graph.source[block], graph.target[block]
            part = m[block].to(high)
            gate = torch.sigmoid(part)
            d_sum = d_gated.index_select(0, target)
            d_value.index_add_(0, source, (d_sum * gate).mul_(graph.weight[block, None]))
            d_m = d_sum.mul_(value.index_select(0, source)).add_(d_gates.index_select(0, target))
            d_m = torch.ops.aten.sigmoid_backward(d_m, gate).mul_(graph.weight[block, None])
            if d_new is not None:
                d_m.addcmul_(d_inner[block].to(high), slope)
                if ctx.training:  # through mean and variance
                    common = (part - mean).mul_(spread * whole_scale).add_(whole_shift)
                    d_m.addcmul_(common.mul_(slope), graph.edge_share[block, None], value=-1)
            d_sender.index_add_(0, source, d_m)
            d_receiver.index_add_(0, target, d_m)
            if d_mapped is not None:
                d_mapped.index_add_(0, row[block], d_m)
                if d_new is not None:
                    d_y.index_add_(0, row[block], d_new[block].to(high))
                continue
            d_m = d_m.to(low)
            d_matrix += d_m.T @ y[block]
            if d_new is None:
                torch.mm(d_m, product, out=d_y[block])
            else:
                torch.addmm(d_new[block], d_m, product, out=d_y[block])
        if d_mapped is not None:
            d_mapped = d_mapped.to(low)
            d_matrix, d_y = d_matrix + d_mapped.T @ y, d_y + d_mapped @ product
        return d_sender, d_receiver, d_value, d_y, d_matrix, d_scale, d_shift, None, None, None, None, None


def _block_moments(rows: Tensor, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the sum of shares (b,) of rows (b, F), the mean (F,) and the sum of squared deviations (F,)."""
    total = share.sum()
    mean = share @ rows / total
    return total, mean, share @ (rows - mean).square_()


def _join_moments(blocks: Sequence[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Compute mean and variance (F,) of all rows from the moments of blocks: no difference of large sums."""
    total, mean, square = (torch.stack(values).double() for values in zip(*blocks, strict=True))
    count = sum_over_ranks(total.sum())
    overall = sum_over_ranks(total @ mean) / count
    return overall, sum_over_ranks(square.sum(0) + total @ (mean - overall).square()) / count
