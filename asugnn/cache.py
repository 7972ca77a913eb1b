"""A cache of model inputs, in memory and on disk: every crystal is featurised once.

The key is the content of the crystal and the name, version and settings of the featuriser: never a label or a fitted
scaler, so that no task can influence another. Inputs are dicts of arrays. On disk a featuriser has a folder of shards
(`asugnn.input_shards`), which are written atomically, so that several runs may fill it at once. To look up inputs reads
the indices of shards; the arrays of a crystal are read, and compared with their digest, when they are asked for. Of a
damaged shard the undamaged inputs are kept, and the others are computed again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import operator
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, overload

from asugnn.crystal import Crystal
from asugnn.errors import InputError
from asugnn.input_shards import DamagedError, Inputs, Shard, list_shards, open_shard, write_shard
from asugnn.progress import PREPARATION, Progress, no_progress

__all__ = [
    "CachedInputs",
    "Inputs",
    "RefusedCrystalsError",
    "cache_folder",
    "cached_inputs",
    "inputs_or_error",
    "naming",
    "seconds_for_inputs",
]

SHARD, SHARD_BYTES = 2000, 2**27  # crystals and bytes per file, at most
KEPT_BYTES = 2**29  # of inputs in memory, where they need not be read again; more are read each time
logger = logging.getLogger(__name__)

Entry = Inputs | tuple[Shard, int] | str  # of a crystal: its inputs, where they are, or the reason for its refusal
# By featuriser, then by key of the crystal. Only the last featuriser is kept: runs go model by model.
_memory: dict[str, dict[str, Entry]] = {}
_spent = {"seconds": 0.0}  # in `cached_inputs`


class RefusedCrystalsError(InputError):
    """Crystals that the featuriser refuses: `reasons` by their position, from 0; the message is the first of them."""

    def __init__(self, reasons: Mapping[int, str]) -> None:
        self.reasons = dict(reasons)
        super().__init__(next(iter(reasons.values())))

    def naming(self, ids: Sequence[str]) -> InputError:
        """Make an error that names the first refused crystal by its id, and says how many more there are."""
        more = f" (and {len(self.reasons) - 1:,} more)" if len(self.reasons) > 1 else ""
        return InputError(f"crystal '{ids[min(self.reasons)]}': {self}{more}")

    def __reduce__(self) -> tuple[type[RefusedCrystalsError], tuple[dict[int, str]]]:
        """Pickle the exception with its reasons: by default it would be rebuilt from its message alone."""
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
    together: Callable[[Sequence[Crystal]], Iterator[Inputs | InputError]] | None = None,
) -> CachedInputs:
    """Return the inputs of `crystals`, in order; those that are not in the cache are computed by `featurise`.

    `name` is the featuriser's name and version: change it whenever its output changes. `settings` are all other values
    on which the output depends. Raises `RefusedCrystalsError` where `featurise` raises `InputError`, when the inputs of
    all other crystals are in the cache; any other exception of `featurise` passes through. `together`, if given, does
    the same for many crystals in less time, and yields such an error instead of raising it.
    """
    started = time.monotonic()
    try:
        store = _Store(featurise, together, name, settings)
        store.look_up({c.key: c for c in crystals}, progress)
        entries = [store.entries[c.key] for c in crystals]
        if reasons := {i: x for i, x in enumerate(entries) if isinstance(x, str)}:
            raise RefusedCrystalsError(reasons)
        return CachedInputs(crystals, store)
    finally:
        _spent["seconds"] += time.monotonic() - started


@contextmanager
def naming(ids: Sequence[str]) -> Iterator[None]:
    """Name the crystals that are refused by their ids: turn `RefusedCrystalsError` into the error of its `naming`."""
    try:
        yield
    except RefusedCrystalsError as error:
        raise error.naming(ids) from None


def inputs_or_error(featurise: Callable[[Crystal], Inputs], crystal: Crystal) -> Inputs | InputError:
    """Compute the inputs of a crystal, or return the `InputError` that says why there are none."""
    try:
        return featurise(crystal)
    except InputError as error:
        return error


class CachedInputs(Sequence[Inputs]):
    """The inputs of some crystals, which are read from the cache when they are asked for."""

    def __init__(self, crystals: Sequence[Crystal], store: _Store) -> None:
        self._crystals, self._store = crystals, store

    def __len__(self) -> int:
        return len(self._crystals)

    @overload
    def __getitem__(self, index: int) -> Inputs: ...
    @overload
    def __getitem__(self, index: slice) -> list[Inputs]: ...
    def __getitem__(self, index: int | slice) -> Inputs | list[Inputs]:
        if isinstance(index, slice):
            return [self._store.read(crystal) for crystal in self._crystals[index]]
        return self._store.read(self._crystals[operator.index(index)])


def seconds_for_inputs() -> float:
    """Return how long this process has worked in `cached_inputs`: whether they were in the cache is left to chance."""
    return _spent["seconds"]


class _Store:
    """The inputs that one featuriser has computed: `entries` by key of the crystal, and its folder."""

    def __init__(
        self,
        featurise: Callable[[Crystal], Inputs],
        together: Callable[[Sequence[Crystal]], Iterator[Inputs | InputError]] | None,
        name: str,
        settings: Mapping[str, Any],
    ) -> None:
        identity = json.dumps([name, settings], sort_keys=True, default=str)
        self.name, self._featurise, self._together = name, featurise, together
        self.folder = cache_folder() / f"{name}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
        if self.folder.name not in _memory:
            _memory.clear()
            _memory[self.folder.name] = {}
        self.entries = _memory[self.folder.name]
        self._crystals: dict[str, Crystal] = {}
        kept = (entry for entry in self.entries.values() if not isinstance(entry, str | tuple))
        self._kept = sum(a.nbytes for inputs in kept for a in inputs.values())

    def look_up(self, wanted: Mapping[str, Crystal], progress: Progress) -> None:
        """Make entries of the wanted crystals, by key: from the folder, else by the featuriser, which are written."""
        self._crystals |= wanted
        if any(key not in self.entries for key in wanted):
            self._open_shards(wanted)
        missing = [crystal for key, crystal in wanted.items() if key not in self.entries]
        if not missing:
            return
        computed: dict[str, Inputs | str] = {}
        size = 0
        with progress(f"{PREPARATION} {self.name}", len(missing)) as bar:
            for crystal, result in zip(missing, self._compute(missing), strict=True):
                computed[crystal.key] = result
                size += 0 if isinstance(result, str) else sum(a.nbytes for a in result.values())
                bar.advance()
                if len(computed) >= SHARD or size > SHARD_BYTES:
                    self._write(computed)
                    computed, size = {}, 0
        self._write(computed)

    def read(self, crystal: Crystal) -> Inputs:
        """Read the inputs of a crystal that was looked up and not refused."""
        while True:
            entry = self.entries.get(crystal.key)
            if entry is None:  # it was in a file that was removed
                self.look_up({crystal.key: crystal}, no_progress)
            elif isinstance(entry, str):
                raise InputError(entry)
            elif not isinstance(entry, tuple):
                return entry
            else:
                shard, i = entry
                try:
                    inputs = shard.read(i)
                except DamagedError:
                    self._replace(shard)
                    continue
                if self._kept < KEPT_BYTES:
                    self._kept += sum(a.nbytes for a in inputs.values())
                    self.entries[crystal.key] = inputs
                return inputs

    def _compute(self, crystals: Sequence[Crystal]) -> Iterator[Inputs | str]:
        results = (inputs_or_error(self._featurise, crystal) for crystal in crystals)
        for result in self._together(crystals) if self._together else results:
            yield str(result) if isinstance(result, InputError) else result

    def _open_shards(self, wanted: Mapping[str, Crystal]) -> None:
        for path in list_shards(self.folder):
            try:
                shard = open_shard(path)
            except InputError as error:
                if not isinstance(error.__cause__, OSError):  # such as too many open files, which passes
                    self._discard(path)
                continue
            for key, reason in shard.refused.items():
                if key in wanted:
                    self.entries.setdefault(key, reason)
            for i, key in enumerate(shard.keys):
                if key in wanted:
                    self.entries.setdefault(key, (shard, i))

    def _write(self, computed: Mapping[str, Inputs | str]) -> None:
        inputs = {key: x for key, x in computed.items() if not isinstance(x, str)}
        refused = {key: x for key, x in computed.items() if isinstance(x, str)}
        self.entries.update(computed)
        if computed and (shard := write_shard(self.folder, inputs, refused)):
            self.entries.update({key: (shard, i) for i, key in enumerate(shard.keys)})

    def _replace(self, shard: Shard) -> None:
        """Write the undamaged inputs of a shard to another one, with those that are computed again, and remove it."""
        content: dict[str, Inputs | str] = dict(shard.refused)
        for i, key in enumerate(shard.keys):
            with suppress(DamagedError):
                content[key] = shard.read(i)
            self.entries.pop(key, None)
        self._discard(shard.path)
        lost = {key: self._crystals[key] for key in shard.keys if key not in content and key in self._crystals}
        self._open_shards(lost)  # another process may have replaced it
        missing = [crystal for key, crystal in lost.items() if key not in self.entries]
        content |= zip((crystal.key for crystal in missing), self._compute(missing), strict=True)
        self._write(content)

    def _discard(self, path: Path) -> None:
        logger.warning(
            "a file of cached inputs in %s was damaged or of an earlier version: they were computed again", self.folder
        )
        with suppress(OSError):
            path.unlink()
