"""Runs: bits, resumption, refusals. Real models on the embedded data."""

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made import run_here, truth_of

from asugnn import InputError
from asugnn.atomic_write import file_sha256
from leaderboard.board.ground_truth import load_ground_truth
from leaderboard.data.tasks import parse_task
from leaderboard.records.predictions_csv import write_predictions
from leaderboard.records.run_folder import StoredRun, list_runs
from leaderboard.records.write_run import write_record
from leaderboard.running.plan import plan_runs
from leaderboard.running.predict_files import load_run_model
from leaderboard.running.run_processes import run_jobs
from leaderboard.submissions.enter import enter_submission

BENCH = [sys.executable, "-m", "leaderboard.cli"]
TOY = '''
import time
from dataclasses import dataclass
import numpy as np
import torch
from torch import nn
import asugnn.training
from asugnn.torch_model import TorchModel, flat_batch

asugnn.training.CHECKPOINT_EVERY = 0.0  # every epoch, so that there is one to resume from

@dataclass
class Toy(TorchModel):
    """Volume and atomic numbers through a small network with dropout, slowly."""
    epochs: int = 30
    pause: float = 0.0
    def inputs(self, crystal):
        return {"x": np.stack([crystal.numbers, np.full(len(crystal), crystal.volume)], 1).astype(np.float32)}
    def batch(self, inputs):
        return flat_batch(inputs, "x")
    def network(self):
        pause = self.pause
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.Sequential(nn.Linear(2, 16), nn.Dropout(0.2), nn.BatchNorm1d(16), nn.Linear(16, 1))
            def forward(self, batch):
                time.sleep(pause)
                y = self.layers(batch["x"] / 100)
                return torch.zeros(batch["size"], 1).index_add(0, batch["crystal"], y).view(-1)
        return Net()
'''
BROKEN = """
import time
from dataclasses import dataclass
from pathlib import Path
import numpy as np
class Broken:
    def fit(self, train, val, context): raise RuntimeError("no memory")
    def predict(self, crystals): ...
    def save(self, folder): ...
    def load(folder): ...
class Nan(Broken):
    def fit(self, train, val, context): ...
    def predict(self, crystals): return np.full(len(crystals), np.nan)
class Short(Nan):
    def predict(self, crystals): return np.zeros(3)
class Sure(Nan):
    def predict(self, crystals): return np.full(len(crystals), 1.5)
class Long(Nan):
    '''Fits at once, and its history says that it took 100 s.'''
    def fit(self, train, val, context):
        (context.folder / "history.csv").write_text("epoch,val,seconds\\n1,2.0,40\\n2,1.0,60\\n")
    def predict(self, crystals): return np.zeros(len(crystals))
    def save(self, folder): (folder / "model.json").write_text("{}")
class Interrupted(Long):
    def fit(self, train, val, context):
        if not (context.folder / "checkpoint.pt").exists():
            (context.folder / "checkpoint.pt").write_text("")
            raise RuntimeError("killed")
        super().fit(train, val, context)
@dataclass
class Constant(Sure):
    value: float = 0.5
    def predict(self, crystals): return np.full(len(crystals), self.value)
    def save(self, folder): (folder / "value").write_text(str(self.value))
    @classmethod
    def load(cls, folder): return cls(float((folder / "value").read_text()))
class Waits(Constant):
    def fit(self, train, val, context):
        while not Path(__file__).with_name("go").exists(): time.sleep(0.05)
"""


@pytest.fixture
def toy(tmp_path: Path) -> str:
    (tmp_path / "toy.py").write_text(TOY)
    return f"{tmp_path / 'toy.py'}:Toy"


@pytest.fixture
def broken(tmp_path: Path) -> str:
    (tmp_path / "broken.py").write_text(BROKEN)
    return f"{tmp_path / 'broken.py'}:"


@pytest.fixture
def constant(broken: str) -> str:
    """A model that is quick and works."""
    return broken + "Constant"


def run(
    out: Path, names: str, models: list[str], overrides: dict | None = None, seeds: tuple[int, ...] = (0,)
) -> list[tuple]:
    """Outcomes, as (model, task, outcome, note)."""
    chosen = [parse_task(f"open-dft/{name}") for name in names.split()]
    jobs = plan_runs(chosen, models, "quick", [0], list(seeds), overrides or {})
    seen: list[tuple] = []
    run_jobs(jobs, out, lambda r, outcome, note: seen.append((r.model, r.task.target.name, outcome, note)))
    return seen


def table(record: StoredRun) -> list[list[str]]:
    return list(csv.reader(record.predictions.read_text().splitlines()))


def bytes_of(out: Path) -> dict[str, bytes]:
    return {str(f.relative_to(out)): f.read_bytes() for f in sorted(out.rglob("predictions.csv"))}


def test_a_run_leaves_predictions_and_its_story(tmp_path: Path):
    assert [x[2] for x in run(tmp_path, "bulk-modulus", ["forest"])] == ["done"]
    (record,), _ = list_runs(tmp_path)
    rows = table(record)
    assert rows[0] == ["id", "bulk-modulus"]
    assert len(rows) - 1 == record.record.raw["counts"]["test"] == len(truth_of("open-dft/bulk-modulus").ids)
    assert record.record.raw["device"]["kind"] == "cpu"
    assert record.record.raw["seconds"]["train"] > 0
    assert record.record.raw["peak_memory_mb"] > 50
    assert record.record.raw["predictions_sha256"] == file_sha256(record.predictions)
    left = {p.name for p in record.folder.iterdir()}
    assert left == {".lock", "model", "predictions.csv", "run.json"}


def test_a_second_call_keeps_what_is_there(tmp_path: Path, constant: str):
    run(tmp_path / "runs", "bulk-modulus metal", [constant])
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.csv")}
    assert len(before) == 2
    assert [x[2] for x in run(tmp_path / "runs", "bulk-modulus metal", [constant])] == ["kept", "kept"]
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.csv")}


def test_same_seed_same_bytes(tmp_path: Path, toy: str):
    """In processes of their own, and in this one."""
    task, models, small = "bulk-modulus", ["forest", toy], {"forest": {"trees": "3"}, toy: {"epochs": "3"}}
    run(tmp_path / "a", task, models, small)
    run_here(plan_runs([parse_task(f"open-dft/{task}")], models, "quick", [0], [0, 1], small), tmp_path / "b")
    first, both = bytes_of(tmp_path / "a"), bytes_of(tmp_path / "b")
    assert len(first) == 2 and first.items() <= both.items()
    assert set(first.values()).isdisjoint(both[name] for name in both.keys() - first)


def test_zero_shot_brings_the_model_that_it_needs(tmp_path: Path):
    assert [x[1:3] for x in run(tmp_path, "zero-shot", ["mean"])] == [
        ("formation-energy", "done"),
        ("zero-shot", "done"),
    ]
    (energy, zero_shot), _ = list_runs(tmp_path)
    assert zero_shot.record.raw["model_of"] == energy.record.raw["predictions_sha256"]
    assert "train" not in zero_shot.record.raw["seconds"]
    assert len(table(zero_shot)) == 113
    assert {row[1] for row in table(zero_shot)[1:]} == {row[1] for row in table(energy)[1:]}  # the mean is the mean


def test_zero_shot_without_stored_weights_says_what_to_do(tmp_path: Path, constant: str):
    run(tmp_path / "runs", "formation-energy", [constant])
    (record,), _ = list_runs(tmp_path / "runs")
    (record.folder / "model").rename(record.folder / "gone")
    assert run(tmp_path / "runs", "zero-shot", [constant])[1][2:] == (
        "failed", f"{record.folder} has no folder 'model': delete its run.json and repeat `bench run`",
    )  # fmt: skip


def test_predictions_that_were_handed_in_have_no_model(tmp_path: Path):
    """To delete their record, as for a run of ours, would take them off the board."""
    task = parse_task("open-dft/metal")
    truth = load_ground_truth(task, 0)
    write_predictions(tmp_path / "a.csv", truth.ids, "metal", truth.y)
    enter_submission(tmp_path / "a.csv", task, "a", 0, tmp_path / "runs")
    (stored,), _ = list_runs(tmp_path / "runs")
    with pytest.raises(InputError, match="has predictions that somebody handed in, and no model"):
        load_run_model(stored.folder)


def test_settings_by_hand_make_a_row_of_their_own(tmp_path: Path, constant: str):
    run(tmp_path / "runs", "bulk-modulus", [constant])
    run(tmp_path / "runs", "bulk-modulus", [constant], {constant: {"value": "3"}})
    found, _ = list_runs(tmp_path / "runs")
    assert {r.run.model: r.record.raw["settings"]["value"] for r in found} == {
        "broken.Constant": 0.5, "broken.Constant+value=3": 3
    }  # fmt: skip


def test_a_folder_with_another_run_is_refused_and_left_alone(tmp_path: Path, constant: str):
    run(tmp_path / "runs", "bulk-modulus", [constant])
    (record,), _ = list_runs(tmp_path / "runs")
    about = {**record.record.raw, "split": {**record.record.raw["split"], "sha256": "another"}}
    write_record(record.folder, about)
    before = (record.folder / "run.json").read_bytes()
    ((_, _, outcome, note),) = run(tmp_path / "runs", "bulk-modulus", [constant])
    assert outcome == "failed"
    assert "holds a finished run that differs in split" in note
    assert (record.folder / "run.json").read_bytes() == before


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        pytest.param("Broken", "RuntimeError: no memory; the traceback is in", marks=pytest.mark.slow),
        ("Nan", "it predicted nan for {} crystals, the first of them 'rocksalt-"),
        pytest.param(
            "Short",
            "it predicted an array of shape (3,): predict must return an array of {} numbers",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_model_that_fails_stops_no_other(model: str, sentence: str, broken: str, constant: str, tmp_path: Path):
    seen = run(tmp_path, "bulk-modulus", [broken + model, constant])
    assert [x[2] for x in seen] == ["failed", "done"]
    assert sentence.format(len(truth_of("open-dft/bulk-modulus").ids)) in seen[0][3]
    assert not (tmp_path / "open-dft/bulk-modulus@random/quick" / model / "0-0/predictions.csv").exists()
    if model == "Broken":
        assert "raise RuntimeError" in next(tmp_path.rglob("error.txt")).read_text()


def test_a_probability_above_one_is_refused(broken: str, tmp_path: Path):
    ((_, _, outcome, note),) = run(tmp_path, "metal", [broken + "Sure"])
    n = len(truth_of("open-dft/metal").ids)
    assert (outcome, note.split(",")[0]) == ("failed", f"it predicted 1.5 for {n} crystals")


def test_wrong_requests_fail_before_anything_is_trained(tmp_path: Path):
    with pytest.raises(InputError, match="there is no model 'cgnn'; did you mean 'cgcnn'"):
        run(tmp_path, "metal", ["mean", "cgnn"])
    with pytest.raises(InputError, match="model 'forest' has no field 'tree'; did you mean 'trees'"):
        run(tmp_path, "metal", ["mean", "forest"], {"forest": {"tree": "3"}})
    assert not any(tmp_path.iterdir())


def command(out: Path, toy: str, pause: float) -> list[str]:
    words = ["run", "--task", "open-dft/bulk-modulus", "--model", toy, "--out", str(out)]
    return [*BENCH, *words, "--set", f"{toy}.pause={pause}"]


@pytest.mark.slow
def test_killed_at_any_instant_it_ends_with_the_same_bytes(tmp_path: Path, toy: str):
    subprocess.run(command(tmp_path / "whole", toy, 0.02), check=True, capture_output=True)
    checkpoint = tmp_path / "cut/open-dft/bulk-modulus@random/quick/toy.Toy+pause=0.02/0-0/checkpoint.pt"
    for wait in (0.0, 0.13, 0.26):
        seen = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        process = subprocess.Popen(command(tmp_path / "cut", toy, 0.02), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while not checkpoint.exists() or checkpoint.stat().st_mtime_ns == seen:
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    subprocess.run(command(tmp_path / "cut", toy, 0.02), check=True, capture_output=True)
    assert bytes_of(tmp_path / "whole") == bytes_of(tmp_path / "cut")
    (record,), _ = list_runs(tmp_path / "cut")
    assert record.record.raw["resumed"]
    assert {p.name for p in record.folder.iterdir() if not p.name.startswith(".")} == {
        "history.csv", "model", "predictions.csv", "run.json"
    }  # fmt: skip


@pytest.mark.slow
def test_two_at_once_share_the_work(tmp_path: Path):
    (tmp_path / "broken.py").write_text(BROKEN, encoding="utf-8")
    words = ["run", "--task", "open-dft/bulk-modulus,open-dft/metal", "--model", "broken.py:Constant"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    both = [subprocess.Popen([*BENCH, *words], text=True, cwd=tmp_path, **pipes) for _ in "ab"]
    told = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert sum(text.count("finished before") for text in told) == 2
    found, faults = list_runs(tmp_path / "runs")
    assert (len(found), faults) == (2, [])


@pytest.mark.slow
def test_several_at_a_time(tmp_path: Path, constant: str):
    """The same rows as one at a time; a zero-shot job waits for its model; a failure stops nothing."""
    words = ["run", "--task", "open-dft/metal,open-dft/zero-shot", "--model"]
    words.append("mean,broken.py:Constant,broken.py:Broken")
    done = subprocess.run(
        [*BENCH, *words, "--out", "two", "--jobs", "2"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 1
    assert "3 of 9 runs failed" in done.stderr
    assert sum("no memory" in line for line in done.stderr.splitlines() if line.startswith("[")) == 2
    assert "needs the model of broken.Broken on open-dft/formation-energy" in done.stderr
    assert "broken.Constant" in done.stdout
    tasks, models = [parse_task("open-dft/metal"), parse_task("open-dft/zero-shot")], ["mean", constant]
    run_here(plan_runs(tasks, models, "quick", [0], [0], {}), tmp_path / "one")
    ours, theirs = (list_runs(tmp_path / name)[0] for name in ("two", "one"))
    assert len(ours) == len(theirs) == 6
    for a, b in zip(ours, theirs, strict=True):
        assert a.record.raw["predictions_sha256"] == b.record.raw["predictions_sha256"]


def children(process: int) -> list[int]:
    file = Path(f"/proc/{process}/task/{process}/children")
    return [int(child) for child in file.read_text().split()] if file.exists() else []


@pytest.mark.slow
def test_zero_shot_waits_for_another_process(tmp_path: Path):
    """While the model it needs is in other hands, it is put off, not failed."""
    (tmp_path / "broken.py").write_text(BROKEN, encoding="utf-8")
    words = ["run", "--task", "open-dft/zero-shot", "--model", "broken.py:Waits"]
    both = [subprocess.Popen([*BENCH, *words], stderr=subprocess.PIPE, text=True, cwd=tmp_path)]
    while not list((tmp_path / "runs").rglob("started.json")):  # the first is training
        assert both[0].poll() is None
        time.sleep(0.05)
    both.append(subprocess.Popen([*BENCH, *words], stderr=subprocess.PIPE, text=True, cwd=tmp_path))
    before: set[int] = set()
    # A run that finds the model in other hands ends at once; one that lasts waits for it, after all were put off.
    while not before & (now := {run for slot in children(both[1].pid) for run in children(slot)}):
        assert both[1].poll() is None
        time.sleep(1)
        before = now
    (tmp_path / "go").touch()
    told = [process.communicate()[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert len(list_runs(tmp_path / "runs")[0]) == 2


@pytest.mark.slow
def test_seconds_of_a_resumed_run_are_those_of_its_history(broken: str, tmp_path: Path):
    """What the interrupted process spent counts; of a run in one piece, the clock does."""
    names = [broken + "Interrupted", broken + "Long"]
    assert [x[2] for x in run(tmp_path / "runs", "bulk-modulus", names)] == ["failed", "done"]
    assert [x[2] for x in run(tmp_path / "runs", "bulk-modulus", names)] == ["done", "kept"]
    resumed, whole = (stored.record for stored in list_runs(tmp_path / "runs")[0])
    assert (resumed.resumed, resumed.seconds.train) == (True, 100)
    assert whole.resumed is False
    assert whole.seconds.train < 50
