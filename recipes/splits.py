"""Make the split files: `python recipes/splits.py [DATA_DIR [JARVIS]]`.

A published split never changes without a new version.

The rules are those of leaderboard/splitting/split_rules.py. What is particular here:

open-dft: `random` groups reduced formulas, with the salt of version 1, under which its ten parts had the most even
numbers of compounds at equilibrium (labels were not looked at). So the crystals of version 1 are in the parts in which
they were: what a fold tested then, it tests now. `prototype` tests one structure type a fold: there are too few for ten
parts. `high-energy` takes the lowest energy of a formula for all of its rows, so that a new prototype of a formula may
move the others. Elements always train, since formation energies are relative to them, unless `element` tests them. So
that `zero-shot` structures are new to every model, rows made only of Ag, or only of Fe and C, are withheld unless they
are at equilibrium.

mp-2018: near-duplicates are those by formula, volume within 0.5 % and energy within 2 meV; these splits are older than
leaderboard/splitting/structure_match.py, by which 54 of the 6,701 test structures of fold 0 of
`random` also appear in training or validation. `jarvis` is the official split of `jarvis_megnet`, on the crystals that
are in both; JARVIS is a checkout of the JARVIS-Leaderboard.

fe-gap22: one part, `zero-shot`.

Beside the splits, `duplicates.json` lists the crystals that are the same structure, for the data with its digest.
`SHA256SUMS` lists the digests of all files.
"""

import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from asugnn.atomic_write import file_sha256
from asugnn.crystal import SYMBOLS, Crystal
from asugnn.errors import InputError
from asugnn.symmetry import SYMPREC
from leaderboard._util import Workspace, console_progress, set_workspace, use_workspace
from leaderboard.data import Dataset, find_source, load_dataset
from leaderboard.ingest import fetch_dataset
from leaderboard.splitting import (
    DUPLICATES_FILE,
    RULES,
    ExtrapolationBounds,
    FoldParts,
    bounded_split,
    cluster_duplicates,
    compare_structures,
    element_split,
    folds_in_turn,
    make_splits,
    name_structure_type,
    read_split,
    store_comparison,
    ten_parts,
    write_split,
    write_zero_shot_split,
)

HERE = Path(__file__).resolve().parent.parent / "splits"
BY = "recipes/splits.py"
MP_2018 = ExtrapolationBounds(
    elements=(26, 25, 13, 5, 17), cell_sizes=(32, 40), energies=(-0.7, -0.4)
)  # Fe, Mn, Al, B, Cl
VERSION = 2  # of the splits of open-dft
SALT = 884  # of its `random`, since version 1
PROTOTYPES = ("rocksalt", "cscl", "zincblende", "half_heusler", "fluorite")  # the five most frequent
REST = "elements always train; Ag and Fe-C off equilibrium withheld for zero-shot"
OPEN_DFT = ExtrapolationBounds(
    elements=(8, 12, 13, 11, 29), cell_sizes=(0, 0), energies=(-0.3, 0.0)
)  # O, Mg, Al, Na, Cu


def write_open_dft(home: Path) -> None:
    """Write the splits of open-dft into `home`."""
    data = load_dataset(find_source("open-dft"))
    numbers = dict(zip(data.ids, (set(n) for n in data.table["atomic_numbers"].to_list()), strict=True))
    formulas = dict(zip(data.ids, data.groups(data.ids), strict=True))
    columns = (dict(zip(data.ids, data.table[c].to_list(), strict=True)) for c in ("set", "equilibrium", "prototype"))
    origin, equilibrium, prototype = columns

    def fixed(name: str) -> str:
        """The part of a row that is not drawn by its formula; empty for one that is."""
        if origin[name] == "zero_shot":
            return "zero-shot"
        if not equilibrium[name] and (numbers[name] == {47} or numbers[name] <= {26, 6}):
            return "withheld"
        return "train" if len(numbers[name]) == 1 else ""

    def write(rule: str, about: str, parts: Mapping[str, str], folds: Sequence[FoldParts] | None = None) -> None:
        write_split(home, "open-dft", rule, VERSION, about, {i: fixed(i) or parts[i] for i in data.ids}, BY, folds)

    write("random", f"ten parts by reduced formula; {REST}", ten_parts("open-dft", "random", formulas, SALT))

    kinds = {i: p if (p := prototype[i].removeprefix("anti")) in PROTOTYPES else "others" for i in data.ids}
    about = f"each fold tests one of {', '.join(PROTOTYPES)}, antifluorite with the last, and validates on the next"
    write("prototype", f"{about}; {REST}", kinds, folds_in_turn(PROTOTYPES, ["others", "train"]))

    draft = element_split("open-dft", numbers, formulas, OPEN_DFT.elements)
    symbols = [SYMBOLS[z - 1] for z in OPEN_DFT.elements]
    parts = {}
    for i, part in draft.id_to_part.items():
        others = "others" if part.isdigit() else part
        # A tested element does not train, although its energy is relative to itself.
        parts[i] = others if fixed(i) == "train" and part in symbols else fixed(i) or others
    about = f"{draft.description}; a fold validates on the next; other {REST}"
    write_split(home, "open-dft", "element", VERSION, about, parts, BY, folds_in_turn(symbols, ["others", "train"]))

    assert OPEN_DFT.energies
    energy = dict(zip(data.ids, data.labels(data.source.targets[0]).tolist(), strict=True))
    lowest: dict[str, float] = {}
    for name in data.ids:
        if np.isfinite(energy[name]):  # not of the rows of zero-shot
            lowest[formulas[name]] = min(energy[name], lowest.get(formulas[name], np.inf))
    low, high = OPEN_DFT.energies
    about = f"trains on formulas up to {low} eV/atom at best, validates up to {high}, tests above; {REST}"
    write("high-energy", about, *bounded_split({i: lowest.get(formulas[i], np.inf) for i in data.ids}, low, high))


def write_mp_2018(data: Dataset, home: Path, names: tuple[str, ...] = RULES) -> None:
    """Write the splits of mp-2018 into `home`; that by structure types takes minutes."""
    crystals = dict(zip(data.ids, data.crystals(data.ids), strict=True))
    energies = dict(zip(data.ids, data.labels(data.source.targets[0]).tolist(), strict=True))
    clusters = cluster_duplicates(crystals, energies, same=())
    make_splits(home, "mp-2018", crystals, energies, clusters, MP_2018, BY, names, structure_types_by_spglib)


def write_jarvis(data: Dataset, checkout: Path, home: Path) -> None:
    """Write the split `jarvis` of mp-2018 into `home`, from the files of the JARVIS-Leaderboard in `checkout`."""
    with tempfile.TemporaryDirectory() as scratch, use_workspace(data=Path(scratch)):
        fetch_dataset("jarvis_megnet", checkout, labels_only=True)
        theirs = load_dataset(find_source("jarvis_megnet"))
        split = read_split(theirs, "official")
    by_target = [split.parts_of(target) for target in theirs.source.targets]
    assert all(parts == by_target[0] for parts in by_target)
    parts = {name: by_target[0][name] for name in data.ids if name in by_target[0]}
    folds = [(["train"], ["validate"], ["test"])]  # no crystal is on two sides here
    about = "official split of jarvis_megnet (60,000 / 5,000 / 4,239 crystals), on the crystals that are in both"
    write_split(home, "mp-2018", "jarvis", 1, about, parts, BY, folds)


def structure_types_by_spglib(crystals: Mapping[str, Crystal]) -> dict[str, str]:
    """The structure types as `leaderboard.splitting` has them, but by spglib.

    The split was published when the library still asked spglib, which finds another symmetry than moyo in 51 of the
    33,032 crystals, whose atoms lie at the edge of the tolerance.
    """
    import spglib

    types = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Set OLD_ERROR_HANDLING", DeprecationWarning)
        for name, crystal in crystals.items():
            cell = (crystal.lattice, crystal.frac_coords, crystal.numbers)
            standard = spglib.standardize_cell(cell, symprec=SYMPREC, no_idealize=True)
            found = spglib.get_symmetry_dataset(standard, symprec=SYMPREC)
            types[name] = name_structure_type(found.number, found.equivalent_atoms, standard[2])
    return types


def write_duplicates(data: Dataset, home: Path) -> None:
    """Write what leaderboard/splitting/structure_match.py finds in a data set into `home`."""
    crystals = dict(zip(data.ids, data.crystals(data.ids), strict=True))
    pairs = compare_structures(crystals, data.groups(data.ids))
    store_comparison(data.sha256, pairs, home / DUPLICATES_FILE)


def write_digests(home: Path) -> None:
    """Write `SHA256SUMS`, the digests of all files in the folders of `home`, as the command sha256sum does."""
    files = sorted(file for file in home.glob("*/*") if file.suffix in {".toml", ".csv", ".json"})
    lines = [f"{file_sha256(file)}  {file.relative_to(home).as_posix()}\n" for file in files]
    (home / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    set_workspace(
        Workspace(
            data=Path(sys.argv[1]) if len(sys.argv) > 1 else None,
            progress=partial(console_progress, Console(stderr=True)),
            title="splits",
        )
    )
    write_open_dft(HERE / "open-dft")
    write_duplicates(load_dataset(find_source("open-dft")), HERE / "open-dft")
    if len(sys.argv) > 1:
        mp_2018 = load_dataset(find_source("mp-2018"))
        write_mp_2018(mp_2018, HERE / "mp-2018")
        write_duplicates(mp_2018, HERE / "mp-2018")
        if len(sys.argv) > 2:
            try:
                write_jarvis(mp_2018, Path(sys.argv[2]), HERE / "mp-2018")
            except InputError as error:
                sys.exit(f"JARVIS must be a checkout of the JARVIS-Leaderboard: {error}")
        fe_gap22 = load_dataset(find_source("fe-gap22"))
        write_zero_shot_split(HERE / "fe-gap22", "fe-gap22", fe_gap22.ids, "mp-2018", BY)
    write_digests(HERE)
