"""Speed, as ratios of one run: what a package takes for a piece of work, over what it takes here.

    python benchmarks/speed.py            print, and store with the machine in benchmarks/results/

Both sides do the same work on the same crystals, by turns, on one thread; the ratio is the median over the turns. Only
ratios are kept to be compared: seconds depend on the day.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from asugnn import Crystal
from asugnn.neighbours import nearest, shares
from baselines.alignn import ALIGNN
from baselines.cgcnn import CGCNN
from baselines.m3gnet import M3GNet
from baselines.megnet import ELEMENTS, MEGNet
from leaderboard import datasets
from leaderboard.runner import processor

RESULTS = Path(__file__).parent / "results"
TURNS = 7
Work = Callable[[], Any]


def main() -> None:
    """Measure all cases, print a table, store a file."""
    warnings.simplefilter("ignore", DeprecationWarning)
    torch.set_num_threads(1)
    crystals, data = _crystals()
    rows = [_measured(name, ours, theirs) for name, ours, theirs in track(_cases(crystals), "measuring", total=5)]
    table = Table(box=box.SIMPLE_HEAD, title=f"{len(crystals)} crystals of {data}, one thread")
    for column in ("work", "here ms/crystal", "there ms/crystal", "ratio", "lowest-highest"):
        table.add_column(column, justify="left" if column == "work" else "right")
    for row in rows:
        ours, theirs = (f"{1e3 * row[side] / len(crystals):.2f}" for side in ("seconds_here", "seconds_there"))
        table.add_row(row["work"], ours, theirs, f"{row['ratio']:.1f}", f"{row['lowest']:.1f}-{row['highest']:.1f}")
    Console(width=100).print(table)
    packages = ("torch", "matgl", "alignn", "torch-geometric", "pymatgen", "numpy")
    about = {
        "machine": processor(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "threads": 1,
        "crystals": f"{len(crystals)} of {data}",
        "date": datetime.now(UTC).date().isoformat(),
        "ratios": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{about['machine'].replace(' ', '-').replace('/', '-')}.json"
    file.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    print(f"stored in {file}")


def _measured(name: str, ours: Work, theirs: Work) -> dict[str, Any]:
    for _ in range(3):
        ours(), theirs()  # first calls compile and fill caches
    seconds = np.array([[_seconds(ours), _seconds(theirs)] for _ in range(TURNS)])
    ratios = seconds[:, 1] / seconds[:, 0]
    here, there = np.median(seconds, axis=0)
    return {"work": name, "seconds_here": float(here), "seconds_there": float(there), "ratio": float(np.median(ratios)),
            "lowest": float(ratios.min()), "highest": float(ratios.max())}  # fmt: skip


def _seconds(work: Work) -> float:
    started = time.process_time()  # of this process alone: another one beside it does not count
    work()
    return time.process_time() - started


def _crystals() -> tuple[list[Crystal], str]:
    """64 real crystals of up to 40 atoms where they are at hand, else of open-dft."""
    named = datasets.source("mp-2018")
    if datasets.path(named) is None:
        named = datasets.source("open-dft")
    data = datasets.load(named)
    small = [i for i, n in zip(data.ids, data.table["atomic_numbers"].list.len(), strict=True) if n <= 40]
    return data.crystals(np.random.default_rng(0).choice(small, 64, replace=False)), named.name


def _cases(crystals: list[Crystal]) -> Iterator[tuple[str, Work, Work]]:
    """Name, the work as it is done here, and as the package does it."""
    yield "graphs of ALIGNN", *_alignn_graphs(crystals)
    yield "training step of MEGNet", *_matgl_step(MEGNet(), crystals)
    yield "training step of M3GNet", *_matgl_step(M3GNet(), crystals)
    yield "training step of ALIGNN", *_alignn_step(crystals)
    yield "training step of CGCNN, against every atom", *_cgcnn_step(crystals)


def _step(network: torch.nn.Module, batch: Callable[[], Any]) -> Work:
    """What the training loop does with one batch."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    network.train()

    def work() -> None:
        optimiser.zero_grad(set_to_none=True)
        network(batch()).square().mean().backward()
        optimiser.step()

    return work


def _alignn_graphs(crystals: list[Crystal]) -> tuple[Work, Work]:
    """Twelve nearest neighbours within 8 angstrom, each bond in both directions."""
    from alignn.graphs import build_undirected_edgedata, nearest_neighbor_edges
    from jarvis.core.atoms import Atoms

    model = ALIGNN()
    atoms = [_jarvis(Atoms, c) for c in crystals]

    def theirs() -> None:
        for a in atoms:
            edges, _ = nearest_neighbor_edges(atoms=a, cutoff=8, max_neighbors=12, use_canonize=True)
            build_undirected_edgedata(atoms=a, edges=edges)

    return lambda: [model.inputs(c) for c in crystals], theirs


def _jarvis(kind: Any, crystal: Crystal) -> Any:
    from asugnn.crystal import SYMBOLS

    symbols = [SYMBOLS[z - 1] for z in crystal.numbers.tolist()]
    return kind(lattice_mat=crystal.lattice, coords=crystal.frac_coords, elements=symbols, cartesian=False)


def _alignn_step(crystals: list[Crystal]) -> tuple[Work, Work]:
    """The published sizes, on the same bonds; the package's collation, and its network with layer norms."""
    from alignn.torch_graph_builder import TorchGraph, batch_torch_graph_pairs

    from baselines.alignn import line_graph

    few = crystals[:8]
    model = ALIGNN()
    inputs = [model.inputs(c) for c in few]
    ours = model.network()
    pairs = []
    for x in inputs:
        source, target, bonds = (torch.from_numpy(x[name]) for name in ("source", "target", "bonds"))
        first, second = (torch.from_numpy(a) for a in line_graph(x["source"], x["target"], len(x["numbers"])))
        unit = torch.nn.functional.normalize(bonds, dim=1)
        values = ours.elements[torch.from_numpy(x["numbers"]).long()]
        g = TorchGraph(len(values), source.long(), target.long(), {"atom_features": values}, {"r": bonds})
        lines = TorchGraph(len(bonds), first, second, {"r": bonds}, {"h": -(unit[first] * unit[second]).sum(dim=1)})
        pairs.append((g, lines))

    class Theirs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.alignn = type(ours.alignn)(ours.alignn.config)

        def forward(self, batch: Any) -> torch.Tensor:
            out: torch.Tensor = self.alignn((*batch, None))["out"]
            return out

    return _step(ours, lambda: model.batch(inputs)), _step(Theirs(), lambda: batch_torch_graph_pairs(pairs))


def _matgl_step(model: MEGNet | M3GNet, crystals: list[Crystal]) -> tuple[Work, Work]:
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

    return _step(wrapped, lambda: model.batch(inputs)), theirs


def _cgcnn_step(crystals: list[Crystal]) -> tuple[Work, Work]:
    """The same network with every atom and every pair."""
    model = CGCNN(convolutions=4, hidden=32)
    few = [model.inputs(c) for c in crystals]
    every = []
    for c in crystals:
        pairs = nearest(c, model.neighbours, model.radius)
        every.append({
            "numbers": c.numbers.astype(np.int32),
            "multiplicity": np.ones(len(c), dtype=np.float32),
            "centre": pairs.centre.astype(np.int32),
            "other": pairs.other.astype(np.int32),
            "distance": pairs.distance.astype(np.float32),
            "weight": shares(pairs, model.neighbours).astype(np.float32),
        })  # fmt: skip
    return _step(model.network(), lambda: model.batch(few)), _step(model.network(), lambda: model.batch(every))


if __name__ == "__main__":
    sys.exit(main())
