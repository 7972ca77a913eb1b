"""The read-outs of ASUGNN's network (paper, section 3): from the atoms of each crystal to one vector.

A atoms of B crystals, d the width; see `asugnn.network`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asugnn.packed_batch import PackedLayout


class Set2Set(nn.Module):
    """The paper's pooling "based on long short-term memory, a weighted summation": Vinyals et al. 2016.

    It does not depend on the order of the atoms, unlike the authors' recurrent network over atoms.
    """

    def __init__(self, width: int, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.lstm = nn.LSTMCell(2 * width, width)

    def forward(self, x: Tensor, layout: PackedLayout, count: Tensor | None = None) -> Tensor:
        """Pool atoms (A, d) to crystals (B, 2d); `count` (A,) is the logarithm of how many atoms a row stands for."""
        with torch.autocast(x.device.type, enabled=False):
            q, memory = (t.repeat(layout.crystals, 1) for t in self._first_step())  # (B, d)
            pooled = self._pool(x, q, layout, count)
            for _ in range(1, self.steps):
                q, memory = self.lstm(pooled, (q, memory))
                pooled = self._pool(x, q, layout, count)
        return pooled

    def _pool(self, x: Tensor, q: Tensor, layout: PackedLayout, count: Tensor | None) -> Tensor:
        """Join queries q (B, d) with the sums of atoms x (A, d) by their likeness to them: (B, 2d)."""
        scores = (x * q.index_select(0, layout.crystal)).sum(-1)  # (A,)
        scores = scores if count is None else scores + count
        return torch.cat([q, weighted_sum(x, scores, layout)], dim=-1)

    def _first_step(self) -> tuple[Tensor, Tensor]:
        """Output and memory (d,) of the first step, whose inputs are zero and leave only biases."""
        enter, _, new, leave = (self.lstm.bias_ih + self.lstm.bias_hh).chunk(4)
        memory = torch.sigmoid(enter) * torch.tanh(new)
        return torch.sigmoid(leave) * torch.tanh(memory), memory


class Recurrent(nn.Module):
    """The authors' read-out: a bidirectional recurrent network over the atoms, then a weighted sum of its outputs.

    Here it ends with the crystal's last atom; theirs continues through the padding.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gru = nn.GRU(width, width, bidirectional=True)
        self.weight = nn.Linear(2 * width, 1, bias=False)

    def forward(self, x: Tensor, layout: PackedLayout, count: Tensor | None = None) -> Tensor:
        """Pool atoms (A, d) to crystals (B, 2d); a row stands for one atom, so there is no `count`."""
        assert count is None
        with torch.autocast(x.device.type, enabled=False):
            crystals = torch.split(x, torch.bincount(layout.crystal).tolist())
            states, _ = self.gru(nn.utils.rnn.pack_sequence(list(crystals), enforce_sorted=False))
            y = torch.cat(nn.utils.rnn.unpack_sequence(states))  # (A, 2d)
            return weighted_sum(y, self.weight(y).squeeze(-1), layout)  # (B, 2d)


def weighted_sum(x: Tensor, scores: Tensor, layout: PackedLayout) -> Tensor:
    """Sum atoms `x` (A, F) over each crystal, weighted by the softmax of their `scores` (A,): (B, F)."""
    highest = scores.detach().new_full((layout.crystals,), -torch.inf)
    highest = highest.scatter_reduce(0, layout.crystal, scores.detach(), "amax")
    share = torch.exp(scores - highest.index_select(0, layout.crystal))  # (A,)
    total = share.new_zeros(layout.crystals).index_add(0, layout.crystal, share)
    share = share / total.index_select(0, layout.crystal)
    return x.new_zeros(layout.crystals, x.shape[-1]).index_add(0, layout.crystal, x * share[:, None])
