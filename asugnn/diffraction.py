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

import json
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asugnn.crystal import SYMBOLS, Crystal, Floats
from asugnn.errors import InputError

Profile = Literal["integrated", "sampled"]

WAVELENGTH = 1.54184  # angstrom, Cu K-alpha
EDGES = np.linspace(10.0, 80.0, 141)  # degrees of 2-theta, of the 140 bins
MAX_ANGLE = 85.0  # degrees of 2-theta: the profiles of peaks beyond the last bin reach into it
MERGE_ANGLE = 1e-5  # degrees of 2-theta within which reflections are one peak, as in pymatgen
GRAIN_SIZE = 200.0  # angstrom
SCHERRER = 0.888  # Scherrer's constant, the authors'
BLOCK = 1_000_000  # phases in memory at once, 16 MB
GRID_STEP = 0.05  # degrees of 2-theta, of the grid to which peaks are interpolated
TABLE_STEP = 2.0**-15  # 1/angstrom^2, of the table of scattering factors: accurate to 1e-9 with two derivatives


def powder_pattern(crystal: Crystal, profile: Profile = "integrated") -> Floats:
    """Compute the share (140,) of the intensity from 10 to 80 degrees that is in each bin of 0.5 degrees; sum 1.

    With profile `sampled` a bin is the height of the profiles at its lower edge, and their width in degrees is the
    number that Scherrer's formula gives in radian for a grain of 20 angstrom: 0.07 to 0.09. This is near the authors'
    pattern, not equal to it: theirs has other shares of the Gaussian and the Lorentzian part, an area of 1 in degrees,
    no tails of peaks beyond 80 degrees, and by now 700 points.

    All cells of a crystal have the same pattern; a primitive one is fastest. Raises `InputError` for an element without
    a scattering factor, or a cell too small to diffract.
    """
    angle, intensity = _find_peaks(crystal, MAX_ANGLE)  # (h,), (h,)
    bins = _sample_profiles(angle, intensity) if profile == "sampled" else _integrate_profiles(angle, intensity)
    if not (area := bins.sum()) > 0:
        raise InputError(f"{crystal.formula} has no reflection below {MAX_ANGLE} degrees: is its cell in angstrom?")
    share: Floats = bins / area
    return share


def reflections(crystal: Crystal, max_angle: float = MAX_ANGLE) -> tuple[Floats, Floats]:
    """Compute the reflections up to `max_angle`: 2-theta (m,) in degrees, ascending, and intensity (m,).

    Intensities are in electrons squared, with Lorentz and polarisation factor. Reflections within 1e-5 degrees are one,
    as in pymatgen; weak ones are kept.
    """
    angle, intensity = _find_peaks(crystal, max_angle)
    order = np.argsort(angle, kind="stable")
    angle, intensity = angle[order], intensity[order]
    _, first, peak = np.unique(np.rint(angle / MERGE_ANGLE), return_index=True, return_inverse=True)
    total: Floats = np.bincount(peak, intensity, len(first)).astype(float)
    return angle[first], total


def _find_peaks(crystal: Crystal, max_angle: float) -> tuple[Floats, Floats]:
    """Compute 2-theta (h,) in degrees and intensity (h,) of one of each Friedel pair of reflections, unordered."""
    radius = 2 * np.sin(np.radians(max_angle / 2)) / WAVELENGTH
    elements, element = np.unique(crystal.numbers, return_inverse=True)  # (e,), (n,)
    tables = [_tabulate_scattering(int(z)) for z in elements]
    # |h| = |g . a| <= |g| |a|. Of the index with the largest range half is enough (Friedel), so it comes first.
    most = np.floor(radius * np.sqrt((crystal.lattice**2).sum(axis=1))).astype(int)
    axes = np.argsort(-most, kind="stable")
    h, k, l = (np.arange(-m if i else 0, m + 1) for i, m in enumerate(most[axes].tolist()))  # noqa: E741, Miller's
    inverse = np.linalg.inv(crystal.lattice)[:, axes]  # columns: the reciprocal vectors
    metric = inverse.T @ inverse
    x = crystal.frac_coords[:, axes]
    by_h, by_k, by_l = (np.exp(2j * np.pi * i[:, None] * x[:, a]) for a, i in enumerate((h, k, l)))  # (indices, n)
    in_plane = k[:, None] ** 2 * metric[1, 1] + 2 * k[:, None] * l * metric[1, 2] + l**2 * metric[2, 2]  # (K, L)
    cross = k[:, None] * metric[0, 1] + l * metric[0, 2]  # (K, L)
    upper_half = (k[:, None] > 0) | ((k[:, None] == 0) & (l > 0))  # (K, L), of the plane h = 0
    angles, intensities = [], []
    rows = max(1, BLOCK // (len(k) * max(len(crystal), len(l))))
    for start in range(0, len(h), rows):
        part = h[start : start + rows, None, None]
        square = part**2 * metric[0, 0] + 2 * part * cross + in_plane  # (rows, K, L), 1 / d^2
        inside = np.flatnonzero(((square <= radius**2) & ((part > 0) | upper_half)).ravel())
        square = square.ravel()[inside] / 4  # (sin(theta) / lambda)^2
        nearest = np.rint(square / TABLE_STEP).astype(np.int64)
        offset = square - nearest * TABLE_STEP
        pair = (by_h[start : start + rows, None] * by_k).reshape(-1, len(crystal))  # (rows K, n)
        amplitude = np.zeros(len(inside), dtype=np.complex128)
        for e, table in enumerate(tables):
            atoms = element == e if len(tables) > 1 else slice(None)
            phases = (pair[:, atoms] @ by_l[:, atoms].T).ravel()[inside]
            f, first, second = table[:, nearest]
            amplitude += phases * ((second * offset + first) * offset + f)
        sine = WAVELENGTH * np.sqrt(square)
        cosine = np.sqrt(1 - sine**2)
        polarisation = (1 + (cosine**2 - sine**2) ** 2) / (sine**2 * cosine)
        angles.append(np.degrees(2 * np.arcsin(sine)))
        intensities.append(2 * (amplitude.real**2 + amplitude.imag**2) * polarisation)  # 2: Friedel's pairs
    return np.concatenate(angles), np.concatenate(intensities)


def _integrate_profiles(angle: Floats, intensity: Floats) -> Floats:
    """Integrate the profiles of peaks (h,) over the bins: (140,), interpolating between angles of a grid."""
    position = angle / GRID_STEP
    below = position.astype(np.int64)
    t = position - below  # (h,) from 0 to 1; Lagrange interpolation with nodes at -2 ... 3
    a, b, c, d, e, f = (t - node for node in range(-2, 4))
    ab, cd, ef = a * b, c * d * intensity, e * f
    inner, outer, last = ab * ef * intensity, cd * ef, cd * ab
    weights = b * outer / -120, a * outer / 24, d * inner / -12, c * inner / 12, f * last / -24, e * last / 120
    grid = np.zeros(len(_grid_profiles()))
    for i, weight in enumerate(weights):
        grid += np.bincount(below + i, weight, len(grid))
    bins: Floats = np.maximum(grid.astype(np.float32) @ _grid_profiles(), 0).astype(float)
    return bins


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


def _sample_profiles(angle: Floats, intensity: Floats) -> Floats:
    """Sum the profiles of peaks (h,) at the lower edges of the bins: (140,)."""
    from scipy.special import voigt_profile

    allowed = intensity > 0
    angle, intensity = angle[allowed], intensity[allowed]
    part = SCHERRER * WAVELENGTH / (20 * np.cos(np.radians(angle / 2))) / (0.5346 + np.sqrt(0.2166 + 1))
    heights = voigt_profile(EDGES[:-1, None] - angle, part / np.sqrt(8 * np.log(2)), part / 2)  # (140, h)
    bins: Floats = heights @ intensity
    return bins


@cache
def _tabulate_scattering(number: int) -> Floats:
    """Tabulate the atomic scattering factor in electrons and its Taylor terms: (3, t), at multiples of `TABLE_STEP`.

    Raises `InputError` for an element without one.
    """
    symbol = SYMBOLS[number - 1]
    if symbol not in _scattering_parameters():
        raise InputError(f"there is no X-ray scattering factor for {symbol}: remove the crystals that contain it")
    a, b = np.array(_scattering_parameters()[symbol]).T
    square = np.arange(0, WAVELENGTH**-2 + 2 * TABLE_STEP, TABLE_STEP)
    terms = a * np.exp(-np.outer(square, b))  # (t, 4 or so)
    sums = [terms @ (-b) ** k for k in range(3)]  # of the Gaussians, their first derivative, ...
    factor = [number - 41.78214 * square * sums[0]]
    factor += [-41.78214 * (k * sums[k - 1] + square * sums[k]) / k for k in (1, 2)]
    return np.stack(factor)


@cache
def _scattering_parameters() -> Mapping[str, list[list[float]]]:
    """Read pymatgen's parameters, by symbol, from its file: importing its calculator takes a second."""
    spec = find_spec("pymatgen.analysis.diffraction")
    assert spec is not None and spec.origin is not None  # a dependency
    text = Path(spec.origin).with_name("atomic_scattering_params.json").read_text(encoding="utf-8")
    table: dict[str, list[list[float]]] = json.loads(text)
    return table
