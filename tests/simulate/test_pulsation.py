"""Pressure modes: drawn frequencies are found in the light curve, ridges and multiplets lie where they should."""

import nifty_ls  # noqa: F401  (registers astropy's method)
import numpy as np
import pytest
from astropy.timeseries import LombScargle

from goodricke.simulate.parameters import table
from goodricke.simulate.pulsation import BetaCephei, DeltaScuti, GammaDoradus, SlowlyPulsatingB, geometry

TIME = np.arange(0, 27, 1 / 720) + 1700
EXPOSURE = 1 / 720


def strongest_peak(flux, low, high):
    grid = np.linspace(low, high, 40_000)
    power = LombScargle(TIME, flux.astype(np.float64) - 1).power(
        grid, method="fastnifty", assume_regular_frequency=True
    )
    return grid[np.argmax(power)]


@pytest.mark.parametrize(
    "source", [DeltaScuti(), BetaCephei(), GammaDoradus(), SlowlyPulsatingB()], ids=lambda s: s.kind
)
def test_the_strongest_mode_is_found_at_its_frequency(source):
    drawn = source.draw(40, np.random.default_rng(21))
    few = np.flatnonzero(drawn["modes"] <= 6)[:4]
    drawn = {name: values[few] for name, values in drawn.items()}
    for row, flux in enumerate(source.flux(drawn, TIME, EXPOSURE)):
        found = strongest_peak(flux, 0.05, 90)
        nearest = np.nanargmin(np.abs(drawn["frequency"][row] - found))
        assert np.abs(drawn["frequency"][row, nearest] - found) < 1 / 27
        assert drawn["mode_amplitude"][row, nearest] > 0.3 * drawn["amplitude"][row]


def test_the_strongest_pressure_mode_has_the_drawn_amplitude_and_there_are_as_many_as_drawn():
    drawn = DeltaScuti().draw(50, np.random.default_rng(2))
    modes = drawn["mode_amplitude"][:, : table("delta_scuti").most("modes")]
    np.testing.assert_allclose(np.nanmax(modes, axis=1), drawn["amplitude"], rtol=1e-12)
    assert (np.isfinite(modes).sum(axis=1) <= drawn["modes"]).all()
    assert np.mean(np.isfinite(modes).sum(axis=1) == drawn["modes"]) > 0.8


def test_regular_stars_have_ridges_a_large_separation_apart():
    drawn = DeltaScuti().draw(1500, np.random.default_rng(3))
    plain = (drawn["regular"] == 1) & (drawn["rotation_frequency"] < 0.08) & (drawn["inclination"] > 20)
    assert plain.sum() > 3
    t = table("delta_scuti")
    for row in np.flatnonzero(plain):
        f = drawn["frequency"][row, : t.most("modes")]
        place = np.mod(f[np.isfinite(f)] / drawn["large_separation"][row] - drawn["epsilon"][row], 1)
        ridges = np.array([0.0, 0.5, 1 - t.value("small_separation"), 1.0])
        assert np.median(np.abs(place[:, None] - ridges).min(axis=1)) < 0.03


def test_hybrids_alone_have_low_frequencies_that_are_no_combinations():
    drawn = DeltaScuti().draw(200, np.random.default_rng(4))
    low = drawn["frequency"][:, -table("delta_scuti").most("gravity_modes") :]
    assert np.isfinite(low[drawn["hybrid"] == 1]).any(axis=1).all()
    assert not np.isfinite(low[drawn["hybrid"] == 0]).any()
    assert np.nanmax(low) < 6


def test_pressure_modes_lie_in_the_published_range():
    frequency = DeltaScuti().draw(200, np.random.default_rng(5))["frequency"][:, :70]
    assert np.nanmin(frequency) > 4
    assert np.nanmax(frequency) < 85
    radial = BetaCephei().draw(200, np.random.default_rng(5))["radial_frequency"]
    assert 3.5 <= radial.min() < radial.max() <= 10


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_a_multiplet_has_the_same_power_at_any_inclination(degree):
    """Gizon & Solanki 2003, ApJ 589, 1009, eqs. 11-12: the visibilities of all m add up to 1."""
    inclination = np.linspace(0, 90, 19)
    power = sum(geometry(degree, m, inclination) ** 2 for m in range(-degree, degree + 1))
    np.testing.assert_allclose(power, 1, atol=1e-12)
