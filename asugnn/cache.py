"""A cache of model inputs, in memory and on disk: every crystal is featurised once.

The key is the content of the crystal and the name, version and settings of the featuriser: never a label or a fitted
scaler, so that no task can influence another. Inputs are dicts of arrays. On disk a featuriser has a folder of shards,
safetensors files that are written atomically, so that several runs may fill it at once. A shard states the digest of
its content and of the featuriser; one that does not fit is removed, and its crystals are computed again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asugnn.atomic_write import atomic_write
from asugnn.crystal import Crystal
from asugnn.errors import InputError
from asugnn.progress import Progress, no_progress
from asugnn.reading import reading

Inputs = Mapping[str, NDArray[Any]]
SHARD = 2000  # crystals per file
logger = logging.getLogger(__name__)

# By featuriser, then by key of the crystal: its inputs, or the reason for which it is refused. Only the last featuriser
# is kept, so that memory is bounded: runs go model by model.
_memory: dict[str, dict[str, Inputs | str]] = {}
_spent = {"seconds": 0.0}  # in `cached_inputs`


class RefusedCrystalsError(InputError):
    """Crystals that the featuriser refuses: `reasons` by their position, from 0; the message is the first of them."""

    def __init__(self, reasons: Mapping[int, str]) -> None:
        self.reasons = dict(reasons)
        super().__init__(next(iter(reasons.values())))

    def __reduce__(self) -> tuple[type[RefusedCrystalsError], tuple[dict[int, str]]]:
        """Sent to another process whole: an exception is made again from its message otherwise."""
        return type(self), (self.reasons,)


def cache_folder() -> Path:
    """Return the cache folder: `BENCH_CACHE`, else `asugnn-bench` in the user's cache folder."""
    if folder := os.environ.get("BENCH_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or home_folder() / ".cache") / "asugnn-bench"


def home_folder() -> Path:
    """Return the user's home folder; without one, a path below which nothing can be read or written."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull)


def cached_inputs(
    crystals: Sequence[Crystal],
    featurise: Callable[[Crystal], Inputs],
    name: str,
    settings: Mapping[str, Any],
    progress: Progress = no_progress,
) -> list[Inputs]:
    """Return the inputs of `crystals`, in order; those that are not in the cache are computed by `featurise`.

    `name` is the featuriser's name and version: change it whenever its output changes. `settings` are all other values
    on which the output depends. Raises `RefusedCrystalsError` where `featurise` raises `InputError`, when the inputs of
    all other crystals are in the cache; any other exception of `featurise` passes through.
    """
    started = time.monotonic()
    try:
        return _look_up(crystals, featurise, name, settings, progress)
    finally:
        _spent["seconds"] += time.monotonic() - started


def seconds_for_inputs() -> float:
    """Return how long this process has worked in `cached_inputs`: whether they were in the cache is left to chance."""
    return _spent["seconds"]


def _look_up(
    crystals: Sequence[Crystal],
    featurise: Callable[[Crystal], Inputs],
    name: str,
    settings: Mapping[str, Any],
    progress: Progress,
) -> list[Inputs]:
    identity = json.dumps([name, settings], sort_keys=True, default=str)
    folder = cache_folder() / f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    if folder.name not in _memory:
        _memory.clear()
        _memory[folder.name] = {}
    loaded = _memory[folder.name]
    wanted = {c.key: c for c in crystals}
    if any(key not in loaded for key in wanted):
        _read_shards(folder, loaded, set(wanted))
    missing = [key for key in wanted if key not in loaded]
    if missing:
        with progress(f"inputs {name}", len(missing)) as bar:
            for start in range(0, len(missing), SHARD):
                computed: dict[str, Inputs] = {}
                for key in missing[start : start + SHARD]:
                    try:
                        computed[key] = featurise(wanted[key])
                    except InputError as error:
                        loaded[key] = str(error)
                    bar.advance()
                loaded.update(computed)
                if computed:
                    _write_shard(folder, computed)
    found = [loaded[c.key] for c in crystals]
    if reasons := {i: x for i, x in enumerate(found) if isinstance(x, str)}:
        raise RefusedCrystalsError(reasons)
    return [x for x in found if not isinstance(x, str)]


def _write_shard(folder: Path, inputs: Mapping[str, Inputs]) -> None:
    """Write a shard: for every array the values of all crystals end to end, and their shapes under NAME/shape."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    keys, arrays = list(inputs), {}
    for name in next(iter(inputs.values())):
        values = [np.asarray(inputs[key][name]) for key in keys]
        arrays[name] = np.concatenate([v.reshape(-1) for v in values])
        arrays[f"{name}/shape"] = np.array([v.shape for v in values], dtype=np.int64)
    try:
        with atomic_write(folder / f"{uuid.uuid4().hex}.safetensors") as path:
            text = " ".join(keys)
            save_file(arrays, path, metadata={"keys": text, "sha256": _shard_sha256(folder, text, arrays)})
    except (OSError, SafetensorError):
        pass  # the disk is full or read-only: the next run computes these inputs again


def _shard_sha256(folder: Path, keys: str, arrays: Inputs) -> str:
    """sha256 of all that a shard says, and of the featuriser, after which its folder is named."""
    digest = hashlib.sha256(json.dumps([folder.name, keys]).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _read_shards(folder: Path, loaded: dict[str, Inputs | str], wanted: set[str]) -> None:
    """Add the wanted inputs that are on disk to `loaded`; a damaged shard, or one without a digest, is removed."""
    from safetensors import safe_open

    for path in sorted(folder.glob("*.safetensors")):
        try:
            with reading(path, "cached inputs"), safe_open(path, framework="numpy") as shard:
                stated = shard.metadata()
                keys = stated["keys"].split()
                if not wanted & set(keys) - loaded.keys():
                    continue
                arrays = {name: shard.get_tensor(name) for name in shard.keys()}  # noqa: SIM118, not a mapping
                if stated.get("sha256") != _shard_sha256(folder, stated["keys"], arrays):
                    raise ValueError("its content does not match its sha256")
                parts = {}
                for name in (n for n in arrays if not n.endswith("/shape")):
                    shapes = arrays[f"{name}/shape"]
                    ends = np.cumsum(shapes.prod(axis=1))
                    flat = np.split(arrays[name], ends[:-1])
                    parts[name] = [a.reshape(s) for a, s in zip(flat, shapes, strict=True)]
                    if len(parts[name]) != len(keys):
                        raise ValueError(f"array '{name}' is of {len(parts[name])} crystals, not {len(keys)}")
        except InputError:
            logger.warning("a file of cached inputs in %s was damaged: they were computed again", folder)
            with suppress(OSError):
                path.unlink()  # its crystals are computed again
            continue
        for i, key in enumerate(keys):
            if key in wanted:
                loaded.setdefault(key, {name: parts[name][i] for name in parts})
