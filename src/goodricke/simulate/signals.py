"""The building blocks of variability, as functions of seeds and absolute time: events, noise, sums of sinusoids.

A process is the same whenever and in whatever window it is evaluated, so that other observations of a star show the
same star.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from finufft import Plan
from numpy.typing import NDArray
from scipy.special import beta

from goodricke.data.splitmix import STEP, derive_keys, splitmix64
from goodricke.simulate.source import Float, Truth

Variance = Callable[[int, Float], Float]
Modes = tuple[Float, Float, Float]  # frequency [1/d], amplitude [relative flux], phase [cycles], (n, k) each

CANDIDATES = 8  # events per mean interval, each with the chance 1 / 8: nearly a Poisson process
ACCURACY = 1e-6  # of the nonuniform Fourier transform, relative
PERIODICITY = 1.3  # spans after which a process repeats itself at the earliest, so that its ends are independent
HIGHEST_FREQUENCY = 2.0  # in units of the sampling frequency; frequencies beyond half of it are aliased as by a camera
CHUNK = 1 << 18  # modes times observations in memory at once


def uniforms(seed: np.uint64 | int, index: NDArray[np.integer], count: int) -> Float:
    """Return ``count`` random numbers in (0, 1) per index, functions of seed and index, (count, *index.shape)."""
    words = splitmix64(index.astype(np.int64).view(np.uint64) * np.uint64(STEP) + np.uint64(seed))
    bits = derive_keys(splitmix64(words + np.uint64(1)), count) >> np.uint64(11)
    return (bits.astype(np.float64) + 0.5) * 2.0**-53


def events(seed: np.uint64 | int, rate: float, start: float, stop: float, marks: int) -> tuple[Float, Float]:
    """Return the events of a random process between two times.

    Parameters
    ----------
    seed : int
    rate : float [1/d]
    start, stop : float [d]
    marks : int
        Random numbers per event.

    Returns
    -------
    time : ndarray (e,) [d]
        Ascending.
    marks : ndarray (marks, e)
        Uniform in (0, 1).
    """
    index = np.arange(np.floor(start * rate) * CANDIDATES, (np.floor(stop * rate) + 1) * CANDIDATES).astype(np.int64)
    random = uniforms(seed, index, marks + 2)
    time = (index // CANDIDATES + random[0]) / rate
    happens = (random[1] < 1 / CANDIDATES) & (time >= start) & (time <= stop)
    order = np.argsort(time[happens])
    return time[happens][order], random[2:, happens][:, order]


def gaussian_noise(
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
    length = 2.0 ** np.ceil(np.log2(PERIODICITY * max(time[-1] - time[0], 1.0)))
    top = np.broadcast_to(np.minimum(highest, HIGHEST_FREQUENCY / _cadence(time)), len(seed))
    phase = 2 * np.pi * (np.mod(time / length, 1.0) - 0.5)
    result = np.empty((len(seed), len(time)), np.float32)
    plans: dict[int, Plan] = {}
    for row, star_seed in enumerate(seed):
        bins = int(2 ** np.ceil(np.log2(max(top[row] * length, 8))))  # few sizes, planned once
        if bins not in plans:
            plans[bins] = Plan(2, (2 * bins + 1,), eps=ACCURACY, isign=1, nthreads=1)
            plans[bins].setpts(phase)
        edges = (np.arange(bins + 1) + 0.5) / length
        spread = np.sqrt(variance(row, edges)) * np.sinc(np.arange(1, bins + 1) / length * exposure)
        normal = _standard_normal(star_seed, (bins, 2))
        coefficients = np.zeros(2 * bins + 1, np.complex128)
        coefficients[bins + 1 :] = normal.view(np.complex128)[:, 0] * spread
        result[row] = plans[bins].execute(coefficients).real
    return result


def red_noise(
    seed: NDArray[np.uint64], deviation: Float, knee: Float, slope: Float, time: Float, exposure: float
) -> NDArray[np.float32]:
    """Return noise with the power spectrum 1 / (1 + (f / knee)**slope)**2, (n, T).

    Parameters
    ----------
    deviation, knee, slope : ndarray (n,)
        Standard deviation [relative flux], knee [1/d], slope of the amplitude spectrum.
    """

    def variance(row: int, edges: Float) -> Float:
        middle = (edges[1:] + edges[:-1]) / 2
        shape = 1 / (1 + (middle / knee[row]) ** slope[row]) ** 2
        return deviation[row] ** 2 * shape / _area(slope[row]) / knee[row] * np.diff(edges)

    return gaussian_noise(seed, variance, time, exposure, 30 * knee)


def damped_random_walk(seed: NDArray[np.uint64], tau: Float, time: Float) -> NDArray[np.float32]:
    """Return Ornstein-Uhlenbeck processes of mean 0 and variance 1, exact at any times, (n, T).

    Unlike `gaussian_noise`, the same seed at other times is another realisation.

    Parameters
    ----------
    seed : ndarray (n,)
    tau : ndarray (n,) [d]
        Damping time, long compared with an exposure. The structure function is 2 (1 - exp(-dt / tau)) (Kelly, Bechtold
        & Siemiginowska 2009, ApJ 698, 895).
    time : ndarray (T,) [d], ascending
    """
    steps = np.stack([_standard_normal(star_seed, len(time)) for star_seed in seed], axis=1)
    decay = np.exp(-np.diff(time)[:, None] / tau)
    steps[1:] *= np.sqrt(-np.expm1(2 * np.log(decay)))
    for k in range(1, len(time)):
        steps[k] += decay[k - 1] * steps[k - 1]
    return np.ascontiguousarray(steps.T, np.float32)


def _standard_normal(seed: np.uint64, shape: int | tuple[int, ...]) -> Float:
    return np.random.Generator(np.random.SFC64(int(seed))).standard_normal(shape)


def _cadence(time: Float) -> float:
    return float(np.median(np.diff(time))) if len(time) > 1 else 1.0


def _area(slope: float) -> float:
    """Return the integral of (1 + x**slope)**-2 over all x > 0."""
    return float(beta(1 / slope, 2 - 1 / slope)) / slope


def sinusoids(time: Float, frequency: Float, amplitude: Float, phase: Float, exposure: float) -> NDArray[np.float32]:
    """Return sums of a cos 2 pi (f t + phase), averaged over exposures, that is times sinc(f exposure).

    Parameters
    ----------
    time : ndarray (T,) [d]
    frequency, amplitude, phase : ndarray (n, k) [1/d, any, cycles]
        Rows with fewer than k have NaN as frequency.
    exposure : float [d]

    Returns
    -------
    ndarray (n, T)
        In the amplitude's unit. Phases are reduced in float64, cosines taken in float32.
    """
    result = np.zeros((len(frequency), len(time)), np.float32)
    for row, f, a, p in zip(result, frequency, amplitude, phase, strict=True):
        real = np.isfinite(f)
        f, p, a = f[real], p[real], (a[real] * np.sinc(f[real] * exposure)).astype(np.float32)
        step = max(CHUNK // max(len(f), 1), 1)
        for start in range(0, len(time), step):
            cycles = np.multiply.outer(f, time[start : start + step])
            cycles += p[:, None]
            cycles -= np.rint(cycles)
            angle = (2 * np.pi * cycles).astype(np.float32)
            row[start : start + step] = np.einsum("k,kt->t", a, np.cos(angle, out=angle))
    return result


def mode_parameters(modes: Modes) -> Truth:
    """Return modes under the names that they have among true parameters."""
    return dict(zip(("frequency", "mode_amplitude", "mode_phase"), modes, strict=True))


def mode_set(truth: Truth) -> Modes:
    """Return the modes among true parameters."""
    return truth["frequency"], truth["mode_amplitude"], truth["mode_phase"]


def mode_flux(truth: Truth, time: Float, exposure: float) -> NDArray[np.float32]:
    """Return the sum of the modes among true parameters, averaged over exposures, (n, T) [relative flux]."""
    return sinusoids(time, truth["frequency"], truth["mode_amplitude"], truth["mode_phase"], exposure)


def strongest_modes(count: NDArray, maximum: int, modes: Modes) -> Modes:
    """Return the ``count`` (n,) strongest modes of each row, strongest first, padded with NaN to (n, maximum)."""
    frequency, amplitude, phase = modes
    order = np.argsort(-np.where(np.isfinite(frequency), amplitude, -np.inf), axis=1, kind="stable")
    order = order[:, :maximum]
    f, a, p = (np.take_along_axis(values, order, axis=1) for values in (frequency, amplitude, phase))
    spare = ~np.isfinite(f) | (np.arange(f.shape[1]) >= np.asarray(count)[:, None])
    return np.where(spare, np.nan, f), np.where(spare, np.nan, a), np.where(spare, np.nan, p)


def add_combinations(modes: Modes, nonlinearity: Float, parents: int = 4) -> Modes:
    """Add the combination frequencies of a nonlinear response ``x + nonlinearity x**2`` to the strongest modes x.

    Harmonics, sums and differences of the first ``parents`` columns have the amplitudes and phases that
    make the maxima sharp (nonlinearity > 0) or the minima [1]_.

    References
    ----------
    .. [1] Kurtz et al. 2015, MNRAS 450, 3015
    """
    f, a, p = (values[:, :parents] for values in modes)
    i, j = np.triu_indices(f.shape[1])
    product = nonlinearity[:, None] * a[:, i] * a[:, j] * np.where(i == j, 0.5, 1.0)
    different = i != j
    sums = f[:, i] + f[:, j], product, p[:, i] + p[:, j]
    differences = (f[:, i] - f[:, j])[:, different], product[:, different], (p[:, i] - p[:, j])[:, different]
    sign = np.where(differences[0] < 0, -1.0, 1.0)
    differences = differences[0] * sign, differences[1], differences[2] * sign
    f, a, p = join_modes(modes, sums, differences)
    return f, np.abs(a), np.where(a < 0, p + 0.5, p)


def scale_modes(modes: Modes, largest: Float) -> Modes:
    """Scale amplitudes (n, k) so that the largest of each row is ``largest`` (n,)."""
    f, a, p = modes
    top = np.fmax.reduce(a, axis=1, initial=0.0)
    return f, a * np.divide(largest, top, out=np.zeros_like(top), where=top > 0)[:, None], p


def join_modes(*sets: Modes) -> Modes:
    """Return several sets of modes of the same stars as one."""
    f, a, p = (np.concatenate(values, axis=1) for values in zip(*sets, strict=True))
    return f, a, p
