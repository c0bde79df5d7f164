"""Stationary random processes with a known power spectrum, as functions of a seed and absolute time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from finufft import Plan
from numpy.typing import NDArray
from scipy.special import beta

from goodricke.simulate.source import Float

ACCURACY = 1e-6  # of the nonuniform Fourier transform, relative
MARGIN = 1.3  # the process repeats itself after this many spans or more, so that its ends don't know each other
BEYOND = 2.0  # frequencies up to this many sampling frequencies are made, and aliased as by a camera

Variance = Callable[[int, Float], Float]


def synthesised(
    seed: NDArray[np.uint64], variance: Variance, time: Float, exposure: float, highest: Float | float = np.inf
) -> NDArray[np.float32]:
    """Return Gaussian processes of given power spectra, averaged over exposures.

    Fourier coefficients are drawn on a regular grid of frequencies and summed at the times of observation by a
    nonuniform fast Fourier transform: gaps and irregular times cost no accuracy. The same star observed over the same
    span at another cadence is the same realisation.

    Parameters
    ----------
    seed : ndarray (n,)
    variance : callable
        From a row and edges of frequency bins (K + 1,) [1/d] to the variance in each bin (K,).
    time : ndarray (T,) [d]
    exposure : float [d]
    highest : float or ndarray (n,) [1/d]
        Above it there is no power.

    Returns
    -------
    ndarray (n, T)
        Mean 0.
    """
    length = 2.0 ** np.ceil(np.log2(MARGIN * max(time[-1] - time[0], 1.0)))
    top = np.broadcast_to(np.minimum(highest, BEYOND / _cadence(time)), len(seed))
    phase = 2 * np.pi * (np.mod(time / length, 1.0) - 0.5)
    result = np.empty((len(seed), len(time)), np.float32)
    plans: dict[int, Plan] = {}
    for row, one in enumerate(seed):
        bins = int(2 ** np.ceil(np.log2(max(top[row] * length, 8))))  # few sizes, each planned once
        if bins not in plans:
            plans[bins] = Plan(2, (2 * bins + 1,), eps=ACCURACY, isign=1, nthreads=1)
            plans[bins].setpts(phase)
        edges = (np.arange(bins + 1) + 0.5) / length
        spread = np.sqrt(variance(row, edges)) * np.sinc(np.arange(1, bins + 1) / length * exposure)
        normal = np.random.Generator(np.random.SFC64(int(one))).standard_normal((bins, 2))
        coefficients = np.zeros(2 * bins + 1, np.complex128)
        coefficients[bins + 1 :] = normal.view(np.complex128)[:, 0] * spread
        result[row] = plans[bins].execute(coefficients).real
    return result


def red_noise(
    seed: NDArray[np.uint64], deviation: Float, knee: Float, slope: Float, time: Float, exposure: float
) -> NDArray[np.float32]:
    """Return noise whose power is flat below a knee and falls beyond: 1 / (1 + (f / knee)**slope)**2, (n, T).

    Parameters
    ----------
    deviation, knee, slope : ndarray (n,)
        Standard deviation [relative flux], knee [1/d], slope of the amplitude spectrum.
    """

    def variance(row: int, edges: Float) -> Float:
        middle = (edges[1:] + edges[:-1]) / 2
        shape = 1 / (1 + (middle / knee[row]) ** slope[row]) ** 2
        return deviation[row] ** 2 * shape / _area(slope[row]) / knee[row] * np.diff(edges)

    return synthesised(seed, variance, time, exposure, 30 * knee)


def damped_random_walk(seed: NDArray[np.uint64], tau: Float, time: Float) -> NDArray[np.float32]:
    """Return Ornstein-Uhlenbeck processes of mean 0 and variance 1, exact at any times, (n, T).

    A realisation belongs to its times: unlike `synthesised`, the same seed at other times is another one.

    Parameters
    ----------
    seed : ndarray (n,)
    tau : ndarray (n,) [d]
        Damping time, long beside an exposure: the structure function is 2 (1 - exp(-dt / tau)) (Kelly, Bechtold &
        Siemiginowska 2009, ApJ 698, 895).
    time : ndarray (T,) [d], ascending
    """
    steps = np.stack(
        [np.random.Generator(np.random.SFC64(int(one))).standard_normal(len(time)) for one in seed], axis=1
    )
    decay = np.exp(-np.diff(time)[:, None] / tau)
    steps[1:] *= np.sqrt(-np.expm1(2 * np.log(decay)))
    for now in range(1, len(time)):
        steps[now] += decay[now - 1] * steps[now - 1]
    return np.ascontiguousarray(steps.T, np.float32)


def _cadence(time: Float) -> float:
    return float(np.median(np.diff(time))) if len(time) > 1 else 1.0


def _area(slope: float) -> float:
    """Return the integral of (1 + x**slope)**-2 over all x > 0."""
    return float(beta(1 / slope, 2 - 1 / slope)) / slope
