"""Where models err, and what they cost: against counting by hand."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from asugnn.crystal import SYMBOLS
from asugnn.model import silent
from leaderboard import board, datasets, errors, render, runner, submission, tasks
from leaderboard.submit import submit

TASK = tasks.parse("open-dft/formation-energy")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    bench = runner.Bench(root, None, "cpu", "float32", lambda _: silent)
    both = [TASK, tasks.parse("open-dft/metal")]
    runner.work(runner.plan(both, ["mean"], "quick", [0, 1], [0], {}, None), bench, lambda *_: None)
    held = board.answers(TASK, 0, None)
    submission.write(root / "mine.csv", held.ids, "formation-energy", held.y + np.linspace(0, 1, len(held.y)))
    submit(root / "mine.csv", TASK, "mine", 0, root, None)
    return root


def test_by_element(root: Path):
    found = {c.name: c for c in errors.by("element", TASK, root, "quick", None)}
    data, held = datasets.load(TASK.source), board.answers(TASK, 0, None)
    crystals = data.crystals(held.ids)
    has = np.array([8 in c.numbers for c in crystals])
    assert found["O"].values["mine, submitted"] == pytest.approx(np.linspace(0, 1, len(has))[has].mean())
    both = [i for fold in (0, 1) for i in board.answers(TASK, fold, None).ids]
    assert found["O"].n == sum(8 in c.numbers for c in data.crystals(both))
    assert list(found) == [s for s in SYMBOLS if s in found]
    assert all(c.n >= errors.FEWEST for c in found.values())


@pytest.mark.parametrize("what", ["size", "label", "space-group"])
def test_each_crystal_is_in_one_class(root: Path, what: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(errors, "FEWEST", 1)
    found = errors.by(what, TASK, root, "quick", None)
    tested = [len(board.answers(TASK, fold, None).ids) for fold in (0, 1)]
    assert sum(c.n for c in found) == sum(tested)
    total = sum(c.n * c.values["mean"] for c in found) / sum(tested)
    row = next(r for r in board.rows(root, [TASK], "quick", None)[0] if r.model == "mean")
    # The board averages over folds, this over crystals.
    assert total == pytest.approx(row.metrics["mae"].value, rel=0.1)
    if what == "label":
        assert len(found) == 5
        assert max(c.n for c in found) - min(c.n for c in found) <= 2


def test_a_binary_target_has_accuracies(root: Path):
    task = tasks.parse("open-dft/metal")
    found = {c.name: c for c in errors.by("label", task, root, "quick", None)}
    assert set(found) == {"class 0", "class 1"}
    assert {c.values["mean"] for c in found.values()} == {0.0, 1.0}  # it says the same of all


@pytest.mark.parametrize("form", ["table", "markdown", "csv"])
def test_it_is_shown(root: Path, form: str):
    text = render.errors(errors.by("size", TASK, root, "quick", None), "size", TASK, form)
    assert "1-4 atoms" in text
    assert "mine" in text
    assert max(map(len, text.splitlines())) <= 110
    assert "no runs" in render.errors([], "size", TASK, form)


def test_the_front_has_what_nothing_beats(root: Path):
    rows, _ = board.rows(root, [tasks.parse("open-dft/metal")], "quick", None)
    (one,) = rows
    assert one.front

    def made(title: str, value: float, seconds: float | None) -> board.Row:
        metrics = {"mae": board.Value(value, None, None)}
        return dataclasses.replace(one, model=title, metrics=metrics, seconds_train=seconds)

    costs = {"best": (1, 100), "fast": (3, 1), "middle": (2, 10), "worse": (2.5, 20), "free": (0.5, None)}
    made_rows = [made(name, *cost) for name, cost in costs.items()]
    assert {r.model for r in board._with_front(made_rows, "mae", 1) if r.front} == {"best", "fast", "middle"}
    assert {r.model for r in board._with_front(made_rows, "mae", -1) if r.front} == {"fast"}
