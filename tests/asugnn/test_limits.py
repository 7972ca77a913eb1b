"""What exceeds a limit is refused in a sentence, quickly and in little memory."""

import json
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.db import connect

from asugnn import Crystal, InputError, limits
from asugnn.ase_files import read_ase_database
from asugnn.crystal import MIN_DISTANCE, find_coinciding_pair
from asugnn.diffraction import powder_pattern
from asugnn.embedding import embed_crystals
from asugnn.neighbours import neighbours_within
from asugnn.reading import parse_json, read_csv_rows, read_json, reading
from asugnn.structure_files import read_crystals

LATTICE = 'Lattice="4 0 0 0 4 0 0 0 4"'
CIF = "data_x\n" + "".join(f"_cell_length_{a} 9\n" for a in "abc") + "".join(
    f"_cell_angle_{a} 90\n" for a in ("alpha", "beta", "gamma")
)  # fmt: skip
SITES = "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"


def poscar(counts: str) -> str:
    return f"x\n1.0\n4 0 0\n0 4 0\n0 0 4\nNa Cl\n{counts}\nDirect\n0 0 0\n0.5 0.5 0.5\n"


HUGE = {
    "count": ("a.xyz", f"99999999999\n{LATTICE}\n", "line 1 is '99999999999': it must be the number of atoms"),
    "large count": ("a.xyz", f"999999\n{LATTICE}\nNa 0 0 0\n", "it has 999,999 atoms in line 1, and at most 10,000"),
    "negative count": ("a.xyz", f"-1\n{LATTICE}\nNa 0 0 0\n", "line 1 is '-1': it must be the number of atoms"),
    "columns": ("a.xyz", f"1\n{LATTICE} Properties=species:S:1:pos:R:99999999\nNa 0 0 0\n", "more than 1,000 columns"),
    "columns in all": ("a.xyz", f"1\n{LATTICE} Properties=a:R:999:b:R:999:pos:R:3\n", "more than 1,000 columns"),
    "POSCAR": ("a.vasp", poscar("1 999999999"), "it has 1,000,000,000 atoms, and at most 10,000 are read"),
    "many counts": ("a.vasp", poscar("9000 9000"), "it has 18,000 atoms, and at most 10,000 are read"),
    "operations": (
        "a.cif",
        f"{CIF}loop_\n_symmetry_equiv_pos_as_xyz\n" + "x,y,z\n" * 100_000 + SITES + "Na 0 0 0\n",
        "it has 100,000 images of its atoms under its symmetry operations, and at most 10,000 are read",
    ),
    "sites": ("a.cif", CIF + SITES + "Na 0 0 0\n" * 20_000, "it has 20,000 sites, and at most 10,000 are read"),
    "sites and a space group": (
        "a.cif",
        f"{CIF}_symmetry_space_group_name_H-M 'F m -3 m'\n{SITES}" + "Na 0.1 0.2 0.3\n" * 100,
        "it has 19,200 images of its atoms under its symmetry operations",
    ),
    "block": ("a.cif", f"{CIF}_text\n;\n{'x' * 10_000_000}\n;\n{SITES}Na 0 0 0\n", "bytes in one data block"),
    "depth": ("a.json", "[" * 200 + "]" * 200, "it is nested too deeply: at most 100 levels are read"),
    "great depth": ("a.json", "[" * 100_000, "it is nested too deeply: at most 100 levels are read"),
}  # fmt: skip


@pytest.mark.parametrize("case", HUGE)
def test_a_file_that_announces_too_much_is_refused(tmp_path: Path, case: str):
    name, content, sentence = HUGE[case]
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=re.escape(sentence)):
        read_crystals(tmp_path / name)


def test_counts_below_the_limit_are_read(tmp_path: Path):
    (tmp_path / "a.cif").write_text(
        f"{CIF}_symmetry_space_group_name_H-M 'P -1'\n{SITES}" + "".join(f"Na 0.1 0.2 {i / 60}\n" for i in range(60))
    )
    assert len(read_crystals(tmp_path / "a.cif")["a"]) == 120


VIEWS = {
    "endless": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT i AS id FROM n",
    "product": "SELECT a.* FROM other a, other b, other c, other d, other e",
    "large": "SELECT zeroblob(1000000000) AS id",
}


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_no_table_of_structures(tmp_path: Path, view: str):
    with closing(sqlite3.connect(tmp_path / "a.db")) as database:
        database.execute("CREATE TABLE other (id, numbers, positions, cell, pbc, key_value_pairs)")
        database.execute(f"CREATE VIEW systems AS {VIEWS[view]}")
    with pytest.raises(InputError, match="its 'systems' is a view: only a table is read"):
        read_crystals(tmp_path / "a.db")


def test_a_column_of_a_database_that_is_computed_is_not_read(tmp_path: Path):
    with closing(sqlite3.connect(tmp_path / "a.db")) as database:
        database.execute(
            "CREATE TABLE systems (id, positions, cell, pbc, key_value_pairs, "
            "numbers GENERATED ALWAYS AS (zeroblob(900000000)))"
        )
        database.execute("INSERT INTO systems (id) VALUES (1)")
        database.commit()
    with pytest.raises(InputError, match="it is no ASE database: string or blob too big"):
        read_crystals(tmp_path / "a.db")


def test_a_database_is_read_for_a_limited_number_of_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with connect(tmp_path / "a.db") as database:
        for _ in range(20):
            database.write(Atoms("Na", cell=[4, 4, 4], pbc=True))
    assert len(read_crystals(tmp_path / "a.db")) == 20
    monkeypatch.setattr("asugnn.ase_files.STEPS", 50)
    monkeypatch.setattr("asugnn.ase_files.DATABASE_STEPS", 100)
    with pytest.raises(InputError, match="reading it takes more than 100 steps of SQLite"):
        read_crystals(tmp_path / "a.db")


def test_labels_of_a_database_are_plain_values(tmp_path: Path):
    """ASE's own reader would create the object that a value names."""
    with connect(tmp_path / "a.db") as database:
        database.write(Atoms("Na", cell=[4, 4, 4], pbc=True), gap=1.5, stable=True, name="x")
        database.write(Atoms("K", cell=[4, 4, 4], pbc=True), gap=2.0)
    with closing(sqlite3.connect(tmp_path / "a.db")) as database:
        odd = json.dumps({"gap": 3.5, "odd": {"__ase_objtype__": "cell", "array": 1}, "far": 10**400})
        database.execute("UPDATE systems SET key_value_pairs = ? WHERE id = 2", (odd,))
        database.commit()
    stored = [dict(structure.values) for structure in read_ase_database(tmp_path / "a.db")]
    assert stored == [{"gap": 1.5, "stable": True, "name": "x"}, {"gap": 3.5, "far": 10**400}]


ROW = {"id": 1, "numbers": b"", "positions": b"", "cell": bytes(72), "pbc": 7, "key_value_pairs": "{}"}


def test_rows_that_share_their_pages_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with connect(tmp_path / "a.db") as database:
        database.write(Atoms("Na", cell=[4, 4, 4], pbc=True))
    monkeypatch.setattr("asugnn.ase_files._select_rows", lambda _: [ROW] * 1_000_000)
    with pytest.raises(InputError, match="it holds more than fits into a file of its size"):
        list(read_ase_database(tmp_path / "a.db"))


def test_a_crystal_has_a_limited_number_of_atoms_and_is_checked_in_little_memory():
    with pytest.raises(InputError, match="the crystal has 10,001 atoms: at most 10,000 are read"):
        Crystal(np.eye(3), np.zeros((10_001, 3)), np.ones(10_001))
    code = (
        "import numpy as np, re; from pathlib import Path; from asugnn import Crystal\n"
        "side = np.arange(20) / 20; sites = np.stack(np.meshgrid(side, side, side), -1).reshape(-1, 3)\n"
        "Crystal(np.eye(3) * 60, sites, np.ones(8000))\n"
        "print(re.search(r'VmHWM:\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 300_000  # kilobytes; all pairs at once took gigabytes


@pytest.mark.parametrize("seed", range(3))
def test_the_first_coinciding_pair_is_that_of_all_pairs(seed: int):
    rng = np.random.default_rng(seed)
    for _ in range(300):
        lattice, n = rng.normal(size=(3, 3)) * rng.choice([0.1, 1, 5]), int(rng.integers(2, 12))
        sites = rng.random((n, 3)) * 3
        sites[-1] = sites[0] + rng.integers(-2, 3, 3) + rng.normal(size=3) * rng.choice([0.001, 0.02])
        shift = sites[:, None] - sites[None]
        close = np.linalg.norm((shift - np.round(shift)) @ lattice, axis=-1) < MIN_DISTANCE
        pairs = [tuple(pair) for pair in np.argwhere(np.triu(close, 1)).tolist()]
        assert find_coinciding_pair(lattice, sites) == (pairs[0] if pairs else None), seed


def test_json_of_the_greatest_depth_is_read():
    for depth in (1, 99, 100):
        assert json.dumps(parse_json("[" * depth + "]" * depth)) == "[" * depth + "]" * depth
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * 101 + "]" * 101)


def test_a_large_file_and_an_endless_one_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.json").write_text('{"a": 1}')
    monkeypatch.setattr("asugnn.reading.JSON_BYTES", 7)
    with pytest.raises(InputError, match=r"a\.json: it has 8 bytes, and at most 7 are read"):
        read_json(tmp_path / "a.json", "a record")
    with pytest.raises(InputError, match="/dev/zero is not a regular file"):
        read_json(Path("/dev/zero"), "a record")
    with pytest.raises(InputError, match="/dev/zero is not a regular file"), reading(Path("/dev/zero"), "a table"):
        read_csv_rows(Path("/dev/zero"))


def test_the_limits_in_security_md_are_those_of_the_module():
    text = (Path(__file__).parents[2] / "SECURITY.md").read_text(encoding="utf-8")
    listed = {
        name: int(value.replace(",", "")) for name, value in re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", text, re.M)
    }
    assert listed == {name: value for name, value in vars(limits).items() if name.isupper()}


def test_a_cell_in_picometres_or_nanometres_takes_no_memory():
    """Silicon of 543 pm, taken for angstrom, has 60 million reflections; a small cell has neighbours without number."""
    faces = (np.ones((3, 3)) - np.eye(3)) / 2
    large, small = (Crystal(a * faces, [[0, 0, 0], [0.25, 0.25, 0.25]], [14, 14]) for a in (543.0, 0.25))
    start = time.process_time()
    with pytest.raises(InputError, match="reflections below 85 degrees, and at most 5,000,000 are computed: is its"):
        powder_pattern(large)
    (found,) = embed_crystals([large])
    assert "is its cell in angstrom?" in str(found)
    with pytest.raises(InputError, match="pairs of atoms within 30 angstrom, and at most 50,000,000 are computed"):
        neighbours_within(small, 30.0)
    assert time.process_time() - start < 5
