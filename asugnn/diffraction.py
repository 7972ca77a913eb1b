"""The powder diffraction pattern, the paper's global vector G.

Kinematic intensities as in De Graef & McHenry, *Structure of Materials*, chapters 11 and 12, with pymatgen's
scattering factors: the reflections equal those of its `XRDCalculator`. Each is spread by a Voigt profile whose full
width at half maximum is Scherrer's for a grain of 20 nm, Lorentzian and Gaussian parts equally wide, and integrated
over bins, so that no peak falls between two sampling points.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from asugnn.crystal import SYMBOLS, Crystal, Floats, Ints
from asugnn.errors import InputError

WAVELENGTH = 1.54184  # angstrom, Cu K-alpha
EDGES = np.linspace(10.0, 80.0, 141)  # degrees of 2-theta, of the 140 bins
LARGEST = 85.0  # degrees of 2-theta: peaks beyond the last bin still reach into it
MERGED = 1e-5  # degrees of 2-theta within which pymatgen counts reflections as one peak
GRAIN = 200.0  # angstrom
SHAPE = 0.888  # Scherrer's constant, the authors'
BLOCK = 2_000_000  # phases held at once, 32 MB


def pattern(crystal: Crystal) -> Floats:
    """(140,) share of the intensity between 10 and 80 degrees that falls in each bin of 0.5 degrees; the sum is 1.

    Raises `InputError` for an element without a scattering factor, or a cell too small to diffract.
    """
    angle, intensity = reflections(crystal)  # (m,), (m,)
    width = np.degrees(SHAPE * WAVELENGTH / (GRAIN * np.cos(np.radians(angle / 2))))  # (m,)
    below = _voigt_below((EDGES - angle[:, None]) / width[:, None])  # (m, 141)
    bins = intensity @ np.diff(below, axis=1)  # (140,)
    if not (area := bins.sum()) > 0:
        raise InputError(f"{crystal.formula} has no reflection below {LARGEST} degrees: is its cell in angstrom?")
    share: Floats = bins / area
    return share


def reflections(crystal: Crystal, largest: float = LARGEST) -> tuple[Floats, Floats]:
    """2-theta in degrees (m,), ascending and up to `largest`, and intensity (m,) in electrons squared, polarised.

    All reflections within 1e-5 degrees are one, as in pymatgen; none is left out for being weak.
    """
    hkl, length = _half_sphere(crystal.lattice, 2 * np.sin(np.radians(largest / 2)) / WAVELENGTH)  # (h, 3), (h,)
    square = (length / 2) ** 2  # (sin(theta) / lambda)^2
    elements, element = np.unique(crystal.numbers, return_inverse=True)  # (e,), (n,)
    factors = np.stack([_scattering(int(z), square) for z in elements])  # (e, h)
    amplitude = np.empty(len(hkl), dtype=np.complex128)
    rows = max(1, BLOCK // len(crystal))
    for start in range(0, len(hkl), rows):
        part = slice(start, start + rows)
        phases = np.exp(2j * np.pi * (hkl[part] @ crystal.frac_coords.T))  # (rows, n)
        amplitude[part] = np.einsum("rn,nr->r", phases, factors[element, part])
    theta = np.arcsin(WAVELENGTH * length / 2)
    polarisation = (1 + np.cos(2 * theta) ** 2) / (np.sin(theta) ** 2 * np.cos(theta))
    intensity = 2 * abs(amplitude) ** 2 * polarisation  # 2: Friedel's other half
    angle = np.degrees(2 * theta)
    _, first, peak = np.unique(np.rint(angle / MERGED), return_index=True, return_inverse=True)
    total = np.zeros(len(first))
    np.add.at(total, peak, intensity)
    return angle[first], total


def _half_sphere(lattice: Floats, radius: float) -> tuple[Ints, Floats]:
    """Miller indices (h, 3) and lengths (h,) in 1/angstrom of one of each Friedel pair within `radius`, by length."""
    most = np.floor(radius * np.linalg.norm(lattice, axis=1)).astype(int)  # |h| = |g . a| <= |g| |a|
    axes = [np.arange(0, most[0] + 1), np.arange(-most[1], most[1] + 1), np.arange(-most[2], most[2] + 1)]
    hkl: Ints = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    h, k, l = hkl.T  # noqa: E741, Miller's letters
    hkl = hkl[(h > 0) | ((h == 0) & ((k > 0) | ((k == 0) & (l > 0))))]
    length: Floats = np.linalg.norm(hkl @ np.linalg.inv(lattice).T, axis=1)
    inside = length <= radius
    hkl, length = hkl[inside], length[inside]
    order = np.argsort(length, kind="stable")
    return hkl[order], length[order]


def _scattering(number: int, square: Floats) -> Floats:
    """Atomic scattering factor in electrons at (sin(theta) / lambda)^2 in 1/angstrom^2."""
    symbol = SYMBOLS[number - 1]
    if symbol not in _table():
        raise InputError(f"there is no X-ray scattering factor for {symbol}: remove the crystals that contain it")
    a, b = np.array(_table()[symbol]).T
    factor: Floats = number - 41.78214 * square * (np.exp(-np.outer(square, b)) @ a)
    return factor


@cache
def _table() -> Mapping[str, list[list[float]]]:
    """Pymatgen's parameters by symbol, read from its file because importing its calculator takes a second."""
    spec = find_spec("pymatgen.analysis.diffraction")
    assert spec is not None and spec.origin is not None  # a dependency
    text = Path(spec.origin).with_name("atomic_scattering_params.json").read_text(encoding="utf-8")
    table: dict[str, list[list[float]]] = json.loads(text)
    return table


def _voigt_below(x: Floats) -> Floats:
    """Share of a Voigt profile of full width 1 that lies below `x`, to 1e-5: one shape for all widths, so tabulated."""
    grid, share = _voigt_table()
    below: Floats = np.interp(x, grid, share)
    return below


@cache
def _voigt_table() -> tuple[Floats, Floats]:
    """The argument and the share below it: a Lorentzian's, averaged over a Gaussian by Gauss-Hermite quadrature."""
    part = 1 / (0.5346 + np.sqrt(0.2166 + 1))  # full width of each part (Olivero & Longbothum 1977, to 0.02 %)
    sigma, gamma = part / np.sqrt(8 * np.log(2)), part / 2
    nodes, weights = np.polynomial.hermite.hermgauss(64)
    x = np.sinh(np.linspace(-10, 10, 8001))  # dense at the peak, out to thousands of widths
    lorentzian = 0.5 + np.arctan((x[:, None] - np.sqrt(2) * sigma * nodes) / gamma) / np.pi  # (8001, 64)
    return x, lorentzian @ weights / np.sqrt(np.pi)
