"""Figures of dense light curves: as observed, as the network reads them, amplitude spectrum, fold, probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.data.answer_text import (
    PLACES,
    Row,
    alternatives_text,
    false_alarm_text,
    measured_text,
    period_text,
    relative_text,
)
from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import Predictions
from goodricke.evaluation.figures.style import ACCENT, COLOURS, GREY, PALE, despine, shorten, write_note
from goodricke.models.bundle import is_simulated
from goodricke.preprocess.dense import DenseConfig, prepare
from goodricke.preprocess.dense_periods import AmplitudeSpectrum, amplitude_spectrum, answer_periods
from goodricke.preprocess.tensors import Frames

HEIGHT = 7.4  # inches of a figure with an answer
PHASE_BINS = 50
SIGNIFICANT_RATIO = 4.0  # of an amplitude to the noise around it, drawn as a line (Breger et al. 1993)
PEAKS = 5
FEW_PPM = 0.01  # relative flux below which the axis is in ppm
POINT = {"ls": "", "marker": ".", "mew": 0}

Float = NDArray[np.float64]


def draw_dense(
    figure: Any, curve: LightCurves, predictions: Predictions | None, title: str, config: DenseConfig | None = None
) -> None:
    """Draw one dense light curve into an empty figure.

    Above, the relative flux against time; below it, the detrended flux that the network reads, with the eclipses or
    without; then its amplitude spectrum with the noise level and the highest peaks, the fold on the answered period,
    and the class probabilities.

    Parameters
    ----------
    figure : matplotlib Figure
    curve : LightCurves
        One.
    predictions : Predictions, optional
        One row. Without it there are no probabilities, and the period is measured here, as for a pulsating star.
    title : str
    config : DenseConfig, optional
        Preprocessing; that of `tess-sim` by default.
    """
    config = config or DenseConfig()
    frames = prepare(curve, config)
    row = _measured_row(frames, config) if predictions is None else predictions.table.to_pylist()[0]
    figure.set_size_inches(10.0, HEIGHT if predictions is not None else HEIGHT - 0.4)
    figure.suptitle(_title(title, curve, row), parse_math=False, fontsize=12)
    grid = figure.add_gridspec(3, 3 if predictions is not None else 2, height_ratios=(1, 1, 1.35))
    raw = figure.add_subplot(grid[0, :])
    flat = figure.add_subplot(grid[1, :], sharex=raw)
    first = _draw_raw(raw, curve)
    time, flux = frames.time.astype(np.float64), frames.values[:, 0].astype(np.float64)
    unit = _unit(frames)
    if not len(time):
        write_note(flat, f"not classified: {frames.status[0]}")
        return
    start = _first_time(curve) - first
    _draw_detrended(flat, time + start, flux * unit.scale, unit, first, curve.time_scale)
    raw.tick_params(labelbottom=False)
    spectrum = amplitude_spectrum(time, flux)
    _draw_spectrum(figure.add_subplot(grid[2, 0]), spectrum, unit, row)
    _draw_fold(figure.add_subplot(grid[2, 1]), time, flux * unit.scale, unit, row)
    if predictions is not None:
        from goodricke.evaluation.figures.objects import draw_probabilities

        draw_probabilities(figure.add_subplot(grid[2, 2]), predictions)


class _Unit:
    """The unit of the detrended flux: ppm, percent, or standard deviations of the light curve."""

    def __init__(self, scale: float, text: str) -> None:
        self.scale, self.text = scale, text


def _unit(frames: Frames) -> _Unit:
    scale = np.nan if frames.scale is None else float(frames.scale[0])
    if not np.isfinite(scale):
        return _Unit(1.0, "std")
    return _Unit(1e6 * scale, "ppm") if 3 * scale < FEW_PPM else _Unit(100 * scale, "%")


def _measured_row(frames: Frames, config: DenseConfig) -> Row:
    """Return period and amplitude of a light curve without an answer, as in a row of predictions."""
    p = np.where(frames.usable, 1.0, np.nan)[:, None]
    answer = answer_periods(frames, p, ["pulsating"], config)
    return {name: column[0].as_py() for name, column in answer.columns(frames.usable).items()}


def _title(title: str, curve: LightCurves, row: Row) -> str:
    """Return a title with sector and model."""
    objects = curve.table_of_objects.to_pylist()[0] if curve.objects is not None else {}
    place = ", ".join(f"{name} {objects[name]}" for name in PLACES if objects.get(name) is not None)
    model = row.get("model")
    by = "" if not model else f"{model}{', trained on simulations' if is_simulated(model) else ''}"
    below = "; ".join(filter(None, [place, by]))
    return title + (f"\n{below}" if below else "")


def _first_time(curve: LightCurves) -> float:
    time = curve.time[np.isfinite(curve.time) & np.isfinite(curve.value)]
    return float(time.min()) if len(time) else 0.0


def _draw_raw(axes: Any, curve: LightCurves) -> float:
    """Draw relative flux, or magnitudes, against time; return what was subtracted from the time [d]."""
    despine(axes)
    good = np.isfinite(curve.time) & np.isfinite(curve.value)
    time, value = curve.time[good], curve.value[good].astype(np.float64)
    if not len(time):
        write_note(axes, "no observation")
        return 0.0
    first = 10 * np.floor(time.min() / 10) if abs(time.min()) > 10_000 else 0.0
    level = float(np.median(value))
    if curve.in_magnitudes:
        axes.invert_yaxis()
        axes.set_ylabel("magnitude")
    elif level > 0:
        value = value / level
        axes.set_ylabel("relative flux")
    else:
        axes.set_ylabel("flux" if curve.unit == "unknown" else f"flux [{curve.unit}]")
    axes.plot(time - first, value, color="black", ms=_size(len(time)), **POINT)
    axes.set_title("as observed", loc="left", color=GREY)
    return float(first)


def _size(n: int) -> float:
    return float(np.clip(70 / np.sqrt(max(n, 1)), 1.0, 4))


def _draw_detrended(axes: Any, time: Float, flux: Float, unit: _Unit, first: float, scale: str) -> None:
    """Draw the flux that the network reads against time."""
    despine(axes)
    axes.axhline(0, color=PALE, lw=0.8)
    axes.plot(time, flux, color=ACCENT, ms=_size(len(time)), **POINT)
    axes.set_ylabel(f"flux [{unit.text}]")
    scale = "" if scale == "unknown" else f", {scale}"
    axes.set_xlabel(f"time [d]{scale}" if not first else f"time - {first:.0f} [d]{scale}")
    axes.set_title("clipped and detrended, as the network reads it", loc="left", color=GREY)


def _draw_spectrum(axes: Any, spectrum: AmplitudeSpectrum | None, unit: _Unit, row: Row) -> None:
    """Draw amplitude against frequency, four times the noise, the highest peaks, and the frequency answered."""
    despine(axes)
    if spectrum is None:
        write_note(axes, "too few observations for an amplitude spectrum")
        return
    amplitude, noise = spectrum.amplitude * unit.scale, spectrum.noise * unit.scale
    axes.plot(spectrum.frequency, amplitude, color=ACCENT, lw=0.6)
    axes.plot(spectrum.frequency, SIGNIFICANT_RATIO * noise, color=GREY, lw=0.8, ls="--", label="4 × noise")
    peaks = spectrum.peaks(PEAKS)
    top = float(amplitude.max())
    for frequency, height, _ in peaks:
        axes.plot(frequency, height * unit.scale + 0.05 * top, marker="v", color=COLOURS[1], ms=4, clip_on=False)
    if row.get("period") is not None:
        axes.axvline(1 / row["period"], color=COLOURS[2], lw=1, ls=":", label="1 / P")
    axes.set(xscale="log", xlim=(spectrum.frequency[0], spectrum.frequency[-1]), ylim=(0, 1.12 * top))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="frequency [1/d]", ylabel=f"amplitude [{unit.text}]")
    axes.legend(loc="upper right", fontsize=7.5, frameon=True, edgecolor="none", framealpha=0.85)
    axes.set_title(_peak_title(row))


def _peak_title(row: Row) -> str:
    f1, amplitude = row.get("dominant_frequency"), row.get("dominant_amplitude")
    if f1 is None:
        return "amplitude spectrum"
    return f"highest peak: {f1:.5g} / d" + ("" if amplitude is None else f", {relative_text(amplitude)}")


def _draw_fold(axes: Any, time: Float, flux: Float, unit: _Unit, row: Row) -> None:
    """Draw two cycles of the detrended flux, phase 0 at the faintest, with means in bins; a note without a period."""
    despine(axes)
    period = row.get("period")
    if period is None:
        write_note(axes, _no_period(row))
        return
    phase = (time / period) % 1
    bins, mean = _binned(phase, flux)
    zero = bins[np.nanargmin(mean)]
    phase, bins = (phase - zero) % 1, (bins - zero) % 1
    order = np.argsort(bins)
    bins, mean = bins[order], mean[order]
    for cycle in (0, 1):
        axes.plot(phase + cycle, flux, color=PALE, ms=1.3 * _size(len(time)), **POINT)
    axes.plot(np.r_[bins, bins + 1], np.r_[mean, mean], color=ACCENT, lw=1.2)
    axes.set(xlabel="phase", xlim=(0, 2), ylabel=f"flux [{unit.text}]")
    others = alternatives_text(row)
    lines = [f"P = {period_text(period, row.get('period_error'))} d" + (f", or {others}" if others else "")]
    lines += list(filter(None, [measured_text(row)]))
    axes.set_title("\n".join(shorten(line, 56) for line in lines), parse_math=False, fontsize=8.5)


def _no_period(row: Row) -> str:
    """Return why there is no period to fold on."""
    name, f1 = row.get("class"), row.get("dominant_frequency")
    if f1 is None:
        return "no period"
    peak = f"highest peak at {period_text(1 / f1)} d: {measured_text(row)}, {false_alarm_text(row)}"
    significant = (row.get("false_alarm_probability") or 0) < 0.01
    reason = f"{name} has no period" if significant and name else "no significant period"
    return f"{reason}\n\n{peak}"


def _binned(phase: Float, flux: Float) -> tuple[Float, Float]:
    """Return the middles of the filled bins of phase and the mean flux in them."""
    index = np.minimum((phase * PHASE_BINS).astype(int), PHASE_BINS - 1)
    count = np.bincount(index, minlength=PHASE_BINS)
    mean = np.bincount(index, flux, PHASE_BINS) / np.maximum(count, 1)
    return ((np.arange(PHASE_BINS) + 0.5) / PHASE_BINS)[count > 0], mean[count > 0]
