"""The name of class 1: stored with a data set, and used wherever a class is named."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from made import run_here
from matplotlib.figure import Figure

from asugnn import InputError
from leaderboard.board import rank_rows
from leaderboard.data import PACKAGE, Source, list_sources, parse_task
from leaderboard.ingest import import_dataset, parse_target
from leaderboard.records import ColumnNames
from leaderboard.reports import render_datasets
from leaderboard.reports.panel_data import panel_data
from leaderboard.reports.paper.figures import figure_4
from leaderboard.reports.paper.panels import ModelPanel, draw_confusion, draw_roc
from leaderboard.running.plan import plan_runs
from leaderboard.site.pages import build_site
from leaderboard.submissions import export_competition


@pytest.fixture
def magnets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """Crystals of open-dft with a column `is_magnetic`."""
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    table = pl.read_parquet(PACKAGE / "_data/open-dft/open_dft.parquet").head(60)
    table.with_columns(is_magnetic=pl.int_range(60) % 2).write_parquet(tmp_path / "magnets.parquet")
    about = {"title": "toy", "licence": "MIT", "citation": "nobody"}
    return import_dataset(tmp_path / "magnets.parquet", "magnets", [parse_target("is_magnetic")], about, False)


def set_positive(source: Source, name: str | None) -> Source:
    """The data set after class 1 was named in its dataset.json; None takes the name out."""
    assert source.folder
    file = source.folder / "dataset.json"
    stored = json.loads(file.read_text(encoding="utf-8"))
    assert stored["targets"][0].pop("positive")
    if name is not None:
        stored["targets"][0]["positive"] = name
    file.write_text(json.dumps(stored), encoding="utf-8")
    return parse_task("magnets/is-magnetic").source


def test_every_binary_target_names_its_class_and_no_other_does():
    for source in list_sources():
        for target in source.targets:
            assert bool(target.positive) == (target.kind == "binary"), target.name
    assert parse_task("open-dft/metal").target.class_names == ("non-metal", "metal")


def test_it_is_stored_and_may_be_missing(magnets: Source):
    assert magnets.targets[0].class_names == ("not is magnetic", "is magnetic")
    assert set_positive(magnets, "magnetic").targets[0].class_names == ("not magnetic", "magnetic")
    stored = json.loads((magnets.folder / "dataset.json").read_text(encoding="utf-8"))
    assert stored["targets"][0]["positive"] == "magnetic"
    assert set_positive(magnets, None).targets[0].positive == "is magnetic"


def test_a_name_that_is_no_text_is_refused(magnets: Source):
    with pytest.raises(InputError, match=r"dataset\.json cannot be read as a data set: .*positive"):
        set_positive(magnets, ["magnetic"])


def test_lists_pages_and_figures_use_it(magnets: Source, tmp_path: Path):
    set_positive(magnets, "ferro<i>magnetic")
    assert "class 1 = ferro<i>magnetic" in render_datasets()
    task = parse_task("magnets/is-magnetic")
    export_competition(task, 0, tmp_path / "page", False, ColumnNames("id", "is-magnetic"), "")
    (page,) = (tmp_path / "page").rglob("*.md")
    assert "the probability of class 1: ferro<i>magnetic" in page.read_text(encoding="utf-8")

    run_here(plan_runs([task], ["mean"], "quick", [0], [0], {}), tmp_path / "runs")
    build_site(tmp_path / "runs", tmp_path / "site")
    texts = {file: file.read_text(encoding="utf-8") for file in (tmp_path / "site").rglob("*.html")}
    tables = [text for text in texts.values() if 'class="confusion"' in text]
    assert len(tables) == 2  # the page of the task, that of the run
    for text in tables:
        assert "predicted not ferro&lt;i&gt;magnetic" in text
        assert "<i>magnetic" not in text
    assert any("probability of ferro&lt;i&gt;magnetic" in text for text in tables)

    (row,) = rank_rows(tmp_path / "runs", [task], "quick")[0]
    y, p = np.array([0.0, 1, 1, 0]), np.array([0.2, 0.9, 0.4, 0.6])
    (data,) = panel_data([(y, p)])
    panel = ModelPanel(row, data, ("Fe",) * 4, "labelled", "", False, task.target.class_names)
    roc, confusion = Figure().subplots(1, 2)
    draw_roc(roc, panel, "a")
    draw_confusion(confusion, panel)
    assert "(ferro<i>magnetic is positive)" in roc.get_xlabel()
    assert [t.get_text() for t in confusion.get_xticklabels()] == ["not ferro<i>magnetic", "ferro<i>magnetic"]


def test_figure_4_names_the_classes_of_its_target():
    axes = figure_4("open-dft", "", ("cgcnn",), PACKAGE / "runs").figure.axes
    assert any(axis.get_xlabel().endswith("(metal is positive)") for axis in axes)
    assert [[t.get_text() for t in axis.get_xticklabels()] for axis in axes if axis.images] == [["non-metal", "metal"]]
