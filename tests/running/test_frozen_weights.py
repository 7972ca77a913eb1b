"""Models that are trained here on frozen published weights: recorded with them, shown, and not ranked."""

import json
from pathlib import Path

import pytest
from test_model_code import bench

from asugnn.model_registry import find_model, list_models, model_frozen
from leaderboard.running.plan import chosen_models

TASK = "open-dft/bulk-modulus"
MODEL = """
from dataclasses import dataclass
from typing import ClassVar

from asugnn.published_weights import FrozenWeights
from baselines.mean import Mean


@dataclass
class Lifted(Mean):
    frozen: ClassVar[FrozenWeights] = FrozenWeights("Potential 1", {"weights.bin": "ab" * 32}, "all that is known")
"""


def test_a_row_on_frozen_weights_is_recorded_shown_and_not_ranked(tmp_path: Path):
    (tmp_path / "mine.py").write_text(MODEL)
    done = bench(tmp_path, "run", "--task", TASK, "--model", "mine.py:Lifted,mean,forest")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "runs/open-dft/bulk-modulus@random/quick/mine.Lifted/0-0/run.json").read_text())
    assert record["weights"] == {
        "name": "Potential 1", "sha256": {"weights.bin": "ab" * 32}, "trained_on": "all that is known"
    }  # fmt: skip
    board = bench(tmp_path, "leaderboard", "--task", TASK, "--runs", "runs", "--format", "json")
    rows = {row["model"]: row for row in json.loads(board.stdout)}
    assert rows["mine.Lifted"]["rank"] is None
    assert rows["mine.Lifted"]["pretrained_on"] == "all that is known"
    assert rows["mine.Lifted"]["metrics"]["mae"]["value"] == rows["mean"]["metrics"]["mae"]["value"]
    assert (rows["forest"]["rank"], rows["mean"]["rank"]) == (1, 2)
    assert "mine.Lifted on all that is known (bulk-modulus)" in " ".join(
        bench(tmp_path, "leaderboard", "--task", TASK, "--runs", "runs").stdout.split()
    )
    assert bench(tmp_path, "verify", "--runs", "runs").returncode == 0


@pytest.mark.parametrize("preset", ["quick", "hours", "paper"])
def test_all_models_are_those_that_learn_from_the_training_side_alone(preset: str):
    chosen, skipped = chosen_models(["all"], preset, pretrained=False)
    assert {"mean", "forest", "cgcnn"} <= set(chosen)
    assert not [name for name in chosen if model_frozen(find_model(name))]
    assert "chgnet-svr" not in " ".join(skipped)
    assert "chgnet-svr" in [entry.name for entry in list_models() if entry.model and model_frozen(entry.model)]
    assert chosen_models(["chgnet-svr"], preset, pretrained=False) == (["chgnet-svr"], [])
