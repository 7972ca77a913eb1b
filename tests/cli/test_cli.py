"""The command line as a user meets it: exit status, streams, sentences."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Typed
from made import packaged_counts, truth_of

from leaderboard.board.ground_truth import load_ground_truth
from leaderboard.data.tasks import parse_task
from leaderboard.records.predictions_csv import write_predictions
from leaderboard.records.run_folder import list_runs
from leaderboard.running.plan import plan_runs
from leaderboard.running.runner import attempt_job


def bench(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    plain = {k: v for k, v in os.environ.items() if k != "BENCH_DATA"}
    command = [sys.executable, "-W", "error", "-m", "leaderboard.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**plain, **env}, check=False)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with an empty folder and an empty file, and without other data."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "a.csv").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_DATA", raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the mean was run."""
    home = tmp_path_factory.mktemp("home")
    run = bench("run", "--model", "mean,forest", cwd=home)
    assert run.returncode == 0, run.stderr
    assert "mean on open-dft/zero-shot" in run.stderr
    assert "do not cite" in run.stdout
    return home


def test_no_words_shows_the_verbs(tmp_path: Path):
    shown = bench("--help", cwd=tmp_path).stdout
    assert all(verb in shown for verb in ("run", "score", "leaderboard", "models", "check", "data"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("run --model cgnn", "there is no model 'cgnn'; did you mean 'cgcnn'?"),
        ("run --model no.py:Model", "there is no file no.py"),
        ("run --task open-dft/gap", "there is no task 'open-dft/gap'; did you mean 'open-dft/band-gap'?"),
        ("run open-dtf", "there is no suite 'open-dtf'; did you mean 'open-dft'?"),
        ("run ablatoin", "there is no suite 'ablatoin'; did you mean 'ablation'?"),
        ("run --model mean --preset papre", "model 'mean' has no preset 'papre'; did you mean 'paper'?"),
        ("run --model forest --set forest.tree=3", "model 'forest' has no field 'tree'; did you mean 'trees'?"),
        ("run --model forest --set forest.trees=many", "forest.trees must be a whole number, not 'many'"),
        ("run --model cgcnn --set cgcnn.epochs=0", "cgcnn.epochs must be above 0, not 0"),
        ("run --model asugnn --set asugnn.heads=3", "asugnn.heads must divide asugnn.width (64), not be 3"),
        ("run --model forest --set trees=3", "MODEL.FIELD=VALUE, such as forest.trees=3, not 'trees=3'"),
        ("run --model forest --set cgcnn.epochs=3", "model 'cgcnn' is not among those to run"),
        ("run --model mean --fold 5", "there is no fold 5"),
        ("run mp-2018 --model mean", "mp-2018 is not in the package: name the folder of mp_subset.parquet"),
        ("run mp-2018 --model mean --data-dir .", "nor in '.'"),
        ("score none.csv --task open-dft/metal", "there is no such file"),
        ("leaderboard --runs none", "there is no folder 'none'"),
        ("verify --runs runs", "there are no runs in 'runs': `bench run` makes some, or name another folder"),
        ("run --model my.py", "there is no model 'my.py'; for a class in a file write my.py:CLASS"),
        ("run --model my:Net", "there is no model 'my:Net'; for a class in a file write my.py:Net"),
        ("predict a.csv --target ,", "--target ',' names no property"),
        ("run --model all,mean", "--model all stands for all models: leave the other names out"),
        ("run --model ,", "--model names no model: `bench models` lists them"),
        ("run --model mean --task ,", "--task ',' names no task: `bench data list` lists them"),
        ("run mp-2018 --data-dir a.csv", "'a.csv' is a file: --data-dir or BENCH_DATA names a folder of data sets"),
        ("run --model mean --runs a.csv", "a.csv' is a file: name a folder with --runs"),
        ("embed a.csv --out x.npz", "a.csv"),
        ("score runs --task open-dft/metal", "it is a folder, not a file"),
        ("score a.csv --task open-dft/metal", "it is empty: the first line must be 'id,metal'"),
        ("data import a.csv --target gap:eV", "a.csv cannot be imported: give a Parquet table"),
        (
            "run --model mean --task metal",
            "there is no task 'metal': write DATASET/TARGET; did you mean 'open-dft/metal'?",
        ),
        ("run open-dft/metal", "'open-dft/metal' is a task, not a suite: write --task open-dft/metal"),
        ("check cgnn", "there is no model 'cgnn'; did you mean 'cgcnn'?"),
    ],
)
def test_a_fault_of_the_input_is_one_sentence_and_status_1(words: str, sentence: str, typed: Typed, here: Path):
    status, out, err = typed(*words.split())
    assert status == 1
    assert sentence in err.replace("\n", " ")
    assert "Traceback" not in err
    assert out == ""
    assert not any((here / "runs").iterdir())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("run --model mean --fold x", "--fold takes whole numbers separated by commas, not 'x'"),
        ("run --model mean --seed -1", "--seed takes whole numbers from 0, not '-1'"),
        ("run --model mean --device tpu", "'tpu' is not one of 'auto', 'cpu', 'cuda'"),
        ("run --model mean --jobs 0", "--jobs takes auto or a whole number from 1, not '0'"),
        ("run --pretrained all --set cgcnn.epochs=3", "leave one of them out"),
        ("leaderboard --format yaml", "'yaml' is not one of 'table', 'markdown', 'csv', 'json'"),
        ("errors --task open-dft/metal --by colour", "'colour' is not one of"),
        ("paper figure-6", "'figure-6' is not one of"),
        ("paper figure-4 --format latex", "--format of figure-4 is one of svg, png, not 'latex'"),
        ("predict x.cif --run r --pretrained w", "choose one: --run FOLDER of a stored run, or --pretrained NAME"),
        (
            "score x.csv --task open-dft/metal --columns id,side",
            "--columns cannot take 'side': a file of a competition has such a column",
        ),
        (
            "submit a/s.csv b/s.csv --task open-dft/metal",
            "a/s.csv and b/s.csv would both be named 's': enter each alone, with --name",
        ),
        ("score x.csv --task open-dft/metal --columns a", "--columns takes two names, ID,TARGET, not 'a'"),
        ("score", "Missing argument"),
        ("paper", "Missing argument 'item'. Choose from: table-1, table-2, zero-shot,"),
        ("score x.csv --task open-dft/metal --fold x", "Invalid value for '--fold': 'x' "),
        ("score x.csv --task open-dft/metal --fold -1", "Invalid value for '--fold': '-1' "),
        ("score x.csv y.csv --task open-dft/metal", "Unexpected extra argument: y.csv"),
        ("score x.csv --task", "Option '--task' requires an argument.\nTry 'bench score --help'."),
        ("data import x --target", "Option '--target' requires an argument.\nTry 'bench data import --help'."),
        ("submit a.csv b.csv --task open-dft/metal --name me", "Error: --name takes one file"),
        ("rnu", "No such command 'rnu'. Did you mean 'run'?"),
        ("data lst", "No such command 'lst'. Did you mean 'list'?"),
        ("run --modle mean", "No such option: --modle. Did you mean '--model'?"),
        ("leaderboard --format jsn", "'jsn' is not one of 'table', 'markdown', 'csv', 'json'. Did you mean 'json'?"),
    ],
)
@pytest.mark.usefixtures("here")
def test_wrong_usage_is_a_sentence_and_status_2(words: str, sentence: str, typed: Typed):
    status, out, err = typed(*words.split())
    assert (status, out) == (2, "")
    assert err.startswith("Error: ")
    assert sentence in err
    assert re.fullmatch(r"Error: [^\n]*[.?]\nTry 'bench[a-z ]* --help'\.\n", err)
    assert "Value error" not in err


@pytest.mark.parametrize(("words", "status"), [("score none.csv --task open-dft/metal", 1), ("score", 2)])
def test_a_process_ends_with_the_same_sentence_and_status(words: str, status: int, typed: Typed, here: Path):
    result = bench(*words.split(), cwd=here)
    assert result.returncode == status
    assert (result.returncode, result.stdout, result.stderr) == typed(*words.split())


@pytest.mark.parametrize("place", [0, 5])
def test_a_traceback_is_shown_when_it_is_asked_for(place: int, tmp_path: Path):
    words = ["score", "none.csv", "--task", "open-dft/metal", "--json"]
    result = bench(*words[:place], "--debug", *words[place:], cwd=tmp_path)
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].strip() == "there is no such file"


def test_models_are_listed_with_presets(tmp_path: Path):
    shown = bench("models", cwd=tmp_path).stdout
    assert all(name in shown for name in ("mean", "forest", "cgcnn", "megnet", "m3gnet", "alignn", "asugnn", "quick"))
    assert "cannot be loaded" not in shown


def test_data_sets_are_listed_with_what_to_do(tmp_path: Path):
    shown = bench("data", "list", cwd=tmp_path).stdout
    assert f"{packaged_counts()['rows']:,} rows, in the package" in shown
    assert "33,032 rows, not available: name the folder of mp_subset.parquet with --data-dir or BENCH_DATA" in shown


def test_score_prints_one_object_and_nothing_else(done: Path):
    file = done / "runs/open-dft/metal@random/quick/forest/0-0/predictions.csv"
    result = bench("score", str(file), "--task", "open-dft/metal", "--json", cwd=done)
    scored = json.loads(result.stdout)
    assert (scored["task"], scored["n"]) == ("open-dft/metal", len(truth_of("open-dft/metal").ids))
    assert set(scored["metrics"]["roc_auc"]) == {"value", "low", "high", "reason"}
    assert result.stderr == ""
    table = bench("score", str(file), "--task", "open-dft/metal", cwd=done).stdout
    assert f"{scored['metrics']['roc_auc']['value']:.3f}" in table


def test_scoring_changes_nothing_and_lists_all_faults(done: Path, tmp_path: Path):
    held = load_ground_truth(parse_task("open-dft/metal"), 0)
    file = tmp_path / "mine.csv"
    write_predictions(file, held.ids, "metal", held.y)
    file.write_text(file.read_text().replace(",1.0\n", ",1.5\n", 1).replace(held.ids[3], "unknown"))
    before = sorted(tmp_path.rglob("*"))
    result = bench("score", str(file), "--task", "open-dft/metal", cwd=tmp_path)
    assert result.returncode == 1
    assert all(word in result.stderr for word in ("1.5", "unknown", held.ids[3]))
    assert sorted(tmp_path.rglob("*")) == before


def test_the_board_shows_runs_of_this_folder(done: Path):
    rows = json.loads(bench("leaderboard", "--format", "json", cwd=done).stdout)
    assert {(r["model"], r["task"]) for r in rows} >= {("mean", "open-dft/zero-shot"), ("forest", "open-dft/metal")}
    shown = bench("leaderboard", "--task", "open-dft/bulk-modulus", cwd=done).stdout
    assert "clamped-ion" in shown
    assert "RMSE" in shown


def test_a_second_run_keeps_all(done: Path):
    again = bench("run", "--model", "mean", cwd=done)
    assert again.stderr.count("finished before") == 5
    assert len(list_runs(done / "runs")[0]) == 10


def test_a_broken_model_is_told_and_the_rest_is_done(tmp_path: Path):
    (tmp_path / "bad.py").write_text("class Bad:\n    def fit(self, *a): raise ValueError('odd')\n"
                                     "    predict = save = load = fit\n")  # fmt: skip
    result = bench("run", "--task", "open-dft/metal", "--model", "bad.py:Bad,mean", cwd=tmp_path)
    assert result.returncode == 1
    assert "failed: ValueError: odd; the traceback is in" in result.stderr
    assert "1 of 2 runs failed" in result.stderr
    assert "Traceback" not in result.stderr
    assert "mean" in result.stdout


MODELS = """
import numpy as np
from dataclasses import dataclass

class Base:
    def fit(self, train, val, context): pass
    def predict(self, crystals): return np.full(len(crystals), 0.5)
    def save(self, folder): pass
    @classmethod
    def load(cls, folder): return cls()
class List(Base):
    def predict(self, crystals): return [0.5] * len(crystals)
class Texts(Base):
    def predict(self, crystals): return np.array(["much"] * len(crystals))
class Nothing(Base):
    def predict(self, crystals): pass
class Masked(Base):
    def predict(self, crystals): return np.ma.masked_all(len(crystals))
class Nan(Base):
    def predict(self, crystals): return np.full(len(crystals), np.nan)
class Column(Base):
    def predict(self, crystals): return np.full((len(crystals), 1), 0.5)
class Needs(Base):
    def __init__(self, width): pass
number = 3
"""


def test_odd_predictions_are_told_in_a_sentence(tmp_path: Path):
    (tmp_path / "my.py").write_text(MODELS)
    ids = truth_of("open-dft/metal").ids
    n = len(ids)
    sentences = {
        "List": f"it predicted a list: predict must return an array of {n} numbers, one for each crystal, such as",
        "Texts": f"it predicted an array of <U4: predict must return an array of {n} numbers",
        "Nothing": f"it predicted None: predict must return an array of {n} numbers",
        "Masked": f"it predicted a MaskedArray: predict must return an array of {n} numbers",
        "Nan": f"it predicted nan for {n} crystals, the first of them '{ids[0]}'",
        "Column": f"it predicted an array of shape ({n}, 1): predict must return an array of {n} numbers",
    }
    models = [f"{tmp_path / 'my.py'}:{name}" for name in sentences]
    jobs = plan_runs([parse_task("open-dft/metal")], models, "quick", [0], [0], {})
    for job, said in zip(jobs, sentences.values(), strict=True):
        job.run.folder(tmp_path / "runs").mkdir(parents=True)
        outcome, note = attempt_job(job, tmp_path / "runs")
        assert (outcome, note[: len(said)]) == ("failed", said)
    result = bench("run", "--task", "open-dft/metal", "--model", "my.py:List,my.py:Needs", cwd=tmp_path)
    assert result.returncode == 1
    assert f"failed: {sentences['List']}" in result.stderr
    needed = "'my.py:Needs' cannot be made: Needs.__init__() missing 1 required positional argument: 'width'"
    assert needed in result.stderr
    assert "raceback" not in result.stderr
    for name, said in (
        ("Nope", "my.py has no 'Nope'; there is: Base, Column, List, Masked, Nan, Needs, Nothing, Texts"),
        ("number", "my.py:number is no model: it is not a class"),
    ):
        result = bench("run", "--task", "open-dft/metal", "--model", f"my.py:{name}", cwd=tmp_path)
        assert (result.returncode, said in result.stderr) == (1, True), result.stderr


POSCAR = """{title}
1.0
{lattice}
Na Cl
1 1
Direct
0 0 0
{second}
"""
SALT = "0 2.82 2.82\n2.82 0 2.82\n2.82 2.82 0"
CIF = """data_salt
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Na1 {element} 0 0 0 {occupancy}
Cl1 Cl 0.5 0.5 0.5 1
"""


def predicted(done: Path, name: str, text: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    (tmp_path / name).write_text(text)
    run = done / "runs/open-dft/formation-energy@random/quick/forest/0-0"
    return bench("predict", name, "--run", str(run), cwd=tmp_path)


def test_crystals_from_files_are_predicted(done: Path, tmp_path: Path):
    result = predicted(done, "salt.vasp", POSCAR.format(title="salt", lattice=SALT, second="0.5 0.5 0.5"), tmp_path)
    assert result.returncode == 0, result.stderr
    header, (name, value) = (line.split(",") for line in result.stdout.splitlines())
    assert (header, name) == (["id", "formation-energy"], "salt")
    assert -2.5 < float(value) < -1.0  # NaCl in PBE: -1.85 eV/atom


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("x.vasp", POSCAR.format(title="x", lattice=SALT, second="0 0 0"), "coincide"),
        ("x.vasp", POSCAR.format(title="x", lattice=SALT, second="nan 0 0"), "it must be a position, three numbers"),
        ("x.vasp", POSCAR.format(title="x", lattice="1 0 0\n2 0 0\n0 0 3", second="0.5 0.5 0.5"), "no volume"),
        ("x.cif", CIF.format(element="Na", occupancy="0.5"), "0.5"),
        ("x.cif", CIF.format(element="Qq", occupancy="1"), "Qq"),
        ("x.cif", "nothing", "x.cif"),
        ("x.txt", "", "x.txt"),
    ],
)
def test_a_crystal_that_is_none_is_told_in_a_sentence(name: str, text: str, sentence: str, done: Path, tmp_path: Path):
    result = predicted(done, name, text, tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert sentence in result.stderr
    assert name in result.stderr
    assert "Traceback" not in result.stderr


def test_one_unreadable_file_among_many_is_told_and_the_rest_predicted(done: Path, tmp_path: Path):
    """Files of one name, as every VASP calculation has, get the name of their folder."""
    good, bad = (POSCAR.format(title="x", lattice=SALT, second=second) for second in ("0.5 0.5 0.5", "0 0 0"))
    for folder, text in (("a", good), ("b", good), ("c", bad)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "POSCAR").write_text(text)
    files = [f"{folder}/POSCAR" for folder in ("a", "b", "c")]
    run = str(done / "runs/open-dft/formation-energy@random/quick/forest/0-0")
    result = bench("predict", *files, "gone.cif", "--run", run, cwd=tmp_path)
    names, (_, *values) = zip(*(line.split(",") for line in result.stdout.splitlines()), strict=True)
    assert names == ("id", "a/POSCAR", "b/POSCAR")
    assert all(len(value.lstrip("-0.").replace(".", "")) <= 7 for value in values), "no digits beyond float32"
    assert result.returncode == 1
    assert "skipped: c/POSCAR: " in result.stderr
    assert "skipped: there is no file gone.cif" in result.stderr
    assert "Error: 2 of 4 files or crystals were skipped: see above" in result.stderr
    again = bench("predict", "a/POSCAR", "a/POSCAR", "--run", run, cwd=tmp_path)
    assert (again.returncode, again.stdout) == (1, "")
    assert "is named twice" in again.stderr


def test_predicting_needs_a_run(tmp_path: Path):
    (tmp_path / "x.vasp").write_text(POSCAR.format(title="x", lattice=SALT, second="0.5 0.5 0.5"))
    result = bench("predict", "x.vasp", "--run", "runs", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(
        "Error: there is no folder 'runs': --run names that of a finished run, such as runs/"
    )


def test_embed_writes_what_asugnn_sees(tmp_path: Path):
    import numpy as np
    from ase import Atoms
    from ase.build import bulk
    from ase.io import write

    from asugnn.embedding import embed_crystal
    from asugnn.structure_files import read_crystals

    write(tmp_path / "cs.cif", bulk("Cs", "bcc", a=6.2569))
    write(tmp_path / "nacl.cif", bulk("NaCl", "rocksalt", a=5.64))
    one = bench("embed", "cs.cif", "--out", "cs.npz", cwd=tmp_path)
    assert one.returncode == 0, one.stderr
    with np.load(tmp_path / "cs.npz") as file:
        shapes = {name: file[name].shape for name in file}
        assert shapes == {"nodes": (2, 106), "asuam": (2, 2), "dam": (2, 2), "orbits": (2,), "pxrd": (140,)}
        assert np.array_equal(file["nodes"], embed_crystal(read_crystals(tmp_path / "cs.cif")["cs"]).nodes)
        assert file["dam"][0, 1] == pytest.approx(6.2569 * 0.75**0.5, abs=1e-4)
    both = bench("embed", "cs.cif", "nacl.cif", "--out", "both.npz", cwd=tmp_path)
    assert "2 crystals in both.npz" in both.stdout
    with np.load(tmp_path / "both.npz") as file:
        assert sorted(file)[:5] == ["cs/asuam", "cs/dam", "cs/nodes", "cs/orbits", "cs/pxrd"]
        assert file["nacl/nodes"].shape == (8, 106)
    write(tmp_path / "no.cif", Atoms("Md", cell=[4, 4, 4], pbc=True))
    bad = bench("embed", "cs.cif", "no.cif", "--out", "bad.npz", cwd=tmp_path)
    assert bad.returncode == 1
    assert "skipped: 'no': " in bad.stderr
    with np.load(tmp_path / "bad.npz") as file:
        assert sorted(file) == ["cs/asuam", "cs/dam", "cs/nodes", "cs/orbits", "cs/pxrd"]
    none = bench("embed", "no.cif", "--out", "none.npz", cwd=tmp_path)
    assert (none.returncode, (tmp_path / "none.npz").exists()) == (1, False)


def test_a_table_of_the_paper_is_printed_and_written(done: Path):
    printed = bench("paper", "table-2", "--data", "open-dft", cwd=done)
    assert printed.returncode == 0, printed.stderr
    assert "0.031 ± 0.004" in printed.stdout
    assert "open-dft/{formation-energy,bulk-modulus,band-gap,metal}@random/quick/forest/0-0" in printed.stdout
    written = bench("paper", "table-2", "--data", "open-dft", "--out", "made", cwd=done)
    files = written.stdout.split()
    assert sorted(files) == [f"made/table-2.{end}" for end in ("json", "md", "tex", "txt")]
    assert (done / "made" / "table-2.txt").read_text() == printed.stdout
    assert (done / "made" / "table-2.tex").read_text().startswith(r"\begin{table*}")


@pytest.mark.slow
def test_a_figure_of_the_paper_is_written_and_its_caption_printed(done: Path):
    words = ("--data", "open-dft", "--model", "forest", "--out", "made")
    drawn = bench("paper", "figure-4", *words, cwd=done)
    assert drawn.returncode == 0, drawn.stderr
    caption, *files = drawn.stdout.splitlines()
    n = len(truth_of("open-dft/formation-energy").ids)
    assert caption.startswith(f"forest on open-dft/formation-energy (fold-seed 0-0; n = {n})")
    assert files == ["made/figure-4.svg", "made/figure-4.png"]
    assert (done / "made" / "figure-4.png").read_bytes().startswith(b"\x89PNG")
