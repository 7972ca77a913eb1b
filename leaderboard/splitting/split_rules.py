"""The rules by which splits are made: what shares a part, and which parts a fold holds out. Never used while running.

    random        ten parts; near-duplicates, and what is the same structure, share one
    formula       ten parts by reduced formula
    prototype     ten parts by structure type: space group, anonymous formula, and the orbits' elements and sizes
    element       fold k tests all that contains one element and none of the others, and nothing with it trains
    large-cells   trains on small cells, tests on large ones
    high-energy   trains on low energies, tests on high ones

A part follows from the name of a group alone (`split.part_of`), or from bounds and elements that are given, so that it
is the same on every machine, and rows that are added move nothing but what they are near-duplicates of. By every rule
a near-duplicate goes where the first of its cluster goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asugnn.crystal import SYMBOLS, Crystal
from asugnn.errors import InputError
from asugnn.symmetry import conventional_cell
from leaderboard._util import parallel_map, show_progress
from leaderboard.splitting.make import FoldParts, five_folds, join_near_duplicates, part_of_group, write_split
from leaderboard.splitting.split import PARTS

RULES = ("random", "formula", "prototype", "element", "large-cells", "high-energy")
FEWEST = 10  # crystals of a side, below which a split is not worth making
FEW = 500  # crystals, below which a second process would cost more than it saves
SHARE = 0.05  # of the crystals contains an element that is fit to be held out
SIZES = (1, 2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 200)  # bounds of large cells


@dataclass(frozen=True)
class HardBounds:
    """What the hard rules hold out: atomic numbers, and up to where a crystal trains and validates."""

    elements: tuple[int, ...]
    atoms: tuple[float, float]
    energy: tuple[float, float] | None  # eV/atom


@dataclass(frozen=True)
class DuplicateClusters:
    """Id to the first of its near-duplicates, and what these are."""

    first: Mapping[str, str]
    about: str


@dataclass(frozen=True)
class MadeSplit:
    """A split as it is made: a part of each id, and the folds; None: the five of ten parts."""

    name: str
    about: str
    parts: Mapping[str, str]
    folds: Sequence[FoldParts] | None = None

    def meaningful(self) -> bool:
        """Whether every fold has enough crystals on each side."""
        counts = Counter(self.parts.values())
        folds = five_folds() if self.folds is None else self.folds
        return bool(folds) and all(sum(counts[p] for p in side) >= FEWEST for fold in folds for side in fold)


def choose_bounds(crystals: Mapping[str, Crystal], energies: Mapping[str, float] | None) -> HardBounds:
    """What to hold out of a data set: five elements that about 5 % of it contain, cells and energies above about three
    quarters of it. Choose once, and give them again when rows are added."""
    counts = Counter(z for c in crystals.values() for z in set(c.numbers.tolist()))
    apart = {z: abs(np.log(n / len(crystals) / SHARE)) for z, n in counts.items() if n >= FEWEST}
    elements = sorted(apart, key=lambda z: (apart[z], z))[: PARTS // 2]
    sizes = np.array([len(c) for c in crystals.values()])
    below = [float(np.mean(sizes <= s)) for s in SIZES]
    i = min(range(len(SIZES) - 1), key=lambda i: abs(below[i] - 0.7) + (below[i + 1] > 0.95))
    energy = None
    if energies:
        low, high = np.quantile(list(energies.values()), (0.65, 0.75)).round(1).tolist()
        energy = (low, high)
    return HardBounds(tuple(sorted(elements)), (SIZES[i], SIZES[i + 1]), energy)


def make_splits(
    home: Path,
    dataset: str,
    crystals: Mapping[str, Crystal],
    energies: Mapping[str, float] | None,
    near: DuplicateClusters,
    held: HardBounds,
    by: str,
    rules: Sequence[str] = RULES,
) -> list[str]:
    """Write the splits of a data set into `home` and return their names: `random` and `formula`, and of the harder ones
    those that have enough crystals on each side.

    `crystals` are by id, and so are `energies`, in eV/atom; a crystal that has none is in no part of `high-energy`.
    """
    formulas = {name: crystal.formula for name, crystal in crystals.items()}
    low, high = held.atoms
    made: list[MadeSplit] = []
    for rule in rules:
        if rule == "random":
            parts = ten_parts(dataset, rule, {name: name for name in crystals})
            made.append(MadeSplit(rule, f"ten parts; {near.about} share one", parts))
        elif rule == "formula":
            made.append(MadeSplit(rule, "ten parts by reduced formula", ten_parts(dataset, rule, formulas)))
        elif rule == "prototype":
            about = "ten parts by space group, anonymous formula and orbits"
            made.append(MadeSplit(rule, about, ten_parts(dataset, rule, structure_types(crystals))))
        elif rule == "element":
            made.append(element_split(dataset, {i: c.numbers for i, c in crystals.items()}, formulas, held.elements))
        elif rule == "large-cells":
            sizes = {name: len(crystal) for name, crystal in crystals.items()}
            about = f"trains up to {low} atoms, validates up to {high}, tests above"
            made.append(MadeSplit(rule, about, *bounded_split(sizes, low, high)))
        elif rule == "high-energy" and energies and held.energy:
            about = "trains up to {} eV/atom, validates up to {}, tests above".format(*held.energy)
            made.append(MadeSplit(rule, about, *bounded_split(energies, *held.energy)))
    written = []
    for found in made:
        first = near.first
        parts = {name: found.parts[first[name]] for name in crystals if first[name] in found.parts}
        joined = MadeSplit(found.name, found.about, parts, found.folds)
        if joined.name in ("random", "formula") or joined.meaningful():
            write_split(home, dataset, joined.name, 1, joined.about, parts, by, joined.folds)
            written.append(joined.name)
    return written


def cluster_duplicates(
    crystals: Mapping[str, Crystal], energies: Mapping[str, float] | None, same: Iterable[tuple[str, str]]
) -> DuplicateClusters:
    """Near-duplicates: formula, volume and, where there are any, energies; and the pairs of one structure."""
    names = list(crystals)
    volumes = np.array([c.volume / len(c) for c in crystals.values()])
    values = np.array([energies[name] for name in names]) if energies else None
    same = list(same)
    first = join_near_duplicates(names, [c.formula for c in crystals.values()], volumes, values, same)
    about = f"near-duplicates (formula, volume within 0.5 %{', energy within 2 meV' if energies else ''})"
    return DuplicateClusters(first, f"{about} and what is one structure" if same else about)


def ten_parts(dataset: str, rule: str, groups: Mapping[str, str], salt: int = 1) -> dict[str, str]:
    """Id to part, from id to group."""
    return {name: part_of_group(dataset, rule, salt, group) for name, group in groups.items()}


def element_split(
    dataset: str, numbers: Mapping[str, Iterable[int]], formulas: Mapping[str, str], elements: Sequence[int]
) -> MadeSplit:
    """A fold for each element, which validates on a tenth by formula; crystals with two of them are in none."""
    names = [SYMBOLS[z - 1] for z in elements]
    parts = {}
    for name, z in numbers.items():
        held = [s for e, s in zip(elements, names, strict=True) if e in set(z)]
        drawn = part_of_group(dataset, "element", 1, formulas[name])
        parts[name] = drawn if not held else held[0] if len(held) == 1 else "several"
    folds: list[FoldParts] = []
    for k, tested in enumerate(names):
        validate = str(2 * k)
        train = [str(p) for p in range(PARTS) if str(p) != validate] + [n for n in names if n != tested]
        folds.append((train, [validate], [tested]))
    about = f"each fold tests all crystals with one of {', '.join(names)}; those with two of them are in none"
    return MadeSplit("element", about, parts, folds)


def folds_in_turn(names: Sequence[str], always: Sequence[str]) -> list[FoldParts]:
    """A fold for each part of `names`, which validates on the next of them: for sets too small for a tenth."""
    folds: list[FoldParts] = []
    for k, tested in enumerate(names):
        following = names[(k + 1) % len(names)]
        train = [name for name in names if name not in (tested, following)]
        folds.append(([*train, *always], [following], [tested]))
    return folds


def bounded_split(values: Mapping[str, float], low: float, high: float) -> tuple[dict[str, str], list[FoldParts]]:
    """Up to `low` trains, up to `high` validates, what is above tests: one fold."""
    parts = {name: "train" if v <= low else "validate" if v <= high else "test" for name, v in values.items()}
    return parts, [(["train"], ["validate"], ["test"])]


def structure_types(crystals: Mapping[str, Crystal]) -> dict[str, str]:
    """Id to structure type, on all cores."""
    found = {}
    with show_progress("structure types", len(crystals)) as bar:
        kinds = parallel_map(structure_type, list(crystals.values()), 64, len(crystals) < FEW)
        for name, kind in zip(crystals, kinds, strict=True):
            found[name] = kind
            bar.advance()
    return found


def structure_type(crystal: Crystal) -> str:
    """The structure type, as far as its symmetry tells: space group, anonymous formula, orbits of each element.

    One without symmetry, by spglib, is of a type of its own.
    """
    try:
        cell = conventional_cell(crystal)
    except InputError:
        return f"none:{crystal.key}"
    z = cell.crystal.numbers
    sizes: dict[int, list[int]] = {}
    for orbit in np.unique(cell.orbits):
        atoms = np.flatnonzero(cell.orbits == orbit)
        sizes.setdefault(int(z[atoms[0]]), []).append(len(atoms))
    return f"{cell.space_group}:{sorted(sorted(s) for s in sizes.values())}"
