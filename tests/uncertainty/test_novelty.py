"""Novelty is a rate of false alarms, and it sees what is unlike the training set."""

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
def test_objects_like_the_training_set_raise_as_many_alarms_as_promised(kind):
    known = novelty(kind)
    x, logits, _ = objects(20000, 2)
    value = known.of(x, logits)
    for rate in (0.01, 0.05, 0.5):
        assert abs((value > 1 - rate).mean() - rate) < 0.5 * rate
    assert 0 <= value.min() < value.max() < 1


@pytest.mark.parametrize("kind", ["combined", "mahalanobis", "neighbours"])
def test_what_is_unlike_all_classes_is_novel(kind):
    known = novelty(kind)
    x, logits, _ = objects(500, 3, shift=25.0)
    assert (known.of(x, logits) > 0.99).mean() > 0.9


@pytest.mark.parametrize("kind", ["combined", "energy"])
def test_logits_without_any_sign_of_a_class_are_novel_by_their_energy(kind):
    x, logits, _ = objects(500, 4)
    assert (novelty(kind).of(x, logits - 60) > 0.99).all()


def test_combined_is_the_sum_of_distance_and_energy_in_units_of_their_spread():
    x, logits, label = objects(600, 5)
    means = np.stack([x[label == c].mean(0) for c in range(3)]).astype(float)
    metric = np.cov((x - means[label]).T, ddof=0)
    metric += RIDGE * np.trace(metric) / 8 * np.eye(8)
    away = x[:, None] - means  # (n, 3, 8)
    distance = np.einsum("nci,ij,ncj->nc", away, np.linalg.inv(metric), away).min(1)
    energy = -np.log(np.exp(logits).sum(1))
    expected = sum((each - each.mean()) / each.std() for each in (distance, energy))
    found = fit_detector("combined", x, logits, label).score(x, logits)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_a_detector_of_embeddings_finds_them_at_the_beginning_of_features():
    x, logits, label = objects(300, 6)
    more = np.concatenate([x, np.full((300, 3), 1e3, np.float32)], 1)
    for kind in KINDS:
        known = fit_detector(kind, x, logits, label)
        np.testing.assert_array_equal(known.score(more, logits), known.score(x, logits))


def test_mahalanobis_is_the_difference_of_two_distances():
    x, logits, label = objects(600, 5)
    score = fit_detector("mahalanobis", x, logits, label).score(x[:9], logits[:9])
    means = np.stack([x[label == c].mean(0) for c in range(3)]).astype(float)
    within, whole = np.cov((x - means[label]).T, ddof=0), np.cov(x.T, ddof=0)

    def distance(y, mean, covariance):
        return (y - mean) @ np.linalg.solve(covariance + RIDGE * np.trace(covariance) / 8 * np.eye(8), y - mean)

    expected = [min(distance(y, m, within) for m in means) - distance(y, x.mean(0), whole) for y in x[:9]]
    np.testing.assert_allclose(score, expected, rtol=1e-3, atol=1e-3)


def test_neighbours_are_those_of_a_plain_search():
    x, logits, label = objects(300, 6)
    new, _, _ = objects(50, 7)
    unit, known = (y / np.linalg.norm(y, axis=1, keepdims=True) for y in (new, x))
    expected = np.sort(np.square(unit[:, None] - known[None]).sum(2), 1)[:, 9]
    np.testing.assert_allclose(
        fit_detector("neighbours", x, logits, label).score(new, logits[:50]), expected, atol=1e-5
    )


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_has_its_novelty_alone_and_in_company(kind):
    known, (x, logits, _) = novelty(kind), objects(40, 8)
    together = known.of(x, logits)
    alone = [known.of(x[k : k + 1], logits[k : k + 1])[0] for k in range(40)]
    np.testing.assert_allclose(together, alone, atol=2e-3)  # a score's rounding moves it past one of 2,000 others


def test_light_curves_are_compared_with_others_as_long():
    detector = fit_detector("mahalanobis", *objects(800, 0))
    short, long = objects(500, 1, shift=10), objects(500, 2)
    score = np.concatenate([detector.score(*part[:2]) for part in (short, long)]).astype(np.float32)
    known = Novelty(detector, score, np.repeat([0, 1], 500).astype(np.int16), np.array([0, 10]))
    x, logits, _ = objects(400, 3, shift=10)
    assert np.median(known.of(x, logits, np.full(400, 5))) < 0.6
    assert np.median(known.of(x, logits, np.full(400, 50))) > 0.95


def test_what_has_no_embedding_has_no_novelty():
    x, logits, _ = objects(5, 9)
    x[2] = np.nan
    value = novelty("mahalanobis").of(x, logits)
    assert np.isnan(value).tolist() == [False, False, True, False, False]


def test_idle_dimensions_do_no_harm():
    x, logits, label = objects(300, 10)
    x = np.concatenate([x, np.zeros((300, 5), np.float32)], 1)
    assert np.isfinite(fit_detector("mahalanobis", x, logits, label).score(x, logits)).all()
