"""Find what a CIF claims about its symmetry without giving it: a crystal system, a Laue class, `?` for operations.

A file that says nothing about symmetry is taken to list all atoms of its cell. One that claims symmetry may list only
some of them, so it is refused where neither operations nor symbol or number of a space group are given.
"""

from __future__ import annotations

import re

from asugnn.cif_syntax import UNKNOWN, CifBlock
from asugnn.errors import InputError

FAMILIES = re.compile(
    r"^_symmetry|_space_?group|_crystal_system|_lattice_(system|type)|_cell_setting|_bravais|_pearson|_sg_|_wyckoff"
    r"|^_atom_site_site_symmetry|^_geom_\w+_symmetry"
)
NO_CLAIM = re.compile(r"_(entry_id|group_id|sg_id|comment|description|details|constraints_\w+)$")
# What P 1 is called: crystal system, symbols, Bravais type, numbers of its magnetic group, its only Wyckoff position.
TRICLINIC = {"triclinic", "anorthic", "p1", "1", "c1", "c1.1", "c1^1", "ap", "1.1", "1.1.1", "a", "1a", "a,b,c;0,0,0"}
CENTRED = {"-1", "p-1"}  # of P 1, where diffraction is described, which adds an inversion
SYSTEM_TAGS = ("_symmetry_cell_setting", "_space_group_crystal_system")
# The last number of the space groups of each crystal system.
SYSTEMS = {"triclinic": 2, "monoclinic": 15, "orthorhombic": 74, "tetragonal": 142, "hexagonal": 194, "cubic": 230}


def check_no_claim(block: CifBlock, givers: tuple[str, ...]) -> None:
    """Raise `InputError` where a block that gives no symmetry claims some, or calls it unknown by one of `givers`.

    `givers` are the tags of operations, symbols and numbers, of which none has a known value.
    """
    for tag in map(str.lower, givers):
        values = block.values.get(tag)
        if values is not None:  # all of them unknown, or none
            shown = f"unknown ('{values[0]}')" if values else "empty"
            raise InputError(
                f"{tag} is {shown}, and nothing else gives its symmetry: write out the symmetry operations, only x,y,z "
                "where all atoms of the cell are listed"
            )
    for tag, values in block.values.items():
        if FAMILIES.search(tag) and not NO_CLAIM.search(tag):
            for value in dict.fromkeys(values):
                if _claims_symmetry(tag, value):
                    raise InputError(
                        f"it claims symmetry ({tag} is '{value[:40]}') and gives neither symmetry operations nor a "
                        "symbol or number of a space group: write out the operations, only x,y,z where all atoms of "
                        "the cell are listed"
                    )


def check_crystal_system(block: CifBlock, number: int | None) -> None:
    """Raise `InputError` where the crystal system is not that of space group `number`, known by operations alone.

    Trigonal groups are called trigonal, rhombohedral or hexagonal.
    """
    for tag in SYSTEM_TAGS:
        stated = (block.text(tag) or "").lower()
        stated = "hexagonal" if stated in {"trigonal", "rhombohedral"} else stated
        if number is None or stated not in SYSTEMS:
            continue
        system = next(name for name, last in SYSTEMS.items() if number <= last)
        if stated != system:
            raise InputError(
                f"{tag} is '{stated}', and its symmetry operations are those of space group number {number}, which is "
                f"{system}: which is right?"
            )


def _claims_symmetry(tag: str, value: str) -> bool:
    if value in UNKNOWN:
        return False
    if tag.startswith("_geom"):  # the number of an operation and a translation: 3_655
        return re.fullmatch(r"0*1(_\d+)?|1?555", value) is None
    name = re.sub(r"[\s_()]", "", value).lower()
    name = re.sub(r"^ap\d*$", "ap", name)  # a Pearson symbol counts the atoms
    return name not in TRICLINIC and not (name in CENTRED and ("laue" in tag or "patterson" in tag))
