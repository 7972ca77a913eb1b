"""Intervals of predictions by split conformal prediction, as wide as the errors on validation crystals ask for.

An interval of level 0.9 holds the true value of nine new crystals in ten, if they come from where the validation
crystals came from (Vovk, Gammerman & Shafer, *Algorithmic Learning in a Random World*, 2005; Lei et al., J. Am. Stat.
Assoc. 113, 1094, 2018). It says nothing of crystals of another kind: see `Card.outside`.

The width follows the error to be expected. Where the model estimates it itself (`asugnn.model.HasUncertainty`), the
interval need not reach as far above as below. Else the error rises with the rarity of the rarest element, for example:
see `describe_crystals`; a quarter of the validation crystals, by their ids, says how, and the others calibrate.

They do so in groups of about equal size by the magnitude of the predicted value, so that the promise holds within each
(Mondrian conformal prediction, Vovk et al., chapter 4.5). Groups are for band gaps: a gap that is predicted as 0 is
mostly right, as most such crystals are metals, but 0.3 eV is about as uncertain as 3 eV. What all this gives:
benchmarks/interval_scores.py.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import SYMBOLS, Crystal, Floats

LEVEL = 0.9  # the share of crystals whose value lies in the interval
TERMS = ("1", "log rarest", "log elements", "log volume per atom", "log magnitude")  # of the expected error
SMALLEST = 0.02  # magnitudes well below are all the same, in the unit of the label
GROUPS, FEWEST = 8, 250  # at most so many groups, and at least so many crystals that calibrate in each


@dataclass(frozen=True)
class Calibration:
    """How wide intervals are.

    quantiles
        By group of the magnitude (g,): of the errors divided by the expected error, or by the uncertainty that the
        model estimates; for classes, which are one group, of the missing probability of the true class.
    edges
        (g - 1,) of these groups, rising, in the unit of the label.
    coefficients
        (5,) of the logarithm of the expected error, in `TERMS`; empty where the model estimates its uncertainty,
        and for classes.
    """

    quantiles: tuple[float, ...]
    edges: tuple[float, ...] = ()
    coefficients: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if len(self.quantiles) != len(self.edges) + 1 or list(self.edges) != sorted(self.edges):
            raise ValueError("calibration.quantiles are one more than calibration.edges, which rise")
        if len(self.coefficients) not in {0, len(TERMS)}:
            raise ValueError(f"calibration.coefficients are {len(TERMS)} numbers or none, not {len(self.coefficients)}")
        if not min(self.quantiles) >= 0:
            raise ValueError("calibration.quantiles are not negative")

    def ends(self, predicted: Floats, expected: Floats) -> tuple[Floats, Floats]:
        """The ends (n,) of the intervals of predictions (n,), in the unit of the label.

        `expected` are the terms (n, 5) of the crystals; without coefficients, the uncertainty (n, 2) below and above.
        """
        group = np.searchsorted(self.edges, np.abs(predicted), side="right")
        if self.coefficients:
            expected = np.exp(expected @ np.array(self.coefficients))[:, None].repeat(2, axis=1)
        below, above = (np.array(self.quantiles)[group, None] * expected).T
        return predicted - below, predicted + above


def element_symbols(crystal: Crystal) -> list[str]:
    """The elements of a crystal, each once, by atomic number."""
    return [SYMBOLS[z - 1] for z in sorted(set(crystal.numbers.tolist()))]


def describe_crystals(crystals: Sequence[Crystal], predicted: Floats, elements: Mapping[str, int]) -> Floats:
    """Describe n crystals by what their error depends on: (n, 5), one column for each of `TERMS`.

    `elements` counts the training crystals that hold an element. No column depends on the choice of the cell.
    """
    rows = []
    for crystal, value in zip(crystals, predicted, strict=True):
        symbols = element_symbols(crystal)
        rarest = min(elements.get(symbol, 0) for symbol in symbols)
        volume = crystal.volume / len(crystal)
        composition = math.log1p(rarest), math.log(len(symbols)), math.log(volume)
        rows.append((1.0, *composition, math.log(abs(float(value)) + SMALLEST)))
    return np.array(rows).reshape(-1, len(TERMS))


def calibrate(ids: Sequence[str], errors: Floats, terms: Floats, groups: int = GROUPS) -> Calibration:
    """Calibrate intervals from the absolute errors (n,) of validation crystals with `terms` (n, 5).

    There are at most so many `groups`, and fewer where there are few crystals.
    """
    shape = _is_for_shape(ids)
    # The logarithm of an error near zero says nothing of its size: errors below a tenth of the median count as that.
    logs = np.log(np.maximum(errors, 0.1 * np.median(errors) + 1e-12))
    coefficients = np.linalg.lstsq(terms[shape], logs[shape], rcond=None)[0]
    ratio, size = errors[~shape] / np.exp(terms[~shape] @ coefficients), np.exp(terms[~shape, -1]) - SMALLEST
    return Calibration(*_quantiles_by_size(ratio, size, groups), tuple(coefficients.tolist()))


def calibrate_uncertainty(errors: Floats, uncertainty: Floats, predicted: Floats, groups: int = GROUPS) -> Calibration:
    """Calibrate intervals from the errors (n,), label minus prediction, of validation crystals.

    `uncertainty` (n, 2) is that of predictions (n,), below and above, as the model estimates it.
    """
    ratio = np.where(errors < 0, -errors / uncertainty[:, 0], errors / uncertainty[:, 1])
    return Calibration(*_quantiles_by_size(ratio, np.abs(predicted), groups))


def _quantiles_by_size(ratio: Floats, size: Floats, groups: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The quantile of `ratio` (n,) in each group by `size` (n,), and the edges of the groups."""
    groups = max(1, min(groups, len(ratio) // FEWEST))
    edges = np.quantile(size, np.arange(1, groups) / groups) if groups > 1 else np.zeros(0)
    of_group = np.searchsorted(edges, size, side="right")
    quantiles = [conformal_quantile(ratio[of_group == group], LEVEL) for group in range(groups)]
    return tuple(quantiles), tuple(edges.tolist())


def calibrate_classes(probability: Floats, labels: Floats) -> Calibration:
    """Calibrate sets of classes from the probability of class 1 and the class (n,) of validation crystals."""
    return Calibration((conformal_quantile(np.abs(labels - probability), LEVEL),))


def conformal_quantile(scores: Floats, level: float) -> float:
    """Return the quantile of n scores that a new one stays below with a probability of at least `level`."""
    n = len(scores)
    rank = math.ceil((n + 1) * level)
    return math.inf if rank > n else float(np.sort(scores)[rank - 1])


def _is_for_shape(ids: Sequence[str]) -> NDArray[np.bool_]:
    """Which crystals say how the error varies: a quarter of them, by a digest of their id."""
    return np.array([hashlib.sha256(name.encode()).digest()[0] < 64 for name in ids])
