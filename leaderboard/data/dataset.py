"""Data sets: crystals with ids, groups and labels, read from one Parquet layout.

The layout: `material_id`, `formula`, `lattice` (9 floats: 3 x 3 rows, angstrom), `frac_coords` (3 n), `atomic_numbers`
(n), then columns from which the labels are made (null where unknown). A data set whose crystals were not fetched has
ids, formulas and labels alone, which is enough to score predictions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from asugnn.crystal import Crystal, Floats
from asugnn.crystal_arrays import faultless_crystals
from asugnn.errors import InputError
from asugnn.limits import ATOMS, ID_BYTES, PARQUET_BYTES, check_limit
from asugnn.model import Labelled
from asugnn.reading import read_bounded_bytes, reading, reason
from leaderboard._util import current_workspace, without_standard_error
from leaderboard.data.formulas import reduced_formulas
from leaderboard.data.parquet_bounds import check_parquet
from leaderboard.data.registry import crystals_hint, data_file, embedded_record, how_to_get, read_description
from leaderboard.data.targets import Source, Target

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory. Crystals are built and checked when `crystals` is called."""

    source: Source
    table: pl.DataFrame
    sha256: str  # of crystals and labels where it was made here, else of the file

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """All ids, in the order of the file."""
        return tuple(self.table["material_id"].to_list())

    @cached_property
    def rows(self) -> dict[str, int]:
        """Id to row."""
        return {name: i for i, name in enumerate(self.ids)}

    def labels(self, target: Target) -> Floats:
        """Labels (n,) of all rows, nan where there is none."""
        return target.column(self.table)

    @property
    def has_crystals(self) -> bool:
        """Whether it has crystals, or labels alone."""
        return set(LAYOUT) <= set(self.table.columns)

    def require_crystals(self) -> None:
        """Raise `InputError` where there are labels alone."""
        if not self.has_crystals:
            raise InputError(
                f"data set {self.source.name} has labels without crystals here: {crystals_hint(self.source)}"
            )

    def groups(self, ids: Iterable[str]) -> tuple[str, ...]:
        """The reduced formula of each id: rows of one formula are split together, and vary together.

        Where no formula is known, which needs a data set without crystals, it is the id.
        """
        names = list(ids)
        rows = list(map(self.rows.__getitem__, names))
        if not self.has_crystals:
            formulas = self.table["formula"].gather(rows).to_list()
            return tuple(formula or name for formula, name in zip(formulas, names, strict=True))
        with reading(Path(self.source.file), "a data set", "its column atomic_numbers must list numbers from 1 to 118"):
            return tuple(reduced_formulas(self.table["atomic_numbers"].gather(rows)))

    def crystals(self, ids: Iterable[str]) -> list[Crystal]:
        """The crystals of some ids; raises `InputError` that names the first invalid one, or where there are none."""
        self.require_crystals()
        names = list(ids)
        selected = self.table[[self.rows[i] for i in names]]
        if (faultless := _faultless_crystals(selected)) is not None:
            return faultless
        columns = (selected[c].to_numpy() for c in ("lattice", "frac_coords", "atomic_numbers"))
        crystals = []
        for name, lattice, frac, numbers in zip(names, *columns, strict=True):
            try:
                crystals.append(crystal_from_row(lattice, frac, numbers))
            except Exception as error:  # a damaged row may hold anything
                raise InputError(f"{self.source.file}, crystal '{name}': {reason(error)}") from error
        return crystals

    def labelled(self, target: Target, ids: Sequence[str]) -> Labelled:
        """The crystals of some ids with their labels of one target; raises `InputError` like `crystals`."""
        y = self.labels(target)[[self.rows[i] for i in ids]]
        return Labelled(tuple(ids), self.crystals(ids), y, target.kind)


_opened: dict[Path, tuple[tuple[int, int], Dataset]] = {}  # with time and size of the file


def load_dataset(source: Source) -> Dataset:
    """Read a data set, once per process; raises `InputError` where it is not available or not in the layout."""
    file = data_file(source)
    if file is None and source.command:
        raise InputError(f"data set {source.name} is not available yet: {how_to_get(source)}")
    if file is None:
        folder = current_workspace().data
        where = f", nor in '{folder}'" if folder else ""
        raise InputError(f"data set {source.name} is not in the package{where}: {how_to_get(source)}")
    with reading(file, "a data set"):
        status = file.stat()
    stamp = status.st_mtime_ns, status.st_size
    if file not in _opened or _opened[file][0] != stamp:
        _opened[file] = stamp, _read_dataset(source, file)
    return _opened[file][1]


LAYOUT = ("material_id", "lattice", "frac_coords", "atomic_numbers")
LABELS_LAYOUT = ("material_id", "formula")  # of a data set without crystals


def read_layout(file: Path, hint: str, content: bytes | None = None, needed: Sequence[str] = LAYOUT) -> pl.DataFrame:
    """A table in the layout from a file; raises `InputError`, with `hint` where a column of `needed` is missing.

    `content` are the bytes of the file, where they are known already.
    """
    import polars as pl

    with reading(file, "Parquet"):
        if content is None:
            content = read_bounded_bytes(file, PARQUET_BYTES)
        check_parquet(content)
        with without_standard_error():
            table = pl.read_parquet(content)
        _check_row_sizes(table)
    if missing := [c for c in needed if c not in table.columns]:
        raise InputError(f"{file} has no column {', '.join(missing)}: {hint}")
    return table


def _check_row_sizes(table: pl.DataFrame) -> None:
    """Refuse a long id or list before it becomes Python's: repeated values take no place in the file."""
    import polars as pl

    for column in table.select(pl.col("^(material_id|formula|lattice|frac_coords|atomic_numbers)$")):
        if column.dtype == pl.String:
            check_limit(cast(int, column.str.len_bytes().max() or 0), ID_BYTES, f"bytes in one {column.name}")
        if column.dtype == pl.List:
            check_limit(cast(int, column.list.len().max() or 0), 3 * ATOMS, f"values in one {column.name}")


def _faultless_crystals(table: pl.DataFrame) -> list[Crystal] | None:
    """The crystals of all rows; None where one of them might be refused."""
    import polars as pl

    try:
        parts = table.select(pl.col(c).cast(pl.List(pl.Float64)) for c in ("lattice", "frac_coords", "atomic_numbers"))
    except pl.exceptions.PolarsError:
        return None
    sizes = [column.list.len().to_numpy() for column in parts]
    if not (sizes[0] == 9).all() or not (sizes[1] == 3 * sizes[2]).all():
        return None
    lattices, frac_coords, values = (column.explode().to_numpy() for column in parts)
    numbers = np.array(values, dtype=np.int64) if np.isfinite(values).all() else None
    if numbers is None or not (numbers == values).all():
        return None
    sized = sizes[2].astype(np.int64)
    return faultless_crystals(lattices.reshape(-1, 3, 3).copy(), frac_coords.reshape(-1, 3).copy(), numbers, sized)


def crystal_from_row(lattice: Any, frac_coords: Any, atomic_numbers: Any) -> Crystal:
    """The crystal of a row of the layout (9, 3 n and n values); raises `InputError` or `ValueError`."""
    return Crystal(
        np.asarray(lattice, float).reshape(3, 3), np.asarray(frac_coords, float).reshape(-1, 3), atomic_numbers
    )


def _read_dataset(source: Source, file: Path) -> Dataset:
    import polars as pl

    with reading(file, "Parquet"):
        content = read_bounded_bytes(file, PARQUET_BYTES)
    sha256 = hashlib.sha256(content).hexdigest()
    description = read_description(source.folder) if source.folder else {}
    if stated := description.get("file_sha256"):
        if stated != sha256:
            raise InputError(f"{file} was changed since it was made: remove its folder, and make it again")
        sha256 = description["sha256"]
    elif source.embedded and sha256 != embedded_record(source)["sha256"]:
        raise InputError(f"{file} was changed: its sha256 is not that in provenance.toml; install the package again")
    needed = LAYOUT if description.get("crystals", True) else LABELS_LAYOUT
    table = read_layout(file, f"data set {source.name} needs {', '.join(needed)}", content, needed)
    if (ids := table["material_id"]).dtype != pl.String or ids.has_nulls():
        raise InputError(f"{file} has ids that are not text, in its column material_id")
    dataset = Dataset(source, table, sha256)
    if len(dataset.rows) < len(ids):
        raise InputError(f"{file} holds id '{ids.filter(ids.is_duplicated())[0]}' more than once")
    for target in source.targets:
        try:
            target.column(table)
        except pl.exceptions.ColumnNotFoundError as error:
            raise InputError(f"{file} has no column for {source.name}/{target.name}: {error}") from error
        except Exception as error:  # a column may hold anything
            raise InputError(f"{file}, column of {source.name}/{target.name}: {reason(error)}") from error
    return dataset
