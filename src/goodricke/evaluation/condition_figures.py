"""Accuracy against what an object is like: points, magnitude, amplitude, period."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from goodricke.evaluation.early import ByNumber
from goodricke.evaluation.style import COLOURS, canvas_legend, count_axis, panels

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
