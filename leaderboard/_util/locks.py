"""Lock a folder against other processes."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asugnn.atomic_write import writing


@contextmanager
def lock_folder(folder: Path, wait: bool) -> Iterator[bool]:
    """Lock a folder against other processes; yields False where another process holds it and `wait` is not set.

    The lock ends with its process, however that ends. Raises `UnwritableError` where the folder cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
