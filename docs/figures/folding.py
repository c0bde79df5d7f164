"""The preprocessing of a sparse light curve: as observed, period search, two cycles folded and binned in phase."""

from __future__ import annotations

from pathlib import Path

from goodricke.data.examples import example_files
from goodricke.evaluation.figures.objects import compute_periodogram, draw_light_curve, draw_periodogram
from goodricke.evaluation.figures.style import ACCENT, canvas, despine
from goodricke.io import read
from goodricke.preprocess import FoldedConfig, prepare
from goodricke.preprocess.folded import CADENCE

STAR = "243412"


def draw(folder: Path) -> None:
    """Draw ``folding.svg``."""
    stars = read(example_files())
    curve = stars[stars.ids.index(STAR)]
    config = FoldedConfig()
    prepared = prepare(curve, config)
    with canvas(folder / "folding.svg", 8, 2.8) as figure:
        observed, searched, folded = figure.subplots(1, 3)
        draw_light_curve(observed, curve)
        observed.locator_params(axis="x", nbins=3)  # Julian dates are wide
        draw_periodogram(searched, compute_periodogram(curve))
        despine(folded).plot(prepared.time / CADENCE, prepared.values[:, 0], ".-", color=ACCENT, lw=0.6, ms=4)
        folded.set(xlabel=f"phase bin, two cycles in {config.bins}", ylabel="brightness [std. dev.]")
        for axes, title in (
            (observed, "as observed"),
            (searched, "period search"),
            (folded, "input of the network"),
        ):
            axes.set_title(title)
