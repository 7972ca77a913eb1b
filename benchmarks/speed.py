"""Measure speed as ratios: the time of another package for a piece of work, divided by the time here.

    python benchmarks/speed.py                  print beside the last stored ratios, and store in results/speed.json
    python benchmarks/speed.py ASUGNN --turns 1 only cases whose name contains this, each in one turn
    python benchmarks/speed.py --threads 1      one thread: the only ratios that count where the machine is busy
    python benchmarks/speed.py --long           also an epoch of each model on mp-2018, and `bench run --model all`
    python benchmarks/speed.py --long --ranks 2 the epochs with two processes that train together

Both sides do the same work on the same crystals, batch by batch in turns; the ratio is the median over the turns. With
one thread it is processor time. Compare ratios only: seconds depend on the machine and its load, which is stored.
ASUGNN's network is measured against `literal.py`, its features against the authors' package where that is installed:
`pip install -e .[speed]`.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
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
from steps import Steps, alignn_step, cgcnn_step, in_batches, matgl_step, paired_seconds, training_step
from threadpoolctl import threadpool_limits

import leaderboard
from asugnn import Crystal
from asugnn.asugnn import ASUGNN
from asugnn.packed_batch import pack_batch
from asugnn.symmetry import conventional_cell
from baselines.alignn import ALIGNN
from baselines.m3gnet import M3GNet
from baselines.megnet import MEGNet
from leaderboard.data import Dataset, data_file, find_source, load_dataset
from leaderboard.running import processor_name

RESULTS = Path(__file__).parent / "results" / "speed.json"  # a list of what was measured, the oldest first
PACKAGES = ("torch", "matgl", "alignn", "torch-geometric", "pymatgen", "moyopy", "numpy")


def main(words: Sequence[str]) -> None:
    """Measure the chosen cases, print them beside what they were, and store them."""
    options = _parse_options(words)
    warnings.simplefilter("ignore", DeprecationWarning)
    data = _load_crystals()
    load = os.getloadavg()[0]
    names = [case.work for case in _list_cases(data, options.crystals) if options.name in case.work]
    if not find_spec("ASUkit"):
        print("not measured: ASUGNN's embedding against ASUkit (pip install -e .[speed])", file=sys.stderr)
    rows = []
    for threads, name in track([(t, n) for t in options.threads for n in names], "measuring"):
        # In a process of its own: the gigabytes that one case leaves make the next slower, not both sides alike.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            rows.append(pool.submit(_measure_case, name, options.crystals, threads, options.turns).result())
    if options.long:
        rows += [row for threads in options.threads for row in _long_rows(options.name, threads, options.ranks)]
    stored = json.loads(RESULTS.read_text(encoding="utf-8"))
    print_rows(rows, stored, f"crystals of {data.source.name}; {load:.1f} processes on {os.cpu_count()} cores")
    measured = {
        "machine": processor_name(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "data": data.source.name,
        "date": datetime.now(UTC).date().isoformat(),
        "cores": os.cpu_count(),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],  # processes that ran or waited, before and after
        "ratios": rows,
    }
    if options.store:
        RESULTS.write_text(json.dumps([*stored, measured], indent=1) + "\n", encoding="utf-8")
        print(f"stored in {RESULTS}")


def _parse_options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure speed as ratios.")
    parser.add_argument("name", nargs="?", default="", help="part of the names of the cases")
    parser.add_argument("--threads", type=lambda text: [int(t) for t in text.split(",")], default=[1, 2])
    parser.add_argument("--turns", type=int, default=3, help="at most")
    parser.add_argument("--crystals", type=int, default=200, help="drawn at random; a quarter as many of low symmetry")
    parser.add_argument("--long", action="store_true", help="also what takes hours")
    parser.add_argument("--ranks", type=int, default=1, help="processes that train one model together, of --long")
    parser.add_argument("--no-store", dest="store", action="store_false")
    return parser.parse_args(words)


def print_rows(rows: Sequence[Mapping[str, Any]], stored: Sequence[Mapping[str, Any]], title: str) -> None:
    """Print one table of all rows, each beside the last stored one of the same work and threads."""
    before = {(row["work"], row["threads"]): (row, run["date"]) for run in stored for row in run["ratios"]}
    table = Table(box=box.SIMPLE_HEAD, title=title)
    for column in ("work", "crystals", "threads", "ms here", "ratio", "lowest-highest", "was", "on"):
        table.add_column(column, justify="left" if column == "work" else "right")
    for row in rows:
        was, date = before.get((row["work"], row["threads"]), ({}, "-"))
        span = f"{row['lowest']:.1f}-{row['highest']:.1f}" if row["ratio"] else "-"
        span = f"{row['peak_memory_mb']:,} MB" if "peak_memory_mb" in row else span
        each = f"{1e3 * row['seconds_here'] / row['crystals']:.2f}"
        ratio, earlier = (f"{r['ratio']:.1f}" if r.get("ratio") else "-" for r in (row, was))
        table.add_row(row["work"], str(row["crystals"]), str(row["threads"]), each, ratio, span, earlier, date)
    Console(width=118).print(table)
    print("ms here: for each crystal; was: the ratio that was stored last", file=sys.stderr)


@dataclass(frozen=True)
class Case:
    """A piece of work; `make` prepares its batches as they are done here and as the other package does them."""

    work: str
    crystals: Sequence[Crystal]
    make: Callable[[Sequence[Crystal]], Sequence[Steps]]
    turns: int = 3


def _measure_case(work: str, count: int, threads: int, most_turns: int) -> dict[str, Any]:
    warnings.simplefilter("ignore", DeprecationWarning)
    case = next(case for case in _list_cases(_load_crystals(), count) if case.work == work)
    turns = min(case.turns, most_turns)
    with threadpool_limits(threads):  # of numpy too
        torch.set_num_threads(threads)
        steps = case.make(case.crystals)
        paired_seconds(steps, time.perf_counter)  # first calls compile and fill caches
        # With one thread, processor time, so that other processes do not count.
        clock = time.process_time if threads == 1 else time.perf_counter
        seconds = np.array([paired_seconds(steps, clock) for _ in range(turns)])
    ratios = seconds[:, 1] / seconds[:, 0]
    here, there = np.median(seconds, axis=0)
    return {"work": case.work, "crystals": len(case.crystals), "threads": threads,
            "seconds_here": float(here), "seconds_there": float(there), "ratio": float(np.median(ratios)),
            "lowest": float(ratios.min()), "highest": float(ratios.max())}  # fmt: skip


def _long_rows(chosen: str, threads: int, ranks: int) -> Iterator[dict[str, Any]]:
    """Time an epoch of each model on mp-2018, without its inputs, and all models on a task: seconds, no ratios.

    `threads` are those of all processes that train together, `ranks`.
    """
    command = [sys.executable, "-m", "leaderboard.cli", "run"]
    fixed = {"threads": threads, "ratio": None}
    environment = os.environ | {"OMP_NUM_THREADS": str(max(1, threads // ranks))}
    together = f", {ranks} processes" if ranks > 1 else ""
    for name in ("cgcnn", "megnet", "m3gnet", "alignn", "cogn", "asugnn"):
        work = f"{name}: an epoch of mp-2018, preset hours{together}"
        if chosen not in work:
            continue
        with tempfile.TemporaryDirectory() as out:
            words = ["--task", "mp-2018/formation-energy", "--model", name, "--preset", "hours", "--device", "cpu"]
            words += ["--ranks", str(ranks), "--set", f"{name}.epochs=1", "--allow-leaks", "--jobs", "1", "--out", out]
            subprocess.run([*command, *words], check=True, stdout=subprocess.DEVNULL, env=environment)
            (record,) = Path(out).rglob("run.json")
            run = json.loads(record.read_text(encoding="utf-8"))
            with (record.parent / "history.csv").open(encoding="utf-8") as history:
                (epoch,) = csv.DictReader(history)
        yield {"work": work, "crystals": run["counts"]["train"], "seconds_here": float(epoch["seconds"]), **fixed,
               "peak_memory_mb": run["peak_memory_mb"]}  # fmt: skip
    task = "open-dft/bulk-modulus"
    work = f"bench run --task {task} --model all"
    if chosen in work:
        with tempfile.TemporaryDirectory() as out:
            started = time.perf_counter()
            words = ["--task", task, "--model", "all", "--out", out]
            subprocess.run([*command, *words], check=True, stdout=subprocess.DEVNULL, env=environment)
            seconds = time.perf_counter() - started
        yield {"work": work, "crystals": len(leaderboard.task(task).split().train), "seconds_here": seconds, **fixed}


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


def _list_cases(data: Dataset, count: int) -> Iterator[Case]:
    sizes = data.table["atomic_numbers"].list.len().to_numpy()
    rng = np.random.default_rng(0)

    def sample(n: int, most: int) -> list[Crystal]:
        return data.crystals(np.array(data.ids)[rng.choice(np.flatnonzero(sizes <= most), n, replace=False)])

    yield Case("graphs of ALIGNN", sample(64, 40), in_batches(_alignn_graphs, 16))
    random = sample(count, 1000)
    lowest = least_symmetric(sample(3000, 1000), count // 4)
    for name, make, size in (
        ("MEGNet", partial(matgl_step, MEGNet()), 100),
        ("M3GNet", partial(matgl_step, M3GNet()), 50),
        ("ALIGNN", alignn_step, 10),
        ("CGCNN, against every atom", cgcnn_step, 100),
    ):
        yield Case(f"training step of {name}", random, in_batches(make, size))
        yield Case(f"training step of {name}: lowest symmetry", lowest, in_batches(make, size))
    any_size = [c for c in sample(240, 220) if len(conventional_cell(c).crystal) <= PADDED_ATOMS][:200]
    # As many as fit into memory when padded: 16 of the 200, evenly spaced in the order of size.
    by_size = sorted(any_size, key=lambda c: len(conventional_cell(c).crystal))
    sixteen = [by_size[int((i + 0.5) * len(by_size) / 16)] for i in range(16)]
    yield Case("ASUGNN: training step, against the literal one", sixteen, in_batches(_asugnn_step, 16))
    if find_spec("ASUkit"):
        yield Case("ASUGNN: embedding, against ASUkit", any_size[:100], in_batches(_asukit, 20))


def _alignn_graphs(crystals: Sequence[Crystal]) -> Steps:
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


def _asugnn_step(crystals: Sequence[Crystal]) -> Steps:
    """The published network in float32, on conventional cells of up to 220 atoms; there all are padded to 220."""
    model = ASUGNN()
    inputs = [model.inputs(c) for c in crystals]
    return training_step(model.network(), lambda: pack_batch(inputs)), training_step(
        Literal(), lambda: pad_batch(inputs)
    )


def _asukit(crystals: Sequence[Crystal]) -> Steps:
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
    main(sys.argv[1:])
