"""Structures on two sides of a split: test structures that also appear in training or validation.

Which crystals are the same structure depends on the data alone, so they are compared once, and the result is stored by
the digest of the data: in `duplicates.json` beside the published splits, in the cache for other data. Runs look it up.
"""

from __future__ import annotations

import hashlib
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
from asugnn.errors import InputError
from asugnn.reading import read_json, reading
from leaderboard.data import Dataset, Task
from leaderboard.splitting.split import Sides, check_split_file, fold_sides, read_split, split_folder
from leaderboard.splitting.structure_match import MATCH_VERSION, ComparedPair, compare_structures

DuplicatePairs = Sequence[tuple[str, str]]  # pairs of ids
DUPLICATES_FILE = "duplicates.json"
LEAKAGE_PHRASE = "test structures also appear in training or validation"


def known_duplicates(data: Dataset) -> DuplicatePairs | None:
    """The pairs of ids that are the same structure, where this data was compared before; None where it was not."""
    published = split_folder(data.source) / DUPLICATES_FILE
    if published.is_file():
        check_split_file(data.source, published)
    stored = _read_comparison(published, data) or _read_comparison(_comparison_file(data.sha256), data)
    return _same_pairs(stored[0]) if stored else None


def find_duplicates(data: Dataset) -> DuplicatePairs:
    """The pairs of ids that are the same structure, compared now and stored where that was not done before."""
    if (pairs := known_duplicates(data)) is not None:
        return pairs
    return _same_pairs(compare_dataset(data, dict(zip(data.ids, data.crystals(data.ids), strict=True))))


def compare_dataset(data: Dataset, crystals: Mapping[str, Crystal]) -> list[ComparedPair]:
    """`compare_structures` for all crystals (by id) of a data set: as stored, or compared now and stored."""
    stored = _read_comparison(_comparison_file(data.sha256), data)
    if stored and stored[1]:
        return stored[0]
    pairs = compare_structures(crystals, data.groups(data.ids))
    store_comparison(data.sha256, pairs)
    return pairs


def store_comparison(sha256: str, pairs: Sequence[ComparedPair], file: Path | None = None) -> None:
    """Store the compared pairs of the data with a digest in the cache, or in `file`, without different structures."""
    summary: dict[str, Any] = {
        "about": "which crystals are one structure: leaderboard/splitting/structure_match.py",
        "rule": MATCH_VERSION,
        "data": sha256,
        "verdicts": dict(sorted(Counter(p.verdict for p in pairs).items())),
    }
    chosen = [p for p in pairs if not file or p.verdict != "another structure"]
    if not file:
        summary["sha256"] = _pairs_sha256(sha256, chosen)
    rows = ",\n".join(f"  {json.dumps(astuple(p))}" for p in chosen)
    text = f'{json.dumps(summary, indent=1)[:-2]},\n "pairs": [\n{rows}\n ]\n}}\n'
    if file:
        write_text(file, text)
    else:
        with suppress(OSError):  # on a full or read-only disk the next run compares again
            write_text(_comparison_file(sha256), text)


def _read_comparison(file: Path, data: Dataset) -> tuple[list[ComparedPair], bool] | None:
    """The stored pairs of this data, and whether they are all that were compared; None where they cannot be used.

    A file in the cache is replaced where it is missing, damaged, or without a digest.
    """
    with suppress(InputError):
        content = read_json(file, "compared structures")
        with reading(file, "compared structures"):
            if content["data"] == data.sha256 and content["rule"] == MATCH_VERSION:
                pairs = [ComparedPair(*row) for row in content["pairs"]]
                if file.name != DUPLICATES_FILE and content["sha256"] != _pairs_sha256(data.sha256, pairs):
                    raise ValueError("its pairs do not match their sha256")
                return pairs, len(pairs) == sum(content["verdicts"].values())
    return None


def _pairs_sha256(data: str, pairs: Sequence[ComparedPair]) -> str:
    """sha256 of compared pairs and of the digest of their data."""
    return hashlib.sha256(json.dumps([data, MATCH_VERSION, [astuple(p) for p in pairs]]).encode()).hexdigest()


def _same_pairs(pairs: Iterable[ComparedPair]) -> DuplicatePairs:
    return [(p.a, p.b) for p in pairs if p.verdict == "same"]


def _comparison_file(sha256: str) -> Path:
    return cache_folder() / "duplicates" / f"{sha256}.json"


@dataclass(frozen=True)
class FoldLeakage:
    """The test structures of one fold of a task that also appear in training or validation."""

    task: Task
    fold: int
    tested: int  # number of test crystals
    shared: Mapping[str, str]  # id of a test crystal to that of a training or validation crystal of the same structure

    def __str__(self) -> str:
        where = f"{self.task.source.name}/{self.task.target.name}@{self.task.rule}, fold {self.fold}"
        return f"{where}: {len(self.shared):,} of {self.tested:,} {LEAKAGE_PHRASE}"


def shared_between_sides(pairs: DuplicatePairs, sides: Sides) -> dict[str, str]:
    """Map test ids to an id in training or validation that is the same structure, where `pairs` has one.

    An id that a published split has on both sides is mapped to itself.
    """
    seen, tested = {*sides.train, *sides.validate}, set(sides.test)
    ordered = ((x, y) for a, b in pairs for x, y in ((a, b), (b, a)))
    return {x: y for x, y in ordered if x in tested and y in seen} | {x: x for x in sides.test if x in seen}


def fold_leakage(task: Task, fold: int, data: Dataset, pairs: DuplicatePairs | None = None) -> FoldLeakage:
    """The leakage of one fold of a task, from the `pairs` of ids of `data` that are the same structure.

    Without `pairs` they are found where they are needed. For a zero-shot task, training and validation are those of the
    model that predicts it. Structures of two data sets are not compared: a zero-shot task on another data set than its
    model's has no leakage.
    """
    split = read_split(data, task.rule)
    tested = fold_sides(split, data, task.target, fold).test
    if task.training_task.source.name != task.source.name:
        return FoldLeakage(task, fold, len(tested), {})
    if pairs is None:
        pairs = find_duplicates(data)
    trained = fold_sides(split, data, task.training_task.target, fold)
    return FoldLeakage(
        task, fold, len(tested), shared_between_sides(pairs, Sides(trained.train, trained.validate, tested))
    )
