"""The powder diffraction pattern, the paper's global vector G.

Kinematic intensities as in De Graef & McHenry, *Structure of Materials*, chapters 11 and 12, with pymatgen's
scattering factors: the reflections equal those of its `XRDCalculator`. Each is spread by a Voigt profile whose full
width at half maximum is Scherrer's for a grain of 20 nm, Lorentzian and Gaussian parts equally wide, and integrated
over bins, so that no peak falls between two sampling points.

A pattern costs little because the phases of an atom are products of three, one of each Miller index, which makes the
structure factors of a whole box of reflections one matrix product; because scattering factors are read from a table;
and because the bins of a peak change smoothly with its angle, so that peaks are first gathered on a grid of angles.
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
LARGEST = 85.0  # degrees of 2-theta: peaks beyond the last bin still reach into it
MERGED = 1e-5  # degrees of 2-theta within which pymatgen counts reflections as one peak
GRAIN = 200.0  # angstrom
SHAPE = 0.888  # Scherrer's constant, the authors'
BLOCK = 1_000_000  # phases held at once, 16 MB
STEP = 0.05  # degrees of 2-theta, of the grid on which peaks are gathered
FINE = 2.0**-15  # steps of the table of scattering factors, in 1/angstrom^2: with two derivatives to 1e-9


def powder_pattern(crystal: Crystal, profile: Profile = "integrated") -> Floats:
    """(140,) share of the intensity between 10 and 80 degrees that falls in each bin of 0.5 degrees; the sum is 1.

    With `sampled`, as in the authors' code, the profile's height at the lower edge of each bin, and a width that is
    Scherrer's with 20 for the grain in angstrom, taken as degrees: 0.07 to 0.09. Any cell of a crystal gives the same,
    a primitive one fastest. Raises `InputError` for an element without a scattering factor, or a cell too small to
    diffract.
    """
    angle, intensity = _peaks(crystal, LARGEST)  # (h,), (h,)
    bins = _sampled(angle, intensity) if profile == "sampled" else _integrated(angle, intensity)
    if not (area := bins.sum()) > 0:
        raise InputError(f"{crystal.formula} has no reflection below {LARGEST} degrees: is its cell in angstrom?")
    share: Floats = bins / area
    return share


def reflections(crystal: Crystal, largest: float = LARGEST) -> tuple[Floats, Floats]:
    """2-theta in degrees (m,), ascending and up to `largest`, and intensity (m,) in electrons squared, polarised.

    All reflections within 1e-5 degrees are one, as in pymatgen; none is left out for being weak.
    """
    angle, intensity = _peaks(crystal, largest)
    order = np.argsort(angle, kind="stable")
    angle, intensity = angle[order], intensity[order]
    _, first, peak = np.unique(np.rint(angle / MERGED), return_index=True, return_inverse=True)
    total: Floats = np.bincount(peak, intensity, len(first)).astype(float)
    return angle[first], total


def _peaks(crystal: Crystal, largest: float) -> tuple[Floats, Floats]:
    """2-theta in degrees (h,) and intensity (h,) of one of each Friedel pair of reflections, in no order."""
    radius = 2 * np.sin(np.radians(largest / 2)) / WAVELENGTH
    elements, element = np.unique(crystal.numbers, return_inverse=True)  # (e,), (n,)
    tables = [_scattering(int(z)) for z in elements]
    # |h| = |g . a| <= |g| |a|. The first index, half of whose values are enough, is the one with most of them.
    most = np.floor(radius * np.sqrt((crystal.lattice**2).sum(axis=1))).astype(int)
    axes = np.argsort(-most, kind="stable")
    h, k, l = (np.arange(-m if i else 0, m + 1) for i, m in enumerate(most[axes].tolist()))  # noqa: E741, Miller's
    inverse = np.linalg.inv(crystal.lattice)[:, axes]  # columns: the reciprocal vectors
    metric = inverse.T @ inverse
    x = crystal.frac_coords[:, axes]
    by_h, by_k, by_l = (np.exp(2j * np.pi * i[:, None] * x[:, a]) for a, i in enumerate((h, k, l)))  # (indices, n)
    flat = k[:, None] ** 2 * metric[1, 1] + 2 * k[:, None] * l * metric[1, 2] + l**2 * metric[2, 2]  # (K, L)
    along = k[:, None] * metric[0, 1] + l * metric[0, 2]  # (K, L)
    half = (k[:, None] > 0) | ((k[:, None] == 0) & (l > 0))  # of the plane h = 0
    angles, intensities = [], []
    rows = max(1, BLOCK // (len(k) * max(len(crystal), len(l))))
    for start in range(0, len(h), rows):
        part = h[start : start + rows, None, None]
        square = part**2 * metric[0, 0] + 2 * part * along + flat  # (rows, K, L), 1 / d^2
        inside = np.flatnonzero(((square <= radius**2) & ((part > 0) | half)).ravel())
        square = square.ravel()[inside] / 4  # (sin(theta) / lambda)^2
        near = np.rint(square / FINE).astype(np.int64)
        off = square - near * FINE
        pair = (by_h[start : start + rows, None] * by_k).reshape(-1, len(crystal))  # (rows K, n)
        amplitude = np.zeros(len(inside), dtype=np.complex128)
        for e, table in enumerate(tables):
            mine = element == e if len(tables) > 1 else slice(None)
            phases = (pair[:, mine] @ by_l[:, mine].T).ravel()[inside]
            f, first, second = table[:, near]
            amplitude += phases * ((second * off + first) * off + f)
        sine = WAVELENGTH * np.sqrt(square)
        cosine = np.sqrt(1 - sine**2)
        polarisation = (1 + (cosine**2 - sine**2) ** 2) / (sine**2 * cosine)
        angles.append(np.degrees(2 * np.arcsin(sine)))
        intensities.append(2 * (amplitude.real**2 + amplitude.imag**2) * polarisation)  # 2: Friedel's other half
    return np.concatenate(angles), np.concatenate(intensities)


def _integrated(angle: Floats, intensity: Floats) -> Floats:
    """(140,) intensity in each bin: of every peak that of the profiles at six angles of a grid, by Lagrange's rule."""
    place = angle / STEP
    below = place.astype(np.int64)
    t = place - below  # (h,) from 0 to 1, and the nodes at -2 ... 3
    a, b, c, d, e, f = (t - node for node in range(-2, 4))
    ab, cd, ef = a * b, c * d * intensity, e * f
    inner, outer, last = ab * ef * intensity, cd * ef, cd * ab
    weights = b * outer / -120, a * outer / 24, d * inner / -12, c * inner / 12, f * last / -24, e * last / 120
    grid = np.zeros(len(_profiles()))
    for i, weight in enumerate(weights):
        grid += np.bincount(below + i, weight, len(grid))
    bins: Floats = np.maximum(grid.astype(np.float32) @ _profiles(), 0).astype(float)
    return bins


@cache
def _profiles() -> NDArray[np.float32]:
    """(g, 140) share of each bin in a peak at the g angles from -2 steps to beyond the largest."""
    angle = STEP * np.arange(-2, round(LARGEST / STEP) + 5)
    part = 1 / (0.5346 + np.sqrt(0.2166 + 1))  # width of each part (Olivero & Longbothum 1977, to 0.02 %)
    width = part * np.degrees(SHAPE * WAVELENGTH / (GRAIN * np.cos(np.radians(angle / 2))))[:, None]  # (g, 1)
    # Below an edge lies a Lorentzian's share, averaged over a Gaussian by Gauss-Hermite quadrature.
    below = np.zeros((len(angle), len(EDGES)))
    for node, weight in zip(*np.polynomial.hermite.hermgauss(64), strict=True):
        x = EDGES - angle[:, None] - node * width / np.sqrt(4 * np.log(2))
        below += weight / np.sqrt(np.pi) * (0.5 + np.arctan(2 * x / width) / np.pi)
    return np.diff(below, axis=1).astype(np.float32)


def _sampled(angle: Floats, intensity: Floats) -> Floats:
    from scipy.special import voigt_profile

    seen = intensity > 0
    angle, intensity = angle[seen], intensity[seen]
    part = SHAPE * WAVELENGTH / (20 * np.cos(np.radians(angle / 2))) / (0.5346 + np.sqrt(0.2166 + 1))
    heights = voigt_profile(EDGES[:-1, None] - angle, part / np.sqrt(8 * np.log(2)), part / 2)  # (140, h)
    bins: Floats = heights @ intensity
    return bins


@cache
def _scattering(number: int) -> Floats:
    """(3, t): the atomic scattering factor in electrons and its Taylor terms, at multiples of `FINE`.

    Raises `InputError` for an element without one.
    """
    symbol = SYMBOLS[number - 1]
    if symbol not in _table():
        raise InputError(f"there is no X-ray scattering factor for {symbol}: remove the crystals that contain it")
    a, b = np.array(_table()[symbol]).T
    square = np.arange(0, WAVELENGTH**-2 + 2 * FINE, FINE)
    terms = a * np.exp(-np.outer(square, b))  # (t, 4 or so)
    sums = [terms @ (-b) ** k for k in range(3)]  # of the Gaussians, their first derivative, ...
    factor = [number - 41.78214 * square * sums[0]]
    factor += [-41.78214 * (k * sums[k - 1] + square * sums[k]) / k for k in (1, 2)]
    return np.stack(factor)


@cache
def _table() -> Mapping[str, list[list[float]]]:
    """Pymatgen's parameters by symbol, read from its file because importing its calculator takes a second."""
    spec = find_spec("pymatgen.analysis.diffraction")
    assert spec is not None and spec.origin is not None  # a dependency
    text = Path(spec.origin).with_name("atomic_scattering_params.json").read_text(encoding="utf-8")
    table: dict[str, list[list[float]]] = json.loads(text)
    return table
