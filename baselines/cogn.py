"""coGN: messages by a deep perceptron along many bonds, on one atom of each orbit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from asugnn import Crystal
from asugnn.cache import Inputs
from asugnn.elements import check_elements, element_values
from asugnn.merging import MergedGraph, mean_over_atoms, merge_equivalent, merged_batch
from asugnn.model import INVARIANCES, Publication
from asugnn.neighbours import bind_or_refuse, nearest_neighbours, shell_weights
from asugnn.torch_model import TorchModel

if TYPE_CHECKING:
    import torch
    from torch import nn

REACH = 8.0  # angstrom: up to here distances are expanded in Gaussians


@dataclass
class CoGN(TorchModel):
    """Connectivity-optimised graph network (Ruff et al., Digital Discovery 3, 594, 2024).

    The network and its sizes are the published ones; the original is written for TensorFlow. Here an element is a
    learnt vector beside the table of values of CGCNN, instead of mass, radius, electronegativity, ionisation energy and
    oxidation states. The shell of the last neighbour is kept whole and shares the weight that the closer ones leave.
    Equivalent atoms are computed once, as in the original those of an orbit. Supports hydrogen to fermium.
    """

    neighbours: int = 24  # nearest neighbours of an atom
    radius: float = 12.0  # angstrom: atoms farther away are not neighbours
    width: int = 128
    blocks: int = 5
    depth: int = 5  # layers of the perceptron of a message
    bins: int = 32  # Gaussians of a distance

    loss: Literal["mse", "l1"] = "l1"
    one_cycle: bool = True
    patience: int = 1000  # no early stopping

    # hours: the published network; on the 23,100 crystals of mp-2018, an hour and a half of one core.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"width": 64, "blocks": 3, "depth": 3, "epochs": 40, "updates": 2000, "batch_size": 32},
        "hours": {"epochs": 48, "batch_size": 64, "learning_rate": 2e-3},
        "paper": {"epochs": 800, "batch_size": 64, "learning_rate": 5e-4, "one_cycle": False},
    }
    clip: ClassVar[float | None] = 1.0  # without it a training diverged
    publication: ClassVar[Publication] = Publication(
        "Ruff, Reiser, Stühmer & Friederich, Digital Discovery 3, 594 (2024)",
        "10.1039/D4DD00018H",
        "https://github.com/aimat-lab/coGN",
        "MIT, as part of kgcnn (github.com/aimat-lab/gcnn_keras)",
    )
    requires: ClassVar[tuple[str, ...]] = ("torch", "safetensors", "jarvis", "pymatgen")
    invariances: ClassVar[frozenset[str]] = INVARIANCES
    input_fields: ClassVar[tuple[str, ...]] = ("neighbours", "radius")
    input_version: ClassVar[int] = 1
    batch_on_device: ClassVar[bool] = True

    def inputs(self, crystal: Crystal) -> Inputs:
        check_elements(crystal, "coGN")
        graph = self.graph(crystal)
        return {"numbers": crystal.numbers[graph.atom].astype(np.int32), **graph.arrays()}

    def graph(self, crystal: Crystal) -> MergedGraph:
        """Find the nearest neighbours in a crystal, and merge equivalent atoms and pairs.

        An atom without a neighbour within `radius` is bound to its nearest shell.
        """
        pairs = nearest_neighbours(crystal, self.neighbours, self.radius)
        pairs = bind_or_refuse(crystal, pairs, self.radius, True, "coGN")
        return merge_equivalent(crystal.numbers, pairs, shell_weights(pairs, self.neighbours))

    def batch(self, inputs: Sequence[Inputs]) -> Mapping[str, Any]:
        return merged_batch(inputs, "numbers")

    def network(self) -> nn.Module:
        return _network(self)

    def schedule(self, optimiser: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler | None:
        import torch

        if self.one_cycle:
            return super().schedule(optimiser, steps)
        # The published one falls in a line to a hundredth.
        return torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, total_iters=steps)


def _network(model: CoGN) -> nn.Module:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional

    class Block(nn.Module):
        """A message along each bond, from its length and its two atoms; their sum changes the atom."""

        def __init__(self) -> None:
            super().__init__()
            width = model.width
            self.first = nn.Linear(3 * width, width)  # of [bond, atom at the centre, its neighbour]
            self.message = nn.Sequential(
                nn.SiLU(), *(layer for _ in range(model.depth - 1) for layer in (nn.Linear(width, width), nn.SiLU()))
            )
            self.update = nn.Sequential(nn.Linear(width, width), nn.SiLU())

        def forward(self, x: Tensor, bond: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
            # The linear map of the three is a sum of three, of which two are computed once for an atom.
            w_bond, w_centre, w_other = torch.split(self.first.weight, model.width, dim=1)
            z = functional.linear(bond, w_bond, self.first.bias)  # (e, F)
            z = z + functional.linear(x, w_centre).index_select(0, batch["centre"])
            z = z + functional.linear(x, w_other).index_select(0, batch["other"])
            message = self.message(z).to(x.dtype) * batch["weight"][:, None]  # (e, F)
            total = torch.zeros_like(x).index_add(0, batch["centre"], message)  # (k, F)
            out: Tensor = x + self.update(total)
            return out

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.elements: Tensor
            values = torch.tensor(element_values(), dtype=torch.float32)  # by atomic number
            self.register_buffer("elements", values, persistent=False)
            spacing = REACH / model.bins
            self.register_buffer("centres", spacing * torch.arange(1, model.bins + 1), persistent=False)
            self.wide = 2 * spacing  # twice the variance
            self.learnt = nn.Embedding(len(values), 64)
            self.atom = nn.Linear(64 + values.shape[1], model.width)
            self.bond = nn.Linear(model.bins, model.width)
            self.blocks = nn.ModuleList(Block() for _ in range(model.blocks))
            self.head = nn.Linear(model.width, 1)

        def forward(self, batch: Mapping[str, Any]) -> Tensor:
            numbers, multiplicity = batch["numbers"].long(), batch["multiplicity"]  # (k,)
            elements = torch.cat([self.learnt.weight, self.elements], dim=1)
            x = self.atom(elements).to(multiplicity.dtype).index_select(0, numbers)  # (k, F), never in half precision
            gaussians = torch.exp(-((batch["distance"][:, None] - self.centres) ** 2) / self.wide)  # (e, 32)
            bond = self.bond(gaussians)  # (e, F)
            for block in self.blocks:
                x = block(x, bond, batch)
            y: Tensor = self.head(mean_over_atoms(x, batch))  # (crystals, 1)
            return y[:, 0]

    return Network()
