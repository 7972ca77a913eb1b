"""Read a data block of a CIF as a crystal, and refuse what would have to be guessed.

What the block leaves open is refused: a missing coordinate, a label that is no element, a partial occupancy, a space
group with two origins. What it says twice is compared: operations and space group, Cartesian and fractional coordinates
(`asugnn.cif_cartesian`), and in `asugnn.cif_checks` formula and Z, volume and multiplicity.
"""

from __future__ import annotations

import numpy as np

from asugnn.cif_cartesian import check_cartesian
from asugnn.cif_checks import check_density, check_formula, check_multiplicities, check_volume
from asugnn.cif_sites import check_disorder, is_number, read_sites, to_float
from asugnn.cif_symmetry import read_symmetry
from asugnn.cif_syntax import CifBlock
from asugnn.crystal import MAX_LENGTH, MIN_DISTANCE, Crystal, Floats, find_coinciding_pair
from asugnn.errors import InputError, prefix_errors
from asugnn.space_groups import Operations

CELL_TAGS = [
    *(f"_cell_length_{axis}" for axis in "abc"),
    *(f"_cell_angle_{angle}" for angle in ("alpha", "beta", "gamma")),
]
MOST_ROUNDING = 0.2  # angstrom: no rounding of coordinates moves an atom further


def crystal_from_cif(block: CifBlock) -> Crystal:
    """Read one data block as a crystal, in the cell of the file.

    Images of a site under the symmetry operations are one atom if they are closer than 0.05 angstrom, or if the digits
    of its coordinates allow it (0.333 for 1/3) and they are closer than 0.2 angstrom; the atom then lies at their mean,
    on its symmetry element. Raises `InputError` for whatever would have to be guessed, for what the block says twice
    and differently, for partial occupancies, and for two coinciding sites.
    """
    lattice = _read_lattice(block)
    sites = read_sites(block)
    check_cartesian(block, sites.names, sites.frac_coords, lattice)
    operations = read_symmetry(block, lattice, len(sites.numbers))
    orbits = []
    for i, name in enumerate(sites.names):
        with prefix_errors(f"site {i + 1} ({name})"):
            orbits.append(_expand(sites.frac_coords[i], sites.rounding[i], operations, lattice))
    owners = np.repeat(np.arange(len(orbits)), [len(orbit) for orbit in orbits])  # (atoms,) the site of each
    frac_coords = np.concatenate(orbits)
    if pair := find_coinciding_pair(lattice, frac_coords):
        i, j = sorted(owners[list(pair)])
        first, second = (f"{k + 1} ({sites.names[k]})" for k in (i, j))
        raise InputError(f"sites {first} and {second} coincide (closer than {MIN_DISTANCE} angstrom): remove one")
    crystal = Crystal(lattice, frac_coords, np.array(sites.numbers)[owners])
    check_volume(block, crystal)
    check_multiplicities(block, sites.names, [len(orbit) for orbit in orbits], len(operations))
    if not check_formula(block, crystal):
        check_density(block, crystal)
        check_disorder(block, sites.names)
    return crystal


def _read_lattice(block: CifBlock) -> Floats:
    from pymatgen.core import Lattice

    parameters = []
    for tag in CELL_TAGS:
        if (value := block.text(tag)) is None and not block.column(tag):
            raise InputError(f"it lacks {tag}")
        if value is None or not is_number(value) or not 0 < to_float(value) <= MAX_LENGTH:
            raise InputError(
                f"{tag} is '{value or block.column(tag)[0]}': it must be a positive number, at most {MAX_LENGTH:g}"
            )
        parameters.append(to_float(value))
    if not all(0 < angle < 180 for angle in parameters[3:]):
        raise InputError("the cell has no volume: its angles must lie between 0 and 180 degrees")
    cosines = np.cos(np.radians(parameters[3:]))
    if 1 - (cosines**2).sum() + 2 * cosines.prod() < 1e-9:
        raise InputError("the cell has no volume: no three vectors have these angles")
    return np.array(Lattice.from_parameters(*parameters).matrix)


def _expand(position: Floats, rounding: Floats, operations: Operations, lattice: Floats) -> Floats:
    """Return the images (m, 3) of a position (3,) under the operations, in the cell, each once."""
    images = operations.rotations @ position + operations.translations  # (operations, 3)
    shifts = images - position
    shifts -= np.round(shifts)
    allowed = np.abs(operations.rotations - np.eye(3)) @ rounding  # (operations, 3)
    distances = np.linalg.norm(shifts @ lattice, axis=1)
    rounded = (np.abs(shifts) <= allowed + 1e-9).all(axis=1) & (distances < MOST_ROUNDING)
    fixing = (distances < MIN_DISTANCE) | rounded  # operations that leave the atom where it is
    if fixing.sum() == 1:
        return images - np.floor(images)
    position = position + shifts[fixing].mean(axis=0)
    images = operations.rotations @ position + operations.translations
    images -= np.floor(images)
    apart = images[:, None] - images[None]  # (operations, operations, 3)
    coincide = np.linalg.norm((apart - np.round(apart)) @ lattice, axis=2) < MIN_DISTANCE / 10
    orbit: Floats = images[~np.tril(coincide, -1).any(axis=1)]
    if len(orbit) * fixing.sum() != len(operations):
        raise InputError("it is close to a symmetry element, but not on it: give its coordinates with more digits")
    return orbit
