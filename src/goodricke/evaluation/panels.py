"""The panels of an object's figure: light curve, periodogram, folded light curve, probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.evaluation.style import ACCENT, COLOURS, GREY, PALE, say, shorten, thin
from goodricke.lightcurves import LightCurves
from goodricke.predictions import MEANING, Predictions, Status
from goodricke.preprocess.cleaning import align_bands, clip_outliers, finite_points
from goodricke.preprocess.periods import Periodogram, PeriodSearch, periodogram

MARKERS = "osD^v"
MOST_ERROR_BARS = 2000  # observations above which error bars only hide the points
MOST_CLASSES = 12  # shown, the most probable ones
COLUMNS = 1500  # steps of a drawn periodogram

Float = NDArray[np.float64]


def spectrum_of(curve: LightCurves, search: PeriodSearch | None = None) -> Periodogram | None:
    """Return the periodogram of one light curve as the networks see it: cleaned, bands on one level."""
    cleaned = clip_outliers(align_bands(finite_points(curve)).sorted(), sigma=10, rounds=5)
    return periodogram(cleaned.time, cleaned.value, cleaned.error, search or PeriodSearch())


def draw_light_curve(axes: Any, curve: LightCurves) -> None:
    """Draw brightness against time."""
    thin(axes)
    if not _points(axes, finite_points(curve), cycles=1):
        say(axes, f"none of {len(curve.time)} observations is finite" if len(curve.time) else "no observation")
        return
    _legend(axes)
    axes.set_xlabel("time [d]" if curve.time_scale == "unknown" else f"time [d], {curve.time_scale}")


def draw_folded(axes: Any, curve: LightCurves, period: float | None) -> None:
    """Draw two cycles of the light curve folded on a period [d]."""
    thin(axes)
    if period is None:
        say(axes, "no period to fold on")
        return
    _points(axes, finite_points(curve).fold(period), cycles=2)
    axes.set(xlabel="phase", xlim=(0, 2), title=f"folded on {in_days(period)}")


def draw_periodogram(axes: Any, spectrum: Periodogram | None) -> None:
    """Draw power against period, the best period marked."""
    thin(axes)
    if spectrum is None:
        say(axes, "too few observations or too little time for a periodogram")
        return
    period, power = _thinned(spectrum)
    axes.axvline(spectrum.best, color=COLOURS[1], lw=4, alpha=0.3)
    axes.plot(period, power, color=ACCENT, lw=0.6)
    axes.set(xscale="log", xlabel="period [d]", ylabel="power", title=f"highest peak at {in_days(spectrum.best)}")
    axes.set_ylim(0, None)


def draw_probabilities(axes: Any, predictions: Predictions) -> None:
    """Draw the class probabilities of one object, with the spread over Monte-Carlo passes if there is one."""
    thin(axes)
    status = str(predictions.column("status")[0])
    if status != Status.OK:
        known = status in Status.__members__.values()
        say(axes, f"{status}\n\n{MEANING[Status(status)]}" if known else status)
        return
    p = predictions.probabilities[0]
    order = np.argsort(-p, kind="stable")[:MOST_CLASSES]
    spread = predictions.spread[0][order] if f"std_{predictions.classes[0]}" in predictions.table.column_names else None
    bars = axes.barh(np.arange(len(order)), p[order], color=PALE, xerr=spread, error_kw={"ecolor": GREY, "lw": 0.8})
    bars[0].set_color(ACCENT)
    names = [shorten(predictions.classes[k], 18) for k in order]
    axes.set_yticks(np.arange(len(order)), names, parse_math=False)
    axes.invert_yaxis()
    passes = "" if spread is None else ", spread over passes"
    axes.set(xlim=(0, 1), xlabel="probability", title=f"class probabilities{passes}")


def in_days(period: float) -> str:
    """Return a period as text with five significant digits and its unit."""
    return f"{period:#.5g} d" if period < 1000 else f"{period:.0f} d"


def _points(axes: Any, curve: LightCurves, cycles: int) -> bool:
    """Draw the observations band by band, ``cycles`` times side by side; return whether there are any."""
    bands = np.unique(curve.band)
    size = float(np.clip(45 / np.sqrt(max(len(curve.time), 1)), 1.2, 4))
    for b in bands:
        part = curve.where(curve.band == b)
        time = np.concatenate([part.time + k for k in range(cycles)])
        value, error = (np.tile(x.astype(np.float64), cycles) for x in (part.value, part.error))
        error = np.where(np.isfinite(error) & (error > 0), error, 0)
        bars = error if len(part.time) <= MOST_ERROR_BARS and error.any() else None
        colour, marker = COLOURS[b % len(COLOURS)], MARKERS[b // len(COLOURS) % len(MARKERS)]
        look = {"ms": size, "mew": 0, "color": colour, "ecolor": (colour, 0.4), "elinewidth": 0.6}
        axes.errorbar(time, value, bars, fmt=marker, label=curve.bands[b], **look)
    if len(bands):
        _brightness_axis(axes, curve)
    return len(bands) > 0


def _legend(axes: Any) -> None:
    """Name the bands above the panel, where no point can be."""
    handles, names = axes.get_legend_handles_labels()
    if len(handles) > 1:
        place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0}
        axes.legend(handles, names, ncols=12, handletextpad=0, columnspacing=1, markerscale=2, **place)


def _brightness_axis(axes: Any, curve: LightCurves) -> None:
    """Fit the axis to the values and not to some huge error bar; magnitudes run downwards."""
    value = curve.value.astype(np.float64)
    usual = np.median(np.where(np.isfinite(curve.error), curve.error, 0).astype(np.float64))
    margin = max(0.06 * np.ptp(value), 1.2 * usual, 1e-6 * abs(value[0])) or 1.0
    low, high = value.min() - margin, value.max() + margin
    axes.set_ylim((high, low) if curve.in_magnitudes else (low, high))
    kind = "magnitude" if curve.in_magnitudes else "flux"
    axes.set_ylabel(f"{kind} [{curve.unit}]" if curve.unit not in ("mag", "unknown") else kind)


def _thinned(spectrum: Periodogram) -> tuple[Float, Float]:
    """Return the highest power in each of `COLUMNS` steps of log period: what a line of all points would show."""
    if len(spectrum.period) <= 2 * COLUMNS:
        return spectrum.period, spectrum.power
    log = np.log(spectrum.period[0] / spectrum.period)
    step = np.minimum((log / log[-1] * COLUMNS).astype(int), COLUMNS - 1)
    first = np.flatnonzero(np.diff(step, prepend=-1))
    best = [first[i] + spectrum.power[a:b].argmax() for i, (a, b) in enumerate(_pairs(first, len(step)))]
    return spectrum.period[best], spectrum.power[best]


def _pairs(first: NDArray[np.int64], end: int) -> list[tuple[int, int]]:
    return list(zip(first.tolist(), [*first[1:].tolist(), end], strict=True))
