"""Scenarios of chaos.py: models that misbehave, and machines that lack memory, disk or locks."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from chaos_tools import (
    BENCH,
    TOYS,
    Counts,
    SkippedError,
    bench,
    forbid_flock,
    mounted,
    predictions,
    undisturbed,
    workplace,
)

GROUPS = Path("/sys/fs/cgroup/memory")


def odd_models(root: Path, count: int) -> Counts:
    """A model that hangs, one that eats memory, one that aborts, one that exits, beside a good one."""
    del count
    folder = workplace(root, "odd")
    names = ["Hangs", "Eats", "Aborts", "Exits", "Good"]
    words = ["run", "--task", "open-dft/metal", "--model", ",".join(f"chaos_models.py:{n}" for n in names)]
    limited = ["prlimit", f"--as={4 * 2**30}", *BENCH, *words, "--timeout", "60", "--jobs", "2"]
    done = subprocess.run(limited, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    board = bench(folder, "leaderboard", "--task", "open-dft/metal", "--runs", "runs")
    reasons = {
        "Hangs": "it made no progress for 60 s",
        "Eats": "memory ran out: ",
        "Aborts": "its process was ended by SIGABRT",
        "Exits": "it ended its own process, with exit status 0",
    }
    assert done.returncode == 1, done.stderr
    assert "chaos_models.Good" in board.stdout
    for name, reason in reasons.items():
        told = f"chaos_models.{name} on open-dft/metal, fold 0, seed 0 failed: {reason}"
        assert told in " ".join(board.stderr.split()), board.stderr
    return {"exit status": 1, "good on the board": 1, "reasons on the board": len(reasons)}


def kernel_memory(root: Path, count: int) -> Counts:
    """A control group of little memory: the kernel ends the model that eats, and the others go on."""
    del count
    group = GROUPS / f"chaos-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(900 * 2**20))
    except OSError as error:
        raise SkippedError(f"no control group of memory can be made here: {error.strerror}") from error
    folder = workplace(root, "kernel")
    words = ["run", "--task", "open-dft/metal,open-dft/band-gap", "--jobs", "2"]
    words += ["--model", "chaos_models.py:Eats,chaos_models.py:Good"]
    try:
        done = bench(folder, *words, preexec_fn=lambda: (group / "cgroup.procs").write_text(str(os.getpid())))
    finally:
        with suppress(OSError):
            group.rmdir()
    lines = [line for line in done.stderr.splitlines() if line.startswith("[")]
    failed = sum("failed: memory ran out, and the kernel ended its process" in line for line in lines)
    assert (done.returncode, failed, len(predictions(folder))) == (1, 2, 2), done.stderr
    return {"ended by the kernel": failed, "good runs": len(predictions(folder))}


def full_disk(root: Path, count: int) -> Counts:
    """A disk that fills up at different points: what fails is told, nothing false is left, and it resumes with room."""
    whole, _ = undisturbed(root)
    counts = {"disks": 0, "told": 0, "finished runs kept": 0, "resumed with room": 0}
    for kilobytes in [40 + 17 * i for i in range(max(2, count // 12))]:
        folder = workplace(root, f"full-{kilobytes}")
        with mounted(folder / "runs", "-o", f"size={kilobytes}k"):
            done = bench(folder, *TOYS)
            counts["disks"] += 1
            assert "Traceback" not in done.stderr
            certified = predictions(folder)
            assert certified.items() <= whole.items()
            counts["told"] += done.returncode == 1
            counts["finished runs kept"] += len(certified)
            subprocess.run(["mount", "-o", "remount,size=50m", folder / "runs"], check=True)
            assert bench(folder, *TOYS).returncode == 0
            assert predictions(folder) == whole
            counts["resumed with room"] += 1
    return counts


def read_only(root: Path, count: int) -> Counts:
    """A folder that cannot be written: a sentence before anything is trained, and no traceback."""
    del count
    folder = workplace(root, "read-only")
    with mounted(folder / "runs", "-o", "ro"):
        done = bench(folder, *TOYS)
    assert done.returncode == 1
    assert "cannot be written: Read-only file system" in done.stderr
    return {"refused with a sentence": int("Traceback" not in done.stderr)}


def without_flock(root: Path, count: int) -> Counts:
    """A file system without flock, by a sitecustomize that raises ENOSYS: two commands, one of which is killed once."""
    del count
    whole, seconds = undisturbed(root)
    folder = workplace(root, "without-flock")
    forbid_flock(folder)
    env = {**os.environ, "PYTHONPATH": f"{folder}:{os.environ.get('PYTHONPATH', '')}"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    first = subprocess.Popen([*BENCH, *TOYS], cwd=folder, env=env, start_new_session=True, **quiet)
    time.sleep(seconds / 2)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    both = [subprocess.Popen([*BENCH, *TOYS], cwd=folder, env=env, text=True, **pipes) for _ in "ab"]
    told = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert predictions(folder) == whole
    return {"commands": 3, "runs equal": len(whole), "finished before": sum(t.count("finished before") for t in told)}
