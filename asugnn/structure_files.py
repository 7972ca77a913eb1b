"""Read crystals from files and from the objects of other packages.

What a file leaves open is refused, not guessed: partial occupancy, an unknown element, a missing coordinate, two
coinciding atoms. Databases and JSON are read as plain data, so that no code in them can run.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asugnn.ase_files import crystal_from_cartesian, read_ase_database, read_ase_json, read_extended_xyz
from asugnn.cif_files import parse_cif_block, split_cif
from asugnn.crystal import ATOMIC_NUMBERS, Crystal
from asugnn.errors import InputError, prefix_errors
from asugnn.limits import ATOMS, STRUCTURE_FILE_BYTES, STRUCTURES, check_limit
from asugnn.reading import parse_json, read_bounded_text, reading

READABLE_FORMATS = (
    "CIF (.cif), POSCAR and CONTCAR (also .vasp), extended XYZ (.xyz, .extxyz), ASE database (.db, .json), "
    "pymatgen structure (.json)"
)

IndexedCrystal = tuple[str, Crystal]  # its index in the file, and the crystal


def read_crystals(path: Path) -> dict[str, Crystal]:
    """Read the crystals of a file, by id: the file's stem, or `stem:index` where it holds several.

    Indices count from 1; those of an ASE database are its row ids. Raises `InputError` that names the file, the
    structure and the site, where a file cannot be read, or holds anything but crystals with fully occupied sites.
    """
    reader = _choose_reader(path)
    with reading(path, "crystals", "it may be damaged"), prefix_errors(str(path)):
        if path.stat().st_size == 0:
            raise InputError("the file is empty")
        try:
            crystals: list[IndexedCrystal] = []
            for crystal in reader(path):
                check_limit(len(crystals) + 1, STRUCTURES, "structures")
                crystals.append(crystal)
        except np.linalg.LinAlgError as error:
            raise InputError("the cell has no volume") from error
        if not crystals:
            raise InputError("the file holds no structure")
    ids = structure_ids(path, [index for index, _ in crystals])
    return dict(zip(ids, (crystal for _, crystal in crystals), strict=True))


def structure_ids(path: Path, indices: Sequence[str]) -> list[str]:
    """Return the ids of the structures of a file: its stem, or `stem:index` where it holds several."""
    return [path.stem] if len(indices) == 1 else [f"{path.stem}:{index}" for index in indices]


def crystal_from_pymatgen(structure: Any) -> Crystal:
    """Convert a pymatgen `Structure`; raises `InputError` that names the site at fault."""
    if not hasattr(structure, "lattice"):
        raise InputError("it is a molecule: a crystal needs a lattice")
    if not all(structure.lattice.pbc):
        raise InputError("the cell is not periodic in all three directions")
    numbers = [
        _site_number(i, [(kind.symbol, float(occupancy)) for kind, occupancy in site.species.items()])
        for i, site in enumerate(structure, 1)
    ]
    return Crystal(structure.lattice.matrix, structure.frac_coords, numbers)


def crystal_from_dict(structure: Any) -> Crystal:
    """Convert the JSON form of a pymatgen `Structure`; raises `InputError` that names the site at fault."""
    if not (isinstance(structure, dict) and {"lattice", "sites"} <= structure.keys()):
        raise InputError("it is neither a pymatgen structure nor an ASE database")
    if not all(structure["lattice"].get("pbc", [True])):
        raise InputError("the cell is not periodic in all three directions")
    sites = structure["sites"]
    species = [[(kind["element"], float(kind["occu"])) for kind in site["species"]] for site in sites]
    numbers = [_site_number(i, occupants) for i, occupants in enumerate(species, 1)]
    return Crystal(structure["lattice"]["matrix"], [site["abc"] for site in sites], numbers)


def crystal_from_ase(atoms: Any) -> Crystal:
    """Convert an ASE `Atoms`; raises `InputError` that names the site at fault."""
    for site, occupants in (atoms.info.get("occupancy") or {}).items():  # left by ASE's CIF reader
        _site_number(int(site) + 1, list(occupants.items()))
    return crystal_from_cartesian(atoms.cell.array, atoms.pbc, atoms.positions, atoms.numbers)


def _choose_reader(path: Path) -> Callable[[Path], Iterable[IndexedCrystal]]:
    if path.is_dir():
        raise InputError(f"{path} is a folder: name the files in it")
    if not path.exists():
        raise InputError(f"there is no file {path}")
    if path.suffix.lower() in READERS:
        return READERS[path.suffix.lower()]
    if re.match(r"(poscar|contcar)", path.name, re.IGNORECASE):
        return _read_poscar
    raise InputError(f"{path} has no known file ending: crystals are read from {READABLE_FORMATS}")


def _read_cif(path: Path) -> Iterator[IndexedCrystal]:
    text = read_bounded_text(path, STRUCTURE_FILE_BYTES, "replace")  # names of authors come in any encoding
    for index, block in enumerate(split_cif(text), 1):
        with prefix_errors(f"structure {index}"):
            yield str(index), crystal_from_pymatgen(parse_cif_block(block))


def _read_poscar(path: Path) -> Iterator[IndexedCrystal]:
    from pymatgen.io.vasp.inputs import Poscar

    text = read_bounded_text(path, STRUCTURE_FILE_BYTES)
    _check_poscar_counts(text)
    symbols, counts = ([*text.splitlines(), *[""] * 7][i].split() for i in (5, 6))
    if all(count.isdigit() for count in counts) and len(symbols) != len(counts) and not symbols[0].isdigit():
        raise InputError(f"it names {len(symbols)} elements but counts the atoms of {len(counts)}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        poscar = Poscar.from_str(text, read_velocities=False)
    if any("cannot be determined" in str(warning.message) for warning in caught):
        raise InputError("it names no elements: write them on the line before the counts")
    yield "1", crystal_from_pymatgen(poscar.structure)


def _check_poscar_counts(text: str) -> None:
    """Refuse counts of atoms beyond the limit, which pymatgen would write out one by one; they may take ten lines."""
    total = 0
    for line in text.splitlines()[5:26]:
        words = line.split()
        if total and not all(word.isdecimal() for word in words):
            break
        total += sum(int(word) if len(word) < 10 else ATOMS + 1 for word in words if word.isdecimal())
        check_limit(total, ATOMS, "atoms")


def _read_extxyz(path: Path) -> Iterator[IndexedCrystal]:
    return ((stored.index, stored.crystal()) for stored in read_extended_xyz(path))


def _read_sqlite(path: Path) -> Iterator[IndexedCrystal]:
    return ((stored.index, stored.crystal()) for stored in read_ase_database(path))


def _read_json(path: Path) -> Iterator[IndexedCrystal]:
    """Read one pymatgen structure, a list of them, or an ASE database, by no reader but json's.

    The readers of pymatgen and ASE import modules that the file names.
    """
    data = parse_json(read_bounded_text(path, STRUCTURE_FILE_BYTES))
    if isinstance(data, dict) and "ids" in data:
        for stored in read_ase_json(data):
            yield stored.index, stored.crystal()
        return
    for index, structure in enumerate(data if isinstance(data, list) else [data], 1):
        with prefix_errors(f"structure {index}"):
            yield str(index), crystal_from_dict(structure)


def _site_number(site: int, occupants: list[tuple[str, float]]) -> int:
    """Return the atomic number of a site, counted from 1, with one fully occupying atom: (symbol, occupancy)."""
    if len(occupants) != 1 or occupants[0][1] != 1:
        listed = " ".join(f"{symbol}{occupancy:g}" for symbol, occupancy in occupants) or "nothing"
        raise InputError(f"site {site} is partially occupied ({listed}): every site must be fully occupied by one atom")
    if (symbol := occupants[0][0]) not in ATOMIC_NUMBERS:
        raise InputError(f"site {site} is '{symbol}': this is not an element")
    return ATOMIC_NUMBERS[symbol]


READERS: dict[str, Callable[[Path], Iterable[IndexedCrystal]]] = {
    ".cif": _read_cif,
    ".vasp": _read_poscar,
    ".poscar": _read_poscar,
    ".xyz": _read_extxyz,
    ".extxyz": _read_extxyz,
    ".db": _read_sqlite,
    ".json": _read_json,
}
