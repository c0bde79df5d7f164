"""Eigenvalues of Laplace's tidal equation in its known limits, and periods that solve the equation of the asymptote."""

import numpy as np
import pytest

from goodricke.simulate.pulsation import (
    DAY,
    DIPOLE,
    QUADRUPOLE,
    RETROGRADE,
    ROSSBY,
    ZONAL,
    eigenvalue_table,
    eigenvalues,
    frequencies,
)

SERIES = [DIPOLE, QUADRUPOLE, ZONAL, RETROGRADE, ROSSBY]


@pytest.mark.parametrize("m", [-2, -1, 0, 1, 2])
def test_without_rotation_they_are_those_of_spherical_harmonics(m):
    degree = np.arange(max(abs(m), 1), max(abs(m), 1) + 5)
    np.testing.assert_allclose(eigenvalues(1e-6, m)[:5], degree * (degree + 1), rtol=1e-5)


@pytest.mark.parametrize("m", [-2, -1, 1, 2])
def test_slow_rotation_shifts_them_at_first_order(m):
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
