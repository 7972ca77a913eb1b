"""Splits: which ids train, validate and test. Files that are verified by a digest; nothing is drawn at run time.

`splits/<dataset>/<rule>.csv` holds `id,part`; the TOML beside it holds the rule, its version, the counts, the digest
of the CSV, and which parts test, validate and train in each fold. Of `random` and `formula` there are ten, `0` to `9`:
fold k tests parts 2k and 2k+1, validates on part 2k+2 (mod 10), and trains on the other seven and on part `train`,
which is in every fold. Rows of a part that a fold does not name, such as `withheld`, are not in it.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from asugnn.atomic_write import file_sha256
from asugnn.errors import InputError, did_you_mean
from asugnn.limits import CSV_BYTES, TOML_BYTES
from asugnn.reading import read_bounded_bytes, read_bounded_text, read_toml, reading
from leaderboard.data import PACKAGE, Dataset, Source, Target, read_description

SPLITS_FOLDER = PACKAGE.parent / "splits"
PARTS = 10
RESTORE = "restore the file from the release"
SIDE_NAMES = ("train", "validate", "test")
SIDE_WORDS = dict(zip(SIDE_NAMES, ("training", "validation", "test"), strict=True))


@dataclass(frozen=True)
class Split:
    """A verified split of a data set."""

    dataset: str
    rule: str  # its name
    version: int
    sha256: str  # of the CSV
    id_to_part: Mapping[str, str]
    folds: Mapping[int, Mapping[str, tuple[str, ...]]]  # the parts on each side (`SIDE_NAMES`) of each fold


@dataclass(frozen=True)
class Sides:
    """The ids on each side of one fold that have the label, in the order of the data set."""

    train: tuple[str, ...]
    validate: tuple[str, ...]
    test: tuple[str, ...]


def read_split(dataset: Dataset, rule: str, folder: Path = SPLITS_FOLDER) -> Split:
    """Read and verify a split.

    Raises `InputError` if it does not match its digest or the ids of the data set, or if its parts overlap.
    """
    home = split_folder(dataset.source, folder)
    rules = sorted(p.stem for p in home.glob("*.toml"))
    if rule not in rules:
        raise InputError(f"data set {dataset.source.name} has no split '{rule}'{did_you_mean(rule, rules)}")
    table, toml = home / f"{rule}.csv", home / f"{rule}.toml"
    check_split_file(dataset.source, toml, folder)
    description = _read_toml(toml)
    with reading(table, "a split", RESTORE):
        content = read_bounded_bytes(table, CSV_BYTES)
    if (digest := hashlib.sha256(content).hexdigest()) != description["sha256"]:
        raise InputError(f"{table} was changed: its sha256 is {digest[:12]}..., but {toml.name} says "
                         f"{description['sha256'][:12]}...; {RESTORE}")  # fmt: skip
    with reading(table, "a split", RESTORE):
        rows = [(name, part) for name, part in csv.reader(io.StringIO(content.decode("utf-8"), newline=""))][1:]
    id_to_part = dict(rows)
    if len(id_to_part) != len(rows):
        ((twice, _),) = Counter(name for name, _ in rows).most_common(1)
        raise InputError(f"{table} lists id '{twice}' more than once: its parts overlap")
    with reading(toml, "the description of a split", RESTORE):
        folds = {int(k): {side: tuple(fold[side]) for side in SIDE_NAMES} for k, fold in description["folds"].items()}
    for k, fold in folds.items():
        used = [part for side in SIDE_NAMES for part in fold[side]]
        if len(set(used)) != len(used):
            raise InputError(f"{toml}: fold {k} uses a part on two sides")
    if surplus := id_to_part.keys() - dataset.rows.keys():
        raise InputError(f"{table} lists {len(surplus)} ids that {dataset.source.file} lacks, such as {min(surplus)}: "
                         "the file of the data set is of another version")  # fmt: skip
    return Split(dataset.source.name, rule, description["version"], digest, id_to_part, folds)


def split_folder(source: Source, folder: Path = SPLITS_FOLDER) -> Path:
    """The folder of the splits of a data set: inside its own where it was imported or made, else in `folder`."""
    return source.folder / "splits" if source.folder else folder / source.name


def check_split_file(source: Source, file: Path, folder: Path = SPLITS_FOLDER) -> None:
    """Raise `InputError` for a file beside a split that is not as it was published, or as it was made.

    Digests are in `SHA256SUMS` of the published splits and in dataset.json of a data set that was made here. Older data
    sets, and folders of other people, state none.
    """
    if source.folder:
        stated = read_description(source.folder).get("split_files", {}).get(file.name)
    else:
        stated = _published_digests(folder).get(f"{source.name}/{file.name}")
    if stated and stated != file_sha256(file):
        raise InputError(f"{file} was changed: its sha256 is not that stated when it was made; {RESTORE}")


@cache
def _published_digests(folder: Path) -> dict[str, str]:
    """sha256 by dataset/file from `SHA256SUMS`, as the command sha256sum writes it; empty where there is none."""
    file = folder / "SHA256SUMS"
    if not file.is_file():
        return {}
    with reading(file, "digests of splits", RESTORE):
        return {
            name: digest for digest, name in (line.split() for line in read_bounded_text(file, TOML_BYTES).splitlines())
        }


def list_rules(source: Source) -> list[str]:
    """The names of the splits of a data set, `random` first."""
    return sorted((p.stem for p in split_folder(source).glob("*.toml")), key=lambda rule: (rule != "random", rule))


def split_size(source: Source, rule: str = "random") -> int:
    """How many ids a split lists, read from its TOML alone."""
    return sum(_read_toml(split_folder(source) / f"{rule}.toml")["counts"].values())


def fold_sides(split: Split, dataset: Dataset, target: Target, fold: int) -> Sides:
    """The labelled ids that train, validate and test in one fold; all of them test for a zero-shot target.

    Raises `InputError` where the split has no such fold.
    """
    if fold not in split.folds:
        raise InputError(f"there is no fold {fold}: split {split.dataset}@{split.rule} has {len(split.folds)}, from 0")
    labels = dataset.labels(target)
    with_label = [name for name, y in zip(dataset.ids, labels, strict=True) if np.isfinite(y)]
    if target.model_of:
        return Sides((), (), tuple(with_label))
    chosen = split.folds[fold]
    sides = (tuple(n for n in with_label if split.id_to_part.get(n) in chosen[side]) for side in SIDE_NAMES)
    return Sides(*sides)


def find_empty_sides(
    split: Split, dataset: Dataset, target: Target, sides: Sequence[str] = SIDE_NAMES
) -> dict[int, str]:
    """Say of each fold with a side without labelled crystals: "fold 0 has no validation and no test crystal".

    `sides` are those that are needed; a zero-shot target needs a test side alone.
    """
    needed = ("test",) if target.model_of else sides
    found = {}
    for fold in split.folds:
        ids = fold_sides(split, dataset, target, fold)
        if empty := [SIDE_WORDS[side] for side in needed if not getattr(ids, side)]:
            found[fold] = f"fold {fold} has no {' and no '.join(empty)} crystal"
    return found


def _read_toml(file: Path) -> dict[str, Any]:
    with reading(file, "the description of a split", RESTORE):
        description = read_toml(file)
        for entry in ("version", "sha256", "counts", "folds"):
            description[entry]
        return description
