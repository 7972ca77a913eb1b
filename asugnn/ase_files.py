"""Read what ASE writes, databases and extended XYZ, within the limits: crystals, and the values stored with each.

Values are what a user has stored with a structure (key-value pairs, the comment line of extended XYZ) and the results
of a calculator, such as its energy. A database in SQLite is opened read-only, and only its table of structures is read,
by an SQLite that may do nothing else: ASE itself would write to it, and create the objects that it names. Extended XYZ
is checked in `asugnn.extended_xyz` before ASE parses it.
"""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asugnn.crystal import Crystal
from asugnn.errors import InputError, prefix_errors
from asugnn.extended_xyz import check_frames
from asugnn.limits import ATOMS, DATABASE_BYTES, DATABASE_STEPS, STRUCTURES, check_limit
from asugnn.reading import check_file_size, parse_json, read_structure_text

COLUMNS = ("id", "numbers", "positions", "cell", "pbc", "key_value_pairs")
CALCULATED = (
    "energy",
    "free_energy",
    "magmom",
)  # results of a calculator that are one number: eV, eV, Bohr magnetons
STEPS = 100_000  # instructions of SQLite between two checks


@dataclass(frozen=True)
class StoredStructure:
    """A structure as a file holds it, not yet checked: cell (3, 3), positions (n, 3) in angstrom, numbers (n,)."""

    index: str  # its row id or number in the file
    cell: Any
    pbc: Any
    positions: Any
    numbers: Any
    values: Mapping[str, Any] = field(default_factory=dict)  # the numbers, truth values and texts stored with it

    def crystal(self) -> Crystal:
        """Convert it to a crystal; raises `InputError` that names the structure and the site at fault."""
        with prefix_errors(f"structure {self.index}"):
            return crystal_from_cartesian(self.cell, self.pbc, self.positions, self.numbers)


def read_stored_structures(path: Path) -> Iterator[StoredStructure]:
    """Read the structures in an ASE database (.db, .json) or an extended XYZ file, to be called within `reading`."""
    ending = path.suffix.lower()
    if ending == ".json":
        return read_ase_json(parse_json(read_structure_text(path)))
    return read_ase_database(path) if ending == ".db" else read_extended_xyz(path)


def read_ase_database(path: Path) -> Iterator[StoredStructure]:
    """Read the structures in an ASE database by row id, to be called within `reading`."""
    check_file_size(path, DATABASE_BYTES)
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        _restrict(database, path.stat().st_size)
        left = path.stat().st_size
        for count, row in enumerate(_select_rows(database), 1):
            check_limit(count, STRUCTURES, "structures")
            left -= sum(len(cell) for cell in row.values() if isinstance(cell, (bytes, str)))
            if left < 0:  # pages that are used twice
                raise InputError("it holds more than fits into a file of its size")
            yield _structure_of_row(row)


def read_ase_json(data: Any) -> Iterator[StoredStructure]:
    """Read the structures of an ASE database in JSON, which is parsed already, to be called within `reading`."""
    if not (isinstance(data, dict) and "ids" in data):
        raise InputError("it is no ASE database: it has no list 'ids'")
    ids = [str(index) for index in _decode_array(data["ids"])]
    check_limit(len(ids), STRUCTURES, "structures")
    if len(set(ids)) < len(ids):
        raise InputError("its list 'ids' names a structure twice")
    for index in ids:
        row = data[index]
        cell, pbc = _decode_array(row.get("cell", np.zeros((3, 3)))), _decode_array(row.get("pbc", [False] * 3))
        values = {name: row[name] for name in CALCULATED if row.get(name) is not None}
        pairs = row.get("key_value_pairs")
        values |= pairs if isinstance(pairs, dict) else {}
        positions, numbers = _decode_array(row["positions"]), _decode_array(row["numbers"])
        yield StoredStructure(index, cell, pbc, positions, numbers, _single_values(values))


def read_extended_xyz(path: Path) -> Iterator[StoredStructure]:
    """Read the structures in an extended XYZ file, counted from 1, to be called within `reading`."""
    from ase.io import iread

    text = check_frames(read_structure_text(path))
    index = 0
    try:
        for index, atoms in enumerate(iread(io.StringIO(text), ":", format="extxyz"), 1):
            stored = {**atoms.info, **(atoms.calc.results if atoms.calc else {})}
            yield StoredStructure(
                str(index), atoms.cell.array, atoms.pbc, atoms.positions, atoms.numbers, _single_values(stored)
            )
    except KeyError as error:
        raise InputError(f"{error} is not an element that ASE knows") from error
    except (ValueError, TypeError, IndexError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"structure {index + 1} cannot be read: its comment line must be that of extended XYZ, and its Properties "
            "must fit its columns"
        ) from error


def crystal_from_cartesian(cell: Any, pbc: Any, positions: Any, numbers: Any) -> Crystal:
    """Make a crystal from positions (n, 3) in angstrom; `cell` is (3, 3), `pbc` is (3,)."""
    if not np.all(pbc):
        raise InputError("the cell is not periodic in all three directions")
    check_limit(len(numbers), ATOMS, "atoms")
    if (unknown := np.flatnonzero(np.asarray(numbers) == 0)).size:
        raise InputError(f"site {unknown[0] + 1} is 'X': this is not an element")
    if np.shape(cell) != (3, 3):
        raise InputError(f"the lattice has shape {np.shape(cell)}: it must be (3, 3), one row per vector")
    try:
        frac_coords = np.linalg.solve(np.transpose(cell), np.transpose(positions)).T  # (n, 3)
    except np.linalg.LinAlgError:
        frac_coords = np.zeros_like(positions)  # the cell has no volume, which the crystal says
    return Crystal(cell, frac_coords, numbers)


def _restrict(database: sqlite3.Connection, size: int) -> None:
    """Let SQLite only read the columns of one table, call no function, and end after a number of steps."""
    steps = 0

    def count_steps() -> bool:
        nonlocal steps
        steps += STEPS
        return steps > DATABASE_STEPS

    def authorise(action: int, name: str | None, column: str | None, *_: Any) -> int:
        read = action == sqlite3.SQLITE_READ and name in {"systems", "sqlite_master"}
        return sqlite3.SQLITE_OK if read or action == sqlite3.SQLITE_SELECT else sqlite3.SQLITE_DENY

    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(size, 10_000))
    database.execute("PRAGMA trusted_schema = OFF")
    database.set_progress_handler(count_steps, STEPS)
    database.set_authorizer(authorise)


def _select_rows(database: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    """The columns of a row that are read, by name; older versions of ASE have not all of `CALCULATED`."""
    try:
        kinds = database.execute("SELECT type FROM sqlite_master WHERE name = 'systems'").fetchall()
        if kinds and kinds != [("table",)]:
            raise InputError(f"its 'systems' is a {kinds[0][0]}: only a table is read")
        present = {column[0] for column in database.execute("SELECT * FROM systems LIMIT 0").description}
        names = [*COLUMNS, *(name for name in CALCULATED if name in present)]
        for row in database.execute(f"SELECT {', '.join(names)} FROM systems ORDER BY id"):
            yield dict(zip(names, row, strict=True))
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            raise InputError(f"reading it takes more than {DATABASE_STEPS:,} steps of SQLite") from error
        raise ValueError(f"it is no ASE database: {error}") from error
    except sqlite3.DatabaseError as error:
        raise ValueError(f"it is no ASE database: {error}") from error


def _structure_of_row(row: Mapping[str, Any]) -> StoredStructure:
    pairs = parse_json(row["key_value_pairs"]) if row["key_value_pairs"] else {}
    values = {name: row[name] for name in CALCULATED if row.get(name) is not None}
    values |= pairs if isinstance(pairs, dict) else {}
    pbc = row["pbc"]
    return StoredStructure(
        str(row["id"]),
        np.frombuffer(row["cell"], "<f8").reshape(3, 3),
        [pbc & 1, pbc & 2, pbc & 4],
        np.frombuffer(row["positions"], "<f8").reshape(-1, 3),
        np.frombuffer(row["numbers"], "<i4"),
        _single_values(values),
    )


def _single_values(stored: Mapping[str, Any]) -> dict[str, Any]:
    """What is stored with a structure, by name, without arrays, lists and objects."""
    return {
        name: value for name, value in stored.items() if isinstance(value, (bool, int, float, str, np.number, np.bool_))
    }


def _decode_array(value: Any) -> Any:
    """Decode ASE's JSON form of an array, {"__ndarray__": [shape, type, values]}, or of a cell, which wraps one."""
    if isinstance(value, dict) and value.get("__ase_objtype__") == "cell":
        value = value["array"]
    if isinstance(value, dict) and "__ndarray__" in value:
        shape, _, values = value["__ndarray__"]
        return np.array(values).reshape(shape)
    return value
