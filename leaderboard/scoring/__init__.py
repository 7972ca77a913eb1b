"""Numbers from labels and predictions: metrics, their intervals, and significance tests.

metrics.py           MAE, RMSE, R2, RMSLE; ROC-AUC, accuracy, F1
inference.py         confidence intervals, paired tests and ranks over groups of test crystals
chemical_systems.py  scores by chemical system, for zero-shot tasks
"""

from leaderboard.scoring.chemical_systems import ALL_SYSTEMS, chemical_system, score_by_system
from leaderboard.scoring.inference import Estimate, PredictedFold, estimate_metrics, paired_p_value, rank_models
from leaderboard.scoring.metrics import THRESHOLD, Metric, metrics_for, roc_curve

__all__ = [
    "ALL_SYSTEMS",
    "THRESHOLD",
    "Estimate",
    "Metric",
    "PredictedFold",
    "chemical_system",
    "estimate_metrics",
    "metrics_for",
    "paired_p_value",
    "rank_models",
    "roc_curve",
    "score_by_system",
]
