"""The blocks of ASTRAFier, with numbers of parameters counted from the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from figures.boxes import arrow, blank, box
from goodricke.evaluation.figures.style import COLOURS, canvas
from goodricke.models.astrafier import Astrafier, AstrafierConfig


def draw(folder: Path) -> None:
    """Draw ``astrafier.svg``."""
    c = AstrafierConfig()
    network = Astrafier(c)
    first = network.blocks[0]
    with canvas(folder / "astrafier.svg", 8, 3.4) as figure:
        axes = blank(figure, 11.6, 4.9)
        box(axes, 0.95, 3, 1.6, 0.9, "time, flux", COLOURS[6], "preprocessed")
        box(axes, 2.85, 3, 1.5, 0.9, "embedding", COLOURS[5], f"{c.embed} channels")
        for k in (2, 1, 0):
            _frame(axes, 0.13 * k, f"{c.blocks} blocks, {_millions(first)} each" if k == 0 else "")
        parts = _parts(first, c)
        for x, (name, about, colour) in zip((4.85, 6.2, 7.55), parts, strict=True):
            box(axes, x, 3, 1.22, 1.5, name, colour, about)
        for a, b in ((1.75, 2.1), (3.6, 4.24), (5.46, 5.59), (6.81, 6.94), (8.16, 8.95)):
            arrow(axes, (a, 3), (b, 3))
        box(axes, 9.6, 3, 1.3, 0.9, "mean", COLOURS[4], "of all points")
        arrow(axes, (9.6, 2.55), (9.6, 1.75))
        box(axes, 9.6, 1.3, 1.3, 0.9, "head", COLOURS[3], f"{c.classes} classes")
        arrow(axes, (10.25, 3), (10.6, 3))
        axes.text(11.15, 3, "embedding\nof the\nlight curve", ha="center", va="center", fontsize=7.5)
        arrow(axes, (10.25, 1.3), (10.7, 1.3))
        axes.text(11.2, 1.3, "logits", ha="center", va="center", fontsize=7.5)
        axes.text(
            6.2, 0.75, "Each part adds to what came in, then normalises", ha="center", fontsize=8, color="#444444"
        )
        axes.text(5.8, 0.1, f"{network.n_parameters:,} trainable parameters", ha="center", fontsize=9, weight="bold")


def _parts(block: Any, c: AstrafierConfig) -> list[tuple[str, str, str]]:
    sizes = [_millions(getattr(block, name)) for name in ("recurrent", "transformer", "convolution")]
    kernels = ", ".join(map(str, c.kernels))
    return [
        ("BiLSTM\ntwo ways\n\n", sizes[0], COLOURS[0]),
        (f"Transformer\n{c.heads} heads\n\n", sizes[1], COLOURS[2]),
        (f"CNN\n{kernels}\n\n", sizes[2], COLOURS[1]),
    ]


def _frame(axes: Any, shift: float, text: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    style = "round,pad=0,rounding_size=0.1"
    look = {"facecolor": "white", "edgecolor": "#888888", "lw": 0.8}
    axes.add_patch(FancyBboxPatch((4.0 + shift, 1.75 + shift), 4.45, 2.5, style, **look))
    axes.text(6.2 + shift, 4.05 + shift, text, ha="center", va="center", fontsize=8, color="#444444")


def _millions(module: nn.Module) -> str:
    n = sum(p.numel() for p in module.parameters() if p.requires_grad)
    return f"{n / 1e6:.2f} M"
