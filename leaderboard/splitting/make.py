"""Write a split: the part of each group, clusters of near-duplicates, and the files. Never used in a run."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path

from asugnn.atomic_write import atomic_write, write_text
from asugnn.crystal import Floats
from leaderboard._util import join_pairs
from leaderboard.data import csv_cell
from leaderboard.splitting.split import PARTS

ZERO_SHOT_PART = "zero-shot"


def part_of_group(dataset: str, rule: str, salt: int, group: str) -> str:
    """The part `0` to `9` of a group, from its name alone: the same on every machine, whatever other rows there are."""
    digest = hashlib.sha256(f"{dataset}/{rule}/{salt}:{group}".encode()).digest()
    return str(int.from_bytes(digest, "big") % PARTS)


def join_near_duplicates(
    ids: Sequence[str],
    formulas: Sequence[str],
    volumes: Floats,
    energies: Floats | None,
    same: Iterable[tuple[str, str]] = (),
) -> dict[str, str]:
    """The smallest id of its cluster for each id: same formula, volume within 0.5 %, energy within 2 meV/atom.

    `formulas` (n,) are reduced formulas, `volumes` (n,) in cubic angstrom per atom, `energies` (n,) in eV per atom, if
    there are any; `same` are pairs of ids that are near-duplicates in any case. Pairs are joined in chains, so that no
    two near-duplicates are in different parts.
    """
    by_formula: dict[str, list[int]] = {}
    for i, formula in enumerate(formulas):
        by_formula.setdefault(formula, []).append(i)
    near = [
        (i, j)
        for rows in by_formula.values()
        for a, i in enumerate(rows)
        for j in rows[:a]
        if (energies is None or abs(energies[i] - energies[j]) <= 0.002) and abs(volumes[i] / volumes[j] - 1) <= 0.005
    ]
    place = {name: i for i, name in enumerate(ids)}
    first = join_pairs(len(ids), chain(near, ((place[one], place[other]) for one, other in same)))
    smallest: dict[int, str] = {}
    for name, cluster in zip(ids, first, strict=True):
        smallest[cluster] = min(name, smallest.get(cluster, name))
    return {name: smallest[cluster] for name, cluster in zip(ids, first, strict=True)}


FoldParts = tuple[Sequence[str], Sequence[str], Sequence[str]]  # the parts that train, validate and test


def five_folds(always: Sequence[str] = ()) -> list[FoldParts]:
    """The folds of ten parts: fold k tests 2k and 2k+1, validates on 2k+2 (mod 10), and trains on the other seven.

    Parts in `always` train in every fold.
    """
    folds: list[FoldParts] = []
    for k in range(PARTS // 2):
        test, validate = [str(2 * k), str(2 * k + 1)], [str((2 * k + 2) % PARTS)]
        train = [str(p) for p in range(PARTS) if str(p) not in test + validate]
        folds.append(([*train, *always], validate, test))
    return folds


def write_split(
    folder: Path,
    dataset: str,
    rule: str,
    version: int,
    description: str,
    id_to_part: Mapping[str, str] | Mapping[str, tuple[str, ...]],
    written_by: str = "recipes/splits.py",
    folds: Sequence[FoldParts] | None = None,
    targets: Sequence[str] = (),
) -> None:
    """Write `rule.csv` and `rule.toml` of a split into `folder`; without `folds`, those of `five_folds`.

    With `targets`, `id_to_part` gives the part for each of them.
    """
    rows = {name: (part,) if isinstance(part, str) else part for name, part in id_to_part.items()}
    content = split_table(rows, targets or ("part",))
    counts = dict(sorted(Counter(" ".join(parts) for parts in rows.values()).items()))
    always = ["train"] if "train" in counts else []
    toml = [
        f"# Written by {written_by}",
        f'dataset = "{dataset}"',
        f'rule = "{rule}"',
        f"version = {version}",
        f'about = "{description}"',
        f'sha256 = "{hashlib.sha256(content).hexdigest()}"',
        "",
        "[counts]",
        *(f'"{part}" = {n}' for part, n in counts.items()),
    ]
    for k, (train, validate, test) in enumerate(folds or five_folds(always)):
        toml += [
            "",
            f"[folds.{k}]",
            f"train = {_toml_list(train)}",
            f"validate = {_toml_list(validate)}",
            f"test = {_toml_list(test)}",
        ]
    with atomic_write(folder / f"{rule}.csv") as temporary:
        temporary.write_bytes(content)
    write_text(folder / f"{rule}.toml", "\n".join(toml) + "\n")


def split_table(rows: Mapping[str, tuple[str, ...]], columns: Sequence[str]) -> bytes:
    """The CSV of a split: the parts of each id in some columns."""
    lines = [",".join(("id", *columns)), *(",".join((csv_cell(name), *parts)) for name, parts in rows.items())]
    return ("\n".join(lines) + "\n").encode()


def _toml_list(values: Iterable[object]) -> str:
    return "[" + ", ".join(f'"{v}"' for v in values) + "]"


def write_zero_shot_split(folder: Path, dataset: str, ids: Iterable[str], trained_on: str, written_by: str) -> None:
    """Write the split `random` of a data set that models of another one predict, with all ids in one part."""
    about = f"every fold tests all: nothing here trains, the models are those of {trained_on} of the same fold"
    parts, folds = dict.fromkeys(ids, ZERO_SHOT_PART), [((), (), (ZERO_SHOT_PART,))] * 5
    write_split(folder, dataset, "random", 1, about, parts, written_by, folds)
