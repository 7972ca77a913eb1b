"""What the scenarios of chaos.py share: commands, their processes, and what they certify."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BENCH = [sys.executable, "-m", "leaderboard.cli"]
TOYS = ("run", "--task", "open-dft/bulk-modulus", "--model", "chaos_models.py:Toy", "--seed", "0,1")
Counts = dict[str, Any]
SO_FAR: Counts = {}  # of the scenario under way, when its last series went through


class SkippedError(Exception):
    """The machine lacks what a scenario needs."""


def bench(folder: Path, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, to its end."""
    return subprocess.run(
        [*BENCH, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=1200, **options
    )


def start(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start a command in a folder, as a group of processes of its own."""
    with (folder / "log").open("ab") as log:
        return subprocess.Popen([*BENCH, *words], cwd=folder, stdout=log, stderr=log, start_new_session=True)


def workplace(root: Path, name: str) -> Path:
    """A new folder with the models in it."""
    folder = root / name
    folder.mkdir(parents=True)
    shutil.copy(HERE / "chaos_models.py", folder)
    return folder


def forbid_flock(folder: Path) -> None:
    """Put a sitecustomize into a folder that is as a file system without flock."""
    code = "import errno, fcntl\ndef missing(*_): raise OSError(errno.ENOSYS, 'no locks')\nfcntl.flock = missing\n"
    (folder / "sitecustomize.py").write_text(code)


def predictions(folder: Path) -> dict[str, bytes]:
    """The certified predictions: those beside a record."""
    files = [file.with_name("predictions.csv") for file in sorted((folder / "runs").rglob("run.json"))]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def undisturbed(root: Path) -> tuple[dict[str, bytes], float]:
    """What the toys predict where nothing happens, and the seconds of it."""
    folder = workplace(root, "undisturbed")
    began = time.monotonic()
    done = bench(folder, *TOYS, "--jobs", "1")
    assert done.returncode == 0, done.stderr
    return predictions(folder), time.monotonic() - began


def processes(group: int) -> list[int]:
    """The processes of a group that run."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            words = file.read_text().rpartition(")")[2].split()
            if words[2] == str(group) and words[0] != "Z":
                found.append(int(file.parent.name))
    return found


def finish(folder: Path, whole: dict[str, bytes], counts: Counts) -> None:
    """A series of faults has ended with a command that went through: all is as if nothing had happened."""
    assert predictions(folder) == whole, "the predictions differ from those of the undisturbed command"
    checked = bench(folder, "verify", "--runs", "runs")
    assert checked.returncode == 0, checked.stderr
    assert not list((folder / "runs").rglob("checkpoint*"))
    counts["series"] += 1
    SO_FAR.clear()
    SO_FAR.update(counts)
    print(f"  so far: {counts}", flush=True)
    shutil.rmtree(folder)


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """A file system in memory at a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", folder], check=False, capture_output=True).returncode:
        raise SkippedError("no file system can be mounted here: it takes root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
