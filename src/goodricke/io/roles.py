"""Which column of a table is what: the aliases under which surveys know time, brightness, band and object.

Names are compared in lower case, without spaces, underscores, punctuation and bracketed units: ``MJD [d]`` is ``mjd``.
Where several columns fit one role, the first alias wins; flux comes before magnitude (it keeps negative
measurements). Aliases in one inner tuple have equal standing: two of them in one table is an error, not a guess.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from goodricke.data.units import days_in_unit
from goodricke.io.options import ReadOptions, Unreadable

logger = logging.getLogger("goodricke")

# Whatever zero point is told after it, a Julian date is in days: "BJD - 2457000, days".
JULIAN = re.compile(r"^\W*([a-z]{0,2}jd(tdb|utc|tai|tt)?(?![a-z])|julian|days?\b)", re.IGNORECASE)

OBJECT_ID = (
    *("objectid", "oid", "id", "sourceid", "snid", "diaobjectid", "starid", "lcid", "lightcurveid", "targetid"),
    *("ticid", "tic", "kepid", "kic", "epic", "epicid", "gaiaid", "objid", "iauname", "object", "name", "star"),
    *("starname", "objectname", "designation", "diasourceid"),
)
PREFIXES = {"tic": "TIC", "ticid": "TIC", "kic": "KIC", "kepid": "KIC", "epic": "EPIC", "epicid": "EPIC"}

# The time's alias decides the time scale; an empty one is decided by the numbers.
TIME = {
    **{"btjd": "BTJD", "bkjd": "BKJD", "bjd": "BJD", "bjdtdb": "BJD", "hjd": "HJD"},
    **dict.fromkeys(
        ("hmjd", "mjd", "obsmjd", "mjdobs", "midpointmjdtai", "mjdtai", "expmidpt", "modifiedjuliandate"), "MJD"
    ),
    **dict.fromkeys(("jd", "obsjd", "juliandate"), "JD"),
    **dict.fromkeys(("time", "times", "obstime", "observationtime", "epoch", "date", "t"), ""),
}
# Names like HJD-2450000: the scale, and what the numbers need added to them, times 10 so that 2400000.5 is whole.
OFFSET = re.compile(r"^(hjd|bjd|jd)(24\d{5})5?$")

VALUE = (
    ("value",),
    ("pdcsapflux",),
    ("flux",),
    ("fluxcal",),
    ("psfflux", "apertureflux", "aperflux"),
    ("apflux",),  # Rubin measures both, and recommends psfFlux for point sources
    ("sapflux",),
    ("forcediffimflux",),
    ("calpsfflux", "calaperflux"),
    ("mag", "magnitude"),
    ("magpsf", "magpsfcorr"),  # of the difference, and of the source: not the same thing at all
    ("magap",),
)
SINGLE_BAND = re.compile(r"^([a-cf-z](mag|flux)|(mag|flux)[a-cf-z])$")  # Vmag, mag_g, fluxr, equals; e and d are errors

BAND = (
    *("band", "passband", "filter", "filtername", "filtercode", "filt", "flt", "fid", "filterid", "bandpass"),
    *("photometricband",),
)
QUALITY = (
    *("quality", "sapquality", "qualityflag", "qflag", "flags", "flag", "tessflags", "catflags", "photflag"),
    *("infobitssci",),
)
# Severe flags of quality columns whose name tells the survey: bit 15 of ZTF's catflags marks measurements spoilt by
# clouds, the Moon or bad pixels (IRSA's ZTF Lightcurve Queries filter by it, BAD_CATFLAGS_MASK=32768).
SEVERE = {"catflags": 1 << 15}
# Columns of text that repeats from row to row and names no star.
NO_STARS = {
    *("camera", "cam", "ccd", "detector", "instrument", "inst", "telescope", "tel", "site", "observatory", "station"),
    *("observer", "obs", "obscode", "observercode", "field", "survey", "reference", "ref", "utdate", *BAND, *QUALITY),
}
POSITION = {
    "ra": ("ra", "raj2000", "radeg", "alpha", "objra"),
    "dec": ("dec", "decl", "dej2000", "decdeg", "delta", "objdec"),
}

# Surveys that number their bands: the column's alias and the names in order.
NUMBERED = {
    "passband": dict(enumerate("ugrizy")),  # PLAsTiCC
    "fid": dict(enumerate("gri", 1)),  # ZTF's alerts
    "filterid": dict(enumerate("grizy", 1)),  # Pan-STARRS, and the first three ZTF's public data releases
}
SPELLED = {f"{mark}{name}": name for name in "gri" for mark in ("z", "ZTF_", "ztf_", "ztf")}  # how ZTF writes g, r, i

ERROR = {
    "mag": ("magerr", "magerror", "emag", "sigmamag", "magsigma", "dmag", "merr", "magnitudeerror"),
    "flux": ("fluxerr", "fluxerror", "eflux", "sigmaflux", "fluxsigma", "dflux", "fluxunc", "fluxcalerr"),
    "": (),
}
PLAIN_ERROR = ("error", "err", "uncertainty", "unc", "sigma", "valueerr", "valueerror")


@dataclass(frozen=True)
class Match:
    """The columns chosen for each role, as the file names them; None where there is none.

    Parameters
    ----------
    time_scale : str
        What the time's name says, empty if nothing.
    offset : float
        What must be added to the times to be in that scale [d].
    kind : {"mag", "flux", ""}
        What the brightness is, empty if its name doesn't tell.
    """

    time: str
    value: str
    object_id: str | None = None
    error: str | None = None
    band: str | None = None
    quality: str | None = None
    ra: str | None = None
    dec: str | None = None
    time_scale: str = ""
    offset: float = 0.0
    kind: str = ""

    @property
    def used(self) -> list[str]:
        """The chosen columns."""
        roles = (self.object_id, self.time, self.value, self.error, self.band, self.quality, self.ra, self.dec)
        return list(dict.fromkeys(name for name in roles if name is not None))


def normal(name: str) -> str:
    """Return a column's name as aliases are written."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"[\[(].*?[\])]", "", name.lower()))


def by_normal_name(names: Iterable[str]) -> dict[str, str]:
    """Return the names by their normal form, in order; the first of those that look the same."""
    known: dict[str, str] = {}
    for name in names:
        known.setdefault(normal(name), name)
    return known


def match(names: Sequence[str], chosen: Mapping[str, str], path: str) -> Match:
    """Choose the column for each role; ``chosen`` names some outright.

    Raises
    ------
    Unreadable
        If there is no time or brightness, if two columns could be the brightness, or if a chosen column is missing.
    """
    known = by_normal_name(names)
    chosen = {role: _existing(name, known, names, path) for role, name in chosen.items()}
    time = chosen.get("time") or _time(known, names, path)
    value = chosen.get("value") or _value(known, set(chosen.values()), names, path)
    kind = next((kind for kind in ("mag", "flux") if kind in normal(value)), "")
    scale, offset = _scale_and_offset(normal(time))
    return Match(
        time=time,
        value=value,
        object_id=chosen.get("object_id") or first(known, OBJECT_ID),
        error=chosen.get("error") or first(known, _error_aliases(normal(value), kind)),
        band=chosen.get("band") or first(known, BAND),
        quality=chosen.get("quality") or first(known, QUALITY),
        ra=first(known, POSITION["ra"]),
        dec=first(known, POSITION["dec"]),
        time_scale=scale,
        offset=offset,
        kind=kind,
    )


def first(known: Mapping[str, str], aliases: Iterable[str]) -> str | None:
    """Return the column under the first alias that the table has."""
    return next((known[alias] for alias in aliases if alias in known), None)


def named_scale(scale: str, time: NDArray[np.float64]) -> str:
    """Return the time scale that the name and the numbers (days) speak for.

    If they disagree, it is that of the numbers where they can be nothing else, or else ``"unknown"``.
    """
    finite = time[:1000][np.isfinite(time[:1000])]
    if not len(finite):
        return scale or "unknown"
    middle = float(np.median(finite))
    if 2.4e6 < middle < 2.6e6:
        return scale if scale in ("JD", "HJD", "BJD") else "JD"
    if scale in ("MJD", "JD") and 1.5e4 < middle < 1e5:
        return "MJD"
    if scale == "":
        return "MJD" if 4e4 < middle < 7e4 else "unknown"
    return scale if scale in ("BTJD", "BKJD") and middle < 2e4 else "unknown"


def _existing(name: str, known: Mapping[str, str], names: Sequence[str], path: str) -> str:
    if name in names:
        return name
    if normal(name) in known:
        return known[normal(name)]
    raise Unreadable(path, f"has no column {name}; it has {listed(names)}", "name one of these columns")


def _time(known: Mapping[str, str], names: Sequence[str], path: str) -> str:
    found = first(known, TIME) or next((known[name] for name in known if OFFSET.match(name)), None)
    if found is None:
        fix = "say which column holds the times in days, --column time=NAME"
        raise Unreadable(path, f"has no time column; its columns are {listed(names)}", fix)
    return found


def _value(known: Mapping[str, str], taken: set[str], names: Sequence[str], path: str) -> str:
    single = tuple(name for name in known if SINGLE_BAND.match(name))
    for group in (*VALUE, single):
        found = [known[alias] for alias in group if alias in known and known[alias] not in taken]
        if len(found) > 1:
            fix = f"choose one, --column value={found[0]}"
            raise Unreadable(path, f"has {len(found)} brightness columns of equal standing: {', '.join(found)}", fix)
        if found:
            return found[0]
    fix = "say which column holds the flux or magnitude, --column value=NAME"
    raise Unreadable(path, f"has no brightness column; its columns are {listed(names)}", fix)


def _error_aliases(value: str, kind: str) -> list[str]:
    """Return the aliases of the uncertainty of a brightness column, its own first: magpsf goes with sigmapsf."""
    own = [value + suffix for suffix in ("err", "error", "unc", "uncertainty", "sigma")]
    own += [prefix + value for prefix in ("e", "err", "error", "sigma", "d")]
    own += [value.replace("mag", "sigma"), value.replace("mag", "sigmamag"), value.replace("flux", "fluxerr")]
    return [alias for alias in own if alias != value] + [*ERROR[kind], *PLAIN_ERROR]


def _scale_and_offset(time: str) -> tuple[str, float]:
    """Return the scale that a time column's normal name stands for, and the offset that brings its numbers there."""
    reduced = OFFSET.match(time)
    if not reduced:
        return TIME.get(time, ""), 0.0
    offset = int(reduced[2]) + (0.5 if len(time) > len(reduced[1]) + 7 else 0.0)
    exact = {("bjd", 2457000.0): "BTJD", ("bjd", 2454833.0): "BKJD", ("jd", 2400000.5): "MJD"}.get((reduced[1], offset))
    return (exact, 0.0) if exact else (reduced[1].upper(), offset)


def listed(names: Sequence[str], most: int = 30) -> str:
    """Return the first names in a line, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def days_per(stated: str | None, column: str, options: ReadOptions, path: str) -> float:
    """Return the length in days of the unit that times are stated in; without one they are in days.

    Raises
    ------
    Unreadable
        If it is no unit of time, and no time scale is given to say that the numbers are days all the same.
    """
    if not stated or JULIAN.match(stated):
        return 1.0
    if (factor := days_in_unit(stated)) is not None:
        return factor
    if options.time_scale:
        return 1.0
    fix = "fix the unit (s, min, h, d and yr are known), or, if the times are in days, say their --time-scale"
    raise Unreadable(path, f"has times in the unknown unit {stated!r} (column {column})", fix)


def warn_if_unknown(unit: str, options: ReadOptions, path: str) -> None:
    """Say that a brightness without a unit will be taken as flux, which turns magnitudes upside down."""
    if unit == "unknown" and options.unit is None:
        logger.warning(
            "the brightness of %s has no known unit and is taken as flux; if it is in magnitudes, say --unit mag", path
        )
