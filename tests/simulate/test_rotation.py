"""Spotted stars against butterpy, spot for spot; flares against their integral; periods as drawn."""

import nifty_ls  # noqa: F401  (registers astropy's method)
import numpy as np
import pytest
from astropy.timeseries import LombScargle

from goodricke.simulate.rotation import LIFE, ChemicallyPeculiar, SpottedRotator, flare, spot_dimming


@pytest.mark.parametrize(
    ("period", "shear", "inclination", "tau"), [(5.0, 0.3, 60, 5.0), (1.3, 0.05, 85, 12.0), (20.0, 0.2, 35, 2.0)]
)
def test_spots_dim_as_in_butterpy(period, shear, inclination, tau):
    surface = pytest.importorskip("butterpy").Surface()
    rng = np.random.default_rng(int(period))
    days = rng.integers(0, 60, 25)
    latitude, longitude, field = rng.uniform(-60, 60, 25), rng.uniform(0, 360, 25), rng.uniform(20, 250, 25)
    for spot in zip(days, latitude, longitude, field, strict=True):
        surface.add_region(*spot)
    surface.duration = 100
    time = np.arange(0, 60, 1 / 48)
    other = surface.evolve_spots(time, inclination, period, shear, tau_evol=tau, alpha_med=0.01).flux
    star = {"period": period, "shear": shear, "inclination": inclination}
    star |= {"emergence": surface.tau_emerge, "decay": surface.tau_decay}
    spots = {"time": days, "area": np.asarray(surface.amax), "latitude": np.radians(latitude)}
    ours = 1 - spot_dimming(spots | {"longitude": np.radians(longitude)}, star, time)
    cut = np.exp(-(LIFE**2)) * np.sum(spots["area"])  # butterpy follows spots without end
    np.testing.assert_allclose(ours, other, atol=cut + 2e-5)
    assert np.ptp(ours) > 20 * cut


def test_spots_agree_with_the_table():
    source = SpottedRotator()
    truth = source.draw(40, np.random.default_rng(1))
    for row in range(40):
        star = {name: values[row] for name, values in truth.items()}
        spots = source.spots(star, 0.0, 20 * star["decay"])
        alive = len(spots["time"]) / (20 + 1.2 * LIFE) * (star["decay"] + star["emergence"]) / star["decay"]
        assert alive == pytest.approx(star["spots"], rel=0.5)
        latitude = np.degrees(np.abs(spots["latitude"]))
        assert star["lowest_latitude"] - 1e-9 <= latitude.min() <= latitude.max() <= star["highest_latitude"] + 1e-9
        assert spots["area"].max() <= star["largest_area"]


def test_the_rotation_period_is_found():
    source = SpottedRotator()
    truth = source.draw(60, np.random.default_rng(2))
    kept = (truth["period"] < 6) & (truth["shear"] < 0.1) & (truth["decay"] > 5 * truth["period"])
    truth = {name: values[kept] for name, values in truth.items()} | {"flare_rate": np.zeros(kept.sum())}
    time, grid = np.arange(0, 27, 1 / 48), np.linspace(0.05, 10, 8000)
    found = []
    for flux in source.flux(truth, time, 1 / 48).astype(np.float64):
        trend = np.convolve(np.pad(flux, 480, mode="reflect"), np.ones(961) / 961, "valid")
        power = LombScargle(time, flux - trend).power(grid, method="fastnifty", assume_regular_frequency=True)
        found.append(grid[np.argmax(power)])
    ratio = np.array(found) * truth["period"]
    right = (np.abs(ratio - 1) < 0.1) | (np.abs(ratio - 2) < 0.15)  # two groups of spots show half the period
    assert right.mean() > 0.85


def test_no_spots_take_more_light_than_they_can():
    source = SpottedRotator()
    truth = source.draw(50, np.random.default_rng(3)) | {"flare_rate": np.zeros(50)}
    flux = source.flux(truth, np.arange(0, 25, 1 / 48), 1 / 48)
    assert flux.max() <= 1
    assert flux.min() > 0.5


def test_flares_rise_and_decay_as_published():
    """Davenport et al. 2014, ApJ 797, 122: height 1 at the peak and, in units of it, a full width of 1."""
    time = np.linspace(-3, 30, 33_001)
    found = flare(time, 0.0)
    assert found.max() == pytest.approx(1, abs=0.01)
    assert time[np.argmax(found)] == pytest.approx(0, abs=0.01)
    assert np.ptp(time[found > 0.5]) == pytest.approx(1, abs=0.1)
    assert (found[time < -1] == 0).all()
    assert found[-1] < 1e-3


@pytest.mark.parametrize("exposure", [0.1, 1.0, 5.0])
def test_flares_average_over_exposures(exposure):
    time = np.linspace(-4, 12, 33)
    offsets = ((np.arange(2000) + 0.5) / 2000 - 0.5) * exposure
    brute = flare(time[:, None] + offsets, 0.0).mean(axis=1)
    np.testing.assert_allclose(flare(time, exposure), brute, atol=2e-3)


def test_only_flaring_stars_have_flares():
    source = SpottedRotator()
    truth = source.draw(80, np.random.default_rng(4))
    time = np.arange(0, 25, 1 / 48)
    calm = source.flux(truth | {"flare_rate": np.zeros(80)}, time, 1 / 48)
    excess = source.flux(truth, time, 1 / 48) - calm
    assert (excess >= -1e-6).all()
    assert (excess[truth["flaring"] == 0] == 0).all()
    assert np.median(excess[truth["flaring"] == 1].max(axis=1)) > 1e-3


def test_peculiar_stars_repeat_after_a_rotation():
    source = ChemicallyPeculiar()
    truth = source.draw(1, np.random.default_rng(5))
    time = np.arange(0, 5, 0.02)
    later = source.flux(truth, time + 40 * truth["period"][0], 0.02)
    np.testing.assert_allclose(later, source.flux(truth, time, 0.02), atol=2e-6)


def test_double_waves_have_a_weak_first_harmonic():
    truth = ChemicallyPeculiar().draw(300, np.random.default_rng(6))
    ratio = truth["mode_amplitude"][:, 0] / truth["amplitude"]
    np.testing.assert_allclose(ratio, np.where(truth["double_wave"] == 1, 0.25, 1.0))
