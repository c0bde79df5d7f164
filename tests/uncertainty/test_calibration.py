"""Temperature scaling and the calibration error, on samplers whose calibration is known."""

import numpy as np
import pytest
from scipy.special import softmax

from goodricke.uncertainty.calibration import calibration_error, fit_temperature


def sample(n=20000, classes=4, sharpness=1.5, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and labels drawn from their own softmax: calibrated by construction."""
    rng = np.random.default_rng(seed)
    logits = sharpness * rng.normal(size=(n, classes))
    label = (softmax(logits, 1).cumsum(1) > rng.uniform(size=(n, 1))).argmax(1)
    return logits, label


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.7])
def test_a_known_temperature_is_recovered(temperature):
    logits, label = sample()
    assert fit_temperature(logits[None] * temperature, label) == pytest.approx(temperature, rel=0.05)


def test_the_temperature_minimises_the_log_likelihood():
    logits, label = sample(500, seed=3)

    def loss(t):
        return -np.log(softmax(logits / t, 1)[np.arange(500), label]).mean()

    best = fit_temperature(logits[None], label)
    assert loss(best) <= min(loss(best * 1.05), loss(best / 1.05))


def test_a_calibrated_sampler_has_a_small_error_and_an_overconfident_one_a_large():
    logits, label = sample()
    assert calibration_error(softmax(logits, 1), label) < 0.015
    assert calibration_error(softmax(4 * logits, 1), label) > 0.15
    assert calibration_error(softmax(logits / 4, 1), label) > 0.15
    mended = softmax(4 * logits / fit_temperature(4 * logits[None], label), 1)
    assert calibration_error(mended, label) < 0.015


def test_the_error_is_the_weighted_gap_of_the_bins():
    p = np.array([[0.95, 0.05], [0.95, 0.05], [0.6, 0.4], [0.45, 0.55]])
    label = np.array([0, 1, 0, 0])
    expected = (abs(2 * 0.95 - 1) + abs(0.6 - 1) + abs(0.55 - 0)) / 4
    assert calibration_error(p, label, bins=20) == pytest.approx(expected)


def test_being_sure_and_right_is_no_error():
    assert calibration_error(np.eye(3), np.arange(3)) == 0
    assert calibration_error(np.eye(3), np.array([1, 2, 0])) == pytest.approx(1)
