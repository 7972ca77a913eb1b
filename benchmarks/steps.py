"""Training steps of a network here and of its own package on the same crystals, timed by speed.py and merging.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from asugnn import Crystal
from asugnn.neighbours import nearest_neighbours, shell_weights
from asugnn.optimisers import AdamW
from baselines.alignn import ALIGNN, line_graph, pairs_both_ways
from baselines.cgcnn import CGCNN
from baselines.m3gnet import M3GNet
from baselines.megnet import ELEMENTS, MEGNet

Work = Callable[[], Any]
Steps = tuple[Work, Work]  # here, and by the package


def training_step(network: torch.nn.Module, batch: Callable[[], Any]) -> Work:
    """Prepare one step of the training loop, with a new batch each time."""
    optimiser = AdamW(network.parameters(), lr=1e-4, fused=True)
    network.train()

    def work() -> None:
        optimiser.zero_grad(set_to_none=True)
        network(batch()).square().mean().backward()
        optimiser.step()

    return work


def in_batches(make: Callable[[Sequence[Crystal]], Steps], size: int) -> Callable[[Sequence[Crystal]], list[Steps]]:
    """Return a function that makes one pair of steps for each batch of `size` crystals."""
    return lambda crystals: [make(crystals[i : i + size]) for i in range(0, len(crystals), size)]


def paired_seconds(steps: Sequence[Steps], clock: Callable[[], float]) -> tuple[float, float]:
    """Time all pairs, here and by the package in turns, so that what else the machine does slows both alike."""
    here = there = 0.0
    for ours, theirs in steps:
        started = clock()
        ours()
        middle = clock()
        theirs()
        here, there = here + middle - started, there + clock() - middle
    return here, there


def alignn_step(crystals: Sequence[Crystal]) -> Steps:
    """The published sizes, on the same bonds; the package's collation, and its network with layer norms."""
    from alignn.torch_graph_builder import TorchGraph, batch_torch_graph_pairs

    model = ALIGNN()
    inputs = [model.inputs(c) for c in crystals]
    ours = model.network()
    graphs = []
    for c in crystals:
        pairs = pairs_both_ways(nearest_neighbours(c, model.neighbours, model.radius))
        vectors = pairs.vectors(c)
        angles = line_graph(pairs, vectors, len(c))
        bonds = {"r": -torch.from_numpy(vectors).float()}
        atoms = {"atom_features": ours.elements[torch.tensor(c.numbers).long()]}
        source, target, first, second = (
            torch.from_numpy(a) for a in (pairs.other, pairs.centre, angles.first, angles.second)
        )
        cosine = {"h": torch.from_numpy(angles.cosine).float()}
        graphs.append(
            (TorchGraph(len(c), source, target, atoms, bonds), TorchGraph(len(pairs), first, second, bonds, cosine))
        )

    class Theirs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.alignn = type(ours.alignn)(ours.alignn.config)

        def forward(self, batch: Any) -> torch.Tensor:
            out: torch.Tensor = self.alignn((*batch, None))["out"]
            return out

    return training_step(ours, lambda: model.batch(inputs)), training_step(
        Theirs(), lambda: batch_torch_graph_pairs(graphs)
    )


def matgl_step(model: MEGNet | M3GNet, crystals: Sequence[Crystal]) -> Steps:
    """matgl's own converter, collation and Lightning module, without the rest of Lightning."""
    from matgl.ext.pymatgen import Structure2Graph
    from matgl.graph.data import collate_fn_graph
    from matgl.utils.training import ModelLightningModule
    from pymatgen.core import Structure

    inputs = [model.inputs(c) for c in crystals]
    converter = Structure2Graph(ELEMENTS, model.cutoff)
    items = []
    for c in crystals:
        g, lattice, state = converter.get_graph(Structure(c.lattice, c.numbers, c.frac_coords))
        items.append((g, lattice, torch.tensor(state, dtype=torch.float32), {"y": 0.0}))
    wrapped = model.network()
    network = next(iter(wrapped.children()))  # matgl's, of the same sizes
    module = ModelLightningModule(model=type(network)(**network._init_args))
    optimiser = module.configure_optimizers()[0][0]
    module.train()

    def theirs() -> None:
        g, lattice, state, labels = collate_fn_graph(items)
        optimiser.zero_grad()
        results, _ = module.step((g, lattice, state if isinstance(model, MEGNet) else None, labels))
        results["Total_Loss"].backward()
        optimiser.step()

    return training_step(wrapped, lambda: model.batch(inputs)), theirs


def cgcnn_step(crystals: Sequence[Crystal]) -> Steps:
    """The same network with every atom and every pair."""
    model = CGCNN(convolutions=4, hidden=32)
    few = [model.inputs(c) for c in crystals]
    every = []
    for c in crystals:
        pairs = nearest_neighbours(c, model.neighbours, model.radius)
        every.append({
            "numbers": c.numbers.astype(np.int32),
            "multiplicity": np.ones(len(c), dtype=np.float32),
            "centre": pairs.centre.astype(np.int32),
            "other": pairs.other.astype(np.int32),
            "distance": pairs.distance.astype(np.float32),
            "weight": shell_weights(pairs, model.neighbours).astype(np.float32),
        })  # fmt: skip
    return training_step(model.network(), lambda: model.batch(few)), training_step(
        model.network(), lambda: model.batch(every)
    )
