"""Rows to import from a folder of CIFs with one CSV of labels, whose first column names the CIFs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from asugnn.crystal import Crystal
from asugnn.errors import InputError
from asugnn.structure_files import read_crystals
from leaderboard._util import show_progress
from leaderboard.data import TableError, join_quoted_lines, read_header, read_lines, read_rows
from leaderboard.ingest.labelled_rows import LabelledRows

ENDINGS = (".cif", ".cif.gz", ".mcif")  # in any capitals


def read_cif_folder(folder: Path, found: LabelledRows) -> list[str]:
    """Read the rows of a folder into `found`, and return the columns of its table; raises `InputError`."""
    table = found.file = _find_table(folder)
    columns = [w.column for w in found.wanted]
    expected = f"the first line must have the id and then {' and '.join(map(repr, columns))}"
    try:
        lines = join_quoted_lines(read_lines(table, lambda fault, line: found.refuse("", f"line {line}", fault[1])))
        number, header = read_header(lines, columns, expected)
        if header[0] and header[0] in header[1:]:
            raise TableError(f"line {number}: column '{header[0]}' comes twice")
        if header[0] in columns:
            raise TableError(f"line {number}: column '{header[0]}' is the first, which names the CIFs; {expected}")
        lines_read = list(read_rows(lines, len(header), lambda: len(found.faults)))
    except TableError as error:
        raise InputError(f"{table} cannot be read as a table of labels: {error}") from None
    files, named = _list_cifs(folder), set[str]()
    with show_progress(f"reading {folder}", len(lines_read)) as bar:
        for line, cells, misshapen in lines_read:
            bar.advance()
            name = _without_ending(cells[0]) if cells else ""
            if misshapen:
                found.refuse(name, f"line {line}", misshapen[1])
                continue
            values = dict(zip(header, cells, strict=True))
            found.add(name, f"line {line}", values, partial(_crystal, folder, cells[0], files))
            named |= {file.name for file in _candidates(cells[0], files)}
    for file in sorted({file.name for of_name in files.values() for file in of_name} - named):
        found.unlabelled.append((_without_ending(file), f"{file}: no row of {table.name} names it"))
    return header[1:]


def _find_table(folder: Path) -> Path:
    tables = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".csv" and not p.name.startswith("."))
    if len(tables) != 1:
        raise InputError(
            f"{folder} has {len(tables)} CSV files: one must hold the labels, its first column the CIF's name"
        )
    return tables[0]


def _list_cifs(folder: Path) -> dict[str, list[Path]]:
    """The CIFs in a folder, by their name without the ending, and by their full name."""
    files: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        if (stem := _without_ending(file.name)) != file.name:
            files.setdefault(stem, []).append(file)
            files[file.name] = [file]
    return files


def _without_ending(name: str) -> str:
    ending = next((e for e in ENDINGS if name.lower().endswith(e)), "")
    return name[: len(name) - len(ending)]


def _candidates(name: str, files: Mapping[str, Sequence[Path]]) -> Sequence[Path]:
    """The CIFs that a table may mean: that of this name, else those that have it without their ending."""
    return files.get(name) or files.get(_without_ending(name), ())


def _crystal(folder: Path, name: str, files: Mapping[str, Sequence[Path]]) -> Crystal:
    """The crystal of the CIF that a table names with or without its ending."""
    candidates = _candidates(name, files)
    if not candidates:
        raise InputError(f"there is no {_without_ending(name)}.cif in {folder}")
    if len(candidates) > 1:
        raise InputError(f"{' and '.join(file.name for file in candidates)} are in {folder}: name one with its ending")
    crystals = list(read_crystals(candidates[0]).values())
    if len(crystals) > 1:
        raise InputError(f"{candidates[0]} holds {len(crystals)} structures: a row of the table needs a CIF of its own")
    return crystals[0]
