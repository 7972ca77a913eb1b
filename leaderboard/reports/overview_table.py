"""The overview of a suite as text: mean ranks with their parts, the ranks on each task."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict

from rich.table import Table

from leaderboard._util import spreadsheet_text, wrap_lines
from leaderboard.board import Overview
from leaderboard.reports.table_drawing import draw_markdown, draw_terminal, new_table, words_cell
from leaderboard.reports.wording import format_mean_rank, format_task_rank, overview_notes, shorten_tasks


def render_overview(found: Overview, form: str, first: Sequence[str] = ()) -> str:
    """Render the overview as `table`, `markdown`, `csv` or `json`; these notes come first among its own."""
    if form == "json":
        return json.dumps(asdict(found), indent=1)
    if form == "csv":
        return _overview_csv(found)
    if len(found.tasks) < 2:
        return ""
    markdown = form == "markdown"
    notes = [f"- {note}" if markdown else note for note in [*first, *overview_notes(found, form)]]
    if not found.models:
        return "\n".join(notes)
    table = _table(found, form)
    if markdown:
        return "\n".join([draw_markdown(table), *notes])
    return "\n".join([draw_terminal(table), wrap_lines("\n".join(notes))])


def _table(found: Overview, form: str) -> Table:
    """The mean ranks over all tasks, and the ranks on each."""
    table, names = new_table(), shorten_tasks(found.tasks)
    table.add_column("model", overflow="fold")
    table.add_column("mean\nrank", justify="right", overflow="fold")
    table.add_column("best\nin", justify="right")
    for task in found.tasks:
        heading = names[task] if form == "markdown" else re.sub("[-_/]", " ", names[task])
        table.add_column(re.sub("[- ]", "\n", words_cell(heading, form)), justify="right", overflow="fold")
    for line in found.models:
        means = [_with_ends(format_mean_rank(line), form), f"{line.best_in} of {len(found.tasks)}"]
        ranks = (_with_ends(format_task_rank(line.ranks[task]), form) for task in found.tasks)
        table.add_row(words_cell(line.model, form), *means, *ranks)
    return table


def _with_ends(rank: tuple[str, str], form: str) -> str:
    value, ends = rank
    return value if not ends else f"{value} ({ends})" if form == "markdown" else f"{value}\n[dim]{ends}[/]"


def _overview_csv(found: Overview) -> str:
    ends = ("", "_low", "_high")
    columns = [f"rank:{task}{end}" for task in found.tasks for end in ends]
    lines: list[list[object]] = [["model", *(f"mean_rank{end}" for end in ends), "best_in", "tasks", *columns]]
    for line in found.models:
        ranks = [x for task in found.tasks for x in asdict(line.ranks[task]).values()]
        lines.append([line.model, line.mean_rank, line.low, line.high, line.best_in, len(found.tasks), *ranks])
    return spreadsheet_text(lines)
