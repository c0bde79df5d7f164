"""Figures of dense light curves: what they show, and that nothing breaks where there is little to show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import ModelId, Output, Predictions
from goodricke.evaluation.figures.objects import compute_periodogram, draw_object
from goodricke.evaluation.figures.space_photometry import draw_dense
from goodricke.evaluation.figures.style import drawing_settings, new_figure
from goodricke.preprocess.dense import DenseConfig, prepare
from goodricke.preprocess.dense_periods import answer_periods

CLASSES = ("CONSTANT", "CONTACT_ROT", "DSCT_BCEP", "ECLIPSE")


def curve(period: float, n: int = 1272, unit: str = "electron / s") -> LightCurves:
    time = 1790 + np.arange(n) / 48
    flux = 1e4 * (1 + 0.003 * np.sin(2 * np.pi * time / period)) + np.random.default_rng(0).normal(size=n)
    sector = {"sector": [7]}
    return LightCurves.from_arrays(["TIC 1"], [0, n], time, flux, unit=unit).with_columns(**sector)


def prediction(curves: LightCurves, best: int) -> Predictions:
    config = DenseConfig()
    frames, p = prepare(curves, config), np.where(np.arange(4) == best, 0.7, 0.1)[None]
    output = Output(p, np.ones(1), periods=answer_periods(frames, p, CLASSES, config))
    model = ModelId("tess-sim", "0123", CLASSES)
    return Predictions.build(output, model, frames.object_id, frames.status, frames.n_obs, None, curves.objects)


def texts(figure: object) -> str:
    from matplotlib.text import Text

    return "\n".join(item.get_text() for item in figure.findobj(Text))  # type: ignore[attr-defined]


def test_the_figure_names_sector_model_and_simulations_and_folds_on_the_answered_period() -> None:
    curves = curve(0.9)
    answer = prediction(curves, 2)
    with drawing_settings():
        draw_object(figure := new_figure(10, 6), curves, answer)
        figure.canvas.draw()
    shown = texts(figure)
    assert "sector 7; tess-sim, trained on simulations" in shown
    assert answer.column("period")[0] == pytest.approx(0.9, rel=1e-3)
    assert "P = 0.90" in shown
    assert len(figure.axes) == 5


@pytest.mark.parametrize(("n", "unit"), [(1272, "mag"), (15, "electron / s"), (0, "unknown")])
def test_few_observations_and_magnitudes_are_drawn(n: int, unit: str) -> None:
    curves = curve(0.9, n, unit)
    with drawing_settings():
        draw_dense(figure := new_figure(10, 6), curves, None, "star")
        figure.canvas.draw()
    assert "star" in texts(figure)


def test_a_class_without_period_is_not_folded(tmp_path: Path) -> None:
    curves = curve(0.9)
    with drawing_settings():
        draw_object(figure := new_figure(10, 6), curves, prediction(curves, 0))
        figure.canvas.draw()
    assert "CONSTANT has no period" in texts(figure).replace("\n", " ")


def test_the_trend_of_a_dense_light_curve_is_no_period_to_fold_on() -> None:
    time = np.arange(0, 27, 1 / 48)
    flux = 1e4 * (1 + 0.05 * (time / 27) ** 2 + 0.003 * np.sin(2 * np.pi * time / 1.16))
    curves = LightCurves.from_arrays(["KIC 1"], [0, len(time)], time, flux, unit="electron / s")
    spectrum = compute_periodogram(curves)
    assert spectrum is not None
    assert spectrum.best == pytest.approx(1.16, rel=0.01)
    assert spectrum.period.max() <= 13.5
