"""Solar-like oscillations: power where it should be, large separation and period spacing recovered."""

import numpy as np
import pytest

from goodricke.simulate.parameters import table
from goodricke.simulate.solarlike import MICROHERTZ, ORDERS, RedGiant, SolarType, _dipoles, variances


def stars(source, n, seed=1):
    truth = source.draw(n, np.random.default_rng(seed))
    return truth, [{name: values[i] for name, values in truth.items()} for i in range(n)]


@pytest.mark.parametrize("source", [RedGiant(), SolarType()], ids=lambda s: s.kind)
def test_bins_hold_the_whole_variance_however_wide(source):
    _, several = stars(source, 5)
    for star in several:
        fine, coarse = (
            variances(star, np.arange(0.5, 8 * star["nu_max"] / width) * width)
            for width in (0.02, star["nu_max"] / 500)
        )
        modes = np.nansum(star["mode_deviation"][np.isfinite(star["mode_frequency"])] ** 2)
        assert fine.sum() == pytest.approx(coarse.sum(), rel=0.03)
        assert fine.sum() == pytest.approx(modes + (star["granulation_deviation"] ** 2).sum(), rel=0.05)


def test_the_light_curve_has_the_variance_and_its_hump_at_nu_max():
    source = RedGiant()
    truth, _ = stars(source, 40, 2)
    truth = {name: np.repeat(values[truth["nu_max"].argsort()[[30]]], 60, axis=0) for name, values in truth.items()}
    truth["seed"] = np.arange(60, dtype=np.uint64)
    time = np.arange(0, 60, 1 / 96)
    flux = source.flux(truth, time, 0.0).astype(np.float64) - 1
    power = (np.abs(np.fft.rfft(flux * np.hanning(len(time)))) ** 2).mean(axis=0)
    frequency = np.fft.rfftfreq(len(time), 1 / 96) / MICROHERTZ
    nu, separation = truth["nu_max"][0], truth["large_separation"][0]
    near = np.abs(frequency - nu) < 3 * separation
    assert np.average(frequency[near], weights=power[near]) == pytest.approx(nu, abs=1.5 * separation)
    beyond = (frequency > 2.2 * nu) & (frequency < 2.5 * nu)
    assert power[near].mean() > 10 * power[beyond].mean()


@pytest.mark.parametrize("source", [RedGiant(), SolarType()], ids=lambda s: s.kind)
def test_the_large_separation_is_that_of_the_radial_modes(source):
    truth, _ = stars(source, 100, 3)
    spacing = np.nanmedian(np.diff(truth["mode_frequency"][:, :ORDERS], axis=1), axis=1)
    np.testing.assert_allclose(spacing, truth["large_separation"], rtol=0.02)
    factor, exponent = table(source.kind).value("large_separation_relation")
    ratio = truth["large_separation"] / (factor * truth["nu_max"] ** exponent)
    assert 0.84 < ratio.min() < ratio.max() < 1.16


def test_the_large_separation_is_found_in_a_spectrum_of_years():
    """The autocorrelation of the power spectrum of a dwarf peaks at the large separation."""
    source = SolarType()
    truth, _ = stars(source, 20, 4)
    truth = {name: values[[np.argmin(np.abs(truth["nu_max"] - 1000))]] for name, values in truth.items()}
    time = np.arange(0, 60, 1 / 720)
    power = np.abs(np.fft.rfft(source.flux(truth, time, 1 / 720)[0].astype(np.float64) - 1)) ** 2
    frequency = np.fft.rfftfreq(len(time), 1 / 720) / MICROHERTZ
    nu, separation = truth["nu_max"][0], truth["large_separation"][0]
    hump = np.convolve(power[np.abs(frequency - nu) < 5 * separation], np.hanning(15), "same")
    hump = hump - hump.mean()
    lag = np.arange(len(hump)) * (frequency[1] - frequency[0])
    correlation = np.correlate(hump, hump, "full")[len(hump) - 1 :]
    searched = (lag > 0.7 * separation) & (lag < 1.4 * separation)
    assert lag[searched][np.argmax(correlation[searched])] == pytest.approx(separation, rel=0.05)


def test_mixed_modes_solve_the_equation_of_coupling():
    pressure = 100 + 8.0 * np.arange(6)
    star = {"large_separation": 8.0, "period_spacing": 80.0, "coupling": 0.15, "nu_max": 120.0}
    frequency, share = _dipoles(star, pressure)
    found = np.isfinite(frequency)
    frequency, share = frequency[found], share[found]
    inside = (frequency > pressure[0]) & (frequency < pressure[-1])
    acoustic, gravity = np.pi * (frequency - 100) / 8.0, np.pi / (80e-6 * frequency)
    left, right = np.sin(acoustic) * np.cos(gravity), 0.15 * np.cos(acoustic) * np.sin(gravity)
    np.testing.assert_allclose(left[inside], right[inside], atol=0.02)
    assert share[inside].sum() == pytest.approx(5, abs=1)  # one pressure mode per order
    far = share < 0.02
    spacing = np.diff(1e6 / frequency)
    assert np.abs(spacing[far[1:] & far[:-1]]).max() == pytest.approx(80, rel=0.05)


def test_dense_mixed_modes_melt_into_one_peak_per_order():
    pressure = 20 + 2.5 * np.arange(6)
    star = {"large_separation": 2.5, "period_spacing": 60.0, "coupling": 0.15, "nu_max": 25.0}
    frequency, share = _dipoles(star, pressure)
    np.testing.assert_array_equal(frequency[np.isfinite(frequency)], pressure)
    assert (share == 1).all()


def test_granulation_falls_with_nu_max_as_published():
    """Kallinger et al. 2014, A&A 570, A41, table 2."""
    truth, _ = stars(RedGiant(), 300, 5)
    slope, _ = np.polyfit(np.log(truth["nu_max"]), np.log(truth["granulation_deviation"][:, 0]), 1)
    assert slope == pytest.approx(-0.609, abs=0.03)
    assert (truth["granulation_frequency"][:, 0] < truth["granulation_frequency"][:, 1]).all()


def test_clump_stars_are_where_the_clump_is():
    truth, _ = stars(RedGiant(), 300, 6)
    clump = truth["clump"] == 1
    assert (np.abs(truth["nu_max"][clump] - 35) < 65).all()
    assert (truth["period_spacing"][clump] > 200).all()
    assert (truth["period_spacing"][~clump] < 100).all()
