"""Aperiodic variables: young stars, dippers and bursters, Be stars' outbursts, flickering and irregular red giants."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate.parameters import table
from goodricke.simulate.signals import damped_random_walk, events, red_noise, sinusoids, uniforms
from goodricke.simulate.source import Drawn, Float, Star, averaged, rows, seeds

Rows = NDArray[np.float32]


class _Aperiodic:
    """Stars with a seed of their own."""

    kind: str
    label = "APERIODIC"

    def draw(self, n: int, rng: np.random.Generator) -> Drawn:
        """See `Source`."""
        return dict(table(self.kind).draw(n, rng)) | {"seed": seeds(n, rng)}

    def _walk(self, drawn: Drawn, time: Float) -> Rows:
        """Return the damped random walk of the table's deviation and damping time."""
        deviation = drawn["deviation"].astype(np.float32)[:, None]
        return deviation * damped_random_walk(drawn["seed"], drawn["tau"], time)


class DampedRandomWalk(_Aperiodic):
    """Stochastic young stars and active nuclei: a damped random walk in magnitudes."""

    kind = "damped_random_walk"

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> Rows:
        """See `Source`."""
        return np.exp(self._walk(drawn, time))


class Dipper(_Aperiodic):
    """Young stars whose discs hide them now and then: once per rotation, at random, or both."""

    kind = "dipper"

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> Rows:
        """See `Source`."""
        dips = np.stack([averaged(partial(_dips, star), time, exposure, nodes=2) for star in rows(drawn)])
        rough = damped_random_walk(drawn["seed"] + np.uint64(1), drawn["roughness_time"], time)
        dips *= np.exp(drawn["roughness"].astype(np.float32)[:, None] * rough)
        return np.exp(self._walk(drawn, time) - dips)


class Burster(_Aperiodic):
    """Accreting young stars: bursts of days upon a random walk."""

    kind = "burster"

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> Rows:
        """See `Source`."""
        bursts = np.stack([averaged(partial(_bursts, star), time, exposure, nodes=2) for star in rows(drawn)])
        return np.exp(self._walk(drawn, time)) + bursts


class BeStar(_Aperiodic):
    """Be stars: outbursts that rise in days and fade in weeks, groups of frequencies, red noise."""

    kind = "be_star"

    def draw(self, n: int, rng: np.random.Generator) -> Drawn:
        """See `Source`."""
        t = table(self.kind)
        drawn = super().draw(n, rng)
        group = np.repeat([1.0, 2.0], t.value("group_members").astype(int))
        spread = drawn["group_width"][:, None] * rng.standard_normal((n, len(group)))
        drawn["frequency"] = np.maximum(drawn["group_frequency"][:, None] * group + spread, 0.1)
        drawn["mode_amplitude"] = drawn["group_amplitude"][:, None] * t.each("mode_scatter", spread.shape, rng)
        return drawn | {"mode_phase": rng.random(spread.shape)}

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> Rows:
        """See `Source`."""
        bursts = np.stack([averaged(partial(_bursts, star), time, exposure, nodes=2) for star in rows(drawn)])
        modes = sinusoids(time, drawn["frequency"], drawn["mode_amplitude"], drawn["mode_phase"], exposure)
        noise = red_noise(drawn["seed"], drawn["deviation"], drawn["knee"], drawn["slope"], time, exposure)
        return np.exp(bursts * drawn["sign"].astype(np.float32)[:, None]) + modes + noise


class Flickering(_Aperiodic):
    """Accreting compact objects: flickering whose amplitude grows with the flux, upon a slower random walk."""

    kind = "flickering"

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> Rows:
        """See `Source`."""
        fast = red_noise(drawn["seed"], drawn["flicker"], drawn["knee"], drawn["slope"], time, exposure)
        return np.exp(fast + self._walk(drawn, time))


class IrregularRed(_Aperiodic):
    """Slow irregular and semiregular red variables: a few periods of weeks that come and go."""

    kind = "irregular_red"

    def draw(self, n: int, rng: np.random.Generator) -> Drawn:
        """See `Source`."""
        t = table(self.kind)
        drawn = super().draw(n, rng)
        shape = (n, int(t.value("sinusoids")))
        overtone = t.each("overtone", shape, rng)
        width = t.value("coherence") * np.tan(np.pi * (rng.random(shape) - 0.5) * 0.9)  # Lorentzian, without far wings
        drawn["frequency"] = np.abs(overtone * (1 + width)) / drawn["period"][:, None]
        amplitude = drawn["amplitude"][:, None] * t.each("mode_scatter", shape, rng) / overtone
        drawn["mode_amplitude"] = amplitude / np.sqrt(shape[1])
        return drawn | {"mode_phase": rng.random(shape)}

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> Rows:
        """See `Source`."""
        slow = sinusoids(time, drawn["frequency"], drawn["mode_amplitude"], drawn["mode_phase"], exposure)
        return np.exp(slow + self._walk(drawn, time))


def _dips(star: Star, time: Float) -> Rows:
    """Return optical depth: dips of one star once per period and at random times."""
    result = np.zeros(len(time), np.float32)
    if star["periodic"]:
        cycle = np.arange(np.floor(time.min() / star["period"]) - 1, np.ceil(time.max() / star["period"]) + 2)
        marks = uniforms(star["seed"], cycle.astype(np.int64), 3)
        middle = (cycle + star["wobble"] * (marks[0] - 0.5)) * star["period"]
        width = star["duty"] * star["period"] * (0.6 + 0.8 * marks[1])
        _add_dips(result, time, (middle, width, star["depth"] * 2 * marks[2] ** star["irregularity"]))
    start, marks = events(star["seed"], star["rate"], time.min() - 5, time.max() + 5, marks=2)
    width = star["random_width"] * 4.0 ** (2 * marks[0] - 1)
    _add_dips(result, time, (start, width, -star["depth"] * np.log(marks[1]) / 2))
    return result


def _add_dips(result: Rows, time: Float, dips: tuple[Float, Float, Float]) -> None:
    """Add dips of the given middles [d], standard widths [d] and depths, skewed Gaussians with flat bottoms."""
    for middle, width, depth in zip(*dips, strict=True):
        near = slice(*np.searchsorted(time, [middle - 4 * width, middle + 4 * width]))
        result[near] += depth * np.exp(-0.5 * np.abs((time[near] - middle) / width) ** 3)


def _bursts(star: Star, time: Float) -> Rows:
    """Return one star's bursts: smooth rises, exponential decays, exponentially distributed heights."""
    longest = 8 * star["decay"] * 3
    start, marks = events(star["seed"], star["rate"], time.min() - longest, time.max() + 1, marks=3)
    result = np.zeros(len(time), np.float32)
    height = -star["height"] * np.log(marks[0])
    rise, decay = (star[name] * 3.0 ** (2 * mark - 1) for name, mark in zip(("rise", "decay"), marks[1:], strict=True))
    for at, h, up, down in zip(start, height, rise, decay, strict=True):
        near = slice(*np.searchsorted(time, [at, at + up + 8 * down]))
        age = time[near] - at
        smooth = np.sin(np.pi / 2 * np.minimum(age / up, 1)) ** 2
        result[near] += h * smooth * np.exp(-np.maximum(age - up, 0) / down)
    return result
