"""What is odd in a table of labels: read right or refused, in the sentence with which `bench score` refuses it."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io import write
from hypothesis import given
from hypothesis import strategies as st

from asugnn import InputError
from asugnn.structure_files import read_crystals
from leaderboard._util import use_workspace
from leaderboard.data.csv_table import join_quoted_lines
from leaderboard.ingest.labelled_rows import LabelledRows, parse_label, parse_target
from leaderboard.ingest.local_files import _read_rows, import_dataset
from leaderboard.records.predictions_csv import SubmissionError, read_predictions

IDS = ["c0", "c1", "c2"]
CIF = """data_x
_cell_length_a {a}
_cell_length_b {a}
_cell_length_c {a}
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_equiv_pos_as_xyz x,y,z
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Cs1 0 0 0
Cl1 0.5 0.5 0.5
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three CIFs, to which a test adds labels.csv."""
    for i, name in enumerate(IDS):
        (tmp_path / f"{name}.cif").write_text(CIF.format(a=4 + i / 10))
    return tmp_path


def labels_in(folder: Path, content: str | bytes, *targets: str) -> LabelledRows:
    (folder / "labels.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    return read(folder, *targets)


def read(path: Path, *targets: str) -> LabelledRows:
    found = LabelledRows(path, [parse_target(target) for target in targets])
    columns = _read_rows(path, found)
    for wanted in found.wanted:
        found.check_column(wanted, columns)
    return found


def values(found: LabelledRows, column: str = "gap") -> list[float | None]:
    assert not found.faults
    return [labels.get(column) for _, labels in found.rows.values()]


def table(value: str = "2", header: str = "id,gap", last: str = "c2,3") -> str:
    return f"{header}\nc0,1\nc1,{value}\n{last}\n"


FAULTS = {
    "no number": (table("high"), "line 3: 'high' is not a number"),
    "underscore": (table("1_000"), "line 3: '1_000' is not a number"),
    "infinite": (table("inf"), "line 3: 'inf' is not a finite number"),
    "nan": (table("nan"), "line 3: 'nan' is not a finite number"),
    "NA": (table("NA"), "line 3: 'NA' is not a number"),
    "overflow": (table("1e999"), "line 3: '1e999' is too large for a floating-point number"),
    "truth of a quantity": (table("True"), "line 3: 'True' is not a number"),
    "hexadecimal": (table("0x10"), "line 3: '0x10' is not a number"),
    "other digits": (table("\u0663"), "line 3: '\u0663' is not a number"),
    "decimal comma": (table('"0,5"'), "line 3: '0,5' is not a number: write a decimal point, not a comma"),
    "bare comma": (table("0,5"), "line 3: 3 cells instead of 2 (is there a decimal comma? Write a point)"),
    "short row": (table(last="c2"), "line 4: 1 cell instead of 2"),
    "duplicate": (table(last="c2,3\nc1,9"), "line 5: id 'c1' again, first on line 3"),
    "no id": (table(last="c2,3\n,9"), "line 5: the id is empty"),
    "open quote": (table('"2'), 'line 3: a quote (") is not closed or stands within a cell'),
    "NUL": (table("2\0"), "line 3: a NUL byte; save the file as 'CSV UTF-8'"),
    "Latin-1": (table("\u00e9").encode("latin-1"), "line 3: it is not UTF-8; save the file as 'CSV UTF-8'"),
    "UTF-16": (table().encode("utf-16"), "it is UTF-16 text: save it as 'CSV UTF-8'"),
    "UTF-16 without mark": (table().encode("utf-16-le"), "line 1: a NUL byte; save the file as 'CSV UTF-8'"),
    "workbook": (b"PK\x03\x04" + bytes(99), "it is a workbook or a zip archive, not text: save it as 'CSV UTF-8'"),
    "empty": ("", "it is empty: the first line must "),
    "blank": ("\n\n", "it is empty: the first line must "),
    "semicolons": (table().replace(",", ";"), "its columns are separated by semicolons: separate them by commas"),
    "tabs": (table().replace(",", "\t"), "its columns are separated by tabs: separate them by commas"),
    "column twice": (table(header="id,gap,gap"), "line 1: column 'gap' comes twice"),
    "id twice": (table(header="id,gap,id"), "line 1: column 'id' comes twice"),
    "misspelt": (table(header="id,gpa"), "'gpa' should be 'gap'"),
    "capitals": (table(header="id,Gap"), "'Gap' should be 'gap'"),
    "no header": (table().partition("\n")[2], "it looks like a row, so the header is missing"),
    "long line": (table("x" * 20_000), "line 3: more than 10,000 characters, which no row has"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_import_and_score_refuse_a_fault_in_one_sentence(name: str, folder: Path):
    content, sentence = FAULTS[name]
    try:
        told = [fault for _, fault in labels_in(folder, content, "gap:eV").faults]
    except InputError as error:
        told = [str(error)]
    with pytest.raises(SubmissionError) as caught:
        read_predictions(folder / "labels.csv", IDS, "gap", "regression")
    assert any(sentence in fault for fault in told), told
    assert any(sentence in fault for fault in caught.value.faults), caught.value.faults


@pytest.mark.parametrize("words", ["True,False,True", "TRUE,FALSE,TRUE", "true,0,1.0", "1,0,1"])
def test_truth_values_are_labels_and_probabilities(words: str, folder: Path):
    lines = zip(IDS, words.split(","), strict=True)
    found = labels_in(folder, "id,metal\n" + "".join(f"{i},{word}\n" for i, word in lines), "metal")
    assert values(found, "metal") == [1, 0, 1]
    assert read_predictions(folder / "labels.csv", IDS, "metal", "binary").tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    "lines",
    [
        "id,gap,formula\nc0,1,CsCl\nc1,2,NaCl\nc2,,\n",
        'id,remark,gap\nc0,\'x\',1\nc1,"two, ""quoted""\nlines",2\nc2,,\n',
        "id,date,gap,,\nc0,2026-01-01,1,,\nc1,NaN,2,inf,\n\nc2,1_000,,,\n",
        '\ufeff"id" , gap ,author\r\nc0,1,M\u00fcller\r\nc1,2,\r\nc2, ,x\r\n',
    ],
)
def test_columns_that_are_not_asked_for_stop_nothing(lines: str, folder: Path):
    assert values(labels_in(folder, lines, "gap:eV")) == [1, 2, None]


def test_every_faulty_label_of_a_row_is_told(folder: Path):
    found = labels_in(folder, "id,gap,mass\nc0,x,1_0\nc1,1,2\nc2,1,2\n", "gap:eV", "mass:u")
    assert found.faults == [("c0", "line 2: gap: 'x' is not a number; mass: '1_0' is not a number")]


@pytest.mark.parametrize(("file", "cell"), [("c0.CIF", "c0"), ("c0.CIF", "c0.cif"), ("c0.cif", "c0.CIF")])
def test_the_ending_of_a_cif_may_be_in_capitals(file: str, cell: str, folder: Path):
    (folder / "c0.cif").rename(folder / file)
    found = labels_in(folder, f"id,gap\n{cell},1\nc1,2\nc2,3\n", "gap:eV")
    assert values(found) == [1, 2, 3]
    assert list(found.rows) == IDS


def test_a_cif_that_is_missing_or_not_the_only_one_is_named(folder: Path):
    (folder / "c1.CIF").write_text(CIF.format(a=5))
    (folder / "c2.cif").write_text(CIF.format(a=5) + CIF.format(a=6))
    found = labels_in(folder, "id,gap\nc1,1\nc2,2\nc9,3\n../c0,3\n", "gap:eV")
    told = dict(found.faults)
    assert "c1.CIF and c1.cif are in" in told["c1"]
    assert "holds 2 structures: a row of the table needs a CIF of its own" in told["c2"]
    assert "there is no c9.cif in" in told["c9"]
    assert "there is no ../c0.cif in" in told["../c0"]
    assert values(labels_in(folder, "id,gap\nc1.cif,1\n", "gap:eV")) == [1]


def test_a_cif_that_no_row_names_is_told(folder: Path):
    found = labels_in(folder, "id,gap\nc0,1\nc1.cif,2\n", "gap:eV")
    assert (values(found), found.faults) == ([1, 2], [])
    assert found.unlabelled == [("c2", "c2.cif: no row of labels.csv names it")]
    assert labels_in(folder, "id,gap\nc0,1\nc1,2\nc2,3\n", "gap:eV").unlabelled == []
    (folder / "c1.CIF").write_text(CIF.format(a=5))  # a row that names one of two means that one
    found = labels_in(folder, "id,gap\nc0,1\nc1.cif,2\nc2,3\n", "gap:eV")
    assert found.unlabelled == [("c1", "c1.CIF: no row of labels.csv names it")]


def frames() -> list[Atoms]:
    out = []
    for i in range(3):
        a = 4 + i / 10
        atoms = Atoms("CsCl", scaled_positions=[[0] * 3, [0.5] * 3], cell=[a] * 3, pbc=True)
        forces = np.zeros((2, 3))
        atoms.calc = SinglePointCalculator(atoms, energy=-3.0 - i, forces=forces, magmom=0.5)
        out.append(atoms)
    return out


@pytest.mark.parametrize("ending", ["db", "json", "extxyz", "DB"])
def test_results_of_a_calculator_and_stored_values_are_labels(ending: str, tmp_path: Path):
    file = tmp_path / f"a.{ending}"
    if ending == "extxyz":
        atoms = frames()
        for i, a in enumerate(atoms):
            a.info = {"gap": i / 10, "metal": i == 0, "name": "x"}
        write(file, atoms)
    else:
        with connect(tmp_path / f"a.{ending.lower()}") as database:
            for i, a in enumerate(frames()):
                database.write(a, gap=i / 10, metal=i == 0, name="x")
        (tmp_path / f"a.{ending.lower()}").rename(file)
    found = read(file, "energy:eV", "gap:eV", "magmom:muB", "metal")
    assert list(found.rows) == ["a:1", "a:2", "a:3"]
    expected = {"energy": [-3, -4, -5], "gap": [0, 0.1, 0.2], "magmom": [0.5] * 3, "metal": [1, 0, 0]}
    assert {column: values(found, column) for column in expected} == expected
    assert list(read_crystals(file)) == list(found.rows)
    with pytest.raises(InputError, match=r"has no label 'energies'; did you mean 'energy'\? There is: "):
        read(file, "energies:eV")
    assert [fault for _, fault in read(file, "name:eV").faults] == [
        f"structure {i}: 'x' is not a number" for i in (1, 2, 3)
    ]


def test_json_that_is_no_database_is_named(tmp_path: Path):
    for content in ([], {}, {"ids": [1, 1]}, {"ids": [1]}, {"ids": 3}, {"ids": ["a"], "a": 1}):
        (tmp_path / "a.json").write_text(json.dumps(content))
        with pytest.raises(InputError, match=r"a\.json"):
            read(tmp_path / "a.json", "gap:eV")


def test_one_structure_that_cannot_be_read_leaves_the_others(tmp_path: Path):
    atoms = frames()
    atoms[1].pbc = False
    for a in atoms:
        a.info["gap"] = 1.0
    write(tmp_path / "a.extxyz", atoms)
    found = read(tmp_path / "a.extxyz", "gap:eV")
    assert found.faults == [("a:2", "structure 2: the cell is not periodic in all three directions")]
    assert list(found.rows) == ["a:1", "a:3"]


@pytest.mark.parametrize(
    ("column", "target", "expected"),
    [
        (pl.Series([0.5, None, float("nan")]), "y:eV", [0.5, None, None]),
        (pl.Series([True, False, None]), "y", [1, 0, None]),
        (pl.Series(["1", " ", "2.5"]), "y:eV", [1, None, 2.5]),
        (pl.Series(["True", "false", "1"], dtype=pl.Categorical), "y", [1, 0, 1]),
        (pl.Series([1, 2, 3], dtype=pl.UInt8), "y:eV", [1, 2, 3]),
        (pl.Series(["1.5", "2", "3"]).cast(pl.Decimal(10, 2)), "y:eV", [1.5, 2, 3]),
        (pl.Series([1.0, float("inf"), 2.0]), "y:eV", "row 2: 'inf' is not a finite number"),
        (pl.Series([True, False, True]), "y:eV", "row 1: 'True' is not a number"),
        (pl.Series(["1", "1_000", "2"]), "y:eV", "row 2: '1_000' is not a number"),
        (pl.Series([[1.0], [2.0], [3.0]]), "y:eV", "column 'y' holds List(Float64), not numbers"),
        (pl.Series([b"1", b"2", b"3"]), "y:eV", "column 'y' holds Binary, not numbers"),
        (pl.Series([1, 2, 3]).cast(pl.Date), "y:eV", "column 'y' holds Date, not numbers"),
        (pl.Series([None, None, None]), "y:eV", "label 'y' is empty in every row"),
    ],
)
def test_types_of_columns_in_parquet(column: pl.Series, target: str, expected: list[float] | str, tmp_path: Path):
    cells = [[4.0 + i, 0, 0, 0, 4, 0, 0, 0, 4] for i in range(3)]
    crystals = {"lattice": cells, "frac_coords": [[0.0] * 3] * 3, "atomic_numbers": [[11]] * 3}
    table = {"material_id": IDS, **crystals, "y": column, "remark": ["x"] * 3}
    pl.DataFrame(table).write_parquet(tmp_path / "a.PARQUET")
    try:
        found = read(tmp_path / "a.PARQUET", target)
    except InputError as error:
        assert str(error) == f"{tmp_path / 'a.PARQUET'}: {expected}"
    else:
        if isinstance(expected, list):
            assert values(found, "y") == expected
        else:
            assert expected in [fault for _, fault in found.faults]


@pytest.mark.parametrize("name", [None, "", " a", "a\nb", "a\0"])
def test_an_id_that_predictions_cannot_hold_is_refused(name: str | None, tmp_path: Path):
    table = {"material_id": ["b", name], "lattice": [[4.0, 0, 0, 0, 4, 0, 0, 0, 4]] * 2}
    table |= {"frac_coords": [[0.0] * 3] * 2, "atomic_numbers": [[11]] * 2, "y": [1.0, 2.0]}
    pl.DataFrame(table).write_parquet(tmp_path / "a.parquet")
    ((_, sentence),) = read(tmp_path / "a.parquet", "y:eV").faults
    assert sentence.startswith("row 2: ")


@given(st.floats() | st.integers() | st.text(max_size=8) | st.booleans() | st.none() | st.decimals(allow_nan=False))
def test_a_label_is_a_finite_number_or_missing_or_refused(value):
    for binary in (False, True):
        try:
            label = parse_label(value, binary)
        except InputError:
            continue
        assert label is None or np.isfinite(label)


@given(st.lists(st.text('a",\n', max_size=5), min_size=1, max_size=5))
def test_joined_lines_lose_nothing(lines: list[str]):
    physical = "\n".join(lines).split("\n")
    joined = [line for _, line in join_quoted_lines(iter(enumerate(physical, 1)))]
    assert "\n".join(joined) == "\n".join(physical)


@pytest.mark.parametrize("column", ["lattice", "formula", "material_id"])
def test_labels_cannot_be_called_as_what_a_crystal_has(column: str, folder: Path, tmp_path: Path):
    """A lattice constant called lattice replaced all lattices."""
    lines = [f"id,{column}", *(f"{name},{i}" for i, name in enumerate(IDS))]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    with use_workspace(data=tmp_path / "data"), pytest.raises(InputError, match=f"cannot be called '{column}'"):
        import_dataset(folder, "mine", [parse_target(f"{column}:angstrom")], {}, False)
    assert not (tmp_path / "data" / "mine" / "dataset.json").exists()


@pytest.mark.parametrize("name", ["paper", "matbench", "jarvis", "ablation"])
def test_a_data_set_cannot_be_called_as_a_suite_is(name: str, folder: Path, tmp_path: Path):
    (folder / "labels.csv").write_text("\n".join(["id,gap", *(f"{i},1" for i in IDS)]) + "\n")
    with use_workspace(data=tmp_path / "data"), pytest.raises(InputError, match=f"the name '{name}' is taken"):
        import_dataset(folder, name, [parse_target("gap:eV")], {}, False)
