"""Student's t distribution for one or more degrees of freedom, broken ones too; without scipy, which loads slowly."""

from __future__ import annotations

from functools import cache
from math import lgamma, log, pi
from statistics import NormalDist

import numpy as np

from asugnn.crystal import Floats

LARGE = 30.0  # degrees of freedom from which the formula of Wallace (1959) is good to four digits
LARGEST_T = 1e6
NORMAL = NormalDist()


def t_p_values(t: Floats, dof: Floats) -> Floats:
    """The two-sided p-values (n,) of values t >= 0 (n,) with degrees of freedom >= 1 (n,)."""
    p = np.empty(len(t))
    large = dof >= LARGE
    d = dof[large]
    z = (8 * d + 1) / (8 * d + 3) * np.sqrt(d * np.log1p(t[large] ** 2 / d))
    p[large] = [2 * NORMAL.cdf(-x) for x in z.tolist()]
    p[~large] = _integrated(t[~large], dof[~large])
    return p


def _integrated(t: Floats, dof: Floats) -> Floats:
    """The same by integration: with t = sqrt(dof) / tan(angle) the tail is an integral of sin(angle)**(dof - 1)."""
    nodes, weights = np.polynomial.legendre.leggauss(48)
    w = (nodes + 1) / 2  # (48,) in [0, 1]
    end = np.arctan2(np.sqrt(dof), t)[:, None]
    # angle = end w**2: the power of a small angle is then smooth in w for every dof >= 1.
    powers = np.sin(end * w**2) ** (dof[:, None] - 1) * (2 * end * w)
    scale = np.exp([lgamma((d + 1) / 2) - lgamma(d / 2) - log(pi) / 2 for d in dof.tolist()])
    tail: Floats = np.minimum(1.0, scale * (powers * weights).sum(axis=1))  # both tails; the nodes span a length of 2
    return tail


def t_quantile(level: float, dof: float) -> float:
    """The t that is exceeded in absolute value with the probability 1 - `level`."""
    if dof >= LARGE:
        z2 = NORMAL.inv_cdf((1 + level) / 2) ** 2
        return float(np.sqrt(dof * np.expm1(z2 * ((8 * dof + 3) / (8 * dof + 1)) ** 2 / dof)))
    inverse, logarithms = _small_quantiles(level)
    return float(np.exp(np.interp(1 / dof, inverse, logarithms)))


@cache
def _small_quantiles(level: float) -> tuple[Floats, Floats]:
    """The logarithms (n,) of quantiles over 1 / degrees of freedom (n,), ascending, close enough to interpolate."""
    inverse = np.linspace(1 / LARGE, 1, 400)
    low, high = np.zeros(400), np.full(400, np.log(LARGEST_T))
    for _ in range(50):
        middle = (low + high) / 2
        beyond = _integrated(np.exp(middle), 1 / inverse) < 1 - level
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    return inverse, middle
