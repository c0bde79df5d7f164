"""Sparse multi-band light curves as sequences of steps, one per observation (Becker et al. 2025, section 3.1).

A step exists from the third observation of a band on. It holds the last two differences of time and magnitude within
the band, the observation's error, the colours so far, and the time since the previous observation in any band. No step
depends on later observations: the steps of a truncated light curve are the first steps of the complete one.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from astropy import units
from numpy.typing import NDArray
from pydantic import Field

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import MAGNITUDES_PER_E, factor_to, nanojansky
from goodricke.preprocess.cleaning import alternate_bands, finite_points, flux_to_ab, is_empty, significant_flux
from goodricke.preprocess.config import PreprocessingConfig
from goodricke.preprocess.tensors import Steps

AB_FLUX = "nJy"  # the unit of fluxes that AB magnitudes can be converted to
WINDOW = 2  # differences per step (w of section 3.1), at stride 1


class MultibandConfig(PreprocessingConfig):
    """Settings of the steps of multi-band light curves; part of a model's bundle."""

    family: ClassVar[str] = "multiband"

    kind: Literal["multiband"] = "multiband"
    bands: tuple[str, ...] = Field((), description="of the model; those of the training light curves if empty")
    brightness: Literal["magnitude", "asinh"] | None = Field(
        None, description="asinh magnitudes for fluxes, which may be negative (Lupton et al. 1999); follows the data"
    )
    softening: float | None = Field(
        None,
        gt=0,
        description="flux at which asinh magnitudes turn from linear to logarithmic; the data's median error",
    )
    unit: str | None = Field(None, description="of the fluxes of asinh magnitudes; the data's")
    level: bool = Field(False, description="steps also hold the magnitude and log10 of its error")
    columns: tuple[str, ...] = Field((), description="numbers per object for the central network, NaN allowed")
    alternate: tuple[str, str] | None = Field(
        None, description="two bands observed together, as Gaia's BP and RP: one of them per visit is used, alternating"
    )
    fewest: int = Field(1, ge=1, description="steps below which an object is TOO_FEW_POINTS")
    shortest: float = Field(1e-5, gt=0, description="smallest time difference [d]")
    smallest_error: float = Field(1e-3, gt=0, description="smallest error [mag]")

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of bands that have a colour, in the order of the colours."""
        return list(combinations(range(len(self.bands)), 2))

    @property
    def width(self) -> int:
        """Numbers per step that the band networks see."""
        return 2 * WINDOW + 2 * self.level

    @property
    def extras(self) -> int:
        """Numbers per step that only the central network gets (colours, wait, columns)."""
        return len(self.pairs) + 1 + len(self.columns)

    def resolved(self, curves: LightCurves) -> MultibandConfig:
        """Return the configuration with bands, brightness and softening of the training light curves where unset."""
        used = [curves.bands[b] for b in np.unique(curves.band)]
        changes: dict[str, Any] = {} if self.bands else {"bands": tuple(used)}
        brightness = self.brightness or ("magnitude" if curves.in_magnitudes else "asinh")
        if brightness == "asinh" and self.unit is None:
            changes["unit"] = curves.unit
        if brightness == "asinh" and self.softening is None:
            good = curves.error[np.isfinite(curves.error) & (curves.error > 0)]
            changes["softening"] = float(f"{np.median(good):.3g}") if len(good) else 1.0
        return self.model_copy(update=changes | {"brightness": brightness})

    def check_unit(self, curves: LightCurves) -> None:
        """Raise ValueError if the unit can't be converted to the model's magnitudes."""
        to_magnitudes(curves[:0], self)

    def refuse_unknown_bands(self, curves: LightCurves) -> None:
        """Raise ValueError if light curves have observations in a band that the model lacks."""
        unknown = [curves.bands[b] for b in np.unique(curves.band) if curves.bands[b] not in self.bands]
        if unknown:
            raise ValueError(
                f"the model has the bands {', '.join(self.bands)}, not {', '.join(unknown)}. "
                "Fix: without --strict these observations are left out"
            )


def prepare(curves: LightCurves, config: MultibandConfig) -> Steps:
    """Turn light curves into steps, all observations of all objects at once.

    Parameters
    ----------
    curves : LightCurves
        Magnitudes, or fluxes with ``brightness="asinh"``. Of several observations in one band at one time the first
        counts; of a visit in two bands that ``alternate``, one (section 2.1; see
        `goodricke.preprocess.cleaning.alternate_bands`).
    config : MultibandConfig
        With all its fields resolved.

    Returns
    -------
    Steps
        Status ``EMPTY``, ``NON_FINITE``, ``UNKNOWN_BAND`` without an observation in the model's bands,
        ``TOO_FEW_POINTS`` with fewer steps than ``config.fewest``.

    Raises
    ------
    ValueError
        If fluxes can't be converted to the model's magnitudes, magnitudes come to a model of fluxes, or a context
        column is missing.
    """
    finite = finite_points(to_magnitudes(curves, config))
    usable = sort_steps(select_bands(finite, config))
    usable = usable if config.alternate is None else alternate_bands(usable, config.alternate)
    owner, band = ragged.owner(usable.offsets), usable.band
    time, magnitude = usable.time, usable.value.astype(np.float64)
    rank, previous = _band_ranks(owner, band, len(config.bands))
    since = np.where(rank > 0, time - time[previous], np.nan)
    change = np.where(rank > 0, magnitude - magnitude[previous], np.nan)
    log_since = np.log10(np.maximum(since, config.shortest))
    error = usable_error(usable.error, config)
    window = step_window(config, log_since[previous], log_since, change[previous], change, magnitude, error)
    keep = rank >= WINDOW
    means = _running_means(owner, band, magnitude, rank, len(config.bands))
    offsets = ragged.select(keep, usable.offsets)
    short = np.diff(offsets) < config.fewest
    status = np.select(
        [is_empty(curves), finite.n_obs == 0, usable.n_obs == 0, short],
        ["EMPTY", "NON_FINITE", "UNKNOWN_BAND", "TOO_FEW_POINTS"],
        "OK",
    )
    return Steps(
        object_id=curves.object_id,
        offsets=offsets,
        band=band[keep],
        window=window[keep].astype(np.float32),
        error=error[keep].astype(np.float32),
        colour=colours(means, config)[keep].astype(np.float32),
        wait=_wait(owner, time, config)[keep].astype(np.float32),
        time=time[keep],
        rank=rank[keep] - WINDOW,
        context=object_context(curves, config),
        status=status,
        observations=usable.n_obs,
        bands=len(config.bands),
    )


def usable_error(error: NDArray[np.floating], config: MultibandConfig) -> NDArray[np.float64]:
    """Return positive errors [mag]: 1 where unknown, at least ``config.smallest_error``."""
    finite = np.nan_to_num(error.astype(np.float64), nan=1.0, posinf=1.0, neginf=1.0)
    return np.maximum(finite, config.smallest_error)


def step_window(
    config: MultibandConfig,
    log_before: NDArray[np.floating],
    log_since: NDArray[np.floating],
    change_before: NDArray[np.floating],
    change: NDArray[np.floating],
    magnitude: NDArray[np.floating],
    error: NDArray[np.floating],
) -> NDArray[np.float64]:
    """Return the input of a band network, (M, width), from arrays (M,) of log10 time differences, changes, ...."""
    level = [magnitude, np.log10(error)] if config.level else []
    return np.stack([log_before, log_since, change_before, change, *level], 1)


def object_context(curves: LightCurves, config: MultibandConfig) -> NDArray[np.float32]:
    """Return the model's context columns from the light curves' table of objects, (n, columns).

    Raises
    ------
    ValueError
        If one is missing.
    """
    table = curves.table_of_objects
    missing = [name for name in config.columns if name not in table.column_names]
    if missing:
        raise ValueError(
            f"the model needs the columns {', '.join(missing)}, which the light curves lack. "
            f"Fix: add them to the table of light curves; it has {', '.join(table.column_names) or 'none'}"
        )
    columns = [table[name].to_numpy().astype(np.float32) for name in config.columns]
    return np.stack(columns, 1) if columns else np.zeros((len(curves), 0), np.float32)


def to_magnitudes(curves: LightCurves, config: MultibandConfig) -> LightCurves:
    """Return the model's magnitudes: plain ones, or asinh magnitudes of fluxes of any sign.

    With softening s the asinh magnitude of flux f is ``-2.5 / ln 10 * asinh(f / 2s)``, which is a logarithm for f >> s
    and linear through zero; its error is ``2.5 / ln 10 * e / sqrt(f^2 + 4 s^2)``. A model of fluxes in nJy also takes
    AB magnitudes, as the positive fluxes that they are. For a model of plain magnitudes, flux densities larger than
    their errors become AB magnitudes; the others are dropped.

    Raises
    ------
    ValueError
        If magnitudes come to a model of fluxes in another unit, or the units are incompatible.
    """
    if config.brightness == "magnitude":
        plain = curves.in_magnitudes or curves.unit == "unknown"
        return curves if plain else flux_to_ab(significant_flux(curves))
    twice = 2 * (config.softening or 1.0)
    flux, error = _fluxes(curves, config)
    value = (-MAGNITUDES_PER_E * np.arcsinh(flux / twice)).astype(np.float32)
    error_in_magnitudes = (MAGNITUDES_PER_E * error / np.hypot(flux, twice)).astype(np.float32)
    return replace(curves, value=value, error=error_in_magnitudes, unit="mag (asinh)")


def _fluxes(curves: LightCurves, config: MultibandConfig) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return fluxes and errors (N,) in the model's unit; see `to_magnitudes`."""
    if curves.in_magnitudes and config.unit == AB_FLUX:
        return nanojansky(curves.value, curves.error)
    if curves.in_magnitudes:
        raise ValueError(
            f"the model takes fluxes, and the light curves are in {curves.unit}. Fix: give fluxes, use a model of "
            "magnitudes (`goodricke models list`), or give the --unit if they are fluxes"
        )
    factor = _factor(curves.unit, config.unit)
    return curves.value * factor, curves.error * factor


def _factor(unit: str, target: str | None) -> float:
    """Return the factor from a unit of flux to the model's; 1 if either of them is unspecified.

    A number in no stated unit is nothing to a model in nJy: a flux has no zero point, and it may be a magnitude.
    """
    if target == AB_FLUX and unit in ("flux", "unknown"):
        raise ValueError(f"light curves in {unit} have no zero point, and the model takes {target}. Fix: --unit")
    if target is None or unit == target or {unit, target} & {"flux", "unknown"}:
        return 1.0
    factor = factor_to(units.Unit(unit, parse_strict="silent"), target)
    if factor is None:
        raise ValueError(f"the model takes fluxes in {target}, and the light curves are in {unit}. Fix: --unit")
    return factor


def colours(means: NDArray[np.float64], config: MultibandConfig) -> NDArray[np.float64]:
    """Return the colours (M, pairs) of running mean magnitudes (M, bands), NaN where a band has none."""
    return np.stack([means[:, i] - means[:, j] for i, j in config.pairs], 1) if config.pairs else means[:, :0]


def select_bands(curves: LightCurves, config: MultibandConfig) -> LightCurves:
    """Keep the observations in the model's bands, with the model's band numbers."""
    unknown = len(config.bands)
    place = [config.bands.index(b) if b in config.bands else unknown for b in curves.bands]
    band = np.array(place, np.uint8)[curves.band]
    if (band == unknown).any():
        keep = band < unknown
        return replace(curves.where(keep), band=band[keep], bands=config.bands)
    return replace(curves, band=band, bands=config.bands)


def sort_steps(curves: LightCurves) -> LightCurves:
    """Sort each light curve by time, then band; of several observations in one band at one time keep the first."""
    owner = ragged.owner(curves.offsets)
    order = np.lexsort((curves.band, curves.time, owner))
    time, band = curves.time[order], curves.band[order]
    repeated = np.zeros(len(order), bool)
    repeated[1:] = (np.diff(time) == 0) & (np.diff(band) == 0) & (np.diff(owner) == 0)
    value, error = curves.value[order], curves.error[order]
    ordered = replace(curves, time=time, band=band, value=value, error=error)
    return ordered.where(~repeated) if repeated.any() else ordered


class _Ranks(NamedTuple):
    rank: NDArray[np.int64]  # (N,) number of earlier observations of the same object and band
    previous: NDArray[np.int64]  # (N,) index of the previous one; its own for the first


def _band_ranks(owner: NDArray[np.int64], band: NDArray[np.uint8], bands: int) -> _Ranks:
    """Rank observations, in order of object and time, within their object and band."""
    series = owner * bands + band
    order = np.argsort(series, kind="stable")
    first = np.ones(len(order), bool)
    first[1:] = np.diff(series[order]) != 0
    start = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    rank, previous = np.empty((2, len(order)), np.int64)
    rank[order] = np.arange(len(order)) - start
    previous[order] = np.where(first, order, np.roll(order, 1))
    return _Ranks(rank, previous)


def _running_means(
    owner: NDArray[np.int64], band: NDArray[np.uint8], magnitude: NDArray[np.float64], rank: NDArray, bands: int
) -> NDArray[np.float64]:
    """Return the mean magnitude of each band up to and including each observation, (N, bands), NaN before a step.

    Sums run over the whole batch and are differenced at each object's start. The object's first magnitude is subtracted
    before, so that a bright neighbour costs no digits.
    """
    result = np.full((len(owner), bands), np.nan)
    start = np.searchsorted(owner, owner, side="left")
    for b in range(bands):
        in_band = band == b
        zero = magnitude[start] if len(start) else magnitude
        running = np.cumsum(np.where(in_band, magnitude - zero, 0.0))
        count = np.cumsum(in_band)
        before = start - 1
        total = running - np.where(before >= 0, running[before], 0.0)
        number = count - np.where(before >= 0, count[before], 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            result[:, b] = np.where(number > WINDOW, zero + total / number, np.nan)
    return result


def _wait(owner: NDArray[np.int64], time: NDArray[np.float64], config: MultibandConfig) -> NDArray[np.float64]:
    """Return log10 of the time since the same object's previous observation in any band [d], (N,)."""
    since = np.diff(time, prepend=time[:1])
    since[np.searchsorted(owner, np.unique(owner))] = 0
    return np.log10(np.maximum(since, config.shortest))
