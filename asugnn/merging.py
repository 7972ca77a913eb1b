"""Merge the atoms, bonds and angles of a crystal that no message of a network can tell apart.

A network that sees elements, distances and angles computes the same values for all atoms of an orbit, and for all bonds
and all pairs of bonds that a symmetry operation maps to each other. `merge_equivalent` finds classes of equal members
by colour refinement, without looking for the symmetry; a network then computes each class once and counts it as often
as it occurs. docs/asymmetric-unit.md says why outputs, gradients and statistics stay the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from asugnn.cache import Inputs
from asugnn.crystal import Floats, Ints
from asugnn.neighbours import Neighbours

if TYPE_CHECKING:
    from torch import Tensor

# angstrom, and cosines: the rounding of a sum of products is below, the noise of published coordinates above.
ROUNDING = 1e-9
Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class Angles:
    """t ordered pairs of bonds that meet at an atom: the message of the first goes to the second."""

    first: Ints  # (t,) index of a bond
    second: Ints  # (t,) index of a bond
    cosine: Floats  # (t,) of the angle between them


@dataclass(frozen=True)
class MergedGraph:
    """A graph of k classes of atoms, e classes of bonds and t classes of angles, which are ordered pairs of bonds.

    Atoms of a class are of one element and have equivalent bonds. Bonds of a class join equivalent atoms at one
    distance and receive equivalent angles. Angles of a class are formed by equivalent bonds and have one cosine.
    """

    atom: Ints  # (k,) the first atom of each class
    multiplicity: Ints  # (k,) atoms of each class
    centre: Ints  # (e,) class of the atom at the centre of a bond; sorted
    other: Ints  # (e,) class of the atom at its other end
    distance: Floats  # (e,) angstrom, the mean over the class
    weight: Floats  # (e,) sum of the weights of the bonds of this class that one atom has
    first: Ints  # (t,) class of the bond that sends
    second: Ints  # (t,) class of the bond that receives; sorted
    angle_weight: Ints  # (t,) angles of this class that one bond receives
    angle: Ints  # (t,) position of its cosine in `cosine`
    cosine: Floats  # (c,) the distinct cosines

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a network without angles needs, by name, in 32 bits."""
        dtypes = {"multiplicity": np.float32, "centre": np.int32, "other": np.int32, "distance": np.float32,
                  "weight": np.float32}  # fmt: skip
        return {name: getattr(self, name).astype(dtype) for name, dtype in dtypes.items()}

    def angle_arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a network with angles needs, by name: `arrays`, and the angles in few bytes, of which most are.

        `received` (e,), the number of classes of angles that each bond receives, stands for `second`.
        """
        index = np.uint16 if max(len(self.centre), len(self.cosine)) <= 1 << 16 else np.int32
        return self.arrays() | {
            "first": self.first.astype(index),
            "received": np.bincount(self.second, minlength=len(self.centre)).astype(np.int32),
            "angle_weight": self.angle_weight.astype(np.uint16),
            "angle": self.angle.astype(index),
            "cosine": self.cosine.astype(np.float32),
        }


def merged_batch(inputs: Sequence[Inputs], nodes: str) -> dict[str, Any]:
    """Collate inputs that hold `MergedGraph.arrays` or `angle_arrays`, and `nodes`, an array of the atoms.

    Returns tensors by name; beside those of `flat_batch`, the bonds that receive angles, `second`.
    """
    from asugnn.torch_model import flat_batch

    index = {"centre": nodes, "other": nodes}
    if "first" not in inputs[0]:
        return flat_batch(inputs, nodes, index)
    import torch

    batch = flat_batch(inputs, nodes, index | {"first": "centre", "angle": "cosine"})
    received = batch.pop("received").long()
    bonds = torch.arange(len(received), device=received.device)
    second = torch.repeat_interleave(bonds, received, output_size=len(batch["first"]))
    return batch | {"second": second, "angle_weight": batch["angle_weight"].float()}


def mean_over_atoms(x: Tensor, batch: Mapping[str, Any]) -> Tensor:
    """Average merged atoms `x` (k, F) over the crystals of a `merged_batch`, each by its multiplicity: (B, F)."""
    count, crystal = batch["multiplicity"], batch["crystal"]
    total = x.new_zeros(batch["size"], x.shape[1]).index_add(0, crystal, x * count[:, None])
    mean: Tensor = total / count.new_zeros(batch["size"]).index_add(0, crystal, count)[:, None]
    return mean


def merge_equivalent(
    numbers: Ints, pairs: Neighbours, weight: Floats, angles: Angles | None = None, tolerance: float = ROUNDING
) -> MergedGraph:
    """Merge equivalent atoms, bonds and angles of a crystal with atomic `numbers` (n,) by colour refinement.

    `weight` (m,) are weights of the bonds, `pairs`. Distances closer than `tolerance` (angstrom) count as equal, and so
    do cosines. With `angles`, atoms of a class also agree in the bonds that end at them, so that sums at either end of
    bonds can be taken over classes.
    """
    length, _ = _number_levels(pairs.distance, tolerance)
    share, _ = _number_levels(weight, ROUNDING)
    angles = angles or Angles(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0))
    angle, cosine = _number_levels(angles.cosine, tolerance)
    # Colours are numbers of classes; a class is split until all its members receive the same.
    atom, bond = _number_classes(numbers), _number_classes(length, share)
    while True:
        before = atom.max(), bond.max(initial=0)
        received = _sum_hashes(angles.second, len(pairs), bond[angles.first], angle)
        bond = _number_classes(bond, atom[pairs.centre], atom[pairs.other], received)
        starting = _sum_hashes(pairs.centre, len(numbers), bond)
        ending = _sum_hashes(pairs.other, len(numbers), bond) if len(angle) else starting
        atom = _number_classes(atom, starting, ending)
        if (atom.max(), bond.max(initial=0)) == before:
            break
    members = _first_members(atom), _first_members(bond)
    multiplicity, bonds = np.bincount(atom), np.bincount(bond)
    centre, other = (atom[end[members[1]]] for end in (pairs.centre, pairs.other))
    # The angles that the first bond of each class receives are those that any bond of it receives.
    kept = np.flatnonzero(members[1][bond[angles.second]] == angles.second)
    columns = bond[angles.second[kept]], bond[angles.first[kept]], angle[kept]
    rows, angle_weight = np.unique(np.column_stack(columns), axis=0, return_counts=True)
    return MergedGraph(
        atom=members[0],
        multiplicity=multiplicity,
        centre=centre,
        other=other,
        distance=np.bincount(bond, pairs.distance) / bonds,
        weight=np.bincount(bond, weight) / multiplicity[centre],
        first=rows[:, 1],
        second=rows[:, 0],
        angle_weight=angle_weight,
        angle=rows[:, 2],
        cosine=cosine,
    )


def _number_levels(values: Floats, tolerance: float) -> tuple[Ints, Floats]:
    """Number the levels of values (m,), in ascending order, and average each; they are more than `tolerance` apart."""
    order = np.argsort(values, kind="stable")
    level = np.empty(len(values), dtype=np.int64)
    level[order] = np.cumsum(np.diff(values[order], prepend=values[order[:1]]) > tolerance)
    return level, np.bincount(level, values) / np.bincount(level)


def _number_classes(*columns: NDArray[Any]) -> Ints:
    """Number the distinct rows of columns (m,) in the order in which they appear: (m,)."""
    _, first, row = np.unique(_hash_rows(*columns), return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[row]


def _first_members(classes: Ints) -> Ints:
    """Return the first member of each class."""
    return np.unique(classes, return_index=True)[1]


def _sum_hashes(target: Ints, size: int, *columns: NDArray[Any]) -> Hashes:
    """Hash the multiset of rows that each of `size` targets receives: their sum does not depend on the order."""
    total = np.zeros(size, dtype=np.uint64)
    np.add.at(total, target, _hash_rows(*columns))
    return total


def _hash_rows(*columns: NDArray[Any]) -> Hashes:
    """Hash rows of integers to 64 bits by the mixing of splitmix64; two of 1e5 rows agree in one of 1e9 cases."""
    value = np.zeros(len(columns[0]), dtype=np.uint64)
    for column in columns:
        value += column.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        value ^= value >> np.uint64(31)
    return value
