"""Labels that are sets of classes: their probability is that of the set, and single labels are a special case."""

import numpy as np
import pytest
from scipy.special import log_softmax

from goodricke.uncertainty.label_sets import check_labels, class_counts, likeliest, log_likelihood, weighted_leaves

SETS = np.array([[1, 1, 0], [0, 0, 1], [1, 1, 1]], bool)
P = np.array([[0.6, 0.2, 0.2], [0.5, 0.4, 0.1], [0.2, 0.3, 0.5]])


def test_the_probability_of_a_set_is_the_sum_over_it():
    np.testing.assert_allclose(np.exp(log_likelihood(np.log(P), SETS)), [0.8, 0.1, 1.0])
    np.testing.assert_allclose(np.exp(log_likelihood(np.log(np.stack([P, P])), SETS)), [[0.8, 0.1, 1.0]] * 2)


def test_a_set_of_one_class_is_a_single_label():
    rng = np.random.default_rng(0)
    label, log_p = rng.integers(0, 5, 50), log_softmax(rng.normal(size=(3, 50, 5)), 2)
    sets = np.eye(5, dtype=bool)[label]
    np.testing.assert_allclose(log_likelihood(log_p, sets), log_likelihood(log_p, label))
    for a, b in zip(weighted_leaves(np.exp(log_p[0]), sets), weighted_leaves(np.exp(log_p[0]), label), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(class_counts(sets, 5), class_counts(label, 5))
    np.testing.assert_array_equal(likeliest(log_p[0], sets), likeliest(log_p[0], label))


def test_the_leaves_of_a_set_share_its_object():
    row, leaf, weight = weighted_leaves(P, SETS)
    assert (row.tolist(), leaf.tolist()) == ([0, 0, 1, 2, 2, 2], [0, 1, 2, 0, 1, 2])
    np.testing.assert_allclose(weight, [0.75, 0.25, 1, 0.2, 0.3, 0.5])
    assert likeliest(P, SETS).tolist() == [0, 2, 2]
    np.testing.assert_allclose(class_counts(SETS, 3), [1 / 2 + 1 / 3, 1 / 2 + 1 / 3, 1 + 1 / 3])


def test_leaves_that_the_model_rules_out_are_left_out():
    row, leaf, weight = weighted_leaves(np.array([[1.0, 0.0], [0.0, 0.0]]), np.ones((2, 2), bool))
    assert (row.tolist(), leaf.tolist(), weight.tolist()) == ([0, 1, 1], [0, 0, 1], [1, 0.5, 0.5])


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.zeros((2, 3), bool), "2 labels are empty sets, the first of row 0"),
        (np.ones((2, 3)), "give int"),
        (np.array([0.5]), "give int"),
    ],
)
def test_what_is_no_label_is_refused(label, message):
    with pytest.raises(ValueError, match=message):
        check_labels(label)
