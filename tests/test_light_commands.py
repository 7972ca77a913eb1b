"""What only reads imports nothing heavy: it runs where heavy packages cannot be imported at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from read_imports import list_modules
from test_house import LIGHT

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ["torch", "torch_geometric", "safetensors", "sklearn", "matgl", "alignn", "jarvis"]
HEAVY += ["scipy", "pandas", "pymatgen", "matplotlib", "ase", "spglib", "moyopy"]

COMMANDS = {
    "--help": "leaderboard",
    "models": "forest",
    "data list": "open-dft",
    "score {predictions} --task open-dft/band-gap": "MAE",
    "leaderboard": "forest",
    "verify": "runs and logs",
    "site --out site": "index.html",
    "export --task open-dft/metal --out competition --host": "solution",
    "paper table-1 --data open-dft": "ASUGNN",
    "paper table-2 --data open-dft": "MAE",
    "run --model mean --task open-dft/metal --out runs": "mean",
}
NOT_COMPARED = ("models", "run")  # the first says what is missing, the second shows seconds
FAST = ("--help", "models", "data list")  # the first, before anything else has been imported
NEED_AN_EXTRA = [
    ("predict x.cif --pretrained M3GNet-MP-2018.6.1-Eform", "torch", "models"),
    ("embed x.cif --out x.npz", "moyopy", "models"),
    ("errors --task open-dft/metal --by space-group", "moyopy", "audit"),
    ("paper figure-4 --data open-dft", "matplotlib", "figures"),
    ("data audit open-dft", "pymatgen", "audit"),
    ("data import x.cif --target gap:eV", "pymatgen", "audit"),
    ("data fetch hm", "pymatgen", "audit"),
    ("data build mp-2024-1", "pymatgen", "audit"),
]
PROGRAM = """
import contextlib, importlib.abc, io, json, sys

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)

sys.meta_path.insert(0, Refuse())
from leaderboard.cli import main
outcomes = {{}}
for command in {commands}:
    sys.argv = ["bench", *command.split()]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            status = main()
        except SystemExit as error:
            status = error.code
    outcomes[command] = status, out.getvalue(), err.getvalue(), "polars" in sys.modules
print(json.dumps(outcomes))
"""


def bench_without(
    blocked: Iterable[str], commands: Iterable[str], folder: Path
) -> dict[str, tuple[int, str, str, bool]]:
    """Exit status, output, errors and whether polars is loaded after each command, all in one process."""
    program = PROGRAM.format(blocked=list(blocked), commands=list(commands))
    env = {name: value for name, value in os.environ.items() if name != "BENCH_DATA"}  # the package alone
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=folder, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    outcomes: dict[str, tuple[int, str, str, bool]] = json.loads(done.stdout)
    return outcomes


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory):
    (predictions,) = (ROOT / "leaderboard/runs/open-dft").glob("band-gap@*/quick/forest/0-0/predictions.csv")
    commands = {command.format(predictions=predictions): command for command in COMMANDS}
    blocked = bench_without(HEAVY, commands, tmp_path_factory.mktemp("blocked"))
    compared = [command for command in commands if not command.startswith(NOT_COMPARED)]
    free = bench_without((), compared, tmp_path_factory.mktemp("free"))
    return {commands[command]: (blocked[command], free.get(command)) for command in commands}


@pytest.mark.parametrize("command", COMMANDS)
def test_light_commands_need_no_heavy_package(outcomes, command: str):
    (status, out, err, polars), free = outcomes[command]
    assert status == 0, err
    assert COMMANDS[command] in out
    if command == "models":
        assert "torch: pip install 'asugnn-bench[models]'" in out
    assert (free is None) == command.startswith(NOT_COMPARED)
    assert free is None or [status, out, err] == free[:3]
    assert not (polars and command in FAST)


def test_what_needs_an_extra_names_it(tmp_path: Path):
    """As in an environment that lacks it, in which test_core_alone.py types the same commands."""
    outcomes = bench_without(HEAVY, [words for words, *_ in NEED_AN_EXTRA], tmp_path)
    for words, package, extra in NEED_AN_EXTRA:
        sentence = f"Error: this needs the package {package}: pip install 'asugnn-bench[{extra}]'\n"
        assert outcomes[words][:3] == [1, "", sentence], words


def test_what_is_blocked_cannot_be_imported(tmp_path: Path):
    """So that the test above can fail, although all these packages are installed."""
    program = PROGRAM.format(blocked=HEAVY, commands=[]) + "\nimport scipy"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'scipy'\n")


def test_light_modules_import_nothing_heavy(tmp_path: Path):
    """All of `leaderboard`, and the modules of the library that it may import."""
    alone = "leaderboard.submissions.kaggle_metric"  # a file that Kaggle runs by itself, with pandas
    names = [name for name in list_modules(ROOT, ["leaderboard"]) if name != alone and not name.endswith("__main__")]
    lines = PROGRAM.format(blocked=HEAVY, commands=[]).splitlines()
    program = "\n".join(
        [*lines, "import importlib", f"for m in {sorted({*names, *LIGHT})}: importlib.import_module(m)"]
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
