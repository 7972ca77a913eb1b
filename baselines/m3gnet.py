"""M3GNet: bonds updated by the angles between them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from asugnn import Crystal
from asugnn.cache import Inputs
from asugnn.published_weights import PublishedWeights
from asugnn.torch_model import TorchModel, flat_batch
from baselines._matgl import (
    ELEMENTS,
    element_index,
    exchange_atoms,
    import_matgl_models,
    matgl_neighbours,
    published_by_matgl,
    read_saved_model,
)

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass
class M3GNet(TorchModel):
    """Three-body materials graph network (Chen & Ong, Nat. Comput. Sci. 2, 718, 2022), by matgl.

    The network is matgl's for intensive properties, with its set2set read-out, on whole shells of neighbours. An atom
    without a neighbour within `cutoff` is bound to its nearest shell. Supports hydrogen to plutonium except Po, At, Rn,
    Fr and Ra.
    """

    cutoff: float = 5.0  # angstrom
    threebody_cutoff: float = 4.0  # angstrom: longest bonds that form angles
    blocks: int = 3
    width: int = 64
    bind: bool = True  # bind an atom without a neighbour within `cutoff` to its nearest shell
    as_2023: bool = False  # sum messages as matgl did when its published weights were trained

    one_cycle: bool = True
    patience: int = 1000  # no early stopping

    # quick: chosen on validation sides of open-dft, where formation energy takes 38 seconds on two cores.
    # hours: the published network; on the 23,100 crystals of mp-2018, eight epochs in two hours of one core.
    # paper: the training of the paper's code, for properties.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {
            "width": 32,
            "epochs": 24,
            "updates": 4000,
            "batch_size": 32,
            "learning_rate": 3e-3,
            "weight_decay": 2.0,
        },
        "hours": {"epochs": 10, "updates": 3000, "batch_size": 64, "learning_rate": 2e-3},
        "paper": {"epochs": 1000, "batch_size": 128, "learning_rate": 1e-3, "one_cycle": False, "patience": 500},
    }
    clip: ClassVar[float | None] = 10.0
    requires: ClassVar[tuple[str, ...]] = ("torch", "safetensors", "matgl", "torch_geometric", "pymatgen")
    invariances: ClassVar[frozenset[str]] = frozenset(
        {"rotation", "translation", "atom order", "cell choice", "supercell"}
    )
    input_fields: ClassVar[tuple[str, ...]] = ("cutoff", "bind")
    weights: ClassVar[Mapping[str, PublishedWeights]] = {
        "M3GNet-MP-2018.6.1-Eform": published_by_matgl(
            "M3GNet-MP-2018.6.1-Eform",
            "166d4dba4aadbc5feb27e8aa047145facbcdadb9c5de067768e00515be3b3c1f",
            "a99ca70012706a09434617a793556bbd100423dafaa9f9ebb8708fd20e226575",
            "formation-energy",
            "Materials Project of June 2018, 62,315 crystals",
        )
    }

    def inputs(self, crystal: Crystal) -> Inputs:
        pairs = matgl_neighbours(crystal, self.cutoff, self.bind, "M3GNet")
        return {
            "elements": element_index(crystal, "M3GNet"),  # (n,)
            "centre": pairs.centre.astype(np.int32),  # (m,)
            "other": pairs.other.astype(np.int32),  # (m,)
            "bonds": pairs.vectors(crystal).astype(np.float32),  # (m, 3)
        }

    def batch(self, inputs: Sequence[Inputs]) -> Mapping[str, Any]:
        return flat_batch(inputs, "elements", index=("centre", "other"))

    def network(self) -> nn.Module:
        from torch import nn

        network = import_matgl_models().M3GNet(
            element_types=ELEMENTS,
            cutoff=self.cutoff,
            threebody_cutoff=self.threebody_cutoff,
            nblocks=self.blocks,
            units=self.width,
            dim_node_embedding=self.width,
            dim_edge_embedding=self.width,
            is_intensive=True,
            readout_type="set2set",
        )
        if self.as_2023:
            sum_as_of_2023(network)

        class Network(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.m3gnet = network

            def forward(self, batch: Mapping[str, Any]) -> Tensor:
                return network_outputs(self.m3gnet, batch)

        return Network()

    @classmethod
    def pretrained(cls, files: Mapping[str, Path]) -> Self:
        """Load a model in matgl's format, such as those it published; raises `InputError` where it cannot be read."""
        saved = read_saved_model(files, "M3GNet", cls.weights)
        settings = saved.settings
        model = cls(
            cutoff=settings["cutoff"],
            threebody_cutoff=settings["threebody_cutoff"],
            blocks=settings["nblocks"],
            width=settings["units"],
            bind=False,
            as_2023=saved.before_3,
        )
        renewed = renew_weights(saved.weights, settings, saved.before_3)
        weights = cutoff_constants(model.network()) | {f"m3gnet.{name}": value for name, value in renewed.items()}
        return model.with_weights(weights, "regression", saved.mean, saved.scale)


def network_outputs(network: nn.Module, batch: Mapping[str, Any]) -> Tensor:
    """Apply a network of matgl to a batch of `M3GNet`: outputs (crystals,)."""
    import torch
    from matgl.graph._compute import create_line_graph_torch

    g, bonds = matgl_graph(batch, batch["bonds"]), batch["bonds"]
    # The forward pass would build the line graph itself, but atom by atom in Python.
    cutoff = network.threebody_cutoff
    lines = create_line_graph_torch(g.edge_index, torch.norm(bonds, dim=1), bonds, len(g.pos), cutoff)
    y: Tensor = network(g, l_g=lines)
    return y.view(-1)  # matgl drops the axis of a batch of one


def cutoff_constants(network: nn.Module) -> dict[str, Tensor]:
    """Select the cutoffs in the state of a network: the published weights were saved without them."""
    return {name: value for name, value in network.state_dict().items() if name.endswith("cutoff")}


def matgl_graph(batch: Mapping[str, Any], bonds: Any) -> SimpleNamespace:
    """Build what matgl's networks read of a graph; `bonds` is (m, 3), in angstrom from centre to neighbour.

    Every atom is put at the origin and its neighbours at the ends of its bonds: the networks see differences alone.
    """
    import torch

    return SimpleNamespace(
        node_type=batch["elements"],
        pos=bonds.new_zeros(len(batch["elements"]), 3),
        pbc_offshift=bonds,
        edge_index=torch.stack([batch["centre"], batch["other"]]).long(),  # converted here once, not at every use
        batch=batch["crystal"],
        num_graphs=batch["size"],
    )


def renew_weights(weights: Mapping[str, Tensor], settings: Mapping[str, Any], before_3: bool) -> dict[str, Tensor]:
    """Convert saved weights for the current network; those `before_3` get the two atoms of a bond exchanged."""
    renewed = {name.replace("readout.set2set.lstm.", "readout.lstm."): value for name, value in weights.items()}
    if before_3:
        for name, value in renewed.items():
            if re.search(r"conv\.(edge|node)_update_func\.(layers|gates)\.0\.weight", name):
                renewed[name] = exchange_atoms(value, settings["dim_node_embedding"])
    return renewed


def sum_as_of_2023(network: nn.Module) -> None:
    """Make a network of matgl sum its messages where version 0.8.0 did.

    The message of a bond went to the atom at its end; its weights need `exchange_atoms`. The message of two bonds went
    to the second bond and used that one's length and end atom; since version 0.8.4, in which the order of the triples
    changed, it goes to the first.
    """
    from torch import nn

    class ThreeBody(nn.Module):
        """Equations 2 and 3 of the paper, as version 0.8.0 computed them."""

        def __init__(self, layer: Any) -> None:
            super().__init__()
            self.update_network_atom, self.update_network_bond = layer.update_network_atom, layer.update_network_bond

        def forward(self, end: Tensor, pairs: Tensor, _: Any, bonds: int, basis: Tensor, cutoff: Tensor,
                    atoms: Tensor, x: Tensor) -> Tensor:  # fmt: skip
            first, second = pairs.long()
            gate = self.update_network_atom(atoms)[end[second].long()]
            message = basis * gate * (cutoff[first] * cutoff[second])[:, None]  # (t, basis)
            total = message.new_zeros(bonds, message.shape[1]).index_add(0, second, message)
            y: Tensor = x + self.update_network_bond(total.to(x.dtype))
            return y

    def swap_edge_ends(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        return arguments[0].flip(0), *arguments[1:]

    layers: Any = network
    layers.three_body_interactions = nn.ModuleList(ThreeBody(layer) for layer in layers.three_body_interactions)
    for block in layers.graph_layers:
        block.conv.register_forward_pre_hook(swap_edge_ends)
