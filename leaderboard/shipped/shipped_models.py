"""Predict crystals with the models that come with the package, with an interval for each prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from asugnn import Crystal
from asugnn.crystal import Floats
from asugnn.errors import InputError, did_you_mean
from asugnn.model import HasDomain, HasUncertainty, Model
from asugnn.model_registry import find_model
from leaderboard._util import check_predictions, move_to_device, require_model_packages
from leaderboard.shipped.calibration import describe_crystals
from leaderboard.shipped.model_card import SHIPPED_MODELS, Card, read_card

ORDER = ("formation-energy", "band-gap", "bulk-modulus", "metal")


@dataclass(frozen=True)
class Prediction:
    """What a shipped model says of one crystal.

    value
        In `unit`, or the probability of class 1; where the model predicts a logarithm, the number itself.
    low, high
        The ends of its interval; None for a class, and where the crystal is outside the domain.
    classes
        The classes that cannot be excluded at the level of the intervals; empty for a number, and outside the domain.
    outside
        What no training crystal was like; empty inside the domain.
    """

    id: str
    target: str
    unit: str
    value: float
    low: float | None
    high: float | None
    classes: tuple[str, ...] = ()
    outside: str = ""


def shipped_targets() -> tuple[str, ...]:
    """The targets for which a model comes with the package."""
    return tuple(name for name in ORDER if (SHIPPED_MODELS / name).is_dir())


def predict_shipped(
    crystals: Mapping[str, Crystal], targets: Sequence[str] = ()
) -> tuple[list[Prediction], dict[str, str]]:
    """Predict crystals by id: the predictions, by crystal and then by target, and a reason for each that is skipped.

    `targets` are all for which there is a model, if none is named. Raises `InputError` for one without.
    """
    known = shipped_targets()
    for name in targets:
        if name not in known:
            hint = did_you_mean(name, known)
            raise InputError(f"no model for '{name}' comes with the package{hint}; `bench run` trains one, for --run")
    models: list[tuple[Card, Model]] = []
    skipped: dict[str, str] = {}
    for name in targets or known:
        card = read_card(SHIPPED_MODELS / name)
        cls = find_model(card.model)
        require_model_packages(cls)
        model = move_to_device(cls.load(SHIPPED_MODELS / name))
        if isinstance(model, HasDomain):
            ids = list(crystals)
            skipped |= {ids[i]: reason for i, reason in model.outside(list(crystals.values())).items()}
        models.append((card, model))
    inside = {i: c for i, c in crystals.items() if i not in skipped}
    if not inside:
        return [], skipped
    found = [_predict(card, model, inside) for card, model in models]
    return [prediction for of_crystal in zip(*found, strict=True) for prediction in of_crystal], skipped


def _predict(card: Card, model: Model, crystals: Mapping[str, Crystal]) -> list[Prediction]:
    try:
        values = model.predict(list(crystals.values()))
        check_predictions(list(crystals), values, card.kind == "binary")
        return describe_predictions(card, model, crystals, values)
    except InputError as error:
        raise InputError(f"the model in {SHIPPED_MODELS / card.target} is damaged: {error}") from error


def expected_errors(card: Card, model: Model, crystals: Sequence[Crystal], values: Floats) -> Floats:
    """What the width of the intervals of predicted `values` (n,) follows: the `expected` of `Calibration.ends`.

    (n, 5) terms or, where the card has no coefficients for these, the uncertainty (n, 2) that the model estimates.
    Raises `InputError` for a model that does not.
    """
    if card.calibration.coefficients:
        return describe_crystals(crystals, values, card.elements)
    if not isinstance(model, HasUncertainty):
        raise InputError(f"the card of {card.target} has no calibration.coefficients, and {card.model} no uncertainty")
    return checked_uncertainty(model, crystals, values)


def checked_uncertainty(model: HasUncertainty, crystals: Sequence[Crystal], values: Floats) -> Floats:
    """The uncertainty (n, 2) below and above predicted `values` (n,); raises `InputError` where it is none."""
    found = model.uncertainty(crystals, values)
    numbers = isinstance(found, np.ndarray) and found.dtype.kind in "fiu" and found.shape == (len(crystals), 2)
    if not numbers or not np.all(np.isfinite(found) & (found > 0)):
        name = type(model).__name__
        raise InputError(f"{name}.uncertainty must return an array ({len(crystals)}, 2) of finite numbers above 0")
    return found


def describe_predictions(card: Card, model: Model, crystals: Mapping[str, Crystal], values: Floats) -> list[Prediction]:
    """Give the output (n,) of a model, in the unit of its labels, the intervals of its card."""
    outside = [card.outside(c) for c in crystals.values()]
    if card.classes:
        return [
            Prediction(i, card.target, "", p, None, None, () if why else _possible_classes(card, p), why)
            for i, p, why in zip(crystals, values.tolist(), outside, strict=True)
        ]
    expected = expected_errors(card, model, list(crystals.values()), values)
    ends = np.stack([values, *card.calibration.ends(values, expected)])
    if card.lowest is not None:
        ends = np.maximum(ends, card.lowest)
    unit = card.unit.removeprefix("log10 ")
    if unit != card.unit:
        ends = 10**ends
    return [
        Prediction(i, card.target, unit, v, None if why else low, None if why else high, (), why)
        for i, (v, low, high), why in zip(crystals, ends.T.tolist(), outside, strict=True)
    ]


def _possible_classes(card: Card, p: float) -> tuple[str, ...]:
    """The classes whose missing probability is within the quantile; both where none is: the model cannot decide."""
    missing = (p, 1 - p)
    kept = tuple(n for n, m in zip(card.classes, missing, strict=True) if m <= card.calibration.quantiles[0])
    return kept or card.classes
