"""Measure what merging equivalent atoms, bonds and angles gains, by crystal system and by size of the cell.

    python benchmarks/merging.py    print, and store in benchmarks/results/merging.json

How many of them a class stands for is counted on 2,000 crystals of mp-2018; how much faster a training step is than the
package's, on 12 of each crystal system. docs/asymmetric-unit.md shows both, drawn by docs/draw_merging.py.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from steps import Steps, alignn_step, cgcnn_step, in_batches, matgl_step, paired_seconds
from threadpoolctl import threadpool_limits

from asugnn import Crystal
from baselines.alignn import ALIGNN
from baselines.cgcnn import CGCNN
from baselines.m3gnet import M3GNet
from baselines.megnet import MEGNet
from leaderboard.data import find_source, load_dataset
from leaderboard.running import processor_name

RESULT = Path(__file__).parent / "results" / "merging.json"
SYSTEMS = {
    "triclinic": 2,
    "monoclinic": 15,
    "orthorhombic": 74,
    "tetragonal": 142,
    "trigonal": 167,
    "hexagonal": 194,
    "cubic": 230,
}  # fmt: skip, the last space group of each
SIZES = {"1 to 5": 5, "6 to 10": 10, "11 to 20": 20, "21 to 40": 40, "41 to 80": 80, "more": 10_000}
COUNTED, TIMED, TURNS = 2000, 12, 3
MODELS: dict[str, tuple[Any, Callable[[Sequence[Crystal]], Steps], int]] = {
    "CGCNN": (CGCNN(), cgcnn_step, TIMED),
    "MEGNet": (MEGNet(), partial(matgl_step, MEGNet()), TIMED),
    "M3GNet": (M3GNet(), partial(matgl_step, M3GNet()), TIMED),
    "ALIGNN": (ALIGNN(), alignn_step, 4),
}


def main() -> None:
    """Count and time; print as JSON and store."""
    warnings.simplefilter("ignore", DeprecationWarning)
    torch.set_num_threads(1)
    data = load_dataset(find_source("mp-2018"))
    crystals = data.crystals(np.random.default_rng(0).choice(np.array(data.ids), COUNTED, replace=False))
    groups = np.array([_space_group(c) for c in crystals])
    system = np.searchsorted(list(SYSTEMS.values()), groups)
    size = np.searchsorted(list(SIZES.values()), [len(c) for c in crystals])
    counts = {name: np.array([_count(model, c) for c in crystals]) for name, (model, _, _) in MODELS.items()}
    report: dict[str, Any] = {"machine": processor_name(), "data": data.source.name, "counted": COUNTED, "timed": TIMED,
                              "by system": {}, "by size": {}, "steps": {}}  # fmt: skip
    for part, labels, index in (("by system", SYSTEMS, system), ("by size", SIZES, size)):
        for i, label in enumerate(labels):
            rows = {name: values[index == i].sum(axis=0) for name, values in counts.items()}
            report[part][label] = {"crystals": int((index == i).sum())} | {
                name: [round(float(all_ / one), 2) for all_, one in zip(total[::2], total[1::2], strict=True) if one]
                for name, total in rows.items()
            }
    with threadpool_limits(1):
        for i, label in enumerate(SYSTEMS):
            chosen = [crystals[j] for j in np.flatnonzero(system == i)[:TIMED]]
            report["steps"][label] = {
                name: _time_ratio(in_batches(make, batch)(chosen)) for name, (_, make, batch) in MODELS.items()
            }
            print(label, report["steps"][label], file=sys.stderr)
    RESULT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(RESULT.read_text(encoding="utf-8"))


def _space_group(crystal: Crystal) -> int:
    from moyopy import Cell, MoyoDataset

    cell = Cell(crystal.lattice.tolist(), crystal.frac_coords.tolist(), crystal.numbers.tolist())
    return int(MoyoDataset(cell, symprec=1e-3).number)


def _count(model: Any, crystal: Crystal) -> list[float]:
    """Count atoms, their classes, bonds (for CGCNN the twelve that their weights add up to), theirs, angles, theirs."""
    graph = model.graph(crystal)
    bonds = graph.weight * graph.multiplicity[graph.centre]
    angles = graph.angle_weight * bonds[graph.second]
    return [len(crystal), len(graph.atom), bonds.sum(), len(bonds), angles.sum(), len(angles)]


def _time_ratio(steps: Sequence[Steps]) -> float:
    """Median over the turns of the package's time for all batches divided by ours: processor time, in turns."""
    for ours, _ in steps:
        ours()  # first calls compile and fill caches
    seconds = [paired_seconds(steps, time.process_time) for _ in range(TURNS)]
    return round(float(np.median([there / here for here, there in seconds])), 2)


if __name__ == "__main__":
    main()
