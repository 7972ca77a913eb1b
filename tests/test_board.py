"""The board: rows against scikit-learn, notes on what is missing, and what the formats say."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error, roc_auc_score

from asugnn import InputError
from asugnn.model import silent
from leaderboard import board, render, runner, store, submission, tasks

BULK, METAL = tasks.parse("open-dft/bulk-modulus"), tasks.parse("open-dft/metal")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of the mean and of the forest on two tasks, the forest with two folds."""
    out = tmp_path_factory.mktemp("runs")
    bench = runner.Bench(out, None, "cpu", "float32", lambda title: silent)
    for models, folds in ((["mean", "forest"], [0]), (["forest"], [1])):
        jobs = runner.plan([BULK, METAL], models, "quick", folds, [0], {}, None)
        assert runner.work(jobs, bench, lambda *_: None)["failed"] == 0
    return out


@pytest.fixture(scope="module")
def one_fold(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("one")
    for record in store.records(root)[0]:
        if record.run.fold == 0:
            folder = record.run.folder(out)
            folder.mkdir(parents=True)
            for name in ("predictions.csv", "run.json"):
                (folder / name).write_bytes((record.folder / name).read_bytes())
    return out


def answers_and_predictions(root: Path, task: tasks.Task, model: str, fold: int = 0) -> tuple[np.ndarray, np.ndarray]:
    held = board.answers(task, fold, None)
    file = store.Run(task, "quick", model, fold, 0).folder(root) / "predictions.csv"
    return held.y, submission.read(file, held.ids, task.target.name, task.target.kind)


def test_values_are_those_of_scikit_learn(one_fold: Path):
    rows, notes = board.rows(one_fold, [BULK, METAL], "quick", None)
    assert notes == []
    values = {(r.model, r.task): r.metrics for r in rows}
    y, p = answers_and_predictions(one_fold, BULK, "forest")
    assert values["forest", BULK.name]["mae"].value == pytest.approx(mean_absolute_error(y, p), abs=1e-12)
    y, p = answers_and_predictions(one_fold, METAL, "forest")
    assert values["forest", METAL.name]["roc_auc"].value == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert values["mean", METAL.name]["roc_auc"].value == 0.5


def test_the_better_model_is_first_and_ranks_are_told(one_fold: Path):
    rows, _ = board.rows(one_fold, [BULK], "quick", None)
    assert [(r.model, r.rank, r.rank_high, r.tied_with) for r in rows] == [("forest", 1, 1, ()), ("mean", 2, 2, ())]
    low, high = rows[0].metrics["mae"].low, rows[0].metrics["mae"].high
    assert low < rows[0].metrics["mae"].value < high < rows[1].metrics["mae"].value


def test_a_row_of_several_folds_is_their_mean_and_is_not_ranked_with_others(root: Path):
    rows, notes = board.rows(root, [BULK], "quick", None)
    forest = next(r for r in rows if r.model == "forest")
    maes = [mean_absolute_error(*answers_and_predictions(root, BULK, "forest", fold)) for fold in (0, 1)]
    assert forest.metrics["mae"].value == pytest.approx(np.mean(maes), abs=1e-12)
    assert forest.spread["mae"] == pytest.approx(np.std(maes, ddof=1), abs=1e-12)
    assert forest.runs == ("0-0", "1-0")
    assert sum(r.rank is None for r in rows) == 1
    assert "not ranked: other folds or seeds" in notes[0]


def test_zero_shot_groups_are_structures():
    assert len(set(board.answers(tasks.parse("open-dft/zero-shot"), 0, None).groups)) == 112
    assert len(set(board.answers(tasks.parse("open-dft/formation-energy"), 0, None).groups)) < 50


def test_the_score_of_a_file_is_the_row_of_the_board(one_fold: Path):
    file = store.Run(BULK, "quick", "forest", 0, 0).folder(one_fold) / "predictions.csv"
    scored = board.score(file, BULK, 0, None)
    row = board.rows(one_fold, [BULK], "quick", None)[0][0]
    assert {k: (v.value, v.low, v.high) for k, v in row.metrics.items()} == {
        k: (v["value"], v["low"], v["high"]) for k, v in scored["metrics"].items()
    }
    assert scored["n"] == 40
    with pytest.raises(InputError, match="must be 'id,metal'"):
        board.score(file, METAL, 0, None)


def test_predictions_that_were_damaged_are_named_and_hurt_no_other(one_fold: Path, tmp_path: Path):
    for record in store.records(one_fold)[0]:
        folder = record.run.folder(tmp_path)
        folder.mkdir(parents=True)
        for name in ("predictions.csv", "run.json"):
            (folder / name).write_bytes((record.folder / name).read_bytes())
    file = store.Run(BULK, "quick", "forest", 0, 0).folder(tmp_path) / "predictions.csv"
    file.write_text("\n".join(file.read_text().splitlines()[:-1]))
    rows, notes = board.rows(tmp_path, [BULK], "quick", None)
    assert [r.model for r in rows] == ["mean"]
    assert "forest on open-dft/bulk-modulus is left out" in notes[0]


def test_rows_of_another_split_are_left_out(one_fold: Path, tmp_path: Path):
    record = store.complete(store.Run(BULK, "quick", "mean", 0, 0), one_fold)
    assert record is not None
    folder = record.run.folder(tmp_path)
    store.write_record(folder, {**record.about, "split": {"sha256": "0"}})
    rows, notes = board.rows(tmp_path, [BULK], "quick", None)
    assert rows == []
    assert "another version of the split" in notes[0]


def test_formats_say_the_same(one_fold: Path):
    rows, _ = board.rows(one_fold, [BULK, METAL], "quick", None)
    plain = json.loads(render.board(rows, [BULK, METAL], "quick", "json", False))
    assert {"model", "preset", "task", "kind", "metrics", "rank", "tied_with"} <= set(plain[0])
    table = list(csv.DictReader(io.StringIO(render.board(rows, [BULK, METAL], "quick", "csv", False))))
    for a, b in zip(plain, table, strict=True):
        assert a["model"] == b["model"]
        primary = "mae" if a["kind"] == "regression" else "roc_auc"
        assert float(b[primary]) == a["metrics"][primary]["value"]
    for form in ("table", "markdown"):
        text = render.board(rows, [BULK, METAL], "quick", form, False)
        assert "quick preset: trained for minutes; do not cite" in text
        assert f"{plain[0]['metrics']['mae']['value']:.3f}" in text
    detailed = render.board(rows, [METAL], "quick", "table", True)
    assert all(word in detailed for word in ("ROC-AUC", "accuracy", "F1", "gap on the k-mesh"))


def test_an_empty_board_says_how_to_fill_it(tmp_path: Path):
    rows, _ = board.rows(tmp_path, [BULK], "quick", None)
    assert "`bench run` makes them" in render.board(rows, [BULK], "quick", "table", False)
    assert json.loads(render.board(rows, [BULK], "quick", "json", False)) == []


def test_labels_that_are_not_at_hand_are_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BENCH_DATA", raising=False)
    task = tasks.parse("mp-2018/metal")
    store.write_record(store.Run(task, "quick", "mean", 0, 0).folder(tmp_path), {})
    rows, notes = board.rows(tmp_path, [task], "quick", None)
    assert rows == []
    assert "mp-2018 is not in the package" in notes[0]
