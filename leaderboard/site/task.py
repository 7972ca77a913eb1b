"""What the page of a task shows: all metrics of its rows, how their predictions lie, and where they err."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leaderboard import errors, store
from leaderboard.board import Row
from leaderboard.metrics import METRICS
from leaderboard.site import boards, elements, figures, numbers
from leaderboard.site.boards import Board, Stored
from leaderboard.site.figures import Points
from leaderboard.site.index import cell, notes
from leaderboard.tasks import Task

CARDS = 12  # rows that have their figures here; the others have them on the pages of their runs
BAR, SIZE = 140, 280  # widths of an interval bar and of a figure
COLUMNS = (("epochs", ""), ("training", "s"), ("prediction", "s"), ("memory", "MB"), ("parameters", ""))


def values(stored: Stored, board: Board, task: Task) -> dict[str, Any]:
    """For the template."""
    rows, metrics = board.of(task), METRICS[task.target.kind]
    withheld = any(stored.withheld(run.run) for row in rows for run in stored.runs(row))
    warning, said = notes(rows, board.preset, detailed=True)
    some = rows[:CARDS]
    folds = sorted({run.run.fold for row in some for run in stored.runs(row)})
    return {
        "task": task,
        "preset": board.preset,
        "others": [(t.target.name, boards.page_of_task(t, board.preset)) for t in board.tasks],
        "rows": rows,
        "metrics": metrics,
        "unit": task.target.unit,
        "columns": COLUMNS,
        "ranked": sum(row.rank is not None for row in rows),
        "lines": _lines(stored, task, rows),
        "warning": warning,
        "notes": said,
        "costs": [(of, figure) for of in figures.COSTS if (figure := figures.cost(rows, of))],
        "withheld": withheld,
        "crystals": [] if withheld else [boards.crystals_of(task, fold) for fold in folds],
        "cards": [] if withheld else _cards(stored, task, some),
        "elements": None if withheld else _elements(stored, board, task, rows),
        "histories": [
            {"title": row.title, "page": boards.page_of_run(first.run), "figure": figure}
            for row in some
            if (figure := figures.history(store.history((first := stored.runs(row)[0]).folder), SIZE, 190))
        ],
    }


def _lines(stored: Stored, task: Task, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows of the table; what each is tied with, as places in it."""
    first, *rest = METRICS[task.target.kind]
    within = figures.span([row.metrics[first.name] for row in rows])
    ranked = sum(row.rank is not None for row in rows)
    place = {row.title: i for i, row in enumerate(rows)}
    return [
        {
            "row": row,
            "page": boards.page_of_run(stored.runs(row)[0].run),
            "tagged": row.preset in store.EVERYWHERE,
            "places": figures.places(row, ranked),
            "tied": numbers.ranges([place[title] for title in row.tied_with]),
            "cells": [cell(stored, row, first, within, BAR), *(cell(stored, row, m, None, BAR) for m in rest)],
        }
        for row in rows
    ]


def _cards(stored: Stored, task: Task, rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Parity and residuals, or ROC curve and confusion matrix, of each row, on the same axes."""
    read = [[stored.read(run) for run in stored.runs(row)] for row in rows]
    points = [[Points(held.y, p) for held, p in runs] for runs in read]
    pooled = [Points(np.concatenate([r.y for r in runs]), np.concatenate([r.p for r in runs])) for runs in points]
    unit, metric = task.target.unit, METRICS[task.target.kind][0]
    over, limit = figures.limits(pooled), figures.limit_of(pooled)
    cards = []
    for i, row in enumerate(rows):
        score = numbers.number(row.metrics[metric.name].value)
        card: dict[str, Any] = {
            "title": row.title,
            "page": boards.page_of_run(stored.runs(row)[0].run),
            "score": f"{metric.title} {score} {numbers.unit(task, metric)}",
        }
        if task.target.kind == "binary":
            card |= {"roc": figures.roc(points, i, SIZE), "counts": figures.confusion(pooled[i])}
        else:
            parity, beyond = figures.parity(pooled[i], over, unit, SIZE)
            residuals = figures.residuals(pooled[i], limit, unit, SIZE, 150)
            data = stored.predictions(stored.runs(row))
            card |= {"parity": parity, "beyond": beyond, "residuals": residuals, "data": data}
        cards.append(card)
    return cards


def _elements(stored: Stored, board: Board, task: Task, rows: Sequence[Row]) -> dict[str, Any] | None:
    """Errors by element of the models, the best first."""
    classes = errors.by("element", task, stored.root, board.preset, stored.data_dir)
    models = [row.title for row in rows if any(row.title in c.values for c in classes)]
    if not models:
        return None
    if task.target.kind == "binary":  # from accuracies
        classes = [errors.Class(c.name, c.n, {m: 1 - v for m, v in c.values.items()}) for c in classes]
        figure = elements.periodic_table(classes, models[0], "share of wrong classes", "of the classes wrong")
    else:
        measure = f"mean absolute error, {task.target.unit}"
        figure = elements.periodic_table(classes, models[0], measure, task.target.unit)
    return {"figure": figure, "models": models, "classes": classes}
