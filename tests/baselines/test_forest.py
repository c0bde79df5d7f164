import numpy as np
import pytest

from goodricke.baselines.forest import fit_forest

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
def test_wrong_input(change, words):
    with pytest.raises(ValueError, match=words):
        fit_forest(*change(*blobs()), CLASSES, trees=2)
