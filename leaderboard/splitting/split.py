"""Splits: which ids train, validate and test. A file, verified by its digest, never drawn at run time.

`splits/<dataset>/<rule>.csv` holds `id,part`; the TOML beside it holds the rule, its version, the counts, the digest
of the CSV, and the parts of each fold. Ten parts `0` to `9`: fold k tests parts 2k and 2k+1, validates on part
2k+2 (mod 10), and trains on the other seven and on part `train`, which is in every fold. Rows of any other part
(`withheld`, `zero-shot`) are in no fold.
"""

from __future__ import annotations

import csv
import hashlib
import io
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asugnn.errors import InputError, did_you_mean
from leaderboard.data import PACKAGE, Dataset, Source, Target

SPLITS_FOLDER = PACKAGE.parent / "splits"
PARTS = 10
SIDE_NAMES = ("train", "validate", "test")


@dataclass(frozen=True)
class Split:
    """A verified split: `parts` maps id to part, `folds` maps a fold to side to parts."""

    dataset: str
    rule: str
    version: int
    sha256: str
    parts: Mapping[str, str]
    folds: Mapping[int, Mapping[str, tuple[str, ...]]]


@dataclass(frozen=True)
class Sides:
    """The ids of one fold that have the label, in the order of the data set."""

    train: tuple[str, ...]
    validate: tuple[str, ...]
    test: tuple[str, ...]


def read_split(dataset: Dataset, rule: str, folder: Path = SPLITS_FOLDER) -> Split:
    """Read and verify a split; raises `InputError` if it does not fit its digest, itself or the data set."""
    home = split_folder(dataset.source, folder)
    known = sorted(p.stem for p in home.glob("*.toml"))
    if rule not in known:
        raise InputError(f"data set {dataset.source.name} has no split '{rule}'{did_you_mean(rule, known)}")
    table, described = home / f"{rule}.csv", home / f"{rule}.toml"
    content = table.read_bytes()
    about: dict[str, Any] = tomllib.loads(described.read_text(encoding="utf-8"))
    if (digest := hashlib.sha256(content).hexdigest()) != about["sha256"]:
        raise InputError(f"{table} was changed: its sha256 is {digest[:12]}..., but {described.name} says "
                         f"{about['sha256'][:12]}...; restore the file from the release")  # fmt: skip
    rows = list(csv.reader(io.StringIO(content.decode("utf-8"), newline="")))[1:]
    parts = dict(rows)
    if len(parts) != len(rows):
        twice = next(name for name, _ in rows if sum(name == other for other, _ in rows) > 1)
        raise InputError(f"{table} lists id '{twice}' more than once: its parts overlap")
    folds = {int(k): {side: tuple(fold[side]) for side in SIDE_NAMES} for k, fold in about["folds"].items()}
    for k, fold in folds.items():
        used = [part for side in SIDE_NAMES for part in fold[side]]
        if len(set(used)) != len(used):
            raise InputError(f"{described}: fold {k} uses a part on two sides")
    if surplus := parts.keys() - dataset.rows.keys():
        raise InputError(f"{table} lists {len(surplus)} ids that {dataset.source.file} lacks, such as {min(surplus)}: "
                         "the file of the data set is of another version")  # fmt: skip
    return Split(dataset.source.name, rule, about["version"], digest, parts, folds)


def split_folder(source: Source, folder: Path = SPLITS_FOLDER) -> Path:
    """Where the splits of a data set are: of an imported one, beside it."""
    return source.folder / "splits" if source.folder else folder / source.name


def list_rules(source: Source) -> list[str]:
    """The splits of a data set, the usual one first."""
    return sorted((p.stem for p in split_folder(source).glob("*.toml")), key=lambda rule: (rule != "random", rule))


def split_size(source: Source, rule: str = "random") -> int:
    """How many ids a split lists, read from its TOML alone."""
    about = tomllib.loads((split_folder(source) / f"{rule}.toml").read_text(encoding="utf-8"))
    return sum(about["counts"].values())


def fold_sides(split: Split, dataset: Dataset, target: Target, fold: int) -> Sides:
    """Who trains, validates and tests in one fold; a zero-shot target has every labelled row as its test."""
    if fold not in split.folds:
        raise InputError(f"there is no fold {fold}: split {split.dataset}@{split.rule} has {len(split.folds)}, from 0")
    labels = dataset.labels(target)
    with_label = [name for name, y in zip(dataset.ids, labels, strict=True) if np.isfinite(y)]
    if target.model_of:
        return Sides((), (), tuple(with_label))
    chosen = split.folds[fold]
    found = (tuple(n for n in with_label if split.parts.get(n) in chosen[side]) for side in SIDE_NAMES)
    return Sides(*found)
