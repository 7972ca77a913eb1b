"""Shipping the model of a run, as recipes/ship_models.py does."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

from asugnn.model_registry import find_model
from leaderboard.data import load_dataset, parse_task
from leaderboard.running.plan import plan_runs
from leaderboard.running.runner import attempt_job
from leaderboard.shipped import describe_predictions, read_card
from leaderboard.splitting import fold_sides, read_split

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "ship_models.py"


@pytest.mark.parametrize("model", [pytest.param("boosted", marks=pytest.mark.slow), "forest"])
def test_the_model_of_a_run_is_shipped_with_intervals_that_hold(model: str, tmp_path: Path):
    task = parse_task("open-dft/band-gap")
    (job,) = plan_runs([task], [model], "quick", [0], [0], {model: {"trees": "40"}})
    job.run.folder(tmp_path / "runs").mkdir(parents=True)
    assert attempt_job(job, tmp_path / "runs")[0] == "done"
    ship = runpy.run_path(str(RECIPE))["ship"]
    card = ship(job.run.folder(tmp_path / "runs"), tmp_path / "models")
    folder = tmp_path / "models" / "band-gap"
    assert read_card(folder) == card
    assert all(file.stat().st_mode & 0o777 == 0o644 for file in folder.iterdir())
    assert (card.calibration.coefficients == ()) is (model == "boosted")  # which estimates its uncertainty
    assert 0.7 < card.measured["coverage"] <= 1
    data = load_dataset(task.source)
    test = fold_sides(read_split(data, "random"), data, task.target, 0).test
    crystals = dict(zip(test, data.crystals(test), strict=True))
    loaded = find_model(card.model).load(folder)
    values = loaded.predict(list(crystals.values()))
    found = describe_predictions(card, loaded, crystals, values)
    labels = dict(zip(data.ids, data.labels(task.target).tolist(), strict=True))
    held = [p.low <= labels[p.id] <= p.high for p in found if p.low is not None and p.high is not None]
    assert np.mean(held) == card.measured["coverage"]
