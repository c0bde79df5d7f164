"""Calibration figures against plain sums, scikit-learn, and forecasters whose truth is known."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss

from goodricke.evaluation.calibration_scores import (
    brier_score,
    classwise_calibration_error,
    expected_calibration_error,
    forecast_error,
    forecasts,
    mean_estimate,
    reliability,
)
from goodricke.evaluation.intervals import wilson
from goodricke.evaluation.scores import score
from goodricke.uncertainty.calibration import calibration_error


def exact(n: int, seed: int = 0, classes: int = 3, sharp: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and labels drawn from them."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, sharp), n)
    return p, (rng.random((n, 1)) < p.cumsum(1)).argmax(1)


def over(p: np.ndarray) -> np.ndarray:
    return p**3 / (p**3).sum(1, keepdims=True)


def test_reliability_is_a_plain_count() -> None:
    p, label = exact(500)
    found = reliability(p, label, bins=10)
    confidence, right = p.max(1), p.argmax(1) == label
    for b in range(10):
        inside = (confidence >= b / 10) & (confidence < (b + 1) / 10)
        assert found.n[b] == inside.sum()
        if inside.any():
            assert found.forecast[b] == pytest.approx(confidence[inside].mean())
            assert found.rate[b] == pytest.approx(right[inside].mean())
    assert len(found.rows()) == (found.n > 0).sum()


def test_the_error_is_the_one_of_the_other_module_and_the_gap_of_the_diagram() -> None:
    p, label = exact(400)
    found = expected_calibration_error(p, label, resamples=50)
    assert found.error.value == pytest.approx(calibration_error(p, label))
    assert found.error.value == pytest.approx(reliability(p, label).error)
    assert found.error.value == pytest.approx(score(label, p, "abc").calibration_error.value)


def test_one_number_has_one_interval() -> None:
    (p, label), star = exact(300), np.arange(300) // 2
    here = expected_calibration_error(p, label, star).error
    there = score(label, p, "abc", star).calibration_error
    assert there == pytest.approx(here)
    assert there.low <= there.value <= there.high  # of the resamples themselves it is below the low end


@pytest.mark.parametrize(("gap", "n"), [(0.0, 600), (0.02, 600), (0.1, 300)])
def test_the_interval_holds_the_true_error(gap: float, n: int) -> None:
    """Also where probabilities are exact and every estimate is too large."""
    rng, held = np.random.default_rng(4), 0
    for seed in range(60):
        p = 0.4 + 0.6 * rng.beta(3, 1, n)
        error = forecast_error(p, rng.random(n) < p - gap, resamples=200, seed=seed)
        assert error.low <= error.value <= error.high
        held += error.low <= gap <= error.high
    assert held >= 50


def test_estimate_and_interval_are_of_the_same_light_curves() -> None:
    """Labels that are sets don't enter: whether their most probable class is right, nobody knows."""
    p, label = exact(600)
    sets = np.eye(3, dtype=bool)[label]
    wrong = np.concatenate([sets, np.ones((400, 3), bool)])  # every answer is in the set, whatever its probability
    both = np.concatenate([p, np.tile([0.4, 0.3, 0.3], (400, 1))])
    error, single = (score(s, q, "abc").calibration_error for s, q in ((wrong, both), (sets, p)))
    assert error.value == pytest.approx(single.value)
    assert error.low <= error.value <= error.high
    assert np.isnan(score(wrong[600:], both[600:], "abc").calibration_error.value)


def test_wilson_holds_the_truth_as_often_as_it_says() -> None:
    n, truth = 40, 0.9
    low, high = wilson(np.random.default_rng(0).binomial(n, truth, 4000) / n, np.full(4000, n))
    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(0.95, abs=0.02)
    assert np.ptp([*wilson(np.array([1.0]), np.array([1]))]) > 0.5
    assert wilson(0.0, 0) == (0, pytest.approx(1))


def test_bars_are_of_as_many_trials_as_stars() -> None:
    p, label = exact(200)
    alone = reliability(p, label)
    copied = reliability(*(np.repeat(x, 5, axis=0) for x in (p, label)), star=np.arange(200).repeat(5))
    np.testing.assert_array_equal(copied.n, 5 * alone.n)
    for k in range(1, 6):
        if k != 2:
            np.testing.assert_allclose(copied[k] if k > 1 else copied.edges, alone[k] if k > 1 else alone.edges)


def test_a_proportion_that_no_drawing_changes_has_wilson_s_interval() -> None:
    all_right = np.ones(12, bool)
    assert mean_estimate(all_right, np.arange(12) // 3) == pytest.approx((1, *wilson(1.0, 4)))
    assert mean_estimate(~all_right) == pytest.approx((0, *wilson(0.0, 12)))
    assert mean_estimate(np.ones(12)) == (1, 1, 1)  # numbers are no proportion


def test_exact_forecasts_are_within_chance_and_overconfident_ones_are_not() -> None:
    alarms = [expected_calibration_error(*exact(300, seed), resamples=200).significant for seed in range(40)]
    assert sum(alarms) <= 4  # 2.5 % of samples
    p, label = exact(300)
    assert expected_calibration_error(over(p), label, resamples=200).significant


def test_intervals_hold_their_value_and_shrink_with_more_stars() -> None:
    p, label = exact(2000)
    few, many = (expected_calibration_error(over(p[:n]), label[:n], resamples=300).error for n in (200, 2000))
    for found in (few, many):
        assert found.low <= found.value <= found.high
    assert many.high - many.low < few.high - few.low


def test_copies_of_a_star_do_not_narrow_the_interval() -> None:
    p, label = exact(150)
    p, star = over(p), np.arange(150)
    single = expected_calibration_error(p, label, star, resamples=300).error
    fourfold = [np.repeat(x, 4, axis=0) for x in (p, label, star)]
    copied, taken_apart = (expected_calibration_error(*fourfold[:2], s).error for s in (fourfold[2], None))
    assert copied.value == pytest.approx(single.value)
    assert copied.high - copied.low == pytest.approx(single.high - single.low, rel=0.25)
    assert taken_apart.high - taken_apart.low < 0.75 * (copied.high - copied.low)


def test_brier_score_of_a_class_is_scikit_learn_s_and_the_sum_is_the_whole() -> None:
    p, label = exact(300)
    each = [brier_score(p, label, of=k) for k in range(3)]
    for k, found in enumerate(each):
        assert found.value == pytest.approx(brier_score_loss(label == k, p[:, k]))
        assert found.low < found.value < found.high
    assert sum(x.value for x in each) == pytest.approx(brier_score(p, label).value)
    assert brier_score(np.eye(3)[label], label).value == 0


def test_classwise_errors_are_those_of_each_class() -> None:
    p, label = exact(300)
    found = classwise_calibration_error(p, label, resamples=20)
    assert [x.error.value for x in found] == pytest.approx([reliability(p, label, of=k).error for k in range(3)])


def test_same_seed_same_numbers_and_bad_probabilities_are_refused() -> None:
    p, label = exact(100)
    assert expected_calibration_error(p, label) == expected_calibration_error(p, label)
    assert mean_estimate(label.astype(float), resamples=0).value == label.mean()
    with pytest.raises(ValueError, match="add up to 1"):
        forecasts(2 * p, label)
