"""Sparse light curves of variable stars for `goodricke.models.variables`: a fold and numbers at each candidate period.

The bands of a star are brought to one amplitude and joined (`goodricke.preprocess.candidates`), so that a model knows
one band or several of any survey by their shape. Nothing else that would identify the survey is computed: neither
brightness, colours, positions, the time span nor the number of observations.

Each candidate period gives a folded light curve in `VariablesConfig.bins` phase bins, faintest at phase 0, with three
numbers per bin (mean brightness, scatter, and whether there are observations), and the numbers of `CANDIDATE`; a star
has those of `STAR`. A second period, of a double-mode pulsator or of a modulation, shows in the residuals of the first.
"""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from threadpoolctl import threadpool_limits

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.preprocess.candidates import (
    HARMONICS,
    CandidateSearch,
    HarmonicFits,
    Joined,
    false_alarm_probability,
    find_candidates,
    harmonic_fits,
    highest_peaks,
    join_bands,
    period_uncertainty,
)
from goodricke.preprocess.cleaning import cleaning_status, distinct_points, finite_points
from goodricke.preprocess.config import PreprocessingConfig
from goodricke.preprocess.folded import MOST_NONPOSITIVE, in_magnitudes, nonpositive_fraction
from goodricke.preprocess.tensors import CandidatePeriods, Frames

Float = NDArray[np.float64]

QUANTILES = (0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98)
INTERVALS = (0.02, 0.3, 1.5, 5.0, 20.0, 80.0, 300.0)  # [d] edges of the bins of the structure function
SEPARATIONS = (1, 2, 3, 5, 8, 13, 21, 34)  # places between the paired observations of the structure function
FEWEST_PAIRS = 5  # in a bin of the structure function
MOST_CYCLES = 1.5  # log10 of the cycles in the light curve is clipped here: a star has many, whatever the survey

STAR = (
    "log10 amplitude [mag]",
    "log10 noise to signal",
    *(f"quantile {q}" for q in (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)),
    "von Neumann eta",
    "log10 kurtosis",
    "fraction beyond 2 sigma",
    *(f"log10 structure function at {a} to {b} d" for a, b in pairwise(INTERVALS)),
    "log10 reduced chi-square",
    "log10 ratio of second frequency and first",
    "residual power at second frequency",
    "log10 variance at second frequency",
    "window power at second frequency",
    "log10 ratio of third frequency and first",
    "residual power at third frequency",
)
CANDIDATE = (
    "log10 period [d]",
    "log10 cycles",
    *(f"-log10 unexplained variance, {h} harmonics" for h in range(1, HARMONICS + 1)),
    "log10 score below the best",
    "log10 frequency over the best",
    *(f"amplitude ratio {k}1" for k in (2, 3, 4)),
    *(f"{f} phase difference {k}1" for k in (2, 3, 4) for f in ("cos", "sin")),
    "log10 amplitude of first harmonic [mag]",
    "log10 residual variance over noise",
    "window power at frequency",
    "window power at twice the frequency",
    "von Neumann eta of the fold",
    "fraction of phase bins with observations",
    "largest gap in phase",
    "mean squared difference of the halves",
)


class VariablesConfig(PreprocessingConfig):
    """How candidate periods are found and folded; part of a model's bundle."""

    family: ClassVar[str] = "variables"
    columns: ClassVar[tuple[str, ...]] = ()  # per-object context columns: none

    kind: Literal["variables"] = "variables"
    bins: int = Field(64, ge=16, multiple_of=8, description="phase bins of a fold")
    fewest: int = Field(10, ge=5, description="observations below which an object is TOO_FEW_POINTS")
    search: CandidateSearch = CandidateSearch()

    @property
    def channels(self) -> int:
        """Numbers per phase bin (mean brightness, scatter, whether there are observations)."""
        return 3

    @property
    def star(self) -> int:
        """Numbers that describe a star."""
        return len(STAR)

    @property
    def candidate(self) -> int:
        """Numbers that describe a star at a candidate period."""
        return len(CANDIDATE)

    @property
    def context(self) -> int:
        """Numbers per object, of the star and then of each candidate."""
        return self.star + self.search.number * self.candidate


class Description(NamedTuple):
    """The input of the network for one star."""

    folds: NDArray[np.float32]  # (K, bins, 3)
    context: NDArray[np.float32]  # (star + K candidate,)
    error: Float  # (K,) uncertainties of the periods [d]


class Series(NamedTuple):
    """One star with its bands joined, N observations."""

    time: Float  # (N,) [d] from the first
    value: Float  # (N,) magnitude with mean 0 and variance 1, both weighted
    weight: Float  # (N,) sum 1
    error: Float  # (N,) of the value, NaN where unknown
    scale: float  # of the value [mag]


@threadpool_limits.wrap(limits=1, user_api="blas")  # thousands of small products: threads only wait for each other
def prepare(curves: LightCurves, config: VariablesConfig) -> Frames:
    """Find candidate periods of light curves and describe the star at each.

    Parameters
    ----------
    curves : LightCurves
        In magnitudes or positive flux, in one band or several.
    config : VariablesConfig

    Returns
    -------
    Frames
        Values (n K bins, 3): the folds. Context (n, star + K candidate): `STAR`, then `CANDIDATE` for each of K
        candidates, NaN where unknown. ``candidates``: the periods, the best first. ``period``: the best one.
    """
    nonpositive = nonpositive_fraction(curves)
    curves = in_magnitudes(curves)
    distinct = distinct_points(finite_points(curves)).sorted()
    joined = join_bands(distinct)
    inside = np.zeros(len(distinct.time), bool)
    inside[joined.row] = True
    found = find_candidates(joined, config.search)
    status = cleaning_status(curves, distinct.where(inside), config.fewest)
    status = np.where((status == "OK") & (nonpositive >= MOST_NONPOSITIVE), "NOT_POSITIVE", status)
    status = np.where((status == "OK") & ~np.isfinite(found.period[:, 0]), "NO_PERIOD", status)
    usable, number = status == "OK", config.search.number
    period = np.where(usable[:, None], found.period, np.nan)
    context = np.zeros((len(curves), config.context), np.float32)
    folds = np.zeros((usable.sum(), number, config.bins, config.channels), np.float32)
    error, alarm = np.full((len(curves), number), np.nan), np.full(len(curves), np.nan)
    for k, i in enumerate(np.flatnonzero(usable).tolist()):
        series = _series(joined, i)
        folds[k], context[i], error[i] = describe(series, found.period[i], found.score[i], config)
        alarm[i] = false_alarm_probability(series.time, series.value, series.weight, found.period[i, 0], config.search)
    span = ragged.extreme(joined.time, joined.offsets, np.maximum)
    return Frames(
        object_id=curves.object_id,
        offsets=ragged.offsets_from_counts(usable * number * config.bins),
        time=np.tile(np.arange(number * config.bins, dtype=np.float32), len(folds)),
        values=folds.reshape(-1, config.channels),
        context=context,
        status=status,
        observations=ragged.lengths(joined.offsets),
        period=period[:, 0],
        candidates=CandidatePeriods(period, error, alarm, span),
    )


def _series(joined: Joined, i: int) -> Series:
    """Return one star of the joined light curves."""
    part = slice(joined.offsets[i], joined.offsets[i + 1])
    return Series(joined.time[part], joined.value[part], joined.weight[part], joined.error[part], joined.scale[i])


def describe(series: Series, period: Float, score: Float, config: VariablesConfig) -> Description:
    """Return the network's input for one star at candidate periods (K,) with their scores, NaN where fewer."""
    exists = np.isfinite(period)
    frequency = 1 / period[exists]
    fits = harmonic_fits(series.time, series.value, series.weight, frequency, HARMONICS)
    model = _harmonics(series.time[None], frequency)  # (k, N, 2 H + 1)
    residual = series.value - model[0] @ fits.coefficients[0]
    phase = _phase(series, frequency, fits)  # (k, N)
    bins = _phase_bins(series, phase, config.bins)  # (k, bins, 3)
    numbers = np.full((len(period), config.candidate), np.nan)
    numbers[exists] = np.column_stack(
        [
            _fit_numbers(series, frequency, score[exists], fits),
            _shape_numbers(fits, series.scale),
            _fold_numbers(series, frequency, phase, bins, fits),
        ]
    )
    folds = np.zeros((len(period), config.bins, config.channels), np.float32)
    folds[exists] = bins
    star = np.concatenate(
        [_brightness(series), _structure(series), _other_periods(series, frequency[0], residual, config)]
    )
    error = np.full(len(period), np.nan)
    error[exists] = period_uncertainty(series.time, series.value, series.weight, period[exists])
    return Description(folds, np.concatenate([star, numbers.ravel()]).astype(np.float32), error)


# ---- numbers of a star ----------------------------------------------------------------------------------------------


def _brightness(series: Series) -> list[float]:
    """Return amplitude, noise, quantiles, smoothness in time and tails of the distribution, in the order of `STAR`."""
    q = np.quantile(series.value, QUANTILES)
    width, middle = max(q[7] - q[1], 1e-6), (q[7] + q[1]) / 2
    variance = max(series.value.var(), 1e-12)
    scaled = (series.value - series.value.mean()) / np.sqrt(variance)
    return [
        _log10(width * series.scale),
        _log10(_noise(series)),
        *((q[[0, 2, 3, 4, 5, 6, 8]] - middle) / width),
        np.square(np.diff(series.value)).mean() / variance / 2,
        _log10(np.mean(scaled**4)),
        np.mean(np.abs(scaled) > 2),
    ]


def _structure(series: Series) -> list[float]:
    """Return log10 structure functions over `INTERVALS`, half the mean squared difference, and reduced chi-square."""
    total, count = np.zeros((2, len(INTERVALS) + 1))
    for k in SEPARATIONS:
        if k < len(series.time):
            interval = np.searchsorted(INTERVALS, series.time[k:] - series.time[:-k])
            total += np.bincount(interval, np.square(series.value[k:] - series.value[:-k]), len(total))
            count += np.bincount(interval, minlength=len(count))
    total, count = total[1:-1], count[1:-1]
    structure = np.where(count >= FEWEST_PAIRS, total / np.maximum(count, 1) / 2, np.nan)
    known = series.error > 0
    chi2 = np.square(series.value[known] / series.error[known]).mean() if known.any() else np.nan
    return [*np.log10(structure + 1e-3), _log10(chi2)]


def _other_periods(series: Series, frequency: float, residual: Float, config: VariablesConfig) -> list[float]:
    """Return the two highest peaks in the residuals (N,) of the best fit, in the order of `STAR`."""
    residual = residual - (series.weight * residual).sum()
    other, power = highest_peaks(series.time, residual, series.weight, config.search, 2)
    other = np.concatenate([other, np.full(2 - len(other), np.nan)])
    power = np.concatenate([power, np.full(2 - len(power), np.nan)])
    variance = (series.weight * residual**2).sum()
    window = _window(series, other[:1])[0]
    ratio = [_log10(f / frequency) for f in other]
    return [ratio[0], power[0], _log10(power[0] * variance + 1e-6), window, ratio[1], power[1]]


# ---- numbers of a candidate -----------------------------------------------------------------------------------------


def _fit_numbers(series: Series, frequency: Float, score: Float, fits: HarmonicFits) -> Float:
    """Return period, cycles, unexplained variance, score and rank of k candidates, in the order of `CANDIDATE`."""
    count, harmonics = len(series.time), np.arange(1, HARMONICS + 1)
    adjusted = 1 - (1 - fits.r2) * (count - 1) / np.maximum(count - 1 - 2 * harmonics, 1)
    cycles = np.log10(series.time[-1] * frequency)
    return np.column_stack(
        [
            -np.log10(frequency),
            np.minimum(cycles, MOST_CYCLES),
            -np.log10(1 - np.clip(adjusted, 0, 1 - 1e-4)),
            np.log10(1 + np.maximum(score[0] - score, 0)),
            np.log10(frequency / frequency[0]),
        ]
    )


def _shape_numbers(fits: HarmonicFits, scale: float) -> Float:
    """Return ratios and phase differences of the harmonics of k candidates, and the amplitude [mag] of the first."""
    a, b = fits.coefficients[:, 1::2], fits.coefficients[:, 2::2]
    amplitude, angle = np.hypot(a, b), np.arctan2(-b, a)  # A cos(2 pi h f t + angle)
    difference = angle[:, 1:] - np.arange(2, HARMONICS + 1) * angle[:, :1]
    ratio = np.clip(amplitude[:, 1:] / np.maximum(amplitude[:, :1], 1e-6), 0, 5)
    waves = np.stack([np.cos(difference), np.sin(difference)], 2).reshape(len(a), -1)
    return np.column_stack([ratio, waves, np.log10(np.maximum(amplitude[:, 0], 1e-4) * scale)])


def _fold_numbers(series: Series, frequency: Float, phase: Float, bins: NDArray, fits: HarmonicFits) -> Float:
    """Return residual scatter, window, smoothness and coverage of the folds of k candidates."""
    order = np.argsort(phase, axis=1, kind="stable")
    ordered, value = np.take_along_axis(phase, order, 1), series.value[order]
    steps = np.diff(value, axis=1, append=value[:, :1])
    gaps = np.diff(ordered, axis=1, append=ordered[:, :1] + 1)
    first, second = np.split(bins[..., 0], 2, axis=1)
    window = _window(series, np.concatenate([frequency, 2 * frequency])).reshape(2, -1)
    noise = _log10(_noise(series) ** 2 + 1e-9)
    return np.column_stack(
        [
            np.log10(np.maximum(1 - fits.r2[:, -1], 1e-5)) - noise,
            *window,
            np.square(steps).mean(1) / max(series.value.var(), 1e-12) / 2,
            bins[..., 2].mean(1),
            gaps.max(1),
            np.square(first - second).mean(1),
        ]
    )


def _phase(series: Series, frequency: Float, fits: HarmonicFits) -> Float:
    """Return the phases (k, N), in [0, 1) from the faintest point of each fit."""
    grid = np.arange(64) / 64
    shape = fits.coefficients @ _harmonics(grid[None], np.ones(1))[0].T  # (k, 64) magnitudes: the largest is faintest
    phase = np.multiply.outer(frequency, series.time) - grid[shape.argmax(1)][:, None] + 0.5 / len(grid)
    return np.minimum(phase - np.floor(phase), np.nextafter(1, 0))


def _phase_bins(series: Series, phase: Float, number: int) -> NDArray[np.float32]:
    """Return mean brightness (up is brighter), scatter and whether there are observations in phase bins, (k, bins, 3).

    Means of bins without observations are interpolated around the cycle.
    """
    k = len(phase)
    index = ((phase * number).astype(np.int64) + number * np.arange(k)[:, None]).ravel()
    weight = np.tile(series.weight, k)
    value = np.tile(series.value, k)
    count, total, squares = (
        np.bincount(index, x, k * number).reshape(k, number) for x in (weight, weight * value, weight * value**2)
    )
    filled = np.bincount(index, minlength=k * number).reshape(k, number) > 0
    divisor = np.where(filled, count, 1)
    mean = total / divisor
    scatter = np.sqrt(np.maximum(squares / divisor - mean**2, 0)) * filled
    for row, has in zip(mean, filled, strict=True):
        at = np.flatnonzero(has)
        if len(at) < number:
            row[:] = np.interp(np.arange(number), at, row[at], period=number)
    return np.stack([np.clip(-mean, -8, 8), np.minimum(scatter, 4), filled], 2).astype(np.float32)


# ---- arithmetic -----------------------------------------------------------------------------------------------------


def _harmonics(time: Float, frequency: Float) -> Float:
    """Return 1, cos, sin, cos of the double frequency, ... (k, N, 2 H + 1) at times (1, N) for frequencies (k,)."""
    cycles = np.multiply.outer(frequency, time[0])
    wave = np.exp(2j * np.pi * (cycles - np.floor(cycles)))
    result = np.ones((*cycles.shape, 2 * HARMONICS + 1))
    power = np.ones_like(wave)
    for h in range(1, HARMONICS + 1):
        power = power * wave
        result[..., 2 * h - 1], result[..., 2 * h] = power.real, power.imag
    return result


def _window(series: Series, frequency: Float) -> Float:
    """Return the window's amplitude at frequencies (k,): 1 at an alias of zero, 0 where the sampling has no period."""
    cycles = np.multiply.outer(frequency, series.time)
    return np.abs(np.exp(2j * np.pi * (cycles - np.floor(cycles))) @ series.weight)


def _noise(series: Series) -> float:
    """Return the median error in the unit of the value, NaN if no error is known."""
    known = series.error > 0
    return float(np.median(series.error[known])) if known.any() else np.nan


def _log10(x: float) -> float:
    """Return the decimal logarithm, NaN for numbers that are not positive."""
    return float(np.log10(x)) if x > 0 else np.nan
