"""Trained models that come with the package: what they predict, with which interval, and what they do not know.

shipped_models.py   load them and predict crystals
model_card.py       card.json: what a model was trained on, and what was measured of it
calibration.py      intervals from the errors on validation crystals

`recipes/ship_models.py` makes them from stored runs.
"""

from leaderboard.shipped.calibration import (
    GROUPS,
    LEVEL,
    calibrate,
    calibrate_classes,
    calibrate_uncertainty,
    describe_crystals,
)
from leaderboard.shipped.model_card import SHIPPED_MODELS, Card, describe_domain, read_card, write_card
from leaderboard.shipped.shipped_models import (
    Prediction,
    checked_uncertainty,
    describe_predictions,
    predict_shipped,
    shipped_targets,
)

__all__ = [
    "GROUPS",
    "LEVEL",
    "SHIPPED_MODELS",
    "Card",
    "Prediction",
    "calibrate",
    "calibrate_classes",
    "calibrate_uncertainty",
    "checked_uncertainty",
    "describe_crystals",
    "describe_domain",
    "describe_predictions",
    "predict_shipped",
    "read_card",
    "shipped_targets",
    "write_card",
]
