import numpy as np
import pytest
import spglib
from hypothesis import given
from hypothesis import strategies as st

from asugnn import Crystal, InputError
from asugnn.symmetry import conventional_cell


def fcc(a: float) -> np.ndarray:
    return a / 2 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])


def hexagonal(a: float, c: float) -> np.ndarray:
    return np.array([[a, 0, 0], [-a / 2, a * np.sqrt(3) / 2, 0], [0, 0, c]])


U, Z = 0.4697, 0.1188  # left-handed quartz: Si at u, 0, 2/3 and O at x, y, z
QUARTZ_O = [(0.4133, 0.2672, Z), (-0.2672, 0.1461, Z + 2 / 3), (-0.1461, -0.4133, Z + 1 / 3),
            (0.2672, 0.4133, -Z), (0.1461, -0.2672, 1 / 3 - Z), (-0.4133, -0.1461, 2 / 3 - Z)]  # fmt: skip
TIO2 = [(0.305, 0.305, 0), (-0.305, -0.305, 0), (0.805, 0.195, 0.5), (0.195, 0.805, 0.5)]

FIXED = (136, 154, 166, 221, 225, 227, 229)

# A primitive cell, the space group, the atoms of the conventional cell, the sizes of its orbits: from the
# International Tables.
KNOWN = {
    "rock salt": (Crystal(fcc(5.64), [[0, 0, 0], [0.5] * 3], [11, 17]), 225, [4, 4]),
    "bcc": (Crystal(4.3 / 2 * np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]), [[0, 0, 0]], [11]), 229, [2]),
    "diamond": (Crystal(fcc(5.43), [[0, 0, 0], [0.25] * 3], [14, 14]), 227, [8]),
    "perovskite": (
        Crystal(
            3.9 * np.eye(3), [[0, 0, 0], [0.5] * 3, [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]], [38, 22, 8, 8, 8]
        ),
        221,
        [1, 1, 3],
    ),
    "wurtzite": (
        Crystal(
            hexagonal(3.25, 5.2),
            [[1 / 3, 2 / 3, 0], [2 / 3, 1 / 3, 0.5], [1 / 3, 2 / 3, 0.38], [2 / 3, 1 / 3, 0.88]],
            [30, 30, 8, 8],
        ),
        186,
        [2, 2],
    ),
    "rutile": (Crystal(np.diag([4.59, 4.59, 2.96]), [[0, 0, 0], [0.5] * 3, *TIO2], [22, 22, 8, 8, 8, 8]), 136, [2, 4]),
    "quartz": (
        Crystal(hexagonal(4.914, 5.405), [(U, 0, 2 / 3), (0, U, 1 / 3), (-U, -U, 0), *QUARTZ_O], [14] * 3 + [8] * 6),
        154,
        [3, 6],
    ),
    "bismuth": (  # rhombohedral: three primitive cells to the hexagonal one
        Crystal(4.75 * (np.eye(3) + 0.03), [[0.234] * 3, [-0.234] * 3], [83, 83]),
        166,
        [6],
    ),
    "triclinic": (Crystal([[3, 0, 0], [0.4, 4, 0], [0.3, 0.7, 5]], [[0, 0, 0], [0.1, 0.3, 0.6]], [3, 9]), 1, [1, 1]),
}


@pytest.fixture(params=KNOWN.values(), ids=KNOWN.keys())
def known(request):
    return request.param


def test_known_structures(known):
    crystal, group, sizes = known
    found = conventional_cell(crystal)
    assert found.space_group == group
    assert sorted(np.bincount(found.orbits)) == sizes
    assert len(found.crystal) == sum(sizes)
    for orbit in range(found.orbits.max() + 1):
        assert len(set(found.crystal.numbers[found.orbits == orbit])) == 1


def test_the_cell_is_the_one_of_spglib_up_to_the_choice_of_axes(known):
    crystal, group, _ = known
    found = conventional_cell(crystal)
    with pytest.warns(DeprecationWarning):
        lattice, frac, numbers = spglib.standardize_cell(
            (crystal.lattice, crystal.frac_coords, crystal.numbers), no_idealize=True, symprec=1e-3
        )
        again = spglib.get_symmetry_dataset((found.crystal.lattice, found.crystal.frac_coords, found.crystal.numbers))
        tables = spglib.get_symmetry_from_database(again.hall_number)
    assert again.number == group
    change = found.crystal.lattice @ np.linalg.inv(lattice)  # whole numbers: the same lattice
    np.testing.assert_allclose(change, np.rint(change), atol=1e-6)
    np.testing.assert_allclose(found.crystal.lattice @ found.crystal.lattice.T, lattice @ lattice.T, atol=1e-2)
    np.testing.assert_allclose(again.transformation_matrix, np.rint(again.transformation_matrix), atol=1e-6)
    # The atoms have moved by nothing but the origin.
    here = found.crystal.frac_coords @ change
    moves = frac[numbers == found.crystal.numbers[0]] - here[0]  # what may have become of the first atom
    gaps = frac[:, None] - here - moves[:, None, None]  # (moves, N, N, 3)
    met = (abs(gaps - np.rint(gaps)).max(axis=-1) < 1e-6) & (numbers[:, None] == found.crystal.numbers)
    assert (met.sum(axis=2) == 1).all(axis=1).any()
    # The operations are those of the tables.
    for rotation, translation in zip(tables["rotations"], tables["translations"], strict=True):
        image = found.crystal.frac_coords @ rotation.T + translation
        gaps = image[:, None] - found.crystal.frac_coords
        met = (abs(gaps - np.rint(gaps)).max(axis=-1) < 1e-4) & (
            found.crystal.numbers[:, None] == found.crystal.numbers
        )
        assert met.any(axis=1).all()


def described_otherwise(crystal: Crystal, seed: int) -> Crystal:
    """Turned, in another order and other vectors, of either hand, of once to four times the cell, about another origin.

    The origin stays where it is in groups that leave it free along some axis.
    """
    rng = np.random.default_rng(seed)
    if conventional_cell(crystal).space_group in FIXED:
        crystal = Crystal(crystal.lattice, crystal.frac_coords + rng.random(3), crystal.numbers)
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    q[:, 0] *= np.linalg.det(q)
    times = rng.permutation([1, rng.integers(1, 3), rng.integers(1, 3)])
    steps = np.stack(np.meshgrid(*(np.arange(t) for t in times), indexing="ij"), axis=-1).reshape(-1, 3)
    frac = ((crystal.frac_coords[:, None] + steps).reshape(-1, 3)) / times
    numbers = np.repeat(crystal.numbers, len(steps))
    change = np.eye(3, dtype=int)[rng.permutation(3)]
    change[0] += rng.integers(-1, 2) * change[1]
    change[2] += rng.integers(-1, 2) * change[0]
    order = rng.permutation(len(numbers))
    lattice = change @ (times[:, None] * crystal.lattice) @ q
    frac = frac @ np.linalg.inv(change) + rng.integers(-2, 3, frac.shape)
    return Crystal(lattice, frac[order], numbers[order])


@given(st.sampled_from(sorted(KNOWN)), st.integers(0, 10**6))
def test_the_description_does_not_matter(name, seed):
    crystal = KNOWN[name][0]
    one, other = conventional_cell(crystal), conventional_cell(described_otherwise(crystal, seed))
    assert one.space_group == other.space_group
    np.testing.assert_allclose(
        one.crystal.lattice @ one.crystal.lattice.T, other.crystal.lattice @ other.crystal.lattice.T, atol=1e-9
    )
    gaps = abs(one.crystal.frac_coords[:, None] - other.crystal.frac_coords).max(axis=-1)  # (N, N)
    match = gaps.argmin(axis=1)
    assert sorted(match) == list(range(len(one.crystal)))
    assert gaps.min(axis=1).max() < 1e-6
    assert (one.crystal.numbers == other.crystal.numbers[match]).all()
    together = one.orbits[:, None] == one.orbits
    assert (together == (other.orbits[match][:, None] == other.orbits[match])).all()


def test_equivalence_needs_the_tolerance():
    near, far = (
        conventional_cell(Crystal(4 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5 + d]], [55, 17])).space_group
        for d in (1e-5, 1e-2)
    )
    assert (near, far) == (221, 99)


def test_the_input_stays_as_it_was():
    crystal = KNOWN["rock salt"][0]
    key = crystal.key
    conventional_cell(crystal)
    assert Crystal(crystal.lattice, crystal.frac_coords, crystal.numbers).key == key


@pytest.mark.parametrize("d", [1e-5, 5e-4])
def test_no_symmetry_is_an_error_in_words(d):
    twice = Crystal.checked(4 * np.eye(3), np.array([[0, 0, 0], [0, 0, d / 4]]), np.array([11, 11]))
    with pytest.raises(InputError, match=r"no symmetry was found for Na \(2 atoms\)"):
        conventional_cell(twice)
