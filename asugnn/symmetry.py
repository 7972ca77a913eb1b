"""The conventional cell of a crystal, its space group and its orbits, all from one tolerance.

moyopy finds them, in a tenth of the time that spglib takes; tests compare the two. The cell is that of the
International Tables, origin included, in spglib's choice of settings, but atoms and lattice are not idealised. It keeps
the hand of the crystal, so that a chiral crystal and its mirror image have different cells.

Where the space group leaves a choice (which of two equal axes comes first, which of two equivalent centres is the
origin), libraries choose by the rounding of the input. So the last step here chooses by the atoms alone among all
equally conventional cells, which are those that the Euclidean normaliser of the group exchanges. Where the group leaves
the origin free, as along the axis of a polar group, it stays as given, or on request is `settled` by the atoms: along
the free axes it is at an atom, chosen in the same way.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from asugnn.cell_settings import choose_settings, space_group
from asugnn.crystal import Crystal, Floats, Ints
from asugnn.errors import InputError

Origin = Literal["given", "settled"]

SYMPREC = 1e-3  # angstrom, the authors' tolerance; here for space group and orbits alike

# moyo warns that it drops operations of a supercell; those used here are of the primitive cell.
logging.getLogger("moyo").setLevel(logging.ERROR)


@dataclass(frozen=True, eq=False)
class ConventionalCell:
    """A crystal in its conventional cell.

    crystal
        The N atoms of the conventional cell, with fractional coordinates from -1e-4 to 1 - 1e-4.
    space_group
        Its number, 1 to 230.
    orbits
        (N,) the orbit of each atom, from 0: equal for atoms that the space group makes equivalent.
    primitive
        The same crystal in a primitive cell.
    free
        The axes, 0 to 2, along which the space group leaves the origin free.
    """

    crystal: Crystal
    space_group: int
    orbits: Ints
    primitive: Crystal
    free: tuple[int, ...]


def conventional_cell(crystal: Crystal, origin: Origin = "given") -> ConventionalCell:
    """Find the conventional cell of `crystal` (paper, section 2), which may be given in any cell and orientation.

    `origin` says where an origin is put that the space group leaves free: as `given`, or `settled` by the atoms. Raises
    `InputError` where no symmetry is found.
    """
    (found,) = conventional_cells([crystal], origin)
    if isinstance(found, InputError):
        raise found
    return found


def conventional_cells(crystals: Sequence[Crystal], origin: Origin = "given") -> list[ConventionalCell | InputError]:
    """Find the conventional cell of each crystal, or the error that `conventional_cell` raises, in less time.

    All B crystals go through each step together, their atoms end to end; no result depends on the other crystals.
    """
    # All three vectors of a left-handed cell are inverted.
    hands = np.sign(np.linalg.det(np.array([c.lattice for c in crystals]).reshape(-1, 3, 3)))
    found: list[Any] = [_find_symmetry(crystal, hand) for crystal, hand in zip(crystals, hands, strict=True)]
    kept = [i for i, dataset in enumerate(found) if not isinstance(dataset, InputError)]
    if kept:
        cells = _standardise([crystals[i] for i in kept], [found[i] for i in kept], hands[kept], origin)
        for i, cell in zip(kept, cells, strict=True):
            found[i] = cell
    return found


def _standardise(
    crystals: Sequence[Crystal], datasets: Sequence[Any], hand: Floats, origin: Origin
) -> Iterator[ConventionalCell]:
    groups = [space_group(dataset.hall_number) for dataset in datasets]
    firsts = [_first_atoms(dataset) for dataset in datasets]
    numbers = [crystal.numbers[first] for crystal, first in zip(crystals, firsts, strict=True)]
    lattice = hand[:, None, None] * np.array([c.lattice for c in crystals])  # (B, 3, 3)
    sizes = np.array([len(first) for first in firsts])  # (B,) atoms of the primitive cell, P in all
    crystal = np.repeat(np.arange(len(crystals)), sizes)  # (P,)
    frac = np.concatenate([c.frac_coords[first] for c, first in zip(crystals, firsts, strict=True)])
    frac *= hand[crystal, None]
    linear, prim_linear = (np.array([getattr(d, name) for d in datasets]) for name in ("std_linear", "prim_std_linear"))
    to_standard = np.linalg.inv(linear).transpose(0, 2, 1)
    shift = _transform(np.array([d.std_origin_shift for d in datasets]), to_standard)  # (B, 3)
    for i, group in enumerate(groups):
        shift[i, group.free] = 0
    standard = linear.transpose(0, 2, 1) @ lattice
    std_frac = _transform(frac, to_standard[crystal]) - shift[crystal]  # (P, 3)
    ends = np.cumsum(sizes).tolist()
    fracs = np.split(std_frac, ends[:-1])
    settings = choose_settings(standard, fracs, numbers, groups, settled=origin == "settled", symprec=SYMPREC)
    lattices = np.array([s.change for s in settings]) @ standard
    turned = _transform(std_frac, np.array([s.turn for s in settings])[crystal])
    turned += np.array([s.move for s in settings])[crystal]
    prim_lattices = prim_linear.transpose(0, 2, 1) @ lattice
    prim_frac = _transform(frac, np.linalg.inv(prim_linear).transpose(0, 2, 1)[crystal])
    for i, (dataset, group, first, z, end) in enumerate(zip(datasets, groups, firsts, numbers, ends, strict=True)):
        atoms, c = slice(end - len(z), end), len(group.centring)
        full_frac = (turned[atoms, None] + group.centring @ settings[i].turn).reshape(-1, 3)  # (N, 3)
        full_frac -= np.floor(full_frac + 1e-4)  # rounding must not move an atom at 0 to the far side of the cell
        renumbered: dict[int, int] = {}
        dataset_orbits = dataset.orbits
        orbits = np.array([renumbered.setdefault(dataset_orbits[k], len(renumbered)) for k in first])
        cell = Crystal.checked(lattices[i], full_frac, z.repeat(c))
        primitive = Crystal.checked(prim_lattices[i], prim_frac[atoms], z)
        yield ConventionalCell(cell, int(dataset.number), orbits.repeat(c), primitive, tuple(group.free))


def _first_atoms(dataset: Any) -> list[int]:
    """List the first atom of the given cell that stands for each of the p atoms of the primitive cell."""
    mapping = dataset.mapping_std_prim
    representatives = dict(zip(reversed(mapping), range(len(mapping) - 1, -1, -1), strict=True))
    return [representatives[i] for i in range(len(representatives))]


def _transform(rows: Floats, matrices: Floats) -> Floats:
    """Multiply each row of (n, 3) by its matrix of (n, 3, 3)."""
    product: Floats = np.einsum("ni,nij->nj", rows, matrices)
    return product


def space_group_number(crystal: Crystal, symprec: float = SYMPREC) -> int:
    """Find the space-group number, 1 to 230, by spglib, the reference, within `symprec` angstrom.

    Raises `InputError` where it finds none.
    """
    import spglib

    os.environ.setdefault("SPGLIB_WARNING", "OFF")  # a result of None becomes an error of ours below
    cell = (crystal.lattice, crystal.frac_coords, crystal.numbers)
    with warnings.catch_warnings():
        # Switching spglib to exceptions would be global, and other packages in this process expect None.
        warnings.filterwarnings("ignore", "Set OLD_ERROR_HANDLING", DeprecationWarning)
        try:
            dataset = spglib.get_symmetry_dataset(cell, symprec=symprec)
        except spglib.SpglibError:
            dataset = None
    if dataset is None:
        raise _no_symmetry_error(crystal, symprec)
    return int(dataset.number)


def primitive_size(crystal: Crystal) -> int:
    """Count the atoms of the primitive cell; those of the given cell where no symmetry can be found."""
    found = _find_symmetry(crystal, 1.0)
    return len(crystal.numbers if isinstance(found, InputError) else found.prim_std_cell.numbers)


def _no_symmetry_error(crystal: Crystal, symprec: float = SYMPREC) -> InputError:
    return InputError(
        f"no symmetry was found for {crystal.formula} ({len(crystal)} atoms) at {symprec:g} angstrom: "
        "look for atoms that nearly coincide"
    )


def _find_symmetry(crystal: Crystal, hand: float) -> Any:
    """Return moyopy's dataset of a crystal, its vectors times `hand`, or the `InputError` for which there is none."""
    import moyopy

    cell = moyopy.Cell(
        (hand * crystal.lattice).tolist(), (hand * crystal.frac_coords).tolist(), crystal.numbers.tolist()
    )
    try:
        return moyopy.MoyoDataset(cell, symprec=SYMPREC, setting=moyopy.Setting.spglib())
    except ValueError:
        return _no_symmetry_error(crystal)
