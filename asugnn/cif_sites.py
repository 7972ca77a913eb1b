"""Read the atom sites of a CIF: as many as lines, each one whole atom of a known element at a known place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asugnn.cif_symbols import find_elements
from asugnn.cif_syntax import UNKNOWN, CifBlock
from asugnn.crystal import MAX_COORDINATE, Floats
from asugnn.errors import InputError
from asugnn.limits import ATOMS, check_limit
from asugnn.reading import DECIMAL

FRACTIONS = [f"_atom_site_fract_{axis}" for axis in "xyz"]
MODULATED = (
    "_cell_wave_vector",
    "_atom_site_fourier",
    "_atom_site_displace",
    "_atom_site_occ_fourier",
    "_atom_site_occ_special",
    "_space_group_ssg",
    "_space_group_symop_ssg",
    "_space_group_magn_ssg",
    "_symmetry_ssg",
)


@dataclass(frozen=True)
class Sites:
    """The listed atoms: labels, atomic numbers, fractional coordinates (n, 3) and half a unit of their last digits."""

    names: list[str]
    numbers: list[int]
    frac_coords: Floats
    rounding: Floats  # (n, 3)


def read_sites(block: CifBlock) -> Sites:
    """Read the sites of a block; raises `InputError` that names the site, for dummies, disorder and modulation too."""
    if dimension := block.text("_cell_modulation_dimension"):
        if dimension != "0":
            raise InputError(f"it is a modulated structure (_cell_modulation_dimension {dimension}): average it first")
    elif tag := block.has_prefix(*MODULATED):
        raise InputError(f"it is a modulated structure (it has {tag}): only three-dimensional crystals are read")
    columns = [block.column(tag) for tag in FRACTIONS]
    n = len(columns[0])
    check_limit(n, ATOMS, "sites")
    for tag, values in zip(FRACTIONS, columns, strict=True):
        if not values:
            raise InputError(f"it lacks {tag}: fractional coordinates are needed")
    types, labels = block.column("_atom_site_type_symbol"), block.column("_atom_site_label")
    if not types and not labels:
        raise InputError("it has neither _atom_site_label nor _atom_site_type_symbol: which elements are its atoms?")
    names = labels or types
    optional = ["occupancy", "calc_flag", "attached_hydrogens"]
    columns += [names, types or names, *(block.column(f"_atom_site_{tag}") or ["."] * n for tag in optional)]
    if any(len(column) != n for column in columns):
        raise InputError("the columns of _atom_site have different lengths: they must stand in one loop_")
    for i, (*coords, name, _, occupancy, flag, hydrogens) in enumerate(zip(*columns, strict=True), 1):
        _check_row(f"site {i} ({name})", coords, occupancy, flag, hydrogens)
    return Sites(
        names,
        find_elements(types, labels, block.text("_chemical_formula_sum")),
        np.array([[to_float(value) for value in column] for column in columns[:3]]).T,
        np.array([[half_unit(value) for value in column] for column in columns[:3]]).T,
    )


def _check_row(site: str, coords: Sequence[str], occupancy: str, flag: str, hydrogens: str) -> None:
    if flag.lower() == "dum":
        raise InputError(f"{site} is a dummy (_atom_site_calc_flag dum): remove it")
    for axis, value in zip("xyz", coords, strict=True):
        if not is_number(value) or abs(to_float(value)) > MAX_COORDINATE:
            raise InputError(f"{site} has coordinate {axis} '{value}': it must be a number, at most {MAX_COORDINATE:g}")
    if occupancy not in UNKNOWN and not (is_number(occupancy) and to_float(occupancy) == 1):
        raise InputError(f"{site} has occupancy {occupancy}: every site must be fully occupied by one atom")
    if hydrogens not in UNKNOWN and not (is_number(hydrogens) and to_float(hydrogens) == 0):
        raise InputError(f"{site} has {hydrogens} hydrogen atoms without coordinates: add them")


def check_disorder(block: CifBlock, names: list[str]) -> None:
    """Raise `InputError` for two disorder groups of one assembly: they exclude each other, so not all are occupied."""
    groups = block.column("_atom_site_disorder_group")
    assemblies = block.column("_atom_site_disorder_assembly")
    if len(assemblies) != len(groups):
        assemblies = ["."] * len(groups)
    if len(groups) > len(names):
        raise InputError("the columns of _atom_site have different lengths: they must stand in one loop_")
    first: dict[str, tuple[int, str]] = {}
    for i, (group, assembly) in enumerate(zip(groups, assemblies, strict=True)):
        if group in (*UNKNOWN, "0"):
            continue
        j, other = first.setdefault(assembly, (i, group))
        if other != group or group.startswith("-"):
            raise InputError(
                f"sites {j + 1} ({names[j]}) and {i + 1} ({names[i]}) are in disorder groups {other} and {group}, "
                "which exclude each other: every site must be fully occupied by one atom"
            )


def to_float(text: str) -> float:
    """Return the number that a text is, without its uncertainty."""
    return float(_drop_uncertainty(text))


def half_unit(text: str) -> float:
    """Half a unit of the last decimal of a number, such as 0.0005 for 0.333; 0 for one without decimals."""
    mantissa, _, exponent = _drop_uncertainty(text).lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    return 0.5 * 10.0 ** (max(-300, min(300, int(exponent or 0))) - decimals) if decimals else 0.0


def _drop_uncertainty(text: str) -> str:
    """Remove the standard uncertainty in brackets behind a number."""
    return re.sub(r"\(\d*\)?$", "", text)


def is_number(text: str) -> bool:
    """Whether a text is a number of CIF, such as -1.5, .5 or 5.64(1)."""
    return re.fullmatch(rf"[+-]?{DECIMAL}([eE][+-]?\d{{1,9}})?", _drop_uncertainty(text)) is not None
