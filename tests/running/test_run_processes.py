"""Models that do something to their process: the good one beside them is on the board, the reason of each is told."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from leaderboard._util import cause_of_death
from leaderboard.records.run_folder import list_runs

BENCH = [sys.executable, "-m", "leaderboard.cli"]
TASK = ("--task", "open-dft/bulk-modulus")

MODEL = """
import ctypes, os, signal, sys, time
import numpy as np

class Base:
    def fit(self, train, val, context): self.mean = float(train.y.mean()); self.act()
    def act(self): pass
    def predict(self, crystals): return np.full(len(crystals), self.mean)
    def save(self, folder): (folder / "mean").write_text(str(self.mean))
    @classmethod
    def load(cls, folder):
        model = cls()
        model.mean = float((folder / "mean").read_text())
        return model

class Good(Base):
    parameters = np.int64(3)
class Imports(Base):
    def act(self): import sklearn
class TellsPlans(Base):
    parameters = int(os.environ.get("ONEDNN_PRIMITIVE_CACHE_CAPACITY", 1024))
class Exits(Base):
    def act(self): sys.exit(0)
class ExitsAtOnce(Base):
    def act(self): os._exit(0)
class ExitsWith(Base):
    def act(self): os._exit(7)
class Aborts(Base):
    def act(self): os.abort()
class Crashes(Base):
    def act(self): ctypes.string_at(0)
class Killed(Base):
    def act(self): os.kill(os.getpid(), signal.SIGKILL)
class Moves(Base):
    def act(self): os.chdir("/")
    def parameters(self): return iter([])  # as a module of torch has it
class Raises(Base):
    def act(self): raise ValueError("odd")
class Interrupts(Base):
    def act(self): raise KeyboardInterrupt
class NeedsField(Base):
    def __init__(self, width): pass
class Prints(Base):
    def act(self): print("x" * 200_000)
class Sleeps(Base):
    def act(self): print("asleep", flush=True); time.sleep(600)
class ClosesFiles(Base):
    def act(self): os.closerange(0, 4096)
class ClosesAndDies(Base):
    def act(self): os.closerange(0, 4096); ctypes.string_at(0)
class Leaves(Base):
    '''A child in its group, and a daemon in a session of its own, which hold all files open and ignore signals.'''
    def act(self):
        for own_session in (False, True):
            if os.fork() == 0:
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
                if own_session:
                    os.setsid()
                    if os.fork(): os._exit(0)
                time.sleep(600)
class LeavesAndDies(Leaves):
    def act(self): super().act(); ctypes.string_at(0)
class Deaf(Leaves):
    '''It holds the interpreter, so that no thread of it does anything.'''
    def act(self):
        super().act()
        print("deaf", flush=True)
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
        ctypes.PyDLL(None).sleep(600)
class Thread(Base):
    def act(self):
        import threading
        threading.Thread(target=time.sleep, args=(600,)).start()
"""
REASONS = {
    "Exits": "it called sys.exit(0)",
    "ExitsAtOnce": "it ended its own process, with exit status 0",
    "ExitsWith": "it ended its own process, with exit status 7",
    "Aborts": "its process was ended by SIGABRT",
    "Crashes": "its process was ended by SIGSEGV",
    "Killed": "its process was ended by SIGKILL, perhaps for its memory",
    "Raises": "ValueError: odd",
    "Interrupts": "it raised KeyboardInterrupt",
    "NeedsField": "model 'odd.py:NeedsField' cannot be made",
    "ClosesAndDies": "its process was ended by SIGSEGV",
    "LeavesAndDies": "its process was ended by SIGSEGV",
}


def run(folder: Path, *models: str, jobs: int = 1, task: tuple[str, str] = TASK) -> subprocess.CompletedProcess[str]:
    (folder / "odd.py").write_text(MODEL)
    words = ["run", *task, "--model", ",".join(f"odd.py:{m}" for m in models), "--jobs", str(jobs)]
    return subprocess.run([*BENCH, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=300)


def processes_in(folder: Path) -> list[str]:
    """The processes with a folder as their working folder that still run after at most five seconds."""
    for _ in range(50):
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (process / "cwd").readlink() == folder:
                    found.append((process / "cmdline").read_text())
        if not found:
            break
        time.sleep(0.1)
    return found


def survivors(group: int) -> list[str]:
    """The processes of a group that still run after at most five seconds."""
    for _ in range(50):
        status = [file.read_text().split() for file in Path("/proc").glob("[0-9]*/stat") if file.exists()]
        running = [s[1] for s in status if s[4] == str(group) and s[2] != "Z"]
        if not running:
            break
        time.sleep(0.1)
    return running


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_whatever_ends_a_run_the_others_go_on_and_its_reason_is_told(jobs: int, tmp_path: Path):
    good = ["Moves", "Thread", "ClosesFiles", "Leaves", "Good"]
    done = run(tmp_path, *REASONS, *good, jobs=jobs)
    assert done.returncode == 1, done.stderr
    assert {r.run.model for r in list_runs(tmp_path / "runs")[0]} == {f"odd.{name}" for name in good}
    assert f"{len(REASONS)} of {len(REASONS) + len(good)} runs failed" in done.stderr
    assert processes_in(tmp_path) == []
    assert {r.run.model: r.record.parameters for r in list_runs(tmp_path / "runs")[0]}["odd.Good"] == 3
    assert not list((tmp_path / "runs/open-dft/bulk-modulus@random/quick/odd.ClosesFiles/0-0").glob("error.txt"))
    for model, reason in REASONS.items():
        (line,) = [
            line
            for line in done.stderr.splitlines()
            if line.startswith("[") and f"odd.{model} on open-dft/bulk-modulus, fold" in line
        ]
        assert f"failed: {reason}" in line
        kept = tmp_path / f"runs/open-dft/bulk-modulus@random/quick/odd.{model}/0-0/error.txt"
        assert kept.read_text().startswith(reason)
    shown = subprocess.run([*BENCH, "leaderboard", *TASK], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "odd.Good" in shown.stdout
    for model, reason in REASONS.items():
        assert f"odd.{model} on open-dft/bulk-modulus, fold 0, seed 0 failed: {reason}" in shown.stderr


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os._exit(0)", "it ended its own process, with exit status 0"),
        pytest.param("import sys; sys.exit(0)", "worse.py cannot be loaded: SystemExit: 0", marks=pytest.mark.slow),
        pytest.param("class Worse(: pass", "worse.py cannot be loaded: SyntaxError", marks=pytest.mark.slow),
    ],
)
def test_a_file_that_cannot_be_loaded_is_a_run_that_fails(code: str, reason: str, tmp_path: Path):
    (tmp_path / "worse.py").write_text(code)
    (tmp_path / "odd.py").write_text(MODEL)
    words = ["run", *TASK, "--model", "worse.py:Worse,odd.py:Good"]
    done = subprocess.run([*BENCH, *words], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert f"note: worse.Worse on open-dft/bulk-modulus, fold 0, seed 0 failed: {reason}" in done.stderr
    assert [r.run.model for r in list_runs(tmp_path / "runs")[0]] == ["odd.Good"]


@pytest.mark.parametrize("model", ["Exits", "ExitsAtOnce", "Aborts", "Interrupts", "ClosesFiles", "LeavesAndDies"])
def test_check_tells_how_a_model_ended_it(model: str, tmp_path: Path):
    (tmp_path / "odd.py").write_text(MODEL)
    words = [*BENCH, "check", f"odd.py:{model}"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: model 'odd.py:{model}' cannot be checked: it")
    assert "Traceback" not in done.stderr
    assert processes_in(tmp_path) == []


def test_what_a_model_prints_does_not_stop_it(tmp_path: Path):
    assert run(tmp_path, "Prints").returncode == 0


@pytest.mark.slow
def test_a_zero_shot_run_fails_with_the_run_whose_model_it_needs(tmp_path: Path):
    done = run(tmp_path, "Killed", "Good", task=("--task", "open-dft/zero-shot"))
    assert done.returncode == 1
    assert "odd.Killed on open-dft/zero-shot, fold 0, seed 0" in done.stderr
    assert "it needs the model of odd.Killed on open-dft/formation-energy" in done.stderr
    assert (tmp_path / "runs/open-dft/zero-shot@random/quick/odd.Good/0-0/run.json").exists()


def test_an_interrupt_ends_all_of_it_within_three_seconds(tmp_path: Path):
    (tmp_path / "odd.py").write_text(MODEL)
    words = ["run", *TASK, "--model", "odd.py:Sleeps", "--jobs", "2", "--seed", "0,1"]
    process = subprocess.Popen(
        [*BENCH, *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "asleep\n"
    started = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - started < 3
    assert process.returncode == 130
    assert "Interrupted. Repeat the command to resume." in err
    assert survivors(process.pid) == []


@pytest.mark.parametrize("victim", ["command", "slot"])
def test_nothing_outlives_a_command_that_was_killed(victim: str, tmp_path: Path):
    """Whatever a model does: it blocks all signals, and has children in sessions of their own."""
    (tmp_path / "odd.py").write_text(MODEL)
    process = subprocess.Popen(
        [*BENCH, "run", *TASK, "--model", "odd.py:Deaf"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "deaf\n"
    slots = [int(c) for c in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    slot = next(c for c in slots if b"spawn_main" in Path(f"/proc/{c}/cmdline").read_bytes())
    os.kill(process.pid if victim == "command" else slot, signal.SIGKILL)
    _, err = process.communicate(timeout=30)
    assert process.returncode == (-signal.SIGKILL if victim == "command" else 1), err
    assert processes_in(tmp_path) == []


def test_an_interrupt_ends_what_a_deaf_model_has_started(tmp_path: Path):
    (tmp_path / "odd.py").write_text(MODEL)
    process = subprocess.Popen(
        [*BENCH, "run", *TASK, "--model", "odd.py:Deaf"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "deaf\n"
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - started < 3
    assert (process.returncode, "Traceback" in err) == (130, False)
    assert processes_in(tmp_path) == []


@pytest.mark.slow
def test_versions_do_not_depend_on_what_ran_before(tmp_path: Path):
    (tmp_path / "odd.py").write_text(MODEL)
    command = [*BENCH, "run", *TASK, "--model"]
    subprocess.run([*command, "odd.py:Imports,mean"], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run([*command, "mean", "--out", "alone"], cwd=tmp_path, check=True, capture_output=True)
    before, after, alone = [
        json.loads((tmp_path / f"{root}/open-dft/bulk-modulus@random/quick/{model}/0-0/run.json").read_text())
        for root, model in (("runs", "odd.Imports"), ("runs", "mean"), ("alone", "mean"))
    ]
    assert "scikit-learn" in before["versions"]
    assert after["versions"] == alone["versions"]
    assert "scikit-learn" not in after["versions"]


def test_causes_of_death():
    assert cause_of_death(-9) == "its process was ended by SIGKILL, perhaps for its memory"
    assert cause_of_death(-11) == "its process was ended by SIGSEGV"
    assert cause_of_death(-40) == "its process was ended by signal 40"
    assert cause_of_death(3) == "it ended its own process, with exit status 3, before it was finished"


@pytest.mark.slow
@pytest.mark.parametrize(("stated", "expected"), [(None, 64), ("7", 7)])
def test_few_plans_of_matrix_products_are_kept(
    stated: str | None, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each takes memory, and batches of crystals hardly ever have a shape again."""
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", raising=False)
    if stated:
        monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", stated)
    run(tmp_path, "TellsPlans")
    (stored,) = list_runs(tmp_path / "runs")[0]
    assert stored.record.parameters == expected
