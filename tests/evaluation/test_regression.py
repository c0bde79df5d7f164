import json
from io import StringIO

import numpy as np
import pytest
from rich.console import Console
from sklearn import metrics as sk

from goodricke.evaluation.intervals import Estimate
from goodricke.evaluation.regression import FIGURES, score_regression


def temperatures(n=800, seed=0):
    """Return effective temperatures [K] and predictions with an error of 400 K."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(6000, 900, n)
    return truth, truth + rng.normal(0, 400, n)


def test_figures_are_scikit_learns():
    truth, predicted = temperatures()
    scores = score_regression(truth, predicted)
    assert scores.r2.value == pytest.approx(sk.r2_score(truth, predicted))
    assert scores.rmse.value == pytest.approx(sk.root_mean_squared_error(truth, predicted))
    assert scores.mae.value == pytest.approx(sk.mean_absolute_error(truth, predicted))
    assert scores.mape.value == pytest.approx(100 * sk.mean_absolute_percentage_error(truth, predicted))
    assert all(getattr(scores, name).low < getattr(scores, name).value < getattr(scores, name).high for name in FIGURES)


def test_by_hand():
    scores = score_regression([1.0, 2.0, 4.0, 5.0], [1.0, 4.0, 2.0, 5.0], resamples=0)
    assert scores.r2.value == pytest.approx(1 - 8 / 10)
    assert scores.rmse.value == pytest.approx(np.sqrt(2))
    assert scores.mae.value == pytest.approx(1)
    assert scores.mape.value == pytest.approx(100 * (1 + 0.5) / 4)
    assert np.isnan(scores.r2.low)  # without resamples there is no interval


def test_perfect_predictor():
    truth, _ = temperatures()
    scores = score_regression(truth, truth)
    assert scores.r2 == Estimate(1, 1, 1)
    assert scores.rmse == scores.mae == scores.mape == Estimate(0, 0, 0)


def test_predicting_the_mean_explains_nothing():
    truth, _ = temperatures()
    scores = score_regression(truth, np.full(len(truth), truth.mean()))
    assert scores.r2.value == pytest.approx(0, abs=1e-12)
    assert scores.rmse.value == pytest.approx(truth.std())
    assert score_regression(truth, np.zeros(len(truth))).r2.high < 0  # worse than the mean


def test_order_does_not_matter():
    truth, predicted = temperatures()
    order = np.random.default_rng(1).permutation(len(truth))
    a, b = score_regression(truth, predicted), score_regression(truth[order], predicted[order], star=order)
    np.testing.assert_allclose([getattr(a, name) for name in FIGURES], [getattr(b, name) for name in FIGURES])


def test_unit_does_not_matter():
    truth, predicted = temperatures()
    a, b = score_regression(truth, predicted), score_regression(truth / 1000, predicted / 1000)
    assert a.r2 == pytest.approx(b.r2)
    assert a.mape == pytest.approx(b.mape)
    assert a.rmse.value == pytest.approx(1000 * b.rmse.value)


def test_large_offset_costs_no_digits():
    truth, predicted = temperatures()
    far = score_regression(truth + 1e9, predicted + 1e9)
    assert far.r2.value == pytest.approx(score_regression(truth, predicted).r2.value, abs=1e-6)


def test_unmeasured_are_left_out():
    truth, predicted = temperatures()
    star = np.arange(len(truth)) // 2
    gaps = truth.copy()
    gaps[::3] = np.nan
    known = ~np.isnan(gaps)
    there = predicted.copy()
    there[0] = np.nan  # a prediction of something that is not measured may be missing
    a = score_regression(gaps, there, star)
    b = score_regression(truth[known], predicted[known], star[known])
    assert (a.n, a.missing, a.stars) == (known.sum(), (~known).sum(), b.stars)
    assert all(getattr(a, name) == getattr(b, name) for name in FIGURES)


def test_light_curves_of_one_star_are_drawn_together():
    truth, predicted = temperatures(200)
    alone = score_regression(truth, predicted)
    copies = score_regression(np.tile(truth, 5), np.tile(predicted, 5), np.tile(np.arange(200), 5))
    fooled = score_regression(np.tile(truth, 5), np.tile(predicted, 5))
    assert copies.rmse == pytest.approx(alone.rmse)
    assert copies.r2 == pytest.approx(alone.r2)
    assert fooled.rmse.high - fooled.rmse.low < 0.6 * (alone.rmse.high - alone.rmse.low)


def test_truths_that_are_equal_or_zero():
    same = score_regression(np.full(9, 0.1), np.linspace(0, 1, 9))
    assert np.isnan(same.r2).all()
    assert str(same.r2) == "-"
    zero = score_regression([0.0, 2.0], [1.0, 3.0], resamples=0)
    assert zero.mape.value == pytest.approx(50)
    assert np.isnan(score_regression([0.0, 0.0], [1.0, 3.0]).mape).all()
    assert score_regression([3.0], [4.0]).rmse == Estimate(1, 1, 1)


def test_presentations():
    scores = score_regression(*temperatures())
    console = Console(width=100, record=True, file=StringIO())
    console.print(scores.table("T_eff [x]", "K"))
    shown = console.export_text()
    assert all(text in shown for text in ("T_eff [x]", "RMSE [K]", "MAPE [%]", "800 light curves"))
    assert f"{scores.rmse.value:.1f}" in shown
    back = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert back["r2"]["value"] == scores.r2.value
    nothing = score_regression([1.0, 1.0], [1.0, 1.0]).to_dict()
    assert json.loads(json.dumps(nothing, allow_nan=False))["r2"]["value"] is None


@pytest.mark.parametrize(
    ("truth", "predicted", "words"),
    [
        ([1.0, 2.0], [1.0], "of both"),
        ([[1.0]], [[1.0]], "of both"),
        ([np.nan, np.nan], [1.0, 2.0], "none of 2"),
        ([], [], "none of 0"),
        ([1.0, np.inf], [1.0, 2.0], "infinite"),
        ([1.0, 2.0], [1.0, np.nan], "status"),
    ],
)
def test_wrong_input(truth, predicted, words):
    with pytest.raises(ValueError, match=words):
        score_regression(truth, predicted)


def test_wrong_number_of_stars():
    with pytest.raises(ValueError, match="3 stars for 2"):
        score_regression([1.0, 2.0], [1.0, 2.0], star=[1, 2, 3])
