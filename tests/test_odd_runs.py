"""Odd run folders over all commands: no traceback, no hang, nothing that steers a terminal, every other row shown."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import pytest
from odd_runs import DAMAGES, TASK, TASKS, make_good_run, odd_records, odd_runs

from leaderboard.cli.app import main
from leaderboard.records.run_folder import list_runs

SECONDS = 5.0  # of the processor, that a command may take beside one odd run: half of it on a slow one
POSCAR = "salt\n1\n0 2.8 2.8\n2.8 0 2.8\n2.8 2.8 0\nNa Cl\n1 1\nDirect\n0 0 0\n.5 .5 .5\n"
STEERS = "\x1b\x9b\x07\x00\x01\u202e\u2066\u2069\u200f\ud800\u2028\ufeff"  # of a terminal, or of the order of letters


def call(*words: object) -> tuple[int, str, str]:
    """Run a command in this process: exit status, and what it printed; an exception that it lets out fails the test."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    typed = ["bench", *map(str, words)]
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        patch.object(sys, "argv", typed),
        pytest.raises(SystemExit) as left,
    ):
        main()
    status = left.value.code
    assert isinstance(status, int)
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode())
    return status, texts[0], texts[1]


def board_commands(root: Path, out: Path) -> list[list[object]]:
    """Every command that reads all runs of a folder."""
    one, runs = ("--task", TASK.name), ("--runs", root)
    paper = ("--data", "open-dft", *runs)
    return [
        *(["leaderboard", *task, "--format", form, *runs]
          for task in ((), one) for form in ("table", "markdown", "csv", "json")),
        *(["errors", *one, "--by", "size", "--format", form, *runs] for form in ("table", "markdown", "csv")),
        ["verify", *runs],
        ["site", "--out", out / "site", *runs],
        *(["paper", item, *paper] for item in ("table-1", "table-2", "zero-shot")),
        ["paper", "table-2", "--out", out, *paper],
        ["paper", "figure-4", "--model", "good", "--format", "svg", "--out", out, *paper],
    ]  # fmt: skip


def check_commands(
    commands: Sequence[Sequence[object]], hint: str, seconds: float = SECONDS
) -> dict[str, tuple[int, str, str]]:
    """Run commands, each of which must be quick, clean and, where it is a board, show the good rows."""
    results = {}
    for words in commands:
        started = time.process_time()
        status, out, err = results[" ".join(map(str, words[:5]))] = call(*words)
        took = time.process_time() - started
        said = f"{hint}: {' '.join(map(str, words[:6]))}: {err[-500:]}"
        assert took < seconds, f"{said}: {took:.1f} s"
        assert not set(STEERS) & set(out + err.replace("\n", "")), said
        if words[0] == "leaderboard":
            assert status == 0, said
            assert "good" in out, said
            assert "other" in out, said
        if words[0] == "errors" and "csv" in words:  # a terminal has no room for so many columns
            assert "good" in out, said
    return results


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good models, one of them on all tasks."""
    root = tmp_path_factory.mktemp("good")
    for task in TASKS:
        make_good_run(root, task)
    make_good_run(root, TASK, "other", 0.3)
    check_commands(board_commands(root, tmp_path_factory.mktemp("out")), "good runs", 30)  # start-up
    return root


@pytest.fixture
def scratch() -> Iterator[Path]:
    """A folder of its own, removed by a program that does not give up on the deepest folders, as pytest does."""
    folder = tempfile.mkdtemp()
    yield Path(folder)
    subprocess.run(["rm", "-rf", folder], check=True)


RUN = Path("open-dft/bulk-modulus@random/quick/good/0-0")


def test_odd_runs_in_one_folder_are_named_and_all_others_shown(good: Path, scratch: Path):
    root = shutil.copytree(good, scratch / "runs")
    heavy = ("sparse", "huge", "one line", "many", "are deep")
    odd = [folder for _, folder in odd_runs(good / RUN, root, heavy)]
    assert len(odd) > 80
    results = check_commands(board_commands(root, scratch), "all together", 30)
    notes = results[f"leaderboard --format table --runs {root}"][2]
    for word in ("history.csv cannot be read", "is not where a run belongs", "cannot be read as the record"):
        assert word in notes
    status, out, _ = results[f"verify --runs {root}"]
    assert status == 1
    assert "FAULT" in out


@pytest.mark.slow
def test_odd_records_in_one_folder_are_named_by_field_and_all_others_shown(good: Path, scratch: Path):
    root = shutil.copytree(good, scratch / "runs")
    odd = dict(odd_records(good / RUN, root))
    _, faults = list_runs(root)
    for what, field in (("fold is text", "fold"), ("seconds.train is 1e308", "seconds.train"), ("log is true", "log")):
        (fault,) = [fault for fault in faults if str(odd[what]) in fault]
        assert f"field '{field}' is" in fault
    check_commands(board_commands(root, scratch), f"{len(odd)} records", 60)


@pytest.mark.slow
def test_each_odd_run_alone_over_all_commands(good: Path, scratch: Path):
    crystal = scratch / "salt.poscar"
    crystal.write_text(POSCAR)
    for what, folder in odd_runs(good / RUN, scratch / "odd"):
        seconds = 10.0 if "sparse" in what else SECONDS  # `verify` computes the digest of a model of any size
        root = shutil.copytree(good, scratch / "runs")
        home = root / folder.relative_to(scratch / "odd")
        home.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(home)
        check_commands([*board_commands(root, scratch), ["predict", crystal, "--run", home]], what, seconds)
        subprocess.run(["rm", "-rf", root], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["run.json is fifo", "run.json holds deep", "history.csv holds text", "model is loop"])
def test_an_odd_run_does_not_stop_the_next(what: str, good: Path, scratch: Path):
    """`bench run` names the folder of an odd run, and replaces it if it is told to; the others stay on the board."""
    root = shutil.copytree(good, scratch / "runs")
    folder = make_good_run(root, TASK, "mean")
    DAMAGES[what](folder)
    words = ("run", "--task", TASK.name, "--model", "mean", "--runs", root, "--device", "cpu")
    status, out, err = call(*words)
    assert str(folder) in err if status else "good" in out
    status, out, err = call(*words, "--again")
    assert status == 0, err
    assert {"good", "other", "mean"} <= set(out.split())
