"""Promises are held against what was found, with exact intervals."""

import numpy as np
import pytest
from scipy.stats import beta

from goodricke.evaluation.calibration_scores import coverage, false_alarms
from goodricke.evaluation.intervals import proportion


def test_the_interval_is_that_of_clopper_and_pearson():
    found = proportion(np.arange(50) < 45)
    assert found.value == 0.9
    assert found.low == pytest.approx(beta.ppf(0.025, 45, 6))
    assert found.high == pytest.approx(beta.ppf(0.975, 46, 5))


def test_coverage_counts_sets_with_the_true_class_in_them():
    member = np.array([[True, False, False], [True, True, False], [False, False, True], [True, True, True]])
    kept = coverage(member, np.array([0, 2, 2, 1]), 0.9, 100)
    assert (kept.found.value, kept.size) == (0.75, 7 / 4)
    assert kept.holds
    assert kept.to_dict()["mean_size"] == 7 / 4


def test_a_broken_promise_is_seen():
    member = np.eye(2, dtype=bool)[np.zeros(2000, int)]
    label = np.repeat([0, 1], [1200, 800])
    assert not coverage(member, label, 0.9, 1000).holds
    assert coverage(member, label, 0.6, 1000).holds
    assert coverage(member, label, 0.3, 1000).holds  # at least
    assert not false_alarms(np.ones(100), 1000, [0.01])[0].holds
    assert false_alarms(np.zeros(1000), 1000, [0.05])[0].holds  # at most


def test_too_few_validation_objects_promise_nothing_that_could_break():
    member, label = np.zeros((50, 2), bool), np.zeros(50, int)
    assert coverage(member, label, 0.9, 5).holds
    assert not coverage(member, label, 0.9, 50).holds
    assert false_alarms(np.full(50, 0.98), 60, [0.01])[0].holds


@pytest.mark.parametrize(("m", "n"), [(60, 500), (300, 3000)])
def test_kept_promises_are_called_broken_by_chance_as_rarely_as_said(m, n):
    """Scores of validation and held-out objects from one distribution: the sampling of both counts."""
    rng, broken = np.random.default_rng(0), np.zeros(2)
    for _ in range(600):
        known, new = rng.random(m), rng.random(n)
        threshold = np.sort(known)[int((m + 1) * 0.1 + 1e-9) - 1]
        broken[0] += not coverage((new >= threshold)[:, None], np.zeros(n, int), 0.9, m).holds
        novelty = np.searchsorted(np.sort(known), new) / (m + 1)
        broken[1] += not false_alarms(novelty, m, [0.05])[0].holds
    assert (broken / 600 < 0.05).all()
    assert broken.sum() > 0


def test_the_verdict_tells_few_validation_objects_from_a_promise_kept():
    member, label = (np.arange(200) < 150)[:, None], np.zeros(200, int)  # 0.75 [0.68, 0.81]
    assert [coverage(member, label, p, 10_000).verdict for p in (0.7, 0.8, 0.9)] == ["yes", "yes", "NO"]
    assert coverage(member, label, 0.9, 10).verdict == "within chance"
    assert [x.verdict for x in false_alarms(np.repeat([0.2, 0.97], [90, 10]), 10_000, (0.01, 0.05))] == ["yes", "yes"]
    assert false_alarms(np.repeat([0.2, 0.995], [90, 10]), 10_000, (0.01,))[0].verdict == "NO"
    assert false_alarms(np.repeat([0.2, 0.995], [90, 10]), 30, (0.01,))[0].verdict == "within chance"


def test_false_alarms_are_those_above_the_threshold():
    few, many = false_alarms((np.arange(1000) + 0.5) / 1000, 999)
    assert few.found.value == pytest.approx(0.01)
    assert many.found.value == pytest.approx(0.05)
    assert few.holds
    assert many.holds
    assert "mean_size" not in few.to_dict()


def test_nothing_is_no_proportion():
    assert np.isnan(proportion(np.zeros(0, bool))).all()
