"""Sparse multi-band light curves as sequences of steps, one per observation (Becker et al. 2025, section 3.1).

A step exists from the third observation of a band on. It holds the last two differences of time and magnitude within
the band, the observation's error, the colours known by then, and the time since the previous observation in any band.
Nothing in a step depends on later observations, so a light curve cut short gives the same steps, cut short.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from goodricke import ragged
from goodricke.lightcurves import LightCurves
from goodricke.preprocess.cleaning import finite_points

WINDOW = 2  # differences per step (w of section 3.1), at stride 1


class MultibandConfig(BaseModel):
    """How multi-band light curves become steps; part of a model's bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["multiband"] = "multiband"
    bands: tuple[str, ...] = Field(
        min_length=1, description="that the model knows; observations in others are left out"
    )
    brightness: Literal["magnitude", "asinh"] = Field(
        "magnitude", description="asinh magnitudes for difference fluxes, which may be negative (Lupton et al. 1999)"
    )
    softening: float = Field(10.0, gt=0, description="flux at which asinh magnitudes turn from linear to logarithmic")
    shortest: float = Field(1e-5, gt=0, description="time differences below this [d] count as this")
    smallest_error: float = Field(1e-3, gt=0, description="errors below this [mag] count as this")

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of bands that have a colour, in the order of the colours."""
        return list(combinations(range(len(self.bands)), 2))


@dataclass(frozen=True, eq=False)
class Steps:
    """The steps of ``n`` objects, ``M`` in all, in order of time (equal times: in order of the bands).

    Parameters
    ----------
    object_id : pyarrow string array (n,)
    offsets : int64 (n + 1,)
    band : uint8 (M,)
        Index into the configuration's bands.
    window : float32 (M, 4)
        Two log10 time differences [d], then two magnitude differences, the older first.
    error : float32 (M,)
        In magnitudes.
    colour : float32 (M, pairs)
        Differences of the bands' running mean magnitudes, NaN while one of the two has no step.
    wait : float32 (M,)
        log10 of the time since the object's previous observation in any band [d].
    time : float64 (M,)
    rank : int64 (M,)
        Number of earlier steps of the same object and band.
    status : str (n,)
    """

    object_id: pa.Array
    offsets: NDArray[np.int64]
    band: NDArray[np.uint8]
    window: NDArray[np.float32]
    error: NDArray[np.float32]
    colour: NDArray[np.float32]
    wait: NDArray[np.float32]
    time: NDArray[np.float64]
    rank: NDArray[np.int64]
    status: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.object_id)


def steps(curves: LightCurves, config: MultibandConfig) -> Steps:
    """Turn light curves into steps, all observations of all objects at once.

    Parameters
    ----------
    curves : LightCurves
        Magnitudes, or fluxes with ``brightness="asinh"``.
    config : MultibandConfig

    Returns
    -------
    Steps
        Status ``EMPTY``, ``NON_FINITE``, ``UNKNOWN_BAND`` if no observation is in a known band, ``TOO_FEW_POINTS``
        without a step.
    """
    finite = finite_points(to_magnitudes(curves, config))
    known = _in_known_bands(finite, config)
    order = np.lexsort((known.band, known.time, ragged.owner(known.offsets)))
    owner, band = ragged.owner(known.offsets), known.band[order]
    time, magnitude = known.time[order], known.value[order].astype(np.float64)
    rank, previous = _within_bands(owner, band, len(config.bands))
    since = np.where(rank > 0, time - time[previous], np.nan)
    change = np.where(rank > 0, magnitude - magnitude[previous], np.nan)
    log_since = np.log10(np.maximum(since, config.shortest))
    window = np.stack([log_since[previous], log_since, change[previous], change], 1)
    keep = rank >= WINDOW
    means = _running_means(owner, band, magnitude, rank, len(config.bands))
    offsets = ragged.select(keep, known.offsets)
    return Steps(
        curves.object_id,
        offsets,
        band[keep],
        window[keep].astype(np.float32),
        np.maximum(np.nan_to_num(known.error[order][keep], nan=1.0), config.smallest_error).astype(np.float32),
        colours(means, config)[keep].astype(np.float32),
        _wait(owner, time, config)[keep].astype(np.float32),
        time[keep],
        rank[keep] - WINDOW,
        np.select(
            [curves.n_obs == 0, finite.n_obs == 0, known.n_obs == 0, np.diff(offsets) == 0],
            ["EMPTY", "NON_FINITE", "UNKNOWN_BAND", "TOO_FEW_POINTS"],
            "OK",
        ),
    )


def to_magnitudes(curves: LightCurves, config: MultibandConfig) -> LightCurves:
    """Return magnitudes: as they are, or asinh magnitudes of fluxes of any sign.

    With softening s the asinh magnitude of flux f is ``-2.5 / ln 10 * asinh(f / 2s)``, which is a logarithm for f >> s
    and linear through zero; its error is ``2.5 / ln 10 * e / sqrt(f^2 + 4 s^2)``.

    Raises
    ------
    ValueError
        If fluxes come to a model of magnitudes, or the other way round.
    """
    if curves.in_magnitudes == (config.brightness == "asinh") and curves.unit != "unknown":
        wanted = "fluxes" if config.brightness == "asinh" else "magnitudes"
        raise ValueError(f"the model takes {wanted}, and the light curves are in {curves.unit}")
    if config.brightness == "magnitude":
        return curves
    scale, twice = 2.5 / np.log(10), 2 * config.softening
    value = (-scale * np.arcsinh(curves.value / twice)).astype(np.float32)
    error = (scale * curves.error / np.hypot(curves.value, twice)).astype(np.float32)
    return replace(curves, value=value, error=error, unit="mag (asinh)")


def colours(means: NDArray[np.float64], config: MultibandConfig) -> NDArray[np.float64]:
    """Return the colours (M, pairs) of running mean magnitudes (M, bands), NaN where a band has none."""
    return np.stack([means[:, i] - means[:, j] for i, j in config.pairs], 1) if config.pairs else means[:, :0]


def _in_known_bands(curves: LightCurves, config: MultibandConfig) -> LightCurves:
    """Keep observations in the model's bands, numbered as the model numbers them."""
    unknown = len(config.bands)
    place = [config.bands.index(b) if b in config.bands else unknown for b in curves.bands]
    band = np.array(place, np.uint8)[curves.band]
    if (band == unknown).any():
        keep = band < unknown
        return replace(curves.where(keep), band=band[keep], bands=config.bands)
    return replace(curves, band=band, bands=config.bands)


class _Ranks(NamedTuple):
    rank: NDArray[np.int64]  # (N,) how many observations of the same object and band come before
    previous: NDArray[np.int64]  # (N,) index of the one before; itself for the first


def _within_bands(owner: NDArray[np.int64], band: NDArray[np.uint8], bands: int) -> _Ranks:
    """Count the observations of each object and band; they must be in order of object and time."""
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

    Sums run over the whole batch and are differenced at each object's start, from magnitudes less the object's first,
    so that a bright neighbour costs no digits.
    """
    result = np.full((len(owner), bands), np.nan)
    start = np.searchsorted(owner, owner, side="left")
    for b in range(bands):
        mine = band == b
        zero = magnitude[start] if len(start) else magnitude
        running = np.cumsum(np.where(mine, magnitude - zero, 0.0))
        count = np.cumsum(mine)
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
