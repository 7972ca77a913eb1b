"""Tell the elements of the sites of a CIF by their type symbols or labels.

One rule: a type symbol is the symbol of an element, perhaps with a charge; a label is such a symbol, perhaps with a
number behind it. Anything else, such as `OW1`, `SiT1` or `CL1`, is read only where _chemical_formula_sum confirms it.
Without a formula, a column of type symbols all in capitals is read too: `NA` and `CO` are sodium and cobalt, because
a type symbol names one element and never two atoms. A label in capitals may name two, as `CO1` and `HO1` do.
"""

from __future__ import annotations

import re
from collections.abc import Set

from asugnn.cif_checks import parse_formula
from asugnn.cif_syntax import UNKNOWN
from asugnn.crystal import ATOMIC_NUMBERS, HEAVIEST_IN_CAPITALS
from asugnn.errors import InputError

ELEMENTS = ATOMIC_NUMBERS.keys() - {"T"}  # in a CIF, T is a tetrahedral site
CHARGE = r"(?:\d*(?:\.\d*)?[+-]|[+-]?\d+(?:\.\d*)?)?"
TYPE = re.compile(rf"([A-Z][a-z]?){CHARGE}")
CAPITALS = re.compile(r"([A-Z]{2})(?:\d*[+-]|[+-]\d+|0)?")
LABEL = re.compile(r"([A-Z][a-z]?)(?:[+-]|[_(*'#.~-]?[+-]?\d[^/,&;|]*|[*']+)?")


def find_elements(types: list[str], labels: list[str], formula: str | None) -> list[int]:
    """Return the atomic numbers of the sites; raises `InputError` that names the first site that is no element."""
    in_formula = (parse_formula(formula) or {}).keys() if formula else set()
    capitals = not in_formula and not any(re.match("[A-Z][a-z]", kind) for kind in types)
    numbers = []
    for i, (kind, label) in enumerate(zip(types or labels, labels or types, strict=True), 1):
        typed = bool(types) and kind not in UNKNOWN
        symbol = _strict_symbol(kind, TYPE) if typed else _strict_symbol(label, LABEL)
        if symbol is None:
            symbol = _confirmed_symbol(kind if typed else label, in_formula)
        if symbol is None and typed and capitals:
            symbol = _symbol_in_capitals(kind)
        if symbol is None:
            raise InputError(
                f"site {i} is '{(kind if typed else label)[:60]}': this is not an element. Give the element of each "
                f"site as _atom_site_type_symbol, such as Na or Fe3+"
            )
        if typed and labels:
            _check_label(i, label, symbol, in_formula)
        numbers.append(ATOMIC_NUMBERS[symbol])
    return numbers


def _check_label(site: int, label: str, symbol: str, in_formula: Set[str]) -> None:
    """Raise `InputError` where a label names another element than the type symbol, and the formula does not decide.

    A label that begins with the type symbol agrees with it: `Ca1` may be an alpha carbon of type C.
    """
    named = _strict_symbol(label, LABEL)
    if named is None or ATOMIC_NUMBERS[named] == ATOMIC_NUMBERS[symbol] or label.upper().startswith(symbol.upper()):
        return
    if not (symbol in in_formula and named not in in_formula):
        raise InputError(f"site {site} has the label '{label[:60]}' and the type symbol of {symbol}: which is right?")


def _strict_symbol(text: str, pattern: re.Pattern[str]) -> str | None:
    """Return the one element that a type symbol or label names, or None."""
    found = pattern.fullmatch(text)
    if not found or found[1] not in ELEMENTS:
        return None
    parts = re.findall(r"[A-Z][a-z]?", text) if re.fullmatch(r"(?:[A-Z][a-z]?\d*)+", text) else []
    return found[1] if len({part for part in parts if part in ELEMENTS}) <= 1 else None  # H2O, MgFe


def _symbol_in_capitals(text: str) -> str | None:
    """Return the one element that a type symbol such as `NA` or `CL1-` names, or None."""
    found = CAPITALS.fullmatch(text)
    symbol = found[1].title() if found else ""
    return symbol if ATOMIC_NUMBERS.get(symbol, HEAVIEST_IN_CAPITALS + 1) <= HEAVIEST_IN_CAPITALS else None


def _confirmed_symbol(text: str, in_formula: Set[str]) -> str | None:
    """Return the element of the formula that a text begins with, in any capitals, or None if it is none or two."""
    found = {part.title() for part in (text[:2], text[:1]) if part.isalpha()} & in_formula & ELEMENTS
    return found.pop() if len(found) == 1 else None
