"""From stored runs to ranked rows, which follow from predictions, labels and split alone.

ground_truth.py     the labels of a fold's test set
row_scores.py       the scores of one model on one task
score_cache.py      those scores, kept in the cache folder
rows.py             one row of a board: scores, costs, origin
board.py            the rows of a task, ranked; with best_settings.py, one row per model
score_file.py       the score of one set of predictions; `bench score`, with prediction_hints.py
row_records.py      rows as flat records, for CSV and data frames
overview.py         the models of a suite over all its tasks
error_breakdown.py  errors by element, space group, size, label
verify.py           `bench verify`: recompute every row
"""

from leaderboard.board.board import pareto_front, rank_rows, rank_runs
from leaderboard.board.error_breakdown import FEWEST, ErrorBreakdown, ErrorClass, break_down_errors
from leaderboard.board.ground_truth import GroundTruth, load_ground_truth
from leaderboard.board.overview import Overview, OverviewLine, TaskRank, overview
from leaderboard.board.row_records import row_columns, row_records
from leaderboard.board.row_scores import MetricValue, SystemRow, check_origin, estimate_runs, metric_value
from leaderboard.board.rows import NOISE, OTHERS, WIDER, Row, group_words, runs_by_row
from leaderboard.board.score_file import Folds, Score, score_file, score_predictions
from leaderboard.board.verify import verify_runs

__all__ = [
    "FEWEST",
    "NOISE",
    "OTHERS",
    "WIDER",
    "ErrorBreakdown",
    "ErrorClass",
    "Folds",
    "GroundTruth",
    "MetricValue",
    "Overview",
    "OverviewLine",
    "Row",
    "Score",
    "SystemRow",
    "TaskRank",
    "break_down_errors",
    "check_origin",
    "estimate_runs",
    "group_words",
    "load_ground_truth",
    "metric_value",
    "overview",
    "pareto_front",
    "rank_rows",
    "rank_runs",
    "row_columns",
    "row_records",
    "runs_by_row",
    "score_file",
    "score_predictions",
    "verify_runs",
]
