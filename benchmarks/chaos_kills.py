"""Scenarios of chaos.py: commands that are killed, stopped, or find damaged checkpoints, and are repeated."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from chaos_tools import (
    BENCH,
    TOYS,
    Counts,
    SkippedError,
    bench,
    finish,
    predictions,
    processes,
    start,
    undisturbed,
    workplace,
)


def kills(root: Path, count: int) -> Counts:
    """SIGKILL, at random instants, to the command, to all its processes, or to one of them; then it is repeated."""
    whole, seconds = undisturbed(root)
    counts: Counts = {"kills": 0, "of the command": 0, "of all processes": 0, "of one process": 0, "series": 0}
    draw = random.Random(1)
    for jobs in ("1", "2"):
        folder, killed = workplace(root, f"killed-{jobs}-0"), 0
        while killed < count // 2:
            process, began, new = start(folder, *TOYS, "--jobs", jobs), time.monotonic(), not (folder / "runs").exists()
            with suppress(subprocess.TimeoutExpired):
                process.wait(draw.uniform(0, seconds))
            if process.poll() is None:
                killed += 1
                counts["kills"] += 1
                counts[kill(process, draw)] += 1
                process.wait()
            elif process.returncode == 0:
                if new:  # undisturbed; the machine may be less busy than it was
                    seconds = min(seconds, time.monotonic() - began)
                finish(folder, whole, counts)
                folder = workplace(root, f"killed-{jobs}-{killed}")
            certified = predictions(folder)
            assert certified.items() <= whole.items(), "a kill left predictions that differ"
        again = bench(folder, *TOYS, "--jobs", jobs)
        assert again.returncode == 0, again.stderr
        finish(folder, whole, counts)
    return counts


def kill(process: subprocess.Popen[bytes], draw: random.Random) -> str:
    """Kill a command in one of three ways; the name of it."""
    how = draw.choice(["of the command", "of all processes", "of one process"])
    if how == "of one process":
        members = processes(process.pid)
        with suppress(ProcessLookupError):
            os.kill(draw.choice(members or [process.pid]), signal.SIGKILL)
        process.wait()  # it goes on: the others must not be lost
    elif how == "of the command":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    return how


def signals(root: Path, count: int) -> Counts:
    """SIGINT, SIGTERM and SIGHUP at random instants: the command ends in time, says how to go on, and loses nothing."""
    whole, seconds = undisturbed(root)
    draw, counts, slowest = (
        random.Random(2),
        {"signals": 0, "series": 0},
        {"SIGINT": 0.0, "SIGTERM": 0.0, "SIGHUP": 0.0},
    )
    folder = workplace(root, "signals-0")
    while counts["signals"] < max(3, count // 4):
        name = draw.choice(sorted(slowest))
        process = start(folder, *TOYS, "--jobs", draw.choice("12"))
        with suppress(subprocess.TimeoutExpired):
            process.wait(draw.uniform(0.3 * seconds, seconds))
        if process.poll() is None:
            began = time.monotonic()
            process.send_signal(signal.Signals[name])
            process.wait(60)
            slowest[name] = max(slowest[name], round(time.monotonic() - began, 2))
            counts["signals"] += 1
            time.sleep(1)  # Python's resource tracker ends when its pipe is closed
            assert processes(process.pid) == [], "processes were left behind"
        elif process.returncode == 0:
            finish(folder, whole, counts)
            folder = workplace(root, f"signals-{counts['signals']}")
        assert predictions(folder).items() <= whole.items()
    assert bench(folder, *TOYS).returncode == 0
    finish(folder, whole, counts)
    return {**counts, "slowest end, s": slowest}


def damaged(root: Path, count: int) -> Counts:
    """A checkpoint that was cut, emptied, zeroed, or changed by bits after a kill: the run ends with the same bytes."""
    whole, seconds = undisturbed(root)
    rng = np.random.default_rng(3)
    counts = {"damaged checkpoints": 0, "resumed from the one before": 0, "restarted": 0, "series": 0}
    for _ in range(max(1, count // 20)):
        files: list[Path] = []
        while not files:  # it was killed too early, or had ended
            folder = workplace(root, f"damaged-{rng.integers(10**9)}")
            process = start(folder, *TOYS, "--jobs", "1")
            with suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0.3, 0.9) * seconds)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            files = sorted((folder / "runs").rglob("checkpoint*.pt"))
        for file in files if rng.random() < 0.5 else [f for f in files if f.name == "checkpoint.pt"]:
            content = bytearray(file.read_bytes())
            for bit in rng.integers(0, 8 * len(content), int(rng.choice([1, 50]))).tolist():
                content[bit // 8] ^= 1 << bit % 8
            kinds = [bytes(content), bytes(content[: len(content) // 2]), b"", bytes(len(content))]
            file.write_bytes(kinds[int(rng.integers(len(kinds)))])
            counts["damaged checkpoints"] += 1
        again = bench(folder, *TOYS)
        assert again.returncode == 0, again.stderr
        counts["resumed from the one before"] += again.stderr.count("resumed from the checkpoint before it")
        counts["restarted"] += again.stderr.count("training started again")
        finish(folder, whole, counts)
    return counts


def clock_back(root: Path, count: int) -> Counts:
    """The clock is set back by a day between a kill and the next command, by faketime."""
    del count
    if not shutil.which("faketime"):
        raise SkippedError("there is no faketime on this machine")
    whole, seconds = undisturbed(root)
    folder = workplace(root, "clock")
    process = start(folder, *TOYS)
    with suppress(subprocess.TimeoutExpired):
        process.wait(0.6 * seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    words = ["faketime", "-f", "-1d", *BENCH, *TOYS]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    finish(folder, whole, {"series": 0})
    return {"clocks set back": 1}
