"""Entries of public boards: ranked beside own runs, refused where they are faulty, and written in the same form."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import run_here
from public_board_files import JDFT, jarvis_files, jdft_files, publish, publish_jarvis
from standin import serving
from typer.testing import CliRunner

from asugnn import InputError
from leaderboard._util import use_workspace
from leaderboard.board import load_ground_truth, rank_rows
from leaderboard.cli import app
from leaderboard.data import BOARDS, parse_task, suite_tasks
from leaderboard.ingest import board_checkout, fetch_dataset
from leaderboard.public_boards import enter_published, export_entries, jarvis
from leaderboard.public_boards.matbench import FORM, matbench_scores
from leaderboard.records import list_runs, write_predictions
from leaderboard.running.plan import plan_runs
from leaderboard.site import build_site
from leaderboard.submissions.enter import enter_submission

TASK = f"{JDFT}/exfoliation-energy"
ENTRY = "benchmarks/matbench_v0.1_theirs"


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of Matbench with one data set made from open-dft, fetched with its crystals."""
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    publish(monkeypatch, jdft_files(), tmp_path / "matbench")
    fetch_dataset(JDFT, tmp_path / "matbench")
    return tmp_path / "matbench"


def entry_of(change: Callable[[dict[str, Any]], None] = lambda _: None) -> dict[str, Any]:
    """An entry in the form of Matbench that predicts the label plus 0.1, changed by a function of its folds."""
    folds = {}
    for k in range(5):
        truth = load_ground_truth(parse_task(TASK), k)
        data = dict(zip(truth.ids, (truth.y + 0.1).tolist(), strict=True))
        folds[f"fold_{k}"] = {"data": data, "parameters": {}, "scores": {"mae": 0.1}}
    change(folds)
    return {"tasks": {JDFT: {"results": folds}}}


def store(checkout: Path, entry: dict[str, Any], folder: str = ENTRY) -> None:
    (checkout / folder).mkdir(parents=True, exist_ok=True)
    (checkout / folder / "results.json.gz").write_bytes(gzip.compress(json.dumps(entry).encode()))
    (checkout / folder / "info.json").write_text('{"authors": ["A. One", "B. Two"], "bibtex_refs": "doi = {10.1/x}"}')


def enter(checkout: Path, root: Path) -> tuple[dict[str, int], list[str]]:
    return enter_published("matbench", checkout, "", [parse_task(TASK)], root)


@pytest.mark.slow
def test_an_own_model_runs_on_all_official_folds_and_is_ranked_beside_published_rows(board: Path, tmp_path: Path):
    store(board, entry_of())
    runner = CliRunner()
    run = runner.invoke(app, ["run", "--task", TASK, "--model", "mean", "--allow-leaks"], catch_exceptions=False)
    assert run.exit_code == 0, run.output
    entered = runner.invoke(app, ["published", "matbench", "--task", TASK, "--from", str(board)])
    assert "theirs: 5 folds" in entered.output
    rows, notes = rank_rows(tmp_path / "runs", [parse_task(TASK)], "quick")
    assert notes == []
    assert {row.title: row.runs for row in rows} == dict.fromkeys(
        ["theirs, published", "mean"], ("0-0", "1-0", "2-0", "3-0", "4-0")
    )
    assert all(row.rank for row in rows)
    assert rows[0].title == "theirs, published"
    assert rows[0].metrics["mae"].value == pytest.approx(0.1)
    assert rows[0].published.authors == "A. One, B. Two"
    shown = runner.invoke(app, ["leaderboard", "--task", TASK]).output
    assert "theirs: A. One, B. Two; " in shown


def test_an_exported_run_read_back_has_the_same_score_to_the_last_bit(board: Path, tmp_path: Path):
    root, random = tmp_path / "runs", np.random.default_rng(1)
    for k in range(5):
        truth = load_ground_truth(parse_task(TASK), k)
        write_predictions(tmp_path / "mine.csv", truth.ids, "exfoliation-energy", random.normal(size=len(truth.ids)))
        enter_submission(tmp_path / "mine.csv", parse_task(TASK), "mine", k, root)
    out = tmp_path / "theirs"
    result = CliRunner().invoke(app, ["export", "--to", "matbench", "--task", TASK, "--out", str(out)])
    assert result.exit_code == 0, result.output
    stored = list_runs(root)[0]
    stored[0] = replace(stored[0], record=replace(stored[0].record, outside={"mb-1": "not supported"}))
    with pytest.raises(InputError, match="leaves out 1 test crystals, and matbench wants a value of each"):
        export_entries("matbench", stored, [parse_task(TASK)], tmp_path / "none")
    counts, notes = enter(tmp_path / "theirs", root)
    assert (counts, notes) == ({"mine": 5}, [])
    rows = {row.title: row for row in rank_rows(root, [parse_task(TASK)], "quick")[0]}
    ours, theirs = rows["mine, submitted"], rows["mine, published"]
    assert ours.metrics == theirs.metrics
    assert theirs.published.stated["mae"] == pytest.approx(ours.metrics["mae"].value, rel=1e-14)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: f["fold_3"]["data"].pop("mb-jdft2d-001", f["fold_3"]["data"].popitem()), "test ids are missing"),
        (lambda f: f["fold_3"]["data"].update(x=1.0), "1 ids outside its test set, such as 'x'"),
        (lambda f: f["fold_3"]["data"].update({next(iter(f["fold_3"]["data"])): None}), "is not a finite number"),
        (lambda f: f["fold_3"]["data"].update({next(iter(f["fold_3"]["data"])): "much"}), "'much' is not a finite"),
        (lambda f: f["fold_3"]["data"].update({next(iter(f["fold_3"]["data"])): "1.5 "}), "'1.5 ' is not a finite"),
        (lambda f: f["fold_3"]["data"].update({next(iter(f["fold_3"]["data"])): True}), "true is not a finite number"),
        (lambda f: f["fold_3"]["data"].update({next(iter(f["fold_3"]["data"])): 10**400}), "a huge number is not"),
        (lambda f: f["fold_3"]["data"].update({next(iter(f["fold_3"]["data"])): [1.0]}), "a list is not a finite"),
        (lambda f: f.update(fold_3=None), "test ids are missing"),
        (lambda f: f["fold_3"].update(data=None), "its predictions are not an object"),
        (lambda f: f["fold_3"].update(data=list(f["fold_3"]["data"])), "its predictions are not an object"),
    ],
)
def test_a_fold_that_is_not_that_of_the_task_is_left_out_and_named(board: Path, tmp_path: Path, change, sentence: str):
    store(board, entry_of(change))
    counts, (note,) = enter(board, tmp_path / "runs")
    assert counts == {"theirs": 4}
    assert f"theirs on {TASK}, fold 3 is not entered: " in note
    assert sentence in note


def test_an_odd_stated_score_costs_no_predictions(board: Path, tmp_path: Path):
    store(board, entry_of(lambda f: f["fold_3"]["scores"].update(mae=float("nan"))))
    assert enter(board, tmp_path / "runs") == ({"theirs": 5}, [])


def test_folds_and_tasks_that_are_missing_or_renamed_are_named(board: Path, tmp_path: Path):
    entry = entry_of(lambda f: f.update(Fold_4=f.pop("fold_4"), fold_9=f.pop("fold_1")))
    entry["tasks"]["matbench_jdft3d"] = {}
    store(board, entry)
    counts, notes = enter(board, tmp_path / "runs")
    assert counts == {"theirs": 3}
    assert notes == [
        "matbench_v0.1_theirs: 'Fold_4' is no fold of matbench_jdft2d, and is left out",
        "matbench_v0.1_theirs: 'fold_9' is no fold of matbench_jdft2d, and is left out",
        "matbench_v0.1_theirs: 'matbench_jdft3d' is no task of matbench_v0.1, and is left out",
        f"theirs on {TASK} has no predictions of fold 1, 4",
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "it is a list, not an object"),
        ("{}", "'tasks' in it is null, not an object"),
        ('{"tasks": [1]}', "'tasks' in it is a list, not"),
        (json.dumps({"tasks": {JDFT: []}}), "is a list, not an object"),
        (json.dumps({"tasks": {JDFT: {"results": 5}}}), "is 5, not an object"),
        ('{"tasks": {}, "tasks": {}}', "'tasks' stands more than once in one object"),
        ('{"tasks": {"t": {"results": {"fold_0": {"data": {"a": 1, "a": 2}}}}}}', "'a' stands more than once"),
    ],
)
def test_an_entry_of_another_form_is_told_in_words_of_the_file(board: Path, tmp_path: Path, text: str, sentence: str):
    store(board, {})
    (board / ENTRY / "results.json.gz").write_bytes(gzip.compress(text.encode()))
    counts, (note,) = enter(board, tmp_path / "runs")
    assert (counts, sentence in note) == ({}, True), note


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("", "its header is '', not id,prediction"),
        ("id,prediction\na\n", "a line has 1 cells instead of 2"),
        ("id,prediction\na,1\na,2\n", "holds id 'a' more than once"),
        ("id,target,prediction\na,1_0,2\n", "id 'a': '1_0' is not a finite number"),
        (None, "it holds 0 files instead of one"),
    ],
)
def test_a_file_of_jarvis_of_another_form_is_told_in_its_words(lines: str | None, sentence: str, tmp_path: Path):
    folder = tmp_path / "jarvis_leaderboard/contributions/odd"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "AI-SinglePropertyPrediction-e_form-megnet-test-mae.csv.zip", "w") as archive:
        if lines is not None:
            archive.writestr("x.csv", lines)
    with pytest.raises(InputError, match=re.escape(sentence)):
        jarvis.FORM.read_entries(folder)


def test_two_entries_of_one_model_are_not_one(board: Path, tmp_path: Path):
    store(board, entry_of())
    store(board, entry_of(), ENTRY.replace("matbench_v0.1_", ""))
    counts, (note,) = enter(board, tmp_path / "runs")
    assert counts == {"theirs": 5}
    assert "its model is called theirs, as that of" in note


def test_an_entry_that_cannot_be_read_is_named_and_the_others_are_entered(board: Path, tmp_path: Path):
    store(board, entry_of())
    store(board, {"tasks": {JDFT: {}}}, "benchmarks/matbench_v0.1_other")
    (board / "benchmarks/damaged").mkdir()
    (board / "benchmarks/damaged/results.json.gz").write_bytes((board / ENTRY / "results.json.gz").read_bytes()[:90])
    counts, notes = enter(board, tmp_path / "runs")
    assert counts == {"theirs": 5}
    assert [note.partition(" ")[0] for note in notes] == ["damaged", "matbench_v0.1_other"]
    assert "'results' of task 'matbench_jdft2d' is null, not an object with names" in notes[1]
    with pytest.raises(InputError, match="holds no entry of matbench"):
        enter(tmp_path / "nowhere", tmp_path / "runs")


def test_what_is_entered_is_kept_and_a_damaged_row_is_entered_again(board: Path, tmp_path: Path):
    store(board, entry_of())
    enter(board, tmp_path)
    (first, *_), _ = list_runs(tmp_path)
    before = (first.folder / "run.json").stat().st_mtime_ns
    enter(board, tmp_path)
    assert (first.folder / "run.json").stat().st_mtime_ns == before
    first.predictions.write_text("id,x\n")
    enter(board, tmp_path)
    assert rank_rows(tmp_path, [parse_task(TASK)], "quick")[1] == []


def test_the_site_shows_rows_of_labels_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    publish(monkeypatch, jdft_files(), tmp_path / "matbench")
    fetch_dataset(JDFT, tmp_path / "matbench", labels_only=True)
    store(tmp_path / "matbench", entry_of())
    enter(tmp_path / "matbench", tmp_path / "runs")
    pages, notes = build_site(tmp_path / "runs", tmp_path / "site")
    assert (pages, notes) == (2 + 1 + 5, ())
    assert "theirs" in (tmp_path / "site/index.html").read_text()


def test_the_command_says_what_it_enters_and_what_it_does_not_know(board: Path):
    runner = CliRunner()
    words = ["published", "matbench", "--task", TASK, "--from"]
    with pytest.raises(InputError, match=r"holds no entry of matbench: there is no benchmarks/\*/results.json.gz"):
        runner.invoke(app, [*words, str(board)], catch_exceptions=False)
    with pytest.raises(InputError, match="there is no folder"):
        runner.invoke(app, [*words, str(board / "nowhere")], catch_exceptions=False)
    store(board, {"tasks": {}})
    with pytest.raises(InputError, match=f"no entry of matbench has one of these tasks, or none fits: {TASK}"):
        runner.invoke(app, [*words, str(board)], catch_exceptions=False)
    with pytest.raises(InputError, match="open-dft/metal: not a task of matbench"):
        runner.invoke(app, ["published", "matbench", "--task", "open-dft/metal"], catch_exceptions=False)


def test_jarvis_is_entered_exported_and_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    checkout, root = tmp_path / "jarvis", tmp_path / "runs"
    publish_jarvis(monkeypatch, jarvis_files(), checkout)
    fetch_dataset("jarvis_megnet", checkout)
    tasks = list(suite_tasks("jarvis_megnet"))
    run_here(plan_runs(tasks, ["mean"], "quick", [], [0], {}, True), root)
    assert {row.task: row.leaks for row in rank_rows(root, tasks, "quick")[0]} == {
        "jarvis_megnet/formation-energy": 0,
        "jarvis_megnet/band-gap": 1,  # which the published split lists on both sides
    }
    files = export_entries("jarvis", list_runs(root)[0], tasks, tmp_path / "theirs")
    assert "AI-SinglePropertyPrediction-e_form-megnet-test-mae.csv.zip" in {file.name for file in files}
    counts, notes = enter_published("jarvis", tmp_path / "theirs", "", tasks, root)
    assert (counts, notes) == ({"mean": 2}, [])
    rows = {(row.task, row.title): asdict(row)["metrics"] for row in rank_rows(root, tasks, "quick")[0]}
    assert all(rows[task.name, "mean, published"] == rows[task.name, "mean"] for task in tasks)


def test_entries_are_downloaded_at_their_commit_and_verified_by_git(board: Path, monkeypatch: pytest.MonkeyPatch):
    store(board, entry_of())
    with serving() as server:
        monkeypatch.setattr(board_checkout, "GITHUB_API", server.url)
        monkeypatch.setattr(board_checkout, "GITHUB_RAW", server.url)
        repository, commit, _ = board_checkout.REPOSITORIES["matbench"]
        paths = [f"{ENTRY}/results.json.gz", f"{ENTRY}/info.json"]
        tree = []
        for path in paths:
            content = (board / path).read_bytes()
            server.files[f"/{repository}/{commit}/{path}"] = content
            sha = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            tree.append({"path": path, "sha": sha, "size": len(content)})
        answer = {"truncated": False, "tree": [*tree, {"path": "README.md", "sha": "0", "size": 1}]}
        server.files[f"/{repository}/git/trees/{commit}"] = json.dumps(answer).encode()
        folder, found = board_checkout.fetch_board("matbench")
        assert found == commit
        assert [(folder / path).read_bytes() for path in paths] == [(board / path).read_bytes() for path in paths]
        shutil.rmtree(folder)
        wrong = bytearray(server.files[f"/{repository}/{commit}/{paths[0]}"])
        wrong[-1] ^= 1
        server.files[f"/{repository}/{commit}/{paths[0]}"] = bytes(wrong)
        with pytest.raises(InputError, match="is not the file of that commit"):
            board_checkout.fetch_board("matbench")
        assert not (folder / paths[0]).exists()


# What is known of the real boards, whose files BENCH_BOARDS names.


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory):
    """The folder of real boards; their labels are fetched into a folder of the module."""
    if not (named := os.environ.get("BENCH_BOARDS")):
        pytest.skip("BENCH_BOARDS names no folder of real boards: nothing was tested on them")
    with use_workspace(data=tmp_path_factory.mktemp("labels")):
        yield Path(named)


CHECKOUTS = {"matbench": "matbench", "jarvis": "jarvis_leaderboard"}
LIGHT_ENTRIES = ("Auto-sklearn", "RFLR", "TPOT", "darwin")  # the others take seconds to read


def check_real_board(real: Path, board: str, names: list[str], root: Path) -> dict[tuple[str, str], Any]:
    """Enter data sets of a board, and compare each stated MAE; returns the rows by task and model."""
    checkout = real / CHECKOUTS[board]
    for name in names:
        fetch_dataset(name, checkout, labels_only=True)
    tasks = [task for name in names for task in suite_tasks(name)]
    _, notes = enter_published(board, checkout, "", tasks, root)
    assert notes == []
    rows, notes = rank_rows(root, tasks, "quick")
    assert notes == []
    for row in rows:
        if stated := row.published.stated.get("mae"):
            assert row.metrics["mae"].value == pytest.approx(stated, rel=1e-4)
        assert (row.rank is None) == (row.published.classes and row.kind == "binary")
    return {(row.task, row.model): row for row in rows}


def test_light_entries_of_the_real_matbench_have_the_stated_scores(real: Path, tmp_path: Path):
    (tmp_path / "matbench/benchmarks").mkdir(parents=True)
    (tmp_path / "matbench/scripts").symlink_to(real / "matbench/scripts")
    for name in LIGHT_ENTRIES:
        folder = f"matbench/benchmarks/matbench_v0.1_{name}"
        (tmp_path / folder).symlink_to(real / folder)
    names = ["matbench_steels", "matbench_expt_gap", "matbench_expt_is_metal", "matbench_glass"]
    rows = check_real_board(tmp_path, "matbench", names, tmp_path / "runs")
    assert len(rows) == 7
    assert rows["matbench_expt_is_metal/metal", "darwin"].metrics["roc_auc"].value is None


@pytest.mark.slow
def test_the_real_jarvis_board_is_entered(real: Path, tmp_path: Path):
    rows = check_real_board(real, "jarvis", list(BOARDS["jarvis"]), tmp_path)
    assert rows["jarvis_dft_3d_2021/formation-energy", "kgcnn_coGN"].metrics["mae"].value == pytest.approx(
        0.0271, abs=5e-5
    )
    leaks = {task: row.leaks for (task, _), row in rows.items()}
    assert [leaks[f"jarvis_dft_3d_2021/{t}"] for t in ("formation-energy", "band-gap", "mbj-band-gap")] == [2, 2, 1]


@pytest.mark.slow
def test_all_of_the_real_matbench_has_the_stated_scores_and_folds(real: Path, tmp_path: Path):
    rows = check_real_board(real, "matbench", list(BOARDS["matbench"]), tmp_path)
    assert len(rows) == 73
    assert rows["matbench_mp_is_metal/metal", "coNGN"].metrics["roc_auc"].value == pytest.approx(0.9540, abs=5e-5)
    assert rows["matbench_mp_is_metal/metal", "coNGN"].published.stated["roc_auc"] == pytest.approx(0.9089, abs=5e-5)
    assert sum(len(row.runs) for row in rows.values()) == 365


def test_our_export_has_the_form_of_the_real_entries(real: Path, tmp_path: Path):
    theirs = real / "matbench/benchmarks/matbench_v0.1_rf/results.json.gz"
    entry = json.loads(gzip.decompress(theirs.read_bytes()))
    results = {}
    for name in ("matbench_steels", "matbench_glass"):
        fetch_dataset(name, real / "matbench", labels_only=True)
        (task,) = suite_tasks(name)
        truths = {k: load_ground_truth(task, k) for k in range(5)}
        stored = entry["tasks"][name]["results"]
        results[task] = {
            k: (truth.ids, truth.y, np.array([float(stored[f"fold_{k}"]["data"][i]) for i in truth.ids]))
            for k, truth in truths.items()
        }
        for k, fold in results[task].items():
            scores = matbench_scores(task, *fold[1:])
            assert scores == pytest.approx({key: stored[f"fold_{k}"]["scores"][key] for key in scores}, rel=1e-9)
            assert scores.keys() == stored[f"fold_{k}"]["scores"].keys()
    file, _ = FORM.write_entry(tmp_path, "ours", results)
    ours = json.loads(gzip.decompress(file.read_bytes()))
    assert ours.keys() == entry.keys()
    digest = ours.pop("hash")
    assert digest == hashlib.sha256(json.dumps(ours, sort_keys=True).encode()).hexdigest()
    their_hash = entry.pop("hash")
    assert their_hash == hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
    mine, other = ours["tasks"]["matbench_steels"], entry["tasks"]["matbench_steels"]
    assert mine.keys() == other.keys()
    assert mine["results"].keys() == other["results"].keys()
    assert re.fullmatch(r"\d{4}\.\d\d\.\d\d \d\d:\d\d\.\d\d", ours["datestamp"])
