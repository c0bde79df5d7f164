"""Statistics of light curves, the kind of numbers that a plain random forest is given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goodricke import ragged
from goodricke.lightcurves import LightCurves
from goodricke.preprocess.cleaning import clip_outliers, finite_points
from goodricke.preprocess.periods import PeriodSearch, find_periods

MISSING = -999.0  # a forest splits it off from all real values
FEWEST = 2  # observations below which nothing can be computed
PHASE_BINS = 16  # per cycle
QUANTILES = (0.02, 0.05, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.95, 0.98)

Float = NDArray[np.float64]
Columns = dict[str, Float]


def simple_statistics(
    curves: LightCurves, brightness: bool = False, period: bool = False, search: PeriodSearch | None = None
) -> tuple[Float, tuple[str, ...]]:
    """Compute statistics of each light curve.

    Observations that are not finite, or further than 10 standard deviations from the median, are left out first, as
    they are for the networks. Bands are taken together.

    Parameters
    ----------
    curves : LightCurves
        In magnitudes or flux; amplitudes, slopes [1 / d] and errors are in the unit of ``value``.
    brightness : bool
        Also give mean and median. Off by default: in most training sets how bright a star is tells how it was chosen.
        The number of observations and the time base are never given, for the same reason.
    period : bool
        Also search the period (about 10 ms per light curve) and give statistics of the folded light curve.
    search : PeriodSearch, optional
        Where to look for it.

    Returns
    -------
    features : float64 (n, F)
        -999 where a statistic does not exist: all of them for fewer than two observations, skewness of a constant,
        chi-square where an error is unknown or not positive, ...
    names : tuple of str (F,)
    """
    cleaned = clip_outliers(finite_points(curves).sorted(), sigma=10, rounds=5)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        columns = _moments(cleaned) | _percentiles(cleaned, brightness) | _in_time(cleaned) | _with_errors(cleaned)
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
        "beyond_1_std": _only_where(std > 0, ragged.mean(np.abs(scaled) > 1, offsets)),
        "beyond_2_std": _only_where(std > 0, ragged.mean(np.abs(scaled) > 2, offsets)),
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


def _in_time(curves: LightCurves) -> Columns:
    """Return von Neumann's eta, the steepest slope [1 / d], and slope [1 / d] and correlation of the linear trend."""
    offsets = curves.offsets
    rise, after = _differences(curves.value.astype(np.float64), offsets), _differences(curves.time, offsets)
    slope = np.where(after > 0, np.abs(rise) / after, np.nan)
    std, scaled = _standardised(curves.value, offsets)
    spread, elapsed = _standardised(curves.time, offsets)
    correlation = ragged.mean(scaled * elapsed, offsets)
    return {
        "eta": von_neumann(curves.value, offsets),
        "steepest": _only_where(ragged.total(after > 0, offsets) > 0, _largest(slope, offsets)),
        "trend": correlation * std / spread,
        "trend_correlation": correlation,
    }


def _with_errors(curves: LightCurves) -> Columns:
    """Return median error, chi-square per degree of freedom, Stetson's (1996) J of neighbours and K."""
    offsets, n = curves.offsets, curves.n_obs
    known = np.isfinite(curves.error) & (curves.error > 0)
    error = np.where(known, curves.error.astype(np.float64), np.nan)
    weight = error**-2.0
    value = curves.value - ragged.spread(ragged.mean(curves.value, offsets), offsets)
    average = ragged.total(weight * value, offsets) / ragged.total(weight, offsets)
    residual = (value - ragged.spread(average, offsets)) / error
    delta = residual * ragged.spread(np.sqrt(n / (n - 1)), offsets)
    product = delta * np.concatenate([delta[1:], [0.0]])[: len(delta)]
    product[offsets[1:][n > 0] - 1] = 0  # the last point has no neighbour of its own star
    pairs = np.sign(product) * np.sqrt(np.abs(product))
    every = ragged.total(known, offsets) == n
    median = ragged.median(np.where(known, curves.error, np.inf).astype(np.float32), offsets)
    return {
        "median_error": _only_where(every, median),
        "chi2": ragged.total(residual**2, offsets) / (n - 1),
        "stetson_j": ragged.total(pairs, offsets) / (n - 1),
        "stetson_k": ragged.mean(np.abs(delta), offsets) / np.sqrt(ragged.mean(delta**2, offsets)),
    }


def _folded(curves: LightCurves, search: PeriodSearch | None) -> Columns:
    """Return log period [d], its power, and how smooth the light curve is folded on it and on its double.

    The double matters because a periodogram finds eclipsing binaries at half their period.
    """
    period, power = find_periods(curves, search)
    found = np.isfinite(period)
    columns = {"log_period": np.log10(period), "power": power}
    for name, factor in (("", 1), ("_double", 2)):
        folded = curves.fold(np.where(found, period, 1.0) * factor)
        columns[f"folded_eta{name}"] = von_neumann(folded.value, folded.offsets)
        scatter, roughness = _binned(folded)
        columns |= {f"folded_scatter{name}": scatter, f"folded_roughness{name}": roughness}
    return {name: _only_where(found, column) for name, column in columns.items()}


def _binned(folded: LightCurves) -> tuple[Float, Float]:
    """Return the fraction of variance left within phase bins and the von Neumann eta of the bins' means, each (n,)."""
    n, offsets = len(folded), folded.offsets
    std, scaled = _standardised(folded.value, offsets)
    key = ragged.owner(offsets) * PHASE_BINS + np.minimum((folded.time * PHASE_BINS).astype(np.int64), PHASE_BINS - 1)
    count = np.bincount(key, minlength=n * PHASE_BINS)
    means = np.bincount(key, scaled, n * PHASE_BINS) / count
    explained = np.bincount(key // PHASE_BINS, np.square(means[key]), n) / ragged.lengths(offsets)
    filled = count > 0
    bins = ragged.offsets_of(filled.reshape(n, PHASE_BINS).sum(1))
    return _only_where(std > 0, 1 - explained), von_neumann(means[filled], bins)


def von_neumann(value: NDArray[np.floating], offsets: NDArray[np.int64]) -> Float:
    """Return the mean squared difference of neighbours over the variance, (n,): 2 for noise, near 0 if smooth."""
    squares = np.nan_to_num(_differences(value.astype(np.float64), offsets)) ** 2
    return ragged.total(squares, offsets) / (ragged.lengths(offsets) - 1) / np.square(ragged.std(value, offsets))


def _differences(values: Float, offsets: NDArray[np.int64]) -> Float:
    """Return each point minus the one before it, (N,), NaN for the first of each light curve."""
    result = np.diff(values, prepend=np.nan)
    result[offsets[:-1][ragged.lengths(offsets) > 0]] = np.nan
    return result


def _standardised(values: NDArray[np.floating], offsets: NDArray[np.int64]) -> tuple[Float, Float]:
    """Return the standard deviation (n,) and the values (N,) with mean 0 and deviation 1; NaN if they are constant."""
    centred = values - ragged.spread(ragged.mean(values, offsets), offsets)
    std = np.sqrt(ragged.mean(centred**2, offsets))
    std = np.where(_constant(values, offsets), 0.0, std)  # rounding of the mean must not pass for variability
    return std, centred / ragged.spread(np.where(std > 0, std, np.nan), offsets)


def _constant(values: NDArray[np.floating], offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether all points of a light curve are equal, (n,)."""
    return ragged.extreme(values, offsets, np.maximum) == ragged.extreme(values, offsets, np.minimum)


def _largest(values: Float, offsets: NDArray[np.int64]) -> Float:
    """Return the largest of each light curve's numbers that are not NaN, (n,)."""
    return ragged.extreme(np.where(np.isnan(values), -np.inf, values), offsets, np.maximum)


def _only_where(condition: NDArray[np.bool_], values: Float) -> Float:
    """Return the values (n,) where the condition holds, NaN elsewhere."""
    return np.where(condition, values, np.nan)
