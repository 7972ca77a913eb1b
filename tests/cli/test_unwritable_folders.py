"""Folders that cannot be written: one sentence that names the file and the option; what only reads works.

/sys stands for them: nobody can make a file there, not even root, for whom modes of files do not count.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from asugnn import cache
from asugnn.atomic_write import UnwritableError, atomic_folder, atomic_write, check_writable
from leaderboard.data import PACKAGE, data_folder

LOCKED = Path("/sys")
PREDICTIONS = PACKAGE / "runs/open-dft/metal@random/quick/forest/0-0/predictions.csv"

pytestmark = pytest.mark.skipif(not LOCKED.is_dir(), reason="there is no /sys")


def bench(*words: str, cwd: Path = LOCKED, **env: str) -> subprocess.CompletedProcess[str]:
    plain = {k: v for k, v in os.environ.items() if k != "BENCH_DATA"}
    env = {**plain, "BENCH_CACHE": str(LOCKED / "cache"), "HOME": str(LOCKED), "MPLCONFIGDIR": "", **env}
    env["PYTHONPATH"] = os.pathsep.join([str(PACKAGE.parent), env.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "leaderboard.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=env, check=False)


@pytest.mark.parametrize(
    ("words", "path", "option"),
    [
        ("run --model mean --task open-dft/metal", "/sys/runs", "--runs"),
        pytest.param(
            "run --model mean --task open-dft/metal --jobs 2 --seed 0,1 --out mine",
            "/sys/mine",
            "--out",
            marks=pytest.mark.slow,
        ),
        (f"submit {PREDICTIONS} --task open-dft/metal --name me", "runs", "--runs"),
        ("export --task open-dft/metal --out new", "new/participants/train.csv", "--out"),
        ("site --out new", "new", "--out"),
        pytest.param("paper table-2 --data open-dft --out new", "new/table-2.txt", "--out", marks=pytest.mark.slow),
        pytest.param("embed {0}/salt.vasp --out new.npz", "new.npz", "--out", marks=pytest.mark.slow),
        pytest.param(
            "data import {0}/salt.vasp --target gap:eV --data-dir new", "new", "--data-dir", marks=pytest.mark.slow
        ),
        ("data fetch hm --data-dir new", "new/hm", "--data-dir"),
        pytest.param("data build mp-2024-1 --data-dir new", "new", "--data-dir", marks=pytest.mark.slow),
        pytest.param("data audit open-dft --out new", "new", "--out", marks=pytest.mark.slow),
    ],
)
def test_what_writes_says_in_a_sentence_that_it_cannot(words: str, path: str, option: str, tmp_path: Path):
    (tmp_path / "salt.vasp").write_text(
        "salt\n1.0\n0 2.8 2.8\n2.8 0 2.8\n2.8 2.8 0\nNa Cl\n1 1\nDirect\n0 0 0\n.5 .5 .5\n"
    )
    result = bench(*words.format(tmp_path).split())
    assert result.returncode == 1, result.stderr
    assert result.stderr.startswith(f"Error: {path} cannot be written: ")
    assert result.stderr.endswith(f"; choose another folder with {option}\n")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        "leaderboard",
        pytest.param("errors --task open-dft/metal", marks=pytest.mark.slow),
        pytest.param("paper table-2 --data open-dft", marks=pytest.mark.slow),
        f"score {PREDICTIONS} --task open-dft/metal",
        "data list",
    ],
)
def test_what_reads_works_where_nothing_can_be_written(words: str):
    result = bench(*words.split())
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.slow
def test_a_run_needs_no_cache(tmp_path: Path):
    words = ("run", "--model", "forest", "--task", "open-dft/metal", "--set", "forest.trees=2", "--runs", "runs")
    result = bench(*words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr


def test_a_user_without_a_home_folder_has_no_cache(monkeypatch: pytest.MonkeyPatch):
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("BENCH_CACHE", "BENCH_DATA", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cache.Path, "home", no_home)
    for folder in (cache.cache_folder(), data_folder()):
        assert not folder.exists()
        with pytest.raises(UnwritableError):
            check_writable(folder)


def test_the_final_path_is_named_not_the_temporary_one(tmp_path: Path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "a.txt", LOCKED / "a.txt"):
        for writer in (atomic_write, atomic_folder):
            with pytest.raises(UnwritableError) as told, writer(path):
                pass
            assert told.value.filename == str(path)
    with pytest.raises(UnwritableError) as told, atomic_write(tmp_path / "a.txt") as temporary:
        temporary.chmod(0)
        temporary.unlink()
    assert told.value.filename == str(tmp_path / "a.txt")


def test_a_check_leaves_nothing(tmp_path: Path):
    check_writable(tmp_path / "new" / "folder")
    assert not any(tmp_path.iterdir())
