import numpy as np
import pytest
from pymatgen.analysis.diffraction.xrd import XRDCalculator
from pymatgen.core import Structure
from scipy.special import voigt_profile
from test_symmetry import KNOWN, fcc

from asugnn import Crystal, InputError
from asugnn.diffraction import EDGES, powder_pattern, reflections
from asugnn.symmetry import conventional_cell


def structure(crystal: Crystal) -> Structure:
    return Structure(crystal.lattice, crystal.numbers, crystal.frac_coords)


def assert_equal_to_pymatgen(crystal: Crystal) -> None:
    peaks = XRDCalculator("CuKa").get_pattern(structure(crystal), scaled=False, two_theta_range=(0, 85))
    angle, intensity = reflections(crystal)
    seen = intensity > intensity.max() * 1e-5  # pymatgen leaves out what is weaker
    angle, intensity = angle[seen], intensity[seen]
    if len(angle) == len(peaks.x):
        np.testing.assert_allclose(angle, peaks.x, atol=2e-5)
        np.testing.assert_allclose(intensity, peaks.y, rtol=1e-6)
    # A peak whose angle is a rounding away from the edge of a group can be in two; sums up to any angle agree.
    at = np.linspace(0, 85, 1001)
    ours, theirs = (
        np.concatenate([[0], np.cumsum(y)])[np.searchsorted(x, at)]
        for x, y in ((angle, intensity), (peaks.x, np.asarray(peaks.y)))
    )
    np.testing.assert_allclose(ours, theirs, atol=2e-5 * ours[-1])


@pytest.mark.parametrize("name", KNOWN)
def test_reflections_equal_pymatgen(name):
    assert_equal_to_pymatgen(conventional_cell(KNOWN[name][0]).crystal)


@pytest.mark.parametrize("seed", range(6))
def test_reflections_equal_pymatgen_without_symmetry(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 8))
    cell = rng.uniform(3, 9, 3)[:, None] * (np.eye(3) + rng.uniform(-0.4, 0.4, (3, 3)))
    assert_equal_to_pymatgen(Crystal(cell, rng.random((n, 3)), rng.integers(1, 98, n)))


@pytest.mark.slow
def test_reflections_equal_pymatgen_on_real_crystals(data):
    import polars as pl

    table = pl.read_parquet(data / "mp_subset.parquet").sample(250, seed=0)
    for row in table.iter_rows(named=True):
        lattice, frac = (np.array(row[k]).reshape(-1, 3) for k in ("lattice", "frac_coords"))
        assert_equal_to_pymatgen(Crystal(lattice, frac, row["atomic_numbers"]))


def test_many_atoms_go_in_blocks(monkeypatch):
    crystal = conventional_cell(KNOWN["quartz"][0]).crystal
    whole = reflections(crystal)
    monkeypatch.setattr("asugnn.diffraction.BLOCK", 50)
    np.testing.assert_allclose(reflections(crystal), whole, rtol=1e-9)


def test_bins_are_the_integral_of_a_voigt_profile():
    crystal = Crystal(fcc(3.61), [[0, 0, 0]], [29])
    fine = np.linspace(10, 80, 70 * 200 + 1)  # 100 steps to a bin
    total = np.zeros_like(fine)
    for angle, intensity in zip(*reflections(crystal), strict=True):
        width = np.degrees(0.888 * 1.54184 / (200 * np.cos(np.radians(angle / 2))))
        part = width / (0.5346 + np.sqrt(1.2166))  # of either kind: equally wide
        total += intensity * voigt_profile(fine - angle, part / np.sqrt(8 * np.log(2)), part / 2)
    cells = (total[:-1] + total[1:]) / 2  # the trapezoid rule
    expected = cells.reshape(140, 100).sum(axis=1)
    np.testing.assert_allclose(powder_pattern(crystal), expected / expected.sum(), atol=5e-6)


def test_sampled_as_in_the_authors_code():
    """The same peak reads as much or as little as the sampling points lie on it or beside it."""
    crystal = Crystal(fcc(3.61), [[0, 0, 0]], [29])
    angle, intensity = reflections(crystal)
    part = 0.888 * 1.54184 / (20 * np.cos(np.radians(angle / 2))) / (0.5346 + np.sqrt(1.2166))
    points = np.arange(10, 80, 0.5)[:, None]
    heights = voigt_profile(points - angle, part / np.sqrt(8 * np.log(2)), part / 2) @ intensity
    np.testing.assert_allclose(powder_pattern(crystal, "sampled"), heights / heights.sum(), rtol=1e-9)
    strongest = [powder_pattern(Crystal(fcc(a), [[0, 0, 0]], [29]), "sampled").max() for a in np.linspace(3.5, 3.7, 21)]
    assert max(strongest) > 1.5 * min(strongest)


@pytest.mark.parametrize("name", KNOWN)
def test_the_pattern_does_not_depend_on_the_cell(name):
    found = conventional_cell(KNOWN[name][0])
    np.testing.assert_allclose(powder_pattern(found.primitive), powder_pattern(found.crystal), atol=2e-7)


def test_the_pattern_is_a_share_and_has_the_peaks_of_silicon():
    share = powder_pattern(conventional_cell(KNOWN["diamond"][0]).crystal)
    assert share.shape == (140,)
    assert share.sum() == pytest.approx(1)
    assert (share >= 0).all()
    strongest = EDGES[
        np.argsort(share)[-4:]
    ]  # 111 at 28.45 degrees, near the edge of two bins, 220 at 47.3, 311 at 56.1
    assert sorted(strongest) == [28.0, 28.5, 47.0, 56.0]


def test_a_moving_peak_does_not_jump():
    """Point sampling would: a bin's share must follow a small strain smoothly, also where a peak leaves the range."""
    shares = np.array([powder_pattern(Crystal(fcc(a), [[0, 0, 0]], [29])) for a in np.linspace(3.60, 3.62, 41)])
    assert abs(np.diff(shares, axis=0)).max() < 0.02
    leaving = [powder_pattern(Crystal(fcc(a), [[0, 0, 0]], [47]))[-1] for a in np.linspace(3.95, 4.05, 41)]
    assert abs(np.diff(leaving)).max() < 0.02


@pytest.mark.parametrize(
    ("crystal", "words"),
    [
        (Crystal(0.5 * np.eye(3), [[0, 0, 0]], [1]), "no reflection below 85"),
        (Crystal(4 * np.eye(3), [[0, 0, 0]], [99]), "no X-ray scattering factor for Es"),
    ],
)
def test_what_cannot_be_had_is_said(crystal, words):
    with pytest.raises(InputError, match=words):
        powder_pattern(crystal)
