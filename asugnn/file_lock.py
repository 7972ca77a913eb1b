"""Locks between processes, by a file: the kernel's where the file system has them, else a lease with a heartbeat.

The kernel's lock (`flock`) ends with its process, and on a network file system with its node. Where `flock` is missing,
the file names its holder, who touches it every few seconds: a holder of this node is dead when its process is gone, one
of another node when the file was not touched for `LEASE` seconds.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from asugnn.atomic_write import writing

if TYPE_CHECKING:
    from filelock import BaseFileLock

NO_FLOCK = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOLCK}  # said by file systems without such locks
RACES = 5  # times that the folder of a lock is made again
LEASE = 60.0  # seconds without a heartbeat after which a holder on another node is dead
LOST = 75  # exit status of a process that another one has taken its lease from, while it was stopped


@contextmanager
def lock_file(path: Path, wait: bool = True, lost: Callable[[], None] | None = None) -> Iterator[bool]:
    """Lock a file against other processes and threads; yields False where it is held and `wait` is not set.

    The lock ends with its process, however that ends. `lost` is called, in another thread, if a lease was taken over
    because this process stood still for longer than it lasts; by default it ends the process with status `LOST`. Raises
    `UnwritableError` where the file cannot be made.
    """
    with writing(path):
        lock = _make_and_acquire(path, wait, lost or _leave)
    if lock is None:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def tidy_folders(folder: Path) -> Iterator[None]:
    """Remove a folder and those above it after the block, as far as the block has made them and leaves them empty."""
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        yield
    finally:
        with suppress(OSError):  # one that is not empty keeps those above it
            for empty in made:
                empty.rmdir()


def _make_and_acquire(path: Path, wait: bool, lost: Callable[[], None]) -> BaseFileLock | None:
    for _ in range(RACES):
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another process has tidied the folder up meanwhile
            return _acquire(path, wait, lost)
    return _acquire(path, wait, lost)


def _acquire(path: Path, wait: bool, lost: Callable[[], None]) -> BaseFileLock | None:
    from filelock import FileLock, SoftFileLease, Timeout

    timeout = -1 if wait else 0
    try:
        try:
            lock: BaseFileLock = FileLock(path, timeout=timeout, fallback_to_soft=False)
            lock.acquire()
        except OSError as error:
            if error.errno not in NO_FLOCK:
                raise
            lease = path.with_name(f"{path.name}.lease")  # apart from the file of flock, which is never removed
            lock = SoftFileLease(lease, timeout=timeout, lease_duration=LEASE, on_compromise=lambda _: lost())
            lock.acquire()
    except Timeout:
        return None
    return lock


def _leave() -> None:
    os._exit(LOST)
