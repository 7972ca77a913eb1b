"""Crystals from files and from the objects of other packages.

What a file leaves open is refused, not guessed: partial occupancy, an unknown element, a missing coordinate, two
atoms on one place. Deuterium and tritium are read as hydrogen: no label here depends on the mass of a nucleus.
Databases and JSON are read as plain data, so nothing in them is run.
"""

from __future__ import annotations

import io
import json
import re
import sqlite3
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from asugnn.crystal import SYMBOLS, Crystal
from asugnn.errors import InputError

NUMBER_OF = {symbol: z for z, symbol in enumerate(SYMBOLS, 1)} | {"D": 1, "T": 1}
READABLE_FORMATS = (
    "CIF (.cif), POSCAR and CONTCAR (also .vasp), extended XYZ (.xyz, .extxyz), ASE database (.db, .json), "
    "pymatgen structure (.json)"
)

IndexedCrystal = tuple[str, Crystal]  # its index in the file, and the crystal


def read_crystals(path: Path) -> dict[str, Crystal]:
    """The crystals of a file by id: the file's stem, or `stem:index` where it holds several.

    Indices count from 1; those of an ASE database are its row ids. Raises `InputError` that names the file, and
    the structure and site, for whatever cannot be read or is no crystal of whole atoms.
    """
    reader = _reader(path)
    try:
        if path.stat().st_size == 0:
            raise InputError("the file is empty")
        found = list(reader(path))
        if not found:
            raise InputError("the file holds no structure")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except np.linalg.LinAlgError as error:
        raise InputError(f"{path}: the cell has no volume") from error
    except Exception as error:  # a parser may trip over anything in a stranger's file
        raise InputError(f"{path} cannot be read, it may be damaged ({type(error).__name__}: {error})") from error
    if len(found) == 1:
        return {path.stem: found[0][1]}
    return {f"{path.stem}:{index}": crystal for index, crystal in found}


def crystal_from_pymatgen(structure: Any) -> Crystal:
    """The crystal in a pymatgen `Structure`; raises `InputError` that names the site at fault."""
    if not hasattr(structure, "lattice"):
        raise InputError("it is a molecule: a crystal needs a lattice")
    if not all(structure.lattice.pbc):
        raise InputError("the cell is not periodic in all three directions")
    numbers = [
        _number(i, [(kind.symbol, float(share)) for kind, share in site.species.items()])
        for i, site in enumerate(structure, 1)
    ]
    return Crystal(structure.lattice.matrix, structure.frac_coords, numbers)


def crystal_from_dict(structure: Any) -> Crystal:
    """The crystal in the JSON form of a pymatgen `Structure`; raises `InputError` that names the site at fault."""
    if not (isinstance(structure, dict) and {"lattice", "sites"} <= structure.keys()):
        raise InputError("it is neither a pymatgen structure nor an ASE database")
    if not all(structure["lattice"].get("pbc", [True])):
        raise InputError("the cell is not periodic in all three directions")
    sites = structure["sites"]
    shares = [[(kind["element"], float(kind["occu"])) for kind in site["species"]] for site in sites]
    numbers = [_number(i, share) for i, share in enumerate(shares, 1)]
    return Crystal(structure["lattice"]["matrix"], [site["abc"] for site in sites], numbers)


def crystal_from_ase(atoms: Any) -> Crystal:
    """The crystal in an ASE `Atoms`; raises `InputError` that names the site at fault."""
    for site, shares in (atoms.info.get("occupancy") or {}).items():  # what ASE's CIF reader leaves
        _number(int(site) + 1, list(shares.items()))
    return _cartesian(atoms.cell.array, atoms.pbc, atoms.positions, atoms.numbers)


def _reader(path: Path) -> Callable[[Path], Iterable[IndexedCrystal]]:
    if path.is_dir():
        raise InputError(f"{path} is a folder: name the files in it")
    if not path.exists():
        raise InputError(f"there is no file {path}")
    if path.suffix.lower() in READERS:
        return READERS[path.suffix.lower()]
    if re.match(r"(poscar|contcar)", path.name, re.IGNORECASE):
        return _poscar
    raise InputError(f"{path} has no ending that is known: crystals are read from {READABLE_FORMATS}")


@contextmanager
def _naming(index: object) -> Iterator[None]:
    """Put the structure's index before a complaint about it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"structure {index}: {error}") from error


# CIF ---------------------------------------------------------------------------------------------------------------


def _cif(path: Path) -> Iterator[IndexedCrystal]:
    """Every block with atoms. pymatgen guesses much and warns: what it guesses is refused here."""
    text = path.read_text(encoding="utf-8", errors="replace")  # names of authors come in any encoding
    blocks = [f"data_{block}" for block in re.split(r"^\s*data_", text, flags=re.MULTILINE)[1:]]
    blocks = [block for block in blocks if re.search(r"^\s*_atom_site_(fract|cartn|label)", block, re.M | re.I)]
    for index, block in enumerate(blocks, 1):
        with _naming(index):
            yield str(index), _cif_block(block)


def _cif_block(text: str) -> Crystal:
    from pymatgen.io.cif import CifParser

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Coordinates with four decimals make copies of one atom that differ by some 1e-4.
        parser = CifParser.from_str(text, site_tolerance=1e-3)
        (block,) = parser._cif.data.values()
        _check_sites(block.data)
        try:
            (structure,) = parser.parse_structures(primitive=False, on_error="raise")
        except ValueError as error:
            if "exceeded tolerance" in str(error):
                raise InputError("two atoms are on one place: remove one of them") from error
            flat = re.search("below threshold|Singular", str(error))
            raise InputError("the cell has no volume" if flat else str(error).splitlines()[-1]) from error
    guesses = [*(str(warning.message) for warning in caught), *parser.warnings]
    for pattern, sentence in GUESSES.items():
        if hit := next((m for g in guesses if (m := re.search(pattern, g))), None):
            raise InputError(sentence.format(*hit.groups()))
    if any("Defaulting to P1" in guess for guess in guesses) and _names_space_group(block.data):
        raise InputError("its space group is not known by that name: write out the symmetry operations")
    if "implicit_hydrogens" in structure.site_properties:  # an O and an H on one place
        raise InputError("it has hydrogen atoms without coordinates: add them")
    metric = structure.lattice.matrix @ structure.lattice.matrix.T
    for operation in parser.symmetry_operations:
        turned = operation.rotation_matrix.T @ metric @ operation.rotation_matrix
        if not np.allclose(turned, metric, atol=0.02 * metric.max()):
            raise InputError("its symmetry does not fit its cell: is the setting of the space group another one?")
    return crystal_from_pymatgen(structure)


GUESSES = {  # what pymatgen says when it guesses, and what we say instead
    r"^(.*) parsed as": "'{}' is not the symbol of an element: write 'Na', not 'NA' or 'Na_site'",
    r"Possible issue in CIF file at line: (.*)": "the text '{}' belongs to no key",
    r"implicit hydrogens": "it has hydrogen atoms without coordinates: add them",
    r"Missing elements (\w+)": "its formula and its atoms disagree about {}: are atoms missing?",
    r"Incorrect stoichiometry": "its formula and its atoms disagree: are atoms missing?",
}


_NEEDED = [f"_cell_{of}" for of in ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")]
_NEEDED += ["_atom_site_label", *(f"_atom_site_fract_{axis}" for axis in "xyz")]


def _check_sites(data: dict[str, Any]) -> None:
    """What pymatgen takes for something else: '.' for the number 0, occupancy 0 for no atom, 'Vac' for vanadium."""
    if lacking := [key for key in _NEEDED if not data.get(key)]:
        raise InputError(
            f"it lacks {lacking[0]}: pymatgen needs the cell, and fractional coordinates in lower-case keys"
        )
    for key in _NEEDED[:6]:
        if not _is_number(data[key]) or float(_bare(data[key])) <= 0:
            raise InputError(f"{key} is '{data[key]}': it must be a positive number")
    names = data["_atom_site_label"]
    if isinstance(names, str):
        raise InputError("its atoms must be listed in a loop_")
    for axis in "xyz":
        for i, value in enumerate(data[f"_atom_site_fract_{axis}"]):
            if not _is_number(value):
                raise InputError(f"site {i + 1} ({names[i]}) has coordinate {axis} '{value}': it must be a number")
    for i, value in enumerate(data.get("_atom_site_occupancy", [])):
        if value != "?" and not (_is_number(value) and float(_bare(value)) == 1):
            raise InputError(f"site {i + 1} ({names[i]}) has occupancy {value}: only whole atoms can be handled")
    for i, value in enumerate(data.get("_atom_site_type_symbol", [])):
        if (letters := re.match(r"[A-Za-z]*", value)) and letters[0].title() not in NUMBER_OF:
            raise InputError(f"site {i + 1} is '{value}': this is not an element")


def _bare(text: str) -> str:
    """A number without the uncertainty in brackets behind it."""
    return re.sub(r"\(\d*\)?$", "", text)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", _bare(text)) is not None


def _names_space_group(data: dict[str, Any]) -> bool:
    found = [str(v) for k, v in data.items() if re.search(r"space_group_(name|IT_number)|Int_Tables_number", k, re.I)]
    return any(re.sub(r"[\s_]", "", value) not in {"P1", "1", "?", ".", ""} for value in found)


# Other formats -----------------------------------------------------------------------------------------------------


def _poscar(path: Path) -> Iterator[IndexedCrystal]:
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


def _extxyz(path: Path) -> Iterator[IndexedCrystal]:
    from ase.io import iread

    try:
        for index, atoms in enumerate(iread(io.StringIO(path.read_text(encoding="utf-8")), ":", format="extxyz"), 1):
            with _naming(index):
                yield str(index), crystal_from_ase(atoms)
    except KeyError as error:
        raise InputError(f"{error} is not an element that ASE knows") from error


def _sqlite(path: Path) -> Iterator[IndexedCrystal]:
    """The tables of an ASE database, read directly: opening it with ASE would write to it."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        try:
            rows = database.execute("SELECT id, numbers, positions, cell, pbc FROM systems ORDER BY id").fetchall()
        except sqlite3.DatabaseError as error:
            raise InputError(f"it is no ASE database: {error}") from error
    for index, numbers, positions, cell, pbc in rows:
        with _naming(index):
            yield (
                str(index),
                _cartesian(
                    np.frombuffer(cell, "<f8").reshape(3, 3),
                    [pbc & 1, pbc & 2, pbc & 4],
                    np.frombuffer(positions, "<f8").reshape(-1, 3),
                    np.frombuffer(numbers, "<i4"),
                ),
            )


def _json(path: Path) -> Iterator[IndexedCrystal]:
    """pymatgen structures, one or a list, or an ASE database; both decoded here, for their readers import at will."""
    data = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(data, dict) and "ids" in data:
        for index in _plain(data["ids"]):
            row = {key: _plain(value) for key, value in data[str(index)].items()}
            with _naming(index):
                cell, pbc = row.get("cell", np.zeros((3, 3))), row.get("pbc", [False] * 3)
                yield str(index), _cartesian(cell, pbc, row["positions"], row["numbers"])
        return
    for index, structure in enumerate(data if isinstance(data, list) else [data], 1):
        with _naming(index):
            yield str(index), crystal_from_dict(structure)


def _plain(value: Any) -> Any:
    """ASE's JSON form of an array as an array: {"__ndarray__": [shape, type, values]}, wrapped once for a cell."""
    if isinstance(value, dict) and value.get("__ase_objtype__") == "cell":
        value = value["array"]
    if isinstance(value, dict) and "__ndarray__" in value:
        shape, _, values = value["__ndarray__"]
        return np.array(values).reshape(shape)
    return value


def _number(site: int, shares: list[tuple[str, float]]) -> int:
    """The atomic number of a site that holds one whole atom."""
    if len(shares) != 1 or shares[0][1] != 1:
        named = " ".join(f"{symbol}{share:g}" for symbol, share in shares) or "nothing"
        raise InputError(f"site {site} is partially occupied ({named}): only whole atoms can be handled")
    if shares[0][0] not in NUMBER_OF:
        raise InputError(f"site {site} is '{shares[0][0]}': this is not an element")
    return NUMBER_OF[shares[0][0]]


def _cartesian(cell: Any, pbc: Any, positions: Any, numbers: Any) -> Crystal:
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
    ".cif": _cif,
    ".vasp": _poscar,
    ".poscar": _poscar,
    ".xyz": _extxyz,
    ".extxyz": _extxyz,
    ".db": _sqlite,
    ".json": _json,
}
