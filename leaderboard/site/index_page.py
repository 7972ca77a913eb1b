"""What the first page shows: every board, models by tasks, with the costs beside the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from leaderboard.board import MetricValue, Row
from leaderboard.records import UNPRESET
from leaderboard.reports import board_notes, order_by_place, preset_warning
from leaderboard.scoring import Metric
from leaderboard.site.formatting import html_interval, html_number, metric_unit
from leaderboard.site.svg_figures import COSTS, cost_figure, interval_bar, interval_span
from leaderboard.site.view_model import SiteBoard, SiteData, page_of_run, page_of_task

BAR = 112  # width of an interval bar


@dataclass(frozen=True)
class BoardCell:
    """A metric of a row, as a table shows it."""

    value: str  # for sorting
    shown: str
    interval: str
    bar: Markup
    best: bool  # whether it is printed bold: not significantly worse than the best
    page: str  # of the row's first run


def index_values(stored: SiteData) -> dict[str, Any]:
    """For the template."""
    shown = [_board(stored, board) for board in stored.boards]
    menu: dict[str, list[str]] = {}  # tasks by the data set and split that they are of
    for board in stored.boards:
        known = menu.setdefault(board.title, [])
        known += [task.name for task in board.tasks if task.name not in known]
    return {
        "boards": shown,
        "menu": menu,
        "presets": sorted({row.preset for board in stored.boards for row in board.rows}),
        "keys": [interval_bar(MetricValue(0.4, 0.0, 1.0), (0.0, 1.0), best, 44) for best in (True, False)],
        "absent": stored.absent,
    }


def board_cell(
    stored: SiteData, row: Row, metric: Metric, best: bool, within: tuple[float, float] | None, width: int
) -> BoardCell:
    """One metric of a row; its interval is drawn on the scale `within`, unless that is None."""
    value = row.metrics[metric.name]
    shown = html_number(value.value)
    if row.spread:
        shown += f" ± {html_number(row.spread[metric.name])}"
    return BoardCell(
        value="" if value.value is None else f"{value.value:.6g}",
        shown=shown,
        interval=html_interval(value),
        bar=interval_bar(value, within, best, width) if within else Markup(),
        best=best,
        page=page_of_run(stored.runs(row)[0].run),
    )


def page_notes(rows: Sequence[Row], preset: str, detailed: bool) -> tuple[str, list[str]]:
    """The warning of a preset, and what else the terminal says below the same table."""
    said = board_notes(rows, preset, "html", detailed)
    if apart := sorted({r.title for r in rows if r.rank is None and not r.pretrained_on}):
        said.append(f"{', '.join(apart)}: without a rank where folds or seeds are others than those of the rest")
    warning = preset_warning(rows, preset)
    return warning, said[1:] if warning else said


def _board(stored: SiteData, board: SiteBoard) -> dict[str, Any]:
    columns: list[Mapping[str, Any]] = []
    cells: dict[tuple[str, str], BoardCell] = {}
    for task in board.tasks:
        rows, metric = board.of(task), task.target.metrics[0]
        within = interval_span([row.metrics[metric.name] for row in rows])
        cells |= {(row.title, task.name): board_cell(stored, row, metric, row.rank == 1, within, BAR) for row in rows}
        columns.append({
            "task": task,
            "metric": metric,
            "unit": metric_unit(task, metric),
            "page": page_of_task(task, board.preset),
            "costs": [(cost, cost_figure(rows, metric, cost)) for cost in COSTS],
        })  # fmt: skip
    lines = []
    for title in order_by_place(board.rows, board.tasks):
        mine = [row for row in board.rows if row.title == title]
        lines.append({
            "model": mine[0].model,
            "preset": mine[0].preset,
            "tagged": mine[0].preset in UNPRESET,
            "cells": [cells.get((title, task.name)) for task in board.tasks],
            "seconds": [_sum([row.seconds_train for row in mine]), _sum([row.seconds_predict for row in mine])],
        })  # fmt: skip
    warning, said = page_notes(board.rows, board.preset, detailed=False)
    starred = any(row.pretrained_on for row in board.rows)
    return {"title": board.title, "preset": board.preset, "columns": columns, "lines": lines, "warning": warning,
            "notes": said, "starred": starred}  # fmt: skip


def _sum(seconds: Sequence[float | None]) -> float | None:
    known = [s for s in seconds if s is not None]
    return round(sum(known), 3) if known else None
