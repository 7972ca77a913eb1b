"""Odd run folders over all commands: no traceback, no hang, nothing that steers a terminal, every other row shown."""

from __future__ import annotations

import io
import json
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from odd_runs import DAMAGES, ESCAPE, EVIL, TASK, TASKS, change_record, make_good_run, odd_records, odd_runs

from asugnn.errors import InputError
from leaderboard.cli.app import app

SECONDS = 3.0  # that a command may take
POSCAR = "salt\n1\n0 2.8 2.8\n2.8 0 2.8\n2.8 2.8 0\nNa Cl\n1 1\nDirect\n0 0 0\n.5 .5 .5\n"
STEERS = "\x1b\x9b\x07\x00\x01\u202e\u2066\u2069\u200f\ud800\u2028\ufeff"  # of a terminal, or of the order of letters


def call(*words: object) -> tuple[int, str, str]:
    """Run a command in this process: exit status, and what it printed; anything but an `InputError` fails the test."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = app([str(word) for word in words], standalone_mode=False) or 0
        except InputError as error:
            status = 1
            err.write(str(error).encode("utf-8", "replace").decode())
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


def check_commands(commands: Sequence[Sequence[object]], hint: str) -> dict[str, tuple[int, str, str]]:
    """Run commands, each of which must be quick, clean and, where it is a board, show the good rows."""
    results = {}
    for words in commands:
        started = time.monotonic()
        status, out, err = results[" ".join(map(str, words[:5]))] = call(*words)
        seconds = time.monotonic() - started
        said = f"{hint}: {' '.join(map(str, words[:6]))}: {err[-500:]}"
        assert seconds < SECONDS, f"{said}: {seconds:.1f} s"
        assert not set(STEERS) & set(out + err.replace("\n", "")), said
        if words[0] == "leaderboard":
            assert status == 0, said
            assert "good" in out, said
            assert "other" in out, said
        if words[0] == "errors":
            assert "good" in out, said
    return results


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two good models, one of them on all tasks."""
    root = tmp_path_factory.mktemp("good")
    for task in TASKS:
        make_good_run(root, task)
    make_good_run(root, TASK, "other", 0.3)
    check_commands(board_commands(root, tmp_path_factory.mktemp("out")), "good runs")
    return root


RUN = Path("open-dft/bulk-modulus@random/quick/good/0-0")


def test_odd_runs_in_one_folder_are_named_and_all_others_shown(good: Path, tmp_path: Path):
    root = shutil.copytree(good, tmp_path / "runs")
    wanted = {
        "run.json is",
        "run.json holds d",
        "history.csv",
        "predictions.csv",
        "model is named",
        "folder is",
        "error",
    }
    heavy = ("sparse", "huge", "one line")
    folders = [f for what, f in odd_runs(good / RUN, root) if not what.endswith(heavy) or shutil.rmtree(f)]
    assert len(folders) > 80, wanted
    results = check_commands(board_commands(root, tmp_path), "all together")
    notes = results[f"leaderboard --format table --runs {root}"][2]
    for word in ("history.csv cannot be read", "is not where a run belongs", "cannot be read as the record", "99"):
        assert word in notes
    status, _, err = results[f"verify --runs {root}"]
    assert status == 1
    assert "do not match their files" in err
