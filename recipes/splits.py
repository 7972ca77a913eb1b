"""Make the split files: `python recipes/splits.py [DATA_DIR]`. A published split never changes without a new version.

open-dft: groups are reduced formulas, with the salt under which the ten parts hold the most even numbers of compounds
at equilibrium (labels are not looked at; by chance alone a part can have 13 or 24). Elements train always, since
formation energies are counted from them. So that `zero-shot` is what it says in every fold, rows made only of Ag, or
only of Fe and C, are withheld unless they are at equilibrium.

mp-2018: groups are near-duplicates (the same formula, volume within 0.5 %, energy within 2 meV, in chains).
"""

import sys
from collections import Counter
from pathlib import Path

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


def mp_2018(data_dir: Path) -> dict[str, str]:
    """Id to part."""
    data = datasets.load(datasets.source("mp-2018"), data_dir)
    clusters = split.near_duplicates(data, data.source.targets[0])
    return {name: split.part_of("mp-2018", "random", 1, cluster) for name, cluster in clusters.items()}


if __name__ == "__main__":
    grouped = "ten parts by reduced formula; elements always train; Ag and Fe-C off equilibrium withheld for zero-shot"
    split.write(HERE / "open-dft", "open-dft", "random", 1, grouped, open_dft())
    if len(sys.argv) > 1:
        near = "ten parts; near-duplicates (formula, volume within 0.5 %, energy within 2 meV) share one"
        split.write(HERE / "mp-2018", "mp-2018", "random", 1, near, mp_2018(Path(sys.argv[1])))
