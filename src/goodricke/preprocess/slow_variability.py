"""What a dense light curve is like before detrending, which takes nine tenths of a rotation in 18 days away.

Detrending spares a network the drifts of a spacecraft, and hides stars that rotate slowly, active nuclei and irregular
giants. These numbers, a part of the network's second input, tell sines of weeks from lines, from drifts and from noise
that grows with time.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from goodricke.preprocess.candidates import harmonic_fits
from goodricke.preprocess.tensors import Frames

Float = NDArray[np.float64]

BIN = 0.25  # d: points are averaged in bins of this
FEWEST_BINS = 8
SLOWEST, FASTEST = 0.03, 1.0  # [1/d], of the fitted sine
FEWEST_CYCLES = 0.75  # in the light curve, of the fitted sine
OVERSAMPLING = 5.0  # tried frequencies per natural width 1 / span
WAVES = 2  # harmonics of the fit
FREQUENCIES = np.geomspace(1 / 32, 0.8, 16)  # [1/d], at which the amplitude is given
LAGS = 2 ** np.arange(7)  # in bins: from 6 hours to 16 days
FAINTEST = 1e-4  # in standard deviations
NUMBERS = (
    "amplitude",  # log10 of the relative standard deviation
    "noise",  # log10 of the scatter from point to point, in standard deviations
    "line",  # variance of the bins that a straight line explains,
    "cubic",  # a polynomial of order 3,
    "sine",  # a sine of the best frequency,
    "harmonics",  # with its harmonic,
    "half",  # and the same of half the frequency
    "frequency",  # log10 of the best frequency [1/d]
    "rest",  # log10 of what the best sine and its harmonic leave, over the noise of a bin
    "skewness",
    "kurtosis",
    *(f"structure_{k}" for k in range(len(LAGS))),  # log10 of the rms change over each lag, in standard deviations
    *(f"amplitude_{k}" for k in range(len(FREQUENCIES))),  # log10 of sines' amplitudes, in standard deviations
)


def slow_numbers(frames: Frames, scale: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return `NUMBERS` of n light curves, float32 (n, len(NUMBERS)), NaN where there is none.

    Parameters
    ----------
    frames : Frames
        Standardised flux, not detrended.
    scale : float64 (n,)
        Its standard deviation before it was standardised, relative to the median flux.
    """
    result = np.full((len(frames), len(NUMBERS)), np.nan, np.float32)
    for i in np.flatnonzero(frames.usable):
        part = slice(frames.offsets[i], frames.offsets[i + 1])
        time, flux = frames.time[part].astype(np.float64), frames.values[part, 0].astype(np.float64)
        with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)
            result[i] = _numbers(time, flux, float(scale[i]))
    return result


def _numbers(time: Float, flux: Float, scale: float) -> Float:
    """Return the numbers of one light curve (N,)."""
    from scipy.stats import kurtosis, skew  # a quarter of the time that importing goodricke.inference would take

    scatter = max(1.4826 * float(np.median(np.abs(np.diff(flux)))) / np.sqrt(2), FAINTEST)
    index = ((time - time[0]) / BIN).astype(np.int64)
    place, counts = np.unique(index, return_counts=True)
    brightness = np.log10([scale, scatter])
    if len(place) < FEWEST_BINS or np.ptp(flux) == 0:
        return np.concatenate([brightness, np.full(len(NUMBERS) - 2, np.nan)])
    start = np.cumsum(counts) - counts
    middle, mean = np.add.reduceat(time, start) / counts, np.add.reduceat(flux, start) / counts
    weight = counts / counts.sum()
    lines = [_polynomial_r2(middle, mean, weight, order) for order in (1, 3)]
    found, fitted = _best_sine(middle, mean, weight)
    bin_noise = scatter * np.sqrt(len(counts) / counts.sum())
    left = np.sqrt(max(1 - found[1], 0.0)) * _deviation(mean, weight)
    rest = np.log10(max(left, FAINTEST) / bin_noise)
    shape = np.arcsinh([skew(mean), kurtosis(mean)])
    sines = harmonic_fits(middle, mean, weight, FREQUENCIES, 1).coefficients
    amplitudes = np.log10(np.maximum(np.hypot(sines[:, 1], sines[:, 2]), FAINTEST))
    changes = _structure(place, mean)
    return np.concatenate([brightness, lines, found, [fitted, rest], shape, changes, amplitudes])


def _best_sine(time: Float, value: Float, weight: Float) -> tuple[Float, float]:
    """Return the variances explained by the best sine, with its harmonic, and with half its frequency; log10 of it."""
    span = np.ptp(time)
    lowest = max(SLOWEST, FEWEST_CYCLES / span)
    frequency = np.arange(lowest, max(FASTEST, 2 * lowest), 1 / (OVERSAMPLING * span))
    best = frequency[harmonic_fits(time, value, weight, frequency, 1).r2[:, 0].argmax()]
    fit = harmonic_fits(time, value, weight, np.array([best, best / 2]), WAVES)
    return np.clip([fit.r2[0, 0], fit.r2[0, -1], fit.r2[1, -1]], 0, 1), float(np.log10(best))


def _polynomial_r2(time: Float, value: Float, weight: Float, order: int) -> float:
    """Return the fraction of the variance that a polynomial explains."""
    x = 2 * (time - time[0]) / np.ptp(time) - 1
    root = np.sqrt(weight)
    matrix = np.polynomial.legendre.legvander(x, order) * root[:, None]
    rest = value * root - matrix @ np.linalg.lstsq(matrix, value * root, rcond=None)[0]
    return float(np.clip(1 - (rest**2).sum() / _deviation(value, weight) ** 2, 0, 1))


def _deviation(value: Float, weight: Float) -> float:
    """Return the weighted standard deviation."""
    return float(np.sqrt((weight * (value - (weight * value).sum()) ** 2).sum()))


def _structure(place: NDArray[np.int64], value: Float) -> Float:
    """Return log10 of the root mean square change over each lag, NaN where no two bins are that far apart."""
    grid = np.full(place[-1] + 1, np.nan) if place[-1] < 100_000 else np.full(1, np.nan)
    if len(grid) > 1:
        grid[place] = value
    changes = [np.nanmean((grid[lag:] - grid[:-lag]) ** 2) if lag < len(grid) else np.nan for lag in LAGS]
    return np.log10(np.maximum(np.sqrt(changes), FAINTEST))
