"""Positions on the sky: what users type, cones, and projections of the whole sky."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.data.json import json_values
from goodricke.data.units import sexagesimal_degrees

Float = NDArray[np.float64]

NUMBER = r"[-+−]?\d+(?:\.\d*)?"
PAIR = re.compile(rf"^\s*({NUMBER})\s*(?:deg|°)?\s*[\s,;]\s*({NUMBER})\s*(?:deg|°)?\s*$")
SPLIT = re.compile(r"^\s*(\S.*?\S)\s*[,;\s]\s*([-+−]\s*\d.*?)\s*$")  # a declination in sexagesimal has a sign
UNITS = {"": 1.0, "arcsec": 1.0, '"': 1.0, "arcmin": 60.0, "'": 60.0, "deg": 3600.0, "°": 3600.0, "d": 3600.0}
RADIUS = re.compile(r"^\s*(\d+(?:\.\d*)?(?:e[-+]?\d+)?)\s*(arcsec|arcmin|deg|[\"'°d]|)\s*$", re.IGNORECASE)
# equatorial (ICRS) to galactic: Hipparcos catalogue, ESA SP-1200, volume 1, section 1.5.3
GALACTIC = np.array(
    [
        [-0.0548755604, -0.8734370902, -0.4838350155],
        [+0.4941094279, -0.4448296300, +0.7469822445],
        [-0.8676661490, -0.1980763734, +0.4559837762],
    ]
)


def parse_position(text: str) -> tuple[float, float] | None:
    """Return right ascension and declination [deg] of a text, None if it is no position.

    Two numbers are degrees; a sexagesimal right ascension is in hours, unless it names degrees.

    Examples
    --------
    >>> parse_position("83.82208 -5.39111"), parse_position("05 30 00, -05 30 00")
    ((83.82208, -5.39111), (82.5, -5.5))
    >>> parse_position("beta Per") is None
    True
    """
    match = PAIR.match(text)
    if match:
        ra, dec = (float(part.replace("−", "-")) for part in match.groups())
    else:
        parts = SPLIT.match(text)
        if not parts:
            return None
        angles = [sexagesimal_degrees([part], hours) for part, hours in zip(parts.groups(), (True, False), strict=True)]
        if angles[0] is None or angles[1] is None:
            return None
        ra, dec = float(angles[0][0]), float(angles[1][0])
    return (ra % 360, dec) if -360 <= ra <= 360 and -90 <= dec <= 90 else None


def parse_radius(text: str | float) -> float:
    """Return an angle in arcsec of a number, or of a text with a unit: ``60``, ``2'``, ``0.5 deg``.

    Raises
    ------
    ValueError
        If it is none, or no angle from 0 to 180 degrees.
    """
    match = RADIUS.match(str(text))
    radius = float(match[1]) * UNITS[match[2].lower()] if match else np.nan
    if not 0 < radius <= 180 * 3600:
        raise ValueError(f"{str(text)[:50]!r} is no radius: write 60 (arcsec), 2' or 0.5 deg")
    return radius


def to_galactic(ra: Float, dec: Float) -> tuple[Float, Float]:
    """Return galactic longitudes and latitudes [deg] of positions (n,) [deg]."""
    return _angles(GALACTIC @ _vectors(ra, dec))


def to_equatorial(longitude: Float, latitude: Float) -> tuple[Float, Float]:
    """Return right ascensions and declinations [deg] of galactic positions (n,) [deg]."""
    return _angles(GALACTIC.T @ _vectors(longitude, latitude))


def _vectors(longitude: Float, latitude: Float) -> Float:
    """Return unit vectors (3, n)."""
    a, b = np.radians(longitude), np.radians(latitude)
    return np.stack([np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)])


def _angles(vectors: Float) -> tuple[Float, Float]:
    x, y, z = vectors
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


def hammer(longitude: Float, latitude: Float, centre: float) -> tuple[Float, Float]:
    r"""Return positions (n,) [deg] in Hammer's equal-area projection, longitudes growing to the left.

    .. math:: (x, y) = \sqrt{2} \frac{(-2 \cos b \sin(a/2), \sin b)}{\sqrt{1 + \cos b \cos(a/2)}}

    for the longitude a from the centre, in degrees: x from -162 to 162, y from -81 to 81.
    """
    a = np.radians((longitude - centre + 180) % 360 - 180) / 2
    b = np.radians(latitude)
    scale = np.degrees(np.sqrt(2)) / np.sqrt(1 + np.cos(b) * np.cos(a))
    return -2 * scale * np.cos(b) * np.sin(a), scale * np.sin(b)


# ---- what is drawn on a map of the sky ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outline:
    """A line on a diagram, broken at None; `label` stands at a point."""

    x: list[float | None]
    y: list[float | None]
    style: Literal["edge", "grid", "plane"]
    label: str = ""
    at: tuple[float, float] | None = None


class Sky(NamedTuple):
    """Coordinates of the whole sky."""

    name: Literal["equatorial", "galactic"]
    centre: float  # longitude in the middle [deg]


EQUATORIAL_SKY, GALACTIC_SKY = Sky("equatorial", 180.0), Sky("galactic", 0.0)


def sky_outlines(sky: Sky) -> tuple[Outline, ...]:
    """Return edge, meridians and parallels of the sky in Hammer's projection, and the galactic plane."""
    along = np.linspace(-90, 90, 61)
    round_ = np.linspace(-179.999, 179.999, 121)
    edge = [
        hammer(np.full(61, sky.centre + side), along[::sign], sky.centre)
        for side, sign in ((179.999, 1), (-179.999, -1))
    ]
    x, y = np.concatenate([edge[0], edge[1]], axis=1)
    lines = [Outline(*_points(x, y), "edge")]
    for offset in range(-120, 180, 60):
        longitude = (sky.centre + offset) % 360
        x, y = hammer(np.full(61, longitude), along, sky.centre)
        at = hammer(np.array([longitude]), np.array([0.0]), sky.centre)
        lines.append(Outline(*_points(x, y), "grid", f"{longitude:.0f}°", (float(at[0][0]), float(at[1][0]))))
    for latitude in (-60, -30, 0, 30, 60):
        x, y = hammer(sky.centre + round_, np.full(121, float(latitude)), sky.centre)
        lines.append(Outline(*_points(x, y), "grid", f"{latitude:+d}°" if latitude else "", (float(x[0]), float(y[0]))))
    if sky.name == "equatorial":
        ra, dec = plane()
        lines.append(Outline(*_points(*hammer(ra, dec, sky.centre), gap=60), "plane"))
    else:
        lines.append(Outline(*_points(*hammer(round_, np.zeros(121), sky.centre)), "plane"))
    return tuple(lines)


def plane_on_axes() -> Outline:
    """Return the galactic plane on axes of right ascension and declination."""
    return Outline(*_points(*plane(), gap=180), "plane")


def plane() -> tuple[Float, Float]:
    """Return right ascensions and declinations along the galactic plane [deg]."""
    longitude = np.linspace(0, 360, 361)
    return to_equatorial(longitude, np.zeros(361))


def _points(x: Float, y: Float, gap: float = np.inf) -> tuple[list[float | None], list[float | None]]:
    """Return the points of a line, broken where it jumps across the map."""
    jumps = np.flatnonzero(np.abs(np.diff(x)) > gap) + 1
    xs, ys = (np.insert(np.round(v, 3), jumps, np.nan) for v in (x, y))
    return json_values(xs), json_values(ys)
