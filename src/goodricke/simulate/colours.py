"""Colours: black bodies and dust seen through passbands that are boxes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from astropy import constants
from numpy.typing import NDArray

from goodricke.data.units import MAGNITUDES_PER_E, ab_magnitudes, nanojansky
from goodricke.simulate.source import Float

RADIATION_CONSTANT = float((constants.h * constants.c / constants.k_B).to_value("um K"))  # the second, 14387.77
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


def per_visit(per_band: NDArray, band: NDArray[np.uint8]) -> NDArray:
    """Return numbers of objects and bands (n, B) at observations in given bands (T,), (n, T)."""
    return per_band[:, band]


def planck(wavelength: Float | float, temperature: Float) -> Float:
    """Return the black body's flux density per frequency, in arbitrary units, at wavelengths [um]."""
    return 1 / (wavelength**3 * np.expm1(np.minimum(RADIATION_CONSTANT / (wavelength * temperature), 600.0)))


def temperature_of_brightness(wavelength: float, hot: Float, ratio: Float) -> Float:
    """Return the temperature [K] of black bodies that are ``ratio`` times as bright as others at a wavelength [um]."""
    brightness = np.expm1(RADIATION_CONSTANT / (wavelength * hot)) / ratio
    return RADIATION_CONSTANT / (wavelength * np.log1p(brightness))


def stellar(wavelength: Float, temperature: Float, blue_deficit: float) -> Float:
    """Return flux densities of black bodies whose light below `BALMER` is weaker by so many magnitudes."""
    return planck(wavelength, temperature) * np.where(wavelength < BALMER, transmission(np.asarray(blue_deficit)), 1.0)


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


def transmission(magnitudes: Float) -> Float:
    """Return the fraction of light that is left when it is fainter by so many magnitudes, 10**(-0.4 m)."""
    return np.exp(-magnitudes / MAGNITUDES_PER_E)


def fluxes(magnitude: Float) -> Float:
    """Return AB magnitudes as nJy."""
    return nanojansky(magnitude, np.zeros(()))[0]


def magnitudes(flux: Float) -> Float:
    """Return nJy as AB magnitudes, NaN where not above 0."""
    return ab_magnitudes(flux, np.zeros(()))[0]


def band_fluxes(
    bands: Passbands, spectrum: Float, magnitude: Float, dust: Float, reference: int, standard: Float | None = None
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
    standard : (n, B, K), optional
        The spectrum that has the magnitude, in the same unit; by default ``spectrum``.
    """
    clear = transmission(dust[:, None, None] * extinction(bands.nodes))
    unit = band_mean((spectrum if standard is None else standard) * clear)[:, [reference]]
    return band_mean(spectrum * clear) / unit * fluxes(magnitude)[:, None]
