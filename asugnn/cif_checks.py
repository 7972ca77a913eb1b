"""Compare a crystal that was read from a CIF with what else the file says of it: formula, Z, volume, multiplicities."""

from __future__ import annotations

import re
from collections import Counter
from math import gcd

from asugnn.cif_syntax import CifBlock
from asugnn.crystal import ATOMIC_NUMBERS, SYMBOLS, Crystal
from asugnn.errors import InputError

VOLUME_TOLERANCE = 0.01  # of _cell_volume
MOST_CELLS = 1000  # in a supercell; of larger ratios, many are near whole numbers
DENSITY, DENSITY_TOLERANCE = "_exptl_crystal_density_diffrn", 0.2
DALTON = 1.66053907  # in g/cm3 times cubic angstrom
FORMULA_TOLERANCE = 0.01  # of an amount
SITE_ORDER = "_atom_site_site_symmetry_order"
MULTIPLICITIES = ("_atom_site_symmetry_multiplicity", "_atom_site_site_symmetry_multiplicity")


def check_volume(block: CifBlock, crystal: Crystal) -> None:
    """Raise `InputError` where _cell_volume is not the volume of the cell, within 1 %."""
    stated = _read_number(block, "_cell_volume")
    if stated is not None and abs(stated - crystal.volume) > VOLUME_TOLERANCE * crystal.volume:
        raise InputError(
            f"_cell_volume is {stated:g}, and the volume of its cell is {crystal.volume:.4g} cubic angstrom"
            f"{_describe_multiple(stated / crystal.volume)}: which is right?"
        )


def _describe_multiple(ratio: float) -> str:
    """Say that one volume is a whole multiple of the other, as those of a supercell and its cell are."""
    whole = round(max(ratio, 1 / ratio))
    if whole < 2 or whole > MOST_CELLS or abs(max(ratio, 1 / ratio) - whole) > VOLUME_TOLERANCE * whole:
        return ""
    which = "_cell_volume may be that of a supercell" if ratio > 1 else "the cell may be a supercell"
    return f", a factor of {whole} ({which})"


def check_multiplicities(block: CifBlock, names: list[str], found: list[int], operations: int) -> None:
    """Raise `InputError` where the stated multiplicity of a site is not the number of its images.

    Some programs write the order of the site symmetry by the same name, 1 for a general position: accepted if so for
    all sites. Where that order has its own tag, it must be the number of operations over that of images.
    """
    orders = block.column(SITE_ORDER)
    for i, (text, count) in enumerate(zip(orders, found, strict=False)):
        if re.fullmatch(r"[1-9]\d{0,8}", text) and int(text) * count != operations:
            raise InputError(
                f"site {i + 1} ({names[i]}) has {SITE_ORDER} {text}, and its symmetry operations make it "
                f"{operations // count}: is the setting of the space group another one?"
            )
    column = block.column(*MULTIPLICITIES)
    if len(column) != len(found):
        return
    stated = [(i, int(text)) for i, text in enumerate(column) if re.fullmatch(r"\d{1,9}", text)]
    wrong = [(i, count) for i, count in stated if count != found[i]]
    if wrong and any(count * found[i] != operations for i, count in stated):
        i, count = wrong[0]
        raise InputError(
            f"site {i + 1} ({names[i]}) has multiplicity {count}, and its symmetry operations make {found[i]} of it: "
            "is the setting of the space group another one?"
        )


def check_formula(block: CifBlock, crystal: Crystal) -> bool:
    """Raise `InputError` where _chemical_formula_sum, times _cell_formula_units_Z, is not what the cell holds.

    Return whether both are given, and so confirm every atom. Some programs write the content of the cell as formula,
    with the Z of its reduced formula: accepted too.
    """
    text = block.text("_chemical_formula_sum")
    amounts = parse_formula(text) if text else None
    stated = _read_number(block, "_cell_formula_units_Z")
    if text is None or amounts is None:
        if stated is not None and max(Counter(crystal.numbers.tolist()).values()) < stated:
            raise InputError(
                f"_cell_formula_units_Z is {stated:g}, and its cell holds fewer atoms of each element: are atoms or "
                "symmetry operations missing?"
            )
        return False
    formula = Counter[int]()
    for symbol, amount in amounts.items():
        formula[ATOMIC_NUMBERS[symbol]] += amount  # type: ignore[assignment]  # amounts may be broken
    content = Counter(crystal.numbers.tolist())
    if different := sorted(formula.keys() ^ content.keys()):
        symbol = SYMBOLS[different[0] - 1]
        raise InputError(f"its formula '{text}' and its atoms disagree about {symbol}: are atoms missing?")
    units = [content[number] / formula[number] for number in formula]
    cell = " ".join(f"{SYMBOLS[number - 1]}{count}" for number, count in sorted(content.items()))
    if max(units) > (1 + FORMULA_TOLERANCE) * min(units):
        raise InputError(f"its formula '{text}' and its atoms ({cell} in the cell) disagree: are atoms missing?")
    whole = abs(units[0] - 1) <= FORMULA_TOLERANCE and stated and gcd(*content.values()) % stated == 0
    if stated is not None and abs(units[0] - stated) > FORMULA_TOLERANCE * stated and not whole:
        raise InputError(
            f"its formula '{text}' times _cell_formula_units_Z, {stated:g}, is not what its sites and symmetry make "
            f"({cell} in the cell): which is right?"
        )
    return stated is not None


def check_density(block: CifBlock, crystal: Crystal) -> None:
    """Raise `InputError` where the density computed by the authors is not that of the atoms, within 20 %.

    It confirms less than formula and Z, and is not compared beside both: deuterium is read as hydrogen.
    """
    from pymatgen.core import Element

    stated = _read_number(block, DENSITY)
    mass = sum(float(Element(SYMBOLS[number - 1]).atomic_mass) for number in crystal.numbers.tolist())
    found = mass / crystal.volume * DALTON
    if stated is not None and abs(stated - found) > DENSITY_TOLERANCE * found:
        raise InputError(
            f"{DENSITY} is {stated:g}, and its atoms have {found:.4g} g/cm3: are atoms or symmetry operations missing?"
        )


def parse_formula(text: str) -> dict[str, float] | None:
    """Parse a formula such as `C4 H6 O2` or `Fe0.95O` to amounts by element; None where it is none."""
    compact = re.sub(r"[\s,]", "", text)
    terms = re.findall(r"([A-Z][a-z]?)(\d*\.?\d*)", compact)
    if "".join(symbol + amount for symbol, amount in terms) != compact or len(compact) > 1000:
        return None
    amounts: dict[str, float] = {}
    for symbol, amount in terms:
        if symbol not in ATOMIC_NUMBERS or amount == ".":
            return None
        amounts[symbol] = amounts.get(symbol, 0.0) + float(amount or 1)
    return amounts if amounts and all(amounts.values()) else None


def _read_number(block: CifBlock, tag: str) -> float | None:
    """Return the number of a tag without its uncertainty, or None where it has no positive number."""
    text = re.sub(r"\(.*", "", block.text(tag) or "")
    number = float(text) if re.fullmatch(r"\+?\d{1,12}(\.\d*)?([eE][+-]?\d{1,2})?", text) else 0.0
    return number if number > 0 else None
