"""A data set of somebody's own: from every format, its faults in sentences, its tasks and splits in the bench."""

import csv
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from conftest import Typed
from made import run_here
from test_reference import FORMATS, first_cells, section

from asugnn import Crystal, InputError
from leaderboard.board.board import rank_rows
from leaderboard.data.dataset import Source, load_dataset
from leaderboard.data.exclusions import read_exclusions
from leaderboard.data.registry import find_source, list_sources
from leaderboard.data.tasks import parse_task, suite_tasks
from leaderboard.ingest.labelled_rows import parse_target
from leaderboard.ingest.local_files import import_dataset
from leaderboard.records import write_record
from leaderboard.reports.terminal import render_datasets
from leaderboard.running.plan import plan_runs
from leaderboard.splitting.split import find_empty_sides, fold_sides, list_rules, read_split

ABOUT = {"title": "toy", "licence": "MIT", "citation": "nobody"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data sets of its own."""
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    return tmp_path


def rocksalts(n: int = 60) -> dict[str, Crystal]:
    fcc = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2
    kinds = [(3 + i % 12, 33 + i % 5, 4 + 0.05 * i) for i in range(n)]
    return {f"c{i:03}": Crystal(a * fcc, [[0, 0, 0], [0.5, 0.5, 0.5]], [x, y]) for i, (x, y, a) in enumerate(kinds)}


def labels(crystals: dict[str, Crystal]) -> dict[str, float]:
    return {name: c.volume / 10 for name, c in crystals.items()}


def atoms_of(crystals: dict[str, Crystal]):
    from ase import Atoms

    return [Atoms(c.numbers, cell=c.lattice, scaled_positions=c.frac_coords, pbc=True) for c in crystals.values()]


def as_parquet(folder: Path, crystals: dict[str, Crystal]) -> Path:
    y = labels(crystals)
    table = {
        "material_id": list(crystals),
        "lattice": [c.lattice.ravel().tolist() for c in crystals.values()],
        "frac_coords": [c.frac_coords.ravel().tolist() for c in crystals.values()],
        "atomic_numbers": [c.numbers.tolist() for c in crystals.values()],
        "E_hull": [y[i] for i in crystals],
        "stable": [y[i] > 5 for i in crystals],
    }
    pl.DataFrame(table).write_parquet(folder / "toy.parquet")
    return folder / "toy.parquet"


def as_folder(folder: Path, crystals: dict[str, Crystal]) -> Path:
    from ase.io import write

    (folder / "toy").mkdir()
    for name, atoms in zip(crystals, atoms_of(crystals), strict=True):
        write(folder / "toy" / f"{name}.cif", atoms)
    with (folder / "toy" / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [[f"{name}.cif", y, int(y > 5)] for name, y in labels(crystals).items()]
        csv.writer(file).writerows([["file", "E_hull", "stable"], *rows])
    return folder / "toy"


def as_database(folder: Path, crystals: dict[str, Crystal]) -> Path:
    from ase.db import connect

    with connect(folder / "toy.db") as db:
        for atoms, y in zip(atoms_of(crystals), labels(crystals).values(), strict=True):
            db.write(atoms, E_hull=y, stable=int(y > 5))
    return folder / "toy.db"


def as_extxyz(folder: Path, crystals: dict[str, Crystal]) -> Path:
    from ase.io import write

    frames = atoms_of(crystals)
    for atoms, y in zip(frames, labels(crystals).values(), strict=True):
        atoms.info = {"E_hull": y, "stable": int(y > 5)}
    write(folder / "toy.extxyz", frames)
    return folder / "toy.extxyz"


def made(path: Path, *targets: str, name: str = "toy", skip: bool = False) -> Source:
    return import_dataset(path, name, [parse_target(t) for t in targets], ABOUT, skip)


@pytest.mark.parametrize("write", [as_parquet, as_folder, as_database, as_extxyz])
def test_every_format_gives_the_same_data_set(write, home: Path):
    crystals = rocksalts()
    source = made(write(home, crystals), "E_hull:eV/atom", "stable")
    assert [t.name for t in suite_tasks("toy")] == ["toy/e-hull", "toy/stable"]
    assert [(t.kind, t.unit) for t in source.targets] == [("regression", "eV/atom"), ("binary", "")]
    data = load_dataset(source)
    assert len(data.ids) == len(crystals)
    for ours, theirs in zip(data.crystals(data.ids), crystals.values(), strict=True):
        assert ours.volume == pytest.approx(theirs.volume, rel=1e-5)
        assert sorted(ours.numbers) == sorted(theirs.numbers)
    assert data.labels(source.targets[0]) == pytest.approx(list(labels(crystals).values()), rel=1e-6)
    about = json.loads((source.folder / "dataset.json").read_text(encoding="utf-8"))
    assert about.keys() | {"version"} == set(first_cells(section(FORMATS, "### `dataset.json`")))
    assert about["sha256"] == data.sha256
    assert (about["licence"], about["citation"], about["source"]) == (
        "MIT",
        "nobody",
        str(home / Path(about["source"]).name),
    )


def test_it_is_trained_on_and_ranked(home: Path):
    made(as_parquet(home, rocksalts()), "E_hull:eV/atom")
    task = parse_task("toy/e-hull@formula")
    jobs = plan_runs([task], ["mean", "forest"], "quick", None, [0], {"forest": {"trees": "5"}})
    assert len(jobs) == 10  # all folds
    run_here(jobs, home / "runs")
    rows, notes = rank_rows(home / "runs", [task], "quick")
    assert not notes
    assert [r.model for r in rows] == ["forest+trees=5", "mean"]
    assert rows[0].n == 60


def test_a_fold_with_an_empty_side_is_named_before_anything_is_trained(home: Path, typed: Typed):
    path = as_parquet(home, rocksalts(6))
    status, _, told = typed("data", "import", str(path), "--target", "E_hull:eV", "--target", "stable")
    assert status == 0
    task = parse_task("toy/e-hull")
    data = load_dataset(task.source)
    split = read_split(data, "random")
    empty = find_empty_sides(split, data, task.target)
    assert set(empty) < set(split.folds)  # six crystals cannot fill five folds, and fill one
    assert ", ".join(empty.values()) in told
    for fold, sentence in empty.items():
        sides = vars(fold_sides(split, data, task.target, fold))
        assert [word in sentence for word in ("training", "validation", "test")] == [not ids for ids in sides.values()]
        with pytest.raises(InputError, match=rf"toy/e-hull cannot be run: {sentence}; choose --fold \d"):
            plan_runs([task], ["mean"], "quick", [fold], [0], {})
    with pytest.raises(InputError, match="toy/e-hull cannot be run: fold 0 has no"):
        plan_runs([task], ["mean"], "quick", None, [0], {})
    (fold,) = (fold for fold in split.folds if fold not in empty)
    assert len(plan_runs([task], ["mean"], "quick", [fold], [0], {})) == 1


def test_a_stored_run_without_test_crystals_leaves_the_board_standing(home: Path):
    """Version 0.1 made such runs."""
    source = made(as_parquet(home, rocksalts(6)), "E_hull:eV/atom")
    task, data = parse_task("toy/e-hull"), load_dataset(source)
    split = read_split(data, "random")
    empty = find_empty_sides(split, data, task.target, ("test",))
    full = next(k for k in split.folds if k not in find_empty_sides(split, data, task.target))
    jobs = plan_runs([task], ["mean"], "quick", [full], [0], {})
    run_here(jobs, home / "runs")
    fold = min(empty)
    old = home / "runs" / "toy" / "e-hull@random" / "quick" / "mean"
    shutil.copytree(old / f"{full}-0", old / f"{fold}-0")
    record = json.loads((old / f"{fold}-0" / "run.json").read_text(encoding="utf-8"))
    write_record(old / f"{fold}-0", {k: v for k, v in record.items() if k != "sha256"} | {"fold": fold})
    rows, notes = rank_rows(home / "runs", [task], "quick")
    assert [r.model for r in rows] == ["mean"]
    sentence = f"toy/e-hull has nothing to score: fold {fold} has no test crystal"
    assert any(sentence in note for note in notes), notes


def test_splits_keep_together_what_belongs_together(home: Path):
    crystals = rocksalts(40)
    crystals |= {f"{name}'": Crystal(c.lattice * 1.0003, c.frac_coords, c.numbers) for name, c in crystals.items()}
    source = made(as_parquet(home, crystals), "E_hull:eV/atom")
    data = load_dataset(source)
    assert list_rules(source) == ["random", "formula"]
    near = read_split(data, "random").id_to_part
    assert all(near[name] == near[f"{name}'"] for name in rocksalts(40))
    formula = read_split(data, "formula").id_to_part
    groups = dict(zip(data.ids, data.groups(data.ids), strict=True))
    assert len({(groups[i], formula[i]) for i in data.ids}) == len(set(groups.values()))


def test_high_energy_is_split_by_the_label_in_ev_per_atom(home: Path):
    crystals = rocksalts(120)
    table = pl.read_parquet(as_parquet(home, crystals)).with_columns(mass=-pl.int_range(120).cast(float))
    table.write_parquet(home / "toy.parquet")
    source = made(home / "toy.parquet", "mass:u", "E_hull:eV/atom")
    energies = list(labels(crystals).values())
    low, high = np.quantile(energies, (0.65, 0.75)).round(1)
    parts = read_split(load_dataset(source), "high-energy").id_to_part
    assert parts == {
        name: "train" if y <= low else "validate" if y <= high else "test"
        for name, y in zip(crystals, energies, strict=True)
    }


def test_a_label_that_is_stored_as_nan_is_missing(home: Path):
    """As pandas stores what is missing; infinity is a fault."""
    table = pl.read_parquet(as_parquet(home, rocksalts(20)))
    stable = [float("nan"), *table["stable"].cast(float)[1:]]
    energy = [None, float("nan"), *table["E_hull"][2:]]
    table.with_columns(stable=pl.Series(stable), E_hull=pl.Series(energy)).write_parquet(home / "toy.parquet")
    source = made(home / "toy.parquet", "stable", "E_hull:eV/atom")
    data = load_dataset(source)
    assert [int(np.isfinite(data.labels(target)).sum()) for target in source.targets] == [19, 18]
    assert data.table["E_hull"].null_count() == 2


def test_what_is_wrong_is_said(home: Path):
    path = as_parquet(home, rocksalts())
    for targets, sentence in (
        (("nothing:eV",), "has no label 'nothing'; there is: E_hull, stable"),
        (("E_hull",), "other values than 0 and 1: give its unit"),
        (("E_hull:eV", "E_hull:eV"), "name each label once"),
        ((), "name each label once"),
        ((":eV",), "--target takes COLUMN:UNIT"),
    ):
        with pytest.raises(InputError, match=sentence):
            made(path, *targets)
    for name in ("open-dft", "../up", ""):
        with pytest.raises(InputError, match="choose another with --name"):
            made(path, "E_hull:eV", name=name)
    for other, sentence in ((home / "no.parquet", "there is no"), (home, "has 0 CSV files")):
        with pytest.raises(InputError, match=sentence):
            made(other, "E_hull:eV")
    assert not (home / "data").exists()
    made(path, "E_hull:eV")
    with pytest.raises(InputError, match="the name 'toy' is taken"):
        made(path, "E_hull:eV")


def test_of_two_imports_of_one_name_at_once_one_is_refused(home: Path):
    """Both see that the name is free, read their file, and write."""
    (home / "a").mkdir()
    (home / "b").mkdir()
    paths = [as_parquet(home / "a", rocksalts()), as_parquet(home / "b", rocksalts(20))]

    def outcome(path: Path) -> str:
        try:
            return str(made(path, "E_hull:eV").name)
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        found = sorted(pool.map(outcome, paths))
    assert found == ["the name 'toy' is taken: choose another with --name", "toy"]
    load_dataset(find_source("toy"))  # raises where its table is another one's


def test_rows_that_are_no_crystals_are_named_and_can_be_left_out(home: Path):
    folder = as_folder(home, rocksalts(20))
    (folder / "c003.cif").write_text("data_\n", encoding="utf-8")
    (folder / "c007.cif").unlink()
    with (folder / "labels.csv").open("a", encoding="utf-8") as file:
        file.write("c001,1,0\nc099,1\n")
    with pytest.raises(InputError) as caught:
        made(folder, "E_hull:eV")
    text = str(caught.value)
    assert "4 rows cannot be used; --skip excludes them" in text
    for part in (
        "'c003'",
        "'c007'",
        "'c001': line 22: id 'c001' again, first on line 3",
        "line 23: 2 cells instead of 3",
    ):
        assert part in text
    source = made(folder, "E_hull:eV", skip=True)
    assert len(load_dataset(source).ids) == 18
    assert sorted(name for name, _ in read_exclusions(source)) == ["c001", "c003", "c007", "c099"]


def test_labels_that_some_crystals_lack_are_counted(home: Path, typed: Typed):
    folder = as_folder(home, rocksalts())
    table = (folder / "labels.csv").read_text(encoding="utf-8").splitlines()
    table[1:8] = [f"{line.partition(',')[0]},,1" for line in table[1:8]]
    (folder / "labels.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    status, out, _ = typed("data", "import", str(folder), "--target", "E_hull:eV", "--name", "mine")
    assert status == 0
    assert "e-hull: 53 of them have this label" in out


def test_on_the_command_line(home: Path, typed: Typed):
    path = as_parquet(home, rocksalts())
    words = [
        "data",
        "import",
        str(path),
        "--target",
        "E_hull:eV",
        "--name",
        "mine",
        "--data-dir",
        str(home / "elsewhere"),
    ]
    status, out, _ = typed(*words)
    assert status == 0
    assert "mine: 60 crystals" in out
    assert "tasks: mine/e-hull" in out
    assert "have this label" not in out  # all have
    assert "bench run mine --model mean,forest" in out
    assert (home / "elsewhere" / "mine" / "dataset.json").exists()


def test_a_broken_data_set_is_named_and_hinders_no_other(home: Path):
    source = made(as_parquet(home, rocksalts()), "E_hull:eV")
    (source.folder / "dataset.json").write_text("{}", encoding="utf-8")
    for read in (find_source, suite_tasks, lambda name: parse_task(f"{name}/e-hull")):
        with pytest.raises(InputError, match=r"dataset.json cannot be read as a data set"):
            read(source.name)
    assert source.name not in {s.name for s in list_sources()}
    assert "open-dft/metal" in (listed := render_datasets())
    assert "dataset.json cannot be read as a data set" in listed
    with pytest.raises(InputError, match="is taken"):
        made(as_parquet(home, rocksalts()), "E_hull:eV")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": 1}, "its entry name is not a text"),
        ({"name": float("nan")}, "its entry name is not a text"),
        ({"name": "../up"}, r"the name '\.\./up' may only have letters, digits"),
        ({"title": {}}, "its entry title is not a text"),
        ({"targets": None}, "its entry targets is not a list of objects"),
        ({"targets": [[]]}, "its entry targets is not a list of objects"),
        ({"targets": [{"name": "y", "column": [], "unit": "eV", "kind": "regression"}]}, "its entry column is not"),
        ({"targets": [{"name": "a/b", "column": "y", "unit": "eV", "kind": "regression"}]}, "the name 'a/b' may only"),
    ],
)
def test_an_entry_of_another_type_is_named(home: Path, change: dict[str, Any], sentence: str):
    """Such as a number as the name, with which names were compared, or a name that leads out of a folder."""
    file = made(as_parquet(home, rocksalts()), "E_hull:eV").folder / "dataset.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **change}), encoding="utf-8")
    with pytest.raises(InputError, match=rf"dataset\.json cannot be read as a data set: {sentence}"):
        find_source("toy")


@pytest.mark.parametrize("text", ["", "\n", "name,g\xffp\n", "name,gap\n" + "x" * 200_000 + ",1\n"])
def test_a_table_of_labels_that_cannot_be_read_is_named(tmp_path: Path, text: str):
    (tmp_path / "labels.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"labels\.csv cannot be read as a table of labels: "):
        made(tmp_path, "gap:eV")
