"""What the page shows of one light curve: its points, its periodogram, a small picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.catalog.variability import Limits, highest_frequency, sine_amplitude
from goodricke.evaluation.style import COLOURS
from goodricke.explorer.sources import thinned
from goodricke.lightcurves import LightCurves
from goodricke.preprocess.cleaning import align_bands, clip_outliers, distinct_points, finite_points
from goodricke.preprocess.periods import PeriodSearch, periodogram

Float = NDArray[np.float64]

SHOWN = 4000  # frequencies of a periodogram
PEAKS = 5
APART = 1.5  # natural widths 1 / span between two peaks
WIDTH, HEIGHT, EDGE = 150, 84, 5  # of a thumbnail
DRAWN = 400  # its points
BLUE_TO_RED = "uUBbgGVvrRiIzZyYJHK"  # last letters of bands' names
ONE_BAND = "#7d8794"
BLUE, RED, GREEN, PINK = COLOURS[:4]
BAND_COLOURS = {"u": BLUE, "B": BLUE, "g": GREEN, "V": GREEN, "G": GREEN, "r": RED, "R": RED, "i": PINK, "I": PINK}
SIZE = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
FRAME = f'<svg xmlns="http://www.w3.org/2000/svg" {SIZE}>{{}}</svg>'
EMPTY = FRAME.format("")


def points(curve: LightCurves, most: int, period: float | None) -> dict[str, Any]:
    """Return the observations of a light curve in order of time, at most so many of them, drawn at random."""
    curve = by_colour(finite_points(curve).sorted())
    shown = thinned(curve, most)
    return {
        "time": shown.time.tolist(),
        "value": _floats(shown.value),
        "error": _floats(shown.error),
        "band": shown.band.tolist(),
        "bands": list(shown.bands),
        "unit": shown.unit,
        "magnitudes": shown.in_magnitudes,
        "time_scale": shown.time_scale,
        "shown": len(shown.time),
        "total": len(curve.time),
        "period": period,
        "t0": float(curve.time[0]) if len(curve.time) else None,
    }


def spectrum(curve: LightCurves, band: str | None = None) -> dict[str, Any]:
    """Return the Lomb-Scargle periodogram of a light curve, as the highest power in each of `SHOWN` steps.

    Parameters
    ----------
    curve : LightCurves
        One light curve.
    band : str, optional
        The one band to look at; by default all together, each less its median.

    Returns
    -------
    dict
        ``frequency`` [1/d], ``power`` (0 to 1), and ``peaks``: the highest ones, at least 1.5 / span apart, with
        ``amplitude`` the semi-amplitude of the sine that fits best, in the unit of the light curve.

    Raises
    ------
    ValueError
        If the light curve has no such band.
    """
    chosen = "all bands together, each less its median" if len(curve.bands) > 1 else ""
    if band:
        if band not in curve.bands:
            raise ValueError(f"no band {band!r} here: it has {', '.join(curve.bands)}")
        curve, chosen = curve.where(curve.band == curve.bands.index(band)), f"band {band} alone"
    clean = clip_outliers(align_bands(distinct_points(finite_points(curve)).sorted()), sigma=10, rounds=5)
    told: dict[str, Any] = {"frequency": [], "power": [], "peaks": [], "band": band, "note": chosen}
    if len(clean.time) < 5:
        return told | {"note": f"{len(clean.time)} usable observations: a periodogram needs 5"}
    search = PeriodSearch(shortest=1 / highest_frequency(clean.time, Limits()))
    found = periodogram(clean.time, clean.value, clean.error, search)
    if found is None:
        return told | {"note": "no period can be searched: no spread in brightness, or too little or too much time"}
    span = float(np.ptp(clean.time))
    peaks = [_peak(clean, found.frequency, found.power, k) for k in highest_peaks(found.frequency, found.power, span)]
    frequency, power = _outline(found.frequency, found.power)
    return told | {"frequency": frequency.tolist(), "power": power.tolist(), "peaks": peaks}


def highest_peaks(frequency: Float, power: Float, span: float, most: int = PEAKS) -> list[int]:
    """Return where the highest peaks of a periodogram are, the highest first, none within `APART` / span of another."""
    inner = np.flatnonzero((power[1:-1] >= power[:-2]) & (power[1:-1] > power[2:])) + 1
    found = list[int]()
    for k in inner[np.argsort(-power[inner], kind="stable")][:1000].tolist():
        if all(abs(frequency[k] - frequency[other]) > APART / span for other in found):
            found.append(k)
        if len(found) == most:
            break
    return found


def picture(curve: LightCurves, period: float | None) -> str:
    """Return a light curve as a small SVG without axes, folded where a period [d] is given; bright is up."""
    curve = by_colour(thinned(finite_points(curve), DRAWN))
    x = curve.time % period if period else curve.time
    y = -curve.value.astype(np.float64) if curve.in_magnitudes else curve.value.astype(np.float64)
    if len(y) > 10:
        low, high = np.quantile(y, (0.01, 0.99))
        y = np.clip(y, low - 0.15 * (high - low), high + 0.15 * (high - low))
    if period:
        x, y, band = np.r_[x, x + period], np.r_[y, y], np.r_[curve.band, curve.band]
    else:
        band = curve.band
    across, down = _scaled(x, EDGE, WIDTH - EDGE), _scaled(-y, EDGE, HEIGHT - EDGE)
    several = len(np.unique(band)) > 1
    paths = [
        _dots(across[band == b], down[band == b], _colour(curve.bands[b], int(b)) if several else ONE_BAND)
        for b in np.unique(band)
    ]
    return FRAME.format("".join(paths))


def by_colour(curve: LightCurves) -> LightCurves:
    """Return a light curve with its bands from blue to red: files have them in any order, and each object another."""
    order = sorted(range(len(curve.bands)), key=lambda k: (BLUE_TO_RED.find(curve.bands[k][-1:]), curve.bands[k]))
    place = np.argsort(order).astype(np.uint8)
    return replace(curve, bands=tuple(curve.bands[k] for k in order), band=place[curve.band])


def _colour(band: str, k: int) -> str:
    """Return the colour of a band's light, as in the page's charts."""
    return BAND_COLOURS.get(band[-1:], COLOURS[k % len(COLOURS)])


def _dots(x: Float, y: Float, colour: str) -> str:
    """Return dots as one path of strokes without length."""
    marks = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    return f'<path d="{marks}" stroke="{colour}" stroke-width="2.2" stroke-linecap="round"/>'


def _scaled(values: Float, low: float, high: float) -> Float:
    """Return numbers spread from low to high; all in the middle if they are one."""
    if not len(values) or not np.ptp(values) > 0:
        return np.full(len(values), (low + high) / 2)
    return low + (values - values.min()) / np.ptp(values) * (high - low)


def _peak(curve: LightCurves, frequency: Float, power: Float, k: int) -> dict[str, float]:
    """Return a peak, its frequency refined by a parabola through its three highest points."""
    left, middle, right = power[k - 1 : k + 2]
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
    at = float(frequency[k] + shift * (frequency[1] - frequency[0]))
    amplitude = sine_amplitude(curve.time, curve.value, curve.error, curve.band, at)
    return {"frequency": at, "period": 1 / at, "power": float(np.clip(middle, 0, 1)), "amplitude": amplitude}


def _outline(frequency: Float, power: Float) -> tuple[Float, Float]:
    """Return the highest power in each of `SHOWN` even steps, where it is: no peak is lost."""
    if len(power) <= SHOWN:
        return frequency, np.clip(power, 0, 1)
    starts = np.linspace(0, len(power), SHOWN + 1).astype(int)[:-1]
    step = np.searchsorted(starts, np.arange(len(power)), side="right") - 1
    order = np.lexsort((power, step))
    highest = order[np.r_[starts[1:], len(power)] - 1]
    return frequency[highest], np.clip(power[highest], 0, 1)


def _floats(values: NDArray[np.floating]) -> Sequence[float | None]:
    """Return numbers as JSON has them."""
    return [x if np.isfinite(x) else None for x in np.round(values.astype(np.float64), 9).tolist()]
