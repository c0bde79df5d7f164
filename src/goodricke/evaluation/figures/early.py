"""Figures of scores by what was observed: few observations, other properties; and one object's probability history.

The shift of features between two sets of objects is drawn here too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.early import ScoresByNumber, ScoresByTruncation
from goodricke.evaluation.figures.objects import draw_light_curve
from goodricke.evaluation.figures.style import (
    COLOURS,
    GREY,
    PALE,
    canvas,
    canvas_legend,
    count_axis,
    despine,
    label_ends,
    panels,
    shorten,
    write_note,
)
from goodricke.evaluation.intervals import Estimate

WIDTH = 7.5  # inches
MOST_CLASSES = 7  # with a line of their own: as many as there are colours
SMALL = 0.2  # probability that a class must reach for a line of its own
TRUE = " (true)"
WIDE = 20  # ratio of numbers from which on an axis is logarithmic
APART = 5.0  # points between the marks of two models in one bin


def plot_early(curves: Mapping[str, ScoresByTruncation], path: str | Path) -> None:
    """Draw the score after k steps with its 95 % interval, and below how many light curves have so many steps.

    Parameters
    ----------
    curves : dict of ScoresByTruncation
        By the name of the model; seven at most are told apart by colour.
    path : path
    """
    with _two_panels(curves, path) as (upper, lower):
        for colour, curve in zip(COLOURS, curves.values(), strict=False):
            value, low, high = _values_and_bounds(curve.macro_f1)
            upper.fill_between(curve.at, low, high, color=colour, alpha=0.15, lw=0)
            upper.plot(curve.at, value, color=colour, lw=1.4, marker="o", ms=3)
        for reached in {tuple(zip(c.at, c.reached / c.n, strict=True)) for c in curves.values()}:
            x, share = np.array(reached).T
            lower.plot(x, 100 * share, color=GREY, lw=1, marker="o", ms=2.5)
        steps = np.concatenate([curve.at for curve in curves.values()])
        _number_axis(lower, steps.min(), steps.max())
        lower.set(xlabel="light curve cut after k steps", ylabel="% that\nreach k", ylim=(0, 105))


def plot_by_number(curves: Mapping[str, ScoresByNumber], path: str | Path) -> None:
    """Draw the score by the total number of observations, as Fig. 10 of Becker et al. (2025), with 95 % intervals.

    A bar spans each bin, its mark stands at the median number of observations; below is how many objects the bins of
    the first model hold.

    Parameters
    ----------
    curves : dict of ScoresByNumber
        By the name of the model; seven at most are told apart by colour.
    path : path
    """
    with _two_panels(curves, path) as (upper, lower):
        shifts = APART * (np.arange(len(curves)) - (len(curves) - 1) / 2)
        for colour, shift, curve in zip(COLOURS, shifts, curves.values(), strict=False):
            _draw_bins(upper, curve, colour, shift)
        first = next(iter(curves.values()))
        left, right = _drawn_edges(first)
        lower.bar(left, first.n, right - left, align="edge", color=PALE, edgecolor="white", lw=0.8)
        drawn = np.concatenate([_drawn_edges(curve) for curve in curves.values()], axis=1)
        _number_axis(lower, drawn.min(), drawn.max())
        lower.set(xlabel="number of observations", ylabel="objects")


def plot_probability_history(
    time: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str],
    path: str | Path,
    curve: LightCurves | None = None,
    truth: str | None = None,
) -> None:
    """Draw the class probabilities of an object after each observation, as Fig. 9 of Becker et al. (2025).

    A probability holds until the next step. Classes that reach 0.2 at any step, seven at most, have a line of their
    own, labelled at its end with the last probability; the sum of the others is grey.

    Parameters
    ----------
    time : (M,)
        Of each step, in the days of ``curve``, in order.
    probabilities : (M, C)
        After each step.
    classes : (C,)
    path : path
    curve : LightCurves, optional
        The object's light curve, drawn above, by band.
    truth : str, optional
        The true class, if known: marked in the figure.

    Raises
    ------
    ValueError
        If shapes disagree, times are not in order, something is not finite, there is more than one light curve, or the
        true class is none of the classes.
    """
    t, p = _checked_history(time, probabilities, classes, curve, truth)
    with canvas(path, 10, 5.6 if curve is not None else 3.4) as figure:
        panels = figure.subplots(1 if curve is None else 2, 1, sharex=len(t) > 0, squeeze=False)[:, 0]
        if curve is not None:
            draw_light_curve(panels[0], curve)
            panels[0].set_title(shorten(curve.ids[0]), parse_math=False, loc="left")
        if not len(t):
            write_note(panels[-1], "no step: too few observations for an answer")
            return
        axes = despine(panels[-1])
        times = t if curve is None else np.append(t, curve.time[np.isfinite(curve.time)])
        margin = 0.02 * np.ptp(times) or 0.5
        axes.set(xlim=(times.min() - margin, times.max() + margin), ylim=(-0.02, 1.02))
        axes.set(xlabel=panels[0].get_xlabel() or "time [d]", ylabel="probability", yticks=[0, 0.25, 0.5, 0.75, 1])
        if curve is not None:
            panels[0].set_xlabel("")
        _draw_history(axes, t, p, classes, truth)


def highlighted_classes(probabilities: NDArray[np.floating], truth: int | None = None) -> NDArray[np.int64]:
    """Return the classes with a line of their own (c,), at most `MOST_CLASSES`, from probabilities (M, C).

    They are the last answer, the truth, and the classes with the highest peaks, if these reach `SMALL`.
    """
    peak = probabilities.max(0).astype(np.float64)
    always = [probabilities[-1].argmax()] + ([] if truth is None else [truth])
    peak[always] = np.inf
    order = np.argsort(-peak, kind="stable")[:MOST_CLASSES]
    return order[peak[order] >= SMALL]


@contextmanager
def _two_panels(curves: Mapping[str, Any], path: str | Path) -> Iterator[tuple[Any, Any]]:
    """Give a panel for scores and a low one below it; at the end fit the axis of the scores and name the models."""
    if not curves or len(curves) > len(COLOURS):
        raise ValueError(f"{len(curves)} curves: a figure shows one to {len(COLOURS)}")
    scores = [curve.macro_f1 for curve in curves.values()]
    with canvas(path, WIDTH, 4.8) as figure:
        upper, lower = (despine(a) for a in figure.subplots(2, 1, sharex=True, height_ratios=(4, 1)))
        yield upper, lower
        upper.set_ylabel("macro F1")
        _limits(upper, np.concatenate(scores))
        names = [shorten(name, 24) for name in curves]
        label_ends(upper, [(f[-1].value, name, c) for f, name, c in zip(scores, names, COLOURS, strict=False)])


def _draw_history(axes: Any, time: NDArray, p: NDArray, classes: Sequence[str], truth: str | None) -> None:
    """Draw the probabilities (M, C) as steps that reach the right edge, and name them there."""
    shown = highlighted_classes(p, None if truth is None else list(classes).index(truth))
    x = np.append(time, axes.get_xlim()[1])
    others_sum = p.sum(1) - p[:, shown].sum(1)
    names = [shorten(classes[k], 22) + (TRUE if classes[k] == truth else "") for k in shown]
    lines = list(zip(names, p[:, shown].T, COLOURS, strict=False))
    if others := len(classes) - len(shown):
        lines.append((f"{others} others" if others > 1 else "1 other", others_sum, GREY))
    for name, y, colour in reversed(lines):  # the most important on top
        style = {"lw": 1, "ls": ":"} if colour == GREY else {"lw": 2.2 if name.endswith(TRUE) else 1.2}
        axes.plot(x, np.append(y, y[-1]), drawstyle="steps-post", color=colour, **style)
    label_ends(axes, [(float(y[-1]), f"{y[-1]:.2f}  {name}", colour) for name, y, colour in lines])


def _draw_bins(axes: Any, curve: ScoresByNumber, colour: str, shift: float) -> None:
    """Draw bars and error bars of one model, its marks shifted by some points against those of the others."""
    from matplotlib.transforms import ScaledTranslation

    value, low, high = _values_and_bounds(curve.macro_f1)
    left, right = _drawn_edges(curve)
    axes.hlines(value, left, right, color=colour, lw=2.5, alpha=0.35)
    moved = axes.transData + ScaledTranslation(shift / 72, 0, axes.figure.dpi_scale_trans)
    spread = np.maximum([value - low, high - value], 0)  # the interval of a biased resample can miss the value
    axes.errorbar(curve.median, value, spread, fmt="o", ms=4, color=colour, elinewidth=1, transform=moved)


def _drawn_edges(curve: ScoresByNumber) -> tuple[NDArray, NDArray]:
    """Return the drawn edges of each bin: its edges, but not beyond the numbers of the objects."""
    return np.maximum(curve.edges[:-1], curve.fewest[0] - 0.5), np.minimum(curve.edges[1:], curve.most[-1] + 0.5)


def _checked_history(
    time: ArrayLike, probabilities: ArrayLike, classes: Sequence[str], curve: LightCurves | None, truth: str | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times (M,) and probabilities (M, C), or raise ValueError."""
    t, p = np.asarray(time, np.float64), np.asarray(probabilities, np.float64)
    if p.shape != (len(t), len(classes)):
        raise ValueError(f"{len(t)} steps and {len(classes)} classes need probabilities of that shape, not {p.shape}")
    if not np.isfinite(t).all() or (np.diff(t) < 0).any() or not np.isfinite(p).all():
        raise ValueError("times and probabilities of the steps must be finite, and the times in order")
    if curve is not None and len(curve) != 1:
        raise ValueError(f"one light curve makes a history, not {len(curve)}")
    if truth is not None and truth not in classes:
        raise ValueError(f"the true class {truth!r} is none of {', '.join(classes)}")
    return t, p


def _values_and_bounds(figures: Sequence[Estimate]) -> NDArray[np.float64]:
    """Return value, low and high of several figures as rows, (3, K)."""
    return np.array(figures, np.float64).T


def _limits(axes: Any, figures: NDArray[np.float64]) -> None:
    """Fit the axis of a score to values and intervals (K, 3), at most from 0 to 1."""
    low, high = np.nanmin(figures), np.nanmax(figures)
    margin = max(0.06 * (high - low), 0.02)
    axes.set_ylim(max(low - margin, -0.02), min(high + margin, 1.02))
    axes.grid(axis="y", color="#EEEEEE", lw=0.6)
    axes.set_axisbelow(True)


def _number_axis(axes: Any, low: float, high: float) -> None:
    """Fit an axis of numbers of observations, logarithmic if they span more than `WIDE`."""
    if low > 0 and high > WIDE * low:
        axes.set_xscale("log")
        count_axis(axes.xaxis)
        margin = (high / low) ** 0.02
        axes.set_xlim(low / margin, high * margin)
    else:
        margin = 0.02 * (high - low) or 0.5
        axes.set_xlim(low - margin, high + margin)


Float = NDArray[np.float64]
BINS = 40


def plot_conditions(quantities: Mapping[str, Mapping[str, ScoresByNumber]], path: Path) -> None:
    """Draw accuracy against each quantity, a panel each: a bar spans a bin, its mark the median object, 95 % intervals.

    Parameters
    ----------
    quantities : dict of dict of ScoresByNumber
        By the quantity's name with its unit, then by model.
    path : Path
    """
    with panels(path, list(quantities), 2.7, across=2) as grid:
        for axes, models in zip(grid, quantities.values(), strict=True):
            for colour, curve in zip(COLOURS, models.values(), strict=False):
                _plot_scores(axes, curve, colour)
            first = next(iter(models.values()))
            if first.fewest[0] > 0 and first.most[-1] > WIDE * first.fewest[0]:
                axes.set_xscale("log")
                if first.most[-1] / first.fewest[0] < 1e4:
                    count_axis(axes.xaxis)
        grid[0].set_ylabel("accuracy")
        if len(next(iter(quantities.values()))) > 1:
            canvas_legend(grid[0], list(next(iter(quantities.values()))))


def _plot_scores(axes: Any, curve: ScoresByNumber, colour: str) -> None:
    value, low, high = np.array(curve.accuracy).T
    axes.hlines(value, curve.fewest, curve.most, color=colour, lw=1.2)
    spread = np.maximum([value - low, high - value], 0)
    axes.errorbar(curve.median, value, spread, fmt="o", ms=3.5, lw=0.9, color=colour)


def plot_shifts(pairs: Mapping[str, tuple[Float, Float]], names: tuple[str, str], path: Path) -> None:
    """Draw the distribution of each feature in both sets, a panel each, without the outermost half percent."""
    with panels(path, list(pairs), 2.2, across=3) as grid:
        for axes, both in zip(grid, pairs.values(), strict=True):
            finite = [x[np.isfinite(x)] for x in both]
            low, high = np.quantile(np.concatenate(finite), (0.005, 0.995))
            low, high = (low, high) if high > low else (low - 0.5, low + 0.5)
            edges = np.linspace(low, high, BINS + 1)
            for colour, x in zip(COLOURS, finite, strict=False):
                inside = np.histogram(x, edges)[0] / max(len(x), 1)
                axes.stairs(100 * inside, edges, color=colour, fill=True, alpha=0.25)
                axes.stairs(100 * inside, edges, color=colour, lw=1)
            axes.locator_params(axis="x", nbins=4)
        grid[0].set_ylabel("% of objects")
        canvas_legend(grid[0], list(names))
