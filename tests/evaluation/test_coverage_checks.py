"""Nominal rates are tested against observed ones, with exact intervals."""

import numpy as np
import pytest
from scipy.stats import beta

from goodricke.evaluation.coverage_checks import check_coverage, check_false_alarms, checks_by_confidence
from goodricke.evaluation.intervals import proportion
from goodricke.uncertainty.prediction_sets import Conformal


def test_the_interval_is_that_of_clopper_and_pearson():
    estimate = proportion(np.arange(50) < 45)
    assert estimate.value == 0.9
    assert estimate.low == pytest.approx(beta.ppf(0.025, 45, 6))
    assert estimate.high == pytest.approx(beta.ppf(0.975, 46, 5))
    assert proportion(np.ones(3, bool)).high == 1
    assert proportion(np.zeros(3, bool)).low == 0
    assert np.isnan(proportion(np.zeros(0, bool))).all()


def test_coverage_counts_sets_with_the_true_class_in_them():
    member = np.array([[True, False, False], [True, True, False], [False, False, True], [True, True, True]])
    check = check_coverage(member, np.array([0, 2, 2, 1]), 0.9, 100)
    assert (check.observed.value, check.set_size) == (0.75, 7 / 4)
    assert check.is_plausible
    assert check.to_dict()["mean_size"] == 7 / 4


def test_coverage_that_is_too_low_is_implausible():
    member = np.eye(2, dtype=bool)[np.zeros(2000, int)]
    label = np.repeat([0, 1], [1200, 800])
    assert not check_coverage(member, label, 0.9, 1000).is_plausible
    assert check_coverage(member, label, 0.6, 1000).is_plausible
    assert check_coverage(member, label, 0.3, 1000).is_plausible  # at least
    assert not check_false_alarms(np.ones(100), 1000, [0.01])[0].is_plausible
    assert check_false_alarms(np.zeros(1000), 1000, [0.05])[0].is_plausible  # at most


def test_too_few_validation_objects_make_any_result_plausible():
    member, label = np.zeros((50, 2), bool), np.zeros(50, int)
    assert check_coverage(member, label, 0.9, 5).is_plausible
    assert not check_coverage(member, label, 0.9, 50).is_plausible
    assert check_false_alarms(np.full(50, 0.98), 60, [0.01])[0].is_plausible


def test_exact_rates_are_called_implausible_as_rarely_as_stated():
    """Scores of validation and held-out objects are from one distribution, so that the sampling of both counts."""
    rng, implausible, m, n = np.random.default_rng(0), np.zeros(2), 60, 500
    for _ in range(400):
        validation, new = rng.random(m), rng.random(n)
        threshold = np.sort(validation)[int((m + 1) * 0.1 + 1e-9) - 1]
        implausible[0] += not check_coverage((new >= threshold)[:, None], np.zeros(n, int), 0.9, m).is_plausible
        novelty = np.searchsorted(np.sort(validation), new) / (m + 1)
        implausible[1] += not check_false_alarms(novelty, m, [0.05])[0].is_plausible
    assert (implausible / 400 < 0.05).all()
    assert implausible.sum() > 0


def test_the_verdict_distinguishes_few_validation_objects_from_coverage_that_holds():
    member, label = (np.arange(200) < 150)[:, None], np.zeros(200, int)  # 0.75 [0.68, 0.81]
    assert [check_coverage(member, label, p, 10_000).verdict for p in (0.7, 0.8, 0.9)] == ["yes", "yes", "NO"]
    assert check_coverage(member, label, 0.9, 10).verdict == "within chance"
    usual = check_false_alarms(np.repeat([0.2, 0.97], [90, 10]), 10_000, (0.01, 0.05))
    assert [x.verdict for x in usual] == ["yes", "yes"]
    assert check_false_alarms(np.repeat([0.2, 0.995], [90, 10]), 10_000, (0.01,))[0].verdict == "NO"
    assert check_false_alarms(np.repeat([0.2, 0.995], [90, 10]), 30, (0.01,))[0].verdict == "within chance"


def test_false_alarms_are_those_above_the_threshold():
    few, many = check_false_alarms((np.arange(1000) + 0.5) / 1000, 999)
    assert few.observed.value == pytest.approx(0.01)
    assert many.observed.value == pytest.approx(0.05)
    assert few.is_plausible
    assert many.is_plausible
    assert "mean_size" not in few.to_dict()


def test_sets_are_checked_in_bins_of_confidence():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(4, 0.4), 4000)
    label = (p.cumsum(1) > rng.random((4000, 1))).argmax(1)
    right = dict(checks_by_confidence(Conformal.fit(p[:2000], label[:2000]), p[2000:], label[2000:], 0.9))
    assert list(right) == [f"the same where p_max is {x}" for x in ("0 to 0.5", "0.5 to 0.7", "0.7 to 0.9", "0.9 to 1")]
    assert all(check.is_plausible for check in right.values())
    sizes = [check.set_size for check in right.values()]
    assert sizes == sorted(sizes, reverse=True)
    one_threshold = Conformal.fit(p[:2000], label[:2000])
    one_threshold.confidence[:] = 1  # all objects in one bin
    wrong = checks_by_confidence(one_threshold, p[2000:], label[2000:], 0.9)
    assert not all(check.is_met for _, check in wrong)
