"""The packages' own classes on every atom, bond and angle, in float64: what merged networks are compared with."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from asugnn import Crystal
from asugnn.neighbours import Neighbours, bind_or_refuse, nearest_neighbours, neighbours_within, shell_weights
from baselines._matgl import element_index
from baselines.alignn import ALIGNN, pairs_both_ways
from baselines.cgcnn import CGCNN
from baselines.cogn import CoGN
from baselines.m3gnet import M3GNet
from baselines.megnet import MEGNet

Network = CGCNN | MEGNet | M3GNet | ALIGNN | CoGN


def whole_graph(model: Network, crystals: Sequence[Crystal]) -> dict[str, Any]:
    """The graphs of crystals end to end; of a bond the vector from its centre to the other atom, in angstrom."""
    columns: dict[str, list[np.ndarray]] = {}
    atoms = 0
    for i, crystal in enumerate(crystals):
        pairs = find_pairs(model, crystal)
        rows = {
            "numbers": crystal.numbers,
            "crystal": np.full(len(crystal), i),
            "centre": pairs.centre + atoms,
            "other": pairs.other + atoms,
            "bonds": pairs.vectors(crystal),
            "shares": shell_weights(pairs, getattr(model, "neighbours", 12)) if len(pairs) else np.ones(0),
        }
        if isinstance(model, MEGNet | M3GNet):
            rows["elements"] = element_index(crystal, "a model")
        for name, values in rows.items():
            columns.setdefault(name, []).append(values)
        atoms += len(crystal)
    tensors = {name: torch.from_numpy(np.concatenate(values)) for name, values in columns.items()}
    return tensors | {"size": len(crystals)}


def find_pairs(model: Network, crystal: Crystal) -> Neighbours:
    if isinstance(model, MEGNet | M3GNet):
        return bind_or_refuse(crystal, neighbours_within(crystal, model.cutoff), model.cutoff, True, "a model")
    pairs = nearest_neighbours(crystal, model.neighbours, model.radius)
    pairs = bind_or_refuse(crystal, pairs, model.radius, True, "a model")
    return pairs_both_ways(pairs) if isinstance(model, ALIGNN) else pairs


def merged_batch_in_float64(model: Network, crystals: Sequence[Crystal]) -> dict[str, Any]:
    """The batch of a model, whose floats were not rounded to 32 bits."""
    inputs = []
    for crystal in crystals:
        graph = model.graph(crystal)
        exact = {name: getattr(graph, name) for name in ("multiplicity", "distance", "weight", "cosine")}
        rounded = model.inputs(crystal)
        inputs.append({name: exact.get(name, values) for name, values in rounded.items()})
    batch = model.batch(inputs)
    floats = ("multiplicity", "angle_weight")
    return {
        name: v.double() if torch.is_tensor(v) and (v.is_floating_point() or name in floats) else v
        for name, v in batch.items()
    }


def outputs(model: Network, network: Any, crystals: Sequence[Crystal]) -> Tensor:
    """The outputs (crystals,) of the package's own class, which is in our `network` with its weights."""
    graph = whole_graph(model, crystals)
    by_model = {CGCNN: cgcnn, MEGNet: matgl, M3GNet: matgl, ALIGNN: alignn, CoGN: cogn}
    return by_model[type(model)](network, graph)


def cogn(network: Any, graph: dict[str, Any]) -> Tensor:
    """The network of Ruff et al. 2024 as it stands: perceptrons of [bond, atom, neighbour], sums, a residual."""
    elements = torch.cat([network.learnt.weight, network.elements], dim=1)
    x = network.atom(elements)[graph["numbers"]]
    distance = graph["bonds"].norm(dim=1)
    bond = network.bond(torch.exp(-((distance[:, None] - network.centres) ** 2) / network.wide))
    for block in network.blocks:
        z = torch.cat([bond, x[graph["centre"]], x[graph["other"]]], dim=1)
        message = block.message(block.first(z)) * graph["shares"][:, None]
        x = x + block.update(torch.zeros_like(x).index_add(0, graph["centre"], message))
    count = torch.bincount(graph["crystal"], minlength=graph["size"])
    mean = x.new_zeros(graph["size"], x.shape[1]).index_add(0, graph["crystal"], x) / count[:, None]
    return network.head(mean)[:, 0]


def unweighted_norms(network: nn.Module) -> None:
    """Replace all batch norms by PyTorch's own, with the same parameters and statistics."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm1d):
                norm = nn.BatchNorm1d(child.num_features).to(child.weight).train(child.training)
                norm.load_state_dict(child.state_dict())
                setattr(module, name, norm)


def alignn(network: Any, graph: dict[str, Any]) -> Tensor:
    """alignn's class for crystals, with the batch norms of the publication instead of its layer norms."""
    from alignn.torch_graph_builder import TorchGraph

    unweighted_norms(network)
    source, target, bonds = graph["other"], graph["centre"], -graph["bonds"]
    # Pairs of bonds, from the definition: the first ends where the second starts.
    first, second = torch.nonzero(target[:, None] == source, as_tuple=True)
    unit = bonds / bonds.norm(dim=1, keepdim=True)
    atoms = torch.bincount(graph["crystal"], minlength=graph["size"])
    values = {"atom_features": network.elements[graph["numbers"].long()]}
    g = TorchGraph(len(graph["numbers"]), source, target, values, {"r": bonds}, atoms)
    cosine = -(unit[first] * unit[second]).sum(dim=1)
    lines = TorchGraph(len(bonds), first, second, {}, {"h": cosine})
    y: Tensor = network.alignn((g, lines, None))["out"]
    return y


def matgl(network: Any, graph: dict[str, Any]) -> Tensor:
    """matgl's M3GNet or MEGNet, which sees an atom at the origin and its neighbours at the ends of its bonds."""
    bonds = graph["bonds"]
    g = SimpleNamespace(
        node_type=graph["elements"],
        pos=bonds.new_zeros(len(graph["elements"]), 3),
        pbc_offshift=bonds,
        edge_index=torch.stack([graph["centre"], graph["other"]]),
        batch=graph["crystal"],
        num_graphs=graph["size"],
    )
    if hasattr(network, "m3gnet"):
        y: Tensor = network.m3gnet(g)
    else:
        y = network.megnet(g, state_attr=bonds.new_zeros(graph["size"], 2))
    return y.view(-1)


def cgcnn(network: Any, graph: dict[str, Any]) -> Tensor:
    """Our network with one class for each atom and each pair."""
    batch = {
        "numbers": graph["numbers"],
        "multiplicity": torch.ones(len(graph["numbers"]), dtype=torch.float64),
        "centre": graph["centre"],
        "other": graph["other"],
        "distance": graph["bonds"].norm(dim=1),
        "weight": graph["shares"],
        "crystal": graph["crystal"],
        "size": graph["size"],
    }
    y: Tensor = network(batch)
    return y
