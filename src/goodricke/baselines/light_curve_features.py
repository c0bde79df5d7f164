"""Features per band from the package light-curve: the inputs of the paper's balanced random forest.

The package (Malanchev et al. 2021) computes in Rust most of the features of the ALeRCE light curve classifier
(Sánchez-Sáez et al. 2021) that need only time, brightness, error and band. It is GPL-3, so it is an optional extra and
nothing else in goodricke needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke import ragged
from goodricke.baselines.features import FEWEST, MISSING
from goodricke.lightcurves import LightCurves
from goodricke.preprocess.cleaning import align_bands, bin_average, finite_points
from goodricke.preprocess.periods import MOST_FREQUENCIES, PeriodSearch, find_periods

FEWEST_FOR_PERIOD = 5  # as in `find_periods`
PERIODS = ("none", "single", "multi")

Float = NDArray[np.float64]


class Features(NamedTuple):
    """Some columns of the result: values (n, F), NaN where missing, and their names (F,)."""

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

    Observations that are not finite are left out, those at exactly the same time in the same band are averaged.

    Parameters
    ----------
    curves : LightCurves
        In magnitudes, or in flux of either sign; the unit tells which.
    bands : sequence of str (B,), optional
        Which bands, in which order; all of ``curves.bands`` by default. Give the training set's when classifying:
        another file's may be in another order. A band without observations is missing, others than these are ignored.
    periods : {"none", "single", "multi"}
        Search no period, one in each band (the paper), or one in all bands together, the median of each taken off.
    objects : (n,) or (n, E), optional
        More columns, such as a photometric redshift; those that are not finite are missing.
    jobs : int
        Threads, -1 for all; the multi-band search uses one.
    search : PeriodSearch, optional
        Where to look for periods.

    Returns
    -------
    features : float64 (n, F)
        -999 where a feature does not exist: all of a band with fewer than two observations (a colour needs one in each
        of its bands), a period for fewer than five, those weighted by errors where one error is unknown, what 32 bits
        can not hold, ...
    names : list of str (F,)
        ``g_skew``, colours ``g-r``, the multi-band ``period``, extra columns ``object_0``.

    Raises
    ------
    ImportError
        If light-curve is not installed.
    ValueError
        If a band comes twice or there is none, ``periods`` is none of the three, or ``objects`` has not n rows.

    Notes
    -----
    Magnitudes: colours are differences of mean magnitudes, and the mean magnitudes themselves are left out, as in the
    paper: how bright a star is tells how it was chosen.

    Flux: difference imaging leaves the mean meaningless and often negative, so there is neither mean nor logarithm. The
    maximum is kept, and a colour is the contrast (a - b) / (abs(a) + abs(b)) of the maxima a and b, and of
    the amplitudes. Between positive fluxes it is tanh(0.2 ln(10) (m_b - m_a)): to a forest, the same as the colour.
    """
    package, names = _package(), _checked_bands(curves.bands if bands is None else bands)
    if periods not in PERIODS:
        raise ValueError(f"periods is one of {', '.join(PERIODS)}, not {periods!r}")
    extra = _extra(objects, len(curves))
    seen = _only_bands(finite_points(curves).sorted(), names)
    series = _one_per_band(seen, names)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        parts = [*_statistics(package, series, names, jobs), _colours(series, names)]
        if periods == "single":
            parts += _single_band(package, series, names, search or PeriodSearch(), jobs)
        elif periods == "multi":
            parts += _multi_band(package, seen, series, names, search or PeriodSearch(), jobs)
    values = np.hstack([part.values for part in (*parts, extra)])
    usable = np.abs(values) <= np.finfo(np.float32).max  # forests compute in 32 bits and refuse what doesn't fit
    return np.where(usable, values, MISSING), [name for part in (*parts, extra) for name in part.names]


def _package() -> Any:
    """Return the module light_curve."""
    try:
        import light_curve
    except ImportError as error:
        raise ImportError("light_curve_features needs light-curve: pip install 'goodricke[baselines]'") from error
    return light_curve


# ---- one series per object and band -------------------------------------------------------------------------------


def _checked_bands(bands: Sequence[str]) -> tuple[str, ...]:
    """Return the bands if there is at least one and none comes twice."""
    if not bands or len(set(bands)) < len(bands):
        raise ValueError(f"features need at least one band and each only once, not {tuple(bands)}")
    return tuple(bands)


def _only_bands(curves: LightCurves, bands: tuple[str, ...]) -> LightCurves:
    """Return the light curves with the observations in ``bands`` alone, numbered in their order."""
    number = np.array([bands.index(band) if band in bands else -1 for band in curves.bands])
    index = number[curves.band]
    kept = curves.where(index >= 0)
    return replace(kept, band=index[index >= 0].astype(np.uint8), bands=bands)


def _one_per_band(curves: LightCurves, bands: tuple[str, ...]) -> LightCurves:
    """Return n B light curves, one per object and band (the band runs faster), times from the first observation.

    Equal times are averaged: some of the package's features divide by the differences, and it panics if all are equal.
    Where one error of a series is unknown, all of them are NaN.
    """
    key = ragged.owner(curves.offsets) * len(bands) + curves.band
    order, rows = np.argsort(key, kind="stable"), len(curves) * len(bands)
    raw = LightCurves.from_arrays(
        np.arange(rows).astype(str),
        ragged.offsets_of(np.bincount(key, minlength=rows)),
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
    columns = (series.time, series.value.astype(np.float64), error)  # the package wants one type for all
    if len(starts):
        # copies: of views into one array the package checks each against all others, quadratic in their number
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
    """Return the statistics of each band, those that errors weigh last."""
    enough = series.n_obs >= FEWEST
    known = enough & (ragged.total(~np.isfinite(series.error), series.offsets) == 0)
    parts = []
    for extractor, rows in ((_unweighted(package, series), enough), (_weighted(package, series), known)):
        parts.append(_per_band(_extract(extractor, series, rows, jobs), extractor.names, bands))
    if not series.in_magnitudes:
        maximum = np.where(enough, ragged.extreme(series.value, series.offsets, np.maximum), np.nan)
        parts.append(_per_band(maximum[:, None], ["maximum"], bands))
    return parts


def _unweighted(p: Any, series: LightCurves) -> Any:
    """Return the extractor of all that needs no error.

    A ratio to the mean exists for magnitudes only: that of a difference flux is near zero or below.
    """
    shape = [p.AndersonDarlingNormal(), p.BeyondNStd(1), p.BeyondNStd(2), p.Cusum(), p.Eta(), p.EtaE(), p.Kurtosis()]
    shape += [p.MagnitudePercentageRatio(0.4, 0.05), p.MagnitudePercentageRatio(0.2, 0.05), p.Skew()]
    shape += [p.MedianBufferRangePercentage(0.1), p.LinearTrend(), p.MaximumSlope(), p.OtsuSplit()]
    width = [p.Amplitude(), p.InterPercentileRange(0.25), p.InterPercentileRange(0.1), p.MedianAbsoluteDeviation()]
    width += [p.PercentAmplitude(), p.StandardDeviation()]
    return p.Extractor(*shape, *width, *([p.MeanVariance()] if series.in_magnitudes else []))


def _weighted(p: Any, series: LightCurves) -> Any:
    """Return the extractor of all that errors weigh."""
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
    return Features(np.hstack(values), [f"{name}_{of}" for of in ("maximum", "amplitude") for name in names])


def _extra(objects: NDArray[np.floating] | None, n: int) -> Features:
    """Return the caller's own columns."""
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
    found = _highest_peaks(package, series, search, jobs)
    peaks = _per_band(found, ["period", "period_s_to_n"], bands)
    return [peaks, _folded(package, series, found[:, 0], bands, jobs)]


def _multi_band(
    package: Any, curves: LightCurves, series: LightCurves, bands: tuple[str, ...], search: PeriodSearch, jobs: int
) -> list[Features]:
    """Return period [d] and power of the highest peak in all bands together, and each band folded on it.

    The package's own multi-band periodogram panics where a band is missing, takes four times as long and was no better
    at finding the periods of RR Lyrae stars.
    """
    period, power = find_periods(align_bands(curves), search)
    peak = Features(np.stack([period, power], 1), ["period", "period_power"])
    return [peak, _folded(package, series, np.repeat(period, len(bands)), bands, jobs)]


def _highest_peaks(package: Any, series: LightCurves, search: PeriodSearch, jobs: int) -> Float:
    """Return period [d] and signal-to-noise of each series' highest Lomb-Scargle peak, (n B, 2), NaN without one.

    The package's fast periodogram wants 2^k + 1 frequencies from zero. Which k depends on a series' own span and on
    nothing else, so that the result doesn't depend on its company; the oversampling is met within a factor of sqrt(2).
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


def _folded(package: Any, series: LightCurves, period: Float, bands: tuple[str, ...], jobs: int) -> Features:
    """Return the range of cumulative sums and von Neumann's eta of each band in order of phase (ALeRCE's Psi)."""
    found = np.isfinite(period) & (period > 0)
    folded = series.fold(np.where(found, period, 1.0))
    extractor = package.Extractor(package.Cusum(), package.Eta())
    values = _extract(extractor, folded, found & (series.n_obs >= FEWEST), jobs)
    return _per_band(values, [f"folded_{name}" for name in extractor.names], bands)
