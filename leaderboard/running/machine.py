"""Where a run took place: device, peak memory, package versions and the commit, as run.json records them."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from asugnn import InputError, Model
from asugnn.capacity import stated_threads
from leaderboard.data import PACKAGE
from leaderboard.running.model_code import bringing_distributions

PROCESSORS = Path("/proc/cpuinfo")


@contextmanager
def measure_memory(fields: dict[str, Any]) -> Iterator[None]:
    """Measure the peak memory of the block and the device that it used, and write both into `fields` of run.json."""
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    with suppress(OSError):
        clear.write_text("5")  # Linux: the high-water mark starts anew
    if (torch := sys.modules.get("torch")) and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    yield
    torch = sys.modules.get("torch")
    on_gpu = bool(torch and torch.cuda.is_available() and torch.cuda.max_memory_allocated())
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        fields["peak_memory_mb"] = int(line.split()[1]) // 1024
    threads = torch.get_num_threads() if torch else stated_threads() or os.cpu_count()
    if torch and on_gpu:
        fields["device"] = {"kind": "cuda", "name": torch.cuda.get_device_name(), "threads": threads}
        fields["peak_device_memory_mb"] = int(torch.cuda.max_memory_allocated() // 2**20)
    else:
        fields["device"] = {"kind": "cpu", "name": processor_name(), "threads": threads}


def choose_device(name: str) -> str:
    """`auto` to cuda where there is a GPU that works, else cpu; raises `InputError` for one that is not there."""
    if name == "cpu" or (name == "auto" and not shutil.which("nvidia-smi")):
        return "cpu"  # without torch, which takes seconds to import
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if name == "cuda":
        raise InputError("--device cuda: this machine has no GPU that PyTorch can use; leave --device out")
    return "cpu"


def processor_name() -> str:
    """The name of the processor, for people."""
    return _read_processor("model name") or platform.processor() or platform.machine()


def bfloat16_is_slow() -> bool:
    """Whether this is an x86 processor without AVX-512, where PyTorch computes bfloat16 number by number.

    A training step of ALIGNN takes eight times as long there as with float32.
    """
    flags = _read_processor("flags").split()
    return bool(flags) and "avx512bw" not in flags


def _read_processor(entry: str) -> str:
    """What Linux says of the first processor; empty where it says nothing."""
    lines = PROCESSORS.read_text().splitlines() if PROCESSORS.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.partition("\t")[0] == entry), "")


def package_versions(model: type[Model]) -> dict[str, str]:
    """Python, this package, the package that brings the model, and the numerical packages that were loaded."""
    loaded = {"numpy": "numpy", "torch": "torch", "torch_geometric": "torch-geometric", "sklearn": "scikit-learn"}
    loaded |= {name: name for name in ("matgl", "alignn", "chgnet", "pymatgen", "spglib")}
    names = ["asugnn-bench", *(package for module, package in loaded.items() if module in sys.modules)]
    out = {"python": platform.python_version()}
    top = model.__module__.partition(".")[0]
    for name in (*names, *bringing_distributions(top)):
        out[name] = importlib.metadata.version(name)
    return out


@functools.cache  # what runs is what was loaded, whatever is committed meanwhile
def checkout_commit() -> str | None:
    """The commit of a checkout, `+` appended where tracked files differ from it, but for the stored runs."""
    home = PACKAGE.parent
    if not (home / ".git").exists() or not shutil.which("git"):
        return None

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(home), *words], capture_output=True, text=True, check=False).stdout

    head = git("rev-parse", "--short=12", "HEAD").strip()
    changed = git("status", "--porcelain", "-uno", "--", ".", ":!leaderboard/runs").strip()
    return (head + ("+" if changed else "")) or None
