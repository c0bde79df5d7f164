"""Random forests: probabilities of all classes, seeds, balanced samples, and errors."""

import sys
import warnings

import numpy as np
import pytest

from goodricke.training.baselines.forest import fit_balanced_forest, fit_forest, fit_regression_forest

CLASSES = ("a", "b", "c", "d")


def blobs(n=400, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.choice([0, 1, 3], n, p=[0.8, 0.15, 0.05])  # no c
    return rng.normal(size=(n, 5)) + label[:, None], label


def test_probabilities_of_all_classes():
    features, label = blobs()
    forest = fit_forest(features, label, CLASSES, trees=50)
    fresh, truth = blobs(seed=1)
    p = forest.probabilities(fresh)
    assert p.shape == (400, 4)
    assert (p[:, 2] == 0).all()
    np.testing.assert_allclose(p.sum(1), 1)
    assert (p.argmax(1) == truth).mean() > 0.85
    assert forest.classes == CLASSES
    assert forest.probabilities(fresh[:0]).shape == (0, 4)


def test_seed_decides():
    features, label = blobs()
    first, second, other = (fit_forest(features, label, CLASSES, seed=s, trees=10) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.probabilities(features), second.probabilities(features))
    assert (first.probabilities(features) != other.probabilities(features)).any()


def test_settings_reach_the_forest():
    features, label = blobs()
    forest = fit_forest(features, label, CLASSES, balanced=True, trees=7)
    assert len(forest.model.estimators_) == 7
    assert forest.model.class_weight == "balanced_subsample"
    assert fit_forest(features, label, CLASSES, trees=2).model.class_weight is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, y: (x[:-1], y), "399 rows"),
        (lambda x, y: (x[:0], y[:0]), "at least one"),
        (lambda x, y: (np.where(x > 3, np.nan, x), y), "-999"),
        (lambda x, y: (x, y + 1), "4 classes"),
        (lambda x, y: (x, y - 1), "from -1"),
    ],
)
@pytest.mark.parametrize("fit", [fit_forest, fit_balanced_forest])
def test_wrong_input(change, words, fit):
    with pytest.raises(ValueError, match=words):
        fit(*change(*blobs()), CLASSES, trees=2)


# ---- balanced forest ----------------------------------------------------------------------------------------------

balanced = pytest.mark.skipif("not __import__('importlib').util.find_spec('imblearn')", reason="no imbalanced-learn")


@balanced
def test_balanced_forest_has_better_recall_of_rare_classes():
    features, label = blobs(2000)
    fresh, truth = blobs(2000, seed=1)
    plain = fit_forest(features, label, CLASSES, trees=50).probabilities(fresh).argmax(1)
    p = fit_balanced_forest(features, label, CLASSES, trees=50).probabilities(fresh)
    recall = [[(guess == truth)[truth == c].mean() for c in (0, 1, 3)] for guess in (plain, p.argmax(1))]
    assert np.mean(recall[1]) > np.mean(recall[0])
    assert p.shape == (2000, 4)
    assert (p[:, 2] == 0).all()
    np.testing.assert_allclose(p.sum(1), 1)


@balanced
def test_each_tree_has_equal_classes():
    features, label = blobs()
    forest = fit_balanced_forest(features, label, CLASSES, trees=3)
    for tree in forest.model.estimators_:
        np.testing.assert_allclose(tree.tree_.value[0, 0], 1 / 3)
        assert tree.tree_.n_node_samples[0] == 3 * (label == 3).sum()


@balanced
def test_balanced_seed_decides_and_nothing_warns():
    features, label = blobs()
    label[:2] = 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fits = [
            fit_balanced_forest(features, label, CLASSES, trees=8, seed=seed, jobs=jobs)
            for seed, jobs in ((1, 1), (1, 2), (2, 1))
        ]
    p = [forest.probabilities(features) for forest in fits]
    np.testing.assert_allclose(p[0], p[1], atol=1e-12)
    assert (p[0] != p[2]).any()
    assert (p[0][:, 2] > 0).any()


@balanced
def test_one_class_can_not_be_balanced():
    with pytest.raises(ValueError, match="one class"):
        fit_balanced_forest(np.zeros((10, 2)), np.ones(10, int), CLASSES, trees=5)


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "imblearn.ensemble", None)
    with pytest.raises(ImportError, match=r"goodricke\[baselines\]"):
        fit_balanced_forest(*blobs(), CLASSES, trees=2)


# ---- regression ---------------------------------------------------------------------------------------------------


def slope(n=300, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 3))
    return features, 5000 + 800 * features[:, 0] + rng.normal(0, 50, n)


def test_regression_ignores_objects_without_target():
    features, target = slope()
    holes = target.copy()
    holes[::3] = np.nan
    forest = fit_regression_forest(features, holes, trees=30, seed=5)
    fresh, truth = slope(seed=1)
    predicted = forest.predict(fresh)
    assert 1 - np.square(predicted - truth).mean() / truth.var() > 0.85
    measured = ~np.isnan(holes)
    same = fit_regression_forest(features[measured], target[measured], trees=30, seed=5)
    np.testing.assert_array_equal(same.predict(fresh), predicted)
    assert forest.predict(fresh[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, y: (x[:-1], y), "299 rows"),
        (lambda x, y: (x, y * np.nan), "at least one"),
        (lambda x, y: (np.where(x > 2, np.nan, x), y), "-999"),
        (lambda x, y: (x, np.where(y > 5500, np.inf, y)), "must be finite"),
    ],
)
def test_wrong_targets(change, words):
    with pytest.raises(ValueError, match=words):
        fit_regression_forest(*change(*slope()))
