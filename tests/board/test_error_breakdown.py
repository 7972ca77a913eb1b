"""Where models err, and what they cost: against counting by hand."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from made import run_here

from asugnn.crystal import SYMBOLS
from asugnn.errors import InputError
from leaderboard.board import error_breakdown
from leaderboard.board.board import _mark_front, rank_rows
from leaderboard.board.error_breakdown import FEWEST, ErrorBreakdown, break_down_errors
from leaderboard.board.ground_truth import load_ground_truth
from leaderboard.board.row_scores import MetricValue
from leaderboard.board.rows import Row
from leaderboard.data.dataset import load_dataset
from leaderboard.data.tasks import parse_task
from leaderboard.records.predictions_csv import write_predictions
from leaderboard.records.run_folder import list_runs
from leaderboard.reports.error_table import render_errors
from leaderboard.running.plan import plan_runs
from leaderboard.submissions.enter import enter_submission

TASK = parse_task("open-dft/formation-energy")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    both = [TASK, parse_task("open-dft/metal")]
    run_here(plan_runs(both, ["mean"], "quick", [0, 1], [0], {}), root)
    held = load_ground_truth(TASK, 0)
    write_predictions(root / "mine.csv", held.ids, "formation-energy", held.y + np.linspace(0, 1, len(held.y)))
    enter_submission(root / "mine.csv", TASK, "mine", 0, root)
    return root


def test_fifths_of_labels_that_are_nearly_equal_are_five():
    fifths = error_breakdown._labels([], 1000 + np.arange(100) / 100)
    assert sorted(i for members in fifths.values() for i in members) == list(range(100))
    assert len(fifths) == 5


def test_by_element(root: Path):
    found = {c.name: c for c in break_down_errors("element", TASK, list_runs(root)[0], "quick").classes}
    data, held = load_dataset(TASK.source), load_ground_truth(TASK, 0)
    crystals = data.crystals(held.ids)
    has = np.array([8 in c.numbers for c in crystals])
    assert found["O"].values["mine, submitted"] == pytest.approx(np.linspace(0, 1, len(has))[has].mean())
    both = [i for fold in (0, 1) for i in load_ground_truth(TASK, fold).ids]
    assert found["O"].n == sum(8 in c.numbers for c in data.crystals(both))
    assert list(found) == [s for s in SYMBOLS if s in found]
    assert all(c.n >= FEWEST for c in found.values())


@pytest.mark.parametrize("what", ["size", "label", "space-group"])
def test_each_crystal_is_in_one_class(root: Path, what: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(error_breakdown, "FEWEST", 1)
    found = break_down_errors(what, TASK, list_runs(root)[0], "quick").classes
    tested = [len(load_ground_truth(TASK, fold).ids) for fold in (0, 1)]
    assert sum(c.n for c in found) == sum(tested)
    total = sum(c.n * c.values["mean"] for c in found) / sum(tested)
    row = next(r for r in rank_rows(root, [TASK], "quick")[0] if r.model == "mean")
    # The board averages over folds, this over crystals.
    assert total == pytest.approx(row.metrics["mae"].value, rel=0.1)
    if what == "label":
        assert len(found) == 5
        assert max(c.n for c in found) - min(c.n for c in found) <= 2


def test_a_binary_target_has_accuracies(root: Path):
    task = parse_task("open-dft/metal")
    found = {c.name: c for c in break_down_errors("label", task, list_runs(root)[0], "quick").classes}
    assert set(found) == {"class 0", "class 1"}
    assert {c.values["mean"] for c in found.values()} == {0.0, 1.0}  # it says the same of all


@pytest.mark.parametrize("form", ["table", "markdown", "csv"])
def test_it_is_shown(root: Path, form: str):
    text = render_errors(break_down_errors("size", TASK, list_runs(root)[0], "quick"), "size", TASK, form)
    assert "1-4 atoms" in text
    assert "mine" in text
    assert max(map(len, text.splitlines())) <= 110
    with pytest.raises(InputError, match="`bench run` makes some"):
        render_errors(ErrorBreakdown((), 0), "size", TASK, form)


@pytest.mark.parametrize("what", ["element", "space-group", "size", "label"])
def test_what_is_left_out_is_said(root: Path, what: str, monkeypatch: pytest.MonkeyPatch):
    runs = list_runs(root)[0]
    monkeypatch.setattr(error_breakdown, "FEWEST", 1)
    every = break_down_errors(what, TASK, runs, "quick")
    assert (every.small, every.in_small) == ((), 0)
    assert "left out" not in render_errors(every, what, TASK, "table")
    limit = sorted(c.n for c in every.classes)[len(every.classes) // 2] + 1  # half of the classes are smaller
    monkeypatch.setattr(error_breakdown, "FEWEST", limit)
    part = break_down_errors(what, TASK, runs, "quick")
    small = {c.name: c.n for c in every.classes if c.n < limit}
    assert set(part.small) == small.keys()
    assert {c.name for c in part.classes} == {c.name for c in every.classes} - small.keys()
    if what == "element":
        assert max(small.values()) <= part.in_small <= sum(small.values())
    else:
        assert part.in_small == sum(small.values())
    text = render_errors(part, what, TASK, "table")
    assert f"left out: {len(small)} " in text
    assert f"{part.in_small:,} of {part.n:,} crystals have them" in text


def test_the_front_has_what_nothing_beats(root: Path):
    rows, _ = rank_rows(root, [parse_task("open-dft/metal")], "quick")
    (one,) = rows
    assert one.front

    def made(title: str, value: float, seconds: float | None) -> Row:
        metrics = {"mae": MetricValue(value, None, None)}
        return dataclasses.replace(one, model=title, metrics=metrics, seconds_train=seconds)

    costs = {"best": (1, 100), "fast": (3, 1), "middle": (2, 10), "worse": (2.5, 20), "free": (0.5, None)}
    made_rows = [made(name, *cost) for name, cost in costs.items()]
    assert {r.model for r in _mark_front(made_rows, "mae", 1) if r.front} == {"best", "fast", "middle"}
    assert {r.model for r in _mark_front(made_rows, "mae", -1) if r.front} == {"fast"}
