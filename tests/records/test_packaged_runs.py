"""The user's runs and those of the package on one board, and what is said about it."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import Typed
from made import write_perfect_run

from asugnn import InputError
from leaderboard.board.board import rank_rows
from leaderboard.board.score_file import score_file
from leaderboard.board.verify import verify_runs
from leaderboard.data import PACKAGE, parse_task
from leaderboard.records import PACKAGED_RUNS, default_runs_folder, list_runs, open_run, write_record
from leaderboard.records.run_folder import Run
from leaderboard.running import load_run_model
from leaderboard.submissions import enter_submission

TASK = parse_task("open-dft/bulk-modulus")
QUICK = "open-dft/bulk-modulus@random/quick"
FOREST = PACKAGE / "runs" / QUICK / "forest/0-0"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def copy_forest(model: str, number: str = "0-0") -> Path:
    """A run of the user: that of the package with another name and seed."""
    folder = Path("runs") / QUICK / model / number
    shutil.copytree(FOREST, folder)
    seed = int(number.partition("-")[2])
    write_record(folder, {**open_run(FOREST).record.raw, "model": model, "seed": seed})
    return folder


def packaged_rows(suffix: str = "") -> int:
    """How many lines of a board the package stores of open-dft, or of its tasks whose names end so."""
    stored = [s for s in list_runs(PACKAGED_RUNS)[0] if s.run.task.source.name == "open-dft"]
    return len({(s.run.preset, s.run.model) for s in stored if s.run.task.name.endswith(suffix)})


def titles(root: Path | None = None) -> dict[str, int | None]:
    return {row.title: row.rank for row in rank_rows(root, [TASK], "quick")[0]}


def test_a_submission_is_not_alone_on_the_board():
    enter_submission(FOREST / "predictions.csv", TASK, "me", 0, Path("runs"))
    rows, notes = rank_rows(None, [TASK], "quick")
    assert notes == [f"includes {packaged_rows(TASK.name)} rows stored with the package; --runs runs shows yours alone"]
    assert {"me, submitted", "forest", "cgcnn", "cgcnn, pretrained"} <= {row.title for row in rows}
    places = {row.title: (row.rank, row.rank_high) for row in rows}
    assert None not in places["me, submitted"]
    assert "forest" in next(row.tied_with for row in rows if row.title == "me, submitted")
    assert titles(Path("runs")) == {"me, submitted": 1}
    assert rank_rows(Path("runs"), [TASK], "quick")[1] == []


def test_a_row_of_the_user_replaces_that_of_the_package():
    own = copy_forest("cgcnn")
    stored = [s for s in list_runs(None)[0] if s.run.task == TASK and (s.run.model, s.run.preset) == ("cgcnn", "quick")]
    assert [s.folder for s in stored] == [own]
    rows, notes = rank_rows(None, [TASK], "quick")
    assert len(rows) == packaged_rows(TASK.name)
    assert f"includes {packaged_rows(TASK.name) - 1} rows" in notes[0]
    score = next(row.metrics["mae"].value for row in rows if row.title == "cgcnn")
    assert score == score_file(FOREST / "predictions.csv", TASK, 0)["metrics"]["mae"]["value"]


def test_rows_of_other_folds_are_left_out():
    """They could not be ranked, and as the majority they would keep the user's rows from it."""
    write_perfect_run(Run(TASK, "quick", "mine", 1, 0), Path("runs"))
    assert titles() == {"mine": 1}
    assert "forest" in {row.title for row in rank_rows(None, [parse_task("open-dft/metal")], "quick")[0]}
    copy_forest("other", "0-0")
    assert {"mine", "other", "forest"} <= titles().keys()


def test_rows_with_another_number_of_seeds_stand_beside_those_of_the_package():
    copy_forest("one", "0-0")
    for seed in range(2):
        copy_forest("two", f"0-{seed}")
    rows, _ = rank_rows(None, [TASK], "quick")
    ranked = {row.title: len(row.runs) for row in rows if row.rank is not None}
    assert (ranked["one"], ranked["two"]) == (1, 2)
    assert ranked["forest"] > 2


def test_without_runs_of_the_user_there_is_nothing_to_say():
    assert "forest" in titles()
    assert rank_rows(None, [TASK], "quick")[1] == []


def test_verify_checks_the_runs_of_the_user():
    copy_forest("forest")
    assert len(list(verify_runs(default_runs_folder()))) == 1


def test_a_packaged_run_is_one_from_any_working_folder(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(PACKAGED_RUNS.parent)
    folder = next(Path(PACKAGED_RUNS.name).rglob("run.json")).parent
    assert open_run(folder).packaged
    with pytest.raises(InputError, match="is stored with the package, without its model: `bench run` trains it"):
        load_run_model(folder)


def test_commands_show_both_and_say_so(typed: Typed):
    copy_forest("mine")
    said = r"note: includes {} rows stored with the package; --runs runs shows yours alone"
    status, out, err = typed("leaderboard", "--task", TASK.name, "--format", "json")
    assert status == 0
    assert {"mine", "forest"} <= {row["model"] for row in json.loads(out)}
    assert err.strip() == said.format(packaged_rows(TASK.name))
    status, out, err = typed("errors", "--task", TASK.name, "--by", "size")
    assert status == 0
    assert "mine" in out
    assert "m3gnet" in out
    assert said.format(packaged_rows(TASK.name)) in err
    status, out, err = typed("paper", "table-2", "--data", "open-dft")
    assert status == 0
    assert "mine" in out
    assert said.format(packaged_rows()) in err
    status, out, err = typed("leaderboard", "--runs", "runs", "--task", TASK.name, "--format", "json")
    assert status == 0
    assert ([row["model"] for row in json.loads(out)], err) == (["mine"], "")


def test_after_a_run_the_own_model_stands_among_those_of_the_package(typed: Typed):
    status, out, err = typed("run", "--model", "mean", "--task", TASK.name)
    assert status == 0
    assert "forest" in out
    assert f"includes {packaged_rows(TASK.name) - 1} rows stored with the package" in err
    status, out, err = typed("run", "--model", "mean", "--task", TASK.name, "--runs", "other")
    assert status == 0
    assert "forest" not in out
    assert "package" not in err
