"""Gravity modes: spacings as asymptotic, slopes with rotation, combinations that sharpen maxima."""

import numpy as np
import pytest

from goodricke.simulate import pulsation
from goodricke.simulate.pulsation import ORDERS, GammaDoradus, Pattern, SlowlyPulsatingB, pattern

ONES = np.ones((1, ORDERS))


def one(spacing, rotation, center, **more):
    about = Pattern(pulsation.DIPOLE, *(np.array([x]) for x in (spacing, rotation, center)))
    return pattern(about, np.array([6.0]), ONES, np.random.default_rng(0), **more)


def test_slow_rotators_have_the_asymptotic_spacing():
    frequency, amplitude, _ = one(4100.0, 1e-4, 45.0)
    np.testing.assert_allclose(np.diff(86400 / frequency[0]), 4100 / np.sqrt(2), rtol=2e-3)
    assert 24 <= np.argmax(amplitude) - ORDERS // 2 + 45 <= 46


def test_rotation_shortens_periods_and_tilts_the_pattern():
    slow, fast = (one(4100.0, rotation, 45.0)[0][0] for rotation in (0.1, 1.2))
    assert (fast > slow).all()
    spacing = np.diff(1 / fast)
    assert (np.diff(spacing) < 0).all()


def test_glitches_ripple_the_spacing():
    ripple = 0.1 * np.sin(2 * np.pi * np.arange(ORDERS) / 8)[None]
    smooth, rippled = one(4100.0, 1e-4, 45.0)[0], one(4100.0, 1e-4, 45.0, glitch=ripple)[0]
    assert np.diff(1 / rippled[0]).std() > 10 * np.diff(1 / smooth[0]).std()


@pytest.mark.parametrize(("source", "low", "high"), [(GammaDoradus(), 0.15, 5), (SlowlyPulsatingB(), 0.2, 5)])
def test_frequencies_are_those_of_the_class(source, low, high):
    drawn = source.draw(200, np.random.default_rng(3))
    modes = drawn["frequency"][:, : int(drawn["modes"].max())]
    assert low < np.nanmin(modes)
    assert np.nanmax(modes) < high
    assert 0.5 < np.nanmedian(modes[:, 0]) < 3
    np.testing.assert_allclose(np.nanmax(drawn["mode_amplitude"], axis=1), drawn["amplitude"], rtol=1e-9)


def test_upward_stars_have_sharp_maxima():
    """Kurtz et al. 2015, MNRAS 450, 3015."""
    source = GammaDoradus()
    drawn = source.draw(400, np.random.default_rng(5))
    strong = drawn["combination_ratio"] > 0.15
    drawn = {name: values[strong] for name, values in drawn.items()}
    flux = source.flux(drawn, np.arange(0, 60, 0.05), 0.02)
    away = flux - flux.mean(axis=1, keepdims=True)
    skewness = (away**3).mean(axis=1) / (away**2).mean(axis=1) ** 1.5
    assert (np.sign(skewness) == drawn["upward"]).mean() > 0.95
