"""Prediction sets have their coverage, for any model."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import binom

from goodricke.uncertainty.prediction_sets import CONFIDENCE, Conformal, Coverage, confidence_borders


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
    assert abs(hit - level) < 0.03 or (hit > level and (sets.sum(1) == 1).mean() > 0.3)  # sets of one can't be smaller


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


def calibrated(n: int, seed: int, classes: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities of a model that is sure of most objects and right to be, and the truth."""
    rng = np.random.default_rng(seed)
    sharpness = rng.choice([15.0, 1.0], size=(n, 1), p=[0.85, 0.15])
    p = softmax(sharpness * rng.normal(size=(n, classes)), 1)
    return p, (p.cumsum(1) > rng.uniform(size=(n, 1))).argmax(1)


def test_ambiguous_objects_get_larger_sets_and_easy_ones_one_class():
    (p, label), (q, true) = calibrated(4000, 1), calibrated(40000, 2)
    assert (p.argmax(1) == label).mean() > 0.82
    sets, confidence = Conformal.fit(p, label).sets(q), q.max(1)
    hit, size = sets[np.arange(len(true)), true], sets.sum(1)
    for low, high in itertools.pairwise((0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01)):
        rows = (confidence >= low) & (confidence < high)
        assert hit[rows].mean() > 0.9 - 0.05, (low, high)
    assert (size[confidence > 0.98] == 1).all()
    assert size[confidence < 0.5].mean() > 2.5


@pytest.mark.parametrize("per_class", [False, True])
def test_coverage_in_each_bin_of_confidence_of_a_badly_calibrated_model(per_class):
    """The model is most wrong where it is most certain: no score that relies on its probabilities mends that."""
    (p, label), (q, true) = (sample(n, seed, confident=4.0) for n, seed in ((6000, 1), (40000, 2)))
    conformal = Conformal.fit(p, label)
    sets, (borders,) = conformal.sets(q, coverage=Coverage(0.9, per_class)), conformal.thresholds().borders
    number = np.searchsorted(borders, q.max(1).astype(np.float32), side="right")
    assert len(borders) >= 5
    for k in np.unique(number):
        assert sets[number == k, true[number == k]].mean() > 0.87


def test_bins_of_confidence_hold_enough_objects():
    confidence = np.random.default_rng(0).uniform(0.2, 1, 1000)
    for fewest in (1, 60, 200, 900):
        borders = confidence_borders(confidence, np.ones(1000), fewest)
        counts = np.histogram(confidence, np.r_[0, borders, 2])[0]
        assert (counts >= fewest).all()
        assert set(borders) <= set(np.float32(CONFIDENCE))
    assert not len(borders)
    assert not len(confidence_borders(confidence[:30], np.ones(30), 50))


def test_an_extreme_coverage_joins_bins_rather_than_name_every_class():
    p, label = calibrated(2000, 1)
    conformal = Conformal.fit(p, label)
    few, many = (len(conformal.thresholds(Coverage(level)).borders[0]) for level in (0.998, 0.9))
    assert few < many
    assert conformal.sets(p, coverage=Coverage(0.998)).sum(1).mean() < 6


def test_the_set_of_an_object_depends_on_no_other():
    p, label = sample(300)
    conformal, order = Conformal.fit(p, label), np.random.default_rng(0).permutation(300)
    sets = conformal.sets(p)
    np.testing.assert_array_equal(conformal.sets(p[order]), sets[order])
    np.testing.assert_array_equal(np.concatenate([conformal.sets(row[None]) for row in p]), sets)
    np.testing.assert_array_equal(Conformal.fit(p[order], label[order]).sets(p), sets)


# ---- labels that are sets of classes --------------------------------------------------------------------------------


def as_sets(label: np.ndarray, groups: list[list[int]], classes: int) -> np.ndarray:
    """Return the label of each object as the group that its class is in."""
    member = np.zeros((classes, classes), bool)
    for group in groups:
        member[np.ix_(group, group)] = True
    return member[label]


def test_sets_of_one_class_are_single_labels():
    p, label = sample(500)
    one, other = Conformal.fit(p, label), Conformal.fit(p, np.eye(4, dtype=bool)[label])
    for name in ("score", "confidence", "label", "weight", "stratum", "edges"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert len(one) == len(other) == 500


@pytest.mark.parametrize("per_class", [False, True])
def test_leaves_are_covered_though_labels_name_sets_of_them(per_class):
    (p, label), (q, true) = calibrated(8000, 1), calibrated(40000, 2)
    sets = as_sets(label, [[0, 1], [2, 3, 4], [5]], 6)
    conformal = Conformal.fit(p, sets)
    assert len(conformal) == 8000
    member = conformal.sets(q, coverage=Coverage(0.9, per_class))
    hit, confidence = member[np.arange(len(true)), true], q.max(1)
    assert hit.mean() > 0.9
    for low, high in itertools.pairwise((0, 0.5, 0.7, 0.9, 1.01)):
        assert hit[(confidence >= low) & (confidence < high)].mean() > 0.85
    if per_class:
        assert min(hit[true == c].mean() for c in range(6)) > 0.87
    assert member.sum(1).mean() < Conformal.fit(p, label).sets(q, coverage=Coverage(0.9, per_class)).sum(1).mean() + 0.1


def test_sets_of_any_model_meet_the_label_as_often_as_promised():
    """The model is wrong within the sets too: the leaf may be missed, the label isn't."""
    (p, label), (q, true) = (sample(n, seed, confident=4.0) for n, seed in ((6000, 1), (40000, 2)))
    p, q = p[:, [1, 0, 2, 3]], q[:, [1, 0, 2, 3]]  # the leaves of one set are exchanged
    groups = [[0, 1], [2, 3]]
    member = Conformal.fit(p, as_sets(label, groups, 4)).sets(q)
    assert (member & as_sets(true, groups, 4)).any(1).mean() > 0.89


def test_an_empty_label_is_refused():
    p, label = sample(20)
    sets = np.eye(4, dtype=bool)[label]
    sets[7] = False
    with pytest.raises(ValueError, match=r"1 labels are empty sets, the first of row 7"):
        Conformal.fit(p, sets)


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
