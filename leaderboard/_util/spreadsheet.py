"""Tables in CSV for people, whose cells may hold words of strangers: no program takes one of them for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from contextlib import suppress

from leaderboard._util.names import printable

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what Excel, LibreOffice and Google Sheets take for the beginning of one


def spreadsheet_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV, without a line break at the end.

    A text that a spreadsheet program would compute gets an apostrophe before it, by which such a program shows it as
    it is. Not for a file that is read back by id: there an id stays as it is.
    """
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([_cell(value) for value in row] for row in rows)
    return printable(out.getvalue().rstrip("\n"))


def _cell(value: object) -> object:
    if not isinstance(value, str) or not value.lstrip(" ").startswith(FORMULA):
        return value
    with suppress(ValueError):
        float(value)
        return value
    return f"'{value}"
