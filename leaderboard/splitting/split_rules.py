"""The rules by which splits are made: which crystals share a part, and which parts a fold tests. Never used in a run.

    random        ten parts; near-duplicates, and what is the same structure, share one
    formula       ten parts by reduced formula
    prototype     ten parts by structure type: space group, anonymous formula, and the orbits' elements and sizes
    element       fold k tests the crystals that contain one of five elements, which no training crystal contains
    large-cells   trains on small cells, tests on large ones
    high-energy   trains on low energies, tests on high ones

The part of a crystal follows from the name of its group alone (`make.part_of_group`), or from given elements and
bounds. So it is the same on every machine, and rows that are added later move no other row but their near-duplicates.
By every rule all near-duplicates of a cluster are in the part of its first crystal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from asugnn.crystal import SYMBOLS, Crystal, Ints
from asugnn.errors import InputError
from asugnn.symmetry import conventional_cell
from leaderboard._util import parallel_map, show_progress
from leaderboard.splitting.make import FoldParts, five_folds, join_near_duplicates, part_of_group, write_split
from leaderboard.splitting.split import PARTS

RULES = ("random", "formula", "prototype", "element", "large-cells", "high-energy")
MIN_CRYSTALS = 10  # on each side of each fold: a split with fewer is not made
PARALLEL_FROM = 500  # crystals, below which a second process would cost more than it saves
ELEMENT_SHARE = 0.05  # of the crystals should contain an element that is tested by rule `element`
CELL_SIZES = (1, 2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128, 160, 200)  # bounds of large cells


@dataclass(frozen=True)
class ExtrapolationBounds:
    """What the out-of-distribution rules test.

    elements
        Atomic numbers; one is tested in each fold of `element`.
    cell_sizes
        Largest numbers of atoms in a cell that trains and that validates, in `large-cells`.
    energies
        Highest energies (eV/atom) that train and that validate, in `high-energy`; None where there are no energies.
    """

    elements: tuple[int, ...]
    cell_sizes: tuple[float, float]
    energies: tuple[float, float] | None


@dataclass(frozen=True)
class DuplicateClusters:
    """Clusters of near-duplicates: `first` maps each id to the first id of its cluster."""

    first: Mapping[str, str]
    description: str  # of the criterion, for the TOML of a split


@dataclass(frozen=True)
class SplitDraft:
    """A split before it is written: the part of each id, and the folds; None stands for `make.five_folds`."""

    rule: str
    description: str
    id_to_part: Mapping[str, str]
    folds: Sequence[FoldParts] | None = None

    def has_enough_crystals(self) -> bool:
        """Whether every fold has `MIN_CRYSTALS` crystals on each side."""
        counts = Counter(self.id_to_part.values())
        folds = five_folds() if self.folds is None else self.folds
        return bool(folds) and all(sum(counts[p] for p in side) >= MIN_CRYSTALS for fold in folds for side in fold)


def choose_bounds(crystals: Mapping[str, Crystal], energies: Mapping[str, float] | None) -> ExtrapolationBounds:
    """Choose what the out-of-distribution rules test, from crystals and energies (eV/atom) by id.

    Five elements that about 5 % of the crystals contain; cells larger than about 70 % of them; energies above the
    quantiles 0.65 and 0.75. Choose once, and give the same bounds again when rows are added.
    """
    counts = Counter(z for c in crystals.values() for z in set(c.numbers.tolist()))
    apart = {z: abs(np.log(n / len(crystals) / ELEMENT_SHARE)) for z, n in counts.items() if n >= MIN_CRYSTALS}
    elements = sorted(apart, key=lambda z: (apart[z], z))[: PARTS // 2]
    sizes = np.array([len(c) for c in crystals.values()])
    below = [float(np.mean(sizes <= s)) for s in CELL_SIZES]
    i = min(range(len(CELL_SIZES) - 1), key=lambda i: abs(below[i] - 0.7) + (below[i + 1] > 0.95))
    energy_bounds = None
    if energies:
        low, high = np.quantile(list(energies.values()), (0.65, 0.75)).round(1).tolist()
        energy_bounds = (low, high)
    return ExtrapolationBounds(tuple(sorted(elements)), (CELL_SIZES[i], CELL_SIZES[i + 1]), energy_bounds)


def make_splits(
    home: Path,
    dataset: str,
    crystals: Mapping[str, Crystal],
    energies: Mapping[str, float] | None,
    clusters: DuplicateClusters,
    bounds: ExtrapolationBounds,
    written_by: str,
    rules: Sequence[str] = RULES,
    name_types: Callable[[Mapping[str, Crystal]], Mapping[str, str]] | None = None,
) -> list[str]:
    """Write the splits of a data set into `home`, and return the rules of those written.

    `random` and `formula` are always written, the others where every fold has enough crystals on each side. `crystals`
    and `energies` (eV/atom) are by id; a crystal without an energy is in no part of `high-energy`. `name_types`
    names structure types by id, instead of `structure_types`.
    """
    formulas = {name: crystal.formula for name, crystal in crystals.items()}
    low, high = bounds.cell_sizes
    drafts: list[SplitDraft] = []
    for rule in rules:
        if rule == "random":
            drawn = ten_parts(dataset, rule, {name: name for name in crystals})
            drafts.append(SplitDraft(rule, f"ten parts; {clusters.description} share one", drawn))
        elif rule == "formula":
            drafts.append(SplitDraft(rule, "ten parts by reduced formula", ten_parts(dataset, rule, formulas)))
        elif rule == "prototype":
            description = "ten parts by space group, anonymous formula and orbits"
            drafts.append(
                SplitDraft(rule, description, ten_parts(dataset, rule, (name_types or structure_types)(crystals)))
            )
        elif rule == "element":
            drafts.append(
                element_split(dataset, {i: c.numbers for i, c in crystals.items()}, formulas, bounds.elements)
            )
        elif rule == "large-cells":
            sizes = {name: len(crystal) for name, crystal in crystals.items()}
            description = f"trains up to {low} atoms, validates up to {high}, tests above"
            drafts.append(SplitDraft(rule, description, *bounded_split(sizes, low, high)))
        elif rule == "high-energy" and energies and bounds.energies:
            description = "trains up to {} eV/atom, validates up to {}, tests above".format(*bounds.energies)
            drafts.append(SplitDraft(rule, description, *bounded_split(energies, *bounds.energies)))
    written = []
    for draft in drafts:
        first, parts = clusters.first, draft.id_to_part
        joined = replace(draft, id_to_part={name: parts[first[name]] for name in crystals if first[name] in parts})
        if joined.rule in ("random", "formula") or joined.has_enough_crystals():
            write_split(
                home, dataset, rule=joined.rule, version=1, description=joined.description,
                id_to_part=joined.id_to_part, written_by=written_by, folds=joined.folds,
            )  # fmt: skip
            written.append(joined.rule)
    return written


def cluster_duplicates(
    crystals: Mapping[str, Crystal], energies: Mapping[str, float] | None, same: Iterable[tuple[str, str]]
) -> DuplicateClusters:
    """Cluster near-duplicates by formula, volume and, where there are any, energies (eV/atom, by id).

    `same` are pairs of ids that are the same structure, which share a cluster in any case.
    """
    names = list(crystals)
    volumes = np.array([c.volume / len(c) for c in crystals.values()])
    values = np.array([energies[name] for name in names]) if energies else None
    same = list(same)
    first = join_near_duplicates(names, [c.formula for c in crystals.values()], volumes, values, same)
    description = f"near-duplicates (formula, volume within 0.5 %{', energy within 2 meV' if energies else ''})"
    return DuplicateClusters(first, f"{description} and what is one structure" if same else description)


def ten_parts(dataset: str, rule: str, groups: Mapping[str, str], salt: int = 1) -> dict[str, str]:
    """The parts `0` to `9` by id, from the groups by id: a group is in one part."""
    return {name: part_of_group(dataset, rule, salt, group) for name, group in groups.items()}


def element_split(
    dataset: str, numbers: Mapping[str, Iterable[int]], formulas: Mapping[str, str], elements: Sequence[int]
) -> SplitDraft:
    """A fold for each element: it tests the crystals with this element, and validates on a tenth of the others.

    `numbers` (atomic numbers) and `formulas` are by id. Crystals with two of the elements are in no fold.
    """
    names = [SYMBOLS[z - 1] for z in elements]
    parts = {}
    for name, z in numbers.items():
        contained = [s for e, s in zip(elements, names, strict=True) if e in set(z)]
        drawn = part_of_group(dataset, "element", 1, formulas[name])
        parts[name] = drawn if not contained else contained[0] if len(contained) == 1 else "several"
    folds: list[FoldParts] = []
    for k, tested in enumerate(names):
        validate = str(2 * k)
        train = [str(p) for p in range(PARTS) if str(p) != validate] + [n for n in names if n != tested]
        folds.append((train, [validate], [tested]))
    description = f"each fold tests all crystals with one of {', '.join(names)}; those with two of them are in none"
    return SplitDraft("element", description, parts, folds)


def folds_in_turn(names: Sequence[str], always: Sequence[str]) -> list[FoldParts]:
    """A fold for each part of `names`, which tests it and validates on the next: for sets too small for ten parts.

    Parts in `always` train in every fold.
    """
    folds: list[FoldParts] = []
    for k, tested in enumerate(names):
        following = names[(k + 1) % len(names)]
        train = [name for name in names if name not in (tested, following)]
        folds.append(([*train, *always], [following], [tested]))
    return folds


def bounded_split(values: Mapping[str, float], low: float, high: float) -> tuple[dict[str, str], list[FoldParts]]:
    """Parts by id, and one fold: values up to `low` train, up to `high` validate, and higher ones test."""
    parts = {name: "train" if v <= low else "validate" if v <= high else "test" for name, v in values.items()}
    return parts, [(["train"], ["validate"], ["test"])]


def structure_types(crystals: Mapping[str, Crystal]) -> dict[str, str]:
    """Structure types by id, computed on all cores."""
    types = {}
    with show_progress("structure types", len(crystals)) as bar:
        kinds = parallel_map(structure_type, list(crystals.values()), 64, len(crystals) < PARALLEL_FROM)
        for name, kind in zip(crystals, kinds, strict=True):
            types[name] = kind
            bar.advance()
    return types


def structure_type(crystal: Crystal) -> str:
    """The structure type, as far as symmetry determines it: space group, anonymous formula, orbits of each element.

    A crystal in which moyo finds no symmetry is a type of its own.
    """
    try:
        cell = conventional_cell(crystal)
    except InputError:
        return f"none:{crystal.key}"
    return name_structure_type(cell.space_group, cell.orbits, cell.crystal.numbers)


def name_structure_type(space_group: int, orbits: Ints, numbers: Ints) -> str:
    """Name a structure type by its space group and the sizes of each element's orbits; `orbits` and `numbers` (n,)."""
    sizes: dict[int, list[int]] = {}
    for atom, size in zip(*np.unique(orbits, return_index=True, return_counts=True)[1:], strict=True):
        sizes.setdefault(int(numbers[atom]), []).append(int(size))
    return f"{space_group}:{sorted(sorted(s) for s in sizes.values())}"
