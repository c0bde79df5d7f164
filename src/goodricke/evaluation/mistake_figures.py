"""The worst mistakes as light curves, against time and folded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from goodricke.evaluation.panels import draw_folded, draw_light_curve, spectrum_of
from goodricke.evaluation.style import canvas, shorten
from goodricke.lightcurves import LightCurves

WIDTH, ROW = 10.0, 1.9  # inches


def plot_mistakes(curves: LightCurves, verdicts: Sequence[str], path: Path) -> None:
    """Draw light curves (n) one below the other: against time, and folded on the highest peak of the periodogram.

    ``verdicts`` (n,) is what is said of each beside its id.
    """
    with canvas(path, WIDTH, ROW * len(curves)) as figure:
        grid = figure.subplots(len(curves), 2, squeeze=False, width_ratios=(3, 2))
        for (left, right), curve, verdict in zip(grid, curves, verdicts, strict=True):
            spectrum = spectrum_of(curve)
            draw_light_curve(left, curve)
            draw_folded(right, curve, spectrum.best if spectrum else None)
            left.set_title(f"{shorten(curve.ids[0], 28)}: {verdict}", loc="left", parse_math=False)
            right.set_ylabel("")
        for axes in grid[:-1].flat:
            axes.set_xlabel("")
