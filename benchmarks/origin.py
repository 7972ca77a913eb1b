"""Measure how much predictions depend on the origin, where the space group leaves it free.

    python benchmarks/origin.py RUN       RUN is the folder of a run of asugnn; print, and store in benchmarks/results/

The nodes of ASUGNN contain fractional coordinates, so that predictions of crystals in polar groups and in P1 change
when all atoms are moved together. Here the test crystals of a run are moved at random, four times.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from asugnn import Crystal
from asugnn.symmetry import conventional_cell
from leaderboard.data import load_dataset
from leaderboard.records import open_run
from leaderboard.running import load_run_model
from leaderboard.splitting import fold_sides, read_split

MOVES = 4


def main(folder: str) -> None:
    """Measure the run in `folder`."""
    record = open_run(Path(folder))
    task = record.run.task
    data = load_dataset(task.source)
    sides = fold_sides(read_split(data, task.rule), data, task.target, record.run.fold)
    crystals = data.crystals(sides.test)
    labels = data.labels(task.target)[[data.rows[i] for i in sides.test]]
    free = np.array([bool(conventional_cell(c).free) for c in crystals])
    _, model = load_run_model(Path(folder))
    rng = np.random.default_rng(0)
    before = model.predict(crystals)
    after = np.array([
        model.predict([Crystal(c.lattice, c.frac_coords + rng.random(3), c.numbers) for c in crystals])
        for _ in range(MOVES)
    ])  # (MOVES, n)  # fmt: skip
    moved = abs(after - before)
    result = {
        "run": record.run.title,
        "tested": len(crystals),
        "origin free": int(free.sum()),
        "moved by, origin free": float(moved[:, free].mean()),
        "moved by, origin fixed": float(moved[:, ~free].mean()),
        "spread over origins, origin free": float(after[:, free].std(axis=0).mean()),
        "mae, origin free": float(abs(before - labels)[free].mean()),
        "mae, origin free, moved": float(abs(after - labels)[:, free].mean()),
        "mae": float(abs(before - labels).mean()),
        "mae, moved": float(abs(after - labels).mean()),
    }
    for name, value in result.items():
        print(f"{name:34} {value}")
    file = Path(__file__).parent / "results" / "origin.json"
    results = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(json.dumps({**results, record.run.model: result}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
