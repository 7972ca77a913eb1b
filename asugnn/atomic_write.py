"""Write files and folders that appear complete or not at all, and compute the digest of a file."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class UnwritableError(OSError):
    """A file or folder that cannot be written: `filename` is its final path, `strerror` the reason."""


def disk_full_sentence(error: BaseException) -> str | None:
    """Say that a disk is full, where that is why something failed; None elsewhere.

    Libraries that write by themselves have exceptions of their own, which quote the system.
    """
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        file = os.fsdecode(error.filename) if error.filename else "a file"
    elif any(os.strerror(code) in str(error) for code in DISK_FULL):
        file = "a file"
    else:
        return None
    return f"the disk is full: {file} did not fit; make room, and repeat the command: finished runs are kept"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise `UnwritableError` about `path` for every failed system call of the block."""
    try:
        yield
    except UnwritableError:
        raise
    except OSError as error:
        raise UnwritableError(error.errno, error.strerror or str(error), str(path)) from error


def check_writable(folder: Path) -> None:
    """Raise `UnwritableError` where files cannot be made in a folder, or the folder cannot be; nothing is left there.

    For commands that work for long before they write.
    """
    with writing(folder):
        parent = folder.absolute()
        while not parent.exists() and parent != parent.parent:
            parent = parent.parent
        with tempfile.TemporaryFile(dir=parent):
            pass


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`, which replaces it if the block succeeds and is removed if it raises.

    Raises `UnwritableError` about `path` where the temporary file cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
    temporary = Path(name)
    try:
        try:
            yield temporary
        except OSError as error:
            if not isinstance(error, UnwritableError) and (error.filename == name or error.errno in DISK_FULL):
                raise UnwritableError(error.errno, error.strerror, str(path)) from error
            raise
        with writing(path):
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`, which replaces it with all its content if the block succeeds.

    Raises `UnwritableError` about `path` where the temporary folder cannot be made, or does not fit on the disk.
    """
    given, path = path, path.resolve()
    with writing(given):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    previous = temporary.with_name(f"{temporary.name}.before")
    try:
        try:
            yield temporary
        except OSError as error:
            if error.errno in DISK_FULL:
                raise UnwritableError(error.errno, error.strerror, str(given)) from error
            raise
        with writing(given):
            temporary.chmod(0o777 & ~_umask())
            if path.exists():
                path.rename(previous)
            temporary.rename(path)
    finally:
        if previous.exists() and not path.exists():  # the second of the two renames failed
            previous.rename(path)
        for leftover in (temporary, previous):
            shutil.rmtree(leftover, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with `\\n` line ends, atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    """The umask of the process; to ask for it by setting another one, for an instant, would hold for all threads."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    mask = os.umask(0)
    os.umask(mask)
    return mask
