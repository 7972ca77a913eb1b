"""The notes below a board: which hold for which rows."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from made import record_fields

from leaderboard.board import MetricValue, load_ground_truth, rank_rows
from leaderboard.data import parse_task, suite_tasks
from leaderboard.data.registry import PACKAGE
from leaderboard.records import SUBMITTED
from leaderboard.records.predictions_csv import write_predictions
from leaderboard.records.run_folder import Run, write_record
from leaderboard.reports import format_interval, order_by_place, render_board
from leaderboard.reports.paper import FIGURES, TABLES
from leaderboard.reports.publication_table import draw_table
from leaderboard.site.pages import build_site

WARNING = "quick preset: trained for minutes; do not cite"
BULK, ZERO_SHOT = parse_task("open-dft/bulk-modulus"), parse_task("open-dft/zero-shot")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bulk moduli by the quick forest and two submissions; zero-shot energies by two submissions alone."""
    root = tmp_path_factory.mktemp("runs")
    forest = "open-dft/bulk-modulus@random/quick/forest"
    shutil.copytree(PACKAGE / "runs" / forest, root / forest)
    for task in (BULK, ZERO_SHOT):
        truth = load_ground_truth(task, 0)
        for i, name in enumerate(("theirs", "ours")):
            run = Run(task, SUBMITTED, name, 0, 0)
            file = run.folder(root) / "predictions.csv"
            write_predictions(file, truth.ids, task.target.name, truth.y + 0.1 * (i + 1))
            split = {"rule": task.rule, "version": 1, "sha256": truth.split_sha256}
            write_record(run.folder(root), record_fields(run, split=split, counts={"test": len(truth.ids)}))
    return root


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_a_board_of_submissions_alone_says_nothing_of_training(root: Path, form: str):
    for task, trained in ((BULK, True), (ZERO_SHOT, False)):
        rows, _ = rank_rows(root, [task], "quick")
        for detailed in (True, False):
            assert (WARNING in render_board(rows, [task], "quick", form, detailed)) == trained


def test_pages_of_submissions_say_nothing_of_training(root: Path, tmp_path: Path):
    build_site(root, tmp_path / "site")
    pages = {
        "index.html": True,
        "tasks/open-dft/bulk-modulus@random/quick.html": True,
        "tasks/open-dft/zero-shot@random/quick.html": False,
        "runs/open-dft/bulk-modulus@random/quick/forest/0-0/index.html": True,
        "runs/open-dft/bulk-modulus@random/submitted/ours/0-0/index.html": False,
    }
    for page, trained in pages.items():
        assert (WARNING in (tmp_path / "site" / page).read_text()) == trained, page


def test_captions_of_submissions_say_nothing_of_training(root: Path):
    for models, trained in (((), True), (("ours",), False)):
        table, _ = TABLES["table-2"]("open-dft", "quick", models, root)
        caption = json.loads(draw_table(table, "json"))["caption"]
        assert (WARNING in caption) == trained
        assert any(line.endswith("preset quick") for line in caption) == trained
    drawn = FIGURES["figure-5"]("open-dft", "quick", ("ours", "theirs"), root)
    assert WARNING not in drawn.caption
    assert not any(WARNING in text.get_text() for text in drawn.figure.texts)


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(0.1, 0.2, "0.100–0.200"), (-0.2, 0.1, "-0.200 to 0.100"), (-0.3, -0.2, "-0.300 to -0.200"), (None, None, "-")],
)
def test_an_interval_with_a_minus_is_not_read_as_a_range(low: float | None, high: float | None, text: str):
    assert format_interval(MetricValue(0.0, low, high)) == text


def test_pretrained_rows_come_last_and_a_model_with_more_tasks_first(root: Path):
    rows = [
        stub("best", "a/x"),
        stub("weights", "a/x", pretrained_on="everything"),
        stub("mine", "a/x"),
        stub("weights", "a/y", pretrained_on="everything"),
        stub("mine", "a/y"),
    ]
    tasks = [SimpleNamespace(name=name) for name in ("a/x", "a/y")]
    assert order_by_place(rows, tasks) == ["mine", "best", "weights"]  # type: ignore[arg-type]


def stub(title: str, task: str, pretrained_on: str | None = None) -> Any:
    return SimpleNamespace(title=title, task=task, pretrained_on=pretrained_on)


def test_no_number_of_a_table_is_cut_off_on_a_terminal_of_80_columns(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    for detailed in (False, True):
        tasks = suite_tasks("open-dft")
        rows, _ = rank_rows(PACKAGE / "runs", tasks, "quick")
        text = render_board(rows, tasks, "quick", "table", detailed)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
        assert max(len(line) for line in plain.splitlines() if line.startswith(" ")) <= 80
        assert "…" not in plain
        for row in rows:
            metric = next(iter(row.metrics.values()))
            assert metric.low is None or format_interval(metric) in plain
