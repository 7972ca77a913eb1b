"""Numbers from labels and predictions: metrics, their intervals, and significance tests.

metrics.py           MAE, RMSE, R2, RMSLE; ROC-AUC, accuracy, F1
inference.py         confidence intervals over groups of test crystals and training runs
ranking.py           paired tests and ranks
student_t.py         Student's t distribution
chemical_systems.py  scores by chemical system, for zero-shot tasks
"""

from leaderboard.scoring.chemical_systems import ALL_SYSTEMS, score_by_system, system_names
from leaderboard.scoring.inference import (
    TOO_FAR,
    Estimate,
    PredictedFold,
    Training,
    describe_training,
    estimate_metrics,
    group_variance,
    student_interval,
)
from leaderboard.scoring.metrics import THRESHOLD, Metric, metrics_for, roc_curve
from leaderboard.scoring.ranking import MIN_GROUPS, paired_p_value, rank_models

__all__ = [
    "ALL_SYSTEMS",
    "MIN_GROUPS",
    "THRESHOLD",
    "TOO_FAR",
    "Estimate",
    "Metric",
    "PredictedFold",
    "Training",
    "describe_training",
    "estimate_metrics",
    "group_variance",
    "metrics_for",
    "paired_p_value",
    "rank_models",
    "roc_curve",
    "score_by_system",
    "student_interval",
    "system_names",
]
