"""Transiting planets, by batman (Kreidberg 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate.binaries import cycles
from goodricke.simulate.eclipses import Float, PhaseCurve
from goodricke.simulate.parameters import table
from goodricke.simulate.source import Drawn

WINDOW = 161  # phases in the transit, and as many in the occultation


def batman() -> ModuleType:
    """Return the package batman.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        import batman
    except ImportError as error:
        raise ImportError("simulated transits need batman: pip install 'goodricke[simulate]'") from error
    return batman


@dataclass(frozen=True)
class Planet:
    """Planets in transit, from hot Jupiters to small ones, and grazing."""

    kind: str = "planet"
    label: str = "ECLIPSE"

    def draw(self, n: int, rng: np.random.Generator) -> Drawn:
        """Return the true parameters of ``n`` systems; the orbit's size follows from the star's density."""
        drawn = table(self.kind).draw(n, rng)
        drawn["axis"] = 4.207 * np.cbrt(drawn["density"] / 1.41 * drawn["period"] ** 2)
        drawn["axis"] = np.maximum(drawn["axis"], 2.5 / (1 - drawn["eccentricity"]))
        e, omega = drawn["eccentricity"], np.radians(drawn["periastron"])
        nearness = (1 + e * np.sin(omega)) / (1 - e**2)
        cosine = drawn["impact"] * (1 + drawn["radius_ratio"]) * nearness / drawn["axis"]
        return drawn | {"inclination": np.degrees(np.arccos(np.minimum(cosine, 1)))}

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> NDArray[np.float32]:
        """Return relative flux (n, T); see `Source`."""
        return light_curve(drawn).observed(cycles(drawn, time), max(exposure, 1e-6) / drawn["period"])


def light_curve(drawn: Drawn) -> PhaseCurve:
    """Return relative flux against phase: 1, dimmer in transit and in occultation."""
    curves = [_one({name: float(value[i]) for name, value in drawn.items()}) for i in range(len(drawn["period"]))]
    return PhaseCurve(np.stack([phase for phase, _ in curves]), np.stack([flux for _, flux in curves]))


def _one(p: dict[str, float]) -> tuple[Float, Float]:
    """Return phases from 0 to 1 and the fluxes of one system; phase 0 is the middle of the transit."""
    model = _model(p)
    half = 0.55 * _duration(p) / p["period"]
    transit = half * np.linspace(-1, 1, WINDOW)
    primary = batman().TransitModel(model, transit)
    model.t_secondary = primary.get_t_secondary(model)
    occultation = model.t_secondary + transit * _stretch(p)
    dimmed = [
        primary.light_curve(model),
        batman().TransitModel(model, occultation, transittype="secondary").light_curve(model) - p["secondary"],
    ]
    phase = np.mod(np.concatenate([transit, occultation]), 1)
    order = np.argsort(phase)
    phase, flux = phase[order], np.concatenate(dimmed)[order]
    return np.append(phase, 1.0), np.append(flux, flux[0])


def _model(p: dict[str, float]) -> Any:
    """Return batman's parameters, with the period as the unit of time."""
    model = batman().TransitParams()
    model.t0, model.per, model.rp, model.a, model.inc = 0.0, 1.0, p["radius_ratio"], p["axis"], p["inclination"]
    model.ecc, model.w = p["eccentricity"], p["periastron"]
    model.limb_dark, model.u = "quadratic", [p["limb_1"], p["limb_2"]]
    model.fp = p["secondary"]
    return model


def _duration(p: dict[str, float], sign: int = 1) -> float:
    """Return the duration of the transit (sign 1) or the occultation (-1) [d]; Winn (2010), equations 14 and 16."""
    e, omega, tilt = p["eccentricity"], np.radians(p["periastron"]), np.radians(p["inclination"])
    speed = np.sqrt(1 - e**2) / (1 + sign * e * np.sin(omega))
    nearness = (1 - e**2) / (1 + sign * e * np.sin(omega))
    reach = (1 + p["radius_ratio"]) ** 2 - (p["axis"] * np.cos(tilt) * nearness) ** 2
    chord = np.sqrt(max(reach, 1e-4)) / (p["axis"] * np.sin(tilt))
    return float(p["period"] / np.pi * np.arcsin(min(chord, 1.0)) * speed)


def _stretch(p: dict[str, float]) -> float:
    """Return the occultation's duration over the transit's."""
    return _duration(p, -1) / _duration(p)
