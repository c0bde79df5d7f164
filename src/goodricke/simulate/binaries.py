"""Eclipses: binaries that are detached, semi-detached or in contact, binaries with a pulsating star, and planets.

Stars are discs with limb darkening. Tides, mutual heating and motion change their light by the first terms of the
theory (Morris & Naftilan 1993; Kumar et al. 1995; Faigler & Mazeh 2011). Transits are batman's (Kreidberg 2015).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from astropy import constants, units
from numpy.typing import NDArray

from goodricke.simulate.colours import planck
from goodricke.simulate.parameters import table
from goodricke.simulate.source import Float, Source, Truth

SOLAR_TEMPERATURE = 5772.0  # K, nominal (IAU 2015)
SOLAR_DENSITY = float((constants.M_sun / (4 / 3 * np.pi * constants.R_sun**3)).to_value("g / cm3"))
_DAY, _GM = 1 * units.day, constants.G * constants.M_sun
SEPARATION = float(np.cbrt(_GM * _DAY**2 / (4 * np.pi**2)) / constants.R_sun)  # of one solar mass in a day, 4.21
SPEED = float(np.cbrt(2 * np.pi * _GM / _DAY) / constants.c)  # of the same orbit, 213 km/s, over that of light

WAVELENGTH = 0.7  # um, between the bands of Kepler and TESS
MAXIMUM_FILLING = 0.85  # of its Roche lobe by a star of a detached system at periastron
HARMONICS = 6  # of a contact binary, whose eclipses have no sharp beginning or end
NODES = 12  # of the quadrature over the partly covered annuli: 1e-7 of the star's light
BASE, WINDOW = 193, 141  # angles around the orbit, and within each eclipse
TRANSIT_WINDOW = 161  # phases in the transit, and as many in the occultation
_PLACE, _PART = np.polynomial.legendre.leggauss(NODES)
_ANGLE, _WEIGHT = 0.5 * np.pi * (_PLACE + 1), 0.5 * np.pi * _PART


class Binary(ABC):
    """Eclipsing binaries of one kind."""

    kind: str

    @abstractmethod
    def draw(self, n: int, rng: np.random.Generator) -> Truth:
        """See `Source`."""

    def flux(self, truth: Truth, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`."""
        return binary_curve(truth).exposures(truth, time, exposure)


class Detached(Binary):
    """Two main-sequence or slightly evolved stars, wide enough to be detached."""

    kind = "detached"

    def draw(self, n: int, rng: np.random.Generator) -> Truth:
        """See `Source`."""
        truth = table(self.kind).draw(n, rng)
        mass, ratio = truth["mass"], truth["mass_ratio"]
        e = truth["eccentricity"] = truth.pop("eccentricity_fraction") * maximum_eccentricity(truth["period"])
        radii = main_sequence_radius(mass) * truth.pop("expansion"), main_sequence_radius(mass * ratio)
        largest = [MAXIMUM_FILLING * roche_radius(q) * (1 - e) for q in (1 / ratio, ratio)]
        least_axis = np.maximum(radii[0] / largest[0], radii[1] / largest[1])
        _widen(truth, least_axis)
        axis = separation(mass * (1 + ratio), truth["period"])
        truth["radius_1"], truth["radius_2"] = radii[0] / axis, radii[1] / axis
        hot, cool = main_sequence_temperature(mass), main_sequence_temperature(mass * ratio)
        truth["surface_brightness_ratio"] = brightness_ratio(hot, cool)
        return truth | {"inclination": inclination_from_impact(truth)}


class Semidetached(Binary):
    """Algols: a hot main-sequence star, and a cooler and lighter one that fills its Roche lobe."""

    kind = "semidetached"

    def draw(self, n: int, rng: np.random.Generator) -> Truth:
        """See `Source`."""
        truth = table(self.kind).draw(n, rng)
        mass, ratio = truth["mass"], truth["mass_ratio"]
        radius = main_sequence_radius(mass)
        _widen(truth, radius / (MAXIMUM_FILLING * roche_radius(1 / ratio)))
        truth["radius_1"] = radius / separation(mass * (1 + ratio), truth["period"])
        truth["radius_2"] = roche_radius(ratio)
        truth["surface_brightness_ratio"] = brightness_ratio(main_sequence_temperature(mass), truth["temperature_2"])
        truth |= {"eccentricity": np.zeros(n), "periastron": np.full(n, 90.0)}
        return truth | {"inclination": inclination_from_impact(truth)}


def _widen(truth: Truth, least_axis: Float) -> None:
    """Lengthen the periods of systems whose separation would be less than ``least_axis`` [solar radii]."""
    narrow = least_axis / separation(truth["mass"] * (1 + truth["mass_ratio"]), truth["period"])
    truth["period"] *= np.maximum(narrow, 1) ** 1.5


class Contact(Binary):
    """W Ursae Majoris stars: the light of two lobes, smoothed to a few harmonics, unequal maxima by spots."""

    kind = "contact"

    def draw(self, n: int, rng: np.random.Generator) -> Truth:
        """See `Source`; both stars overfill their Roche lobes by the fill-out, at nearly one temperature."""
        truth = table(self.kind).draw(n, rng)
        ratio, excess = truth["mass_ratio"], 1 + 0.12 * truth["fill_out"]
        truth["radius_1"], truth["radius_2"] = roche_radius(1 / ratio) * excess, roche_radius(ratio) * excess
        hot = truth["temperature_1"]
        truth["surface_brightness_ratio"] = brightness_ratio(hot, hot + truth["temperature_difference"])
        return truth | {"eccentricity": np.zeros(n), "periastron": np.full(n, 90.0)}

    def flux(self, truth: Truth, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`; the exposure is in the amplitudes of the harmonics."""
        order, cosines = harmonics(binary_curve(truth))
        cosines = cosines * np.sinc(order * exposure / truth["period"][:, None])
        angle = 2 * np.pi * cycles(truth, time)
        spots = truth["oconnell"] * np.sinc(exposure / truth["period"])
        flux = 1 + spots[:, None] * np.sin(angle)
        for k, amplitude in zip(order, cosines.T, strict=True):
            flux += amplitude[:, None] * np.cos(k * angle)
        return flux.astype(np.float32)


class Ellipsoidal(Contact):
    """Stars near their Roche lobes, of unequal temperatures: tides and grazing eclipses make two unequal minima."""

    kind = "ellipsoidal"


class PulsatingBinary(Detached):
    """Detached systems whose brighter star pulsates."""

    def __init__(self, kind: str, pulsator: Source) -> None:
        self.kind, self.pulsator = kind, pulsator

    def draw(self, n: int, rng: np.random.Generator) -> Truth:
        """See `Source`; the parameters of the pulsator have the prefix ``pulsation_``."""
        truth = super().draw(n, rng)
        return truth | {f"pulsation_{name}": value for name, value in self.pulsator.draw(n, rng).items()}

    def flux(self, truth: Truth, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`; the pulsation of star 1 is diluted by the other light, and all of it is eclipsed alike."""
        pulsation = {name.removeprefix("pulsation_"): v for name, v in truth.items() if name.startswith("pulsation_")}
        variation = self.pulsator.flux(pulsation, time, exposure) - 1
        light = component_stars(_as_columns(truth))[0].light
        share = (1 - truth["third_light"][:, None]) * light
        return super().flux(truth, time, exposure) * (1 + share.astype(np.float32) * variation)


class Planet:
    """Planets in transit, from hot Jupiters to small ones, and grazing."""

    kind = "planet"

    def draw(self, n: int, rng: np.random.Generator) -> Truth:
        """See `Source`; the size of the orbit follows from the star's density."""
        truth = table(self.kind).draw(n, rng)
        truth["axis"] = separation(truth["density"] / SOLAR_DENSITY, truth["period"])  # in radii of the star
        truth["axis"] = np.maximum(truth["axis"], 2.5 / (1 - truth["eccentricity"]))
        reach = (1 + truth["radius_ratio"]) / truth["axis"]
        return truth | {"inclination": inclination_from_impact(truth, reach)}

    def flux(self, truth: Truth, time: Float, exposure: float) -> NDArray[np.float32]:
        """See `Source`."""
        return transit_curve(truth).exposures(truth, time, exposure)


def cycles(truth: Truth, time: Float) -> Float:
    """Return times in orbits since the primary eclipse, (n, T)."""
    return time / truth["period"][:, None] + truth["phase"][:, None]


def separation(mass: Float, period: Float) -> Float:
    """Return semi-major axes in solar radii of total masses in solar ones and periods in days (Kepler's third law)."""
    return SEPARATION * np.cbrt(mass * period**2)


def main_sequence_radius(mass: Float) -> Float:
    """Return radii in solar ones of main-sequence stars with masses in solar ones (Demircan & Kahraman 1991)."""
    return np.where(mass < 1.66, 1.06 * mass**0.945, 1.33 * mass**0.555)


def main_sequence_temperature(mass: Float) -> Float:
    """Return effective temperatures [K] of main-sequence stars with masses in solar ones."""
    return SOLAR_TEMPERATURE * np.minimum(mass, 20.0) ** 0.57


def brightness_ratio(hot: Float, cool: Float) -> Float:
    """Return the surface brightness at temperature ``cool`` over that at ``hot`` [K], of black bodies."""
    return planck(WAVELENGTH, cool) / planck(WAVELENGTH, hot)


def maximum_eccentricity(period: Float) -> Float:
    """Return the upper envelope of the eccentricities of binaries with periods [d] (Mazeh 2008, equation 4.4)."""
    return np.clip(0.98 - 3.25 * np.exp(-((6.3 * period) ** 0.23)), 0, 0.8)


def inclination_from_impact(truth: Truth, reach: Float | None = None) -> Float:
    """Return inclinations [deg] at which the centres pass at ``impact`` times the reach at primary eclipse.

    The reach is the sum of the radii in semi-major axes, by default of the two stars.
    """
    e, omega = truth["eccentricity"], np.radians(truth["periastron"])
    reach = truth["radius_1"] + truth["radius_2"] if reach is None else reach
    cosine = truth["impact"] * reach * (1 + e * np.sin(omega)) / (1 - e**2)
    return np.degrees(np.arccos(np.minimum(cosine, 1)))


def binary_curve(truth: Truth) -> PhaseCurve:
    """Return relative flux against phase; 1 is the undisturbed light of the pair and the third star."""
    d = _as_columns(truth)
    inclination = np.radians(d["inclination"])
    reach = truth["radius_1"] + truth["radius_2"]
    orbit = Orbit.from_elements(truth["eccentricity"], np.radians(truth["periastron"]), inclination[:, 0], reach)
    first, second = component_stars(d)
    lights = []
    for star, other in ((first, second), (second, first)):
        phase_angle = np.where(star.sign > 0, 0, np.pi) + orbit.angle  # 0: the companion is in front
        bright = star.light * (1 + tides(star, orbit, phase_angle, inclination, d["limb_1"] + d["limb_2"] / 2))
        bright = bright * (1 + 4 * star.speed * np.sin(phase_angle))  # beaming, Loeb & Gaudi (2003), flat spectrum
        facing = (star.radius / orbit.distance) ** 2 * (1 + np.cos(phase_angle) * np.sin(inclination)) / 2
        bright = bright + other.light * d["albedo"] * facing  # heated by its companion
        behind = np.cos(phase_angle) > 0
        distance = np.where(behind, orbit.projected / star.radius, np.inf)
        lights.append(bright * (1 - hidden_fraction(distance, other.radius / star.radius, d["limb_1"], d["limb_2"])))
    third = d["third_light"]
    return PhaseCurve(orbit.phase, third + (1 - third) * (lights[0] + lights[1]))


class ComponentStar(NamedTuple):
    """One of the two stars of n systems."""

    radius: Float  # (n, 1) over the semi-major axis
    light: Float  # (n, 1) fraction of the pair's light
    mass_ratio: Float  # (n, 1) of the companion over itself
    gravity: Float  # (n, 1) gravity darkening exponent
    speed: Float  # (n, 1) semi-amplitude over the speed of light
    sign: int  # +1 for star 1, which is in front half an orbit after phase 0


def component_stars(d: Truth) -> tuple[ComponentStar, ComponentStar]:
    """Return both stars of systems with parameters (n, 1)."""
    ratio, brightness = d["mass_ratio"], d["surface_brightness_ratio"]
    light = 1 / (1 + brightness * (d["radius_2"] / d["radius_1"]) ** 2)
    speed = SPEED * np.cbrt(d["mass"] * (1 + ratio) / d["period"])  # of one star around the other
    speed = speed * np.sin(np.radians(d["inclination"])) / np.sqrt(1 - d["eccentricity"] ** 2)
    speeds = speed * ratio / (1 + ratio), speed / (1 + ratio)
    return (
        ComponentStar(d["radius_1"], light, ratio, d["gravity_darkening"], speeds[0], 1),
        ComponentStar(d["radius_2"], 1 - light, 1 / ratio, d["gravity_darkening"], speeds[1], -1),
    )


def _as_columns(truth: Truth) -> Truth:
    """Return the parameters of which a star has one as (n, 1)."""
    return {name: value[:, None] for name, value in truth.items() if value.ndim == 1}


def tides(star: ComponentStar, orbit: Orbit, phase_angle: Float, inclination: Float, limb: Float) -> Float:
    """Return the relative change of a star's light by its tidal bulge, (n, G).

    Morris & Naftilan (1993), equation 1, at the momentary distance as in Kumar et al. (1995).
    """
    strength = 0.15 * (15 + limb) * (1 + star.gravity) / (3 - limb) * star.mass_ratio
    bulge = strength * (star.radius / orbit.distance) ** 3 / 1.5
    return bulge * (1 - 3 * (np.sin(inclination) * np.cos(phase_angle)) ** 2)


def harmonics(curve: PhaseCurve) -> tuple[Float, Float]:
    """Return the orders (H,) and relative amplitudes (n, H) of the cosines of symmetric light curves.

    Lanczos' sigma factors replace the sharp cut, which would ring.
    """
    order = np.arange(1.0, HARMONICS + 1)
    wave = np.cos(2 * np.pi * order * curve.phase[:, :, None])  # (n, G, H)
    mean = np.asarray(np.trapezoid(curve.flux, curve.phase, axis=1))
    overlap = np.asarray(np.trapezoid(curve.flux[:, :, None] * wave, curve.phase[:, :, None], axis=1))
    amplitudes = 2 * overlap / mean[:, None]
    return order, amplitudes * np.sinc(order / (HARMONICS + 1))


def transit_curve(truth: Truth) -> PhaseCurve:
    """Return relative flux against phase: 1, dimmer in transit and in occultation."""
    curves = [_transit({name: float(value[i]) for name, value in truth.items()}) for i in range(len(truth["period"]))]
    return PhaseCurve(np.stack([phase for phase, _ in curves]), np.stack([flux for _, flux in curves]))


def _transit(p: dict[str, float]) -> tuple[Float, Float]:
    """Return phases from 0 to 1 and the fluxes of one system; phase 0 is the middle of the transit."""
    model = _model(p)
    half = 0.55 * _duration(p) / p["period"]
    transit = half * np.linspace(-1, 1, TRANSIT_WINDOW)
    primary = batman().TransitModel(model, transit)
    model.t_secondary = primary.get_t_secondary(model)
    occultation = model.t_secondary + transit * _duration(p, -1) / _duration(p)
    parts = [
        primary.light_curve(model),
        batman().TransitModel(model, occultation, transittype="secondary").light_curve(model) - p["secondary"],
    ]
    phase = np.mod(np.concatenate([transit, occultation]), 1)
    order = np.argsort(phase)
    phase, flux = phase[order], np.concatenate(parts)[order]
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
class PhaseCurve:
    """Periodic light curves, each a polygon over its phase.

    Parameters
    ----------
    phase : (n, G)
        From 0 to 1, ascending, both included.
    flux : (n, G)
    """

    phase: Float
    flux: Float

    def exposures(self, truth: Truth, time: Float, exposure: float) -> NDArray[np.float32]:
        """Return the fluxes averaged over exposures by the polygon's exact integral, (n, T).

        Parameters
        ----------
        truth : dict of ndarray
            With ``period`` [d] and ``phase`` (n,).
        time : (T,) [d]
            Middles of the exposures.
        exposure : float [d]
        """
        phase, width = cycles(truth, time), max(exposure, 1e-6) / truth["period"]
        step = np.diff(self.phase, axis=1)
        pieces = 0.5 * step * (self.flux[:, 1:] + self.flux[:, :-1])
        integral = np.concatenate([np.zeros((len(step), 1)), np.cumsum(pieces, axis=1)], 1)
        slope = 0.5 * np.diff(self.flux, axis=1) / np.where(step > 0, step, 1)
        result = np.empty(phase.shape, np.float32)
        for i in range(len(phase)):  # a search per light curve
            start, stop = (self._integral(i, integral[i], slope[i], phase[i] + s * width[i]) for s in (-0.5, 0.5))
            result[i] = (stop - start) / width[i]
        return result

    def _integral(self, row: int, integral: Float, slope: Float, phase: Float) -> Float:
        """Return the integral of one light curve from phase 0 to others (T,)."""
        cycle = np.floor(phase)
        phase = phase - cycle
        k = np.clip(np.searchsorted(self.phase[row], phase, side="right") - 1, 0, len(slope) - 1)
        x = phase - self.phase[row][k]
        return cycle * integral[-1] + integral[k] + x * (self.flux[row][k] + slope[k] * x)


@dataclass(frozen=True)
class Orbit:
    """Relative orbits of n stars at G angles each, ordered by phase; phase 0 is star 2 in front of star 1.

    The phase of a true anomaly has a closed form, without iteration; fluxes at other phases follow by interpolation
    (`PhaseCurve`).
    """

    phase: Float  # (n, G) from 0 to 1, both included
    angle: Float  # (n, G) from the conjunction with star 2 in front, in the orbit's plane
    distance: Float  # (n, G) in semi-major axes
    projected: Float  # (n, G) distance on the sky in semi-major axes

    @classmethod
    def from_elements(cls, eccentricity: Float, periastron: Float, inclination: Float, reach: Float) -> Orbit:
        """Return the orbits, with many angles wherever the discs may overlap.

        Parameters
        ----------
        eccentricity : (n,)
        periastron, inclination : (n,)
            Radians; argument of periastron of star 1's orbit around its companion as in Winn (2010).
        reach : (n,)
            Sum of the radii in semi-major axes.
        """
        angle = _angles(eccentricity, periastron, reach)
        phase = _phase(angle, eccentricity[:, None], periastron[:, None])
        order = np.argsort(phase, axis=1, kind="stable")
        phase, angle = np.take_along_axis(phase, order, 1), np.take_along_axis(angle, order, 1)
        phase = np.concatenate([phase, np.ones((len(phase), 1))], 1)
        angle = np.concatenate([angle, angle[:, :1]], 1)
        distance = (1 - eccentricity[:, None] ** 2) / _nearness(angle, eccentricity[:, None], periastron[:, None])
        projected = distance * np.sqrt(np.maximum(1 - (np.cos(angle) * np.sin(inclination)[:, None]) ** 2, 0))
        return cls(phase, angle, distance, projected)


def _nearness(angle: Float, eccentricity: Float, periastron: Float) -> Float:
    """Return 1 + e cos(true anomaly) at angles from the conjunction."""
    return 1 + eccentricity * np.cos(angle + np.pi / 2 - periastron)


def _angles(eccentricity: Float, periastron: Float, reach: Float) -> Float:
    """Return angles from the conjunction (n, G), dense within both eclipses."""
    parts = [np.broadcast_to(np.linspace(-np.pi, np.pi, BASE, endpoint=False), (len(reach), BASE))]
    for conjunction in (0.0, np.pi):
        distance = (1 - eccentricity**2) / _nearness(np.full(len(reach), conjunction), eccentricity, periastron)
        half = np.minimum(1.2 * np.arcsin(np.minimum(reach / distance, 1)), np.pi / 2)
        parts.append(conjunction + half[:, None] * np.linspace(-1, 1, WINDOW))
    return np.concatenate(parts, 1)


def _phase(angle: Float, eccentricity: Float, periastron: Float) -> Float:
    """Return the time since the conjunction in periods, in [0, 1)."""

    def mean_anomaly(angle: Float) -> Float:
        half = 0.5 * (angle + np.pi / 2 - periastron)
        e = 2 * np.arctan2(np.sqrt(1 - eccentricity) * np.sin(half), np.sqrt(1 + eccentricity) * np.cos(half))
        return e - eccentricity * np.sin(e)

    phase = (mean_anomaly(angle) - mean_anomaly(np.zeros_like(periastron))) / (2 * np.pi)
    phase = np.round(phase - np.floor(phase), 12)  # the conjunction itself is 0, not 1 less a rounding error
    return np.where(phase >= 1, 0.0, phase)


def roche_radius(mass_ratio: Float) -> Float:
    """Return the volume radius of the Roche lobe over the separation; mass of the star over its companion's.

    Eggleton (1983), equation 2.
    """
    third = np.cbrt(mass_ratio)
    return 0.49 * third**2 / (0.6 * third**2 + np.log1p(third))


def light_within(radius: Float, u1: Float, u2: Float) -> Float:
    """Return the fraction of the light of a disc of radius 1 within a radius.

    Quadratic limb darkening, I = 1 - u1 (1 - mu) - u2 (1 - mu)^2, integrated in closed form.
    """
    mu = np.sqrt(np.clip(1 - radius**2, 0, 1))
    linear = u1 + 2 * u2
    total = 1 - u1 / 3 - u2 / 6
    return 1 - ((1 - u1 - u2) * mu**2 + linear * mu**3 * 2 / 3 - u2 * mu**4 / 2) / total


def hidden_fraction(distance: Float, ratio: Float, u1: Float, u2: Float) -> Float:
    """Return the fraction of a limb-darkened disc's light that an opaque disc in front of it covers.

    Fully covered annuli are summed in closed form, partly covered ones by a Gauss-Legendre rule in the angle that
    removes the square roots at its ends. Exact for any ratio of the radii.

    Parameters
    ----------
    distance : (...,)
        Of the centres, in radii of the disc behind.
    ratio : (...,)
        Radius of the disc in front over that of the one behind.
    u1, u2 : (...,)
        Quadratic limb darkening of the disc behind.
    """
    arrays = np.broadcast_arrays(distance, ratio, u1, u2)
    result = np.zeros(arrays[0].shape)
    touching = arrays[0] < 1 + arrays[1]
    d, k, u1, u2 = (array[touching] for array in arrays)
    low, high = np.minimum(np.abs(d - k), 1), np.minimum(d + k, 1)
    covered = light_within(low, u1, u2) * (k > d)  # the circle around the centre that is fully hidden
    middle, half = 0.5 * (low + high)[:, None], 0.5 * (high - low)[:, None]
    r = middle - half * np.cos(_ANGLE)  # (m, NODES)
    d, k = d[:, None], k[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = (r**2 + d**2 - k**2) / (2 * r * d)
    arc = np.arccos(np.clip(np.nan_to_num(cosine, nan=1.0), -1, 1)) / np.pi
    dark = 1 - np.sqrt(np.clip(1 - r**2, 0, 1))
    total = 1 - u1 / 3 - u2 / 6
    intensity = (1 - u1[:, None] * dark - u2[:, None] * dark**2) / total[:, None]
    annuli = intensity * 2 * r * arc * half * np.sin(_ANGLE)
    result[touching] = covered + annuli @ _WEIGHT
    return result
