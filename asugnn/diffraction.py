"""The powder diffraction pattern, the paper's global vector G.

Kinematic intensities as in De Graef & McHenry, *Structure of Materials*, chapters 11 and 12, with pymatgen's
scattering factors: the reflections equal those of its `XRDCalculator`. Each is broadened by a Voigt profile whose full
width at half maximum is Scherrer's for a grain of 20 nm, Lorentzian and Gaussian parts equally wide, and integrated
over bins, so that no peak falls between two sampling points.

A pattern is fast to compute because the phase of an atom is a product of three, one for each Miller index, so that the
structure factors of a box of reflections are one matrix product; because scattering factors are read from a table; and
because the bins of a peak change smoothly with its angle, so that peaks are first interpolated to a grid of angles.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import Crystal, Floats, Ints
from asugnn.errors import InputError
from asugnn.limits import REFLECTIONS
from asugnn.scattering_factors import WAVELENGTH, scattering_tables, unknown_scatterer

Complexes = NDArray[np.complex128]
Profile = Literal["integrated", "sampled"]

EDGES = np.linspace(10.0, 80.0, 141)  # degrees of 2-theta, of the 140 bins
MAX_ANGLE = 85.0  # degrees of 2-theta: the profiles of peaks beyond the last bin reach into it
MERGE_ANGLE = 1e-5  # degrees of 2-theta within which reflections are one peak, as in pymatgen
GRAIN_SIZE = 200.0  # angstrom
SCHERRER = 0.888  # Scherrer's constant, the authors'
TOGETHER = 32  # crystals at once
BLOCK = 1_000_000  # phases in memory at once, 16 MB
GRID_STEP = 0.05  # degrees of 2-theta, of the grid to which peaks are interpolated


@dataclass(frozen=True, eq=False)
class Peaks:
    """The h peaks of several crystals: the crystal of each, 2-theta in degrees, and intensity, all (h,)."""

    crystal: Ints
    angle: Floats
    intensity: Floats


def powder_pattern(crystal: Crystal, profile: Profile = "integrated") -> Floats:
    """Compute the share (140,) of the intensity from 10 to 80 degrees that is in each bin of 0.5 degrees; sum 1.

    With profile `sampled` a bin is the height of the profiles at its lower edge, and their width in degrees is the
    number that Scherrer's formula gives in radian for a grain of 20 angstrom: 0.07 to 0.09. This is near the authors'
    pattern, not equal to it: theirs has other shares of the Gaussian and the Lorentzian part, an area of 1 in degrees,
    no tails of peaks beyond 80 degrees, and by now 700 points.

    All cells of a crystal have the same pattern; a primitive one is fastest. Raises `InputError` for an element without
    a scattering factor, or a cell too small to diffract.
    """
    (pattern,) = powder_patterns([crystal], profile)
    if isinstance(pattern, InputError):
        raise pattern
    return pattern


def powder_patterns(crystals: Sequence[Crystal], profile: Profile = "integrated") -> list[Floats | InputError]:
    """Compute the pattern of each crystal, or the error that `powder_pattern` raises, in less time."""
    patterns: list[Floats | InputError] = []
    for start in range(0, len(crystals), TOGETHER):
        patterns += _few_patterns(crystals[start : start + TOGETHER], profile)
    return patterns


def _few_patterns(crystals: Sequence[Crystal], profile: Profile) -> list[Floats | InputError]:
    found: list[Any] = [unknown_scatterer(crystal) or _too_many(crystal, MAX_ANGLE) for crystal in crystals]
    known = [i for i, error in enumerate(found) if error is None]
    if not known:
        return found
    peaks = _find_peaks([crystals[i] for i in known], MAX_ANGLE)
    bins = (_sample_profiles if profile == "sampled" else _integrate_profiles)(peaks, len(known))  # (B, 140)
    areas = bins.sum(axis=1)
    shares = bins / np.where(areas > 0, areas, 1)[:, None]
    for i, area, share in zip(known, areas.tolist(), shares, strict=True):
        formula = "" if area > 0 else crystals[i].formula
        error = f"{formula} has no reflection below {MAX_ANGLE} degrees: is its cell in angstrom?"
        found[i] = InputError(error) if formula else share
    return found


def reflections(crystal: Crystal, max_angle: float = MAX_ANGLE) -> tuple[Floats, Floats]:
    """Compute the reflections up to `max_angle`: 2-theta (m,) in degrees, ascending, and intensity (m,).

    Intensities are in electrons squared, with Lorentz and polarisation factor. Reflections within 1e-5 degrees are one,
    as in pymatgen; weak ones are kept.
    """
    if error := unknown_scatterer(crystal) or _too_many(crystal, max_angle):
        raise error
    peaks = _find_peaks([crystal], max_angle)
    order = np.argsort(peaks.angle, kind="stable")
    angle, intensity = peaks.angle[order], peaks.intensity[order]
    _, first, peak = np.unique(np.rint(angle / MERGE_ANGLE), return_index=True, return_inverse=True)
    total: Floats = np.bincount(peak, intensity, len(first)).astype(float)
    return angle[first], total


def _too_many(crystal: Crystal, max_angle: float) -> InputError | None:
    """An error for a crystal whose reflections would take up the memory, as of a cell in picometres."""
    radius = 2 * np.sin(np.radians(max_angle / 2)) / WAVELENGTH  # of the sphere in reciprocal space
    if (count := 2 / 3 * np.pi * radius**3 * crystal.volume) <= REFLECTIONS:
        return None
    return InputError(
        f"{crystal.formula} has about {count:.1g} reflections below {max_angle:g} degrees, and at most {REFLECTIONS:,} "
        "are computed: is its cell in angstrom?"
    )


def _find_peaks(crystals: Sequence[Crystal], max_angle: float) -> Peaks:
    """Compute the unordered peaks of B crystals, one of each Friedel pair.

    What depends on Miller indices is computed by crystal, what depends on the angle alone for all peaks together.
    """
    blocks = list(_structure_factors(crystals, 2 * np.sin(np.radians(max_angle / 2)) / WAVELENGTH))
    blocks.sort(key=lambda block: -len(block.elements))  # those with an e-th element come first
    sizes = [len(block.square) for block in blocks]
    square = np.concatenate([block.square for block in blocks]) / 4  # (h,), (sin(theta) / lambda)^2
    tables = scattering_tables()
    nearest = np.rint(square / tables.STEP).astype(np.int64)
    offset = square - nearest * tables.STEP
    amplitude = np.zeros(len(square), dtype=np.complex128)
    for e in range(len(blocks[0].elements)):
        having = [block for block in blocks if len(block.elements) > e]
        starts = np.repeat([tables.start(block.elements[e]) for block in having], sizes[: len(having)])
        t = offset[: len(starts)]
        f, first, second, third = tables.values.take(starts + nearest[: len(starts)], axis=0).T
        amplitude[: len(starts)] += np.concatenate([block.sums[e] for block in having]) * (
            ((third * t + second) * t + first) * t + f
        )
    sine = WAVELENGTH * np.sqrt(square)
    cosine = np.sqrt(1 - sine**2)
    polarisation = (1 + (cosine**2 - sine**2) ** 2) / (sine**2 * cosine)
    intensity = 2 * (amplitude.real**2 + amplitude.imag**2) * polarisation  # 2: Friedel's pairs
    owner = np.repeat(np.array([block.crystal for block in blocks], dtype=np.int64), sizes)
    return Peaks(owner, np.degrees(2 * np.arcsin(sine)), intensity)


class _Block(NamedTuple):
    """Reflections of one crystal: m of them, of which each has the sums of the phases of the atoms of e elements."""

    crystal: int  # its position
    square: Floats  # (m,), 1 / d^2
    elements: list[int]  # e atomic numbers
    sums: Complexes  # (e, m)


def _structure_factors(crystals: Sequence[Crystal], radius: float) -> Iterator[_Block]:
    """Yield blocks of the reflections up to `radius` (1/angstrom) of each crystal, one of each Friedel pair."""
    lattices = np.array([crystal.lattice for crystal in crystals])
    # |h| = |g . a| <= |g| |a|. Half of one index is enough (Friedel); products run along the one with most values.
    most = np.floor(radius * np.sqrt((lattices**2).sum(axis=2))).astype(int)
    axes = np.argsort(most, axis=1, kind="stable")
    lattices = np.take_along_axis(lattices, axes[:, :, None], axis=1)
    metrics = np.linalg.inv(lattices @ lattices.transpose(0, 2, 1))  # of the reciprocal vectors
    for i, (crystal, (h_most, k_most, l_most)) in enumerate(
        zip(crystals, np.take_along_axis(most, axes, axis=1).tolist(), strict=True)
    ):
        order = np.argsort(crystal.numbers, kind="stable")
        elements = sorted(Counter(crystal.numbers.tolist()).items())
        bounds = list(itertools.accumulate((count for _, count in elements), initial=0))
        angles = 2 * np.pi * crystal.frac_coords[order].T[axes[i]]  # (3, n)
        by_h, by_k, by_l = _phases(np.cos(angles) + 1j * np.sin(angles), h_most, k_most, l_most)
        # The rows of the box of indices, for each (h, k) with k >= 0 where h = 0, that enter the sphere.
        plane = _index_plane(h_most, k_most)
        (h_h, h_k, h_l), (_, k_k, k_l), (_, _, l_l) = metrics[i].tolist()
        constant, linear = np.array([[h_h, 2 * h_k, k_k, 0, 0], [0, 0, 0, 2 * h_l, 2 * k_l]]) @ plane
        entering = np.flatnonzero(constant - linear**2 / (4 * l_l) <= radius**2 * (1 + 1e-9))
        h, k = plane[3:, entering].astype(np.int64)
        constant, linear = constant[entering, None], linear[entering, None]
        l = np.arange(-l_most, l_most + 1)  # noqa: E741, Miller's
        rows = max(1, BLOCK // max(len(crystal), len(l)))
        for start in range(0, len(h), rows):
            part = slice(start, start + rows)
            square = (linear[part] * l + constant[part] + l**2 * l_l).ravel()  # (rows L,), 1 / d^2
            if start == 0:
                square[: l_most + 1] = np.inf  # h = k = 0, of which l > 0 is enough
            inside = np.flatnonzero(square <= radius**2)
            pair = (by_h[h[part]] * by_k[k[part] + k_most]).view(np.float64)  # (rows, 2n)
            sums = np.empty((len(elements), len(inside)), dtype=np.complex128)
            for e, (first, last) in enumerate(itertools.pairwise(bounds)):
                product = pair[:, 2 * first : 2 * last] @ by_l[2 * first : 2 * last]  # (rows, 2L)
                product.view(np.complex128).take(inside, out=sums[e], mode="clip")
            yield _Block(i, square[inside], [z for z, _ in elements], sums)


def _phases(once: Complexes, h_most: int, k_most: int, l_most: int) -> tuple[Complexes, Complexes, Floats]:
    """Compute phases of n atoms for h from 0, and k and l from minus their most, from those of index 1, (3, n).

    Those of h and k are (indices, n). Those of l are (2n, 2 indices) real numbers, by which a product of complex
    matrices becomes one of the real matrices of their parts: faster where they are small.
    """
    phases = np.empty((l_most + 1, *once.shape), dtype=np.complex128)  # l_most is the largest
    phases[0], known = 1, 1
    while known <= l_most:  # a product of phases is that of the sum of the indices: each step doubles what is known
        more = phases[known : 2 * known]
        np.multiply(phases[: len(more)], phases[known - 1] * once, out=more)
        known *= 2
    by_k, by_l = phases[: k_most + 1, 1], phases[:, 2].T
    parts = np.empty((once.shape[1], 2, 2 * l_most + 1), dtype=np.complex128)
    parts[:, 0, l_most:], parts[:, 0, :l_most] = by_l, by_l[:, :0:-1].conj()
    np.multiply(parts[:, 0], 1j, out=parts[:, 1])
    by_l_parts = parts.reshape(-1, 2 * l_most + 1).view(np.float64)
    return phases[: h_most + 1, 0], np.concatenate([by_k[:0:-1].conj(), by_k]), by_l_parts


@lru_cache(256)
def _index_plane(h_most: int, k_most: int) -> Floats:
    """List h^2, hk, k^2, h and k (5, m) for h from 0 and k from -k_most, or from 0 where h = 0."""
    h, k = np.divmod(np.arange(k_most, (h_most + 1) * (2 * k_most + 1)), 2 * k_most + 1)
    k -= k_most
    return np.array([h * h, h * k, k * k, h, k], dtype=float)


def _integrate_profiles(peaks: Peaks, crystals: int) -> Floats:
    """Integrate the profiles of the peaks of B crystals over the bins: (B, 140), interpolating between grid angles."""
    position = peaks.angle / GRID_STEP
    below = position.astype(np.int64)
    t = position - below  # (h,) from 0 to 1; Lagrange interpolation with nodes at -2 ... 3
    a, b, c, d, e, f = (t - node for node in range(-2, 4))
    ab, cd, ef = a * b, c * d * peaks.intensity, e * f
    inner, outer, last = ab * ef * peaks.intensity, cd * ef, cd * ab
    weights = b * outer / -120, a * outer / 24, d * inner / -12, c * inner / 12, f * last / -24, e * last / 120
    size = len(_grid_profiles())
    index = (below + peaks.crystal * size) + np.arange(6)[:, None]  # (6, h)
    grid = np.bincount(index.ravel(), np.concatenate(weights), crystals * size).astype(np.float32)
    # One by one: the rounding of a product of matrices depends on their number, and on how many threads share the work.
    bins = np.array([part @ _grid_profiles() for part in grid.reshape(crystals, size)])
    shares: Floats = np.maximum(bins, 0).astype(float)
    return shares


@cache
def _grid_profiles() -> NDArray[np.float32]:
    """Integrate profiles of area 1 over the bins: (g, 140), at the g angles of the grid, from -2 steps on."""
    angle = GRID_STEP * np.arange(-2, round(MAX_ANGLE / GRID_STEP) + 5)
    part = 1 / (0.5346 + np.sqrt(0.2166 + 1))  # width of each part (Olivero & Longbothum 1977, to 0.02 %)
    width = part * np.degrees(SCHERRER * WAVELENGTH / (GRAIN_SIZE * np.cos(np.radians(angle / 2))))[:, None]  # (g, 1)
    # The share below an edge is a Lorentzian's, averaged over a Gaussian by Gauss-Hermite quadrature.
    below = np.zeros((len(angle), len(EDGES)))
    for node, weight in zip(*np.polynomial.hermite.hermgauss(64), strict=True):
        x = EDGES - angle[:, None] - node * width / np.sqrt(4 * np.log(2))
        below += weight / np.sqrt(np.pi) * (0.5 + np.arctan(2 * x / width) / np.pi)
    return np.diff(below, axis=1).astype(np.float32)


def _sample_profiles(peaks: Peaks, crystals: int) -> Floats:
    """Sum the profiles of the peaks of B crystals at the lower edges of the bins: (B, 140)."""
    from scipy.special import voigt_profile

    bins = np.zeros((crystals, len(EDGES) - 1))
    for i in range(crystals):
        allowed = (peaks.crystal == i) & (peaks.intensity > 0)
        angle = peaks.angle[allowed]
        part = SCHERRER * WAVELENGTH / (20 * np.cos(np.radians(angle / 2))) / (0.5346 + np.sqrt(0.2166 + 1))
        heights = voigt_profile(EDGES[:-1, None] - angle, part / np.sqrt(8 * np.log(2)), part / 2)  # (140, h)
        bins[i] = heights @ peaks.intensity[allowed]
    return bins
