"""Prediction sets have their coverage, for any model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import binom

from goodricke.uncertainty.prediction_sets import Conformal, Coverage


def sample(n: int, seed: int = 0, classes: int = 4, confident: float = 2.0, rare: float = 0.02):
    """Return probabilities of a poor, badly calibrated model of unbalanced classes, and the truth."""
    rng = np.random.default_rng(seed)
    share = np.r_[rare, np.full(classes - 1, (1 - rare) / (classes - 1))]
    label = rng.choice(classes, n, p=share)
    return softmax(confident * (rng.normal(size=(n, classes)) + np.eye(classes)[label]), 1), label


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("confident", [0.2, 5.0])
def test_coverage_of_new_objects(level, confident):
    validation, new = sample(4000, 1, confident=confident), sample(20000, 2, confident=confident)
    sets = Conformal.fit(*validation).sets(new[0], coverage=Coverage(level))
    hit = sets[np.arange(len(new[1])), new[1]].mean()
    assert abs(hit - level) < 0.02 or (hit > level and (sets.sum(1) == 1).mean() > 0.5)  # sets of one can't be smaller


def test_coverage_holds_on_average_over_small_validation_samples():
    """With 30 validation objects the coverage is an average over their choice."""
    hits = []
    for seed in range(400):
        sets = Conformal.fit(*sample(30, seed)).sets((new := sample(50, seed + 10_000))[0])
        hits.append(sets[np.arange(50), new[1]].mean())
    assert np.mean(hits) > 0.9 - 3 * np.std(hits) / 20


def test_coverage_in_each_class():
    (p, label), rare_class = sample(40000, 2), 0
    conformal, rare = Conformal.fit(*sample(20000, 1)), label == rare_class
    over_all, by_class = (conformal.sets(p, coverage=Coverage(0.9, per_class)) for per_class in (False, True))
    assert over_all[rare, 0].mean() < 0.99
    for c in range(4):
        rows = label == c
        low, high = binom.interval(0.9999, rows.sum(), 0.9)
        assert low - 0.02 * rows.sum() <= by_class[rows, c].sum() <= high + 0.02 * rows.sum()


def test_a_class_too_rare_for_a_threshold_is_in_every_set():
    p, label = sample(500, rare=0.0)
    sets = Conformal.fit(p, label).sets(p, coverage=Coverage(0.9, True))
    assert sets[:, 0].all()


def test_coverage_holds_in_each_stratum():
    """For a model that is confident of long light curves only, sets of short ones are larger, and both are covered."""
    (p, label), (q, true) = sample(6000, 1, confident=2), sample(20000, 2, confident=2)
    rng = np.random.default_rng(3)
    points, new = rng.integers(1, 100, 6000), rng.integers(1, 100, 20000)
    p[points < 10], q[new < 10] = (
        softmax(rng.normal(size=(2, 20000, 4)), 2)[0][: (points < 10).sum()],
        softmax(rng.normal(size=(20000, 4)), 1)[: (new < 10).sum()],
    )
    sets = Conformal.fit(p, label, points, (0, 10)).sets(q, new)
    for short in (new < 10, new >= 10):
        assert abs(sets[short, true[short]].mean() - 0.9) < 0.03
    assert sets[new < 10].sum(1).mean() > sets[new >= 10].sum(1).mean() + 0.3


@given(st.integers(1, 60), st.floats(0.05, 0.95), st.booleans(), st.integers(0, 1000))
def test_a_set_holds_the_most_probable_classes(n, level, per_class, seed):
    p, label = sample(n, seed)
    sets = Conformal.fit(p, label).sets(p, coverage=Coverage(level, per_class))
    assert sets[np.arange(n), p.argmax(1)].all()
    if not per_class:
        inside = np.where(sets, p, np.inf).min(1)
        assert (inside >= np.where(sets, -np.inf, p).max(1)).all()


def test_more_coverage_takes_larger_sets():
    p, label = sample(1000)
    small, large = (Conformal.fit(p, label).sets(p, coverage=Coverage(x)) for x in (0.6, 0.95))
    assert (large | ~small).all()
    assert large.sum() > small.sum()


def test_nan_probabilities_give_empty_sets():
    p, _ = sample(100)
    p[3] = np.nan
    sets = Conformal.fit(*sample(100, 5)).sets(p)
    assert not sets[3].any()
    assert sets[np.arange(100) != 3].any(1).all()


@pytest.mark.parametrize("level", [0, 1, -0.1, 90])
def test_an_impossible_coverage_is_refused(level):
    with pytest.raises(ValueError, match="a fraction of objects between 0 and 1"):
        Conformal.fit(*sample(10)).thresholds(Coverage(level))
