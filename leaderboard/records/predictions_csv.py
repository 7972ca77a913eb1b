"""Predictions as a CSV file: how a run writes them, and how anybody's are read.

What spreadsheets do to a file is accepted (byte order mark, any line ends, quotes, surrounding spaces, blank lines,
order of columns and rows) and never changes a value. Everything else is refused, all faults at once, by line.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asugnn.atomic_write import write_text
from asugnn.crystal import Floats
from asugnn.errors import InputError
from asugnn.limits import CSV_BYTES, CSV_FAULTS, CSV_LINE_CHARACTERS
from asugnn.model import Kind
from leaderboard.records.prediction_faults import (
    DECIMAL_COMMA,
    NUMBER,
    SHOWN,
    Fault,
    Faults,
    SubmissionError,
    loose_id,
    shorten,
    unknown_id,
    value_fault,
)

_CELL = re.compile(r'\s*"((?:[^"]|"")*)"\s*(?:,|$)|([^",]*)(?:,|$)')
_PLAIN_NUMBER = re.compile(r"-?\d+\.\d+(e[+-]?\d+)?|-?\d+e[+-]?\d+", re.ASCII)  # as Python writes a float
_FOREIGN = {  # first bytes of what is no text in UTF-8
    b"\xff\xfe": "it is UTF-16 text: save it as 'CSV UTF-8'",
    b"\xfe\xff": "it is UTF-16 text: save it as 'CSV UTF-8'",
    b"PK\x03\x04": "it is a workbook or a zip archive, not text: save it as 'CSV UTF-8'",
    b"\x1f\x8b": "it is compressed: unpack it first",
    b"PAR1": "it is a Parquet file: write it as CSV",
}


@dataclass(frozen=True)
class ColumnNames:
    """The names of the two columns of a file of predictions."""

    id: str
    target: str


class _StopError(Exception):
    """Nothing of what follows in the file can be made sense of."""


def predictions_text(ids: Sequence[str], target: str, values: Sequence[float]) -> str:
    """Predictions as CSV, each as the shortest decimal that reads back as the same float64.

    Raises `InputError` for a value that is not a finite number.
    """
    lines = [f"id,{target}"]
    for name, value in zip(ids, values, strict=True):
        if not np.isfinite(value):
            raise InputError(f"the prediction for '{name}' is {value}: every crystal needs a finite number")
        lines.append(f"{csv_cell(name)},{value!r}")
    return "\n".join(lines) + "\n"


def write_predictions(path: Path, ids: Sequence[str], target: str, values: Floats) -> None:
    """Write predictions, atomically; see `text`."""
    write_text(path, predictions_text(ids, target, values.tolist()))


def read_predictions(path: Path, ids: Sequence[str], target: str, kind: Kind, id_column: str = "id") -> Floats:
    """The predictions (n,) in the file, in the order of the expected `ids` (n,).

    Raises `SubmissionError` with all that is wrong with the file.
    """
    columns = ColumnNames(id_column, target)
    if (plain := _read_plain(path, ids, columns, kind)) is not None:
        return plain
    faults = Faults()
    values = np.full(len(ids), np.nan)
    try:
        _rows(path, ids, columns, kind, values, faults)
    except _StopError as stop:
        raise SubmissionError(path, [*faults.sentences(), str(stop)]) from None
    except OSError as error:
        raise SubmissionError(path, [f"it cannot be read: {error.strerror}"]) from error
    if faults.total:
        raise SubmissionError(path, faults.sentences())
    return values


def _read_plain(path: Path, ids: Sequence[str], columns: ColumnNames, kind: Kind) -> Floats | None:
    """The predictions (n,) in a file as `write_predictions` writes it, ten times faster; None for any other file."""
    try:
        if not path.is_file() or path.stat().st_size > (len(ids) + 1) * 200:  # bytes; a stranger's file may be huge
            return None
        lines = path.read_bytes().decode("ascii").split("\n")
    except (OSError, UnicodeDecodeError):
        return None
    if lines[0] != f"{columns.id},{columns.target}" or lines[-1] or len(lines) != len(ids) + 2:
        return None
    cells = [line.split(",") for line in lines[1:-1]]
    if any(len(cell) != 2 or cell[0] != name for cell, name in zip(cells, ids, strict=True)):
        return None
    if not all(_PLAIN_NUMBER.fullmatch(text) for _, text in cells):
        return None
    values = np.array([float(text) for _, text in cells])
    valid = np.isfinite(values) if kind == "regression" else (values >= 0) & (values <= 1)
    return values if valid.all() else None


def _rows(path: Path, ids: Sequence[str], columns: ColumnNames, kind: Kind, values: Floats, faults: Faults) -> None:
    """Fill `values` and `faults` from the lines of a file."""
    lines = _lines(path, faults)
    id_first = _header(lines, columns)
    place = {name: i for i, name in enumerate(ids)}
    loose: dict[str, str] = {}
    line_of = np.zeros(len(ids), dtype=np.int64)  # where each id was met
    blank = 0
    for number, line in lines:
        cells = _cells(line)
        if cells is not None and not any(cells):
            blank += 1
            if blank > CSV_FAULTS:
                raise _StopError(f"reading stopped before line {number:,}, after {CSV_FAULTS:,} blank lines")
            continue
        if faults.total > CSV_FAULTS:
            raise _StopError(f"reading stopped before line {number:,}, after {faults.total:,} faults")
        if cells is None or len(cells) != 2:
            faults.add(_shape_fault(cells, id_first), number)
            if cells and (i := place.get(cells[0 if id_first else -1], -1)) >= 0:
                line_of[i] = number  # faulty, but not missing
            continue
        name, text = cells if id_first else reversed(cells)
        i = place.get(name, -1)
        if i < 0:
            loose = loose or {loose_id(known): known for known in ids}
            faults.add(unknown_id(name, loose.get(loose_id(name))), number)
        elif line_of[i]:
            faults.add(("duplicate ids", f"id '{shorten(name)}' again, first on line {line_of[i]}"), number)
        else:
            line_of[i] = number
        if fault := value_fault(text, kind):
            faults.add(fault, number)
        elif i >= 0:
            values[i] = float(text)
    for i in np.flatnonzero(line_of == 0).tolist():
        faults.add(("missing ids", f"id '{shorten(ids[i])}' has no row"))


def _lines(path: Path, faults: Faults) -> Iterator[tuple[int, str]]:
    """The lines of a file that can be read, numbered from 1, without their ends."""
    if not path.is_file():
        missing = "it is not a regular file" if path.exists() else "there is no such file"
        raise _StopError("it is a folder, not a file" if path.is_dir() else missing)
    if (size := path.stat().st_size) > CSV_BYTES:
        raise _StopError(f"it has {size:,} bytes, more than {CSV_BYTES:,}")
    with path.open("rb") as binary:
        start = binary.read(4)
    for magic, sentence in _FOREIGN.items():
        if start.startswith(magic):
            raise _StopError(sentence)
    # What is not UTF-8 comes through as surrogates, so that it can be named by line.
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        number = 0
        while line := file.readline(CSV_LINE_CHARACTERS + 1):
            number += 1
            if len(line) > CSV_LINE_CHARACTERS:
                raise _StopError(
                    f"line {number}: more than {CSV_LINE_CHARACTERS:,} characters, which no row of predictions has"
                )
            if "\0" in line or not (line.isascii() or _is_utf8(line)):
                sentence = "a NUL byte" if "\0" in line else "it is not UTF-8"
                sentence += "; save the file as 'CSV UTF-8'"
                if number == 1:
                    raise _StopError(f"line 1: {sentence}")
                faults.add(("lines that are not UTF-8 text", sentence), number)
            else:
                yield number, line.rstrip("\n")


def _header(lines: Iterator[tuple[int, str]], columns: ColumnNames) -> bool:
    """Whether the id comes first in the header; raises `_StopError` if it is not the right one."""
    name, target = columns.id, columns.target
    expected = f"the first line must be '{name},{target}'"
    number, line = next(((number, line) for number, line in lines if line.strip()), (0, ""))
    if number == 0:
        raise _StopError(f"it is empty: {expected}")
    cells = _cells(line)
    if cells is not None and sorted(cells) == sorted([name, target]):
        return cells[0] == name
    for mark, word in ((";", "semicolons"), ("\t", "tabs")):
        if mark in line and "," not in line:
            raise _StopError(f"its columns are separated by {word}: separate them by commas, and write decimal points")
    if cells is None:
        raise _StopError(f"line {number}: the header has a stray quote; {expected}")
    if {name, target} <= set(cells):
        extra = [cell for cell in cells if cell not in (name, target)] or ["id or target twice"]
        named = ", ".join(f"'{shorten(cell)}'" for cell in extra[:SHOWN])
        raise _StopError(
            f"line {number}: there are more columns than two ({named}): leave only '{name}' and '{target}'"
        )
    hints = []
    for cell in cells[:SHOWN]:
        near = difflib.get_close_matches(cell.casefold(), [name, target], n=1)
        if near and cell != near[0]:
            hints.append(f"'{shorten(cell)}' should be '{near[0]}'")
    if len(cells) == 2 and NUMBER.fullmatch(cells[1]):
        hints.append("it looks like a row, so the header is missing")
    raise _StopError(
        f"line {number}: the header is '{shorten(line)}'; {expected}{''.join('; ' + hint for hint in hints)}"
    )


def _is_utf8(line: str) -> bool:
    return not any("\udc80" <= character <= "\udcff" for character in line)


def _cells(line: str) -> list[str] | None:
    """The cells of a line without quotes and surrounding spaces; None for a stray quote."""
    if '"' not in line:
        return [cell.strip() for cell in line.split(",")]
    cells, end = [], 0
    while end < len(line) or line[end - 1] == ",":
        if not (match := _CELL.match(line, end)):
            return None
        quoted, plain = match.groups()
        cells.append((quoted.replace('""', '"') if plain is None else plain).strip())
        if match.end() == len(line) and not match.group().endswith(","):
            break
        end = match.end()
    return cells


def _shape_fault(cells: list[str] | None, id_first: bool) -> Fault:
    if cells is None:
        return "lines with stray quotes", 'a quote (") is not closed or stands within a cell'
    hint = ""
    if len(cells) == 3 and DECIMAL_COMMA.fullmatch(",".join(cells[1:] if id_first else cells[:2])):
        hint = " (is there a decimal comma? Write a point)"
    return "lines of another length", f"{len(cells)} cell{'s' * (len(cells) > 1)} instead of 2{hint}"


def csv_cell(name: str) -> str:
    """A cell of a CSV; raises `InputError` for a text that no cell can hold."""
    if "\n" in name or "\r" in name or name != name.strip():
        raise InputError(f"id {name!r} cannot be written: it has a line break or spaces around it")
    return '"' + name.replace('"', '""') + '"' if "," in name or '"' in name else name
