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
from asugnn.model import Progress
from asugnn.symmetry import conventional
from leaderboard import split
from leaderboard.cores import each
from leaderboard.split import Fold

FEWEST = 10  # crystals of a side, below which a split is not worth making
FEW = 500  # crystals, below which a second process would cost more than it saves
SHARE = 0.05  # of the crystals contains an element that is fit to be held out
SIZES = (1, 2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 200)  # bounds of large cells


@dataclass(frozen=True)
class Bounds:
    """What the hard rules hold out: atomic numbers, and up to where a crystal trains and validates."""

    elements: tuple[int, ...]
    atoms: tuple[float, float]
    energy: tuple[float, float] | None  # eV/atom


@dataclass(frozen=True)
class Rule:
    """A split as it is made: a part of each id, and the folds; None: the five of ten parts."""

    name: str
    about: str
    parts: Mapping[str, str]
    folds: Sequence[Fold] | None = None

    def meaningful(self) -> bool:
        """Whether every fold has enough crystals on each side."""
        counts = Counter(self.parts.values())
        folds = self.folds if self.folds is not None else split.five_folds()
        return bool(folds) and all(sum(counts[p] for p in side) >= FEWEST for fold in folds for side in fold)


def bounds(crystals: Mapping[str, Crystal], energies: Mapping[str, float] | None) -> Bounds:
    """What to hold out of a data set: five elements that about 5 % of it contain, cells above two thirds of it or
    more, energies above three quarters of it. Choose once, and give them again when rows are added."""
    counts = Counter(z for c in crystals.values() for z in set(c.numbers.tolist()))
    apart = {z: abs(np.log(n / len(crystals) / SHARE)) for z, n in counts.items() if n >= FEWEST}
    elements = sorted(apart, key=lambda z: (apart[z], z))[: split.PARTS // 2]
    sizes = np.array([len(c) for c in crystals.values()])
    i = next(i for i, s in enumerate(SIZES) if s == SIZES[-2] or np.mean(sizes <= s) >= 2 / 3)
    energy = None
    if energies:
        low, high = np.quantile(list(energies.values()), (0.65, 0.75)).round(1).tolist()
        energy = (low, high)
    return Bounds(tuple(sorted(elements)), (SIZES[i], SIZES[i + 1]), energy)


def every(
    dataset: str,
    crystals: Mapping[str, Crystal],
    formulas: Mapping[str, str],
    energies: Mapping[str, float] | None,
    held: Bounds,
    progress: Progress,
) -> list[Rule]:
    """All rules on a data set, those of no meaning for it included: all mappings are by id; energies in eV/atom.

    Near-duplicates are not looked at here: `write` joins them.
    """
    low, high = held.atoms
    sizes = {name: len(crystal) for name, crystal in crystals.items()}
    rules = [
        Rule("random", "ten parts", ten_parts(dataset, "random", {name: name for name in crystals})),
        Rule("formula", "ten parts by reduced formula", ten_parts(dataset, "formula", formulas)),
        Rule(
            "prototype",
            "ten parts by space group, anonymous formula and orbits",
            ten_parts(dataset, "prototype", prototypes(crystals, progress)),
        ),
        by_element(dataset, crystals, formulas, held.elements),
        Rule(
            "large-cells",
            f"trains up to {low} atoms, validates up to {high}, tests above",
            *by_bounds(sizes, low, high),
        ),
    ]
    if energies and held.energy:
        low, high = held.energy
        about = f"trains up to {low} eV/atom, validates up to {high}, tests above"
        rules.append(Rule("high-energy", about, *by_bounds(energies, low, high)))
    return rules


def write(home: Path, dataset: str, rules: Iterable[Rule], first: Mapping[str, str], near: str, by: str) -> list[str]:
    """Write the splits that mean something into `home`, and return their names.

    `first` is the first near-duplicate of each id, `near` says what that is, `by` who made the files.
    """
    made = []
    for rule in rules:
        # What a rule has no value for, such as an energy, is in no part.
        parts = {name: rule.parts[first[name]] for name in first if first[name] in rule.parts}
        joined = Rule(rule.name, f"{rule.about}; {near}", parts, rule.folds)
        if joined.meaningful() or rule.name in ("random", "formula"):
            split.write(home, dataset, rule.name, 1, joined.about, parts, by, rule.folds)
            made.append(rule.name)
    return made


def ten_parts(dataset: str, rule: str, groups: Mapping[str, str], salt: int = 1) -> dict[str, str]:
    """Id to part, from id to group."""
    return {name: split.part_of(dataset, rule, salt, group) for name, group in groups.items()}


def by_element(
    dataset: str, crystals: Mapping[str, Crystal], formulas: Mapping[str, str], elements: Sequence[int]
) -> Rule:
    """A fold for each element; crystals with two of them are in none."""
    names = [SYMBOLS[z - 1] for z in elements]
    parts = {}
    for name, crystal in crystals.items():
        held = [s for z, s in zip(elements, names, strict=True) if z in crystal.numbers]
        drawn = split.part_of(dataset, "element", 1, formulas[name])
        parts[name] = drawn if not held else held[0] if len(held) == 1 else "several"
    folds: list[Fold] = []
    for k, symbol in enumerate(names):
        validate = str(2 * k)
        train = [str(p) for p in range(split.PARTS) if str(p) != validate] + [n for n in names if n != symbol]
        folds.append((train, [validate], [symbol]))
    about = f"each fold tests all crystals with one of {', '.join(names)}; those with two of them are in none"
    return Rule("element", about, parts, folds)


def by_bounds(values: Mapping[str, float], low: float, high: float) -> tuple[dict[str, str], list[Fold]]:
    """Up to `low` trains, up to `high` validates, what is above tests: one fold."""
    parts = {name: "train" if v <= low else "validate" if v <= high else "test" for name, v in values.items()}
    return parts, [(["train"], ["validate"], ["test"])]


def prototypes(crystals: Mapping[str, Crystal], progress: Progress) -> dict[str, str]:
    """Id to structure type, on all cores."""
    found = {}
    with progress("structure types", len(crystals)) as bar:
        kinds = each(prototype, list(crystals.values()), 64, len(crystals) < FEW)
        for name, kind in zip(crystals, kinds, strict=True):
            found[name] = kind
            bar.advance()
    return found


def prototype(crystal: Crystal) -> str:
    """The structure type, as far as its symmetry tells: space group, anonymous formula, orbits of each element.

    One without symmetry, by spglib, is of a type of its own.
    """
    try:
        cell = conventional(crystal)
    except InputError:
        return f"none:{crystal.key}"
    z = cell.crystal.numbers
    sizes: dict[int, list[int]] = {}
    for orbit in np.unique(cell.orbits):
        atoms = np.flatnonzero(cell.orbits == orbit)
        sizes.setdefault(int(z[atoms[0]]), []).append(len(atoms))
    return f"{cell.space_group}:{sorted(sorted(s) for s in sizes.values())}"
