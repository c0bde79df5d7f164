"""Rotating stars: evolving spots on differentially rotating stars, and fixed patches on chemically peculiar ones."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate.parameters import table
from goodricke.simulate.signals import events, sinusoids
from goodricke.simulate.source import Drawn, Float, Star, averaged, rows, seeds

LIFE = 2.6  # a Gaussian is followed this many widths long
SMOOTH = 0.01  # exposures shorter than this part of a rotation are as good as instants
RISE = (1.0, 1.941, -0.175, -2.246, -1.125)  # polynomial, time in widths, from -1 to 0 (Davenport et al. 2014, eq. 1)
DECAY = ((0.6890, 1.600), (0.3030, 0.2783))  # amplitude and rate of two exponentials (eq. 4)


class SpottedRotator:
    """Cool stars with spots that emerge, rotate with their latitude and decay, the active ones with flares.

    The physics is butterpy's (Claytor et al. 2022, ApJ 927, 219): a spot takes ``area`` times the cosine of its angle
    to the line of sight, its area rises and falls like two halves of Gaussians.
    """

    kind = "spotted_rotator"
    label = "CONTACT_ROT"

    def draw(self, n: int, rng: np.random.Generator) -> Drawn:
        """See `Source`."""
        drawn: Drawn = dict(table(self.kind).draw(n, rng)) | {"seed": seeds(n, rng)}
        drawn["decay"] = np.maximum(drawn["lifetime"], drawn["period"])
        drawn["emergence"] = drawn["decay"] / table(self.kind).value("decay_over_emergence")
        drawn["flare_rate"] = drawn["flare_rate"] * drawn["flaring"]
        return drawn

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`."""
        result = np.ones((len(drawn["seed"]), len(time)), np.float32)
        for row, star in zip(result, rows(drawn), strict=True):
            spots = self.spots(star, time[0], time[-1])
            nodes = 2 if exposure > SMOOTH * star["period"] else 1
            row -= averaged(partial(dimming, spots, star), time, exposure, nodes)
            if star["flare_rate"] > 0:
                row += self._flares(star, time, exposure)
        return result

    def spots(self, star: Star, start: float, stop: float) -> Drawn:
        """Return the spots that are seen between two times.

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
        for at, w, h in zip(start, width, height, strict=True):
            near = slice(*np.searchsorted(time, [at - 2 * w - exposure, at + 25 * w + exposure]))
            result[near] += h * flare((time[near] - at) / w, exposure / w)
        return result


class ChemicallyPeculiar:
    """Alpha2 Canum Venaticorum stars: strictly periodic, a few harmonics."""

    kind = "chemically_peculiar"
    label = "CONTACT_ROT"

    def draw(self, n: int, rng: np.random.Generator) -> Drawn:
        """See `Source`."""
        t = table(self.kind)
        drawn: Drawn = dict(t.draw(n, rng))
        harmonic = np.arange(1, 1 + t.value("harmonics"))
        ratio = t.each("harmonic_ratio", (n, len(harmonic)), rng) ** (harmonic - 1)
        weak = (drawn["double_wave"][:, None] == 1) & (harmonic == 1)
        double = np.where(weak, t.value("double_wave_first"), 1.0)
        drawn["frequency"] = harmonic / drawn["period"][:, None]
        drawn["mode_amplitude"] = drawn["amplitude"][:, None] * ratio * double
        drawn["mode_phase"] = rng.random(ratio.shape)
        return drawn

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`."""
        return 1 + sinusoids(time, drawn["frequency"], drawn["mode_amplitude"], drawn["mode_phase"], exposure)


def dimming(spots: Drawn, star: Star, time: Float) -> NDArray[np.float32]:
    """Return the flux that spots take away.

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
    for i, seen in enumerate(map(slice, first, last)):
        cycles = time[seen] * rotation[i] + spots["longitude"][i] / (2 * np.pi)
        angle = (2 * np.pi * (cycles - np.rint(cycles))).astype(np.float32)
        cosine = np.maximum(np.float32(axis[i]) + np.float32(radius[i]) * np.cos(angle), 0)
        age = (time[seen] - spots["time"][i]).astype(np.float32)
        age /= np.where(age < 0, np.float32(star["emergence"]), np.float32(star["decay"]))
        result[seen] += np.float32(spots["area"][i]) * cosine * np.exp(-age * age)
    return result


def flare(time: Float, exposure: float) -> Float:
    """Return a flare of height 1 averaged over exposures; times and exposure are in its widths, the peak is at 0."""
    if exposure == 0:
        rise = np.polynomial.polynomial.polyval(np.clip(time, -1, 0), RISE)
        return np.where(
            time < -1, 0, np.where(time < 0, rise, sum(a * np.exp(-r * np.maximum(time, 0)) for a, r in DECAY))
        )
    return (_until(time + exposure / 2) - _until(time - exposure / 2)) / exposure


def _until(time: Float) -> Float:
    """Return the integral of a flare up to each time."""
    whole = np.polynomial.polynomial.polyint(RISE, lbnd=-1)
    result = np.asarray(np.polynomial.polynomial.polyval(np.clip(time, -1, 0), whole), np.float64)
    return result + sum(a / r * -np.expm1(-r * np.maximum(time, 0)) for a, r in DECAY)
