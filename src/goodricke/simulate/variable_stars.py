"""Variables in several bands: the kinds of the dense simulator with colours, Mira stars and active nuclei."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from goodricke.simulate.binaries import WAVELENGTH, main_sequence_temperature
from goodricke.simulate.colours import band_fluxes, per_visit, planck, stellar, temperature_of_brightness, transmission
from goodricke.simulate.parameters import ParameterTable, table
from goodricke.simulate.signals import damped_random_walk
from goodricke.simulate.source import Float, Source, Truth, seeds
from goodricke.simulate.surveys import Field


class MultibandSource(Protocol):
    """A kind of source that light curves in several bands can be made of.

    All randomness of a source lies in what `draw` returns; `flux` is a pure function of it.

    Attributes
    ----------
    kind : str
        The name of its table of parameters.
    event : bool
        Whether fluxes are differences from a reference image, and the source is recognised by its detections alone.
    """

    @property
    def kind(self) -> str:
        """The name of the table of parameters."""

    @property
    def event(self) -> bool:
        """Whether fluxes are differences."""

    def draw(self, n: int, field: Field, rng: np.random.Generator) -> Truth:
        """Return the true parameters of ``n`` sources by name, (n,) or (n, k)."""

    def flux(self, truth: Truth, field: Field) -> Float:
        """Return fluxes without noise at the field's visits, (n, T) [nJy]."""


@dataclass(frozen=True)
class MultibandPulsator:
    """Stars of the dense simulator whose amplitude depends on wavelength by a table, in phase in all bands."""

    dense: Source
    colours: str  # the name of the table
    event = False

    @property
    def kind(self) -> str:
        """See `MultibandSource`."""
        return self.dense.kind

    def draw(self, n: int, field: Field, rng: np.random.Generator) -> Truth:
        """See `MultibandSource`."""
        return self.dense.draw(n, rng) | draw_star(table(self.colours), n, field, rng)

    def flux(self, truth: Truth, field: Field) -> Float:
        """See `MultibandSource`."""
        t = table(self.colours)
        shape = self.dense.flux(truth, time_since_start(field), 0.0).astype(np.float64)
        return per_visit(star_fluxes(t, truth, field), field.visits.band) * shape ** amplitude_ratios(t, field)


@dataclass(frozen=True)
class MultibandBinary:
    """Binaries of the dense simulator: in each band the surface brightnesses of both stars' temperatures."""

    dense: Source
    temperature: Callable[[Truth], Float]  # of star 1 [K]
    event = False

    @property
    def kind(self) -> str:
        """See `MultibandSource`."""
        return self.dense.kind

    def draw(self, n: int, field: Field, rng: np.random.Generator) -> Truth:
        """See `MultibandSource`."""
        return self.dense.draw(n, rng) | draw_star(table("colours_binary"), n, field, rng)

    def flux(self, truth: Truth, field: Field) -> Float:
        """See `MultibandSource`."""
        hot = self.temperature(truth)
        cool = temperature_of_brightness(WAVELENGTH, hot, truth["surface_brightness_ratio"])
        result = per_visit(self._band_fluxes(truth, hot, cool, field), field.visits.band)
        for band, wavelength in enumerate(field.survey.bands.effective):
            points = field.visits.band == band
            if points.any():
                ratio = planck(wavelength, cool) / planck(wavelength, hot)
                in_band = truth | {"surface_brightness_ratio": ratio}
                result[:, points] *= self.dense.flux(in_band, time_since_start(field)[points], 0.0)
        return result

    def _band_fluxes(self, truth: Truth, hot: Float, cool: Float, field: Field) -> Float:
        bands, deficit = field.survey.bands, table("colours_binary").value("blue_deficit")
        area = (truth["radius_2"] / truth["radius_1"])[:, None, None] ** 2
        spectra = [stellar(bands.nodes, t[:, None, None], deficit) for t in (hot, cool)]
        spectrum = spectra[0] + area * spectra[1]
        return band_fluxes(bands, spectrum, truth["magnitude"], truth["extinction"], field.survey.reference)


def temperature_from_mass(truth: Truth) -> Float:
    """Return the temperature [K] of main-sequence stars of the drawn masses."""
    return main_sequence_temperature(truth["mass"])


def temperature_parameter(truth: Truth) -> Float:
    """Return the drawn temperature [K]."""
    return truth["temperature_1"]


class LongPeriod:
    """Mira variables: an asymmetric cosine, with slow waves in its amplitude and mean."""

    kind = "long_period"
    event = False

    def draw(self, n: int, field: Field, rng: np.random.Generator) -> Truth:
        """See `MultibandSource`."""
        truth = draw_star(table(self.kind), n, field, rng)
        return truth | {"phase": rng.random(n), "uneven_phase": rng.random((n, 2))}

    def flux(self, truth: Truth, field: Field) -> Float:
        """See `MultibandSource`."""
        t, d = table(self.kind), {name: value[:, None] for name, value in truth.items()}
        cycles = time_since_start(field) / d["period"] + d["phase"]
        phase, rising = np.mod(cycles, 1.0), d["rising"]
        even = np.where(phase < 1 - rising, phase / (1 - rising), 1 + (phase - 1 + rising) / rising) / 2
        slow = [np.sin(2 * np.pi * (cycles / long + d["uneven_phase"][..., k])) for k, long in enumerate((3.3, 7.1))]
        size = d["amplitude"] * (1 + d["unevenness"] * slow[0])
        magnitude = -size / 2 * np.cos(2 * np.pi * even) + d["amplitude"] * d["unevenness"] * slow[1]
        mean = per_visit(star_fluxes(t, truth, field), field.visits.band)
        return mean * transmission(magnitude * amplitude_ratios(t, field))


class ActiveNucleus:
    """Active galactic nuclei: a power law whose brightness is a damped random walk, stronger in the blue."""

    kind = "active_nucleus"
    event = False

    def draw(self, n: int, field: Field, rng: np.random.Generator) -> Truth:
        """See `MultibandSource`."""
        return draw_star(table(self.kind), n, field, rng) | {"seed": seeds(n, rng)}

    def flux(self, truth: Truth, field: Field) -> Float:
        """See `MultibandSource`."""
        t, bands = table(self.kind), field.survey.bands
        stretch = 1 + truth["redshift"][:, None]
        walk = damped_random_walk(truth["seed"], truth["tau"] * stretch[:, 0], field.visits.time)
        rest = bands.effective / stretch / 0.4
        deviation = truth["structure"][:, None] / np.sqrt(2) * rest ** t.value("structure_slope")
        spectrum = bands.nodes ** -truth["spectral_index"][:, None, None]
        mean = band_fluxes(bands, spectrum, truth["magnitude"], truth["extinction"], field.survey.reference)
        return per_visit(mean, field.visits.band) * transmission(walk * per_visit(deviation, field.visits.band))


def draw_star(t: ParameterTable, n: int, field: Field, rng: np.random.Generator) -> Truth:
    """Return parameters of stars: those of their table, and magnitude and extinction of the survey's."""
    return t.draw(n, rng) | field.survey.table.draw(n, rng, "magnitude", "extinction")


def star_fluxes(t: ParameterTable, truth: Truth, field: Field) -> Float:
    """Return the fluxes in each band of stars of one temperature, (n, B) [nJy]."""
    bands = field.survey.bands
    spectrum = stellar(bands.nodes, truth["temperature"][:, None, None], t.value("blue_deficit"))
    return band_fluxes(bands, spectrum, truth["magnitude"], truth["extinction"], field.survey.reference)


def time_since_start(field: Field) -> Float:
    """Return times since the first visit, (T,) [d]."""
    return field.visits.time - field.visits.time[0]


def amplitude_ratios(t: ParameterTable, field: Field) -> Float:
    """Return the amplitude in magnitudes in each visit's band over that at 0.7 um, (T,)."""
    ratios = np.interp(field.survey.bands.effective, t.value("wavelength"), t.value("amplitude_ratio"))
    return ratios[field.visits.band]
