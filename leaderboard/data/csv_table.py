"""Read tables in CSV line by line: predictions, labels, and the solution of a host, with the same rules and sentences.

What spreadsheets do to a file is accepted (byte order mark, any line ends, quotes, surrounding spaces, blank lines) and
never changes a value. Everything else is a fault: a sentence, told by line.
"""

from __future__ import annotations

import codecs
import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from asugnn.errors import InputError
from asugnn.limits import CSV_BYTES, CSV_FAULTS, CSV_LINE_CHARACTERS
from asugnn.model import Kind
from asugnn.reading import DECIMAL

Fault = tuple[str, str]  # its sort, such that 'and 12 more' can stand before it, and a sentence
Report = Callable[[Fault, int], None]  # takes a fault, and the line that has it
Lines = Iterator[tuple[int, str]]  # numbered from 1, without their ends

TRUTH = {"true": 1.0, "false": 0.0}  # in any capitals, as pandas and spreadsheets write them
_CELL = re.compile(r'\s*"((?:[^"]|"")*)"\s*(?:,|$)|([^",]*)(?:,|$)')
_NUMBER = re.compile(rf"[+-]?{DECIMAL}([eE][+-]?\d+)?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?", re.ASCII)
_FOREIGN = {  # first bytes of what is no text in UTF-8
    b"\xff\xfe": "it is UTF-16 text: save it as 'CSV UTF-8'",
    b"\xfe\xff": "it is UTF-16 text: save it as 'CSV UTF-8'",
    b"PK\x03\x04": "it is a workbook or a zip archive, not text: save it as 'CSV UTF-8'",
    b"\x1f\x8b": "it is compressed: unpack it first",
    b"PAR1": "it is a Parquet file: write it as CSV",
}
_OTHER_TEXT = {  # how text begins that is no CSV
    "JSON": re.compile(rb"\s*(\{|\[\s*[\[{\"\].\d-])"),
    "a web page or XML": re.compile(rb"\s*<(!doctype|html|\?xml)", re.IGNORECASE),
}


class TableError(Exception):
    """Nothing of what follows in the file can be made sense of; the message is a sentence without the file's name."""


def read_lines(path: Path, report: Report) -> Lines:
    """Yield the lines of a file that can be read; raises `TableError` for a file that is no text, or too large."""
    try:
        if not path.is_file():
            missing = "it is not a regular file" if path.exists() else "there is no such file"
            raise TableError("it is a folder, not a file" if path.is_dir() else missing)
        if (size := path.stat().st_size) > CSV_BYTES:
            raise TableError(f"it has {size:,} bytes, more than {CSV_BYTES:,}")
        with path.open("rb") as binary:
            start = binary.read(100)
        for magic, sentence in _FOREIGN.items():
            if start.startswith(magic):
                raise TableError(sentence)
        for word, beginning in _OTHER_TEXT.items():
            if beginning.match(start.removeprefix(codecs.BOM_UTF8)):
                raise TableError(f"this looks like {word}, not CSV: write it as CSV")
        yield from _text_lines(path, report)
    except OSError as error:
        raise TableError(f"it cannot be read: {error.strerror}") from error


def _text_lines(path: Path, report: Report) -> Lines:
    # What is not UTF-8 comes through as surrogates, so that it can be named by line.
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        number = 0
        while line := file.readline(CSV_LINE_CHARACTERS + 1):
            number += 1
            if len(line) > CSV_LINE_CHARACTERS:
                raise TableError(f"line {number}: more than {CSV_LINE_CHARACTERS:,} characters, which no row has")
            if "\0" in line or not (line.isascii() or _is_utf8(line)):
                sentence = "a NUL byte" if "\0" in line else "it is not UTF-8"
                sentence += "; save the file as 'CSV UTF-8'"
                if number == 1:
                    raise TableError(f"line 1: {sentence}")
                report(("lines that are not UTF-8 text", sentence), number)
            else:
                yield number, line.rstrip("\n")


def _is_utf8(line: str) -> bool:
    return not any("\udc80" <= character <= "\udcff" for character in line)


def join_quoted_lines(lines: Lines) -> Lines:
    """Join lines within one quoted cell, as in a column of remarks; a quote that is never closed joins nothing."""
    waiting: list[tuple[int, str]] = []
    for number, line in lines:
        waiting.append((number, line))
        text = "\n".join(part for _, part in waiting)
        if text.count('"') % 2 == 0:
            yield waiting[0][0], text
            waiting = []
        elif len(text) > CSV_LINE_CHARACTERS:
            yield from waiting
            waiting = []
    yield from waiting


def read_header(lines: Lines, wanted: Sequence[str], expected: str) -> tuple[int, list[str]]:
    """The number of the first line that is not blank, and its cells; raises `TableError` if it is no right header.

    Each column of `wanted` must be in it once; `expected` says what the header must be, as the end of a sentence.
    """
    number, line = next(((number, line) for number, line in lines if line.strip()), (0, ""))
    if number == 0:
        raise TableError(f"it is empty: {expected}")
    cells = _split_cells(line)
    if cells is not None and set(wanted) <= set(cells):
        if twice := [name for name in wanted if cells.count(name) > 1]:
            raise TableError(f"line {number}: column '{short_text(twice[0])}' comes twice")
        return number, cells
    for mark, word in ((";", "semicolons"), ("\t", "tabs")):
        if mark in line and "," not in line:
            raise TableError(f"its columns are separated by {word}: separate them by commas, and write decimal points")
    if cells is None:
        raise TableError(f"line {number}: the header has a stray quote; {expected}")
    hints = []
    lacking = [name for name in wanted if name not in cells]
    for cell in cells[:10]:
        if cell not in wanted and (near := difflib.get_close_matches(cell.casefold(), lacking, n=1)):
            hints.append(f"'{short_text(cell)}' should be '{near[0]}'")
    if any(_NUMBER.fullmatch(cell) for cell in cells[1:]):
        hints.append("it looks like a row, so the header is missing")
    raise TableError(
        f"line {number}: the header is '{short_text(line)}'; {expected}{''.join('; ' + hint for hint in hints)}"
    )


def read_rows(
    lines: Lines, width: int, count_faults: Callable[[], int]
) -> Iterator[tuple[int, list[str], Fault | None]]:
    """Yield number and cells of each line that is not blank, with a fault where these are not `width` cells.

    Raises `TableError` after too many blank lines, or where `count_faults` says that there are too many faults.
    """
    blank = 0
    for number, line in lines:
        cells = _split_cells(line)
        if cells is not None and not any(cells):
            blank += 1
            if blank > CSV_FAULTS:
                raise TableError(f"reading stopped before line {number:,}, after {CSV_FAULTS:,} blank lines")
            continue
        if (faults := count_faults()) > CSV_FAULTS:
            raise TableError(f"reading stopped before line {number:,}, after {faults:,} faults")
        yield number, cells or [], None if cells and len(cells) == width else _shape_fault(cells, width)


def _split_cells(line: str) -> list[str] | None:
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


def _shape_fault(cells: list[str] | None, width: int) -> Fault:
    if cells is None:
        return "lines with stray quotes", 'a quote (") is not closed or stands within a cell'
    pairs = pairwise(cells) if len(cells) == width + 1 else ()
    comma = any(_DECIMAL_COMMA.fullmatch(",".join(pair)) for pair in pairs)
    hint = " (is there a decimal comma? Write a point)" if comma else ""
    return "lines of another length", f"{len(cells)} cell{'s' * (len(cells) > 1)} instead of {width}{hint}"


def id_fault(name: str, first: str) -> Fault | None:
    """What is wrong with an id that was met in the place `first` before, such as "line 3", or nowhere."""
    if not name:
        return "rows without an id", "the id is empty"
    if first:
        return "duplicate ids", f"id '{short_text(name)}' again, first on {first}"
    return None


def parse_value(text: str, kind: Kind) -> tuple[float, Fault | None]:
    """A predicted value, and what is wrong with it; a probability may be `True` or `False`."""
    if kind == "binary" and text.casefold() in TRUTH:
        return TRUTH[text.casefold()], None
    value, fault = parse_number(text)
    if fault is None and kind == "binary" and not 0 <= value <= 1:
        sentence = f"{short_text(text)} is not a probability: it must lie within 0 and 1"
        return value, ("values that are no probability", sentence)
    return value, fault


def parse_number(text: str) -> tuple[float, Fault | None]:
    """A finite decimal number, and what is wrong with it."""
    if not text:
        return np.nan, ("empty values", "the value is empty")
    try:
        value = float(text)
    except ValueError:
        value = None
    if value is not None and _NUMBER.fullmatch(text):
        if np.isfinite(value):
            return value, None
        return np.nan, ("values that are not finite", f"'{short_text(text)}' is too large for a floating-point number")
    if value is not None and not np.isfinite(value):
        return np.nan, ("values that are not finite", f"'{short_text(text)}' is not a finite number")
    hint = ": write a decimal point, not a comma" if _DECIMAL_COMMA.fullmatch(text) else ""
    return np.nan, ("values that are not numbers", f"'{short_text(text)}' is not a number{hint}")


def csv_cell(name: str) -> str:
    """A cell of a CSV; raises `InputError` for a text that no cell can hold."""
    if "\n" in name or "\r" in name or "\0" in name or name != name.strip():
        raise InputError(f"id {name!r} cannot be written: it has a line break, a NUL byte or spaces around it")
    return '"' + name.replace('"', '""') + '"' if "," in name or '"' in name else name


def short_text(text: str) -> str:
    """A text as it is quoted in a sentence: at most 40 characters."""
    return text if len(text) <= 40 else text[:37] + "..."
