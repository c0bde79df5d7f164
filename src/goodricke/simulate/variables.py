"""Variables in several bands: the kinds of the dense simulator with colours, Mira stars and active nuclei."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from goodricke.simulate.binaries import main_sequence_temperature
from goodricke.simulate.kinds import source
from goodricke.simulate.parameters import Table, table
from goodricke.simulate.signals import damped_random_walk
from goodricke.simulate.source import Drawn, Float, seeds
from goodricke.simulate.surveys import SECOND_RADIATION_CONSTANT, Field, by_band, dimming, levels, planck, stellar

WAVELENGTH = 0.7  # um: of the dense simulator's surface brightnesses


class Light(Protocol):
    """A kind of source that light curves in several bands can be made of.

    All that is random about a source lies in what `draw` returns; `flux` is a pure function of it.

    Attributes
    ----------
    kind : str
        The name of its table of parameters.
    event : bool
        Whether the survey tells its light from a reference image's, and it must have been detected.
    """

    @property
    def kind(self) -> str:
        """The name of the table of parameters."""

    @property
    def event(self) -> bool:
        """Whether fluxes are differences, and the source is known by its detections alone."""

    def draw(self, n: int, field: Field, rng: np.random.Generator) -> Drawn:
        """Return the true parameters of ``n`` sources by name, (n,) or (n, k)."""

    def flux(self, drawn: Drawn, field: Field) -> Float:
        """Return fluxes without noise at the field's visits, (n, T) [nJy]."""


def drawn_star(t: Table, n: int, field: Field, rng: np.random.Generator) -> Drawn:
    """Return parameters of stars: those of their table, and magnitude and extinction of the survey's."""
    return t.draw(n, rng) | field.survey.table.draw(n, rng, "magnitude", "extinction")


def star_levels(t: Table, drawn: Drawn, field: Field) -> Float:
    """Return the fluxes in each band of stars of one temperature, (n, B) [nJy]."""
    bands = field.survey.bands
    spectrum = stellar(bands.nodes, drawn["temperature"][:, None, None], t.value("blue_deficit"))
    return levels(bands, spectrum, drawn["magnitude"], drawn["extinction"], field.survey.reference)


def since_start(field: Field) -> Float:
    """Return times since the first visit, (T,) [d]."""
    return field.seen.time - field.seen.time[0]


def amplitude_ratios(t: Table, field: Field) -> Float:
    """Return the amplitude in magnitudes in each visit's band over that at 0.7 um, (T,)."""
    ratios = np.interp(field.survey.bands.effective, t.value("wavelength"), t.value("amplitude_ratio"))
    return ratios[field.seen.band]


@dataclass(frozen=True)
class Pulsator:
    """Stars of the dense simulator whose amplitude depends on wavelength by a table, in phase in all bands."""

    kind: str
    colours: str  # the table
    event = False

    def draw(self, n: int, field: Field, rng: np.random.Generator) -> Drawn:
        """See `Light`."""
        return source(self.kind).draw(n, rng) | drawn_star(table(self.colours), n, field, rng)

    def flux(self, drawn: Drawn, field: Field) -> Float:
        """See `Light`."""
        t = table(self.colours)
        shape = source(self.kind).flux(drawn, since_start(field), 0.0).astype(np.float64)
        return by_band(star_levels(t, drawn, field), field.seen.band) * shape ** amplitude_ratios(t, field)


@dataclass(frozen=True)
class EclipsingBinary:
    """Binaries of the dense simulator: in each band the surface brightnesses of both stars' temperatures."""

    kind: str
    hot: Callable[[Drawn], Float]  # temperature of star 1 [K]
    event = False

    def draw(self, n: int, field: Field, rng: np.random.Generator) -> Drawn:
        """See `Light`."""
        return source(self.kind).draw(n, rng) | drawn_star(table("colours_binary"), n, field, rng)

    def flux(self, drawn: Drawn, field: Field) -> Float:
        """See `Light`."""
        hot = self.hot(drawn)
        cool = cool_temperature(hot, drawn["surface_brightness_ratio"])
        result = by_band(self._levels(drawn, hot, cool, field), field.seen.band)
        for band, wavelength in enumerate(field.survey.bands.effective):
            here = field.seen.band == band
            if here.any():
                ratio = planck(wavelength, cool) / planck(wavelength, hot)
                lit = drawn | {"surface_brightness_ratio": ratio}
                result[:, here] *= source(self.kind).flux(lit, since_start(field)[here], 0.0)
        return result

    def _levels(self, drawn: Drawn, hot: Float, cool: Float, field: Field) -> Float:
        bands, deficit = field.survey.bands, table("colours_binary").value("blue_deficit")
        size = (drawn["radius_2"] / drawn["radius_1"])[:, None, None] ** 2
        lights = [stellar(bands.nodes, t[:, None, None], deficit) for t in (hot, cool)]
        spectrum = lights[0] + size * lights[1]
        return levels(bands, spectrum, drawn["magnitude"], drawn["extinction"], field.survey.reference)


def cool_temperature(hot: Float, ratio: Float) -> Float:
    """Return the temperature of black bodies [K] whose surface is ``ratio`` times as bright as that of others."""
    brightness = np.expm1(SECOND_RADIATION_CONSTANT / (WAVELENGTH * hot)) / ratio
    return SECOND_RADIATION_CONSTANT / (WAVELENGTH * np.log1p(brightness))


def hot_by_mass(drawn: Drawn) -> Float:
    """Return the temperature of main-sequence stars of the drawn masses."""
    return main_sequence_temperature(drawn["mass"])


def hot_as_drawn(drawn: Drawn) -> Float:
    """Return the temperature that was drawn."""
    return drawn["temperature_1"]


class LongPeriod:
    """Mira variables: a lopsided cosine, with slow waves in its amplitude and mean."""

    kind = "long_period"
    event = False

    def draw(self, n: int, field: Field, rng: np.random.Generator) -> Drawn:
        """See `Light`."""
        drawn = drawn_star(table(self.kind), n, field, rng)
        return drawn | {"phase": rng.random(n), "uneven_phase": rng.random((n, 2))}

    def flux(self, drawn: Drawn, field: Field) -> Float:
        """See `Light`."""
        t, d = table(self.kind), {name: value[:, None] for name, value in drawn.items()}
        cycles = since_start(field) / d["period"] + d["phase"]
        place, rising = np.mod(cycles, 1.0), d["rising"]
        even = np.where(place < 1 - rising, place / (1 - rising), 1 + (place - 1 + rising) / rising) / 2
        slow = [np.sin(2 * np.pi * (cycles / long + d["uneven_phase"][..., k])) for k, long in enumerate((3.3, 7.1))]
        size = d["amplitude"] * (1 + d["unevenness"] * slow[0])
        magnitude = -size / 2 * np.cos(2 * np.pi * even) + d["amplitude"] * d["unevenness"] * slow[1]
        return by_band(star_levels(t, drawn, field), field.seen.band) * dimming(magnitude * amplitude_ratios(t, field))


class ActiveNucleus:
    """Active galactic nuclei: a power law whose brightness walks at random, more so in the blue."""

    kind = "active_nucleus"
    event = False

    def draw(self, n: int, field: Field, rng: np.random.Generator) -> Drawn:
        """See `Light`."""
        return drawn_star(table(self.kind), n, field, rng) | {"seed": seeds(n, rng)}

    def flux(self, drawn: Drawn, field: Field) -> Float:
        """See `Light`."""
        t, bands = table(self.kind), field.survey.bands
        stretch = 1 + drawn["redshift"][:, None]
        walk = damped_random_walk(drawn["seed"], drawn["tau"] * stretch[:, 0], field.seen.time)
        rest = bands.effective / stretch / 0.4
        deviation = drawn["structure"][:, None] / np.sqrt(2) * rest ** t.value("structure_slope")
        spectrum = bands.nodes ** -drawn["spectral_index"][:, None, None]
        mean = levels(bands, spectrum, drawn["magnitude"], drawn["extinction"], field.survey.reference)
        return by_band(mean, field.seen.band) * dimming(walk * by_band(deviation, field.seen.band))
