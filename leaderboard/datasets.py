"""Data sets: crystals with ids, groups and labels, read from one Parquet layout.

The layout: `material_id`, `formula`, `lattice` (9 floats: 3 x 3 rows, angstrom), `frac_coords` (3 n), `atomic_numbers`
(n), then columns from which the labels are made (null where unknown).
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from asugnn.crystal import Crystal, Floats, reduced_formula
from asugnn.errors import InputError
from asugnn.model import Kind, suggestion
from leaderboard import metrics
from leaderboard.metrics import Metric

if TYPE_CHECKING:
    import polars as pl

Column = Callable[["pl.DataFrame"], Floats]  # table to (n,) labels, nan where there is none
HINT = "name the folder of {} with --data-dir or BENCH_DATA"
PACKAGE = Path(__file__).resolve().parent


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
    by_system: bool = False  # whether it is scored by chemical system too, see `leaderboard.systems`

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All that it is scored by, the one that ranks first."""
        return metrics.of(self.kind, self.ranked_by)


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


def _values(name: str) -> Column:
    return lambda table: table[name].cast(float).fill_null(float("nan")).to_numpy().copy()


def _where(column: Column, *conditions: tuple[str, Sequence[object]]) -> Column:
    """The column where each condition (name, allowed values) holds, nan elsewhere."""

    def chosen(table: pl.DataFrame) -> Floats:
        keep = np.all([table[name].is_in(list(allowed)).to_numpy() for name, allowed in conditions], axis=0)
        return np.where(keep, column(table), np.nan)

    return chosen


def _log10(column: Column) -> Column:
    return lambda table: np.log10(column(table))


def _metal(gap: Column) -> Column:
    """1 for a gap of exactly 0 as stored, 0 for any other."""

    def metal(table: pl.DataFrame) -> Floats:
        values = gap(table)
        return np.where(np.isnan(values), np.nan, (values == 0).astype(float))

    return metal


def _column(described: Mapping[str, str]) -> Column:
    """The labels of a target as dataset.json describes it."""
    made: dict[str, Callable[[Column], Column]] = {"value": lambda c: c, "log10": _log10, "zero": _metal}
    return made[described.get("label", "value")](_values(described["column"]))


def _targets(energy: Column, gap: Column, modulus: Column, meanings: Sequence[str]) -> tuple[Target, ...]:
    """The four targets that every data set of inorganic crystals has here."""
    return (
        Target("formation-energy", "regression", "eV/atom", meanings[0], energy),
        Target("band-gap", "regression", "eV", meanings[1], gap),
        Target("bulk-modulus", "regression", "log10 GPa", meanings[2], _log10(modulus)),
        Target("metal", "binary", "", meanings[3], _metal(gap)),
    )


_COMPUTED = ("set", ["reference", "compound"])
_EQUILIBRIUM = ("equilibrium", [True])

SOURCES = (
    Source(
        name="open-dft",
        title="GPAW/PBE compounds over prototypes, several volumes each; distorted Ag and Fe-C",
        file="open-dft/open_dft.parquet",
        embedded=True,
        licence="MIT",
        citation="The asugnn-bench developers, open-dft version 1 (2026)",
        targets=(
            *_targets(
                _where(_values("formation_energy"), _COMPUTED),
                _where(_values("band_gap"), _COMPUTED, _EQUILIBRIUM),
                _where(_values("bulk_modulus"), _COMPUTED, _EQUILIBRIUM),
                (
                    "PBE, several volumes of each compound",
                    "PBE on the k-mesh, at equilibrium, metals included as 0",
                    "clamped-ion, from an equation of state",
                    "gap on the k-mesh below 0.01 eV, at equilibrium",
                ),
            ),
            Target(
                "zero-shot",
                "regression",
                "eV/atom",
                "formation energy of distorted Ag and Fe-C, by the model of formation-energy",
                _where(_values("formation_energy"), ("set", ["zero_shot"])),
                model_of="formation-energy",
                by_system=True,
            ),
        ),
    ),
    Source(
        name="mp-2018",
        title="Materials Project crystals with the labels of 2018: most of the CGCNN list",
        file="mp_subset.parquet",
        embedded=False,
        licence="CC-BY-4.0",
        citation="Jain et al., APL Mater. 1, 011002 (2013); list: Xie & Grossman, PRL 120, 145301 (2018)",
        targets=_targets(
            _values("e_form_2018"),
            _values("band_gap_2018"),
            _values("bulk_modulus_vrh"),
            (
                "Materials Project of 2018",
                "Materials Project of 2018, PBE, metals included as 0",
                "Voigt-Reuss-Hill average",
                "gap of exactly 0 as stored in 2018",
            ),
        ),
    ),
    Source(
        name="mp-2024-1",
        title="the paper's data set: Materials Project of January 2024, screened as the paper says",
        file="data.parquet",
        embedded=False,
        licence="CC-BY-4.0",
        citation="Jain et al., APL Mater. 1, 011002 (2013); screening: Cao, Anderson & Davis, J. Appl. Cryst. (2025)",
        targets=_targets(
            _values("formation_energy"),
            _values("band_gap"),
            _values("bulk_modulus_voigt"),
            (
                "Materials Project, database version 2023-11-01",
                "Materials Project, PBE, metals included as 0",
                "Voigt average",
                "gap of exactly 0 as stored",
            ),
        ),
        command="bench data build mp-2024-1",
    ),
    Source(
        name="hm",
        title="HMdataset: random Ag and Fe-C structures, VASP",
        file="data.parquet",
        embedded=False,
        licence="as on its page: huggingface.co/caobin/ASUGNN",
        citation="Cao, Anderson & Davis, J. Appl. Cryst. (2025)",
        targets=(
            Target(
                "zero-shot",
                "regression",
                "eV/atom",
                "formation energy of random Ag and Fe-C, by the model of mp-2024-1/formation-energy",
                _values("formation_energy"),
                model_of="mp-2024-1/formation-energy",
                by_system=True,
            ),
            Target(
                "metal",
                "binary",
                "",
                "gap of exactly 0 as stored, by the model of mp-2024-1/metal",
                _metal(_values("band_gap")),
                model_of="mp-2024-1/metal",
                by_system=True,
            ),
        ),
        command="bench data fetch hm",
    ),
    Source(
        name="nomad2018",
        title="Kaggle's NOMAD2018: (Al,Ga,In)2O3, 2,400 crystals to train and 600 to test",
        file="data.parquet",
        embedded=False,
        licence="as on its page: github.com/csutton7/nomad_2018_kaggle_dataset",
        citation="Sutton et al., npj Comput. Mater. 5, 111 (2019)",
        targets=(
            Target(
                "formation-energy",
                "regression",
                "eV/cation",
                "PBE, of mixing, as in the competition",
                _values("formation_energy"),
                ranked_by="rmsle",
            ),
            Target(
                "band-gap",
                "regression",
                "eV",
                "PBE, as in the competition",
                _values("band_gap"),
                ranked_by="rmsle",
            ),
        ),
        command="bench data fetch nomad2018",
    ),
)


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
            Target(t["name"], t["kind"], t["unit"], t.get("meaning", f"{t['column']}, imported"), _column(t))
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
