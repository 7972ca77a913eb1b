"""Structures on two sides of a split: a tested crystal that is, as a structure, also one that trains or validates.

Which crystals are one structure depends on the data alone, so it is found once and kept by the digest of the data:
`duplicates.json` beside the published splits, and in the cache for any other file. A run looks it up.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from asugnn.atomic import write_text
from asugnn.cache import folder as cache_folder
from asugnn.crystal import Crystal
from asugnn.model import Progress
from leaderboard import duplicates, split
from leaderboard.datasets import Dataset
from leaderboard.duplicates import Pair
from leaderboard.tasks import Task

Same = Sequence[tuple[str, str]]  # pairs of ids
NAME = "duplicates.json"
ALSO = "also in training or validation"


def known(data: Dataset) -> Same | None:
    """The pairs of one structure, if they have been found for this file; None if not."""
    stored = _read(split.home_of(data.source) / NAME, data) or _read(_kept(data.sha256), data)
    return _same(stored[0]) if stored else None


def same(data: Dataset, progress: Progress) -> Same:
    """The pairs of one structure, found now and kept where they were not known."""
    if (found := known(data)) is not None:
        return found
    return _same(compared(data, dict(zip(data.ids, data.crystals(data.ids), strict=True)), progress))


def compared(data: Dataset, crystals: Mapping[str, Crystal], progress: Progress) -> list[Pair]:
    """`duplicates.compared` of all crystals of a data set: as kept, or found now and kept."""
    stored = _read(_kept(data.sha256), data)
    if stored and stored[1]:
        return stored[0]
    pairs = duplicates.compared(crystals, data.groups(data.ids), progress)
    keep(data.sha256, pairs)
    return pairs


def keep(sha256: str, pairs: Sequence[Pair], file: Path | None = None) -> None:
    """Store what was found for a file of data by its digest: in the cache, or without other structures as `file`."""
    about = {
        "about": "which crystals are one structure: leaderboard/duplicates.py",
        "rule": duplicates.RULE,
        "data": sha256,
        "verdicts": dict(sorted(Counter(p.verdict for p in pairs).items())),
    }
    chosen = [p for p in pairs if not file or p.verdict != "another structure"]
    rows = ",\n".join(f"  {json.dumps(astuple(p))}" for p in chosen)
    text = f'{json.dumps(about, indent=1)[:-2]},\n "pairs": [\n{rows}\n ]\n}}\n'
    if file:
        write_text(file, text)
    else:
        with suppress(OSError):  # a full or read-only disk costs the next run some time, and this one nothing
            write_text(_kept(sha256), text)


def _read(file: Path, data: Dataset) -> tuple[list[Pair], bool] | None:
    """What is stored for this data, and whether it is all that was compared; a damaged file is found anew."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        about: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if about["data"] == data.sha256 and about["rule"] == duplicates.RULE:
            pairs = [Pair(*row) for row in about["pairs"]]
            return pairs, len(pairs) == sum(about["verdicts"].values())
    return None


def _same(pairs: Iterable[Pair]) -> Same:
    return [(p.a, p.b) for p in pairs if p.verdict == "same"]


def _kept(sha256: str) -> Path:
    return cache_folder() / "duplicates" / f"{sha256}.json"


@dataclass(frozen=True)
class Leaks:
    """One fold of a task: how many crystals it tests, and those that are on another side too, each with its equal."""

    task: Task
    fold: int
    tested: int
    shared: Mapping[str, str]

    def __str__(self) -> str:
        where = f"{self.task.source.name}/{self.task.target.name}@{self.task.rule}, fold {self.fold}"
        return f"{where}: {len(self.shared):,} of {self.tested:,} tested crystals are, as structures, {ALSO}"


def crossing(found: Same, sides: split.Sides) -> dict[str, str]:
    """The tested ids that are, as structures, on another side too, each with one of those it equals."""
    learned, tested = {*sides.train, *sides.validate}, set(sides.test)
    both = ((x, y) for a, b in found for x, y in ((a, b), (b, a)))
    return {x: y for x, y in both if x in tested and y in learned}


def of(task: Task, fold: int, data: Dataset, found: Same) -> Leaks:
    """What one fold of a task leaks; of a zero-shot task, into the training of the model that it takes.

    Structures of two data sets are not compared: a zero-shot task on another data set than its model's leaks nothing.
    """
    parts = split.load(data, task.rule)
    tested = split.sides(parts, data, task.target, fold).test
    if task.trained.source.name != task.source.name:
        return Leaks(task, fold, len(tested), {})
    trained = split.sides(parts, data, task.trained.target, fold)
    return Leaks(task, fold, len(tested), crossing(found, split.Sides(trained.train, trained.validate, tested)))
