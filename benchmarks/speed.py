"""Measure speed as ratios: the time of another package for a piece of work, divided by the time here.

    python benchmarks/speed.py            print, and store with the machine in benchmarks/results/
    python benchmarks/speed.py ASUGNN     print the cases whose name begins with this

Both sides do the same work on the same crystals, in turns; the ratio is the median over the turns. Compare ratios only:
seconds depend on the machine and its load. ASUGNN's network is measured against `literal.py`, its features against the
authors' package where that is installed: `pip install -e .[speed]`.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from literal import PADDED_ATOMS, Literal, pad_batch
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from steps import Work, alignn_step, cgcnn_step, in_batches, matgl_step, training_step
from threadpoolctl import threadpool_limits

from asugnn import Crystal
from asugnn.asugnn import ASUGNN
from asugnn.packed_batch import pack_batch
from asugnn.symmetry import conventional_cell
from baselines.alignn import ALIGNN
from baselines.m3gnet import M3GNet
from baselines.megnet import MEGNet
from leaderboard.data import Dataset, data_file, find_source, load_dataset
from leaderboard.running import processor_name

RESULTS = Path(__file__).parent / "results"
TURNS = 7


def main(only: str = "") -> None:
    """Measure all cases, or those whose name begins with `only`; print a table; store a file of all."""
    warnings.simplefilter("ignore", DeprecationWarning)
    data = _load_crystals()
    rows = [
        _measure_case(case) for case in track([c for c in _list_cases(data) if c.work.startswith(only)], "measuring")
    ]
    table = Table(box=box.SIMPLE_HEAD, title=f"crystals of {data.source.name}")
    for column in ("work", "crystals", "threads", "here ms/crystal", "there ms/crystal", "ratio", "lowest-highest"):
        table.add_column(column, justify="left" if column == "work" else "right")
    for row in rows:
        n = row["crystals"]
        ours, theirs = (f"{1e3 * row[side] / n:.2f}" for side in ("seconds_here", "seconds_there"))
        ratio, span = f"{row['ratio']:.1f}", f"{row['lowest']:.1f}-{row['highest']:.1f}"
        table.add_row(row["work"], str(n), str(row["threads"]), ours, theirs, ratio, span)
    Console(width=100).print(table)
    packages = ("torch", "matgl", "alignn", "torch-geometric", "pymatgen", "moyopy", "numpy")
    report = {
        "machine": processor_name(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "data": data.source.name,
        "date": datetime.now(UTC).date().isoformat(),
        "ratios": rows,
    }
    if only:
        return
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{report['machine'].replace(' ', '-').replace('/', '-')}.json"
    file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"stored in {file}")


@dataclass(frozen=True)
class Case:
    """A piece of work; `make` prepares it as it is done here and as the other package does it."""

    work: str
    crystals: Sequence[Crystal]
    make: Callable[[Sequence[Crystal]], tuple[Work, Work]]
    threads: int = 1
    turns: int = 7


def _measure_case(case: Case) -> dict[str, Any]:
    with threadpool_limits(case.threads):  # of numpy too
        return _time_case(case)


def _time_case(case: Case) -> dict[str, Any]:
    torch.set_num_threads(case.threads)
    ours, theirs = case.make(case.crystals)
    for _ in range(min(3, case.turns)):
        ours()  # first calls compile and fill caches
    theirs()
    # With one thread, processor time, so that other processes do not count.
    clock = time.process_time if case.threads == 1 else time.perf_counter
    seconds = np.array([[_seconds(ours, clock), _seconds(theirs, clock)] for _ in range(case.turns)])
    ratios = seconds[:, 1] / seconds[:, 0]
    here, there = np.median(seconds, axis=0)
    return {"work": case.work, "crystals": len(case.crystals), "threads": case.threads,
            "seconds_here": float(here), "seconds_there": float(there), "ratio": float(np.median(ratios)),
            "lowest": float(ratios.min()), "highest": float(ratios.max())}  # fmt: skip


def _seconds(work: Work, clock: Callable[[], float]) -> float:
    started = clock()
    work()
    return clock() - started


def least_symmetric(crystals: Sequence[Crystal], count: int) -> list[Crystal]:
    """Select the `count` crystals with the fewest symmetry operations for each lattice point."""
    from moyopy import Cell, MoyoDataset

    orders = []
    for c in crystals:
        found = MoyoDataset(Cell(c.lattice.tolist(), c.frac_coords.tolist(), c.numbers.tolist()), symprec=1e-3)
        translations = sum(np.array_equal(r, np.eye(3)) for r in found.operations.rotations)
        orders.append(len(found.operations) / translations)
    return [crystals[i] for i in np.argsort(orders, kind="stable")[:count]]


def _load_crystals() -> Dataset:
    """Load mp-2018 where it is available, else open-dft."""
    source = find_source("mp-2018")
    return load_dataset(source if data_file(source) else find_source("open-dft"))


def _list_cases(data: Dataset) -> Iterator[Case]:
    sizes = data.table["atomic_numbers"].list.len().to_numpy()
    rng = np.random.default_rng(0)

    def sample(n: int, most: int) -> list[Crystal]:
        return data.crystals(np.array(data.ids)[rng.choice(np.flatnonzero(sizes <= most), n, replace=False)])

    yield Case("graphs of ALIGNN", sample(64, 40), _alignn_graphs)
    random = sample(200, 1000)
    lowest = least_symmetric(sample(3000, 1000), 50)
    for name, make, size in (
        ("MEGNet", partial(matgl_step, MEGNet()), 100),
        ("M3GNet", partial(matgl_step, M3GNet()), 50),
        ("ALIGNN", alignn_step, 10),
        ("CGCNN, against every atom", cgcnn_step, 100),
    ):
        yield Case(f"training step of {name}", random, in_batches(make, size), turns=3)
        yield Case(f"training step of {name}: the 50 of lowest symmetry", lowest, in_batches(make, size), turns=3)
    any_size = [c for c in sample(240, 220) if len(conventional_cell(c).crystal) <= PADDED_ATOMS][:200]
    # As many as fit into memory when padded: 16 of the 200, evenly spaced in the order of size.
    by_size = sorted(any_size, key=lambda c: len(conventional_cell(c).crystal))
    sixteen = [by_size[int((i + 0.5) * len(by_size) / 16)] for i in range(16)]
    for threads in (1, 2):
        yield Case("ASUGNN: training step, against the literal one", sixteen, _asugnn_step, threads, 3)
    if find_spec("ASUkit"):
        yield Case("ASUGNN: embedding, against ASUkit", any_size[:100], _asukit, turns=3)
    else:
        print("not measured: ASUGNN's embedding against ASUkit (pip install -e .[speed])", file=sys.stderr)
    print("not measured: anything on a GPU" if not torch.cuda.is_available() else "", file=sys.stderr)


def _alignn_graphs(crystals: Sequence[Crystal]) -> tuple[Work, Work]:
    """Twelve nearest neighbours within 8 angstrom, each bond in both directions."""
    from alignn.graphs import build_undirected_edgedata, nearest_neighbor_edges
    from jarvis.core.atoms import Atoms

    model = ALIGNN()
    atoms = [_jarvis_atoms(Atoms, c) for c in crystals]

    def theirs() -> None:
        for a in atoms:
            edges, _ = nearest_neighbor_edges(atoms=a, cutoff=8, max_neighbors=12, use_canonize=True)
            build_undirected_edgedata(atoms=a, edges=edges)

    return lambda: list(model.inputs_together(crystals)), theirs


def _jarvis_atoms(kind: Any, crystal: Crystal) -> Any:
    from asugnn.crystal import SYMBOLS

    symbols = [SYMBOLS[z - 1] for z in crystal.numbers.tolist()]
    return kind(lattice_mat=crystal.lattice, coords=crystal.frac_coords, elements=symbols, cartesian=False)


def _asugnn_step(crystals: Sequence[Crystal]) -> tuple[Work, Work]:
    """The published network in float32, on conventional cells of up to 220 atoms; there all are padded to 220."""
    model = ASUGNN()
    inputs = [model.inputs(c) for c in crystals]
    return training_step(model.network(), lambda: pack_batch(inputs)), training_step(
        Literal(), lambda: pad_batch(inputs)
    )


def _asukit(crystals: Sequence[Crystal]) -> tuple[Work, Work]:
    """The authors' featuriser, which reads crystals from an ASE database."""
    from ase import Atoms
    from ase.db import connect
    from ASUkit.cry2graph import CrystalParser

    file = Path(tempfile.mkdtemp()) / "crystals.db"
    with connect(file) as database:
        for c in crystals:
            database.write(Atoms(c.numbers, cell=c.lattice, scaled_positions=c.frac_coords, pbc=True))
    model = ASUGNN()

    def theirs() -> None:
        for number in range(1, len(crystals) + 1):
            CrystalParser(str(file), number).get()

    return lambda: list(model.inputs_together(crystals)), theirs


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
