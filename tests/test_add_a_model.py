"""The guide for a new model, to the letter: its package is made from its text, installed, checked and ranked."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

GUIDE = Path(__file__).parent.parent / "docs" / "add-a-model.md"
FILES = re.findall(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the package of the guide is installed, beside and not into the one that tests."""
    home, site = tmp_path_factory.mktemp("mynet"), tmp_path_factory.mktemp("site")
    for name, content in FILES:
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text(content, encoding="utf-8")
    words = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(site), str(home)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True)
    return {**os.environ, "PYTHONPATH": str(site), "BENCH_CACHE": str(tmp_path_factory.mktemp("cache"))}


def bench(env: dict[str, str], *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "leaderboard.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, check=False)


def test_the_template_is_short():
    assert [name for name, _ in FILES] == ["pyproject.toml", "mynet/__init__.py", "mynet/network.py"]
    python = [line for name, content in FILES if name.endswith(".py") for line in content.splitlines()]
    assert len(python) < 60 + len([line for line in python if not line])


def test_it_is_listed(env: dict[str, str], tmp_path: Path):
    shown = bench(env, "models", cwd=tmp_path).stdout
    assert "mynet" in shown
    assert "Element embeddings" in shown


def test_it_keeps_the_contract(env: dict[str, str], tmp_path: Path):
    result = bench(env, "check", "mynet", cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_it_is_ranked(env: dict[str, str], tmp_path: Path):
    task = ("--task", "open-dft/bulk-modulus")
    result = bench(env, "run", *task, "--model", "mean,mynet", "--set", "mynet.epochs=20", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    rows = json.loads(bench(env, "leaderboard", *task, "--runs", "runs", "--format", "json", cwd=tmp_path).stdout)
    assert [(row["model"], row["rank"]) for row in rows] == [("mynet+epochs=20", 1), ("mean", 2)]
    assert "mynet" in rows[0]["versions"]
