"""Predictions as a CSV file: how a run writes them, and how anybody's are read.

A file is read as `leaderboard.data` reads any table in CSV; the order of columns and rows is free as well. What is
wrong is refused, all faults at once, by line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asugnn.atomic_write import write_text
from asugnn.crystal import Floats
from asugnn.errors import InputError
from asugnn.model import Kind
from leaderboard.data import (
    Lines,
    TableError,
    csv_cell,
    id_fault,
    parse_value,
    read_header,
    read_lines,
    read_rows,
    short_text,
)
from leaderboard.records.prediction_columns import ColumnNames
from leaderboard.records.prediction_faults import SHOWN, Faults, SubmissionError, loose_id, unknown_id
from leaderboard.records.predictions_frame import read_frame

MANY = 20_000  # rows, from which on a data frame is faster
_PLAIN_NUMBER = re.compile(r"-?\d+\.\d+(e[+-]?\d+)?|-?\d+e[+-]?\d+", re.ASCII)  # as Python writes a float


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
    """Write predictions, atomically; see `predictions_text`."""
    write_text(path, predictions_text(ids, target, values.tolist()))


def read_predictions(path: Path, ids: Sequence[str], target: str, kind: Kind, id_column: str = "id") -> Floats:
    """The predictions (n,) in the file, in the order of the expected `ids` (n,).

    Raises `SubmissionError` with all that is wrong with the file.
    """
    columns = ColumnNames(id_column, target)
    read = _read_plain if len(ids) < MANY else read_frame
    if (plain := read(path, ids, columns, kind)) is not None:
        return plain
    faults = Faults()
    values = np.full(len(ids), np.nan)
    try:
        _fill_values(path, ids, columns, kind, values, faults)
    except TableError as stop:
        raise SubmissionError(path, [*faults.sentences(), str(stop)]) from None
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


def _fill_values(
    path: Path, ids: Sequence[str], columns: ColumnNames, kind: Kind, values: Floats, faults: Faults
) -> None:
    """Fill `values` and `faults` from the lines of a file."""
    lines = read_lines(path, faults.add)
    id_first = _header(lines, columns)
    place = {name: i for i, name in enumerate(ids)}
    loose: dict[str, str] = {}
    line_of = np.zeros(len(ids), dtype=np.int64)  # where each id was met
    rows = exchanged = 0
    for number, cells, misshapen in read_rows(lines, 2, lambda: faults.total):
        rows += 1
        if misshapen:
            faults.add(misshapen, number)
            if cells and (i := place.get(cells[0 if id_first else -1], -1)) >= 0:
                line_of[i] = number  # faulty, but not missing
            continue
        name, text = cells if id_first else reversed(cells)
        i = place.get(name, -1)
        exchanged += i < 0 and text in place
        if fault := id_fault(name, f"line {line_of[i]}" if i >= 0 and line_of[i] else ""):
            faults.add(fault, number)
        elif i < 0:
            loose = loose or {loose_id(known): known for known in ids}
            faults.add(unknown_id(name, loose.get(loose_id(name))), number)
        else:
            line_of[i] = number
        value, wrong = parse_value(text, kind)
        if wrong:
            faults.add(wrong, number)
        elif i >= 0:
            values[i] = value
    if not (rows or faults.total):
        raise TableError("it has a header and no rows")
    if exchanged > rows / 2 and not line_of.any():
        faults.clear()  # they all follow from this one
        where = "second column" if id_first else f"first column, '{columns.target}'"
        raise TableError(
            f"the ids are in the {where}: exchange the {'columns' if id_first else 'names of the columns'}"
        )
    for i in np.flatnonzero(line_of == 0).tolist():
        faults.add(("missing ids", f"id '{short_text(ids[i])}' has no row"))


def _header(lines: Lines, columns: ColumnNames) -> bool:
    """Whether the id comes first in the header; raises `TableError` if it is not the right one."""
    name, target = columns.id, columns.target
    number, cells = read_header(lines, (name, target), f"the first line must be '{name},{target}'")
    if extra := [cell for cell in cells if cell not in (name, target)]:
        named = ", ".join(f"'{short_text(cell)}'" for cell in extra[:SHOWN])
        raise TableError(
            f"line {number}: there are more columns than two ({named}): leave only '{name}' and '{target}'"
        )
    return cells[0] == name
