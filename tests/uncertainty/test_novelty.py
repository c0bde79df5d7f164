"""Novelty: its false-alarm rate, its response to objects unlike the training set, and its scores."""

import numpy as np
import pytest

from goodricke.uncertainty.novelty import KINDS, RIDGE, Novelty, fit_detector

CENTRES = 6 * np.eye(3, 8)


def objects(n: int, seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return embeddings (n, 8) of three classes, correlated within them, logits (n, 3) and labels."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, n)
    x = rng.normal(size=(n, 8)) @ np.triu(np.ones((8, 8))) / 2 + CENTRES[label]
    x[:, 7] += shift
    return x.astype(np.float32), (4 - np.square(x[:, None, :3] - CENTRES[None, :, :3]).sum(2) / 4), label


def novelty(kind: str) -> Novelty:
    detector = fit_detector(kind, *objects(800, 0))
    y, logits, _ = objects(2000, 1)
    return Novelty(detector, detector.score(y, logits).astype(np.float32), np.zeros(2000, np.int16), np.zeros(1, int))


@pytest.mark.parametrize("kind", KINDS)
def test_the_false_alarm_rate_of_objects_like_the_training_set(kind):
    reference = novelty(kind)
    x, logits, _ = objects(20000, 2)
    value = reference.rank(x, logits)
    for rate in (0.01, 0.05, 0.5):
        assert abs((value > 1 - rate).mean() - rate) < 0.5 * rate
    assert 0 <= value.min() < value.max() < 1


@pytest.mark.parametrize("kind", ["combined", "mahalanobis", "neighbours"])
def test_objects_unlike_all_classes_are_novel(kind):
    reference = novelty(kind)
    x, logits, _ = objects(500, 3, shift=25.0)
    assert (reference.rank(x, logits) > 0.99).mean() > 0.9


@pytest.mark.parametrize("kind", ["combined", "energy"])
def test_low_logits_of_all_classes_are_novel_by_energy(kind):
    x, logits, _ = objects(500, 4)
    assert (novelty(kind).rank(x, logits - 60) > 0.99).all()


def test_combined_is_the_sum_of_distance_and_energy_in_units_of_their_spread():
    x, logits, label = objects(600, 5)
    means = np.stack([x[label == c].mean(0) for c in range(3)]).astype(float)
    metric = np.cov((x - means[label]).T, ddof=0)
    metric += RIDGE * np.trace(metric) / 8 * np.eye(8)
    away = x[:, None] - means  # (n, 3, 8)
    distance = np.einsum("nci,ij,ncj->nc", away, np.linalg.inv(metric), away).min(1)
    energy = -np.log(np.exp(logits).sum(1))
    expected = sum((x - x.mean()) / x.std() for x in (distance, energy))
    result = fit_detector("combined", x, logits, label).score(x, logits)
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-3)


def test_a_detector_of_embeddings_uses_the_first_features():
    x, logits, label = objects(300, 6)
    more = np.concatenate([x, np.full((300, 3), 1e3, np.float32)], 1)
    for kind in KINDS:
        detector = fit_detector(kind, x, logits, label)
        np.testing.assert_array_equal(detector.score(more, logits), detector.score(x, logits))


def test_mahalanobis_is_the_difference_of_two_distances():
    x, logits, label = objects(600, 5)
    score = fit_detector("mahalanobis", x, logits, label).score(x[:9], logits[:9])
    means = np.stack([x[label == c].mean(0) for c in range(3)]).astype(float)
    within, total = np.cov((x - means[label]).T, ddof=0), np.cov(x.T, ddof=0)

    def distance(y, mean, covariance):
        return (y - mean) @ np.linalg.solve(covariance + RIDGE * np.trace(covariance) / 8 * np.eye(8), y - mean)

    expected = [min(distance(y, m, within) for m in means) - distance(y, x.mean(0), total) for y in x[:9]]
    np.testing.assert_allclose(score, expected, rtol=1e-3, atol=1e-3)


def test_neighbours_are_those_of_a_plain_search():
    x, logits, label = objects(300, 6)
    new, _, _ = objects(50, 7)
    unit, references = (y / np.linalg.norm(y, axis=1, keepdims=True) for y in (new, x))
    expected = np.sort(np.square(unit[:, None] - references[None]).sum(2), 1)[:, 9]
    np.testing.assert_allclose(
        fit_detector("neighbours", x, logits, label).score(new, logits[:50]), expected, atol=1e-5
    )


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_has_its_novelty_alone_and_in_company(kind):
    reference, (x, logits, _) = novelty(kind), objects(40, 8)
    together = reference.rank(x, logits)
    single = [reference.rank(x[k : k + 1], logits[k : k + 1])[0] for k in range(40)]
    np.testing.assert_allclose(together, single, atol=2e-3)  # a score's rounding moves it past one of 2,000 others


def test_light_curves_are_compared_within_their_stratum():
    detector = fit_detector("mahalanobis", *objects(800, 0))
    short, long = objects(500, 1, shift=10), objects(500, 2)
    score = np.concatenate([detector.score(*part[:2]) for part in (short, long)]).astype(np.float32)
    reference = Novelty(detector, score, np.repeat([0, 1], 500).astype(np.int16), np.array([0, 10]))
    x, logits, _ = objects(400, 3, shift=10)
    assert np.median(reference.rank(x, logits, np.full(400, 5))) < 0.6
    assert np.median(reference.rank(x, logits, np.full(400, 50))) > 0.95


def test_nan_features_give_nan_novelty():
    x, logits, _ = objects(5, 9)
    x[2] = np.nan
    value = novelty("mahalanobis").rank(x, logits)
    assert np.isnan(value).tolist() == [False, False, True, False, False]


def test_idle_dimensions_do_no_harm():
    x, logits, label = objects(300, 10)
    x = np.concatenate([x, np.zeros((300, 5), np.float32)], 1)
    assert np.isfinite(fit_detector("mahalanobis", x, logits, label).score(x, logits)).all()
