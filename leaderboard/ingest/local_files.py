"""Import crystals and labels from local files as a data set, with tasks and splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asugnn.ase_files import StoredStructure, crystal_from_cartesian, read_stored_structures
from asugnn.crystal import Crystal
from asugnn.errors import InputError, prefix_errors
from asugnn.reading import reading
from asugnn.structure_files import structure_ids
from leaderboard._util import SAFE_NAME, lock_folder
from leaderboard.data import (
    LAYOUT,
    SUITES,
    Source,
    crystal_from_row,
    damaged_sources,
    data_folder,
    list_sources,
    read_layout,
)
from leaderboard.ingest.cif_folder import read_cif_folder
from leaderboard.ingest.labelled_rows import ImportTarget, LabelledRows
from leaderboard.ingest.write import NewDataset, write_dataset

SHOWN = 5  # faults that are listed
IMPORT_FORMATS = "a Parquet table in the bench's layout, a folder of CIFs with a CSV, an ASE database, or extended XYZ"


def import_dataset(
    path: Path, name: str, wanted: Sequence[ImportTarget], about: Mapping[str, str], skip: bool
) -> Source:
    """Read `path`, write the data set `name` into the folder of data sets, and return it.

    `about` has title, licence and citation. Rows that cannot be used are excluded with `skip`, else they raise
    `InputError`. An existing data set is not replaced.
    """
    _check_name(name)
    if len({w.name for w in wanted}) < len(wanted) or not wanted:
        raise InputError("name each label once, with --target COLUMN:UNIT")
    if taken := [w.column for w in wanted if w.column in {*LAYOUT, "formula"}]:
        raise InputError(f"a column of labels cannot be called '{taken[0]}', as one of the crystals is: rename it")
    found = LabelledRows(path, wanted)
    columns = _read_rows(path, found)
    for w in wanted:
        found.check_column(w, columns)
    if found.faults and not skip:
        raise InputError(_list_faults(found.file, [f"'{i}': {fault}" if i else fault for i, fault in found.faults]))
    if not found.rows:
        raise InputError(f"{found.file} has no crystal that can be read")
    targets = [
        {"name": w.name, "column": w.column, "unit": w.unit}
        | ({"kind": "regression"} if w.unit else {"kind": "binary", "positive": w.name.replace("-", " ")})
        for w in wanted
    ]
    excluded = [(i, "unreadable", fault) for i, fault in found.faults]
    excluded += [(i, "unlabelled", sentence) for i, sentence in found.unlabelled]
    new = NewDataset(
        name=name,
        rows=found.rows,
        columns=[w.column for w in wanted],
        targets=targets,
        about={"source": str(path), **about},
        command="bench data import",
        excluded=excluded,
    )
    with lock_folder(data_folder() / name, wait=True):
        _check_name(name)  # another command may have taken it meanwhile
        return write_dataset(new)


def _check_name(name: str) -> None:
    """Raise `InputError` for a name that no new data set may have."""
    taken = {*damaged_sources(), *(s.name for s in list_sources()), *SUITES, "ablation"}
    if not SAFE_NAME.fullmatch(name) or name in taken:
        fault = "is taken" if SAFE_NAME.fullmatch(name) else "may only have letters, digits and . _ + = -"
        raise InputError(f"the name '{name}' {fault}: choose another with --name")


def _list_faults(path: Path, faults: Sequence[str]) -> str:
    more = f"\n  and {len(faults) - SHOWN:,} more" if len(faults) > SHOWN else ""
    count = "1 row" if len(faults) == 1 else f"{len(faults):,} rows"
    return "\n  ".join([f"{path}: {count} cannot be used; --skip excludes them", *faults[:SHOWN]]) + more


def _read_rows(path: Path, found: LabelledRows) -> Sequence[str]:
    """Read the rows of a file or folder into `found`, and return the columns that there are; raises `InputError`."""
    if path.is_dir():
        return read_cif_folder(path, found)
    if not path.is_file():
        raise InputError(f"there is no {path}; import {IMPORT_FORMATS}")
    ending = path.suffix.lower()
    if ending == ".parquet":
        return _read_parquet(path, found)
    if ending in {".db", ".json", ".xyz", ".extxyz"}:
        return _read_structures(path, found)
    raise InputError(f"{path} cannot be imported: give {IMPORT_FORMATS}")


def _read_structures(path: Path, found: LabelledRows) -> Sequence[str]:
    with reading(path, "crystals with labels", "it may be damaged"), prefix_errors(str(path)):
        if path.stat().st_size == 0:
            raise InputError("the file is empty")
        stored = list(read_stored_structures(path))
    for name, structure in zip(structure_ids(path, [s.index for s in stored]), stored, strict=True):

        def crystal(s: StoredStructure = structure) -> Crystal:
            return crystal_from_cartesian(s.cell, s.pbc, s.positions, s.numbers)

        found.add(name, f"structure {structure.index}", structure.values, crystal)
    return list(dict.fromkeys(name for structure in stored for name in structure.values))


def _read_parquet(path: Path, found: LabelledRows) -> Sequence[str]:
    import polars as pl

    table = read_layout(path, f"the layout is {', '.join(LAYOUT)}, then labels")
    labels = [w.column for w in found.wanted if w.column in table.columns and w.column not in LAYOUT]
    for column in labels:
        if (kind := table[column].dtype).is_nested() or kind.is_temporal() or kind in (pl.Binary, pl.Object):
            raise InputError(f"{path}: column '{column}' holds {kind}, not numbers")
    for number, row in enumerate(table.select(*LAYOUT, *labels).iter_rows(named=True), 1):

        def crystal(row: Mapping[str, Any] = row) -> Crystal:
            with reading(path, "a crystal"):
                return crystal_from_row(row["lattice"], row["frac_coords"], row["atomic_numbers"])

        name = row["material_id"]
        found.add("" if name is None else str(name), f"row {number}", row, crystal)
    return [column for column in table.columns if column not in LAYOUT]
