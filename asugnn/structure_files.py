"""Read crystals from files and from the objects of other packages.

What a file leaves open is refused, not guessed: partial occupancy, an unknown element, a missing coordinate, two
coinciding atoms. Databases and JSON are read as plain data, so that no code in them can run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asugnn.ase_files import crystal_from_cartesian, read_ase_database, read_ase_json, read_extended_xyz
from asugnn.cif_files import crystal_from_cif
from asugnn.cif_syntax import split_cif
from asugnn.crystal import ATOMIC_NUMBERS, Crystal
from asugnn.errors import InputError, prefix_errors
from asugnn.limits import STRUCTURES, check_limit
from asugnn.poscar_files import crystal_from_poscar
from asugnn.reading import parse_json, read_structure_text, reading

READABLE_FORMATS = (
    "CIF (.cif, .mcif), POSCAR and CONTCAR (also .vasp), extended XYZ (.xyz, .extxyz), ASE database (.db, .json), "
    "pymatgen structure (.json), all but .db also packed (.gz)"
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
    stem = unpacked_name(path).stem
    return [stem] if len(indices) == 1 else [f"{stem}:{index}" for index in indices]


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
    for i, site in enumerate(sites, 1):
        if not (isinstance(site, dict) and {"species", "abc"} <= site.keys()):
            raise InputError(f"site {i} has no species or no fractional coordinates (abc)")
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
    name = unpacked_name(path)
    if name.suffix.lower() in READERS and not (name.suffix.lower() == ".db" and name != path):
        return READERS[name.suffix.lower()]
    if re.match(r"(poscar|contcar)", name.name, re.IGNORECASE):
        return _read_poscar
    raise InputError(f"{path} has no known file ending: crystals are read from {READABLE_FORMATS}")


def unpacked_name(path: Path) -> Path:
    """The name without .gz."""
    return path.with_suffix("") if path.suffix.lower() == ".gz" else path


def _read_cif(path: Path) -> Iterator[IndexedCrystal]:
    text, index = read_structure_text(path), 0
    for index, block in enumerate(split_cif(text), 1):
        with prefix_errors(f"structure {index} (data_{block.name[:40]}, line {block.line})"):
            yield str(index), crystal_from_cif(block)
    if not index:
        raise InputError(_explain_cif_without_atoms(text))


def _explain_cif_without_atoms(text: str) -> str:
    """Say what a file named .cif is, where it lists no atoms, and what to do."""
    if not text.strip():
        return "it is empty"
    if "\0" in text:
        return "it is no text file, and so no CIF: copy or export it again"
    if re.search(r"^\s*data_", text, re.MULTILINE | re.IGNORECASE):
        return "it lists no atoms: a CIF does so by _atom_site_label and _atom_site_fract_x, _y and _z"
    try:
        crystal_from_poscar(text)
    except (InputError, ValueError):
        return "it is no CIF: no line begins with data_"
    return "it is a POSCAR, not a CIF: let its name end in .vasp"


def _read_poscar(path: Path) -> Iterator[IndexedCrystal]:
    text = read_structure_text(path)
    if next(split_cif(text), None) is not None:
        raise InputError("it is a CIF, not a POSCAR: let its name end in .cif")
    yield "1", crystal_from_poscar(text)


def _read_extxyz(path: Path) -> Iterator[IndexedCrystal]:
    return ((stored.index, stored.crystal()) for stored in read_extended_xyz(path))


def _read_sqlite(path: Path) -> Iterator[IndexedCrystal]:
    return ((stored.index, stored.crystal()) for stored in read_ase_database(path))


def _read_json(path: Path) -> Iterator[IndexedCrystal]:
    """Read one pymatgen structure, a list of them, or an ASE database, by no reader but json's.

    The readers of pymatgen and ASE import modules that the file names.
    """
    data = parse_json(read_structure_text(path))
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
    ".mcif": _read_cif,
    ".vasp": _read_poscar,
    ".poscar": _read_poscar,
    ".xyz": _read_extxyz,
    ".extxyz": _read_extxyz,
    ".db": _read_sqlite,
    ".json": _read_json,
}
