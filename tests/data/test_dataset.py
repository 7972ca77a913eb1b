"""Data sets: counts known from their makers, labels from raw columns, and sentences for bad files."""

import hashlib
import tomllib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import packaged_counts

from asugnn import InputError
from asugnn.crystal import reduced_formula
from leaderboard._util import use_workspace
from leaderboard.data import formulas
from leaderboard.data.dataset import Source, Target, load_dataset
from leaderboard.data.registry import PACKAGE, find_source

OPEN_DFT = find_source("open-dft")


def target(name: str, source: Source = OPEN_DFT) -> Target:
    return next(t for t in source.targets if t.name == name)


def test_open_dft_has_the_counts_of_its_provenance():
    data, stated = load_dataset(OPEN_DFT), packaged_counts()
    counts = {t.name: int(np.isfinite(data.labels(t)).sum()) for t in OPEN_DFT.targets}
    at_minimum = stated["compounds"] + stated["elements"]
    assert len(data.ids) == stated["rows"]
    assert counts == {
        "formation-energy": stated["rows"] - stated["zero_shot"],
        "band-gap": at_minimum,
        "bulk-modulus": stated["bulk_moduli"],
        "metal": at_minimum,
        "zero-shot": stated["zero_shot"],
    }


def test_open_dft_is_the_file_of_its_provenance():
    folder = PACKAGE / "_data/open-dft"
    provenance = tomllib.loads((folder / "provenance.toml").read_text())
    assert hashlib.sha256((folder / "open_dft.parquet").read_bytes()).hexdigest() == provenance["sha256"]


def test_labels_of_known_rows():
    data = load_dataset(OPEN_DFT)
    row = data.rows["rocksalt-LiF:2.6564"]
    assert data.labels(target("formation-energy"))[row] == -2.850165
    assert np.isnan(data.labels(target("band-gap"))[row])  # not at equilibrium
    silver = data.rows["ref-Ag:2.8806"]
    assert data.labels(target("metal"))[silver] == 1
    assert data.labels(target("bulk-modulus"))[silver] == pytest.approx(np.log10(90.62))


def test_metal_is_a_gap_of_zero():
    data = load_dataset(OPEN_DFT)
    gap, metal = data.labels(target("band-gap")), data.labels(target("metal"))
    known = np.isfinite(gap)
    assert np.array_equal(metal[known] == 1, gap[known] == 0)
    assert np.array_equal(known, np.isfinite(metal))


def test_every_crystal_can_be_built_and_has_the_volume_of_the_calculation():
    data = load_dataset(OPEN_DFT)
    crystals = data.crystals(data.ids)
    silver = crystals[data.rows["ref-Ag:2.8393"]]
    assert silver.volume == pytest.approx(17.1038, abs=1e-4)
    assert data.groups(["rocksalt-LiF:2.6564"]) == ("FLi",)


def test_mp_2018_has_the_counts_of_its_readme(data: Path):
    mp = find_source("mp-2018")
    loaded = load_dataset(mp)
    counts = {t.name: int(np.isfinite(loaded.labels(t)).sum()) for t in mp.targets}
    assert counts == {"formation-energy": 33032, "band-gap": 33032, "bulk-modulus": 7959, "metal": 33032}


def test_a_data_set_that_is_not_at_hand_says_how_to_name_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("BENCH_DATA", raising=False)
    with pytest.raises(InputError, match=r"mp-2018 is not in the package: name the folder of mp_subset\.parquet"):
        load_dataset(find_source("mp-2018"))
    with pytest.raises(InputError, match="is not in the package, nor in"), use_workspace(data=tmp_path):
        load_dataset(find_source("mp-2018"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.drop("lattice"), "has no column lattice"),
        (lambda t: t.drop("e_form_2018"), "no column for mp-2018/formation-energy"),
        (lambda t: pl.concat([t, t.head(1)]), "holds id 'mp-1' more than once"),
        (lambda t: t.with_columns(material_id=pl.lit(1)), "has ids that are not text"),
        (lambda t: t.with_columns(material_id=pl.lit(None, pl.String)), "has ids that are not text"),
        (lambda t: t.with_columns(e_form_2018=pl.lit("x")), "column of mp-2018/formation-energy: "),
        (lambda t: t.with_columns(e_form_2018=pl.lit([[1.0]])), "column of mp-2018/formation-energy: "),
    ],
)
def test_a_file_of_another_layout_is_refused(change, sentence: str, tmp_path: Path):
    change(table()).write_parquet(tmp_path / "mp_subset.parquet")
    with pytest.raises(InputError, match=sentence), use_workspace(data=tmp_path):
        load_dataset(find_source("mp-2018"))


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path):
    (tmp_path / "mp_subset.parquet").write_text("id,energy\n")
    with pytest.raises(InputError, match="cannot be read as Parquet"), use_workspace(data=tmp_path):
        load_dataset(find_source("mp-2018"))


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("lattice", [1.0] * 9, "no volume"),
        ("lattice", [1.0] * 8, "'mp-2'"),
        ("frac_coords", [0.0, 0.0, float("nan")], "not a finite number"),
        ("atomic_numbers", [119], "119 is not the atomic number"),
        ("atomic_numbers", [], "no atoms"),
        ("frac_coords", None, "'mp-2'"),
    ],
)
def test_a_crystal_that_is_none_is_named(column: str, value: object, sentence: str, tmp_path: Path):
    rows = table().to_dicts()
    rows[1][column] = value
    pl.DataFrame(rows, schema=table().schema).write_parquet(tmp_path / "mp_subset.parquet")
    with use_workspace(data=tmp_path):
        data = load_dataset(find_source("mp-2018"))
    with pytest.raises(InputError, match=r"mp_subset\.parquet, crystal 'mp-2'") as caught:
        data.crystals(data.ids)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("numbers", [[119], [-1000], None])
def test_a_formula_of_no_elements_is_refused(numbers: object, tmp_path: Path):
    rows = table().to_dicts()
    rows[1]["atomic_numbers"] = numbers
    pl.DataFrame(rows, schema=table().schema).write_parquet(tmp_path / "mp_subset.parquet")
    with use_workspace(data=tmp_path):
        data = load_dataset(find_source("mp-2018"))
    with pytest.raises(InputError, match="its column atomic_numbers must list numbers from 1 to 118"):
        data.groups(data.ids)


def test_unknown_data_set_gets_the_nearest_right_one():
    with pytest.raises(InputError, match="did you mean 'open-dft'"):
        find_source("opendft")


def table() -> pl.DataFrame:
    """Two crystals in the layout of mp-2018."""
    return pl.DataFrame(
        {
            "material_id": ["mp-1", "mp-2"],
            "formula": ["Cs", "Na"],
            "lattice": [[5.0, 0, 0, 0, 5.0, 0, 0, 0, 5.0], [4.0, 0, 0, 0, 4.0, 0, 0, 0, 4.0]],
            "frac_coords": [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
            "atomic_numbers": [[55], [11]],
            "e_form_2018": [0.0, 0.1],
            "band_gap_2018": [0.0, 0.0],
            "bulk_modulus_vrh": [2.0, 7.0],
        },
    )


@given(st.lists(st.lists(st.integers(1, 118) | st.integers(1, 3), min_size=1, max_size=30), max_size=8))
def test_formulas_of_many_crystals_are_those_of_each(numbers):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formulas, "BLOCK", 3)
        found = formulas.reduced_formulas(pl.Series(numbers, dtype=pl.List(pl.Int64)))
    assert found == [reduced_formula(n) for n in numbers]


@pytest.mark.parametrize("wrong", [[0], [119], [-1], [], [None], None])
def test_a_wrong_atomic_number_has_no_formula(wrong):
    with pytest.raises(ValueError, match="missing, or not of an element"):
        formulas.reduced_formulas(pl.Series([[1], wrong], dtype=pl.List(pl.Int64)))
