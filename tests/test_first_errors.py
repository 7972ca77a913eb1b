"""The first mistakes of somebody new: each is told in a sentence that says what is wrong, and what to do.

`tests/cli/test_cli.py` has more slips on the command line, `tests/records/test_predictions_csv.py` all that can be
wrong in a file of predictions, `tests/cli/test_unwritable_folders.py` folders that cannot be written.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from asugnn import InputError, download
from asugnn.model_registry import find_model
from leaderboard._util import check_predictions
from leaderboard.cli.app import _run_command
from leaderboard.data import PACKAGE, parse_task
from leaderboard.records import ColumnNames
from leaderboard.submissions import export_competition

WIDTH = 80
FOREST = PACKAGE / "runs" / "open-dft" / "{}@random" / "quick" / "forest" / "0-0" / "predictions.csv"

MODELS = """
class TwoSides:
    def fit(self, train, val): pass
    def predict(self, crystals): pass
    save = load = fit
class NoPredict:
    def fit(self, train, val, context): pass
    save = load = fit
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the mistakes are about."""
    home = tmp_path_factory.mktemp("first")
    gap, metal = (Path(str(FOREST).format(name)).read_text().splitlines() for name in ("band-gap", "metal"))
    (_, *gap_rows), (_, *metal_rows) = gap, metal
    cells = [row.split(",") for row in metal_rows]
    files = {
        "gap.csv": gap,
        "wrong-column.csv": ["id,gap", *gap_rows],
        "no-header.csv": gap_rows,
        "capitals.csv": ["ID,Band-Gap", *gap_rows],
        "index.csv": ["," + gap[0], *(f"{i},{row}" for i, row in enumerate(gap_rows))],
        "missing.csv": gap[:-3],
        "extra.csv": [*gap, "my-crystal,1.0"],
        "twice.csv": [*gap, gap[5]],
        "numbered.csv": [gap[0], *(f"{i},{row.split(',')[1]}" for i, row in enumerate(gap_rows))],
        "bulk.csv": ["id,bulk-modulus", *gap_rows],
        "renamed.csv": ["material_id,prediction", *gap_rows],
        "renamed-index.csv": [",material_id,prediction", *(f"{i},{row}" for i, row in enumerate(gap_rows))],
        "series.csv": [",band-gap", *gap_rows],
        "three.csv": ["crystal,gap,error", *(f"{row},0.1" for row in gap_rows)],
        "backwards.csv": ["prediction,material_id", *(",".join(row.split(",")[::-1]) for row in gap_rows)],
        "exchanged.csv": [gap[0], *(",".join(row.split(",")[::-1]) for row in gap_rows)],
        "header.csv": [gap[0]],
        "gap.json": ["{", ' "rocksalt-NaCl:3.8383": 5.09', "}"],
        "words.csv": [*gap[:-2], gap[-2].split(",")[0] + ",n/a", gap[-1].split(",")[0] + ",1.9 eV"],
        "nan.csv": [gap[0], *(f"{row.split(',')[0]},nan" for row in gap_rows)],
        "blank.csv": [*gap[:-1], gap[-1].split(",")[0] + ","],
        "semicolons.csv": [line.replace(",", ";").replace(".", ",") for line in gap],
        "empty.csv": [],
        "percent.csv": [metal[0], *(f"{name},{100 * float(value)}" for name, value in cells)],
        "my_model.py": [MODELS],
        "slip.py": ["class A:", "    def fit(self:"],
        "needs.py": ["import xgboostt", "class A: pass"],
        "bare.cif": ["data_x"],
        "notes.pdf": ["%PDF-1.4"],
    }
    for name, lines in files.items():
        (home / name).write_text("".join(line + "\n" for line in lines))
    (home / "book.xlsx").write_bytes(b"PK\x03\x04" + bytes(100))
    (home / "no-cifs").mkdir()
    export_competition(parse_task("open-dft/metal"), 0, home / "held", True, ColumnNames("id", "metal"), "")
    export_competition(parse_task("open-dft/metal"), 1, home / "shown", False, ColumnNames("id", "metal"), "")
    return home


def files_in(folder: Path) -> list[Path]:
    """Files and folders in a folder, but for the interpreter's own of compiled modules."""
    return sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)


@pytest.fixture
def newcomer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That folder as the working folder, on a screen of 80 columns and without data; nothing may be left in it."""
    for name in ("BENCH_DATA", "BENCH_SOLUTION", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.chdir(folder)
    before = files_in(folder)
    yield folder
    assert files_in(folder) == before


def typed(words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """What a command ends with and says on standard error, each sentence in one line again."""
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    with pytest.raises(SystemExit) as end:
        _run_command()
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    assert "[Errno" not in said.err
    wide = [line for line in said.err.splitlines() if len(line) > WIDTH]
    assert all(len(line.split()) == 1 for line in wide), wide  # a path or an address is not broken
    assert said.out == ""
    return int(end.value.code or 0), " ".join(said.err.split())


TASK = "--task open-dft/band-gap"
# What is typed, the exit status, what is wrong, and what to do.
MISTAKES = [
    # words in the wrong place
    ("run bandgap", 1, "there is no suite 'bandgap'", "for a task write --task open-dft/band-gap"),
    ("leaderboard gap", 1, "there is no suite 'gap'", "for a task write --task open-dft/band-gap"),
    ("run cgcnn", 1, "there is no suite 'cgcnn': it is a model", "`bench run --model cgcnn` trains it"),
    ("leaderboard cgcnn", 1, "there is no suite 'cgcnn': it is a model", "boards show all models"),
    (f"run --model mean, forest {TASK}", 1, "'forest' is read as a suite", "write the list without spaces"),
    (f"run --model mean --seed 0 1 {TASK}", 1, "'1' is read as a suite", "write the list without spaces"),
    (f"leaderboard open_dft {TASK}", 1, "'open_dft' is read as a suite, and --task takes the place", "leave it out"),
    ("run --task open-dft", 1, "'open-dft' is a suite, not a task", "one of them is open-dft/formation-energy"),
    ("leaderboard --preset fast", 1, "there is no preset 'fast'", "there is: hours, paper, quick"),
    ("run --model my_model.py", 1, "'my_model.py' is a file", "write my_model.py:CLASS"),
    ("check my_model.py::NoPredict", 1, "my_model.py:NoPredict", "it lacks predict"),
    ("run crystals", 1, "there is no suite 'crystals'", "name the folder of data sets with --data-dir or BENCH_DATA"),
    ("run --task bandgap", 1, "there is no task 'bandgap': write DATASET/TARGET", "did you mean 'open-dft/band-gap'?"),
    ("run --task voltage", 1, "there is no task 'voltage': write DATASET/TARGET", "`bench data list` lists them"),
    ("submit gap.csv --task open-dft/gap", 1, "there is no task 'open-dft/gap'", "did you mean 'open-dft/band-gap'?"),
    ("run --task OPEN-DFT/metal", 1, "data set 'OPEN-DFT' is not known here", "did you mean 'open-dft'?"),
    (f"run {TASK}@formla", 1, "data set open-dft has no split 'formla'", "there is: element, high-energy, prototype"),
    ("run --model CGCNN", 1, "there is no model 'CGCNN'", "did you mean 'cgcnn'?"),
    (["run", "--model", "mean forest"], 1, "there is no model 'mean forest'", "separate models by commas"),
    ("run --model my_model.TwoSides", 1, "there is no model 'my_model.TwoSides'", "write my_model.py:TwoSides"),
    ("run --preset fast", 1, "no model has a preset 'fast'", "there is: hours, paper, quick"),
    ("run --model mean --fold 7", 1, "there is no fold 7", "open-dft@random has folds 0 to 4"),
    ("run --model mean --set epochs=3", 1, "not 'epochs=3'", "MODEL.FIELD=VALUE, such as mean.epochs=3"),
    ("run --model forest --set cgcn.epochs=3", 1, "model 'cgcn' is not among those to run", "there is: forest"),
    ("export --task open-dft/metal --out new --metric auc", 1, "--metric cannot be 'auc'", "did you mean 'roc_auc'?"),
    ("run --set cgcnn.epochs=5 --set cgcnn.epochs=6", 1, "cgcnn.epochs is set twice", "leave one of the two out"),
    # what is given in vain, or not at all
    (["run", "--model", "mean", "--task", ""], 2, "--task names no task", "`bench data list` lists them"),
    ("leaderboard --task=", 2, "--task names no task", "`bench data list` lists them"),
    (["run", "--model", ""], 2, "--model names no model", "`bench models` lists them"),
    (["submit", "gap.csv", *TASK.split(), "--name", ""], 2, "--name is empty", "give it a value, or leave --name out"),
    (f"export {TASK} --out new --model forest", 2, "--model is for --to, the entry for a public board", "leave --m"),
    (f"export {TASK} --out new --preset hours", 2, "--preset is for --to", "add --to, or leave --preset out"),
    (f"export {TASK} --out new --runs no-cifs", 2, "--runs is for --to", "add --to, or leave --runs out"),
    ("export --to matbench --out new --metric mae", 2, "--metric is for a competition", "leave one of them out"),
    ("export --task a,b --out new", 2, "a competition has one task", "name one; several go with --to"),
    (f"export {TASK} --out new --host --deadline 2020-01-01T00:00Z", 1, "00Z is in the past", "write a later date"),
    # folders that are taken
    (f"export {TASK} --out held", 1, "'held' holds the competition of open-dft/metal:", "another folder with --out"),
    (f"export {TASK} --out shown", 1, "'shown' holds the competition of open-dft/metal:", "another folder with --out"),
    ("export --task open-dft/metal --fold 1 --out held", 1, "open-dft/metal, fold 0", "another folder with --out"),
    (f"export {TASK} --out gap.csv", 1, "'gap.csv' is a file", "name a folder with --out"),
    ("site --out gap.csv", 1, "'gap.csv' is a file", "name a folder with --out"),
    (f"submit gap.csv {TASK} --runs gap.csv", 1, "'gap.csv' is a file", "name a folder with --runs"),
    # options and commands of other programs
    ("train", 2, "No such command 'train'", "Did you mean 'run'?"),
    ("get hm", 2, "No such command 'get'", "Did you mean 'data fetch'?"),
    ("fetch hm", 2, "No such command 'fetch'", "Did you mean 'data fetch'?"),
    ("data train", 2, "No such command 'train'", "There is: list"),
    ("models --gpu", 2, "No such option: --gpu", "bench models --help"),
    ("data get hm", 2, "No such command 'get'", "Did you mean 'fetch'?"),
    ("data remove", 2, "No such command 'remove'", "There is: list, build, fetch, audit, import"),
    ("--helpp", 2, "No such option: --helpp", "Did you mean '--help'?"),
    ("run --epochs 5", 2, "No such option: --epochs", "Did you mean '--set MODEL.epochs=NUMBER'?"),
    ("run --device gpu", 2, "'gpu' is not one of", "Did you mean 'cuda'?"),
    ("leaderboard --metric mae", 2, "No such option: --metric.", "Try 'bench leaderboard --help'"),
    ("run --seed abc", 2, "--seed takes whole numbers separated by commas, not 'abc'", "Try 'bench run --help'"),
    ("run --ranks 0", 2, "'--ranks': '0' should be greater than or equal to 1", "Try 'bench run --help'"),
    ("score gap.csv x.csv --task open-dft/metal", 2, "Unexpected extra argument: x.csv", "Try 'bench score --help'"),
    # data that are not there
    ("run mp-2018 --model mean", 1, "mp-2018 is not in the package", "name the folder of mp_subset.parquet"),
    ("leaderboard mp-2018", 1, "no run of preset 'quick' can be shown", "rows of other presets: --preset hours"),
    ("score gap.csv --task mp-2018/band-gap", 1, "mp-2018 is not in the package", "with --data-dir or BENCH_DATA"),
    ("run paper --model mean", 1, "mp-2024-1 is not available yet", "get it with `bench data build mp-2024-1`"),
    ("data fetch mp-2018", 1, "mp-2018 cannot be fetched", "name the folder of mp_subset.parquet"),
    ("data fetch mp-2024-1", 1, "mp-2024-1 cannot be fetched", "get it with `bench data build mp-2024-1`"),
    ("data fetch open-dft", 1, "data set open-dft is there", "nothing has to be fetched"),
    ("data fetch matbench", 1, "'matbench' is a suite of several data sets", "fetch one at a time, such as matbench_"),
    ("data fetch mp2018", 1, "there is no data set 'mp2018' to fetch", "did you mean 'mp-2018'?"),
    ("data fetch jdft2d", 1, "there is no data set 'jdft2d' to fetch", "did you mean 'matbench_jdft2d'?"),
    ("data import no-cifs --target gap:eV", 1, "no-cifs has 0 CSV files", "one must hold the labels"),
    ("leaderboard --runs no-cifs", 1, "no run of preset 'quick' can be shown", "`bench run` makes some"),
    ("errors --task open-dft/metal --runs no-cifs", 1, "no runs for open-dft/metal", "`bench run` makes some"),
    ("leaderboard --overall --runs no-cifs", 1, "an overall ranking needs", "at least two tasks"),
    # predictions
    (f"score wrong-column.csv {TASK}", 1, "the header is 'id,gap'", "name them with --columns id,gap"),
    (f"score renamed.csv {TASK}", 1, "the header is 'material_id,prediction'", "--columns material_id,prediction"),
    (f"score backwards.csv {TASK}", 1, "the header is 'prediction,material_id'", "--columns material_id,prediction"),
    (f"score renamed.csv {TASK} --columns id,prediction", 1, "'id,prediction'", "--columns material_id,prediction"),
    (f"score three.csv {TASK}", 1, "the header is 'crystal,gap,error'", "write two columns, 'id' and 'band-gap'"),
    (f"score bulk.csv {TASK}", 1, "like a file of open-dft/bulk-modulus", "mean --task open-dft/bulk-modulus?"),
    (f"score exchanged.csv {TASK}", 1, "scored: the ids are in the second column", "exchange the columns"),
    (f"score renamed.csv {TASK} --columns prediction,material_id", 1, "the ids are in the first column, 'material_id'",
     "exchange the names of the columns or write --columns material_id,prediction"),
    (f"score capitals.csv {TASK}", 1, "'ID' should be 'id'", "rename the columns"),
    (f"score no-header.csv {TASK}", 1, "the header is missing", "the first line must be 'id,band-gap'"),
    (f"score index.csv {TASK}", 1, "the first column has no name", "with pandas write to_csv(index=False)"),
    (f"score renamed-index.csv {TASK}", 1, "the first column has no name", "with pandas write to_csv(index=False)"),
    (f"score series.csv {TASK}", 1, "the first column has no name", "with pandas write to_csv(index_label='id')"),
    (f"score missing.csv {TASK}", 1, "has no row", f"`bench export {TASK} --out DIR` writes a file with a row"),
    (f"score extra.csv {TASK}", 1, "line 82: id 'my-crystal' is not in this task", "`bench export --task"),
    (f"score numbered.csv {TASK}", 1, "and 75 more unknown ids", "`bench export --task"),
    (f"score gap.csv {TASK} --fold 3", 1, "and 75 more unknown ids", "of fold 0: write --fold 0 instead of --fold 3"),
    ("score shown/participants/sample_submission.csv --task open-dft/metal", 1, "unknown ids", "1: add --fold 1"),
    (f"score twice.csv {TASK}", 1, "again, first on line 6", "leave one row for each id"),
    (f"score nan.csv {TASK}", 1, "'nan' is not a finite number", "every test crystal needs a finite number"),
    (f"submit blank.csv {TASK}", 1, "line 81: the value is empty", "every test crystal needs a finite number"),
    (f"score semicolons.csv {TASK}", 1, "separated by semicolons", "separate them by commas, and write decimal points"),
    (f"submit empty.csv {TASK}", 1, "it is empty", "the first line must be 'id,band-gap'"),
    (f"score header.csv {TASK}", 1, "it has a header and no rows", "writes a file with a row for each test crystal"),
    (f"score gap.json {TASK}", 1, "this looks like JSON, not CSV", "write it as CSV"),
    (f"score words.csv {TASK}", 1, "81: '1.9 eV' is not a number", "write a number, without a unit"),
    (f"score book.xlsx {TASK}", 1, "it is a workbook or a zip archive", "save it as 'CSV UTF-8'"),
    ("submit percent.csv --task open-dft/metal", 1, "is not a probability", "predict the probability of class 1"),
    (f"submit gap.csv {TASK} --name my/model", 1, "'my/model' cannot be a name", "use up to 60 letters, digits"),
    # crystals
    ("predict notes.pdf", 1, "notes.pdf has no known file ending", "crystals are read from CIF (.cif, .mcif), POSCAR"),
    ("predict no-cifs", 1, "no-cifs is a folder", "name the files in it"),
    ("predict no-cifs/*.cif", 1, "there is no file no-cifs/*.cif", ""),
    ("predict bare.cif", 1, "bare.cif: it lists no atoms", "by _atom_site_label"),
    ("predict bare.cif --run runs/0-0", 1, "there is no folder 'runs/0-0'", "--run names that of a finished run"),
    ("run --pretrained cgcnn", 1, "there are no published weights 'cgcnn'", "it is a model, and those for it are"),
    ("run --pretrained chgnet-svr", 1, "no published weights 'chgnet-svr'", "it is a model, and it has none"),
    ("run --pretrained CHGNet-0.3.0 --model cgcnn", 1, "'CHGNet-0.3.0' are weights of chgnet-pot", "leave --model out"),
    ("run --pretrained no --model mean", 1, "there are no published weights 'no'", "--model mean takes none"),
    ("run --model CHGNet-0.3.0", 1, "it names published weights", "`bench run --pretrained CHGNet-0.3.0`"),
    ("predict bare.cif --model cgcnn", 2, "--model belongs to --run or --pretrained", "leave --model out"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "status", "what", "remedy"), MISTAKES, ids=[str(mistake[0]) for mistake in MISTAKES])
@pytest.mark.usefixtures("newcomer")
def test_a_mistake_is_told_with_what_to_do(
    words: str | list[str],
    status: int,
    what: str,
    remedy: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    ended, said = typed(words.split() if isinstance(words, str) else words, capsys, monkeypatch)
    assert ended == status
    assert what in said
    assert remedy in said


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("my_model.py:TwoSides", "its fit must take (self, train, val, context)"),
        ("my_model.py:NoPredict", "it lacks predict; a model has the methods fit, predict, save and load"),
        ("slip.py:A", "slip.py cannot be loaded: SyntaxError: '(' was never closed (slip.py, line 2)"),
        ("needs.py:A", "No module named 'xgboostt'; install it into this environment, or correct its name"),
    ],
)
@pytest.mark.usefixtures("newcomer")
def test_a_file_that_holds_no_model_is_told_what_one_is(model: str, sentence: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with pytest.raises(InputError, match=re.escape(sentence)):
        find_model(model)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.zeros(2), "it predicted an array of shape (2,): predict must return an array of 3 numbers, one for each"),
        (np.zeros((3, 1)), "it predicted an array of shape (3, 1): predict must return an array of 3 numbers, one for"),
        ({"a": 0.5}, "it predicted a dict: predict must return an array of 3 numbers, one for each crystal, such as"),
        (
            [0.5] * 3,
            "it predicted a list: predict must return an array of 3 numbers, one for each crystal, such as",
        ),
        (["0.5"] * 3, "it predicted a list: predict must return an array of 3 numbers"),
        (np.array(["0.5"] * 3), "it predicted an array of <U3: predict must return an array of 3 numbers"),
        (None, "it predicted None: predict must return an array of 3 numbers, one for each crystal; does it end with"),
        (
            np.full(3, 1.5),
            "it predicted 1.5 for 3 crystals, the first of them 'a': each prediction must be a prob",
        ),
        (np.full(3, np.nan), "it predicted nan for 3 crystals, the first of them 'a': each prediction must be a "),
    ],
)
def test_predictions_of_another_form_are_told_the_right_one(values: object, sentence: str):
    with pytest.raises(InputError, match=re.escape(sentence)):
        check_predictions(["a", "b", "c"], values, is_probability=True)  # type: ignore[arg-type]


@pytest.mark.usefixtures("newcomer")
def test_without_a_network_one_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(download, "PAUSE", 0.001)
    monkeypatch.setattr(download, "_silent_servers", set())
    monkeypatch.setattr(urllib.request, "_opener", None)  # made anew, it reads the proxy
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    status, said = typed(["data", "fetch", "nomad2018", "--data-dir", str(tmp_path)], capsys, monkeypatch)
    assert status == 1
    assert "cannot be downloaded: Connection refused" in said
    assert "is there a network? A proxy is named by https_proxy; try again later" in said
    assert [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith(".")] == []


@pytest.mark.parametrize("words", [f"submit gap.csv {TASK}", f"export {TASK}"])
def test_a_full_disk_is_told_and_nothing_is_half_written(
    words: str, newcomer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    option = "--runs" if words.startswith("submit") else "--out"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # bytes of a file
    try:
        status, said = typed([*words.split(), option, str(tmp_path)], capsys, monkeypatch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status == 1
    assert "the disk is full: " in said
    assert "make room, and repeat the command" in said
    assert not list(tmp_path.rglob("*.csv"))


def test_python_that_is_too_old_is_told_before_anything_is_installed(tmp_path: Path):
    shutil.copy(PACKAGE.parent / "install", tmp_path)
    env = {**os.environ, "PYTHON": "false"}  # a program that refuses the question, as Python 3.10 does
    done = subprocess.run(["sh", "install"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "install: false is not Python 3.11 to 3.13; name one: PYTHON=python3.12 ./install\n"
    assert [path.name for path in tmp_path.iterdir()] == ["install"]
