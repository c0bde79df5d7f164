"""A simulated supernova and what `ztf-bts` says of it after each observation."""

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
    said = step_probabilities(model, steps)
    when = _times_of_steps(curve, len(said))
    with canvas(folder / "history.svg", 7.4, 4.2) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1))
        for band, colour in BANDS.items():
            of = curve.band == list(curve.bands).index(band)
            look = {"color": colour, "fmt": ".", "ms": 5, "lw": 0.7, "label": band}
            above.errorbar(curve.time[of] - curve.time.min(), curve.value[of], curve.error[of], **look)
        despine(above).invert_yaxis()
        above.set(ylabel="magnitude of the difference")
        above.legend(loc="upper right")
        for c in range(len(model.classes)):
            despine(below).step(when, said[:, c], where="post", color=COLOURS[c], lw=1.4)
        below.set(xlabel="days since the first detection", ylabel="probability", ylim=(0, 1), xlim=(0, when[-1] + 1))
        label_ends(below, [(said[-1, c], n, COLOURS[c]) for c, n in enumerate(model.classes)])


def _times_of_steps(curve: LightCurves, count: int) -> np.ndarray:
    """Return when each step was taken [d]: with the third and every later observation of a band."""
    order = np.argsort(curve.time, kind="stable")
    band = curve.band[order]
    rank = np.array([(band[: k + 1] == band[k]).sum() for k in range(len(band))])
    known = np.isin(band, [list(curve.bands).index(b) for b in BANDS])
    return (curve.time[order] - curve.time.min())[(rank > 2) & known][:count]
