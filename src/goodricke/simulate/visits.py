"""When surveys come by and how deep they see: visits to a field of Rubin, ZTF and Gaia.

All that the objects of a field share: a source of any class is seen at the same times.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate.parameters import Table, table
from goodricke.simulate.source import Float

YEAR, LUNATION = 365.25, 29.530588
NEW_MOON = 51549.76  # MJD


class Visits(NamedTuple):
    """Visits to a field, in order of time.

    Parameters
    ----------
    time : (T,) [d]
    band : uint8 (T,)
    depth : (T,)
        AB magnitude that the survey's error model refers to: of Rubin and ZTF the 5-sigma depth.
    """

    time: Float
    band: NDArray[np.uint8]
    depth: Float


def moon_lit(time: Float) -> Float:
    """Return how much of the moon's disc is lit at times [MJD], 0 to 1; the mean moon's, good to 0.1."""
    return (1 - np.cos(2 * np.pi * (time - NEW_MOON) / LUNATION)) / 2


def rubin(rng: np.random.Generator) -> Visits:
    """Return visits of the wide, fast, deep survey: pairs in a night, bands after the moon."""
    t = table("survey_rubin")
    night = _in_season(t, rng)
    night = night[rng.random(len(night)) < t.value("night_chance")]
    dark = moon_lit(night) < 0.5
    weights = np.where(dark[:, None], t.value("dark_weights"), t.value("bright_weights"))
    pair = (weights.cumsum(1) < rng.random((len(night), 1)) * weights.sum(1, keepdims=True)).sum(1)
    band = t.value("pairs").astype(np.uint8)[pair][np.arange(len(night))[:, None], _turns(len(night), rng)]
    first = night + rng.uniform(0.0, 0.25, len(night))
    time = np.stack([first, first + t.each("pair_gap", len(night), rng)], 1)
    return _sorted(time.ravel(), band.ravel(), _rubin_depth(t, time.ravel(), band.ravel(), rng))


def _rubin_depth(t: Table, time: Float, band: NDArray[np.uint8], rng: np.random.Generator) -> Float:
    """Return 5-sigma depths of visits: Ivezic et al. (2019), equation 6, for exposures of 30 s."""
    airmass = t.each("airmass", len(time), rng)
    seeing = t.value("seeing")[band] * airmass**0.6 * t.each("seeing_factor", len(time), rng)
    sky = t.value("sky")[band] - t.value("moonlight")[band] * moon_lit(time)
    depth = t.value("depth_constant")[band] + 0.5 * (sky - 21) + 2.5 * np.log10(0.7 / seeing)
    return depth - t.value("absorption")[band] * (airmass - 1)


def ztf(rng: np.random.Generator) -> Visits:
    """Return visits in g and r every third clear night or so, in some fields also in i."""
    t = table("survey_ztf")
    night = _in_season(t, rng)
    due = np.cumsum(t.each("interval", len(night), rng)) + t.value("start")
    night = np.intersect1d(night[_clear(t, len(night), rng)], due)
    in_i = (t.each("has_i", len(night), rng)[:1] * t.each("i_visit", len(night), rng)) == 1
    first = night + rng.uniform(0.1, 0.3, len(night))
    gap = t.each("pair_gap", (len(night), 2), rng).cumsum(1)
    time = np.stack([first, first + gap[:, 0], first + gap[:, 1]], 1)
    band = np.concatenate([_turns(len(night), rng), np.full((len(night), 1), 2)], 1)
    made = np.stack([np.ones_like(in_i), np.ones_like(in_i), in_i], 1)
    time, band = time[made], band[made]
    depth = (
        t.value("depth")[band] + t.each("depth_scatter", len(time), rng) - t.value("moonlight")[band] * moon_lit(time)
    )
    return _sorted(time, band, depth)


def gaia(rng: np.random.Generator) -> Visits:
    """Return transits: passes of the scans, some in each precession of the axis, each of a few transits."""
    t = table("survey_gaia")
    period = t.value("precession")
    passes = t.each("passes", int(t.value("years") * YEAR / period), rng).astype(int)
    first = t.value("start") + (np.repeat(np.arange(len(passes)), passes) + rng.random(passes.sum())) * period
    each = t.each("transits", len(first), rng).astype(int)
    since = np.concatenate([[0.0], np.cumsum(np.resize(t.value("gaps"), each.max(initial=1) - 1))])
    time = np.concatenate([start + since[:number] for start, number in zip(first, each, strict=True)] or [first])
    band = np.arange(3)
    depth = t.value("reference") + t.value("ab_minus_vega")
    return _sorted(np.repeat(time, 3), np.tile(band, len(time)), np.tile(depth, len(time)))


def _in_season(t: Table, rng: np.random.Generator) -> Float:
    """Return the nights of a survey in which a field is up."""
    years = t.each("years", 1, rng)[0]
    night = t.value("start") + np.arange(int(YEAR * years))
    since = np.mod(night - t.value("start") - rng.uniform(0, YEAR), YEAR)
    return night[since < t.value("season")]


def _clear(t: Table, nights: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which nights are clear: runs of clear and of cloudy nights in turns."""
    runs = np.stack([t.each(name, nights // 2 + 1, rng) for name in ("clear_run", "cloudy_run")], 1)
    return np.repeat(np.arange(runs.size) % 2 == 0, np.rint(runs.ravel()).astype(int))[:nights]


def _turns(n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return (0, 1) or (1, 0) at random, (n, 2)."""
    first = rng.integers(0, 2, n)
    return np.stack([first, 1 - first], 1)


def _sorted(time: Float, band: NDArray, depth: Float) -> Visits:
    order = np.lexsort((band, time))
    return Visits(time[order], band[order].astype(np.uint8), depth[order])
