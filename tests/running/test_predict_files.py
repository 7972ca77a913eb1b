"""`bench predict` with somebody's model that fails: a sentence says where, and what to do."""

from pathlib import Path

import numpy as np
import pytest

from asugnn import InputError
from leaderboard.data import parse_task
from leaderboard.records import Run
from leaderboard.running import load_predictor, predict_files
from leaderboard.running.plan import Job, plan_runs
from leaderboard.running.runner import attempt_job

CIF = """data_copper
_cell_length_a 3.6
_cell_length_b 3.6
_cell_length_c 3.6
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
loop_
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Cu 0 0 0
"""
MODELS = """
class Half:
    def fit(self, train, val, context): pass
    def predict(self, crystals):
        import numpy as np
        return np.full(len(crystals), 0.5)
    def save(self, folder): (folder / "nothing").touch()
    @classmethod
    def load(cls, folder): return cls()
class Forgets(Half):
    @classmethod
    def load(cls, folder): cls()
class Reads(Half):
    @classmethod
    def load(cls, folder): return (folder / "weights").read_text()
"""


@pytest.fixture
def copper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("copper.cif").write_text(CIF)
    Path("my.py").write_text(MODELS)
    return Path("copper.cif")


class Half:
    """Predicts 0.5, or fails."""

    def __init__(self, result: object = None) -> None:
        self.result = result

    def predict(self, crystals: object) -> object:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


class Lost(Half):
    """Fails in the method that it names."""

    def outside(self, crystals: object) -> dict[int, str]:
        if self.result == "outside":
            raise KeyError("element")
        return {}

    def refer(self, crystals: object) -> None:
        raise KeyError("element")


@pytest.mark.parametrize("method", ["refer", "outside"])
def test_whatever_method_of_a_model_fails_it_is_named(method: str, copper: Path):
    with pytest.raises(InputError, match=f"Lost failed in {method}: KeyError: 'element'; --debug shows where"):
        predict_files(Lost(method), [copper], refer=method == "refer")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (ValueError("one crystal"), "Half failed in predict: ValueError: one crystal; --debug shows where"),
        (np.zeros(2), r"Half failed: it predicted an array of shape \(2,\): predict must return an array of 1 numbers"),
        (np.array([np.nan]), "Half failed: it predicted nan for crystal 'copper'"),
    ],
)
def test_a_model_that_fails_is_named(result: object, sentence: str, copper: Path):
    with pytest.raises(InputError, match=sentence):
        predict_files(Half(result), [copper])  # type: ignore[arg-type]


def train(job: Job) -> None:
    """Train and predict in this process."""
    job.run.folder(Path("runs")).mkdir(parents=True)
    assert attempt_job(job, Path("runs").absolute())[0] == "done"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Half", ""),
        ("Forgets", "load returned NoneType, not a model; does it end with `return model`"),
        ("Reads", "failed in load: FileNotFoundError"),
    ],
)
@pytest.mark.usefixtures("copper")
def test_a_model_that_cannot_be_loaded_says_why(name: str, sentence: str):
    (job,) = plan_runs([parse_task("open-dft/metal")], [f"my.py:{name}"], "quick", [0], [0], {})
    train(job)
    folder = job.run.folder(Path("runs"))
    if not sentence:
        assert predict_files(load_predictor(folder, "", [f"my.py:{name}"])[1], [Path("copper.cif")])[0] == {
            "copper": 0.5
        }
        return
    with pytest.raises(InputError, match=sentence):
        load_predictor(folder, "", [f"my.py:{name}"])


@pytest.mark.usefixtures("copper")
def test_of_a_zero_shot_run_the_run_with_the_model_is_named():
    jobs = plan_runs([parse_task("open-dft/zero-shot")], ["mean"], "quick", [0], [0], {})
    for job in jobs:
        train(job)
    folders = [
        Run(parse_task(f"open-dft/{name}"), "quick", "mean", 0, 0).folder(Path("runs"))
        for name in ("zero-shot", "formation-energy")
    ]
    with pytest.raises(InputError, match=f"has no model of its own: name that of {folders[1]}"):
        load_predictor(folders[0], "", [])
