"""Random processes have the spectra and structure functions that they were asked for."""

import numpy as np
import pytest

from goodricke.simulate.signals import _area, damped_random_walk, red_noise, synthesised

SEEDS = np.arange(200, dtype=np.uint64)


def line(low, high):
    """Return a spectrum that has variance 1, evenly between two frequencies."""

    def variance(row, edges):
        return np.diff(np.clip(edges, low, high)) / (high - low)

    return variance


def test_the_variance_is_the_spectrums_and_lies_where_the_spectrum_does():
    time = np.arange(0, 30, 1 / 24)
    flux = synthesised(SEEDS, line(2.0, 3.0), time, 0.0)
    assert flux.var() == pytest.approx(1, rel=0.05)
    power = (np.abs(np.fft.rfft(flux * np.hanning(len(time)))) ** 2).mean(axis=0)
    frequency = np.fft.rfftfreq(len(time), 1 / 24)
    assert power[(frequency > 1.9) & (frequency < 3.1)].sum() > 0.99 * power.sum()


def test_exposures_attenuate_by_the_sinc():
    time = np.arange(0, 30, 1 / 24)
    flux = synthesised(SEEDS, line(9.9, 10.1), time, 1 / 24)
    assert flux.std() == pytest.approx(np.sinc(10 / 24), rel=0.03)


def test_times_may_be_irregular():
    time = np.arange(0, 30, 1 / 24)
    some = np.sort(np.random.default_rng(0).choice(len(time) - 2, 100, replace=False)) + 1
    some = np.concatenate([[0], some, [len(time) - 1]])
    whole = synthesised(SEEDS[:3], line(0.1, 5.0), time, 0.01, highest=6.0)
    np.testing.assert_allclose(
        synthesised(SEEDS[:3], line(0.1, 5.0), time[some], 0.01, highest=6.0), whole[:, some], atol=1e-4
    )


def test_red_noise_has_its_deviation_knee_and_slope():
    time = np.arange(0, 60, 1 / 96)
    one = np.ones(200)
    flux = red_noise(SEEDS, 0.02 * one, 1.0 * one, 2.0 * one, time, 0.0)
    assert flux.std() == pytest.approx(0.02, rel=0.05)
    power = (np.abs(np.fft.rfft(flux * np.hanning(len(time)))) ** 2).mean(axis=0)
    frequency = np.fft.rfftfreq(len(time), 1 / 96)
    at = [power[(frequency > f * 0.9) & (frequency < f * 1.1)].mean() for f in (0.2, 1.0, 5.0, 10.0)]
    assert at[1] / at[0] == pytest.approx(0.25 * 1.04**2, rel=0.1)
    assert at[3] / at[2] == pytest.approx((26 / 101) ** 2, rel=0.15)


def test_a_damped_random_walk_has_its_structure_function():
    time = np.sort(np.random.default_rng(1).uniform(0, 40, 300))
    walks = damped_random_walk(np.arange(1500, dtype=np.uint64), np.full(1500, 4.0), time)
    assert walks.var(axis=0) == pytest.approx(np.ones(300), abs=0.2)
    for i, j in ((0, 1), (10, 40), (20, 150), (3, 299)):
        structure = np.mean((walks[:, i] - walks[:, j]) ** 2)
        assert structure == pytest.approx(2 * -np.expm1(-(time[j] - time[i]) / 4), rel=0.12)


@pytest.mark.parametrize("slope", [0.75, 1.0, 1.7, 3.0])
def test_red_noise_is_normalised_at_any_slope(slope):
    edges = np.geomspace(1e-9, 1e9, 400_000)
    middle = np.sqrt(edges[1:] * edges[:-1])
    assert _area(slope) == pytest.approx(np.sum(np.diff(edges) / (1 + middle**slope) ** 2), rel=1e-3)


def test_rows_follow_from_their_own_seeds():
    time = np.arange(0, 10, 0.1)
    together = damped_random_walk(SEEDS[:5], np.linspace(1, 5, 5), time)
    np.testing.assert_array_equal(damped_random_walk(SEEDS[3:4], np.array([4.0]), time)[0], together[3])
    assert len(np.unique(together[:, 0])) == 5
