"""Accuracy against what an object is like: points, magnitude, amplitude, period.

The most shifted numbers of two sets of light curves, side by side.

The worst mistakes as light curves, against time and folded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.early import ByNumber
from goodricke.evaluation.figures.style import (
    COLOURS,
    canvas,
    canvas_legend,
    count_axis,
    draw_folded,
    draw_light_curve,
    panels,
    shorten,
    spectrum_of,
)

WIDE = 20  # ratio of the quantity from which on its axis is logarithmic


def plot_conditions(quantities: Mapping[str, Mapping[str, ByNumber]], path: Path) -> None:
    """Draw accuracy against each quantity, a panel each: a bar spans a bin, its mark the median object, 95 % intervals.

    Parameters
    ----------
    quantities : dict of dict of ByNumber
        By the quantity's name with its unit, then by model.
    path : Path
    """
    with panels(path, list(quantities), 2.7, across=2) as grid:
        for axes, each in zip(grid, quantities.values(), strict=True):
            for colour, curve in zip(COLOURS, each.values(), strict=False):
                _draw(axes, curve, colour)
            first = next(iter(each.values()))
            if first.fewest[0] > 0 and first.most[-1] > WIDE * first.fewest[0]:
                axes.set_xscale("log")
                if first.most[-1] / first.fewest[0] < 1e4:
                    count_axis(axes.xaxis)
        grid[0].set_ylabel("accuracy")
        if len(next(iter(quantities.values()))) > 1:
            canvas_legend(grid[0], list(next(iter(quantities.values()))))


def _draw(axes: Any, curve: ByNumber, colour: str) -> None:
    value, low, high = np.array(curve.accuracy).T
    axes.hlines(value, curve.fewest, curve.most, color=colour, lw=1.2)
    spread = np.maximum([value - low, high - value], 0)
    axes.errorbar(curve.median, value, spread, fmt="o", ms=3.5, lw=0.9, color=colour)


# ---- The most shifted numbers of two sets of light curves, side by side ----------------------------------------------


Float = NDArray[np.float64]
BINS = 40


def plot_shifts(pairs: Mapping[str, tuple[Float, Float]], names: tuple[str, str], path: Path) -> None:
    """Draw the distribution of each number in both sets, a panel each, the outermost half percent left out."""
    with panels(path, list(pairs), 2.2, across=3) as grid:
        for axes, both in zip(grid, pairs.values(), strict=True):
            known = [x[np.isfinite(x)] for x in both]
            low, high = np.quantile(np.concatenate(known), (0.005, 0.995))
            low, high = (low, high) if high > low else (low - 0.5, low + 0.5)
            edges = np.linspace(low, high, BINS + 1)
            for colour, x in zip(COLOURS, known, strict=False):
                inside = np.histogram(x, edges)[0] / max(len(x), 1)
                axes.stairs(100 * inside, edges, color=colour, fill=True, alpha=0.25)
                axes.stairs(100 * inside, edges, color=colour, lw=1)
            axes.locator_params(axis="x", nbins=4)
        grid[0].set_ylabel("% of objects")
        canvas_legend(grid[0], list(names))


# ---- The worst mistakes as light curves, against time and folded -----------------------------------------------------


WIDTH, ROW = 10.0, 1.9  # inches


def plot_mistakes(curves: LightCurves, verdicts: Sequence[str], path: Path) -> None:
    """Draw light curves (n) one below the other: against time, and folded on the highest peak of the periodogram.

    ``verdicts`` (n,) is what is said of each beside its id.
    """
    with canvas(path, WIDTH, ROW * len(curves)) as figure:
        grid = figure.subplots(len(curves), 2, squeeze=False, width_ratios=(3, 2))
        for (left, right), curve, verdict in zip(grid, curves, verdicts, strict=True):
            spectrum = spectrum_of(curve)
            draw_light_curve(left, curve)
            draw_folded(right, curve, spectrum.best if spectrum else None)
            left.set_title(f"{shorten(curve.ids[0], 28)}: {verdict}", loc="left", parse_math=False)
            right.set_ylabel("")
        for axes in grid[:-1].flat:
            axes.set_xlabel("")
