"""Runs as jobs of a real Slurm with three nodes, of which some are killed; each is done once, and none is lost."""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos_slurm import kill_node, missing_for_slurm, revive_node, three_nodes

from leaderboard.records.run_folder import list_runs

ROOT = Path(__file__).resolve().parents[2]
BENCH = [sys.executable, "-m", "leaderboard.cli"]
TASK = ("--task", "open-dft/bulk-modulus")
WORDS = ("--on", "slurm", "--slurm")
MODELS = """
import json, os, time
from pathlib import Path
import numpy as np
from asugnn.errors import TrainingStoppedError
from baselines.mean import Mean

class Base:
    def fit(self, train, val, context):
        with open("fits", "a") as log:
            log.write(f"{type(self).__name__} {context.seed} {os.environ.get('SLURMD_NODENAME')}\\n")
        self.mean = float(train.y.mean())
        self.act(context)
    def predict(self, crystals): return np.full(len(crystals), self.mean)
    def save(self, folder): pass
    @classmethod
    def load(cls, folder): return cls()

class Half(Mean):
    def predict(self, crystals): return super().predict(crystals) / 2
class Fails(Base):
    def act(self, context): raise ValueError("odd")
class Waits(Base):
    def act(self, context):
        while not Path("go").exists():
            time.sleep(0.1)
class Never(Base):
    '''Works for longer than its job may, and saves nothing.'''
    def act(self, context):
        while not context.should_stop():
            time.sleep(0.1)
        raise TrainingStoppedError
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("slurm")


@pytest.fixture(scope="module")
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """The environment of commands that use a Slurm."""
    if reason := missing_for_slurm():
        pytest.skip(f"{reason}: nothing was tested on Slurm")
    with three_nodes(folder) as env:
        yield env


def start(folder: Path, env: dict[str, str], *words: str) -> subprocess.Popen[str]:
    (folder / "odd.py").write_text(MODELS)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*BENCH, *words], cwd=folder, text=True, env=env, **pipes)


def bench(folder: Path, env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    process = start(folder, env, *words)
    out, err = process.communicate(timeout=900)
    return subprocess.CompletedProcess(words, process.returncode, out, err)


def wait_for(condition, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)


def fits(folder: Path) -> list[str]:
    return sorted((folder / "fits").read_text().splitlines()) if (folder / "fits").exists() else []


def predictions(runs: Path) -> dict[str, bytes]:
    files = [file.with_name("predictions.csv") for file in runs.rglob("run.json")]
    return {file.relative_to(runs).as_posix(): file.read_bytes() for file in files}


def queue(env: dict[str, str], *words: str) -> str:
    return subprocess.run(["squeue", "-h", "-r", *words], env=env, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_a_suite_on_three_nodes(slurm, tmp_path: Path):
    """Two commands at once: each run is sent and done once, a zero-shot run after its model; then all are finished."""
    words = ("run", "--model", "mean,odd.py:Half", *WORDS, "timeout_min=10,runs_per_job=3")
    two = [start(tmp_path, slurm, *words) for _ in "ab"]
    told = [process.communicate(timeout=900)[1] for process in two]
    assert [process.returncode for process in two] == [0, 0], told
    first, second = sorted(told, key=lambda text: "sent before" in text)
    assert first.startswith("10 runs in 3 jobs on Slurm, job ")
    assert second.startswith("10 runs sent before")
    for text in told:
        lines = [line for line in text.splitlines() if re.match(r"\[ ?\d+/10\] (mean|odd\.Half) ", line)]
        assert len(lines) == 10
        assert not any("finished before" in line for line in lines)
    logs = [file.read_text() for file in tmp_path.glob("runs/.cluster/bench-*/*_log.out")]
    assert sum(log.count(": done: ") for log in logs) == 10
    assert len(logs) == 3
    again = bench(tmp_path, slurm, *words)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("finished before") == 10
    assert queue(slurm) == ""
    checked = bench(tmp_path, slurm, "verify", "--runs", "runs")
    assert checked.returncode == 0, checked.stderr
    assert len(list_runs(tmp_path / "runs")[0]) == 10


@pytest.mark.slow
def test_a_command_that_was_killed_is_followed_by_the_same_words(slurm, tmp_path: Path):
    """What waits or runs is not sent again; a run that failed is told with its reason, and sent again."""
    words = ("run", *TASK, "--model", "odd.py:Waits,odd.py:Fails", *WORDS, "timeout_min=10,runs_per_job=2")
    first = start(tmp_path, slurm, *words)
    wait_for(lambda: fits(tmp_path))
    first.kill()
    first.communicate()
    second = start(tmp_path, slurm, *words)
    told = second.stderr.readline()
    (tmp_path / "go").touch()
    assert told == "2 runs sent before\n"
    told = second.communicate(timeout=300)[1]
    assert second.returncode == 1
    assert re.search(r"Fails .* failed: ValueError: odd", told), told
    assert [fit.split()[0] for fit in fits(tmp_path)] == ["Fails", "Waits"]
    again = bench(tmp_path, slurm, *words)
    assert again.stderr.startswith("1 run in 1 job on Slurm, job "), again.stderr
    assert [fit.split()[0] for fit in fits(tmp_path)] == ["Fails", "Fails", "Waits"], "no other was done again"


def test_what_slurm_refuses_is_a_sentence(slurm, tmp_path: Path):
    done = bench(tmp_path, slurm, "run", *TASK, "--model", "mean", *WORDS, "partition=nowhere")
    assert done.returncode == 1
    assert "--on slurm: the jobs are refused:" in done.stderr
    assert "invalid partition specified: nowhere" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [*tmp_path.glob("runs/.cluster/bench-*")], "nothing is remembered as sent"


def test_where_no_cluster_answers_the_login_node_is_named(slurm, tmp_path: Path):
    """As on a computer of one's own, on which the programs of Slurm are installed and nothing else."""
    alone = {name: value for name, value in slurm.items() if name != "SLURM_CONF"}
    done = bench(tmp_path, alone, "run", *TASK, "--model", "mean", "--on", "slurm")
    assert done.returncode == 1
    assert "no cluster answers here: type the command on its login node: sbatch: " in done.stderr


@pytest.mark.slow
def test_two_of_three_nodes_are_killed_on_the_way(folder: Path, slurm, tmp_path: Path):
    """Slurm puts their jobs back into the queue; each run is done, and the predictions are those of one machine."""
    words = ("run", "--task", "open-dft/bulk-modulus,open-dft/metal", "--model", "mean", "--seed", "0,1,2,3,4,5,6,7")
    process = start(tmp_path, slurm, *words, *WORDS, "timeout_min=10,runs_per_job=2")
    records = tmp_path / "runs/open-dft"
    wait_for(lambda: len([*records.rglob("run.json")]) >= 3)
    for node in ("n1", "n3"):
        assert kill_node(folder, node) > 1
    _, told = process.communicate(timeout=900)
    for node in ("n1", "n3"):
        revive_node(folder, node)
    assert process.returncode == 0, told
    assert len(re.findall(r"^\[ ?\d+/16\] mean ", told, re.MULTILINE)) == 16
    assert bench(tmp_path, slurm, "verify", "--runs", "runs").returncode == 0
    assert bench(tmp_path, slurm, *words, "--out", "here").returncode == 0
    assert predictions(tmp_path / "runs") == predictions(tmp_path / "here")


@pytest.mark.slow
def test_a_time_limit_is_no_end(slurm, tmp_path: Path):
    """Training is saved before the limit, goes back into the queue and resumes: the same predictions, byte for byte.

    One that saves nothing in all that time would go on for ever, and fails.
    """
    shutil.copy(ROOT / "benchmarks/chaos_models.py", tmp_path)
    limits = (*WORDS, "timeout_min=1,signal_delay_s=15")
    never = start(tmp_path, slurm, "run", *TASK, "--model", "odd.py:Never", *limits)
    toy = ("run", *TASK, "--model", "chaos_models.py:Toy", "--set")
    done = bench(tmp_path, slurm, *toy, "chaos_models.py:Toy.pause=0.35", *limits)
    assert done.returncode == 0, done.stderr
    logs = "".join(file.read_text() for file in tmp_path.glob("runs/.cluster/bench-*/*_log.out"))
    assert "stopped by SIGUSR2" in logs
    assert bench(tmp_path, slurm, *toy, "chaos_models.py:Toy.pause=0", "--out", "here").returncode == 0
    assert {*predictions(tmp_path / "runs").values()} == {*predictions(tmp_path / "here").values()}
    assert "1 min, came before anything was saved" in never.communicate(timeout=600)[1]
    assert never.returncode == 1
