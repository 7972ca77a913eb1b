"""What a machine has for this process: cores, GPUs and memory, by the kernel and the limits of a batch system."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
UNLIMITED = 2**60  # bytes: what a control group of version 1 states where there is no limit


def usable_cores() -> int:
    """The number of cores that this process may use: of its affinity, its job of Slurm, and its control groups."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if (granted := os.environ.get("SLURM_CPUS_ON_NODE", "")).isdecimal():  # a cluster need not enforce it
        cores = max(1, min(cores, int(granted)))
    for folder in _groups("cpu"):
        with suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()  # version 2
            cores = min(cores, max(1, int(quota) // int(period)))
        with suppress(OSError, ValueError):
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
            if int(quota) > 0:
                cores = min(cores, max(1, int(quota) // int(period)))
    return cores


def stated_threads() -> int | None:
    """The number of threads that OMP_NUM_THREADS sets for numerical packages; None where it sets none."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    return int(stated) if stated.isdecimal() and int(stated) else None


def available_memory() -> int | None:
    """Megabytes that new processes can have, by /proc/meminfo and the limits of control groups; None: not known."""
    amounts = []
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        amounts.append(1024 * int(next(x for x in lines if x.startswith("MemAvailable")).split()[1]))
    for folder in _groups("memory"):
        for limit, usage, cached in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            with suppress(OSError, ValueError):
                most = int((folder / limit).read_text())  # "max" where there is none
                if most < UNLIMITED:
                    used = int((folder / usage).read_text()) - _statistic(folder / "memory.stat", cached)
                    amounts.append(max(0, most - used))
    return min(amounts) // 2**20 if amounts else None


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES takes."""
    if (stated := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        names = [name.strip() for name in stated.split(",") if name.strip()]
        return list(takewhile(lambda name: not name.startswith("-") and name != "NoDevFiles", names))  # as CUDA does
    with suppress(OSError, subprocess.SubprocessError):
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=60).stdout
        return [str(i) for i, _ in enumerate(line for line in listed.splitlines() if line.startswith("GPU "))]
    return []


def count_oom_kills() -> int:
    """How many processes the kernel has ended for their memory since it started; 0 where it does not say."""
    count = _statistic(Path("/proc/vmstat"), "oom_kill")
    return max([count, *(_statistic(folder / "memory.events", "oom_kill") for folder in _groups("memory"))])


def _statistic(file: Path, name: str) -> int:
    """A number in a file of lines of a name and a number; 0 where it is not there."""
    with suppress(OSError, ValueError):
        for line in file.read_text().splitlines():
            if line.startswith(f"{name} "):
                return int(line.split()[1])
    return 0


def _groups(controller: str) -> Iterator[Path]:
    """The control groups of this process, inner ones first, of version 2 and of a controller of version 1."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            number, names, path = line.split(":", 2)
            if number == "0" or controller in names.split(","):
                root = CGROUPS if number == "0" else CGROUPS / controller
                inner = root / path.lstrip("/")
                yield from (folder for folder in (inner, *inner.parents) if folder.is_relative_to(root))
