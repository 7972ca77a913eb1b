"""M3GNet: bonds updated by the angles between them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from asugnn import Crystal
from asugnn.cache import Inputs
from asugnn.crystal import Floats
from asugnn.merging import Angles, MergedGraph, merge_equivalent, merged_batch
from asugnn.model import INVARIANCES, Publication
from asugnn.neighbours import Neighbours
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
class M3GNet(TorchModel):
    """Three-body materials graph network (Chen & Ong, Nat. Comput. Sci. 2, 718, 2022), by matgl.

    The network is matgl's for intensive properties, with its set2set read-out, on whole shells of neighbours;
    equivalent atoms, bonds and angles are computed once. An atom without a neighbour within `cutoff` is bound to its
    nearest shell. Supports hydrogen to plutonium except Po, At, Rn, Fr and Ra.
    """

    cutoff: float = 5.0  # angstrom
    threebody_cutoff: float = 4.0  # angstrom: longest bonds that form angles
    blocks: int = 3
    width: int = 64
    bind: bool = True  # bind an atom without a neighbour within `cutoff` to its nearest shell
    as_2023: bool = False  # sum messages as matgl did when its published weights were trained

    one_cycle: bool = True
    patience: int = 1000  # no early stopping

    # quick: chosen on validation crystals of open-dft (docs/trials.md) to train within a minute.
    # hours: the published network; on the 23,100 crystals of mp-2018, eight epochs in half an hour of one core.
    # paper: the training of the paper's code, for properties.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {
            "width": 32,
            "epochs": 14,
            "updates": 800,
            "batch_size": 32,
            "learning_rate": 3e-3,
            "weight_decay": 2.0,
        },
        "hours": {"epochs": 10, "updates": 3000, "batch_size": 64, "learning_rate": 2e-3},
        "paper": {"epochs": 1000, "batch_size": 128, "learning_rate": 1e-3, "one_cycle": False, "patience": 500},
    }
    clip: ClassVar[float | None] = 10.0
    publication: ClassVar[Publication] = Publication(
        "Chen & Ong, Nat. Comput. Sci. 2, 718 (2022)",
        "10.1038/s43588-022-00349-3",
        "https://github.com/materialsvirtuallab/matgl",
        "BSD-3-Clause",
    )
    requires: ClassVar[tuple[str, ...]] = ("torch", "safetensors", "matgl", "torch_geometric", "pymatgen")
    invariances: ClassVar[frozenset[str]] = INVARIANCES
    input_fields: ClassVar[tuple[str, ...]] = ("cutoff", "threebody_cutoff", "bind")
    input_version: ClassVar[int] = 2
    batch_on_device: ClassVar[bool] = True
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
        elements = element_index(crystal, "M3GNet")
        graph = self.graph(crystal)
        return {"elements": elements[graph.atom], **graph.angle_arrays()}

    def graph(self, crystal: Crystal) -> MergedGraph:
        """Find the bonds of a crystal and the angles between short ones, and merge equivalent ones."""
        pairs = matgl_neighbours(crystal, self.cutoff, self.bind, "M3GNet")
        angles = angles_at_centres(pairs, pairs.vectors(crystal), self.threebody_cutoff)
        return merge_equivalent(crystal.numbers, pairs, np.ones(len(pairs)), angles)

    def batch(self, inputs: Sequence[Inputs]) -> Mapping[str, Any]:
        return merged_batch(inputs, "elements")

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
        as_2023 = self.as_2023

        class Network(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.m3gnet = network

            def forward(self, batch: Mapping[str, Any]) -> Tensor:
                return network_outputs(self.m3gnet, batch, as_2023)

        return Network()

    @classmethod
    def pretrained(cls, files: Mapping[str, Path]) -> Self:
        """Load a model in matgl's format, such as those it published; raises `InputError` where it cannot be read."""
        with reading(weights_folder(files), "a model in matgl's format"):
            saved = read_saved_model(files, "M3GNet", cls.weights)
            settings = saved.settings
            model = cls(
                cutoff=settings["cutoff"],
                threebody_cutoff=settings["threebody_cutoff"],
                blocks=settings["nblocks"],
                width=settings["units"],
                bind=False,
                as_2023=saved.as_2023,
            )
            renewed = renew_weights(saved.weights, settings, saved.as_2023)
            weights = cutoff_constants(model.network()) | {f"m3gnet.{name}": value for name, value in renewed.items()}
            return model.with_weights(weights, "regression", saved.mean, saved.scale)


def angles_at_centres(pairs: Neighbours, vectors: Floats, cutoff: float) -> Angles:
    """List the ordered pairs of different bonds of one centre, both at most `cutoff` angstrom long.

    `pairs` must be sorted by centre; `vectors` (m, 3) are those from centre to neighbour.
    """
    short = np.flatnonzero(pairs.distance <= cutoff)
    centre = pairs.centre[short]
    start = np.searchsorted(centre, centre)  # where the bonds of the same centre begin
    count = np.searchsorted(centre, centre, side="right") - start
    second = np.repeat(np.arange(len(short)), count)
    first = np.arange(len(second)) - np.repeat(np.cumsum(count) - count - start, count)
    different = first != second
    first, second = short[first[different]], short[second[different]]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return Angles(first, second, np.einsum("ij,ij->i", unit[first], unit[second]))


def network_outputs(network: Any, batch: Mapping[str, Any], as_2023: bool = False) -> Tensor:
    """Compute the outputs (crystals,) of a network of matgl on merged atoms, bonds and angles.

    The layers are matgl's, in its order. `as_2023` sums messages where its version 0.8.0 did: the message of a bond
    goes to the atom at its end, with weights from `exchange_atoms`; that of two bonds goes to the second and uses that
    one's length and end atom. Since version 0.8.4, in which the order of the triples changed, it goes to the first.
    """
    import torch
    from matgl.utils.cutoff import polynomial_cutoff

    atoms, crystal, size = batch["multiplicity"], batch["crystal"], batch["size"]
    centre, other, distance = batch["centre"], batch["other"], batch["distance"]
    first, second, angle_weight = batch["first"], batch["second"], batch["angle_weight"][:, None]
    near, far, weight = centre, other, batch["weight"]  # near: where the messages of a bond are summed
    if as_2023:
        near, far = other, centre
        weight = weight * atoms.index_select(0, centre) / atoms.index_select(0, other)
    expanded = network.bond_expansion(distance)
    x, e, _ = network.embedding(batch["elements"], expanded, None)  # (k, F) and (e, F)
    envelope = polynomial_cutoff(distance, network.threebody_cutoff)[:, None]
    radial = network.basis_expansion.sbf(distance) * envelope  # (e, nl)
    cosine = batch["cosine"].clamp(min=-1 + 1e-7, max=1 - 1e-7)  # as matgl does
    angular = network.basis_expansion.shf(cosine, torch.zeros_like(cosine)).repeat_interleave(network.max_n, dim=1)
    angular = angular.index_select(0, batch["angle"]) * angle_weight  # (t, nl)
    for three_body, block in zip(network.three_body_interactions, network.graph_layers, strict=True):
        ends = radial * three_body.update_network_atom(x).index_select(0, other)  # (e, nl)
        if as_2023:
            around = torch.zeros_like(ends).index_add(0, second, angular * envelope.index_select(0, first)) * ends
        else:
            around = torch.zeros_like(ends).index_add(0, second, angular * ends.index_select(0, first)) * envelope
        e = e + three_body.update_network_bond(around)
        conv = block.conv
        e = e + gated_bonds(conv.edge_update_func, x, near, far, e) * conv.edge_weight_func(expanded)
        message = gated_bonds(conv.node_update_func, x, near, far, e) * conv.node_weight_func(expanded)
        x = x.index_add(0, near, message * weight[:, None])
    if network.is_intensive:
        y: Tensor = network.final_layer(set2set(network.readout, x, atoms, crystal, size))
        return y[:, 0]
    y = x.new_zeros(size).index_add(0, crystal, network.final_layer(x)[:, 0] * atoms)
    return y


def gated_bonds(mlp: Any, x: Tensor, near: Tensor, far: Tensor, e: Tensor) -> Tensor:
    """Apply a gated perceptron of matgl to [x_near, x_far, e]: (e, F)."""
    import torch

    weight = torch.cat([mlp.layers[0].weight, mlp.gates[0].weight])
    bias = torch.cat([mlp.layers[0].bias, mlp.gates[0].bias])
    z = linear_of_parts(weight, bias, (x, near), (x, far), (e, None))
    layer, gate = mlp.layers[1](z).chunk(2, dim=1)  # one activation for both
    y: Tensor = mlp.layers[2:](layer) * mlp.gates[2:](gate)
    return y


def cutoff_constants(network: nn.Module) -> dict[str, Tensor]:
    """Select the cutoffs in the state of a network: the published weights were saved without them."""
    return {name: value for name, value in network.state_dict().items() if name.endswith("cutoff")}


def renew_weights(weights: Mapping[str, Tensor], settings: Mapping[str, Any], as_2023: bool) -> dict[str, Tensor]:
    """Convert saved weights for the current network; those of 2023 get the two atoms of a bond exchanged."""
    renewed = {name.replace("readout.set2set.lstm.", "readout.lstm."): value for name, value in weights.items()}
    if as_2023:
        for name, value in renewed.items():
            if re.search(r"conv\.(edge|node)_update_func\.(layers|gates)\.0\.weight", name):
                renewed[name] = exchange_atoms(value, settings["dim_node_embedding"])
    return renewed
