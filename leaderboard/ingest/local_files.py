"""Import crystals and labels from local files as a data set, with tasks and splits."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asugnn.crystal import Crystal
from asugnn.errors import InputError
from asugnn.reading import read_csv_rows, reading
from asugnn.structure_files import read_crystals, read_labelled_crystals
from leaderboard._util import SAFE_NAME, show_progress
from leaderboard.data import LAYOUT, Source, crystal_from_row, damaged_sources, list_sources, read_layout
from leaderboard.ingest.write import Labels, NewDataset, write_dataset

SHOWN = 5  # faults that are listed
IMPORT_FORMATS = (
    "a Parquet table in the bench's layout, a folder of CIFs with one CSV, an ASE database, or extended XYZ"
)
Faults = list[tuple[str, str]]  # id and fault of rows that cannot be used


@dataclass(frozen=True)
class ImportTarget:
    """A label to import: its column, and its unit, which is empty for a binary label."""

    column: str
    unit: str

    @property
    def name(self) -> str:
        """The name of the target: that of the column in lower case, with `-` between words."""
        return re.sub(r"[^a-z0-9]+", "-", self.column.lower()).strip("-")


def parse_target(text: str) -> ImportTarget:
    """Read `COLUMN:UNIT`, or `COLUMN` for a binary label; raises `InputError`."""
    column, _, unit = text.partition(":")
    wanted = ImportTarget(column.strip(), unit.strip())
    if not wanted.name:
        raise InputError(f"--target takes COLUMN:UNIT, not '{text}'")
    return wanted


def import_dataset(
    path: Path, name: str, wanted: Sequence[ImportTarget], about: Mapping[str, str], skip: bool
) -> Source:
    """Read `path`, write the data set `name` into the folder of data sets, and return it.

    `about` has title, licence and citation. Rows that cannot be used are excluded with `skip`, else they raise
    `InputError`. An existing data set is not replaced.
    """
    if not SAFE_NAME.fullmatch(name) or name in {*damaged_sources(), *(s.name for s in list_sources())}:
        fault = "is taken" if SAFE_NAME.fullmatch(name) else "may only have letters, digits and . _ + = -"
        raise InputError(f"the name '{name}' {fault}: choose another with --name")
    if len({w.name for w in wanted}) < len(wanted) or not wanted:
        raise InputError("name each label once, with --target COLUMN:UNIT")
    rows, faults = _read_rows(path)
    if faults and not skip:
        raise InputError(_list_faults(path, [f"'{i}': {fault}" for i, fault in faults]))
    if not rows:
        raise InputError(f"{path} has no crystal that can be read")
    for w in wanted:
        values = [labels[w.column] for _, labels in rows.values() if w.column in labels]
        if not values:
            columns = sorted({c for _, labels in rows.values() for c in labels})
            raise InputError(f"{path} has no label '{w.column}'; there is: {', '.join(columns) or 'none'}")
        if not w.unit and not set(values) <= {0.0, 1.0}:
            raise InputError(f"label '{w.column}' has other values than 0 and 1: give its unit, --target {w.column}:eV")
    targets = [
        {"name": w.name, "column": w.column, "unit": w.unit}
        | ({"kind": "regression"} if w.unit else {"kind": "binary", "positive": w.name.replace("-", " ")})
        for w in wanted
    ]
    excluded = [(i, "unreadable", fault) for i, fault in faults]
    return write_dataset(
        NewDataset(
            name=name,
            rows=rows,
            columns=[w.column for w in wanted],
            targets=targets,
            about={"source": str(path), **about},
            command="bench data import",
            excluded=excluded,
        )
    )


def _list_faults(path: Path, faults: Sequence[str]) -> str:
    more = f"\n  and {len(faults) - SHOWN:,} more" if len(faults) > SHOWN else ""
    return "\n  ".join([f"{path}: {len(faults):,} rows cannot be used; --skip excludes them", *faults[:SHOWN]]) + more


def _read_rows(path: Path) -> tuple[dict[str, tuple[Crystal, Labels]], Faults]:
    """Crystals and labels by id, and the rows that cannot be used."""
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise InputError(f"there is no {path}; import {IMPORT_FORMATS}")
    if path.suffix == ".parquet":
        return _read_parquet(path)
    if path.suffix in {".db", ".xyz", ".extxyz"}:
        return read_labelled_crystals(path), []
    raise InputError(f"{path} cannot be imported: give {IMPORT_FORMATS}")


def _read_folder(path: Path) -> tuple[dict[str, tuple[Crystal, Labels]], Faults]:
    tables = sorted(path.glob("*.csv"))
    if len(tables) != 1:
        raise InputError(
            f"{path} has {len(tables)} CSV files: one must hold the labels, its first column the CIF's name"
        )
    with reading(tables[0], "a table of labels", "save it as 'CSV UTF-8', with a header"):
        header, *lines = read_csv_rows(tables[0])
    rows: dict[str, tuple[Crystal, Labels]] = {}
    faults: Faults = []
    with show_progress(f"reading {path}", len(lines)) as bar:
        for number, line in enumerate(lines, 2):
            bar.advance()
            name = line[0].strip().removesuffix(".cif")
            try:
                if name in rows:
                    raise InputError("it occurs twice")
                if len(line) != len(header):
                    raise InputError(
                        f"line {number} of {tables[0].name} has {len(line)} cells, the header {len(header)}"
                    )
                with reading(tables[0], f"labels in line {number}"):
                    labels = {c: float(x) for c, x in zip(header[1:], line[1:], strict=True) if x.strip()}
                with reading(path / f"{name}.cif", "one crystal"):
                    (crystal,) = read_crystals(path / f"{name}.cif").values()
                rows[name] = crystal, labels
            except InputError as error:
                faults.append((name, str(error)))
    return rows, faults


def _read_parquet(path: Path) -> tuple[dict[str, tuple[Crystal, Labels]], Faults]:
    import polars as pl

    table = read_layout(path, f"the layout is {', '.join(LAYOUT)}, then labels")
    numeric = [
        c for c in table.columns if (c not in LAYOUT and table[c].dtype.is_numeric()) or table[c].dtype == pl.Boolean
    ]
    rows: dict[str, tuple[Crystal, Labels]] = {}
    faults: Faults = []
    for number, row in enumerate(table.select(*LAYOUT, *numeric).iter_rows(named=True), 1):
        name = str(row["material_id"])
        try:
            if name in rows:
                raise InputError("it occurs twice")
            with reading(path, f"a crystal in row {number}"):
                crystal = crystal_from_row(row["lattice"], row["frac_coords"], row["atomic_numbers"])
            rows[name] = crystal, {c: float(row[c]) for c in numeric if row[c] is not None and np.isfinite(row[c])}
        except InputError as error:
            faults.append((name, str(error)))
    return rows, faults
