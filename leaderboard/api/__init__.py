"""The bench in Python: tasks, scores, comparisons and boards, without torch.

bench_task.py  a task by its name: its split, the score of predictions
comparison.py  predictions of several models, compared as on a board
frame.py       the rows of a board as a data frame

Nothing is computed here: data, splits, scores and ranks come from the rooms that the command line uses.
"""

from leaderboard.api.bench_task import task
from leaderboard.api.frame import leaderboard

__all__ = ["leaderboard", "task"]
