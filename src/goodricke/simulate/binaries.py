"""Eclipsing binaries: detached, semi-detached, in contact, and detached ones of which one star pulsates.

Stars are discs with limb darkening whose tides, mutual heating and motion change their light by the first terms of the
theory (Morris & Naftilan 1993; Kumar et al. 1995; Faigler & Mazeh 2011).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate.eclipses import Float, Orbit, PhaseCurve, hidden, roche_radius
from goodricke.simulate.parameters import table
from goodricke.simulate.source import Drawn, Source

WAVELENGTH = 0.7  # um, between the bands of Kepler and TESS
FULLEST = 0.85  # of its Roche lobe that a star of a detached system fills at periastron
HARMONICS = 6  # of a contact binary: its stars hide each other without a sharp beginning or end


@dataclass(frozen=True)
class Binary:
    """A kind of eclipsing binary."""

    kind: str
    drawing: Callable[[int, np.random.Generator], Drawn]

    @property
    def label(self) -> str:
        """The class."""
        return table(self.kind).label

    def draw(self, n: int, rng: np.random.Generator) -> Drawn:
        """Return the true parameters of ``n`` systems."""
        return self.drawing(n, rng)

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> NDArray[np.float32]:
        """Return relative flux (n, T); see `Source`."""
        width = max(exposure, 1e-6) / drawn["period"]
        return light_curve(drawn).observed(cycles(drawn, time), width)


def cycles(drawn: Drawn, time: Float) -> Float:
    """Return times in orbits since the primary eclipse, (n, T)."""
    return time / drawn["period"][:, None] + drawn["phase"][:, None]


class Star(NamedTuple):
    """One of the two stars of n systems."""

    radius: Float  # (n, 1) over the semi-major axis
    light: Float  # (n, 1) fraction of the pair's light
    mass_ratio: Float  # (n, 1) of the companion over itself
    gravity: Float  # (n, 1) gravity darkening exponent
    speed: Float  # (n, 1) semi-amplitude over the speed of light
    sign: int  # +1 for star 1, which is in front half an orbit after phase 0


def light_curve(drawn: Drawn) -> PhaseCurve:
    """Return relative flux against phase; the pair's undisturbed light, with the third's, is 1."""
    d = {name: value[:, None] for name, value in drawn.items() if value.ndim == 1}
    inclination = np.radians(d["inclination"])
    orbit = Orbit.of(
        *(drawn["eccentricity"], np.radians(drawn["periastron"]), inclination[:, 0]),
        drawn["radius_1"] + drawn["radius_2"],
    )
    first, second = stars(d)
    lights = []
    for star, other in ((first, second), (second, first)):
        phase_angle = np.where(star.sign > 0, 0, np.pi) + orbit.angle  # 0: the companion is in front
        bright = star.light * (1 + tides(star, orbit, phase_angle, inclination, d["limb_1"] + d["limb_2"] / 2))
        bright = bright * (1 + 4 * star.speed * np.sin(phase_angle))  # beaming, Loeb & Gaudi (2003), flat spectrum
        facing = (star.radius / orbit.distance) ** 2 * (1 + np.cos(phase_angle) * np.sin(inclination)) / 2
        bright = bright + other.light * d["albedo"] * facing  # heated by its companion
        behind = np.cos(phase_angle) > 0
        apart = np.where(behind, orbit.projected / star.radius, np.inf)
        lights.append(bright * (1 - hidden(apart, other.radius / star.radius, d["limb_1"], d["limb_2"])))
    third = d["third_light"]
    return PhaseCurve(orbit.phase, third + (1 - third) * (lights[0] + lights[1]))


def stars(d: Drawn) -> tuple[Star, Star]:
    """Return both stars of systems with parameters (n, 1)."""
    ratio, brightness = d["mass_ratio"], d["surface_brightness_ratio"]
    light = 1 / (1 + brightness * (d["radius_2"] / d["radius_1"]) ** 2)
    whole = 213 / 299_792 * np.cbrt(d["mass"] * (1 + ratio) / d["period"])  # speed of one star around the other over c
    whole = whole * np.sin(np.radians(d["inclination"])) / np.sqrt(1 - d["eccentricity"] ** 2)
    speeds = whole * ratio / (1 + ratio), whole / (1 + ratio)
    return (
        Star(d["radius_1"], light, ratio, d["gravity_darkening"], speeds[0], 1),
        Star(d["radius_2"], 1 - light, 1 / ratio, d["gravity_darkening"], speeds[1], -1),
    )


def tides(star: Star, orbit: Orbit, phase_angle: Float, inclination: Float, limb: Float) -> Float:
    """Return the relative change of a star's light by its tidal bulge, (n, G).

    Morris & Naftilan (1993), equation 1, at the distance of the moment as Kumar et al. (1995) have it.
    """
    strength = 0.15 * (15 + limb) * (1 + star.gravity) / (3 - limb) * star.mass_ratio
    bulge = strength * (star.radius / orbit.distance) ** 3 / 1.5
    return bulge * (1 - 3 * (np.sin(inclination) * np.cos(phase_angle)) ** 2)


# ---- drawing ------------------------------------------------------------------------------------------------------


def main_sequence_radius(mass: Float) -> Float:
    """Return radii in solar ones of main-sequence stars with masses in solar ones (Demircan & Kahraman 1991)."""
    return np.where(mass < 1.66, 1.06 * mass**0.945, 1.33 * mass**0.555)


def main_sequence_temperature(mass: Float) -> Float:
    """Return effective temperatures [K] of main-sequence stars with masses in solar ones."""
    return 5772 * np.minimum(mass, 20.0) ** 0.57


def brightness_ratio(hot: Float, cool: Float) -> Float:
    """Return the surface brightness at temperature ``cool`` over that at ``hot`` [K], of black bodies."""
    return np.expm1(14388 / (WAVELENGTH * hot)) / np.expm1(14388 / (WAVELENGTH * cool))


def separation(mass: Float, period: Float) -> Float:
    """Return semi-major axes in solar radii of total masses in solar ones and periods in days (Kepler's third law)."""
    return 4.2083 * np.cbrt(mass * period**2)


def widest_eccentricity(period: Float) -> Float:
    """Return the upper envelope of the eccentricities of binaries with periods [d] (Mazeh 2008, equation 4.4)."""
    return np.clip(0.98 - 3.25 * np.exp(-((6.3 * period) ** 0.23)), 0, 0.8)


def inclined(drawn: Drawn) -> Float:
    """Return inclinations [deg] at which the discs' centres pass at ``impact`` sums of the radii at primary eclipse."""
    e, omega = drawn["eccentricity"], np.radians(drawn["periastron"])
    cosine = drawn["impact"] * (drawn["radius_1"] + drawn["radius_2"]) * (1 + e * np.sin(omega)) / (1 - e**2)
    return np.degrees(np.arccos(np.minimum(cosine, 1)))


def draw_detached(n: int, rng: np.random.Generator, kind: str = "detached") -> Drawn:
    """Return systems of two main-sequence or slightly evolved stars, apart enough to be detached."""
    drawn = table(kind).draw(n, rng)
    mass, ratio = drawn["mass"], drawn["mass_ratio"]
    e = drawn["eccentricity"] = drawn.pop("eccentricity_fraction") * widest_eccentricity(drawn["period"])
    radii = main_sequence_radius(mass) * drawn.pop("expansion"), main_sequence_radius(mass * ratio)
    most = [FULLEST * roche_radius(q) * (1 - e) for q in (1 / ratio, ratio)]
    narrow = np.maximum(radii[0] / most[0], radii[1] / most[1]) / separation(mass * (1 + ratio), drawn["period"])
    drawn["period"] *= np.maximum(narrow, 1) ** 1.5  # too close for their size: moved apart
    axis = separation(mass * (1 + ratio), drawn["period"])
    drawn["radius_1"], drawn["radius_2"] = radii[0] / axis, radii[1] / axis
    hot, cool = main_sequence_temperature(mass), main_sequence_temperature(mass * ratio)
    drawn["surface_brightness_ratio"] = brightness_ratio(hot, cool)
    return drawn | {"inclination": inclined(drawn)}


def draw_semidetached(n: int, rng: np.random.Generator) -> Drawn:
    """Return Algols: a hot main-sequence star, and a cooler and lighter one that fills its Roche lobe."""
    drawn = table("semidetached").draw(n, rng)
    mass, ratio = drawn["mass"], drawn["mass_ratio"]
    radius = main_sequence_radius(mass)
    narrow = radius / (FULLEST * roche_radius(1 / ratio)) / separation(mass * (1 + ratio), drawn["period"])
    drawn["period"] *= np.maximum(narrow, 1) ** 1.5
    drawn["radius_1"] = radius / separation(mass * (1 + ratio), drawn["period"])
    drawn["radius_2"] = roche_radius(ratio)
    drawn["surface_brightness_ratio"] = brightness_ratio(main_sequence_temperature(mass), drawn["temperature_2"])
    drawn |= {"eccentricity": np.zeros(n), "periastron": np.full(n, 90.0)}
    return drawn | {"inclination": inclined(drawn)}


def draw_contact(n: int, rng: np.random.Generator) -> Drawn:
    """Return W Ursae Majoris stars: both overfill their Roche lobes by the fill-out, at nearly one temperature."""
    drawn = table("contact").draw(n, rng)
    ratio, swollen = drawn["mass_ratio"], 1 + 0.12 * drawn["fill_out"]
    drawn["radius_1"], drawn["radius_2"] = roche_radius(1 / ratio) * swollen, roche_radius(ratio) * swollen
    hot = drawn["temperature_1"]
    drawn["surface_brightness_ratio"] = brightness_ratio(hot, hot + drawn["temperature_difference"])
    return drawn | {"eccentricity": np.zeros(n), "periastron": np.full(n, 90.0)}


# ---- kinds of their own -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contact(Binary):
    """W Ursae Majoris stars: the light of two lobes, smoothed to a few harmonics, unequal maxima by spots."""

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> NDArray[np.float32]:
        """Return relative flux (n, T); the exposure is in the harmonics' amplitudes."""
        order, cosines = harmonics(light_curve(drawn))
        cosines = cosines * np.sinc(order * exposure / drawn["period"][:, None])
        angle = 2 * np.pi * cycles(drawn, time)
        spots = drawn["oconnell"] * np.sinc(exposure / drawn["period"])
        flux = 1 + spots[:, None] * np.sin(angle)
        for k, amplitude in zip(order, cosines.T, strict=True):
            flux += amplitude[:, None] * np.cos(k * angle)
        return flux.astype(np.float32)


def harmonics(curve: PhaseCurve) -> tuple[Float, Float]:
    """Return the orders (H,) and relative amplitudes (n, H) of the cosines of symmetric light curves.

    Lanczos' sigma factors take the place of the sharp cut, which would ring.
    """
    order = np.arange(1.0, HARMONICS + 1)
    wave = np.cos(2 * np.pi * order * curve.phase[:, :, None])  # (n, G, H)
    mean = np.asarray(np.trapezoid(curve.flux, curve.phase, axis=1))
    overlap = np.asarray(np.trapezoid(curve.flux[:, :, None] * wave, curve.phase[:, :, None], axis=1))
    amplitudes = 2 * overlap / mean[:, None]
    return order, amplitudes * np.sinc(order / (HARMONICS + 1))


@dataclass(frozen=True)
class PulsatingBinary(Binary):
    """Detached systems whose brighter star pulsates."""

    pulsator: Source

    def draw(self, n: int, rng: np.random.Generator) -> Drawn:
        """Return the true parameters: the system's, and the pulsator's behind ``pulsation_``."""
        drawn = draw_detached(n, rng, self.kind)
        return drawn | {f"pulsation_{name}": value for name, value in self.pulsator.draw(n, rng).items()}

    def flux(self, drawn: Drawn, time: Float, exposure: float) -> NDArray[np.float32]:
        """Return relative flux (n, T): star 1's pulsation diluted by the other light, eclipsed like all of it."""
        pulsation = {name.removeprefix("pulsation_"): v for name, v in drawn.items() if name.startswith("pulsation_")}
        swing = self.pulsator.flux(pulsation, time, exposure) - 1
        light = stars({name: value[:, None] for name, value in drawn.items() if value.ndim == 1})[0].light
        share = (1 - drawn["third_light"][:, None]) * light
        return super().flux(drawn, time, exposure) * (1 + share.astype(np.float32) * swing)


DETACHED = Binary("detached", draw_detached)
SEMIDETACHED = Binary("semidetached", draw_semidetached)
CONTACT = Contact("contact", draw_contact)
