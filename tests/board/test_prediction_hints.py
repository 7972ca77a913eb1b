"""Hints that predictions are not what was asked for: where they are not, and nowhere else."""

import re

import numpy as np
import pytest

from leaderboard.board import load_ground_truth
from leaderboard.board.prediction_hints import CLASSES, prediction_hints
from leaderboard.board.score_file import score_file
from leaderboard.data import PACKAGE, parse_task
from leaderboard.records import list_runs
from leaderboard.records.predictions_csv import write_predictions
from leaderboard.reports.entry import render_entry
from leaderboard.reports.terminal import render_score
from leaderboard.scoring import PredictedFold

BULK, ENERGY = (parse_task(f"open-dft/{name}") for name in ("bulk-modulus", "formation-energy"))


@pytest.mark.parametrize(
    ("task", "change", "words"),
    [
        (BULK, lambda p: 10**p, "look like GPa, and the labels are in log10 GPa; after log10"),
        (BULK, lambda p: p * np.log(10), "look like the natural logarithm of GPa"),
        (ENERGY, lambda p: 1000 * p, "meV for eV"),
        (ENERGY, lambda p: 96.485 * p, "kJ/mol for eV"),
        (ENERGY, lambda p: 11604.5 * p, "kelvin for eV"),
        (ENERGY, lambda p: -p, "the opposite sign"),
        (ENERGY, lambda p: 4.2 * p, "about 4."),
    ],
)
def test_what_looks_like_another_unit_is_said_with_the_error_after_the_change(task, change, words):
    truth = load_ground_truth(task, 0)
    p = truth.y + np.random.default_rng(0).normal(0, 0.05, len(truth.y))
    assert prediction_hints(task.target, truth.pair_scored(p)) == []
    (hint,) = prediction_hints(task.target, truth.pair_scored(change(p)))
    assert words in hint
    assert re.search(r"their MAE would be 0\.0[34]\d eV/atom" if "about" in words else "their MAE would be 0.0", hint)


def test_the_largest_numbers_are_no_warning():
    truth = load_ground_truth(BULK, 0)
    assert prediction_hints(BULK.target, truth.pair_scored(np.full(len(truth.y), 1e308))) == []


def test_no_stored_run_is_called_wrong():
    """Bad models, constant ones and zero-shot predictions among them."""
    seen = 0
    for stored in list_runs(PACKAGE / "runs")[0]:
        if stored.run.task.source.embedded:
            truth, p = load_ground_truth(stored.run.task, stored.run.fold).read_run(stored)
            assert prediction_hints(stored.run.task.target, truth.pair_scored(p)) == []
            seen += 1
    assert seen > 40


def test_odd_predictions_give_no_warning():
    y = np.array([0.0, 0, 0, 0, 0, 1])
    for p in (np.zeros(6), np.full(6, np.inf), np.full(6, 1e308), -y, np.full(6, 1e-320)):
        assert isinstance(prediction_hints(ENERGY.target, PredictedFold(y, p, list("abcdef"))), list)


def test_classes_in_place_of_probabilities_are_named():
    metal, y = parse_task("open-dft/metal").target, np.array([0.0, 0, 0, 0, 0, 1])
    assert prediction_hints(metal, PredictedFold(y, y, list("abcdef"))) == [CLASSES]
    assert prediction_hints(metal, PredictedFold(y, 0.9 * y, list("abcdef"))) == []


def test_probabilities_of_the_other_class_are_named():
    metal, rng = parse_task("open-dft/metal").target, np.random.default_rng(0)
    y = (np.arange(40) % 2).astype(float)
    p = 0.5 + 0.3 * (y - 0.5) + rng.normal(0, 0.05, 40)
    groups = [f"g{i}" for i in range(40)]
    assert prediction_hints(metal, PredictedFold(y, p, groups)) == []
    (hint,) = prediction_hints(metal, PredictedFold(y, 1 - p, groups))
    assert re.match(
        r"hint: ROC-AUC 0\.0\d is far below 0\.5: does the file hold the probability of class 0 \(non-m", hint
    )
    assert re.search(r"With 1 - p it would be (1\.00|0\.9\d); nothing was changed$", hint)
    assert len(prediction_hints(metal, PredictedFold(y, 1 - y, groups))) == 2  # and they are classes


@pytest.mark.parametrize("rows", [6, 200])
def test_a_model_that_guesses_is_not_said_to_predict_the_other_class(rows: int):
    metal, rng = parse_task("open-dft/metal").target, np.random.default_rng(0)
    y, groups = (np.arange(rows) % 2).astype(float), [str(i) for i in range(rows)]
    for _ in range(200):
        assert prediction_hints(metal, PredictedFold(y, rng.uniform(0.1, 0.9, rows), groups)) == []
    assert prediction_hints(metal, PredictedFold(np.ones(rows), np.linspace(0.1, 0.9, rows), groups)) == []


def test_bad_predictions_that_cannot_be_logarithms_are_asked_for_their_unit():
    truth = load_ground_truth(BULK, 0)
    largest = truth.y.max()
    p = 10 ** np.random.default_rng(0).uniform(1.0, 2.0, len(truth.y))  # GPa, of a model that knows nothing
    words = f"hint: all values are above the largest label ({largest:.3g} log10 GPa): are they GPa? Nothing was changed"
    assert prediction_hints(BULK.target, truth.pair_scored(p)) == [words]
    assert prediction_hints(BULK.target, truth.pair_scored(np.full(len(p), 10.0 ** truth.y.mean()))) == [words]
    for other in (np.r_[largest, p[1:]], np.r_[-1, p[1:]], p + 1e6):
        assert words not in prediction_hints(BULK.target, truth.pair_scored(other))


def test_bench_score_and_submit_say_it_and_refuse_nothing(tmp_path):
    truth = load_ground_truth(BULK, 0)
    write_predictions(tmp_path / "a.csv", truth.ids, "bulk-modulus", 10**truth.y * 1.01)
    scored = score_file(tmp_path / "a.csv", BULK, 0)
    assert scored["metrics"]["mae"]["value"] > 50
    (hint,) = scored["hints"]
    assert render_score(scored, BULK).splitlines()[-1] == hint
    entered = {**scored, "name": "a", "outcome": "first", "before": None, "tries": 1}
    assert render_entry(entered, BULK).splitlines()[1:] == [hint]
