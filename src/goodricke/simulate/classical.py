"""Radial pulsators of large amplitude: RR Lyrae stars, Cepheids and high-amplitude delta Scuti stars.

A mode is a Fourier series in magnitudes, m = A1 sum R_k1 cos(k theta + phi_k1), whose ratios follow the star's period
as published; flux is 10**(-0.4 m), which makes the combination frequencies of two modes by itself.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate.parameters import Table, table
from goodricke.simulate.source import Drawn, Float, Star, averaged, rows

HARMONICS = 12
JITTERS = 6
Series = tuple[Float, Float]  # amplitude ratios R_k1 and phase differences phi_k1 [rad] of cosines, (n, HARMONICS)


class _RadialPulsator:
    """Stars with one or two radial modes, modulated (Blazhko effect) and jittering from cycle to cycle."""

    kind: str
    label = "RRLYR_CEPHEID"
    nodes = 3  # of the quadrature over an exposure

    def draw(self, n: int, rng: np.random.Generator) -> Drawn:
        """See `Source`."""
        t = table(self.kind)
        drawn: Drawn = dict(t.draw(n, rng)) | self._second_mode(n, t, rng)
        drawn |= {"amplitude": self._amplitude(drawn, t), "phase": rng.random(n), "second_phase": rng.random(n)}
        drawn["ratio"], drawn["phase_difference"] = self._shape(drawn, t)
        drawn["second_ratio"], drawn["second_phase_difference"] = self._second_shape(drawn, t)
        drawn |= _modulation(drawn, rng) | _jitter(drawn, rng)
        return drawn

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`."""
        return np.stack([averaged(partial(_flux, star), time, exposure, self.nodes) for star in rows(drawn)])

    def _second_mode(self, n: int, t: Table, rng: np.random.Generator) -> Drawn:
        """Return the second mode's relative amplitude and period: 0 and 1 where the table has no such mode."""
        names = ("second_amplitude", "period_ratio")
        drawn = {name: t.each(name, n, rng) if name in t.parameters else np.full(n, i) for i, name in enumerate(names)}
        beats = t.each("beat", n, rng) if "beat" in t.parameters else 1.0
        return drawn | {"second_amplitude": drawn["second_amplitude"] * beats}

    def _amplitude(self, drawn: Drawn, t: Table) -> Float:
        return drawn["amplitude"]

    def _shape(self, drawn: Drawn, t: Table) -> Series:
        raise NotImplementedError

    def _second_shape(self, drawn: Drawn, t: Table) -> Series:
        """Return the second mode's shape, the same for all stars."""
        r21, r31, phi21, phi31 = np.repeat(t.value("second_shape")[:, None], len(drawn["period"]), axis=1)
        return _extended(r21, r31, phi21, phi31)


class RRLyraeAb(_RadialPulsator):
    """RR Lyrae stars in the fundamental mode: phi_31 from period and metallicity, Blazhko effect in many."""

    kind = "rr_lyrae_ab"

    def _amplitude(self, drawn: Drawn, t: Table) -> Float:
        trend = t.value("amplitude_slope") * (np.log10(drawn["period"]) - np.log10(t.value("typical_period")))
        return np.clip(drawn["amplitude"] + trend, *t.value("amplitude_range"))

    def _shape(self, drawn: Drawn, t: Table) -> Series:
        away = drawn["period"] - t.value("typical_period")
        drawn["metallicity"] = drawn["metallicity"] + t.value("metallicity_slope") * away
        constant, slope, coefficient = t.value("metallicity_relation")
        phi31 = (drawn["metallicity"] - constant - slope * drawn["period"]) / coefficient
        phi21 = drawn["phi21"] + t.value("phi21_slope") * (phi31 - 5.0)
        fading = np.clip(drawn["amplitude"] / t.value("typical_amplitude"), 0.0, 1.0)
        r21, r31 = drawn["r21"] * fading**0.25, drawn["r31"] * fading**0.6
        return _extended(r21, r31, phi21 + np.pi / 2, phi31 + np.pi)  # sines to cosines


class RRLyraeC(_RadialPulsator):
    """RR Lyrae stars in the first overtone, with the weak mode near 0.61 periods."""

    kind = "rr_lyrae_c"

    def _shape(self, drawn: Drawn, t: Table) -> Series:
        phi31 = drawn["phi31"] + t.value("phi31_slope") * (drawn["period"] - t.value("typical_period"))
        r31 = drawn["r21"] * drawn["r31_over_r21"]
        return _extended(drawn["r21"], r31, drawn["phi21"] + np.pi / 2, phi31 + np.pi)


class RRLyraeD(RRLyraeC):
    """RR Lyrae stars in two modes: first overtone, and the fundamental as the second mode."""

    kind = "rr_lyrae_d"


class Cepheid(_RadialPulsator):
    """Classical Cepheids in the fundamental mode, with the Hertzsprung progression of the bump."""

    kind = "cepheid"

    def _amplitude(self, drawn: Drawn, t: Table) -> Float:
        return drawn["amplitude_factor"] * _along(t, "amplitude_by_period", drawn["period"])

    def _shape(self, drawn: Drawn, t: Table) -> Series:
        r21, r31 = (_along(t, f"{name}_by_period", drawn["period"]) * drawn["ratio_factor"] for name in ("r21", "r31"))
        phi21 = _along(t, "phi21_by_period", drawn["period"]) + drawn["phase_scatter"]
        phi31 = _along(t, "phi31_by_period", drawn["period"]) + 2 * drawn["phase_scatter"]
        return _extended(r21, r31, phi21, phi31)


class CepheidOvertone(Cepheid):
    """Classical Cepheids in the first overtone."""

    kind = "cepheid_overtone"


class Type2Cepheid(_RadialPulsator):
    """Type II Cepheids; RV Tauri stars have minima of alternating depth."""

    kind = "type2_cepheid"

    def _shape(self, drawn: Drawn, t: Table) -> Series:
        alternating = drawn["period"] > t.value("rv_tauri_period")
        drawn["second_amplitude"] = np.where(alternating, drawn["second_amplitude"], 0.0)
        drawn["second_phase"] = (drawn["phase"] + drawn["second_phase"] * 0.1) / 2
        return _extended(drawn["r21"], drawn["r21"] * drawn["r31_over_r21"], drawn["phi21"], drawn["phi31"])


class HighAmplitudeDeltaScuti(_RadialPulsator):
    """High-amplitude delta Scuti stars: fundamental mode, often with the first overtone."""

    kind = "high_amplitude_delta_scuti"
    label = "DSCT_BCEP"
    nodes = 5  # periods down to two exposures

    def _shape(self, drawn: Drawn, t: Table) -> Series:
        r21 = drawn["r21"] * np.clip(drawn["amplitude"] / t.value("typical_amplitude"), 0.15, 1.2)
        return _extended(r21, r21 * drawn["r31_over_r21"], drawn["phi21"], drawn["phi31"])


def _extended(r21: Float, r31: Float, phi21: Float, phi31: Float) -> Series:
    """Return a series of all harmonics: beyond the third, ratios fall and phases turn at the rate of the last ones."""
    k = np.arange(1, HARMONICS + 1) - 3.0
    falling = np.clip(np.divide(r31, r21, out=np.zeros_like(r31), where=r21 > 0), 0.0, 0.7)
    ratio = r31[:, None] * falling[:, None] ** k
    phase = phi31[:, None] + (phi31 - phi21)[:, None] * k
    ratio[:, :2] = np.stack([np.ones_like(r21), r21], axis=1)
    phase[:, :2] = np.stack([np.zeros_like(r21), phi21], axis=1)
    return ratio, phase


def _along(t: Table, name: str, period: Float) -> Float:
    return np.interp(np.log10(period), t.value("log_period"), t.value(name))


def _modulation(drawn: Drawn, rng: np.random.Generator) -> Drawn:
    """Return the Blazhko effect's parameters with none where there is no effect."""
    present = drawn.get("blazhko", np.zeros(len(drawn["period"])))
    period = drawn.get("blazhko_period", np.full(len(present), np.inf))
    names = ("blazhko_amplitude", "blazhko_phase")
    strength = {name: np.where(present == 1, drawn.get(name, 0.0), 0.0) for name in names}
    return strength | {"blazhko_period": period, "blazhko_start": rng.random((len(present), 2))}


def _jitter(drawn: Drawn, rng: np.random.Generator) -> Drawn:
    """Return slow wanderings of the phase, as sinusoids a few to some tens of cycles long."""
    n = len(drawn["period"])
    frequency = rng.uniform(0.03, 0.3, (n, JITTERS)) / drawn["period"][:, None]
    size = drawn.get("jitter", np.zeros(n))[:, None] * np.sqrt(2 / JITTERS)
    return {
        "jitter_frequency": frequency,
        "jitter_amplitude": np.broadcast_to(size, (n, JITTERS)).copy(),
        "jitter_phase": rng.random((n, JITTERS)),
    }


def _flux(star: Star, time: Float) -> NDArray[np.float32]:
    """Return one star's flux at times (M,), without exposure."""
    cycles = time / star["period"] + star["phase"]
    if star["jitter_amplitude"].any():
        angle = np.outer(time, star["jitter_frequency"]) + star["jitter_phase"]
        cycles = cycles + np.cos(_small(angle)) @ star["jitter_amplitude"]
    size: Float | float = 1.0
    if star["blazhko_amplitude"] or star["blazhko_phase"]:
        angle = time[:, None] / star["blazhko_period"] + star["blazhko_start"]
        size = 1 + star["blazhko_amplitude"] * np.cos(_small(angle[:, 0]))
        cycles = cycles + star["blazhko_phase"] * np.cos(_small(angle[:, 1]))
    magnitude = size * star["amplitude"] * _series(cycles, star["ratio"], star["phase_difference"])
    if star["second_amplitude"]:
        second = time / (star["period"] * star["period_ratio"]) + star["second_phase"]
        shape = _series(second, star["second_ratio"], star["second_phase_difference"])
        magnitude = magnitude + star["amplitude"] * star["second_amplitude"] * shape
    return np.exp(-0.4 * np.log(10) * magnitude).astype(np.float32)


def _series(cycles: Float, ratio: Float, phase: Float) -> NDArray[np.float32]:
    """Return sum_k R_k1 cos(k theta + phi_k1), by Horner's rule in exp(i theta)."""
    angle = _small(cycles)
    z = np.empty(len(angle), np.complex64)
    z.real, z.imag = np.cos(angle), np.sin(angle)
    total = np.zeros_like(z)
    for coefficient in (ratio * np.exp(1j * phase)).astype(np.complex64)[::-1]:
        total += coefficient
        total *= z
    return total.real


def _small(cycles: Float) -> NDArray[np.float32]:
    """Return cycles as angles between -pi and pi, for which float32 is enough."""
    return (2 * np.pi * (cycles - np.rint(cycles))).astype(np.float32)
