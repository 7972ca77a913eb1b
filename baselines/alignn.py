"""ALIGNN: messages along bonds, and along the angles between them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from asugnn import Crystal
from asugnn.cache import Inputs
from asugnn.crystal import Floats
from asugnn.elements import check_elements, element_values
from asugnn.merging import Angles, MergedGraph, mean_over_atoms, merge_equivalent, merged_batch
from asugnn.model import INVARIANCES, Publication
from asugnn.neighbours import Neighbours, bind_or_refuse, nearest_neighbours
from asugnn.torch_model import TorchModel

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

    # quick: chosen on validation crystals of open-dft (docs/trials.md) to train within a minute.
    # hours: the published network; on the 23,100 crystals of mp-2018, two epochs in 40 minutes of one core (bfloat16).
    # paper: the fields as they stand above.
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {
            "width": 64,
            "alignn_layers": 2,
            "gcn_layers": 2,
            "epochs": 14,
            "updates": 700,
            "batch_size": 32,
            "learning_rate": 1e-2,
        },
        "hours": {"epochs": 8, "updates": 1500, "batch_size": 32, "learning_rate": 2e-3},
        "paper": {},
    }
    publication: ClassVar[Publication] = Publication(
        "Choudhary & DeCost, npj Comput. Mater. 7, 185 (2021)",
        "10.1038/s41524-021-00650-1",
        "https://github.com/atomgptlab/alignn",
        "NIST terms of use",
    )
    requires: ClassVar[tuple[str, ...]] = ("torch", "safetensors", "alignn", "jarvis", "pymatgen")
    invariances: ClassVar[frozenset[str]] = INVARIANCES
    input_fields: ClassVar[tuple[str, ...]] = ("neighbours", "radius")
    input_version: ClassVar[int] = 2
    batch_on_device: ClassVar[bool] = True

    def inputs(self, crystal: Crystal) -> Inputs:
        graph = self.graph(crystal)
        return {"numbers": crystal.numbers[graph.atom].astype(np.int32), **graph.angle_arrays()}

    def graph(self, crystal: Crystal) -> MergedGraph:
        """Find the bonds of a crystal and the pairs of bonds, and merge equivalent ones."""
        check_elements(crystal, "ALIGNN")
        pairs = nearest_neighbours(crystal, self.neighbours, self.radius)
        pairs = pairs_both_ways(bind_or_refuse(crystal, pairs, self.radius, True, "ALIGNN"))
        angles = line_graph(pairs, pairs.vectors(crystal), len(crystal))
        return merge_equivalent(crystal.numbers, pairs, np.ones(len(pairs)), angles)

    def batch(self, inputs: Sequence[Inputs]) -> Mapping[str, Any]:
        return merged_batch(inputs, "numbers")

    def network(self) -> nn.Module:
        return _network(self)


def pairs_both_ways(pairs: Neighbours) -> Neighbours:
    """List each pair in both directions, once: b may be among a's nearest where a is not among b's."""
    forward = np.column_stack([pairs.centre, pairs.other, pairs.image])
    backward = np.column_stack([pairs.other, pairs.centre, -pairs.image])
    rows, index = np.unique(np.concatenate([forward, backward]), axis=0, return_index=True)
    return Neighbours(rows[:, 0], rows[:, 1], rows[:, 2:], pairs.distance[index % len(pairs)])


def line_graph(pairs: Neighbours, vectors: Floats, atoms: int) -> Angles:
    """List the pairs of bonds of which the first (k to j) ends where the second (j to i) starts, k = i included.

    Bonds are directed from `pairs.other` to `pairs.centre`, which must be sorted; `vectors` (m, 3) are those from
    centre to other. The angle is that at j.
    """
    start = np.searchsorted(pairs.centre, np.arange(atoms + 1))  # where the bonds that end at an atom begin
    count = (start[1:] - start[:-1])[pairs.other]  # (m,) bonds that precede each bond
    second = np.repeat(np.arange(len(pairs)), count)
    preceding = np.arange(len(second)) - np.repeat(np.cumsum(count) - count, count)  # (t,) 0, 1, ... for each bond
    first = start[pairs.other[second]] + preceding
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return Angles(first, second, -np.einsum("ij,ij->i", unit[first], unit[second]))


def _network(model: ALIGNN) -> nn.Module:
    import torch
    from torch import Tensor, nn

    from asugnn.weighted_norm import WeightedNorm
    from baselines._edge_gated import EdgeGraph, edge_gated_convolution

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pydantic's, of alignn's settings
        from alignn.models.alignn_atomwise_pure import ALIGNNAtomWisePure, ALIGNNAtomWisePureConfig

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
                setattr(module, name, WeightedNorm(child.normalized_shape[0]))

    def embed(embedding: Any, values: Tensor, share: Tensor, count: Tensor) -> Tensor:
        """Apply an embedding of alignn to values, each of which stands for a share of `count` equal ones."""
        modules: list[Any] = list(embedding) if isinstance(embedding, nn.Sequential) else [embedding]
        for module in modules:
            if hasattr(module, "layer"):  # linear, norm, activation
                linear, norm, activation = module.layer
                values = activation(norm(linear(values), share, count))
            else:
                values = module(values)
        return values

    class Network(nn.Module):
        elements: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.alignn = network
            self.register_buffer("elements", torch.tensor(element_values(), dtype=torch.float32), persistent=False)

        def forward(self, batch: Mapping[str, Any]) -> Tensor:
            layers, atoms = self.alignn, batch["multiplicity"]
            # Messages go from the other atom of a bond to its centre, and from the first bond of an angle to the
            # second.
            bonds = EdgeGraph.from_multiplicity(batch["other"], batch["centre"], batch["weight"], atoms)
            occurrences = batch["weight"] * atoms.index_select(0, batch["centre"])
            angles = EdgeGraph.from_multiplicity(batch["first"], batch["second"], batch["angle_weight"], occurrences)
            # Equal cosines are embedded once.
            cosine, angle = batch["cosine"], batch["angle"]
            share = torch.zeros_like(cosine).index_add(0, angle, angles.edge_share)
            x = embed(layers.atom_embedding, self.elements[batch["numbers"]], bonds.node_share, bonds.nodes)  # (k, F)
            y = embed(layers.edge_embedding, batch["distance"], bonds.edge_share, bonds.edges)  # (e, F)
            if len(layers.alignn_layers):
                z, row = embed(layers.angle_embedding, cosine, share, angles.edges), angle  # (c, F), then (t, F)
            for layer in layers.alignn_layers:
                x, y = edge_gated_convolution(layer.node_update, bonds, x, y)
                last = layer is layers.alignn_layers[-1]
                y, z = edge_gated_convolution(layer.edge_update, angles, y, z, row, last)
                row = None
            for layer in layers.gcn_layers:
                x, y = edge_gated_convolution(layer, bonds, x, y, last=layer is layers.gcn_layers[-1])
            out: Tensor = layers.fc(mean_over_atoms(x, batch))  # (crystals, 1)
            return out[:, 0]

    return Network()
