"""What data sets there are: where each comes from, its labels, and what they are.

A label is a function of the table: `Target.column` takes it to (n,) values, nan where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from asugnn.crystal import Floats
from asugnn.model import Kind
from leaderboard.scoring import Metric, metrics_for

if TYPE_CHECKING:
    import polars as pl

Column = Callable[["pl.DataFrame"], Floats]  # table to (n,) labels, nan where there is none


@dataclass(frozen=True)
class Target:
    """One label: `unit` is empty for a binary target, whose class 1 is what its name says."""

    name: str
    kind: Kind
    unit: str
    meaning: str  # what the label is, in a few words for the reader of a board
    column: Column
    model_of: str = ""  # [dataset/]target whose models predict this one, which never trains: zero-shot
    ranked_by: str = ""  # the metric that ranks, if it is not the usual one of its kind
    by_system: bool = False  # whether it is scored by chemical system too, see `leaderboard.scoring.chemical_systems`

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All that it is scored by, the one that ranks first."""
        return metrics_for(self.kind, self.ranked_by)


@dataclass(frozen=True)
class Source:
    """Where a data set comes from and what it holds."""

    name: str
    title: str
    file: str  # inside the package, or in the folder that BENCH_DATA or --data-dir names
    embedded: bool
    licence: str
    citation: str
    targets: tuple[Target, ...]
    folder: Path | None = None  # of one that was imported or made: where its files and its splits are
    command: str = ""  # what makes it, where it neither is in the package nor must be brought


def values_of(name: str) -> Column:
    """The column of that name, nan where it is null."""
    return lambda table: table[name].cast(float).fill_null(float("nan")).to_numpy().copy()


def where(column: Column, *conditions: tuple[str, Sequence[object]]) -> Column:
    """The column where each condition (name, allowed values) holds, nan elsewhere."""

    def chosen(table: pl.DataFrame) -> Floats:
        keep = np.all([table[name].is_in(list(allowed)).to_numpy() for name, allowed in conditions], axis=0)
        return np.where(keep, column(table), np.nan)

    return chosen


def log10_of(column: Column) -> Column:
    """The decadic logarithm of a column."""
    return lambda table: np.log10(column(table))


def zero_gap(gap: Column) -> Column:
    """1 for a gap of exactly 0 as stored, 0 for any other."""

    def metal(table: pl.DataFrame) -> Floats:
        values = gap(table)
        return np.where(np.isnan(values), np.nan, (values == 0).astype(float))

    return metal


def described_column(described: Mapping[str, str]) -> Column:
    """The labels of a target as dataset.json describes it."""
    made: dict[str, Callable[[Column], Column]] = {"value": lambda c: c, "log10": log10_of, "zero": zero_gap}
    return made[described.get("label", "value")](values_of(described["column"]))
