"""Figures of the page as files, drawn by matplotlib: PNG, SVG, PDF."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.figures.style import COLOURS, GREY, canvas, despine
from goodricke.explorer.light_curves import sort_bands
from goodricke.preprocess.cleaning import finite_points

FigureFormat = Literal["png", "svg", "pdf"]
Float = NDArray[np.float64]

SIZES = {"wide": (7.0, 3.0), "square": (5.0, 4.2), "map": (7.0, 4.0), "matrix": (8.0, 6.4)}  # inches
MARKERS = "os^DP"  # of the classes, by eight colours each, as on the page
CLASS_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B8A800", "#7F7F7F")
BAND_COLOURS = {"u": 0, "B": 0, "g": 2, "V": 2, "G": 2, "r": 1, "R": 1, "i": 3, "I": 3, "z": 4, "y": 5}
NO_CLASS = "#a3abb5"
LARGEST = 40.0  # points², of a marker


def figure_bytes(draw: Callable[[Any], object], size: str, kind: FigureFormat) -> bytes:
    """Return a figure as the bytes of a file.

    Parameters
    ----------
    draw : callable
        Draws on matplotlib's axes.
    size : str
        One of `SIZES`.
    kind : {"png", "svg", "pdf"}
    """
    with tempfile.TemporaryDirectory(prefix="goodricke-") as folder:
        path = Path(folder) / f"figure.{kind}"
        with canvas(path, *SIZES[size]) as figure:
            draw(figure.add_subplot())
        return path.read_bytes()


def draw_diagram(axes: Any, diagram: Any, answer: Mapping[str, Any], classes: Sequence[str], colour: str = "") -> None:
    """Draw a diagram as the page does: points, or numbers of points in cells.

    Parameters
    ----------
    axes : matplotlib Axes
    diagram : goodricke.explorer.diagrams.Diagram
    answer : dict
        Of `goodricke.explorer.diagrams.Diagrams.points`.
    classes : sequence of str
    colour : str
        Formula of the colour, named at its bar.
    """
    for one in diagram.outlines:
        x, y = (np.array([np.nan if v is None else v for v in values]) for values in (one.x, one.y))
        style = {"plane": ("--", COLOURS[0]), "grid": ("-", "#e4e7eb"), "edge": ("-", GREY)}[one.style]
        axes.plot(x, y, ls=style[0], color=style[1], lw=0.7, zorder=0.5)
        if one.label and one.at:
            axes.annotate(one.label, one.at, color=GREY, size=6)
    if "cells" in answer:
        _draw_cells(axes, diagram, answer["cells"])
    else:
        _draw_points(axes, answer, classes, colour)
    if diagram.kind == "sky":
        axes.set_aspect("equal")
        axes.set_axis_off()
    else:
        axes.set(xlabel=diagram.x.label, ylabel=diagram.y.label)
        axes.set_xscale("log" if diagram.x.log else "linear")
        axes.set_yscale("log" if diagram.y.log else "linear")
    x0, x1, y0, y1 = answer["view"]
    axes.set_xlim(*((x1, x0) if diagram.x.reversed else (x0, x1)))
    axes.set_ylim(*((y1, y0) if diagram.y.reversed else (y0, y1)))


def _draw_cells(axes: Any, diagram: Any, cells: Mapping[str, Any]) -> None:
    nx, ny = cells["shape"]
    counts = np.full(nx * ny, np.nan)
    counts[cells["cell"]] = np.log10(cells["count"])
    ends = []
    for axis, (low, high), n in ((diagram.x, cells["box"][:2], nx), (diagram.y, cells["box"][2:], ny)):
        ends.append(np.geomspace(low, high, n + 1) if axis.log else np.linspace(low, high, n + 1))
    mesh = axes.pcolormesh(*ends, counts.reshape(ny, nx), cmap="viridis", rasterized=True)
    axes.figure.colorbar(mesh, ax=axes, label="log10 of the number in a cell")


def _draw_points(axes: Any, answer: Mapping[str, Any], classes: Sequence[str], colour: str) -> None:
    x, y, code = (np.array(answer[name]) for name in ("x", "y", "class"))
    size: Any = float(np.clip(4e3 / max(len(x), 1), 2, 18))
    if "size" in answer:
        size = _scaled(np.array(answer["size"], np.float64)) * LARGEST
    if "colour" in answer:
        values = np.array(answer["colour"], np.float64)
        good = np.isfinite(values)
        low, high = np.quantile(values[good], (0.02, 0.98)) if good.any() else (0.0, 1.0)
        points = axes.scatter(x, y, size, values, cmap="viridis", vmin=low, vmax=high, lw=0, rasterized=len(x) > 5000)
        axes.figure.colorbar(points, ax=axes, label=colour)
        return
    for k in [-1, *np.argsort(-np.bincount(code[code >= 0], minlength=len(classes))).tolist()]:
        here = code == k
        if not here.any():
            continue
        style = {"color": NO_CLASS if k < 0 else CLASS_COLOURS[k % 8], "marker": MARKERS[max(k, 0) // 8 % 5]}
        name = "no class" if k < 0 else classes[k]
        sizes = size[here] if isinstance(size, np.ndarray) else size
        axes.scatter(x[here], y[here], sizes, label=name, lw=0, alpha=0.85, rasterized=len(x) > 5000, **style)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7, markerscale=1.5)


def draw_histogram(axes: Any, answer: Mapping[str, Any], label: str) -> None:
    """Draw a histogram of a column, of `goodricke.explorer.table.CatalogTable.histogram`."""
    if answer["counts"]:
        axes.stairs(answer["counts"], answer["edges"], fill=True, color=COLOURS[0], alpha=0.7)
    axes.set(ylabel="objects")
    axes.set_xlabel(label, parse_math=False)
    axes.yaxis.get_major_locator().set_params(integer=True)
    despine(axes)


def draw_crosstab(axes: Any, answer: Mapping[str, Any], x_name: str, y_name: str) -> None:
    """Draw a confusion matrix, of `goodricke.explorer.table.CatalogTable.crosstab`: numbers, and shares of each row."""
    x, y, counts = answer["x"], answer["y"], np.array(answer["counts"])
    if not counts.size:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "nothing to compare", ha="center")
        return
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    small = {"size": 6 if max(counts.shape) > 12 else 8}
    for j, i in zip(*np.nonzero(counts), strict=True):
        axes.text(i, j, f"{counts[j, i]:,}", ha="center", va="center", color="w" if share[j, i] > 0.5 else "k", **small)
    rotation = 90 if len(x) > 8 or max(len(str(name)) for name in x) > 8 else 0
    axes.set_xticks(range(len(x)), map(str, x), rotation=rotation, parse_math=False, **small)
    axes.set_yticks(range(len(y)), map(str, y), parse_math=False, **small)
    axes.set_xlabel(x_name, parse_math=False)
    axes.set_ylabel(y_name, parse_math=False)


def _scaled(values: Float) -> Float:
    """Return numbers from 0.03 to 1 between their 2nd and 98th percentile; 0.03 for none."""
    good = np.isfinite(values)
    low, high = np.quantile(values[good], (0.02, 0.98)) if good.any() else (0.0, 1.0)
    return np.clip(np.nan_to_num((values - low) / (high - low or 1.0)), 0.03, 1)


def draw_light_curve(axes: Any, curve: LightCurves, period: float | None, title: str) -> None:
    """Draw a light curve, folded where a period [d] is given, two cycles then."""
    curve = sort_bands(finite_points(curve).sorted())
    several = len(curve.bands) > 1
    for k, band in enumerate(curve.bands):
        here = curve.band == k
        time, value, error = (v[here].astype(np.float64) for v in (curve.time, curve.value, curve.error))
        if period:
            phase = (time - curve.time[0]) / period % 1
            time, value, error = np.r_[phase, phase + 1], np.tile(value, 2), np.tile(error, 2)
        colour = COLOURS[BAND_COLOURS.get(band[-1:], k % len(COLOURS))] if several else "#44505e"
        bars = error if np.isfinite(error).all() and len(error) < 4000 else None
        style = {"ms": 3 if len(time) < 4000 else 1.5, "lw": 0, "elinewidth": 0.5, "rasterized": len(time) > 10_000}
        axes.errorbar(time, value, bars, fmt="o", color=colour, mew=0, label=band, **style)
    if several:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7)
    if curve.in_magnitudes:
        axes.invert_yaxis()
    scale = "" if curve.time_scale == "unknown" else f", {curve.time_scale}"
    axes.set_xlabel(f"phase (period {period:.7g} d)" if period else f"time [d{scale}]")
    axes.set_ylabel(value_label(curve))
    axes.set_title(title, parse_math=False)
    despine(axes)


def value_label(curve: LightCurves) -> str:
    """Return the vertical axis of a light curve: bands and unit, as on the page."""
    bands = [band for band in curve.bands if band and band != "none"]
    quantity = ", ".join(bands) if 0 < len(bands) <= 4 else "magnitude" if curve.in_magnitudes else "flux"
    unit = curve.unit if curve.unit not in ("unknown", quantity) else "mag" if curve.in_magnitudes else ""
    return f"{quantity} [{unit}]" if unit else quantity


def draw_periodogram(axes: Any, answer: Mapping[str, Any], title: str) -> None:
    """Draw a periodogram with its highest peaks."""
    axes.plot(answer["frequency"], answer["power"], color="#44505e", lw=0.6)
    if answer.get("noise"):
        axes.plot(answer["frequency"], answer["noise"], color=GREY, lw=0.8, ls="--")
    for peak in answer["peaks"]:
        axes.plot(peak["frequency"], peak["power"], "o", ms=3, color=COLOURS[0])
        axes.annotate(
            f"{peak['period']:.5g} d",
            (peak["frequency"], peak["power"]),
            size=6,
            xytext=(3, 2),
            textcoords="offset points",
        )
    axes.set(xlabel="frequency [1/d]", ylabel=answer["quantity"])
    axes.set_title(title, parse_math=False)
    despine(axes)


def draw_history(axes: Any, answer: Mapping[str, Any], title: str) -> None:
    """Draw the probabilities after every observation, of the six most probable classes at the end."""
    p = {name: np.array(values, np.float64) for name, values in answer["p"].items()}
    for k, name in enumerate(sorted(p, key=lambda name: -p[name][-1])[:6]):
        axes.plot(answer["steps"], p[name], color=COLOURS[k], lw=1.2, label=name)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7)
    axes.set(xlabel="observations", ylabel="probability", ylim=(-0.03, 1.03))
    axes.set_title(title, parse_math=False)
    despine(axes)
