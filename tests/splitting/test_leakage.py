"""A split that tests structures which also train is refused, or run on demand and told on the board."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from asugnn import Crystal, InputError
from leaderboard.board.board import rank_rows
from leaderboard.cli.app import main
from leaderboard.data.dataset import Dataset, load_dataset
from leaderboard.data.registry import find_source
from leaderboard.data.tasks import Task, parse_task, suite_tasks
from leaderboard.ingest import import_dataset, parse_target
from leaderboard.reports.terminal import render_board
from leaderboard.running.model_contract import rotation
from leaderboard.running.plan import plan_runs
from leaderboard.splitting import leakage
from leaderboard.splitting.leakage import (
    compare_dataset,
    find_duplicates,
    fold_leakage,
    known_duplicates,
    shared_between_sides,
    store_comparison,
)
from leaderboard.splitting.make import write_split
from leaderboard.splitting.split import Sides, fold_sides, list_rules, read_split
from leaderboard.splitting.structure_match import ComparedPair

FCC = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2


@pytest.fixture
def leaky(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """60 rock salts and, tested in fold 0 where its original trains, one of them again; split `leaky`."""
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    crystals = {
        f"c{i:03}": Crystal((4 + 0.05 * i) * FCC, [[0, 0, 0], [0.5, 0.5, 0.5]], [3 + i % 12, 33 + i % 5])
        for i in range(60)
    }
    crystals["again"] = rotation(crystals["c000"], np.random.default_rng(0))
    table = {
        "material_id": list(crystals),
        "lattice": [c.lattice.ravel().tolist() for c in crystals.values()],
        "frac_coords": [c.frac_coords.ravel().tolist() for c in crystals.values()],
        "atomic_numbers": [c.numbers.tolist() for c in crystals.values()],
        "y": [c.volume for c in crystals.values()],
    }
    pl.DataFrame(table).write_parquet(tmp_path / "toy.parquet")
    about = {"title": "toy", "licence": "MIT", "citation": "nobody"}
    source = import_dataset(tmp_path / "toy.parquet", "toy", [parse_target("y:eV")], about, False)
    data = load_dataset(source)
    assert source.folder
    parts = dict(read_split(data, "random").id_to_part) | {"c000": "9", "again": "0"}
    write_split(source.folder / "splits", "toy", "leaky", 1, "by hand", parts)
    return data


def bench(*words: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["bench", *words])
        try:
            main()
        except SystemExit as left:
            return int(left.code or 0)
    return 0


def test_a_leaking_split_is_refused_by_name(leaky: Dataset, capsys: pytest.CaptureFixture[str]):
    assert bench("run", "--task", "toy/y@leaky", "--model", "mean") == 1
    err = capsys.readouterr().err
    assert "the split leaks: toy/y@leaky, fold 0: 1 of" in err
    assert "such as 'again', which is 'c000'" in err
    assert "--allow-leaks" in err
    assert not Path("runs").exists()
    assert bench("run", "--task", "toy/y@leaky", "--model", "mean", "--fold", "1") == 0  # where both train


@pytest.mark.slow
def test_with_allow_leaks_it_runs_and_the_board_says_so(leaky: Dataset, capsys: pytest.CaptureFixture[str]):
    assert bench("run", "--task", "toy/y@leaky,toy/y", "--model", "mean", "--allow-leaks") == 0
    record = json.loads(Path("runs/toy/y@leaky/quick/mean/0-0/run.json").read_text())
    assert record["leaks"] == 1
    assert json.loads(Path("runs/toy/y@random/quick/mean/0-0/run.json").read_text())["leaks"] == 0
    task = parse_task("toy/y@leaky")
    rows, _ = rank_rows(Path("runs"), [task, parse_task("toy/y")], "quick")
    assert {row.task: row.leaks for row in rows} == {"toy/y@leaky": 1, "toy/y": 0}
    words = f"toy/y@leaky: 1 of {rows[0].n} test structures also appear in training or validation"
    for form in ("table", "markdown"):
        assert words in " ".join(render_board(rows, [task], "quick", form, True).split())
    assert ",leaks," in render_board(rows, [task], "quick", "csv", True).splitlines()[0]
    capsys.readouterr()


def test_what_was_found_is_kept_by_the_digest_of_the_data(leaky: Dataset, monkeypatch: pytest.MonkeyPatch):
    assert known_duplicates(leaky) == [("c000", "again")]  # since the import
    (kept,) = (Path("cache") / "duplicates").iterdir()
    about = json.loads(kept.read_text())
    for damaged in ("", "{", "[]", json.dumps({**about, "data": "0" * 64}), json.dumps({**about, "rule": 0})):
        kept.write_text(damaged)
        assert known_duplicates(leaky) is None
        assert find_duplicates(leaky) == [("c000", "again")]
        assert json.loads(kept.read_text()) == about
    monkeypatch.setattr(leakage, "compare_structures", lambda *_: pytest.fail("it was known"))
    assert find_duplicates(leaky) == [("c000", "again")]


def test_a_comparison_without_its_different_structures_is_made_again(leaky: Dataset):
    """Published files leave them out, but an audit counts them."""
    crystals = dict(zip(leaky.ids, leaky.crystals(leaky.ids), strict=True))
    (stored,) = (Path("cache") / "duplicates").iterdir()
    pairs = [*compare_dataset(leaky, crystals), ComparedPair("c001", "c013", "another structure", 0.03)]
    store_comparison(leaky.sha256, pairs, stored)
    assert "another structure" not in json.loads(stored.read_text())["pairs"][-1]
    assert compare_dataset(leaky, crystals) == pairs[:-1]
    assert json.loads(stored.read_text())["verdicts"] == {"same": 1}


def test_the_board_takes_the_count_of_the_run_where_nothing_is_known(leaky: Dataset):
    assert bench("run", "--task", "toy/y@leaky", "--model", "mean", "--allow-leaks") == 0
    (kept,) = (Path("cache") / "duplicates").iterdir()
    kept.unlink()
    (row,) = rank_rows(Path("runs"), [parse_task("toy/y@leaky")], "quick")[0]
    assert row.leaks == 1


def test_a_zero_shot_task_leaks_into_the_training_of_its_model():
    data = load_dataset(find_source("open-dft"))
    zero_shot = next(t for t in suite_tasks("open-dft") if t.target.model_of)
    trained = fold_sides(read_split(data, "random"), data, zero_shot.training_task.target, 0).train
    assert fold_leakage(zero_shot, 0, data, [(trained[0], "zs-Ag-000")]).shared == {"zs-Ag-000": trained[0]}
    assert not fold_leakage(zero_shot, 0, data, [(trained[0], trained[1])]).shared


@pytest.mark.parametrize("pair", [("t", "v"), ("v", "t")])
def test_a_structure_in_validation_leaks_as_one_in_training_does(pair: tuple[str, str]):
    sides = Sides(train=("a",), validate=("v",), test=("t", "u"))
    assert shared_between_sides([pair, ("u", "nowhere"), ("a", "v")], sides) == {"t": "v"}


def test_a_fold_counts_structures_that_only_validate(leaky: Dataset):
    sides = fold_sides(read_split(leaky, "leaky"), leaky, leaky.source.targets[0], 0)
    pairs = [(sides.test[0], sides.validate[0]), (sides.train[0], sides.validate[1])]
    assert fold_leakage(parse_task("toy/y@leaky"), 0, leaky, pairs).shared == {sides.test[0]: sides.validate[0]}


def test_a_zero_shot_task_on_another_data_set_leaks_nothing(leaky: Dataset, tmp_path: Path):
    """Equal ids of two data sets are different crystals."""
    about = {"title": "toy", "licence": "MIT", "citation": "nobody"}
    other = import_dataset(tmp_path / "toy.parquet", "other", [parse_target("y:eV")], about, False)
    same, another = (replace(leaky.source.targets[0], model_of=name) for name in ("y", f"{other.name}/y"))
    for target, shared in ((same, {"again": "c000"}), (another, {})):
        leakage = fold_leakage(Task(leaky.source, target, "leaky"), 0, leaky, [("again", "c000")])
        assert leakage.tested == 61
        assert {x: y for x, y in leakage.shared.items() if x == "again"} == shared


def test_nothing_is_compared_for_a_task_whose_models_train_on_other_data(
    leaky: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """2,292 structures of iron are two million pairs."""
    monkeypatch.setattr(leakage, "find_duplicates", lambda data: pytest.fail("compared"))
    elsewhere = replace(leaky.source.targets[0], model_of="open-dft/formation-energy")
    task = Task(replace(leaky.source, targets=(elsewhere,)), elsewhere)
    assert fold_leakage(task, 0, leaky).shared == {}


@pytest.mark.parametrize("rule", list_rules(find_source("open-dft")))
def test_no_split_of_open_dft_leaks(rule: str):
    names = [parse_task(f"{task.name}@{rule}") for task in suite_tasks("open-dft")]
    assert plan_runs(names, ["mean"], "quick", None, [0], {})


def test_what_is_stored_of_mp_2018_fits_the_file(data: Path):
    loaded = load_dataset(find_source("mp-2018"))
    found = known_duplicates(loaded)
    assert found is not None
    assert len(found) == 294
    counts = [len(fold_leakage(parse_task("mp-2018/formation-energy"), k, loaded, found).shared) for k in range(5)]
    assert counts == [54, 45, 64, 58, 59]
    with pytest.raises(InputError, match="the split leaks: mp-2018/band-gap@random, fold 0: 54 of 6,701"):
        plan_runs([parse_task("mp-2018/band-gap")], ["mean"], "quick", [0], [0], {})
    for rule in ("formula", "element", "high-energy"):
        assert plan_runs([parse_task(f"mp-2018/band-gap@{rule}")], ["mean"], "quick", None, [0], {})
