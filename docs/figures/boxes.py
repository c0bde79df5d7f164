"""Boxes and arrows."""

from __future__ import annotations

from typing import Any

from goodricke.evaluation.figures.style import GREY

ARROW = {"arrowstyle": "-|>", "color": GREY, "lw": 1, "shrinkA": 0, "shrinkB": 0}


def box(axes: Any, x: float, y: float, width: float, height: float, text: str, colour: str, small: str = "") -> None:
    """Draw a box with its centre at x, y: a name and, in small letters below it, a detail."""
    from matplotlib.patches import FancyBboxPatch

    corner = (x - width / 2, y - height / 2)
    style = "round,pad=0,rounding_size=0.08"
    axes.add_patch(FancyBboxPatch(corner, width, height, style, facecolor=colour + "26", edgecolor=colour, lw=1))
    shift = 0.13 if small else 0
    axes.text(x, y + shift, text, ha="center", va="center", fontsize=9, color="#111111")
    if small:
        axes.text(x, y - 0.17, small, ha="center", va="center", fontsize=7.5, color="#444444")


def arrow(axes: Any, start: tuple[float, float], end: tuple[float, float], **style: Any) -> None:
    """Draw an arrow between two points."""
    axes.annotate("", end, start, arrowprops=ARROW | style)


def blank(figure: Any, width: float, height: float) -> Any:
    """Return axes without frame from 0, 0 to width, height, of equal scales."""
    axes = figure.add_subplot()
    axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    axes.axis("off")
    return axes
