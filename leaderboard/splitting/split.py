"""Splits: which ids train, validate and test. Files that are verified by a digest; nothing is drawn at run time.

`splits/<dataset>/<rule>.csv` holds `id,part`; the TOML beside it holds the rule, its version, the counts, the digest
of the CSV, and which parts test, validate and train in each fold. Of `random` and `formula` there are ten, `0` to `9`:
fold k tests parts 2k and 2k+1, validates on part 2k+2 (mod 10), and trains on the other seven and on part `train`,
which is in every fold. Rows of a part that a fold does not name, such as `withheld`, are not in it.

Where every target of a data set has a split of its own, the CSV has a column for each instead of `part`. A part may be
on two sides of a fold only if its name says so: `train+test` holds ids that a published split lists on both, which
count as leaks.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import compress
from pathlib import Path
from typing import Any, cast

import numpy as np

from asugnn.atomic_write import file_sha256
from asugnn.errors import InputError, did_you_mean
from asugnn.limits import CSV_BYTES, ID_BYTES, TOML_BYTES
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
    id_to_part: Mapping[str, str]  # of the first target, where each has its own
    folds: Mapping[int, Mapping[str, tuple[str, ...]]]  # the parts on each side (`SIDE_NAMES`) of each fold
    by_target: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # id to part, where each has its own

    @property
    def lists_ids_twice(self) -> bool:
        """Whether some ids are on two sides of a fold."""
        return any("+" in part for fold in self.folds.values() for parts in fold.values() for part in parts)

    @property
    def of_targets(self) -> tuple[Mapping[str, str], ...]:
        """Id to part: of each target, where each has its own, else one for all."""
        return tuple(self.by_target.values()) or (self.id_to_part,)

    def parts_of(self, target: Target) -> Mapping[str, str]:
        """Id to part for a target."""
        return self.by_target.get(target.name, self.id_to_part)


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
        by_target, twice = _parse_table(content)
    if twice is not None:
        raise InputError(f"{table} lists id '{twice}' more than once: its parts overlap")
    id_to_part = next(iter(by_target.values()))
    with reading(toml, "the description of a split", RESTORE):
        folds = {int(k): {side: tuple(fold[side]) for side in SIDE_NAMES} for k, fold in description["folds"].items()}
    for k, fold in folds.items():
        used = [part for side in SIDE_NAMES for part in fold[side] if side not in part.split("+")]
        if len(set(used)) != len(used):
            raise InputError(f"{toml}: fold {k} uses a part on two sides")
    if not dataset.rows.keys() >= id_to_part.keys():
        surplus = id_to_part.keys() - dataset.rows.keys()
        raise InputError(f"{table} lists {len(surplus)} ids that {dataset.source.file} lacks, such as {min(surplus)}: "
                         "the file of the data set is of another version")  # fmt: skip
    own = {} if list(by_target) == ["part"] else by_target
    return Split(dataset.source.name, rule, description["version"], digest, id_to_part, folds, own)


@lru_cache(maxsize=2)  # every fold of a task asks for it
def _parse_table(content: bytes) -> tuple[Mapping[str, Mapping[str, str]], str | None]:
    """The part of each id by the name of the column, and an id that is listed twice."""
    names, ids, columns = _read_columns(content)
    maps = {name: dict(zip(ids, parts, strict=True)) for name, parts in zip(names, columns, strict=True)}
    twice = Counter(ids).most_common(1)[0][0] if any(len(parts) < len(ids) for parts in maps.values()) else None
    return maps, twice


def _read_columns(content: bytes) -> tuple[list[str], Sequence[str], Sequence[Sequence[str]]]:
    """The names of the columns but the first, the first column, and the others; raises `ValueError` for ragged rows."""
    if b'"' in content:
        (_, *names), *rows = csv.reader(io.StringIO(content.decode("utf-8"), newline=""))
        ids, *columns = zip(*rows, strict=True)
        return names, ids, columns
    import polars as pl

    table = pl.read_csv(content, infer_schema=False, quote_char=None).fill_null("")
    if content.count(b",") != (len(table) + 1) * (table.width - 1):
        raise ValueError("a row has too few columns")
    if any(cast(int, column.str.len_bytes().max() or 0) > ID_BYTES for column in table):
        raise ValueError(f"a cell has more than {ID_BYTES} bytes")
    first, *others = (column.to_list() for column in table)
    return table.columns[1:], first, others


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
    """The names of the splits of a data set, first that of a task which names none."""
    rules = (p.stem for p in split_folder(source).glob("*.toml"))
    return sorted(rules, key=lambda rule: (rule != source.default_rule, rule))


def split_size(source: Source, rule: str = "") -> int:
    """How many ids a split lists, read from its TOML alone."""
    return sum(_read_toml(split_folder(source) / f"{rule or source.default_rule}.toml")["counts"].values())


def fold_sides(split: Split, dataset: Dataset, target: Target, fold: int) -> Sides:
    """The labelled ids that train, validate and test in one fold; all of them test for a zero-shot target.

    Raises `InputError` where the split has no such fold.
    """
    if fold not in split.folds:
        last = max(split.folds)
        has = f"folds 0 to {last}" if last else "fold 0 alone"
        raise InputError(f"there is no fold {fold}: split {split.dataset}@{split.rule} has {has}")
    with_label = list(compress(dataset.ids, np.isfinite(dataset.labels(target)).tolist()))
    if target.model_of:
        return Sides((), (), tuple(with_label))
    chosen = split.folds[fold]
    parts = list(map(split.parts_of(target).get, with_label))
    members = (frozenset(chosen[side]).__contains__ for side in SIDE_NAMES)
    return Sides(*(tuple(compress(with_label, map(is_member, parts))) for is_member in members))


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
