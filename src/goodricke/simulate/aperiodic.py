"""Aperiodic variables: young stars, dippers and bursters, Be stars' outbursts, flickering and irregular red giants."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate.parameters import table
from goodricke.simulate.signals import damped_random_walk, events, mode_flux, red_noise, uniforms
from goodricke.simulate.source import Float, Star, Truth, exposure_means, seeds

Rows = NDArray[np.float32]


class _Aperiodic:
    """Stars whose random processes follow from a seed."""

    kind: str

    def draw(self, n: int, rng: np.random.Generator) -> Truth:
        """See `Source`."""
        return dict(table(self.kind).draw(n, rng)) | {"seed": seeds(n, rng)}

    def _walk(self, truth: Truth, time: Float) -> Rows:
        """Return the damped random walk of the table's deviation and damping time."""
        deviation = truth["deviation"].astype(np.float32)[:, None]
        return deviation * damped_random_walk(truth["seed"], truth["tau"], time)


class DampedRandomWalk(_Aperiodic):
    """Stochastic young stars and active nuclei: a damped random walk in magnitudes."""

    kind = "damped_random_walk"

    def flux(self, truth: Truth, time: Float, exposure: float) -> Rows:
        """See `Source`."""
        return np.exp(self._walk(truth, time))


class Dipper(_Aperiodic):
    """Young stars that their discs obscure once per rotation, at random, or both."""

    kind = "dipper"

    def flux(self, truth: Truth, time: Float, exposure: float) -> Rows:
        """See `Source`."""
        dips = exposure_means(_dips, truth, time, exposure, nodes=2)
        rough = damped_random_walk(truth["seed"] + np.uint64(1), truth["roughness_time"], time)
        dips *= np.exp(truth["roughness"].astype(np.float32)[:, None] * rough)
        return np.exp(self._walk(truth, time) - dips)


class Burster(_Aperiodic):
    """Accreting young stars: bursts of days on top of a random walk."""

    kind = "burster"

    def flux(self, truth: Truth, time: Float, exposure: float) -> Rows:
        """See `Source`."""
        bursts = exposure_means(_bursts, truth, time, exposure, nodes=2)
        return np.exp(self._walk(truth, time)) + bursts


class BeStar(_Aperiodic):
    """Be stars: outbursts that rise in days and fade in weeks, groups of frequencies, red noise."""

    kind = "be_star"

    def draw(self, n: int, rng: np.random.Generator) -> Truth:
        """See `Source`."""
        t = table(self.kind)
        truth = super().draw(n, rng)
        group = np.repeat([1.0, 2.0], t.value("group_members").astype(int))
        spread = truth["group_width"][:, None] * rng.standard_normal((n, len(group)))
        truth["frequency"] = np.maximum(truth["group_frequency"][:, None] * group + spread, 0.1)
        truth["mode_amplitude"] = truth["group_amplitude"][:, None] * t.sample("mode_scatter", spread.shape, rng)
        return truth | {"mode_phase": rng.random(spread.shape)}

    def flux(self, truth: Truth, time: Float, exposure: float) -> Rows:
        """See `Source`."""
        bursts = exposure_means(_bursts, truth, time, exposure, nodes=2)
        modes = mode_flux(truth, time, exposure)
        noise = red_noise(truth["seed"], truth["deviation"], truth["knee"], truth["slope"], time, exposure)
        return np.exp(bursts * truth["sign"].astype(np.float32)[:, None]) + modes + noise


class Flickering(_Aperiodic):
    """Accreting compact objects: flickering whose amplitude grows with the flux, on top of a slower random walk."""

    kind = "flickering"

    def flux(self, truth: Truth, time: Float, exposure: float) -> Rows:
        """See `Source`."""
        fast = red_noise(truth["seed"], truth["flicker"], truth["knee"], truth["slope"], time, exposure)
        return np.exp(fast + self._walk(truth, time))


class GalacticNucleus(_Aperiodic):
    """Active nuclei of galaxies: red noise steeper than a damped random walk's."""

    kind = "galactic_nucleus"

    def flux(self, truth: Truth, time: Float, exposure: float) -> Rows:
        """See `Source`."""
        noise = red_noise(truth["seed"], truth["deviation"], truth["knee"], truth["slope"], time, exposure)
        return np.exp(noise)


class IrregularRed(_Aperiodic):
    """Slow irregular and semiregular red variables: a few periods of weeks and of short coherence."""

    kind = "irregular_red"

    def draw(self, n: int, rng: np.random.Generator) -> Truth:
        """See `Source`."""
        t = table(self.kind)
        truth = super().draw(n, rng)
        shape = (n, int(t.value("sinusoids")))
        overtone = t.sample("overtone", shape, rng)
        width = t.value("coherence") * np.tan(np.pi * (rng.random(shape) - 0.5) * 0.9)  # Lorentzian, without far wings
        truth["frequency"] = np.abs(overtone * (1 + width)) / truth["period"][:, None]
        amplitude = truth["amplitude"][:, None] * t.sample("mode_scatter", shape, rng) / overtone
        truth["mode_amplitude"] = amplitude / np.sqrt(shape[1])
        return truth | {"mode_phase": rng.random(shape)}

    def flux(self, truth: Truth, time: Float, exposure: float) -> Rows:
        """See `Source`."""
        slow = mode_flux(truth, time, exposure)
        return np.exp(slow + self._walk(truth, time))


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
    for t0, h, up, down in zip(start, height, rise, decay, strict=True):
        near = slice(*np.searchsorted(time, [t0, t0 + up + 8 * down]))
        age = time[near] - t0
        smooth = np.sin(np.pi / 2 * np.minimum(age / up, 1)) ** 2
        result[near] += h * smooth * np.exp(-np.maximum(age - up, 0) / down)
    return result
