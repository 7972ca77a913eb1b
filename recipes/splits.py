"""Make the split files: `python recipes/splits.py [DATA_DIR]`. A published split never changes without a new version.

open-dft: groups are reduced formulas, with the salt under which the ten parts hold the most even numbers of compounds
at equilibrium (labels are not looked at; by chance alone a part can have 13 or 24). Elements train always, since
formation energies are counted from them. So that `zero-shot` is what it says in every fold, rows made only of Ag, or
only of Fe and C, are withheld unless they are at equilibrium.

mp-2018: groups are near-duplicates (the same formula, volume within 0.5 %, energy within 2 meV, in chains). Its other
splits ask for more than new crystals of a known kind:
    formula       ten parts by reduced formula
    prototype     ten parts by structure type: space group, anonymous formula, and the orbits' elements and sizes
    element       fold k tests all that contains one element, and nothing with it trains
    large-cells   trains on up to 32 atoms in the primitive cell, validates on 33 to 40, tests on more
    high-energy   trains below -0.7 eV/atom of formation energy, validates up to -0.4, tests above
Bounds and elements are fixed, so rows that are added move nothing.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.progress import track

from asugnn import Crystal
from asugnn.crystal import SYMBOLS
from asugnn.symmetry import conventional
from leaderboard import datasets, split

HERE = Path(__file__).resolve().parent.parent / "splits"


def open_dft() -> dict[str, str]:
    """Id to part."""
    data = datasets.load(datasets.source("open-dft"))
    parts, groups = {}, data.groups(data.ids)
    columns = [data.table[c].to_list() for c in ("set", "equilibrium", "atomic_numbers")]
    compounds = [g for g, eq, n in zip(groups, *columns[1:], strict=True) if eq and len(set(n)) > 1]

    def unevenness(salt: int) -> int:
        counts = Counter(split.part_of("open-dft", "random", salt, group) for group in compounds)
        return sum(n * n for n in counts.values())

    salt = min(range(1000), key=unevenness)
    for name, group, origin, equilibrium, numbers in zip(data.ids, groups, *columns, strict=True):
        elements = set(numbers)
        if origin == "zero_shot":
            parts[name] = "zero-shot"
        elif not equilibrium and (elements == {47} or elements <= {26, 6}):
            parts[name] = "withheld"
        elif len(elements) == 1:
            parts[name] = "train"
        else:
            parts[name] = split.part_of("open-dft", "random", salt, group)
    return parts


def clusters(data: datasets.Dataset) -> dict[str, str]:
    """Id to the first id of its near-duplicates."""
    lattices = np.stack(data.table["lattice"].to_list()).reshape(-1, 3, 3)
    volumes = np.abs(np.linalg.det(lattices)) / data.table["atomic_numbers"].list.len().to_numpy()
    energies = data.labels(data.source.targets[0])
    return split.near_duplicates(data.ids, data.groups(data.ids), volumes, energies)


ELEMENTS = (26, 25, 13, 5, 17)  # Fe, Mn, Al, B, Cl: each in 5 % of the crystals, and no one like another


def by_element(data: datasets.Dataset) -> tuple[dict[str, str], list[split.Fold]]:
    """Id to part, and folds: crystals with two of the elements are in none."""
    parts = {}
    for name, formula, numbers in zip(data.ids, data.groups(data.ids), data.table["atomic_numbers"], strict=True):
        held = [SYMBOLS[z - 1] for z in ELEMENTS if z in set(numbers.to_list())]
        parts[name] = (
            split.part_of("mp-2018", "element", 1, formula) if not held else held[0] if len(held) == 1 else "several"
        )
    names = [SYMBOLS[z - 1] for z in ELEMENTS]
    folds: list[split.Fold] = []
    for k, name in enumerate(names):
        validate = str(2 * k)
        train = [str(p) for p in range(split.PARTS) if str(p) != validate] + [n for n in names if n != name]
        folds.append((train, [validate], [name]))
    return parts, folds


def by_bounds(
    values: Sequence[float], ids: Sequence[str], low: float, high: float
) -> tuple[dict[str, str], list[split.Fold]]:
    """Up to `low` trains, up to `high` validates, what is above tests: one fold."""
    names = [("train" if v <= low else "validate" if v <= high else "test") for v in values]
    return dict(zip(ids, names, strict=True)), [(["train"], ["validate"], ["test"])]


def prototype(crystal: Crystal) -> str:
    """The structure type, as far as its symmetry tells: space group, anonymous formula, orbits of each element."""
    cell = conventional(crystal)
    z = cell.crystal.numbers
    sizes: dict[int, list[int]] = {}
    for orbit in np.unique(cell.orbits):
        atoms = np.flatnonzero(cell.orbits == orbit)
        sizes.setdefault(int(z[atoms[0]]), []).append(len(atoms))
    return f"{cell.space_group}:{sorted(sorted(s) for s in sizes.values())}"


def mp_2018(data: datasets.Dataset, home: Path, prototypes: bool = True) -> None:
    """Write the splits of mp-2018 into `home`; those of structure types take minutes.

    Near-duplicates go where the first of them goes, by every rule.
    """
    first = clusters(data)

    def write(rule: str, about: str, parts: dict[str, str], folds: list[split.Fold] | None = None) -> None:
        split.write(home, "mp-2018", rule, 1, about, {i: parts[first[i]] for i in data.ids}, folds=folds)

    def ten_parts(rule: str, about: str, groups: Sequence[str]) -> None:
        write(rule, about, {i: split.part_of("mp-2018", rule, 1, g) for i, g in zip(data.ids, groups, strict=True)})

    near = "ten parts; near-duplicates (formula, volume within 0.5 %, energy within 2 meV) share one"
    ten_parts("random", near, data.ids)
    ten_parts("formula", "ten parts by reduced formula", data.groups(data.ids))
    if prototypes:
        kinds = [prototype(c) for c in track(data.crystals(data.ids), "prototypes")]
        ten_parts("prototype", "ten parts by space group, anonymous formula and orbits", kinds)
    about = "each fold tests all crystals with one of Fe, Mn, Al, B, Cl; those with two of them are in none"
    write("element", about, *by_element(data))
    atoms = data.table["atomic_numbers"].list.len().to_list()
    write("large-cells", "trains up to 32 atoms, validates up to 40, tests above", *by_bounds(atoms, data.ids, 32, 40))
    energies = data.labels(data.source.targets[0]).tolist()
    about = "trains up to -0.7 eV/atom, validates up to -0.4, tests above"
    write("high-energy", about, *by_bounds(energies, data.ids, -0.7, -0.4))


if __name__ == "__main__":
    grouped = "ten parts by reduced formula; elements always train; Ag and Fe-C off equilibrium withheld for zero-shot"
    split.write(HERE / "open-dft", "open-dft", "random", 1, grouped, open_dft())
    if len(sys.argv) > 1:
        mp_2018(datasets.load(datasets.source("mp-2018"), Path(sys.argv[1])), HERE / "mp-2018")
