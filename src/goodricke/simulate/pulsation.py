"""Multiperiodic pulsators: gravity modes of gamma Doradus stars and B stars, pressure modes of delta Scuti stars.

Gravity and Rossby modes of a rotating star follow from the eigenvalues of Laplace's tidal equation, in the traditional
approximation. With the horizontal displacement as grad a + r x grad b in spherical harmonics the equation is a matrix
problem; for its solutions see Lee & Saio 1997, ApJ 491, 839, and Townsend 2003, MNRAS 340, 1020. A star's periods in
the corotating frame are Pi0 (n + eps) / sqrt(lambda), where lambda depends on the spin parameter 2 f_rot P.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvals

from goodricke.simulate.parameters import table
from goodricke.simulate.signals import (
    Modes,
    add_combinations,
    join_modes,
    mode_flux,
    mode_parameters,
    mode_set,
    red_noise,
    scale_modes,
    strongest_modes,
)
from goodricke.simulate.source import Float, Truth, seeds

DAY = 86400.0  # s
DEGREES = 60  # spherical harmonics in the expansion: enough up to the largest spin below
ORDERS = 40  # radial orders of a series, around its strongest one
LEGENDRE = {  # abs(P_l^m(cos i)), normalised so that all m together look the same at every inclination
    (0, 0): lambda c: np.ones_like(c),
    (1, 0): lambda c: np.abs(c),
    (1, 1): lambda c: np.sqrt((1 - c**2) / 2),
    (2, 0): lambda c: np.abs(3 * c**2 - 1) / 2,
    (2, 1): lambda c: np.sqrt(1.5 * (1 - c**2)) * np.abs(c),
    (2, 2): lambda c: np.sqrt(3 / 8) * (1 - c**2),
}


class ModeSeries(NamedTuple):
    """Modes of one geometry.

    Attributes
    ----------
    m : int
        Azimuthal order, positive for prograde.
    lowest, highest : float
        Range of spin parameters in which the series exists.
    largest : float
        The eigenvalue of the series is the greatest below this one; for g modes the least of all.
    """

    m: int
    lowest: float
    highest: float
    largest: float = np.inf


DIPOLE = ModeSeries(1, 0.0, 60.0)  # prograde sectoral
QUADRUPOLE = ModeSeries(2, 0.0, 60.0)
ZONAL = ModeSeries(0, 0.0, 12.0)
RETROGRADE = ModeSeries(-1, 0.0, 1.9)
ROSSBY = ModeSeries(-1, 6.3, 40.0, 0.12)  # r modes k = -2 of Saio et al. 2018, MNRAS 474, 2774


class _GravityPulsator:
    """Stars with period-spacing patterns of g modes, some with r modes, high amplitudes with combinations."""

    kind: str
    series = (  # and the prefix of its parameters
        (DIPOLE, "dipole"),
        (QUADRUPOLE, "quadrupole"),
        (ZONAL, "zonal"),
        (RETROGRADE, "retrograde"),
        (ROSSBY, "rossby"),
    )

    def draw(self, n: int, rng: np.random.Generator) -> Truth:
        """See `Source`."""
        t = table(self.kind)
        truth: Truth = dict(t.draw(n, rng))
        candidates = [self._series_modes(series, name, truth, rng) for series, name in self.series]
        modes = strongest_modes(truth["modes"], t.maximum("modes"), join_modes(*candidates))
        modes = scale_modes(modes, truth["amplitude"])
        strength = 2 * truth["combination_ratio"] * truth["upward"] / truth["amplitude"]
        return truth | mode_parameters(add_combinations(modes, strength))

    def flux(self, truth: Truth, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`."""
        return 1 + mode_flux(truth, time, exposure)

    def _series_modes(self, series: ModeSeries, name: str, truth: Truth, rng: np.random.Generator) -> Modes:
        t = table(self.kind)
        shape = (len(truth["modes"]), ORDERS)
        glitch = truth["glitch_amplitude"][:, None] * np.sin(
            2 * np.pi * (np.arange(ORDERS) / truth["glitch_period"][:, None] + truth["glitch_phase"][:, None])
        )
        pattern = Pattern(series, truth["buoyancy_radius"], truth["rotation_frequency"], truth["center_order"])
        f, a, p = pattern_modes(pattern, truth["envelope_width"], t.sample("mode_scatter", shape, rng), rng, glitch)
        low, high = t.value("range")
        strength = np.ones((len(f), 1))
        if name != "dipole":
            strength[:, 0] = t.sample(f"{name}_present", len(f), rng) * t.sample("series_ratio", len(f), rng)
        return np.where((f > low) & (f < high) & (strength > 0), f, np.nan), a * strength, p


class GammaDoradus(_GravityPulsator):
    """Gamma Doradus stars."""

    kind = "gamma_doradus"


class SlowlyPulsatingB(_GravityPulsator):
    """Slowly pulsating B stars."""

    kind = "slowly_pulsating_b"


class DeltaScuti:
    """Delta Scuti stars: tens of p modes, some of them in ridges a large separation apart, some with g modes too."""

    kind = "delta_scuti"

    def draw(self, n: int, rng: np.random.Generator) -> Truth:
        """See `Source`."""
        t = table(self.kind)
        truth: Truth = dict(t.draw(n, rng))
        modes = strongest_modes(truth["modes"], t.maximum("modes"), self._pressure_modes(truth, rng))
        modes = scale_modes(modes, truth["amplitude"])
        modes = add_combinations(modes, truth["nonlinearity"])
        amplitude = truth["amplitude"] * truth["hybrid"] * truth["gravity_ratio"]
        gravity_modes = scale_modes(self._gravity_modes(truth, rng), amplitude)
        return truth | mode_parameters(join_modes(modes, gravity_modes))

    def flux(self, truth: Truth, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`."""
        return 1 + mode_flux(truth, time, exposure)

    def _pressure_modes(self, truth: Truth, rng: np.random.Generator) -> Modes:
        """Return all candidates (n, orders * 9): asymptotic, scattered where irregular, split by rotation."""
        t = table(self.kind)
        degree, m = np.array([(degree, m) for degree in range(3) for m in range(-degree, degree + 1)]).T
        order = np.arange(1, 12)[:, None, None]
        star = {name: values[:, None, None] for name, values in truth.items()}
        shape = (len(truth["modes"]), len(order), len(m))
        scatter = t.sample("scatter", (*shape[:2], 3), rng)[..., degree] * np.where(star["regular"] == 1, 0.05, 1.0)
        split = np.where(degree == 0, 0.0, m * (1 - t.value("ledoux"))) * star["rotation_frequency"]
        position = star["epsilon"] + degree / 2 - t.value("small_separation") * (degree == 2) + scatter
        frequency = star["large_separation"] * (order[None, :, 0] + position)
        frequency = frequency + split - t.value("second_order") * (split**2) / frequency
        amplitude = self._amplitudes(star, frequency, (degree, m), rng)
        low, high = t.value("range")
        frequency = np.where((frequency > low) & (frequency < high), frequency, np.nan)
        flat = (len(frequency), -1)
        return frequency.reshape(flat), amplitude.reshape(flat), rng.random(shape).reshape(flat)

    def _amplitudes(
        self, star: Truth, frequency: Float, geometry: tuple[NDArray, NDArray], rng: np.random.Generator
    ) -> Float:
        """Return amplitudes [arbitrary] under a Gaussian envelope, as visible at the star's inclination."""
        t = table(self.kind)
        peak = star["large_separation"] * (star["peak_order"] + star["epsilon"])
        envelope = np.exp(-0.5 * ((frequency - peak) / (star["envelope_width"] * peak)) ** 2)
        inclination = star["inclination"][:, 0]
        visible = np.stack([visible_fraction(d, m, inclination) for d, m in zip(*geometry, strict=True)], axis=-1)
        cancelled = t.value("visibility")[geometry[0]]
        return envelope * visible * cancelled * t.sample("mode_scatter", frequency.shape, rng)

    def _gravity_modes(self, truth: Truth, rng: np.random.Generator) -> Modes:
        """Return the g modes of hybrids, prograde dipoles as in gamma Doradus stars."""
        n = len(truth["modes"])
        pattern = Pattern(DIPOLE, truth["buoyancy_radius"], truth["rotation_frequency"], truth["gravity_order"])
        t = table(self.kind)
        width = np.full(n, t.value("gravity_width"))
        modes = pattern_modes(pattern, width, t.sample("mode_scatter", (n, ORDERS), rng), rng)
        return strongest_modes(truth["hybrid"] * truth["gravity_modes"], t.maximum("gravity_modes"), modes)


class GammaDoradusHybrid(GammaDoradus):
    """Gamma Doradus stars that have pressure modes of delta Scuti stars, too."""

    kind = "gamma_doradus_hybrid"

    def draw(self, n: int, rng: np.random.Generator) -> Truth:
        """See `Source`."""
        truth, other = super().draw(n, rng), DeltaScuti().draw(n, rng)
        gravity, pressure = (mode_set(x) for x in (truth, other))
        pressure = scale_modes(pressure, truth["pressure_ratio"] * truth["amplitude"])
        return truth | mode_parameters(join_modes(gravity, pressure))


class BetaCephei:
    """Beta Cephei stars: few modes of low order, multiplets, combination frequencies, red noise of massive stars."""

    kind = "beta_cephei"

    def draw(self, n: int, rng: np.random.Generator) -> Truth:
        """See `Source`."""
        t = table(self.kind)
        truth: Truth = dict(t.draw(n, rng)) | {"seed": seeds(n, rng)}
        modes = strongest_modes(truth["modes"], t.maximum("modes"), self._candidates(truth, rng))
        modes = scale_modes(modes, truth["amplitude"])
        return truth | mode_parameters(add_combinations(modes, truth["nonlinearity"]))

    def flux(self, truth: Truth, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`."""
        modes = mode_flux(truth, time, exposure)
        deviation = truth["noise_ratio"] * truth["amplitude"]
        noise = red_noise(truth["seed"], deviation, truth["noise_frequency"], truth["noise_slope"], time, exposure)
        return 1 + modes + noise

    def _candidates(self, truth: Truth, rng: np.random.Generator) -> Modes:
        """Return a radial mode, three dipole and three quadrupole multiplets around it, (n, 25)."""
        t = table(self.kind)
        degrees = np.array([0, 1, 1, 1, 2, 2, 2])
        multiplet, m = np.array([(i, m) for i, degree in enumerate(degrees) for m in range(-degree, degree + 1)]).T
        n = len(truth["radial_frequency"])
        ratio = t.sample("frequency_ratio", (n, len(degrees)), rng)
        ratio[:, 0] = 1.0
        split = m * (1 - t.value("ledoux")) * truth["rotation_frequency"][:, None]
        frequency = truth["radial_frequency"][:, None] * ratio[:, multiplet] + split
        visible = np.stack(
            [visible_fraction(degrees[i], k, truth["inclination"]) for i, k in zip(multiplet, m, strict=True)], axis=-1
        )
        strength = t.sample("mode_scatter", (n, len(degrees)), rng)[:, multiplet]  # the same within a multiplet
        amplitude = visible * strength * t.sample("mode_scatter", frequency.shape, rng) ** 0.5
        return frequency, amplitude, rng.random(frequency.shape)


class Pattern(NamedTuple):
    """A series of modes of consecutive radial order.

    Attributes
    ----------
    series : ModeSeries
    spacing : ndarray (n,) [s]
        Buoyancy radius Pi0.
    rotation : ndarray (n,) [1/d]
        Rotation frequency near the core.
    center : ndarray (n,)
        Radial order of the strongest mode.
    """

    series: ModeSeries
    spacing: Float
    rotation: Float
    center: Float


def pattern_modes(
    pattern: Pattern, width: Float, scatter: Float, rng: np.random.Generator, glitch: Float | None = None
) -> Modes:
    """Return the modes of a series under a Gaussian envelope of radial order, (n, ORDERS).

    Parameters
    ----------
    pattern : Pattern
    width : ndarray (n,)
        Standard deviation of the envelope in radial orders.
    scatter : ndarray (n, ORDERS)
        Factors of the amplitudes.
    rng : numpy.random.Generator
        Of the phases.
    glitch : ndarray (n, ORDERS), optional
        Shifts of the modes in radial orders.
    """
    order = np.maximum(pattern.center, 8.0 + ORDERS // 2)[:, None] + np.arange(ORDERS, dtype=np.float64) - ORDERS // 2
    shifted = order + 0.5 + (0.0 if glitch is None else glitch)
    frequency = frequencies(pattern.series, pattern.spacing[:, None], pattern.rotation[:, None], shifted)
    envelope = np.exp(-0.5 * ((order - pattern.center[:, None]) / width[:, None]) ** 2)
    return frequency, envelope * scatter, rng.random(frequency.shape)


def eigenvalues(spin: float, m: int) -> Float:
    """Return the positive eigenvalues lambda of Laplace's tidal equation, ascending.

    Parameters
    ----------
    spin : float
        2 f_rot / f_corotating; ``-m * spin`` must be no l (l + 1).
    m : int
        Azimuthal order, positive for prograde.
    """
    degree = np.arange(max(abs(m), 1), DEGREES + abs(m), dtype=np.float64)
    weight = degree * (degree + 1)
    neighbour = np.sqrt(((degree + 1) ** 2 - m**2) / ((2 * degree + 1) * (2 * degree + 3)))[:-1]
    coupling = np.diag(-degree[:-1] * (degree[:-1] + 2) * neighbour, -1)
    coupling += np.diag(-(degree[:-1] + 2) * degree[:-1] * neighbour, 1)
    inertia = weight + m * spin
    matrix = np.diag(inertia) - spin**2 * coupling @ (coupling / inertia[:, None])
    reciprocal: Float = np.real(eigvals(matrix / weight[:, None] ** 2))
    return np.sort(1 / reciprocal[reciprocal > 1e-7])


@cache
def eigenvalue_table(series: ModeSeries) -> tuple[Float, Float]:
    """Return spin parameters (s,) and a series' eigenvalue at them (s,)."""
    spins = series.lowest + (series.highest - series.lowest) * np.linspace(0, 1, 60) ** 2 + 1e-3 * np.sqrt(2)
    return spins, np.array([_series_eigenvalue(eigenvalues(spin, series.m), series) for spin in spins])


def _series_eigenvalue(values: Float, series: ModeSeries) -> float:
    return float(values[0] if np.isinf(series.largest) else values[values < series.largest][-1])


def frequencies(series: ModeSeries, spacing: Float, rotation: Float, order: Float) -> Float:
    """Return inertial frequencies of modes of high radial order [1/d], NaN where the series has none.

    Parameters
    ----------
    series : ModeSeries
    spacing : ndarray, broadcast with the others
        Buoyancy radius Pi0 [s].
    rotation : ndarray
        Rotation frequency near the core [1/d].
    order : ndarray
        Radial order n + eps.

    Notes
    -----
    The period in the corotating frame is P = Pi0 order / sqrt(lambda(2 f_rot P)); since spin * sqrt(lambda) grows with
    spin, one interpolation solves for the spin.
    """
    spins, values = eigenvalue_table(series)
    product = 2 * rotation * spacing / DAY * order
    spin = np.interp(product, spins * np.sqrt(values), spins, left=np.nan, right=np.nan)
    if series.lowest == 0:  # below the first spin of the table rotation does not matter
        spin = np.where(product < spins[0] * np.sqrt(values[0]), product / np.sqrt(values[0]), spin)
    corotating = np.sqrt(np.interp(spin, spins, values)) * DAY / (spacing * order)
    return np.abs(corotating + series.m * rotation)


def visible_fraction(degree: int, order: int, inclination: Float) -> Float:
    """Return the fraction of a mode's amplitude that is visible at an inclination [deg]; squares over m sum to 1."""
    return LEGENDRE[int(degree), abs(int(order))](np.cos(np.radians(inclination)))
