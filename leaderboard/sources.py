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
from leaderboard import metrics
from leaderboard.metrics import Metric

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


def column(described: Mapping[str, str]) -> Column:
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
