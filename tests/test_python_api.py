"""The bench in Python: the same numbers as the command line, in three lines, and faults in sentences."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import run_notebook
from test_light_commands import HEAVY, PROGRAM
from typer.testing import CliRunner

import leaderboard
from asugnn import InputError
from leaderboard.board import score_file
from leaderboard.cli import app
from leaderboard.data import PACKAGE, parse_task
from leaderboard.reports import format_number

GAP, METAL = leaderboard.task("open-dft/band-gap"), leaderboard.task("open-dft/metal")
FOREST = GAP.stored_predictions("forest")


def bench(*words: str) -> str:
    done = CliRunner().invoke(app, [*words])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_split_has_labels_where_they_may_be_seen_and_none_in_the_test_set():
    train, val, test = GAP.split(fold=1)
    sides = [set(side.ids) for side in (train, val, test)]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    assert len(train) == len(train.y) == len(train.crystals)
    assert train.kind == GAP.kind == "regression"
    assert len(test) == len(test.crystals)
    assert not hasattr(test, "y")
    every = [name for k in GAP.folds for name in GAP.split(k).test.ids]
    assert len(every) == len(set(every))  # no crystal is tested twice
    assert set(every) <= set.union(*sides)  # elements always train


def test_a_zero_shot_task_trains_on_its_origin():
    train, _, test = leaderboard.task("open-dft/zero-shot").split()
    assert train.ids == leaderboard.task("open-dft/formation-energy").split().train.ids
    assert not set(train.ids) & set(test.ids)


@pytest.mark.parametrize("name", ["open-dft/band-gap", "open-dft/metal", "open-dft/zero-shot"])
def test_a_score_is_that_of_the_command_line(name: str):
    task = leaderboard.task(name)
    score = task.score(task.stored_predictions("cgcnn"))
    (file,) = (PACKAGE / "runs").glob(f"{name}@random/quick/cgcnn/0-0/predictions.csv")
    scored = json.loads(bench("score", str(file), "--task", name, "--json"))
    assert scored == {k: v for k, v in asdict(score).items() if v or k not in {"systems", "scope"}}
    assert scored == score_file(file, parse_task(name), 0)
    assert f"fold 0: {score.n} test crystals" in str(score)


def test_a_comparison_has_the_ranks_and_ties_of_the_board(tmp_path: Path):
    home = f"{METAL.name}@random/quick"
    for folder in (PACKAGE / "runs" / home).glob("*/0-0"):  # one seed of each: predictions of a task are of one run
        shutil.copytree(folder, tmp_path / home / folder.parent.name / "0-0")
    words = ("leaderboard", "--runs", str(tmp_path), "--task", METAL.name, "--format", "json")
    board = {row["model"]: row for row in json.loads(bench(*words))}
    compared = METAL.compare({name: METAL.stored_predictions(name) for name in board})
    assert list(compared.models) == list(board)
    for name, model in compared.models.items():
        row = board[name]
        assert (model.rank, model.rank_high) == (row["rank"], row["rank_high"])
        assert set(model.tied_with) == set(row["tied_with"])
        assert {k: asdict(v) for k, v in model.metrics.items()} == row["metrics"]
    for pair in compared.pairs:
        assert pair.tied == (pair.second in board[pair.first]["tied_with"])
        assert pair.difference == pytest.approx(
            compared.models[pair.first].metrics["roc_auc"].value - compared.models[pair.second].metrics["roc_auc"].value
        )
    assert 0 <= min(pair.p for pair in compared.pairs) < 0.05 < max(pair.p for pair in compared.pairs) <= 1
    assert "p = " in str(compared)


def test_equal_predictions_tie_and_clearly_better_ones_do_not():
    worse = {name: value + 5 for name, value in FOREST.items()}
    compared = GAP.compare({"worse": worse, "mine": FOREST, "copy": dict(FOREST)})
    assert list(compared.models) == ["mine", "copy", "worse"]
    assert [(m.rank, m.rank_high) for m in compared.models.values()] == [(1, 2), (1, 2), (3, 3)]
    assert {(p.first, p.second): p.tied for p in compared.pairs} == {
        ("mine", "copy"): True, ("mine", "worse"): False, ("copy", "worse"): False}  # fmt: skip
    assert compared.pairs[0].p == 1


def test_all_folds_are_the_mean_of_the_folds():
    predictions = {fold: dict.fromkeys(GAP.split(fold).test.ids, 0.5 + fold) for fold in GAP.folds}
    every = GAP.score({i: p for of_fold in predictions.values() for i, p in of_fold.items()}, fold="all")
    each = [GAP.score(predictions[fold], fold) for fold in GAP.folds]
    assert every.n == sum(score.n for score in each)
    assert every.metrics["mae"].value == pytest.approx(np.mean([score.metrics["mae"].value for score in each]))
    assert every.metrics["mae"].low < every.metrics["mae"].value < every.metrics["mae"].high
    with pytest.raises(InputError, match="share test crystals: score them one by one"):
        leaderboard.task("open-dft/zero-shot").score({}, fold="all")


IDS = list(FOREST)


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ({"x": 1.0}, ["id 'x' is not in this task"]),
        ({IDS[0]: None, 7: 1.0}, ["id '7' is not in this task", f"id '{IDS[0]}': None is not a number"]),
        ({IDS[0]: "0.3"}, [f"id '{IDS[0]}': '0.3' is not a number"]),
        ({IDS[0]: float("nan"), IDS[1]: np.inf}, ["'nan' is not a finite number", "'inf' is not a finite number"]),
        ({IDS[0]: np.ones((2, 1))}, [f"id '{IDS[0]}': an array of shape (2, 1) is not a number"]),
        ({IDS[0]: np.ones(1)}, ["an array of shape (1,) is not a number"]),
        ({IDS[0]: 10**400}, ["a int is not a number"]),
        ({IDS[0]: object()}, ["a object is not a number"]),
        ({IDS[0]: True, IDS[1]: np.False_}, ["True is not a number; write 1.0 if", "False is not a number; write 0.0"]),
        ({IDS[0]: 1j, IDS[1]: np.timedelta64(1, "s")}, ["a complex is not a number", "a timedelta64 is not a number"]),
        ({IDS[0]: [[1.0], [1.0, 2.0]]}, ["a list is not a number"]),
        ({IDS[0].upper(): 1.0}, [f"did you mean '{IDS[0]}'?"]),
    ],
)
def test_every_fault_of_predictions_is_a_sentence_with_the_id(changes: dict[str, object], sentences: list[str]):
    with pytest.raises(InputError, match=r"^predictions of 'mine' cannot be scored:\n") as caught:
        GAP.compare({"theirs": FOREST, "mine": {**FOREST, **changes}})  # type: ignore[dict-item]
    for sentence in sentences:
        assert sentence in str(caught.value)


def test_missing_predictions_and_what_is_no_probability_are_refused():
    with pytest.raises(InputError, match=f"id '{IDS[-1]}' has no value"):
        GAP.score({name: FOREST[name] for name in IDS[:-1]})
    with pytest.raises(InputError, match=f"and {len(IDS) - 5} more missing ids"):
        GAP.score({})
    with pytest.raises(InputError, match=r"1\.5 is not a probability"):
        METAL.score(dict.fromkeys(METAL.split().test.ids, 1.5))
    with pytest.raises(InputError, match="a list, not a mapping from id to value"):
        GAP.score([1.0])  # type: ignore[arg-type]
    assert GAP.score({name: np.float64(x) for name, x in FOREST.items()}) == GAP.score(FOREST)
    other = {name: np.longdouble(x) for name, x in reversed(FOREST.items())}  # not floats of Python: one by one
    assert GAP.score(other) == GAP.score(FOREST)


def test_other_faults_are_sentences():
    with pytest.raises(InputError, match="there is no fold 9"):
        GAP.split(9)
    for odd in ("1", [0], True, 1.0, None, -1, np.array([0]), {}):
        with pytest.raises(InputError, match="fold is a whole number from 0, or 'all', not"):
            GAP.score(FOREST, fold=odd)  # type: ignore[arg-type]
        for call in (GAP.split, lambda fold: GAP.stored_predictions("forest", fold=fold)):
            with pytest.raises(InputError, match="fold is a whole number from 0, not"):
                call(odd)  # type: ignore[arg-type]
        with pytest.raises(InputError, match="seed is a whole number from 0, not"):
            GAP.stored_predictions("forest", seed=odd)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="a model is named by a text, not by 1"):
        GAP.compare({1: FOREST, "mine": FOREST})  # type: ignore[dict-item]
    with pytest.raises(InputError, match="a preset is named by a text, not by 5"):
        GAP.stored_predictions("forest", preset=5)  # type: ignore[arg-type]
    assert GAP.score(FOREST, fold=np.int64(0)) == GAP.score(FOREST)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="two models or more"):
        GAP.compare({"mine": FOREST})
    with pytest.raises(
        InputError, match=r"model 'woods', preset 'quick', fold 0 and seed 0; there is: .*forest, quick, 0, 0"
    ):
        GAP.stored_predictions("woods")
    with pytest.raises(InputError, match="did you mean 'open-dft/band-gap'"):
        leaderboard.task("open-dft/bandgap")
    with pytest.raises(InputError, match="there is no folder 'nowhere'"):
        leaderboard.leaderboard(runs="nowhere")
    with pytest.raises(InputError, match="frame is 'polars' or 'pandas'"):
        leaderboard.leaderboard(frame="arrow")  # type: ignore[call-overload]
    with pytest.raises(AttributeError, match="no attribute 'tsk'"):
        leaderboard.tsk  # type: ignore[attr-defined]  # noqa: B018
    assert {"task", "leaderboard"} <= set(dir(leaderboard))


def test_a_board_is_a_frame_of_polars_or_pandas_with_the_columns_of_the_csv():
    frame = leaderboard.leaderboard("open-dft")
    header, *lines = csv.reader(io.StringIO(bench("leaderboard", "open-dft", "--format", "csv")))
    assert frame.columns == header
    assert len(frame) == len(lines)
    mae = [float(line[header.index("mae")]) if line[header.index("mae")] else None for line in lines]
    assert frame["mae"].to_list() == mae
    assert frame.schema["tied_with"] == pl.List(pl.String)
    pandas = leaderboard.leaderboard("open-dft", frame="pandas")
    assert list(pandas.columns) == header
    assert pandas["model"].tolist() == frame["model"].to_list()
    one = leaderboard.leaderboard("open-dft/metal")
    assert set(one["task"]) == {"open-dft/metal"}
    assert one["rank"][0] == 1


def test_a_run_that_cannot_be_read_is_a_warning(tmp_path: Path):
    home = "open-dft/metal@random/quick"
    shutil.copytree(PACKAGE / "runs" / home, tmp_path / home)
    file = tmp_path / home / "forest/0-0/predictions.csv"
    file.write_text(file.read_text().replace("0.", "0.1"))
    with pytest.warns(UserWarning, match="was changed"):
        frame = leaderboard.leaderboard("open-dft/metal", runs=tmp_path)
    assert "forest" not in frame["model"]
    assert "cgcnn" in frame["model"]


def test_it_needs_no_heavy_package_and_imports_nothing_before_it_is_used(tmp_path: Path):
    lines = """
        import leaderboard
        assert not [m for m in sys.modules if m.startswith(("asugnn", "leaderboard.", "polars", "numpy"))]
        task = leaderboard.task("open-dft/band-gap")
        train, val, test = task.split(fold=0)
        mean = {name: float(train.y.mean()) for name in test.ids}
        assert task.score(mean, fold=0).metrics["mae"].low > 0
        assert task.compare({"mine": mean, "theirs": task.stored_predictions("forest")}).models["theirs"].rank == 1
        assert len(leaderboard.leaderboard("open-dft/band-gap")) > 5
    """
    start = PROGRAM.format(blocked=HEAVY, commands=[]).partition("from leaderboard.cli")[0]
    program = start + "\n".join(line.strip() for line in lines.splitlines())
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr


def test_the_notebook_prints_what_is_stored_in_it():
    """`nox -s docs` stores it. It shows scores, ties and a board, so a change of the statistics shows here."""
    stored = json.loads(run_notebook.NOTEBOOK.read_text(encoding="utf-8"))
    assert run_notebook.notebook_text(run_notebook.run_cells(stored)) == run_notebook.notebook_text(stored)
    assert sum(bool(cell.get("outputs")) for cell in stored["cells"]) >= 5


@pytest.mark.parametrize("call", [leaderboard.task, leaderboard.leaderboard])
def test_a_name_that_is_no_text_is_told(call):
    with pytest.raises(InputError, match="not by a NoneType"):
        call(None)


@pytest.mark.parametrize("far", [1e308, -1e308, 1e160, 1e4])
def test_a_model_that_diverged_has_no_rank_and_never_ties_with_the_best(far: float):
    """One prediction decides both its error and the variance of that, so a test of both could not tell them apart."""
    compared = GAP.compare({"odd": {**FOREST, IDS[0]: far}, "mine": FOREST, "worse": dict.fromkeys(FOREST, 50.0)})
    assert list(compared.models) == ["mine", "worse", "odd"]
    odd = compared.models["odd"]
    assert (odd.rank, odd.tied_with) == (None, ())
    assert "10 times the largest label" in odd.metrics["mae"].reason or odd.metrics["mae"].value is None
    assert compared.models["mine"].tied_with == ()
    assert str(compared).count("not compared") == 2
    assert "p < 0.001" in str(compared)


def test_no_number_is_a_row_of_digits():
    assert format_number(123456.7891) == "123456.789"
    assert [format_number(x) for x in (1e6, -2.5e150, 1.7e308)] == ["1e+06", "-2.5e+150", "1.7e+308"]
