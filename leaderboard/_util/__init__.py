"""Helpers that know nothing of crystals: names, locks, processes, progress bars, the workspace.

Any room may import from here; this room imports none.
"""

from leaderboard._util.extras import missing_extra, require_model_packages, require_packages
from leaderboard._util.library_warnings import collect_warnings
from leaderboard._util.locks import lock_folder
from leaderboard._util.names import SAFE_NAME, safe_name
from leaderboard._util.processes import parallel_map, start_worker
from leaderboard._util.progress import byte_progress, console_progress
from leaderboard._util.workspace import (
    Workspace,
    current_workspace,
    set_workspace,
    show_progress,
    silent,
    use_workspace,
)

__all__ = [
    "SAFE_NAME",
    "Workspace",
    "byte_progress",
    "collect_warnings",
    "console_progress",
    "current_workspace",
    "lock_folder",
    "missing_extra",
    "parallel_map",
    "require_model_packages",
    "require_packages",
    "safe_name",
    "set_workspace",
    "show_progress",
    "silent",
    "start_worker",
    "use_workspace",
]
