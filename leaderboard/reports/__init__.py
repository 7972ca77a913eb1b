"""Words and tables for people: what the terminal prints, and what stands below a board.

wording.py            numbers, intervals and notes, the same in terminal, Markdown and HTML
terminal.py entry.py  boards and lists as text; what `bench submit` says
published_notes.py settings_notes.py interval_words.py  notes on entries of public boards, settings, intervals
overview_table.py     mean ranks over the tasks of a suite as text
error_table.py  prediction_table.py  table_drawing.py
                      errors by class of crystals; predictions with intervals; their tables, drawn
panel_data.py         what panels of parity, residuals, ROC curve and confusion matrix show
publication_table.py  a table for print: terminal, Markdown, LaTeX, JSON
paper/                the tables and figures of the ASUGNN paper
audit/                the audit of a data set and a split
"""

from leaderboard.reports.entry import describe_rules, render_entry, render_place
from leaderboard.reports.error_table import render_errors
from leaderboard.reports.interval_words import interval_note
from leaderboard.reports.overview_table import render_overview
from leaderboard.reports.panel_data import PanelData, panel_data
from leaderboard.reports.prediction_table import render_predictions
from leaderboard.reports.publication_table import TABLE_FORMATS, draw_table, write_table
from leaderboard.reports.published_notes import stated_differences
from leaderboard.reports.settings_notes import settings_notes
from leaderboard.reports.terminal import (
    render_board,
    render_datasets,
    render_models,
    render_score,
)
from leaderboard.reports.wording import (
    best_models,
    board_notes,
    format_count,
    format_interval,
    format_mean_rank,
    format_moment,
    format_number,
    format_rank,
    format_task_rank,
    has_diverged,
    mark_best,
    omitted_classes,
    order_by_place,
    overview_notes,
    preset_warning,
    scope_prefix,
    shorten_tasks,
    shows_r2,
)

__all__ = [
    "TABLE_FORMATS",
    "PanelData",
    "best_models",
    "board_notes",
    "describe_rules",
    "draw_table",
    "format_count",
    "format_interval",
    "format_mean_rank",
    "format_moment",
    "format_number",
    "format_rank",
    "format_task_rank",
    "has_diverged",
    "interval_note",
    "mark_best",
    "omitted_classes",
    "order_by_place",
    "overview_notes",
    "panel_data",
    "preset_warning",
    "render_board",
    "render_datasets",
    "render_entry",
    "render_errors",
    "render_models",
    "render_overview",
    "render_place",
    "render_predictions",
    "render_score",
    "scope_prefix",
    "settings_notes",
    "shorten_tasks",
    "shows_r2",
    "stated_differences",
    "write_table",
]
