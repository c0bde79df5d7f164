"""A simulated supernova and its probabilities by `ztf-bts` after each observation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.figures.style import COLOURS, canvas, despine, label_ends
from goodricke.inference import step_probabilities
from goodricke.models.bundle import load_model
from goodricke.preprocess import Steps, prepare
from goodricke.simulate.sparse import simulate_multiband

BANDS = {"g": COLOURS[2], "r": COLOURS[1]}


def draw(folder: Path) -> None:
    """Draw ``history.svg``."""
    model = load_model("ztf-bts")
    curves = simulate_multiband(8, "ztf", seed=3, classes=("SNIA",))
    curve = curves[int(np.argmax(curves.n_obs))]
    steps = prepare(curve, model.preprocessing)
    assert isinstance(steps, Steps)
    probabilities = step_probabilities(model, steps)
    time = _times_of_steps(curve, len(probabilities))
    with canvas(folder / "history.svg", 7.4, 4.2) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1))
        for band, colour in BANDS.items():
            points = curve.band == list(curve.bands).index(band)
            style = {"color": colour, "fmt": ".", "ms": 5, "lw": 0.7, "label": band}
            above.errorbar(curve.time[points] - curve.time.min(), curve.value[points], curve.error[points], **style)
        despine(above).invert_yaxis()
        above.set(ylabel="difference [mag]")
        above.legend(loc="upper right")
        shown = [
            c for c in probabilities.max(0).argsort()[::-1].tolist()[: len(COLOURS)] if probabilities[:, c].max() > 0.05
        ]
        colours = dict(zip(shown, COLOURS, strict=False))
        for c in shown:
            despine(below).step(time, probabilities[:, c], where="post", color=colours[c], lw=1.4)
        below.set(xlabel="days since the first detection", ylabel="probability", ylim=(0, 1), xlim=(-1, time[-1] + 1))
        label_ends(below, [(probabilities[-1, c], model.classes[c], colours[c]) for c in shown])


def _times_of_steps(curve: LightCurves, count: int) -> np.ndarray:
    """Return the times of the steps [d], those of the third and every later observation of a band."""
    order = np.argsort(curve.time, kind="stable")
    band = curve.band[order]
    rank = np.array([(band[: k + 1] == band[k]).sum() for k in range(len(band))])
    in_model = np.isin(band, [list(curve.bands).index(b) for b in BANDS])
    return (curve.time[order] - curve.time.min())[(rank > 2) & in_model][:count]
