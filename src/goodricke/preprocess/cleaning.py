"""Steps that every preprocessing shares: drop what is not finite, clip outliers, average in bins, judge the rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from goodricke import ragged
from goodricke.lightcurves import LightCurves


def finite_points(curves: LightCurves) -> LightCurves:
    """Return the light curves without observations whose time or value is not finite."""
    good = np.isfinite(curves.time) & np.isfinite(curves.value)
    return curves if good.all() else curves.where(good)


def distinct_points(curves: LightCurves) -> LightCurves:
    """Drop observations that repeat another one of the same light curve: same band, time and value.

    Archives list observations twice (overlapping fields, merged tables); taken as independent they would make errors
    of averages too small. The first one stays.
    """
    keys = (curves.value, curves.time, curves.band, ragged.owner(curves.offsets))
    order = np.lexsort(keys)
    same = np.ones(max(len(order) - 1, 0), bool)
    for key in keys:
        same &= key[order][1:] == key[order][:-1]
    if not same.any():
        return curves
    keep = np.ones(len(order), bool)
    keep[order[1:][same]] = False
    return curves.where(keep)


def align_bands(curves: LightCurves) -> LightCurves:
    """Return light curves of several bands with each band's median subtracted, so that they can be taken together.

    Light curves of one band are left as they are.
    """
    bands = len(curves.bands)
    if bands == 1 or not len(curves.time):
        return curves
    series = ragged.owner(curves.offsets) * bands + curves.band
    order = np.argsort(series, kind="stable")
    offsets = ragged.offsets_of(np.bincount(series, minlength=len(curves) * bands))
    level = ragged.median(curves.value[order], offsets)
    several = ragged.total(np.diff(offsets) > 0, bands * np.arange(len(curves) + 1)) > 1
    shift = np.where(ragged.spread(several, curves.offsets), level[series], 0.0)
    return replace(curves, value=(curves.value - shift).astype(np.float32))


def clip_outliers(curves: LightCurves, sigma: float, rounds: int) -> LightCurves:
    """Remove observations further than ``sigma`` standard deviations from the median, at most ``rounds`` times.

    Parameters
    ----------
    curves : LightCurves
        Finite values.
    sigma : float
        In standard deviations (ddof 0) of the light curve itself, 10 in the paper (section 4.3).
    rounds : int
        Median and deviation are computed anew after each; light curves that lose nothing are left alone.

    Notes
    -----
    The first round compares every light curve; later ones only those that changed.
    """
    keep = np.ones(len(curves.time), bool)
    rows = np.arange(len(curves))
    for _ in range(rounds):
        part = curves.where(keep)[rows] if len(rows) < len(curves) or not keep.all() else curves
        centre, width = ragged.median(part.value, part.offsets), ragged.std(part.value, part.offsets)
        low, high = centre - sigma * width, centre + sigma * width
        changed = np.zeros(len(curves), bool)
        outside = (part.value < ragged.spread(low, part.offsets)) | (part.value > ragged.spread(high, part.offsets))
        if not outside.any():
            break
        changed[rows] = ragged.total(outside, part.offsets) > 0
        points = np.flatnonzero(keep & np.isin(ragged.owner(curves.offsets), rows))
        keep[points[outside]] = False
        rows = np.flatnonzero(changed)
    return curves if keep.all() else curves.where(keep)


def bin_average(
    curves: LightCurves, index: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Average observations that share light curve and bin, weighting by inverse variance where errors are known.

    Parameters
    ----------
    curves : LightCurves
        Finite times and values.
    index : int64 (N,)
        Bin of each observation within its light curve, not negative.

    Returns
    -------
    offsets : int64 (n + 1,)
        Of the filled bins.
    bin : int64 (M,)
        Index of each filled bin, increasing within a light curve.
    time, value, error : float64 (M,)
        Averages, and the error of the average (NaN where errors are unknown).
    """
    error = curves.error.astype(np.float64)
    known = np.isfinite(error) & (error > 0)
    whole = ragged.spread(ragged.total(~known, curves.offsets) == 0, curves.offsets)
    weight = np.where(whole, 1 / np.square(np.where(known, error, 1.0)), 1.0)
    width, levels = int(index.max(initial=0)) + 1, None
    if width > 2**62 // max(len(curves), 1):  # a stray time far away: number the bins anew, lest the keys overflow
        levels, index = np.unique(index, return_inverse=True)
        width = len(levels)
    keys, inverse = np.unique(ragged.owner(curves.offsets) * width + index, return_inverse=True)
    weights = np.bincount(inverse, weight, len(keys))
    averages = [np.bincount(inverse, weight * x, len(keys)) / weights for x in (curves.time, curves.value)]
    unknown = np.bincount(inverse, ~whole, len(keys)) > 0
    counts = np.bincount(keys // width, minlength=len(curves))
    bins = keys % width if levels is None else levels[keys % width]
    return ragged.offsets_of(counts), bins, *averages, np.where(unknown, np.nan, 1 / np.sqrt(weights))


def judge(read: LightCurves, cleaned: LightCurves, fewest: int) -> NDArray[np.str_]:
    """Return the status of each object, (n,): ``OK``, ``EMPTY``, ``NON_FINITE``, ``TOO_FEW_POINTS`` or ``CONSTANT``."""
    spread = ragged.extreme(cleaned.value, cleaned.offsets, np.maximum) - ragged.extreme(
        cleaned.value, cleaned.offsets, np.minimum
    )
    return np.select(
        [read.n_obs == 0, cleaned.n_obs == 0, cleaned.n_obs < fewest, spread == 0],
        ["EMPTY", "NON_FINITE", "TOO_FEW_POINTS", "CONSTANT"],
        "OK",
    )
