"""Compare the Cartesian coordinates of a CIF with its fractional ones, where it gives both.

The axes are those of a matrix that the file gives, of a common convention, or any others: then distances decide.
"""

from __future__ import annotations

import numpy as np

from asugnn.cif_sites import is_number, to_float
from asugnn.cif_syntax import CifBlock
from asugnn.crystal import Floats
from asugnn.errors import InputError

CARTESIAN = [f"_atom_site_cartn_{axis}" for axis in "xyz"]
MATRIX = [[f"_atom_sites_cartn_tran_matrix_{i}{j}" for j in "123"] for i in "123"]
TOLERANCE = 0.1  # angstrom: coordinates are rounded to two decimals at least
# Vectors of the cell in the order in which they span a line, a plane and the space, and the axes of these.
CONVENTIONS = [((0, 1, 2), (0, 1, 2)), ((2, 0, 1), (2, 0, 1)), ((2, 1, 0), (2, 1, 0)), ((1, 0, 2), (1, 0, 2))]


def check_cartesian(block: CifBlock, names: list[str], frac_coords: Floats, lattice: Floats) -> None:
    """Raise `InputError` where the Cartesian coordinates of sites are not their fractional ones (n, 3) in the cell.

    Both may be shifted by one vector, and in a known orientation each site by vectors of the cell.
    """
    columns = [block.column(tag) for tag in CARTESIAN]
    if any(len(column) not in (0, len(names)) for column in columns):
        raise InputError("the columns of _atom_site have different lengths: they must stand in one loop_")
    rows = [i for i, row in enumerate(zip(*columns, strict=False)) if all(map(is_number, row))]
    if len(rows) < 2:
        return
    cartesian = np.array([[to_float(columns[axis][i]) for axis in range(3)] for i in rows])  # (rows, 3)
    fractions = frac_coords[rows]
    errors = [_find_errors_in_cell(cartesian, fractions, cell) for cell in _list_orientations(block, lattice)]
    errors.append(_find_errors_by_rotation(cartesian, fractions @ lattice))
    best = min(errors, key=max)
    if best.max() > TOLERANCE:
        name = names[rows[int(best.argmax())]]
        raise InputError(
            f"its Cartesian and fractional coordinates differ, by {best.max():.2g} angstrom at {name}: which are right?"
        )


def _list_orientations(block: CifBlock, lattice: Floats) -> list[Floats]:
    """The vectors of the cell (3, 3), as rows, in the axes that the file gives and in those of conventions."""
    texts = [[block.text(tag) or "" for tag in row] for row in MATRIX]
    if all(is_number(text) for row in texts for text in row):
        return [np.array([[to_float(text) for text in row] for row in texts]).T]
    metric = lattice @ lattice.T
    cells = []
    for vectors, axes in CONVENTIONS:
        cell = np.zeros((3, 3))
        cell[np.ix_(vectors, axes)] = np.linalg.cholesky(metric[np.ix_(vectors, vectors)])
        cells.append(cell)
    return cells


def _find_errors_in_cell(cartesian: Floats, fractions: Floats, cell: Floats) -> Floats:
    """Distances (n,) between sites and their Cartesian coordinates, modulo the cell, the first site being right."""
    if abs(np.linalg.det(cell)) < 1e-6:
        return np.full(len(fractions), np.inf)
    shifts = cartesian @ np.linalg.inv(cell) - fractions
    shifts -= shifts[0]
    return np.array(np.linalg.norm((shifts - np.round(shifts)) @ cell, axis=1))


def _find_errors_by_rotation(cartesian: Floats, positions: Floats) -> Floats:
    """Distances (n,) after the rotation that brings positions closest to the Cartesian coordinates (Kabsch 1976)."""
    ours, theirs = positions - positions.mean(axis=0), cartesian - cartesian.mean(axis=0)
    left, _, right = np.linalg.svd(ours.T @ theirs)
    turn = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right)) or 1.0])
    return np.array(np.linalg.norm(ours @ left @ turn @ right - theirs, axis=1))
