"""Scenarios of chaos.py: work that several commands and processes share."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import time
from pathlib import Path

from chaos_tools import BENCH, Counts, bench, predictions, workplace


def together(root: Path, count: int) -> Counts:
    """Four commands on one folder: each run is done by exactly one of them."""
    del count
    folder = workplace(root, "together")
    words = ("run", "--task", "open-dft/formation-energy,open-dft/band-gap,open-dft/bulk-modulus,open-dft/metal")
    words += ("--model", "mean", "--seed", ",".join(map(str, range(50))))
    four = [
        subprocess.Popen([*BENCH, *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    told = [process.communicate()[1] for process in four]
    by_each = [
        [x for x in text.splitlines() if re.match(r"\[ *\d+/200\] mean", x) and "finished before" not in x]
        for text in told
    ]
    done = [line.partition("] ")[2].partition("  ")[0] for lines in by_each for line in lines]
    assert [process.returncode for process in four] == [0] * 4, told
    assert len(done) == len(set(done)) == len(predictions(folder)) == 200, f"{len(done)} runs were done"
    checked = bench(folder, "verify", "--runs", "runs")
    assert checked.returncode == 0, checked.stderr
    return {
        "commands": 4,
        "runs": 200,
        "done once": len(set(done)),
        "done by each": [*map(len, by_each)],
        "verified": 200,
    }


def two_processes(root: Path, count: int) -> Counts:
    """Independent runs of one thread, one and two at a time, and the share of the time that is no training."""
    del count
    before, seconds = os.getloadavg()[0], {}
    for jobs in ("1", "2"):
        folder = workplace(root, f"busy-{jobs}")
        words = ("run", "--task", "open-dft/metal", "--model", "chaos_models.py:Busy", "--seed", "0,1,2,3,4,5,6,7")
        began = time.monotonic()
        done = bench(folder, *words, "--jobs", jobs, env={**os.environ, "OMP_NUM_THREADS": "1", "BUSY": "15"})
        seconds[jobs] = time.monotonic() - began
        assert done.returncode == 0, done.stderr
    folder = workplace(root, "minute")
    began = time.monotonic()
    words = ("run", "--task", "open-dft/metal", "--model", "chaos_models.py:Busy", "--seed", "0,1", "--jobs", "1")
    assert bench(folder, *words, env={**os.environ, "OMP_NUM_THREADS": "1", "BUSY": "60"}).returncode == 0
    minute = time.monotonic() - began
    records = [json.loads(file.read_text()) for file in (folder / "runs").rglob("run.json")]
    trained = sum(record["seconds"]["train"] for record in records)
    return {
        "times faster with two": round(seconds["1"] / seconds["2"], 2),
        "overhead of runs of a minute": round((minute - trained) / minute, 3),
        "load before": before,
    }


def ten_thousand(root: Path, count: int) -> Counts:
    """10,000 planned runs, listed and estimated."""
    del count
    folder = workplace(root, "planned")
    words = ("run", *("--task", "open-dft/metal,open-dft/band-gap", "--model", "mean,forest,cgcnn,megnet,asugnn"))
    words += ("--fold", "all", "--seed", ",".join(map(str, range(200))), "--dry-run")
    began = time.monotonic()
    listed = bench(folder, *words)
    seconds = time.monotonic() - began
    assert listed.returncode == 0, listed.stderr
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    return {"listed": len(listed.stdout.splitlines()) - 2, "seconds": round(seconds, 1), "MB": most}
