"""Look at a data set before it is trusted: duplicates, labels that cannot be, what the sides of a split share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from asugnn.crystal import SYMBOLS, Crystal, Floats
from asugnn.errors import InputError
from asugnn.symmetry import space_group_number
from leaderboard._util import parallel_map, show_progress
from leaderboard.data import Dataset, Target, find_source, load_dataset, read_exclusions
from leaderboard.splitting import (
    LEAKAGE_PHRASE,
    SIDE_NAMES,
    ComparedPair,
    DuplicatePairs,
    Sides,
    Split,
    compare_dataset,
    read_split,
    shared_between_sides,
)

FEW = 2000  # crystals, below which a second process would cost more than it saves
OUTLIER = 6.0  # in robust standard deviations
SHOWN = 8
Section = tuple[str, tuple[str, ...]]  # a title, and sentences


@dataclass(frozen=True)
class Outlier:
    """A label far from what its composition suggests, by `deviations` robust standard deviations."""

    name: str
    target: Target
    value: float
    deviations: float


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found in a data set, and in one of its splits."""

    data: Dataset
    parts: Split
    crystals: Mapping[str, Crystal]
    space_groups: Mapping[str, int]  # of those for which spglib finds one
    pairs: tuple[ComparedPair, ...]  # all that share formula and volume, with their verdicts
    outliers: tuple[Outlier, ...]
    dropped: tuple[tuple[str, str], ...]  # ids, and why something here does not count them

    @cached_property
    def same(self) -> DuplicatePairs:
        """The pairs of one structure."""
        return [(p.a, p.b) for p in self.pairs if p.verdict == "same"]

    @cached_property
    def leaks(self) -> dict[int, dict[str, str]]:
        """By fold, the tested crystals that are on another side too, whatever their labels."""
        found = {}
        for fold, sides in self.parts.folds.items():
            ids = (tuple(i for i, part in self.parts.id_to_part.items() if part in sides[s]) for s in SIDE_NAMES)
            found[fold] = shared_between_sides(self.same, Sides(*ids))
        return found

    @cached_property
    def elements(self) -> Counter[int]:
        """Atomic number to how many crystals contain it."""
        return Counter(z for c in self.crystals.values() for z in set(c.numbers.tolist()))

    def differences(self, target: Target) -> list[tuple[float, str, str]]:
        """How far the labels of one structure differ, largest first, where both are known."""
        y, rows = self.data.labels(target), self.data.rows
        apart = [(float(abs(y[rows[a]] - y[rows[b]])), a, b) for a, b in self.same]
        return sorted((d for d in apart if np.isfinite(d[0])), reverse=True)

    @property
    def sections(self) -> list[Section]:
        """All of it, in sentences for people."""
        targets = self.data.source.targets
        return [
            ("crystals", tuple(_coverage(self))),
            ("labels", tuple(line for target in targets for line in _labels(self, target))),
            ("duplicates", tuple(_pairs(self))),
            ("labels of duplicates", tuple(line for target in targets for line in _conflicts(self, target))),
            (f"split {self.parts.rule}", (*_leaks(self), *_unseen(self))),
        ]


def audit_dataset(name: str, rule: str) -> Audit:
    """Look at a data set and one of its splits; raises `InputError` where they cannot be had."""
    data = load_dataset(find_source(name))
    parts = read_split(data, rule)
    crystals = dict(zip(data.ids, data.crystals(data.ids), strict=True))
    dropped = [(i, f"when it was made: {reason}") for i, reason in read_exclusions(data.source)]
    dropped += [(i, f"split {rule} does not list it") for i in crystals if i not in parts.id_to_part]
    space_groups = {}
    with show_progress("space groups", len(crystals)) as bar:
        for i, number in zip(
            crystals, parallel_map(_space_group, list(crystals.values()), 64, len(crystals) < FEW), strict=True
        ):
            bar.advance()
            if number:
                space_groups[i] = number
            else:
                dropped.append((i, "spglib finds no symmetry"))
    pairs = compare_dataset(data, crystals)
    outliers = tuple(o for target in data.source.targets for o in _outliers(data, target))
    return Audit(data, parts, crystals, space_groups, tuple(pairs), outliers, tuple(dropped))


def _space_group(crystal: Crystal) -> int:
    try:
        return space_group_number(crystal)
    except InputError:
        return 0


def _outliers(data: Dataset, target: Target) -> list[Outlier]:
    if target.kind == "binary":
        return []
    y = data.labels(target)
    rows = np.flatnonzero(np.isfinite(y))
    numbers = data.table["atomic_numbers"].gather(rows).to_list()
    shares = np.array([np.bincount(n, minlength=len(SYMBOLS) + 1) / len(n) for n in numbers]).reshape(len(rows), -1)
    off = _deviations(shares, y[rows])
    far = [Outlier(data.ids[i], target, float(y[i]), float(d)) for i, d in zip(rows, off, strict=True) if _far(d)]
    return sorted(far, key=lambda o: -abs(o.deviations))


def _deviations(shares: Floats, y: Floats) -> Floats:
    """(n,) robust standard deviations from what is linear in the shares of the elements, fitted without outliers.

    Of so few labels that a fit would follow them, from the median.
    """
    off = _standard(y)
    if len(y) < 3 * shares.any(axis=0).sum():
        return off
    for _ in range(3):
        usual = ~_far(off)
        off = _standard(y - shares @ np.linalg.lstsq(shares[usual], y[usual], rcond=None)[0])
    return off


def _standard(y: Floats) -> Floats:
    if not len(y):
        return y
    off = y - np.median(y)
    return off / (1.4826 * np.median(abs(off)) or off.std() or 1.0)


def _far(deviations: Any) -> Any:
    return abs(deviations) > OUTLIER


def _coverage(found: Audit) -> Iterator[str]:
    sizes = np.array([len(c) for c in found.crystals.values()])
    rare = [f"{SYMBOLS[z - 1]} {n}" for z, n in sorted(found.elements.items(), key=lambda x: x[1])[:SHOWN]]
    groups = Counter(found.space_groups.values())
    yield f"{len(sizes):,} crystals, {sizes.min()} to {sizes.max()} atoms, median {np.median(sizes):.0f}"
    yield f"{len(found.elements)} elements; rarest: {', '.join(rare)}"
    common = ", ".join(f"{number} ({n:,})" for number, n in groups.most_common(SHOWN))
    yield f"{len(groups)} of 230 space groups; most common: {common}"
    for reason, n in Counter(reason for _, reason in found.dropped).most_common(SHOWN):
        yield f"{n:,} not counted: {reason}"


def _labels(found: Audit, target: Target) -> Iterator[str]:
    y = found.data.labels(target)
    known = y[np.isfinite(y)]
    if not len(known):
        yield f"{target.name}: no labels"
        return
    if target.kind == "binary":
        yield f"{target.name}: {len(known):,} labels, {known.mean():.1%} of class 1, {target.positive}"
        return
    span = f"{known.min():.3g} to {known.max():.3g} {target.unit}, median {np.median(known):.3g}"
    yield f"{target.name}: {len(known):,} labels, {span}"
    if far := [o for o in found.outliers if o.target == target]:
        listed = ", ".join(f"{o.name} ({o.value:.3g})" for o in far[:SHOWN])
        what = f"more than {OUTLIER:.0f} robust standard deviations off what their composition suggests"
        yield f"{target.name}: {len(far):,} lie {what}: {listed}"


def _pairs(found: Audit) -> Iterator[str]:
    rows = {name for pair in found.same for name in pair}
    share = f"{len(rows) / len(found.crystals):.1%}"
    yield f"{len(found.same):,} pairs of {len(rows):,} crystals ({share}) are the same structure"
    if found.same:
        yield f"such as {'; '.join(f'{a} = {b}' for a, b in found.same[:SHOWN])}"
    others = Counter(p.verdict for p in found.pairs if p.verdict != "same").most_common()
    if others:
        why = "; ".join(f"{n:,} are {verdict}" for verdict, n in others)
        yield f"of {len(found.pairs):,} pairs of one formula and nearly one volume: {why}"


def _conflicts(found: Audit, target: Target) -> Iterator[str]:
    if apart := found.differences(target):
        listed = ", ".join(f"{a} and {b} by {d:.3g}" for d, a, b in apart[:3])
        usual = f"{np.median([d for d, *_ in apart]):.2g} {target.unit}".strip()
        yield f"{target.name}: of the same structure they differ by {usual} (median); {listed}"


def _leaks(found: Audit) -> Iterator[str]:
    for fold, shared in found.leaks.items():
        parts = found.parts.folds[fold]["test"]
        tested = sum(part in parts for part in found.parts.id_to_part.values())
        yield f"fold {fold}: {len(shared):,} of {tested:,} {LEAKAGE_PHRASE}"


def _unseen(found: Audit) -> Iterator[str]:
    for fold, sides in found.parts.folds.items():
        side = {name: [i for i, part in found.parts.id_to_part.items() if part in some] for name, some in sides.items()}
        seen = _elements(found.crystals[i] for i in side["train"])
        new = Counter(z for i in side["test"] for z in set(found.crystals[i].numbers.tolist()) - seen)
        if new:
            counts = ", ".join(f"{SYMBOLS[z - 1]} {n}" for z, n in new.most_common(SHOWN))
            yield f"fold {fold}: elements that are tested and never trained, with how many crystals: {counts}"


def _elements(crystals: Iterator[Crystal]) -> set[int]:
    return {z for crystal in crystals for z in crystal.numbers.tolist()}
