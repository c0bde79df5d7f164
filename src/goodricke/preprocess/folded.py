"""Sparse light curves for a dense network: folded on the period of its own periodogram, binned in phase.

Ground-based surveys observe a star once a night or less. Neighbouring points of an RR Lyrae star then belong to
different cycles, and a convolution over them sees noise. After folding, neighbours in the sequence are neighbours in
phase. Two cycles are folded because a periodogram gives half the period of eclipsing binaries. The phase bins are 30
minutes apart in "time", the cadence for which the positional encoding was designed.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import MAGNITUDES_PER_E
from goodricke.preprocess.cleaning import (
    align_bands,
    band_statistics,
    bin_average,
    cleaning_status,
    clip_outliers,
    distinct_points,
    finite_points,
)
from goodricke.preprocess.config import PreprocessingConfig
from goodricke.preprocess.periods import PeriodSearch, find_periods
from goodricke.preprocess.tensors import Frames

CADENCE = 1 / 48  # days between phase bins, for the positional encoding
MOST_NONPOSITIVE = 0.2  # fraction of fluxes without magnitude from which on an object is NOT_POSITIVE
CONTEXT = (
    "log10 period [d]",
    "periodogram power",
    "log10 amplitude [mag]",
    "asymmetry",
    "tail weight",
    "log10 noise to signal",
    "folded roughness",
)


class FoldedConfig(PreprocessingConfig):
    """How light curves are folded; part of a model's bundle."""

    columns: ClassVar[tuple[str, ...]] = ()  # per-object context columns: none

    kind: Literal["folded"] = "folded"
    bins: int = Field(128, ge=8, description="phase bins over two cycles")
    fewest: int = Field(10, ge=5, description="observations below which an object is TOO_FEW_POINTS")
    clip_sigma: float = Field(
        10.0, gt=0, description="observations more standard deviations than this from the median are left out"
    )
    clip_rounds: int = Field(5, ge=0, description="number of times that outliers are searched for")
    search: PeriodSearch = PeriodSearch()
    bands: tuple[str, ...] | None = Field(
        None, description="bands whose colours and amplitude ratios are context; by default all, if several"
    )
    level: bool = Field(False, description="the median magnitude in each of the bands is context too")

    def resolved(self, curves: LightCurves) -> FoldedConfig:
        """Return the configuration with the training light curves' bands, if these are several and none are set."""
        used = tuple(curves.bands[b] for b in np.unique(curves.band))
        return self if self.bands is not None or len(used) < 2 else self.model_copy(update={"bands": used})

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of bands, one colour each."""
        return list(combinations(range(len(self.bands or ())), 2))

    @property
    def channels(self) -> int:
        """Numbers per point (standardised brightness and its error)."""
        return 2

    @property
    def context(self) -> int:
        """Numbers per object (`CONTEXT`, a colour and an amplitude ratio per pair of bands, the bands' levels)."""
        return len(CONTEXT) + 2 * len(self.pairs) + self.level * max(len(self.bands or ()), 1)


def prepare(curves: LightCurves, config: FoldedConfig) -> Frames:
    """Clean, fold and standardise light curves.

    Parameters
    ----------
    curves : LightCurves
        In magnitudes or positive flux. Several bands are combined, each less its median.
    config : FoldedConfig

    Returns
    -------
    Frames
        Values (M, 2): brightness (up is brighter), median 0 and standard deviation 1 over the observations, and its
        error in the same unit (0 if unknown). Context (n, 7 or more): see `FoldedConfig.context`, NaN where unknown.
    """
    nonpositive = nonpositive_fraction(curves)
    curves = in_magnitudes(curves)
    distinct = distinct_points(finite_points(curves))
    cleaned = clip_outliers(align_bands(distinct).sorted(), config.clip_sigma, config.clip_rounds)
    period, power = find_periods(cleaned, config.search)
    observations = cleaned.n_obs
    status = cleaning_status(curves, cleaned, config.fewest)
    status = np.where((status == "OK") & (nonpositive >= MOST_NONPOSITIVE), "NOT_POSITIVE", status)
    status = np.where((status == "OK") & ~np.isfinite(period), "NO_PERIOD", status)
    cleaned = cleaned.where(ragged.spread(status == "OK", cleaned.offsets))

    centre = ragged.median(cleaned.value, cleaned.offsets)
    scale = ragged.std(cleaned.value, cleaned.offsets)
    phase = _phase(cleaned, period)
    index = np.minimum((phase * config.bins).astype(np.int64), config.bins - 1)
    index = _faintest_first(cleaned, index, config.bins)
    offsets, bins, _, value, error = bin_average(cleaned, index)
    value = -(value - ragged.spread(centre, offsets)) / ragged.spread(scale, offsets)
    error = np.nan_to_num(error / ragged.spread(scale, offsets))
    shape = [np.log10(period), power, *_shape(cleaned, centre, scale), _roughness(value, offsets)]
    context = np.stack([*shape, *_colours(distinct, config), *_levels(distinct, config)], 1)
    # NaN also for infinite ratios, as those of quantised magnitudes whose quantiles coincide
    context = np.where(np.isfinite(context), context, np.nan)
    return Frames(
        object_id=curves.object_id,
        offsets=offsets,
        time=(bins * CADENCE).astype(np.float32),
        values=np.clip(np.stack([value, error], 1), -30, 30).astype(np.float32),
        context=np.where((status == "OK")[:, None], context, 0).astype(np.float32),
        status=status,
        observations=observations,
        period=period,
    )


def nonpositive_fraction(curves: LightCurves) -> NDArray[np.float64]:
    """Return the fraction of each light curve's finite fluxes that are not positive, (n,); 0 for magnitudes."""
    if curves.in_magnitudes:
        return np.zeros(len(curves))
    finite = np.isfinite(curves.value)
    with np.errstate(invalid="ignore"):
        fraction = ragged.total(finite & (curves.value <= 0), curves.offsets) / ragged.total(finite, curves.offsets)
    return np.nan_to_num(fraction)


def in_magnitudes(curves: LightCurves) -> LightCurves:
    """Return magnitudes, -2.5 log10 of a flux in the data's unit; light curves in magnitudes stay unchanged.

    Fluxes that are not positive have no magnitude and become NaN.
    """
    if curves.in_magnitudes:
        return curves
    with np.errstate(invalid="ignore", divide="ignore"):
        flux = np.where(np.isfinite(curves.value) & (curves.value > 0), curves.value, np.float32(np.nan))
        value, error = -2.5 * np.log10(flux), MAGNITUDES_PER_E * curves.error / flux
    return replace(curves, value=value.astype(np.float32), error=error.astype(np.float32), unit="mag")


def _phase(curves: LightCurves, period: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the phase in [0, 1) over two cycles, (N,)."""
    zero = ragged.extreme(curves.time, curves.offsets, np.minimum)
    cycles = (curves.time - ragged.spread(zero, curves.offsets)) / ragged.spread(2 * period, curves.offsets)
    return cycles - np.floor(cycles)


def _faintest_first(curves: LightCurves, index: NDArray[np.int64], bins: int) -> NDArray[np.int64]:
    """Renumber phase bins so that each light curve starts at its faintest eighth of a cycle, (N,)."""
    n, eighth = len(curves), max(bins // 16, 1)
    key = ragged.owner(curves.offsets) * bins + index
    centred = curves.value - ragged.spread(ragged.mean(curves.value, curves.offsets), curves.offsets)
    count = np.bincount(key, minlength=n * bins).reshape(n, bins)
    total = np.bincount(key, centred, n * bins).reshape(n, bins)
    around = np.arange(-(eighth // 2), eighth - eighth // 2)
    window = (np.arange(bins)[:, None] + around) % bins  # (bins, eighth)
    with np.errstate(invalid="ignore"):
        smooth = total[:, window].sum(2) / count[:, window].sum(2)  # (n, bins)
    faintest = np.where(np.isnan(smooth), -np.inf, smooth).argmax(1) if n else np.zeros(0, np.int64)
    return (index - ragged.spread(faintest, curves.offsets)) % bins


def _shape(
    curves: LightCurves, centre: NDArray[np.float64], scale: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    """Return log amplitude [mag], asymmetry, tail weight and log noise to signal, each (n,)."""
    ordered = ragged.sort_within(curves.value, curves.offsets)
    q02, q10, q90, q98 = (ragged.sorted_quantile(ordered, curves.offsets, q) for q in (0.02, 0.1, 0.9, 0.98))
    noise = ragged.median(curves.error, curves.offsets)
    with np.errstate(invalid="ignore", divide="ignore"):
        asymmetry = (q98 + q02 - 2 * centre) / (q98 - q02)
        ratio = np.where(noise > 0, noise / scale, np.nan)
        return np.log10(q98 - q02), asymmetry, (q98 - q02) / (q90 - q10), np.log10(ratio)


def _colours(curves: LightCurves, config: FoldedConfig) -> list[NDArray[np.float64]]:
    """Return colours [mag], then log10 ratios of standard deviation, of the pairs of bands, each (n,)."""
    if not config.pairs:
        return []
    level, width = (_band_columns(x, curves.bands, config.bands or ()) for x in band_statistics(curves))  # (n, bands)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.log10(width)
        return [level[:, i] - level[:, j] for i, j in config.pairs] + [
            ratio[:, i] - ratio[:, j] for i, j in config.pairs
        ]


def _levels(curves: LightCurves, config: FoldedConfig) -> list[NDArray[np.float64]]:
    """Return the median magnitude in each band of the configuration, or over all observations if it has none, (n,)."""
    if not config.level:
        return []
    if not config.bands:
        return [ragged.median(curves.value, curves.offsets)]
    return list(_band_columns(band_statistics(curves)[0], curves.bands, config.bands).T)


def _band_columns(x: NDArray[np.float64], bands: tuple[str, ...], selection: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the columns of the bands ``selection``, NaN for those not in ``bands``."""
    missing = np.full(len(x), np.nan)
    return np.stack([x[:, bands.index(band)] if band in bands else missing for band in selection], 1)


def _roughness(value: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean squared difference of neighbouring phase bins over twice their variance, (n,)."""
    squares = np.zeros(len(value))
    squares[1:] = np.square(np.diff(value))
    squares[offsets[:-1][ragged.lengths(offsets) > 0]] = 0
    with np.errstate(invalid="ignore", divide="ignore"):
        return ragged.mean(squares, offsets) / (2 * np.square(ragged.std(value, offsets)))
