"""Low-frequency modes in a rotating star: eigenvalues of Laplace's tidal equation, the traditional approximation.

With the horizontal displacement as grad a + r x grad b in spherical harmonics the equation is a matrix problem; for
its solutions see Lee & Saio 1997, ApJ 491, 839, and Townsend 2003, MNRAS 340, 1020. A star's periods in the corotating
frame are Pi0 (n + eps) / sqrt(lambda), where lambda depends on the spin parameter 2 f_rot P.

Gravity and Rossby modes: gamma Doradus stars and slowly pulsating B stars.

Pressure modes: delta Scuti and beta Cephei stars.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvals

from goodricke.simulate.parameters import table
from goodricke.simulate.signals import Modes, beside, named, red_noise, scaled, sinusoids, strongest, with_combinations
from goodricke.simulate.source import Drawn, Float, seeds

DAY = 86400.0  # s
DEGREES = 60  # spherical harmonics in the expansion: enough up to the largest spin below


class Series(NamedTuple):
    """Modes of one geometry.

    Attributes
    ----------
    m : int
        Azimuthal order, positive for prograde.
    lowest, highest : float
        Between these spin parameters the series is found.
    largest : float
        Its eigenvalue is the greatest that is below; for g modes the least of all.
    """

    m: int
    lowest: float
    highest: float
    largest: float = np.inf


DIPOLE = Series(1, 0.0, 60.0)  # prograde sectoral
QUADRUPOLE = Series(2, 0.0, 60.0)
ZONAL = Series(0, 0.0, 12.0)
RETROGRADE = Series(-1, 0.0, 1.9)
ROSSBY = Series(-1, 6.3, 40.0, 0.12)  # r modes k = -2 of Saio et al. 2018, MNRAS 474, 2774


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
    beside = np.sqrt(((degree + 1) ** 2 - m**2) / ((2 * degree + 1) * (2 * degree + 3)))[:-1]
    coupling = np.diag(-degree[:-1] * (degree[:-1] + 2) * beside, -1)
    coupling += np.diag(-(degree[:-1] + 2) * degree[:-1] * beside, 1)
    inertia = weight + m * spin
    matrix = np.diag(inertia) - spin**2 * coupling @ (coupling / inertia[:, None])
    reciprocal: Float = np.real(eigvals(matrix / weight[:, None] ** 2))
    return np.sort(1 / reciprocal[reciprocal > 1e-7])


@cache
def eigenvalue_table(series: Series) -> tuple[Float, Float]:
    """Return spin parameters (s,) and a series' eigenvalue at them (s,)."""
    spins = series.lowest + (series.highest - series.lowest) * np.linspace(0, 1, 60) ** 2 + 1e-3 * np.sqrt(2)
    return spins, np.array([_of_series(eigenvalues(spin, series.m), series) for spin in spins])


def _of_series(values: Float, series: Series) -> float:
    return float(values[0] if np.isinf(series.largest) else values[values < series.largest][-1])


def frequencies(series: Series, spacing: Float, rotation: Float, order: Float) -> Float:
    """Return inertial frequencies of modes of high radial order [1/d], NaN where the series has none.

    Parameters
    ----------
    series : Series
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
    scaled = 2 * rotation * spacing / DAY * order
    spin = np.interp(scaled, spins * np.sqrt(values), spins, left=np.nan, right=np.nan)
    if series.lowest == 0:  # below the first spin of the table rotation does not matter
        spin = np.where(scaled < spins[0] * np.sqrt(values[0]), scaled / np.sqrt(values[0]), spin)
    corotating = np.sqrt(np.interp(spin, spins, values)) * DAY / (spacing * order)
    return np.abs(corotating + series.m * rotation)


# ---- Gravity and Rossby modes: gamma Doradus stars and slowly pulsating B stars --------------------------------------


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

    series: Series
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
    frequency = frequencies(about.series, about.spacing[:, None], about.rotation[:, None], shifted)
    envelope = np.exp(-0.5 * ((order - about.center[:, None]) / width[:, None]) ** 2)
    return frequency, envelope * scatter, rng.random(frequency.shape)


class _GravityPulsator:
    """Stars with period-spacing patterns of g modes, some with r modes, high amplitudes with combinations."""

    kind: str
    label = "GDOR_SPB"
    series = (  # with the name of the parameter that says how strong
        (DIPOLE, "dipole"),
        (QUADRUPOLE, "quadrupole"),
        (ZONAL, "zonal"),
        (RETROGRADE, "retrograde"),
        (ROSSBY, "rossby"),
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

    def _series(self, series: Series, name: str, drawn: Drawn, rng: np.random.Generator) -> Modes:
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


# ---- Pressure modes: delta Scuti and beta Cephei stars ---------------------------------------------------------------


LEGENDRE = {  # abs(P_l^m(cos i)), normalised so that all m together see every inclination alike
    (0, 0): lambda c: np.ones_like(c),
    (1, 0): lambda c: np.abs(c),
    (1, 1): lambda c: np.sqrt((1 - c**2) / 2),
    (2, 0): lambda c: np.abs(3 * c**2 - 1) / 2,
    (2, 1): lambda c: np.sqrt(1.5 * (1 - c**2)) * np.abs(c),
    (2, 2): lambda c: np.sqrt(3 / 8) * (1 - c**2),
}


class DeltaScuti:
    """Delta Scuti stars: tens of p modes, some of them in ridges a large separation apart, some with g modes too."""

    kind = "delta_scuti"
    label = "DSCT_BCEP"

    def draw(self, n: int, rng: np.random.Generator) -> Drawn:
        """See `Source`."""
        t = table(self.kind)
        drawn: Drawn = dict(t.draw(n, rng))
        modes = strongest(drawn["modes"], t.most("modes"), self._pressure_modes(drawn, rng))
        modes = scaled(modes, drawn["amplitude"])
        joined = with_combinations(modes, drawn["nonlinearity"])
        low = scaled(self._gravity_modes(drawn, rng), drawn["amplitude"] * drawn["hybrid"] * drawn["gravity_ratio"])
        return drawn | named(beside(joined, low))

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`."""
        return 1 + sinusoids(time, drawn["frequency"], drawn["mode_amplitude"], drawn["mode_phase"], exposure)

    def _pressure_modes(self, drawn: Drawn, rng: np.random.Generator) -> Modes:
        """Return all candidates (n, orders * 9): asymptotic, scattered where irregular, split by rotation."""
        t = table(self.kind)
        degree, m = np.array([(degree, m) for degree in range(3) for m in range(-degree, degree + 1)]).T
        order = np.arange(1, 12)[:, None, None]
        star = {name: values[:, None, None] for name, values in drawn.items()}
        shape = (len(drawn["modes"]), len(order), len(m))
        scatter = t.each("scatter", (*shape[:2], 3), rng)[..., degree] * np.where(star["regular"] == 1, 0.05, 1.0)
        split = np.where(degree == 0, 0.0, m * (1 - t.value("ledoux"))) * star["rotation_frequency"]
        spot = star["epsilon"] + degree / 2 - t.value("small_separation") * (degree == 2) + scatter
        frequency = star["large_separation"] * (order[None, :, 0] + spot)
        frequency = frequency + split - t.value("second_order") * (split**2) / frequency
        amplitude = self._amplitudes(star, frequency, (degree, m), rng)
        low, high = t.value("range")
        frequency = np.where((frequency > low) & (frequency < high), frequency, np.nan)
        flat = (len(frequency), -1)
        return frequency.reshape(flat), amplitude.reshape(flat), rng.random(shape).reshape(flat)

    def _amplitudes(
        self, star: Drawn, frequency: Float, places: tuple[NDArray, NDArray], rng: np.random.Generator
    ) -> Float:
        """Return amplitudes [arbitrary] under a Gaussian envelope, as seen at the star's inclination."""
        t = table(self.kind)
        peak = star["large_separation"] * (star["peak_order"] + star["epsilon"])
        envelope = np.exp(-0.5 * ((frequency - peak) / (star["envelope_width"] * peak)) ** 2)
        seen = np.stack([geometry(d, m, star["inclination"][:, 0]) for d, m in zip(*places, strict=True)], axis=-1)
        cancelled = t.value("visibility")[places[0]]
        return envelope * seen * cancelled * t.each("mode_scatter", frequency.shape, rng)

    def _gravity_modes(self, drawn: Drawn, rng: np.random.Generator) -> Modes:
        """Return the g modes of hybrids, prograde dipoles as in gamma Doradus stars."""
        n = len(drawn["modes"])
        about = Pattern(DIPOLE, drawn["buoyancy_radius"], drawn["rotation_frequency"], drawn["gravity_order"])
        t = table(self.kind)
        width = np.full(n, t.value("gravity_width"))
        modes = pattern(about, width, t.each("mode_scatter", (n, ORDERS), rng), rng)
        return strongest(drawn["hybrid"] * drawn["gravity_modes"], t.most("gravity_modes"), modes)


class BetaCephei:
    """Beta Cephei stars: few modes of low order, multiplets, combination frequencies, red noise of massive stars."""

    kind = "beta_cephei"
    label = "DSCT_BCEP"

    def draw(self, n: int, rng: np.random.Generator) -> Drawn:
        """See `Source`."""
        t = table(self.kind)
        drawn: Drawn = dict(t.draw(n, rng)) | {"seed": seeds(n, rng)}
        modes = scaled(strongest(drawn["modes"], t.most("modes"), self._candidates(drawn, rng)), drawn["amplitude"])
        return drawn | named(with_combinations(modes, drawn["nonlinearity"]))

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`."""
        modes = sinusoids(time, drawn["frequency"], drawn["mode_amplitude"], drawn["mode_phase"], exposure)
        noise = drawn["noise_ratio"] * drawn["amplitude"]
        return (
            1 + modes + red_noise(drawn["seed"], noise, drawn["noise_frequency"], drawn["noise_slope"], time, exposure)
        )

    def _candidates(self, drawn: Drawn, rng: np.random.Generator) -> Modes:
        """Return a radial mode, three dipole and three quadrupole multiplets around it, (n, 25)."""
        t = table(self.kind)
        degrees = np.array([0, 1, 1, 1, 2, 2, 2])
        multiplet, m = np.array([(i, m) for i, degree in enumerate(degrees) for m in range(-degree, degree + 1)]).T
        n = len(drawn["radial_frequency"])
        ratio = t.each("frequency_ratio", (n, len(degrees)), rng)
        ratio[:, 0] = 1.0
        split = m * (1 - t.value("ledoux")) * drawn["rotation_frequency"][:, None]
        frequency = drawn["radial_frequency"][:, None] * ratio[:, multiplet] + split
        seen = np.stack(
            [geometry(degrees[i], k, drawn["inclination"]) for i, k in zip(multiplet, m, strict=True)], axis=-1
        )
        strength = t.each("mode_scatter", (n, len(degrees)), rng)[
            :, multiplet
        ]  # modes of a multiplet are excited alike
        amplitude = seen * strength * t.each("mode_scatter", frequency.shape, rng) ** 0.5
        return frequency, amplitude, rng.random(frequency.shape)


def geometry(degree: int, order: int, inclination: Float) -> Float:
    """Return how much of a mode's amplitude is seen at an inclination [deg]; squares over m add up to 1."""
    return LEGENDRE[int(degree), abs(int(order))](np.cos(np.radians(inclination)))
