"""Time and peak memory of the commands that read stored runs, when there are thousands of them.

    python benchmarks/board_speed.py [--runs 2000] [--seeds 1] [--against FOLDER ..]

Makes runs in a temporary folder, as copies of the stored runs of open-dft under other names and with slightly changed
predictions, spread evenly over its tasks. Prints one JSON object: seconds and peak memory in MB of `bench leaderboard`
(with an empty cache, then again), `bench site` and `bench verify`. Each command is a process of its own, with a cache
of its own. `--against` measures other checkouts of this repository on the same folder.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from asugnn.atomic_write import file_sha256
from leaderboard.data import PACKAGE
from leaderboard.records import PRETRAINED, StoredRun, list_runs, write_predictions, write_record

START = "from leaderboard.cli import main; main()"


def main() -> None:
    """Make the runs, then measure every checkout on them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000, help="how many runs are made")
    parser.add_argument("--seeds", type=int, default=1, help="how many of them make a row of the board")
    parser.add_argument("--against", type=Path, nargs="*", default=[], help="other checkouts to measure")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "runs"
        make_runs(root, chosen.runs, chosen.seeds)
        trees = {"this checkout": PACKAGE.parent, **{str(tree): tree.resolve() for tree in chosen.against}}
        found = {title: measure_commands(tree, root, Path(name)) for title, tree in trees.items()}
    print(json.dumps({"runs": chosen.runs, "seeds": chosen.seeds, "measured": found}, indent=1))


def make_runs(root: Path, count: int, seeds: int) -> None:
    """Write `count` runs under `root`, every `seeds` of them one row."""
    rng = np.random.default_rng(0)
    stored = [r for r in list_runs(PACKAGE / "runs")[0] if r.run.task.source.name == "open-dft"]
    trained = [r for r in stored if r.run.preset != PRETRAINED]
    by_task: dict[str, list[StoredRun]] = {}
    for original in trained:
        by_task.setdefault(original.run.task.name, []).append(original)
    originals = list(by_task.values())
    for i in range(count):
        row, seed = divmod(i, seeds)
        number, place = divmod(row, len(originals))
        original = originals[place][number % len(originals[place])]
        run = replace(original.run, model=f"{original.run.model}+trees={number}", seed=seed)
        folder = run.folder(root)
        folder.mkdir(parents=True)
        ids, values = _predictions(original)
        noise = 1 + 0.02 * rng.normal(size=len(values))
        write_predictions(folder / "predictions.csv", ids, run.task.target.name, np.clip(values * noise, -9, 1)
                          if run.task.target.kind == "regression" else np.clip(values * noise, 0, 1))  # fmt: skip
        if (history := original.folder / "history.csv").is_file():
            shutil.copyfile(history, folder / "history.csv")
        digest = file_sha256(folder / "predictions.csv")
        changed = {"model": run.model, "seed": seed, "predictions_sha256": digest}
        write_record(folder, {**original.record.raw, **changed})


def _predictions(stored: StoredRun) -> tuple[list[str], np.ndarray]:
    lines = stored.predictions.read_text(encoding="utf-8").splitlines()[1:]
    ids, values = zip(*(line.rsplit(",", 1) for line in lines), strict=True)
    return list(ids), np.array([float(value) for value in values])


def measure_commands(tree: Path, root: Path, work: Path) -> dict[str, dict[str, float]]:
    """Seconds and peak memory of every command of one checkout."""
    cache = Path(tempfile.mkdtemp(dir=work))
    commands: dict[str, tuple[str, ...]] = {
        "leaderboard": ("leaderboard", "open-dft"),
        "leaderboard again": ("leaderboard", "open-dft"),
        "site": ("site", "--out", str(cache / "site")),
        "verify": ("verify",),
    }
    return {title: _measure(tree, cache, [*words, "--runs", str(root)]) for title, words in commands.items()}


def _measure(tree: Path, cache: Path, words: list[str]) -> dict[str, float]:
    """Seconds and peak memory (MB) of one command, which must end well."""
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": str(tree), "BENCH_CACHE": str(cache)}
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", START, *words], env=environment, cwd=cache, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    if status:
        raise SystemExit(f"bench {' '.join(words)} ended with {os.waitstatus_to_exitcode(status)} in {tree}")
    cpu = used.ru_utime + used.ru_stime  # says more than the clock where others use the machine, too
    return {"seconds": round(seconds, 2), "cpu seconds": round(cpu, 2), "peak MB": round(used.ru_maxrss / 1024)}


if __name__ == "__main__":
    main()
