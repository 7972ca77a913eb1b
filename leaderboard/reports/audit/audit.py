"""Audit a data set before it is used: coverage, duplicates, implausible labels, leaks of a split."""

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

FEW = 2000  # crystals below which a second process costs more time than it saves
OUTLIER = 6.0  # in robust standard deviations
ROUNDS = 3  # of the fit to composition: outliers that others hid come to light
LISTED = 8  # examples in a sentence
Section = tuple[str, tuple[str, ...]]  # title, sentences


@dataclass(frozen=True)
class Outlier:
    """A label far from what its composition suggests, by `deviations` robust standard deviations."""

    name: str
    target: Target
    value: float
    deviations: float


@dataclass(frozen=True, eq=False)
class Audit:
    """The findings on a data set and one of its splits."""

    data: Dataset
    parts: Split
    crystals: Mapping[str, Crystal]
    space_groups: Mapping[str, int]  # of the crystals for which spglib finds one
    pairs: tuple[ComparedPair, ...]  # of equal formula and similar volume, with their verdicts
    outliers: tuple[Outlier, ...]
    dropped: tuple[tuple[str, str], ...]  # ids of crystals that some count leaves out, and the reason

    @cached_property
    def same(self) -> DuplicatePairs:
        """The pairs that are the same structure."""
        return [(p.a, p.b) for p in self.pairs if p.verdict == "same"]

    @cached_property
    def leaks(self) -> dict[int, dict[str, str]]:
        """By fold, the test crystals whose structure is also in training or validation, each with such a duplicate.

        Where each target has a split of its own, those of all targets.
        """
        leaks: dict[int, dict[str, str]] = {}
        for fold, sides in self.parts.folds.items():
            leaks[fold] = {}
            for parts in self.parts.of_targets:
                ids = (tuple(i for i, part in parts.items() if part in sides[s]) for s in SIDE_NAMES)
                leaks[fold] |= shared_between_sides(self.same, Sides(*ids))
        return leaks

    @cached_property
    def elements(self) -> Counter[int]:
        """How many crystals contain each atomic number."""
        return Counter(z for c in self.crystals.values() for z in set(c.numbers.tolist()))

    def differences(self, target: Target) -> list[tuple[float, str, str]]:
        """Differences between the labels of duplicates and their ids, the largest first, where both are labelled."""
        y, rows = self.data.labels(target), self.data.rows
        differences = [(float(abs(y[rows[a]] - y[rows[b]])), a, b) for a, b in self.same]
        return sorted((d for d in differences if np.isfinite(d[0])), reverse=True)

    @property
    def sections(self) -> list[Section]:
        """All findings in sentences."""
        targets = self.data.source.targets
        return [
            ("crystals", tuple(_coverage(self))),
            ("labels", tuple(line for target in targets for line in _labels(self, target))),
            ("duplicates", tuple(_pairs(self))),
            ("labels of duplicates", tuple(line for target in targets for line in _conflicts(self, target))),
            (f"split {self.parts.rule}", (*_leaks(self), *_unseen(self))),
        ]


def audit_dataset(name: str, rule: str) -> Audit:
    """Audit a data set and one of its splits, the usual one if `rule` is empty.

    Raises `InputError` if either is missing or damaged.
    """
    data = load_dataset(find_source(name))
    rule = rule or data.source.default_rule
    parts = read_split(data, rule)
    crystals = dict(zip(data.ids, data.crystals(data.ids), strict=True))
    dropped = [(i, f"excluded when the data set was built: {reason}") for i, reason in read_exclusions(data.source)]
    dropped += [(i, f"not listed in split {rule}") for i in crystals if i not in parts.id_to_part]
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
    outliers = tuple(o for target in data.source.targets for o in find_outliers(data, target))
    return Audit(data, parts, crystals, space_groups, tuple(pairs), outliers, tuple(dropped))


def _space_group(crystal: Crystal) -> int:
    try:
        return space_group_number(crystal)
    except InputError:
        return 0


def find_outliers(data: Dataset, target: Target) -> list[Outlier]:
    """Labels far from what their composition suggests, the farthest first; none of a binary target."""
    if target.kind == "binary":
        return []
    y = data.labels(target)
    rows = np.flatnonzero(np.isfinite(y))
    numbers = data.table["atomic_numbers"].gather(rows).to_list()
    shares = np.array([np.bincount(n, minlength=len(SYMBOLS) + 1) / len(n) for n in numbers]).reshape(len(rows), -1)
    deviations = composition_deviations(shares, y[rows])
    outliers = [
        Outlier(data.ids[i], target, float(y[i]), float(d)) for i, d in zip(rows, deviations, strict=True) if _is_far(d)
    ]
    return sorted(outliers, key=lambda o: -abs(o.deviations))


def composition_deviations(shares: Floats, y: Floats) -> Floats:
    """Deviations (n,) of labels from a linear fit to composition, in robust standard deviations.

    `shares` (n, elements) are the atomic fractions of each crystal. The fit is repeated `ROUNDS` times without the
    outliers of the last. With fewer than three labels per element, deviations are from the median instead.
    """
    deviations = _standardise(y)
    if len(y) < 3 * shares.any(axis=0).sum():
        return deviations
    for _ in range(ROUNDS):
        usual = ~_is_far(deviations)
        deviations = _standardise(y - shares @ np.linalg.lstsq(shares[usual], y[usual], rcond=None)[0])
    return deviations


def _standardise(y: Floats) -> Floats:
    """Values (n,) minus their median, over the standard deviation that their median absolute deviation suggests."""
    if not len(y):
        return y
    centred = y - np.median(y)
    return centred / (1.4826 * np.median(abs(centred)) or centred.std() or 1.0)


def _is_far(deviations: Any) -> Any:
    return abs(deviations) > OUTLIER


def _coverage(audit: Audit) -> Iterator[str]:
    sizes = np.array([len(c) for c in audit.crystals.values()])
    rare = [f"{SYMBOLS[z - 1]} {n}" for z, n in sorted(audit.elements.items(), key=lambda x: x[1])[:LISTED]]
    groups = Counter(audit.space_groups.values())
    yield f"{len(sizes):,} crystals of {sizes.min()} to {sizes.max()} atoms per cell, median {np.median(sizes):.0f}"
    yield f"{len(audit.elements)} elements; rarest: {', '.join(rare)}"
    common = ", ".join(f"{number} ({n:,})" for number, n in groups.most_common(LISTED))
    yield f"{len(groups)} of 230 space groups; most common: {common}"
    for reason, n in Counter(reason for _, reason in audit.dropped).most_common(LISTED):
        yield f"{n:,} skipped: {reason}"


def _labels(audit: Audit, target: Target) -> Iterator[str]:
    y = audit.data.labels(target)
    labels = y[np.isfinite(y)]
    if not len(labels):
        yield f"{target.name}: no labels"
        return
    if target.kind == "binary":
        yield f"{target.name}: {len(labels):,} labels, {labels.mean():.1%} of class 1, {target.positive}"
        return
    span = f"{labels.min():.3g} to {labels.max():.3g} {target.unit}, median {np.median(labels):.3g}"
    yield f"{target.name}: {len(labels):,} labels, {span}"
    if outliers := [o for o in audit.outliers if o.target == target]:
        listed = ", ".join(f"{o.name} ({o.value:.3g})" for o in outliers[:LISTED])
        criterion = f"more than {OUTLIER:.0f} robust standard deviations from a linear fit to composition"
        yield f"{target.name}: {len(outliers):,} {_plural('outlier', len(outliers))}, {criterion}: {listed}"


def _pairs(audit: Audit) -> Iterator[str]:
    rows = {name for pair in audit.same for name in pair}
    share = f"{len(rows) / len(audit.crystals):.1%}"
    yield f"{len(audit.same):,} duplicate {_plural('pair', len(audit.same))} among {len(rows):,} crystals ({share})"
    if audit.same:
        yield f"for example {'; '.join(f'{a} = {b}' for a, b in audit.same[:LISTED])}"
    others = Counter(p.verdict for p in audit.pairs if p.verdict != "same").most_common()
    if others:
        verdicts = "; ".join(f"{n:,} are {verdict}" for verdict, n in others)
        yield f"of {len(audit.pairs):,} pairs with equal formula and similar volume: {verdicts}"


def _conflicts(audit: Audit, target: Target) -> Iterator[str]:
    if differences := audit.differences(target):
        largest = ", ".join(f"{a} and {b} by {d:.3g}" for d, a, b in differences[:3])
        median = f"{np.median([d for d, *_ in differences]):.2g} {target.unit}".strip()
        yield f"{target.name}: labels of duplicates differ by {median} (median); largest: {largest}"


def _leaks(audit: Audit) -> Iterator[str]:
    for fold, shared in audit.leaks.items():
        test = audit.parts.folds[fold]["test"]
        tested = {i for parts in audit.parts.of_targets for i, part in parts.items() if part in test}
        yield f"fold {fold}: {len(shared):,} of {len(tested):,} {LEAKAGE_PHRASE}"


def _unseen(audit: Audit) -> Iterator[str]:
    for fold, sides in audit.parts.folds.items():
        ids = {
            side: [i for i, part in audit.parts.id_to_part.items() if part in parts] for side, parts in sides.items()
        }
        trained = _elements(audit.crystals[i] for i in ids["train"])
        unseen = Counter(z for i in ids["test"] for z in set(audit.crystals[i].numbers.tolist()) - trained)
        if unseen:
            counts = ", ".join(f"{SYMBOLS[z - 1]} {n}" for z, n in unseen.most_common(LISTED))
            yield f"fold {fold}: test elements that are not in training, with their number of crystals: {counts}"


def _elements(crystals: Iterator[Crystal]) -> set[int]:
    return {z for crystal in crystals for z in crystal.numbers.tolist()}


def _plural(noun: str, n: int) -> str:
    return noun if n == 1 else f"{noun}s"
