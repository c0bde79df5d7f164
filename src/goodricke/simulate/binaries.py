"""What two stars that pass in front of each other show: overlapping discs, orbits, light curves against phase.

Eclipsing binaries: detached, semi-detached, in contact, and detached ones of which one star pulsates.

Stars are discs with limb darkening whose tides, mutual heating and motion change their light by the first terms of the
theory (Morris & Naftilan 1993; Kumar et al. 1995; Faigler & Mazeh 2011).

Transiting planets, by batman (Kreidberg 2015).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.simulate.parameters import table
from goodricke.simulate.source import Drawn, Source

Float = NDArray[np.float64]

NODES = 12  # of the quadrature over the partly covered annuli: 1e-7 of the star's light
_PLACE, _PART = np.polynomial.legendre.leggauss(NODES)
_ANGLE, _WEIGHT = 0.5 * np.pi * (_PLACE + 1), 0.5 * np.pi * _PART
BASE, WINDOW = 193, 141  # angles around the orbit, and within each eclipse


def light_within(radius: Float, u1: Float, u2: Float) -> Float:
    """Return the light within a radius of a disc of radius 1, over the whole disc's.

    Quadratic limb darkening, I = 1 - u1 (1 - mu) - u2 (1 - mu)^2, integrated in closed form.
    """
    mu = np.sqrt(np.clip(1 - radius**2, 0, 1))
    linear = u1 + 2 * u2
    whole = 1 - u1 / 3 - u2 / 6
    return 1 - ((1 - u1 - u2) * mu**2 + linear * mu**3 * 2 / 3 - u2 * mu**4 / 2) / whole


def hidden(distance: Float, ratio: Float, u1: Float, u2: Float) -> Float:
    """Return the fraction of a limb-darkened disc's light that an opaque disc in front of it covers.

    Annuli that are covered all round are summed in closed form, those covered in part by a Gauss-Legendre rule in the
    angle that takes away the square roots at its ends. Exact for any ratio of the radii.

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
    covered = light_within(low, u1, u2) * (k > d)  # the small circle around the centre that is wholly hidden
    middle, half = 0.5 * (low + high)[:, None], 0.5 * (high - low)[:, None]
    r = middle - half * np.cos(_ANGLE)  # (m, NODES)
    d, k = d[:, None], k[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = (r**2 + d**2 - k**2) / (2 * r * d)
    arc = np.arccos(np.clip(np.nan_to_num(cosine, nan=1.0), -1, 1)) / np.pi
    dark = 1 - np.sqrt(np.clip(1 - r**2, 0, 1))
    whole = 1 - u1 / 3 - u2 / 6
    intensity = (1 - u1[:, None] * dark - u2[:, None] * dark**2) / whole[:, None]
    annuli = intensity * 2 * r * arc * half * np.sin(_ANGLE)
    result[touching] = covered + annuli @ _WEIGHT
    return result


def roche_radius(mass_ratio: Float) -> Float:
    """Return the volume radius of the Roche lobe over the separation; mass of the star over its companion's.

    Eggleton (1983), equation 2.
    """
    third = np.cbrt(mass_ratio)
    return 0.49 * third**2 / (0.6 * third**2 + np.log1p(third))


@dataclass(frozen=True)
class Orbit:
    """Relative orbits of n stars at G angles each, ordered by phase; phase 0 is star 2 in front of star 1.

    Along the true anomaly Kepler's equation is in closed form: no iteration is needed to have phases of angles, and
    fluxes at other phases follow by interpolation (`PhaseCurve`).
    """

    phase: Float  # (n, G) from 0 to 1, both included
    angle: Float  # (n, G) from the conjunction with star 2 in front, in the orbit's plane
    distance: Float  # (n, G) in semi-major axes
    projected: Float  # (n, G) distance on the sky in semi-major axes

    @classmethod
    def of(cls, eccentricity: Float, periastron: Float, inclination: Float, reach: Float) -> Orbit:
        """Return the orbits, with many angles wherever the discs may overlap.

        Parameters
        ----------
        eccentricity : (n,)
        periastron, inclination : (n,)
            Radians; argument of periastron of star 1's orbit around its companion as Winn (2010) has it.
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
    """Return angles from the conjunction (n, G): all round, and closely within both eclipses."""
    parts = [np.broadcast_to(np.linspace(-np.pi, np.pi, BASE, endpoint=False), (len(reach), BASE))]
    for conjunction in (0.0, np.pi):
        away = (1 - eccentricity**2) / _nearness(np.full(len(reach), conjunction), eccentricity, periastron)
        half = np.minimum(1.2 * np.arcsin(np.minimum(reach / away, 1)), np.pi / 2)
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

    def observed(self, phase: Float, width: Float) -> NDArray[np.float32]:
        """Return the fluxes averaged over exposures, without sampling them: by the polygon's exact integral.

        Parameters
        ----------
        phase : (n, T)
            Of the exposures' middles, in periods; any real numbers.
        width : (n,)
            Exposure times in periods.
        """
        step = np.diff(self.phase, axis=1)
        pieces = 0.5 * step * (self.flux[:, 1:] + self.flux[:, :-1])
        integral = np.concatenate([np.zeros((len(step), 1)), np.cumsum(pieces, axis=1)], 1)
        slope = 0.5 * np.diff(self.flux, axis=1) / np.where(step > 0, step, 1)
        result = np.empty(phase.shape, np.float32)
        for i in range(len(phase)):  # a search per light curve
            ends = [self._integral(i, integral[i], slope[i], phase[i] + s * width[i]) for s in (-0.5, 0.5)]
            result[i] = (ends[1] - ends[0]) / width[i]
        return result

    def _integral(self, row: int, integral: Float, slope: Float, phase: Float) -> Float:
        """Return the integral of one light curve from phase 0 to others (T,)."""
        whole = np.floor(phase)
        part = phase - whole
        at = np.clip(np.searchsorted(self.phase[row], part, side="right") - 1, 0, len(slope) - 1)
        x = part - self.phase[row][at]
        return whole * integral[-1] + integral[at] + x * (self.flux[row][at] + slope[at] * x)


# ---- Eclipsing binaries: detached, semi-detached, in contact, and detached ones of which one star pulsate ------------


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


# ---- Transiting planets, by batman (Kreidberg 2015) ------------------------------------------------------------------


TRANSIT_WINDOW = 161  # phases in the transit, and as many in the occultation


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
        return transit_light_curve(drawn).observed(cycles(drawn, time), max(exposure, 1e-6) / drawn["period"])


def transit_light_curve(drawn: Drawn) -> PhaseCurve:
    """Return relative flux against phase: 1, dimmer in transit and in occultation."""
    curves = [_one({name: float(value[i]) for name, value in drawn.items()}) for i in range(len(drawn["period"]))]
    return PhaseCurve(np.stack([phase for phase, _ in curves]), np.stack([flux for _, flux in curves]))


def _one(p: dict[str, float]) -> tuple[Float, Float]:
    """Return phases from 0 to 1 and the fluxes of one system; phase 0 is the middle of the transit."""
    model = _model(p)
    half = 0.55 * _duration(p) / p["period"]
    transit = half * np.linspace(-1, 1, TRANSIT_WINDOW)
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
