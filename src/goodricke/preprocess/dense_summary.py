"""What a dense light curve is like as a whole, as a second input of a network: amplitude spectrum and a few numbers.

The network's first input is standardised flux, which has lost amplitude and noise, and from which periods of minutes to
weeks have to be learned point by point. The summary gives them outright.
"""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
from numpy.typing import NDArray

from goodricke.preprocess.candidates import HARMONICS, harmonic_fits
from goodricke.preprocess.periods import PeriodSearch, periodogram
from goodricke.preprocess.tensors import Frames

Float = NDArray[np.float64]

LOWEST, HIGHEST = 0.03, 24.5  # range of the spectrum [1/d]; half-hour light curves end at 24
KNEE = 0.5  # [1/d]: bins are equally wide below, equally wide in log frequency above
OVERSAMPLING = 4.0  # frequencies per natural width 1 / span
FAINTEST = 1e-4  # amplitudes and scatter below this, in standard deviations of the flux, count as this
SPECTRA = 2  # per light curve: the highest and the root mean square amplitude in each bin
QUANTILES = (0.01, 0.05, 0.25, 0.75, 0.95, 0.99)
NUMBERS = (
    "amplitude",  # log10 of the detrended flux's relative standard deviation
    "scatter",  # log10 from point to point, in standard deviations
    "noise",  # log10 of the same, relative to the star's flux
    "trend",  # log10 of the standard deviation before detrending over that after it
    "frequency",  # log10 of the highest peak's [1/d]
    "peak",  # log10 of its amplitude, in standard deviations
    "sine",  # variance that a sine of this frequency explains,
    "harmonics",  # that with harmonics,
    "half",  # and that of half the frequency
    "alternation",  # log10 of the amplitudes at 1/2 and 3/2 of the frequency over that at the frequency
    "overtone",  # log10 of the amplitude at twice the frequency over that at the frequency
    "second",  # log10 of the highest peak's frequency in the rest,
    "second_peak",  # and of its amplitude
    "skewness",
    "kurtosis",
    "step_skewness",  # of the differences between neighbours
    "step_kurtosis",
    *(f"quantile_{round(100 * q):02d}" for q in QUANTILES),
)


def width(bins: int) -> int:
    """Return how many numbers a summary with spectra of so many bins has; none without a spectrum."""
    return SPECTRA * bins + len(NUMBERS) if bins else 0


@cache
def bin_edges(bins: int) -> Float:
    """Return the edges [1/d] of the bins of a spectrum, (bins + 1,): evenly spaced in arcsinh(f / KNEE)."""
    return KNEE * np.sinh(np.linspace(np.arcsinh(LOWEST / KNEE), np.arcsinh(HIGHEST / KNEE), bins + 1))


def summaries(frames: Frames, raw_scale: NDArray[np.float64], bins: int) -> NDArray[np.float32]:
    """Return the summaries of n light curves, (n, `width`), NaN where there is none.

    Parameters
    ----------
    frames : Frames
        Standardised, detrended flux.
    raw_scale : float64 (n,)
        As ``frames.scale``, before detrending.
    bins : int
        Of the spectrum.

    Returns
    -------
    float32 (n, width)
        The logarithms of the highest amplitudes by bin, of their root mean squares, then `NUMBERS`. Amplitudes are
        those of sines, in standard deviations of the flux.
    """
    result = np.full((len(frames), width(bins)), np.nan, np.float32)
    scale = np.full(len(frames), np.nan) if frames.scale is None else frames.scale
    for i in np.flatnonzero(frames.usable):
        part = slice(frames.offsets[i], frames.offsets[i + 1])
        time, flux = frames.time[part].astype(np.float64), frames.values[part, 0].astype(np.float64)
        with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)
            result[i] = _summary(time, flux, float(scale[i]), float(raw_scale[i]), bins)
    return result


def _summary(time: Float, flux: Float, scale: float, raw_scale: float, bins: int) -> Float:
    """Return the summary of one light curve (N,)."""
    from scipy.stats import kurtosis, skew  # a quarter of the time that importing goodricke.inference would take

    spectrum = _amplitudes(time, flux)
    steps = np.diff(flux)
    scatter = max(1.4826 * float(np.median(np.abs(steps - np.median(steps)))) / np.sqrt(2), FAINTEST)
    brightness = np.log10([scale, scatter, scatter * scale, raw_scale / scale])
    shape = np.arcsinh([skew(flux), kurtosis(flux), skew(steps), kurtosis(steps)])
    quantiles = np.quantile(flux, QUANTILES)
    quantiles = np.sign(quantiles) * np.log10(1 + np.abs(quantiles))
    if spectrum is None:
        missing = np.full(SPECTRA * bins, np.nan), brightness, np.full(9, np.nan)
        return np.concatenate([*missing, shape, quantiles])
    return np.concatenate([*_binned(*spectrum, bins), brightness, _peaks(time, flux, *spectrum), shape, quantiles])


def _amplitudes(time: Float, flux: Float) -> tuple[Float, Float] | None:
    """Return frequencies [1/d] and the amplitudes of sines at them, in standard deviations; None without a search."""
    search = PeriodSearch(shortest=1 / HIGHEST, oversampling=OVERSAMPLING)
    found = periodogram(time, flux.astype(np.float32), np.full(len(time), np.nan, np.float32), search)
    return None if found is None else (found.frequency, np.sqrt(2 * np.maximum(found.power, 0)) * flux.std())


def _binned(frequency: Float, amplitude: Float, bins: int) -> tuple[Float, Float]:
    """Return log10 of the highest amplitude of each bin and of its root mean square; narrow bins are interpolated."""
    edges = bin_edges(bins)
    middle = np.interp((edges[1:] + edges[:-1]) / 2, frequency, amplitude)
    place = np.searchsorted(frequency, edges)
    count = np.diff(place)
    total = np.concatenate([[0.0], np.cumsum(amplitude**2)])
    rms = np.where(count > 0, np.sqrt(np.maximum(np.diff(total[place]), 0) / np.maximum(count, 1)), middle)
    padded = np.append(amplitude, 0.0)
    highest = np.maximum(np.where(count > 0, np.maximum.reduceat(padded, place[:-1]), 0), middle)
    return np.log10(np.maximum(highest, FAINTEST)), np.log10(np.maximum(rms, FAINTEST))


def _peaks(time: Float, flux: Float, frequency: Float, amplitude: Float) -> Float:
    """Return the nine numbers from ``frequency`` to ``second_peak``."""
    best = int(amplitude.argmax())
    at = np.array([frequency[best], frequency[best] / 2])
    fit = harmonic_fits(time, flux, np.full(len(time), 1 / len(time)), at)
    strength = np.hypot(fit.coefficients[:, 1::2], fit.coefficients[:, 2::2]) + FAINTEST  # (2, H)
    cycles = at[0] * time
    angle = 2 * np.pi * np.multiply.outer(cycles - np.floor(cycles), np.arange(1, HARMONICS + 1))
    c = fit.coefficients[0]
    rest = _amplitudes(time, flux - np.cos(angle) @ c[1::2] - np.sin(angle) @ c[2::2])
    second, second_peak = (np.nan, np.nan)
    if rest is not None:
        k = int(rest[1].argmax())
        second, second_peak = np.log10(rest[0][k]), np.log10(max(rest[1][k], FAINTEST))
    alternation = np.log10((strength[1, 0] + strength[1, 2]) / strength[1, 1])
    overtone = np.log10(strength[0, 1] / strength[0, 0])
    explained = fit.r2[0, 0], fit.r2[0, -1], fit.r2[1, -1]
    peak = np.log10(max(amplitude[best], FAINTEST))
    return np.array([np.log10(at[0]), peak, *explained, alternation, overtone, second, second_peak])
