"""How often siblings, models that differ by their seeds alone, are told apart on a board.

    bench run --task open-dft/bulk-modulus,open-dft/band-gap --model forest,cgcnn \\
        --seed 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19 --out FOLDER
    python benchmarks/siblings.py FOLDER [--tables 400]

Takes the runs of each model and task in FOLDER, draws seeds for two siblings and for four, none twice, and ranks them
as a board does. In at most one table of twenty any two of them should differ. Prints the share of tables in which some
do, and writes it to benchmarks/results/siblings.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from leaderboard.board import load_ground_truth
from leaderboard.records import StoredRun, list_runs
from leaderboard.scoring import PredictedFold, estimate_metrics, rank_models

RESULTS = Path(__file__).resolve().parent / "results"
SEEDS = (1, 2, 3, 5)  # of each sibling
SIBLINGS = (2, 4)


def told_apart(runs: list[PredictedFold], kind: str, ranked_by: str, siblings: int, seeds: int, tables: int) -> float:
    """The share of tables in which some siblings differ significantly."""
    rng, apart = np.random.default_rng(0), 0
    for _ in range(tables):
        drawn = rng.permutation(len(runs))[: siblings * seeds].reshape(siblings, seeds)
        estimates = {}
        for name, chosen in enumerate(drawn):
            of_row = estimate_metrics(kind, [runs[i] for i in chosen], ranked_by)  # type: ignore[arg-type]
            estimates[str(name)] = next(iter(of_row.values()))
        ranks = rank_models(estimates, higher_is_better=kind == "binary")
        apart += any(rank.high < siblings for rank in ranks.values())
    return apart / tables


def main() -> None:
    """Rank siblings made of the runs in a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of runs of many seeds")
    parser.add_argument("--tables", type=int, default=400)
    parser.add_argument("--out", type=Path, default=RESULTS / "siblings.json")
    chosen = parser.parse_args()
    by_row: dict[tuple[str, str], list[StoredRun]] = {}
    for stored in list_runs(chosen.runs)[0]:
        by_row.setdefault((stored.run.task.name, stored.run.model), []).append(stored)
    found = []
    for (task, model), of_row in by_row.items():
        target = of_row[0].run.task.target
        truth = load_ground_truth(of_row[0].run.task, of_row[0].run.fold)
        runs = [truth.pair_scored(truth.read_run(stored)[1]) for stored in of_row]
        values = [target.metrics[0](run.y, run.p) for run in runs]
        for siblings in SIBLINGS:
            for seeds in SEEDS:
                if siblings * seeds <= len(runs):
                    share = told_apart(runs, target.kind, target.ranked_by, siblings, seeds, chosen.tables)
                    entry = {"task": task, "model": model, "trained": len(runs), "siblings": siblings, "seeds": seeds}
                    noise = {"metric": target.metrics[0].title, "mean": float(np.mean(values))}
                    found.append({**entry, **noise, "deviation": float(np.std(values, ddof=1)), "told apart": share})
                    print(json.dumps(found[-1]), flush=True)
    lines = ",\n".join(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in e.items()}) for e in found)
    chosen.out.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
