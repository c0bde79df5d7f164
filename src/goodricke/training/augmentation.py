"""Light curves made from those of a training set: worse ones, or of sources that are no periodic stars.

A survey has one cadence and noise, and estimates its errors in one way; the light curves of another differ, or have no
errors. Copies with fewer observations, more noise and other errors teach a network not to depend on them.

A survey of variable stars has neither constant stars nor quasars nor supernovae, but the files that people classify do.
Their light curves are simulated at the times, with the errors, of real ones, so that sampling and noise are those of a
survey. A model trained on them says so in its card.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.training.labels import Labelled

FEWEST = 15  # observations that a thinned light curve keeps at least
SPARSEST = 20  # observations that are expected to remain of the most thinned
FREQUENCIES = 256  # sines in a simulated quasar
NOISIEST = 1.5  # noise added at most, in units of the errors
ERROR_FACTOR = 0.3  # standard deviation of the logarithm of the factor by which errors are wrong
WITHOUT_ERRORS = 0.15  # fraction of light curves that lose their errors
SOURCES = ("CONSTANT", "AGN", "TRANSIENT")
SIMULATED = "simulated"

Float = NDArray[np.float64]


def thin(curves: LightCurves, seed: int) -> LightCurves:
    """Return the light curves with fewer observations.

    Of half of them, observations chosen at random remain: `SPARSEST` to all, uniform in the logarithm, as surveys have
    all numbers; of the others, those of a part of the time (30 % to all). Light curves that would keep fewer than
    `FEWEST` stay as they are. What remains depends on the seed and on the light curve's place.
    """
    rng = np.random.default_rng(seed)
    n, owner, count = len(curves), ragged.owner(curves.offsets), ragged.lengths(curves.offsets)
    random, part = np.minimum(SPARSEST / np.maximum(count, 1), 1) ** rng.random(n), rng.uniform(0.3, 1, n)
    at_random = rng.random(n) < 0.5
    first = np.floor(rng.random(n) * (1 - part) * count)
    place = np.arange(len(owner)) - curves.offsets[owner]
    inside = (place >= first[owner]) & (place < (first + part * count)[owner])
    keep = np.where(at_random[owner], rng.random(len(owner)) < random[owner], inside)
    enough = np.bincount(owner[keep], minlength=n) >= FEWEST
    return curves.where(keep | ~enough[owner])


def degraded(curves: LightCurves, seed: int) -> LightCurves:
    """Return light curves with fewer observations (`thin`), more noise and other errors.

    Half of them get white noise of up to `NOISIEST` times the errors, which grow with it. Then all errors of a light
    curve are wrong by a factor exp(N(0, `ERROR_FACTOR`)); a fraction `WITHOUT_ERRORS` of the light curves have none.
    """
    curves = thin(curves, seed)
    rng = np.random.default_rng([seed, 1])
    n, owner = len(curves), ragged.owner(curves.offsets)
    error = curves.error.astype(np.float64)
    more = np.where(rng.random(n) < 0.5, rng.uniform(0, NOISIEST, n), 0)[owner]
    noise = np.nan_to_num(error * more) * rng.standard_normal(len(owner))
    factor = np.where(rng.random(n) < WITHOUT_ERRORS, np.nan, np.exp(rng.normal(0, ERROR_FACTOR, n)))[owner]
    error = error * np.hypot(1, more) * factor
    return replace(curves, value=(curves.value + noise).astype(np.float32), error=error.astype(np.float32))


def with_background(data: Labelled, fraction: float, seed: int) -> Labelled:
    """Return labelled light curves and simulated ones of each of `SOURCES`, as many as a fraction of them.

    A simulated light curve has the times of one of the real stars and belongs to the same star, so that a split keeps
    them together; its survey is "simulated".

    Raises
    ------
    ValueError
        If the data have no taxonomy, or it lacks one of the sources.
    """
    if not fraction:
        return data
    if data.label_sets is None or set(SOURCES) - set(data.classes):
        raise ValueError(f"[data] background needs a [taxonomy] with the leaves {', '.join(SOURCES)}")
    real = len(data.label)
    for k, kind in enumerate(SOURCES):
        rng = np.random.default_rng([seed, k])
        rows = np.sort(rng.permutation(real)[: round(fraction * real)])
        data = _with_sources(data, rows, simulated_sources(data.curves[rows], kind, seed + k), kind)
    return data


def _with_sources(data: Labelled, rows: NDArray[np.int64], curves: LightCurves, kind: str) -> Labelled:
    """Append light curves of a kind of source, made from those in ``rows``."""
    sets, n, index = data.label_sets, len(rows), data.classes.index(kind)
    assert sets is not None
    surveys = sets.surveys if SIMULATED in sets.surveys else (*sets.surveys, SIMULATED)
    leaves = np.zeros((n, len(data.classes)), bool)
    leaves[:, index] = True
    joined = sets._replace(
        leaves=np.concatenate([sets.leaves, leaves]),
        name=np.concatenate([sets.name, np.full(n, kind)]),
        survey=np.concatenate([sets.survey, np.full(n, surveys.index(SIMULATED))]),
        surveys=surveys,
        period=np.concatenate([sets.period, np.full(n, np.nan)]),
    )
    return data._replace(
        curves=LightCurves.concat([data.curves, curves]),
        label=np.concatenate([data.label, np.full(n, index)]),
        star=np.concatenate([data.star, data.star[rows]]),
        neighbourhood=np.concatenate([data.neighbourhood, data.neighbourhood[rows]]),
        targets=np.concatenate([data.targets, data.targets[rows]]),
        part=None if data.part is None else np.concatenate([data.part, data.part[rows]]),
        label_sets=joined,
    )


def simulated_sources(curves: LightCurves, kind: str, seed: int) -> LightCurves:
    """Return light curves of one kind of source at the times, in the bands and with the errors of others.

    Parameters
    ----------
    curves : LightCurves
        In magnitudes; unknown errors count as 0.02 mag.
    kind : {"CONSTANT", "AGN", "TRANSIENT"}
        Noise, with drifts and outliers of the photometry; a damped random walk, as sum of sines of its power spectrum
        (time scales of 30 to 1000 d); one rise and exponential decline of 0.5 to 5 mag.
    seed : int

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    if kind not in SOURCES:
        raise ValueError(f"no kind of source {kind!r}; there are {', '.join(SOURCES)}")
    rng = np.random.default_rng(seed)
    signal = {"CONSTANT": _drifts, "AGN": _random_walk, "TRANSIENT": _brightenings}[kind]
    owner, n = ragged.owner(curves.offsets), len(curves)
    error = np.where(curves.error > 0, curves.error, 0.02).astype(np.float64)
    scale = np.exp(rng.normal(0, 0.25, n))[owner]  # errors of surveys are wrong by such factors
    noise = error * scale * rng.standard_normal(len(owner))
    outlier = rng.random(len(owner)) < rng.choice([0.0, 0.0, 0.003, 0.02], n)[owner]
    noise = np.where(outlier, noise * rng.uniform(3, 10, len(owner)), noise)
    level = ragged.median(curves.value, curves.offsets)[owner]
    value = level + noise + signal(curves, error, owner, rng)
    ids = pa.array([f"{name} {kind}" for name in curves.ids])
    return replace(curves, object_id=ids, value=value.astype(np.float32))


def _days(curves: LightCurves, owner: NDArray[np.int64]) -> tuple[Float, Float]:
    """Return times since the first observation (N,) and time spans (n,) in days."""
    first, last = (ragged.extreme(curves.time, curves.offsets, f) for f in (np.minimum, np.maximum))
    return curves.time - first[owner], last - first


def _drifts(curves: LightCurves, error: Float, owner: NDArray[np.int64], rng: np.random.Generator) -> Float:
    """Return slow drifts of the photometry of a third of the light curves, up to twice the noise, (N,)."""
    days, span = _days(curves, owner)
    n = len(curves)
    size = np.where(rng.random(n) < 1 / 3, rng.uniform(0, 2, n), 0) * ragged.mean(error, curves.offsets)
    cycles, phase = rng.uniform(0.3, 3, n), rng.random(n)
    return size[owner] * np.sin(2 * np.pi * (cycles[owner] * days / np.maximum(span, 1)[owner] + phase[owner]))


def _random_walk(curves: LightCurves, error: Float, owner: NDArray[np.int64], rng: np.random.Generator) -> Float:
    """Return damped random walks [mag] (Kelly et al. 2009; MacLeod et al. 2010), (N,)."""
    days, span = _days(curves, owner)
    n = len(curves)
    tau = 10 ** rng.uniform(1.5, 3, n)
    noise = ragged.mean(error, curves.offsets)
    sigma = np.maximum(10 ** rng.uniform(-1.3, -0.3, n), noise * rng.uniform(1, 3, n))
    result = np.zeros(len(owner))
    lowest, highest = 0.1 / np.maximum(span, 1), np.full(n, 0.5)
    for _ in range(FREQUENCIES):  # frequencies uniform in their logarithm, amplitudes from the Lorentzian spectrum
        f = lowest * (highest / lowest) ** rng.random(n)
        power = 4 * sigma**2 * tau / (1 + (2 * np.pi * f * tau) ** 2)  # one-sided
        amplitude = np.sqrt(2 * power * f * np.log(highest / lowest) / FREQUENCIES)
        result += amplitude[owner] * np.cos(2 * np.pi * (f[owner] * days + rng.random(n)[owner]))
    return result


def _brightenings(curves: LightCurves, error: Float, owner: NDArray[np.int64], rng: np.random.Generator) -> Float:
    """Return one brightening per light curve [mag, negative], (N,)."""
    days, _ = _days(curves, owner)
    n = len(curves)
    peak = days[curves.offsets[:-1] + (rng.random(n) * ragged.lengths(curves.offsets)).astype(np.int64)]  # observed
    rise, decline = 10 ** rng.uniform(0, 1.5, n), 10 ** rng.uniform(0.7, 2.3, n)
    height = np.maximum(rng.uniform(0.5, 5, n), 6 * ragged.mean(error, curves.offsets))
    x = days - peak[owner]
    return -height[owner] * np.exp(-np.abs(x) / np.where(x < 0, rise[owner], decline[owner]))
