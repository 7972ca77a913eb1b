"""Helpers that know nothing of crystals: names, locks, processes, progress bars, the workspace.

Any room may import from here; this room imports none.
"""

from leaderboard._util.clusters import join_pairs
from leaderboard._util.descendants import adopt_orphans, end_descendants, end_with_parent, list_children
from leaderboard._util.extras import lacks_package, missing_extra, require_model_packages, require_packages
from leaderboard._util.interrupts import (
    STOP_SIGNALS,
    end_on_stop_signals,
    ignore_stop_signals,
    raise_on_stop_signals,
    stop_signal,
)
from leaderboard._util.json_fields import Fields
from leaderboard._util.library_warnings import collect_warnings
from leaderboard._util.line_wrapping import PIPE_WIDTH, wrap_lines
from leaderboard._util.locks import LOCK, lock_folder, make_once
from leaderboard._util.names import SAFE_NAME, figure_words, markdown_text, one_line, printable, safe_name
from leaderboard._util.periodic_table import group_and_row
from leaderboard._util.predicted_values import check_predictions
from leaderboard._util.processes import (
    ProcessEndedError,
    cause_of_death,
    environment,
    has_ended,
    hold_standard_streams,
    parallel_map,
    start_worker,
    without_standard_error,
    yield_from_process,
)
from leaderboard._util.progress import byte_progress, console_progress
from leaderboard._util.spreadsheet import spreadsheet_text
from leaderboard._util.workspace import (
    Workspace,
    current_workspace,
    move_to_device,
    set_workspace,
    show_progress,
    silent,
    use_workspace,
)

__all__ = [
    "LOCK",
    "PIPE_WIDTH",
    "SAFE_NAME",
    "STOP_SIGNALS",
    "Fields",
    "ProcessEndedError",
    "Workspace",
    "adopt_orphans",
    "byte_progress",
    "cause_of_death",
    "check_predictions",
    "collect_warnings",
    "console_progress",
    "current_workspace",
    "end_descendants",
    "end_on_stop_signals",
    "end_with_parent",
    "environment",
    "figure_words",
    "group_and_row",
    "has_ended",
    "hold_standard_streams",
    "ignore_stop_signals",
    "join_pairs",
    "lacks_package",
    "list_children",
    "lock_folder",
    "make_once",
    "markdown_text",
    "missing_extra",
    "move_to_device",
    "one_line",
    "parallel_map",
    "printable",
    "raise_on_stop_signals",
    "require_model_packages",
    "require_packages",
    "safe_name",
    "set_workspace",
    "show_progress",
    "silent",
    "spreadsheet_text",
    "start_worker",
    "stop_signal",
    "use_workspace",
    "without_standard_error",
    "wrap_lines",
    "yield_from_process",
]
