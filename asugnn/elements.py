"""The element values of CGCNN, which ASUGNN, CGCNN and ALIGNN start from."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from asugnn.crystal import SYMBOLS, Crystal, Floats
from asugnn.errors import InputError

LAST = 100  # the heaviest element in the table: fermium


@cache
def element_values() -> Floats:
    """(101, 92) values of each element by atomic number, row 0 unused: group, period, radius, valence, ... one-hot.

    Taken from jarvis-tools, whose table equals CGCNN's `atom_init.json` (Xie & Grossman 2018, Table II).
    """
    from jarvis.core.specie import cgcnn_feature_json

    table = json.loads(Path(cgcnn_feature_json).read_text(encoding="utf-8"))
    values = np.array([np.zeros(92), *(table[str(z)] for z in range(1, LAST + 1))])
    values.setflags(write=False)
    return values


def check_elements(crystal: Crystal, model: str) -> None:
    """Raise `InputError` for an element that the table does not have."""
    if (heaviest := int(crystal.numbers.max())) > LAST:
        raise InputError(
            f"{model} knows the elements up to {SYMBOLS[LAST - 1]}, and {crystal.formula} has "
            f"{SYMBOLS[heaviest - 1]}: remove this crystal"
        )
