"""Radial pulsators of large amplitude: RR Lyrae stars, Cepheids and high-amplitude delta Scuti stars.

A mode is a Fourier series in magnitudes, m = A1 sum R_k1 cos(k theta + phi_k1), whose ratios follow the star's period
as published. Flux is 10**(-0.4 m), so that two modes have combination frequencies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate.parameters import ParameterTable, table
from goodricke.simulate.source import Float, Star, Truth, exposure_means

HARMONICS = 12
JITTERS = 6
# amplitude ratios R_k1 and phase differences phi_k1 [rad] of cosines, (n, HARMONICS)
FourierSeries = tuple[Float, Float]


class _RadialPulsator:
    """Stars with one or two radial modes, modulated (Blazhko effect) and jittering from cycle to cycle."""

    kind: str
    nodes = 3  # of the quadrature over an exposure

    def draw(self, n: int, rng: np.random.Generator) -> Truth:
        """See `Source`."""
        t = table(self.kind)
        truth: Truth = dict(t.draw(n, rng)) | self._second_mode(n, t, rng)
        truth |= {"amplitude": self._amplitude(truth, t), "phase": rng.random(n), "second_phase": rng.random(n)}
        truth["ratio"], truth["phase_difference"] = self._shape(truth, t)
        truth["second_ratio"], truth["second_phase_difference"] = self._second_shape(truth, t)
        truth |= _modulation(truth, rng) | _jitter(truth, rng)
        return truth

    def flux(self, truth: Truth, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`."""
        return exposure_means(_flux, truth, time, exposure, self.nodes)

    def _second_mode(self, n: int, t: ParameterTable, rng: np.random.Generator) -> Truth:
        """Return the second mode's relative amplitude and period: 0 and 1 where the table has no such mode."""
        defaults = {"second_amplitude": 0, "period_ratio": 1}
        truth = {k: t.sample(k, n, rng) if k in t.parameters else np.full(n, v) for k, v in defaults.items()}
        present = t.sample("beat", n, rng) if "beat" in t.parameters else 1.0
        return truth | {"second_amplitude": truth["second_amplitude"] * present}

    def _amplitude(self, truth: Truth, t: ParameterTable) -> Float:
        return truth["amplitude"]

    def _shape(self, truth: Truth, t: ParameterTable) -> FourierSeries:
        raise NotImplementedError

    def _second_shape(self, truth: Truth, t: ParameterTable) -> FourierSeries:
        """Return the second mode's shape, the same for all stars."""
        r21, r31, phi21, phi31 = np.repeat(t.value("second_shape")[:, None], len(truth["period"]), axis=1)
        return _extend_series(r21, r31, phi21, phi31)


class RRLyraeAb(_RadialPulsator):
    """RR Lyrae stars in the fundamental mode: phi_31 from period and metallicity, Blazhko effect in many."""

    kind = "rr_lyrae_ab"

    def _amplitude(self, truth: Truth, t: ParameterTable) -> Float:
        trend = t.value("amplitude_slope") * (np.log10(truth["period"]) - np.log10(t.value("typical_period")))
        return np.clip(truth["amplitude"] + trend, *t.value("amplitude_range"))

    def _shape(self, truth: Truth, t: ParameterTable) -> FourierSeries:
        offset = truth["period"] - t.value("typical_period")
        truth["metallicity"] = truth["metallicity"] + t.value("metallicity_slope") * offset
        constant, slope, coefficient = t.value("metallicity_relation")
        phi31 = (truth["metallicity"] - constant - slope * truth["period"]) / coefficient
        phi21 = truth["phi21"] + t.value("phi21_slope") * (phi31 - 5.0)
        fading = np.clip(truth["amplitude"] / t.value("typical_amplitude"), 0.0, 1.0)
        r21, r31 = truth["r21"] * fading**0.25, truth["r31"] * fading**0.6
        return _extend_series(r21, r31, phi21 + np.pi / 2, phi31 + np.pi)  # sines to cosines


class RRLyraeC(_RadialPulsator):
    """RR Lyrae stars in the first overtone, with the weak mode near 0.61 periods."""

    kind = "rr_lyrae_c"

    def _shape(self, truth: Truth, t: ParameterTable) -> FourierSeries:
        phi31 = truth["phi31"] + t.value("phi31_slope") * (truth["period"] - t.value("typical_period"))
        r31 = truth["r21"] * truth["r31_over_r21"]
        return _extend_series(truth["r21"], r31, truth["phi21"] + np.pi / 2, phi31 + np.pi)


class RRLyraeD(RRLyraeC):
    """RR Lyrae stars in two modes: first overtone, and the fundamental as the second mode."""

    kind = "rr_lyrae_d"


class Cepheid(_RadialPulsator):
    """Classical Cepheids in the fundamental mode, with the Hertzsprung progression of the bump."""

    kind = "cepheid"

    def _amplitude(self, truth: Truth, t: ParameterTable) -> Float:
        return truth["amplitude_factor"] * _interpolate(t, "amplitude_by_period", truth["period"])

    def _shape(self, truth: Truth, t: ParameterTable) -> FourierSeries:
        names = ("r21", "r31", "phi21", "phi31")
        r21, r31, phi21, phi31 = (_interpolate(t, f"{name}_by_period", truth["period"]) for name in names)
        factor, scatter = truth["ratio_factor"], truth["phase_scatter"]
        return _extend_series(r21 * factor, r31 * factor, phi21 + scatter, phi31 + 2 * scatter)


class CepheidOvertone(Cepheid):
    """Classical Cepheids in the first overtone."""

    kind = "cepheid_overtone"


class Type2Cepheid(_RadialPulsator):
    """Type II Cepheids; RV Tauri stars have minima of alternating depth."""

    kind = "type2_cepheid"

    def _shape(self, truth: Truth, t: ParameterTable) -> FourierSeries:
        alternating = truth["period"] > t.value("rv_tauri_period")
        truth["second_amplitude"] = np.where(alternating, truth["second_amplitude"], 0.0)
        truth["second_phase"] = (truth["phase"] + truth["second_phase"] * 0.1) / 2
        return _extend_series(truth["r21"], truth["r21"] * truth["r31_over_r21"], truth["phi21"], truth["phi31"])


class HighAmplitudeDeltaScuti(_RadialPulsator):
    """High-amplitude delta Scuti stars: fundamental mode, often with the first overtone."""

    kind = "high_amplitude_delta_scuti"
    nodes = 5  # periods down to two exposures

    def _shape(self, truth: Truth, t: ParameterTable) -> FourierSeries:
        r21 = truth["r21"] * np.clip(truth["amplitude"] / t.value("typical_amplitude"), 0.15, 1.2)
        return _extend_series(r21, r21 * truth["r31_over_r21"], truth["phi21"], truth["phi31"])


def _extend_series(r21: Float, r31: Float, phi21: Float, phi31: Float) -> FourierSeries:
    """Return a series of all harmonics: beyond the third, ratios and phases continue the trend of the last two."""
    k = np.arange(1, HARMONICS + 1) - 3.0
    falling = np.clip(np.divide(r31, r21, out=np.zeros_like(r31), where=r21 > 0), 0.0, 0.7)
    ratio = r31[:, None] * falling[:, None] ** k
    phase = phi31[:, None] + (phi31 - phi21)[:, None] * k
    ratio[:, :2] = np.stack([np.ones_like(r21), r21], axis=1)
    phase[:, :2] = np.stack([np.zeros_like(r21), phi21], axis=1)
    return ratio, phase


def _interpolate(t: ParameterTable, name: str, period: Float) -> Float:
    return np.interp(np.log10(period), t.value("log_period"), t.value(name))


def _modulation(truth: Truth, rng: np.random.Generator) -> Truth:
    """Return the parameters of the Blazhko effect, with amplitudes of 0 where there is none."""
    present = truth.get("blazhko", np.zeros(len(truth["period"])))
    period = truth.get("blazhko_period", np.full(len(present), np.inf))
    names = ("blazhko_amplitude", "blazhko_phase")
    strength = {name: np.where(present == 1, truth.get(name, 0.0), 0.0) for name in names}
    return strength | {"blazhko_period": period, "blazhko_start": rng.random((len(present), 2))}


def _jitter(truth: Truth, rng: np.random.Generator) -> Truth:
    """Return slow variations of the phase, as sinusoids a few to some tens of cycles long."""
    n = len(truth["period"])
    frequency = rng.uniform(0.03, 0.3, (n, JITTERS)) / truth["period"][:, None]
    size = truth.get("jitter", np.zeros(n))[:, None] * np.sqrt(2 / JITTERS)
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
        cycles = cycles + np.cos(_reduced_angle(angle)) @ star["jitter_amplitude"]
    size: Float | float = 1.0
    if star["blazhko_amplitude"] or star["blazhko_phase"]:
        angle = time[:, None] / star["blazhko_period"] + star["blazhko_start"]
        size = 1 + star["blazhko_amplitude"] * np.cos(_reduced_angle(angle[:, 0]))
        cycles = cycles + star["blazhko_phase"] * np.cos(_reduced_angle(angle[:, 1]))
    magnitude = size * star["amplitude"] * _series(cycles, star["ratio"], star["phase_difference"])
    if star["second_amplitude"]:
        second = time / (star["period"] * star["period_ratio"]) + star["second_phase"]
        shape = _series(second, star["second_ratio"], star["second_phase_difference"])
        magnitude = magnitude + star["amplitude"] * star["second_amplitude"] * shape
    return np.exp(-0.4 * np.log(10) * magnitude).astype(np.float32)


def _series(cycles: Float, ratio: Float, phase: Float) -> NDArray[np.float32]:
    """Return sum_k R_k1 cos(k theta + phi_k1), by Horner's rule in exp(i theta)."""
    angle = _reduced_angle(cycles)
    z = np.empty(len(angle), np.complex64)
    z.real, z.imag = np.cos(angle), np.sin(angle)
    total = np.zeros_like(z)
    for coefficient in (ratio * np.exp(1j * phase)).astype(np.complex64)[::-1]:
        total += coefficient
        total *= z
    return total.real


def _reduced_angle(cycles: Float) -> NDArray[np.float32]:
    """Return cycles as angles between -pi and pi, for which float32 is enough."""
    return (2 * np.pi * (cycles - np.rint(cycles))).astype(np.float32)
