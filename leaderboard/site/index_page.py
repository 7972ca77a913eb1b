"""The first page: every board, models by tasks, with scores and costs, each model with its best settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from leaderboard._util import safe_name
from leaderboard.board import Row, overview
from leaderboard.records import UNPRESET
from leaderboard.reports import (
    best_models,
    board_notes,
    format_mean_rank,
    format_task_rank,
    has_diverged,
    interval_note,
    mark_best,
    order_by_place,
    overview_notes,
    preset_warning,
    scope_prefix,
    shorten_tasks,
    shows_r2,
)
from leaderboard.scoring import Metric
from leaderboard.site.formatting import html_interval, html_number, metric_unit
from leaderboard.site.models_page import card_of_row
from leaderboard.site.provenance import provenance_values
from leaderboard.site.svg_figures import COSTS, cost_figure, interval_bar, interval_span, row_keys
from leaderboard.site.view_model import SiteBoard, SiteData, address, anchor_of_row, page_of_run, page_of_task

BAR = 112  # width of an interval bar
UNRANKED = "○"
UNRANKED_NOTE = f"{UNRANKED}: not ranked, and so neither better nor worse than other rows"


@dataclass(frozen=True)
class BoardCell:
    """A metric of a row, as a table shows it."""

    value: str  # for sorting
    text: str  # the value, with its spread
    interval: str
    bar: Markup
    best: bool  # whether it is marked: not significantly worse than the best, while others are
    page: str  # of the row's first run
    also: str = ""  # another metric, in words


def index_values(stored: SiteData) -> dict[str, Any]:
    """The values of index.html."""
    menu: dict[str, list[str]] = {}  # tasks by data set and split
    boards = [replace(board, rows=board.best) for board in stored.boards]
    for board in boards:
        listed = menu.setdefault(board.title, [])
        listed += [task.name for task in board.tasks if task.name not in listed]
    return {
        "boards": [_board_values(stored, board) for board in boards],
        "menu": menu,
        "presets": sorted({row.preset for board in boards for row in board.rows}),
        "keys": row_keys(),
        "provenance": provenance_values(stored.shown_runs),
        "absent": stored.absent,
        "notes": stored.notes,
    }


def board_cell(
    stored: SiteData, row: Row, metric: Metric, best: bool, within: tuple[float, float] | None, width: int
) -> BoardCell:
    """One metric of a row; its interval is drawn on the scale `within`, unless that is None."""
    value = row.metrics[metric.name]
    text = html_number(value.value)
    if row.spread and value.value is not None:
        text += f" ± {html_number(row.spread[metric.name])}"
    ranked = row.rank is not None
    text = mark_best(text, best) if ranked or value.value is None or not within else f"{text} {UNRANKED}"
    return BoardCell(
        value="" if value.value is None else f"{value.value:.6g}",
        text=text,
        interval=html_interval(value),
        bar=interval_bar(value, within, "best" if best else "ranked" if ranked else "unranked", width)
        if within
        else Markup(),
        best=best,
        page=page_of_run(stored.runs(row)[0].run),
    )


def page_notes(rows: Sequence[Row], detailed: bool) -> list[str]:
    """The notes below a table, as in the terminal, and which rows have no rank."""
    notes = board_notes(rows, "html", detailed)
    with_value = [r for r in rows if r.ranking_value.value is not None]
    if any(r.rank is None for r in with_value):
        notes.insert(0, UNRANKED_NOTE)
    if unranked := sorted(
        {r.title for r in with_value if r.rank is None and not r.pretrained_on and not has_diverged(r)}
    ):
        notes.append(f"{', '.join(unranked)}: not ranked where folds or seeds differ from those of the other rows")
    return notes


def _board_values(stored: SiteData, board: SiteBoard) -> dict[str, Any]:
    columns: list[Mapping[str, Any]] = []
    cells: dict[tuple[str, str], BoardCell] = {}
    for task in board.tasks:
        rows, metric = board.task_rows(task), task.target.metrics[0]
        within = interval_span([row.metrics[metric.name] for row in rows])
        best = best_models(rows)
        for row in rows:
            cell = board_cell(stored, row, metric, row.title in best, within, BAR)
            also = f"R2 {html_number(row.metrics['r2'].value)}" if shows_r2(task) else ""
            cells[row.title, task.name] = replace(cell, also=also)
        columns.append({
            "task": task,
            "metric": metric,
            "scope": scope_prefix(rows),
            "unit": metric_unit(task, metric),
            "page": page_of_task(task, board.preset),
            "costs": [(cost, cost_figure(rows, metric, cost)) for cost in COSTS],
        })  # fmt: skip
    lines = []
    for title in order_by_place(board.rows, board.tasks):
        rows = [row for row in board.rows if row.title == title]
        lines.append({
            "model": rows[0].name,
            "card": card_of_row(stored, rows[0]) or address(page_of_run(stored.runs(rows[0])[0].run)),
            "anchor": anchor_of_row(rows[0], board),
            "preset": rows[0].preset,
            "tagged": rows[0].preset in UNPRESET,
            "cells": [cells.get((title, task.name)) for task in board.tasks],
            "seconds": [_sum([row.seconds_train for row in rows]), _sum([row.seconds_predict for row in rows])],
        })  # fmt: skip
    warning = preset_warning(board.rows, board.preset)
    notes = [*filter(None, [interval_note(board.rows, "html")]), *page_notes(board.rows, detailed=False)]
    starred = any(row.pretrained_on for row in board.rows)
    return {
        "title": board.title,
        "preset": board.preset,
        "id": ".".join(map(safe_name, ("board", board.title, board.preset))),
        "columns": columns,
        "lines": lines,
        "warning": warning,
        "notes": notes,
        "starred": starred,
        "overview": _overview_values(board),
    }


def _overview_values(board: SiteBoard) -> dict[str, Any]:
    """The mean ranks of the models over the tasks of a board, and the ranks on each."""
    found = overview(board.rows, board.tasks)
    names = shorten_tasks(found.tasks)
    lines = [
        {
            "model": line.model,
            "mean": format_mean_rank(line),
            "best_in": f"{line.best_in} of {len(found.tasks)}",
            "ranks": [format_task_rank(line.ranks[task]) for task in found.tasks],
        }
        for line in found.models
    ]
    heads = [names[task].replace("-", " ") for task in found.tasks]
    return {"heads": heads, "lines": lines, "notes": overview_notes(found, "html")}


def _sum(seconds: Sequence[float | None]) -> float | None:
    measured = [s for s in seconds if s is not None]
    return round(sum(measured), 3) if measured else None
