"""Aperiodic variables: dips go down, bursts go up, outbursts rise faster than they fade, flickering grows with flux."""

import numpy as np
import pytest

from goodricke.simulate.aperiodic import BeStar, Burster, DampedRandomWalk, Dipper, Flickering, IrregularRed

TIME = np.arange(0, 25, 1 / 48) + 500
EXPOSURE = 1 / 48


def skewness(flux):
    away = flux - flux.mean(axis=1, keepdims=True)
    return (away**3).mean(axis=1) / (away**2).mean(axis=1) ** 1.5


def made(source, n=150, seed=1, **fixed):
    truth = source.draw(n, np.random.default_rng(seed))
    truth |= {name: np.full(truth[name].shape, value) for name, value in fixed.items()}
    return truth, source.flux(truth, TIME, EXPOSURE).astype(np.float64)


def test_dips_go_down_and_bursts_go_up():
    assert np.median(skewness(made(Dipper(), deviation=0.001)[1])) < -0.5
    assert np.median(skewness(made(Burster(), deviation=0.001)[1])) > 0.5
    assert (made(Dipper(), deviation=1e-9)[1] <= 1 + 1e-6).all()
    assert (made(Burster(), deviation=1e-9)[1] >= 1 - 1e-6).all()


def test_periodic_dippers_dip_once_per_period():
    fixed = {"deviation": 1e-9, "roughness": 1e-9, "rate": 0.001, "periodic": 1.0, "period": 2.5, "irregularity": 0.3}
    _, flux = made(Dipper(), 30, wobble=0.05, duty=0.08, **fixed)
    power = np.abs(np.fft.rfft(flux - flux.mean(axis=1, keepdims=True))) ** 2
    frequency = np.fft.rfftfreq(len(TIME), EXPOSURE)
    peaks = frequency[np.argmax(power * (frequency > 0.2), axis=1)]
    assert (np.abs(peaks * 2.5 - np.round(peaks * 2.5)) < 0.11).mean() > 0.9


def test_outbursts_fade_slower_than_they_rise():
    _, flux = made(BeStar(), 200, deviation=1e-9, mode_amplitude=0.0, sign=1.0)
    calm = np.abs(flux - 1).max(axis=1) < 1e-3
    steps = np.diff(flux[~calm], axis=1)
    assert np.median(steps.max(axis=1) / -steps.min(axis=1)) > 1.5


def test_edge_on_be_stars_dim():
    _, flux = made(BeStar(), 60, deviation=1e-9, sign=-1.0)
    assert skewness(flux).mean() < 0
    assert (flux > 0).all()


def test_a_walk_in_magnitudes_keeps_its_deviation():
    _, flux = made(DampedRandomWalk(), 1500, deviation=0.1, tau=2.0)
    assert np.log(flux).std() == pytest.approx(0.1, rel=0.05)
    assert np.corrcoef(np.log(flux[:, 0]), np.log(flux[:, 96]))[0, 1] == pytest.approx(np.exp(-1), abs=0.06)


def test_flickering_grows_with_flux():
    """Scaringi et al. 2012, MNRAS 421, 2854: the rms-flux relation."""
    _, flux = made(Flickering(), 60, flicker=0.05, knee=10.0, slope=1.0, deviation=0.3, tau=3.0)
    pieces = flux[:, :1200].reshape(60, 24, 50)
    rms, mean = np.diff(pieces, axis=2).std(axis=2), pieces.mean(axis=2)
    correlation = [np.corrcoef(r, m)[0, 1] for r, m in zip(rms, mean, strict=True)]
    assert np.median(correlation) > 0.6


def test_red_variables_are_slow():
    _, flux = made(IrregularRed(), 100, deviation=1e-6)
    away = flux - flux.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(away * np.hanning(len(TIME)))) ** 2
    frequency = np.fft.rfftfreq(len(TIME), EXPOSURE)
    assert (power[:, frequency < 0.5].sum(axis=1) > 0.98 * power.sum(axis=1)).all()
