"""The pages that are written by programs say what the stored runs say today."""

import importlib.util
from pathlib import Path

from leaderboard.data.registry import PACKAGE
from leaderboard.reports.paper.figures import draw_figure

DOCS = Path(__file__).resolve().parent.parent / "docs"


def test_baselines_is_the_page_of_the_stored_runs(data: Path):
    spec = importlib.util.spec_from_file_location("baselines_page", DOCS / "write_baselines.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.page() == (DOCS / "baselines.md").read_text(encoding="utf-8")


def test_the_figure_of_the_readme_is_that_of_the_stored_runs(tmp_path: Path):
    """`nox -s figures` draws it; the same bytes with the packages of constraints.txt."""
    draw_figure("figure-4", "open-dft", "", (), PACKAGE / "runs", tmp_path, ["svg"])
    assert (tmp_path / "figure-4.svg").read_bytes() == (DOCS / "figure-4.svg").read_bytes()
