"""Purity and completeness against plain counts and scikit-learn; Holm's correction against its definition."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from goodricke.evaluation.intervals import holm, wilson
from goodricke.evaluation.scores import threshold_curve


def answers(n: int = 600, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.uniform(0, 1, n)
    return p, rng.random(n) < p**2


def test_each_threshold_is_a_plain_count() -> None:
    p, true = answers()
    p[:3] = 0, 1, 0.29  # at thresholds themselves
    found = threshold_curve(p, true, resamples=20)
    for t, purity, complete, selected in zip(
        found.thresholds, found.purity[0], found.completeness[0], found.selected, strict=True
    ):
        above = p >= t
        assert selected == above.sum()
        assert complete == pytest.approx((above & true).sum() / true.sum())
        if above.any():
            assert purity == pytest.approx(true[above].mean())
    assert found.completeness[0, 0] == 1


def test_average_precision_is_scikit_learn_s_of_rounded_probabilities() -> None:
    p, true = answers()
    found = threshold_curve(p, true).average_precision
    assert found.value == pytest.approx(average_precision_score(true, np.floor(p * 100) / 100))
    assert found.low < found.value < found.high


def test_the_best_sample_of_a_purity() -> None:
    p, true = np.array([0.95, 0.9, 0.8, 0.3, 0.2]), np.array([1, 1, 0, 1, 0], bool)
    found = threshold_curve(p, true, resamples=5)
    threshold, complete = found.best_completeness(0.99)
    assert (complete, threshold) == (pytest.approx(2 / 3), 0.81)
    assert np.isnan(threshold_curve(p, np.arange(5) == 4, resamples=5).best_completeness(0.9)).all()


def test_the_best_threshold_is_the_lowest_that_is_pure_enough() -> None:
    p = np.array([0.95, *np.full(19, 0.9), *np.full(10, 0.5)])
    bad_first = threshold_curve(p, (p < 0.95) & (p > 0.5), resamples=5)
    assert bad_first.best_completeness(0.95) == (0.51, 1)  # one of the twenty above is wrong, the surest as it happens
    p, true = answers()
    for purity in (0.3, 0.5, 0.7, 0.9):
        curve = threshold_curve(p, true, resamples=5)
        at = np.searchsorted(curve.thresholds, curve.best_completeness(purity)[0])
        assert curve.purity[0, at] >= purity
        assert not (curve.purity[0, :at] >= purity).any()
    none_high = threshold_curve([0.4, 0.3], [True, True], resamples=5)
    assert none_high.best_completeness(0.9) == (0, 1)


def test_a_pure_sample_of_few_stars_is_not_certain() -> None:
    p, true = np.array([0.9, 0.9, 0.9, 0.2, 0.2, 0.2]), np.array([1, 1, 1, 0, 0, 0], bool)
    found = threshold_curve(p, true)
    assert found.purity[:, 50] == pytest.approx([1, *np.ravel(wilson(1.0, 3))])
    assert found.completeness[:, 50] == pytest.approx([1, *np.ravel(wilson(1.0, 3))])
    assert found.completeness[:, 0].tolist() == [1, 1, 1]  # of all objects, whatever they are
    one_star = threshold_curve(p, true, star=[0, 0, 0, 1, 1, 1])
    assert one_star.purity[:, 50] == pytest.approx([1, *np.ravel(wilson(1.0, 1))])


def test_perfect_and_one_object() -> None:
    assert threshold_curve([0.9, 0.1], [True, False]).average_precision.value == 1
    assert threshold_curve([0.4], [True]).average_precision.value == 1


def test_holm() -> None:
    p = np.array([0.04, np.nan, 0.001, 0.03, 0.5])
    found = holm(p)
    assert np.isnan(found[1])
    np.testing.assert_allclose(found[[0, 2, 3, 4]], [0.09, 0.004, 0.09, 0.5])
    np.testing.assert_array_equal(holm([0.02]), [0.02])
    assert holm([0.9, 0.8]).max() == 1
    assert len(holm([])) == 0
