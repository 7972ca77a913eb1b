"""CGCNN's values of the elements, the atom features of ASUGNN, CGCNN and ALIGNN."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from asugnn.crystal import SYMBOLS, Crystal, Floats
from asugnn.errors import InputError

HEAVIEST = 100  # the last element of the table: fermium


@cache
def element_values() -> Floats:
    """Return one-hot values (101, 92) by atomic number (row 0 is unused): group, period, radius, valence, ...

    Taken from jarvis-tools, whose table equals CGCNN's `atom_init.json` (Xie & Grossman 2018, Table II).
    """
    from jarvis.core.specie import cgcnn_feature_json

    table = json.loads(Path(cgcnn_feature_json).read_text(encoding="utf-8"))
    values = np.array([np.zeros(92), *(table[str(z)] for z in range(1, HEAVIEST + 1))])
    values.setflags(write=False)
    return values


def unknown_element(crystal: Crystal, model: str, last: int = HEAVIEST) -> InputError | None:
    """Return an error, which names `model`, for an element beyond atomic number `last`; None where there is none."""
    if (heaviest := int(crystal.numbers.max())) <= last:
        return None
    return InputError(
        f"{model} knows the elements up to {SYMBOLS[last - 1]}, and {crystal.formula} has "
        f"{SYMBOLS[heaviest - 1]}: remove this crystal"
    )


def check_elements(crystal: Crystal, model: str, last: int = HEAVIEST) -> None:
    """Raise the error of `unknown_element`."""
    if error := unknown_element(crystal, model, last):
        raise error
