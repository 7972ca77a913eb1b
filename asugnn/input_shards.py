"""Files of model inputs: read by position, one crystal at a time, not parsed or kept as a whole.

A shard is a safetensors file. Its tensor `data` holds one crystal after another, and each crystal's arrays one after
another; `start` says where each begins, `shape/NAME` the shapes of its arrays and `sha256` the digest of its bytes. The
header states the keys, the types, the reasons of crystals that were refused, and a digest of all this and of the name
of the folder, which is that of the featuriser. So opening a shard reads its index only, and no byte is used unchecked.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asugnn.atomic_write import atomic_write
from asugnn.crystal import Ints
from asugnn.reading import reading

Inputs = Mapping[str, NDArray[Any]]
ALIGNMENT = 8  # bytes, of every array


class DamagedError(Exception):
    """The bytes of a crystal cannot be read, or are not those that were written."""


@dataclass(frozen=True, eq=False)
class Shard:
    """The index of a file: of n crystals the `keys`, and where the arrays of each are."""

    path: Path
    keys: list[str]
    refused: Mapping[str, str]  # by key: the reason
    types: Mapping[str, np.dtype[Any]]  # by array, in the order of the file
    shapes: Mapping[str, list[tuple[int, ...]]]  # by array, of each crystal
    bounds: list[tuple[int, int]]  # of each crystal, in bytes of the file
    digests: NDArray[np.uint8]  # (n, 32)

    def read(self, i: int) -> Inputs:
        """Read the arrays of the i-th crystal; raises `DamagedError` where its bytes are not those that were written.

        The file is opened each time: there may be more of them than a process may have open.
        """
        start, end = self.bounds[i]
        try:
            with self.path.open("rb", buffering=0) as file:
                file.seek(start)
                content = bytearray(end - start)
                complete = file.readinto(content) == len(content)
        except OSError as error:
            raise DamagedError from error
        if not complete or hashlib.sha256(content).digest() != self.digests[i].tobytes():
            raise DamagedError
        arrays, at = {}, 0
        for name, dtype in self.types.items():
            shape = self.shapes[name][i]
            size = int(np.prod(shape))
            arrays[name] = np.frombuffer(content, dtype, size, at).reshape(shape)
            at += _padded(size * dtype.itemsize)
        return arrays


def write_shard(folder: Path, inputs: Mapping[str, Inputs], refused: Mapping[str, str]) -> Shard | None:
    """Write inputs and reasons of refusal, by key, to a new file, which appears whole; None where it cannot be."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    entries = [{name: np.asarray(array) for name, array in arrays.items()} for arrays in inputs.values()]
    names = list(entries[0]) if entries else []
    types = {name: np.result_type(*(entry[name].dtype for entry in entries)) for name in names}
    contents = [b"".join(_array_bytes(entry[name].astype(types[name])) for name in names) for entry in entries]
    tensors: dict[str, NDArray[Any]] = {
        "data": np.frombuffer(b"".join(contents), dtype=np.uint8),
        "start": np.cumsum([0, *map(len, contents)], dtype=np.int64),
        "sha256": np.array([list(hashlib.sha256(c).digest()) for c in contents], dtype=np.uint8).reshape(-1, 32),
    }
    for name in names:
        tensors[f"shape/{name}"] = np.array([entry[name].shape for entry in entries], dtype=np.int64)
    about = json.dumps({"keys": list(inputs), "refused": dict(refused), "types": {n: types[n].str for n in names}})
    path = folder / f"{uuid.uuid4().hex}.safetensors"
    try:
        with atomic_write(path) as temporary:
            digest = _index_sha256(folder, about, tensors)
            save_file(tensors, temporary, metadata={"about": about, "sha256": digest})
        return open_shard(path)
    except (OSError, SafetensorError):
        return None  # the disk is full or read-only: the next run computes these inputs again


def open_shard(path: Path) -> Shard:
    """Read the index of a file; raises `InputError` where it is damaged, or of another version or featuriser."""
    from safetensors import safe_open

    with reading(path, "cached inputs"):
        with safe_open(path, framework="numpy") as file:
            stated = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys() if name != "data"}  # noqa: SIM118
        if stated.get("sha256") != _index_sha256(path.parent, stated["about"], tensors):
            raise ValueError("its index does not match its sha256")
        with path.open("rb") as raw:
            header = int.from_bytes(raw.read(8), "little")
            first = 8 + header + json.loads(raw.read(header))["data"]["data_offsets"][0]
        about = json.loads(stated["about"])
        starts: Ints = tensors["start"] + first
        if starts[-1] > path.stat().st_size:
            raise ValueError("it is cut off")
        types = {name: np.dtype(text) for name, text in about["types"].items()}
        shapes = {name: [tuple(shape) for shape in tensors[f"shape/{name}"].tolist()] for name in types}
        bounds = list(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True))
        return Shard(path, about["keys"], about["refused"], types, shapes, bounds, tensors["sha256"])


def list_shards(folder: Path) -> Iterator[Path]:
    """List the files of a folder."""
    return iter(sorted(folder.glob("*.safetensors")))


def _index_sha256(folder: Path, about: str, tensors: Inputs) -> str:
    """sha256 of all that a shard says of its content, and of the featuriser, after which its folder is named."""
    digest = hashlib.sha256(json.dumps([folder.name, about]).encode())
    for name in sorted(tensors.keys() - {"data"}):
        array = np.ascontiguousarray(tensors[name])
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _array_bytes(array: NDArray[Any]) -> bytes:
    content = array.tobytes()
    return content.ljust(_padded(len(content)), b"\0")


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
