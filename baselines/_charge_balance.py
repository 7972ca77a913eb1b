"""Whether the oxidation states of a crystal's elements can balance, as in a salt: most crystals that do not are metals.

All atoms of an element have one oxidation state here, so a crystal of mixed valence such as magnetite looks unbalanced;
how far the sums of charges are from zero, and what range they span, tells it from an alloy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from math import gcd

import numpy as np

from asugnn.crystal import SYMBOLS, Crystal

UNREACHED = 9.0  # electrons per atom, more than any element gives: no sum is on that side of zero
States = Mapping[int, Sequence[int]]  # by atomic number


@cache
def oxidation_states() -> tuple[States, States]:
    """Return the oxidation states of elements by atomic number, from pymatgen: the common ones, and all in the ICSD.

    An element that has none of a kind has the states of the other kind, or 0.
    """
    from pymatgen.core import Element

    common, observed = {}, {}
    for number, symbol in enumerate(SYMBOLS, start=1):
        element = Element(symbol)
        usual = element.common_oxidation_states or element.oxidation_states or (0,)
        common[number] = tuple(map(int, usual))
        observed[number] = tuple(sorted({*common[number], *map(int, element.icsd_oxidation_states)}))
    return common, observed


def charge_balance(crystal: Crystal, electronegativity: Sequence[float]) -> list[float]:
    """Compute what the oxidation states allow, in electrons per atom: 7 values, which are 0 or small for a salt.

    The sum of charges that is nearest to zero from above and from below, first with the common states, then with all
    that were observed; the least and largest sum of common states; and how near to zero a sum comes in which the less
    electronegative elements are positive and the others negative. `electronegativity` is given by atomic number.
    """
    elements, counts = np.unique(crystal.numbers, return_counts=True)
    shared = gcd(*counts.tolist())
    atoms = {int(z): int(count) // shared for z, count in zip(elements, counts, strict=True)}  # of a formula unit
    total = sum(atoms.values())
    common, observed = oxidation_states()
    values = []
    for states in (common, observed):
        sums = _sums(atoms, states)
        values.append(min((s for s in sums if s >= 0), default=UNREACHED * total))
        values.append(min((-s for s in sums if s <= 0), default=UNREACHED * total))
    values += [sum(count * end(common[z]) for z, count in atoms.items()) for end in (min, max)]
    values.append(_polar_imbalance(atoms, common, electronegativity))
    return [value / total for value in values]


def _sums(atoms: Mapping[int, int], states: States) -> set[int]:
    """Return all sums of charges, with one state for each element; none where an element has no state."""
    sums = {0}
    for z, count in atoms.items():
        sums = {s + count * state for s in sums for state in states[z]}
    return sums


def _polar_imbalance(atoms: Mapping[int, int], states: States, electronegativity: Sequence[float]) -> float:
    """Return the least |sum| where elements below some electronegativity are positive, and those above it negative."""
    order = sorted(atoms, key=lambda z: electronegativity[z])
    positive = {z: [state for state in states[z] if state > 0] for z in order}
    negative = {z: [state for state in states[z] if state < 0] for z in order}
    sums: set[int] = set()
    for cut in range(1, len(order)):
        sums |= _sums(atoms, positive | {z: negative[z] for z in order[cut:]})
    return min(map(abs, sums), default=UNREACHED * sum(atoms.values()))
