"""Sums of sinusoids against plain cosines, exposures by brute force, combinations against a squared signal."""

import numpy as np

from goodricke.simulate import signals as module
from goodricke.simulate.signals import beside, scaled, sinusoids, strongest, with_combinations

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


def test_the_strongest_are_kept_in_order():
    f, a, _ = strongest(np.array([2, 5, 0]), 6, modes())
    assert f.shape == (3, 6)
    assert np.isfinite(f).sum(axis=1).tolist() == [2, 5, 0]
    assert a[0, 0] == modes()[1][0].max()
    assert (np.diff(a[1, :5]) <= 0).all()


def test_combinations_are_the_square_of_the_signal():
    base = tuple(x[:, :3] for x in modes())
    strength = np.array([0.3, -0.2, 1.5])
    f, a, p = with_combinations(base, strength, parents=3)
    squared = plain(*base) ** 2
    constant = (base[1] ** 2).sum(axis=1) / 2
    expected = plain(*base) + strength[:, None] * (squared - constant[:, None])
    np.testing.assert_allclose(plain(f, a, p), expected, atol=1e-5)
    assert (a >= 0).all()
    assert (f > 0).all()


def test_scaling_sets_the_largest_amplitude_and_leaves_empty_rows():
    f, a, p = strongest(np.array([2, 5, 0]), 6, modes())
    assert np.nanmax(scaled((f, a, p), np.array([0.1, 0.2, 0.3]))[1][:2], axis=1).tolist() == [0.1, 0.2]
    assert beside((f, a, p), (f, a, p))[0].shape == (3, 12)
