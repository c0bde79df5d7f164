"""Figure of a regressed parameter: predicted against measured, and the errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goodricke.evaluation.figures.style import ACCENT, COLOURS, canvas, count_axis, despine
from goodricke.evaluation.regression import RegressionScores, score_regression

Float = NDArray[np.float64]
Limits = tuple[float, float]
MOST_POINTS = 1500  # above which the density is drawn
CELLS = 70  # hexagons across
WIDE = 30  # ratio of truths from which on the axes are logarithmic
BINS, FEWEST = 15, 10  # of the running median


def plot_regression(
    truth: ArrayLike, predicted: ArrayLike, path: str | Path, name: str = "parameter", unit: str = ""
) -> None:
    """Draw predicted against measured parameter, with the errors and their running median and 68 % below.

    Positive parameters that span more than a factor of 30, such as radii, are drawn on logarithmic axes with errors in
    percent. The axes span the truths; a note has the number of predictions outside.

    Parameters
    ----------
    truth, predicted : (n,)
        In one unit; light curves whose truth is NaN are left out.
    path : path
    name, unit : str
        Of the parameter.

    Raises
    ------
    ValueError
        As `goodricke.evaluation.regression.score_regression`.
    """
    x, y = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    scores = score_regression(x, y, resamples=0)
    x, y = x[~np.isnan(x)], y[~np.isnan(x)]
    log = bool(x.min() > 0 and x.max() > WIDE * x.min())
    limits, in_unit = _range(x, log), f" [{unit}]" if unit else ""
    with canvas(path, 5.2, 6.6) as figure:
        upper, lower = (despine(a) for a in figure.subplots(2, 1, sharex=True, height_ratios=(3, 1)))
        _cloud(upper, x, y, limits, limits, ("log", "log") if log else ("linear", "linear"))
        upper.plot(limits, limits, color=COLOURS[1], lw=0.8)
        _residuals(lower, x, y, limits, log)
        upper.set(xlim=limits, ylim=limits, ylabel=f"predicted {name}{in_unit}")
        lower.set(xlabel=f"measured {name}{in_unit}", ylabel="error [%]" if log else f"error{in_unit}")
        for axis in (upper.xaxis, upper.yaxis) if log else ():
            count_axis(axis)
        outside = int(((y < limits[0]) | (y > limits[1])).sum())
        note = _note(scores, unit) + (f"\n{outside} predictions off the axes" if outside else "")
        upper.text(0.04, 0.96, note, transform=upper.transAxes, va="top", linespacing=1.4, parse_math=False)


def _note(scores: RegressionScores, unit: str) -> str:
    """Return the scores in a few lines."""
    rmse = f"{scores.rmse.value:.4g} {unit}".rstrip()
    return f"R² = {scores.r2.value:.3f}\nRMSE = {rmse}\nMAPE = {scores.mape.value:.3g} %\n{scores.n} light curves"


def _range(truth: Float, log: bool) -> Limits:
    """Return the limits of the axes: the truths and a little more."""
    low, high = float(truth.min()), float(truth.max())
    if log:
        margin = (high / low) ** 0.04
        return low / margin, high * margin
    margin = 0.04 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin


def _cloud(axes: Any, x: Float, y: Float, xlim: Limits, ylim: Limits, scales: tuple[str, str]) -> None:
    """Draw points, or their density where they would cover each other, on axes of the given scales."""
    axes.set(xscale=scales[0], yscale=scales[1])
    if len(x) <= MOST_POINTS:
        axes.plot(x, y, ".", ms=4, mew=0, alpha=0.5, color=ACCENT)
        return
    shown = (y >= ylim[0]) & (y <= ylim[1])  # an outlier must not stretch the grid of hexagons
    sides = zip((xlim, ylim), scales, strict=True)
    span = np.concatenate([np.log10(side) if scale == "log" else np.array(side) for side, scale in sides])
    box = axes.get_window_extent()
    cells = (CELLS, max(round(CELLS * box.height / box.width / 3**0.5), 1))  # hexagons as high as wide
    look = {"cmap": _blues(), "bins": "log", "mincnt": 1, "linewidths": 0}
    axes.hexbin(x[shown], y[shown], gridsize=cells, extent=span, xscale=scales[0], yscale=scales[1], **look)


def _blues() -> Any:
    """Return blues without the nearly white ones, in which a hexagon with one point would vanish."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps["Blues"](np.linspace(0.25, 1, 256)))


def _residuals(axes: Any, truth: Float, predicted: Float, xlim: Limits, log: bool) -> None:
    """Draw the errors, their running median and the range of the central 68 %."""
    error = 100 * (predicted / truth - 1) if log else predicted - truth
    reach = float(np.quantile(np.abs(error), 0.98)) or 1.0
    _cloud(axes, truth, error, xlim, (-reach, reach), ("log" if log else "linear", "linear"))
    axes.axhline(0, color=COLOURS[1], lw=0.8)
    bins = min(BINS, len(truth) // FEWEST)
    if bins > 1:
        parts = np.array_split(np.argsort(truth, kind="stable"), bins)  # as many light curves in each
        middle = [np.median(truth[part]) for part in parts]
        quantiles = np.array([np.quantile(error[part], (0.16, 0.5, 0.84)) for part in parts]).T
        for y, width in zip(quantiles, (0.7, 1.6, 0.7), strict=True):
            axes.plot(middle, y, color="black", lw=width)
    axes.set_ylim(-reach, reach)
