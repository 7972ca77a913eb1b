"""Crystals become model inputs once, kept by content.

The key is the crystal's content and the featuriser's name, settings and version: never a label, never a fitted
scaler, so no task can poison another. Inputs are dicts of arrays. On disk a featuriser owns one folder of shards,
each a safetensors file that appears whole or not at all, so several runs may fill it at once.
"""

from __future__ import annotations

import hashlib
import json
import os
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
from asugnn.model import Progress, no_progress
from asugnn.reading import reading

Inputs = Mapping[str, NDArray[Any]]
SHARD = 2000  # crystals a file

# The inputs of the featuriser used last. One is enough: runs go model by model, and memory stays bounded.
_memory: dict[str, dict[str, Inputs]] = {}


def cache_folder() -> Path:
    """Where inputs are kept: `BENCH_CACHE`, else `asugnn-bench` in the user's cache folder."""
    if given := os.environ.get("BENCH_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "asugnn-bench"


def cached_inputs(
    crystals: Sequence[Crystal],
    featurise: Callable[[Crystal], Inputs],
    name: str,
    settings: Mapping[str, Any],
    progress: Progress = no_progress,
) -> list[Inputs]:
    """The inputs of `crystals`, in order, computed only where content, `name` or `settings` are new.

    `name` names the featuriser and its version: change it whenever its output changes. What `featurise` raises
    for a crystal passes through.
    """
    identity = json.dumps([name, settings], sort_keys=True, default=str)
    home = cache_folder() / f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    if home.name not in _memory:
        _memory.clear()
        _memory[home.name] = {}
    known = _memory[home.name]
    wanted = {c.key: c for c in crystals}
    if any(key not in known for key in wanted):
        _read_shards(home, known, set(wanted))
    missing = [key for key in wanted if key not in known]
    if missing:
        with progress(f"inputs {name}", len(missing)) as bar:
            for start in range(0, len(missing), SHARD):
                new: dict[str, Inputs] = {}
                for key in missing[start : start + SHARD]:
                    new[key] = featurise(wanted[key])
                    bar.advance()
                known.update(new)
                _write_shard(home, new)
    return [known[c.key] for c in crystals]


def _write_shard(home: Path, new: Mapping[str, Inputs]) -> None:
    """One shard: for every array name the values of all crystals end to end, and their shapes."""
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    keys, arrays = list(new), {}
    for name in next(iter(new.values())):
        values = [np.asarray(new[key][name]) for key in keys]
        arrays[name] = np.concatenate([v.reshape(-1) for v in values])
        arrays[f"{name}/shape"] = np.array([v.shape for v in values], dtype=np.int64)
    try:
        with atomic_write(home / f"{uuid.uuid4().hex}.safetensors") as path:
            save_file(arrays, path, metadata={"keys": " ".join(keys)})
    except (OSError, SafetensorError):
        pass  # a full or read-only disk costs the next run some time, and this one nothing


def _read_shards(home: Path, known: dict[str, Inputs], wanted: set[str]) -> None:
    from safetensors import safe_open

    for path in sorted(home.glob("*.safetensors")):
        try:
            with reading(path, "cached inputs"), safe_open(path, framework="numpy") as shard:
                keys = shard.metadata()["keys"].split()
                if not wanted & set(keys) - known.keys():
                    continue
                names = [n for n in shard.keys() if not n.endswith("/shape")]  # noqa: SIM118, not a mapping
                parts = {}
                for name in names:
                    shapes = shard.get_tensor(f"{name}/shape")
                    ends = np.cumsum(shapes.prod(axis=1))
                    flat = np.split(shard.get_tensor(name), ends[:-1])
                    parts[name] = [a.reshape(s) for a, s in zip(flat, shapes, strict=True)]
        except InputError:
            with suppress(OSError):
                path.unlink()  # damaged: its crystals are computed again
            continue
        for i, key in enumerate(keys):
            if key in wanted:
                known.setdefault(key, {name: parts[name][i] for name in names})
