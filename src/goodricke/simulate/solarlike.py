"""Solar-like oscillators: granulation and stochastically excited modes from scaling relations, with mixed modes.

The power spectrum is drawn in the Fourier domain and evaluated at the times of observation, which is exact for
stationary processes such as stochastically excited, damped modes (Lorentzian profiles).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate.parameters import Table, table
from goodricke.simulate.signals import synthesised
from goodricke.simulate.source import Drawn, Float, Star, rows, seeds

MICROHERTZ = 0.0864  # 1/d
NU_MAX_SUN = 3090.0  # uHz
ORDERS = 11  # radial orders around nu_max that have modes
MIXED = 90  # mixed dipole modes at most
DENSEST = 12  # mixed modes per radial order; beyond, they melt into one peak
REACH = 20.0  # widths of a mode on both sides that its profile is followed


class _SolarLike:
    """Stars with granulation (two profiles) and modes of degree 0, 1 and 2."""

    kind: str
    label = "SOLARLIKE"

    def draw(self, n: int, rng: np.random.Generator) -> Drawn:
        """See `Source`."""
        t = table(self.kind)
        drawn: Drawn = dict(t.draw(n, rng)) | {"seed": seeds(n, rng)}
        drawn |= self._evolution(drawn, t)
        factor, exponent = t.value("large_separation_relation")
        drawn["large_separation"] = factor * drawn["nu_max"] ** exponent * drawn["large_separation_scatter"]
        factor, exponent = t.value("amplitude_relation")
        drawn["amplitude"] = factor * 1e-6 * (drawn["nu_max"] / NU_MAX_SUN) ** exponent * drawn["amplitude_scatter"]
        drawn |= _granulation(drawn, t)
        each = [_modes(star, t) for star in rows(drawn)]
        names = ("mode_frequency", "mode_deviation", "mode_width")
        return drawn | {name: np.stack(values) for name, values in zip(names, zip(*each, strict=True), strict=True)}

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`."""
        stars = list(rows(drawn))

        def variance(row: int, edges: Float) -> Float:
            return variances(stars[row], edges / MICROHERTZ)

        return 1 + synthesised(drawn["seed"], variance, time, exposure, 4 * MICROHERTZ * drawn["nu_max"])

    def _evolution(self, drawn: Drawn, t: Table) -> Drawn:
        """Return parameters that depend on the star's stage."""
        return {name: np.full(len(drawn["nu_max"]), t.value(name)) for name in ("period_spacing", "coupling")}


class RedGiant(_SolarLike):
    """Red giants on the first ascent or in the clump."""

    kind = "red_giant"

    def _evolution(self, drawn: Drawn, t: Table) -> Drawn:
        clump = drawn["clump"] == 1
        return {
            "nu_max": np.where(clump, drawn["clump_nu_max"], drawn["nu_max"]),
            "period_spacing": np.where(clump, drawn["clump_period_spacing"], drawn["period_spacing"]),
        }


class SolarType(_SolarLike):
    """Subgiants and dwarfs, whose modes only exposures of minutes resolve."""

    kind = "solar_type"


def variances(star: Star, edges: Float) -> Float:
    """Return the variance of the flux in bins of frequency, granulation and modes, (K,).

    Parameters
    ----------
    star : dict
        One star's parameters.
    edges : ndarray (K + 1,) [uHz]
    """
    middle = (edges[1:] + edges[:-1]) / 2
    profiles = star["granulation_deviation"][:, None], star["granulation_frequency"][:, None]
    density = 2 * np.sqrt(2) / np.pi * profiles[0] ** 2 / profiles[1] / (1 + (middle / profiles[1]) ** 4)
    result = density.sum(axis=0) * np.diff(edges)
    _add_modes(result, edges, star)
    return result


def _add_modes(result: Float, edges: Float, star: Star) -> None:
    """Add Lorentzian profiles, integrated over each bin so that no mode is too narrow for it."""
    real = np.isfinite(star["mode_frequency"])
    frequency, deviation, width = (
        star[name][real, None] for name in ("mode_frequency", "mode_deviation", "mode_width")
    )
    bin_width = edges[1] - edges[0]
    reach = int(np.ceil(REACH * np.max(width, initial=0.0) / bin_width)) + 2
    place = np.floor((frequency - edges[0]) / bin_width).astype(np.int64) + np.arange(-reach, reach + 2)
    below = np.arctan((edges[0] + place * bin_width - frequency) / (width / 2)) / np.pi
    share = np.diff(below, axis=1)
    inside = (place[:, :-1] >= 0) & (place[:, :-1] < len(result))
    np.add.at(result, place[:, :-1][inside], (deviation**2 * share)[inside])


def _granulation(drawn: Drawn, t: Table) -> Drawn:
    """Return standard deviations [relative flux] and frequencies [uHz] of two profiles, (n, 2) each."""
    factor, exponent = t.value("granulation_amplitude_relation")
    deviation = factor * 1e-6 * drawn["nu_max"] ** exponent * drawn["granulation_scatter"]
    relations = t.value("granulation_frequency_relations")
    frequency = np.stack([factor * drawn["nu_max"] ** exponent for factor, exponent in relations], axis=1)
    return {"granulation_deviation": np.stack([deviation, deviation], axis=1), "granulation_frequency": frequency}


def _modes(star: Star, t: Table) -> tuple[Float, Float, Float]:
    """Return frequency [uHz], standard deviation [relative flux] and width [uHz] of one star's modes, padded."""
    separation = star["large_separation"]
    epsilon = t.value("epsilon_relation")[0] + t.value("epsilon_relation")[1] * np.log10(separation)
    peak = star["nu_max"] / separation - epsilon
    order = np.maximum(np.round(peak) + np.arange(ORDERS) - ORDERS // 2, 1)
    order = np.where(np.diff(order, prepend=0) > 0, order, np.nan)
    curved = t.value("curvature_relation")[0] * separation ** t.value("curvature_relation")[1]
    radial = separation * (order + epsilon + curved / 2 * (order - peak) ** 2)
    slope, intercept = t.value("small_separation_relation")
    quadrupole = radial - slope * separation - intercept
    dipole, share = _dipoles(star, radial + separation * (0.5 - t.value("dipole_offset")))
    frequency = np.concatenate([radial, quadrupole, dipole])
    visibility = t.value("visibility")
    power = np.concatenate([np.full(ORDERS, visibility[0]), np.full(ORDERS, visibility[2]), visibility[1] * share])
    factor, exponent = t.value("envelope_relation")
    envelope = np.exp(-4 * np.log(2) * ((frequency - star["nu_max"]) / (factor * star["nu_max"] ** exponent)) ** 2)
    width = star["linewidth"] * np.concatenate([np.ones(2 * ORDERS), np.maximum(share, 1e-3)])
    return frequency, star["amplitude"] * np.sqrt(power * envelope), width


def _dipoles(star: Star, pressure: Float) -> tuple[Float, Float]:
    """Return frequencies (MIXED,) of dipole modes [uHz] and how much of each is pressure mode, 1 - zeta.

    Mixed modes solve tan(theta_p) = q tan(theta_g) with theta_p = pi (nu - nu_p) / Delta nu and theta_g = pi / (Delta
    Pi nu); zeta follows Mosser et al. 2018, A&A 618, A109. Both phases are unwrapped, so that one interpolation solves.
    """
    result, share = np.full(MIXED, np.nan), np.ones(MIXED)
    pressure = pressure[np.isfinite(pressure)]
    separation, spacing, q = star["large_separation"], star["period_spacing"] * 1e-6, star["coupling"]
    if separation / max(spacing, 1e-12) / star["nu_max"] ** 2 > DENSEST:
        result[: len(pressure)] = pressure
        return result, share
    grid = np.linspace(max(pressure[0] - separation / 2, 0.2 * star["nu_max"]), pressure[-1] + separation / 2, 3000)
    ends = np.concatenate([[pressure[0] - separation], pressure, [pressure[-1] + separation]])
    theta = np.pi * np.interp(grid, ends, np.arange(-1, len(pressure) + 1))
    coupled = theta + np.arctan2(
        (1 / q - 1) * np.sin(theta) * np.cos(theta), np.cos(theta) ** 2 + np.sin(theta) ** 2 / q
    )
    total = coupled / np.pi - 1 / (spacing * grid)
    found = np.interp(np.arange(np.ceil(total[0]), np.floor(total[-1]) + 1), total, grid)
    found = np.sort(found[np.argsort(np.abs(found - star["nu_max"]))[:MIXED]])
    at = np.interp(found, grid, theta)
    steep = q / (q**2 * np.cos(at) ** 2 + np.sin(at) ** 2)
    density = separation / (spacing * found**2)  # gravity modes per radial order
    result[: len(found)] = found
    share[: len(found)] = steep / (steep + density)
    return result, share
