"""Compositions as text, such as `Ag(AuS)2` or `K6 S6`, in lowest terms."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import lru_cache
from math import gcd

from asugnn.crystal import ATOMIC_NUMBERS
from asugnn.errors import InputError

ISOTOPES = {"D": "H", "T": "H"}  # as in a crystal, they count as their element
_TOKEN = re.compile(r"([A-Z][a-z]?)((?:[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?)?)|(\()|\)([0-9]*\.?[0-9]*)| ")


@lru_cache(maxsize=200_000)  # one formula belongs to several data sets
def reduce_composition(text: str) -> str:
    """The formula in lowest terms, elements in alphabetical order, as `asugnn.crystal.reduced_formula` writes it.

    Amounts that are no whole numbers stay as they are. Raises `InputError` for a text that is no composition.
    """
    open_groups: list[dict[str, float]] = [defaultdict(float)]
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            raise InputError(f"'{text[:80]}' is not a composition")
        symbol, amount, opening, factor = match.groups()
        if symbol:
            if symbol not in ATOMIC_NUMBERS:
                raise InputError(f"'{text[:80]}' is not a composition: '{symbol}' is not an element")
            open_groups[-1][ISOTOPES.get(symbol, symbol)] += _number(amount, text)
        elif opening:
            open_groups.append(defaultdict(float))
        elif factor is not None:
            if len(open_groups) == 1:
                raise InputError(f"'{text[:80]}' is not a composition: a bracket is not opened")
            inner = open_groups.pop()
            times = _number(factor, text)
            for element, n in inner.items():
                open_groups[-1][element] += n * times
        position = match.end()
    (amounts,) = open_groups if len(open_groups) == 1 else [{}]
    if not amounts or min(amounts.values()) <= 0:
        raise InputError(f"'{text[:80]}' is not a composition")
    values = [float(n) for n in amounts.values()]
    divisor = gcd(*(int(n) for n in values)) if all(n.is_integer() for n in values) else 1
    return "".join(f"{s}{n / divisor:.12g}" if n != divisor else s for s, n in sorted(amounts.items()))


def _number(text: str, whole: str) -> float:
    try:
        return float(text) if text else 1.0
    except ValueError:
        raise InputError(f"'{whole[:80]}' is not a composition: '{text}' is not a number") from None
