"""An edited model is another model; a file is run only when the person at the keyboard names it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from made import run_here

from asugnn import InputError
from asugnn.model_registry import find_model
from leaderboard.data import parse_task
from leaderboard.records.run_record import record_text
from leaderboard.running import load_run_model
from leaderboard.running.model_code import _closure
from leaderboard.running.plan import plan_runs

BENCH = [sys.executable, "-m", "leaderboard.cli"]
TASK = "open-dft/bulk-modulus"
MODEL = """
from dataclasses import dataclass
import numpy as np

@dataclass
class Constant:
    value: float = {value}
    def fit(self, train, val, context): pass
    def predict(self, crystals): return np.full(len(crystals), self.value)
    def save(self, folder): (folder / "value").write_text(str(self.value))
    @classmethod
    def load(cls, folder): return cls(float((folder / "value").read_text()))
"""


def bench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*BENCH, *words], cwd=folder, capture_output=True, text=True, check=False)


def rows(folder: Path) -> list[dict]:
    return json.loads(bench(folder, "leaderboard", "--task", TASK, "--format", "json", "--runs", "runs").stdout)


@pytest.mark.slow
def test_ten_edits_are_ten_results_each_explained_by_its_digest(tmp_path: Path):
    seen = set()
    for i in range(10):
        (tmp_path / "my.py").write_text(MODEL.format(value=i / 10))
        done = bench(tmp_path, "run", "--task", TASK, "--model", "my.py:Constant")
        assert done.returncode == 0, done.stderr
        assert ("its code has changed" in done.stderr) == (i > 0)
        (row,) = rows(tmp_path)
        record = json.loads(
            (tmp_path / f"runs/open-dft/bulk-modulus@random/quick/{row['model']}/0-0/run.json").read_text()
        )
        seen.add((row["metrics"]["mae"]["value"], record["code"]["sha256"]))
    assert len({value for value, _ in seen}) == len({sha256 for _, sha256 in seen}) == 10
    again = bench(tmp_path, "run", "--task", TASK, "--model", "my.py:Constant")
    assert "finished before" in again.stderr
    forced = bench(tmp_path, "run", "--task", TASK, "--model", "my.py:Constant", "--again")
    assert "finished before" not in forced.stderr


@pytest.mark.slow
def test_a_dry_run_counts_a_run_of_other_code_as_to_be_done(tmp_path: Path):
    words = ("run", "--task", TASK, "--model", "my.py:Constant")
    (tmp_path / "my.py").write_text(MODEL.format(value=0.1))
    bench(tmp_path, *words)
    assert "0 runs to do" in bench(tmp_path, *words, "--dry-run").stdout
    (tmp_path / "my.py").write_text(MODEL.format(value=0.2))
    assert "1 run to do" in bench(tmp_path, *words, "--dry-run").stdout
    other = bench(tmp_path, *words, "--dry-run", "--precision", "bfloat16").stdout
    assert "cannot run" in other
    assert "finished run that differs in" in other


def test_a_file_that_ends_its_process_ends_no_plan(tmp_path: Path):
    words = ("run", "--task", TASK, "--model", "my.py:Constant")
    (tmp_path / "my.py").write_text(MODEL.format(value=0.1))
    assert bench(tmp_path, *words).returncode == 0
    (tmp_path / "my.py").write_text("import os; os._exit(3)")
    done = bench(tmp_path, *words, "--dry-run")
    assert "Traceback" not in done.stderr
    assert "1 run to do" in done.stdout


@pytest.mark.slow
def test_two_files_with_one_class_name_are_two_models(tmp_path: Path):
    for name, value in (("a", 0.1), ("b", 0.2)):
        (tmp_path / f"{name}.py").write_text(MODEL.format(value=value))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.py").write_text(MODEL.format(value=0.3))
    models = "a.py:Constant,b.py:Constant,sub/a.py:Constant"
    assert bench(tmp_path, "run", "--task", TASK, "--model", models).returncode == 0
    assert {row["model"] for row in rows(tmp_path)} == {"a.Constant", "b.Constant", "sub.a.Constant"}


@pytest.mark.slow
def test_a_hyper_parameter_is_set_by_the_name_of_the_class(tmp_path: Path):
    (tmp_path / "my.py").write_text(MODEL.format(value=0.1))
    for name, more in (("Constant", ()), ("my.Constant", ("--dry-run",)), ("my.py:Constant", ("--dry-run",))):
        words = ("--model", "my.py:Constant", "--set", f"{name}.value=0.5", *more)
        done = bench(tmp_path, "run", "--task", TASK, *words)
        assert done.returncode == 0, done.stderr
        assert "my.Constant+value=0.5" in done.stdout


def test_a_path_found_in_a_record_is_never_executed(tmp_path: Path):
    (tmp_path / "my.py").write_text(MODEL.format(value=0.1))
    assert bench(tmp_path, "run", "--task", TASK, "--model", "my.py:Constant").returncode == 0
    folder = "runs/open-dft/bulk-modulus@random/quick/my.Constant/0-0"
    (tmp_path / "my.py").write_text("raise SystemExit('it ran')")
    (tmp_path / "POSCAR").write_text("Na\n1\n4 0 0\n0 4 0\n0 0 4\nNa\n1\nDirect\n0 0 0\n")
    refused = bench(tmp_path, "predict", "POSCAR", "--run", folder)
    assert refused.returncode == 1
    assert "add --model my.py:Constant" in refused.stderr
    assert "it ran" not in refused.stdout + refused.stderr
    changed = bench(tmp_path, "predict", "POSCAR", "--run", folder, "--model", "my.py:Constant")
    assert changed.returncode == 1
    assert "my.py has changed since" in changed.stderr
    assert "it ran" not in changed.stdout + changed.stderr
    (tmp_path / "my.py").write_text(MODEL.format(value=0.1))
    named = bench(tmp_path, "predict", "POSCAR", "--run", folder, "--model", "my.py:Constant")
    assert named.stdout == "id,bulk-modulus\nPOSCAR,0.1\n", named.stderr


def test_a_module_named_in_a_record_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`source` says which class ran; only entry points are loaded."""
    run_here(plan_runs([parse_task(TASK)], ["mean"], "quick", [0], [0], {}), tmp_path / "runs")
    file = tmp_path / "runs/open-dft/bulk-modulus@random/quick/mean/0-0/run.json"
    (tmp_path / "evil.py").write_text("open('ran', 'w')")
    (tmp_path / "POSCAR").write_text("Na\n1\n4 0 0\n0 4 0\n0 0 4\nNa\n1\nDirect\n0 0 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as where a command is typed
    for entry in ("evil.Model", "evil", "/tmp/evil.py:Model", "../evil.py:Model", "evil:Model"):
        record = json.loads(file.read_text()) | {"entry": entry, "source": "evil:Model"}
        file.write_text(record_text(record))
        with pytest.raises(InputError):
            load_run_model(file.parent)
        assert not (tmp_path / "ran").exists()
    assert bench(tmp_path, "predict", "POSCAR", "--run", str(file.parent)).returncode == 1
    assert not (tmp_path / "ran").exists()


def test_all_that_a_model_imports_is_imported_before_its_clock_starts():
    """Where an import happened in `fit`, the first run after a start took seconds longer than the next one."""
    code = """
import sys
from asugnn.model_registry import find_model
from leaderboard.running.run_slot import _import_packages
for name in ("forest", "cgcnn"):
    _import_packages(name)
    find_model(name)
assert {"sklearn.ensemble", "jarvis.core.specie", "torch.optim", "safetensors.numpy"} <= sys.modules.keys()
before = set(sys.modules)
import numpy as np
import torch
from asugnn import Context, Crystal, Labelled
from asugnn.model_registry import configure_model
salts = [Crystal(np.eye(3) * a, [[0, 0, 0], [0.5, 0.5, 0.5]], [11, 17]) for a in (4.0, 4.2, 4.4, 4.6)]
sides = [Labelled(("a", "b"), salts[i : i + 2], np.array([0.0, 1.0]), "regression") for i in (0, 2)]
one = {"epochs": "1"}
for name, preset, settings in (("forest", "quick", {}), ("cgcnn", "quick", one), ("cgcnn", "paper", one)):  # Adam, SGD
    configure_model(name, preset, settings).fit(*sides, Context(0, "cpu", "float32"))
new = sorted(set(sys.modules) - before)
assert len(new) < 10, new
assert "torch._dynamo" not in sys.modules, "PyTorch's compiler takes seconds to import, and nothing here needs it"
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_seconds_do_not_depend_on_whether_model_inputs_were_cached(tmp_path: Path):
    (tmp_path / "slow.py").write_text("""
import time
import numpy as np
from asugnn.cache import cached_inputs
from my import Constant

def featurise(crystal):
    time.sleep(0.005)
    return {"n": np.array([len(crystal)])}

class Slow(Constant):
    def fit(self, train, val, context): cached_inputs(train.crystals[:100], featurise, "slow", {"pid": str(self)})
    def predict(self, crystals):
        cached_inputs(crystals[:18], featurise, "slow", {"pid": str(self)})
        return super().predict(crystals)
""")
    (tmp_path / "my.py").write_text(MODEL.format(value=0.5))
    done = bench(tmp_path, "run", "--task", TASK, "--model", "slow.py:Slow")
    assert done.returncode == 0, done.stderr
    seconds = json.loads(next((tmp_path / "runs").rglob("run.json")).read_text())["seconds"]
    assert seconds["train"] < 0.25
    assert seconds["predict"] < 0.05


@pytest.mark.parametrize("name", ["mean", "cgcnn", "asugnn"])
def test_the_number_of_the_version_is_not_code(name: str):
    assert not [module for module in _closure(find_model(name).__module__) if module.endswith("version")]
