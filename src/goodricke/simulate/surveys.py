"""Colours: black bodies and dust seen through passbands that are boxes.

When surveys come by and how deep they see: visits to a field of Rubin, ZTF and Gaia.

All that the objects of a field share: a source of any class is seen at the same times.

Surveys in several bands: their passbands, errors, units, and what becomes of a true flux.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate.parameters import Table, table
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


# ---- When surveys come by and how deep they see: visits to a field of Rubin, ZTF and Gaia ----------------------------


YEAR, LUNATION = 365.25, 29.530588
NEW_MOON = 51549.76  # MJD


class Visits(NamedTuple):
    """Visits to a field, in order of time.

    Parameters
    ----------
    time : (T,) [d]
    band : uint8 (T,)
    depth : (T,)
        AB magnitude that the survey's error model refers to: of Rubin and ZTF the 5-sigma depth.
    """

    time: Float
    band: NDArray[np.uint8]
    depth: Float


def moon_lit(time: Float) -> Float:
    """Return how much of the moon's disc is lit at times [MJD], 0 to 1; the mean moon's, good to 0.1."""
    return (1 - np.cos(2 * np.pi * (time - NEW_MOON) / LUNATION)) / 2


def rubin(rng: np.random.Generator) -> Visits:
    """Return visits of the wide, fast, deep survey: pairs in a night, bands after the moon."""
    t = table("survey_rubin")
    night = _in_season(t, rng)
    night = night[rng.random(len(night)) < t.value("night_chance")]
    dark = moon_lit(night) < 0.5
    weights = np.where(dark[:, None], t.value("dark_weights"), t.value("bright_weights"))
    pair = (weights.cumsum(1) < rng.random((len(night), 1)) * weights.sum(1, keepdims=True)).sum(1)
    band = t.value("pairs").astype(np.uint8)[pair][np.arange(len(night))[:, None], _turns(len(night), rng)]
    first = night + rng.uniform(0.0, 0.25, len(night))
    time = np.stack([first, first + t.each("pair_gap", len(night), rng)], 1)
    return _sorted(time.ravel(), band.ravel(), _rubin_depth(t, time.ravel(), band.ravel(), rng))


def _rubin_depth(t: Table, time: Float, band: NDArray[np.uint8], rng: np.random.Generator) -> Float:
    """Return 5-sigma depths of visits: Ivezic et al. (2019), equation 6, for exposures of 30 s."""
    airmass = t.each("airmass", len(time), rng)
    seeing = t.value("seeing")[band] * airmass**0.6 * t.each("seeing_factor", len(time), rng)
    sky = t.value("sky")[band] - t.value("moonlight")[band] * moon_lit(time)
    depth = t.value("depth_constant")[band] + 0.5 * (sky - 21) + 2.5 * np.log10(0.7 / seeing)
    return depth - t.value("absorption")[band] * (airmass - 1)


def ztf(rng: np.random.Generator) -> Visits:
    """Return visits in g and r every third clear night or so, in some fields also in i."""
    t = table("survey_ztf")
    night = _in_season(t, rng)
    due = np.cumsum(t.each("interval", len(night), rng)) + t.value("start")
    night = np.intersect1d(night[_clear(t, len(night), rng)], due)
    in_i = (t.each("has_i", len(night), rng)[:1] * t.each("i_visit", len(night), rng)) == 1
    first = night + rng.uniform(0.1, 0.3, len(night))
    gap = t.each("pair_gap", (len(night), 2), rng).cumsum(1)
    time = np.stack([first, first + gap[:, 0], first + gap[:, 1]], 1)
    band = np.concatenate([_turns(len(night), rng), np.full((len(night), 1), 2)], 1)
    made = np.stack([np.ones_like(in_i), np.ones_like(in_i), in_i], 1)
    time, band = time[made], band[made]
    depth = (
        t.value("depth")[band] + t.each("depth_scatter", len(time), rng) - t.value("moonlight")[band] * moon_lit(time)
    )
    return _sorted(time, band, depth)


def gaia(rng: np.random.Generator) -> Visits:
    """Return transits: passes of the scans, some in each precession of the axis, each of a few transits."""
    t = table("survey_gaia")
    period = t.value("precession")
    passes = t.each("passes", int(t.value("years") * YEAR / period), rng).astype(int)
    first = t.value("start") + (np.repeat(np.arange(len(passes)), passes) + rng.random(passes.sum())) * period
    each = t.each("transits", len(first), rng).astype(int)
    since = np.concatenate([[0.0], np.cumsum(np.resize(t.value("gaps"), each.max(initial=1) - 1))])
    time = np.concatenate([start + since[:number] for start, number in zip(first, each, strict=True)] or [first])
    band = np.arange(3)
    depth = t.value("reference") + t.value("ab_minus_vega")
    return _sorted(np.repeat(time, 3), np.tile(band, len(time)), np.tile(depth, len(time)))


def _in_season(t: Table, rng: np.random.Generator) -> Float:
    """Return the nights of a survey in which a field is up."""
    years = t.each("years", 1, rng)[0]
    night = t.value("start") + np.arange(int(YEAR * years))
    since = np.mod(night - t.value("start") - rng.uniform(0, YEAR), YEAR)
    return night[since < t.value("season")]


def _clear(t: Table, nights: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which nights are clear: runs of clear and of cloudy nights in turns."""
    runs = np.stack([t.each(name, nights // 2 + 1, rng) for name in ("clear_run", "cloudy_run")], 1)
    return np.repeat(np.arange(runs.size) % 2 == 0, np.rint(runs.ravel()).astype(int))[:nights]


def _turns(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return (0, 1) or (1, 0) at random, (n, 2)."""
    first = rng.integers(0, 2, n)
    return np.stack([first, 1 - first], 1)


def _sorted(time: Float, band: NDArray, depth: Float) -> Visits:
    order = np.lexsort((band, time))
    return Visits(time[order], band[order].astype(np.uint8), depth[order])


# ---- Surveys in several bands: their passbands, errors, units, and what becomes of a true flux -----------------------


SIGNIFICANT = 5.0  # flux over its error of a detection
MAGNITUDES_PER_E = 2.5 / np.log(10)


@dataclass(frozen=True, eq=False)
class Survey:
    """A survey.

    Parameters
    ----------
    name : str
    bands : Passbands
    reference : int
        Band that magnitudes of objects refer to.
    unit, time_scale : str
        Of the light curves; internally all is in nJy.
    coefficients : (B, 3)
        Squared errors of fluxes F are c0 F**2 + c1 F F0 + c2 F0**2, where F0 is the flux of a visit's depth.
    zero_point : (B,)
        AB less the survey's own magnitude.
    significance : (B,)
        Flux over its error below which there is no measurement; -inf for forced photometry.
    faintest : (B,)
        Flux [nJy] below which there is none either.
    visit : callable
        Makes a field's visits.
    """

    name: str
    bands: Passbands
    reference: int
    unit: str
    time_scale: str
    coefficients: Float
    zero_point: Float
    significance: Float
    faintest: Float
    visit: Callable[[np.random.Generator], Visits]

    @property
    def table(self) -> Table:
        """The survey's numbers."""
        return table(f"survey_{self.name}")

    def sigma(self, flux: Float, seen: Visits) -> Float:
        """Return the standard deviations of measurements of fluxes [nJy], (n, T); negative ones count as 0."""
        c0, c1, c2 = self.coefficients[seen.band].T
        light, unit = np.maximum(flux, 0.0), fluxes(seen.depth)
        return np.sqrt((c0 * light + c1 * unit) * light + c2 * unit**2)

    def detects(self, flux: Float, seen: Visits) -> NDArray[np.bool_]:
        """Return which visits would detect sources of true fluxes [nJy], (n, T), if there were no noise."""
        return (flux > SIGNIFICANT * self.sigma(flux, seen)) & (flux > self.faintest[seen.band])

    def measured(self, flux: Float, seen: Visits, rng: np.random.Generator) -> Measured:
        """Return what is measured of true fluxes [nJy], (n, T)."""
        error = self.sigma(flux, seen)
        value = flux + error * rng.standard_normal(flux.shape)
        kept = rng.random(flux.shape) >= self.table.value("lost")
        kept &= (value >= self.significance[seen.band] * error) & (flux >= self.faintest[seen.band])
        if self.unit == "mag":
            error = MAGNITUDES_PER_E * error / np.where(kept, value, 1.0)
            value = magnitudes(value) - self.zero_point[seen.band]
        return Measured(value, error, kept)


class Measured(NamedTuple):
    """What a survey measures, (n, T) each; only what is ``kept`` means anything."""

    value: Float
    error: Float
    kept: NDArray[np.bool_]


class Field(NamedTuple):
    """A field of a survey: what objects in it share."""

    survey: Survey
    seen: Visits


def _ivezic(gamma: Float, systematic: float) -> Float:
    """Return the coefficients of Ivezic et al. (2019), equations 4 and 5, whose errors are taken as relative.

    sigma**2 = sys**2 + (0.04 - gamma) x + gamma x**2 with x the flux of the depth over the flux.
    """
    return np.stack([np.full_like(gamma, systematic**2), 0.04 - gamma, gamma], 1)


def _made(
    name: str, bands: tuple[str, ...], unit: str, time_scale: str, visit: Callable[[np.random.Generator], Visits]
) -> Survey:
    t = table(f"survey_{name}")
    zero_point = _told(t, "ab_minus_vega", 0.0, bands)
    coefficients = _gaia(t) if "quadratic" in t.parameters else _ivezic(t.value("gamma"), t.value("systematic"))
    reference = bands.index("r") if "r" in bands else 0
    passbands = Passbands(bands, t.value("low"), t.value("high"))
    limits = _told(t, "significance", -np.inf, bands), _faintest(t, zero_point)
    return Survey(name, passbands, reference, unit, time_scale, coefficients, zero_point, *limits, visit)


def _faintest(t: Table, zero_point: Float) -> Float:
    if "faintest" not in t.parameters:
        return np.full(len(zero_point), -np.inf)
    return fluxes(t.value("faintest") + zero_point)


def _told(t: Table, name: str, otherwise: float, bands: tuple[str, ...]) -> Float:
    """Return numbers of bands, (B,), of which the table may know none, or one for all."""
    value = t.value(name) if name in t.parameters else otherwise
    return np.array(np.broadcast_to(np.asarray(value, np.float64), len(bands)))


def _gaia(t: Table) -> Float:
    """Return the coefficients of Gaia's errors, given in mmag."""
    parts = t.value("floor") ** 2, t.value("linear"), t.value("quadratic")
    return np.stack(parts, 1) * (1e-3 / MAGNITUDES_PER_E) ** 2


SURVEYS = ("rubin", "ztf", "gaia")


@cache
def survey_called(name: str) -> Survey:
    """Return a survey.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if name == "rubin":
        return _made(name, tuple("ugrizy"), "nJy", "MJD", rubin)
    if name == "ztf":
        return _made(name, tuple("gri"), "mag", "MJD", ztf)
    if name == "gaia":
        return _made(name, ("G", "BP", "RP"), "mag", "BJD", gaia)
    raise ValueError(f"no survey {name!r}; there are {', '.join(SURVEYS)}")


@cache
def field(name: str, seed: int, number: int) -> Field:
    """Return a field of a survey, the same for objects of all kinds."""
    survey = survey_called(name)
    return Field(survey, survey.visit(np.random.default_rng([seed, number])))
