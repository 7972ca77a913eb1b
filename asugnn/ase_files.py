"""Read what ASE writes, databases and extended XYZ, within the limits: crystals, and the numbers stored with each.

A database is opened read-only, and only its table of structures is read, by an SQLite that may do nothing else: ASE
itself would write to it, and create the objects that it names. Extended XYZ is measured before ASE parses it.
"""

from __future__ import annotations

import io
import math
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from asugnn.crystal import Crystal
from asugnn.errors import InputError, prefix_errors
from asugnn.limits import ATOMS, DATABASE_BYTES, DATABASE_STEPS, STRUCTURES, XYZ_COLUMNS, check_limit
from asugnn.poscar_files import parse_float
from asugnn.reading import check_file_size, parse_json, read_structure_text

COLUMNS = ("id", "numbers", "positions", "cell", "pbc", "key_value_pairs")
STEPS = 100_000  # instructions of SQLite between two checks


@dataclass(frozen=True)
class StoredStructure:
    """A structure as a file holds it, not yet checked: cell (3, 3), positions (n, 3) in angstrom, numbers (n,)."""

    index: str  # its row id or number in the file
    cell: Any
    pbc: Any
    positions: Any
    numbers: Any
    labels: Mapping[str, float] = field(default_factory=dict)  # the finite numbers that are stored with it

    def crystal(self) -> Crystal:
        """Convert it to a crystal; raises `InputError` that names the structure and the site at fault."""
        with prefix_errors(f"structure {self.index}"):
            return crystal_from_cartesian(self.cell, self.pbc, self.positions, self.numbers)


def read_ase_database(path: Path) -> Iterator[StoredStructure]:
    """Read the structures in an ASE database by row id, to be called within `reading`."""
    check_file_size(path, DATABASE_BYTES)
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
        _restrict(database, path.stat().st_size)
        left = path.stat().st_size
        for count, row in enumerate(_select_rows(database), 1):
            check_limit(count, STRUCTURES, "structures")
            left -= sum(len(cell) for cell in row if isinstance(cell, (bytes, str)))
            if left < 0:  # pages that are used twice
                raise InputError("it holds more than fits into a file of its size")
            yield _structure_of_row(*row)


def read_extended_xyz(path: Path) -> Iterator[StoredStructure]:
    """Read the structures in an extended XYZ file, counted from 1, to be called within `reading`."""
    from ase.io import iread

    text = _check_frames(read_structure_text(path))
    index = 0
    try:
        for index, atoms in enumerate(iread(io.StringIO(text), ":", format="extxyz"), 1):
            stored = {**atoms.info, **(atoms.calc.results if atoms.calc else {})}
            yield StoredStructure(
                str(index), atoms.cell.array, atoms.pbc, atoms.positions, atoms.numbers, _finite_numbers(stored)
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


def _select_rows(database: sqlite3.Connection) -> Iterator[tuple[Any, ...]]:
    try:
        kinds = database.execute("SELECT type FROM sqlite_master WHERE name = 'systems'").fetchall()
        if kinds and kinds != [("table",)]:
            raise InputError(f"its 'systems' is a {kinds[0][0]}: only a table is read")
        yield from database.execute(f"SELECT {', '.join(COLUMNS)} FROM systems ORDER BY id")
    except sqlite3.OperationalError as error:
        if "interrupted" in str(error):
            raise InputError(f"reading it takes more than {DATABASE_STEPS:,} steps of SQLite") from error
        raise ValueError(f"it is no ASE database: {error}") from error
    except sqlite3.DatabaseError as error:
        raise ValueError(f"it is no ASE database: {error}") from error


def _structure_of_row(index: Any, numbers: Any, positions: Any, cell: Any, pbc: Any, pairs: Any) -> StoredStructure:
    labels = parse_json(pairs) if pairs else {}
    return StoredStructure(
        str(index),
        np.frombuffer(cell, "<f8").reshape(3, 3),
        [pbc & 1, pbc & 2, pbc & 4],
        np.frombuffer(positions, "<f8").reshape(-1, 3),
        np.frombuffer(numbers, "<i4"),
        _finite_numbers(labels) if isinstance(labels, dict) else {},
    )


def _finite_numbers(stored: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers among what is stored with a structure, by name."""
    numbers = {}
    for name, value in stored.items():
        if isinstance(value, (int, float, np.number)):
            with suppress(OverflowError):  # a whole number may have any length
                numbers[name] = float(value)
    return {name: value for name, value in numbers.items() if math.isfinite(value)}


def _check_frames(text: str) -> str:
    """Refuse what would keep ASE busy or trip it; return the text with the numbers and elements that ASE knows.

    Busy: a count that no file has, or a line that announces columns without end. Fortran writes 1.5D-3, and D is
    deuterium.
    """
    lines = io.StringIO(text)
    number = frames = 0
    checked: list[str] = []
    line = lines.readline()
    while line.strip():
        number += 1
        if not re.fullmatch(r"\+?\d{1,9}", count := line.strip(), re.ASCII):
            raise InputError(f"line {number} is '{count[:40]}': it must be the number of atoms")
        check_limit(atoms := int(count), ATOMS, f"atoms in line {number}")
        check_limit(frames := frames + 1, STRUCTURES, "structures")
        widths = re.findall(r":\s*[RISL]\s*:\s*\+?([\d_]+)", comment := lines.readline())
        if (
            any(len(width) > 6 for width in widths)
            or sum(int(width.replace("_", "")) for width in widths) > XYZ_COLUMNS
        ):
            raise InputError(f"line {number + 1} announces more than {XYZ_COLUMNS:,} columns of properties")
        checked += [line, _check_lattice(comment, number + 1)]
        kinds = _column_kinds(comment)
        for present in range(atoms):
            if not (line := lines.readline()):
                raise InputError(f"line {number} announces {atoms:,} atoms, and {present:,} follow")
            checked.append(line := _translate_atom(line))
            _check_atom(line.split(), kinds, number + present + 2)
        number += atoms + bool(comment)
        while (line := lines.readline()).lstrip().startswith("VEC"):
            number += 1
            checked.append(line)
    return "".join(checked)


def _check_lattice(comment: str, number: int) -> str:
    """Return the comment line of a frame; raises `InputError` where its Lattice is not nine numbers."""
    if not (lattice := re.search(r"\bLattice\s*=\s*([\"'{\[])([^\"'}\]]*)", comment, re.IGNORECASE)):
        return comment
    values = [parse_float(word) for word in lattice[2].replace(",", " ").split()]
    if len(values) != 9 or None in values:
        raise InputError(f"line {number}: Lattice is '{lattice[2][:60]}': it must be nine numbers, for three vectors")
    return comment[: lattice.start(2)] + " ".join(map(repr, values)) + comment[lattice.end(2) :]


def _column_kinds(comment: str) -> str:
    """The kind of each column of a frame, S, R, I or L, as its Properties say."""
    found = re.search(r"\bProperties\s*=\s*[\"']?([^\s\"']+)", comment)
    parts = (found[1] if found else "species:S:1:pos:R:3").split(":")
    return "".join(
        kind * int(count) for kind, count in zip(parts[1::3], parts[2::3], strict=False) if count.isdecimal()
    )


def _check_atom(words: list[str], kinds: str, number: int) -> None:
    if len(words) < len(kinds):
        raise InputError(f"line {number} has {len(words)} columns, and its frame announces {len(kinds)}")
    for word, kind in zip(words, kinds, strict=False):
        if kind == "R" and parse_float(word) is None and not re.fullmatch(r"[+-]?(nan|inf)", word, re.IGNORECASE):
            raise InputError(f"line {number} has '{word[:40]}' where a number must be")


def _translate_atom(line: str) -> str:
    """Return the line of an atom with numbers of Fortran in Python's form, and deuterium as hydrogen."""
    if "d" not in line and "D" not in line:
        return line
    line = re.sub(r"(?<![^\s])([+-]?(?:\d+\.?\d*|\.\d+))[dD]([+-]?\d{1,9})(?!\S)", r"\1e\2", line)
    return re.sub(r"(?<!\S)D(?!\S)", "H", line)
