"""Style of all figures: colours that colour-blind readers tell apart, thin frames, a canvas that is always closed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from textwrap import fill
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from goodricke.data.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito (2008), without the yellow that vanishes on white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY, ACCENT, PALE = "#666666", COLOURS[0], "#B7C9D6"
DPI = 120
LAYOUT: Literal["constrained"] | None = "constrained"  # nothing overlaps, for half of the time that a figure takes
LABEL = 8.5  # points, of labels at lines
_LOCK = Lock()
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
    """Give an empty figure of a size in inches, and write it to ``path`` at the end, completely or not at all.

    The figure belongs to no window and to no global list. One figure is drawn at a time, because matplotlib's settings
    are global.
    """
    path = Path(path)
    with drawing_settings():
        figure = new_figure(width, height)
        yield figure
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as partial:
            figure.savefig(partial, dpi=DPI, metadata={"Date": None} if path.suffix == ".svg" else None)


@contextmanager
def drawing_settings() -> Iterator[None]:
    """Draw in the style of all figures, one figure at a time."""
    import matplotlib as mpl

    with _LOCK, mpl.rc_context(STYLE):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, in no window and no global list; a notebook shows it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    class NotebookFigure(Figure):
        """A figure that a notebook shows whether or not pyplot is imported."""

        def _repr_png_(self) -> bytes:
            stream = BytesIO()
            self.savefig(stream, format="png", dpi=DPI)
            return stream.getvalue()

    figure = NotebookFigure(figsize=(width, height), dpi=DPI, layout=LAYOUT)
    FigureCanvasAgg(figure)
    return figure


def figure_name(object_id: str) -> str:
    """Return a file name for an object's figure: only letters, digits, ``.``, ``_``, ``+`` and ``-``.

    Changed ids get a few digits of their hash, so that no two ids share a file.

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


def despine(axes: Any) -> Any:
    """Hide the upper and right frame and return the axes."""
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def label_ends(axes: Any, ends: Sequence[tuple[float, str, str]]) -> None:
    """Name lines at the right edge of the axes, in their colours, instead of in a legend.

    Call it when the limits are final. Labels of lines that end close together are moved apart by the least possible.

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

    In order of place, minus ``gap`` for each earlier one, they must not decrease: an isotonic regression.

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


def write_note(axes: Any, text: str) -> None:
    """Write a note where there is nothing to draw."""
    wrapped = "\n".join(fill(line, 32) for line in text.splitlines())
    axes.text(0.5, 0.5, wrapped, transform=axes.transAxes, ha="center", va="center", color=GREY, parse_math=False)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


@contextmanager
def panels(path: str | Path, titles: Sequence[str], height: float, across: int = 4) -> Iterator[list[Any]]:
    """Give a panel for each title, at most ``across`` side by side, each ``height`` inches high.

    An axis label set on the first panel applies to the leftmost and the lowest panels.
    """
    rows, wide = -(-len(titles) // across), 10.0 / across
    across = -(-len(titles) // rows)  # rows of about the same length
    with canvas(path, max(wide * across, 5.0), height * rows + 0.3) as figure:
        grid = figure.subplots(rows, across, squeeze=False)
        shown = [despine(axes) for axes in grid.flat[: len(titles)]]
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
