"""Errors by class of crystals as a table, Markdown and CSV."""

from __future__ import annotations

import numpy as np

from asugnn.errors import InputError
from leaderboard._util import spreadsheet_text, wrap_lines
from leaderboard.board import ErrorBreakdown
from leaderboard.data import Task
from leaderboard.reports.table_drawing import draw_markdown, draw_terminal, new_table, words_cell
from leaderboard.reports.wording import BEST, format_number, mark_best, omitted_classes, plain_words


def render_errors(breakdown: ErrorBreakdown, what: str, task: Task, form: str) -> str:
    """Render the mean errors (or accuracies) of models by class of crystals, the best of each class marked.

    What is left out is said below the table, but for CSV. Raises `InputError` where there are no runs.
    """
    classes, omitted = breakdown.classes, omitted_classes(breakdown, what)
    if not classes and omitted:
        return f"left out: {omitted}; none is left"
    if not classes:
        raise InputError(f"no runs for {task.name}: `bench run` makes some")
    best = min if task.target.kind == "regression" else max
    means = {
        m: np.mean([c.values[m] for c in classes if m in c.values]) for m in {m for c in classes for m in c.values}
    }
    names = sorted(means, key=lambda m: (float(means[m]), m), reverse=best is max)
    if form == "csv":
        values = ([c.name, c.n, *(c.values.get(m, "") for m in names)] for c in classes)
        return spreadsheet_text([[what, "crystals", *names], *values])
    table = new_table()
    for column in (what, "crystals", *names):
        table.add_column(words_cell(column, form).replace(", ", "\n"), justify="left" if column == what else "right")
    for c in classes:
        top = best(c.values.values())
        cells = [format_number(c.values.get(m)) for m in names]
        marked = [mark_best(x, c.values.get(m) == top) for x, m in zip(cells, names, strict=True)]
        table.add_row(words_cell(c.name, form), str(c.n), *marked)
    measure = f"mean absolute error, {task.target.unit}" if best is min else "accuracy"
    caption = plain_words(f"{task.name}: {measure}", form)
    caption += f"; {BEST}: {'lowest' if best is min else 'highest'} in its row"
    lines = [caption, *([plain_words(f"left out: {omitted}", form)] if omitted else [])]
    mark = "- " if form == "markdown" else ""
    notes = "\n".join(mark + line for line in lines)
    return f"{draw_markdown(table)}\n{notes}" if form == "markdown" else f"{draw_terminal(table)}\n{wrap_lines(notes)}"
