"""Lock a folder against other processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from asugnn.atomic_write import writing
from asugnn.file_lock import lock_file, tidy_folders

LOCK = ".lock"  # also how the names of the files begin that stand in for it where there is no flock


@contextmanager
def lock_folder(folder: Path, wait: bool) -> Iterator[bool]:
    """Lock a folder against other processes; yields False where another process holds it and `wait` is not set.

    The lock ends with its process, however that ends. A folder that was made for it and stays empty is removed. Raises
    `UnwritableError` where the folder cannot be written.
    """
    with tidy_folders(folder):
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        with lock_file(folder / LOCK, wait) as mine:
            try:
                yield mine
            finally:
                if mine and not any(not path.name.startswith(LOCK) for path in folder.iterdir()):
                    (folder / LOCK).unlink(missing_ok=True)  # who waits for it sees that, and makes another


def make_once(made: Path, folder: Path, make: Callable[[], None]) -> None:
    """Call `make` unless the file `made` is there; a process that comes while another one makes it waits for it.

    `folder` is the one to lock.
    """
    if made.is_file():
        return
    with lock_folder(folder, wait=True):
        if not made.is_file():
            make()
