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
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import SYMBOLS, Crystal, Floats, Ints
from asugnn.errors import InputError

Complexes = NDArray[np.complex128]
Profile = Literal["integrated", "sampled"]

WAVELENGTH = 1.54184  # angstrom, Cu K-alpha
EDGES = np.linspace(10.0, 80.0, 141)  # degrees of 2-theta, of the 140 bins
MAX_ANGLE = 85.0  # degrees of 2-theta: the profiles of peaks beyond the last bin reach into it
MERGE_ANGLE = 1e-5  # degrees of 2-theta within which reflections are one peak, as in pymatgen
GRAIN_SIZE = 200.0  # angstrom
SCHERRER = 0.888  # Scherrer's constant, the authors'
TOGETHER = 32  # crystals at once
BLOCK = 1_000_000  # phases in memory at once, 16 MB
GRID_STEP = 0.05  # degrees of 2-theta, of the grid to which peaks are interpolated
TABLE_STEP = 2.0**-15  # 1/angstrom^2, of the table of scattering factors: accurate to 1e-9 with two derivatives


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
    found: list[Any] = [_unknown_element(crystal) for crystal in crystals]
    known = [i for i, error in enumerate(found) if error is None]
    peaks = _find_peaks([crystals[i] for i in known], MAX_ANGLE)
    bins = (_sample_profiles if profile == "sampled" else _integrate_profiles)(peaks, len(known))  # (B, 140)
    for i, values in zip(known, bins, strict=True):
        if (area := values.sum()) > 0:
            found[i] = values / area
        else:
            formula = crystals[i].formula
            found[i] = InputError(f"{formula} has no reflection below {MAX_ANGLE} degrees: is its cell in angstrom?")
    return found


def reflections(crystal: Crystal, max_angle: float = MAX_ANGLE) -> tuple[Floats, Floats]:
    """Compute the reflections up to `max_angle`: 2-theta (m,) in degrees, ascending, and intensity (m,).

    Intensities are in electrons squared, with Lorentz and polarisation factor. Reflections within 1e-5 degrees are one,
    as in pymatgen; weak ones are kept.
    """
    if error := _unknown_element(crystal):
        raise error
    peaks = _find_peaks([crystal], max_angle)
    order = np.argsort(peaks.angle, kind="stable")
    angle, intensity = peaks.angle[order], peaks.intensity[order]
    _, first, peak = np.unique(np.rint(angle / MERGE_ANGLE), return_index=True, return_inverse=True)
    total: Floats = np.bincount(peak, intensity, len(first)).astype(float)
    return angle[first], total


def _unknown_element(crystal: Crystal) -> InputError | None:
    for z in np.unique(crystal.numbers).tolist():
        if (symbol := SYMBOLS[z - 1]) not in _scattering_parameters():
            return InputError(f"there is no X-ray scattering factor for {symbol}: remove the crystals that contain it")
    return None


def _find_peaks(crystals: Sequence[Crystal], max_angle: float) -> Peaks:
    """Compute the unordered peaks of B crystals, one of each Friedel pair.

    What depends on Miller indices is computed by crystal, what depends on the angle alone for all peaks together.
    """
    radius = 2 * np.sin(np.radians(max_angle / 2)) / WAVELENGTH
    blocks = [(i, *block) for i, crystal in enumerate(crystals) for block in _structure_factors(crystal, radius)]
    owner = np.repeat([i for i, *_ in blocks], [len(square) for _, square, _, _ in blocks]).astype(np.int64)
    square = np.concatenate([np.empty(0), *(square for _, square, _, _ in blocks)]) / 4  # (h,), (sin(theta)/lambda)^2
    nearest = np.rint(square / TABLE_STEP).astype(np.int64)
    offset = square - nearest * TABLE_STEP
    amplitude = np.zeros(len(square), dtype=np.complex128)
    for e in range(max((len(elements) for _, _, elements, _ in blocks), default=0)):  # the e-th element of each crystal
        having = [block for block in blocks if len(block[2]) > e]
        which = np.repeat([len(b[2]) > e for b in blocks], [len(b[1]) for b in blocks])  # (h,)
        table = np.repeat([_scattering_tables().start(b[2][e]) for b in having], [len(b[1]) for b in having])
        f, first, second = _scattering_tables().values.take(table + nearest[which], axis=0).T
        near = offset[which]
        amplitude[which] += np.concatenate([b[3][e] for b in having]) * ((second * near + first) * near + f)
    sine = WAVELENGTH * np.sqrt(square)
    cosine = np.sqrt(1 - sine**2)
    polarisation = (1 + (cosine**2 - sine**2) ** 2) / (sine**2 * cosine)
    intensity = 2 * (amplitude.real**2 + amplitude.imag**2) * polarisation  # 2: Friedel's pairs
    return Peaks(owner, np.degrees(2 * np.arcsin(sine)), intensity)


def _structure_factors(crystal: Crystal, radius: float) -> Iterator[tuple[Floats, list[int], Complexes]]:
    """Yield, in blocks of m reflections up to `radius` (1/angstrom), 1/d^2 (m,) and the sums of phases by element.

    With the e elements, their atomic numbers, these are (e, m): an element's share of the structure factor, without its
    scattering factor. One of each Friedel pair of reflections.
    """
    order = np.argsort(crystal.numbers, kind="stable")
    elements, starts = np.unique(crystal.numbers[order], return_index=True)
    bounds = [*starts.tolist(), len(crystal)]
    # |h| = |g . a| <= |g| |a|. Half of one index is enough (Friedel); products run along the one with most values.
    most = np.floor(radius * np.sqrt((crystal.lattice**2).sum(axis=1))).astype(int)
    axes = np.argsort(most, kind="stable")
    h_most, k_most, l_most = most[axes].tolist()
    inverse = np.linalg.inv(crystal.lattice)[:, axes]  # columns: the reciprocal vectors
    metric = inverse.T @ inverse
    powers = np.concatenate([np.arange(m + 1) for m in (h_most, k_most, l_most)])
    x = crystal.frac_coords[order].T[axes]  # (3, n)
    angles = (2 * np.pi * powers)[:, None] * x.repeat([h_most + 1, k_most + 1, l_most + 1], axis=0)
    phases = np.empty(angles.shape, dtype=np.complex128)
    np.cos(angles, out=phases.real)
    np.sin(angles, out=phases.imag)
    by_h, by_k, by_l = np.split(phases, [h_most + 1, h_most + k_most + 2])
    by_k, by_l = (np.concatenate([part[:0:-1].conj(), part]) for part in (by_k, by_l))  # from -k to k
    # The rows of the box of indices, for each (h, k) with k >= 0 where h = 0, that enter the sphere.
    h, k = np.divmod(np.arange(k_most, (h_most + 1) * (2 * k_most + 1)), 2 * k_most + 1)
    k -= k_most
    constant = h**2 * metric[0, 0] + 2 * h * k * metric[0, 1] + k**2 * metric[1, 1]
    linear = 2 * (h * metric[0, 2] + k * metric[1, 2])
    entering = np.flatnonzero(constant - linear**2 / (4 * metric[2, 2]) <= radius**2 * (1 + 1e-9))
    h, k, constant, linear = h[entering], k[entering], constant[entering], linear[entering]
    l = np.arange(-l_most, l_most + 1)  # noqa: E741, Miller's
    rows = max(1, BLOCK // max(len(crystal), len(l)))
    for start in range(0, len(h), rows):
        part = slice(start, start + rows)
        square = constant[part, None] + linear[part, None] * l + l**2 * metric[2, 2]  # (rows, L), 1 / d^2
        if start == 0:
            square[0, : l_most + 1] = np.inf  # h = k = 0, of which l > 0 is enough
        inside = np.flatnonzero(square.ravel() <= radius**2)
        pair = by_h[h[part]] * by_k[k[part] + k_most]  # (rows, n)
        sums = np.empty((len(elements), len(inside)), dtype=np.complex128)
        for e, (first, last) in enumerate(itertools.pairwise(bounds)):
            sums[e] = (pair[:, first:last] @ by_l[:, first:last].T).ravel()[inside]
        yield square.ravel()[inside], elements.tolist(), sums


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
    # Always so many rows: the rounding of a matrix product may depend on its shape, and a pattern on no other crystal.
    grid = np.bincount(index.ravel(), np.concatenate(weights), TOGETHER * size).reshape(TOGETHER, size)
    bins: Floats = np.maximum(grid.astype(np.float32) @ _grid_profiles(), 0).astype(float)
    return bins[:crystals]


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


class _ScatteringTables:
    """Atomic scattering factors in electrons and their first two Taylor terms, at multiples of `TABLE_STEP`.

    The tables of all elements are one array, values (118 t, 3), so that one look-up serves crystals of any elements;
    memory is used only for those that were asked for.
    """

    def __init__(self) -> None:
        self._squares = np.arange(0, WAVELENGTH**-2 + 2 * TABLE_STEP, TABLE_STEP)  # (t,)
        self.values = np.zeros((len(SYMBOLS) * len(self._squares), 3))
        self._known: set[int] = set()

    def start(self, number: int) -> int:
        """Return the first row of the table of an element that has a scattering factor."""
        square, start = self._squares, (number - 1) * len(self._squares)
        if number not in self._known:
            a, b = np.array(_scattering_parameters()[SYMBOLS[number - 1]]).T
            terms = a * np.exp(-np.outer(square, b))  # (t, 4 or so)
            sums = [terms @ (-b) ** k for k in range(3)]  # of the Gaussians, their first derivative, ...
            factor = [number - 41.78214 * square * sums[0]]
            factor += [-41.78214 * (k * sums[k - 1] + square * sums[k]) / k for k in (1, 2)]
            self.values[start : start + len(square)] = np.stack(factor, axis=1)
            self._known.add(number)
        return start


@cache
def _scattering_tables() -> _ScatteringTables:
    return _ScatteringTables()


@cache
def _scattering_parameters() -> Mapping[str, list[list[float]]]:
    """Read pymatgen's parameters, by symbol, from its file: importing its calculator takes a second."""
    spec = find_spec("pymatgen.analysis.diffraction")
    assert spec is not None and spec.origin is not None  # a dependency
    text = Path(spec.origin).with_name("atomic_scattering_params.json").read_text(encoding="utf-8")
    table: dict[str, list[list[float]]] = json.loads(text)
    return table
