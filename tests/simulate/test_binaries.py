"""Eclipsing binaries against what can be said of them in closed form."""

from typing import Any

import numpy as np
import pytest

from goodricke.simulate.binaries import (
    CONTACT,
    DETACHED,
    FULLEST,
    SEMIDETACHED,
    Binary,
    Float,
    brightness_ratio,
    light_curve,
    main_sequence_temperature,
    roche_radius,
    separation,
    widest_eccentricity,
)
from goodricke.simulate.kinds import source
from goodricke.simulate.parameters import table
from goodricke.simulate.source import Drawn

KINDS = ("detached", "semidetached", "contact", "delta_scuti_binary", "gamma_doradus_binary")
TIME = 1325.3 + np.arange(600) / 48


def system(**changes: float) -> Drawn:
    """Return a wide pair of spheres without limb darkening, heating or tides, seen from the side."""
    told = {"period": 10.0, "phase": 0.0, "mass": 1.0, "mass_ratio": 1e-9, "radius_1": 0.1, "radius_2": 0.05}
    told |= {"inclination": 90.0, "eccentricity": 0.0, "periastron": 90.0, "surface_brightness_ratio": 0.5}
    told |= {"third_light": 0.0, "limb_1": 0.0, "limb_2": 0.0, "gravity_darkening": 0.0, "albedo": 0.0}
    return {name: np.array([value]) for name, value in (told | changes).items()}


def at_phases(drawn: Drawn, phase: Float) -> Float:
    curve = light_curve(drawn)
    return np.interp(phase % 1, curve.phase[0], curve.flux[0])


def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the tides: the light star of these tests has enormous ones."""
    monkeypatch.setattr("goodricke.simulate.binaries.tides", lambda *_: 0.0)


def test_the_depths_are_those_of_uniform_discs(monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch)
    light_1 = 1 / (1 + 0.5 * 0.25)
    primary, secondary = at_phases(system(mass=1e-9), np.array([0.0, 0.5]))
    assert 1 - primary == pytest.approx(0.25 * light_1, abs=1e-6)
    assert 1 - secondary == pytest.approx(1 - light_1, abs=1e-6)
    diluted = at_phases(system(mass=1e-9, third_light=0.4), np.array([0.0]))
    assert 1 - diluted[0] == pytest.approx(0.6 * 0.25 * light_1, abs=1e-6)


def test_the_duration_is_that_of_the_chord(monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch)
    drawn = system(mass=1e-9, inclination=87.0)
    b = np.cos(np.radians(87)) / 0.1
    half = np.arcsin(0.1 * np.sqrt(1.5**2 - b**2) / np.sin(np.radians(87))) / (2 * np.pi)
    inside, outside = at_phases(drawn, np.array([half - 0.0005, half + 0.0005]))
    assert inside < 1 - 1e-6
    assert outside == pytest.approx(1, abs=1e-7)


def test_an_eccentric_orbit_moves_the_secondary_eclipse(monkeypatch: pytest.MonkeyPatch) -> None:
    still(monkeypatch)
    e, omega = 0.05, 0.0
    phase = np.linspace(0.3, 0.8, 20_001)
    flux = at_phases(system(mass=1e-9, eccentricity=e, periastron=omega), phase)
    middle = phase[flux < 1 - 1e-5].mean()
    assert middle == pytest.approx(0.5 + 2 * e / np.pi, abs=2e-3)  # Kopal, first order in e


def test_tides_are_morris_ellipsoidal_variation() -> None:
    drawn = system(mass_ratio=0.5, radius_1=0.2, radius_2=0.01, gravity_darkening=0.3, limb_1=0.4, inclination=60.0)
    drawn["surface_brightness_ratio"] = np.array([1e-9])
    drawn["mass"], drawn["period"] = np.array([1e-12]), np.array([1.0])  # no beaming
    curve = light_curve(drawn)
    phase = np.linspace(0, 1, 1000, endpoint=False)
    flux = np.interp(phase, curve.phase[0], curve.flux[0])
    amplitude = -2 * np.mean(flux * np.cos(4 * np.pi * phase))
    coefficient = 0.15 * (15 + 0.4) * 1.3 / (3 - 0.4)
    assert amplitude == pytest.approx(coefficient * 0.5 * 0.2**3 * np.sin(np.radians(60)) ** 2, rel=0.01)


def test_beaming_brightens_the_approaching_star() -> None:
    drawn = system(mass_ratio=1.0, radius_1=0.01, radius_2=0.01, surface_brightness_ratio=1e-9, period=1.0)
    before, after = at_phases(drawn, np.array([0.75, 0.25]))
    speed = 213 / 299_792 * np.cbrt(2.0) / 2
    assert after - before == pytest.approx(8 * speed, rel=1e-3)


def test_a_heated_companion_is_brightest_before_it_is_hidden() -> None:
    drawn = system(albedo=1.0, radius_1=0.3, radius_2=0.2, surface_brightness_ratio=1e-9)
    side, full = at_phases(drawn, np.array([0.25, 0.38]))
    assert full - side > 0.005


def test_keplers_third_law() -> None:
    assert separation(np.array(1.0), np.array(365.25)) == pytest.approx(215.03, rel=2e-3)  # solar radii in an au


def test_hotter_is_brighter() -> None:
    hot, cool = main_sequence_temperature(np.array([1.5, 1.0]))
    assert 0 < brightness_ratio(hot, cool) < 1
    assert brightness_ratio(hot, hot) == pytest.approx(1)
    assert (np.diff(widest_eccentricity(np.array([0.5, 1, 3, 10, 50]))) >= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_drawn_systems_are_possible(kind: str) -> None:
    drawn = source(kind).draw(300, np.random.default_rng(0))
    lobes = roche_radius(1 / drawn["mass_ratio"]), roche_radius(drawn["mass_ratio"])
    nearest = 1 - drawn["eccentricity"]
    most = {"semidetached": 1.0, "contact": 1.12}.get(kind, FULLEST) + 1e-9
    for radius, lobe in zip((drawn["radius_1"], drawn["radius_2"]), lobes, strict=True):
        assert (radius <= most * lobe * nearest).all()
    assert (drawn["inclination"] <= 90).all()
    told = table(kind)
    for name in told.parameters:
        assert name in drawn or name in ("expansion", "eccentricity_fraction")
    for name in told.derived:
        assert np.isfinite(drawn[name]).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_system_is_eclipsed_and_alone_as_in_company(kind: str) -> None:
    made = source(kind)
    drawn = made.draw(40, np.random.default_rng(1))
    flux = made.flux(drawn, TIME, 1 / 48)
    assert flux.dtype == np.float32
    assert flux.shape == (40, len(TIME))
    assert np.isfinite(flux).all()
    assert (flux > 0).all()
    np.testing.assert_allclose(np.median(flux, 1), 1, atol=0.2)
    alone = made.flux({name: value[7:8] for name, value in drawn.items()}, TIME, 1 / 48)
    np.testing.assert_array_equal(alone[0], flux[7])
    if isinstance(made, Binary) and kind != "contact":
        depth = 1 - light_curve(drawn).flux[:, 0]
        assert (depth > 0).mean() > 0.95


def test_long_exposures_are_the_mean_of_short_ones() -> None:
    fine = 1400 + (np.arange(48 * 15 * 8) + 0.5) / (720 * 8)  # eight to two minutes
    coarse = fine.reshape(-1, 120).mean(1)
    for made in (DETACHED, SEMIDETACHED, CONTACT):
        drawn = made.draw(20, np.random.default_rng(2))
        short = made.flux(drawn, fine, 1 / 5760).reshape(20, -1, 120).mean(2)
        np.testing.assert_allclose(made.flux(drawn, coarse, 1 / 48), short, atol=2e-5)


def test_contact_binaries_are_smooth_and_have_two_humps() -> None:
    drawn = CONTACT.draw(50, np.random.default_rng(3))
    phase = np.linspace(0, 1, 500)
    for i in range(50):
        one = {name: value[i : i + 1] for name, value in drawn.items()} | {"phase": np.zeros(1)}
        flux = CONTACT.flux(one, phase * one["period"], 0.0)[0].astype(float)
        assert np.abs(np.diff(flux, 2)).max() < 0.03 * np.ptp(flux)  # no corner
        harmonics = np.abs(np.fft.rfft(flux[:-1]))[1:]
        assert harmonics.argmax() == 1
        assert flux[0] < np.median(flux)


def test_the_oconnell_effect_is_the_difference_of_the_maxima() -> None:
    drawn: Any = CONTACT.draw(1, np.random.default_rng(4)) | {"oconnell": np.array([0.02]), "phase": np.zeros(1)}
    first, second = CONTACT.flux(drawn, np.array([0.25, 0.75]) * drawn["period"], 0.0)[0]
    assert first - second == pytest.approx(0.04, abs=1e-6)


def test_a_pulsating_binary_is_the_binary_times_its_stars_pulsation() -> None:
    made: Any = source("delta_scuti_binary")
    drawn = made.draw(5, np.random.default_rng(5))
    still_star = drawn | {"third_light": np.ones(5)}  # all light is the third star's
    np.testing.assert_allclose(made.flux(still_star, TIME, 0.0), 1, atol=1e-6)
    swing = made.flux(drawn, TIME, 0.0) / DETACHED.flux(drawn, TIME, 0.0)
    assert (swing.std(1) > 0).all()
