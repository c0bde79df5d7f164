"""When Kepler, K2 and TESS looked: sectors, quarters and campaigns, their gaps, and exposures.

What spacecraft, detector and field do to a star's light: noise, trends, artefacts, gaps, neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from goodricke.simulate.parameters import table
from goodricke.simulate.source import Drawn, Float

Span = tuple[float, float]

MINUTE = 1 / 1440
HALF_HOUR = 30 * MINUTE

# first and last exposure of each; TESS in BJD - 2457000, Kepler and K2 in BJD - 2454833
PRIMARY = (
    (1325.3, 1353.2), (1354.1, 1381.5), (1385.9, 1406.3), (1410.9, 1436.8), (1437.9, 1464.4), (1465.2, 1490.0),
    (1491.7, 1516.1), (1517.4, 1542.0), (1543.2, 1568.5), (1569.4, 1595.7), (1596.8, 1623.9), (1624.9, 1652.9),
    (1653.9, 1682.4), (1683.4, 1710.2), (1711.4, 1737.4), (1738.7, 1763.3), (1764.7, 1789.7), (1790.7, 1815.0),
    (1816.1, 1841.1), (1842.5, 1868.8), (1870.4, 1897.8), (1899.3, 1926.5), (1928.1, 1954.9), (1955.8, 1982.3),
    (1983.6, 2009.3), (2010.3, 2035.1),
)  # fmt: skip
FIRST_EXTENSION, SECOND_EXTENSION, LAST_SECTOR = 27, 56, 83
EXTENDED_STARTS = ([27, 34, 56, 61, 83], [2036.3, 2229.1, 2825.3, 2962.8, 3557.0])  # between these: in proportion
EXTENDED_LENGTH = 25.3
QUARTERS = (
    (120.5, 130.3), (131.5, 165.0), (169.8, 258.5), (260.2, 349.5), (352.4, 442.2), (443.5, 538.2), (539.5, 629.3),
    (630.2, 719.5), (735.4, 802.3), (808.5, 905.9), (906.9, 1000.3), (1001.2, 1098.3), (1099.4, 1182.0),
    (1182.8, 1273.1), (1274.1, 1371.3), (1373.5, 1471.1), (1472.1, 1558.0), (1559.2, 1591.0),
)  # fmt: skip
CAMPAIGNS = {
    1: (1977.0, 2057.0), 2: (2061.0, 2139.0), 3: (2144.0, 2213.0), 4: (2228.8, 2299.7), 5: (2306.0, 2381.0),
    6: (2384.0, 2463.0), 7: (2467.0, 2550.0), 8: (2559.0, 2638.0), 12: (2905.0, 2984.0), 13: (2988.0, 3068.0),
    14: (3074.0, 3154.0), 15: (3156.0, 3244.0), 16: (3262.0, 3342.0), 17: (3344.0, 3411.0), 18: (3418.5, 3469.4),
}  # fmt: skip

ROLL = 0.2452  # d between two firings of K2's thrusters
RESETS = {"TESS": (2.0, 2.5, 3.1, 3.4, 4.4, 6.7), "Kepler": (2.98,), "K2": (ROLL,)}  # d between resets of the pointing


@dataclass(frozen=True)
class Cadence:
    """A way to observe.

    Parameters
    ----------
    name : str
    mission : str
        ``"TESS"``, ``"Kepler"`` or ``"K2"``.
    step, exposure : float
        Days from one point to the next, and of light in each.
    spans : dict
        First and last time [d] of each sector, quarter or campaign that has this cadence.
    time_scale : str
    """

    name: str
    mission: str
    step: float
    exposure: float
    spans: dict[int, Span]
    time_scale: str

    @property
    def unit(self) -> str:
        """What a part of the observations is called."""
        return {"TESS": "sector", "Kepler": "quarter", "K2": "campaign"}[self.mission]


def _sectors(first: int, last: int) -> dict[int, Span]:
    """Return the spans of TESS sectors."""
    starts = {n: float(np.interp(n, *EXTENDED_STARTS)) for n in range(FIRST_EXTENSION, LAST_SECTOR + 1)}
    spans = dict(enumerate(PRIMARY, 1)) | {n: (start, start + EXTENDED_LENGTH) for n, start in starts.items()}
    return {n: spans[n] for n in range(first, last + 1)}


CADENCES = {
    c.name: c
    for c in (
        Cadence("tess-30min", "TESS", HALF_HOUR, HALF_HOUR, _sectors(1, 26), "BTJD"),
        Cadence("tess-10min", "TESS", 10 * MINUTE, 10 * MINUTE, _sectors(27, 55), "BTJD"),
        Cadence("tess-200s", "TESS", 200 / 86400, 200 / 86400, _sectors(56, LAST_SECTOR), "BTJD"),
        Cadence("tess-2min", "TESS", 2 * MINUTE, 2 * MINUTE, _sectors(1, LAST_SECTOR), "BTJD"),
        Cadence("kepler", "Kepler", 29.4244 * MINUTE, 27.088 * MINUTE, dict(enumerate(QUARTERS)), "BKJD"),
        Cadence("k2", "K2", 29.4244 * MINUTE, 27.088 * MINUTE, CAMPAIGNS, "BKJD"),
    )
}


def cadence_called(name: str) -> Cadence:
    """Return a cadence.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if name not in CADENCES:
        raise ValueError(f"no cadence {name!r}; there are {', '.join(CADENCES)}")
    return CADENCES[name]


@dataclass(frozen=True)
class Observations:
    """When stars in one field were looked at.

    Parameters
    ----------
    cadence : Cadence
    numbers : tuple of int
        The sectors, quarters or campaigns.
    time : (T,) float64 [d]
        Middles of the exposures.
    piece : (T,) int
        Which stretch between two gaps (TESS: orbit) a point is of.
    sector : (T,) int
        Position in ``numbers``.
    reset : (T,) float64
        Time since the last reset of the pointing (momentum dump, thruster firing) over the time between two.
    """

    cadence: Cadence
    numbers: tuple[int, ...]
    time: Float
    piece: NDArray[np.int64]
    sector: NDArray[np.int64]
    reset: Float

    @property
    def pieces(self) -> list[slice]:
        """The points of each stretch."""
        edges = np.flatnonzero(np.diff(self.piece)) + 1
        return [slice(a, b) for a, b in zip([0, *edges], [*edges, len(self.time)], strict=True)]

    @property
    def per_half_hour(self) -> int:
        """Points that average to the noise of half an hour."""
        return max(1, round(HALF_HOUR / self.cadence.step))


def observe(cadence: Cadence, sectors: int | Sequence[int], rng: np.random.Generator) -> Observations:
    """Return the times of sectors.

    Parameters
    ----------
    cadence : Cadence
    sectors : int or list of int
        How many, one after the other from one drawn at random; or which.
    rng : numpy.random.Generator

    Raises
    ------
    ValueError
        If there are not so many, or not these, with this cadence.
    """
    numbers = _chosen(cadence, sectors, rng)
    parts = [(k, piece) for k, n in enumerate(numbers) for piece in _pieces(cadence, cadence.spans[n], rng)]
    times = [np.arange(start, stop, cadence.step) for _, (start, stop) in parts]
    lengths = [len(t) for t in times]
    sector = np.repeat([k for k, _ in parts], lengths)
    time = np.concatenate(times)
    every = rng.choice(RESETS[cadence.mission], len(numbers))[sector]
    turns = (time - time[0]) / every + rng.random()
    piece = np.repeat(np.arange(len(parts)), lengths)
    return Observations(cadence, numbers, time, piece, sector, turns - np.floor(turns))


def _chosen(cadence: Cadence, sectors: int | Sequence[int], rng: np.random.Generator) -> tuple[int, ...]:
    there = list(cadence.spans)
    if not isinstance(sectors, int):
        absent = [n for n in sectors if n not in cadence.spans]
        if absent or not len(sectors):
            what = f"no {cadence.unit} {', '.join(map(str, absent))}" if absent else f"no {cadence.unit} given"
            raise ValueError(f"{what} with cadence {cadence.name}; there are {there[0]} to {there[-1]}")
        return tuple(sorted(set(sectors)))
    if not 1 <= sectors <= len(there):
        raise ValueError(f"{sectors} {cadence.unit}s asked for; with cadence {cadence.name} there are {len(there)}")
    first = int(rng.integers(0, len(there) - sectors + 1))
    return tuple(there[first : first + sectors])


def _pieces(cadence: Cadence, span: Span, rng: np.random.Generator) -> list[Span]:
    """Return the stretches of a sector between the gaps in which the spacecraft sent its data down."""
    start, stop = span
    gaps = _downlinks(cadence, span)
    pieces = []
    for place, median in gaps:
        middle = span[0] + (place + 0.015 * rng.standard_normal()) * (span[1] - span[0])
        half = 0.5 * median * float(np.clip(10 ** (0.18 * rng.standard_normal()), 0.6, 4))
        pieces.append((start, middle - half))
        start = middle + half
    return [*pieces, (start, stop)]


def _downlinks(cadence: Cadence, span: Span) -> list[tuple[float, float]]:
    """Return where in a sector the downlinks are, as fractions of it, and how long they typically take [d]."""
    if cadence.mission == "K2" or span[1] - span[0] < 12:  # quarter 0 had none
        return []
    if cadence.mission == "Kepler":  # monthly
        return [(1 / 3, 0.95), (2 / 3, 0.95)]
    if span[0] > EXTENDED_STARTS[1][2] - 1:  # from sector 56 on also at apogee
        return [(0.23, 0.21), (0.5, 1.4), (0.77, 0.21)]
    return [(0.5, 1.4)]


# ---- What spacecraft, detector and field do to a star's light: noise, trends, artefacts, gaps, neighbours ------------


Float32 = NDArray[np.float32]

TESS_ZERO_POINT = 20.44  # magnitude of an electron per second, TESS Instrument Handbook
KEPLER_TWELFTH = 1.74e5  # electrons per second of a star of magnitude 12, Kepler Instrument Handbook
LIVE = 0.8  # of an exposure of TESS that is left when the spacecraft has thrown out cosmic rays
SKY, READ_NOISE = 150.0, 10.0  # electrons per second and pixel; electrons per pixel and read-out of 2 s
FEWEST_PIXELS = 9.0
FLOOR = 20e-6  # in an hour, TESS
K2_OVER_KEPLER = 1.3
ORDERS = 8  # of a trend's polynomials
ARTEFACTS = ("drift", "ramp", "dump", "sawtooth", "jump", "burst", "red_noise", "outliers", "scatter")  # TESS: the last


# ---- light and noise ----------------------------------------------------------------------------------------------


def electrons(cadence: Cadence, magnitude: Float) -> Float:
    """Return electrons per second of stars."""
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


# ---- drawing ------------------------------------------------------------------------------------------------------


def draw_systematics(n: int, cadence: Cadence, rng: np.random.Generator) -> Drawn:
    """Return magnitudes and the strengths of all effects for ``n`` stars, (n,) each: the table ``systematics``."""
    drawn = table("systematics").draw(n, rng)
    bright = {name: drawn.pop(f"magnitude_{name}") for name in ("tess", "kepler")}
    drawn["magnitude"] = bright["tess" if cadence.mission == "TESS" else "kepler"]
    if cadence.mission == "K2":
        drawn["sawtooth"] = 10 * drawn["sawtooth"]
    if cadence.mission != "TESS":
        drawn |= {"scatter": np.zeros(n), "background": np.zeros(n)}
    return drawn


def noise_of(systematics: Drawn, cadence: Cadence) -> Float:
    """Return the white noise of a point of each star, (n,), relative flux."""
    return systematics["noise_factor"] * white_noise(cadence, systematics["magnitude"])


def dominate(systematics: Drawn, cadence: Cadence, rng: np.random.Generator) -> Drawn:
    """Return the systematics with some artefacts of each star made much stronger than its noise.

    The table ``instrument``: so a constant star becomes one of class INSTRUMENT.
    """
    n = len(systematics["magnitude"])
    drawn = table("instrument").draw(n, rng)
    kinds = ARTEFACTS if cadence.mission == "TESS" else ARTEFACTS[:-1]
    chosen = rng.random((n, len(kinds))).argsort(1).argsort(1) < drawn["artefacts"][:, None]
    chance = {kind: chosen[:, k] for k, kind in enumerate(kinds)}
    strength = drawn["strength"][:, None] * rng.uniform(0.5, 1.5, (n, len(ARTEFACTS)))
    amplitude = strength * half_hour_noise(noise_of(systematics, cadence), cadence)[:, None]
    strong = {kind: amplitude[:, k] for k, kind in enumerate(ARTEFACTS)}
    strong["scatter"] = strong["scatter"] * electrons(cadence, systematics["magnitude"])
    strong["red_noise"] = np.minimum(strength[:, ARTEFACTS.index("red_noise")] / 4, 12)
    strong["outliers"] = drawn["outliers"]
    result = dict(systematics)
    for kind in kinds:
        result[kind] = np.where(chance[kind], strong[kind], result[kind])
    for kind in ("jump", "burst"):
        result[f"{kind}s"] = np.where(chance[kind], drawn["jumps"], result[f"{kind}s"])
    result["drift_steepness"] = np.where(chance["drift"], drawn["drift_steepness"], result["drift_steepness"])
    result["dump_flagged"] = np.where(chance["dump"], 0, result["dump_flagged"])
    result["outlier"] = np.where(chance["outliers"], 2 * result["outlier"], result["outlier"])
    if "scatter" in chance:
        result["cut"] = np.where(chance["scatter"], 0, result["cut"])
    return result


def half_hour_noise(noise: Float, cadence: Cadence) -> Float:
    """Return white noise of a point as that of half an hour."""
    return noise * np.sqrt(min(1, cadence.step / HALF_HOUR))


@dataclass(frozen=True)
class Spoiled:
    """Constant stars, whose light curves the instrument spoils: the class INSTRUMENT."""

    kind: str = "instrument"
    label: str = "INSTRUMENT"

    def draw(self, n: int, rng: np.random.Generator) -> Drawn:
        """Return nothing about ``n`` stars: what makes them is in the systematics (`dominate`)."""
        return {"constant": np.ones(n)}

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> Float32:
        """Return ones, (n, T)."""
        return np.ones((len(drawn["constant"]), len(time)), np.float32)


# ---- observing ----------------------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """What is in a light curve file, before its flagged points are left out."""

    flux: Float32  # (n, T) electron / s
    error: Float32  # (n,) electron / s
    keep: NDArray[np.bool_]  # (n, T) neither missing nor flagged


def see(flux: Float32, systematics: Drawn, observations: Observations, rng: np.random.Generator) -> Seen:
    """Return relative fluxes (n, T) as the instrument gives them."""
    s = {name: value[:, None].astype(np.float32) for name, value in systematics.items()}
    cadence, time = observations.cadence, observations.time
    noise = noise_of(systematics, cadence)
    point, half_hour = (x[:, None].astype(np.float32) for x in (noise, half_hour_noise(noise, cadence)))
    keep = _there(s, observations, rng)
    light = 1 + (1 - s["dilution"]) * (flux - 1) + _neighbour(s, time, rng)
    star = electrons(cadence, systematics["magnitude"])[:, None].astype(np.float32)
    drift = np.hypot(s["drift"], s["background"] / star)
    gain = _trend(s, drift, observations, rng) + _sawtooth(s, observations, rng) + _jumps(s, time, rng)
    gain += _bursts(s, time, rng)
    gain += _excursions(s, observations.reset, keep, rng) + _ramps(s, observations, rng)
    gain += s["red_noise"] * half_hour * _red(systematics["red_time"] / cadence.step, len(time), rng)
    light *= 1 + gain
    scattered = _scattered(s, observations, rng) / star
    keep &= ~((s["cut"] > 0) & (scattered > 3 * half_hour))
    light += scattered + point * _white(s, len(time), rng)
    star = star / (1 - s["dilution"])
    return Seen(light * star, (star * point * s["reported"])[:, 0], keep)


def _normal(shape: tuple[int, ...], rng: np.random.Generator) -> Float32:
    return rng.standard_normal(shape, np.float32)


def _white(s: Drawn, points: int, rng: np.random.Generator) -> Float32:
    """Return unit white noise with outliers, three of four of them upwards."""
    n = len(s["magnitude"])
    noise = _normal((n, points), rng)
    star, point = np.nonzero(rng.random((n, points), np.float32) < s["outliers"])
    size = s["outlier"][star, 0] * rng.standard_exponential(len(star), np.float32)
    noise[star, point] += np.where(rng.random(len(star)) < 0.75, size, -size)
    return noise


def _red(samples: Float, points: int, rng: np.random.Generator) -> Float32:
    """Return unit noise correlated over so many samples, of an autoregressive process of order 1."""
    memory = np.exp(-1 / samples)
    kicks = _normal((len(samples), points), rng)
    kicks[:, 1:] *= np.sqrt(1 - memory**2)[:, None]
    filtered = [lfilter([1.0], [1.0, -m], row) for m, row in zip(memory, kicks, strict=True)]
    return np.stack(filtered).astype(np.float32)


def _trend(s: Drawn, drift: Float32, observations: Observations, rng: np.random.Generator) -> Float32:
    """Return a polynomial for each sector, and the levels that it and its stretches are at."""
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


def _ramps(s: Drawn, observations: Observations, rng: np.random.Generator) -> Float32:
    """Return what warming up does after each gap."""
    result = np.zeros((len(s["ramp"]), len(observations.time)), np.float32)
    for piece in observations.pieces:
        since = (observations.time[piece] - observations.time[piece.start]).astype(np.float32)
        result[:, piece] = s["ramp"] * _normal(s["ramp"].shape, rng) * np.exp(-since / s["ramp_time"])
    return result


def _scattered(s: Drawn, observations: Observations, rng: np.random.Generator) -> Float32:
    """Return electrons per second of Earth's and Moon's light at the ends of TESS orbits, with a bump or two."""
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


def _sawtooth(s: Drawn, observations: Observations, rng: np.random.Generator) -> Float32:
    """Return the drift from one reset to the next, of an amplitude that changes over weeks."""
    n = len(s["sawtooth"])
    slow = (observations.time - observations.time[0]) / 30
    change = np.sin(2 * np.pi * (slow * rng.uniform(0.3, 1.0, (n, 1)) + rng.random((n, 1))))
    bend = rng.uniform(-1, 1, (n, 1))
    x = observations.reset - 0.5
    tooth = x + bend * (x**2 - 1 / 12)
    return (s["sawtooth"] * (0.6 + 0.4 * change) * tooth).astype(np.float32)


def _excursions(s: Drawn, resets: Float, keep: NDArray[np.bool_], rng: np.random.Generator) -> Float32:
    """Return the excursions when the wheels give up their momentum, and strike the flagged ones from ``keep``."""
    points = len(resets)
    result = np.zeros((len(s["dump"]), points), np.float32)
    at = np.flatnonzero(np.diff(resets) < 0) + 1
    size = s["dump"] * _normal((len(s["dump"]), len(at)), rng)
    result[:, at] = size
    after = np.minimum(at + 1, points - 1)
    result[:, after] += 0.4 * size
    flagged = np.zeros(points, bool)
    flagged[at] = True
    keep &= ~(flagged & (s["dump_flagged"] > 0))
    return result


def _events(rate: Float32, time: Float, rng: np.random.Generator) -> tuple[NDArray[np.int64], Float]:
    """Return how many events (n,) befall each star at a rate (n, 1) per 30 d, and times of the most that may (n, K)."""
    count = rng.poisson(rate[:, 0] * (time[-1] - time[0]) / 30)
    return count, rng.uniform(time[0], time[-1], (len(count), int(count.max(initial=0))))


def _jumps(s: Drawn, time: Float, rng: np.random.Generator) -> Float32:
    """Return sudden changes of sensitivity, most of them losses, that heal in part."""
    result = np.zeros((len(s["jump"]), len(time)), np.float32)
    count, when = _events(s["jumps"], time, rng)
    for k in range(when.shape[1]):
        size = s["jump"] * rng.standard_exponential(s["jump"].shape, np.float32)
        size *= np.where(rng.random(size.shape) < 0.8, -1, 1).astype(np.float32)
        left, heals = rng.random(size.shape, np.float32), rng.uniform(0.1, 2.0, size.shape).astype(np.float32)
        hit = np.flatnonzero(k < count)
        since = (time - when[hit, k : k + 1]).astype(np.float32)
        step = left[hit] + (1 - left[hit]) * np.exp(-np.maximum(since, 0) / heals[hit])
        result[hit] += np.where(since > 0, size[hit] * step, 0)
    return result


def _bursts(s: Drawn, time: Float, rng: np.random.Generator) -> Float32:
    """Return the losses of light in spells of bad pointing, which come and go from point to point."""
    result = np.zeros((len(s["burst"]), len(time)), np.float32)
    count, when = _events(s["bursts"], time, rng)
    for k in range(when.shape[1]):
        hit = np.flatnonzero(k < count)
        shape = np.exp(-(((time - when[hit, k : k + 1]) / (s["burst_length"][hit] / 2)) ** 4))
        loss = s["burst"][hit] * rng.standard_exponential((len(hit), len(time)), np.float32)
        result[hit] -= (np.minimum(loss, 0.5) * shape).astype(np.float32)
    return result


def _neighbour(s: Drawn, time: Float, rng: np.random.Generator) -> Float32:
    """Return the light of a variable neighbour in the aperture, less its mean."""
    angle = 2 * np.pi * (time - time[0]) / s["neighbour_period"] + 2 * np.pi * rng.random(s["neighbour"].shape)
    second = rng.random(s["neighbour"].shape)
    return (s["neighbour"] * (np.cos(angle) + 0.5 * second * np.cos(2 * angle + 1))).astype(np.float32)


def _there(s: Drawn, observations: Observations, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which points are neither missing, nor flagged beside a gap of all, nor in a gap of the star's own."""
    time = observations.time
    keep = rng.random((len(s["missing"]), len(time)), np.float32) >= s["missing"]
    for piece in observations.pieces:
        first, last = s["edge"] * rng.standard_exponential((2, *s["edge"].shape), np.float32)
        keep[:, piece] &= (time[piece] - time[piece.start] >= first) & (time[piece.stop - 1] - time[piece] >= last)
    count, when = _events(s["gaps"], time, rng)
    for k in range(when.shape[1]):
        inside = np.abs(time - when[:, k : k + 1]) < s["gap"] / 2
        keep &= ~(inside & (k < count)[:, None])
    return keep
