"""Overlapping discs against closed forms; orbits against Kepler's equation; exposures against sampling."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

from goodricke.simulate.binaries import Orbit, PhaseCurve, hidden, light_within, roche_radius


def test_light_within_is_the_integral_of_limb_darkening() -> None:
    def intensity(r: float) -> float:
        mu = np.sqrt(1 - r**2)
        return 2 * np.pi * r * (1 - 0.4 * (1 - mu) - 0.25 * (1 - mu) ** 2)

    whole = quad(intensity, 0, 1)[0]
    for r in (0.0, 0.3, 0.8, 1.0):
        assert light_within(np.array(r), np.array(0.4), np.array(0.25)) == pytest.approx(
            quad(intensity, 0, r)[0] / whole, abs=1e-9
        )


def lens(d: float, k: float) -> float:
    """Return the area common to two discs of radii 1 and k over that of the first."""
    if d >= 1 + k:
        return 0.0
    if d <= abs(1 - k):
        return min(1.0, k**2)
    a, b = (d**2 + 1 - k**2) / (2 * d), (d**2 + k**2 - 1) / (2 * d)
    return (np.arccos(a) - a * np.sqrt(1 - a**2) + k**2 * np.arccos(b / k) - b * np.sqrt(k**2 - b**2)) / np.pi


@pytest.mark.parametrize("ratio", [0.1, 0.5, 1.0, 1.7])
def test_uniform_discs_hide_what_circles_have_in_common(ratio: float) -> None:
    distance = np.linspace(0, 1 + ratio + 0.1, 301)
    zero = np.zeros_like(distance)
    found = hidden(distance, zero + ratio, zero, zero)
    np.testing.assert_allclose(found, [lens(d, ratio) for d in distance], atol=1e-6)


@pytest.mark.parametrize("ratio", [0.05, 0.3, 0.9, 1.2])
def test_limb_darkened_discs_are_those_of_batman(ratio: float) -> None:
    batman = pytest.importorskip("batman", reason="batman isn't installed")
    distance = np.linspace(0.00123, 1 + ratio + 0.1, 301)  # batman is wrong at exactly 1 - ratio
    full = np.full_like(distance, 1.0)
    theirs = 1 - batman._quadratic_ld._quadratic_ld(distance, ratio, 0.4, 0.25, 1)
    np.testing.assert_allclose(hidden(distance, full * ratio, full * 0.4, full * 0.25), theirs, atol=1e-6)


def test_all_is_hidden_behind_a_larger_disc_and_nothing_without_contact() -> None:
    d, k, u = np.array([0.0, 0.15, 3.0]), np.array([1.3, 1.2, 1.5]), np.full(3, 0.3)
    np.testing.assert_allclose(hidden(d, k, u, u), [1, 1, 0], atol=1e-12)


def test_roche_lobes_are_eggletons() -> None:
    # equal masses, and the expansion for a light star (Paczynski 1971)
    assert roche_radius(np.array(1.0)) == pytest.approx(0.379, abs=5e-4)
    assert roche_radius(np.array(0.01)) == pytest.approx(0.462 * (0.01 / 1.01) ** (1 / 3), rel=0.03)


def orbit(e: float, omega: float, inclination: float = 88.0, reach: float = 0.2) -> Orbit:
    return Orbit.of(*(np.array([x]) for x in (e, np.radians(omega), np.radians(inclination), reach)))


def kepler(mean: float, e: float) -> float:
    """Return the true anomaly by solving Kepler's equation."""
    anomaly = brentq(lambda x: x - e * np.sin(x) - mean, mean - 1.5, mean + 1.5, xtol=1e-14)
    return 2 * np.arctan2(np.sqrt(1 + e) * np.sin(anomaly / 2), np.sqrt(1 - e) * np.cos(anomaly / 2))


@pytest.mark.parametrize(("e", "omega"), [(0.0, 90.0), (0.3, 20.0), (0.7, 250.0)])
def test_phases_solve_keplers_equation(e: float, omega: float) -> None:
    o, w = orbit(e, omega), np.radians(omega)
    at_conjunction = 2 * np.arctan2(
        np.sqrt(1 - e) * np.sin((np.pi / 2 - w) / 2), np.sqrt(1 + e) * np.cos((np.pi / 2 - w) / 2)
    )
    start = at_conjunction - e * np.sin(at_conjunction)
    for k in range(0, o.phase.shape[1], 37):
        true = kepler(start + 2 * np.pi * o.phase[0, k], e)
        turned = o.angle[0, k] + np.pi / 2 - w - true
        assert np.cos(turned) == pytest.approx(1, abs=1e-12)
        assert o.distance[0, k] == pytest.approx((1 - e**2) / (1 + e * np.cos(true)), abs=1e-9)


def test_phases_ascend_around_the_orbit_and_begin_at_the_primary_eclipse() -> None:
    rng = np.random.default_rng(0)
    inclination = np.radians(rng.uniform(60, 90, 50))
    o = Orbit.of(rng.uniform(0, 0.8, 50), rng.uniform(0, 7, 50), inclination, np.full(50, 0.3))
    assert (np.diff(o.phase, axis=1) >= 0).all()
    np.testing.assert_array_equal(o.phase[:, [0, -1]], np.tile([0.0, 1.0], (50, 1)))
    np.testing.assert_allclose(np.cos(o.angle[:, 0]), 1, atol=1e-12)
    np.testing.assert_allclose(o.projected[:, 0], o.distance[:, 0] * np.cos(inclination), rtol=1e-9)


def polygons() -> PhaseCurve:
    rng = np.random.default_rng(1)
    phase = np.sort(np.concatenate([rng.random((3, 60)), np.zeros((3, 1)), np.ones((3, 1))], 1), axis=1)
    flux = 1 + 0.1 * np.sin(2 * np.pi * phase) + 0.02 * rng.standard_normal(phase.shape)
    flux[:, -1] = flux[:, 0]
    return PhaseCurve(phase, flux)


def test_an_exposure_is_the_mean_of_many_samples() -> None:
    curve, rng = polygons(), np.random.default_rng(2)
    phase, width = rng.uniform(-3, 30, (3, 40)), np.array([0.01, 0.2, 1.7])
    seen = curve.observed(phase, width)
    places = (np.arange(20_000) + 0.5) / 20_000 - 0.5
    for i in range(3):
        inside = (phase[i][:, None] + width[i] * places) % 1
        np.testing.assert_allclose(seen[i], np.interp(inside, curve.phase[i], curve.flux[i]).mean(1), atol=2e-6)


def test_a_short_exposure_is_the_light_curve_itself() -> None:
    curve, phase = polygons(), np.random.default_rng(3).random((3, 40))
    exact = [np.interp(p, x, y) for p, x, y in zip(phase, curve.phase, curve.flux, strict=True)]
    np.testing.assert_allclose(curve.observed(phase, np.full(3, 1e-6)), exact, atol=1e-6)
