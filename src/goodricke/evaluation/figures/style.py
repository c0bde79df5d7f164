"""What all figures share: colours that colour-blind readers tell apart, thin frames, a canvas that is always closed.

The panels of an object's figure: light curve, periodogram, folded light curve, probabilities.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from textwrap import fill
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import MEANING, Predictions, Status
from goodricke.preprocess.cleaning import align_bands, clip_outliers, finite_points
from goodricke.preprocess.periods import Periodogram, PeriodSearch, periodogram

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# Okabe & Ito (2008), without the yellow that vanishes on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY, ACCENT, PALE = "#666666", COLOURS[0], "#B7C9D6"
DPI = 120
LABEL = 8.5  # points, of labels at lines
_DRAWING = Lock()
LONGEST_NAME = 120  # characters; file systems end at 255 bytes, and a suffix must fit
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.linewidth": 0.5,
    "axes.edgecolor": GREY,
    "axes.labelcolor": "#333333",
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "legend.frameon": False,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-5, 8),  # Julian dates in full
    "svg.hashsalt": "goodricke",  # the same figure, the same file
}


@contextmanager
def canvas(path: str | Path, width: float, height: float) -> Iterator[Figure]:
    """Give an empty figure of so many inches, and write it to ``path`` at the end; whole or not at all.

    The figure belongs to no window and to no global list. One is drawn at a time: matplotlib's settings are global.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path = Path(path)
    with _DRAWING, mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.stem}.partial{path.suffix}")
        figure.savefig(partial, dpi=DPI, metadata={"Date": None} if path.suffix == ".svg" else None)
        partial.replace(path)


def figure_name(object_id: str) -> str:
    """Return a file name for an object's figure: only letters, digits, ``.``, ``_``, ``+`` and ``-``.

    Ids that had to be changed get a few digits of their hash, so that no two share a file.

    Examples
    --------
    >>> figure_name("KIC 8462852")
    'KIC_8462852_2ce41b41.png'
    >>> figure_name("215153")
    '215153.png'
    """
    safe = re.sub(r"[^A-Za-z0-9._+-]", "_", object_id).lstrip("._-")[:LONGEST_NAME]
    if safe != object_id or not safe:
        digits = sha256(object_id.encode("utf-8", "replace")).hexdigest()[:8]
        safe = f"{safe}_{digits}" if safe else digits
    return f"{safe}.png"


def shorten(text: str, longest: int = 48) -> str:
    """Return the text on one line, its middle left out if it is too long."""
    text = " ".join(text.split())
    half = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[-half:]}"


def thin(axes: Any) -> Any:
    """Take the upper and right frame away and return the axes."""
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def label_ends(axes: Any, ends: Sequence[tuple[float, str, str]]) -> None:
    """Name lines at the right edge of the axes, in their colours, instead of in a legend.

    Call it when the limits are final. Labels of lines that end close together are moved apart, as little as possible.

    Parameters
    ----------
    axes : matplotlib Axes
    ends : list of (y, text, colour)
        Where each line meets the edge, in data coordinates; those that are NaN get no label.
    """
    ends = [end for end in ends if np.isfinite(end[0])]
    if not ends:
        return
    heights = [axes.transAxes.inverted().transform(axes.transData.transform((0, y)))[1] for y, _, _ in ends]
    points = axes.get_window_extent().height / axes.figure.dpi * 72
    places = move_apart(np.clip(heights, 0, 1), 1.25 * LABEL / points)
    for place, height, (_, text, colour) in zip(places, heights, ends, strict=True):
        look = {"color": colour, "fontsize": LABEL, "va": "center", "annotation_clip": False, "parse_math": False}
        leader = {"arrowstyle": "-", "color": colour, "lw": 0.5, "shrinkA": 2, "shrinkB": 0, "relpos": (0, 0.5)}
        where = {"xycoords": "axes fraction", "textcoords": "axes fraction", "arrowprops": leader}
        axes.annotate(text, (1, height), (1.03, place), **where, **look)


def move_apart(places: ArrayLike, gap: float) -> NDArray[np.float64]:
    """Return places (n,) within 0 to 1 moved so that all are ``gap`` apart, with the least sum of squared moves.

    In order of place, less ``gap`` for each one before it, they must not decrease: an isotonic regression.

    Examples
    --------
    >>> move_apart([0.5, 0.52, 0.9], 0.1).round(2).tolist()
    [0.46, 0.56, 0.9]
    """
    from scipy.optimize import isotonic_regression

    wanted = np.asarray(places, np.float64)
    order, n = np.argsort(wanted, kind="stable"), len(wanted)
    gap = min(gap, 1 / max(n - 1, 1))
    steps = gap * np.arange(n)
    result = np.empty(n)
    result[order] = np.clip(isotonic_regression(wanted[order] - steps).x, 0, 1 - steps[-1]) + steps
    return result


def count_axis(axis: Any) -> None:
    """Give a logarithmic axis ticks at 1, 2, 5, 10, ... in plain numbers."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def say(axes: Any, text: str) -> None:
    """Write a note where there is nothing to draw."""
    wrapped = "\n".join(fill(line, 32) for line in text.splitlines())
    axes.text(0.5, 0.5, wrapped, transform=axes.transAxes, ha="center", va="center", color=GREY, parse_math=False)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


@contextmanager
def panels(path: str | Path, titles: Sequence[str], height: float, across: int = 4) -> Iterator[list[Any]]:
    """Give a thin panel for each title, at most ``across`` side by side, each so many inches high.

    A label set on the first panel is taken over by the leftmost and the lowest ones.
    """
    rows, wide = -(-len(titles) // across), 10.0 / across
    across = -(-len(titles) // rows)  # rows of about the same length
    with canvas(path, max(wide * across, 5.0), height * rows + 0.3) as figure:
        grid = figure.subplots(rows, across, squeeze=False)
        shown = [thin(axes) for axes in grid.flat[: len(titles)]]
        for axes, title in zip(shown, titles, strict=True):
            axes.set_title(shorten(title, 30), parse_math=False)
        yield shown
        for k, axes in enumerate(shown):
            axes.set_ylabel(shown[0].get_ylabel() if k % across == 0 else "")
        for k, axes in list(enumerate(shown))[::-1]:
            axes.set_xlabel(shown[0].get_xlabel() if k + across >= len(titles) else "")
        for axes in grid.flat[len(titles) :]:
            axes.set_visible(False)


def canvas_legend(axes: Any, names: Sequence[str], styles: Sequence[str] = ("-",)) -> None:
    """Name the colours of lines, in their order, above the whole figure."""
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=colour, ls=styles[k % len(styles)], label=shorten(name, 40))
        for k, (colour, name) in enumerate(zip(COLOURS, names, strict=False))
    ]
    axes.figure.legend(handles=lines, loc="outside upper center", ncols=len(lines))


# ---- The panels of an object's figure: light curve, periodogram, folded light curve, probabilities -------------------


MARKERS = "osD^v"
MOST_ERROR_BARS = 2000  # observations above which error bars only hide the points
MOST_CLASSES = 12  # shown, the most probable ones
COLUMNS = 1500  # steps of a drawn periodogram

Float = NDArray[np.float64]


def spectrum_of(curve: LightCurves, search: PeriodSearch | None = None) -> Periodogram | None:
    """Return the periodogram of one light curve as the networks see it: cleaned, bands on one level."""
    cleaned = clip_outliers(align_bands(finite_points(curve)).sorted(), sigma=10, rounds=5)
    return periodogram(cleaned.time, cleaned.value, cleaned.error, search or PeriodSearch())


def draw_light_curve(axes: Any, curve: LightCurves) -> None:
    """Draw brightness against time."""
    thin(axes)
    if not _points(axes, finite_points(curve), cycles=1):
        say(axes, f"none of {len(curve.time)} observations is finite" if len(curve.time) else "no observation")
        return
    _legend(axes)
    axes.set_xlabel("time [d]" if curve.time_scale == "unknown" else f"time [d], {curve.time_scale}")


def draw_folded(axes: Any, curve: LightCurves, period: float | None) -> None:
    """Draw two cycles of the light curve folded on a period [d]."""
    thin(axes)
    if period is None:
        say(axes, "no period to fold on")
        return
    _points(axes, finite_points(curve).fold(period), cycles=2)
    axes.set(xlabel="phase", xlim=(0, 2), title=f"folded on {in_days(period)}")


def draw_periodogram(axes: Any, spectrum: Periodogram | None) -> None:
    """Draw power against period, the best period marked."""
    thin(axes)
    if spectrum is None:
        say(axes, "too few observations or too little time for a periodogram")
        return
    period, power = _thinned(spectrum)
    axes.axvline(spectrum.best, color=COLOURS[1], lw=4, alpha=0.3)
    axes.plot(period, power, color=ACCENT, lw=0.6)
    axes.set(xscale="log", xlabel="period [d]", ylabel="power", title=f"highest peak at {in_days(spectrum.best)}")
    axes.set_ylim(0, None)


def draw_probabilities(axes: Any, predictions: Predictions) -> None:
    """Draw the class probabilities of one object, with the spread over Monte-Carlo passes if there is one."""
    thin(axes)
    status = str(predictions.column("status")[0])
    if status != Status.OK:
        known = status in Status.__members__.values()
        say(axes, f"{status}\n\n{MEANING[Status(status)]}" if known else status)
        return
    p = predictions.probabilities[0]
    order = np.argsort(-p, kind="stable")[:MOST_CLASSES]
    spread = predictions.spread[0][order] if f"std_{predictions.classes[0]}" in predictions.table.column_names else None
    bars = axes.barh(np.arange(len(order)), p[order], color=PALE, xerr=spread, error_kw={"ecolor": GREY, "lw": 0.8})
    bars[0].set_color(ACCENT)
    names = [shorten(predictions.classes[k], 18) for k in order]
    axes.set_yticks(np.arange(len(order)), names, parse_math=False)
    axes.invert_yaxis()
    passes = "" if spread is None else ", spread over passes"
    axes.set(xlim=(0, 1), xlabel="probability", title=f"class probabilities{passes}")


def in_days(period: float) -> str:
    """Return a period as text with five significant digits and its unit."""
    return f"{period:#.5g} d" if period < 1000 else f"{period:.0f} d"


def _points(axes: Any, curve: LightCurves, cycles: int) -> bool:
    """Draw the observations band by band, ``cycles`` times side by side; return whether there are any."""
    bands = np.unique(curve.band)
    size = float(np.clip(45 / np.sqrt(max(len(curve.time), 1)), 1.2, 4))
    for b in bands:
        part = curve.where(curve.band == b)
        time = np.concatenate([part.time + k for k in range(cycles)])
        value, error = (np.tile(x.astype(np.float64), cycles) for x in (part.value, part.error))
        error = np.where(np.isfinite(error) & (error > 0), error, 0)
        bars = error if len(part.time) <= MOST_ERROR_BARS and error.any() else None
        colour, marker = COLOURS[b % len(COLOURS)], MARKERS[b // len(COLOURS) % len(MARKERS)]
        look = {"ms": size, "mew": 0, "color": colour, "ecolor": (colour, 0.4), "elinewidth": 0.6}
        axes.errorbar(time, value, bars, fmt=marker, label=curve.bands[b], **look)
    if len(bands):
        _brightness_axis(axes, curve)
    return len(bands) > 0


def _legend(axes: Any) -> None:
    """Name the bands above the panel, where no point can be."""
    handles, names = axes.get_legend_handles_labels()
    if len(handles) > 1:
        place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0}
        axes.legend(handles, names, ncols=12, handletextpad=0, columnspacing=1, markerscale=2, **place)


def _brightness_axis(axes: Any, curve: LightCurves) -> None:
    """Fit the axis to the values and not to some huge error bar; magnitudes run downwards."""
    value = curve.value.astype(np.float64)
    usual = np.median(np.where(np.isfinite(curve.error), curve.error, 0).astype(np.float64))
    margin = max(0.06 * np.ptp(value), 1.2 * usual, 1e-6 * abs(value[0])) or 1.0
    low, high = value.min() - margin, value.max() + margin
    axes.set_ylim((high, low) if curve.in_magnitudes else (low, high))
    kind = "magnitude" if curve.in_magnitudes else "flux"
    axes.set_ylabel(f"{kind} [{curve.unit}]" if curve.unit not in ("mag", "unknown") else kind)


def _thinned(spectrum: Periodogram) -> tuple[Float, Float]:
    """Return the highest power in each of `COLUMNS` steps of log period: what a line of all points would show."""
    if len(spectrum.period) <= 2 * COLUMNS:
        return spectrum.period, spectrum.power
    log = np.log(spectrum.period[0] / spectrum.period)
    step = np.minimum((log / log[-1] * COLUMNS).astype(int), COLUMNS - 1)
    first = np.flatnonzero(np.diff(step, prepend=-1))
    best = [first[i] + spectrum.power[a:b].argmax() for i, (a, b) in enumerate(_pairs(first, len(step)))]
    return spectrum.period[best], spectrum.power[best]


def _pairs(first: NDArray[np.int64], end: int) -> list[tuple[int, int]]:
    return list(zip(first.tolist(), [*first[1:].tolist(), end], strict=True))
