"""Rotating stars: evolving spots on differentially rotating stars, and fixed patches on chemically peculiar ones."""

from __future__ import annotations

from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate.parameters import table
from goodricke.simulate.signals import events, mode_flux
from goodricke.simulate.source import Float, Star, Truth, exposure_mean, iterate_stars, seeds

LIFE = 2.6  # widths of a Gaussian, after which a spot is gone
SMOOTH = 0.01  # exposures shorter than this part of a rotation are as good as instants


class SpottedRotator:
    """Cool stars with spots that emerge, rotate with their latitude and decay, the active ones with flares.

    The physics is butterpy's (Claytor et al. 2022, ApJ 927, 219): a spot takes ``area`` times the cosine of its angle
    to the line of sight, its area rises and falls like two halves of Gaussians.
    """

    kind = "spotted_rotator"

    def draw(self, n: int, rng: np.random.Generator) -> Truth:
        """See `Source`."""
        truth: Truth = dict(table(self.kind).draw(n, rng)) | {"seed": seeds(n, rng)}
        truth["decay"] = np.maximum(truth["lifetime"], truth["period"])
        truth["emergence"] = truth["decay"] / table(self.kind).value("decay_over_emergence")
        truth["flare_rate"] = truth["flare_rate"] * truth["flaring"]
        return truth

    def flux(self, truth: Truth, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`."""
        result = np.ones((len(truth["seed"]), len(time)), np.float32)
        for row, star in zip(result, iterate_stars(truth), strict=True):
            spots = self.spots(star, time[0], time[-1])
            nodes = 2 if exposure > SMOOTH * star["period"] else 1
            row -= exposure_mean(partial(spot_dimming, spots, star), time, exposure, nodes)
            if star["flare_rate"] > 0:
                row += self._flares(star, time, exposure)
        return result

    def spots(self, star: Star, start: float, stop: float) -> Truth:
        """Return the spots between two times.

        Returns
        -------
        dict of ndarray (s,)
            time [d] of the largest area, area (with contrast), latitude and longitude [rad] at time 0.
        """
        t = table(self.kind)
        rate = star["spots"] / (star["emergence"] + star["decay"])
        reach = LIFE * star["decay"], LIFE * star["emergence"]
        time, marks = events(star["seed"], rate, start - reach[0], stop + reach[1], marks=4)
        low, high = np.sin(np.radians([star["lowest_latitude"], star["highest_latitude"]]))
        latitude = np.arcsin(low + (high - low) * marks[0]) * np.where(marks[1] < 0.5, -1, 1)
        smallest = t.value("smallest_area")  # density area**-2 between it and 1, in units of the largest
        area = star["largest_area"] / (1 + marks[3] * (1 / smallest - 1))
        return {"time": time, "area": area, "latitude": latitude, "longitude": 2 * np.pi * marks[2]}

    def _flares(self, star: Star, time: Float, exposure: float) -> NDArray[np.float32]:
        """Return flares whose energies have a power law and whose widths grow with energy."""
        t = table(self.kind)
        start, marks = events(star["seed"] + np.uint64(1), star["flare_rate"], time[0] - 1, time[-1] + 1, marks=1)
        energy = (1 - marks[0]) ** (-1 / t.value("flare_slope"))  # from 1 up
        width = np.minimum(t.value("flare_width") * energy ** (1 / 3), t.value("longest_flare"))
        height = star["flare_height"] * energy ** (2 / 3)
        result = np.zeros(len(time), np.float32)
        for peak, w, h in zip(start, width, height, strict=True):
            near = slice(*np.searchsorted(time, [peak - 2 * w - exposure, peak + 25 * w + exposure]))
            result[near] += h * flare((time[near] - peak) / w, exposure / w)
        return result


class FlaringDwarf(SpottedRotator):
    """Active M dwarfs: spotted rotators with frequent, high flares."""

    kind = "flaring_dwarf"


class ChemicallyPeculiar:
    """Alpha2 Canum Venaticorum stars: strictly periodic, a few harmonics."""

    kind = "chemically_peculiar"

    def draw(self, n: int, rng: np.random.Generator) -> Truth:
        """See `Source`."""
        t = table(self.kind)
        truth: Truth = dict(t.draw(n, rng))
        harmonic = np.arange(1, 1 + t.value("harmonics"))
        ratio = t.sample("harmonic_ratio", (n, len(harmonic)), rng) ** (harmonic - 1)
        weak = (truth["double_wave"][:, None] == 1) & (harmonic == 1)
        double = np.where(weak, t.value("double_wave_first"), 1.0)
        truth["frequency"] = harmonic / truth["period"][:, None]
        truth["mode_amplitude"] = truth["amplitude"][:, None] * ratio * double
        truth["mode_phase"] = rng.random(ratio.shape)
        return truth

    def flux(self, truth: Truth, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`."""
        return 1 + mode_flux(truth, time, exposure)


def spot_dimming(spots: Truth, star: Star, time: Float) -> NDArray[np.float32]:
    """Return the flux that is lost by spots.

    Parameters
    ----------
    spots : dict of ndarray (s,)
        As `SpottedRotator.spots` returns them.
    star : dict
        ``period`` [d] at the equator, ``shear`` (lower angular velocity at the pole, relative), ``inclination`` [deg],
        ``emergence`` and ``decay`` [d].
    time : ndarray (T,) [d], ascending

    Returns
    -------
    ndarray (T,)
    """
    inclination = np.radians(star["inclination"])
    result = np.zeros(len(time), np.float32)
    rotation = (1 - star["shear"] * np.sin(spots["latitude"]) ** 2) / star["period"]
    axis = np.cos(inclination) * np.sin(spots["latitude"])
    radius = np.sin(inclination) * np.cos(spots["latitude"])
    first = np.searchsorted(time, spots["time"] - LIFE * star["emergence"])
    last = np.searchsorted(time, spots["time"] + LIFE * star["decay"])
    for i, span in enumerate(map(slice, first, last)):
        cycles = time[span] * rotation[i] + spots["longitude"][i] / (2 * np.pi)
        angle = (2 * np.pi * (cycles - np.rint(cycles))).astype(np.float32)
        cosine = np.maximum(np.float32(axis[i]) + np.float32(radius[i]) * np.cos(angle), 0)
        age = (time[span] - spots["time"][i]).astype(np.float32)
        age /= np.where(age < 0, np.float32(star["emergence"]), np.float32(star["decay"]))
        result[span] += np.float32(spots["area"][i]) * cosine * np.exp(-age * age)
    return result


def flare(time: Float, exposure: float = 0.0) -> Float:
    """Return a flare of height 1 averaged over exposures; times and exposure are in its widths, the peak is at 0.

    Davenport et al. (2014), equations 1 and 4: a polynomial from -1 to 0, then two exponentials.
    """
    if exposure != 0:
        return (_flare_integral(time + exposure / 2) - _flare_integral(time - exposure / 2)) / exposure
    polynomial, decays = _flare_coefficients()
    rise = np.polynomial.polynomial.polyval(np.clip(time, -1, 0), polynomial)
    fall = sum(a * np.exp(-r * np.maximum(time, 0)) for a, r in decays)
    return np.where(time < -1, 0, np.where(time < 0, rise, fall))


def _flare_integral(time: Float) -> Float:
    """Return the integral of a flare up to each time."""
    polynomial, decays = _flare_coefficients()
    integral = np.polynomial.polynomial.polyint(polynomial, lbnd=-1)
    result = np.asarray(np.polynomial.polynomial.polyval(np.clip(time, -1, 0), integral), np.float64)
    return result + sum(a / r * -np.expm1(-r * np.maximum(time, 0)) for a, r in decays)


@cache
def _flare_coefficients() -> tuple[Float, Float]:
    t = table("m_dwarf_flare")
    return t.value("rise"), t.value("fall")
