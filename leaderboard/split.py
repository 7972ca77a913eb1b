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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asugnn.crystal import Floats
from asugnn.errors import InputError
from asugnn.model import suggestion
from leaderboard.datasets import Dataset, Source, Target

FOLDER = Path(__file__).resolve().parent.parent / "splits"
PARTS = 10
SIDES = ("train", "validate", "test")


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


def load(dataset: Dataset, rule: str, folder: Path = FOLDER) -> Split:
    """Read and verify a split; raises `InputError` if it does not fit its digest, itself or the data set."""
    home = home_of(dataset.source, folder)
    known = sorted(p.stem for p in home.glob("*.toml"))
    if rule not in known:
        raise InputError(f"data set {dataset.source.name} has no split '{rule}'{suggestion(rule, known)}")
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
    folds = {int(k): {side: tuple(fold[side]) for side in SIDES} for k, fold in about["folds"].items()}
    for k, fold in folds.items():
        used = [part for side in SIDES for part in fold[side]]
        if len(set(used)) != len(used):
            raise InputError(f"{described}: fold {k} uses a part on two sides")
    if surplus := parts.keys() - dataset.rows.keys():
        raise InputError(f"{table} lists {len(surplus)} ids that {dataset.source.file} lacks, such as {min(surplus)}: "
                         "the file of the data set is of another version")  # fmt: skip
    return Split(dataset.source.name, rule, about["version"], digest, parts, folds)


def home_of(source: Source, folder: Path = FOLDER) -> Path:
    """Where the splits of a data set are: of an imported one, beside it."""
    return source.folder / "splits" if source.folder else folder / source.name


def rules(source: Source) -> list[str]:
    """The splits of a data set, the usual one first."""
    return sorted((p.stem for p in home_of(source).glob("*.toml")), key=lambda rule: (rule != "random", rule))


def size(source: Source, rule: str = "random") -> int:
    """How many ids a split lists, read from its TOML alone."""
    about = tomllib.loads((home_of(source) / f"{rule}.toml").read_text(encoding="utf-8"))
    return sum(about["counts"].values())


def sides(split: Split, dataset: Dataset, target: Target, fold: int) -> Sides:
    """Who trains, validates and tests in one fold; a zero-shot target has every labelled row as its test."""
    if fold not in split.folds:
        raise InputError(f"there is no fold {fold}: split {split.dataset}@{split.rule} has {len(split.folds)}, from 0")
    labels = dataset.labels(target)
    with_label = [name for name, y in zip(dataset.ids, labels, strict=True) if np.isfinite(y)]
    if target.model_of:
        return Sides((), (), tuple(with_label))
    chosen = split.folds[fold]
    found = (tuple(n for n in with_label if split.parts.get(n) in chosen[side]) for side in SIDES)
    return Sides(*found)


# Making a split, for leaderboard/rules.py: never while running -------------------------------------------------------


def part_of(dataset: str, rule: str, salt: int, group: str) -> str:
    """The part of a group, from its name alone: equal on every machine, unmoved by rows that are added."""
    digest = hashlib.sha256(f"{dataset}/{rule}/{salt}:{group}".encode()).digest()
    return str(int.from_bytes(digest, "big") % PARTS)


def near_duplicates(
    ids: Sequence[str],
    formulas: Sequence[str],
    volumes: Floats,
    energies: Floats | None,
    same: Iterable[tuple[str, str]] = (),
) -> dict[str, str]:
    """Id to the smallest id of its cluster: same reduced formula, volume per atom within 0.5 %, energy within 2 meV.

    `volumes` (n,) are in cubic angstrom per atom, `energies` (n,) in eV per atom, if there are any; `same` are pairs of
    ids that are near-duplicates whatever these say. Pairs are joined in chains, so that no two near-duplicates can fall
    into different parts.
    """
    by_formula: dict[str, list[int]] = {}
    for i, formula in enumerate(formulas):
        by_formula.setdefault(formula, []).append(i)
    root = list(range(len(ids)))

    def find(i: int) -> int:
        while root[i] != i:
            i = root[i]
        return i

    def join(i: int, j: int) -> None:
        low, high = sorted((find(i), find(j)))
        root[high] = low

    for rows in by_formula.values():
        for a, i in enumerate(rows):
            for j in rows[:a]:
                near = energies is None or abs(energies[i] - energies[j]) <= 0.002
                if near and abs(volumes[i] / volumes[j] - 1) <= 0.005:
                    join(i, j)
    place = {name: i for i, name in enumerate(ids)}
    for one, other in same:
        join(place[one], place[other])
    smallest: dict[int, str] = {}
    for i, name in enumerate(ids):
        smallest[find(i)] = min(name, smallest.get(find(i), name))
    return {name: smallest[find(i)] for i, name in enumerate(ids)}


Fold = tuple[Sequence[str], Sequence[str], Sequence[str]]  # the parts that train, validate and test


def five_folds(always: Sequence[str] = ()) -> list[Fold]:
    """Of ten parts: fold k tests 2k and 2k+1, validates on 2k+2, and trains on the others and on what is `always`."""
    folds: list[Fold] = []
    for k in range(PARTS // 2):
        test, validate = [str(2 * k), str(2 * k + 1)], [str((2 * k + 2) % PARTS)]
        train = [str(p) for p in range(PARTS) if str(p) not in test + validate]
        folds.append(([*train, *always], validate, test))
    return folds


def write(
    folder: Path,
    dataset: str,
    rule: str,
    version: int,
    about: str,
    parts: Mapping[str, str],
    by: str = "recipes/splits.py",
    folds: Sequence[Fold] | None = None,
) -> None:
    """Write `rule.csv` and `rule.toml` of a split; without `folds`, the five of ten parts."""
    lines = ["id,part", *(f"{name},{part}" for name, part in parts.items())]
    content = ("\n".join(lines) + "\n").encode()
    counts = {part: list(parts.values()).count(part) for part in sorted(set(parts.values()))}
    always = ["train"] if "train" in counts else []
    toml = [
        f"# Written by {by}",
        f'dataset = "{dataset}"',
        f'rule = "{rule}"',
        f"version = {version}",
        f'about = "{about}"',
        f'sha256 = "{hashlib.sha256(content).hexdigest()}"',
        "",
        "[counts]",
        *(f'"{part}" = {n}' for part, n in counts.items()),
    ]
    for k, (train, validate, test) in enumerate(folds or five_folds(always)):
        toml += [
            "",
            f"[folds.{k}]",
            f"train = {_list(train)}",
            f"validate = {_list(validate)}",
            f"test = {_list(test)}",
        ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{rule}.csv").write_bytes(content)
    (folder / f"{rule}.toml").write_text("\n".join(toml) + "\n", encoding="utf-8")


def _list(values: Iterable[object]) -> str:
    return "[" + ", ".join(f'"{v}"' for v in values) + "]"
