"""Events, random processes and sums of sinusoids against their rates, spectra and plain sums."""

import numpy as np
import pytest

from goodricke.simulate import signals as module
from goodricke.simulate.signals import (
    _area,
    add_combinations,
    damped_random_walk,
    events,
    gaussian_noise,
    join_modes,
    red_noise,
    scale_modes,
    sinusoids,
    strongest_modes,
    uniforms,
)


def test_random_numbers_are_uniform_and_independent_between_seeds_indices_and_places():
    truth = uniforms(7, np.arange(-5000, 5000), 2)
    assert truth.mean() == pytest.approx(0.5, abs=0.01)
    assert truth.var() == pytest.approx(1 / 12, abs=0.002)
    assert np.abs(np.corrcoef(truth[0], truth[1])[0, 1]) < 0.03
    assert np.abs(np.corrcoef(truth[0, 1:], truth[0, :-1])[0, 1]) < 0.03
    assert np.abs(np.corrcoef(truth[0], uniforms(8, np.arange(-5000, 5000), 2)[0])[0, 1]) < 0.03
    assert 0 < truth.min() < truth.max() < 1


def test_events_come_at_their_rate_in_order():
    time, marks = events(3, 0.5, -1000, 3000, 2)
    assert len(time) == pytest.approx(2000, abs=150)
    assert marks.shape == (2, len(time))
    assert (np.diff(time) > 0).all()
    assert np.diff(time).std() == pytest.approx(2.0, rel=0.15)  # as long as the mean: no regular spacing


def test_events_do_not_depend_on_the_window():
    time, marks = events(11, 2.0, 0, 100, 3)
    inner, inner_marks = events(11, 2.0, 31.7, 52.2, 3)
    inside = (time >= 31.7) & (time <= 52.2)
    np.testing.assert_array_equal(inner, time[inside])
    np.testing.assert_array_equal(inner_marks, marks[:, inside])


SEEDS = np.arange(200, dtype=np.uint64)


def line(low, high):
    """Return a spectrum that has variance 1, evenly between two frequencies."""

    def variance(row, edges):
        return np.diff(np.clip(edges, low, high)) / (high - low)

    return variance


def test_variance_and_frequencies_are_those_of_the_spectrum():
    time = np.arange(0, 30, 1 / 24)
    flux = gaussian_noise(SEEDS, line(2.0, 3.0), time, 0.0)
    assert flux.var() == pytest.approx(1, rel=0.05)
    power = (np.abs(np.fft.rfft(flux * np.hanning(len(time)))) ** 2).mean(axis=0)
    frequency = np.fft.rfftfreq(len(time), 1 / 24)
    assert power[(frequency > 1.9) & (frequency < 3.1)].sum() > 0.99 * power.sum()


def test_exposures_attenuate_by_the_sinc():
    time = np.arange(0, 30, 1 / 24)
    flux = gaussian_noise(SEEDS, line(9.9, 10.1), time, 1 / 24)
    assert flux.std() == pytest.approx(np.sinc(10 / 24), rel=0.03)


def test_times_may_be_irregular():
    time = np.arange(0, 30, 1 / 24)
    some = np.sort(np.random.default_rng(0).choice(len(time) - 2, 100, replace=False)) + 1
    some = np.concatenate([[0], some, [len(time) - 1]])
    whole = gaussian_noise(SEEDS[:3], line(0.1, 5.0), time, 0.01, highest=6.0)
    np.testing.assert_allclose(
        gaussian_noise(SEEDS[:3], line(0.1, 5.0), time[some], 0.01, highest=6.0), whole[:, some], atol=1e-4
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


TIME = np.sort(np.random.default_rng(0).uniform(2457000, 2457027, 500))


def modes(n=3, k=20, seed=1):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.1, 80, (n, k)), rng.uniform(0, 1, (n, k)), rng.random((n, k))


def plain(f, a, p, time=TIME):
    return np.nansum(a[..., None] * np.cos(2 * np.pi * (f[..., None] * time + p[..., None])), axis=1)


def test_sums_are_those_of_plain_cosines():
    np.testing.assert_allclose(sinusoids(TIME, *modes(), 0.0), plain(*modes()), atol=2e-5)


def test_chunks_do_not_change_sums(monkeypatch):
    whole = sinusoids(TIME, *modes(), 0.02)
    monkeypatch.setattr(module, "CHUNK", 777)
    np.testing.assert_array_equal(sinusoids(TIME, *modes(), 0.02), whole)


def test_padding_adds_nothing():
    f, a, p = modes()
    padded = [np.concatenate([x, np.full((3, 4), np.nan)], axis=1) for x in (f, a, p)]
    np.testing.assert_array_equal(sinusoids(TIME, *padded, 0.02), sinusoids(TIME, f, a, p, 0.02))


def test_an_exposure_is_an_average():
    f, a, p = modes(1)
    offsets = ((np.arange(400) + 0.5) / 400 - 0.5) / 48
    brute = np.mean([plain(f, a, p, TIME + offset) for offset in offsets], axis=0)
    np.testing.assert_allclose(sinusoids(TIME, f, a, p, 1 / 48), brute, atol=2e-4)


def test_the_strongest_modes_in_order():
    f, a, _ = strongest_modes(np.array([2, 5, 0]), 6, modes())
    assert f.shape == (3, 6)
    assert np.isfinite(f).sum(axis=1).tolist() == [2, 5, 0]
    assert a[0, 0] == modes()[1][0].max()
    assert (np.diff(a[1, :5]) <= 0).all()


def test_combinations_are_the_square_of_the_signal():
    base = tuple(x[:, :3] for x in modes())
    strength = np.array([0.3, -0.2, 1.5])
    f, a, p = add_combinations(base, strength, parents=3)
    squared = plain(*base) ** 2
    constant = (base[1] ** 2).sum(axis=1) / 2
    expected = plain(*base) + strength[:, None] * (squared - constant[:, None])
    np.testing.assert_allclose(plain(f, a, p), expected, atol=1e-5)
    assert (a >= 0).all()
    assert (f > 0).all()


def test_scaling_sets_the_largest_amplitude_and_leaves_empty_rows():
    f, a, p = strongest_modes(np.array([2, 5, 0]), 6, modes())
    assert np.nanmax(scale_modes((f, a, p), np.array([0.1, 0.2, 0.3]))[1][:2], axis=1).tolist() == [0.1, 0.2]
    assert join_modes((f, a, p), (f, a, p))[0].shape == (3, 12)
