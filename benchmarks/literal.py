"""ASUGNN written as in the paper, without regard to speed: the reference in tests and benchmarks of the fast network.

Every crystal is padded to the same number of atoms (220 in the authors' code), every pair has its 140 inputs, and masks
exclude the padding. The parameters are those of `asugnn.network.Network`. Two faults of the authors' code can be
switched on, to see their effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from asugnn.network import EDGES, Network

PADDED_ATOMS = 220  # per crystal, as in the authors' code


def pad_batch(inputs: Sequence[Mapping[str, NDArray[Any]]], n: int = PADDED_ATOMS) -> dict[str, Tensor]:
    """Pad embeddings to n atoms: `nodes` (B, n, 106), `asuam`, `dam` and `same_orbit` (B, n, n), `pxrd` (B, 140).

    `real` (B, n) is true for atoms and false for padding.
    """
    sizes = np.array([len(x["nodes"]) for x in inputs])
    same_orbit = np.zeros((len(inputs), n, n), dtype=bool)
    for mask, x in zip(same_orbit, inputs, strict=True):
        mask[: len(x["orbits"]), : len(x["orbits"])] = x["orbits"][:, None] == x["orbits"]
    shapes = {"nodes": (n, inputs[0]["nodes"].shape[1]), "asuam": (n, n), "dam": (n, n), "pxrd": (140,)}
    batch = {name: np.zeros((len(inputs), *shape), dtype=np.float32) for name, shape in shapes.items()}
    for name, array in batch.items():
        for i, x in enumerate(inputs):
            array[i][tuple(slice(k) for k in x[name].shape)] = x[name]
    masks = {"same_orbit": same_orbit, "real": np.arange(n) < sizes[:, None]}
    return {k: torch.from_numpy(v) for k, v in {**batch, **masks}.items()}


class Literal(nn.Module):
    """A `Network` with the same settings, computed as the formulas are written.

    Parameters
    ----------
    norms_see_padding
        As the authors' batch norms do, so that predictions depend on the number 220.
    readout_sees_padding
        As the authors' recurrent read-out does; only with `readout="recurrent"`.
    options
        Of `Network`.
    """

    def __init__(self, *, norms_see_padding: bool = False, readout_sees_padding: bool = False, **options: Any) -> None:
        super().__init__()
        self.norms_see_padding, self.readout_sees_padding = norms_see_padding, readout_sees_padding
        self.network = Network(**options)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Map a batch of `pad_batch` to values (B,)."""
        net, real = self.network, batch["real"]  # (B, N)
        both = real[:, :, None] & real[:, None]  # (B, N, N)
        edges = {name: edge(batch) for name, edge in EDGES.items()}  # (B, N, N, 12)
        x = net.atoms.linear((batch["nodes"] - net.atoms.middle) / net.atoms.spread)  # (B, N, 64)
        for layer, adjacency in zip(net.convolutions, net.adjacencies, strict=True):
            e = edges[adjacency]
            n = x.shape[1]
            pair = torch.cat([x[:, :, None].expand(-1, -1, n, -1), x[:, None].expand(-1, n, -1, -1), e], dim=-1)
            z = self._norm(layer.pair_norm, layer.pair(pair), both)  # (B, N, N, 128)
            gate, core = z.chunk(2, dim=-1)
            message = torch.sigmoid(gate) * functional.softplus(core) * both[..., None]  # (B, N, N, 64)
            x = x + functional.softplus(self._norm(layer.sum_norm, message.sum(2), real))  # (B, N, 64)
        x = net.widen(x)  # (B, N, d)
        g = net.pattern(batch["pxrd"])  # (B, T, d)
        keys = both | torch.eye(
            real.shape[1], dtype=torch.bool
        )  # padding attends to itself, so that its softmax is finite
        for codec in net.codecs:
            y = codec.norms[0](x)
            x = x + self._attend(codec.within, y, y, codec.structure(edges["asuam"]), keys)
            x = x + codec.forwards[0](codec.norms[1](x))
            if net.xrd:
                x = x + self._attend(codec.across, codec.norms[2](x), g, None, None)
            x = x + codec.forwards[1](codec.norms[3](x))
        x = net.norm(x)
        crystal = self._set2set(x, real) if hasattr(net.readout, "lstm") else self._recurrent(x, real)  # (B, 2d)
        out: Tensor = net.head(crystal).squeeze(-1)
        return out

    def _norm(self, norm: nn.Module, z: Tensor, real: Tensor) -> Tensor:
        """Normalise z (..., F) over the `real` places, or over all with `norms_see_padding`."""
        if self.norms_see_padding:
            out: Tensor = norm(z.flatten(0, -2)).view_as(z)
            return out
        return torch.zeros_like(z).index_put(torch.where(real), norm(z[real]))

    def _attend(self, a: Any, x: Tensor, source: Tensor, term: Tensor | None, keys: Tensor | None) -> Tensor:
        """Attend from x (B, N, d) to `source`, with a `term` (B, N, N, H) before the softmax or, scaled, after it."""
        q, k, v = (
            layer(values).unflatten(-1, (a.heads, -1)).transpose(1, 2)
            for layer, values in ((a.query, x), (a.key, source), (a.value, source))
        )  # (B, H, N or T, d/H)
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5  # (B, H, N, N or T)
        if term is not None and a.factor is None:
            scores = scores + term.permute(0, 3, 1, 2)
        if keys is not None:
            scores = scores.masked_fill(~keys[:, None], -torch.inf)
        if self.training and a.drop_key:
            scores = scores - 1e9 * (torch.rand_like(scores) < a.drop_key)
        weights = scores.softmax(dim=-1)
        if term is not None and a.factor is not None and keys is not None:
            weights = weights + a.factor * term.permute(0, 3, 1, 2) * keys[:, None]
        out: Tensor = a.out((weights @ v).transpose(1, 2).flatten(2))
        return out

    def _set2set(self, x: Tensor, real: Tensor) -> Tensor:
        readout: Any = self.network.readout
        q, memory = (x.new_zeros(x.shape[0], x.shape[-1]) for _ in range(2))  # (B, d)
        pooled = x.new_zeros(x.shape[0], 2 * x.shape[-1])  # (B, 2d)
        for _ in range(readout.steps):
            q, memory = readout.lstm(pooled, (q, memory))
            scores = torch.einsum("bnd,bd->bn", x, q).masked_fill(~real, -torch.inf)  # (B, N)
            pooled = torch.cat([q, torch.einsum("bn,bnd->bd", scores.softmax(dim=-1), x)], dim=-1)  # (B, 2d)
        return pooled

    def _recurrent(self, x: Tensor, real: Tensor) -> Tensor:
        readout: Any = self.network.readout
        if self.readout_sees_padding:
            y, _ = readout.gru(x.transpose(0, 1))
            scores = readout.weight(y).squeeze(-1)  # (N, B)
            return torch.einsum("nb,nbd->bd", scores.softmax(dim=0), y)
        sums = []
        for atoms, mask in zip(x, real, strict=True):
            y, _ = readout.gru(atoms[mask])
            sums.append(readout.weight(y).squeeze(-1).softmax(dim=0) @ y)
        return torch.stack(sums)  # (B, 2d)
