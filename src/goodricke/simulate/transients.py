"""Transients in several bands: supernovae and other thermal ones, dwarf novae, microlensing, flares.

Of a thermal transient, the light curve in one rest-frame band is given. A black body of the momentary temperature,
weaker in the blue by line blanketing, extends it to all other wavelengths; redshift stretches, dims and reddens it.
Fluxes are those of difference images: of the transient alone, or above the quiet star's.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from goodricke.data.units import MAGNITUDES_PER_E
from goodricke.simulate.colours import (
    band_fluxes,
    band_mean,
    extinction,
    fluxes,
    per_visit,
    planck,
    stellar,
    transmission,
)
from goodricke.simulate.parameters import ParameterTable, table
from goodricke.simulate.rotation import flare
from goodricke.simulate.source import Float, Truth
from goodricke.simulate.surveys import Field
from goodricke.simulate.variable_stars import draw_star, star_fluxes

NEAREST = 0.002  # redshift
INVISIBLE = 50.0  # mag below the peak: before the explosion


class Thermal:
    """Thermal transients of one kind; subclasses define how they fade and cool."""

    kind: str
    event = True

    def draw(self, n: int, field: Field, rng: np.random.Generator) -> Truth:
        """See `MultibandSource`.

        Peaks lie within the survey's limit, uniformly in volume, at times when a visit sees the event.
        """
        t = table(self.kind)
        truth = t.draw(n, rng) | field.survey.table.draw(n, rng, "extinction")
        truth["absolute_magnitude"] = self.absolute_magnitude(truth, t)
        truth["host_extinction"] = self.host_extinction(truth, t)
        farthest = redshift_at(field.survey.table.value("limit") - truth["absolute_magnitude"])
        farthest = np.minimum(farthest, t.value("highest_redshift"))
        truth["redshift"] = np.maximum(farthest * np.cbrt(truth["volume"]), NEAREST)
        truth["peak"] = peak_times(t, 1 + truth["redshift"], field, rng)
        return truth

    def flux(self, truth: Truth, field: Field) -> Float:
        """See `MultibandSource`."""
        t, band = table(self.kind), field.visits.band
        d = {name: value[:, None] for name, value in truth.items()}
        stretch = 1 + d["redshift"]
        age = (field.visits.time - d["peak"]) / stretch
        wavelength = field.survey.bands.nodes / stretch[:, None]  # (n, B, K), at rest
        temperature = self.temperature(d, t, age)
        spectrum = planck(wavelength[:, band], temperature[..., None]) * self._filter(d, t, field, wavelength)[:, band]
        colour = band_mean(spectrum) / planck(t.value("reference_wavelength"), temperature)
        faint = self.fading(d, t, age) - self.red_excess(t, age, wavelength[:, band, 1], d)
        modulus = distance_modulus(d["redshift"])
        return stretch * fluxes(d["absolute_magnitude"] + modulus + faint) * colour

    def _filter(self, d: Truth, t: ParameterTable, field: Field, wavelength: Float) -> Float:
        """Return the fraction that line blanketing and dust of host and Galaxy transmit, (n, B, K)."""
        cut, power = t.value("blanketed")
        host = d["host_extinction"][:, None] * extinction(wavelength, self.r_v(t))
        ours = d["extinction"][:, None] * extinction(field.survey.bands.nodes)
        return np.minimum(wavelength / cut, 1.0) ** power * transmission(host + ours)

    def absolute_magnitude(self, truth: Truth, t: ParameterTable) -> Float:
        """Return absolute magnitudes at peak in the reference band, (n,)."""
        return truth["absolute_magnitude"]

    def host_extinction(self, truth: Truth, t: ParameterTable) -> Float:
        """Return A_V within the host, (n,)."""
        return truth["host_extinction"]

    def r_v(self, t: ParameterTable) -> float:
        """Return R_V of the host's dust."""
        return 3.1

    def fading(self, d: Truth, t: ParameterTable, age: Float) -> Float:
        """Return magnitudes below the peak in the reference band at rest days from it, (n, T); ``d`` are (n, 1)."""
        raise NotImplementedError

    def temperature(self, d: Truth, t: ParameterTable, age: Float) -> Float:
        """Return temperatures [K] at rest days from the peak, (n, T)."""
        raise NotImplementedError

    def red_excess(self, t: ParameterTable, age: Float, wavelength: Float, d: Truth) -> Float | float:
        """Return magnitudes by which it is brighter at rest wavelengths than a black body, (n, T)."""
        return 0.0


class SupernovaIa(Thermal):
    """Standardisable candles: Tripp's (1998) relation of magnitude, stretch and colour."""

    kind = "supernova_ia"

    def absolute_magnitude(self, truth: Truth, t: ParameterTable) -> Float:
        """Return absolute magnitudes without the colour term, which is in `host_extinction`."""
        return t.value("absolute_magnitude") - t.value("brighter_slower") * truth["stretch"] + truth["scatter"]

    def host_extinction(self, truth: Truth, t: ParameterTable) -> Float:
        """Return R_V c."""
        return t.value("r_v") * truth["colour"]

    def r_v(self, t: ParameterTable) -> float:
        """Return R_V of the colour law."""
        return float(t.value("r_v"))

    def fading(self, d: Truth, t: ParameterTable, age: Float) -> Float:
        """See `Thermal`."""
        return _interpolate(t, "fading", age / _stretch(d, t))

    def temperature(self, d: Truth, t: ParameterTable, age: Float) -> Float:
        """See `Thermal`."""
        return _interpolate(t, "temperatures", age / _stretch(d, t))

    def red_excess(self, t: ParameterTable, age: Float, wavelength: Float, d: Truth) -> Float:
        """Return the second maximum."""
        height, day, width = t.value("second_maximum")
        red = np.clip((wavelength - 0.65) / 0.10, 0.0, 1.0)
        return height * red * np.exp(-(((age / _stretch(d, t) - day) / width) ** 2) / 2)


class SupernovaII(Thermal):
    """Hydrogen-rich supernovae, from those with a flat plateau to those that decline."""

    kind = "supernova_ii"

    def fading(self, d: Truth, t: ParameterTable, age: Float) -> Float:
        """See `Thermal`."""
        since = age + d["rise"]
        rising = _magnitudes_below_peak(1 - np.clip(1 - since / d["rise"], 0.0, 1.0) ** 2)
        decline = d["plateau_decline"] / 100 * np.clip(age, 0.0, d["plateau"] - d["rise"])
        tail = t.value("tail") / 100 * np.maximum(since - d["plateau"], 0.0)
        drop = d["drop"] / (1 + np.exp(-np.clip((since - d["plateau"]) / d["drop_time"], -50, 50)))
        return rising + decline + tail + drop

    def temperature(self, d: Truth, t: ParameterTable, age: Float) -> Float:
        """See `Thermal`."""
        since = np.maximum(age + d["rise"], 0.0)
        return d["recombination"] + (d["hottest"] - d["recombination"]) * np.exp(-since / d["cooling"])


class SupernovaIbc(Thermal):
    """Stripped supernovae."""

    kind = "supernova_ibc"

    def fading(self, d: Truth, t: ParameterTable, age: Float) -> Float:
        """See `Thermal`."""
        return _interpolate(t, "fading", age / d["width"])

    def temperature(self, d: Truth, t: ParameterTable, age: Float) -> Float:
        """See `Thermal`."""
        return d["hotter"] * _interpolate(t, "temperatures", age / d["width"])


class Superluminous(Thermal):
    """Superluminous supernovae without hydrogen: exponential on both sides, round at the peak."""

    kind = "superluminous"

    def fading(self, d: Truth, t: ParameterTable, age: Float) -> Float:
        """See `Thermal`."""
        scale = d["decline"] * np.where(age < 0, d["rise_over_decline"], 1.0)
        return np.minimum(MAGNITUDES_PER_E * (np.sqrt(1 + (age / scale) ** 2) - 1), INVISIBLE)

    def temperature(self, d: Truth, t: ParameterTable, age: Float) -> Float:
        """See `Thermal`."""
        return np.maximum(d["hottest"] * np.exp(-np.maximum(age, -20.0) / (2.5 * d["decline"])), t.value("coolest"))


class TidalDisruption(Thermal):
    """Stars disrupted by black holes: shapes of van Velzen et al. (2021), equations 1 and 2."""

    kind = "tidal_disruption"

    def fading(self, d: Truth, t: ParameterTable, age: Float) -> Float:
        """See `Thermal`."""
        rising = MAGNITUDES_PER_E * (age / d["rise"]) ** 2 / 2
        declining = 2.5 * 5 / 3 * np.log10(1 + np.maximum(age, 0.0) / d["decline"])
        return np.minimum(np.where(age < 0, rising, declining), INVISIBLE)

    def temperature(self, d: Truth, t: ParameterTable, age: Float) -> Float:
        """See `Thermal`."""
        return np.broadcast_to(d["temperature"], age.shape)


class Kilonova(Thermal):
    """Mergers of neutron stars."""

    kind = "kilonova"

    def fading(self, d: Truth, t: ParameterTable, age: Float) -> Float:
        """See `Thermal`."""
        rising = _magnitudes_below_peak(1 - np.clip(-age / d["rise"], 0.0, 1.0) ** 2)
        return np.minimum(rising + d["decline"] * np.maximum(age, 0.0), INVISIBLE)

    def temperature(self, d: Truth, t: ParameterTable, age: Float) -> Float:
        """See `Thermal`."""
        days = np.maximum(age + d["rise"], 0.1)
        return np.clip(d["first_day"] * days ** t.value("cooling"), t.value("coolest"), None)


class DwarfNova:
    """Outbursts with steep rise, flat top and exponential decay, at nearly regular times; ``magnitude`` is at top."""

    kind = "dwarf_nova"
    event = True

    def draw(self, n: int, field: Field, rng: np.random.Generator) -> Truth:
        """See `MultibandSource`."""
        t = table(self.kind)
        truth = draw_star(t, n, field, rng)
        visit = _random_visits(field, n, rng)
        late = rng.standard_normal((n, int(t.value("irregularities")))) * truth["irregularity"][:, None]
        late[:, 0] = 0.0
        return truth | {"peak": visit - rng.random(n) * truth["duration"], "irregular": late}

    def flux(self, truth: Truth, field: Field) -> Float:
        """See `MultibandSource`."""
        d = {name: value[:, None] for name, value in truth.items() if value.ndim == 1}
        cycle = np.rint((field.visits.time - d["peak"] - d["duration"] / 2) / d["recurrence"])
        number = np.mod(cycle, truth["irregular"].shape[1]).astype(int)
        late = np.take_along_axis(truth["irregular"], number, 1)
        age = field.visits.time - d["peak"] - (cycle + late) * d["recurrence"]
        below = np.maximum(-age / d["rise"], (age - d["duration"]) / d["decay"])
        below = np.maximum(below, 0.0) + d["sagging"] * np.clip(age, 0.0, d["duration"])
        below = np.minimum(below, d["height"])
        bands = field.survey.bands
        spectrum = planck(bands.nodes, truth["temperature"][:, None, None])
        top = band_fluxes(bands, spectrum, truth["magnitude"], truth["extinction"], field.survey.reference)
        return per_visit(top, field.visits.band) * (transmission(below) - transmission(d["height"]))


class Microlensing:
    """Point lenses that pass in front of stars."""

    kind = "microlensing"
    event = True

    def draw(self, n: int, field: Field, rng: np.random.Generator) -> Truth:
        """See `MultibandSource`."""
        t = table(self.kind)
        truth = draw_star(t, n, field, rng)
        return truth | {"peak": peak_times(t, truth["einstein_time"], field, rng)}

    def flux(self, truth: Truth, field: Field) -> Float:
        """See `MultibandSource`; ``magnitude`` is that of source and blended light together."""
        d = {name: value[:, None] for name, value in truth.items()}
        slope = d["blend_slope"] * np.log(field.survey.bands.effective / 0.6)
        share = np.clip(d["source_share"] + slope, 0.01, 1.0)
        separation = np.hypot(d["impact"], (field.visits.time - d["peak"]) / d["einstein_time"])
        light = share * star_fluxes(table(self.kind), truth, field)
        return per_visit(light, field.visits.band) * (magnification(separation) - 1)


class Flares:
    """M dwarfs with flares during some visits."""

    kind = "m_dwarf_flare"
    event = True

    def draw(self, n: int, field: Field, rng: np.random.Generator) -> Truth:
        """See `MultibandSource`."""
        t = table(self.kind)
        truth, shape = draw_star(t, n, field, rng), (n, t.maximum("flares"))
        width, amplitude = (t.sample(name, shape, rng) for name in ("width", "amplitude"))
        peak = _random_visits(field, shape, rng) - rng.uniform(-0.5, 2.0, shape) * width
        exists = np.arange(shape[1]) < truth["flares"][:, None]
        lists = {"flare_peak": peak, "flare_width": width, "flare_amplitude": amplitude}
        return truth | {name: np.where(exists, values, np.nan) for name, values in lists.items()}

    def flux(self, truth: Truth, field: Field) -> Float:
        """See `MultibandSource`; ``magnitude`` is the quiet star's."""
        t, bands = table(self.kind), field.survey.bands
        star, hot = (truth[name][:, None, None] for name in ("temperature", "flare_temperature"))
        quiet = stellar(bands.nodes, star, t.value("blue_deficit"))
        spectrum = planck(bands.nodes, hot) * planck(0.48, star) / planck(0.48, hot)
        star_data = truth["magnitude"], truth["extinction"], field.survey.reference
        height = per_visit(band_fluxes(bands, spectrum, *star_data, standard=quiet), field.visits.band)
        shape = np.zeros_like(height)
        for k in range(truth["flare_peak"].shape[1]):
            age = (field.visits.time - truth["flare_peak"][:, [k]]) / truth["flare_width"][:, [k]]
            shape += np.nan_to_num(truth["flare_amplitude"][:, [k]] * flare(age))
        return height * shape


def peak_times(t: ParameterTable, stretch: Float, field: Field, rng: np.random.Generator) -> Float:
    """Return times of peaks (n,): a random visit is within the event's visible days, which ``stretch`` multiplies."""
    first, last = t.value("visible")
    return _random_visits(field, len(stretch), rng) - stretch * rng.uniform(first, last, len(stretch))


def _random_visits(field: Field, shape: int | tuple[int, ...], rng: np.random.Generator) -> Float:
    """Return times of random visits, of the given shape."""
    return field.visits.time[(rng.random(shape) * len(field.visits.time)).astype(int)]


def _stretch(d: Truth, t: ParameterTable) -> Float:
    return np.polyval(t.value("stretch_relation")[::-1], d["stretch"])


def _interpolate(t: ParameterTable, name: str, age: Float) -> Float:
    """Return a list of the table at ages [d]; before its first day the transient is invisible."""
    days, values = t.value("days"), t.value(name)
    result = np.interp(age, days, values)
    return np.where(age < days[0], INVISIBLE, result) if name == "fading" else result


def _magnitudes_below_peak(part: Float) -> Float:
    """Return parts of the peak's flux as magnitudes below it."""
    return -2.5 * np.log10(np.maximum(part, 10 ** (-0.4 * INVISIBLE)))


def magnification(separation: Float) -> Float:
    """Return the magnification at separations in Einstein radii: Paczynski (1986, ApJ 304, 1), equation 12."""
    square = separation**2
    return (square + 2) / np.sqrt(square * (square + 4))


@cache
def _distances() -> tuple[Float, Float]:
    from astropy.cosmology import Planck18

    redshift = np.geomspace(NEAREST / 2, 5.0, 2000)
    return redshift, Planck18.distmod(redshift).value


def distance_modulus(redshift: Float) -> Float:
    """Return luminosity distance moduli of redshifts from 0.001 to 5 (Planck Collaboration VI 2020)."""
    return np.interp(np.log(redshift), np.log(_distances()[0]), _distances()[1])


def redshift_at(modulus: Float) -> Float:
    """Return the redshifts of distance moduli."""
    return np.exp(np.interp(modulus, _distances()[1], np.log(_distances()[0])))
