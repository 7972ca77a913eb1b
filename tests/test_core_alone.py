"""The wheel with the core alone, in an environment of its own: what works there, and what names the extra it needs."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from made import packaged_counts
from test_light_commands import NEED_AN_EXTRA

ROOT = Path(__file__).resolve().parent.parent
CI = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
STEPS = {step["name"]: step["run"] for step in CI["jobs"]["checks"]["steps"] if "run" in step}
RUN = "leaderboard/runs/open-dft/metal@random/quick/forest/0-0"
NOT_SHIPPED = ("model/weights.safetensors", "checkpoint.pt", "started.json")
PREDICTIONS = "runs/open-dft/metal@random/quick/mean/0-0/predictions.csv"


def step(name: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a step of ci.yml as a runner does, in the copy of this tree."""
    env = {**os.environ, "RUNNER_TEMP": str(home)}
    return call("bash", "-e", "-c", STEPS[name], cwd=home / "tree", env=env)


def call(*words: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, words)], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of this tree, in which a run lies with what must not be shipped, and what ci.yml builds."""
    home = tmp_path_factory.mktemp("built")
    skipped = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", ".hypothesis", ".nox", "dist", "build")
    shutil.copytree(ROOT, home / "tree", ignore=skipped, symlinks=True)
    (home / "tree" / ".venv").symlink_to(sys.prefix)
    for name in NOT_SHIPPED:
        (home / "tree" / RUN / name).parent.mkdir(exist_ok=True)
        (home / "tree" / RUN / name).write_text("of the person who ran it")
    done = step("build", home)
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (file,) = (built / "dist").glob("*.whl")
    return file


def wheel_names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


def test_the_wheel_holds_data_splits_stored_runs_and_templates(wheel: Path):
    names = wheel_names(wheel)
    tracked = {
        path.relative_to(ROOT).as_posix()
        for folder in ("leaderboard", "splits", "asugnn", "baselines")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not {"__pycache__", "model"} & {*path.parts} and path.name not in {".lock", *NOT_SHIPPED}
    }
    assert {
        "leaderboard/_data/open-dft/open_dft.parquet",
        "leaderboard/reports/paper/paper.toml",
        "leaderboard/site/layout.html",
        "leaderboard/site/site.css",
        "leaderboard/site/site.js",
        "splits/open-dft/random.csv",
        "splits/mp-2018/random.toml",
        f"{RUN}/predictions.csv",
        f"{RUN}/run.json",
    } <= tracked
    assert {name for name in names if ".dist-info/" not in name} == tracked


def test_the_sdist_builds_the_same_wheel(built: Path, wheel: Path, tmp_path: Path):
    (sdist,) = (built / "dist").glob("*.tar.gz")
    subprocess.run(["tar", "-xzf", sdist, "-C", tmp_path], check=True)  # tarfile has no safe way before Python 3.11.4
    (tree,) = tmp_path.iterdir()
    assert {"install", "constraints.txt", "noxfile.py", "tests", "docs", "LICENSE"} <= {p.name for p in tree.iterdir()}
    assert not [path for name in NOT_SHIPPED for path in tree.rglob(f"*/{name}")]
    done = call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist", cwd=tree)
    assert done.returncode == 0, done.stderr
    assert wheel_names(next((tmp_path / "dist").glob("*.whl"))) == wheel_names(wheel)


@pytest.fixture(scope="module")
def core(built: Path) -> Path:
    """The environment that ci.yml makes of the wheel; skipped where pip can install nothing at all."""
    done = step("core", built)
    pip = [built / "core/bin/python", "install", "-q", "--dry-run", "--ignore-installed", "--no-deps", "--no-cache-dir"]
    if done.returncode and call(sys.executable, "-m", "pip", "--python", *pip, "--retries", "0", "rich").returncode:
        pytest.skip("pip cannot reach an index of packages: the wheel was not tried with the core alone")
    assert done.returncode == 0, done.stderr
    return built / "core"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder, in which the commands are typed one after another."""
    return tmp_path_factory.mktemp("folder")


def bench(core: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BENCH_", "PYTHON"))}
    return call(core / "bin" / "bench", *words, cwd=folder, env={**kept, "BENCH_CACHE": str(folder / "cache")})


@pytest.mark.slow
def test_it_is_small(core: Path):
    assert sum(path.lstat().st_size for path in core.rglob("*")) < 350e6


@pytest.mark.slow
@pytest.mark.usefixtures("core")
def test_ci_scores_a_csv(built: Path):
    done = step("score", built)
    assert done.returncode == 0, done.stderr
    assert "metal" in done.stdout


@pytest.mark.slow
def test_score_needs_the_core_alone(core: Path, folder: Path):
    done = bench(core, folder, "run", "--model", "mean", "--task", "open-dft/metal,open-dft/zero-shot")
    assert done.returncode == 0, done.stderr
    scored = bench(core, folder, "score", PREDICTIONS, "--task", "open-dft/metal", "--json")
    assert scored.returncode == 0, scored.stderr
    assert json.loads(scored.stdout)["metrics"]["roc_auc"]["value"] == 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "printed"),
    [
        ("--help", "Compete"),
        (f"submit {PREDICTIONS} --task open-dft/metal --name mine", "mine on open-dft/metal"),
        ("leaderboard", "ROC-AUC"),
        ("leaderboard --task open-dft/metal --format json", '"mine"'),
        ("errors --task open-dft/metal", "mean"),
        ("verify", "match their files"),
        ("site --out pages", "pages/index.html"),
        ("export --task open-dft/metal --out competition --host", "solution.csv"),
        ("models", "forest: this needs the package sklearn: pip install 'asugnn-bench[models]'"),
        ("check mean", "keeps the contract"),
        ("data list", f"{packaged_counts()['rows']:,} rows, in the package"),
        ("paper table-2", "ASUGNN"),
    ],
)
def test_what_works_with_the_core_alone(words: str, printed: str, core: Path, folder: Path):
    done = bench(core, folder, *words.split())
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout
    expected = ("rows stored with the package", "mp_subset", "fe_gap22")
    assert all(any(word in line for word in expected) for line in done.stderr.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize(("words", "package", "extra"), [("check cgcnn", "torch", "models"), *NEED_AN_EXTRA])
def test_what_needs_an_extra_names_it(words: str, package: str, extra: str, core: Path, tmp_path: Path):
    done = bench(core, tmp_path, *words.split())
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: this needs the package {package}: pip install 'asugnn-bench[{extra}]'\n"


@pytest.mark.slow
def test_one_model_that_needs_an_extra_does_not_stop_the_others(core: Path, tmp_path: Path):
    done = bench(core, tmp_path, "run", "--task", "open-dft/metal", "--model", "mean,forest,asugnn")
    assert done.returncode == 1
    assert "failed: this needs the package sklearn: pip install 'asugnn-bench[models]'" in done.stderr
    assert "failed: this needs the package torch: pip install 'asugnn-bench[models]'" in done.stderr
    assert "2 of 3 runs failed" in done.stderr
    assert "mean" in done.stdout
    assert not list(tmp_path.rglob("error.txt"))


@pytest.mark.slow
def test_published_weights_are_not_downloaded_for_a_model_that_cannot_run(core: Path, tmp_path: Path):
    done = bench(core, tmp_path, "run", "--task", "open-dft/metal", "--model", "cgcnn", "--pretrained", "all")
    assert done.returncode == 1
    assert "failed: this needs the package torch: pip install 'asugnn-bench[models]'" in done.stderr
