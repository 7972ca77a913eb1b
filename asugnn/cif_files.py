"""Read CIF by pymatgen, and refuse what it would guess.

pymatgen repairs much of what a CIF leaves open and only warns. Here a missing coordinate, an unknown element, a partial
occupancy, a space group without known operations, or a formula that contradicts the atoms is an error.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from asugnn.crystal import ATOMIC_NUMBERS
from asugnn.errors import InputError
from asugnn.limits import ATOMS, CIF_BLOCK_BYTES, check_limit

CELL_KEYS = [f"_cell_length_{axis}" for axis in "abc"] + [
    f"_cell_angle_{angle}" for angle in ("alpha", "beta", "gamma")
]
SITE_KEYS = ["_atom_site_label", *(f"_atom_site_fract_{axis}" for axis in "xyz")]

MOST_OPERATIONS = 192  # of a space group, in its conventional cell
SENTENCES = {  # warnings of pymatgen to our errors
    r"^(.*) parsed as": "'{}' is not the symbol of an element: write 'Na', not 'NA' or 'Na_site'",
    r"Possible issue in CIF file at line: (.*)": "the text '{}' belongs to no key",
    r"implicit hydrogens": "it has hydrogen atoms without coordinates: add them",
    r"Missing elements (\w+)": "its formula and its atoms disagree about {}: are atoms missing?",
    r"Incorrect stoichiometry": "its formula and its atoms disagree: are atoms missing?",
}


def split_cif(text: str) -> list[str]:
    """Split the text of a CIF into its data blocks; those without atoms are dropped."""
    blocks = [f"data_{block}" for block in re.split(r"^\s*data_", text, flags=re.MULTILINE)[1:]]
    return [block for block in blocks if re.search(r"^\s*_atom_site_(fract|cartn|label)", block, re.M | re.I)]


def parse_cif_block(text: str) -> Any:
    """Read one data block as pymatgen's `Structure`, in the cell of the file.

    Raises `InputError` for whatever pymatgen would have to guess, for partial occupancies, for two coinciding atoms,
    and for symmetry operations that do not fit the cell.
    """
    from pymatgen.io.cif import CifParser

    check_limit(len(text), CIF_BLOCK_BYTES, "bytes in one data block")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        # Coordinates with four decimals make copies of one atom that differ by some 1e-4.
        parser = CifParser.from_str(text, site_tolerance=1e-3)
        (block,) = parser._cif.data.values()
        check_limit(len(block.data.get("_atom_site_label") or ()), ATOMS, "sites")
        _check_sites(block.data)
        _check_images(block.data, lambda: len(parser.get_symops(block)))
        try:
            (structure,) = parser.parse_structures(primitive=False, on_error="raise")
        except ValueError as error:
            if "exceeded tolerance" in str(error):
                raise InputError("two atoms coincide: remove one of them") from error
            flat = re.search("below threshold|Singular", str(error))
            raise InputError("the cell has no volume" if flat else str(error).splitlines()[-1]) from error
    guesses = [*(str(warning.message) for warning in caught), *parser.warnings]
    for pattern, sentence in SENTENCES.items():
        if match := next((m for guess in guesses if (m := re.search(pattern, guess))), None):
            raise InputError(sentence.format(*match.groups()))
    if any("Defaulting to P1" in guess for guess in guesses) and _names_space_group(block.data):
        raise InputError("its space group is not known by that name: write out the symmetry operations")
    if "implicit_hydrogens" in structure.site_properties:  # an O and an H coincide
        raise InputError("it has hydrogen atoms without coordinates: add them")
    metric = structure.lattice.matrix @ structure.lattice.matrix.T
    for operation in parser.symmetry_operations:
        transformed = operation.rotation_matrix.T @ metric @ operation.rotation_matrix
        if not np.allclose(transformed, metric, atol=0.02 * metric.max()):
            raise InputError("its symmetry does not fit its cell: is the setting of the space group another one?")
    return structure


def _check_sites(data: dict[str, Any]) -> None:
    """Refuse what pymatgen misreads: '.' as the number 0, occupancy 0 as no atom, 'Vac' as vanadium."""
    if missing := [key for key in (*CELL_KEYS, *SITE_KEYS) if not data.get(key)]:
        raise InputError(
            f"it lacks {missing[0]}: pymatgen needs the cell, and fractional coordinates in lower-case keys"
        )
    for key in CELL_KEYS:
        if not _is_number(data[key]) or float(_without_uncertainty(data[key])) <= 0:
            raise InputError(f"{key} is '{data[key]}': it must be a positive number")
    names = data["_atom_site_label"]
    if isinstance(names, str):
        raise InputError("its atoms must be listed in a loop_")
    for axis in "xyz":
        for i, value in enumerate(data[f"_atom_site_fract_{axis}"]):
            if not _is_number(value):
                raise InputError(f"site {i + 1} ({names[i]}) has coordinate {axis} '{value}': it must be a number")
    for i, value in enumerate(data.get("_atom_site_occupancy", [])):
        if value != "?" and not (_is_number(value) and float(_without_uncertainty(value)) == 1):
            raise InputError(
                f"site {i + 1} ({names[i]}) has occupancy {value}: every site must be fully occupied by one atom"
            )
    for i, value in enumerate(data.get("_atom_site_type_symbol", [])):
        if (letters := re.match(r"[A-Za-z]*", value)) and letters[0].title() not in ATOMIC_NUMBERS:
            raise InputError(f"site {i + 1} is '{value}': this is not an element")


def _check_images(data: dict[str, Any], count_operations: Callable[[], int]) -> None:
    """Refuse more images of atoms than a crystal may have: pymatgen compares all of them with one another."""
    sites = len(data["_atom_site_label"])
    keys = [key for key in data if re.search("symop|equiv_pos", key, re.I) and isinstance(data[key], list)]
    listed = max((len(data[key]) for key in keys if "centering" not in key), default=0)
    centred = max((len(data[key]) for key in keys if "centering" in key), default=1)
    images = sites * (listed * centred or MOST_OPERATIONS)
    if images > ATOMS and not listed:
        images = sites * count_operations()  # of the space group that it names, which takes longer
    check_limit(images, ATOMS, "images of its atoms under its symmetry operations")


def _without_uncertainty(text: str) -> str:
    """Remove the standard uncertainty in brackets behind a number."""
    return re.sub(r"\(\d*\)?$", "", text)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", _without_uncertainty(text)) is not None


def _names_space_group(data: dict[str, Any]) -> bool:
    """Whether the block names a space group other than P1."""
    pattern = r"space_group_(name|IT_number)|Int_Tables_number"
    names = [str(value) for key, value in data.items() if re.search(pattern, key, re.I)]
    return any(re.sub(r"[\s_]", "", name) not in {"P1", "1", "?", ".", ""} for name in names)
