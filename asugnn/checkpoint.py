"""A checkpoint on disk: bytes with the digest of them, and of what was trained, in front.

A file that was cut, overwritten, changed by one bit, or written for another training is not read. Then the one before
it serves, which is kept beside it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from asugnn.atomic_write import atomic_write
from asugnn.errors import InputError
from asugnn.limits import RUN_FILE_BYTES
from asugnn.reading import read_bounded_bytes, reading

MAGIC = b"asugnn checkpoint 2\n"  # since 2, also in the midst of an epoch
DIGEST = hashlib.sha256().digest_size  # bytes


def write_checkpoint(path: Path, payload: bytes, identity: str) -> None:
    """Write a checkpoint, atomically; `identity` says of which training it is. The one that was there is kept."""
    body = _digest(identity.encode()) + payload
    with atomic_write(path) as temporary:
        with temporary.open("wb") as file:
            file.write(MAGIC + _digest(body) + body)
        if path.exists():
            path.replace(_previous(path))


def checkpoint_files(path: Path) -> list[Path]:
    """List the checkpoints that there are: that of `path`, and the one before it."""
    return [file for file in (path, _previous(path)) if file.exists()]


def remove_checkpoints(path: Path) -> None:
    """Remove the checkpoint of `path` and the one before it."""
    for file in checkpoint_files(path):
        file.unlink()


def read_checkpoint(path: Path, identity: str) -> bytes:
    """Read the payload of a checkpoint; raises `InputError` where it is damaged, or of another training."""
    with reading(path, "a checkpoint"):
        content = read_bounded_bytes(path, RUN_FILE_BYTES)
    start = len(MAGIC) + DIGEST
    body = content[start:]
    if not content.startswith(MAGIC) or content[len(MAGIC) : start] != _digest(body):
        raise InputError(f"{path.name} was damaged")
    if body[:DIGEST] != _digest(identity.encode()):
        raise InputError(f"{path.name} is of another training")
    return body[DIGEST:]


def _previous(path: Path) -> Path:
    return path.with_suffix(f".previous{path.suffix}")


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
