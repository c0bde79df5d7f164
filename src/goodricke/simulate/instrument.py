"""What spacecraft, detector and field do to a star's light: noise, trends, artefacts, gaps, neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate.cadence import HALF_HOUR, Cadence, ObservedTimes
from goodricke.simulate.parameters import table
from goodricke.simulate.source import Constant, Float, Measurement, Truth

Float32 = NDArray[np.float32]

TESS_ZERO_POINT = 20.44  # magnitude of an electron per second, TESS Instrument Handbook
KEPLER_TWELFTH = 1.74e5  # electrons per second of a star of magnitude 12, Kepler Instrument Handbook
LIVE = 0.8  # part of an exposure of TESS that remains after the rejection of cosmic rays
SKY, READ_NOISE = 150.0, 10.0  # electrons per second and pixel; electrons per pixel and read-out of 2 s
FEWEST_PIXELS = 9.0
FLOOR = 20e-6  # in an hour, TESS
K2_OVER_KEPLER = 1.3
ORDERS = 8  # of a trend's polynomials
ARTEFACTS = ("drift", "ramp", "dump", "sawtooth", "jump", "burst", "red_noise", "outliers", "scatter")  # TESS: the last


class Instrument(Constant):
    """Constant stars under strong artefacts, which `strengthen_artefacts` makes."""

    kind = "instrument"


def measure(flux: Float32, systematics: Truth, observations: ObservedTimes, rng: np.random.Generator) -> Measurement:
    """Return relative fluxes (n, T) as the instrument measures them, in electrons per second."""
    s = {name: value[:, None].astype(np.float32) for name, value in systematics.items()}
    cadence, time = observations.cadence, observations.time
    noise = systematics_noise(systematics, cadence)
    point, half_hour = (x[:, None].astype(np.float32) for x in (noise, half_hour_noise(noise, cadence)))
    valid = _valid_points(s, observations, rng)
    light = 1 + (1 - s["dilution"]) * (flux - 1) + _neighbour(s, time, rng)
    star = electrons(cadence, systematics["magnitude"])[:, None].astype(np.float32)
    drift = np.hypot(s["drift"], s["background"] / star)
    gain = _trends(s, drift, observations, rng) + _sawtooth(s, observations, rng) + _jumps(s, time, rng)
    gain += _bursts(s, time, rng)
    gain += _momentum_dumps(s, observations.reset, valid, rng) + _ramps(s, observations, rng)
    gain += s["red_noise"] * half_hour * _red_noise(systematics["red_time"] / cadence.step, len(time), rng)
    light *= 1 + gain
    scattered = _scattered_light(s, observations, rng) / star
    valid &= ~((s["cut"] > 0) & (scattered > 3 * half_hour))
    light += scattered + point * _white_noise(s, len(time), rng)
    star = star / (1 - s["dilution"])
    return Measurement(light * star, star * point * s["reported"], valid)


def electrons(cadence: Cadence, magnitude: Float) -> Float:
    """Return the electrons per second of stars of given magnitudes."""
    if cadence.mission == "TESS":
        return 10 ** (0.4 * (TESS_ZERO_POINT - magnitude))
    return KEPLER_TWELFTH * 10 ** (0.4 * (12 - magnitude))


def white_noise(cadence: Cadence, magnitude: Float) -> Float:
    """Return the standard deviation of a point's relative flux for stars of given magnitudes.

    Kepler: Jenkins et al. (2010), equation 1, from photons and read-out in a half-hour cadence. TESS: photons, sky and
    read-out in an aperture that shrinks with the star, and a floor (Ricker et al. 2015; Sullivan et al. 2015).
    """
    if cadence.mission != "TESS":
        counts = 3.46e8 * 10 ** (0.4 * (12 - magnitude)) * cadence.step / (29.4244 / 1440)
        noise = np.sqrt(counts + 7e6 * np.maximum(1, magnitude / 14) ** 4) / counts
        return noise * (K2_OVER_KEPLER if cadence.mission == "K2" else 1)
    seconds = LIVE * cadence.exposure * 86400
    counts = electrons(cadence, magnitude) * seconds
    pixels = np.maximum(FEWEST_PIXELS, 10 ** (0.8464 - 0.2144 * (magnitude - 10)))
    background = pixels * (SKY * seconds + READ_NOISE**2 * seconds / 2)
    return np.sqrt((counts + background) / counts**2 + FLOOR**2 * 3600 / seconds)


def draw_systematics(n: int, cadence: Cadence, rng: np.random.Generator) -> Truth:
    """Return magnitudes and the strengths of all effects for ``n`` stars, (n,) each: the table ``systematics``."""
    truth = table("systematics").draw(n, rng)
    bright = {name: truth.pop(f"magnitude_{name}") for name in ("tess", "kepler")}
    truth["magnitude"] = bright["tess" if cadence.mission == "TESS" else "kepler"]
    if cadence.mission == "K2":
        truth["sawtooth"] = 10 * truth["sawtooth"]
    if cadence.mission != "TESS":
        truth |= {"scatter": np.zeros(n), "background": np.zeros(n)}
    return truth


def systematics_noise(systematics: Truth, cadence: Cadence) -> Float:
    """Return the white noise of one point of each star, (n,), relative flux."""
    return systematics["noise_factor"] * white_noise(cadence, systematics["magnitude"])


def strengthen_artefacts(systematics: Truth, cadence: Cadence, rng: np.random.Generator) -> Truth:
    """Return the systematics with some artefacts of each star far above its noise: the table ``instrument``."""
    n = len(systematics["magnitude"])
    truth = table("instrument").draw(n, rng)
    kinds = ARTEFACTS if cadence.mission == "TESS" else ARTEFACTS[:-1]
    chosen = rng.random((n, len(kinds))).argsort(1).argsort(1) < truth["artefacts"][:, None]
    affected = {kind: chosen[:, k] for k, kind in enumerate(kinds)}
    strength = truth["strength"][:, None] * rng.uniform(0.5, 1.5, (n, len(ARTEFACTS)))
    amplitude = strength * half_hour_noise(systematics_noise(systematics, cadence), cadence)[:, None]
    strong = {kind: amplitude[:, k] for k, kind in enumerate(ARTEFACTS)}
    strong["scatter"] = strong["scatter"] * electrons(cadence, systematics["magnitude"])
    strong["red_noise"] = np.minimum(strength[:, ARTEFACTS.index("red_noise")] / 4, 12)
    strong["outliers"] = truth["outliers"]
    result = dict(systematics)
    for kind in kinds:
        result[kind] = np.where(affected[kind], strong[kind], result[kind])
    for kind in ("jump", "burst"):
        result[f"{kind}s"] = np.where(affected[kind], truth["jumps"], result[f"{kind}s"])
    result["drift_steepness"] = np.where(affected["drift"], truth["drift_steepness"], result["drift_steepness"])
    result["dump_flagged"] = np.where(affected["dump"], 0, result["dump_flagged"])
    result["outlier"] = np.where(affected["outliers"], 2 * result["outlier"], result["outlier"])
    if "scatter" in affected:
        result["cut"] = np.where(affected["scatter"], 0, result["cut"])
    return result


def half_hour_noise(noise: Float, cadence: Cadence) -> Float:
    """Return the white noise of half an hour for that of one point."""
    return noise * np.sqrt(min(1, cadence.step / HALF_HOUR))


def _normal(shape: tuple[int, ...], rng: np.random.Generator) -> Float32:
    return rng.standard_normal(shape, np.float32)


def _white_noise(s: Truth, points: int, rng: np.random.Generator) -> Float32:
    """Return unit white noise with outliers, three of four of them upwards."""
    n = len(s["magnitude"])
    noise = _normal((n, points), rng)
    star, point = np.nonzero(rng.random((n, points), np.float32) < s["outliers"])
    size = s["outlier"][star, 0] * rng.standard_exponential(len(star), np.float32)
    noise[star, point] += np.where(rng.random(len(star)) < 0.75, size, -size)
    return noise


def _red_noise(samples: Float, points: int, rng: np.random.Generator) -> Float32:
    """Return unit noise of an autoregressive process of order 1, correlated over so many samples (n,)."""
    from scipy.signal import lfilter  # a second to import

    memory = np.exp(-1 / samples)
    kicks = _normal((len(samples), points), rng)
    kicks[:, 1:] *= np.sqrt(1 - memory**2)[:, None]
    filtered = [lfilter([1.0], [1.0, -m], row) for m, row in zip(memory, kicks, strict=True)]
    return np.stack(filtered).astype(np.float32)


def _trends(s: Truth, drift: Float32, observations: ObservedTimes, rng: np.random.Generator) -> Float32:
    """Return a polynomial for each sector, and levels of the sectors and of their stretches."""
    n = len(s["drift"])
    result = np.empty((n, len(observations.time)), np.float32)
    order = np.arange(1, ORDERS + 1, dtype=np.float32)
    weight = order ** -s["drift_steepness"]
    weight *= drift / np.sqrt((weight**2 / (2 * order + 1)).sum(1, keepdims=True))
    for k in range(len(observations.numbers)):
        points = observations.sector == k
        x = np.linspace(-1, 1, int(points.sum()))
        polynomials = np.polynomial.legendre.legvander(x, ORDERS)[:, 1:].T.astype(np.float32)
        level = s["level"] * _normal((n, 1), rng)
        result[:, points] = (weight * _normal((n, ORDERS), rng)) @ polynomials + level
    for piece in observations.pieces:
        result[:, piece] += s["tweak"] * _normal((n, 1), rng)
    return result


def _ramps(s: Truth, observations: ObservedTimes, rng: np.random.Generator) -> Float32:
    """Return the exponential relaxation after each gap, when the instrument warms up."""
    result = np.zeros((len(s["ramp"]), len(observations.time)), np.float32)
    for piece in observations.pieces:
        since = (observations.time[piece] - observations.time[piece.start]).astype(np.float32)
        result[:, piece] = s["ramp"] * _normal(s["ramp"].shape, rng) * np.exp(-since / s["ramp_time"])
    return result


def _scattered_light(s: Truth, observations: ObservedTimes, rng: np.random.Generator) -> Float32:
    """Return electrons per second of light from Earth and Moon at both ends of TESS orbits, with ripples."""
    result = np.zeros((len(s["scatter"]), len(observations.time)), np.float32)
    if not s["scatter"].any():
        return result
    for piece in observations.pieces:
        time = observations.time[piece]
        for since, share in ((time[-1] - time, 1.0), (time - time[0], 0.3)):
            shape = np.exp(-since.astype(np.float32) / s["scatter_time"])
            pace, start = rng.uniform(0.5, 2, s["scatter"].shape), rng.random(s["scatter"].shape)
            ripple = 1 + 0.3 * np.sin(2 * np.pi * (since / s["scatter_time"] * pace + start))
            result[:, piece] += share * s["scatter"] * np.abs(_normal(s["scatter"].shape, rng)) * shape * ripple
    return result


def _sawtooth(s: Truth, observations: ObservedTimes, rng: np.random.Generator) -> Float32:
    """Return the drift between resets of the pointing, with an amplitude that changes over weeks."""
    n = len(s["sawtooth"])
    slow = (observations.time - observations.time[0]) / 30
    change = np.sin(2 * np.pi * (slow * rng.uniform(0.3, 1.0, (n, 1)) + rng.random((n, 1))))
    bend = rng.uniform(-1, 1, (n, 1))
    x = observations.reset - 0.5
    tooth = x + bend * (x**2 - 1 / 12)
    return (s["sawtooth"] * (0.6 + 0.4 * change) * tooth).astype(np.float32)


def _momentum_dumps(s: Truth, resets: Float, valid: NDArray[np.bool_], rng: np.random.Generator) -> Float32:
    """Return the excursions at momentum dumps, and take the flagged ones out of ``valid``."""
    points = len(resets)
    result = np.zeros((len(s["dump"]), points), np.float32)
    at = np.flatnonzero(np.diff(resets) < 0) + 1
    size = s["dump"] * _normal((len(s["dump"]), len(at)), rng)
    result[:, at] = size
    after = np.minimum(at + 1, points - 1)
    result[:, after] += 0.4 * size
    flagged = np.zeros(points, bool)
    flagged[at] = True
    valid &= ~(flagged & (s["dump_flagged"] > 0))
    return result


def _random_times(rate: Float32, time: Float, rng: np.random.Generator) -> tuple[NDArray[np.int64], Float]:
    """Return the number of events of each star (n,) at a rate (n, 1) per 30 d, and times of at least as many (n, K)."""
    count = rng.poisson(rate[:, 0] * (time[-1] - time[0]) / 30)
    return count, rng.uniform(time[0], time[-1], (len(count), int(count.max(initial=0))))


def _jumps(s: Truth, time: Float, rng: np.random.Generator) -> Float32:
    """Return sudden changes of sensitivity, most of them losses, that recover in part."""
    result = np.zeros((len(s["jump"]), len(time)), np.float32)
    count, when = _random_times(s["jumps"], time, rng)
    for k in range(when.shape[1]):
        size = s["jump"] * rng.standard_exponential(s["jump"].shape, np.float32)
        size *= np.where(rng.random(size.shape) < 0.8, -1, 1).astype(np.float32)
        left, heals = rng.random(size.shape, np.float32), rng.uniform(0.1, 2.0, size.shape).astype(np.float32)
        hit = np.flatnonzero(k < count)
        since = (time - when[hit, k : k + 1]).astype(np.float32)
        step = left[hit] + (1 - left[hit]) * np.exp(-np.maximum(since, 0) / heals[hit])
        result[hit] += np.where(since > 0, size[hit] * step, 0)
    return result


def _bursts(s: Truth, time: Float, rng: np.random.Generator) -> Float32:
    """Return the losses of light in spells of bad pointing, different from point to point."""
    result = np.zeros((len(s["burst"]), len(time)), np.float32)
    count, when = _random_times(s["bursts"], time, rng)
    for k in range(when.shape[1]):
        hit = np.flatnonzero(k < count)
        shape = np.exp(-(((time - when[hit, k : k + 1]) / (s["burst_length"][hit] / 2)) ** 4))
        loss = s["burst"][hit] * rng.standard_exponential((len(hit), len(time)), np.float32)
        result[hit] -= (np.minimum(loss, 0.5) * shape).astype(np.float32)
    return result


def _neighbour(s: Truth, time: Float, rng: np.random.Generator) -> Float32:
    """Return the light of a variable neighbour in the aperture, with mean 0."""
    angle = 2 * np.pi * (time - time[0]) / s["neighbour_period"] + 2 * np.pi * rng.random(s["neighbour"].shape)
    second = rng.random(s["neighbour"].shape)
    return (s["neighbour"] * (np.cos(angle) + 0.5 * second * np.cos(2 * angle + 1))).astype(np.float32)


def _valid_points(s: Truth, observations: ObservedTimes, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which points are neither missing, nor flagged at the edge of a common gap, nor in a gap of one star."""
    time = observations.time
    valid = rng.random((len(s["missing"]), len(time)), np.float32) >= s["missing"]
    for piece in observations.pieces:
        first, last = s["edge"] * rng.standard_exponential((2, *s["edge"].shape), np.float32)
        valid[:, piece] &= (time[piece] - time[piece.start] >= first) & (time[piece.stop - 1] - time[piece] >= last)
    count, when = _random_times(s["gaps"], time, rng)
    for k in range(when.shape[1]):
        inside = np.abs(time - when[:, k : k + 1]) < s["gap"] / 2
        valid &= ~(inside & (k < count)[:, None])
    return valid
