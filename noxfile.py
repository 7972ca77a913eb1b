"""The project's checks: `nox` runs those that CI runs, `nox -l` lists all."""

import json
import os
import sys
import tempfile
from pathlib import Path

import nox

from asugnn.model_registry import list_models, model_frozen, model_presets

nox.options.sessions = ["lint", "types", "tests", "evaluate"]
# One environment holds everything (./install made it): a second one would cost 2 GB.
nox.options.default_venv_backend = "none"

HERE = Path(__file__).resolve().parent
TOOLS = Path(sys.executable).parent
# Other people's data, weights and boards, where they lie beside the checkout; the environment comes first.
SHARED = {f"BENCH_{name.upper()}": HERE.parent / "shared" / name for name in ("data", "weights", "boards")}
DEFAULTS = {name: str(folder) for name, folder in SHARED.items() if name not in os.environ and folder.is_dir()}


def run_tool(session: nox.Session, name: str, *words: str) -> None:
    """Run a program of this environment."""
    session.run(str(TOOLS / name), *words, env=DEFAULTS, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Format and style, by ruff; spelling, by typos."""
    run_tool(session, "ruff", "format", "--check", ".")
    run_tool(session, "ruff", "check", ".")
    run_tool(session, "typos")


@nox.session
def types(session: nox.Session) -> None:
    """Types, by mypy in strict mode."""
    run_tool(session, "mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite, offline; `nox -s tests -- -m slow` runs the long ones."""
    # In the order of collection: by default the files with the fewest tests, of which some take minutes, come last.
    run_tool(session, "pytest", "-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder", *session.posargs)


@nox.session
def evaluate(session: nox.Session) -> None:
    """Train and score all models on two small tasks; fails if one that learns is no better than the mean."""
    tasks = ("--task", "open-dft/bulk-modulus,open-dft/metal")
    with tempfile.TemporaryDirectory() as out:
        run_tool(session, "bench", "run", *tasks, "--out", out)
        board = [str(TOOLS / "bench"), "leaderboard", *tasks, "--runs", out, "--format", "json"]
        rows = json.loads(session.run(*board, external=True, silent=True, stderr=None) or "[]")
    names = {
        m.name for m in list_models() if m.model and "quick" in model_presets(m.model) and not model_frozen(m.model)
    }
    for task, metric, sign in (("open-dft/bulk-modulus", "mae", -1), ("open-dft/metal", "roc_auc", 1)):
        values = {row["model"]: sign * row["metrics"][metric]["value"] for row in rows if row["task"] == task}
        no_better = sorted(name for name in names - {"mean"} if values.get(name, -9.0) <= values["mean"])
        if no_better:
            session.error(f"{task}: no better than the mean: {', '.join(no_better)}")
    session.log(f"all {len(names) - 1} models that learn are better than the mean on both tasks")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Feed mutated files to all readers: `-- COUNT SEED [KIND ..]`; faults are kept in fuzz-faults."""
    run_tool(session, "python", "tests/fuzz_inputs.py", *session.posargs)


@nox.session
def propose(session: nox.Session) -> None:
    """Make the predictions of proposals, as a pull request does: `-- submissions/NAME`, or `-- --base COMMIT`."""
    run_tool(session, "python", "-m", "leaderboard.submissions.pull_request_prepare", *session.posargs)


@nox.session
def judge(session: nox.Session) -> None:
    """Score the predictions in a zip of the folder that `propose` made: `nox -s judge -- proposed.zip`."""
    run_tool(session, "python", "-m", "leaderboard.submissions.pull_request_score", *session.posargs)


@nox.session
def speed(session: nox.Session) -> None:
    """Ratios of speed against the packages beside the last ones, kept in benchmarks/results: `-- --threads 1 NAME`."""
    run_tool(session, "python", "benchmarks/speed.py", *session.posargs)


@nox.session
def merging(session: nox.Session) -> None:
    """Count what merging equivalent atoms gains, by crystal system; `nox -s docs` writes it into its page."""
    run_tool(session, "python", "benchmarks/merging.py")


@nox.session
def gpu(session: nox.Session) -> None:
    """Tests, losses and speed on a GPU, stored in benchmarks/results; needs BENCH_DATA; `-- --seconds 600`."""
    run_tool(session, "python", "benchmarks/gpu.py", *session.posargs)


@nox.session
def chaos(session: nox.Session) -> None:
    """Kill, stop, starve and damage runs, and count what comes of it: `-- KILLS NAME`; an hour."""
    run_tool(session, "python", "benchmarks/chaos.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Write the pages of docs that hold figures (some need BENCH_DATA), run the notebook, draw pictures."""
    run_tool(session, "python", "docs/write_baselines.py")
    run_tool(session, "python", "docs/write_results.py")
    run_tool(session, "python", "docs/write_ablation.py")
    run_tool(session, "python", "docs/run_notebook.py")
    run_tool(session, "python", "docs/write_reliability.py")
    run_tool(session, "python", "docs/draw_asugnn.py")
    run_tool(session, "python", "docs/draw_merging.py")
    run_tool(session, "python", "docs/write_speed.py")
    run_tool(session, "python", "docs/draw_architecture.py")


@nox.session(name="docs-site")
def docs_site(session: nox.Session) -> None:
    """Write the documentation as a site into docs-site; fails for any warning. `python -m http.server -d docs-site`."""
    session.env["NO_MKDOCS_2_WARNING"] = "1"  # not about these pages
    run_tool(session, "mkdocs", "build", "--strict", *session.posargs)


@nox.session
def boards(session: nox.Session) -> None:
    """Write docs/boards.md, the public boards scored again, which needs BENCH_BOARDS and BENCH_DATA."""
    run_tool(session, "python", "docs/write_boards.py")


@nox.session
def figures(session: nox.Session) -> None:
    """Draw the figure of the README from the stored runs."""
    source = ("--data", "open-dft", "--runs", "leaderboard/runs", "--out", "docs")
    run_tool(session, "bench", "paper", "figure-4", *source, "--format", "svg")


@nox.session
def screenshots(session: nox.Session) -> None:
    """Take docs/site.png, the picture of the site in the README; needs Chromium, and BENCH_DATA for all boards."""
    run_tool(session, "python", "docs/shoot_site.py")
