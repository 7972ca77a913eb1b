"""Look at a data set before it is trusted: duplicates, labels that cannot be, what the sides of a split share."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from asugnn.crystal import SYMBOLS, Crystal, Floats
from asugnn.model import Progress
from asugnn.neighbours import nearest
from leaderboard import datasets, split
from leaderboard.datasets import Dataset, Target

VOLUME = 0.01  # relative difference in volume per atom, above which crystals are different
DISTANCE = 0.05  # angstrom, of the twelve nearest neighbours on average, above which they are different
OUTLIER = 10.0  # in robust standard deviations
SHOWN = 8


@dataclass(frozen=True)
class Pair:
    """Two crystals that are the same structure, by pymatgen's matcher without scaling."""

    a: str
    b: str


@dataclass(frozen=True)
class Audit:
    """What was found, as sentences for people; `leaks` is how many tested crystals the other sides know."""

    sections: tuple[tuple[str, tuple[str, ...]], ...]
    leaks: dict[int, int]  # by fold


def audit(name: str, rule: str, data_dir: Path | None, progress: Progress) -> Audit:
    """Look at a data set and one of its splits; raises `InputError` where they cannot be had."""
    data = datasets.load(datasets.source(name), data_dir)
    parts = split.load(data, rule)
    ids = [i for i in data.ids if i in parts.parts]
    crystals = dict(zip(ids, data.crystals(ids), strict=True))
    pairs = list(duplicates(crystals, data.groups(ids), progress))
    leaks, crossing = _leaks(parts, pairs)
    sections = [
        ("crystals", _coverage(list(crystals.values()))),
        ("labels", tuple(line for target in data.source.targets for line in _labels(data, target))),
        ("duplicates", _pairs(pairs, len(ids))),
        ("labels of duplicates", tuple(line for t in data.source.targets for line in _conflicts(data, t, pairs))),
        (f"split {rule}", (*crossing, *_unseen(parts, crystals))),
    ]
    return Audit(tuple(sections), leaks)


def duplicates(crystals: dict[str, Crystal], formulas: Sequence[str], progress: Progress) -> Iterator[Pair]:
    """All pairs of the same structure.

    Candidates share the reduced formula, the volume per atom, and the sorted mean distances of the nearest neighbours
    of their elements; pymatgen's StructureMatcher, with its own tolerances and without scaling, decides.
    """
    by_formula: dict[str, list[str]] = {}
    for name, formula in zip(crystals, formulas, strict=True):
        by_formula.setdefault(formula, []).append(name)
    candidates: list[tuple[str, str]] = []
    for names in by_formula.values():
        volumes = {n: crystals[n].volume / len(crystals[n]) for n in names}
        close = ((a, b) for a, b in combinations(names, 2) if abs(volumes[a] / volumes[b] - 1) <= VOLUME)
        candidates += close
    prints: dict[str, Floats] = {}
    with progress("comparing", len(candidates)) as bar:
        for a, b in candidates:
            bar.advance()
            for n in (a, b):
                if n not in prints:
                    prints[n] = fingerprint(crystals[n])
            if np.abs(prints[a] - prints[b]).mean() <= DISTANCE and _same(crystals[a], crystals[b]):
                yield Pair(a, b)


def fingerprint(crystal: Crystal) -> Floats:
    """(12 elements,) mean distances of the first to the twelfth neighbour, by element: of equal crystals equal."""
    pairs = nearest(crystal, 12, 12.0)
    first = np.searchsorted(pairs.centre, np.arange(len(crystal)))
    rank = np.arange(len(pairs)) - first[pairs.centre]
    table = np.full((len(crystal), 12), 12.0)
    near = rank < 12
    table[pairs.centre[near], rank[near]] = pairs.distance[near]
    return np.concatenate([table[crystal.numbers == z].mean(axis=0) for z in np.unique(crystal.numbers)])


def _same(a: Crystal, b: Crystal) -> bool:
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core import Structure

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one, other = (Structure(c.lattice, c.numbers, c.frac_coords) for c in (a, b))
        return bool(StructureMatcher(scale=False).fit(one, other))


def _coverage(crystals: Sequence[Crystal]) -> tuple[str, ...]:
    sizes = np.array([len(c) for c in crystals])
    elements = Counter(SYMBOLS[z - 1] for c in crystals for z in set(c.numbers.tolist()))
    rare = [f"{symbol} {count}" for symbol, count in sorted(elements.items(), key=lambda x: x[1])[:SHOWN]]
    return (
        f"{len(crystals):,} crystals, {sizes.min()} to {sizes.max()} atoms, median {np.median(sizes):.0f}",
        f"{len(elements)} elements; rarest: {', '.join(rare)}",
    )


def _labels(data: Dataset, target: Target) -> Iterator[str]:
    y = data.labels(target)
    known = y[np.isfinite(y)]
    if target.kind == "binary":
        yield f"{target.name}: {len(known):,} labels, {known.mean():.1%} of class 1"
        return
    middle = np.median(known)
    spread = 1.4826 * np.median(abs(known - middle)) or known.std()
    far = np.flatnonzero(abs(y - middle) > OUTLIER * spread)
    span = f"{known.min():.3g} to {known.max():.3g} {target.unit}, median {middle:.3g}"
    yield f"{target.name}: {len(known):,} labels, {span}"
    worst = sorted(far.tolist(), key=lambda i: -abs(y[i] - middle))
    if worst:
        listed = ", ".join(f"{data.ids[i]} ({y[i]:.3g})" for i in worst[:SHOWN])
        yield f"{target.name}: {len(worst):,} lie more than {OUTLIER:.0f} robust standard deviations off: {listed}"


def _pairs(pairs: Sequence[Pair], n: int) -> tuple[str, ...]:
    rows = {name for pair in pairs for name in (pair.a, pair.b)}
    listed = "; ".join(f"{p.a} = {p.b}" for p in pairs[:SHOWN])
    head = f"{len(pairs):,} pairs of {len(rows):,} crystals ({len(rows) / n:.1%}) are the same structure"
    return (head, *([f"such as {listed}"] if pairs else []))


def _conflicts(data: Dataset, target: Target, pairs: Sequence[Pair]) -> Iterator[str]:
    y = data.labels(target)
    apart = [(abs(y[data.rows[p.a]] - y[data.rows[p.b]]), p) for p in pairs]
    apart = sorted(((d, p) for d, p in apart if np.isfinite(d)), key=lambda x: -x[0])
    if apart:
        values = np.array([d for d, _ in apart])
        listed = ", ".join(f"{p.a} and {p.b} by {d:.3g}" for d, p in apart[:3])
        usual = f"{np.median(values):.2g} {target.unit}".strip()
        yield f"{target.name}: of the same structure they differ by {usual} (median); {listed}"


def _leaks(parts: split.Split, pairs: Sequence[Pair]) -> tuple[dict[int, int], list[str]]:
    leaks, lines = {}, []
    for fold, sides in parts.folds.items():
        side = {part: name for name, some in sides.items() for part in some}
        tested = set()
        for pair in pairs:
            a, b = (side.get(parts.parts[i]) for i in (pair.a, pair.b))
            if a and b and "test" in (a, b) and a != b:
                tested.add(pair.a if a == "test" else pair.b)
        leaks[fold] = len(tested)
        lines.append(f"fold {fold}: {len(tested):,} tested crystals are also, as structures, on another side")
    return leaks, lines


def _unseen(parts: split.Split, crystals: dict[str, Crystal]) -> Iterator[str]:
    for fold, sides in parts.folds.items():
        of = {name: set(some) for name, some in sides.items()}
        seen = {z for i, c in crystals.items() if parts.parts[i] in of["train"] for z in set(c.numbers.tolist())}
        new = [z for i, c in crystals.items() if parts.parts[i] in of["test"] for z in set(c.numbers.tolist()) - seen]
        if new:
            counts = ", ".join(f"{SYMBOLS[z - 1]} {n}" for z, n in Counter(new).most_common(SHOWN))
            yield f"fold {fold}: elements that are tested and never trained, with how many crystals: {counts}"
