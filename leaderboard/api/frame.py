"""The rows of a board as a data frame."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from asugnn.errors import InputError
from leaderboard._util import require_packages
from leaderboard.board import rank_rows, row_columns, row_records
from leaderboard.data import parse_task, suite_tasks

if TYPE_CHECKING:
    import polars as pl


@overload
def leaderboard(
    name: str = ..., preset: str = ..., runs: str | Path | None = ..., frame: Literal["polars"] = ...
) -> pl.DataFrame: ...
@overload
def leaderboard(
    name: str = ..., preset: str = ..., runs: str | Path | None = ..., *, frame: Literal["pandas"]
) -> Any: ...
def leaderboard(
    name: str = "open-dft",
    preset: str = "quick",
    runs: str | Path | None = None,
    frame: Literal["polars", "pandas"] = "polars",
) -> Any:
    """Rank the stored runs of a suite or a task: a frame with a row for each model and task, best first.

    name
        A task, such as `open-dft/metal`, or a suite: the name of a data set, or `paper`.
    preset
        The preset of the runs; presets are never ranked together.
    runs
        The folder of the runs; without it they are those of ./runs and of the package.
    frame
        `polars` or `pandas`.

    The columns are those of `bench leaderboard --format csv`: among others model, task, rank, rank_high, tied_with, and
    each metric with `_low` and `_high`, the ends of its 95 % confidence interval, null where undefined. What the
    command prints as a note, such as a run that cannot be read, is given as a warning. Raises `InputError` for an
    unknown name, or a folder that does not exist.
    """
    if not isinstance(name, str):
        raise InputError(f"a suite or task is named by a text such as 'open-dft', not by a {type(name).__name__}")
    root = None if runs is None else Path(runs)
    if root is not None and not root.is_dir():
        raise InputError(f"there is no folder '{root}': `bench run --out` makes one")
    tasks = [parse_task(name)] if "/" in name else list(suite_tasks(name))
    rows, notes = rank_rows(root, tasks, preset)
    for note in notes:
        warnings.warn(note, stacklevel=2)
    columns, records = row_columns(rows), row_records(rows)
    if frame == "pandas":
        require_packages(["pandas"], "")
        import pandas as pd

        return pd.DataFrame(records, columns=columns)
    if frame != "polars":
        raise InputError(f"frame is 'polars' or 'pandas', not '{frame}'")
    import polars as pl

    values = {column: [record[column] for record in records] for column in columns}
    lists = {column: pl.List(pl.String) for column in ("tied_with", "runs")}
    return pl.DataFrame(values, schema_overrides=lists)
