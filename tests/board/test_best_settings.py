"""One row per model: settings are chosen by validation error, whatever the test set says."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import Typed
from made import record_fields

from asugnn import training_state
from leaderboard.board.best_settings import SMOOTH
from leaderboard.board.board import rank_rows
from leaderboard.board.ground_truth import load_ground_truth
from leaderboard.data.tasks import Task, parse_task
from leaderboard.records import PUBLISHED, SUBMITTED
from leaderboard.records.predictions_csv import write_predictions
from leaderboard.records.run_folder import Run
from leaderboard.records.write_run import write_record
from leaderboard.reports.settings_notes import settings_notes
from leaderboard.reports.terminal import render_board
from leaderboard.site import build_site

BULK, GAP = parse_task("open-dft/bulk-modulus"), parse_task("open-dft/band-gap")
WIDE, LONG = "cgcnn+width=9", "cgcnn+epochs=9"


def write_run(
    root: Path,
    task: Task,
    model: str,
    error: float,
    validation: Sequence[float] = (),
    preset: str = "quick",
    entry: str = "",
    seed: int = 0,
    fold: int = 0,
) -> Path:
    """A run whose predictions are all off by `error`, and whose epochs had these validation errors."""
    run, truth = Run(task, preset, model, fold, seed), load_ground_truth(task, fold)
    folder = run.folder(root)
    write_predictions(folder / "predictions.csv", truth.ids, task.target.name, truth.y + error)
    if validation:
        lines = [f"{i},{value}\n" for i, value in enumerate(validation, start=1)]
        (folder / "history.csv").write_text("".join(["epoch,val\n", *lines]))
    fields = {
        "split": {"rule": task.rule, "version": 1, "sha256": truth.split_sha256},
        "counts": {"train": 1},
        "seconds": {"train": 1.0},
    }
    fields["entry"] = entry or model.partition("+")[0]
    write_record(folder, record_fields(run, **fields))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """On validation crystals the wide CGCNN is best at the modulus, the plain one at the gap; on test the opposite."""
    runs = tmp_path / "runs"
    write_run(runs, BULK, "cgcnn", 0.1, [0.9, 0.4, 0.4])
    write_run(runs, BULK, WIDE, 0.2, [0.9, 0.1, 0.1])
    write_run(runs, GAP, "cgcnn", 0.4, [0.5, float("nan")])
    write_run(runs, GAP, WIDE, 0.3, [0.7, 0.6])
    for task in (BULK, GAP):
        write_run(runs, task, "forest", 0.25)
    return runs


def chosen(root: Path) -> dict[tuple[str, str], str]:
    rows, _ = rank_rows(root, [BULK, GAP], "quick", one_per_model=True)
    return {(row.title, row.task): row.model for row in rows}


def test_validation_chooses_and_test_does_not(root: Path):
    assert chosen(root) == {
        ("cgcnn", BULK.name): WIDE,
        ("cgcnn", GAP.name): "cgcnn",
        ("forest", BULK.name): "forest",
        ("forest", GAP.name): "forest",
    }


def test_ranks_are_among_the_chosen(root: Path):
    every = {row.title: row.rank for row in rank_rows(root, [BULK], "quick")[0]}
    assert every == {"cgcnn": 1, WIDE: 2, "forest": 3}
    best = {row.title: (row.rank, row.model) for row in rank_rows(root, [BULK], "quick", one_per_model=True)[0]}
    assert best == {"cgcnn": (1, WIDE), "forest": (2, "forest")}


def test_the_mean_over_seeds_decides(tmp_path: Path):
    for seed, (plain, other) in enumerate([(0.1, 0.2), (0.6, 0.3)]):
        write_run(tmp_path, BULK, "cgcnn", 0.1, [plain], seed=seed)
        write_run(tmp_path, BULK, LONG, 0.2, [other], seed=seed)
    assert chosen(tmp_path) == {("cgcnn", BULK.name): LONG}


def test_without_validation_errors_the_settings_of_the_preset_stay(tmp_path: Path):
    write_run(tmp_path, BULK, "forest+trees=9", 0.1)
    write_run(tmp_path, BULK, "forest", 0.2)
    write_run(tmp_path, BULK, LONG, 0.1, [float("nan")])  # it diverged
    write_run(tmp_path, BULK, WIDE, 0.2, [7.0])
    assert chosen(tmp_path) == {("forest", BULK.name): "forest", ("cgcnn", BULK.name): WIDE}


def test_errors_on_validation_crystals_of_different_folds_choose_nothing(tmp_path: Path):
    write_run(tmp_path, BULK, "cgcnn", 0.1, [0.4], fold=0)
    write_run(tmp_path, BULK, WIDE, 0.2, [0.1], fold=1)
    assert chosen(tmp_path) == {("cgcnn", BULK.name): "cgcnn"}


@pytest.mark.parametrize("preset", [SUBMITTED, PUBLISHED])
def test_predictions_of_others_are_all_shown(tmp_path: Path, preset: str):
    """A plus in their names does not make them settings of one model."""
    for name in ("net", "net+more=1"):
        write_run(tmp_path, BULK, name, 0.1, preset=preset)
    rows, _ = rank_rows(tmp_path, [BULK], "quick", one_per_model=True)
    assert {row.model for row in rows} == {"net", "net+more=1"}
    assert len({row.title for row in rows}) == 2


def test_a_row_that_is_not_named_after_its_model_hides_no_other(root: Path):
    """A copied record may state another model than its folder does, or nonsense."""
    for name, entry in (("mine", "cgcnn"), ("yours", ":Net"), ("hers+width=1", "/:Net")):
        write_run(root, BULK, name, 0.0, [0.0], entry=entry)
        assert chosen(root)[name, BULK.name] == name
    assert chosen(root)["cgcnn", BULK.name] == WIDE


def test_a_row_whose_records_state_several_models_hides_no_other(root: Path):
    for seed, entry in enumerate(("cgcnn", "other")):
        write_run(root, BULK, LONG, 0.0, [0.0], seed=seed, entry=entry)
    assert chosen(root)["cgcnn", BULK.name] == WIDE
    assert chosen(root)[LONG, BULK.name] == LONG


def test_settings_that_cannot_be_scored_hide_no_others(root: Path):
    folder = Run(BULK, "quick", WIDE, 0, 0).folder(root)
    (folder / "predictions.csv").write_text("id,bulk-modulus\n")
    rows, notes = rank_rows(root, [BULK], "quick", one_per_model=True)
    assert {row.title: row.model for row in rows} == {"cgcnn": "cgcnn", "forest": "forest"}
    assert any(WIDE in note and "predictions.csv was changed" in note for note in notes)


def test_settings_whose_history_was_changed_are_named_and_left_out(root: Path):
    file = Run(BULK, "quick", WIDE, 0, 0).folder(root) / "history.csv"
    file.write_text("epoch,val\n1,0.0\n")
    rows, notes = rank_rows(root, [BULK], "quick", one_per_model=True)
    assert {row.model for row in rows} == {"cgcnn", "forest"}
    (note,) = [note for note in notes if WIDE in note]
    assert "history.csv was changed" in note


def test_settings_are_compared_on_the_folds_and_seeds_that_all_have(tmp_path: Path):
    """And those with fewer folds are not chosen: they could not be ranked with the other models."""
    for seed, error in enumerate((0.2, 0.4, 0.6)):
        write_run(tmp_path, BULK, "cgcnn", 0.1, [error], seed=seed)
    write_run(tmp_path, BULK, LONG, 0.2, [0.39], seed=0)
    assert chosen(tmp_path) == {("cgcnn", BULK.name): "cgcnn"}
    write_run(tmp_path, BULK, WIDE, 0.2, [0.1], seed=0)
    assert chosen(tmp_path) == {("cgcnn", BULK.name): WIDE}
    for model in ("cgcnn", "forest"):
        for fold in (0, 1):
            write_run(tmp_path, GAP, model, 0.1, [0.5], fold=fold)
    write_run(tmp_path, GAP, WIDE, 0.2, [0.1])
    assert chosen(tmp_path)["cgcnn", GAP.name] == "cgcnn"
    rows, notes = rank_rows(tmp_path, [GAP], "quick", one_per_model=True)
    assert all(row.rank for row in rows), notes


def test_epochs_are_smoothed_as_in_training(tmp_path: Path):
    """Else one lucky epoch of few crystals would choose."""
    assert SMOOTH == training_state.SMOOTH
    write_run(tmp_path, BULK, "cgcnn", 0.1, [0.5] * 10)
    write_run(tmp_path, BULK, LONG, 0.1, [0.9] * 7 + [0.1] + [0.9] * 7)
    assert chosen(tmp_path) == {("cgcnn", BULK.name): "cgcnn"}


def test_without_a_choice_none_is_told(tmp_path: Path):
    write_run(tmp_path, BULK, LONG, 0.1, [0.9])
    write_run(tmp_path, GAP, "forest+trees=9", 0.1)
    write_run(tmp_path, GAP, "forest", 0.2)
    rows, _ = rank_rows(tmp_path, [BULK, GAP], "quick", one_per_model=True)
    assert settings_notes(rows, "table") == [
        "of several settings without a validation score, those of the preset: forest as preset (band-gap)",
        "with changed settings: cgcnn epochs=9 (bulk-modulus)",
    ]


def test_a_choice_by_validation_is_told_where_others_diverged_or_have_fewer_folds(tmp_path: Path):
    write_run(tmp_path, BULK, "cgcnn", 0.1, [float("nan")])
    write_run(tmp_path, BULK, WIDE, 0.2, [0.2])
    for fold in (0, 1):
        write_run(tmp_path, GAP, LONG, 0.1, [0.5], fold=fold)
    write_run(tmp_path, GAP, "cgcnn", 0.1, [0.1])
    rows, _ = rank_rows(tmp_path, [BULK, GAP], "quick", one_per_model=True)
    (note,) = settings_notes(rows, "table")
    assert note.startswith("of several settings of a model, those with the most folds and the best validation score: ")
    assert note.endswith("cgcnn width=9 (bulk-modulus); cgcnn epochs=9 (band-gap)")


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_the_board_says_which_settings_it_shows(root: Path, form: str):
    tasks = [BULK, GAP]
    best = " ".join(
        render_board(rank_rows(root, tasks, "quick", one_per_model=True)[0], tasks, "quick", form, False).split()
    )
    told = "cgcnn width=9 (bulk-modulus); cgcnn as preset (band-gap)"
    assert f"of several settings of a model, those with the most folds and the best validation score: {told}" in best
    every = " ".join(render_board(rank_rows(root, tasks, "quick")[0], tasks, "quick", form, False).split())
    assert ("--best" in every) == (form == "table")
    assert "those with the most folds and the best validation score:" not in every


@pytest.mark.parametrize(("option", "models"), [([], {"cgcnn", WIDE, "forest"}), (["--best"], {"cgcnn", "forest"})])
def test_from_the_command_line(root: Path, typed: Typed, option: list[str], models: set[str]):
    status, shown, _ = typed(
        "leaderboard", "open-dft", "--runs", str(root), "--overall", "--format", "markdown", *option
    )
    assert status == 0
    assert {line.split("|")[1].strip() for line in shown.splitlines() if line.startswith("| ")} - {
        "model",
        "---",
    } == models


def test_first_page_of_the_site_has_one_row_per_model_and_the_page_of_a_task_all(root: Path, tmp_path: Path):
    build_site(root, tmp_path / "site")
    index = (tmp_path / "site/index.html").read_text()
    names = re.findall(r'<th scope="row"><a href="[^"]*">([^<]*(?:<wbr>[^<]*)*)</a>', index)
    assert sorted(names) == ["cgcnn", "forest"]
    links = re.findall(r'href="(runs/[^"]*bulk-modulus[^"]*)"', index)
    assert len(links) == 2
    assert all(
        (tmp_path / "site" / link.replace("%2B", "+").replace("%3D", "=").replace("%40", "@")).is_file()
        for link in links
    )
    (page,) = (tmp_path / "site").glob("tasks/open-dft/bulk-modulus*/quick.html")
    assert "width=9" in page.read_text()


def test_numbers_are_those_of_the_chosen_run(root: Path):
    row = next(r for r in rank_rows(root, [BULK], "quick", one_per_model=True)[0] if r.title == "cgcnn")
    assert np.isclose(row.metrics["mae"].value or 0, 0.2)
