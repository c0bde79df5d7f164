"""Figures of a classifier: confusion matrices, reliability, purity and completeness, training history, regression."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goodricke.evaluation.calibration_scores import Reliability
from goodricke.evaluation.figures.style import (
    ACCENT,
    COLOURS,
    GREY,
    canvas,
    canvas_legend,
    count_axis,
    despine,
    panels,
    shorten,
    write_note,
)
from goodricke.evaluation.folds import FoldSummary, Quartiles
from goodricke.evaluation.regression import RegressionScores, score_regression
from goodricke.evaluation.scores import Scores, ThresholdCurve

WIDTH = 10.0  # inches: 1200 pixels
STEP = 0.008  # between the marks of two models in one bin
Curves = Mapping[str, Mapping[str, ThresholdCurve]]  # by class, then by model


def plot_confusion(scores: Scores, path: str | Path) -> None:
    """Draw the confusion matrix: percent of each true class (row) by most probable class, and numbers of objects."""
    share = 100 * scores.confusion / np.maximum(scores.n, 1)[:, None]

    def text(i: int, j: int) -> str:
        number = scores.confusion[i, j]
        percent = f"{share[i, j]:.0f} %" if share[i, j] >= 0.5 else "<1 %"
        return f"{percent}\n{number}" if number else ""

    title = f"accuracy {scores.accuracy.value:.3f}, balanced accuracy {scores.balanced_accuracy.value:.3f}"
    _matrix(path, scores.classes, scores.n, share, text, title)


def plot_fold_confusion(summary: FoldSummary, path: str | Path) -> None:
    """Draw the confusion matrix of several models on one test set, as Figs. 5-7 of Becker et al. (2025).

    Each cell has the percentage of the true class (row) with the answer (column): the median over the models, with the
    25th percentile as its subscript and the 75th as its superscript. Cells whose 75th percentile rounds to 0 are blank.
    """
    share = 100 * np.nan_to_num(summary.confusion)

    def text(i: int, j: int) -> str:
        median, low, high = (f"{x:.0f}" for x in share[:, i, j])
        return f"${median}_{{\\,{low}}}^{{\\,{high}}}$" if share[2, i, j] >= 0.5 else ""

    recall, accuracy = summary.macro_recall, summary.accuracy
    title = f"percent, median of {summary.folds} models and 25th to 75th percentile\n"
    title += f"macro recall {_quartiles(recall)}, accuracy {_quartiles(accuracy)}"
    _matrix(path, summary.classes, summary.n, share[0], text, title, largest=11)


def plot_history(history: Sequence[Mapping[str, float]], path: str | Path) -> None:
    """Draw training and validation loss, accuracy and macro recall against the epoch.

    Parameters
    ----------
    history : list of dict
        One per epoch, as in a run's ``log.jsonl``: ``epoch``, ``loss``, ``validation_loss``, ``accuracy``,
        ``macro_recall`` and ``score``, by whose highest value the best epoch is marked. Missing ones are left out.
    path : path
    """
    with canvas(path, WIDTH, 3.6) as figure:
        left, right = (despine(axes) for axes in figure.subplots(1, 2))
        _lines(left, history, {"loss": "training loss", "validation_loss": "validation loss"})
        _lines(right, history, {"accuracy": "accuracy", "macro_recall": "macro recall"})


def _matrix(
    path: str | Path,
    classes: Sequence[str],
    n: NDArray[np.int64],
    share: NDArray[np.floating],
    text: Callable[[int, int], str],
    title: str,
    largest: float = 9,
) -> None:
    """Draw a confusion matrix of ``share`` (C, C) in percent of the true class, ``text(i, j)`` in each cell."""
    count = len(classes)
    side = float(np.clip(0.75 * count + 1.8, 4.5, 16))
    size = float(np.clip(300 / count, 4, largest))  # fits "100 %" into a cell
    with canvas(path, side + 0.6, side) as figure:
        axes = figure.add_subplot()
        axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
        for i, j in np.ndindex(count, count):
            colour = "white" if share[i, j] > 55 else "#333333"
            axes.text(j, i, text(i, j), ha="center", va="center", fontsize=size, color=colour)
        names = [shorten(name, 18) for name in classes]
        rows = [f"{name} ({k})" for name, k in zip(names, n, strict=True)]
        axes.set_xticks(range(count), names, rotation=45, ha="right", rotation_mode="anchor", parse_math=False)
        axes.set_yticks(range(count), rows, parse_math=False)
        axes.tick_params(length=0)
        axes.set(xlabel="most probable class", ylabel="true class", title=title)


def _quartiles(q: Quartiles) -> str:
    return f"{q.median:.3f} ({q.low:.3f}\u2013{q.high:.3f})"


def _lines(axes: Any, history: Sequence[Mapping[str, float]], names: Mapping[str, str]) -> None:
    """Draw figures of the history against the epoch, the best epoch marked."""
    for colour, (key, text) in zip(COLOURS, names.items(), strict=False):
        points = [(row.get("epoch", i), row[key]) for i, row in enumerate(history) if key in row]
        if points:
            axes.plot(*zip(*points, strict=True), color=colour, lw=1.2, marker="o", ms=2.5, label=text)
    if not axes.lines:
        write_note(axes, "nothing recorded")
        return
    rated = [(row["score"], row.get("epoch", i)) for i, row in enumerate(history) if "score" in row]
    if rated:
        axes.axvline(max(rated, key=lambda pair: pair[0])[1], color=GREY, lw=0.8, ls=":", label="best epoch")
    axes.legend()
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)


def plot_precision_recall(classes: Curves, path: Path) -> None:
    """Draw purity against completeness as the threshold falls, with the purity's 95 % interval, model by model."""
    with panels(path, list(classes), 2.3) as grid:
        for axes, models in zip(grid, classes.values(), strict=True):
            for colour, curve in zip(COLOURS, models.values(), strict=False):
                defined = np.isfinite(curve.purity[0])
                x, (y, low, high) = curve.completeness[0][defined], curve.purity[:, defined]
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


def draw_reliability(axes: Any, curve: Reliability, colour: str = ACCENT, shift: float = 0.0, **style: Any) -> None:
    """Draw the fraction of forecasts that come true in each bin, with 95 % Wilson intervals."""
    filled = curve.n > 0
    x, y = curve.forecast[filled], curve.rate[filled]
    spread = [y - curve.low[filled], curve.high[filled] - y]
    axes.errorbar(x + shift, y, spread, fmt="o", ms=4, color=colour, elinewidth=0.8, **style)


def plot_reliabilities(models: Mapping[str, Reliability], path: Path) -> None:
    """Draw the reliability of the answers of several models, and below the number of answers in each bin."""
    with canvas(path, 5.4, 5.6) as figure:
        upper, lower = (despine(a) for a in figure.subplots(2, 1, sharex=True, height_ratios=(4, 1)))
        _diagonal(upper)
        title = f"expected calibration error {next(iter(models.values())).error:.3f}" if len(models) == 1 else ""
        upper.set(ylabel="fraction right", title=title)
        lower.set(xlabel="probability of the most probable class", ylabel="objects", yscale="log")
        for k, (colour, (name, curve)) in enumerate(zip(COLOURS, models.items(), strict=False)):
            shift = STEP * (k - (min(len(models), len(COLOURS)) - 1) / 2)
            draw_reliability(upper, curve, colour, shift, label=shorten(name, 24))
            lower.stairs(curve.n, curve.edges, color=colour, lw=1.2)
        if len(models) > 1:
            upper.legend(loc="upper left")


def plot_class_reliabilities(classes: Mapping[str, Mapping[str, Reliability]], path: Path) -> None:
    """Draw a panel for each class: the fraction of objects of the class against its probability, model by model."""
    with panels(path, list(classes), 2.3) as grid:
        for axes, models in zip(grid, classes.values(), strict=True):
            _diagonal(axes)
            for k, (colour, curve) in enumerate(zip(COLOURS, models.values(), strict=False)):
                draw_reliability(axes, curve, colour, STEP * k)
        grid[0].set(xlabel="probability of the class", ylabel="fraction of it")


def _diagonal(axes: Any) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls="--")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))


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
