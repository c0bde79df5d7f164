"""Pulsators: modes at their frequencies, spacings and visibilities; eigenvalues of the tidal equation in its limits."""

import nifty_ls  # noqa: F401  (registers astropy's method)
import numpy as np
import pytest
from astropy.timeseries import LombScargle

from goodricke.simulate import pulsation
from goodricke.simulate.parameters import table
from goodricke.simulate.pulsation import (
    DAY,
    DIPOLE,
    ORDERS,
    QUADRUPOLE,
    RETROGRADE,
    ROSSBY,
    ZONAL,
    BetaCephei,
    DeltaScuti,
    GammaDoradus,
    Pattern,
    SlowlyPulsatingB,
    eigenvalue_table,
    eigenvalues,
    frequencies,
    pattern_modes,
    visible_fraction,
)

SERIES = [DIPOLE, QUADRUPOLE, ZONAL, RETROGRADE, ROSSBY]


@pytest.mark.parametrize("m", [-2, -1, 0, 1, 2])
def test_without_rotation_eigenvalues_are_those_of_spherical_harmonics(m):
    degree = np.arange(max(abs(m), 1), max(abs(m), 1) + 5)
    np.testing.assert_allclose(eigenvalues(1e-6, m)[:5], degree * (degree + 1), rtol=1e-5)


@pytest.mark.parametrize("m", [-2, -1, 1, 2])
def test_slow_rotation_shifts_eigenvalues_at_first_order(m):
    """Sectoral modes: lambda = l (l + 1) - m spin, with the terms beyond of the order of spin squared."""
    degree, spin = abs(m), 1e-3
    assert eigenvalues(spin, m)[0] == pytest.approx(degree * (degree + 1) - m * spin, abs=5e-6)


def test_fast_rotation_makes_kelvin_and_rossby_waves():
    """Townsend 2003, MNRAS 340, 1020: m**2 for Kelvin modes; m**2 / (2 abs(k) - 1)**2 for r modes, here 1 / 9."""
    assert eigenvalues(60.0, 1)[0] == pytest.approx(1.0, abs=0.02)
    assert eigenvalues(60.0, 2)[0] == pytest.approx(4.0, abs=0.04)
    assert eigenvalue_table(ROSSBY)[1][-1] == pytest.approx(1 / 9, rel=0.02)


@pytest.mark.parametrize("series", SERIES)
def test_spin_times_root_lambda_grows_so_that_it_can_be_inverted(series):
    spin, value = eigenvalue_table(series)
    assert (np.diff(spin * np.sqrt(value)) > 0).all()
    assert (np.abs(np.diff(np.log(value))) < 1.0).all()  # no jump to another series


def test_fast_rotation_squares_the_spin_for_zonal_modes():
    """Townsend 2003: lambda goes as (2 k - 1)**2 spin**2, here with the meridional order k = 1."""
    assert eigenvalue_table(ZONAL)[1][-1] == pytest.approx(ZONAL.highest**2, rel=0.05)


def test_without_rotation_periods_are_evenly_spaced():
    order = np.arange(20, 60) + 0.5
    period = DAY / frequencies(DIPOLE, np.array(4000.0), np.array(0.0), order)
    np.testing.assert_allclose(np.diff(period), 4000 / np.sqrt(2), rtol=1e-3)


@pytest.mark.parametrize("series", SERIES)
def test_frequencies_solve_the_asymptotic_relation(series):
    order = np.arange(15, 70) + 0.5
    spacing, rotation = 4100.0, 0.25 if series == RETROGRADE else 1.1
    frequency = frequencies(series, np.array(spacing), np.array(rotation), order)
    corotating = np.abs(frequency - series.m * rotation) if series != ROSSBY else rotation - frequency
    found = np.isfinite(frequency)
    assert found.sum() > 5
    for f, n in list(zip(corotating[found], order[found], strict=True))[::5]:
        values = eigenvalues(2 * rotation / f, series.m)
        value = values[0] if series != ROSSBY else values[values < series.largest][-1]
        assert DAY / f == pytest.approx(spacing * n / np.sqrt(value), rel=3e-3)


def test_prograde_patterns_slope_down_and_r_modes_up():
    """Van Reeth et al. 2016, A&A 593, A120: the spacing falls with period for prograde, rises for retrograde modes."""
    order = np.arange(20, 60) + 0.5
    spacing = {s: np.diff(1 / frequencies(s, np.array(4100.0), np.array(1.2), order)) for s in (DIPOLE, ROSSBY)}
    down, up = spacing[DIPOLE], spacing[ROSSBY][np.isfinite(spacing[ROSSBY])]
    assert down[-1] < 0.7 * down[0]
    assert np.abs(up[0]) > 2 * np.abs(up[-1])  # r modes of low order have the longest periods


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
    truth = source.draw(40, np.random.default_rng(21))
    few = np.flatnonzero(truth["modes"] <= 6)[:4]
    truth = {name: values[few] for name, values in truth.items()}
    for row, flux in enumerate(source.flux(truth, TIME, EXPOSURE)):
        found = strongest_peak(flux, 0.05, 90)
        nearest = np.nanargmin(np.abs(truth["frequency"][row] - found))
        assert np.abs(truth["frequency"][row, nearest] - found) < 1 / 27
        assert truth["mode_amplitude"][row, nearest] > 0.3 * truth["amplitude"][row]


def test_the_strongest_pressure_mode_has_the_drawn_amplitude_and_there_are_as_many_as_drawn():
    truth = DeltaScuti().draw(50, np.random.default_rng(2))
    modes = truth["mode_amplitude"][:, : table("delta_scuti").maximum("modes")]
    np.testing.assert_allclose(np.nanmax(modes, axis=1), truth["amplitude"], rtol=1e-12)
    assert (np.isfinite(modes).sum(axis=1) <= truth["modes"]).all()
    assert np.mean(np.isfinite(modes).sum(axis=1) == truth["modes"]) > 0.8


def test_regular_stars_have_ridges_a_large_separation_apart():
    truth = DeltaScuti().draw(1500, np.random.default_rng(3))
    plain = (truth["regular"] == 1) & (truth["rotation_frequency"] < 0.08) & (truth["inclination"] > 20)
    assert plain.sum() > 3
    t = table("delta_scuti")
    for row in np.flatnonzero(plain):
        f = truth["frequency"][row, : t.maximum("modes")]
        place = np.mod(f[np.isfinite(f)] / truth["large_separation"][row] - truth["epsilon"][row], 1)
        ridges = np.array([0.0, 0.5, 1 - t.value("small_separation"), 1.0])
        assert np.median(np.abs(place[:, None] - ridges).min(axis=1)) < 0.03


def test_only_hybrids_have_low_frequencies_that_are_no_combinations():
    truth = DeltaScuti().draw(200, np.random.default_rng(4))
    low = truth["frequency"][:, -table("delta_scuti").maximum("gravity_modes") :]
    assert np.isfinite(low[truth["hybrid"] == 1]).any(axis=1).all()
    assert not np.isfinite(low[truth["hybrid"] == 0]).any()
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
    power = sum(visible_fraction(degree, m, inclination) ** 2 for m in range(-degree, degree + 1))
    np.testing.assert_allclose(power, 1, atol=1e-12)


ONES = np.ones((1, ORDERS))


def one(spacing, rotation, center, **more):
    about = Pattern(pulsation.DIPOLE, *(np.array([x]) for x in (spacing, rotation, center)))
    return pattern_modes(about, np.array([6.0]), ONES, np.random.default_rng(0), **more)


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
    truth = source.draw(200, np.random.default_rng(3))
    modes = truth["frequency"][:, : int(truth["modes"].max())]
    assert low < np.nanmin(modes)
    assert np.nanmax(modes) < high
    assert 0.5 < np.nanmedian(modes[:, 0]) < 3
    np.testing.assert_allclose(np.nanmax(truth["mode_amplitude"], axis=1), truth["amplitude"], rtol=1e-9)


def test_upward_stars_have_sharp_maxima():
    """Kurtz et al. 2015, MNRAS 450, 3015."""
    source = GammaDoradus()
    truth = source.draw(400, np.random.default_rng(5))
    strong = truth["combination_ratio"] > 0.15
    truth = {name: values[strong] for name, values in truth.items()}
    flux = source.flux(truth, np.arange(0, 60, 0.05), 0.02)
    away = flux - flux.mean(axis=1, keepdims=True)
    skewness = (away**3).mean(axis=1) / (away**2).mean(axis=1) ** 1.5
    assert (np.sign(skewness) == truth["upward"]).mean() > 0.95
