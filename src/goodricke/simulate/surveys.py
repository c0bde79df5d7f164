"""Surveys in several bands: their passbands, errors, units, and what becomes of a true flux."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate import visits
from goodricke.simulate.colours import Passbands, fluxes, magnitudes
from goodricke.simulate.parameters import Table, table
from goodricke.simulate.source import Float
from goodricke.simulate.visits import Visits

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
        return _made(name, tuple("ugrizy"), "nJy", "MJD", visits.rubin)
    if name == "ztf":
        return _made(name, tuple("gri"), "mag", "MJD", visits.ztf)
    if name == "gaia":
        return _made(name, ("G", "BP", "RP"), "mag", "BJD", visits.gaia)
    raise ValueError(f"no survey {name!r}; there are {', '.join(SURVEYS)}")


@cache
def field(name: str, seed: int, number: int) -> Field:
    """Return a field of a survey, the same for objects of all kinds."""
    survey = survey_called(name)
    return Field(survey, survey.visit(np.random.default_rng([seed, number])))
