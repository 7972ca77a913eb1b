"""Hints that predictions may not be what was asked for: never a refusal, as a bad model may look the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from asugnn.crystal import Floats
from leaderboard.data import Target
from leaderboard.scoring import PredictedFold

FACTORS = {  # predictions over labels, for labels in eV, GPa or of one atom
    1e3: "meV for eV, or MPa for GPa",
    1e-3: "GPa for MPa, or eV for meV",
    96.485: "kJ/mol for eV",
    23.061: "kcal/mol for eV",
    8065.54: "1/cm for eV",
    11604.5: "kelvin for eV",
    1 / 13.6057: "rydberg for eV",
    1 / 27.2114: "hartree for eV",
    10.0: "kbar for GPa",
    1 / 160.218: "eV per cubic angstrom for GPa",
    -1.0: "the opposite sign",
}
NEAR = 0.3  # relative distance to a factor that is named
BETTER = 0.5  # errors after a change of unit, relative to those of the mean label: above, nothing is said
FEWEST = 5  # crystals
OTHER_CLASS = 0.7  # ROC-AUC with 1 - p, above which the other class is named
SURE = 3.0  # standard deviations by which a ROC-AUC must be below that of a guess
CLASSES = "hint: all predictions are 0 or 1; ROC-AUC needs probabilities of class 1 to tell sure ones from guesses"


@np.errstate(over="ignore")  # a prediction may be as large as a number can be
def prediction_hints(target: Target, scored: PredictedFold) -> list[str]:
    """Sentences on what the predictions of a test set look like, with the error that they would have; often none.

    A change of unit is named where predictions are worse than the mean label, and after it at least twice as good, or
    where no value could be a logarithm. Of a binary target, classes are named where probabilities are asked for, and
    probabilities of the other class.
    """
    if len(scored.y) < FEWEST:
        return []
    if target.kind == "binary":
        classes = [] if ((scored.p > 0) & (scored.p < 1)).any() else [CLASSES]
        return classes + _other_class(target, scored.y, scored.p)
    y, p, unit = scored.y, scored.p, target.unit
    with np.errstate(all="ignore"):
        mean_error = float(np.mean(abs(y - y.mean())))
        if not float(np.mean(abs(p - y))) > mean_error:
            return []
        changed = [(float(np.mean(abs(q - y))), words, name) for q, words, name in _changes(y, p, unit)]
    likely = [c for c in changed if c[0] < BETTER * mean_error]
    if not likely:
        return _no_logarithm(y, p, unit)
    error, words, name = min(likely)
    return [
        f"hint: the predictions look like {words}; {name}, their MAE would be {error:.3f} {unit}; nothing was changed"
    ]


def _other_class(target: Target, y: Floats, p: Floats) -> list[str]:
    """A hint at probabilities (n,) of class 0, which order crystals the wrong way round; none where a bad model may."""
    area = next(metric for metric in target.metrics if metric.name == "roc_auc")(y, p)
    ones, zeros = int((y == 1).sum()), int((y != 1).sum())
    of_guess = np.sqrt((ones + zeros + 1) / max(12 * ones * zeros, 1))  # standard deviation, as of Mann-Whitney's U
    if not (1 - area > OTHER_CLASS and 0.5 - area > SURE * of_guess):  # an area that is undefined among them
        return []
    return [
        f"hint: ROC-AUC {area:.2f} is far below 0.5: does the file hold the probability of class 0 "
        f"({target.class_names[0]})? With 1 - p it would be {1 - area:.2f}; nothing was changed"
    ]


def _no_logarithm(y: Floats, p: Floats, unit: str) -> list[str]:
    """A hint at predictions (n,) that all lie above every label, a logarithm, and whose logarithms lie among labels."""
    bare, largest = unit.removeprefix("log10 "), float(y.max())
    if bare == unit or not p.min() > max(largest, 0) or not y.min() <= np.log10(np.median(p)) <= largest:
        return []
    return [
        f"hint: all values are above the largest label ({largest:.3g} {unit}): are they {bare}? Nothing was changed"
    ]


def _changes(y: Floats, p: Floats, unit: str) -> Iterator[tuple[Floats, str, str]]:
    """Predictions (n,) after each change that may be meant, what they look like before it, and the change in words."""
    bare = unit.removeprefix("log10 ")
    if bare != unit and (p > 0).all():
        yield np.log10(p), f"{bare}, and the labels are in {unit}", "after log10"
        yield p / np.log(10), f"the natural logarithm of {bare}", "divided by ln 10"
    if bare == unit and unit:
        yield 10.0**p, f"log10 of {unit}", "after 10**x"
    ratio = float(np.median(p[y != 0] / y[y != 0])) if y.any() else 0.0
    if not np.isfinite(ratio) or ratio == 0:
        return
    factor = min(FACTORS, key=lambda f: abs(ratio / f - 1))
    if abs(ratio / factor - 1) < NEAR:
        yield p / factor, f"another unit ({FACTORS[factor]})", f"divided by {factor:.4g}"
    elif not 0.4 < ratio < 2.5:
        yield (
            p / ratio,
            f"another unit or another count of atoms: about {ratio:.3g} times the labels",
            "divided by that",
        )
