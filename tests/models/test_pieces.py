"""Long light curves in pieces: what is cut, and that a light curve of one piece is answered as it is."""

from __future__ import annotations

import numpy as np
import pytest

from goodricke.data.lightcurves import LightCurves
from goodricke.inference import _classify, compute_output
from goodricke.models.bundle import load_model
from goodricke.models.pieces import FLOOR, combine, cut, output_of_pieces, training_span
from goodricke.preprocess import Prepared, prepare

MODEL = load_model("tess-sim")


def curve(days: float, name: str = "star", seed: int = 0) -> LightCurves:
    time = 2000 + np.arange(0, days, 1 / 48)
    flux = 1e4 + 30 * np.sin(2 * np.pi * time / 1.3) + np.random.default_rng(seed).normal(size=len(time))
    return LightCurves.from_arrays([name], [0, len(time)], time, flux, unit="electron / s").with_columns(sector=[3])


def compute(part: Prepared):
    return compute_output(MODEL, part, 0)


def test_pieces_are_equal_hold_every_observation_once_and_keep_their_columns() -> None:
    curves = LightCurves.concat([curve(90, "long"), curve(27, "short"), curve(38, "less than half as long again")])
    pieces, owner = cut(curves, 27)
    assert owner.tolist() == [0, 0, 0, 1, 2]
    assert pieces.n_obs.sum() == curves.n_obs.sum()
    np.testing.assert_array_equal(pieces.time, curves.time)
    assert np.ptp(pieces.n_obs[:3]) <= 1
    assert pieces.ids == ["long"] * 3 + curves.ids[1:]
    assert pieces.table_of_objects["sector"].to_pylist() == [3] * 5


def test_a_light_curve_of_one_piece_is_answered_as_it_is() -> None:
    curves = LightCurves.concat([curve(27, "a"), curve(20, "b", 1)])
    plain = compute(prepare(curves, MODEL.preprocessing))
    of_pieces = output_of_pieces(MODEL, curves, 27, compute)
    np.testing.assert_allclose(of_pieces.probabilities, plain.probabilities, atol=1e-9)
    np.testing.assert_array_equal(of_pieces.prediction_set, plain.prediction_set)


def test_probabilities_of_pieces_are_their_geometric_mean() -> None:
    pieces, owner = cut(curve(80), 27)
    prepared = prepare(pieces, MODEL.preprocessing)
    output = compute(prepared)
    joined = combine(MODEL, output, owner, 1, prepared.n_points)
    expected = np.exp(np.log(np.maximum(output.probabilities, FLOOR)).mean(0))
    np.testing.assert_allclose(joined.probabilities[0], expected / expected.sum(), rtol=1e-9)
    assert joined.prediction_set is not None
    assert joined.prediction_set[0].any()


def test_the_period_of_a_light_curve_in_pieces_is_that_of_the_whole() -> None:
    answer = _classify(curve(80), MODEL, passes=0, pieces=training_span(MODEL))
    assert len(answer) == 1
    assert answer.column("status")[0] == "OK"
    assert answer.column("dominant_frequency")[0] == pytest.approx(1 / 1.3, rel=1e-3)


def test_the_length_of_training_light_curves_is_that_of_the_recorded_ones() -> None:
    assert 20 < training_span(MODEL) < 30
    with pytest.raises(ValueError, match="no model of dense"):
        training_span(load_model("ztf-bts"))
