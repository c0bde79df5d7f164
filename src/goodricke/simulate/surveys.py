"""Surveys in several bands: when they visit a field, how deep they see, and what they measure of a true flux."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.data.units import MAGNITUDES_PER_E, ab_magnitudes
from goodricke.simulate.colours import Passbands, fluxes
from goodricke.simulate.parameters import ParameterTable, table
from goodricke.simulate.source import Float, Measurement

SIGNIFICANT = 5.0  # flux over its error of a detection
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
        Draws the visits to a field.
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
    def table(self) -> ParameterTable:
        """The survey's numbers."""
        return table(f"survey_{self.name}")

    def sigma(self, flux: Float, visits: Visits) -> Float:
        """Return the standard deviations of measurements of fluxes [nJy], (n, T); negative ones count as 0."""
        c0, c1, c2 = self.coefficients[visits.band].T
        light, unit = np.maximum(flux, 0.0), fluxes(visits.depth)
        return np.sqrt((c0 * light + c1 * unit) * light + c2 * unit**2)

    def detects(self, flux: Float, visits: Visits) -> NDArray[np.bool_]:
        """Return which visits would detect sources of true fluxes [nJy], (n, T), if there were no noise."""
        return (flux > SIGNIFICANT * self.sigma(flux, visits)) & (flux > self.faintest[visits.band])

    def measure(self, flux: Float, visits: Visits, rng: np.random.Generator) -> Measurement:
        """Return measurements of true fluxes [nJy], (n, T)."""
        error = self.sigma(flux, visits)
        value = flux + error * rng.standard_normal(flux.shape)
        valid = rng.random(flux.shape) >= self.table.value("lost")
        valid &= (value >= self.significance[visits.band] * error) & (flux >= self.faintest[visits.band])
        if self.unit == "mag":
            value, error = ab_magnitudes(value, error)
            value = value - self.zero_point[visits.band]
        return Measurement(value, error, valid)


class Field(NamedTuple):
    """A field of a survey: what all objects in it share, so that times and bands don't tell their class."""

    survey: Survey
    visits: Visits


@cache
def survey_field(name: str, seed: int, number: int) -> Field:
    """Return a field of a survey, the same for objects of all kinds."""
    survey = find_survey(name)
    return Field(survey, survey.visit(np.random.default_rng([seed, number])))


@cache
def find_survey(name: str) -> Survey:
    """Return a survey.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if name not in SURVEYS:
        raise ValueError(f"no survey {name!r}; there are {', '.join(SURVEYS)}")
    bands, unit, time_scale, visit = SURVEYS[name]
    t = table(f"survey_{name}")
    zero_point = _per_band(t, "ab_minus_vega", 0.0, bands)
    faintest = fluxes(t.value("faintest") + zero_point) if "faintest" in t.parameters else np.full(len(bands), -np.inf)
    return Survey(
        name,
        Passbands(bands, t.value("low"), t.value("high")),
        bands.index("r") if "r" in bands else 0,
        unit,
        time_scale,
        _error_coefficients(t),
        zero_point,
        _per_band(t, "significance", -np.inf, bands),
        faintest,
        visit,
    )


def _per_band(t: ParameterTable, name: str, default: float, bands: tuple[str, ...]) -> Float:
    """Return numbers of bands, (B,), for which the table may have none, or one for all."""
    value = t.value(name) if name in t.parameters else default
    return np.array(np.broadcast_to(np.asarray(value, np.float64), len(bands)))


def _error_coefficients(t: ParameterTable) -> Float:
    """Return the coefficients of the squared errors, (B, 3).

    Gaia's table has them, in mmag. For Rubin and ZTF: Ivezic et al. (2019), equations 4 and 5, with the errors as
    relative ones, sigma**2 = sys**2 + (0.04 - gamma) x + gamma x**2, where x is the flux of the depth over the flux.
    """
    if "quadratic" in t.parameters:
        terms = t.value("floor") ** 2, t.value("linear"), t.value("quadratic")
        return np.stack(terms, 1) * (1e-3 / MAGNITUDES_PER_E) ** 2
    gamma = t.value("gamma")
    return np.stack([np.full_like(gamma, t.value("systematic") ** 2), 0.04 - gamma, gamma], 1)


def rubin_visits(rng: np.random.Generator) -> Visits:
    """Return visits of the wide, fast, deep survey: pairs in a night, bands after the moon."""
    t = table("survey_rubin")
    night = _nights_in_season(t, rng)
    night = night[rng.random(len(night)) < t.value("night_chance")]
    dark = moon_fraction(night) < 0.5
    weights = np.where(dark[:, None], t.value("dark_weights"), t.value("bright_weights"))
    pair = (weights.cumsum(1) < rng.random((len(night), 1)) * weights.sum(1, keepdims=True)).sum(1)
    band = t.value("pairs").astype(np.uint8)[pair][np.arange(len(night))[:, None], _pair_order(len(night), rng)]
    first = night + rng.uniform(0.0, 0.25, len(night))
    time = np.stack([first, first + t.sample("pair_gap", len(night), rng)], 1)
    return _sort_visits(time.ravel(), band.ravel(), _rubin_depth(t, time.ravel(), band.ravel(), rng))


def _rubin_depth(t: ParameterTable, time: Float, band: NDArray[np.uint8], rng: np.random.Generator) -> Float:
    """Return 5-sigma depths of visits: Ivezic et al. (2019), equation 6, for exposures of 30 s."""
    airmass = t.sample("airmass", len(time), rng)
    seeing = t.value("seeing")[band] * airmass**0.6 * t.sample("seeing_factor", len(time), rng)
    sky = t.value("sky")[band] - t.value("moonlight")[band] * moon_fraction(time)
    depth = t.value("depth_constant")[band] + 0.5 * (sky - 21) + 2.5 * np.log10(0.7 / seeing)
    return depth - t.value("absorption")[band] * (airmass - 1)


def ztf_visits(rng: np.random.Generator) -> Visits:
    """Return visits in g and r every third clear night or so, in some fields also in i."""
    t = table("survey_ztf")
    night = _nights_in_season(t, rng)
    due = np.cumsum(t.sample("interval", len(night), rng)) + t.value("start")
    night = np.intersect1d(night[_clear_nights(t, len(night), rng)], due)
    in_i = (t.sample("has_i", len(night), rng)[:1] * t.sample("i_visit", len(night), rng)) == 1
    first = night + rng.uniform(0.1, 0.3, len(night))
    gap = t.sample("pair_gap", (len(night), 2), rng).cumsum(1)
    time = np.stack([first, first + gap[:, 0], first + gap[:, 1]], 1)
    band = np.concatenate([_pair_order(len(night), rng), np.full((len(night), 1), 2)], 1)
    done = np.stack([np.ones_like(in_i), np.ones_like(in_i), in_i], 1)
    time, band = time[done], band[done]
    scatter = t.sample("depth_scatter", len(time), rng)
    depth = t.value("depth")[band] + scatter - t.value("moonlight")[band] * moon_fraction(time)
    return _sort_visits(time, band, depth)


def gaia_visits(rng: np.random.Generator) -> Visits:
    """Return transits: passes of the scans, some in each precession of the axis, each of a few transits."""
    t = table("survey_gaia")
    period = t.value("precession")
    passes = t.sample("passes", int(t.value("years") * YEAR / period), rng).astype(int)
    first = t.value("start") + (np.repeat(np.arange(len(passes)), passes) + rng.random(passes.sum())) * period
    transits = t.sample("transits", len(first), rng).astype(int)
    since = np.concatenate([[0.0], np.cumsum(np.resize(t.value("gaps"), transits.max(initial=1) - 1))])
    time = np.concatenate([start + since[:number] for start, number in zip(first, transits, strict=True)] or [first])
    depth = t.value("reference") + t.value("ab_minus_vega")
    return _sort_visits(np.repeat(time, 3), np.tile(np.arange(3), len(time)), np.tile(depth, len(time)))


def moon_fraction(time: Float) -> Float:
    """Return how much of the moon's disc is lit at times [MJD], 0 to 1; the mean moon's, good to 0.1."""
    return (1 - np.cos(2 * np.pi * (time - NEW_MOON) / LUNATION)) / 2


def _nights_in_season(t: ParameterTable, rng: np.random.Generator) -> Float:
    """Return the nights of a survey in which a field is up."""
    years = t.sample("years", 1, rng)[0]
    night = t.value("start") + np.arange(int(YEAR * years))
    since = np.mod(night - t.value("start") - rng.uniform(0, YEAR), YEAR)
    return night[since < t.value("season")]


def _clear_nights(t: ParameterTable, nights: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which nights are clear: runs of clear and of cloudy nights in turns."""
    runs = np.stack([t.sample(name, nights // 2 + 1, rng) for name in ("clear_run", "cloudy_run")], 1)
    return np.repeat(np.arange(runs.size) % 2 == 0, np.rint(runs.ravel()).astype(int))[:nights]


def _pair_order(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return (0, 1) or (1, 0) at random, (n, 2)."""
    first = rng.integers(0, 2, n)
    return np.stack([first, 1 - first], 1)


def _sort_visits(time: Float, band: NDArray, depth: Float) -> Visits:
    order = np.lexsort((band, time))
    return Visits(time[order], band[order].astype(np.uint8), depth[order])


SURVEYS: dict[str, tuple[tuple[str, ...], str, str, Callable[[np.random.Generator], Visits]]] = {
    "rubin": (("u", "g", "r", "i", "z", "y"), "nJy", "MJD", rubin_visits),
    "ztf": (("g", "r", "i"), "mag", "MJD", ztf_visits),
    "gaia": (("G", "BP", "RP"), "mag", "BJD", gaia_visits),
}
