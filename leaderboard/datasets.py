"""Data sets: crystals with ids, groups and labels, read from one Parquet layout.

The layout: `material_id`, `formula`, `lattice` (9 floats: 3 x 3 rows, angstrom), `frac_coords` (3 n), `atomic_numbers`
(n), then columns from which the labels are made (null where unknown).
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asugnn.crystal import Crystal, Floats, reduced_formula
from asugnn.errors import InputError
from asugnn.model import suggestion
from leaderboard.sources import SOURCES, Source, Target, column

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SOURCES", "Dataset", "Source", "Target"]  # all that is said elsewhere as `datasets.Source`

HINT = "name the folder of {} with --data-dir or BENCH_DATA"
PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory. Crystals are built, and so checked, when they are asked for."""

    source: Source
    table: pl.DataFrame
    sha256: str  # of its content; of one that was brought or is in the package, of the file

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """All ids, in the order of the file."""
        return tuple(self.table["material_id"].to_list())

    @cached_property
    def rows(self) -> dict[str, int]:
        """Id to row."""
        return {name: i for i, name in enumerate(self.ids)}

    def labels(self, target: Target) -> Floats:
        """(n,) labels of all rows, nan where there is none."""
        return target.column(self.table)

    def groups(self, ids: Iterable[str]) -> tuple[str, ...]:
        """What belongs together in splits and in resampling: the reduced formula of each id."""
        numbers = self.table["atomic_numbers"].gather([self.rows[i] for i in ids]).to_list()
        return tuple(reduced_formula(n) for n in numbers)

    def crystals(self, ids: Iterable[str]) -> list[Crystal]:
        """The crystals of some ids; raises `InputError` naming the first that is none."""
        names = list(ids)
        some = self.table[[self.rows[i] for i in names]]
        columns = (some[c].to_numpy() for c in ("lattice", "frac_coords", "atomic_numbers"))
        out = []
        for name, lattice, frac, numbers in zip(names, *columns, strict=True):
            try:
                out.append(crystal(lattice, frac, numbers))
            except (InputError, ValueError, TypeError) as error:
                raise InputError(f"{self.source.file}, crystal '{name}': {error}") from error
        return out


def own_folder() -> Path:
    """Where data sets that were imported or made are: BENCH_DATA, else `asugnn-bench` in the user's folder of data."""
    if named := os.environ.get("BENCH_DATA"):
        return Path(named)
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "asugnn-bench"


def sources() -> list[Source]:
    """All data sets: those known here, then what was imported."""
    known = {s.name for s in SOURCES}
    files = sorted(f for f in own_folder().glob("*/dataset.json") if f.parent.name not in known)
    return [*(_made(s) if s.command else s for s in SOURCES), *(_imported(f, f.stat().st_mtime_ns) for f in files)]


def _made(of: Source) -> Source:
    """A data set that a command makes, where it is or will be; when it is there, with the targets that it has."""
    home = own_folder() / of.name
    there = described(home).get("targets", ())
    targets = tuple(t for t in of.targets if not there or t.name in {d["name"] for d in there})
    return replace(of, folder=home, targets=targets)


def described(home: Path) -> dict[str, Any]:
    """dataset.json in the folder of a data set; nothing where there is none. Raises `InputError`."""
    file = home / "dataset.json"
    return _json(file, file.stat().st_mtime_ns) if file.is_file() else {}


@cache
def _json(file: Path, _: int) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file} cannot be read as a data set: {error}; remove its folder, and make it again"
        ) from error
    return about


def provenance(of: Source) -> dict[str, str]:
    """Where a data set is from, as far as is known: source, version, date, licence, citation."""
    file = (PACKAGE / of.file).with_name("provenance.toml")
    about: Mapping[str, Any] = tomllib.loads(file.read_text("utf-8")) if of.embedded else {}
    if of.folder:
        about = described(of.folder)
    stated = {key: str(about[key]) for key in ("source", "version", "date") if key in about}
    return {**stated, "licence": of.licence, "citation": of.citation}


@cache  # a data set is one object, whoever asks for it
def _imported(file: Path, mtime: int) -> Source:
    about = _json(file, mtime)
    try:
        targets = tuple(
            Target(t["name"], t["kind"], t["unit"], t.get("meaning", f"{t['column']}, imported"), column(t))
            for t in about["targets"]
        )
        return Source(
            name=about["name"],
            title=about["title"],
            file="data.parquet",
            embedded=False,
            licence=about["licence"],
            citation=about["citation"],
            targets=targets,
            folder=file.parent,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} cannot be read as a data set: {error}; remove its folder, and import again"
        ) from error


def source(name: str) -> Source:
    """The data set of that name; raises `InputError`."""
    known = {s.name: s for s in sources()}
    if name not in known:
        raise InputError(f"there is no data set '{name}'{suggestion(name, known)}")
    return known[name]


def path(of: Source, data_dir: Path | None = None) -> Path | None:
    """The file of a data set, or None if it is not at hand."""
    if of.embedded:
        return PACKAGE / of.file
    if of.folder:
        return of.folder / of.file if not of.command or (of.folder / "dataset.json").is_file() else None
    folder = data_dir or (Path(os.environ["BENCH_DATA"]) if os.environ.get("BENCH_DATA") else None)
    return folder / of.file if folder and (folder / of.file).is_file() else None


def needs(of: Source) -> str:
    """What to do about a data set that is not at hand."""
    return f"`{of.command}` makes it" if of.command else HINT.format(of.file)


_opened: dict[Path, Dataset] = {}


def load(of: Source, data_dir: Path | None = None) -> Dataset:
    """Read a data set, once a process; raises `InputError` where it is not at hand or not in the layout."""
    file = path(of, data_dir)
    if file is None and of.command:
        raise InputError(f"data set {of.name} is not there yet: {needs(of)}")
    if file is None:
        folder = data_dir or os.environ.get("BENCH_DATA")
        where = f", and '{folder}' does not hold it" if folder else ""
        raise InputError(f"data set {of.name} is not in the package{where}: {needs(of)}")
    if file not in _opened:
        _opened[file] = _read(of, file)
    return _opened[file]


LAYOUT = ("material_id", "lattice", "frac_coords", "atomic_numbers")


def parquet(file: Path, content: bytes, needs: str) -> pl.DataFrame:
    """A table in the layout, from the bytes of a file; raises `InputError`, which ends with `needs` for a column."""
    import polars as pl

    try:
        table = pl.read_parquet(content)
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{file} cannot be read as Parquet: {str(error).splitlines()[0]}") from error
    if missing := [c for c in LAYOUT if c not in table.columns]:
        raise InputError(f"{file} has no column {', '.join(missing)}: {needs}")
    return table


def crystal(lattice: Any, frac_coords: Any, atomic_numbers: Any) -> Crystal:
    """A row of the layout; raises `InputError` or `ValueError` where it is no crystal."""
    return Crystal(
        np.asarray(lattice, float).reshape(3, 3), np.asarray(frac_coords, float).reshape(-1, 3), atomic_numbers
    )


def _read(of: Source, file: Path) -> Dataset:
    import polars as pl

    content = file.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    about = described(of.folder) if of.folder else {}
    if stated := about.get("file_sha256"):
        if stated != sha256:
            raise InputError(f"{file} was changed since it was made: remove its folder, and make it again")
        sha256 = about["sha256"]
    table = parquet(file, content, f"data set {of.name} needs {', '.join(LAYOUT)}")
    if (ids := table["material_id"]).is_duplicated().any():
        raise InputError(f"{file} holds id '{ids.filter(ids.is_duplicated())[0]}' more than once")
    dataset = Dataset(of, table, sha256)
    for target in of.targets:
        try:
            target.column(table)
        except pl.exceptions.ColumnNotFoundError as error:
            raise InputError(f"{file} has no column for {of.name}/{target.name}: {error}") from error
    return dataset
