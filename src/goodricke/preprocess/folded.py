"""Sparse light curves for a dense network: folded on the period found in the light curve itself, binned in phase.

Ground-based surveys see a star once a night or less, so that neighbouring points of an RR Lyrae star belong to
different cycles and a convolution over them sees noise. Folded, neighbours in the sequence are neighbours in phase.
Two cycles are folded because a periodogram finds eclipsing binaries at half their period. The phase bins are spaced in
"time" as if taken every 30 minutes, the cadence for which the positional encoding was made.
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
    clip_outliers,
    distinct_points,
    finite_points,
    judge,
)
from goodricke.preprocess.config import PreprocessingConfig
from goodricke.preprocess.periods import PeriodSearch, find_periods
from goodricke.preprocess.tensors import Frames

CADENCE = 1 / 48  # days between phase bins, as the positional encoding sees them
MOST_LOST = 0.2  # fraction of fluxes without magnitude from which on the rest says little
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
    clip_sigma: float = Field(10.0, gt=0)
    clip_rounds: int = Field(5, ge=0)
    search: PeriodSearch = PeriodSearch()
    bands: tuple[str, ...] | None = Field(
        None, description="whose colours and ratios of amplitude the network is told; those of the data if several"
    )

    level: bool = Field(False, description="the network is also told the median magnitude, in each of the bands")

    def resolved(self, curves: LightCurves) -> FoldedConfig:
        """Fill in what was left to follow from the training light curves: the bands, if there are several."""
        used = tuple(curves.bands[b] for b in np.unique(curves.band))
        return self if self.bands is not None or len(used) < 2 else self.model_copy(update={"bands": used})

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of bands that have a colour."""
        return list(combinations(range(len(self.bands or ())), 2))

    @property
    def channels(self) -> int:
        """Numbers per point: standardised brightness and its error."""
        return 2

    @property
    def context(self) -> int:
        """Numbers per object: `CONTEXT`, a colour and a ratio of amplitudes for each pair of bands, their levels."""
        return len(CONTEXT) + 2 * len(self.pairs) + self.level * max(len(self.bands or ()), 1)


def prepare(curves: LightCurves, config: FoldedConfig) -> Frames:
    """Clean, fold and standardise light curves.

    Parameters
    ----------
    curves : LightCurves
        In magnitudes or positive flux; several bands are taken together, each less its
        median.
    config : FoldedConfig

    Returns
    -------
    Frames
        Values (M, 2): brightness (up is brighter), median 0 and standard deviation 1 over the observations, and its
        error in the same unit (0 if unknown). Context (n, 7 or more): see `FoldedConfig.context`, NaN where unknown.
    """
    lost = _without_magnitude(curves)
    curves = in_magnitudes(curves)
    distinct = distinct_points(finite_points(curves))
    cleaned = clip_outliers(align_bands(distinct).sorted(), config.clip_sigma, config.clip_rounds)
    period, power = find_periods(cleaned, config.search)
    observations = cleaned.n_obs
    status = judge(curves, cleaned, config.fewest)
    status = np.where((status == "OK") & (lost >= MOST_LOST), "NOT_POSITIVE", status)
    status = np.where((status == "OK") & ~np.isfinite(period), "NO_PERIOD", status)
    cleaned = cleaned.where(ragged.spread(status == "OK", cleaned.offsets))

    centre = ragged.median(cleaned.value, cleaned.offsets)
    scale = ragged.std(cleaned.value, cleaned.offsets)
    phase = _phase(cleaned, period)
    index = np.minimum((phase * config.bins).astype(np.int64), config.bins - 1)
    index = _from_faintest(cleaned, index, config.bins)
    offsets, bins, _, value, error = bin_average(cleaned, index)
    value = -(value - ragged.spread(centre, offsets)) / ragged.spread(scale, offsets)
    error = np.nan_to_num(error / ragged.spread(scale, offsets))
    shape = [np.log10(period), power, *_shape(cleaned, centre, scale), _roughness(value, offsets)]
    context = np.stack([*shape, *_colours(distinct, config), *_levels(distinct, config)], 1)
    # without errors there is no noise, and quantised magnitudes have quantiles that coincide: unknown is NaN
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


def _without_magnitude(curves: LightCurves) -> NDArray[np.float64]:
    """Return the fraction of each light curve's finite fluxes that are not positive, (n,); 0 for magnitudes."""
    if curves.in_magnitudes:
        return np.zeros(len(curves))
    finite = np.isfinite(curves.value)
    with np.errstate(invalid="ignore"):
        lost = ragged.total(finite & (curves.value <= 0), curves.offsets) / ragged.total(finite, curves.offsets)
    return np.nan_to_num(lost)


def in_magnitudes(curves: LightCurves) -> LightCurves:
    """Return the light curves in magnitudes, -2.5 log10 of a flux in the data's unit, or as they are if in magnitudes.

    Fluxes that are not positive become NaN: they have no magnitude.
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


def _from_faintest(curves: LightCurves, index: NDArray[np.int64], bins: int) -> NDArray[np.int64]:
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
    level, width = (_of_bands(x, curves.bands, config.bands or ()) for x in band_statistics(curves))  # (n, bands)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.log10(width)
        return [level[:, i] - level[:, j] for i, j in config.pairs] + [
            ratio[:, i] - ratio[:, j] for i, j in config.pairs
        ]


def _levels(curves: LightCurves, config: FoldedConfig) -> list[NDArray[np.float64]]:
    """Return the median magnitude in each band of the configuration, of all observations without any, each (n,)."""
    if not config.level:
        return []
    if not config.bands:
        return [ragged.median(curves.value, curves.offsets)]
    return list(_of_bands(band_statistics(curves)[0], curves.bands, config.bands).T)


def _of_bands(x: NDArray[np.float64], have: tuple[str, ...], want: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the columns of the bands ``want``, NaN for those not in ``have``."""
    missing = np.full(len(x), np.nan)
    return np.stack([x[:, have.index(band)] if band in have else missing for band in want], 1)


def _roughness(value: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean squared difference of neighbouring phase bins over twice their variance, (n,)."""
    squares = np.zeros(len(value))
    squares[1:] = np.square(np.diff(value))
    squares[offsets[:-1][ragged.lengths(offsets) > 0]] = 0
    with np.errstate(invalid="ignore", divide="ignore"):
        return ragged.mean(squares, offsets) / (2 * np.square(ragged.std(value, offsets)))
