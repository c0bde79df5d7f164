"""Pressure modes: delta Scuti and beta Cephei stars."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate import tidal
from goodricke.simulate.gravity import ORDERS, Pattern, pattern
from goodricke.simulate.noise import red_noise
from goodricke.simulate.parameters import table
from goodricke.simulate.sinusoids import Modes, beside, named, scaled, sinusoids, strongest, with_combinations
from goodricke.simulate.source import Drawn, Float, seeds

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
        about = Pattern(tidal.DIPOLE, drawn["buoyancy_radius"], drawn["rotation_frequency"], drawn["gravity_order"])
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
