"""Cleaning steps shared by all kinds of preprocessing, and the cuts and conversions of Becker et al. (2025, section 2).

Cuts on finite and significant values, clipping of outliers, averages in bins, thinning of visits, and the status of
each object afterwards.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from astropy import units as u
from numpy.typing import NDArray

from goodricke.data import ragged, units
from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import factor_to


def finite_points(curves: LightCurves) -> LightCurves:
    """Return the light curves without observations whose time or value is not finite."""
    good = np.isfinite(curves.time) & np.isfinite(curves.value)
    return curves if good.all() else curves.where(good)


def distinct_points(curves: LightCurves) -> LightCurves:
    """Drop observations that repeat another one of the same light curve: same band, time and value.

    Archives list observations twice (overlapping fields, merged tables). Counted as independent, they would make the
    errors of averages too small. The first one stays.
    """
    inside = np.ones(max(len(curves.time) - 1, 0), bool)
    inside[curves.offsets[1:-1][(curves.offsets[1:-1] > 0) & (curves.offsets[1:-1] < len(curves.time))] - 1] = False
    if (curves.time[1:] > curves.time[:-1])[inside].all():
        return curves
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


def significant_flux(curves: LightCurves) -> LightCurves:
    """Keep the observations whose flux is larger than its error, and both are positive.

    Not for difference photometry, where a source fainter than its reference is no less a measurement.

    Raises
    ------
    ValueError
        If they are in magnitudes.

    Notes
    -----
    Section 2 of the paper says the opposite ("any flux values that exceeded their associated uncertainties were
    discarded"); its appendix A has psfFlux > psfFluxErr, which is used here.
    """
    if curves.in_magnitudes:
        raise ValueError(
            "significant_flux is for fluxes, and these light curves are in magnitudes. Fix: leave the cut out"
        )
    good = is_significant(curves)
    return curves if good.all() else curves.where(good)


def is_significant(curves: LightCurves) -> NDArray[np.bool_]:
    """Return which observations `significant_flux` keeps, (N,)."""
    return (curves.value > 0) & (curves.error > 0) & (curves.value > curves.error)


def flux_to_ab(curves: LightCurves) -> LightCurves:
    """Return light curves in Jy, nJy or another multiple of them in AB magnitudes, their errors too.

    Fluxes that are not above 0 have no magnitude: they become NaN. `significant_flux` leaves them out.

    Raises
    ------
    ValueError
        If the unit is no flux density: counts and relative fluxes have no zero point.

    Notes
    -----
    m = -2.5 log10(F / 3631 Jy) (Eq. 1 of the paper), sigma_m = 2.5 / ln 10 * sigma_F / F.
    """
    factor = factor_to(u.Unit(curves.unit, parse_strict="silent"), "nJy")
    if factor is None:
        fix = "give magnitudes or flux densities (mJy, nJy), or the right --unit"
        raise ValueError(f"light curves in {curves.unit} have no zero point for AB magnitudes. Fix: {fix}")
    flux, error = (np.asarray(part, np.float64) * factor for part in (curves.value, curves.error))
    magnitude, sigma = units.ab_magnitudes(flux, error)
    return replace(curves, value=magnitude.astype(np.float32), error=sigma.astype(np.float32), unit="mag")


def alternate_bands(
    curves: LightCurves, pair: tuple[str, str] = ("BP", "RP"), within: float = 15 / 1440
) -> LightCurves:
    """Thin out two bands observed at the same time, as Gaia's BP and RP, so that they alternate.

    Parameters
    ----------
    curves : LightCurves
        In order of time (`LightCurves.sorted`).
    pair : tuple of str
        The two bands. Observations in other bands stay as they are (the paper leaves G out altogether).
    within : float
        Observations at most this far apart, 15 minutes in the paper, are of one visit [d].

    Raises
    ------
    ValueError
        If a light curve isn't in order of time.

    Notes
    -----
    The paper (section 2.1) removes one of two observations in different bands within 15 minutes, "to maintain the
    alternating cadence", without naming which. Here the observations in the two bands are grouped into visits,
    separated by gaps longer than ``within``. A visit in one band stays. A visit in both keeps the band that the
    previous visit did not keep; without a previous visit, the first band of the pair. So no two remaining observations
    are of different bands and within 15 minutes, and the operation is idempotent.
    """
    if not curves.is_sorted.all():
        raise ValueError("alternate_bands needs light curves in order of time. Fix: curves.sorted()")
    which = np.array([pair.index(name) if name in pair else -1 for name in curves.bands])[curves.band]
    points = np.flatnonzero(which >= 0)
    if not len(points):
        return curves
    owner = ragged.owner(curves.offsets)[points]
    new_curve = np.append(True, owner[1:] != owner[:-1])
    new_visit = new_curve | np.append(True, np.diff(curves.time[points]) > within)
    visit, begin = np.cumsum(new_visit) - 1, np.flatnonzero(new_visit)
    seconds, counts = np.add.reduceat(which[points], begin), np.diff(np.append(begin, len(points)))
    chosen = _alternate(seconds, counts, new_curve[begin])
    keep = np.ones(len(curves.time), bool)
    keep[points] = which[points] == chosen[visit]
    return curves if keep.all() else curves.where(keep)


def _alternate(seconds: NDArray[np.int64], counts: NDArray[np.int64], first: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return which band, 0 or 1, each visit keeps (V,).

    Parameters
    ----------
    seconds, counts : int64 (V,)
        Number of observations in band 1, and in both bands together.
    first : bool (V,)
        Whether the visit is the first of its light curve.
    """
    mixed = (seconds > 0) & (seconds < counts)
    start = np.where(mixed, 0, seconds > 0)  # the band kept at the start of a run of mixed visits, or the only band
    index = np.arange(len(counts))
    anchor = np.maximum.accumulate(np.where(first | ~mixed, index, 0))
    return (start[anchor] + index - anchor) % 2


def enough_per_band(curves: LightCurves, fewest: int, bands: tuple[str, ...] | None = None) -> NDArray[np.bool_]:
    """Return which objects (n,) have at least ``fewest`` observations in every band of ``bands``, or of the batch."""
    names = curves.bands if bands is None else bands
    counts = [
        ragged.total(np.array([name == band for name in curves.bands])[curves.band], curves.offsets) for band in names
    ]
    return np.all([count >= fewest for count in counts], axis=0) if names else np.ones(len(curves), bool)


def align_bands(curves: LightCurves) -> LightCurves:
    """Subtract each band's median from light curves of several bands, so that the bands can be combined.

    Light curves of one band stay unchanged.
    """
    bands = len(curves.bands)
    if bands == 1 or not len(curves.time):
        return curves
    level, _ = band_statistics(curves)
    several = np.isfinite(level).sum(1) > 1
    owner = ragged.owner(curves.offsets)
    shift = np.where(several[owner], level[owner, curves.band], 0.0)
    return replace(curves, value=(curves.value - shift).astype(np.float32))


def band_statistics(curves: LightCurves) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return median and standard deviation of the finite values in each band, (n, bands), NaN where there is none."""
    bands = len(curves.bands)
    series = ragged.owner(curves.offsets) * bands + curves.band
    order = np.argsort(series, kind="stable")
    offsets = ragged.offsets_from_counts(np.bincount(series, minlength=len(curves) * bands))
    values = curves.value[order]
    shape = (len(curves), bands)
    return ragged.median(values, offsets).reshape(shape), ragged.std(values, offsets).reshape(shape)


def clip_outliers(curves: LightCurves, sigma: float, rounds: int, keep_dips: bool = False) -> LightCurves:
    """Remove observations further than ``sigma`` standard deviations from the median, at most ``rounds`` times.

    Parameters
    ----------
    curves : LightCurves
        Finite values.
    sigma : float
        In standard deviations (ddof 0) of the light curve itself, 10 in the paper (section 4.3).
    rounds : int
        Median and deviation are computed anew in each round, for the light curves that changed in the one before.
    keep_dips : bool
        Keep faint observations next to one that is fainter than a third of ``sigma``, too: eclipses of long-period
        binaries take up so little time that they lie beyond any number of standard deviations, and the more so the
        more of them are removed. A single faint observation is removed all the same.
    """
    keep = np.ones(len(curves.time), bool)
    rows = np.arange(len(curves))
    for _ in range(rounds):
        part = curves.where(keep)[rows] if len(rows) < len(curves) or not keep.all() else curves
        centre, width = ragged.median(part.value, part.offsets), ragged.std(part.value, part.offsets)
        low, high = centre - sigma * width, centre + sigma * width
        changed = np.zeros(len(curves), bool)
        outside = (part.value < ragged.spread(low, part.offsets)) | (part.value > ragged.spread(high, part.offsets))
        if keep_dips:
            outside &= ~_in_dip(part, centre, sigma * width)
        if not outside.any():
            break
        changed[rows] = ragged.total(outside, part.offsets) > 0
        points = np.flatnonzero(keep & np.isin(ragged.owner(curves.offsets), rows))
        keep[points[outside]] = False
        rows = np.flatnonzero(changed)
    return curves if keep.all() else curves.where(keep)


def _in_dip(curves: LightCurves, centre: NDArray[np.float64], depth: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which observations (N,) are more than ``depth`` (n,) fainter than the centre, with a faint neighbour."""
    below = (ragged.spread(centre, curves.offsets) - curves.value) * (-1.0 if curves.in_magnitudes else 1.0)
    limit, owner = ragged.spread(depth, curves.offsets), ragged.owner(curves.offsets)
    faint = below > limit / 3
    beside = np.zeros(len(faint), bool)
    same = owner[1:] == owner[:-1]
    beside[1:] |= faint[:-1] & same
    beside[:-1] |= faint[1:] & same
    return (below > limit) & beside


def bin_average(
    curves: LightCurves, index: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Average observations that share light curve and bin, weighted by inverse variance where all errors are valid.

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
    valid = np.isfinite(error) & (error > 0)
    weighted = ragged.spread(ragged.total(~valid, curves.offsets) == 0, curves.offsets)
    weight = np.where(weighted, 1 / np.square(np.where(valid, error, 1.0)), 1.0)
    width, levels = int(index.max(initial=0)) + 1, None
    if width > 2**62 // max(len(curves), 1):  # a stray time far away: renumber the bins, else the keys overflow
        levels, index = np.unique(index, return_inverse=True)
        width = len(levels)
    keys, inverse = np.unique(ragged.owner(curves.offsets) * width + index, return_inverse=True)
    weights = np.bincount(inverse, weight, len(keys))
    averages = [np.bincount(inverse, weight * x, len(keys)) / weights for x in (curves.time, curves.value)]
    unweighted = np.bincount(inverse, ~weighted, len(keys)) > 0
    counts = np.bincount(keys // width, minlength=len(curves))
    bins = keys % width if levels is None else levels[keys % width]
    return ragged.offsets_from_counts(counts), bins, *averages, np.where(unweighted, np.nan, 1 / np.sqrt(weights))


def is_empty(curves: LightCurves) -> NDArray[np.bool_]:
    """Return which light curves (n,) have no observation, other than those whose rows are all limits or missing.

    Readers leave such rows out; how many they read and flagged is in the per-object columns.
    """
    names = curves.table_of_objects.column_names
    if "n_read" not in names or "n_flagged" not in names:
        return curves.n_obs == 0
    read, flagged = (np.nan_to_num(curves.column(name).astype(np.float64)) for name in ("n_read", "n_flagged"))
    return (curves.n_obs == 0) & (read <= flagged)


def cleaning_status(curves: LightCurves, cleaned: LightCurves, fewest: int) -> NDArray[np.str_]:
    """Return the status of each object (n,): ``OK``, ``EMPTY``, ``NON_FINITE``, ``TOO_FEW_POINTS`` or ``CONSTANT``."""
    spread = ragged.extreme(cleaned.value, cleaned.offsets, np.maximum) - ragged.extreme(
        cleaned.value, cleaned.offsets, np.minimum
    )
    return np.select(
        [is_empty(curves), cleaned.n_obs == 0, cleaned.n_obs < fewest, spread == 0],
        ["EMPTY", "NON_FINITE", "TOO_FEW_POINTS", "CONSTANT"],
        "OK",
    )
