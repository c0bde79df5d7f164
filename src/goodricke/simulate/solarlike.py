"""Solar-like oscillators: granulation and stochastically excited modes from scaling relations, with mixed modes.

Fourier coefficients with the power spectrum are drawn and evaluated at the times of observation, which is exact for
stationary processes such as stochastically excited, damped modes (Lorentzian profiles).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate.parameters import ParameterTable, table
from goodricke.simulate.signals import gaussian_noise
from goodricke.simulate.source import Float, Star, Truth, iterate_stars, seeds

MICROHERTZ = 0.0864  # 1/d
NU_MAX_SUN = 3090.0  # uHz
ORDERS = 11  # radial orders around nu_max that have modes
MIXED = 90  # mixed dipole modes at most
DENSEST = 12  # mixed modes per radial order; denser ones are treated as one peak
REACH = 20.0  # widths on both sides of a mode up to which its profile is evaluated


class _SolarLike:
    """Stars with granulation (two profiles) and modes of degree 0, 1 and 2."""

    kind: str

    def draw(self, n: int, rng: np.random.Generator) -> Truth:
        """See `Source`."""
        t = table(self.kind)
        truth: Truth = dict(t.draw(n, rng)) | {"seed": seeds(n, rng)}
        truth |= self._evolutionary_stage(truth, t)
        factor, exponent = t.value("large_separation_relation")
        truth["large_separation"] = factor * truth["nu_max"] ** exponent * truth["large_separation_scatter"]
        factor, exponent = t.value("amplitude_relation")
        truth["amplitude"] = factor * 1e-6 * (truth["nu_max"] / NU_MAX_SUN) ** exponent * truth["amplitude_scatter"]
        truth |= _granulation(truth, t)
        modes = [_modes(star, t) for star in iterate_stars(truth)]
        names = ("mode_frequency", "mode_deviation", "mode_width")
        return truth | {name: np.stack(values) for name, values in zip(names, zip(*modes, strict=True), strict=True)}

    def flux(self, truth: Truth, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`."""
        stars = list(iterate_stars(truth))

        def variance(row: int, edges: Float) -> Float:
            return variances(stars[row], edges / MICROHERTZ)

        return 1 + gaussian_noise(truth["seed"], variance, time, exposure, 4 * MICROHERTZ * truth["nu_max"])

    def _evolutionary_stage(self, truth: Truth, t: ParameterTable) -> Truth:
        """Return parameters that depend on the star's stage."""
        return {name: np.full(len(truth["nu_max"]), t.value(name)) for name in ("period_spacing", "coupling")}


class RedGiant(_SolarLike):
    """Red giants on the first ascent or in the clump."""

    kind = "red_giant"

    def _evolutionary_stage(self, truth: Truth, t: ParameterTable) -> Truth:
        clump = truth["clump"] == 1
        return {
            "nu_max": np.where(clump, truth["clump_nu_max"], truth["nu_max"]),
            "period_spacing": np.where(clump, truth["clump_period_spacing"], truth["period_spacing"]),
        }


class LuminousGiant(_SolarLike):
    """Red giants near the tip of the branch, whose modes take days: irregular within weeks."""

    kind = "luminous_giant"


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
    """Add Lorentzian profiles, integrated over each bin, so that narrow modes keep their power."""
    real = np.isfinite(star["mode_frequency"])
    frequency, deviation, width = (
        star[name][real, None] for name in ("mode_frequency", "mode_deviation", "mode_width")
    )
    bin_width = edges[1] - edges[0]
    reach = int(np.ceil(REACH * np.max(width, initial=0.0) / bin_width)) + 2
    bin_ = np.floor((frequency - edges[0]) / bin_width).astype(np.int64) + np.arange(-reach, reach + 2)
    below = np.arctan((edges[0] + bin_ * bin_width - frequency) / (width / 2)) / np.pi
    share = np.diff(below, axis=1)
    inside = (bin_[:, :-1] >= 0) & (bin_[:, :-1] < len(result))
    np.add.at(result, bin_[:, :-1][inside], (deviation**2 * share)[inside])


def _granulation(truth: Truth, t: ParameterTable) -> Truth:
    """Return standard deviations [relative flux] and frequencies [uHz] of two profiles, (n, 2) each."""
    factor, exponent = t.value("granulation_amplitude_relation")
    deviation = factor * 1e-6 * truth["nu_max"] ** exponent * truth["granulation_scatter"]
    relations = t.value("granulation_frequency_relations")
    frequency = np.stack([factor * truth["nu_max"] ** exponent for factor, exponent in relations], axis=1)
    return {"granulation_deviation": np.stack([deviation, deviation], axis=1), "granulation_frequency": frequency}


def _modes(star: Star, t: ParameterTable) -> tuple[Float, Float, Float]:
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
    """Return frequencies (MIXED,) of dipole modes [uHz] and the share of pressure mode in each, 1 - zeta.

    Mixed modes solve tan(theta_p) = q tan(theta_g) with theta_p = pi (nu - nu_p) / Delta nu and theta_g = pi / (Delta
    Pi nu); zeta follows Mosser et al. 2018, A&A 618, A109. With both phases unwrapped, one interpolation solves it.
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
    mixed = np.interp(np.arange(np.ceil(total[0]), np.floor(total[-1]) + 1), total, grid)
    mixed = np.sort(mixed[np.argsort(np.abs(mixed - star["nu_max"]))[:MIXED]])
    phase = np.interp(mixed, grid, theta)
    steep = q / (q**2 * np.cos(phase) ** 2 + np.sin(phase) ** 2)
    density = separation / (spacing * mixed**2)  # gravity modes per radial order
    result[: len(mixed)] = mixed
    share[: len(mixed)] = steep / (steep + density)
    return result, share
