"""The names of the columns of a file of predictions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ColumnNames:
    """The names of the two columns of a file of predictions."""

    id: str
    target: str
