"""Colours: black bodies and dust seen through passbands that are boxes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate.source import Float

SECOND_RADIATION_CONSTANT = 14387.77  # um K
ZERO_POINT = 31.4  # AB magnitude of 1 nJy
BALMER = 0.40  # um: below, the light of stars is weaker than a black body's
NODES, WEIGHTS = np.polynomial.legendre.leggauss(3)


class Passbands(NamedTuple):
    """Bands whose response per photon is 1 between two wavelengths and 0 elsewhere.

    The AB flux of a band is the mean of the flux density over the logarithm of the wavelength.

    Parameters
    ----------
    names : tuple of str
    low, high : (B,) [um]
    """

    names: tuple[str, ...]
    low: Float
    high: Float

    @property
    def nodes(self) -> Float:
        """Wavelengths at which a mean over a band is taken, (B, K) [um]."""
        return self.effective[:, None] * (self.high / self.low)[:, None] ** (NODES / 2)

    @property
    def effective(self) -> Float:
        """Middles of the bands, (B,) [um]."""
        return np.sqrt(self.low * self.high)


def band_mean(flux: Float) -> Float:
    """Return the mean over a band of flux densities at its nodes, (..., K) to (...)."""
    return flux @ (WEIGHTS / 2)


def planck(wavelength: Float | float, temperature: Float) -> Float:
    """Return the black body's flux density per frequency, in units of their own, at wavelengths [um]."""
    return 1 / (wavelength**3 * np.expm1(np.minimum(SECOND_RADIATION_CONSTANT / (wavelength * temperature), 600.0)))


def extinction(wavelength: Float, r_v: float = 3.1) -> Float:
    """Return A(wavelength) / A_V of interstellar dust, 0.17 to 3.3 um.

    Cardelli, Clayton & Mathis (1989, ApJ 345, 245), equations 2 to 4; beyond either end the value there.
    """
    x = 1 / np.clip(wavelength, 0.17, 3.3)
    y = x - 1.82
    infrared = x**1.61 * (0.574 - 0.527 / r_v)
    a = np.polyval([0.32999, -0.77530, 0.01979, 0.72085, -0.02427, -0.50447, 0.17699, 1.0], y)
    b = np.polyval([-2.09002, 5.30260, -0.62251, -5.38434, 1.07233, 2.28305, 1.41338, 0.0], y)
    far_a = 1.752 - 0.316 * x - 0.104 / ((x - 4.67) ** 2 + 0.341)
    far_b = -3.090 + 1.825 * x + 1.206 / ((x - 4.62) ** 2 + 0.263)
    return np.select([x < 1.1, x < 3.3], [infrared, a + b / r_v], far_a + far_b / r_v)


def dimming(magnitudes: Float) -> Float:
    """Return by how much light is weaker."""
    return np.exp(-0.4 * np.log(10) * magnitudes)


def fluxes(magnitude: Float) -> Float:
    """Return AB magnitudes as nJy."""
    return dimming(magnitude - ZERO_POINT)


def magnitudes(flux: Float) -> Float:
    """Return nJy as AB magnitudes, NaN where not above 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(flux > 0, ZERO_POINT - 2.5 * np.log10(flux), np.nan)


def stellar(wavelength: Float, temperature: Float, blue_deficit: float) -> Float:
    """Return flux densities of black bodies whose light below `BALMER` is weaker by so many magnitudes."""
    return planck(wavelength, temperature) * np.where(wavelength < BALMER, dimming(np.asarray(blue_deficit)), 1.0)


def levels(
    bands: Passbands, spectrum: Float, magnitude: Float, dust: Float, reference: int, beside: Float | None = None
) -> Float:
    """Return the fluxes of objects in all bands, (n, B) [nJy].

    Parameters
    ----------
    bands : Passbands
    spectrum : (n, B, K)
        Flux densities at the bands' nodes, in any unit.
    magnitude : (n,)
        AB, in the reference band, dust included.
    dust : (n,)
        A_V between them and us.
    reference : int
        Number of the reference band.
    beside : (n, B, K), optional
        Spectrum of that which has the magnitude, in the same unit; by default the same.
    """
    clear = dimming(dust[:, None, None] * extinction(bands.nodes))
    unit = band_mean((spectrum if beside is None else beside) * clear)[:, [reference]]
    return band_mean(spectrum * clear) / unit * fluxes(magnitude)[:, None]


def by_band(per_band: NDArray, band: NDArray[np.uint8]) -> NDArray:
    """Return numbers of objects and bands (n, B) at observations, (n, T)."""
    return per_band[:, band]
