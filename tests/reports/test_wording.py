"""The notes below a board: which hold for which rows."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from made import record_fields

from asugnn.model_registry import ModelEntry
from leaderboard.board import MetricValue, load_ground_truth, rank_rows
from leaderboard.data import parse_task, suite_tasks
from leaderboard.data.registry import PACKAGE
from leaderboard.records import SUBMITTED
from leaderboard.records.predictions_csv import write_predictions
from leaderboard.records.run_folder import Run
from leaderboard.records.write_run import write_record
from leaderboard.reports import format_interval, order_by_place, render_board
from leaderboard.reports.entry import render_entry
from leaderboard.reports.paper import FIGURES, TABLES
from leaderboard.reports.publication_table import draw_table
from leaderboard.reports.terminal import render_models
from leaderboard.reports.wording import comparison_notes
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
            metric = row.ranking_value
            assert metric.low is None or format_interval(metric) in plain


def lines_of(rows: list, task: Any, form: str = "markdown") -> list[str]:
    return render_board(rows, [task], "quick", form, True).splitlines()


def test_a_star_marks_the_best_only_where_others_are_worse(root: Path):
    """It is seen in a pipe too. Where no two models differ there is none, and the board says so."""
    rows, _ = rank_rows(root, [BULK], "quick")
    assert {row.rank for row in rows} > {1}
    for form in ("table", "markdown"):
        drawn = lines_of(rows, BULK, form)
        starred = [line for line in drawn if re.search(r"\d ★", line)]
        assert len(starred) == sum(row.rank == 1 for row in rows)
        assert any("★: the best, or not significantly worse than the best" in line for line in drawn)
        tied = [replace(row, rank=1, rank_high=len(rows)) for row in rows]
        drawn = lines_of(tied, BULK, form)
        assert not any("★" in line for line in drawn)
        said = f"{BULK.name}: no two models can be told apart on these {rows[0].n} test crystals"
        assert any(line.endswith(said) for line in drawn)
        alone = lines_of([replace(rows[0], rank=1, rank_high=1)], BULK, form)
        assert not any("★" in line or "told apart" in line for line in alone)


def test_a_board_says_whether_its_ranks_contain_the_noise_of_training(root: Path):
    rows, _ = rank_rows(root, [BULK], "quick")
    over = "95 % confidence interval over test formulas"
    assert {(row.training, row.noise) for row in rows} == {("once", over), ("seeds", f"{over} and training seeds")}
    once = "they do not contain the noise of training, and another seed can change the order"
    for training, words in (("once", once), ("seeds", "contain the noise of training"), ("folds", "and over folds")):
        text = "\n".join(lines_of([replace(row, training=training) for row in rows], BULK))
        assert words in text
        assert (once in text) == (training == "once")
    assert render_board(rows, [BULK], "quick", "csv", True).splitlines()[0].endswith(",training,label")


def test_one_training_is_said_of_the_tasks_where_it_is_so(root: Path):
    rows, _ = rank_rows(root, [BULK], "quick")
    gap = [replace(row, task="open-dft/band-gap", training="once") for row in rows]
    mine = [replace(row, training="seeds") for row in rows]
    notes = comparison_notes([*gap, *mine])
    titles = sorted(row.title for row in rows if row.rank)
    assert f"one training run: {', '.join(f'{t} (band-gap)' for t in titles)}; no interval" in "\n".join(notes)
    once = replace(mine[0], training="once")
    assert f"one training run: {once.title}; no interval" in "\n".join(comparison_notes([once, *mine[1:]]))


def test_few_groups_are_told_and_no_interval_is_promised(root: Path):
    """A board of several tasks is not detailed, and says so too."""
    rows, _ = rank_rows(root, [BULK], "quick")
    none = {"mae": MetricValue(0.1, None, None, "fewer than 30 groups of test crystals have no interval")}
    few = [replace(row, groups=1, metrics=none, rank=1, rank_high=len(rows)) for row in rows]
    text = render_board(few, [BULK, ZERO_SHOT], "quick", "markdown", False)
    assert f"{BULK.name}: fewer than 30 groups of test crystals have no interval" in text
    assert f"{BULK.name}: models are not compared, because the test crystals are of fewer than 6 groups" in text
    for said in ("told apart", "95 % confidence interval", "intervals are approximate"):
        assert said not in text
        assert said in render_board(rows, [BULK, ZERO_SHOT], "quick", "markdown", False) or said == "told apart"


def test_metrics_without_an_interval_say_why(root: Path):
    rows, _ = rank_rows(root, [BULK], "quick")
    assert f"- RMSE, R2: {rows[0].metrics['r2'].reason}" in lines_of(rows, BULK)
    assert rows[0].metrics["r2"].reason.startswith("no interval")
    assert rows[0].metrics["mae"].reason == ""


def test_a_board_of_several_tasks_shows_r2_of_zero_shot(root: Path):
    rows, _ = rank_rows(PACKAGE / "runs", [ZERO_SHOT], "quick")
    drawn = render_board(rows, [ZERO_SHOT], "quick", "markdown", False)
    worst = next(row for row in rows if row.model == "mean")
    assert worst.metrics["r2"].value < 0
    assert f"), R2 {worst.metrics['r2'].value:.3f} |" in drawn


def test_seconds_say_what_they_are_of(root: Path):
    rows, _ = rank_rows(root, [BULK], "quick")
    summed = "train: seconds of one training run, mean over a model's runs, summed over the tasks"
    assert summed in render_board(rows, [BULK], "quick", "table", False)
    assert "train, predict: seconds of one run" in render_board(rows, [BULK], "quick", "table", True)


EVIL = "[bold]x[/] $\\foo$ \x1b[31m"


def test_units_and_weights_of_strangers_are_harmless():
    task = replace(BULK, target=replace(BULK.target, unit=EVIL))
    value = {"value": 1.0, "low": None, "high": None}
    scored = {"metrics": {"mae": value}, "name": "a", "outcome": "first", "before": None, "tries": 1, "hints": []}
    assert "\x1b" not in render_entry(scored, task)
    assert "[bold]x[/]" in render_entry(scored, task)

    class Model:
        """A model."""

        weights: ClassVar = {EVIL: SimpleNamespace(target=EVIL, trained_on=EVIL)}

    for model in (Model, None):
        entry = ModelEntry("m", "x:M", EVIL, model, "broken" if model is None else "")
        drawn = render_models([entry])
        assert "\x1b" not in drawn
        assert "[bold]x[/]" in " ".join(drawn.split())
