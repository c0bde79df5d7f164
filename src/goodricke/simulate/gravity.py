"""Gravity and Rossby modes: gamma Doradus stars and slowly pulsating B stars."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate import tidal
from goodricke.simulate.parameters import table
from goodricke.simulate.sinusoids import Modes, beside, named, scaled, sinusoids, strongest, with_combinations
from goodricke.simulate.source import Drawn, Float

ORDERS = 40  # of each series that are looked at, around its strongest one


class Pattern(NamedTuple):
    """A series of modes of consecutive radial order.

    Attributes
    ----------
    series : tidal.Series
    spacing : ndarray (n,) [s]
        Buoyancy radius Pi0.
    rotation : ndarray (n,) [1/d]
        Rotation frequency near the core.
    center : ndarray (n,)
        Radial order of the strongest mode.
    """

    series: tidal.Series
    spacing: Float
    rotation: Float
    center: Float


def pattern(
    about: Pattern, width: Float, scatter: Float, rng: np.random.Generator, glitch: Float | None = None
) -> Modes:
    """Return the modes of a series under a Gaussian envelope of radial order, (n, ORDERS).

    Parameters
    ----------
    about : Pattern
    width : ndarray (n,)
        Standard deviation of the envelope in radial orders.
    scatter : ndarray (n, ORDERS)
        Factors of the amplitudes.
    rng : numpy.random.Generator
        Of the phases.
    glitch : ndarray (n, ORDERS), optional
        Shifts of the modes in radial orders.
    """
    order = np.maximum(about.center, 8.0 + ORDERS // 2)[:, None] + np.arange(ORDERS, dtype=np.float64) - ORDERS // 2
    shifted = order + 0.5 + (0.0 if glitch is None else glitch)
    frequency = tidal.frequencies(about.series, about.spacing[:, None], about.rotation[:, None], shifted)
    envelope = np.exp(-0.5 * ((order - about.center[:, None]) / width[:, None]) ** 2)
    return frequency, envelope * scatter, rng.random(frequency.shape)


class _GravityPulsator:
    """Stars with period-spacing patterns of g modes, some with r modes, high amplitudes with combinations."""

    kind: str
    label = "GDOR_SPB"
    series = (  # with the name of the parameter that says how strong
        (tidal.DIPOLE, "dipole"),
        (tidal.QUADRUPOLE, "quadrupole"),
        (tidal.ZONAL, "zonal"),
        (tidal.RETROGRADE, "retrograde"),
        (tidal.ROSSBY, "rossby"),
    )

    def draw(self, n: int, rng: np.random.Generator) -> Drawn:
        """See `Source`."""
        t = table(self.kind)
        drawn: Drawn = dict(t.draw(n, rng))
        candidates = [self._series(series, name, drawn, rng) for series, name in self.series]
        modes = strongest(drawn["modes"], t.most("modes"), beside(*candidates))
        modes = scaled(modes, drawn["amplitude"])
        strength = 2 * drawn["combination_ratio"] * drawn["upward"] / drawn["amplitude"]
        return drawn | named(with_combinations(modes, strength))

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`."""
        return 1 + sinusoids(time, drawn["frequency"], drawn["mode_amplitude"], drawn["mode_phase"], exposure)

    def _series(self, series: tidal.Series, name: str, drawn: Drawn, rng: np.random.Generator) -> Modes:
        t = table(self.kind)
        shape = (len(drawn["modes"]), ORDERS)
        dip = drawn["glitch_amplitude"][:, None] * np.sin(
            2 * np.pi * (np.arange(ORDERS) / drawn["glitch_period"][:, None] + drawn["glitch_phase"][:, None])
        )
        about = Pattern(series, drawn["buoyancy_radius"], drawn["rotation_frequency"], drawn["center_order"])
        f, a, p = pattern(about, drawn["envelope_width"], t.each("mode_scatter", shape, rng), rng, dip)
        low, high = t.value("range")
        strength = (
            t.each(f"{name}_present", len(f), rng) * t.each("series_ratio", len(f), rng) if name != "dipole" else 1.0
        )
        strength = np.broadcast_to(strength, len(f))[:, None]
        return np.where((f > low) & (f < high) & (strength > 0), f, np.nan), a * strength, p


class GammaDoradus(_GravityPulsator):
    """Gamma Doradus stars."""

    kind = "gamma_doradus"


class SlowlyPulsatingB(_GravityPulsator):
    """Slowly pulsating B stars."""

    kind = "slowly_pulsating_b"
