"""The reduced formulas of many crystals at once."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from asugnn.crystal import SYMBOLS

if TYPE_CHECKING:
    import polars as pl

BLOCK = 50_000  # crystals at once: memory stays small, and sorting is faster
_ALPHABET = np.argsort(np.array(SYMBOLS))  # atomic numbers minus one, in the order of their symbols
_RANK = np.argsort(_ALPHABET)


def reduced_formulas(numbers: pl.Series) -> list[str]:
    """Reduced formulas (n,) of lists of atomic numbers, each as `asugnn.crystal.reduced_formula` writes it.

    Raises `ValueError` where there is no list, an empty one, or a number that is not of an element.
    """
    return [formula for start in range(0, len(numbers), BLOCK) for formula in _formulas(numbers[start : start + BLOCK])]


def _formulas(numbers: pl.Series) -> list[str]:
    import polars as pl

    sizes, values = numbers.list.len(), numbers.explode().cast(pl.Int64)
    if sizes.has_nulls() or not (sizes > 0).all() or values.has_nulls() or not values.is_between(1, len(SYMBOLS)).all():
        raise ValueError("an atomic number is missing, or not of an element")
    crystal = np.repeat(np.arange(len(sizes)), sizes.to_numpy())
    # Of each element of each crystal: the crystal, the position of the symbol in the alphabet, and how many atoms.
    element, count = np.unique(crystal * len(SYMBOLS) + _RANK[values.to_numpy() - 1], return_counts=True)
    crystal, rank = np.divmod(element, len(SYMBOLS))
    first = np.flatnonzero(np.diff(crystal, prepend=-1))
    count //= np.repeat(np.gcd.reduceat(count, first), np.diff(first, append=len(crystal)))
    # Few different elements with a number: each is written once.
    different, number = np.unique(rank * (int(count.max()) + 1) + count, return_inverse=True)
    pairs = (divmod(code, int(count.max()) + 1) for code in different.tolist())
    texts = [f"{SYMBOLS[_ALPHABET[i]]}{n if n > 1 else ''}" for i, n in pairs]
    parts = [texts[i] for i in number.tolist()]
    ends = [*first.tolist(), len(parts)]
    return ["".join(parts[i:j]) for i, j in pairwise(ends)]
