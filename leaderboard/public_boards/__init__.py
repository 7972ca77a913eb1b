"""Predictions that public boards store: entered as runs, and own runs written in the form of these boards.

entries.py  an entry as it is read from a board
matbench.py, jarvis.py
            the forms of the two boards, read and written
enter.py    `bench published`: enter what a board stores as rows of the preset `published`
export.py   `bench export --to`: own runs as an entry
"""

from leaderboard.public_boards.enter import enter_published
from leaderboard.public_boards.export import export_entries
from leaderboard.public_boards.matbench import matbench_scores

__all__ = ["enter_published", "export_entries", "matbench_scores"]
