"""Cuts for a wanted purity: right where the answer is known, cautious where objects are few."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goodricke.evaluation.intervals import exact_lower_bound
from goodricke.survey.thresholds import choose_cuts


def one(p, right, purity=0.9, confidence=0.95):
    label = np.where(right, "A", "B")
    return choose_cuts(np.full(len(p), "A"), np.asarray(p, float), label, ["A"], purity, confidence)["A"]


@pytest.mark.parametrize(("purity", "least"), [(0.95, 59), (0.9, 29)])
def test_too_few_objects_make_no_cut_however_pure(purity, least):
    for n, found in ((least - 1, False), (least, True)):
        assert (one(np.linspace(0.5, 1, n), np.ones(n, bool), purity).cut is not None) == found
    assert exact_lower_bound(np.array(least), np.array(least), 0.95) >= purity


def test_the_lowest_of_the_cuts_that_are_sure_enough_is_taken():
    p = np.linspace(1, 0.2, 1000)
    right = np.ones(1000, bool)
    right[500::2] = False  # pure above 0.6, every second wrong below
    found = one(p, right)
    taken = p >= found.cut
    assert found.taken == taken.sum() > 500
    assert found.purity.value == right[taken].mean() >= 0.9
    assert found.completeness.value == pytest.approx((right & taken).sum() / right.sum())
    assert found.purity.low < found.purity.value < found.purity.high
    assert 0.5 < found.cut < 0.6
    assert len(f"{found.cut:g}") <= 7  # few digits


def test_objects_of_the_class_that_were_answered_otherwise_count_against_completeness():
    answer = np.array(["A"] * 100 + ["B"] * 100 + [None] * 100, object)
    found = choose_cuts(answer, np.full(300, 0.9), np.array(["A"] * 300), ["A", "B"], 0.9, 0.95)
    assert found["A"].completeness.value == pytest.approx(1 / 3)
    assert found["A"].labelled == 300
    assert found["B"].cut is None
    assert found["B"].purity.value == 0
    assert np.isnan(found["B"].completeness.value)


def test_a_class_that_is_never_pure_says_so_and_what_all_objects_would_give():
    rng = np.random.default_rng(0)
    found = one(rng.random(1000), rng.random(1000) < 0.6)
    assert found.cut is None
    assert found.taken == 1000
    assert 0.5 < found.purity.value < 0.7


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 100), st.booleans()), max_size=200), st.sampled_from([0.5, 0.8, 0.95]))
def test_a_cut_takes_exactly_the_objects_that_reach_it(objects, purity):
    p = np.array([x for x, _ in objects], float) / 100
    right = np.array([x for _, x in objects], bool)
    found = one(p, right, purity, 0.9)
    if found.cut is not None:
        taken = p >= found.cut
        assert found.taken == taken.sum()
        assert exact_lower_bound(right[taken].sum(), taken.sum(), 0.9) >= purity
        for lower in np.unique(p[p < found.cut]):  # no lower cut would do
            taken = p >= lower
            assert exact_lower_bound(right[taken].sum(), taken.sum(), 0.9) < purity


def test_the_purity_is_seldom_missed_where_probabilities_mean_something():
    rng, missed, made = np.random.default_rng(0), 0, 0
    for _ in range(300):
        p = rng.uniform(0.2, 1, 1000)
        found = one(p, rng.random(1000) < 1 - (1 - p) ** 2, 0.95)
        if found.cut is not None:
            made += 1
            missed += 1 - (1 - found.cut) ** 2 / 3 < 0.95  # mean of the chance to be right above the cut
    assert made == 300
    assert missed / made < 0.07


@pytest.mark.parametrize("purity", [0, 1, 95, -0.5])
def test_a_purity_is_a_fraction(purity):
    with pytest.raises(ValueError, match="between 0 and 1"):
        one([0.5], [True], purity)
