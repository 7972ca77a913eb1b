"""The board: rows against scikit-learn, notes on what is missing, and what the formats say."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from made import record_fields, run_here, write_perfect_run
from sklearn.metrics import mean_absolute_error, roc_auc_score

from asugnn import InputError
from leaderboard.board.board import pareto_front, rank_rows
from leaderboard.board.ground_truth import load_ground_truth
from leaderboard.board.score_file import score_file
from leaderboard.board.verify import verify_runs
from leaderboard.data.tasks import Task, parse_task
from leaderboard.records.comparable_runs import comparable_runs
from leaderboard.records.predictions_csv import read_predictions
from leaderboard.records.run_folder import Run, find_run, list_runs
from leaderboard.records.write_run import write_record
from leaderboard.reports.terminal import render_board
from leaderboard.running.plan import plan_runs

BULK, METAL = parse_task("open-dft/bulk-modulus"), parse_task("open-dft/metal")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of the mean and of the forest on two tasks, the forest with two folds."""
    out = tmp_path_factory.mktemp("runs")
    for models, folds in ((["mean", "forest"], [0]), (["forest"], [1])):
        run_here(plan_runs([BULK, METAL], models, "quick", folds, [0], {}), out)
    return out


@pytest.fixture(scope="module")
def one_fold(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("one")
    for record in list_runs(root)[0]:
        if record.run.fold == 0:
            folder = record.run.folder(out)
            folder.mkdir(parents=True)
            for name in ("predictions.csv", "run.json"):
                (folder / name).write_bytes((record.folder / name).read_bytes())
    return out


def answers_and_predictions(root: Path, task: Task, model: str, fold: int = 0) -> tuple[np.ndarray, np.ndarray]:
    held = load_ground_truth(task, fold)
    file = Run(task, "quick", model, fold, 0).folder(root) / "predictions.csv"
    return held.y, read_predictions(file, held.ids, task.target.name, task.target.kind)


def test_values_are_those_of_scikit_learn(one_fold: Path):
    rows, notes = rank_rows(one_fold, [BULK, METAL], "quick")
    assert notes == []
    values = {(r.model, r.task): r.metrics for r in rows}
    y, p = answers_and_predictions(one_fold, BULK, "forest")
    assert values["forest", BULK.name]["mae"].value == pytest.approx(mean_absolute_error(y, p), abs=1e-12)
    y, p = answers_and_predictions(one_fold, METAL, "forest")
    assert values["forest", METAL.name]["roc_auc"].value == pytest.approx(roc_auc_score(y, p), abs=1e-12)
    assert values["mean", METAL.name]["roc_auc"].value == 0.5


def test_the_better_model_is_first_and_ranks_are_told(one_fold: Path):
    rows, _ = rank_rows(one_fold, [BULK], "quick")
    assert [(r.model, r.rank, r.rank_high, r.tied_with) for r in rows] == [("forest", 1, 1, ()), ("mean", 2, 2, ())]
    low, high = rows[0].metrics["mae"].low, rows[0].metrics["mae"].high
    assert low < rows[0].metrics["mae"].value < high < rows[1].metrics["mae"].value


def test_a_row_of_several_folds_is_their_mean_and_is_not_ranked_with_others(root: Path):
    rows, notes = rank_rows(root, [BULK], "quick")
    forest = next(r for r in rows if r.model == "forest")
    maes = [mean_absolute_error(*answers_and_predictions(root, BULK, "forest", fold)) for fold in (0, 1)]
    assert forest.metrics["mae"].value == pytest.approx(np.mean(maes), abs=1e-12)
    assert forest.spread["mae"] == pytest.approx(np.std(maes, ddof=1), abs=1e-12)
    assert forest.runs == ("0-0", "1-0")
    assert sum(r.rank is None for r in rows) == 1
    assert "not ranked: other folds or seeds" in notes[0]


def test_zero_shot_groups_are_structures():
    distorted, computed = (load_ground_truth(parse_task(f"open-dft/{t}"), 0) for t in ("zero-shot", "formation-energy"))
    assert (distorted.groups, distorted.varying) == (distorted.ids, "structures")
    assert len(set(computed.groups)) < len(computed.ids) / 4, "several volumes of each formula"
    assert computed.varying == "formulas"


def test_the_score_of_a_file_is_the_row_of_the_board(one_fold: Path):
    file = Run(BULK, "quick", "forest", 0, 0).folder(one_fold) / "predictions.csv"
    scored = score_file(file, BULK, 0)
    row = rank_rows(one_fold, [BULK], "quick")[0][0]
    assert {k: (v.value, v.low, v.high) for k, v in row.metrics.items()} == {
        k: (v["value"], v["low"], v["high"]) for k, v in scored["metrics"].items()
    }
    assert scored["n"] == len(load_ground_truth(BULK, 0).ids)
    with pytest.raises(InputError, match="must be 'id,metal'"):
        score_file(file, METAL, 0)


def test_predictions_that_were_damaged_are_named_and_hurt_no_other(one_fold: Path, tmp_path: Path):
    for record in list_runs(one_fold)[0]:
        folder = record.run.folder(tmp_path)
        folder.mkdir(parents=True)
        for name in ("predictions.csv", "run.json"):
            (folder / name).write_bytes((record.folder / name).read_bytes())
    file = Run(BULK, "quick", "forest", 0, 0).folder(tmp_path) / "predictions.csv"
    file.write_text("\n".join(file.read_text().splitlines()[:-1]))
    rows, notes = rank_rows(tmp_path, [BULK], "quick")
    assert [r.model for r in rows] == ["mean"]
    assert "forest on open-dft/bulk-modulus skipped" in notes[0]


def test_rows_of_another_split_are_left_out(one_fold: Path, tmp_path: Path):
    record = find_run(Run(BULK, "quick", "mean", 0, 0), one_fold)
    assert record is not None
    folder = record.run.folder(tmp_path)
    write_record(folder, {**record.record.raw, "split": {"rule": "random", "version": 1, "sha256": "0"}})
    rows, notes = rank_rows(tmp_path, [BULK], "quick")
    assert rows == []
    assert "another version of the split" in notes[0]


def test_formats_say_the_same(one_fold: Path):
    rows, _ = rank_rows(one_fold, [BULK, METAL], "quick")
    plain = json.loads(render_board(rows, [BULK, METAL], "quick", "json", False))
    assert {"model", "preset", "task", "kind", "metrics", "rank", "tied_with"} <= set(plain[0])
    table = list(csv.DictReader(io.StringIO(render_board(rows, [BULK, METAL], "quick", "csv", False))))
    for a, b in zip(plain, table, strict=True):
        assert a["model"] == b["model"]
        primary = "mae" if a["kind"] == "regression" else "roc_auc"
        assert float(b[primary]) == a["metrics"][primary]["value"]
    for form in ("table", "markdown"):
        text = render_board(rows, [BULK, METAL], "quick", form, False)
        assert "quick preset: trained for minutes; do not cite" in text
        assert f"{plain[0]['metrics']['mae']['value']:.3f}" in text
    detailed = render_board(rows, [METAL], "quick", "table", True)
    assert all(word in detailed for word in ("ROC-AUC", "accuracy", "F1", "gap on the k-mesh"))


def test_an_empty_board_is_empty(tmp_path: Path):
    rows, _ = rank_rows(tmp_path, [BULK], "quick")
    assert render_board(rows, [BULK], "quick", "table", False) == ""
    assert json.loads(render_board(rows, [BULK], "quick", "json", False)) == []


def test_labels_that_are_not_at_hand_are_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("BENCH_DATA", raising=False)
    task = parse_task("mp-2018/metal")
    run = Run(task, "quick", "mean", 0, 0)
    write_record(run.folder(tmp_path), record_fields(run))
    rows, notes = rank_rows(tmp_path, [task], "quick")
    assert rows == []
    assert "mp-2018 is not in the package" in notes[0]


def copy_run(source: Path, run: Run, root: Path, **changes: object) -> None:
    """A stored run as another one."""
    folder = run.folder(root)
    shutil.copytree(source, folder)
    raw = json.loads((folder / "run.json").read_text())
    write_record(folder, {**raw, "model": run.model, "fold": run.fold, "seed": run.seed, **changes})


def test_the_commonest_folds_are_ranked(one_fold: Path, tmp_path: Path):
    """Whichever comes first: model a has another fold. Seeds may differ in number; the board says who has one."""
    source = Run(BULK, "quick", "forest", 0, 0).folder(one_fold)
    for model, seeds in {"b": [1], "c": [0], "d": [0, 1]}.items():
        for seed in seeds:
            copy_run(source, Run(BULK, "quick", model, 0, seed), tmp_path)
    write_perfect_run(Run(BULK, "quick", "a", 1, 0), tmp_path)
    rows, notes = rank_rows(tmp_path, [BULK], "quick")
    assert {r.model: (r.rank, r.tied_with) for r in rows} == {
        "a": (None, ()),
        "b": (1, ("c", "d")),
        "c": (1, ("b", "d")),
        "d": (1, ("b", "c")),
    }
    assert notes == ["open-dft/bulk-modulus: a not ranked: other folds or seeds than the rest"]
    text = render_board(rows, [BULK], "quick", "markdown", True)
    assert "one training run: b, c; no interval and no rank contains their noise of training" in text
    assert "several seeds: ranks and intervals contain the noise of training" in text


def test_rows_of_several_folds_are_ranked_only_with_the_same_seeds():
    """One seed a fold is tested over folds, several seeds are tested over these: the two do not compare."""
    assert comparable_runs([(0, 0)]) == comparable_runs([(0, 1), (0, 2)])
    assert comparable_runs([(0, 0)]) != comparable_runs([(1, 0)])
    assert comparable_runs([(0, 0), (1, 0)]) != comparable_runs([(0, 0), (1, 0), (1, 1)])


def test_the_front_by_hand():
    """As good in both is no reason to leave it; as good in one and worse in the other is."""
    assert pareto_front([(1, 1), (1, 1), (1, 2), (2, 1), (2, 2), (0, 3)]) == [0, 1, 5]


def test_what_a_row_says_of_several_runs(one_fold: Path, tmp_path: Path):
    """Means of the seconds that are known, the largest memory, all unsupported crystals."""
    source = Run(BULK, "quick", "forest", 0, 0).folder(one_fold)
    seconds = [{"train": 1.0, "predict": 2.0}, {"train": 4.0, "predict": 3.0}, {"train": 4.0}]
    for seed, memory in enumerate((300, 700, 500)):
        run = Run(BULK, "quick", "forest", 0, seed)
        copy_run(source, run, tmp_path, seconds=seconds[seed], peak_memory_mb=memory)
    (row,) = rank_rows(tmp_path, [BULK], "quick")[0]
    assert (row.seconds_train, row.seconds_predict, row.peak_memory_mb) == (3.0, 2.5, 700)
    assert row.n == len(load_ground_truth(BULK, 0).ids), "seeds test the same crystals"
    assert row.trained > 0
    for file in tmp_path.rglob("run.json"):
        raw = json.loads(file.read_text())
        write_record(file.parent, {**raw, "seconds": {"predict": 1.0}})
    (row,) = rank_rows(tmp_path, [BULK], "quick")[0]
    assert (row.seconds_train, row.trained) == (None, 0)


def test_published_weights_come_last_however_good(one_fold: Path, tmp_path: Path):
    """Below rows without a rank, too."""
    source = Run(BULK, "quick", "forest", 0, 0).folder(one_fold)
    weights = {"name": "w", "trained_on": "other data"}
    copy_run(source, Run(BULK, "pretrained", "best", 0, 0), tmp_path, preset="pretrained", weights=weights)
    copy_run(source, Run(BULK, "quick", "a", 0, 0), tmp_path)
    copy_run(source, Run(BULK, "quick", "b", 0, 0), tmp_path)
    write_perfect_run(Run(BULK, "quick", "other-fold", 1, 0), tmp_path)
    rows, _ = rank_rows(tmp_path, [BULK], "quick")
    assert [(r.model, r.rank) for r in rows] == [("a", 1), ("b", 1), ("other-fold", None), ("best", None)]


@pytest.mark.parametrize(("preset", "weights"), [("quick", False), ("quick", True), ("submitted", False)])
def test_leaving_out_hard_crystals_earns_no_rank(preset: str, weights: bool, one_fold: Path, tmp_path: Path):
    """Only runs with published weights, which have no rank, may list unsupported crystals."""
    source = {model: Run(BULK, "quick", model, 0, 0).folder(one_fold) for model in ("forest", "mean")}
    y, p = answers_and_predictions(one_fold, BULK, "mean")
    ids = load_ground_truth(BULK, 0).ids
    hard = {ids[i]: "too hard" for i in np.argsort(-abs(y - p))[:30]}
    changes: dict[str, object] = {"preset": preset, "outside": hard}
    if weights:
        changes["weights"] = {"name": "w", "trained_on": "other data"}
    copy_run(source["forest"], Run(BULK, "quick", "forest", 0, 0), tmp_path)
    run = Run(BULK, preset, "sly", 0, 0)
    copy_run(source["mean"], run, tmp_path)
    file = run.folder(tmp_path) / "predictions.csv"
    head, *lines = file.read_text().splitlines()
    file.write_text("\n".join([head, *(line for line in lines if line.split(",")[0] not in hard)]) + "\n")
    write_record(run.folder(tmp_path), {**find_run(run, tmp_path).record.raw, **changes})
    rows, notes = rank_rows(tmp_path, [BULK], "quick")
    assert [r.model for r in rows] == ["forest"]
    (note,) = notes
    assert f"sly on {BULK.name} skipped" in note
    assert "lists 30 unsupported test crystals" in note
    (checked,) = [c for c in verify_runs(tmp_path) if "sly" in c.title]
    assert any("lists 30 unsupported test crystals" in fault for fault in checked.faults)


def test_a_record_with_published_weights_has_no_rank_under_any_preset(one_fold: Path, tmp_path: Path):
    source = Run(BULK, "quick", "forest", 0, 0).folder(one_fold)
    copy_run(source, Run(BULK, "quick", "a", 0, 0), tmp_path, weights={"name": "w", "trained_on": "other data"})
    copy_run(source, Run(BULK, "quick", "b", 0, 0), tmp_path)
    rows, _ = rank_rows(tmp_path, [BULK], "quick")
    assert {r.model: r.rank for r in rows} == {"a": None, "b": 1}


def test_a_run_on_other_data_is_not_ranked(one_fold: Path, tmp_path: Path):
    source = Run(BULK, "quick", "forest", 0, 0).folder(one_fold)
    other = {"name": "open-dft", "sha256": "0" * 64}
    copy_run(source, Run(BULK, "quick", "a", 0, 0), tmp_path, data=other)
    rows, notes = rank_rows(tmp_path, [BULK], "quick")
    assert rows == []
    assert "was made with another version of the data set open-dft: run it with --again, or submit" in notes[0]
