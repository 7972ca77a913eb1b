"""Read the symmetry of a CIF: the operations that it lists, else those of the one setting that it names.

A space group that leaves the setting open is refused: 24 groups have two origins. Whether axes are hexagonal or
rhombohedral, the cell decides. Listed operations must be a group, and that of the space group named.
"""

from __future__ import annotations

import re
from itertools import product

from asugnn.cif_symmetry_claims import check_crystal_system, check_no_claim
from asugnn.cif_syntax import UNKNOWN, CifBlock
from asugnn.crystal import Floats
from asugnn.errors import InputError
from asugnn.limits import ATOMS, CIF_OPERATIONS, check_limit
from asugnn.space_groups import SUFFIX, Operations, Setting, check_group, find_number, find_settings, parse_operations

OPERATIONS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
MAGNETIC_OPERATIONS, MAGNETIC_CENTRING = (f"_space_group_symop_magn_{kind}_xyz" for kind in ("operation", "centering"))
SYMBOLS = (
    "_space_group_name_H-M_alt",
    "_symmetry_space_group_name_H-M",
    "_symmetry_space_group_name_H_M",
    "_space_group_name_H-M_ref",
    "_space_group_name_H-M_full",
    "_space_group_name_H-M",
)
HALL_SYMBOLS = ("_space_group_name_Hall", "_symmetry_space_group_name_Hall")
NUMBERS = ("_space_group_IT_number", "_symmetry_Int_Tables_number")
CODE = "_space_group_IT_coordinate_system_code"


def read_symmetry(block: CifBlock, lattice: Floats, sites: int) -> Operations:
    """Read the operations of a block for its cell, rows `lattice` (3, 3), and that many sites."""
    settings, named, exact = _find_named_settings(block)
    if listed := _read_operations(block, sites):
        operations, magnetic = listed
        if not operations.fit(lattice):
            raise InputError("its symmetry operations do not fit its cell")
        if not settings and not magnetic:
            check_crystal_system(block, find_number(operations))
        if settings and not magnetic and (number := find_number(operations)) != settings[0].number:
            raise InputError(
                f"its {len(operations)} symmetry operations are those of space group number {number or 'unknown'}, and "
                f"it names {settings[0].name}, number {settings[0].number}: which is right?"
            )
        if (
            settings
            and exact
            and not magnetic
            and not any(operations.same_as(setting.operations()) for setting in settings)
        ):
            raise InputError(
                f"its symmetry operations are those of another setting or origin than {settings[0].name} (Hall symbol "
                f"'{settings[0].hall}'), which it names: which is right?"
            )
        return operations
    if not settings:
        if named:
            raise InputError(f"{named} is not a space group that is known: write out the symmetry operations")
        check_no_claim(block, (*OPERATIONS, MAGNETIC_OPERATIONS, *SYMBOLS, *HALL_SYMBOLS, *NUMBERS))
        return parse_operations(["x,y,z"])
    fitting = [setting for setting in settings if setting.operations().fit(lattice)]
    if not fitting:
        raise InputError(
            f"the symmetry of {named} does not fit its cell: is the setting of the space group another one?"
        )
    _check_one_setting(fitting, named)
    operations = fitting[0].operations()
    check_limit(sites * len(operations), ATOMS, "images of its atoms under its symmetry operations")
    return operations


def _find_named_settings(block: CifBlock) -> tuple[list[Setting], str, bool]:
    """Find the settings of the space group that a block names, what names it, and whether axes and origin are named.

    A Hermann-Mauguin symbol does not name the origin: files list operations with an older one.
    """
    names, halls, numbers = (
        list(dict.fromkeys(text for tag in tags if (text := block.text(tag))))
        for tags in (SYMBOLS, HALL_SYMBOLS, NUMBERS)
    )
    for text in numbers:
        if not re.fullmatch(r"\d{1,3}", text) or not 1 <= int(text) <= 230:
            raise InputError(f"the number of its space group is '{text[:40]}': it must be one from 1 to 230")
    found: list[Setting] = []
    none: list[str | None] = [None]
    for name, hall, text in product(names or none, halls or none, numbers or none):
        more = find_settings(name, hall, int(text) if text else None, block.text(CODE))
        if found and more and found[0].number != more[0].number:
            raise InputError(f"its space group is named twice, as number {found[0].number} and {more[0].number}")
        # A symbol that is not known leaves the word to another one.
        found = [setting for setting in found if setting in more] or found or more
    named = next((f"'{text}'" for text in (*names, *halls)), next((f"number {text}" for text in numbers), ""))
    exact = any(find_settings(None, hall, None, None) for hall in halls) or any(map(SUFFIX.search, names))
    return found, named, exact or block.text(CODE) is not None


def _check_one_setting(settings: list[Setting], named: str) -> None:
    """Refuse a choice of origins, or between axes a and c; axis b is what a short monoclinic symbol means."""
    axis_b = 3 <= settings[0].number <= 15 and settings[0].code[:1] == "b"  # bca of orthorhombic groups is no axis
    if len(settings) == 1 or axis_b:
        return
    first = settings[0].operations()
    if all(setting.operations().same_as(first) for setting in settings[1:]):
        return
    listed = ", ".join(f"'{setting.name}'" for setting in settings)
    raise InputError(
        f"{named} leaves open which setting of the space group is meant ({listed}), and no symmetry operations are "
        f"listed: write them out, or give the setting by its symbol or by {CODE}"
    )


def _read_operations(block: CifBlock, sites: int) -> tuple[Operations, bool] | None:
    """Read the listed operations, and whether they are of a magnetic group; None where there are none."""
    listed = [block.column(tag) for tag in (MAGNETIC_OPERATIONS, *OPERATIONS)]
    magnetic, *plain = [texts if not set(texts) <= set(UNKNOWN) else [] for texts in listed]
    lists = [magnetic] if magnetic else [texts for texts in plain if texts]
    centring = block.column(MAGNETIC_CENTRING) if magnetic else []
    if not lists:
        return None
    count = max(map(len, lists)) * max(1, len(centring))
    check_limit(sites * count, ATOMS, "images of its atoms under its symmetry operations")
    check_limit(count, CIF_OPERATIONS, "symmetry operations")
    found = [parse_operations(texts) for texts in lists]
    if centring:
        found = [found[0].combined(parse_operations(centring))]
    if not found[0].same_as(found[-1]):
        raise InputError(f"{OPERATIONS[0]} and {OPERATIONS[1]} list different symmetry operations")
    return check_group(found[0]), bool(magnetic)
