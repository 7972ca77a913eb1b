"""The recipe of open-dft: it makes the published structures, follows the published search, and computes."""

import gzip
import json
import math
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from ase import Atoms
from made import packaged_counts

from leaderboard.data.dataset import load_dataset
from leaderboard.data.registry import data_file, find_source

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "recipes"))

import open_dft  # noqa: E402
from open_dft_groups import Group, groups  # noqa: E402


@pytest.fixture(scope="module")
def published() -> pl.DataFrame:
    return load_dataset(find_source("open-dft")).table


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the published log, as the recipe says, and the data made of it."""
    folder = tmp_path_factory.mktemp("log")
    (folder / open_dft.LOG).write_bytes(gzip.decompress((ROOT / "recipes/open_dft_results.jsonl.gz").read_bytes()))
    open_dft.assemble(folder)
    return folder


@pytest.fixture(scope="module")
def known() -> dict[str, Group]:
    """All groups, but of those drawn at random, which takes seconds, the first five of each kind."""
    return {group.name: group for group in groups("^(?!zs-)|^zs-[A-Za-z]+-00[0-4]$")}


def group_of(name: str) -> str:
    return name if name.startswith("zs-") else name.rpartition(":")[0]


def test_groups_have_names_of_their_own(known: dict[str, Group]):
    kinds = defaultdict(int)
    for group in known.values():
        kinds[group.set] += 1
    assert kinds["reference"] == packaged_counts()["elements"]
    assert kinds["compound"] > packaged_counts()["compounds"], "some are still to be computed"


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_every_published_structure_is_what_the_recipe_makes(
    every: bool, published: pl.DataFrame, known: dict[str, Group]
):
    made = {**known, **{group.name: group for group in groups("^zs-" if every else "^$")}}
    left_out = [name for name in published["material_id"] if group_of(name) not in made]
    assert len(left_out) == 0 if every else all(name.startswith("zs-") for name in left_out)
    for row in published.filter(~pl.col("material_id").is_in(left_out)).iter_rows(named=True):
        name = row["material_id"]
        group = made[group_of(name)]
        atoms = group.atoms if group.set == "zero_shot" else group.at(float(name.rpartition(":")[2]))
        assert (group.set, group.prototype) == (row["set"], row["prototype"]), name
        assert atoms.numbers.tolist() == row["atomic_numbers"], name
        # Volumes in names have four digits of ln V: 1e-4 of the volume at most.
        assert np.allclose(atoms.cell[:].ravel(), row["lattice"], rtol=0, atol=2e-5 * abs(atoms.cell[:]).max()), name
        shift = atoms.get_scaled_positions().ravel() - np.array(row["frac_coords"])
        assert abs(shift - np.rint(shift)).max() < 2e-6, name


def test_the_search_asks_for_the_published_volumes(log: Path, known: dict[str, Group]):
    """From the energies of the log (those of the table are rounded), with four or five points near the minimum.

    How many depends on how slow the machine was, and the first groups had five in any case.
    """
    energies = defaultdict(dict)
    for row in open_dft.read(log):
        if row.get("converged") and ":" in row["id"] and row["group"] in known:
            energies[row["group"]][float(row["id"].rpartition(":")[2])] = row["energy_ev_per_atom"]

    def follows(group: Group, points: dict[float, float], enough: int) -> bool:
        n = len(group.atoms)
        guess = math.log(group.atoms.get_volume())
        try:
            found, _ = open_dft.search(lambda x: points[x] * n, guess, 8 if n < 6 else 5, lambda: enough)
        except KeyError:  # it asks for a volume that was not computed
            return False
        return set(found) == set(points)

    strays = {
        name
        for name, points in energies.items()
        if not known[name].molecule and not any(follows(known[name], points, n) for n in (4, 5))
    }
    assert strays == {"heusler-Ru-Nb-Al", "cscl-FeSi"}  # cut off; not converged


def test_curves_through_the_published_energies_give_the_published_moduli(
    published: pl.DataFrame, known: dict[str, Group]
):
    energies = defaultdict(dict)
    for name, energy in zip(published["material_id"], published["energy"], strict=True):
        if ":" in name:
            energies[group_of(name)][float(name.rpartition(":")[2])] = energy * len(known[group_of(name)].atoms)
    with_modulus = published.filter(pl.col("bulk_modulus").is_not_null())
    for name, modulus in with_modulus["material_id", "bulk_modulus"].iter_rows():
        group = known[group_of(name)]
        points = energies[group.name]
        low = min(points, key=lambda q: points[q])
        found = open_dft.summarise_group(
            group, points, open_dft.fit_equation_of_state(open_dft.nearest(points, low, 5))
        )
        assert found["equilibrium_id"] == name
        assert found["bulk_modulus_gpa"] == pytest.approx(modulus, rel=0.01), name


def test_the_published_log_gives_the_published_data(log: Path, tmp_path: Path):
    """To the byte: open_dft.jsonl, and of it all that is in the package."""
    open_dft.table(log, tmp_path)
    home = data_file(find_source("open-dft")).parent
    for name in ("open_dft.parquet", "provenance.toml", "croissant.json"):
        assert (tmp_path / name).read_bytes() == (home / name).read_bytes(), name


def test_the_published_data_are_those_that_were_handed_over(log: Path, data: Path):
    assert (log / "open_dft.jsonl").read_bytes() == (data / "open-dft" / "open_dft.jsonl").read_bytes()


def test_a_run_goes_on_from_the_published_log(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With what stands in for GPAW: what is finished is left alone, what was cut off and what is new is computed."""
    shutil.copy(log / open_dft.LOG, tmp_path)
    before = (tmp_path / open_dft.LOG).read_text()
    cut = "heusler-Ru-Nb-Al"  # which the end of the published run cut off
    asked = []

    def stand_in(group: Group, atoms: Atoms) -> open_dft.Result:
        asked.append(group.name)
        energy = math.log(atoms.get_volume() / group.atoms.get_volume() / 1.05) ** 2
        return open_dft.Result(energy, 0.0, True, 0.0, 10, False, 1.0)

    monkeypatch.setattr(open_dft, "CALCULATORS", {"gpaw": stand_in})
    open_dft.run(tmp_path, f"^({cut}|ref-Ru|rocksalt-NaCl|cscl-FeSi|nias-VSe)$", "gpaw", 1)
    after = (tmp_path / open_dft.LOG).read_text()
    assert after.startswith(before)
    added = [json.loads(line) for line in after.removeprefix(before).splitlines()]
    assert {row["group"] for row in added} == set(asked) == {cut, "nias-VSe"}
    assert sorted(row["group"] for row in added if row["set"] == open_dft.DONE) == [cut, "nias-VSe"]
    shape = [json.loads(line) for line in before.splitlines()]
    calculated, finished = next(r for r in shape if "id" in r), next(r for r in shape if "equilibrium_id" in r)
    assert all(set(row) == {*calculated, "calculator"} for row in added if row["set"] != open_dft.DONE)
    assert set(next(row for row in added if row["set"] == open_dft.DONE)) == set(finished)
    open_dft.assemble(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "open_dft.jsonl").read_text().splitlines()]
    assert sum(row["group"] == "nias-VSe" for row in rows) >= 4
    assert "nias-VSe" in {row["group"] for row in rows if row["equilibrium"]}
    old = {r["id"]: r for r in map(json.loads, (log / "open_dft.jsonl").read_text().splitlines())}
    assert all(row == old[row["id"]] for row in rows if row["id"] in old and row["group"] != cut)


def test_the_table_of_the_package_is_that_of_its_source(tmp_path: Path, published: pl.DataFrame):
    """No value is changed on the way: rows go through JSON lines and come back."""
    rows = [
        {
            "id": r["material_id"],
            "formula": r["formula"],
            "lattice": np.reshape(r["lattice"], (3, 3)).tolist(),
            "frac_coords": np.reshape(r["frac_coords"], (-1, 3)).tolist(),
            "numbers": r["atomic_numbers"],
            "set": r["set"],
            "prototype": r["prototype"],
            "equilibrium": r["equilibrium"],
            "energy_ev_per_atom": r["energy"],
            "formation_energy_ev_per_atom": r["formation_energy"],
            "band_gap_ev": r["band_gap"],
            "bulk_modulus_gpa": r["bulk_modulus"],
        }
        for r in published.iter_rows(named=True)
    ]
    (tmp_path / "open_dft.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    open_dft.table(tmp_path, tmp_path)
    for name in ("open_dft.parquet", "croissant.json"):
        assert (tmp_path / name).read_bytes() == data_file(find_source("open-dft")).with_name(name).read_bytes()


ONLY = "^(ref-Cu|ref-Au|ref-Al|ref-Ni|l12-Cu3Au|l12-Ni3Al|l10-CuAu|bcc-Cu|cscl-NiAl|zs-Ag-000|ref-Ag)$"


def recipe(*words: str) -> None:
    program = [sys.executable, "-W", "ignore", str(ROOT / "recipes" / "open_dft.py"), *words]
    subprocess.run(program, check=True, capture_output=True, text=True)


@pytest.mark.slow
def test_from_nothing_to_the_table_with_a_fast_potential(tmp_path: Path):
    recipe("run", str(tmp_path), "--calculator", "emt", "--only", ONLY)
    log = (tmp_path / "results.jsonl").read_text().splitlines()
    recipe("assemble", str(tmp_path))
    rows = [json.loads(line) for line in (tmp_path / "open_dft.jsonl").read_text().splitlines()]
    best = {r["group"]: r for r in rows if r["equilibrium"]}
    assert set(best) == set(ONLY[2:-2].split("|")) - {"zs-Ag-000"}
    for name in ("Cu", "Au", "Al", "Ni", "Ag"):
        assert best[f"ref-{name}"]["formation_energy_ev_per_atom"] == 0
    assert best["bcc-Cu"]["formation_energy_ev_per_atom"] > 0  # copper is fcc
    for name in ("l12-Cu3Au", "l10-CuAu"):  # which the potential was fitted to, at -0.05 eV or so
        assert -0.2 < best[name]["formation_energy_ev_per_atom"] < 0
    assert all(r["band_gap_ev"] == 0 for r in rows)
    # Against another way to the same quantity: the second derivative of the energy itself.
    from ase import units
    from ase.build import bulk
    from ase.calculators.emt import EMT

    def energy(volume: float) -> float:
        atoms = bulk("Cu", a=(4 * volume) ** (1 / 3))
        atoms.calc = EMT()
        return float(atoms.get_potential_energy())

    grid = np.linspace(11, 12.5, 3001)
    v = grid[np.argmin([energy(x) for x in grid])]
    modulus = v * (energy(v + 0.05) - 2 * energy(v) + energy(v - 0.05)) / 0.05**2 / units.GPa
    assert best["ref-Cu"]["bulk_modulus_gpa"] == pytest.approx(modulus, rel=0.03)
    # Again, and cut off in the middle: nothing that is done is computed again, and the end is the same.
    recipe("run", str(tmp_path), "--calculator", "emt", "--only", ONLY)
    assert (tmp_path / "results.jsonl").read_text().splitlines() == log
    (tmp_path / "results.jsonl").write_text("\n".join(log[:20]) + "\n" + log[20][:40] + "\n")
    recipe("run", str(tmp_path), "--calculator", "emt", "--only", ONLY, "--jobs", "2")
    recipe("assemble", str(tmp_path))
    again = [json.loads(line) for line in (tmp_path / "open_dft.jsonl").read_text().splitlines()]

    def plain(some: list[dict]) -> dict[str, dict]:
        return {r["id"]: {k: v for k, v in r.items() if k != "wall_s"} for r in some}

    assert plain(again) == plain(rows)


def test_what_fails_is_told_and_what_lacks_a_reference_is_listed(tmp_path: Path):
    recipe("run", str(tmp_path), "--calculator", "emt", "--only", "^(ref-Cu|l12-Cu3Au|rocksalt-MgO)$")
    log = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    (failed,) = [row for row in log if "error" in row]
    assert (failed["set"], failed["group"]) == (open_dft.DONE, "rocksalt-MgO")
    recipe("assemble", str(tmp_path))
    dropped = (tmp_path / "dropped.csv").read_text()
    assert "no reference of Au" in dropped
    assert dropped.count("l12-Cu3Au:") >= 4


def test_two_calculators_do_not_mix(tmp_path: Path):
    recipe("run", str(tmp_path), "--calculator", "emt", "--only", "^ref-Cu$")
    with pytest.raises(SystemExit, match="holds results of emt"):
        open_dft.run(tmp_path, "^ref-Cu$", "gpaw", 1)
