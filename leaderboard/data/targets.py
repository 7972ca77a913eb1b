"""Sources of data sets, and their targets: what is predicted, in which unit, from which column.

`Target.column` maps the table of a data set to the labels (n,), nan where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from asugnn.crystal import Floats
from asugnn.model import Kind
from leaderboard.scoring import Metric, metrics_for

if TYPE_CHECKING:
    import polars as pl

Column = Callable[["pl.DataFrame"], Floats]  # table to (n,) labels, nan where there is none


@dataclass(frozen=True)
class Target:
    """One label of a data set.

    name
        As in the name of a task.
    kind
        `regression`, or `binary` with the labels 0 and 1.
    unit
        Empty for a binary target.
    meaning
        What the label is, in a few words for the reader of a board.
    column
        From the table of a data set to the labels (n,), nan where there is none.
    model_of
        `[dataset/]target` whose models predict this one, which is never trained on (zero-shot); empty for its own.
    dependent
        Of a zero-shot target, whether its structures are series, such as strains of one crystal, and so no independent
        draws: then they count by formula, like other crystals.
    ranked_by
        The metric that ranks, if it is not the first of the kind.
    by_system
        Whether it is also scored by chemical system, see `leaderboard.scoring.chemical_systems`.
    positive
        The name of class 1, such as `metal`; empty for a regression.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
    column: Column
    model_of: str = ""
    dependent: bool = False
    ranked_by: str = ""
    by_system: bool = False
    positive: str = ""

    @property
    def class_names(self) -> tuple[str, str]:
        """The names of class 0 and class 1 of a binary target."""
        return ("non-metal" if self.positive == "metal" else f"not {self.positive}"), self.positive

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics by which it is scored; models are ranked by the first."""
        return metrics_for(self.kind, self.ranked_by)


@dataclass(frozen=True)
class Source:
    """A data set that is known here, whether or not its files are available."""

    name: str
    title: str
    file: str  # inside the package, or in the folder that BENCH_DATA or --data-dir names
    embedded: bool
    licence: str
    citation: str
    targets: tuple[Target, ...]
    folder: Path | None = None  # of files and splits, where it was imported or made by a command
    command: str = ""  # command that creates it
    default_rule: str = "random"  # the split of a task that names none
    url: str = ""  # its page, where it has one
    compositions: bool = False  # whether it has no crystals at all: predictions are scored, nothing is trained


def values_of(name: str) -> Column:
    """The column of a name, nan where it is null."""
    return lambda table: table[name].cast(float).fill_null(float("nan")).to_numpy().copy()


def where(column: Column, *conditions: tuple[str, Sequence[object]]) -> Column:
    """A column where each condition (column name, allowed values) holds, nan elsewhere."""

    def select_rows(table: pl.DataFrame) -> Floats:
        keep = np.all([table[name].is_in(list(allowed)).to_numpy() for name, allowed in conditions], axis=0)
        return np.where(keep, column(table), np.nan)

    return select_rows


def log10_of(column: Column) -> Column:
    """The decadic logarithm of a column."""
    return lambda table: np.log10(column(table))


def zero_gap(gap: Column) -> Column:
    """1 for a gap of exactly 0 as stored, 0 for any other."""

    def is_zero(table: pl.DataFrame) -> Floats:
        values = gap(table)
        return np.where(np.isnan(values), np.nan, (values == 0).astype(float))

    return is_zero


def described_target(described: Mapping[str, str]) -> Target:
    """A target as dataset.json describes it; where `positive` is missing, the name of the target names class 1.

    Raises `KeyError` for an entry that is missing or not known; that all are texts was checked when they were read.
    """
    name, kind = described["name"], described["kind"]
    positive = described.get("positive", name.replace("-", " ")) if kind == "binary" else ""
    columns: dict[str, Callable[[Column], Column]] = {"value": lambda c: c, "log10": log10_of, "zero": zero_gap}
    return Target(
        name,
        cast(Kind, kind),
        described["unit"],
        described.get("meaning", f"{described['column']}, imported"),
        columns[described.get("label", "value")](values_of(described["column"])),
        positive=positive,
    )
