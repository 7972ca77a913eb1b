"""MEGNet: messages between bonds, atoms and the state of the whole crystal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from asugnn import Crystal
from asugnn.cache import Inputs
from asugnn.merging import MergedGraph, merge_equivalent, merged_batch
from asugnn.model import INVARIANCES, Publication
from asugnn.published_weights import PublishedWeights
from asugnn.reading import reading
from asugnn.torch_model import TorchModel
from baselines._matgl import (
    ELEMENTS,
    element_index,
    exchange_atoms,
    import_matgl_models,
    linear_of_parts,
    matgl_neighbours,
    published_by_matgl,
    read_saved_model,
    set2set,
    weights_folder,
)

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass
class MEGNet(TorchModel):
    """MatErials Graph Network (Chen et al., Chem. Mater. 31, 3564, 2019), by matgl.

    The network is matgl's with its published sizes, on whole shells of neighbours; equivalent atoms are computed once.
    An atom without a neighbour within `cutoff` is bound to its nearest shell. Supports hydrogen to plutonium except Po,
    At, Rn, Fr and Ra.
    """

    cutoff: float = 4.0  # angstrom
    blocks: int = 3
    bind: bool = True  # bind an atom without a neighbour within `cutoff` to its nearest shell

    one_cycle: bool = True
    patience: int = 1000  # no early stopping

    # quick: chosen on validation crystals of open-dft (docs/trials.md) to train within a minute.
    # hours: the published network; on the 23,100 crystals of mp-2018, half an hour of one core.
    # paper: the training of the paper's code.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {
            "epochs": 30,
            "updates": 1700,
            "batch_size": 32,
            "learning_rate": 4e-3,
            "weight_decay": 0.5,
            "loss": "l1",
        },
        "hours": {"epochs": 60, "batch_size": 64, "learning_rate": 2e-3},
        "paper": {"epochs": 1000, "batch_size": 128, "learning_rate": 1e-3, "one_cycle": False, "patience": 500},
    }
    publication: ClassVar[Publication] = Publication(
        "Chen, Ye, Zuo, Zheng & Ong, Chem. Mater. 31, 3564 (2019)",
        "10.1021/acs.chemmater.9b01294",
        "https://github.com/materialsvirtuallab/matgl",
        "BSD-3-Clause",
    )
    requires: ClassVar[tuple[str, ...]] = ("torch", "safetensors", "matgl", "torch_geometric", "pymatgen")
    invariances: ClassVar[frozenset[str]] = INVARIANCES
    input_fields: ClassVar[tuple[str, ...]] = ("cutoff", "bind")
    input_version: ClassVar[int] = 3
    batch_on_device: ClassVar[bool] = True
    weights: ClassVar[Mapping[str, PublishedWeights]] = {
        "MEGNet-MP-2018.6.1-Eform": published_by_matgl(
            "MEGNet-MP-2018.6.1-Eform",
            "35381368b17a2783f9ee09af5556cf1d84b74bf786b82d3fadd4acb38c51d040",
            "d858219134667d55e3c183435475ba248231a67311573373ed7298191f05d0a4",
            "formation-energy",
            "Materials Project of June 2018, 62,315 crystals",
        ),
    }

    def inputs(self, crystal: Crystal) -> Inputs:
        elements = element_index(crystal, "MEGNet")
        graph = self.graph(crystal)
        return {"elements": elements[graph.atom], **graph.arrays()}

    def graph(self, crystal: Crystal) -> MergedGraph:
        """Find the bonds of a crystal, and merge equivalent atoms and bonds."""
        pairs = matgl_neighbours(crystal, self.cutoff, self.bind, "MEGNet")
        return merge_equivalent(crystal.numbers, pairs, np.ones(len(pairs)))

    def batch(self, inputs: Sequence[Inputs]) -> Mapping[str, Any]:
        return merged_batch(inputs, "elements")

    def network(self) -> nn.Module:
        return _network(self)

    @classmethod
    def pretrained(cls, files: Mapping[str, Path]) -> Self:
        """Load a model in matgl's format, such as those it published; raises `InputError` where it cannot be read."""
        with reading(weights_folder(files), "a model in matgl's format"):
            saved = read_saved_model(files, "MEGNet", cls.weights)
            model = cls(cutoff=saved.settings["cutoff"], blocks=saved.settings["nblocks"], bind=False)
            if saved.as_2023:
                # Messages were summed at the end of a bond, now they are at its start. Every bond is there in both
                # directions, so it is enough to exchange the two atoms in the first layer that sees them.
                for name in saved.weights:
                    if name.endswith("conv.edge_func.layers.0.weight"):
                        width = saved.settings["hidden_layer_sizes_conv"][-1]
                        saved.weights[name] = exchange_atoms(saved.weights[name], width)
            weights = {f"megnet.{name}": value for name, value in saved.weights.items()}
            return model.with_weights(weights, "regression", saved.mean, saved.scale)


def _network(model: MEGNet) -> nn.Module:
    import torch
    from torch import nn

    network = import_matgl_models().MEGNet(element_types=ELEMENTS, cutoff=model.cutoff, nblocks=model.blocks)

    class Network(nn.Module):
        """The layers of matgl's network, in its order, over atoms and bonds that each stand for equivalent ones."""

        def __init__(self) -> None:
            super().__init__()
            self.megnet = network

        def forward(self, batch: Mapping[str, Any]) -> Tensor:
            layers, size = self.megnet, batch["size"]
            centre, neighbour, crystal = (batch[name].long() for name in ("centre", "other", "crystal"))
            atoms, atom_bonds = batch["multiplicity"], batch["weight"]  # (k,), and (e,) bonds of one of the atoms
            bonds = atom_bonds * atoms[centre]  # (e,) bonds in all
            bond_crystal = crystal[centre]  # (e,)

            def mean(values: Tensor, weight: Tensor, index: Tensor, rows: int) -> Tensor:
                weighted = values * weight[:, None]
                total = weighted.new_zeros(rows, values.shape[1]).index_add(0, index, weighted)
                return total / weight.new_zeros(rows).index_add(0, index, weight).clamp(min=1e-6)[:, None]

            def apply(mlp: Any, *parts: tuple[Tensor, Tensor | None]) -> Tensor:
                first, *rest = mlp.layers
                values = linear_of_parts(first.weight, first.bias, *parts)
                for layer in rest:
                    values = layer(values)
                return values

            # The state describes a crystal beyond its structure, of which nothing is known: it is zero.
            state = batch["distance"].new_zeros(size, 2)
            x, e, u = layers.embedding(batch["elements"], layers.bond_expansion(batch["distance"]), state)
            x, e, u = layers.node_encoder(x), layers.edge_encoder(e), layers.state_encoder(u)
            for block in layers.blocks:
                before = x, e, u
                x, e, u = block.node_func(x), block.edge_func(e), block.state_func(u)
                conv = block.conv
                e = apply(conv.edge_func, (x, centre), (x, neighbour), (e, None), (u, bond_crystal))
                x = apply(conv.node_func, (x, None), (mean(e, atom_bonds, centre, len(x)), None), (u, crystal))
                means = mean(e, bonds, bond_crystal, size), mean(x, atoms, crystal, size)
                u = conv.state_func(torch.cat([u, *means], dim=1))
                x, e, u = x + before[0], e + before[1], u + before[2]
            pooled = (
                set2set(layers.node_s2s, x, atoms, crystal, size),
                set2set(layers.edge_s2s, e, bonds, bond_crystal, size),
            )
            y: Tensor = layers.output_proj(torch.cat([*pooled, u], dim=1))
            return y[:, 0]

    return Network()
