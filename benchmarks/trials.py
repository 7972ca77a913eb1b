"""Try settings of a model on validation crystals, and log what comes of it in results/trials.csv.

    python benchmarks/trials.py TASK MODEL [--precision bfloat16] "learning_rate=2e-3" "learning_rate=4e-3 epochs=48" ..

Each variant is one run of preset `hours`, fold 0, seed 0, in a folder that is removed afterwards. Only its validation
scores are read: test crystals have no say in a choice. docs/trials.md shows the log.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
from pathlib import Path

LOG = Path(__file__).resolve().parent / "results" / "trials.csv"
COLUMNS = ("task", "model", "settings", "precision", "epochs", "validation", "training", "seconds")


def try_settings(task: str, model: str, settings: str, precision: str) -> dict[str, str]:
    """Run one variant; `validation` is the score of the chosen epoch, a mean over it and the four before."""
    with tempfile.TemporaryDirectory() as out:
        sets = [word for setting in settings.split() for word in ("--set", f"{model}.{setting}")]
        words = ["run", "--task", task, "--model", model, "--preset", "hours", "--precision", precision, "--jobs", "1"]
        command = [sys.executable, "-m", "leaderboard.cli", *words, "--allow-leaks", "--out", out, *sets]
        subprocess.run(command, check=True, stdout=sys.stderr)
        (history,) = Path(out).rglob("history.csv")
        with history.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    val = [float(row["val"]) for row in rows]
    windows = [val[max(0, i - 4) : i + 1] for i in range(len(val))]
    best = min(sum(window) / len(window) for window in windows)
    seconds = sum(float(row["seconds"]) for row in rows)
    values = (
        task,
        model,
        settings,
        precision,
        len(rows),
        f"{best:.4f}",
        f"{float(rows[-1]['train']):.4f}",
        f"{seconds:.0f}",
    )
    return dict(zip(COLUMNS, map(str, values), strict=True))


def main() -> None:
    """Try all variants, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task")
    parser.add_argument("model")
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("settings", nargs="+", help="variants, such as 'epochs=48 loss=l1'")
    options = parser.parse_args()
    for settings in options.settings:
        row = try_settings(options.task, options.model, settings, options.precision)
        with LOG.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, COLUMNS, lineterminator="\n").writerow(row)
        print(row)


if __name__ == "__main__":
    main()
