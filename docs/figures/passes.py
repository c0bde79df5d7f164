"""Twenty Monte-Carlo passes of three stars, with their class in the literature."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from goodricke.data.examples import example_files
from goodricke.evaluation.figures.style import ACCENT, GREY, canvas, despine
from goodricke.inference import monte_carlo
from goodricke.io import read
from goodricke.models.bundle import load_model
from goodricke.preprocess import prepare

STARS = {  # with their class in the literature
    "217801": "217801, a Mira",
    "243412": "243412, a contact binary (EW)",
    "224635": "224635, a classical Cepheid",
}
SHOWN = 6  # most probable classes of each star


def draw(folder: Path) -> None:
    """Draw ``passes.svg``."""
    model = load_model("variables")
    stars = read(example_files())
    curves = stars[np.array([stars.ids.index(name) for name in STARS])]
    prepared = prepare(curves, model.preprocessing)
    logits = monte_carlo(model, prepared, np.arange(len(curves)), 20, 0)  # (20, 3, C)
    probabilities = model.calibration.scaling("monte_carlo").probabilities(logits)
    rng = np.random.default_rng(0)
    with canvas(folder / "passes.svg", 8, 2.9) as figure:
        for k, (axes, title) in enumerate(zip(figure.subplots(1, 3, sharey=True), STARS.values(), strict=True)):
            passes = probabilities[:, k]
            shown = np.argsort(-passes.mean(0))[:SHOWN]
            for place, c in enumerate(shown):
                x = place + rng.uniform(-0.22, 0.22, len(passes))
                despine(axes).plot(x, passes[:, c], ".", color=ACCENT, alpha=0.6, ms=5, label="one pass each")
                mean = 2 * [passes[:, c].mean()]
                axes.plot([place - 0.32, place + 0.32], mean, color="#D55E00", lw=2, label="mean")
            axes.set_xticks(range(len(shown)), [model.classes[c] for c in shown], rotation=30, ha="right", fontsize=7.5)
            axes.set(title=title, ylim=(-0.03, 1.03), ylabel="" if k else "probability")
            axes.grid(axis="y", lw=0.3, color=GREY, alpha=0.5)
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles[:2], names[:2], fontsize=8, loc="outside lower right", ncols=2)
