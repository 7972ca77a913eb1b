"""The untrusted half of a proposal's way: what a folder may hold, and what its code may do."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from asugnn.errors import InputError
from leaderboard.submissions import pull_request_prepare
from leaderboard.submissions.pull_request_prepare import added_proposals, prepare_proposals, read_proposal

MODEL = """
import os, pathlib
import numpy as np

class Mean:
    def fit(self, train, val, context):
        self.mean = float(np.mean(train.y))
    def predict(self, crystals):
        return np.full(len(crystals), self.mean)
    def save(self, folder):
        (folder / "mean.txt").write_text(repr(self.mean))
    @classmethod
    def load(cls, folder):
        model = cls()
        model.mean = float((folder / "mean.txt").read_text())
        return model
"""


def write(folder: Path, about: str, **files: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "about.toml").write_text(about)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def git(home: Path, *words: str) -> str:
    who = ["-c", "user.name=someone", "-c", "user.email=someone@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *words], cwd=home, capture_output=True, text=True, check=True)
    return done.stdout.strip()


CSV = "id,bulk-modulus\n"
TASK = 'task = "open-dft/bulk-modulus"\n'


@pytest.mark.parametrize(
    ("name", "about", "files", "sentence"),
    [
        ("Name", TASK, {"predictions_csv": CSV}, "the folder 'Name' needs a name of up to 40 small letters"),
        ("a--b", TASK, {"predictions_csv": CSV}, "needs a name"),
        ("a" * 81, TASK, {"predictions_csv": CSV}, "needs a name"),
        ("www.evil.example", TASK, {"predictions_csv": CSV}, "needs a name"),
        ("x", TASK, {}, "either predictions.csv or model.py"),
        ("x", TASK, {"predictions_csv": CSV, "model_py": ""}, "either predictions.csv or model.py"),
        ("x", TASK, {"predictions_csv": CSV, "setup_py": ""}, "there is a file 'setup.py'"),
        ("x", "a" * 10_001, {"predictions_csv": CSV}, "about.toml has 10,001 bytes, more than 10,000"),
        ("x", "task = ", {"predictions_csv": CSV}, "about.toml cannot be read as TOML"),
        ("x", "a = " + "[" * 4000, {"predictions_csv": CSV}, "about.toml cannot be read as TOML"),
        ("x" * 41, TASK, {"predictions_csv": CSV}, "a name of up to 40 small letters"),
        ("x-" * 20 + "x", TASK, {"predictions_csv": CSV}, "a name of up to 40 small letters"),
        ("x", "task = 3", {"predictions_csv": CSV}, "about.toml needs task"),
        ("x", "task = []", {"model_py": ""}, "about.toml needs task"),
        ("x", f"task = {['open-dft/metal'] * 6}", {"model_py": ""}, "a list of up to 5"),
        ("x", "task = ['open-dft/metal', 'open-dft/band-gap']", {"predictions_csv": CSV}, "holds one task"),
        ("x", 'task = "open-dft/gap"', {"predictions_csv": CSV}, "did you mean 'open-dft/band-gap'"),
        ("x", TASK + "fold = true", {"predictions_csv": CSV}, "fold in about.toml must be a whole number"),
        ("x", TASK + "preset = 'paper'", {"predictions_csv": CSV}, "about.toml has an unknown entry 'preset'"),
        ("x", TASK + "model = 'A'", {"predictions_csv": CSV}, "is left out without model.py"),
        ("x", TASK + "model = 'A --out /'", {"model_py": ""}, "the name of the class in model.py"),
        ("x", TASK, {"model_py": ""}, "the name of the class in model.py"),
    ],
)
def test_a_folder_that_is_no_proposal_is_refused_in_a_sentence(
    name: str, about: str, files: dict[str, str], sentence: str, tmp_path: Path
):
    folder = write(tmp_path / name, about, **files)
    with pytest.raises(InputError) as refused:
        read_proposal(folder)
    assert sentence in str(refused.value)


def test_links_and_giants_are_refused(tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text(CSV)
    linked = write(tmp_path / "linked", TASK)
    (linked / "predictions.csv").symlink_to(secret)
    (tmp_path / "folder-link").symlink_to(write(tmp_path / "real", TASK, predictions_csv=CSV))
    giant = write(tmp_path / "giant", TASK, predictions_csv="")
    with (giant / "predictions.csv").open("wb") as file:
        file.truncate(20_000_001)
    os.mkfifo(write(tmp_path / "pipe", TASK) / "predictions.csv")
    faults = prepare_proposals(
        [tmp_path / n for n in ("linked", "folder-link", "giant", "pipe", "none")], tmp_path / "out"
    )
    assert [text.partition(",")[0] for text in faults.values()] == [
        "predictions.csv is not a regular file",
        "submissions/folder-link is not a folder with files",
        "predictions.csv has 20",
        "predictions.csv is not a regular file",
        "submissions/none is not a folder with files",
    ]
    assert [p.name for p in (tmp_path / "out").rglob("*") if p.is_file()] == ["fault.txt"] * 5
    with pytest.raises(InputError, match="there are 6 proposals: a pull request may have up to 5"):
        prepare_proposals([linked] * 6, tmp_path / "out")


def test_only_what_was_added_is_proposed(tmp_path: Path):
    git(tmp_path, "init", "-q")
    write(tmp_path / "submissions" / "old", TASK, predictions_csv=CSV)
    write(tmp_path / "submissions" / "gone", TASK, predictions_csv=CSV)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "base")
    base = git(tmp_path, "rev-parse", "HEAD")
    shutil.rmtree(tmp_path / "submissions" / "gone")
    odd = "a \n\"b'$(touch pwned)"
    write(tmp_path / "submissions" / odd, TASK, predictions_csv=CSV)
    write(tmp_path / "submissions" / "new", TASK, predictions_csv=CSV)
    (tmp_path / "submissions" / "README.md").write_text("not in a folder")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "predictions.csv").write_text(CSV)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "propose")
    found = [folder.name for folder in added_proposals(base, tmp_path)]
    assert found == [odd, "new"]
    assert not (tmp_path / "pwned").exists()
    for wrong in ("--output=x", "nothing"):
        with pytest.raises(InputError, match="git cannot list the changes since"):
            added_proposals(wrong, tmp_path)
    assert not (tmp_path / "x...HEAD").exists()


@pytest.mark.slow
def test_training_without_end_is_ended_with_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pull_request_prepare, "TRAINING_SECONDS", 15)
    early, late = tmp_path / "early", tmp_path / "late"
    endless = (
        MODEL
        + f"""
    def __init__(self):
        import subprocess, time
        subprocess.Popen(["sh", "-c", "touch {early}; sleep 16; touch {late}"])
        time.sleep(100)
"""
    )
    folder = write(tmp_path / "endless", TASK + 'model = "Mean"', model_py=endless)
    started = time.monotonic()
    assert prepare_proposals([folder], tmp_path / "out") == {"endless": "training took longer than 15 seconds"}
    assert early.exists()
    time.sleep(max(0.0, started + 33 - time.monotonic()))
    assert not late.exists()


def test_a_folder_holds_the_proposals_of_one_call_and_nothing_of_others(tmp_path: Path):
    first, second = (write(tmp_path / name, TASK, predictions_csv=CSV) for name in ("first", "second"))
    out = tmp_path / "out"
    prepare_proposals([first, second], out)
    prepare_proposals([second], out)
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == [
        "second/0/about.json",
        "second/0/predictions.csv",
    ]
    prepare_proposals([], out)
    assert list(out.iterdir()) == []
    (out / "mine").mkdir()
    (out / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match=r"out holds 'mine/thesis.txt', which no earlier call has left there"):
        prepare_proposals([first], out)
    assert (out / "mine" / "thesis.txt").read_text() == "precious"
