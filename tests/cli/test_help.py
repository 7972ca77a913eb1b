"""Every `--help`: it fits the terminal, and its example is a command that works."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from conftest import Typed

from leaderboard.board.ground_truth import load_ground_truth
from leaderboard.cli.app import app
from leaderboard.data.tasks import parse_task
from leaderboard.records.predictions_csv import write_predictions

ROOT = Path(__file__).resolve().parents[2]
TREE = typer.main.get_command(app)
# What is downloaded, or takes longer than a test may: their words are parsed, and nothing is done.
PARSED_ONLY = {"run", "predict", "published", "data fetch", "data build", "data audit"}


def command_paths() -> list[str]:
    groups = [(name, getattr(command, "commands", {})) for name, command in TREE.commands.items()]  # type: ignore[attr-defined]
    return [path for name, below in groups for path in ([f"{name} {inner}" for inner in below] or [name])]


def command(path: str):
    found = TREE
    for word in path.split():
        found = found.commands[word]  # type: ignore[attr-defined]
    return found


def example(path: str) -> str:
    match = re.search(r"\n\nExample:\n\n(bench .*)\Z", command(path).help.strip())
    assert match, path
    return match[1]


def bench(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if name != "BENCH_DATA"}
    command = [sys.executable, "-W", "error", "-m", "leaderboard.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**plain, **env}, check=False)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the examples name."""
    folder = tmp_path_factory.mktemp("examples")
    truth = load_ground_truth(parse_task("open-dft/band-gap"), 0)
    write_predictions(folder / "predictions.csv", truth.ids, "band-gap", truth.y)
    shutil.copytree(ROOT / "leaderboard/runs/open-dft/metal@random", folder / "runs/open-dft/metal@random")
    shutil.copytree(ROOT / "leaderboard/runs/open-dft/band-gap@random", folder / "runs/open-dft/band-gap@random")
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert code
    (folder / "my_model.py").write_text(code[1], encoding="utf-8")
    from ase.build import bulk
    from ase.io import write

    (folder / "FOLDER").mkdir()
    rows = ["id,gap,is_magnetic"]
    for i, (formula, size) in enumerate((("NaCl", 5.64), ("MgO", 4.21), ("LiF", 4.03), ("KBr", 6.6), ("AgCl", 5.55))):
        write(folder / "FOLDER" / f"{formula}.cif", bulk(formula, "rocksalt", a=size))
        rows.append(f"{formula},{i}.5,{i % 2}")
    (folder / "FOLDER" / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    shutil.copy(folder / "FOLDER" / "NaCl.cif", folder / "salt.cif")
    return folder


@pytest.mark.parametrize("path", command_paths())
def test_the_example_is_one_line_of_this_command(path: str):
    words = shlex.split(example(path))
    assert len(example(path)) < 80
    assert words[: 1 + len(path.split())] == ["bench", *path.split()]
    command(path).make_context(path, words[1 + len(path.split()) :], resilient_parsing=False)  # raises for wrong usage


@pytest.mark.parametrize("path", command_paths())
def test_no_line_of_help_is_broken_at_80_columns(path: str):
    """Typer keeps the ends of lines, and breaks a line that is too long once more."""
    paragraphs = [paragraph.splitlines() for paragraph in (command(path).help or "").strip().split("\n\n")]
    assert not [line for lines in paragraphs if len(lines) > 1 for line in lines if len(line) > 78]


@pytest.mark.parametrize("path", [path for path in command_paths() if path not in PARSED_ONLY])
def test_the_example_runs(path: str, home: Path):
    words = shlex.split(example(path))[1:]
    words = [file for word in words for file in (["salt.cif"] if word == "*.cif" else [word])]  # as a shell does
    done = bench(*words, cwd=home, BENCH_DATA=str(home / "data"))
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("path", ["", "data", *command_paths()])
def test_help_fits_60_columns_and_names_the_command(path: str, typed: Typed, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "60")
    status, out, err = typed(*path.split(), "--help")
    assert (status, err) == (0, "")
    assert f"Usage: bench {path}".rstrip() in out
    assert max(len(line) for line in out.splitlines()) <= 60
    assert "…" not in out
    if path in command_paths():
        words = " ".join(out.split())
        assert f"Example: {example(path)} " in words


def test_a_default_in_words_is_shown(tmp_path: Path):
    done = bench("export", "--help", cwd=tmp_path, COLUMNS="160")
    assert "[default: (the task's first)]" in done.stdout
    assert "[default: (id and the target's name)]" in done.stdout


def test_without_words_help_is_shown_and_the_status_is_2(tmp_path: Path):
    for words in ((), ("data",)):
        done = bench(*words, cwd=tmp_path)
        assert done.returncode == 2
        assert "Usage: bench" in done.stdout
        assert "Error" not in done.stdout + done.stderr


def test_the_same_option_means_the_same_everywhere():
    helps: dict[str, set[str]] = {}
    names: dict[str, set[str]] = {}
    for path in command_paths():
        for param in command(path).params:
            for name in param.opts:
                if name in {"--task", "--preset", "--runs", "--data-dir", "--columns", "--json", "--fold", "--seed"}:
                    names.setdefault(name, set()).add(path)
                    helps.setdefault(name, set()).add(param.help)
    assert {"score", "submit", "run", "export"} <= names["--fold"]
    readers = {"leaderboard", "errors", "site", "paper", "verify", "export"}
    assert {"run", "submit", "published", *readers} == names["--runs"]
    assert all(len(helps[name]) == 1 for name in ("--runs", "--data-dir", "--columns"))
