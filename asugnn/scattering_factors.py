"""Atomic scattering factors for X-rays, by (sin(theta) / lambda)^2: pymatgen's parameters, tabulated."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from asugnn.crystal import SYMBOLS, Crystal
from asugnn.errors import InputError

WAVELENGTH = 1.54184  # angstrom, Cu K-alpha


def unknown_scatterer(crystal: Crystal) -> InputError | None:
    """Return the error of a crystal with an element that has no scattering factor; None for any other."""
    for z in set(crystal.numbers.tolist()):
        if (symbol := SYMBOLS[z - 1]) not in _scattering_parameters():
            return InputError(f"there is no X-ray scattering factor for {symbol}: remove the crystals that contain it")
    return None


class ScatteringTables:
    """Atomic scattering factors in electrons and their first three Taylor terms, at multiples of `STEP`.

    The tables of all elements are one array, values (118 t, 4), so that one look-up serves crystals of any elements;
    memory is used only for those that were asked for.
    """

    STEP = 2.0**-13  # 1/angstrom^2: accurate to 1e-9

    def __init__(self) -> None:
        self._squares = np.arange(0, WAVELENGTH**-2 + 2 * self.STEP, self.STEP)  # (t,)
        self.values = np.zeros((len(SYMBOLS) * len(self._squares), 4))
        self._known: set[int] = set()

    def start(self, number: int) -> int:
        """Return the first row of the table of an element that has a scattering factor."""
        square, start = self._squares, (number - 1) * len(self._squares)
        if number not in self._known:
            a, b = np.array(_scattering_parameters()[SYMBOLS[number - 1]]).T
            terms = a * np.exp(-np.outer(square, b))  # (t, 4 or so)
            sums = [terms @ (-b) ** k for k in range(4)]  # of the Gaussians, their first derivative, ...
            factor = [number - 41.78214 * square * sums[0]]
            factor += [-41.78214 * (k * sums[k - 1] + square * sums[k]) / math.factorial(k) for k in (1, 2, 3)]
            self.values[start : start + len(square)] = np.stack(factor, axis=1)
            self._known.add(number)
        return start


@cache
def scattering_tables() -> ScatteringTables:
    """Return the tables of this process."""
    return ScatteringTables()


@cache
def _scattering_parameters() -> Mapping[str, list[list[float]]]:
    """Read pymatgen's parameters, by symbol, from its file: importing its calculator takes a second."""
    spec = find_spec("pymatgen.analysis.diffraction")
    assert spec is not None and spec.origin is not None  # a dependency
    text = Path(spec.origin).with_name("atomic_scattering_params.json").read_text(encoding="utf-8")
    table: dict[str, list[list[float]]] = json.loads(text)
    return table
