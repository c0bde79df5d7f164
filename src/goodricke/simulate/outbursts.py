"""Events of stars in several bands: dwarf novae, microlensing, flares. Fluxes are those above the quiet star's."""

from __future__ import annotations

import numpy as np

from goodricke.simulate.colours import by_band, dimming, levels, planck, stellar
from goodricke.simulate.parameters import table
from goodricke.simulate.source import Drawn, Float
from goodricke.simulate.surveys import Field
from goodricke.simulate.transients import met
from goodricke.simulate.variables import drawn_star, star_levels


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
