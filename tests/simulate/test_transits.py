"""Transits against Winn's (2010) formulae, the binaries' own discs, and a missing batman."""

import builtins
from typing import Any

import numpy as np
import pytest

from goodricke.simulate.binaries import DETACHED, Planet, batman, transit_light_curve

pytest.importorskip("batman", reason="batman isn't installed")
PLANET = Planet()


def system(**changes: float) -> dict[str, Any]:
    told = {"period": 4.0, "phase": 0.0, "radius_ratio": 0.1, "axis": 9.0, "inclination": 89.0, "eccentricity": 0.0}
    told |= {"periastron": 90.0, "limb_1": 0.0, "limb_2": 0.0, "secondary": 1e-9}
    return {name: np.array([value]) for name, value in (told | changes).items()}


def test_depth_and_duration() -> None:
    time = np.linspace(-0.2, 0.2, 8001)
    flux = PLANET.flux(system(), time, 0.0)[0]
    assert 1 - flux.min() == pytest.approx(0.01, rel=1e-4)
    b = 9 * np.cos(np.radians(89))
    whole = 4 / np.pi * np.arcsin(np.sqrt(1.1**2 - b**2) / 9 / np.sin(np.radians(89)))
    assert np.ptp(time[flux < 1 - 1e-6]) == pytest.approx(whole, abs=2e-3)


def test_the_occultation_is_where_the_orbit_puts_it() -> None:
    drawn = system(secondary=1e-3, eccentricity=0.2, periastron=0.0)
    curve = transit_light_curve(drawn)
    behind = (curve.flux[0] < 1 - 5e-4) & (curve.phase[0] > 0.2) & (curve.phase[0] < 0.8)
    assert curve.flux[0][behind].min() == pytest.approx(1 - 1e-3, abs=1e-6)
    e, cosine = 0.2, 1.0  # Winn (2010), equation 33 and higher orders
    later = (np.arctan2(e * cosine, np.sqrt(1 - e**2)) + e * cosine * np.sqrt(1 - e**2) / (1 - 0)) / np.pi
    assert curve.phase[0][behind].mean() == pytest.approx(0.5 + later, abs=3e-3)


def test_a_dark_small_star_is_a_planet() -> None:
    time = np.linspace(-0.2, 0.2, 401)
    planet = PLANET.flux(system(limb_1=0.4, limb_2=0.2, inclination=86.0), time, 1 / 48)
    star = system(limb_1=0.4, limb_2=0.2, inclination=86.0)
    star |= {"radius_1": np.array([1 / 9]), "radius_2": np.array([0.1 / 9]), "mass": np.array([1e-12])}
    star |= {"mass_ratio": np.array([1e-12]), "surface_brightness_ratio": np.array([1e-12])}
    star |= {name: np.zeros(1) for name in ("third_light", "gravity_darkening", "albedo")}
    # masses without weight: a tide of the light companion on the heavy one only
    np.testing.assert_allclose(DETACHED.flux(star, time, 1 / 48), planet, atol=2e-5)


def test_drawn_planets_transit() -> None:
    drawn = PLANET.draw(60, np.random.default_rng(0))
    curve = transit_light_curve(drawn)
    assert np.isfinite(curve.flux).all()
    assert (np.diff(curve.phase, axis=1) >= 0).all()
    assert (1 - curve.flux[:, 0] > 0).mean() > 0.95  # some graze by less than batman's precision
    assert np.median(1 - curve.flux[:, 0]) > 1e-3
    flux = PLANET.flux(drawn, 1400 + np.arange(300) / 48, 1 / 48)
    alone = PLANET.flux({name: value[5:6] for name, value in drawn.items()}, 1400 + np.arange(300) / 48, 1 / 48)
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
