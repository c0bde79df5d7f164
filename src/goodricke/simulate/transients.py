"""Supernovae and other thermal transients: a fading, a temperature, a distance.

The light curve in one rest-frame band is given; a black body of the moment's temperature, weaker in the blue where
lines blanket it, carries it to all other wavelengths. Redshift stretches, dims and reddens it. Fluxes are those of
difference images: the transient's alone.

Events of stars in several bands: dwarf novae, microlensing, flares. Fluxes are those above the quiet star's.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from goodricke.simulate.parameters import Table, table
from goodricke.simulate.source import Drawn, Float
from goodricke.simulate.surveys import Field, band_mean, by_band, dimming, extinction, fluxes, levels, planck, stellar
from goodricke.simulate.variables import drawn_star, star_levels

MAGNITUDES_PER_E = 2.5 / np.log(10)
NEAREST = 0.002  # redshift
GONE = 50.0  # mag: below the peak, before the explosion


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


class Thermal:
    """Transients of one kind; subclasses say how they fade and cool."""

    kind: str
    event = True

    def draw(self, n: int, field: Field, rng: np.random.Generator) -> Drawn:
        """See `Light`.

        A peak within the survey's limit, the nearer the rarer, at a time when a visit meets it.
        """
        t = table(self.kind)
        drawn = t.draw(n, rng) | field.survey.table.draw(n, rng, "extinction")
        drawn["absolute_magnitude"] = self.absolute_magnitude(drawn, t)
        drawn["host_extinction"] = self.host_extinction(drawn, t)
        farthest = redshift_at(field.survey.table.value("limit") - drawn["absolute_magnitude"])
        farthest = np.minimum(farthest, t.value("highest_redshift"))
        drawn["redshift"] = np.maximum(farthest * np.cbrt(drawn["volume"]), NEAREST)
        drawn["peak"] = met(t, 1 + drawn["redshift"], field, rng)
        return drawn

    def flux(self, drawn: Drawn, field: Field) -> Float:
        """See `Light`."""
        t, band = table(self.kind), field.seen.band
        d = {name: value[:, None] for name, value in drawn.items()}
        stretch = 1 + d["redshift"]
        age = (field.seen.time - d["peak"]) / stretch
        wavelength = field.survey.bands.nodes / stretch[:, None]  # (n, B, K), at rest
        temperature = self.temperature(d, t, age)
        spectrum = planck(wavelength[:, band], temperature[..., None]) * self._filter(d, t, field, wavelength)[:, band]
        colour = band_mean(spectrum) / planck(t.value("reference_wavelength"), temperature)
        faint = self.fading(d, t, age) - self.red_excess(t, age, wavelength[:, band, 1], d)
        modulus = distance_modulus(d["redshift"])
        return stretch * fluxes(d["absolute_magnitude"] + modulus + faint) * colour

    def _filter(self, d: Drawn, t: Table, field: Field, wavelength: Float) -> Float:
        """Return what blanketing and dust of host and Galaxy leave, (n, B, K)."""
        cut, power = t.value("blanketed")
        host = d["host_extinction"][:, None] * extinction(wavelength, self.r_v(t))
        ours = d["extinction"][:, None] * extinction(field.survey.bands.nodes)
        return np.minimum(wavelength / cut, 1.0) ** power * dimming(host + ours)

    def absolute_magnitude(self, drawn: Drawn, t: Table) -> Float:
        """Return absolute magnitudes at peak in the reference band, (n,)."""
        return drawn["absolute_magnitude"]

    def host_extinction(self, drawn: Drawn, t: Table) -> Float:
        """Return A_V within the host, (n,)."""
        return drawn["host_extinction"]

    def r_v(self, t: Table) -> float:
        """Return R_V of the host's dust."""
        return 3.1

    def fading(self, d: Drawn, t: Table, age: Float) -> Float:
        """Return magnitudes below the peak in the reference band at rest days from it, (n, T); ``d`` are (n, 1)."""
        raise NotImplementedError

    def temperature(self, d: Drawn, t: Table, age: Float) -> Float:
        """Return temperatures [K] at rest days from the peak, (n, T)."""
        raise NotImplementedError

    def red_excess(self, t: Table, age: Float, wavelength: Float, d: Drawn) -> Float | float:
        """Return magnitudes by which it is brighter at rest wavelengths than a black body, (n, T)."""
        return 0.0


def met(t: Table, stretch: Float, field: Field, rng: np.random.Generator) -> Float:
    """Return times of peaks (n,): a random visit falls into the event's visible days, times ``stretch``."""
    first, last = t.value("visible")
    time = field.seen.time
    visit = time[(rng.random(len(stretch)) * len(time)).astype(int)]
    return visit - stretch * rng.uniform(first, last, len(stretch))


class SupernovaIa(Thermal):
    """Standardisable candles: Tripp's (1998) relation of magnitude, stretch and colour."""

    kind = "supernova_ia"

    def absolute_magnitude(self, drawn: Drawn, t: Table) -> Float:
        """Return absolute magnitudes without the colour's part, which `host_extinction` has."""
        return t.value("absolute_magnitude") - t.value("brighter_slower") * drawn["stretch"] + drawn["scatter"]

    def host_extinction(self, drawn: Drawn, t: Table) -> Float:
        """Return R_V c."""
        return t.value("r_v") * drawn["colour"]

    def r_v(self, t: Table) -> float:
        """Return R_V of the colour law."""
        return float(t.value("r_v"))

    def fading(self, d: Drawn, t: Table, age: Float) -> Float:
        """See `Thermal`."""
        return _along(t, "fading", age / _stretch(d, t))

    def temperature(self, d: Drawn, t: Table, age: Float) -> Float:
        """See `Thermal`."""
        return _along(t, "temperatures", age / _stretch(d, t))

    def red_excess(self, t: Table, age: Float, wavelength: Float, d: Drawn) -> Float:
        """Return the second maximum."""
        height, day, width = t.value("second_maximum")
        red = np.clip((wavelength - 0.65) / 0.10, 0.0, 1.0)
        return height * red * np.exp(-(((age / _stretch(d, t) - day) / width) ** 2) / 2)


class SupernovaII(Thermal):
    """Hydrogen-rich supernovae, from those with a flat plateau to those that decline."""

    kind = "supernova_ii"

    def fading(self, d: Drawn, t: Table, age: Float) -> Float:
        """See `Thermal`."""
        since = age + d["rise"]
        rising = _powers(1 - np.clip(1 - since / d["rise"], 0.0, 1.0) ** 2)
        decline = d["plateau_decline"] / 100 * np.clip(age, 0.0, d["plateau"] - d["rise"])
        tail = t.value("tail") / 100 * np.maximum(since - d["plateau"], 0.0)
        drop = d["drop"] / (1 + np.exp(-np.clip((since - d["plateau"]) / d["drop_time"], -50, 50)))
        return rising + decline + tail + drop

    def temperature(self, d: Drawn, t: Table, age: Float) -> Float:
        """See `Thermal`."""
        since = np.maximum(age + d["rise"], 0.0)
        return d["recombination"] + (d["hottest"] - d["recombination"]) * np.exp(-since / d["cooling"])


class SupernovaIbc(Thermal):
    """Stripped supernovae."""

    kind = "supernova_ibc"

    def fading(self, d: Drawn, t: Table, age: Float) -> Float:
        """See `Thermal`."""
        return _along(t, "fading", age / d["width"])

    def temperature(self, d: Drawn, t: Table, age: Float) -> Float:
        """See `Thermal`."""
        return d["hotter"] * _along(t, "temperatures", age / d["width"])


class Superluminous(Thermal):
    """Superluminous supernovae without hydrogen: exponential on both sides, round at the peak."""

    kind = "superluminous"

    def fading(self, d: Drawn, t: Table, age: Float) -> Float:
        """See `Thermal`."""
        scale = d["decline"] * np.where(age < 0, d["rise_over_decline"], 1.0)
        return np.minimum(MAGNITUDES_PER_E * (np.sqrt(1 + (age / scale) ** 2) - 1), GONE)

    def temperature(self, d: Drawn, t: Table, age: Float) -> Float:
        """See `Thermal`."""
        return np.maximum(d["hottest"] * np.exp(-np.maximum(age, -20.0) / (2.5 * d["decline"])), t.value("coolest"))


class TidalDisruption(Thermal):
    """Stars torn apart by black holes: van Velzen et al. (2021), equations 1 and 2 in shape."""

    kind = "tidal_disruption"

    def fading(self, d: Drawn, t: Table, age: Float) -> Float:
        """See `Thermal`."""
        rising = MAGNITUDES_PER_E * (age / d["rise"]) ** 2 / 2
        declining = 2.5 * 5 / 3 * np.log10(1 + np.maximum(age, 0.0) / d["decline"])
        return np.minimum(np.where(age < 0, rising, declining), GONE)

    def temperature(self, d: Drawn, t: Table, age: Float) -> Float:
        """See `Thermal`."""
        return np.broadcast_to(d["temperature"], age.shape)


class Kilonova(Thermal):
    """Mergers of neutron stars."""

    kind = "kilonova"

    def fading(self, d: Drawn, t: Table, age: Float) -> Float:
        """See `Thermal`."""
        rising = _powers(1 - np.clip(-age / d["rise"], 0.0, 1.0) ** 2)
        return np.minimum(rising + d["decline"] * np.maximum(age, 0.0), GONE)

    def temperature(self, d: Drawn, t: Table, age: Float) -> Float:
        """See `Thermal`."""
        days = np.maximum(age + d["rise"], 0.1)
        return np.clip(d["first_day"] * days ** t.value("cooling"), t.value("coolest"), None)


def _stretch(d: Drawn, t: Table) -> Float:
    return np.polyval(t.value("stretch_relation")[::-1], d["stretch"])


def _along(t: Table, name: str, age: Float) -> Float:
    """Return a list of the table at ages; before its first day there is nothing to see."""
    days, values = t.value("days"), t.value(name)
    found = np.interp(age, days, values)
    return np.where(age < days[0], GONE, found) if name == "fading" else found


def _powers(part: Float) -> Float:
    """Return parts of the peak's flux as magnitudes below it."""
    return -2.5 * np.log10(np.maximum(part, 10 ** (-0.4 * GONE)))


# ---- Events of stars in several bands: dwarf novae, microlensing, flares. Fluxes are those above the quie ------------


class DwarfNova:
    """Outbursts with steep rise, flat top and exponential decay, at nearly regular times; ``magnitude`` is at top."""

    kind = "dwarf_nova"
    event = True

    def draw(self, n: int, field: Field, rng: np.random.Generator) -> Drawn:
        """See `Light`."""
        t = table(self.kind)
        drawn = drawn_star(t, n, field, rng)
        time = field.seen.time
        visit = time[(rng.random(n) * len(time)).astype(int)]
        late = rng.standard_normal((n, int(t.value("irregularities")))) * drawn["irregularity"][:, None]
        late[:, 0] = 0.0
        return drawn | {"peak": visit - rng.random(n) * drawn["duration"], "irregular": late}

    def flux(self, drawn: Drawn, field: Field) -> Float:
        """See `Light`."""
        d = {name: value[:, None] for name, value in drawn.items() if value.ndim == 1}
        cycle = np.rint((field.seen.time - d["peak"] - d["duration"] / 2) / d["recurrence"])
        number = np.mod(cycle, drawn["irregular"].shape[1]).astype(int)
        late = np.take_along_axis(drawn["irregular"], number, 1)
        age = field.seen.time - d["peak"] - (cycle + late) * d["recurrence"]
        below = np.maximum(-age / d["rise"], (age - d["duration"]) / d["decay"])
        below = np.maximum(below, 0.0) + d["sagging"] * np.clip(age, 0.0, d["duration"])
        below = np.minimum(below, d["height"])
        bands = field.survey.bands
        spectrum = planck(bands.nodes, drawn["temperature"][:, None, None])
        top = levels(bands, spectrum, drawn["magnitude"], drawn["extinction"], field.survey.reference)
        return by_band(top, field.seen.band) * (dimming(below) - dimming(d["height"]))


class Microlensing:
    """Point lenses that pass before stars."""

    kind = "microlensing"
    event = True

    def draw(self, n: int, field: Field, rng: np.random.Generator) -> Drawn:
        """See `Light`."""
        t = table(self.kind)
        drawn = drawn_star(t, n, field, rng)
        return drawn | {"peak": met(t, drawn["einstein_time"], field, rng)}

    def flux(self, drawn: Drawn, field: Field) -> Float:
        """See `Light`; ``magnitude`` is that of source and blended light together."""
        d = {name: value[:, None] for name, value in drawn.items()}
        slope = d["blend_slope"] * np.log(field.survey.bands.effective / 0.6)
        share = np.clip(d["source_share"] + slope, 0.01, 1.0)
        separation = np.hypot(d["impact"], (field.seen.time - d["peak"]) / d["einstein_time"])
        light = share * star_levels(table(self.kind), drawn, field)
        return by_band(light, field.seen.band) * (magnification(separation) - 1)


def magnification(separation: Float) -> Float:
    """Return the magnification at separations in Einstein radii: Paczynski (1986, ApJ 304, 1), equation 12."""
    square = separation**2
    return (square + 2) / np.sqrt(square * (square + 4))


class Flares:
    """M dwarfs whose flares some visits meet."""

    kind = "m_dwarf_flare"
    event = True

    def draw(self, n: int, field: Field, rng: np.random.Generator) -> Drawn:
        """See `Light`."""
        t = table(self.kind)
        drawn, most = drawn_star(t, n, field, rng), t.most("flares")
        width, amplitude = (t.each(name, (n, most), rng) for name in ("width", "amplitude"))
        visit = field.seen.time[(rng.random((n, most)) * len(field.seen.time)).astype(int)]
        peak = visit - rng.uniform(-0.5, 2.0, (n, most)) * width
        there = np.arange(most) < drawn["flares"][:, None]
        lists = {"flare_peak": peak, "flare_width": width, "flare_amplitude": amplitude}
        return drawn | {name: np.where(there, values, np.nan) for name, values in lists.items()}

    def flux(self, drawn: Drawn, field: Field) -> Float:
        """See `Light`; ``magnitude`` is the quiet star's."""
        t, bands = table(self.kind), field.survey.bands
        star, hot = (drawn[name][:, None, None] for name in ("temperature", "flare_temperature"))
        quiet = stellar(bands.nodes, star, t.value("blue_deficit"))
        flare = planck(bands.nodes, hot) * planck(0.48, star) / planck(0.48, hot)
        about = drawn["magnitude"], drawn["extinction"], field.survey.reference
        height = by_band(levels(bands, flare, *about, beside=quiet), field.seen.band)
        shape = np.zeros_like(height)
        for k in range(drawn["flare_peak"].shape[1]):
            age = (field.seen.time - drawn["flare_peak"][:, [k]]) / drawn["flare_width"][:, [k]]
            shape += np.nan_to_num(drawn["flare_amplitude"][:, [k]] * flare_shape(age))
        return height * shape


def flare_shape(age: Float) -> Float:
    """Return a flare's flux over its peak's at times in widths: Davenport et al. (2014), equations 1 and 4."""
    t = table("m_dwarf_flare")
    rising = np.polyval(t.value("rise")[::-1], np.clip(age, -1.0, 0.0))
    height, rate = t.value("fall").T
    falling = np.exp(-rate * np.maximum(age, 0.0)[..., None]) @ height
    return np.where(age < -1, 0.0, np.where(age < 0, rising, falling))
