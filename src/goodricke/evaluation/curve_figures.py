"""Precision-recall curves, and purity and completeness against the threshold, a panel for each class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from goodricke.evaluation.curves import ThresholdCurve
from goodricke.evaluation.style import COLOURS, canvas_legend, panels

Curves = Mapping[str, Mapping[str, ThresholdCurve]]  # by class, then by model


def plot_precision_recall(classes: Curves, path: Path) -> None:
    """Draw purity against completeness as the threshold falls, with the purity's 95 % interval, model by model."""
    with panels(path, list(classes), 2.3) as grid:
        for axes, each in zip(grid, classes.values(), strict=True):
            for colour, curve in zip(COLOURS, each.values(), strict=False):
                some = np.isfinite(curve.purity[0])
                x, (y, low, high) = curve.completeness[0][some], curve.purity[:, some]
                axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
                axes.plot(x, y, color=colour, lw=1.3)
            axes.set(xlim=(0, 1.01), ylim=(0, 1.03))
        grid[0].set(xlabel="completeness (recall)", ylabel="purity (precision)")
        if len(next(iter(classes.values()))) > 1:
            canvas_legend(grid[0], list(next(iter(classes.values()))))


def plot_purity_completeness(classes: Mapping[str, ThresholdCurve], path: Path) -> None:
    """Draw purity (line) and completeness (dashes) of one model against the threshold, with 95 % intervals."""
    with panels(path, list(classes), 2.3) as grid:
        for axes, curve in zip(grid, classes.values(), strict=True):
            for (value, low, high), colour, style in zip(
                (curve.purity, curve.completeness), COLOURS, ("-", "--"), strict=False
            ):
                axes.fill_between(curve.thresholds, low, high, color=colour, alpha=0.15, lw=0)
                axes.plot(curve.thresholds, value, color=colour, lw=1.3, ls=style)
            axes.set(xlim=(0, 1), ylim=(0, 1.03))
        grid[0].set(xlabel="threshold", ylabel="fraction")
        canvas_legend(grid[0], ["purity", "completeness"], ("-", "--"))
