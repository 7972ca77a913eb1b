"""Ids of the files that a user names."""

import gzip
from pathlib import Path

import ase.io
import pytest
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

from asugnn import InputError
from leaderboard.running.crystal_files import file_ids, read_crystal_files


@pytest.mark.parametrize(
    ("files", "ids"),
    [
        (["NaCl.cif"], ["NaCl"]),
        (["a/POSCAR"], ["POSCAR"]),
        (["a/x.cif", "b/y.cif"], ["x", "y"]),
        (["pp/a/POSCAR", "pp/b/POSCAR"], ["a/POSCAR", "b/POSCAR"]),
        (["a/POSCAR", "POSCAR", "b/CONTCAR"], ["a/POSCAR", "here/POSCAR", "CONTCAR"]),
        (["1/a/x.cif", "2/a/x.cif", "2/b/x.cif"], ["1/a/x", "2/a/x", "2/b/x"]),
        (["NaCl.cif", "NaCl.vasp"], ["NaCl.cif", "NaCl.vasp"]),
        (["NaCl.cif.gz", "a/MgO.CIF.GZ"], ["NaCl", "MgO"]),
        (["NaCl.cif.gz", "NaCl.cif"], ["NaCl.cif.gz", "NaCl.cif"]),
        (["POSCAR.1", "POSCAR.2", "a/POSCAR.1"], ["here/POSCAR.1", "here/POSCAR.2", "a/POSCAR.1"]),
    ],
)
def test_an_id_is_the_shortest_name_that_tells_files_apart(
    files: list[str], ids: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert file_ids([Path(file) for file in files]) == ids


def test_a_file_that_is_named_twice_is_said():
    with pytest.raises(InputError, match="is named twice"):
        file_ids([Path("a/x.cif"), Path("y.cif"), Path("a/./x.cif")])


@given(st.sets(st.from_regex(r"([ab]/){0,3}[xy](\.cif|\.vasp)?(\.gz)?", fullmatch=True), min_size=1))
def test_no_two_files_share_an_id(names: set[str]):
    files = [Path(name) for name in names]
    assert len(set(file_ids(files))) == len(files)


def test_crystals_of_packed_files_have_the_ids_of_the_files_within(tmp_path: Path):
    salt = bulk("NaCl", "rocksalt", a=5.64)
    ase.io.write(tmp_path / "salt.cif", salt)
    ase.io.write(tmp_path / "two.extxyz", [salt, salt])
    for name in ("salt.cif", "two.extxyz"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
    crystals, unreadable = read_crystal_files([tmp_path / "salt.cif.gz", tmp_path / "two.extxyz.gz"])
    assert (list(crystals), unreadable) == (["salt", "two:1", "two:2"], [])
