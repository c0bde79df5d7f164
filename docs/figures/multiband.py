"""The ensemble of `ztf-bts`: its bands, its centre, its head, with sizes read from the model."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from torch import nn

from figures.boxes import arrow, blank, box
from goodricke.evaluation.figures.style import COLOURS, canvas
from goodricke.models.bundle import load_model
from goodricke.models.multiband import Multiband

BANDS = {"g": COLOURS[2], "r": COLOURS[1]}
OBSERVATIONS = ((0, "g"), (1, "r"), (2, "g"), (3, "g"), (4, "r"))  # observations in order of time


def draw(folder: Path) -> None:
    """Draw ``multiband.svg``."""
    model = load_model("ztf-bts")
    network = cast(Multiband, model.network)
    c = network.config
    with canvas(folder / "multiband.svg", 8, 4) as figure:
        axes = blank(figure, 11.6, 5.8)
        heights = dict(zip(BANDS, (1.0, 2.2), strict=True))
        for band, y in heights.items():
            weights = network.band_modules(list(model.config.bands).index(band))
            _chain(axes, band, y, BANDS[band])
            text = f"network of {band}\n{c.band_layers} LSTM layers of {c.hidden}\n{_count(weights[0])} parameters"
            axes.text(0.1, y, text, va="center", fontsize=8, color=BANDS[band])
        axes.text(0.1, 3.7, _central(c, network), va="center", fontsize=8, color=COLOURS[0])
        for k, band in OBSERVATIONS:
            _column(axes, _place(k), heights[band] + 0.3, BANDS[band], c.classes)
            if k:
                arrow(axes, (_place(k - 1) + 0.42, 3.7), (_place(k) - 0.42, 3.7), color=COLOURS[0])
            axes.text(_place(k), 0.3, f"{band}", ha="center", fontsize=9, color=BANDS[band], weight="bold")
        arrow(axes, (2.6, 0.1), (11.3, 0.1))
        axes.text(11.3, 0.3, "time", ha="right", fontsize=8, color="#444444")


def _place(k: int) -> float:
    return 3.3 + 1.75 * k


def _chain(axes: Any, band: str, y: float, colour: str) -> None:
    places = [_place(k) for k, name in OBSERVATIONS if name == band]
    for x in places:
        box(axes, x, y, 0.84, 0.56, "step", colour)
    for a, b in pairwise(places):
        arrow(axes, (a + 0.42, y), (b - 0.42, y), color=colour)


def _column(axes: Any, x: float, below: float, colour: str, classes: int) -> None:
    arrow(axes, (x, below), (x, 3.4), color=colour)
    box(axes, x, 3.7, 0.84, 0.56, "step", COLOURS[0])
    arrow(axes, (x, 3.98), (x, 4.55))
    box(axes, x, 4.85, 1.3, 0.56, "output", COLOURS[3], "")
    axes.text(x, 5.32, f"{classes} classes", ha="center", fontsize=7.5, color="#444444")


def _central(c: Any, network: Multiband) -> str:
    return f"central network\n{c.central_layers} LSTM layers of {c.hidden}\n{_count(network.central)} parameters"


def _count(module: nn.Module) -> str:
    return f"{sum(p.numel() for p in module.parameters() if p.requires_grad):,}"
