"""The page of a task: all metrics of its rows, figures of their predictions, and errors by element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from asugnn.crystal import SYMBOLS
from leaderboard.board import FEWEST, ErrorClass, Row, break_down_errors
from leaderboard.data import Task, load_dataset
from leaderboard.records import UNPRESET
from leaderboard.reports import (
    best_models,
    interval_note,
    panel_data,
    preset_warning,
    scope_prefix,
)
from leaderboard.site.formatting import html_number, index_ranges, metric_unit
from leaderboard.site.index_page import board_cell, page_notes
from leaderboard.site.models_page import card_of_row
from leaderboard.site.periodic_table import periodic_table
from leaderboard.site.svg_figures import (
    COSTS,
    cost_figure,
    history_figure,
    interval_span,
    parity_figure,
    rank_line,
    residual_histogram,
    roc_figure,
    row_keys,
)
from leaderboard.site.view_model import (
    SiteBoard,
    SiteData,
    address,
    anchor_of_row,
    crystals_of,
    page_of_run,
    page_of_task,
)

CARDS = 12  # rows whose figures are here; those of the others are on the pages of their runs
BAR, SIZE = 112, 280  # widths of an interval bar and of a figure
COLUMNS = (("epochs", ""), ("training", "s"), ("prediction", "s"), ("memory", "MB"), ("parameters", ""))


def task_values(stored: SiteData, board: SiteBoard, task: Task) -> dict[str, Any]:
    """The values of task.html."""
    rows, metrics = board.task_rows(task), task.target.metrics
    withheld = any(stored.is_withheld(run.run) for row in rows for run in stored.runs(row))
    first_rows = rows[:CARDS]
    folds = sorted({run.run.fold for row in first_rows for run in stored.runs(row)})
    return {
        "task": task,
        "preset": board.preset,
        "others": [(t.target.name, page_of_task(t, board.preset)) for t in board.tasks],
        "rows": rows,
        "metrics": metrics,
        "scope": scope_prefix(rows),
        "unit": task.target.unit,
        "columns": COLUMNS,
        "ranked": sum(row.rank is not None for row in rows),
        "lines": _lines(stored, task, rows),
        "warning": preset_warning(rows, board.preset),
        "notes": [*filter(None, [interval_note(rows, "html")]), *page_notes(rows, detailed=True)],
        "costs": [(cost, figure) for cost in COSTS if (figure := cost_figure(rows, metrics[0], cost))],
        "keys": row_keys(),
        "starred": any(row.pretrained_on for row in rows),
        "repeated": any(len(row.runs) > 1 for row in first_rows),
        "withheld": withheld,
        "crystals": [] if withheld else [crystals_of(task, fold) for fold in folds],
        "cards": [] if withheld else _cards(stored, task, first_rows),
        "elements": None if withheld else _elements(stored, board, task, rows),
        "histories": [
            {"title": row.title, "page": page_of_run(first.run), "figure": figure}
            for row in first_rows
            if (figure := history_figure((first := stored.runs(row)[0]).read_history(), SIZE, 190))
        ],
    }


def _lines(stored: SiteData, task: Task, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows of the table, each with the places of the rows that it is tied with."""
    first, *rest = task.target.metrics
    within = interval_span([row.metrics[first.name] for row in rows])
    ranked = sum(row.rank is not None for row in rows)
    best = best_models(rows)
    place = {row.title: i for i, row in enumerate(rows)}
    return [
        {
            "row": row,
            "page": page_of_run(stored.runs(row)[0].run),
            "card": card_of_row(stored, row) or address(page_of_run(stored.runs(row)[0].run)),
            "anchor": anchor_of_row(row),
            "tagged": row.preset in UNPRESET,
            "places": rank_line(row, ranked, row.title in best),
            "tied": index_ranges([place[title] for title in row.tied_with]),
            "cells": [
                board_cell(stored, row, first, row.title in best, within, BAR),
                *(board_cell(stored, row, metric, False, None, BAR) for metric in rest),
            ],
        }
        for row in rows
    ]


def _cards(stored: SiteData, task: Task, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Parity and residuals of each row on common axes, or its ROC curve and confusion matrix."""
    runs = [[(truth.y, p) for truth, p in map(stored.read_predictions, stored.runs(row))] for row in rows]
    pooled = panel_data(
        [(np.concatenate([y for y, _ in of_row]), np.concatenate([p for _, p in of_row])) for of_row in runs]
    )
    curves = [panel_data(of_row) for of_row in runs]
    unit, metric = task.target.unit, task.target.metrics[0]
    cards = []
    for i, row in enumerate(rows):
        score = html_number(row.metrics[metric.name].value)
        card: dict[str, Any] = {
            "title": row.title,
            "page": page_of_run(stored.runs(row)[0].run),
            "score": f"{metric.title} {score} {metric_unit(task, metric)}",
        }
        if task.target.kind == "binary":
            card |= {"roc": roc_figure(curves, i, SIZE), "confusion": pooled[i].confusion.tolist()}
        else:
            card |= {
                "parity": parity_figure(pooled[i], unit, SIZE),
                "outliers": int(pooled[i].outliers.sum()),
                "residuals": residual_histogram(pooled[i], unit, SIZE, 150),
                "data": stored.fold_predictions(stored.runs(row)),
            }
        cards.append(card)
    return cards


def _elements(stored: SiteData, board: SiteBoard, task: Task, rows: Sequence[Row]) -> dict[str, Any] | None:
    """The periodic table of errors and the numbers behind it, the best model first; None without any."""
    if not load_dataset(task.source).has_crystals:
        return None
    shown = [run for row in rows for run in stored.runs(row)]
    breakdown = break_down_errors("element", task, shown, board.preset)
    classes, few = breakdown.classes, breakdown.small
    models = [row.title for row in rows if any(row.title in c.values for c in classes)]
    if not models:
        return None
    if task.target.kind == "binary":  # from accuracies
        classes = tuple(ErrorClass(c.name, c.n, {m: 1 - v for m, v in c.values.items()}) for c in classes)
        figure = periodic_table(classes, few, models[0], "share of misclassified crystals", "misclassified")
    else:
        measure = f"mean absolute error, {task.target.unit}"
        figure = periodic_table(classes, few, models[0], measure, task.target.unit)
    return {
        "figure": figure,
        "models": models,
        "classes": classes,
        "few": few,
        "in_few": breakdown.in_small,
        "n": breakdown.n,
        "fewest": FEWEST,
        "absent": len(SYMBOLS) - len(classes) - len(few),
    }
