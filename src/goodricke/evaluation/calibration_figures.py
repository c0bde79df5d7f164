"""Reliability diagrams: of several models, and of each class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from goodricke.evaluation.calibration_scores import Reliability
from goodricke.evaluation.style import ACCENT, COLOURS, GREY, canvas, panels, shorten, thin

STEP = 0.008  # between the marks of two models in one bin


def draw_reliability(axes: Any, found: Reliability, colour: str = ACCENT, shift: float = 0.0, **look: Any) -> None:
    """Draw how often forecasts come true in each bin, with 95 % Wilson intervals."""
    some = found.n > 0
    x, y = found.forecast[some], found.rate[some]
    spread = [y - found.low[some], found.high[some] - y]
    axes.errorbar(x + shift, y, spread, fmt="o", ms=4, color=colour, elinewidth=0.8, **look)


def plot_reliabilities(models: Mapping[str, Reliability], path: Path) -> None:
    """Draw the reliability of the answers of several models, and below how many answers each bin holds."""
    with canvas(path, 5.4, 5.6) as figure:
        upper, lower = (thin(a) for a in figure.subplots(2, 1, sharex=True, height_ratios=(4, 1)))
        _diagonal(upper)
        upper.set(ylabel="fraction right")
        lower.set(xlabel="probability of the most probable class", ylabel="objects", yscale="log")
        for k, (colour, (name, found)) in enumerate(zip(COLOURS, models.items(), strict=False)):
            shift = STEP * (k - (min(len(models), len(COLOURS)) - 1) / 2)
            draw_reliability(upper, found, colour, shift, label=shorten(name, 24))
            lower.stairs(found.n, found.edges, color=colour, lw=1.2)
        if len(models) > 1:
            upper.legend(loc="upper left")


def plot_class_reliabilities(classes: Mapping[str, Mapping[str, Reliability]], path: Path) -> None:
    """Draw a panel for each class: how often objects are of it that get so much probability of it, model by model."""
    with panels(path, list(classes), 2.3) as grid:
        for axes, each in zip(grid, classes.values(), strict=True):
            _diagonal(axes)
            for k, (colour, found) in enumerate(zip(COLOURS, each.values(), strict=False)):
                draw_reliability(axes, found, colour, STEP * k)
        grid[0].set(xlabel="probability of the class", ylabel="fraction of it")


def _diagonal(axes: Any) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls="--")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
