"""The dominant variability of a light curve: frequency f1, amplitude A1, and whether it is more than noise.

What section 7 of the ASTRAFier paper holds a catalog against: the network was told neither of them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from goodricke import ragged
from goodricke.lightcurves import LightCurves
from goodricke.preprocess.cleaning import (
    align_bands,
    band_statistics,
    clip_outliers,
    distinct_points,
    finite_points,
    judge,
)
from goodricke.preprocess.periods import Periodogram, PeriodSearch, periodogram

MAGNITUDES = 2.5 / np.log(10)  # in a relative change of flux
EVEN = 0.5  # share of steps within a tenth of the median step that makes a light curve evenly sampled

Float = NDArray[np.float64]


class Limits(BaseModel):
    """Where to look for frequencies: from one cycle in the light curve's span upwards.

    An evenly sampled light curve (most steps within a tenth of the median step) has a Nyquist frequency, half its
    sampling rate; it is the upper limit, or ``highest_even`` if lower. Uneven sampling has none: ``highest`` holds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    highest: float = Field(20.0, gt=0, description="of unevenly sampled light curves [1/d]")
    highest_even: float = Field(80.0, gt=0, description="of evenly sampled light curves [1/d]")
    oversampling: float = Field(3.0, ge=1, description="frequencies per natural width 1 / span")
    fewest: int = Field(10, ge=5, description="observations below which an object is TOO_FEW_POINTS")
    bins: int = Field(1500, ge=2, description="of the stored amplitude spectra, spaced evenly in log frequency")
    bins_from: float = Field(0.0005, gt=0, description="lower edge of the first bin [1/d]")
    bins_to: float = Field(80.0, gt=0, description="upper edge of the last bin [1/d]")

    @property
    def edges(self) -> Float:
        """Edges (bins + 1,) of the bins of a stored spectrum [1/d]."""
        return np.geomspace(self.bins_from, self.bins_to, self.bins + 1)


class Dominant(NamedTuple):
    """What `dominant_variability` found, one entry per light curve, NaN where there is nothing."""

    status: NDArray[np.str_]  # (n,) see `goodricke.predictions.Status`
    f1: Float  # (n,) [1/d]
    A1: Float  # (n,) semi-amplitude of the sine at f1 [mag]; of fluxes 1.0857 times the relative one
    power: Float  # (n,) normalised Lomb-Scargle power at f1, 0 to 1
    log10_fap: Float  # (n,) log10 of the false-alarm probability against white noise
    snr: Float  # (n,) amplitude of the highest peak over the spectrum's mean
    f_max: Float  # (n,) highest frequency searched [1/d]
    span: Float  # (n,) [d]
    n_used: NDArray[np.int64]  # (n,) observations
    spectra: list[NDArray[np.float16] | None]  # amplitude spectra (bins,) [mag] of those that were to be drawn


def dominant_variability(
    curves: LightCurves, limits: Limits | None = None, drawn: NDArray[np.bool_] | None = None
) -> Dominant:
    """Find frequency and amplitude of the strongest sine in each light curve.

    Parameters
    ----------
    curves : LightCurves
        n light curves in magnitudes or flux, in any order of time. Several bands are searched together, each less
        its median (and divided by it, if fluxes), weighted by their errors where all are known.
    limits : Limits, optional
    drawn : bool (n,), optional
        Of which light curves to keep the amplitude spectrum.

    Returns
    -------
    Dominant
        One entry per light curve, in order, whatever its state.

    Notes
    -----
    The highest peak of the Lomb-Scargle periodogram (3 frequencies per natural width), refined by a parabola through
    its three highest points; A1 by least squares at that frequency, with a mean of each band. Eclipsing binaries are
    found at twice their orbital frequency. Fluxes whose median is not positive (differences) have an f1 but no A1.
    """
    limits = limits or Limits()
    drawn = np.zeros(len(curves), bool) if drawn is None else drawn
    distinct = distinct_points(finite_points(curves)).sorted()
    level, relative = _in_relative_magnitudes(distinct)
    cleaned = clip_outliers(align_bands(relative), sigma=10, rounds=5)
    status = judge(curves, cleaned, limits.fewest)
    numbers = np.full((7, len(curves)), np.nan)
    spectra: list[NDArray[np.float16] | None] = [None] * len(curves)
    for i in np.flatnonzero(status == "OK"):
        found = _strongest(cleaned, int(i), limits, bool(drawn[i]))
        if found is None:
            status[i] = "NO_PERIOD"
            continue
        numbers[:, i], spectra[i] = found
    numbers[1, ~level] = np.nan
    f1, amplitude, power, fap, snr, f_max, span = numbers
    return Dominant(status, f1, amplitude, power, fap, snr, f_max, span, cleaned.n_obs, spectra)


def _in_relative_magnitudes(curves: LightCurves) -> tuple[NDArray[np.bool_], LightCurves]:
    """Return which light curves (n,) can be in magnitudes, and all of them, those so (fluxes about their median)."""
    if curves.in_magnitudes:
        return np.ones(len(curves), bool), curves
    level, _ = band_statistics(curves)  # (n, bands)
    positive = np.asarray(((level > 0) | np.isnan(level)).all(1))
    own = level[ragged.owner(curves.offsets), curves.band]
    able = ragged.spread(positive, curves.offsets)
    scale = np.where(able, MAGNITUDES / np.where(able, own, 1), 1.0)
    value = np.where(able, curves.value - own, curves.value) * scale
    return positive, replace(curves, value=value.astype(np.float32), error=(curves.error * scale).astype(np.float32))


def _strongest(
    curves: LightCurves, i: int, limits: Limits, drawn: bool
) -> tuple[tuple[float, ...], NDArray[np.float16] | None] | None:
    """Return f1, A1, power, log10 false-alarm probability, SNR, limit and span of one light curve, and its spectrum."""
    part = slice(curves.offsets[i], curves.offsets[i + 1])
    time, value, error, band = curves.time[part], curves.value[part], curves.error[part], curves.band[part]
    f_max = highest_frequency(time, limits)
    spectrum = periodogram(time, value, error, _search(1 / f_max, limits.oversampling))
    if spectrum is None:
        return None
    f1, power = _peak(spectrum)
    span = float(np.ptp(time))
    fap = log10_false_alarm(power, len(time), float(np.std(time)), float(spectrum.frequency[-1]))
    root = np.sqrt(np.maximum(spectrum.power, 0))
    amplitude = sine_amplitude(time, value, error, band, f1)
    numbers = (f1, amplitude, power, fap, float(root.max() / root.mean()), f_max, span)
    scale = amplitude / root.max()  # so that the stored peak is A1
    return numbers, _binned(spectrum.frequency, root * scale, limits) if drawn else None


def highest_frequency(time: Float, limits: Limits) -> float:
    """Return up to where to search the frequencies of a light curve in order of time [1/d]; see `Limits`."""
    steps = np.diff(time)
    steps = steps[steps > 0]
    if not len(steps):
        return limits.highest
    usual = float(np.median(steps))
    even = np.mean(np.abs(steps - usual) < 0.1 * usual) > EVEN
    return min(0.5 / usual, limits.highest_even) if even else limits.highest


def sine_amplitude(
    time: Float,
    value: NDArray[np.floating],
    error: NDArray[np.floating],
    band: NDArray[np.integer],
    frequency: float,
) -> float:
    """Return the semi-amplitude of the sine of a frequency [1/d] that fits best, with a mean of each band."""
    _, band = np.unique(band, return_inverse=True)
    angle = 2 * np.pi * frequency * (time - time[0])
    design = np.column_stack([np.cos(angle), np.sin(angle), np.eye(int(band.max()) + 1)[band]])
    known = np.isfinite(error).all() and (error > 0).all()
    weight = 1 / error.astype(np.float64) if known else np.ones(len(time))
    solution, *_ = np.linalg.lstsq(design * weight[:, None], value * weight, rcond=None)
    return float(np.hypot(*solution[:2]))


def log10_false_alarm(power: float, n: int, deviation: float, highest: float) -> float:
    """Return log10 of the probability that white noise has a peak so high anywhere up to ``highest`` [1/d].

    Parameters
    ----------
    power : float
        Normalised Lomb-Scargle power, 0 to 1.
    n : int
        Observations, at least 5.
    deviation : float
        Standard deviation of the times [d].
    highest : float

    Notes
    -----
    Baluev (2008, MNRAS 385, 1279), for a periodogram with a free mean. Variability at low frequencies that is no sine
    (red noise, flares, trends) is "significant" by it too.
    """
    from scipy.special import gammaln

    power = min(power, 1 - 1e-15)
    rest, degrees = np.log1p(-power), n - 1
    gamma = 0.5 * np.log(2 / degrees) + gammaln(degrees / 2) - gammaln((degrees - 1) / 2)
    width = highest * np.sqrt(4 * np.pi) * deviation
    log_tau = np.log(width) + gamma + 0.5 * (n - 4) * rest + 0.5 * np.log(0.5 * degrees * max(power, 1e-300))
    log_single = 0.5 * (n - 3) * rest
    if max(log_tau, log_single) < -20:  # where 1 - (1 - a) exp(-b) is a + b and rounds to 0
        return float(np.logaddexp(log_single, log_tau) / np.log(10))
    chance = -np.expm1(np.log1p(-min(np.exp(log_single), 1 - 1e-16)) - np.exp(min(log_tau, 700)))
    return float(np.log10(max(chance, 1e-300)))


@lru_cache(256)
def _search(shortest: float, oversampling: float) -> PeriodSearch:
    return PeriodSearch(shortest=shortest, oversampling=oversampling)


def _peak(spectrum: Periodogram) -> tuple[float, float]:
    """Return frequency [1/d] and power of the highest peak, by a parabola through its three highest points."""
    frequency, power = spectrum
    k = int(power.argmax())
    highest = float(np.clip(power[k], 0, 1))
    if k in (0, len(power) - 1):
        return float(frequency[k]), highest
    left, middle, right = power[k - 1 : k + 2]
    bend = left - 2 * middle + right
    if bend >= 0:
        return float(frequency[k]), highest
    shift = 0.5 * (left - right) / bend
    return float(frequency[k] + shift * (frequency[1] - frequency[0])), highest


def _binned(frequency: Float, amplitude: Float, limits: Limits) -> NDArray[np.float16]:
    """Return the highest amplitude in each bin; between two frequencies of the grid, that of a line through them."""
    edges = limits.edges
    centres = np.sqrt(edges[1:] * edges[:-1])
    result = np.interp(centres, frequency, amplitude, left=np.nan, right=np.nan)
    which = np.searchsorted(edges, frequency, side="right") - 1
    inside = (which >= 0) & (which < limits.bins)
    if inside.any():
        first = np.flatnonzero(np.diff(which[inside], prepend=-1))
        result[which[inside][first]] = np.maximum.reduceat(amplitude[inside], first)
    return result.astype(np.float16)
