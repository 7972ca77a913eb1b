"""Runs that hang, whose memory runs out, that are asked to stop: each with its reason, none at the cost of others."""

import math
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from leaderboard.data import parse_task
from leaderboard.records import list_failures, list_runs
from leaderboard.running.plan import plan_runs
from leaderboard.running.pulse import Pulse
from leaderboard.running.run_processes import run_jobs

MODELS = """
import os, time
from contextlib import suppress
from pathlib import Path
from typing import Any
import numpy as np
from asugnn.errors import TrainingStoppedError

class Base:
    def fit(self, train, val, context):
        self.mean = float(train.y.mean())
        self.act(context)
    def predict(self, crystals): return np.full(len(crystals), self.mean)
    def save(self, folder): pass
    @classmethod
    def load(cls, folder): return cls()

class Good(Base):
    def act(self, context): pass
class Hangs(Base):
    def act(self, context): time.sleep(60)
class Slow(Base):
    def act(self, context):
        with context.progress("working", 12) as bar:
            for _ in range(12):
                time.sleep(0.4)
                bar.advance()
class Hungry(Base):
    def act(self, context):
        if not Path("tried").exists():
            Path("tried").touch()
            raise MemoryError
class Company(Base):
    def act(self, context):
        while not Path("tried").exists():
            time.sleep(0.01)
class Eats(Base):
    def act(self, context): np.empty(10**14)
class Steps(Base):
    '''Saves when it is asked to stop, as the training loop does.'''
    def act(self, context):
        context.should_stop()
        print("step", flush=True)
        while not context.should_stop():
            time.sleep(0.01)
        (context.folder / "checkpoint.pt").write_text("saved")
        raise TrainingStoppedError
"""
TASK = ("--task", "open-dft/bulk-modulus")


def run(folder: Path, models: str, processes: int = 1, timeout: float = 30.0) -> dict[str, tuple[str, str]]:
    """Outcome and note by model."""
    (folder / "odd.py").write_text(MODELS)
    names = [f"{folder / 'odd.py'}:{name}" for name in models.split()]
    jobs = plan_runs([parse_task(TASK[1])], names, "quick", [0], [0], {})
    seen: dict[str, tuple[str, str]] = {}
    run_jobs(
        jobs,
        folder / "runs",
        lambda r, outcome, note: seen.update({r.model.rpartition(".")[2]: (outcome, note)}),
        processes,
        threads=1,
        timeout=timeout,
    )
    return seen


def test_a_run_without_progress_fails_and_tells_where_it_was(tmp_path: Path):
    """One that is slow but advances does not, even if it takes longer than that."""
    seen = run(tmp_path, "Hangs Slow Good", processes=2, timeout=4.0)
    assert seen["Hangs"] == ("failed", "it made no progress for 4 s, and was ended; --timeout allows more")
    assert (seen["Slow"][0], seen["Good"][0]) == ("done", "done")
    ((failed, _, reason),) = list_failures(tmp_path / "runs")
    assert reason == seen["Hangs"][1]
    assert "in act" in (failed.folder(tmp_path / "runs") / "error.txt").read_text()


def test_a_file_is_progress_and_the_heartbeat_of_a_lock_is_none(tmp_path: Path):
    pulse = Pulse()
    assert pulse.silence(tmp_path) == -math.inf, "it waits for another command"
    pulse.beat()
    for name, silent in ((".lock.lease", True), ("history.csv", False), (".lock.lease", True), ("history.csv", False)):
        time.sleep(0.05)
        (tmp_path / name).write_text(str(time.monotonic()))
        assert (pulse.silence(tmp_path) >= 0.05) is silent
    time.sleep(0.1)
    pulse.beat()
    assert pulse.silence(tmp_path) < 0.1


def test_time_left_is_of_the_steps_of_this_training_alone():
    pulse = Pulse()
    with pulse.progress("")("inputs asugnn", 10) as bar:
        bar.advance(9)
        assert (pulse.steps, pulse.prepares, pulse.seconds_left) == ((9, 10), True, None)
    with pulse.progress("")("training", 100) as bar:
        bar.advance(96)  # of the training that is resumed
        assert (pulse.prepares, pulse.seconds_left) == (False, None)
        time.sleep(0.2)
        bar.advance()
        assert 0.4 < pulse.seconds_left < 1.5


def test_a_run_out_of_memory_fails_with_its_reason(tmp_path: Path):
    seen = run(tmp_path, "Eats Good")
    assert seen["Good"][0] == "done"
    assert seen["Eats"][0] == "failed"
    assert seen["Eats"][1].startswith("memory ran out: MemoryError: Unable to allocate")
    assert list_failures(tmp_path / "runs")[0][2].startswith("memory ran out: ")


@pytest.mark.slow
def test_a_run_out_of_memory_beside_others_is_repeated_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    seen = run(tmp_path, "Company Hungry", processes=2)
    assert seen["Company"][0] == "done"
    assert seen["Hungry"] == ("done", "0 s; alone, because memory had run out beside other runs")


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGINT,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_a_signal_lets_runs_save_and_says_how_to_go_on(number: signal.Signals, tmp_path: Path):
    (tmp_path / "odd.py").write_text(MODELS)
    words = ["run", *TASK, "--model", "odd.py:Steps", "--seed", "0,1", "--jobs", "2"]
    with subprocess.Popen(
        [sys.executable, "-m", "leaderboard.cli", *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in "ab"] == ["step\n", "step\n"]
        started = time.monotonic()
        os.killpg(process.pid, number)  # as terminals and batch systems do
        told = process.communicate(timeout=30)[1]
    assert time.monotonic() - started < 3
    assert process.returncode == 128 + number
    how = "Interrupted" if number == signal.SIGINT else f"Stopped by {number.name}"
    assert told.splitlines()[-1] == f"{how}. Repeat the command to resume."
    assert [file.read_text() for file in tmp_path.rglob("checkpoint.pt")] == ["saved"] * 2
    assert not list(tmp_path.rglob("error.txt"))
    assert list_runs(tmp_path / "runs") == ([], [])


def test_a_second_signal_ends_at_once(tmp_path: Path):
    (tmp_path / "odd.py").write_text(
        MODELS.replace("while not context.should_stop()", "while context.should_stop() < 2")
    )
    words = ["run", *TASK, "--model", "odd.py:Steps"]
    with subprocess.Popen(
        [sys.executable, "-m", "leaderboard.cli", *words], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "step\n"
        process.send_signal(signal.SIGTERM)
        time.sleep(1)
        assert process.poll() is None  # it has 20 s to finish its step
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert time.monotonic() - started < 3
    assert process.returncode == 143


def started(folder: Path, **options: Any) -> subprocess.Popen[str]:
    """A command in a session of its own, whose run has begun."""
    (folder / "odd.py").write_text(MODELS)
    process = subprocess.Popen(
        [sys.executable, "-m", "leaderboard.cli", "run", *TASK, "--model", "odd.py:Steps"], cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **options,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "step\n"
    return process


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.0, 0.02, 0.2])
def test_no_signal_at_any_moment_shows_a_traceback(pause: float, tmp_path: Path):
    process = started(tmp_path)
    for _ in range(40):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        time.sleep(pause)
        if process.poll() is not None:
            break
    _, err = process.communicate(timeout=30)
    assert process.returncode in {128 + signal.SIGINT, -signal.SIGINT}
    assert not [line for line in err.splitlines() if line.strip() and not line.startswith(("Interrupted.", "["))]


def test_a_signal_that_is_ignored_from_the_start_stays_ignored_and_sigterm_ends_the_command(tmp_path: Path):
    """As a shell starts a command in the background of a script; importing polars would change that."""
    process = started(tmp_path, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    process.terminate()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert err.splitlines()[-1] == "Stopped by SIGTERM. Repeat the command to resume."


def test_an_interrupt_where_python_cannot_raise_it_is_not_lost():
    code = """
import os, signal, time
from leaderboard._util import raise_on_stop_signals, stop_signal
raise_on_stop_signals()
class Odd:
    def __del__(self): os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.1)
try:
    Odd()
    time.sleep(10)
except KeyboardInterrupt:
    print(stop_signal().name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert (done.stdout, done.stderr) == ("SIGTERM\n", "")
