"""Read crystals from files and from the objects of other packages.

What a file leaves open is refused, not guessed: partial occupancy, an unknown element, a missing coordinate, two
coinciding atoms. Databases and JSON are read as plain data, so that no code in them can run.
"""

from __future__ import annotations

import io
import json
import re
import sqlite3
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from asugnn.cif_files import parse_cif_block, split_cif
from asugnn.crystal import ATOMIC_NUMBERS, Crystal
from asugnn.errors import InputError, prefix_errors
from asugnn.reading import reading

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
            crystals = list(reader(path))
        except np.linalg.LinAlgError as error:
            raise InputError("the cell has no volume") from error
        if not crystals:
            raise InputError("the file holds no structure")
    if len(crystals) == 1:
        return {path.stem: crystals[0][1]}
    return {f"{path.stem}:{index}": crystal for index, crystal in crystals}


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
    return _crystal_from_cartesian(atoms.cell.array, atoms.pbc, atoms.positions, atoms.numbers)


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
    text = path.read_text(encoding="utf-8", errors="replace")  # names of authors come in any encoding
    for index, block in enumerate(split_cif(text), 1):
        with prefix_errors(f"structure {index}"):
            yield str(index), crystal_from_pymatgen(parse_cif_block(block))


def _read_poscar(path: Path) -> Iterator[IndexedCrystal]:
    from pymatgen.io.vasp.inputs import Poscar

    text = path.read_text(encoding="utf-8")
    symbols, counts = ([*text.splitlines(), *[""] * 7][i].split() for i in (5, 6))
    if all(count.isdigit() for count in counts) and len(symbols) != len(counts) and not symbols[0].isdigit():
        raise InputError(f"it names {len(symbols)} elements but counts the atoms of {len(counts)}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        poscar = Poscar.from_str(text, read_velocities=False)
    if any("cannot be determined" in str(warning.message) for warning in caught):
        raise InputError("it names no elements: write them on the line before the counts")
    yield "1", crystal_from_pymatgen(poscar.structure)


def _read_extxyz(path: Path) -> Iterator[IndexedCrystal]:
    from ase.io import iread

    try:
        for index, atoms in enumerate(iread(io.StringIO(path.read_text(encoding="utf-8")), ":", format="extxyz"), 1):
            with prefix_errors(f"structure {index}"):
                yield str(index), crystal_from_ase(atoms)
    except KeyError as error:
        raise InputError(f"{error} is not an element that ASE knows") from error


def _read_sqlite(path: Path) -> Iterator[IndexedCrystal]:
    """Read the tables of an ASE database directly: opening it with ASE would write to it."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        try:
            rows = database.execute("SELECT id, numbers, positions, cell, pbc FROM systems ORDER BY id").fetchall()
        except sqlite3.DatabaseError as error:
            raise InputError(f"it is no ASE database: {error}") from error
    for index, numbers, positions, cell, pbc in rows:
        with prefix_errors(f"structure {index}"):
            yield (
                str(index),
                _crystal_from_cartesian(
                    np.frombuffer(cell, "<f8").reshape(3, 3),
                    [pbc & 1, pbc & 2, pbc & 4],
                    np.frombuffer(positions, "<f8").reshape(-1, 3),
                    np.frombuffer(numbers, "<i4"),
                ),
            )


def _read_json(path: Path) -> Iterator[IndexedCrystal]:
    """Read one pymatgen structure, a list of them, or an ASE database, by no reader but json's.

    The readers of pymatgen and ASE import modules that the file names.
    """
    data = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(data, dict) and "ids" in data:
        for index in _decode_array(data["ids"]):
            row = {key: _decode_array(value) for key, value in data[str(index)].items()}
            with prefix_errors(f"structure {index}"):
                cell, pbc = row.get("cell", np.zeros((3, 3))), row.get("pbc", [False] * 3)
                yield str(index), _crystal_from_cartesian(cell, pbc, row["positions"], row["numbers"])
        return
    for index, structure in enumerate(data if isinstance(data, list) else [data], 1):
        with prefix_errors(f"structure {index}"):
            yield str(index), crystal_from_dict(structure)


def _decode_array(value: Any) -> Any:
    """Decode ASE's JSON form of an array, {"__ndarray__": [shape, type, values]}, or of a cell, which wraps one."""
    if isinstance(value, dict) and value.get("__ase_objtype__") == "cell":
        value = value["array"]
    if isinstance(value, dict) and "__ndarray__" in value:
        shape, _, values = value["__ndarray__"]
        return np.array(values).reshape(shape)
    return value


def _site_number(site: int, occupants: list[tuple[str, float]]) -> int:
    """Return the atomic number of a site, counted from 1, with one fully occupying atom: (symbol, occupancy)."""
    if len(occupants) != 1 or occupants[0][1] != 1:
        listed = " ".join(f"{symbol}{occupancy:g}" for symbol, occupancy in occupants) or "nothing"
        raise InputError(f"site {site} is partially occupied ({listed}): every site must be fully occupied by one atom")
    if (symbol := occupants[0][0]) not in ATOMIC_NUMBERS:
        raise InputError(f"site {site} is '{symbol}': this is not an element")
    return ATOMIC_NUMBERS[symbol]


def _crystal_from_cartesian(cell: Any, pbc: Any, positions: Any, numbers: Any) -> Crystal:
    """Make a crystal from positions (n, 3) in angstrom; `cell` is (3, 3), `pbc` is (3,)."""
    if not np.all(pbc):
        raise InputError("the cell is not periodic in all three directions")
    if (unknown := np.flatnonzero(np.asarray(numbers) == 0)).size:
        raise InputError(f"site {unknown[0] + 1} is 'X': this is not an element")
    try:
        frac_coords = np.linalg.solve(np.transpose(cell), np.transpose(positions)).T  # (n, 3)
    except np.linalg.LinAlgError:
        frac_coords = np.zeros_like(positions)  # the cell has no volume, which the crystal says
    return Crystal(cell, frac_coords, numbers)


READERS: dict[str, Callable[[Path], Iterable[IndexedCrystal]]] = {
    ".cif": _read_cif,
    ".vasp": _read_poscar,
    ".poscar": _read_poscar,
    ".xyz": _read_extxyz,
    ".extxyz": _read_extxyz,
    ".db": _read_sqlite,
    ".json": _read_json,
}
