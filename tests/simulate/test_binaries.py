"""Eclipses against closed forms, Kepler's equation, batman and sampled exposures."""

import builtins
import importlib.util
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

from goodricke.simulate.binaries import (
    MAXIMUM_FILLING,
    SPEED,
    Binary,
    Contact,
    Detached,
    Orbit,
    PhaseCurve,
    Planet,
    Semidetached,
    batman,
    binary_curve,
    brightness_ratio,
    hidden_fraction,
    light_within,
    main_sequence_temperature,
    maximum_eccentricity,
    roche_radius,
    separation,
    transit_curve,
)
from goodricke.simulate.kinds import DENSE
from goodricke.simulate.parameters import table
from goodricke.simulate.source import Float, Truth

KINDS = ("detached", "semidetached", "contact", "delta_scuti_binary", "gamma_doradus_binary")
needs_batman = pytest.mark.skipif(importlib.util.find_spec("batman") is None, reason="batman isn't installed")
PLANET = Planet()
TIME = 1325.3 + np.arange(600) / 48


def system(**changes: float) -> Truth:
    """Return a wide pair of spheres without limb darkening, heating or tides, seen from the side."""
    parameters = {"period": 10.0, "phase": 0.0, "mass": 1.0, "mass_ratio": 1e-9, "radius_1": 0.1, "radius_2": 0.05}
    parameters |= {"inclination": 90.0, "eccentricity": 0.0, "periastron": 90.0, "surface_brightness_ratio": 0.5}
    parameters |= {"third_light": 0.0, "limb_1": 0.0, "limb_2": 0.0, "gravity_darkening": 0.0, "albedo": 0.0}
    return {name: np.array([value]) for name, value in (parameters | changes).items()}


def at_phases(truth: Truth, phase: Float) -> Float:
    curve = binary_curve(truth)
    return np.interp(phase % 1, curve.phase[0], curve.flux[0])


def without_tides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switch off the tides, which would be enormous for the light stars of these tests."""
    monkeypatch.setattr("goodricke.simulate.binaries.tides", lambda *_: 0.0)


def test_the_depths_are_those_of_uniform_discs(monkeypatch: pytest.MonkeyPatch) -> None:
    without_tides(monkeypatch)
    light_1 = 1 / (1 + 0.5 * 0.25)
    primary, secondary = at_phases(system(mass=1e-9), np.array([0.0, 0.5]))
    assert 1 - primary == pytest.approx(0.25 * light_1, abs=1e-6)
    assert 1 - secondary == pytest.approx(1 - light_1, abs=1e-6)
    diluted = at_phases(system(mass=1e-9, third_light=0.4), np.array([0.0]))
    assert 1 - diluted[0] == pytest.approx(0.6 * 0.25 * light_1, abs=1e-6)


def test_the_duration_is_that_of_the_chord(monkeypatch: pytest.MonkeyPatch) -> None:
    without_tides(monkeypatch)
    truth = system(mass=1e-9, inclination=87.0)
    b = np.cos(np.radians(87)) / 0.1
    half = np.arcsin(0.1 * np.sqrt(1.5**2 - b**2) / np.sin(np.radians(87))) / (2 * np.pi)
    inside, outside = at_phases(truth, np.array([half - 0.0005, half + 0.0005]))
    assert inside < 1 - 1e-6
    assert outside == pytest.approx(1, abs=1e-7)


def test_an_eccentric_orbit_moves_the_secondary_eclipse(monkeypatch: pytest.MonkeyPatch) -> None:
    without_tides(monkeypatch)
    e, omega = 0.05, 0.0
    phase = np.linspace(0.3, 0.8, 20_001)
    flux = at_phases(system(mass=1e-9, eccentricity=e, periastron=omega), phase)
    middle = phase[flux < 1 - 1e-5].mean()
    assert middle == pytest.approx(0.5 + 2 * e / np.pi, abs=2e-3)  # Kopal, first order in e


def test_tides_are_morris_ellipsoidal_variation() -> None:
    truth = system(mass_ratio=0.5, radius_1=0.2, radius_2=0.01, gravity_darkening=0.3, limb_1=0.4, inclination=60.0)
    truth["surface_brightness_ratio"] = np.array([1e-9])
    truth["mass"], truth["period"] = np.array([1e-12]), np.array([1.0])  # no beaming
    curve = binary_curve(truth)
    phase = np.linspace(0, 1, 1000, endpoint=False)
    flux = np.interp(phase, curve.phase[0], curve.flux[0])
    amplitude = -2 * np.mean(flux * np.cos(4 * np.pi * phase))
    coefficient = 0.15 * (15 + 0.4) * 1.3 / (3 - 0.4)
    assert amplitude == pytest.approx(coefficient * 0.5 * 0.2**3 * np.sin(np.radians(60)) ** 2, rel=0.01)


def test_beaming_brightens_the_approaching_star() -> None:
    truth = system(mass_ratio=1.0, radius_1=0.01, radius_2=0.01, surface_brightness_ratio=1e-9, period=1.0)
    before, after = at_phases(truth, np.array([0.75, 0.25]))
    speed = SPEED * np.cbrt(2.0) / 2
    assert after - before == pytest.approx(8 * speed, rel=1e-3)


def test_a_heated_companion_is_brightest_before_it_is_hidden() -> None:
    truth = system(albedo=1.0, radius_1=0.3, radius_2=0.2, surface_brightness_ratio=1e-9)
    side, full = at_phases(truth, np.array([0.25, 0.38]))
    assert full - side > 0.005


def test_keplers_third_law() -> None:
    assert separation(np.array(1.0), np.array(365.25)) == pytest.approx(215.03, rel=2e-3)  # solar radii in an au


def test_hotter_is_brighter() -> None:
    hot, cool = main_sequence_temperature(np.array([1.5, 1.0]))
    assert 0 < brightness_ratio(hot, cool) < 1
    assert brightness_ratio(hot, hot) == pytest.approx(1)
    assert (np.diff(maximum_eccentricity(np.array([0.5, 1, 3, 10, 50]))) >= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_systems_are_possible(kind: str) -> None:
    truth = DENSE.sources[kind].draw(300, np.random.default_rng(0))
    lobes = roche_radius(1 / truth["mass_ratio"]), roche_radius(truth["mass_ratio"])
    nearest = 1 - truth["eccentricity"]
    most = {"semidetached": 1.0, "contact": 1.12}.get(kind, MAXIMUM_FILLING) + 1e-9
    for radius, lobe in zip((truth["radius_1"], truth["radius_2"]), lobes, strict=True):
        assert (radius <= most * lobe * nearest).all()
    assert (truth["inclination"] <= 90).all()
    for name in table(kind).parameters:
        assert name in truth or name in ("expansion", "eccentricity_fraction")
    for name in table(kind).derived:
        assert np.isfinite(truth[name]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_systems_are_eclipsed_and_do_not_depend_on_each_other(kind: str) -> None:
    made = DENSE.sources[kind]
    truth = made.draw(40, np.random.default_rng(1))
    flux = made.flux(truth, TIME, 1 / 48)
    assert flux.dtype == np.float32
    assert flux.shape == (40, len(TIME))
    assert np.isfinite(flux).all()
    assert (flux > 0).all()
    np.testing.assert_allclose(np.median(flux, 1), 1, atol=0.2)
    alone = made.flux({name: value[7:8] for name, value in truth.items()}, TIME, 1 / 48)
    np.testing.assert_array_equal(alone[0], flux[7])
    if isinstance(made, Binary) and kind != "contact":
        depth = 1 - binary_curve(truth).flux[:, 0]
        assert (depth > 0).mean() > 0.95


def test_long_exposures_are_the_mean_of_short_ones() -> None:
    fine = 1400 + (np.arange(48 * 15 * 8) + 0.5) / (720 * 8)  # eight to two minutes
    coarse = fine.reshape(-1, 120).mean(1)
    for made in (Detached(), Semidetached(), Contact()):
        truth = made.draw(20, np.random.default_rng(2))
        short = made.flux(truth, fine, 1 / 5760).reshape(20, -1, 120).mean(2)
        np.testing.assert_allclose(made.flux(truth, coarse, 1 / 48), short, atol=2e-5)


def test_contact_binaries_are_smooth_and_have_two_humps() -> None:
    truth = Contact().draw(50, np.random.default_rng(3))
    phase = np.linspace(0, 1, 500)
    for i in range(50):
        one = {name: value[i : i + 1] for name, value in truth.items()} | {"phase": np.zeros(1)}
        flux = Contact().flux(one, phase * one["period"], 0.0)[0].astype(float)
        assert np.abs(np.diff(flux, 2)).max() < 0.03 * np.ptp(flux)  # no corner
        harmonics = np.abs(np.fft.rfft(flux[:-1]))[1:]
        assert harmonics.argmax() == 1
        assert flux[0] < np.median(flux)


def test_the_oconnell_effect_is_the_difference_of_the_maxima() -> None:
    truth: Any = Contact().draw(1, np.random.default_rng(4)) | {"oconnell": np.array([0.02]), "phase": np.zeros(1)}
    first, second = Contact().flux(truth, np.array([0.25, 0.75]) * truth["period"], 0.0)[0]
    assert first - second == pytest.approx(0.04, abs=1e-6)


def test_a_pulsating_binary_is_the_binary_times_its_stars_pulsation() -> None:
    made: Any = DENSE.sources["delta_scuti_binary"]
    truth = made.draw(5, np.random.default_rng(5))
    diluted = truth | {"third_light": np.ones(5)}  # all light is the third star's
    np.testing.assert_allclose(made.flux(diluted, TIME, 0.0), 1, atol=1e-6)
    swing = made.flux(truth, TIME, 0.0) / Detached().flux(truth, TIME, 0.0)
    assert (swing.std(1) > 0).all()


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
    found = hidden_fraction(distance, zero + ratio, zero, zero)
    np.testing.assert_allclose(found, [lens(d, ratio) for d in distance], atol=1e-6)


@pytest.mark.parametrize("ratio", [0.05, 0.3, 0.9, 1.2])
def test_limb_darkened_discs_are_those_of_batman(ratio: float) -> None:
    batman = pytest.importorskip("batman", reason="batman isn't installed")
    distance = np.linspace(0.00123, 1 + ratio + 0.1, 301)  # batman is wrong at exactly 1 - ratio
    full = np.full_like(distance, 1.0)
    theirs = 1 - batman._quadratic_ld._quadratic_ld(distance, ratio, 0.4, 0.25, 1)
    np.testing.assert_allclose(hidden_fraction(distance, full * ratio, full * 0.4, full * 0.25), theirs, atol=1e-6)


def test_a_larger_disc_hides_all_and_a_distant_one_nothing() -> None:
    d, k, u = np.array([0.0, 0.15, 3.0]), np.array([1.3, 1.2, 1.5]), np.full(3, 0.3)
    np.testing.assert_allclose(hidden_fraction(d, k, u, u), [1, 1, 0], atol=1e-12)


def test_roche_lobes_are_eggletons() -> None:
    # equal masses, and the expansion for a light star (Paczynski 1971)
    assert roche_radius(np.array(1.0)) == pytest.approx(0.379, abs=5e-4)
    assert roche_radius(np.array(0.01)) == pytest.approx(0.462 * (0.01 / 1.01) ** (1 / 3), rel=0.03)


def orbit(e: float, omega: float, inclination: float = 88.0, reach: float = 0.2) -> Orbit:
    return Orbit.from_elements(*(np.array([x]) for x in (e, np.radians(omega), np.radians(inclination), reach)))


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
    o = Orbit.from_elements(rng.uniform(0, 0.8, 50), rng.uniform(0, 7, 50), inclination, np.full(50, 0.3))
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
    time, truth = rng.uniform(-3, 30, 40), {"period": np.array([0.9, 1.0, 1.3]), "phase": rng.random(3)}
    phase = time / truth["period"][:, None] + truth["phase"][:, None]
    averages, width = curve.exposures(truth, time, 0.2), 0.2 / truth["period"]
    places = (np.arange(20_000) + 0.5) / 20_000 - 0.5
    for i in range(3):
        inside = (phase[i][:, None] + width[i] * places) % 1
        np.testing.assert_allclose(averages[i], np.interp(inside, curve.phase[i], curve.flux[i]).mean(1), atol=2e-6)


def test_a_short_exposure_is_the_light_curve_itself() -> None:
    curve, phase = polygons(), np.random.default_rng(3).random(40)
    exact = [np.interp(phase, x, y) for x, y in zip(curve.phase, curve.flux, strict=True)]
    truth = {"period": np.ones(3), "phase": np.zeros(3)}
    np.testing.assert_allclose(curve.exposures(truth, phase, 0.0), exact, atol=1e-6)


def planet_system(**changes: float) -> dict[str, Any]:
    parameters = {
        "period": 4.0,
        "phase": 0.0,
        "radius_ratio": 0.1,
        "axis": 9.0,
        "inclination": 89.0,
        "eccentricity": 0.0,
    }
    parameters |= {"periastron": 90.0, "limb_1": 0.0, "limb_2": 0.0, "secondary": 1e-9}
    return {name: np.array([value]) for name, value in (parameters | changes).items()}


@needs_batman
def test_depth_and_duration() -> None:
    time = np.linspace(-0.2, 0.2, 8001)
    flux = PLANET.flux(planet_system(), time, 0.0)[0]
    assert 1 - flux.min() == pytest.approx(0.01, rel=1e-4)
    b = 9 * np.cos(np.radians(89))
    whole = 4 / np.pi * np.arcsin(np.sqrt(1.1**2 - b**2) / 9 / np.sin(np.radians(89)))
    assert np.ptp(time[flux < 1 - 1e-6]) == pytest.approx(whole, abs=2e-3)


@needs_batman
def test_the_occultation_is_where_the_orbit_puts_it() -> None:
    truth = planet_system(secondary=1e-3, eccentricity=0.2, periastron=0.0)
    curve = transit_curve(truth)
    behind = (curve.flux[0] < 1 - 5e-4) & (curve.phase[0] > 0.2) & (curve.phase[0] < 0.8)
    assert curve.flux[0][behind].min() == pytest.approx(1 - 1e-3, abs=1e-6)
    e, cosine = 0.2, 1.0  # Winn (2010), equation 33 and higher orders
    later = (np.arctan2(e * cosine, np.sqrt(1 - e**2)) + e * cosine * np.sqrt(1 - e**2) / (1 - 0)) / np.pi
    assert curve.phase[0][behind].mean() == pytest.approx(0.5 + later, abs=3e-3)


@needs_batman
def test_a_dark_small_star_is_a_planet() -> None:
    time = np.linspace(-0.2, 0.2, 401)
    planet = PLANET.flux(planet_system(limb_1=0.4, limb_2=0.2, inclination=86.0), time, 1 / 48)
    star = planet_system(limb_1=0.4, limb_2=0.2, inclination=86.0)
    star |= {"radius_1": np.array([1 / 9]), "radius_2": np.array([0.1 / 9]), "mass": np.array([1e-12])}
    star |= {"mass_ratio": np.array([1e-12]), "surface_brightness_ratio": np.array([1e-12])}
    star |= {name: np.zeros(1) for name in ("third_light", "gravity_darkening", "albedo")}
    # masses without weight: a tide of the light companion on the heavy one only
    np.testing.assert_allclose(Detached().flux(star, time, 1 / 48), planet, atol=2e-5)


@needs_batman
def test_drawn_planets_transit() -> None:
    truth = PLANET.draw(60, np.random.default_rng(0))
    curve = transit_curve(truth)
    assert np.isfinite(curve.flux).all()
    assert (np.diff(curve.phase, axis=1) >= 0).all()
    assert (1 - curve.flux[:, 0] > 0).mean() > 0.95  # some graze by less than batman's precision
    assert np.median(1 - curve.flux[:, 0]) > 1e-3
    flux = PLANET.flux(truth, 1400 + np.arange(300) / 48, 1 / 48)
    alone = PLANET.flux({name: value[5:6] for name, value in truth.items()}, 1400 + np.arange(300) / 48, 1 / 48)
    np.testing.assert_array_equal(alone[0], flux[5])


def test_a_missing_batman_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "batman":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"goodricke\[simulate\]"):
        batman()
