"""The network of ASUGNN (paper, section 3), to be read from top to bottom.

B crystals, N atoms of the largest of them, A atoms and P ordered pairs of atoms in all, d the width, H heads, T windows
of the powder pattern. The convolutions run over the A atoms and P pairs end to end, so their batch norms see nothing
else; attention and read-out run over crystals padded to N, under masks. Padding never reaches an atom.

Where the paper is silent the choices are: the perceptrons of G and of the structural term have one hidden layer; a
bias that cannot change the output (of keys under a softmax, or before a batch norm) is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Adjacency = Literal["asuam", "dam"]

NODE, ELEMENT, EDGE, ATOM, PATTERN = 106, 92, 12, 64, 140  # widths: of a node, its element, an edge, an atom, G

# Middle and spread of the columns 92.. of a node over crystals at large. They bring what runs to 1e4 to order one.
# fmt: off
MIDDLE = (0.5, 0.5, 0.5, 7.0, 7.0, 9.0, 90.0, 90.0, 95.0, 120.0, 20.0, 5.0, 400.0, 70.0)
SPREAD = (0.3, 0.3, 0.3, 4.0, 4.0, 5.0, 10.0, 10.0, 15.0, 75.0, 20.0, 5.0, 500.0, 40.0)
# fmt: on


class Network(nn.Module):
    """Maps a padded batch of embeddings to (B,) values.

    Parameters
    ----------
    adjacencies
        What the first and the second convolution see (Table 1: ASUAM, then DAM).
    width, heads, codecs
        d, H and the number of ASU-codec units.
    windows
        T, into how many stretches of angle the pattern is cut: the tokens of the cross-attention. It must divide 140.
    steps
        Steps of the read-out's LSTM.
    drop_key
        Probability with which a key is dropped in training (DropKey, Li et al. 2023).
    initial
        Standard deviation with which linear weights start; 0 for PyTorch's, which suits a narrow network better.
    """

    def __init__(
        self,
        *,
        adjacencies: tuple[Adjacency, Adjacency] = ("asuam", "dam"),
        width: int = 512,
        heads: int = 8,
        codecs: int = 2,
        windows: int = 14,
        steps: int = 3,
        drop_key: float = 1e-4,
        initial: float = 0.02,
    ) -> None:
        super().__init__()
        self.adjacencies = adjacencies
        self.atoms = Atoms()
        self.convolutions = nn.ModuleList([Convolution() for _ in adjacencies])
        self.widen = nn.Linear(ATOM, width)
        self.pattern = Pattern(width, windows)
        self.codecs = nn.ModuleList([Codec(width, heads, drop_key) for _ in range(codecs)])
        self.norm = nn.LayerNorm(width)
        self.readout = Set2Set(width, steps)
        self.head = nn.Sequential(nn.Linear(2 * width, 4 * width), nn.ReLU(), nn.Linear(4 * width, 1))
        for module in self.modules():
            if isinstance(module, nn.Linear) and initial:
                nn.init.normal_(module.weight, std=initial)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """`nodes` (B, N, 106), `asuam` and `dam` (B, N, N), `pxrd` (B, 140), `real` (B, N) to (B,)."""
        real = batch["real"]  # (B, N)
        pairs = Pairs(real)
        edges = {
            "asuam": asuam_edges(batch["asuam"].flatten().index_select(0, pairs.slot)),  # (P, 12)
            "dam": gaussians(batch["dam"].flatten().index_select(0, pairs.slot)),  # (P, 12)
        }
        x = self.atoms(batch["nodes"].flatten(0, 1).index_select(0, pairs.atom))  # (A, 64)
        for convolve, adjacency in zip(self.convolutions, self.adjacencies, strict=True):
            x = convolve(x, edges[adjacency], pairs)  # (A, 64)
        x = self.widen(x)  # (A, d)
        x = x.new_zeros(real.numel(), x.shape[-1]).index_copy(0, pairs.atom, x).view(*real.shape, -1)  # (B, N, d)
        g = self.pattern(batch["pxrd"])  # (B, T, d)
        for codec in self.codecs:
            x = codec(x, edges["asuam"], g, pairs)  # (B, N, d)
        crystal = self.readout(self.norm(x), real)  # (B, 2d)
        out: Tensor = self.head(crystal).squeeze(-1)  # (B,)
        return out


class Pairs:
    """Where the atoms and pairs of a batch are, from `real` (B, N), true for atoms and false for padding.

    atom
        (A,) places of the atoms among all B N.
    slot
        (P,) places of the pairs of atoms of one crystal among all B N N, an atom with itself included.
    centre, other
        (P,) the two atoms of each pair, counted among the A.
    """

    def __init__(self, real: Tensor) -> None:
        self.shape = (*real.shape, real.shape[1])  # (B, N, N)
        self.atom = real.flatten().nonzero().squeeze(1)
        both = real[:, :, None] & real[:, None, :]  # (B, N, N)
        self.slot = both.flatten().nonzero().squeeze(1)
        crystal, i, j = both.nonzero(as_tuple=True)  # (P,) each
        rank = real.flatten().cumsum(0).view_as(real) - 1  # (B, N)
        self.centre, self.other = rank[crystal, i], rank[crystal, j]


def gaussians(distance: Tensor) -> Tensor:
    """(...) distances in angstrom to (..., 12) Gaussians, centred from 0 to 8 and as wide as their spacing."""
    centres = torch.linspace(0, 8, EDGE, device=distance.device)
    return torch.exp(-(((distance[..., None] - centres) * (EDGE - 1) / 8) ** 2))


def asuam_edges(asuam: Tensor) -> Tensor:
    """(...) weights of the ASUAM to (..., 12): all ones within an orbit, else Gaussians of the distance 1/weight."""
    return torch.where(asuam[..., None] == 1, 1.0, gaussians(1 / asuam))


class Atoms(nn.Module):
    """Node values of any size to atoms: a fixed scale, then one linear layer."""

    middle: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("middle", torch.tensor((0.0,) * ELEMENT + MIDDLE), persistent=False)
        self.register_buffer("spread", torch.tensor((1.0,) * ELEMENT + SPREAD), persistent=False)
        self.linear = nn.Linear(NODE, ATOM)

    def forward(self, nodes: Tensor) -> Tensor:
        out: Tensor = self.linear((nodes - self.middle) / self.spread)  # (A, 64)
        return out


class Convolution(nn.Module):
    """A gated sum over all atoms of the crystal, itself included (Xie & Grossman 2018, equation 5)."""

    def __init__(self) -> None:
        super().__init__()
        # One linear layer of [x_i, x_j, e_ij], written as the sum of its three parts.
        self.centre = nn.Linear(ATOM, 2 * ATOM, bias=False)
        self.other = nn.Linear(ATOM, 2 * ATOM, bias=False)
        self.edge = nn.Linear(EDGE, 2 * ATOM, bias=False)
        self.pair_norm = nn.BatchNorm1d(2 * ATOM)
        self.sum_norm = nn.BatchNorm1d(ATOM)

    def forward(self, x: Tensor, edges: Tensor, pairs: Pairs) -> Tensor:
        centre, other = self.centre(x), self.other(x)  # (A, 128)
        z = centre.index_select(0, pairs.centre) + other.index_select(0, pairs.other) + self.edge(edges)  # (P, 128)
        gate, core = self.pair_norm(z).chunk(2, dim=-1)  # (P, 64) each
        message = torch.sigmoid(gate) * functional.softplus(core)  # (P, 64)
        total = message.new_zeros(x.shape).index_add(0, pairs.centre, message)  # (A, 64)
        out: Tensor = x + functional.softplus(self.sum_norm(total))  # (A, 64)
        return out


class Pattern(nn.Module):
    """The powder pattern as T tokens: one perceptron reads each window of it in its place, the rest blanked.

    With T = 1 the token is the authors', a perceptron of the whole pattern. But the softmax over one key is always 1,
    and their cross-attention cannot attend; with T > 1, "G serves as both V and K" (section 3) has a meaning.
    """

    windows: Tensor

    def __init__(self, width: int, windows: int) -> None:
        super().__init__()
        blocks = torch.eye(windows).repeat_interleave(PATTERN // windows, dim=1)  # (T, 140)
        self.register_buffer("windows", blocks, persistent=False)
        self.perceptron = nn.Sequential(nn.Linear(PATTERN, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, pxrd: Tensor) -> Tensor:
        share = pxrd * PATTERN  # (B, 140), 1 on average
        out: Tensor = self.perceptron(share[:, None] * self.windows)  # (B, T, d)
        return out


class Codec(nn.Module):
    """An ASU-codec unit (figure 2b): the encoder over the atoms, the decoder from the atoms to the pattern."""

    def __init__(self, width: int, heads: int, drop_key: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(4)])
        # A bias for all pairs of a head alike would not outlive the softmax.
        self.structure = nn.Sequential(nn.Linear(EDGE, EDGE), nn.GELU(), nn.Linear(EDGE, heads, bias=False))
        self.within = Attention(width, heads, drop_key)
        self.across = Attention(width, heads, drop_key)
        self.forwards = nn.ModuleList([feed_forward(width) for _ in range(2)])

    def forward(self, x: Tensor, edges: Tensor, g: Tensor, pairs: Pairs) -> Tensor:
        structure = self.structure(edges)  # (P, H)
        # After the softmax -1e9 is exactly 0, and rows of padding stay finite.
        term = x.new_full((math.prod(pairs.shape), structure.shape[-1]), -1e9)  # (B N N, H)
        term = term.index_copy(0, pairs.slot, structure.to(term.dtype)).view(*pairs.shape, -1)  # (B, N, N, H)
        y = self.norms[0](x)  # (B, N, d)
        x = x + self.within(y, y, term.permute(0, 3, 1, 2))  # (B, N, d)
        x = x + self.forwards[0](self.norms[1](x))  # (B, N, d)
        x = x + self.across(self.norms[2](x), g, None)  # (B, N, d)
        out: Tensor = x + self.forwards[1](self.norms[3](x))  # (B, N, d)
        return out


def feed_forward(width: int) -> nn.Sequential:
    """Two linear layers, four times as wide between."""
    return nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))


class Attention(nn.Module):
    """Attention of H heads (Vaswani et al. 2017) with a term that is added before the softmax."""

    def __init__(self, width: int, heads: int, drop_key: float) -> None:
        super().__init__()
        self.heads, self.drop_key = heads, drop_key
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, source: Tensor, term: Tensor | None) -> Tensor:
        q, k, v = (
            layer(of).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, N or T, d/H)
            for layer, of in ((self.query, x), (self.key, source), (self.value, source))
        )
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5  # (B, H, N, N or T)
        if term is not None:
            scores = scores + term
        if self.training and self.drop_key:
            # Not minus infinity: where every key is dropped, all are kept.
            scores = scores - 1e9 * (torch.rand_like(scores) < self.drop_key)
        mixed = scores.softmax(dim=-1) @ v  # (B, H, N, d/H)
        out: Tensor = self.out(mixed.transpose(1, 2).flatten(-2))  # (B, N, d)
        return out


class Set2Set(nn.Module):
    """The paper's pooling "based on long short-term memory, a weighted summation": Vinyals et al. 2016.

    The order of the atoms plays no part in it, as it would in the authors' recurrent network over atoms.
    """

    def __init__(self, width: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.lstm = nn.LSTMCell(2 * width, width)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        q, memory = (x.new_zeros(x.shape[0], x.shape[-1]) for _ in range(2))  # (B, d)
        pooled = x.new_zeros(x.shape[0], 2 * x.shape[-1])  # (B, 2d)
        for _ in range(self.steps):
            q, memory = self.lstm(pooled, (q, memory))
            scores = torch.einsum("bnd,bd->bn", x, q).masked_fill(~real, -torch.inf)  # (B, N)
            pooled = torch.cat([q, torch.einsum("bn,bnd->bd", scores.softmax(dim=-1), x)], dim=-1)  # (B, 2d)
        return pooled
