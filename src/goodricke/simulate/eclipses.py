"""What two stars that pass in front of each other show: overlapping discs, orbits, light curves against phase."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

NODES = 12  # of the quadrature over the partly covered annuli: 1e-7 of the star's light
_PLACE, _PART = np.polynomial.legendre.leggauss(NODES)
_ANGLE, _WEIGHT = 0.5 * np.pi * (_PLACE + 1), 0.5 * np.pi * _PART
BASE, WINDOW = 193, 141  # angles around the orbit, and within each eclipse


def light_within(radius: Float, u1: Float, u2: Float) -> Float:
    """Return the light within a radius of a disc of radius 1, over the whole disc's.

    Quadratic limb darkening, I = 1 - u1 (1 - mu) - u2 (1 - mu)^2, integrated in closed form.
    """
    mu = np.sqrt(np.clip(1 - radius**2, 0, 1))
    linear = u1 + 2 * u2
    whole = 1 - u1 / 3 - u2 / 6
    return 1 - ((1 - u1 - u2) * mu**2 + linear * mu**3 * 2 / 3 - u2 * mu**4 / 2) / whole


def hidden(distance: Float, ratio: Float, u1: Float, u2: Float) -> Float:
    """Return the fraction of a limb-darkened disc's light that an opaque disc in front of it covers.

    Annuli that are covered all round are summed in closed form, those covered in part by a Gauss-Legendre rule in the
    angle that takes away the square roots at its ends. Exact for any ratio of the radii.

    Parameters
    ----------
    distance : (...,)
        Of the centres, in radii of the disc behind.
    ratio : (...,)
        Radius of the disc in front over that of the one behind.
    u1, u2 : (...,)
        Quadratic limb darkening of the disc behind.
    """
    arrays = np.broadcast_arrays(distance, ratio, u1, u2)
    result = np.zeros(arrays[0].shape)
    touching = arrays[0] < 1 + arrays[1]
    d, k, u1, u2 = (array[touching] for array in arrays)
    low, high = np.minimum(np.abs(d - k), 1), np.minimum(d + k, 1)
    covered = light_within(low, u1, u2) * (k > d)  # the small circle around the centre that is wholly hidden
    middle, half = 0.5 * (low + high)[:, None], 0.5 * (high - low)[:, None]
    r = middle - half * np.cos(_ANGLE)  # (m, NODES)
    d, k = d[:, None], k[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = (r**2 + d**2 - k**2) / (2 * r * d)
    arc = np.arccos(np.clip(np.nan_to_num(cosine, nan=1.0), -1, 1)) / np.pi
    dark = 1 - np.sqrt(np.clip(1 - r**2, 0, 1))
    whole = 1 - u1 / 3 - u2 / 6
    intensity = (1 - u1[:, None] * dark - u2[:, None] * dark**2) / whole[:, None]
    annuli = intensity * 2 * r * arc * half * np.sin(_ANGLE)
    result[touching] = covered + annuli @ _WEIGHT
    return result


def roche_radius(mass_ratio: Float) -> Float:
    """Return the volume radius of the Roche lobe over the separation; mass of the star over its companion's.

    Eggleton (1983), equation 2.
    """
    third = np.cbrt(mass_ratio)
    return 0.49 * third**2 / (0.6 * third**2 + np.log1p(third))


@dataclass(frozen=True)
class Orbit:
    """Relative orbits of n stars at G angles each, ordered by phase; phase 0 is star 2 in front of star 1.

    Along the true anomaly Kepler's equation is in closed form: no iteration is needed to have phases of angles, and
    fluxes at other phases follow by interpolation (`PhaseCurve`).
    """

    phase: Float  # (n, G) from 0 to 1, both included
    angle: Float  # (n, G) from the conjunction with star 2 in front, in the orbit's plane
    distance: Float  # (n, G) in semi-major axes
    projected: Float  # (n, G) distance on the sky in semi-major axes

    @classmethod
    def of(cls, eccentricity: Float, periastron: Float, inclination: Float, reach: Float) -> Orbit:
        """Return the orbits, with many angles wherever the discs may overlap.

        Parameters
        ----------
        eccentricity : (n,)
        periastron, inclination : (n,)
            Radians; argument of periastron of star 1's orbit around its companion as Winn (2010) has it.
        reach : (n,)
            Sum of the radii in semi-major axes.
        """
        angle = _angles(eccentricity, periastron, reach)
        phase = _phase(angle, eccentricity[:, None], periastron[:, None])
        order = np.argsort(phase, axis=1, kind="stable")
        phase, angle = np.take_along_axis(phase, order, 1), np.take_along_axis(angle, order, 1)
        phase = np.concatenate([phase, np.ones((len(phase), 1))], 1)
        angle = np.concatenate([angle, angle[:, :1]], 1)
        distance = (1 - eccentricity[:, None] ** 2) / _nearness(angle, eccentricity[:, None], periastron[:, None])
        projected = distance * np.sqrt(np.maximum(1 - (np.cos(angle) * np.sin(inclination)[:, None]) ** 2, 0))
        return cls(phase, angle, distance, projected)


def _nearness(angle: Float, eccentricity: Float, periastron: Float) -> Float:
    """Return 1 + e cos(true anomaly) at angles from the conjunction."""
    return 1 + eccentricity * np.cos(angle + np.pi / 2 - periastron)


def _angles(eccentricity: Float, periastron: Float, reach: Float) -> Float:
    """Return angles from the conjunction (n, G): all round, and closely within both eclipses."""
    parts = [np.broadcast_to(np.linspace(-np.pi, np.pi, BASE, endpoint=False), (len(reach), BASE))]
    for conjunction in (0.0, np.pi):
        away = (1 - eccentricity**2) / _nearness(np.full(len(reach), conjunction), eccentricity, periastron)
        half = np.minimum(1.2 * np.arcsin(np.minimum(reach / away, 1)), np.pi / 2)
        parts.append(conjunction + half[:, None] * np.linspace(-1, 1, WINDOW))
    return np.concatenate(parts, 1)


def _phase(angle: Float, eccentricity: Float, periastron: Float) -> Float:
    """Return the time since the conjunction in periods, in [0, 1)."""

    def mean_anomaly(angle: Float) -> Float:
        half = 0.5 * (angle + np.pi / 2 - periastron)
        e = 2 * np.arctan2(np.sqrt(1 - eccentricity) * np.sin(half), np.sqrt(1 + eccentricity) * np.cos(half))
        return e - eccentricity * np.sin(e)

    phase = (mean_anomaly(angle) - mean_anomaly(np.zeros_like(periastron))) / (2 * np.pi)
    phase = np.round(phase - np.floor(phase), 12)  # the conjunction itself is 0, not 1 less a rounding error
    return np.where(phase >= 1, 0.0, phase)


@dataclass(frozen=True)
class PhaseCurve:
    """Periodic light curves, each a polygon over its phase.

    Parameters
    ----------
    phase : (n, G)
        From 0 to 1, ascending, both included.
    flux : (n, G)
    """

    phase: Float
    flux: Float

    def observed(self, phase: Float, width: Float) -> NDArray[np.float32]:
        """Return the fluxes averaged over exposures, without sampling them: by the polygon's exact integral.

        Parameters
        ----------
        phase : (n, T)
            Of the exposures' middles, in periods; any real numbers.
        width : (n,)
            Exposure times in periods.
        """
        step = np.diff(self.phase, axis=1)
        pieces = 0.5 * step * (self.flux[:, 1:] + self.flux[:, :-1])
        integral = np.concatenate([np.zeros((len(step), 1)), np.cumsum(pieces, axis=1)], 1)
        slope = 0.5 * np.diff(self.flux, axis=1) / np.where(step > 0, step, 1)
        result = np.empty(phase.shape, np.float32)
        for i in range(len(phase)):  # a search per light curve
            ends = [self._integral(i, integral[i], slope[i], phase[i] + s * width[i]) for s in (-0.5, 0.5)]
            result[i] = (ends[1] - ends[0]) / width[i]
        return result

    def _integral(self, row: int, integral: Float, slope: Float, phase: Float) -> Float:
        """Return the integral of one light curve from phase 0 to others (T,)."""
        whole = np.floor(phase)
        part = phase - whole
        at = np.clip(np.searchsorted(self.phase[row], part, side="right") - 1, 0, len(slope) - 1)
        x = part - self.phase[row][at]
        return whole * integral[-1] + integral[at] + x * (self.flux[row][at] + slope[at] * x)
