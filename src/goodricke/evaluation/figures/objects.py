"""Figures of objects: light curve, periodogram, folded light curve and class probabilities, and their panels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.data.answer_text import (
    Row,
    alternatives_text,
    class_probability_text,
    is_novel,
    leaves_text,
    period_as_json,
    set_text,
    set_title,
)
from goodricke.data.lightcurves import LightCurves
from goodricke.data.period_answer import period_column
from goodricke.data.predictions import MEANING, Predictions, Status
from goodricke.evaluation.figures.style import ACCENT, COLOURS, GREY, PALE, canvas, despine, shorten, write_note
from goodricke.preprocess.cleaning import align_bands, clip_outliers, finite_points
from goodricke.preprocess.dense import DenseConfig, prepare
from goodricke.preprocess.dense_periods import CYCLES
from goodricke.preprocess.periods import Periodogram, PeriodSearch, periodogram

WIDTH = 10.0  # inches: 1200 pixels
ROW_HEIGHT = 1.9  # inches, of a mistake
LONGEST_FOLDED = 20.0  # days; slower variables are recognised unfolded
MOST_SHOWN, ACROSS = 12, 4  # light curves of an overview
PANEL_WIDTH, OVERVIEW_WIDTH = 36, 33  # letters in a line of a title
MARKERS = "osD^v"
MANY = 2000  # observations from which a fold isn't scaled to a few outliers
MOST_ERROR_BARS = 2000  # observations above which error bars only hide the points
MOST_CLASSES = 12  # shown, the most probable ones
COLUMNS = 1500  # steps of a drawn periodogram

Float = NDArray[np.float64]


def plot_object(curve: LightCurves, predictions: Predictions, path: str | Path) -> None:
    """Draw one object: light curve, periodogram, folded light curve, class probabilities.

    The fold is on the answered period, that of the network's fold, or else the highest peak of the periodogram. Dense
    light curves are drawn by `goodricke.evaluation.figures.space_photometry`; others are neither detrended nor clipped,
    and observations that are not finite are left out. A panel without data has a note, so that an object without
    observations has a figure, too.

    Parameters
    ----------
    curve : LightCurves
        Of one object, in magnitudes or flux.
    predictions : Predictions
        One row; unless its status is OK, the status and its meaning replace the probabilities.
    path : path
        See `goodricke.evaluation.figures.style.figure_name` for a safe name.

    Raises
    ------
    ValueError
        If there is not exactly one light curve and one prediction.
    """
    with canvas(path, WIDTH, 6) as figure:
        draw_object(figure, curve, predictions)


def draw_object(figure: Any, curve: LightCurves, predictions: Predictions) -> None:
    """Draw what `plot_object` writes into an empty figure."""
    if len(curve) != 1 or len(predictions) != 1:
        raise ValueError(f"one light curve and one prediction make a figure, not {len(curve)} and {len(predictions)}")
    if "dominant_frequency" in predictions.table.column_names:
        from goodricke.evaluation.figures.space_photometry import draw_dense

        draw_dense(figure, curve, predictions, f"{shorten(curve.ids[0])}:  {_classification(predictions, 0)}")
        return
    spectrum, row = compute_periodogram(curve), predictions.table.to_pylist()[0]
    period = answered_period(row) or (spectrum.best if spectrum else None)
    grid = figure.add_gridspec(2, 3)
    figure.suptitle(f"{shorten(curve.ids[0])}:  {_classification(predictions, 0)}", parse_math=False, fontsize=12)
    draw_light_curve(figure.add_subplot(grid[0, :]), curve)
    draw_periodogram(figure.add_subplot(grid[1, 0]), spectrum, answered_period(row))
    draw_folded(folded := figure.add_subplot(grid[1, 1]), curve, period)
    if caption := _period_caption(row):
        folded.set_title(caption, parse_math=False)
    draw_probabilities(figure.add_subplot(grid[1, 2]), predictions)


def plot_overview(
    curves: LightCurves, predictions: Predictions, path: str | Path, literature: Mapping[str, str] | None = None
) -> None:
    """Draw the first 12 light curves in a grid, each with its class and probability.

    They are folded, two cycles, on the answered period or that of the network's fold, or else on the highest peak of
    the periodogram; those slower than 20 d, or without a period, are shown against time.

    Parameters
    ----------
    curves : LightCurves (n,)
    predictions : Predictions (n rows)
        In the same order.
    path : path
    literature : mapping, optional
        Classes from the literature by object id, written below the answers of these objects.

    Raises
    ------
    ValueError
        If the numbers differ or there is nothing to show.
    """
    if len(curves) != len(predictions) or not len(curves):
        raise ValueError(f"{len(curves)} light curves and {len(predictions)} predictions: need as many, at least one")
    shown = min(len(curves), MOST_SHOWN)
    rows = -(-shown // ACROSS)
    with canvas(path, WIDTH, 2.5 * rows) as figure:
        for i in range(shown):
            axes = figure.add_subplot(rows, ACROSS, i + 1)
            row = predictions.table.slice(i, 1).to_pylist()[0]
            caption = _overview_panel(axes, curves[i], answered_period(row))
            answer = fill(_classification(predictions, i), OVERVIEW_WIDTH)
            title = f"{shorten(curves.ids[i], 22)}, {caption}\n{answer}"
            if literature is not None:
                title += f"\nliterature: {literature.get(curves.ids[i], 'no class')}"
            axes.set_title(title, parse_math=False, fontsize=8)
            axes.set_xlabel(axes.get_xlabel(), fontsize=7)
            axes.set_ylabel("" if i % ACROSS else axes.get_ylabel(), fontsize=7)
            if legend := axes.get_legend():
                legend.remove()
            axes.tick_params(labelsize=7)
            axes.locator_params(axis="x", nbins=3)


def plot_mistakes(curves: LightCurves, captions: Sequence[str], path: Path) -> None:
    """Draw light curves (n) one below the other: against time, and folded on the highest peak of the periodogram.

    ``captions`` (n,) are written beside the ids.
    """
    with canvas(path, WIDTH, ROW_HEIGHT * len(curves)) as figure:
        grid = figure.subplots(len(curves), 2, squeeze=False, width_ratios=(3, 2))
        for (left, right), curve, caption in zip(grid, curves, captions, strict=True):
            spectrum = compute_periodogram(curve)
            draw_light_curve(left, curve)
            draw_folded(right, curve, spectrum.best if spectrum else None)
            left.set_title(f"{shorten(curve.ids[0], 28)}: {caption}", loc="left", parse_math=False)
            right.set_ylabel("")
        for axes in grid[:-1].flat:
            axes.set_xlabel("")


def answered_period(row: Row) -> float | None:
    """Return the period [d] of a row of predictions to fold on: the answered one, or that of the network's fold."""
    column = period_column(row)
    period = None if column is None else row[column]
    return period if period and np.isfinite(period) else None


def compute_periodogram(curve: LightCurves, search: PeriodSearch | None = None) -> Periodogram | None:
    """Return the periodogram of one light curve, cleaned and with bands on one level as for the networks.

    Dense light curves are detrended, and only periods of at least two cycles are searched: the highest peak would else
    be the trend of the light curve, at its length.
    """
    from goodricke.inference import is_dense

    if is_dense(curve)[0]:
        return _dense_periodogram(curve, search or PeriodSearch())
    cleaned = clip_outliers(align_bands(finite_points(curve)).sorted(), sigma=10, rounds=5)
    return periodogram(cleaned.time, cleaned.value, cleaned.error, search or PeriodSearch())


def _dense_periodogram(curve: LightCurves, search: PeriodSearch) -> Periodogram | None:
    """Return the periodogram of a dense light curve as the network reads it, of at least two cycles."""
    frames = prepare(curve, DenseConfig())
    time, flux = frames.time.astype(np.float64), frames.values[:, 0]
    spectrum = periodogram(time, flux, np.full(len(time), np.nan, np.float32), search)
    if spectrum is None:
        return None
    shown = spectrum.frequency >= CYCLES / np.ptp(time)
    return Periodogram(spectrum.frequency[shown], spectrum.power[shown]) if shown.any() else None


def draw_light_curve(axes: Any, curve: LightCurves) -> None:
    """Draw brightness against time."""
    despine(axes)
    if not _points(axes, finite_points(curve), cycles=1):
        write_note(axes, f"none of {len(curve.time)} observations is finite" if len(curve.time) else "no observation")
        return
    _legend(axes)
    axes.set_xlabel("time [d]" if curve.time_scale == "unknown" else f"time [d], {curve.time_scale}")


def draw_folded(axes: Any, curve: LightCurves, period: float | None) -> None:
    """Draw two cycles of the light curve folded on a period [d]."""
    despine(axes)
    if period is None:
        write_note(axes, "no period to fold on")
        return
    draw_phases(axes, curve.fold(period))
    axes.set(title=f"folded on {format_period(period)}")


def draw_phases(axes: Any, folded: LightCurves) -> None:
    """Draw two cycles of a folded light curve."""
    despine(axes)
    points = finite_points(folded)
    if not _points(axes, points, cycles=2):
        write_note(axes, "no observation")
        return
    outside = _leave_out_flares(axes, points) if len(points.time) >= MANY else 0
    axes.set(xlabel=f"phase ({outside:,} points are outside)" if outside else "phase", xlim=(0, 2))


def _leave_out_flares(axes: Any, curve: LightCurves) -> int:
    """Fit the axis to all but one point in a thousand at either end; return how many points are outside.

    Half the range of the others stays free on both sides: a few flares or artefacts of space photometry are cut off,
    and no eclipse, which lasts longer.
    """
    low, high = np.quantile(curve.value.astype(np.float64), (0.001, 0.999))
    room = 0.5 * (high - low)
    outside = int(np.count_nonzero((curve.value < low - room) | (curve.value > high + room)))
    if outside and room > 0:
        ends = (low - room, high + room)
        axes.set_ylim(ends[::-1] if curve.in_magnitudes else ends)
        return outside
    return 0


def draw_periodogram(axes: Any, spectrum: Periodogram | None, period: float | None = None) -> None:
    """Draw power against period, the highest peak marked, and with a dashed line a period [d] that was answered."""
    despine(axes)
    if spectrum is None:
        write_note(axes, "too few observations or too little time for a periodogram")
        return
    trial, power = _peak_envelope(spectrum)
    axes.axvline(spectrum.best, color=COLOURS[1], lw=4, alpha=0.3)
    axes.plot(trial, power, color=ACCENT, lw=0.6)
    if period is not None:
        axes.axvline(period, color=GREY, lw=1, ls="--")
    axes.set(xscale="log", xlabel="period [d]", ylabel="power", title=f"highest peak at {format_period(spectrum.best)}")
    axes.set_ylim(0, None)


def draw_probabilities(axes: Any, predictions: Predictions) -> None:
    """Draw the class probabilities of one object, with the spread over Monte-Carlo passes if there is one."""
    despine(axes)
    status = str(predictions.column("status")[0])
    if status != Status.OK:
        has_meaning = status in Status.__members__.values()
        write_note(axes, f"{status}\n\n{MEANING[Status(status)]}" if has_meaning else status)
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
    title = f"class probabilities{passes}"
    if "prediction_set" in predictions.table.column_names:
        members = f"{set_title(predictions.table.schema)}: {set_text(predictions.table.to_pylist()[0])}"
        title += "\n" + fill(members, PANEL_WIDTH)
    axes.set(xlim=(0, 1), xlabel="probability")
    axes.set_title(title, parse_math=False)


def format_period(period: float) -> str:
    """Return a period as text with five significant digits and its unit."""
    return f"{period:#.5g} d" if period < 1000 else f"{period:.0f} d"


def _points(axes: Any, curve: LightCurves, cycles: int) -> bool:
    """Draw the observations band by band, ``cycles`` times side by side; return False if there is none."""
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
    """Name the bands above the panel, where there are no points."""
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


def _peak_envelope(spectrum: Periodogram) -> tuple[Float, Float]:
    """Return the highest power in each of `COLUMNS` steps of log period, which looks like a line of all points."""
    if len(spectrum.period) <= 2 * COLUMNS:
        return spectrum.period, spectrum.power
    log = np.log(spectrum.period[0] / spectrum.period)
    step = np.minimum((log / log[-1] * COLUMNS).astype(int), COLUMNS - 1)
    first = np.flatnonzero(np.diff(step, prepend=-1))
    best = [
        first[i] + spectrum.power[a:b].argmax()
        for i, (a, b) in enumerate(zip(first, [*first[1:], len(step)], strict=True))
    ]
    return spectrum.period[best], spectrum.power[best]


def _overview_panel(axes: Any, curve: LightCurves, answered: float | None) -> str:
    """Draw one light curve of the overview, by default on its highest peak; return its period or its time span."""
    period = answered
    if period is None:
        spectrum = compute_periodogram(curve)
        period = spectrum.best if spectrum else None
    if period is None or period > LONGEST_FOLDED:
        draw_light_curve(axes, curve)
        time = finite_points(curve).time
        span = f"{np.ptp(time):.0f} d" if len(time) else "no observation"
        return span if answered is None else f"P = {format_period(answered)} in {span}"
    draw_folded(axes, curve, period)
    return f"P = {format_period(period)}"


def _period_caption(row: Row) -> str:
    """Return the answered period with its uncertainty, the others, and reasons to doubt it; "" without one."""
    answer = period_as_json(row)
    if answer is None:
        return ""
    lines = [f"P = {answer['text']} d, p = {answer['probability']:.2f}"]
    if others := alternatives_text(row):
        lines.append(f"or {others}")
    lines += [note.partition(":")[0] for note in answer["notes"]] or [answer["false_alarm"]]
    return "\n".join(filter(None, lines))


def _classification(predictions: Predictions, row: int) -> str:
    """Return class and probability of one object, or its status."""
    status = str(predictions.column("status")[row])
    if status != Status.OK:
        return status
    values = predictions.table.slice(row, 1).to_pylist()[0]
    p = class_probability_text(values)
    text = shorten(str(values["class"]), 24) + (f", p = {p}" if p else "")
    if values["class"] not in predictions.classes:
        text += f" ({leaves_text(values, predictions.classes)})"
    return text + ", new?" * ("class_probability" in values and is_novel(values))
