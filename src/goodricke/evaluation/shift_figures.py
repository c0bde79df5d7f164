"""The most shifted numbers of two sets of light curves, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from goodricke.evaluation.style import COLOURS, canvas_legend, panels

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
