"""Models that are trained here on frozen published weights: recorded with them, shown, and not ranked."""

import json
from pathlib import Path

import pytest
from test_model_code import bench

from asugnn import InputError
from asugnn.model_registry import find_model, list_models, model_frozen
from leaderboard.running.plan import chosen_models
from leaderboard.running.pretrained import models_with_weights

TASK = "open-dft/bulk-modulus"
MODEL = """
from dataclasses import dataclass
from typing import ClassVar

from asugnn.published_weights import FrozenWeights
from baselines.mean import Mean


@dataclass
class Lifted(Mean):
    frozen_weights: ClassVar[FrozenWeights] = FrozenWeights("Potential 1", {"weights.bin": "ab" * 32}, "all of it")
"""
WORSE = """
from baselines.mean import Mean


class Worse(Mean):
    def predict(self, crystals):
        return super().predict(crystals) + 9
"""


def test_a_row_on_frozen_weights_is_recorded_shown_and_not_ranked(tmp_path: Path):
    (tmp_path / "mine.py").write_text(MODEL)
    (tmp_path / "worse.py").write_text(WORSE)
    done = bench(tmp_path, "run", "--task", TASK, "--model", "mine.py:Lifted,mean,worse.py:Worse")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "runs/open-dft/bulk-modulus@random/quick/mine.Lifted/0-0/run.json").read_text())
    assert record["weights"] == {
        "name": "Potential 1", "sha256": {"weights.bin": "ab" * 32}, "trained_on": "all of it"
    }  # fmt: skip
    board = bench(tmp_path, "leaderboard", "--task", TASK, "--runs", "runs", "--format", "json")
    rows = {row["model"]: row for row in json.loads(board.stdout)}
    assert rows["mine.Lifted"]["rank"] is None
    assert rows["mine.Lifted"]["pretrained_on"] == "all of it"
    assert rows["mine.Lifted"]["metrics"]["mae"]["value"] == rows["mean"]["metrics"]["mae"]["value"]
    assert (rows["mean"]["rank"], rows["worse.Worse"]["rank"]) == (1, 2)
    assert "mine.Lifted, pretrained in part, on all of it (bulk-modulus)" in " ".join(
        bench(tmp_path, "leaderboard", "--task", TASK, "--runs", "runs").stdout.split()
    )
    assert not rows["mine.Lifted"]["front"]  # what its weights cost is not known
    assert rows["mine.Lifted"]["leaks"] == rows["mean"]["leaks"]
    assert bench(tmp_path, "verify", "--runs", "runs").returncode == 0


@pytest.mark.slow
def test_a_row_is_not_ranked_if_one_of_its_runs_has_frozen_weights(tmp_path: Path):
    bare = MODEL.replace("    frozen_weights", "    other")
    for text, seed in ((bare, "0"), (MODEL, "1")):
        (tmp_path / "mine.py").write_text(text)
        assert bench(tmp_path, "run", "--task", TASK, "--model", "mine.py:Lifted", "--seed", seed).returncode == 0
    board = bench(tmp_path, "leaderboard", "--task", TASK, "--runs", "runs", "--format", "json")
    (row,) = json.loads(board.stdout)
    assert (row["rank"], row["pretrained_on"], len(row["runs"])) == (None, "all of it", 2)
    (tmp_path / "mine.py").write_text(MODEL.replace("Potential 1", "Potential 2"))
    again = bench(tmp_path, "run", "--task", TASK, "--model", "mine.py:Lifted", "--seed", "1")
    assert "its code has changed: the run was repeated and replaced" in again.stderr


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ('{"weights.bin": "ab"}', "its frozen_weights must be an asugnn.published_weights.FrozenWeights"),
        ('FrozenWeights("a", {1: "ab"}, "b")', "FrozenWeights needs a name"),
        ('FrozenWeights("a", {"b": "c"}, "")', "FrozenWeights needs a name"),
        ('FrozenWeights("a", {}, "b")', "FrozenWeights needs a name"),
    ],
)
def test_what_is_no_frozen_weights_is_not_taken_for_none(stated: str, words: str, tmp_path: Path):
    (tmp_path / "mine.py").write_text(MODEL[: MODEL.index(" = FrozenWeights(")] + f" = {stated}\n")
    with pytest.raises(InputError, match=words):
        find_model(f"{tmp_path / 'mine.py'}:Lifted")


@pytest.mark.slow
def test_a_model_in_a_file_is_not_made_to_estimate_its_time(tmp_path: Path):
    """Where it ends the process, the other models are run nevertheless."""
    (tmp_path / "mine.py").write_text(MODEL)
    assert bench(tmp_path, "run", "--task", TASK, "--model", "mine.py:Lifted").returncode == 0
    (tmp_path / "mine.py").write_text(
        MODEL + "\n    def __post_init__(self):\n        import os\n        os._exit(7)\n"
    )
    done = bench(tmp_path, "run", "--task", TASK, "--model", "mean,mine.py:Lifted")
    assert done.returncode == 1
    assert (tmp_path / "runs/open-dft/bulk-modulus@random/quick/mean/0-0/run.json").is_file()


@pytest.mark.parametrize("preset", ["quick", "hours", "paper"])
def test_all_models_are_those_that_learn_from_the_training_side_alone(preset: str):
    chosen, skipped = chosen_models(["all"], preset)
    assert {"mean", "forest", "cgcnn"} <= set(chosen)
    assert not [name for name in chosen if model_frozen(find_model(name))]
    assert "chgnet-svr" not in " ".join(skipped)
    assert "chgnet-svr" in [entry.name for entry in list_models() if entry.model and model_frozen(entry.model)]
    assert chosen_models(["chgnet-svr"], preset) == (["chgnet-svr"], [])


def test_of_all_published_weights_those_run_whose_packages_are_installed(monkeypatch: pytest.MonkeyPatch):
    names = models_with_weights()
    monkeypatch.setattr(find_model("chgnet-potential"), "requires", ("no_such_package",))
    chosen, skipped = chosen_models(["all"], "quick", "all")
    assert chosen == [name for name in names if name != "chgnet-potential"]
    assert skipped == ["model 'chgnet-potential': this needs the package no_such_package: pip install no_such_package"]
    assert "chgnet-potential" in chosen_models(["all"], "quick", "CHGNet-0.3.0")[0]  # which a user named
