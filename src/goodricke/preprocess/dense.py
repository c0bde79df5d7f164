"""Dense space photometry for ASTRAFier (section 4.3): clipping, detrending, times from zero, standardised flux."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import MAGNITUDES_PER_E, STANDARDISED
from goodricke.preprocess import dense_summary, slow_variability
from goodricke.preprocess.cleaning import (
    align_bands,
    bin_average,
    cleaning_status,
    clip_outliers,
    distinct_points,
    finite_points,
)
from goodricke.preprocess.config import PreprocessingConfig
from goodricke.preprocess.tensors import Frames

FEWEST_SAMPLES = 3  # per sigma of the detrending: with fewer the trend would be the light curve itself
PAPER_SIGMA = 61 / 48  # days: the paper's 61 samples of 30 minutes


class DenseConfig(PreprocessingConfig):
    """Steps of section 4.3, part of a model's bundle; the defaults are the paper's for TESS.

    `kepler` only standardises. `published` reproduces the published code, rounding included: a sigma of 61 samples
    at any cadence, 1,171 frames, times cast to 32 bits before they are differenced.
    """

    columns: ClassVar[tuple[str, ...]] = ()  # per-object context columns: none

    kind: Literal["dense"] = "dense"
    fewest: int = Field(10, ge=1, description="points below which an object is TOO_FEW_POINTS")
    distinct: bool = Field(True, description="drop observations that repeat another one")
    clip_sigma: float | None = Field(10.0, gt=0, description="standard deviations from the median; null: no clipping")
    clip_rounds: int = Field(5, ge=1, description="number of times that outliers are searched for")
    keep_dips: bool = Field(False, description="clip no faint observations beside other faint ones: eclipses")
    detrend: float | None = Field(
        PAPER_SIGMA, gt=0, description="sigma of the Gaussian filter [d]; null: no detrending"
    )
    detrend_samples: int | None = Field(None, ge=1, description="sigma in samples instead, at any cadence")
    cadence: float | None = Field(1 / 48, gt=0, description="light curves sampled faster are averaged to this [d]")
    frames: int | None = Field(None, ge=1, description="cut and pad every light curve to this many points")
    constant: Literal["refuse", "zeros"] = Field("refuse", description="treatment of a light curve without spread")
    single_precision_time: bool = Field(False, description="cast times to 32 bits before they are differenced")
    spectrum: int = Field(
        0,
        ge=0,
        description="bins of the amplitude spectrum that the network reads besides the flux, with amplitude, noise and "
        "other numbers; none in the paper",
    )
    slow_numbers: bool = Field(
        False, description="with a spectrum: also numbers of the light curve before detrending, for changes in weeks"
    )

    def resolved(self, curves: LightCurves) -> DenseConfig:
        """Return the configuration: nothing in it depends on the training light curves."""
        return self

    @property
    def channels(self) -> int:
        """Numbers per point (standardised flux)."""
        return 1

    @property
    def context(self) -> int:
        """Numbers per object besides the flux, see `dense_summary` and `slow_variability`; none in the paper."""
        slow = len(slow_variability.NUMBERS) if self.spectrum and self.slow_numbers else 0
        return dense_summary.width(self.spectrum) + slow


def kepler() -> DenseConfig:
    """Return the paper's preprocessing of Kepler light curves: standardise only (section 4.3)."""
    return DenseConfig(clip_sigma=None, detrend=None)


def published() -> DenseConfig:
    """Return the preprocessing of the published code, for weights trained with it."""
    return DenseConfig(
        fewest=1,
        distinct=False,
        detrend_samples=61,
        cadence=None,
        frames=1171,
        constant="zeros",
        single_precision_time=True,
    )


def prepare(curves: LightCurves, config: DenseConfig) -> Frames:
    """Clean, detrend and standardise light curves.

    Parameters
    ----------
    curves : LightCurves
        In flux of any unit, quality flags applied by the reader. Magnitudes change sign, so that up is brighter.
        Several bands are combined, each less its median. Flux whose unit is `goodricke.data.units.STANDARDISED` is
        taken as it is.
    config : DenseConfig

    Returns
    -------
    Frames
        Values (M, 1): flux with median 0 and standard deviation 1; times in days from each light curve's first point.
    """
    is_standardised = curves.unit == STANDARDISED  # by its makers: nothing is cleaned or detrended once more
    if is_standardised:
        config = config.model_copy(update={"distinct": False, "clip_sigma": None, "detrend": None, "cadence": None})
    cleaned = finite_points(curves)
    if config.distinct:
        cleaned = distinct_points(cleaned)
    cleaned = align_bands(cleaned).sorted()
    if config.clip_sigma is not None:
        cleaned = clip_outliers(cleaned, config.clip_sigma, config.clip_rounds, config.keep_dips)
    observations = cleaned.n_obs
    if config.cadence is not None:
        cleaned = to_cadence(cleaned, config.cadence)
    status = cleaning_status(curves, cleaned, config.fewest)
    cadence = None
    if config.detrend is not None and config.detrend_samples is None:
        cadence = median_cadence(cleaned)
        sparse = config.detrend < FEWEST_SAMPLES * cadence
        status = np.where((status == "OK") & sparse, "TOO_SPARSE", status)
    if config.constant == "zeros":
        status = np.where(status == "CONSTANT", "OK", status)
    cleaned = cleaned.where(ragged.spread(status == "OK", cleaned.offsets))
    if config.frames is not None:
        cleaned = _cut(cleaned, config.frames)
    flux = raw = -cleaned.value if cleaned.in_magnitudes else cleaned.value
    if config.detrend is not None:
        flux = flux - gaussian_trend(flux, cleaned, config.detrend, config.detrend_samples, cadence)
    frames = Frames(
        scale=None if is_standardised else _relative_scale(cleaned, flux),
        object_id=curves.object_id,
        offsets=cleaned.offsets,
        time=_elapsed_days(cleaned, config.single_precision_time),
        values=(flux if is_standardised else standardise(flux, cleaned.offsets))[:, None],
        context=np.zeros((len(curves), 0), np.float32),
        status=status,
        frames=config.frames,
        observations=observations,
    )
    if not config.spectrum:
        return frames
    raw_scale = np.full(len(curves), np.nan) if is_standardised else _relative_scale(cleaned, raw)
    context = dense_summary.summaries(frames, raw_scale, config.spectrum)
    if config.slow_numbers:
        before = replace(frames, values=(raw if is_standardised else standardise(raw, cleaned.offsets))[:, None])
        context = np.concatenate([context, slow_variability.slow_numbers(before, raw_scale)], 1)
    return replace(frames, context=context)


def to_cadence(curves: LightCurves, cadence: float) -> LightCurves:
    """Average light curves sampled at less than 3/4 of ``cadence`` [d] in bins of it; the others stay."""
    step = median_cadence(curves)
    fast = step < 0.75 * cadence
    if not fast.any():
        return curves
    part = curves.where(ragged.spread(fast, curves.offsets))
    zero = ragged.spread(ragged.extreme(part.time, part.offsets, np.minimum), part.offsets)
    index = np.minimum((part.time - zero) / cadence, 2.0**62).astype(np.int64)
    offsets, _, time, value, error = bin_average(part, index)
    averaged = replace(
        part,
        offsets=offsets,
        time=time,
        value=value.astype(np.float32),
        error=error.astype(np.float32),
        band=np.zeros(offsets[-1], np.uint8),
    )
    if fast.all():
        return averaged
    slow = curves.where(ragged.spread(~fast, curves.offsets))
    joined = LightCurves.concat([averaged, slow])
    order = np.arange(len(curves)) + np.where(fast, 0, len(curves))
    return joined[order]


def median_cadence(curves: LightCurves) -> NDArray[np.float64]:
    """Return the median time between neighbouring points [d], (n,), NaN below two points; times must be sorted."""
    inside = np.ones(len(curves.time), bool)
    inside[curves.offsets[:-1][curves.n_obs > 0]] = False
    with np.errstate(over="ignore"):
        steps = np.diff(curves.time, prepend=curves.time[:1]).astype(np.float32)[inside]
    return ragged.median(steps, ragged.select(inside, curves.offsets))


def gaussian_trend(
    flux: NDArray[np.float32],
    curves: LightCurves,
    days: float,
    samples: int | None = None,
    cadence: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """Return the slow trend of each light curve, (N,): a Gaussian filter over its samples, gaps ignored.

    Parameters
    ----------
    flux : float32 (N,)
    curves : LightCurves
        Their times give the cadence.
    days : float
        Sigma of the filter [d], divided by each light curve's median cadence.
    samples : int, optional
        Sigma in samples instead.
    cadence : float64 (n,), optional
        The light curves' `median_cadence`, computed by default.

    Notes
    -----
    A light curve shorter than sigma is filtered with half its own length, as in the published code. Edges reflect.
    """
    from scipy.ndimage import gaussian_filter1d

    counts = curves.n_obs
    with np.errstate(invalid="ignore", divide="ignore"):
        cadence = median_cadence(curves) if cadence is None else cadence
        sigma = np.full(len(curves), float(samples)) if samples else days / cadence
    usable = np.isfinite(sigma) & (counts >= sigma)
    sigma = np.where(usable, sigma, np.maximum(counts // 2, 1))
    trend = np.empty_like(flux)
    for a, b, s in zip(curves.offsets[:-1], curves.offsets[1:], sigma, strict=True):
        if b > a:
            trend[a:b] = gaussian_filter1d(flux[a:b], s)
    return trend


def standardise(flux: NDArray[np.float32], offsets: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return flux with median 0 and standard deviation (ddof 0) 1 per light curve; without spread, zeros."""
    width = ragged.std(flux, offsets)
    centred = flux - ragged.spread(ragged.median(flux, offsets), offsets)
    return (centred / ragged.spread(np.where(width > 0, width, 1.0), offsets)).astype(np.float32)


def _relative_scale(curves: LightCurves, flux: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the standard deviation (n,) of detrended ``flux`` (N,) relative to the median flux, NaN without one."""
    width = ragged.std(flux, curves.offsets)
    if curves.in_magnitudes:
        return width / MAGNITUDES_PER_E
    level = ragged.median(curves.value, curves.offsets)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(level > 0, width / level, np.nan)


def detrending_response(frequency: NDArray[np.float64], config: DenseConfig, cadence: float) -> NDArray[np.float64]:
    r"""Return the fraction of a sine's amplitude that detrending leaves, :math:`1 - e^{-2 \pi^2 \sigma^2 f^2}`.

    Parameters
    ----------
    frequency : float64 (F,)
        In cycles per day.
    config : DenseConfig
        With sigma in days, or in samples of ``cadence`` [d].
    """
    sigma = config.detrend_samples * cadence if config.detrend_samples else config.detrend
    if config.detrend is None or sigma is None:
        return np.ones_like(frequency)
    return -np.expm1(-2 * (np.pi * sigma * frequency) ** 2)


def _cut(curves: LightCurves, frames: int) -> LightCurves:
    """Keep the first ``frames`` points of each light curve."""
    place = np.arange(len(curves.time)) - ragged.spread(curves.offsets[:-1], curves.offsets)
    return curves.where(place < frames)


def _elapsed_days(curves: LightCurves, single: bool) -> NDArray[np.float32]:
    """Return times [d] from each light curve's first point, differenced in 64 bits unless ``single``."""
    time = curves.time.astype(np.float32) if single else curves.time
    first = np.zeros(len(curves), time.dtype)
    filled = curves.n_obs > 0
    first[filled] = time[curves.offsets[:-1][filled]]
    with np.errstate(over="ignore"):
        return (time - ragged.spread(first, curves.offsets)).astype(np.float32)
