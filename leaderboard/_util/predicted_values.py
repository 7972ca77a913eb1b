"""What a model may return as its predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from asugnn.crystal import Floats
from asugnn.errors import InputError


def check_predictions(ids: Sequence[str], values: Floats, is_probability: bool) -> None:
    """Raise `InputError` for predictions of the wrong shape, or that are no finite numbers or no probabilities."""
    wanted = f"predict must return an array of {len(ids)} numbers, one for each crystal"
    if values is None:
        raise InputError(f"it predicted None: {wanted}; does it end with `return`?")
    if not isinstance(values, np.ndarray) or isinstance(values, np.ma.MaskedArray):
        conversion = "values.detach().cpu().numpy()" if hasattr(values, "detach") else "np.array(values)"
        raise InputError(f"it predicted a {type(values).__name__}: {wanted}, such as {conversion}")
    if values.dtype.kind not in "fiub":
        raise InputError(f"it predicted an array of {values.dtype}: {wanted}, such as values.astype(float)")
    if np.shape(values) != (len(ids),):
        flat = ", such as values.ravel()" if values.size == len(ids) else ""
        raise InputError(f"it predicted an array of shape {np.shape(values)}: {wanted}{flat}")
    bad = ~np.isfinite(values)
    if is_probability:
        bad |= (values < 0) | (values > 1)
    if bad.any():
        i = int(np.argmax(bad))
        needed = "a probability, from 0 to 1" if is_probability else "a finite number"
        many = f"{bad.sum()} crystals, the first of them" if bad.sum() > 1 else "crystal"
        raise InputError(f"it predicted {values[i]} for {many} '{ids[i]}': each prediction must be {needed}")
