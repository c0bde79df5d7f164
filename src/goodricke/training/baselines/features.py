"""Features of light curves for random forests.

`simple_statistics` are computed here, for all bands together. `light_curve_features` are per band, from the package
light-curve (Malanchev et al. 2021), which computes in Rust most features of the ALeRCE light curve classifier
(Sánchez-Sáez et al. 2021) that need only time, brightness, error and band: the inputs of the paper's balanced random
forest. The package is GPL-3, and therefore an optional extra that nothing else needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.preprocess.cleaning import align_bands, bin_average, clip_outliers, finite_points
from goodricke.preprocess.periods import MOST_FREQUENCIES, PeriodSearch, find_periods

MISSING = -999.0  # a forest can split it off from all valid values
FEWEST = 2  # observations below which nothing can be computed
PHASE_BINS = 16  # per cycle
QUANTILES = (0.02, 0.05, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.95, 0.98)

Float = NDArray[np.float64]
Columns = dict[str, Float]


def simple_statistics(
    curves: LightCurves, brightness: bool = False, period: bool = False, search: PeriodSearch | None = None
) -> tuple[Float, tuple[str, ...]]:
    """Compute statistics of each light curve.

    Observations that are not finite, or further than 10 standard deviations from the median, are dropped first, as for
    the networks. Bands are combined.

    Parameters
    ----------
    curves : LightCurves
        In magnitudes or flux; amplitudes, slopes [1 / d] and errors are in the unit of ``value``.
    brightness : bool
        Also compute mean and median. Off by default: in most training sets the brightness of a star reflects how it
        was selected. The number of observations and the time base are never features, for the same reason.
    period : bool
        Also search the period (about 10 ms per light curve) and compute statistics of the folded light curve.
    search : PeriodSearch, optional
        Range of periods.

    Returns
    -------
    features : float64 (n, F)
        -999 where a statistic does not exist: all of them for fewer than two observations, skewness of a constant,
        chi-square where an error is unknown or not positive, ...
    names : tuple of str (F,)
    """
    cleaned = clip_outliers(finite_points(curves).sorted(), sigma=10, rounds=5)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        columns = (
            _moments(cleaned)
            | _percentiles(cleaned, brightness)
            | _time_statistics(cleaned)
            | _error_statistics(cleaned)
        )
        if brightness:
            columns["mean"] = ragged.mean(cleaned.value, cleaned.offsets)
        if period:
            columns |= _folded(cleaned, search)
    features = np.stack(list(columns.values()), 1)
    usable = np.isfinite(features) & (cleaned.n_obs >= FEWEST)[:, None]
    return np.where(usable, features, MISSING), tuple(columns)


def _moments(curves: LightCurves) -> Columns:
    """Return standard deviation, skewness, excess kurtosis and the fraction of points beyond 1 and 2 deviations."""
    offsets = curves.offsets
    std, scaled = _standardised(curves.value, offsets)
    return {
        "std": std,
        "skewness": ragged.mean(scaled**3, offsets),
        "kurtosis": ragged.mean(scaled**4, offsets) - 3,
        "beyond_1_std": _where(std > 0, ragged.mean(np.abs(scaled) > 1, offsets)),
        "beyond_2_std": _where(std > 0, ragged.mean(np.abs(scaled) > 2, offsets)),
    }


def _percentiles(curves: LightCurves, brightness: bool) -> Columns:
    """Return amplitudes between percentiles, their ratios (Richards et al. 2011), asymmetry and absolute deviation."""
    offsets = curves.offsets
    ordered = ragged.sort_within(curves.value, offsets)
    q = {x: ragged.sorted_quantile(ordered, offsets, x) for x in (0.0, *QUANTILES, 1.0)}
    wide = q[0.95] - q[0.05]
    deviation = np.abs(curves.value - ragged.spread(q[0.5], offsets))
    columns = {
        "amplitude": q[1.0] - q[0.0],
        "amplitude_96": q[0.98] - q[0.02],
        "amplitude_90": wide,
        "amplitude_50": q[0.75] - q[0.25],
        "ratio_20": (q[0.6] - q[0.4]) / wide,
        "ratio_50": (q[0.75] - q[0.25]) / wide,
        "ratio_80": (q[0.9] - q[0.1]) / wide,
        "ratio_96": (q[0.98] - q[0.02]) / wide,
        "asymmetry": (q[0.95] + q[0.05] - 2 * q[0.5]) / wide,
        "median_absolute_deviation": ragged.median(deviation.astype(np.float32), offsets),
    }
    return columns | ({"median": q[0.5]} if brightness else {})


def _time_statistics(curves: LightCurves) -> Columns:
    """Return von Neumann's eta, the steepest slope [1 / d], and slope [1 / d] and correlation of the linear trend."""
    offsets = curves.offsets
    rise, after = (ragged.differences(x, offsets) for x in (curves.value, curves.time))
    slope = np.where(after > 0, np.abs(rise) / after, np.nan)
    std, scaled = _standardised(curves.value, offsets)
    spread, elapsed = _standardised(curves.time, offsets)
    correlation = ragged.mean(scaled * elapsed, offsets)
    return {
        "eta": von_neumann(curves.value, offsets),
        "steepest": _where(ragged.total(after > 0, offsets) > 0, _largest(slope, offsets)),
        "trend": correlation * std / spread,
        "trend_correlation": correlation,
    }


def _error_statistics(curves: LightCurves) -> Columns:
    """Return median error, chi-square per degree of freedom, Stetson's (1996) J of neighbours and K."""
    offsets, n = curves.offsets, curves.n_obs
    valid = np.isfinite(curves.error) & (curves.error > 0)
    error = np.where(valid, curves.error.astype(np.float64), np.nan)
    weight = error**-2.0
    value = curves.value - ragged.spread(ragged.mean(curves.value, offsets), offsets)
    average = ragged.total(weight * value, offsets) / ragged.total(weight, offsets)
    residual = (value - ragged.spread(average, offsets)) / error
    delta = residual * ragged.spread(np.sqrt(n / (n - 1)), offsets)
    product = delta * np.concatenate([delta[1:], [0.0]])[: len(delta)]
    product[offsets[1:][n > 0] - 1] = 0  # the last point has no neighbour in its light curve
    pairs = np.sign(product) * np.sqrt(np.abs(product))
    all_valid = ragged.total(valid, offsets) == n
    median = ragged.median(np.where(valid, curves.error, np.inf).astype(np.float32), offsets)
    return {
        "median_error": _where(all_valid, median),
        "chi2": ragged.total(residual**2, offsets) / (n - 1),
        "stetson_j": ragged.total(pairs, offsets) / (n - 1),
        "stetson_k": ragged.mean(np.abs(delta), offsets) / np.sqrt(ragged.mean(delta**2, offsets)),
    }


def _folded(curves: LightCurves, search: PeriodSearch | None) -> Columns:
    """Return log period [d], its power, and how smooth the light curve is folded on it and on its double.

    A periodogram finds eclipsing binaries at half their period.
    """
    period, power = find_periods(curves, search)
    has_period = np.isfinite(period)
    columns = {"log_period": np.log10(period), "power": power}
    for name, factor in (("", 1), ("_double", 2)):
        folded = curves.fold(np.where(has_period, period, 1.0) * factor)
        columns[f"folded_eta{name}"] = von_neumann(folded.value, folded.offsets)
        scatter, roughness = _binned(folded)
        columns |= {f"folded_scatter{name}": scatter, f"folded_roughness{name}": roughness}
    return {name: _where(has_period, column) for name, column in columns.items()}


def _binned(folded: LightCurves) -> tuple[Float, Float]:
    """Return the fraction of variance left within phase bins and the von Neumann eta of the bins' means, each (n,)."""
    n, offsets = len(folded), folded.offsets
    std, scaled = _standardised(folded.value, offsets)
    key = ragged.owner(offsets) * PHASE_BINS + np.minimum((folded.time * PHASE_BINS).astype(np.int64), PHASE_BINS - 1)
    count = np.bincount(key, minlength=n * PHASE_BINS)
    means = np.bincount(key, scaled, n * PHASE_BINS) / count
    explained = np.bincount(key // PHASE_BINS, np.square(means[key]), n) / ragged.lengths(offsets)
    filled = count > 0
    bins = ragged.offsets_from_counts(filled.reshape(n, PHASE_BINS).sum(1))
    return _where(std > 0, 1 - explained), von_neumann(means[filled], bins)


def von_neumann(value: NDArray[np.floating], offsets: NDArray[np.int64]) -> Float:
    """Return the mean squared difference of neighbours over the variance, (n,): 2 for noise, near 0 if smooth."""
    squares = np.nan_to_num(ragged.differences(value, offsets)) ** 2
    return ragged.total(squares, offsets) / (ragged.lengths(offsets) - 1) / np.square(ragged.std(value, offsets))


def _standardised(values: NDArray[np.floating], offsets: NDArray[np.int64]) -> tuple[Float, Float]:
    """Return the standard deviation (n,) and the values (N,) with mean 0 and deviation 1; NaN if they are constant."""
    centred = values - ragged.spread(ragged.mean(values, offsets), offsets)
    std = np.sqrt(ragged.mean(centred**2, offsets))
    std = np.where(_constant(values, offsets), 0.0, std)  # rounding of the mean isn't variability
    return std, centred / ragged.spread(np.where(std > 0, std, np.nan), offsets)


def _constant(values: NDArray[np.floating], offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether all points of a light curve are equal, (n,)."""
    return ragged.extreme(values, offsets, np.maximum) == ragged.extreme(values, offsets, np.minimum)


def _largest(values: Float, offsets: NDArray[np.int64]) -> Float:
    """Return the largest of each light curve's numbers that are not NaN, (n,)."""
    return ragged.extreme(np.where(np.isnan(values), -np.inf, values), offsets, np.maximum)


def _where(condition: NDArray[np.bool_], values: Float) -> Float:
    """Return the values (n,) where the condition holds, NaN elsewhere."""
    return np.where(condition, values, np.nan)


# ---- features per band ---------------------------------------------------------------------------------------------


FEWEST_FOR_PERIOD = 5  # as in `find_periods`
PERIODS = ("none", "single", "multi")


class Features(NamedTuple):
    """Columns of the result: values (n, F), NaN where missing, and their names (F,)."""

    values: Float
    names: list[str]


def light_curve_features(
    curves: LightCurves,
    bands: Sequence[str] | None = None,
    periods: Literal["none", "single", "multi"] = "single",
    objects: NDArray[np.floating] | None = None,
    jobs: int = 1,
    search: PeriodSearch | None = None,
) -> tuple[Float, list[str]]:
    """Compute the features of each light curve, band by band, and the colours between bands.

    Observations that are not finite are dropped; those at the same time in the same band are averaged.

    Parameters
    ----------
    curves : LightCurves
        In magnitudes, or in flux of either sign, according to the unit.
    bands : sequence of str (B,), optional
        Bands in order; all of ``curves.bands`` by default. For classification give the training set's, as the order of
        another file may differ. Features of a band without observations are missing, other bands are ignored.
    periods : {"none", "single", "multi"}
        Search no period, one in each band (the paper), or one in all bands combined, each less its median.
    objects : (n,) or (n, E), optional
        Additional columns, such as a photometric redshift; missing where not finite.
    jobs : int
        Threads, -1 for all; the multi-band search uses one.
    search : PeriodSearch, optional
        Range of periods.

    Returns
    -------
    features : float64 (n, F)
        -999 where a feature does not exist: those of a band with fewer than two observations (a colour needs one in
        each of its bands), a period for fewer than five, those weighted by errors where an error is unknown, values
        outside the range of 32 bits, ...
    names : list of str (F,)
        ``g_skew``, colours ``g-r``, the multi-band ``period``, extra columns ``object_0``.

    Raises
    ------
    ImportError
        If light-curve is not installed.
    ValueError
        If a band occurs twice or there is none, ``periods`` is none of the three, or ``objects`` doesn't have n rows.

    Notes
    -----
    Magnitudes: colours are differences of mean magnitudes. The mean magnitudes are no features, as in the paper: the
    brightness of a star reflects how it was selected.

    Flux: in difference imaging the mean has no meaning and is often negative, so there is neither mean nor logarithm.
    The maximum is a feature, and a colour is the contrast (a - b) / (abs(a) + abs(b)) of the maxima a and b, and of the
    amplitudes. For positive fluxes it is tanh(0.2 ln(10) (m_b - m_a)), to a forest equivalent to the colour.
    """
    package, names = _package(), _check_bands(curves.bands if bands is None else bands)
    if periods not in PERIODS:
        raise ValueError(f"periods is one of {', '.join(PERIODS)}, not {periods!r}")
    extra = _extra(objects, len(curves))
    selected = _select_bands(finite_points(curves).sorted(), names)
    series = _series_per_band(selected, names)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        parts = [*_statistics(package, series, names, jobs), _colours(series, names)]
        if periods == "single":
            parts += _single_band(package, series, names, search or PeriodSearch(), jobs)
        elif periods == "multi":
            parts += _multi_band(package, selected, series, names, search or PeriodSearch(), jobs)
    values = np.hstack([part.values for part in (*parts, extra)])
    usable = np.abs(values) <= np.finfo(np.float32).max  # forests compute in 32 bits and reject larger values
    return np.where(usable, values, MISSING), [name for part in (*parts, extra) for name in part.names]


def _package() -> Any:
    """Return the module light_curve."""
    try:
        import light_curve
    except ImportError as error:
        raise ImportError("light_curve_features needs light-curve: pip install 'goodricke[baselines]'") from error
    return light_curve


# ---- one series per object and band -------------------------------------------------------------------------------


def _check_bands(bands: Sequence[str]) -> tuple[str, ...]:
    """Return the bands if there is at least one and none is repeated."""
    if not bands or len(set(bands)) < len(bands):
        raise ValueError(f"features need at least one band and each only once, not {tuple(bands)}")
    return tuple(bands)


def _select_bands(curves: LightCurves, bands: tuple[str, ...]) -> LightCurves:
    """Return the light curves with the observations in ``bands`` only, numbered in their order."""
    number = np.array([bands.index(band) if band in bands else -1 for band in curves.bands])
    index = number[curves.band]
    selected = curves.where(index >= 0)
    return replace(selected, band=index[index >= 0].astype(np.uint8), bands=bands)


def _series_per_band(curves: LightCurves, bands: tuple[str, ...]) -> LightCurves:
    """Return n B light curves, one per object and band (the band runs faster), times from the first observation.

    Equal times are averaged: some of the package's features divide by differences, and it panics if all are equal. If
    one error of a series is unknown, all its errors are NaN.
    """
    key = ragged.owner(curves.offsets) * len(bands) + curves.band
    order, rows = np.argsort(key, kind="stable"), len(curves) * len(bands)
    raw = LightCurves.from_arrays(
        np.arange(rows).astype(str),
        ragged.offsets_from_counts(np.bincount(key, minlength=rows)),
        *(column[order] for column in (curves.time, curves.value, curves.error)),
        unit=curves.unit,
    )
    times, rank = np.unique(raw.time, return_inverse=True)
    offsets, index, _, value, error = bin_average(raw, rank)
    time = times[index] - ragged.spread(ragged.extreme(times[index], offsets, np.minimum), offsets)
    return LightCurves.from_arrays(raw.object_id, offsets, time, value, error, unit=curves.unit)


def _extract(extractor: Any, series: LightCurves, rows: NDArray[np.bool_], jobs: int) -> Float:
    """Return an extractor's features of the series in the mask, (n B, F), NaN for the others."""
    result = np.full((len(series), len(extractor.names)), np.nan)
    starts, stops = series.offsets[:-1][rows], series.offsets[1:][rows]
    error = np.where(np.isfinite(series.error), series.error, 1.0).astype(np.float64)
    columns = (series.time, series.value.astype(np.float64), error)  # the package needs one type for all
    if len(starts):
        # copies, because the package's check of views into one array is quadratic in their number
        copies = [tuple(column[a:b].copy() for column in columns) for a, b in zip(starts, stops, strict=True)]
        result[rows] = extractor.many(copies, fill_value=np.nan, sorted=True, n_jobs=jobs)
    return result


def _per_band(values: Float, names: Sequence[str], bands: tuple[str, ...]) -> Features:
    """Return features of series, (n B, F), as features of objects, (n, B F)."""
    columns = len(bands) * len(names)
    return Features(
        values.reshape(len(values) // len(bands), columns), [f"{b}_{name}" for b in bands for name in names]
    )


# ---- statistics and colours ---------------------------------------------------------------------------------------


def _statistics(package: Any, series: LightCurves, bands: tuple[str, ...], jobs: int) -> list[Features]:
    """Return the statistics of each band, those weighted by errors last."""
    enough = series.n_obs >= FEWEST
    with_errors = enough & (ragged.total(~np.isfinite(series.error), series.offsets) == 0)
    parts = []
    for extractor, rows in ((_unweighted(package, series), enough), (_weighted(package, series), with_errors)):
        parts.append(_per_band(_extract(extractor, series, rows, jobs), extractor.names, bands))
    if not series.in_magnitudes:
        maximum = np.where(enough, ragged.extreme(series.value, series.offsets, np.maximum), np.nan)
        parts.append(_per_band(maximum[:, None], ["maximum"], bands))
    return parts


def _unweighted(p: Any, series: LightCurves) -> Any:
    """Return the extractor of the features without errors.

    Ratios to the mean are for magnitudes only, as the mean of a difference flux is near zero or negative.
    """
    shape = [p.AndersonDarlingNormal(), p.BeyondNStd(1), p.BeyondNStd(2), p.Cusum(), p.Eta(), p.EtaE(), p.Kurtosis()]
    shape += [p.MagnitudePercentageRatio(0.4, 0.05), p.MagnitudePercentageRatio(0.2, 0.05), p.Skew()]
    shape += [p.MedianBufferRangePercentage(0.1), p.LinearTrend(), p.MaximumSlope(), p.OtsuSplit()]
    width = [p.Amplitude(), p.InterPercentileRange(0.25), p.InterPercentileRange(0.1), p.MedianAbsoluteDeviation()]
    width += [p.PercentAmplitude(), p.StandardDeviation()]
    return p.Extractor(*shape, *width, *([p.MeanVariance()] if series.in_magnitudes else []))


def _weighted(p: Any, series: LightCurves) -> Any:
    """Return the extractor of the features weighted by errors."""
    return p.Extractor(
        p.LinearFit(), p.ReducedChi2(), p.StetsonK(), *([p.ExcessVariance()] if series.in_magnitudes else [])
    )


def _colours(series: LightCurves, bands: tuple[str, ...]) -> Features:
    """Return differences of mean magnitudes, or contrasts of maxima and amplitudes of flux, for each pair of bands."""
    pairs = list(combinations(range(len(bands)), 2))
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    names = [f"{bands[i]}-{bands[j]}" for i, j in pairs]
    if series.in_magnitudes:
        mean = ragged.mean(series.value, series.offsets).reshape(-1, len(bands))
        return Features(mean[:, first] - mean[:, second], names)
    highest = ragged.extreme(series.value, series.offsets, np.maximum).reshape(-1, len(bands))
    range_ = highest - ragged.extreme(series.value, series.offsets, np.minimum).reshape(-1, len(bands))
    values = [(x[:, first] - x[:, second]) / (abs(x[:, first]) + abs(x[:, second])) for x in (highest, range_)]
    return Features(
        np.hstack(values), [f"{name}_{quantity}" for quantity in ("maximum", "amplitude") for name in names]
    )


def _extra(objects: NDArray[np.floating] | None, n: int) -> Features:
    """Return the additional columns."""
    values = np.empty((n, 0)) if objects is None else np.asarray(objects, np.float64)
    if values.ndim not in (1, 2) or len(values) != n:
        raise ValueError(f"objects has shape {values.shape}; {n} light curves need ({n},) or ({n}, E)")
    values = values.reshape(n, 1 if values.ndim == 1 else values.shape[1])
    return Features(values, [f"object_{i}" for i in range(values.shape[1])])


# ---- periods ------------------------------------------------------------------------------------------------------


def _single_band(
    package: Any, series: LightCurves, bands: tuple[str, ...], search: PeriodSearch, jobs: int
) -> list[Features]:
    """Return period [d] and signal-to-noise of the highest peak in each band, and the band folded on it."""
    peaks = _highest_peaks(package, series, search, jobs)
    features = _per_band(peaks, ["period", "period_s_to_n"], bands)
    return [features, _folded_features(package, series, peaks[:, 0], bands, jobs)]


def _multi_band(
    package: Any, curves: LightCurves, series: LightCurves, bands: tuple[str, ...], search: PeriodSearch, jobs: int
) -> list[Features]:
    """Return period [d] and power of the highest peak in all bands together, and each band folded on it.

    The package's multi-band periodogram panics where a band is missing, takes four times as long and was no better for
    the periods of RR Lyrae stars.
    """
    period, power = find_periods(align_bands(curves), search)
    peak = Features(np.stack([period, power], 1), ["period", "period_power"])
    return [peak, _folded_features(package, series, np.repeat(period, len(bands)), bands, jobs)]


def _highest_peaks(package: Any, series: LightCurves, search: PeriodSearch, jobs: int) -> Float:
    """Return period [d] and signal-to-noise of each series' highest Lomb-Scargle peak, (n B, 2), NaN without one.

    The package's fast periodogram needs 2^k + 1 frequencies from zero. k depends only on the span of a series, so that
    the result doesn't depend on other series; the oversampling holds within a factor of sqrt(2).
    """
    low, high = (ragged.extreme(series.value, series.offsets, f) for f in (np.minimum, np.maximum))
    span = ragged.extreme(series.time, series.offsets, np.maximum)  # times begin at zero
    finest = search.oversampling * span / search.shortest
    enough = (series.n_obs >= FEWEST_FOR_PERIOD) & (high > low) & (span > search.shortest)
    power = np.where(enough & (finest <= MOST_FREQUENCIES), np.round(np.log2(finest)), -1).astype(int)
    result = np.full((len(series), 2), np.nan)
    for k in np.unique(power[power >= 0]):
        grid = np.linspace(0, 2 * np.pi / search.shortest, 2**k + 1)
        rows = power == k
        result[rows] = _extract(package.Periodogram(peaks=1, freqs=grid, fast=True), series, rows, jobs)[rows]
    return result


def _folded_features(package: Any, series: LightCurves, period: Float, bands: tuple[str, ...], jobs: int) -> Features:
    """Return the range of cumulative sums and von Neumann's eta of each band in order of phase (ALeRCE's Psi)."""
    has_period = np.isfinite(period) & (period > 0)
    folded = series.fold(np.where(has_period, period, 1.0))
    extractor = package.Extractor(package.Cusum(), package.Eta())
    values = _extract(extractor, folded, has_period & (series.n_obs >= FEWEST), jobs)
    return _per_band(values, [f"folded_{name}" for name in extractor.names], bands)
