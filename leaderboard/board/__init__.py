"""From stored runs to ranked rows, computed anew from predictions, labels and split.

ground_truth.py     the labels of a fold's test set
rows.py             the scores of one model on one task
board.py            rows of a task, ranked
score_file.py       `bench score`: one CSV of predictions
error_breakdown.py  errors by element, space group, size, label
verify.py           `bench verify`: recompute every row
"""

from leaderboard.board.board import pareto_front, rank_rows
from leaderboard.board.error_breakdown import FEWEST, ErrorClass, break_down_errors
from leaderboard.board.ground_truth import GroundTruth, load_ground_truth
from leaderboard.board.rows import NOISE, OTHERS, MetricValue, Row, SystemRow, metric_value
from leaderboard.board.score_file import score_file
from leaderboard.board.verify import verify_runs

__all__ = [
    "FEWEST",
    "NOISE",
    "OTHERS",
    "ErrorClass",
    "GroundTruth",
    "MetricValue",
    "Row",
    "SystemRow",
    "break_down_errors",
    "load_ground_truth",
    "metric_value",
    "pareto_front",
    "rank_rows",
    "score_file",
    "verify_runs",
]
