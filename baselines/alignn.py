"""ALIGNN: messages along bonds, and along the angles between them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from asugnn import Crystal
from asugnn.cache import Inputs
from asugnn.crystal import Ints
from asugnn.elements import check_elements, element_values
from asugnn.neighbours import Neighbours, bind_or_refuse, nearest_neighbours
from asugnn.torch_model import TorchModel, flat_batch

if TYPE_CHECKING:
    from torch import nn


@dataclass
class ALIGNN(TorchModel):
    """Atomistic Line Graph Neural Network (Choudhary & DeCost, npj Comput. Mater. 7, 185, 2021), by alignn.

    The network is alignn's, with the batch norms of the publication, on whole shells of neighbours and each bond
    once in each direction; the quick preset is a quarter as wide and half as deep. An atom without a neighbour within
    `radius` is bound to its nearest shell. Supports hydrogen to fermium.
    """

    neighbours: int = 12  # nearest neighbours of an atom; the last one's shell is kept whole
    radius: float = 8.0  # angstrom: atoms farther away are not neighbours
    width: int = 256
    alignn_layers: int = 4
    gcn_layers: int = 4

    epochs: int = 300
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    one_cycle: bool = True
    patience: int = 1000  # no early stopping: one cycle of the learning rate is best at its end

    # quick: chosen on validation sides of open-dft, where formation energy takes 51 seconds on two cores.
    # hours: the published network; on the 23,100 crystals of mp-2018, one epoch in three hours of one core.
    # paper: the fields as they stand above.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {
            "width": 64,
            "alignn_layers": 2,
            "gcn_layers": 2,
            "epochs": 18,
            "updates": 2000,
            "batch_size": 32,
            "learning_rate": 1e-2,
        },
        "hours": {"epochs": 5, "updates": 1000, "batch_size": 32, "learning_rate": 2e-3},
        "paper": {},
    }
    requires: ClassVar[tuple[str, ...]] = ("torch", "safetensors", "alignn", "jarvis", "pymatgen")
    invariances: ClassVar[frozenset[str]] = frozenset(
        {"rotation", "translation", "atom order", "cell choice", "supercell"}
    )
    input_fields: ClassVar[tuple[str, ...]] = ("neighbours", "radius")

    def inputs(self, crystal: Crystal) -> Inputs:
        check_elements(crystal, "ALIGNN")
        pairs = nearest_neighbours(crystal, self.neighbours, self.radius)
        pairs = pairs_both_ways(bind_or_refuse(crystal, pairs, self.radius, True, "ALIGNN"))
        return {
            "numbers": crystal.numbers.astype(np.int32),  # (n,)
            "source": pairs.centre.astype(np.int32),  # (m,)
            "target": pairs.other.astype(np.int32),  # (m,)
            "bonds": pairs.vectors(crystal).astype(np.float32),  # (m, 3) from source to target
        }

    def batch(self, inputs: Sequence[Inputs]) -> Mapping[str, Any]:
        import torch

        batch = flat_batch(inputs, "numbers", index=("source", "target"))
        first, second = line_graph(batch["source"].numpy(), batch["target"].numpy(), len(batch["numbers"]))
        return batch | {"first": torch.from_numpy(first), "second": torch.from_numpy(second)}

    def network(self) -> nn.Module:
        return _network(self)


def pairs_both_ways(pairs: Neighbours) -> Neighbours:
    """List each pair in both directions, once: b may be among a's nearest where a is not among b's."""
    forward = np.column_stack([pairs.centre, pairs.other, pairs.image])
    backward = np.column_stack([pairs.other, pairs.centre, -pairs.image])
    rows, index = np.unique(np.concatenate([forward, backward]), axis=0, return_index=True)
    return Neighbours(rows[:, 0], rows[:, 1], rows[:, 2:], pairs.distance[index % len(pairs)])


def line_graph(source: Ints, target: Ints, atoms: int) -> tuple[Ints, Ints]:
    """List the pairs of bonds (i to j, j to k), including those back to i: the first (t,) and second bond (t,) of each.

    `source` (m,), the atoms i, must be sorted; `target` (m,) are the atoms j of the bonds.
    """
    start = np.searchsorted(source, np.arange(atoms + 1))  # where the bonds that leave an atom begin
    count = (start[1:] - start[:-1])[target]  # (m,) bonds that follow each bond
    first = np.repeat(np.arange(len(source)), count)
    following = np.arange(len(first)) - np.repeat(np.cumsum(count) - count, count)  # (t,) 0, 1, ... for each bond
    return first, start[target[first]] + following


def _network(model: ALIGNN) -> nn.Module:
    import torch
    from torch import Tensor, nn

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pydantic's, of alignn's settings
        from alignn.models.alignn_atomwise_pure import ALIGNNAtomWisePure, ALIGNNAtomWisePureConfig
        from alignn.torch_graph_builder import TorchGraph

    network = ALIGNNAtomWisePure(
        ALIGNNAtomWisePureConfig(
            name="alignn_atomwise_pure",
            alignn_layers=model.alignn_layers,
            gcn_layers=model.gcn_layers,
            atom_input_features=92,
            edge_input_features=80,
            triplet_input_features=40,
            embedding_features=64,
            hidden_features=model.width,
            calculate_gradient=False,  # of the energy by the positions: forces
            gradwise_weight=0.0,
            use_penalty=False,
            use_zbl=False,
            energy_mult_natoms=False,
            lg_on_fly=False,
        )
    )
    for module in list(network.modules()):  # the package moved on to layer norms; the publication has batch norms
        for name, child in module.named_children():
            if isinstance(child, nn.LayerNorm):
                setattr(module, name, nn.BatchNorm1d(child.normalized_shape[0]))

    class Network(nn.Module):
        elements: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.alignn = network
            self.register_buffer("elements", torch.tensor(element_values(), dtype=torch.float32), persistent=False)

        def forward(self, batch: Mapping[str, Any]) -> Tensor:
            bonds, first, second = batch["bonds"], batch["first"], batch["second"]
            unit = nn.functional.normalize(bonds, dim=1)
            cosine = -(unit[first] * unit[second]).sum(dim=1)  # (t,) of the angle at the atom between
            atoms = torch.bincount(batch["crystal"], minlength=batch["size"])
            g = TorchGraph(
                num_nodes=len(batch["numbers"]),
                src=batch["source"],
                dst=batch["target"],
                ndata={"atom_features": self.elements[batch["numbers"]]},
                edata={"r": bonds},
                batch_num_nodes=atoms,
            )
            lines = TorchGraph(num_nodes=len(bonds), src=first, dst=second, edata={"h": cosine})
            y: Tensor = self.alignn((g, lines, None))["out"]
            return y

    return Network()
