import sys
import warnings

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold

from goodricke.training.baselines.forest import (
    PAPER_GRID,
    SHORT_GRID,
    fit_balanced_forest,
    fit_forest,
    fit_regression_forest,
)

CLASSES = ("a", "b", "c", "d")


def blobs(n=400, seed=0):
    rng = np.random.default_rng(seed)
    label = rng.choice([0, 1, 3], n, p=[0.8, 0.15, 0.05])  # no c
    return rng.normal(size=(n, 5)) + label[:, None], label


def test_learns_and_speaks_of_all_classes():
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


def test_papers_grid():
    assert PAPER_GRID[:6] == (100, 200, 300, 400, 500, 750)
    assert PAPER_GRID[-1] == 4000
    assert len(PAPER_GRID) == 19
    assert set(SHORT_GRID) <= set(PAPER_GRID)


# ---- balanced forest ----------------------------------------------------------------------------------------------

balanced = pytest.mark.skipif("not __import__('importlib').util.find_spec('imblearn')", reason="no imbalanced-learn")


@balanced
def test_balanced_forest_finds_the_rare_and_speaks_of_all_classes():
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
def test_each_tree_sees_each_class_as_often():
    features, label = blobs()
    forest = fit_balanced_forest(features, label, CLASSES, trees=3)
    for tree in forest.model.estimators_:
        np.testing.assert_allclose(tree.tree_.value[0, 0], 1 / 3)
        assert tree.tree_.n_node_samples[0] == 3 * (label == 3).sum()


@balanced
def test_search_is_that_of_scikit_learn():
    rng = np.random.default_rng(3)
    label = rng.choice([0, 1, 3], 150, p=[0.6, 0.3, 0.1])
    features, grid = rng.normal(size=(150, 4)) + 0.5 * label[:, None], (1, 2, 3)
    found = [fit_balanced_forest(features, label, CLASSES, grid=grid, seed=s).model.n_estimators for s in range(3)]
    for seed, number in enumerate(found):
        plain = fit_balanced_forest(features, label, CLASSES, trees=1, seed=seed).model
        folds = StratifiedKFold(5, shuffle=True, random_state=seed)
        search = GridSearchCV(plain, {"n_estimators": grid}, scoring="f1_macro", cv=folds).fit(features, label)
        assert number == search.best_params_["n_estimators"]
    assert len(set(found)) > 1


@balanced
def test_balanced_seed_decides_and_nothing_warns():
    features, label = blobs()
    label[:2] = 2  # too rare for five folds, and yet no warning
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fits = [
            fit_balanced_forest(features, label, CLASSES, grid=(4, 8), seed=seed, jobs=jobs)
            for seed, jobs in ((1, 1), (1, 2), (2, 1))
        ]
    p = [forest.probabilities(features) for forest in fits]
    np.testing.assert_allclose(p[0], p[1], atol=1e-12)
    assert (p[0] != p[2]).any()
    assert (p[0][:, 2] > 0).any()


@balanced
@pytest.mark.parametrize(
    ("label", "trees", "words"),
    [
        ([1] * 10, 5, "one class"),
        ([0, 0, 0, 0, 1, 1, 1, 1], None, "give trees"),
        ([0] * 9 + [1], None, "give trees"),
    ],
)
def test_too_few_to_balance(label, trees, words):
    with pytest.raises(ValueError, match=words):
        fit_balanced_forest(np.zeros((len(label), 2)), np.array(label), CLASSES, trees=trees)


@balanced
def test_a_grid_without_trees():
    with pytest.raises(ValueError, match="at least one tree"):
        fit_balanced_forest(*blobs(), CLASSES, grid=(0, 5))


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "imblearn.ensemble", None)
    with pytest.raises(ImportError, match=r"goodricke\[baselines\]"):
        fit_balanced_forest(*blobs(), CLASSES, trees=2)


# ---- regression ---------------------------------------------------------------------------------------------------


def slope(n=300, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 3))
    return features, 5000 + 800 * features[:, 0] + rng.normal(0, 50, n)


def test_regression_learns_and_leaves_out_what_was_not_measured():
    features, target = slope()
    holes = target.copy()
    holes[::3] = np.nan
    forest = fit_regression_forest(features, holes, trees=30, seed=5)
    fresh, truth = slope(seed=1)
    predicted = forest.predict(fresh)
    assert 1 - np.square(predicted - truth).mean() / truth.var() > 0.85
    known = ~np.isnan(holes)
    same = fit_regression_forest(features[known], target[known], trees=30, seed=5)
    np.testing.assert_array_equal(same.predict(fresh), predicted)
    assert forest.predict(fresh[:0]).shape == (0,)


def test_regression_search_is_that_of_scikit_learn():
    features, target = slope(120)
    grid, found = (2, 3, 5, 9), []
    for seed in range(3):
        folds = KFold(5, shuffle=True, random_state=seed)
        search = GridSearchCV(
            RandomForestRegressor(random_state=seed), {"n_estimators": grid}, scoring="neg_mean_squared_error", cv=folds
        ).fit(features, target)
        found.append(fit_regression_forest(features, target, grid=grid, seed=seed).model.n_estimators)
        assert found[-1] == search.best_params_["n_estimators"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, y: (x[:-1], y), "299 rows"),
        (lambda x, y: (x, y * np.nan), "at least one"),
        (lambda x, y: (np.where(x > 2, np.nan, x), y), "-999"),
        (lambda x, y: (x, np.where(y > 5500, np.inf, y)), "infinite"),
        (lambda x, y: (x[:4], y[:4]), "give trees"),
    ],
)
def test_wrong_targets(change, words):
    with pytest.raises(ValueError, match=words):
        fit_regression_forest(*change(*slope()))
