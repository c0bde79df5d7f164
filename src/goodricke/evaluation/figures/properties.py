"""Figures of the objects: accuracy against their properties, and the shift of features between two sets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.evaluation.early import ScoresByNumber
from goodricke.evaluation.figures.style import COLOURS, canvas_legend, count_axis, panels

Float = NDArray[np.float64]
BINS = 40
WIDE = 20  # ratio of the quantity from which on its axis is logarithmic


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
