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

from asugnn.atomic_write import write_text
from asugnn.cache import cache_folder
from asugnn.crystal import Crystal
from leaderboard.data import Dataset, Task
from leaderboard.splitting.split import Sides, fold_sides, read_split, split_folder
from leaderboard.splitting.structure_match import MATCH_VERSION, ComparedPair, compare_structures

DuplicatePairs = Sequence[tuple[str, str]]  # pairs of ids
DUPLICATES_FILE = "duplicates.json"
LEAKAGE_PHRASE = "test structures also appear in training or validation"


def known_duplicates(data: Dataset) -> DuplicatePairs | None:
    """The pairs of one structure, if they have been found for this file; None if not."""
    stored = _read_comparison(split_folder(data.source) / DUPLICATES_FILE, data) or _read_comparison(
        _comparison_file(data.sha256), data
    )
    return _same_pairs(stored[0]) if stored else None


def find_duplicates(data: Dataset) -> DuplicatePairs:
    """The pairs of one structure, found now and kept where they were not known."""
    if (found := known_duplicates(data)) is not None:
        return found
    return _same_pairs(compare_dataset(data, dict(zip(data.ids, data.crystals(data.ids), strict=True))))


def compare_dataset(data: Dataset, crystals: Mapping[str, Crystal]) -> list[ComparedPair]:
    """`duplicates.compared` of all crystals of a data set: as kept, or found now and kept."""
    stored = _read_comparison(_comparison_file(data.sha256), data)
    if stored and stored[1]:
        return stored[0]
    pairs = compare_structures(crystals, data.groups(data.ids))
    store_comparison(data.sha256, pairs)
    return pairs


def store_comparison(sha256: str, pairs: Sequence[ComparedPair], file: Path | None = None) -> None:
    """Store what was found for a file of data by its digest: in the cache, or without other structures as `file`."""
    about = {
        "about": "which crystals are one structure: leaderboard/splitting/structure_match.py",
        "rule": MATCH_VERSION,
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
            write_text(_comparison_file(sha256), text)


def _read_comparison(file: Path, data: Dataset) -> tuple[list[ComparedPair], bool] | None:
    """What is stored for this data, and whether it is all that was compared; a damaged file is found anew."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        about: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if about["data"] == data.sha256 and about["rule"] == MATCH_VERSION:
            pairs = [ComparedPair(*row) for row in about["pairs"]]
            return pairs, len(pairs) == sum(about["verdicts"].values())
    return None


def _same_pairs(pairs: Iterable[ComparedPair]) -> DuplicatePairs:
    return [(p.a, p.b) for p in pairs if p.verdict == "same"]


def _comparison_file(sha256: str) -> Path:
    return cache_folder() / "duplicates" / f"{sha256}.json"


@dataclass(frozen=True)
class FoldLeakage:
    """One fold of a task: how many crystals it tests, and those that are on another side too, each with its equal."""

    task: Task
    fold: int
    tested: int
    shared: Mapping[str, str]

    def __str__(self) -> str:
        where = f"{self.task.source.name}/{self.task.target.name}@{self.task.rule}, fold {self.fold}"
        return f"{where}: {len(self.shared):,} of {self.tested:,} {LEAKAGE_PHRASE}"


def shared_between_sides(found: DuplicatePairs, sides: Sides) -> dict[str, str]:
    """The tested ids that are, as structures, on another side too, each with one of those it equals."""
    learned, tested = {*sides.train, *sides.validate}, set(sides.test)
    both = ((x, y) for a, b in found for x, y in ((a, b), (b, a)))
    return {x: y for x, y in both if x in tested and y in learned}


def fold_leakage(task: Task, fold: int, data: Dataset, found: DuplicatePairs) -> FoldLeakage:
    """What one fold of a task leaks; of a zero-shot task, into the training of the model that it takes.

    Structures of two data sets are not compared: a zero-shot task on another data set than its model's leaks nothing.
    """
    parts = read_split(data, task.rule)
    tested = fold_sides(parts, data, task.target, fold).test
    if task.trained.source.name != task.source.name:
        return FoldLeakage(task, fold, len(tested), {})
    trained = fold_sides(parts, data, task.trained.target, fold)
    return FoldLeakage(
        task, fold, len(tested), shared_between_sides(found, Sides(trained.train, trained.validate, tested))
    )
