"""A target that is ranked by another metric than its kind's usual one is shown, sorted and marked by that one."""

import re
from pathlib import Path

import numpy as np
import pytest
from made import record_fields

from asugnn import Crystal
from leaderboard.board import load_ground_truth, rank_rows
from leaderboard.data import parse_task
from leaderboard.ingest.write import NewDataset, write_dataset
from leaderboard.records.predictions_csv import write_predictions
from leaderboard.records.run_folder import Run
from leaderboard.records.write_run import write_record
from leaderboard.reports import render_board
from leaderboard.site.pages import build_site
from leaderboard.site.svg_figures import cost_figure

CLOSE, FAR = "close-in-ratio", "close-in-difference"  # the better by RMSLE, and the better by MAE


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two models on a data set called nomad2018, two folds each: labels near 0, and labels near 100."""
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    rows = {
        f"c{i:03}": (
            Crystal((4 + 0.05 * i) * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [3 + i % 50, 53 + i % 30]),
            {"formation_energy": 0.01 * i if i % 2 else 100 + 0.01 * i, "band_gap": 1.0},
        )
        for i in range(200)
    }
    targets = [{"name": "formation-energy", "column": "formation_energy", "unit": "eV/cation", "kind": "regression"}]
    about = {"title": "toy", "licence": "MIT", "citation": "nobody"}
    write_dataset(NewDataset("nomad2018", rows, ["formation_energy", "band_gap"], targets, about, "bench data fetch"))
    task = parse_task("nomad2018/formation-energy")
    for fold in (0, 1):
        truth = load_ground_truth(task, fold)
        high = truth.y > 50
        jitter = 1 + 0.1 * np.random.default_rng(fold).random(len(truth.y))
        for name, error in ((CLOSE, 5 * high * jitter), (FAR, ~high * jitter)):
            run = Run(task, "quick", name, fold, 0)
            write_predictions(run.folder(tmp_path / "runs") / "predictions.csv", truth.ids, task.target.name,
                              truth.y + error)  # fmt: skip
            fields = record_fields(
                run,
                split={"rule": task.rule, "version": 1, "sha256": truth.split_sha256},
                counts={"train": 1},
                seconds={"train": 1.0 + len(name), "predict": 0.1},
            )
            write_record(run.folder(tmp_path / "runs"), fields)
    return tmp_path / "runs"


def table(page: str) -> tuple[list[str], dict[str, list[tuple[str, bool]]]]:
    """Of the first table the headings of its metrics, and by model its cells: their text, and whether they are bold."""
    head, _, body = page.partition("</thead>")
    heads = re.findall(r"<th [^>]*class=\"num\"[^>]*>(.*?)</th>", head)
    rows = {}
    for row in body.partition("</tbody>")[0].split("<tr")[1:]:
        name = next(n for n in (CLOSE, FAR) if f">{n}<" in re.sub(r"<a [^>]*>", ">", row))
        cells = re.findall(r"<td([^>]*)>(.*?)</td>", row)
        rows[name] = [
            (re.sub(r"<[^>]*>", "", text), bool(re.search(r'class="[^"]*\bbest', attributes)))
            for attributes, text in cells
        ]
    return heads, rows


def test_the_site_shows_and_prints_bold_the_metric_that_ranks(root: Path, tmp_path: Path):
    task = parse_task("nomad2018/formation-energy")
    best, other = rank_rows(root, [task], "quick")[0]
    assert (best.model, best.rank, other.rank) == (CLOSE, 1, 2)
    assert best.metrics["mae"].value > other.metrics["mae"].value
    build_site(root, tmp_path / "site")
    value = f"{best.metrics['rmsle'].value:.3f}"
    heads, rows = table((tmp_path / "site/index.html").read_text())
    assert "RMSLE" in heads[0]
    assert "MAE" not in heads[0]
    assert "eV" not in heads[0]  # a logarithm of ratios has no unit
    assert rows[CLOSE][0][0].startswith(value)
    assert rows[CLOSE][0][1]
    assert not rows[FAR][0][1]

    page = (tmp_path / "site/tasks/nomad2018/formation-energy@random/quick.html").read_text()
    heads, rows = table(page)
    assert [re.sub(r"<.*?>", " ", h).split()[0] for h in heads[:4]] == ["RMSLE", "MAE", "RMSE", "R2"]
    assert [bold for _, bold in rows[CLOSE][1:5]] == [True, False, False, False]  # MAE was not compared
    assert [bold for _, bold in rows[FAR][1:5]] == [False] * 4
    assert f'<span class="score">RMSLE {value} </span>' in page

    page = (tmp_path / f"site/runs/nomad2018/formation-energy@random/quick/{CLOSE}/1-0/index.html").read_text()
    assert re.findall(r"<div><dt>(.*?)</dt>", page)[:4] == ["RMSLE", "MAE", "RMSE", "R2"]


def test_the_cost_figure_is_of_the_metric_that_ranks(root: Path):
    task = parse_task("nomad2018/formation-energy")
    rows, _ = rank_rows(root, [task], "quick")
    for cost in ("train", "predict"):
        figure = cost_figure(rows, task.target.metrics[0], cost)
        assert "MAE" not in figure
        assert f"{CLOSE}: RMSLE {rows[0].metrics['rmsle'].value:.3f} (" in figure


def test_the_terminal_marks_the_metric_that_ranks(root: Path):
    task = parse_task("nomad2018/formation-energy")
    rows, _ = rank_rows(root, [task], "quick")
    lines = render_board(rows, [task], "quick", "markdown", detailed=True).splitlines()
    (line,) = [line for line in lines if line.startswith("|") and CLOSE in line]
    assert [" ★ " in cell for cell in line.split("|")[3:7]] == [True, False, False, False]
