import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asugnn import Crystal, InputError, crystal_arrays
from asugnn.crystal_arrays import faultless_crystals


def make(rng):
    n = rng.integers(1, 6)
    return (
        np.diag(rng.uniform(3, 6, 3)) + rng.normal(0, 0.5, (3, 3)),
        rng.uniform(-2, 2, (n, 3)),
        rng.integers(1, 119, n),
    )


def together(rows):
    lattices, frac_coords, numbers = (list(column) for column in zip(*rows, strict=True))
    sizes = np.array([len(n) for n in numbers])
    return faultless_crystals(np.stack(lattices), np.concatenate(frac_coords), np.concatenate(numbers), sizes)


def refused(rows):
    try:
        return [Crystal(*row) for row in rows] and False
    except InputError:
        return True


@given(st.integers(0, 10**6), st.floats(0, 0.12), st.sampled_from([1, 10**6]))
def test_crystals_made_together_are_those_made_one_by_one(seed, distance, block):
    """Two atoms of the last crystal are at a distance around the least: it is refused, or left to `Crystal`."""
    rng = np.random.default_rng(seed)
    rows = [make(rng) for _ in range(rng.integers(1, 8))]
    lattice, frac_coords, numbers = rows[-1]
    direction = rng.normal(size=3)
    moved = frac_coords[0] + distance * direction / np.linalg.norm(direction) @ np.linalg.inv(lattice) + [1, 0, -3]
    rows[-1] = lattice, np.vstack([frac_coords, moved]), np.append(numbers, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crystal_arrays, "BLOCK", block)
        found = together(rows)
    if refused(rows):
        assert found is None
    elif found is None:
        assert distance < 0.1
    else:
        assert [crystal.key for crystal in found] == [Crystal(*row).key for row in rows]
        with pytest.raises(ValueError, match="read-only"):
            found[0].frac_coords[0, 0] = 1


WRONG = {
    "lattice": [(0, 0, np.nan), (0, 0, np.inf), (0, slice(None), 0.0), (0, 0, 1e5)],
    "frac_coords": [(0, 0, np.nan), (0, 0, -np.inf), (0, 0, 1e7)],
    "numbers": [(0, 0), (0, 119), (0, -1)],
}


@pytest.mark.parametrize(("array", "change"), [(a, c) for a, changes in WRONG.items() for c in changes])
def test_what_a_crystal_refuses_is_left_to_it(array, change):
    rows = [make(np.random.default_rng(seed)) for seed in range(3)]
    *at, value = change
    rows[1][["lattice", "frac_coords", "numbers"].index(array)][tuple(at)] = value
    assert refused(rows)
    assert together(rows) is None
    assert faultless_crystals(np.empty((0, 3, 3)), np.empty((0, 3)), np.empty(0, int), np.empty(0, int)) is None
