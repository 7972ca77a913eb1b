"""What panels of parity, residuals, ROC curve and confusion matrix show: computed here, drawn by paper and site.

Axes of a parity panel
    Both hold all labels, and predictions as far as a quarter of the range of the labels beyond them; a margin of a
    twentieth of that range follows. A prediction outside is drawn at the edge, and counted. Which ones are depends on
    the labels alone: models that share axes have the same outliers as each would have on axes of its own.
Axis of a residual panel
    Twice what holds 19 of 20 absolute residuals, to both sides; of models that share it, of the middle one. The
    outermost bins count what lies beyond too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import Floats, Ints
from leaderboard.scoring import THRESHOLD, roc_curve

MANY = 2000  # crystals above which a panel has finer bins
ROOM, MARGIN = 0.25, 0.05  # of a parity axis beyond the labels, in ranges of the labels
LARGEST = 1e100  # residual on an axis: the sum of two larger ones could be infinite


@dataclass(frozen=True)
class PanelData:
    """Labels and predictions of one model on one target, both (n,), in the unit of the label, and its axes."""

    labels: Floats
    predictions: Floats
    limits: tuple[float, float]  # of both axes of a parity panel
    residual_limit: float  # the residual axis goes from minus this to this

    @cached_property
    def residuals(self) -> Floats:
        """Prediction minus label, (n,)."""
        return self.predictions - self.labels

    @cached_property
    def outliers(self) -> NDArray[np.bool_]:
        """Whether each prediction lies outside the axes of a parity panel, (n,)."""
        low, high = self.limits
        return (self.predictions < low) | (self.predictions > high)

    @cached_property
    def residual_edges(self) -> Floats:
        """The edges of the residual histogram, (bins + 1,); the middle bin is around zero."""
        return np.linspace(-self.residual_limit, self.residual_limit, 42 if len(self.labels) > MANY else 22)

    @cached_property
    def residual_bins(self) -> Ints:
        """The bin of the histogram that each residual counts in, (n,); what lies beyond is in the outermost."""
        inner = np.searchsorted(self.residual_edges, self.residuals, side="right") - 1
        return np.clip(inner, 0, len(self.residual_edges) - 2)

    @property
    def residual_outliers(self) -> int:
        """How many residuals lie beyond the axis, and are counted in the outermost bins."""
        return int((abs(self.residuals) > self.residual_limit).sum())

    def residual_counts(self, chosen: NDArray[np.bool_] | None = None) -> Ints:
        """How many residuals each bin has, (bins,): of all crystals, or of the chosen ones (n,)."""
        bins = self.residual_bins if chosen is None else self.residual_bins[chosen]
        return np.bincount(bins, minlength=len(self.residual_edges) - 1)

    @property
    def roc(self) -> tuple[Floats, Floats]:
        """False and true positive rates over all thresholds, both (k,)."""
        return roc_curve(self.labels, self.predictions)

    @property
    def confusion(self) -> Ints:
        """Crystals by true class and predicted class, (2, 2), class 0 first."""
        predicted = (self.predictions >= THRESHOLD).astype(int)
        return np.bincount(2 * (self.labels == 1) + predicted, minlength=4).reshape(2, 2)


def panel_data(models: Sequence[tuple[Floats, Floats]]) -> list[PanelData]:
    """The data of models on common axes, from the labels and predictions of each, both (n,)."""
    labels = np.concatenate([y for y, _ in models])
    predictions = np.concatenate([p for _, p in models])
    span = float(np.ptp(labels)) or 1.0
    low = max(min(labels.min(), predictions.min()), labels.min() - ROOM * span) - MARGIN * span
    high = min(max(labels.max(), predictions.max()), labels.max() + ROOM * span) + MARGIN * span
    middle = float(np.median([np.quantile(abs(p - y), 0.95) for y, p in models]))
    limit = min(2 * middle, LARGEST) or 1.0
    return [PanelData(y, p, (float(low), float(high)), limit) for y, p in models]
