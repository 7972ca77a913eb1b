"""The network of ASUGNN (paper, section 3), to be read from top to bottom.

Shapes: B crystals, A atoms and P ordered pairs of atoms of one crystal in the batch; d the width, H heads, T windows of
the powder pattern. Crystals are sorted by size, and those of one size form a group: linear layers and norms run over
the A atoms end to end, attention group by group. So there is no padding, or a little under masks where fewer groups are
faster (`asugnn.packed_batch.PackedLayout`). No tensor holds the 140 inputs of every pair. `benchmarks/literal.py`
computes the same network without such measures, and a test holds that both agree.

Where the paper is silent: the perceptrons of G and of the structural term have one hidden layer; a bias that cannot
change the output (of keys under a softmax, or before a batch norm) is omitted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from asugnn.fused_gated_conv import PairEdges, fused_gated_conv, gate_moments
from asugnn.packed_batch import PackedLayout
from asugnn.readout import Recurrent, Set2Set
from asugnn.weighted_norm import BatchNorm

Adjacency = Literal["asuam", "dam", "none"]
Term = Literal["before", "after"]
Readout = Literal["set2set", "recurrent"]

NODE, ELEMENT, EDGE, ATOM, PATTERN = 106, 92, 12, 64, 140  # widths: of a node, its element, an edge, an atom, G

# Typical mean and spread of node columns 92 to 105 over many crystals: scaling by them brings values of up to 1e4 to
# order one.
# fmt: off
MIDDLE = (0.5, 0.5, 0.5, 7.0, 7.0, 9.0, 90.0, 90.0, 95.0, 120.0, 20.0, 5.0, 400.0, 70.0)
SPREAD = (0.3, 0.3, 0.3, 4.0, 4.0, 5.0, 10.0, 10.0, 15.0, 75.0, 20.0, 5.0, 500.0, 40.0)
# fmt: on
IGNORED = -1e9  # a score that attention ignores; not minus infinity, so that where every key is dropped, all count


class Network(nn.Module):
    """Maps a batch of embeddings to (B,) values.

    Parameters
    ----------
    adjacencies
        Input of the first and of the second convolution (Table 1: ASUAM, then DAM); with `none` there is no second one.
    width, heads, codecs
        d, H and the number of ASU-codec units.
    windows
        T, the number of angle ranges that the pattern is cut into: the tokens of the cross-attention. Divides 140.
    xrd
        Whether atoms attend to the pattern; otherwise the result of that attention is zero, and its parameters stay as
        they are, without effect (section 4.2).
    term
        Whether the structural term enters attention before the softmax, as in the paper, or after it, as in the
        authors' code, scaled by a learnt factor.
    readout
        `set2set`, or the authors' bidirectional recurrent network over the atoms in their order, then a weighted sum.
    steps
        Steps of Set2Set.
    drop_key
        Probability that a key is dropped during training (DropKey, Li et al. 2023).
    initial
        Standard deviation of the initial linear weights; 0 for PyTorch's initialisation, which is better for a narrow
        network.
    """

    def __init__(
        self,
        *,
        adjacencies: tuple[Adjacency, Adjacency] = ("asuam", "dam"),
        width: int = 512,
        heads: int = 8,
        codecs: int = 2,
        windows: int = 14,
        xrd: bool = True,
        term: Term = "before",
        readout: Readout = "set2set",
        steps: int = 3,
        drop_key: float = 1e-4,
        initial: float = 0.02,
    ) -> None:
        super().__init__()
        self.adjacencies = [a for a in adjacencies if a != "none"]
        self.xrd = xrd
        self.atoms = NodeEmbedding()
        self.convolutions = nn.ModuleList([self.new_convolution() for _ in self.adjacencies])
        self.widen = nn.Linear(ATOM, width)
        self.pattern = PatternTokens(width, windows)
        self.codecs = nn.ModuleList([Codec(width, heads, term, drop_key) for _ in range(codecs)])
        self.norm = nn.LayerNorm(width)
        self.readout = Set2Set(width, steps) if readout == "set2set" else Recurrent(width)
        self.head = nn.Sequential(nn.Linear(2 * width, 4 * width), nn.ReLU(), nn.Linear(4 * width, 1))
        for module in self.modules():
            if isinstance(module, nn.Linear) and initial:
                nn.init.normal_(module.weight, std=initial)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def new_convolution(self) -> nn.Module:
        """Build a convolution with random weights."""
        return Convolution()

    def read_edges(self, batch: Mapping[str, Any], layout: PackedLayout) -> Mapping[str, Any]:
        """Take the edges of a batch, by adjacency, as the convolutions and the codecs need them."""
        return {name: PairEdges.from_values(EDGES[name](batch), layout) for name in {"asuam", *self.adjacencies}}

    def forward(self, batch: Mapping[str, Any]) -> Tensor:
        """Map a batch of `pack_batch` to values (B,), in the order of its inputs."""
        layout = PackedLayout(batch["groups"], batch.get("place"), batch["crystal"])
        with torch.no_grad():
            edges = self.read_edges(batch, layout)
        x = self.atoms(batch["nodes"])  # (A, 64)
        for convolve, adjacency in zip(self.convolutions, self.adjacencies, strict=True):
            x = convolve(x, edges[adjacency], layout)  # (A, 64)
        x = self.widen(x).to(x.dtype)  # (A, d), whose sums are not rounded to half precision
        g = self.pattern(batch["pxrd"]) if self.xrd else None  # (B, T, d)
        for codec in self.codecs:
            x = codec(x, edges["asuam"], g, layout)  # (A, d)
        count = batch["multiplicity"].log() if "multiplicity" in batch else None  # (A,)
        crystal = self.readout(self.norm(x).to(self.norm.weight.dtype), layout, count)  # (B, 2d)
        out: Tensor = self.head(crystal).squeeze(-1)  # (B,)
        return out.index_select(0, batch["order"])


def gaussian_expansion(distance: Tensor) -> Tensor:
    """Expand distances (...) in angstrom in 12 Gaussians (..., 12), centred from 0 to 8, as wide as their spacing."""
    centres = torch.linspace(0, 8, EDGE, device=distance.device)
    values = (distance[..., None] - centres).mul_(EDGE - 1).div_(8).square_().neg_().exp_()  # each pass in place
    return functional.threshold(values, 1e-20, 0.0)  # subnormal float32 numbers are slow to multiply


def asuam_edges(asuam: Tensor, same_orbit: Tensor) -> Tensor:
    """Expand ASUAM weights (...) to (..., 12): ones within an orbit, else Gaussians of the distance 1/weight.

    The authors' code takes every weight of 1 for one orbit, so also two orbits at 1 angstrom.
    """
    return torch.where(same_orbit[..., None], 1.0, gaussian_expansion(1 / asuam))


EDGES: dict[str, Callable[[Mapping[str, Any]], Tensor]] = {  # the edges (P, 12) of a batch
    "asuam": lambda batch: asuam_edges(batch["asuam"], batch["same_orbit"]),
    "dam": lambda batch: gaussian_expansion(batch["dam"]),
}


class NodeEmbedding(nn.Module):
    """Nodes (A, 106) to atoms (A, 64): a fixed scaling, then one linear layer, always in float32."""

    middle: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("middle", torch.tensor((0.0,) * ELEMENT + MIDDLE), persistent=False)
        self.register_buffer("spread", torch.tensor((1.0,) * ELEMENT + SPREAD), persistent=False)
        self.linear = nn.Linear(NODE, ATOM)

    def forward(self, nodes: Tensor) -> Tensor:
        with torch.autocast(nodes.device.type, enabled=False):
            out: Tensor = self.linear((nodes - self.middle) / self.spread)  # (A, 64)
        return out


class Convolution(nn.Module):
    """A gated sum over all atoms of the crystal, including the atom itself (Xie & Grossman 2018, equation 5)."""

    def __init__(self, norm: type[nn.BatchNorm1d] = BatchNorm) -> None:
        super().__init__()
        self.pair = nn.Linear(2 * ATOM + EDGE, 2 * ATOM, bias=False)  # of [x_i, x_j, e_ij]
        self.pair_norm = norm(2 * ATOM)
        self.sum_norm = norm(ATOM)

    def split_weight(self) -> tuple[Tensor, ...]:
        """The parts of the linear map (128, ...) that belong to x_i, x_j and e_ij."""
        return torch.split(self.pair.weight, [ATOM, ATOM, EDGE], dim=1)

    def forward(self, x: Tensor, edges: PairEdges, layout: PackedLayout) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # few operations, whose variance needs the precision
            w_centre, w_partner, w_edge = self.split_weight()
            centre, partner = x @ w_centre.T, x @ w_partner.T  # (A, 128) each
            mean, variance = self._batch_moments(centre, partner, w_edge, edges, layout)  # (128,) each
            scale = self.pair_norm.weight / torch.sqrt(variance + self.pair_norm.eps)
            centre = (centre - mean) * scale + self.pair_norm.bias
            total = fused_gated_conv(centre, partner * scale, w_edge * scale[:, None], edges, layout)  # (A, 64)
            out: Tensor = x + functional.softplus(self.sum_norm(total))  # (A, 64)
        return out

    def _batch_moments(
        self, centre: Tensor, partner: Tensor, w_edge: Tensor, edges: PairEdges, layout: PackedLayout
    ) -> tuple[Tensor, Tensor]:
        """Mean and variance (128,) of the pair norm: of the batch in training (which updates the running ones)."""
        norm = self.pair_norm
        assert norm.running_mean is not None and norm.running_var is not None
        assert norm.num_batches_tracked is not None and norm.momentum is not None
        if not self.training:
            return norm.running_mean, norm.running_var
        mean, variance, count = gate_moments(centre, partner, w_edge, edges, layout)
        with torch.no_grad():
            norm.num_batches_tracked += 1
            norm.running_mean.lerp_(mean, norm.momentum)
            norm.running_var.lerp_(variance * (count / (count - 1).clamp_min(1)).to(variance.dtype), norm.momentum)
        return mean, variance


class PatternTokens(nn.Module):
    """The powder pattern as T tokens: one perceptron of the pattern with all but one window set to zero.

    With T = 1 the token is the authors', a perceptron of the whole pattern. But the softmax over one key is always 1,
    so that their cross-attention cannot attend; with T > 1, "G serves as both V and K" (section 3) has a meaning.
    """

    windows: Tensor

    def __init__(self, width: int, windows: int) -> None:
        super().__init__()
        masks = torch.eye(windows).repeat_interleave(PATTERN // windows, dim=1)  # (T, 140)
        self.register_buffer("windows", masks, persistent=False)
        self.perceptron = nn.Sequential(nn.Linear(PATTERN, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, pxrd: Tensor) -> Tensor:
        share = pxrd * PATTERN  # (B, 140), 1 on average
        out: Tensor = self.perceptron(share[:, None] * self.windows)  # (B, T, d)
        return out


class StructuralTerm(Protocol):
    """Edges that are expanded to what is added to the scores of attention."""

    def structural_term(self, structure: Callable[[Tensor], Tensor]) -> Tensor:
        """Compute the term (P, H); `structure` maps values of edges (..., 12) to (..., H)."""


class Codec(nn.Module):
    """An ASU-codec unit (figure 2b): the encoder over the atoms, the decoder from the atoms to the pattern."""

    def __init__(self, width: int, heads: int, term: Term, drop_key: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(4)])
        # A bias before the softmax, equal for all pairs of a head, would cancel.
        self.structure = nn.Sequential(nn.Linear(EDGE, EDGE), nn.GELU(), nn.Linear(EDGE, heads, bias=term == "after"))
        self.within = Attention(width, heads, drop_key, term)
        self.across = Attention(width, heads, drop_key)
        self.forwards = nn.ModuleList([feed_forward(width) for _ in range(2)])

    def forward(self, x: Tensor, edges: StructuralTerm, g: Tensor | None, layout: PackedLayout) -> Tensor:
        term = edges.structural_term(self.structure)  # (P, H)
        y = self.norms[0](x)  # (A, d)
        x = x + self.within(y, None, term, layout)  # (A, d)
        x = x + self.forwards[0](self.norms[1](x))  # (A, d)
        if g is not None:  # not even the bias of an attention whose weights are all zero
            x = x + self.across(self.norms[2](x), g, None, layout)  # (A, d)
        out: Tensor = x + self.forwards[1](self.norms[3](x))  # (A, d)
        return out


def feed_forward(width: int) -> nn.Sequential:
    """Build two linear layers with a hidden width four times as large."""
    return nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))


class Attention(nn.Module):
    """Attention of H heads (Vaswani et al. 2017): among atoms with a structural term, or from atoms to tokens."""

    def __init__(self, width: int, heads: int, drop_key: float, term: Term = "before") -> None:
        super().__init__()
        self.heads, self.drop_key = heads, drop_key
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.factor = nn.Parameter(torch.tensor(1e-5)) if term == "after" else None  # the authors' initial value

    def forward(self, x: Tensor, tokens: Tensor | None, term: Tensor | None, layout: PackedLayout) -> Tensor:
        """Attend from atoms `x` (A, d) to `tokens` (B, T, d) or, without them, to each other: (A, d).

        `term` (P, H) is added to the scores of pairs of atoms.
        """
        q, k, v = (
            layer(x if tokens is None or layer is self.query else tokens)
            for layer in (self.query, self.key, self.value)
        )  # (A, d), or keys and values (B, T, d)
        queries = layout.split_groups(layout.scatter_atoms(q))  # (b, n, d) each
        if tokens is None:
            keys, values = (layout.split_groups(layout.scatter_atoms(t)) for t in (k, v))  # (b, n, d) each
        else:
            keys, values = (iter(torch.split(t, [b for b, _ in layout.groups])) for t in (k, v))  # (b, T, d) each
        terms = layout.split_pair_groups(term) if term is not None else iter([None] * len(layout.groups))
        mask = layout.atom_mask(q) if tokens is None else None
        masks = layout.split_groups(mask) if mask is not None else iter([None] * len(layout.groups))
        parts = [self._attend_group(*group) for group in zip(queries, keys, values, terms, masks, strict=True)]
        out: Tensor = self.out(layout.gather_atoms(torch.cat(parts)))  # (A, d)
        return out

    def _attend_group(self, q: Tensor, k: Tensor, v: Tensor, term: Tensor | None, mask: Tensor | None) -> Tensor:
        """Attend within a group: queries, keys, values (b, n, d), term (b, n, n, H), mask of keys (b, n); (b n, d)."""
        q, k, v = (t.view(*t.shape[:2], self.heads, -1).transpose(1, 2) for t in (q, k, v))  # (b, H, n or T, d/H)
        bias = term.permute(0, 3, 1, 2) if term is not None and self.factor is None else None  # (b, H, n, n)
        if self.training and self.drop_key:
            shape = (*q.shape[:3], k.shape[2])
            dropped = IGNORED * (torch.rand(shape, device=q.device) < self.drop_key).to(q.dtype)
            bias = dropped if bias is None else bias + dropped
        if mask is not None:
            empty = IGNORED * (1 - mask[:, None, None])  # (b, 1, 1, n)
            bias = empty if bias is None else bias + empty
        if self.factor is None or term is None:
            mixed = functional.scaled_dot_product_attention(q, k, v, bias)  # (b, H, n, d/H)
        else:
            scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
            weights = (scores if bias is None else scores + bias).softmax(dim=-1)
            scaled_term = self.factor * term.permute(0, 3, 1, 2)
            mixed = (weights + (scaled_term if mask is None else scaled_term * mask[:, None, None])) @ v
        return mixed.transpose(1, 2).flatten(2).flatten(0, 1)
