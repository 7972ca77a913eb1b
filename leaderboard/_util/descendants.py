"""The processes below a process, so that none outlives what started it. On Linux; elsewhere nothing is found or set."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

SET_DEATH_SIGNAL, SET_SUBREAPER = 1, 36  # options of prctl(2)
LINUX = sys.platform == "linux"
LONGEST = 5.0  # seconds that processes which were killed may take to end


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent ends: it then can be found, and ended."""
    _prctl(SET_SUBREAPER, 1)


def end_with_parent(parent: int) -> None:
    """Let the kernel kill this process when `parent`, which has started it, ends: whatever it does or ignores."""
    _prctl(SET_DEATH_SIGNAL, signal.SIGKILL)
    if LINUX and os.getppid() != parent:  # it had ended before
        os._exit(1)


def list_children() -> set[int]:
    """The process ids of the children of this process."""
    own = os.getpid()
    return {process for process, parent in _parents().items() if parent == own}


def end_descendants(spared: Collection[int], seconds: float) -> int:
    """End all processes below this one but some children and what is below these; returns how many had to be killed.

    They have some seconds to end by themselves, as helpers of a process do that has ended.
    """
    deadline, killed = time.monotonic() + seconds, set[int]()
    while found := _descendants(spared):
        if (now := time.monotonic()) >= deadline:
            for process in found - killed:
                with suppress(OSError):
                    os.kill(process, signal.SIGKILL)
            killed |= found
        if now > deadline + LONGEST:
            break
        time.sleep(0.01)
    return len(killed)


def _descendants(spared: Collection[int]) -> set[int]:
    """The living processes below this one; children that have ended are waited for, so that they vanish."""
    children: dict[int, list[int]] = {}
    for process, parent in _parents().items():
        children.setdefault(parent, []).append(process)
    level = [process for process in children.get(os.getpid(), []) if process not in spared and not _has_ended(process)]
    found: set[int] = set()
    while level:
        found.update(level)
        level = [process for parent in level for process in children.get(parent, []) if process not in found]
    return found


def _has_ended(child: int) -> bool:
    try:
        return os.waitpid(child, os.WNOHANG)[0] == child
    except OSError:
        return True


def _parents() -> dict[int, int]:
    """The parent of each process of this machine, by process id."""
    out = {}
    for folder in Path("/proc").glob("[0-9]*") if LINUX else ():
        with suppress(OSError):  # it has ended meanwhile
            status = (folder / "stat").read_text(encoding="utf-8", errors="replace")  # id (name) state parent ..
            out[int(folder.name)] = int(status[status.rindex(")") :].split()[2])
    return out


def _prctl(option: int, value: int) -> None:
    if LINUX:
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
