"""Predictions of many crystals, read from a faultless CSV as columns: a second for a million rows.

A file is read here only if no rule of `leaderboard.data.csv_table` could find a fault in it, or clean anything but a
byte order mark and line ends. Any other file is left to that reader, whose rules they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asugnn.crystal import Floats
from asugnn.model import Kind
from leaderboard.records.prediction_columns import ColumnNames

if TYPE_CHECKING:
    import polars as pl

_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
LONGEST = 400  # bytes of a number, and of a line on average


def read_frame(path: Path, ids: Sequence[str], columns: ColumnNames, kind: Kind) -> Floats | None:
    """The predictions (n,) in a file, in the order of the expected `ids` (n,); None where anything is unusual."""
    import polars as pl

    try:
        if not path.is_file() or path.stat().st_size > (len(ids) + 1) * LONGEST:  # a stranger's file may be huge
            return None
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
        if b'"' in content or b"\0" in content:
            return None
        table = pl.read_csv(content, infer_schema=False, quote_char=None)
    except (OSError, pl.exceptions.PolarsError):
        return None
    if set(table.columns) != {columns.id, columns.target} or len(table) != len(ids):
        return None
    numbers = table[columns.target]
    if numbers.has_nulls() or not numbers.str.contains(_NUMBER).all() or numbers.str.len_bytes().max() > LONGEST:  # type: ignore[operator]
        return None
    values = numbers.cast(pl.Float64).to_numpy()
    valid = np.isfinite(values) if kind == "regression" else (values >= 0) & (values <= 1)
    return _in_order(table[columns.id], ids, values) if valid.all() else None


def _in_order(names: pl.Series, ids: Sequence[str], values: Floats) -> Floats | None:
    """Order values (n,) as `ids` (n,), from the order of `names` (n,); None where these are not the same n ids."""
    import polars as pl

    expected = pl.Series("id", ids, dtype=pl.String)
    if names.equals(expected):
        return values
    found = pl.DataFrame({"id": names, "row": np.arange(len(ids))})
    # Of n unique expected ids each is found once, or an id is missing or comes twice.
    rows = pl.DataFrame({"id": expected}).join(found, on="id", how="left", maintain_order="left")["row"]
    return None if len(rows) != len(ids) or rows.has_nulls() else values[rows.to_numpy()]
