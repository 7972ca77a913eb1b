"""Predictions as a mapping from id to value, as a program in Python has them: held to the rules of the CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asugnn.crystal import Floats
from asugnn.errors import InputError
from asugnn.model import Kind
from leaderboard.data import Fault, id_fault, parse_value
from leaderboard.records.prediction_faults import Faults, SubmissionError, loose_id, unknown_id

NO_NUMBER = "values that are not numbers"


def order_predictions(values: Mapping[str, float], ids: Sequence[str], kind: Kind, title: str) -> Floats:
    """The predictions (n,) in the order of the expected `ids` (n,).

    Raises `SubmissionError`, which begins with `title`, with all that is wrong with them: missing and unknown ids,
    values that are not numbers, not finite or no probabilities.
    """
    if not isinstance(values, Mapping):
        raise InputError(
            f"{title} cannot be scored: it is a {type(values).__name__}, not a mapping from id to value such as "
            "dict(zip(ids, values))"
        )
    if (plain := _order_floats(values, ids, kind)) is not None:
        return plain
    faults, known = Faults(), set(ids)
    out = np.full(len(ids), np.nan)
    if unknown := [str(name) for name in values if name not in known]:
        loose = {loose_id(name): name for name in ids}
        for name in unknown:
            faults.add(id_fault(name, "") or unknown_id(name, loose.get(loose_id(name))))
    for i, name in enumerate(ids):
        if name not in values:
            faults.add(("missing ids", f"id '{name}' has no value"))
        elif fault := _number_fault(values[name], kind):
            faults.add((fault[0], f"id '{name}': {fault[1]}"))
        else:
            out[i] = float(values[name])
    if faults.total:
        raise SubmissionError(title, faults.sentences())
    return out


def _order_floats(values: Mapping[str, float], ids: Sequence[str], kind: Kind) -> Floats | None:
    """The predictions (n,) where all are floats and nothing is wrong with them, in little time; else None."""
    if len(values) != len(ids) or not all(name in values for name in ids):  # `[]` of a defaultdict would make it so
        return None
    found = [values[name] for name in ids]
    if not set(map(type, found)) <= {float, np.float64}:
        return None
    out = np.array(found, dtype=np.float64)
    valid = np.isfinite(out) if kind == "regression" else (out >= 0) & (out <= 1)
    return out if valid.all() else None


def _number_fault(value: Any, kind: Kind) -> Fault | None:
    """What is wrong with a predicted value, of which a program may make anything."""
    if isinstance(value, str | bytes) or value is None:
        return NO_NUMBER, f"{value!r:.40} is not a number"
    try:
        array = np.asarray(value)
        if array.ndim:
            return NO_NUMBER, f"an array of shape {array.shape} is not a number"
        if array.dtype.kind == "b":
            return NO_NUMBER, f"{bool(array)} is not a number; write {float(array)} if you mean that"
        if array.dtype.kind in "cmMV":  # complex numbers, and times, some of which `float` takes
            raise TypeError
        return parse_value(repr(float(value)), kind)[1]
    except (TypeError, ValueError, OverflowError):
        return NO_NUMBER, f"a {type(value).__name__} is not a number"
