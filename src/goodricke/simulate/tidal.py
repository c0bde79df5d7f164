"""Low-frequency modes in a rotating star: eigenvalues of Laplace's tidal equation, the traditional approximation.

With the horizontal displacement as grad a + r x grad b in spherical harmonics the equation is a matrix problem; for
its solutions see Lee & Saio 1997, ApJ 491, 839, and Townsend 2003, MNRAS 340, 1020. A star's periods in the corotating
frame are Pi0 (n + eps) / sqrt(lambda), where lambda depends on the spin parameter 2 f_rot P.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigvals

from goodricke.simulate.source import Float

DAY = 86400.0  # s
DEGREES = 60  # spherical harmonics in the expansion: enough up to the largest spin below


class Series(NamedTuple):
    """Modes of one geometry.

    Attributes
    ----------
    m : int
        Azimuthal order, positive for prograde.
    lowest, highest : float
        Between these spin parameters the series is found.
    largest : float
        Its eigenvalue is the greatest that is below; for g modes the least of all.
    """

    m: int
    lowest: float
    highest: float
    largest: float = np.inf


DIPOLE = Series(1, 0.0, 60.0)  # prograde sectoral
QUADRUPOLE = Series(2, 0.0, 60.0)
ZONAL = Series(0, 0.0, 12.0)
RETROGRADE = Series(-1, 0.0, 1.9)
ROSSBY = Series(-1, 6.3, 40.0, 0.12)  # r modes k = -2 of Saio et al. 2018, MNRAS 474, 2774


def eigenvalues(spin: float, m: int) -> Float:
    """Return the positive eigenvalues lambda of Laplace's tidal equation, ascending.

    Parameters
    ----------
    spin : float
        2 f_rot / f_corotating; ``-m * spin`` must be no l (l + 1).
    m : int
        Azimuthal order, positive for prograde.
    """
    degree = np.arange(max(abs(m), 1), DEGREES + abs(m), dtype=np.float64)
    weight = degree * (degree + 1)
    beside = np.sqrt(((degree + 1) ** 2 - m**2) / ((2 * degree + 1) * (2 * degree + 3)))[:-1]
    coupling = np.diag(-degree[:-1] * (degree[:-1] + 2) * beside, -1)
    coupling += np.diag(-(degree[:-1] + 2) * degree[:-1] * beside, 1)
    inertia = weight + m * spin
    matrix = np.diag(inertia) - spin**2 * coupling @ (coupling / inertia[:, None])
    reciprocal: Float = np.real(eigvals(matrix / weight[:, None] ** 2))
    return np.sort(1 / reciprocal[reciprocal > 1e-7])


@cache
def eigenvalue_table(series: Series) -> tuple[Float, Float]:
    """Return spin parameters (s,) and a series' eigenvalue at them (s,)."""
    spins = series.lowest + (series.highest - series.lowest) * np.linspace(0, 1, 60) ** 2 + 1e-3 * np.sqrt(2)
    return spins, np.array([_of_series(eigenvalues(spin, series.m), series) for spin in spins])


def _of_series(values: Float, series: Series) -> float:
    return float(values[0] if np.isinf(series.largest) else values[values < series.largest][-1])


def frequencies(series: Series, spacing: Float, rotation: Float, order: Float) -> Float:
    """Return inertial frequencies of modes of high radial order [1/d], NaN where the series has none.

    Parameters
    ----------
    series : Series
    spacing : ndarray, broadcast with the others
        Buoyancy radius Pi0 [s].
    rotation : ndarray
        Rotation frequency near the core [1/d].
    order : ndarray
        Radial order n + eps.

    Notes
    -----
    The period in the corotating frame is P = Pi0 order / sqrt(lambda(2 f_rot P)); since spin * sqrt(lambda) grows with
    spin, one interpolation solves for the spin.
    """
    spins, values = eigenvalue_table(series)
    scaled = 2 * rotation * spacing / DAY * order
    spin = np.interp(scaled, spins * np.sqrt(values), spins, left=np.nan, right=np.nan)
    if series.lowest == 0:  # below the first spin of the table rotation does not matter
        spin = np.where(scaled < spins[0] * np.sqrt(values[0]), scaled / np.sqrt(values[0]), spin)
    corotating = np.sqrt(np.interp(spin, spins, values)) * DAY / (spacing * order)
    return np.abs(corotating + series.m * rotation)
