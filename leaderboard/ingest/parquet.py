"""A table as the bytes of a Parquet file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


def parquet_bytes(table: pl.DataFrame) -> bytes:
    """Return a table as Parquet, to be written by the caller.

    Where a disk is full, polars raises an exception that does not say so.
    """
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()
