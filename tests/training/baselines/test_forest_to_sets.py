"""A forest fitted to labels that are sets of classes."""

import numpy as np
import pytest

from goodricke.training.baselines.forest import fit_forest, fit_forest_to_sets

CLASSES = ("A", "B", "C")


def sample(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, n)
    return rng.normal(0, 0.5, (n, 4)) + 2 * label[:, None], label


def test_single_labels_give_the_plain_forest() -> None:
    x, label = sample()
    leaves = np.arange(3) == label[:, None]
    plain = fit_forest(x, label, CLASSES, trees=10).probabilities(x)
    np.testing.assert_array_equal(fit_forest_to_sets(x, leaves, CLASSES, trees=10).probabilities(x), plain)


def test_sets_are_resolved_by_what_single_labels_teach() -> None:
    x, label = sample()
    leaves = np.arange(3) == label[:, None]
    vague = (np.arange(len(x)) % 4 > 0) & (label > 0)
    leaves[vague] = [False, True, True]
    test, truth = sample(seed=1)
    p = fit_forest_to_sets(x, leaves, CLASSES, trees=50).probabilities(test)
    assert (p.argmax(1) == truth).mean() > 0.9


def test_an_object_without_a_class_is_an_error() -> None:
    with pytest.raises(ValueError, match="no class"):
        fit_forest_to_sets(np.zeros((2, 1)), np.array([[True, False], [False, False]]), ("A", "B"))
