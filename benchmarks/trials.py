"""Try settings of a model on validation crystals, and log what comes of it in results/trials.csv.

    python benchmarks/trials.py TASK MODEL [--precision bfloat16] "learning_rate=2e-3" "learning_rate=4e-3 epochs=48" ..
    python benchmarks/trials.py TASK MODEL --preset quick --seeds 3 "" "epochs=30 loss=l1" ..

Each variant is one run of fold 0, in a folder that is removed afterwards; several seeds are averaged. Only validation
crystals are scored: test crystals have no say in a choice. docs/trials.md shows the log.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from leaderboard.data import load_dataset
from leaderboard.records import StoredRun, open_run
from leaderboard.running import load_run_model
from leaderboard.splitting import fold_sides, read_split

LOG = Path(__file__).resolve().parent / "results" / "trials.csv"
COLUMNS = ("task", "model", "preset", "settings", "precision", "seeds", "epochs", "validation", "training", "seconds")


def try_settings(task: str, model: str, preset: str, settings: str, precision: str, seeds: int) -> dict[str, str]:
    """Run one variant, and average over its seeds.

    `validation` is the score of the chosen epoch, a mean over it and the four before. Of a model without epochs it is
    the score of the fitted model, and `seconds` are those of its fit.
    """
    with tempfile.TemporaryDirectory() as out:
        sets = [word for setting in settings.split() for word in ("--set", f"{model}.{setting}")]
        words = ["run", "--task", task, "--model", model, "--preset", preset, "--precision", precision, "--jobs", "1"]
        words += ["--seed", ",".join(map(str, range(seeds))), "--allow-leaks", "--out", out]
        subprocess.run([sys.executable, "-m", "leaderboard.cli", *words, *sets], check=True, stdout=sys.stderr)
        scored = [score_run(open_run(record.parent)) for record in Path(out).rglob("run.json")]
    scores, training, epochs, seconds = (tuple(column) for column in zip(*scored, strict=True))
    values = (
        *(task, model, preset, settings, precision, str(seeds), "-" if None in epochs else f"{np.mean(epochs):.0f}"),
        *(f"{np.mean(scores):.4f}", "-" if None in training else f"{np.mean(training):.4f}", f"{np.mean(seconds):.0f}"),
    )
    return dict(zip(COLUMNS, values, strict=True))


def score_run(stored: StoredRun) -> tuple[float, float | None, int | None, float]:
    """Score one run on its validation crystals; with its last training loss, its epochs and its seconds."""
    if history := stored.read_history():
        val = history["val"]
        windows = [val[max(0, i - 4) : i + 1] for i in range(len(val))]
        best = min(sum(window) / len(window) for window in windows)
        return best, history["train"][-1], len(val), sum(history["seconds"])
    return score_on_validation(stored), None, None, stored.record.seconds.train or 0.0


def score_on_validation(stored: StoredRun) -> float:
    """Score a stored model on the validation crystals of its run: mean absolute error, or cross-entropy."""
    _, model = load_run_model(stored.folder, stored.record.entry)
    task = stored.run.task
    data = load_dataset(task.source)
    sides = fold_sides(read_split(data, task.rule), data, task.target, stored.run.fold)
    labelled = data.labelled(task.target, sides.validate)
    predicted = model.predict(labelled.crystals)
    if task.target.kind == "binary":
        of_class = np.where(labelled.y == 1, predicted, 1 - predicted)
        return float(-np.log(np.clip(of_class, 1e-7, 1)).mean())
    return float(np.abs(predicted - labelled.y).mean())


def main() -> None:
    """Try all variants, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("model")
    parser.add_argument("--preset", default="hours", choices=("quick", "hours", "paper"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("settings", nargs="+", help="variants, such as 'epochs=48 loss=l1'")
    options = parser.parse_args()
    for settings in options.settings:
        row = try_settings(*(options.task, options.model, options.preset, settings, options.precision, options.seeds))
        with LOG.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(row)
        print(row)


if __name__ == "__main__":
    main()
