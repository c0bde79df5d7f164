"""The columns of any table: their roles, units, limits, quality and missing values, all judged here.

Columns are found by the aliases under which surveys know time, brightness, band and object. Their values become
numbers, identifiers, bands and yes or no; times and brightnesses come out in known units; limits, dummies and flagged
rows are marked.

Names are compared in lower case, without spaces, underscores, punctuation and bracketed units: ``MJD [d]`` is ``mjd``.
Where several columns fit one role, the first alias wins, unless it has gaps that another of the same meaning fills;
flux comes before magnitude (it keeps negative measurements). Aliases in one inner tuple have equal standing: two of
them in one table, both with numbers, is an error, not a guess. The error, the zero point, the flag and the mark of
limits belong to the brightness that is chosen, never to another one.

A number that stands for no measurement (99.99, 29.999, -999) is told from a real one by evidence: it is outside the
sky, or its error is impossible, or it is repeated exactly and far from the other measurements of its star.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.data import units
from goodricke.data.arrow import MOST_BANDS, NO_BAND, as_arrow, floats, strings
from goodricke.io.options import ReadOptions, Unreadable

logger = logging.getLogger("goodricke")

Mask = NDArray[np.bool_]

# A Julian date is in days, whatever zero point follows it: "BJD - 2457000, days".
JULIAN = re.compile(r"^\W*([a-z]{0,2}jd(tdb|utc|tai|tt)?(?![a-z])|julian|days?\b)", re.IGNORECASE)

OBJECT_ID = (
    *("objectid", "oid", "diaobjectid", "id", "sourceid", "snid", "starid", "lcid", "lightcurveid", "targetid"),
    *("ticid", "tic", "kepid", "kic", "epic", "epicid", "gaiaid", "gaiasourceid", "objid", "iauname", "object", "name"),
    *("star", "starname", "objectname", "masterid", "asassnid", "asasid", "coaddobjectid", "ssobjectid", "crtsid"),
    *("superwaspid", "ogleid", "gaiadr3id", "gaiadr2id", "allwiseid", "ztfid", "desid", "ps1id", "sdssid", "hipid"),
    *("hip", "2massid", "tmassid", "varid", "event", "eventname", "transient", "designation", "starnumber"),
    *("diasourceid",),
)
PREFIXES = {"tic": "TIC", "ticid": "TIC", "kic": "KIC", "kepid": "KIC", "epic": "EPIC", "epicid": "EPIC"}

# The time's alias decides the time scale; an empty one is decided by the numbers.
TIME = {
    **{"btjd": "BTJD", "bkjd": "BKJD", "bjd": "BJD", "bjdtdb": "BJD", "hjd": "HJD"},
    **dict.fromkeys(("bjdtt", "bjdutc", "bjdtcb", "timebjd"), "BJD"),
    **dict.fromkeys(("hjdutc", "hjdtt", "hjdtdb", "timehjd"), "HJD"),
    **{"timebtjd": "BTJD", "timebkjd": "BKJD"},
    **dict.fromkeys(
        ("hmjd", "mjd", "obsmjd", "mjdobs", "midpointmjdtai", "midpointtai", "expmidptmjd", "mjdtai"), "MJD"
    ),
    **dict.fromkeys(
        ("expmidpt", "modifiedjuliandate", "mjdutc", "mjdtt", "mjdtdb", "mjdmid", "midmjd", "timemjd"), "MJD"
    ),
    **dict.fromkeys(("jd", "obsjd", "juliandate", "jdutc", "jdtt", "jdtdb", "jdtai", "jdtcb", "timejd", "jdmid"), "JD"),
    **dict.fromkeys(("rjd", "tjd"), "JD"),
    **dict.fromkeys(("time", "times", "obstime", "observationtime", "epoch", "date", "t"), ""),
    **dict.fromkeys(("times", "timesec", "timeseconds", "timed", "timedays", "timehours", "timeh", "timehr"), ""),
}
SHORT_DATES = {"rjd": 2400000.0, "tjd": 2440000.5}  # reduced and truncated Julian dates, by their zero point [JD]
UNIT_AFTER_TIME = re.compile(r"^times?_(s|sec|secs|seconds|min|minutes|h|hr|hours|d|days|yr|years)$", re.IGNORECASE)
PHASE = re.compile(r"phase|^folded|^phi$")
FOLDED = ("phase", "cycle", "cyclenumber", "epochtime", "timeoriginal", "timefolded")
# Names like HJD-2450000, BJD_TDB (2457000+) or MJD-50000: the scale, and what the numbers need added to them.
DATE_NAME = re.compile(r"(?<![a-z])(bjd|hjd|mjd|rjd|jd|btjd|bkjd|tbjd)(?![a-z]{4})", re.IGNORECASE)
ZERO_POINT_OF_TIME = re.compile(r"(?<!\d)(2[34]\d{5})(?:[._](\d+))?(?!\d)|(?<=[-+( ])([3-6]\d{4}(?:\.\d+)?)(?!\d)")
OFFSET = re.compile(r"^(hjd|bjd|jd|time|t)(tdb|utc|tt)?(24\d{5})5?$|^mjd[3-6]\d{4}5?$")

VALUE = (
    ("value",),
    ("pdcsapflux",),
    ("flux",),
    ("fluxcal",),
    ("psfflux", "apertureflux", "aperflux"),
    ("psflux",),
    ("psfdiffflux",),
    ("scienceflux",),
    ("apflux",),  # Rubin measures both, and recommends psfFlux for point sources
    ("fnu", "fluxnjy", "fluxujy", "fluxmjy", "fluxjy"),
    ("ujy", "njy"),
    ("sapflux",),
    ("forcediffimflux",),
    ("calpsfflux", "calaperflux"),
    ("mag", "magnitude"),
    ("magpsf", "magpsfcorr"),  # of the difference, and of the source: not the same thing at all
    ("magap",),
    ("averagemag", "meanmag", "magauto", "magaper", "magiso", "magpsfmodel"),
)
# Brightnesses of one meaning: a fuller one among them takes the place of one with gaps.
SAME_MEANING = {"value", "flux", "fluxcal", "mag", "magnitude"}
BAND_IN_NAME = re.compile(
    r"^([a-cf-z](mag|flux)|(mag|flux)[a-cf-z])$"
)  # Vmag, mag_g, fluxr, equals; e and d are errors

BAND = (
    *("band", "passband", "filter", "filtername", "filtercode", "filt", "flt", "fid", "filterid", "bandpass"),
    *("photometricband", "photfilter", "photband", "obsfilter"),
)
QUALITY = (
    *("quality", "sapquality", "qualityflag", "qflag", "flags", "flag", "tessflags", "catflags", "photflag"),
    *("infobitssci", "grade"),
)
# Qualities in letters: those that a survey's makers leave out. ASAS grades A (best) to D (worst), ASAS-SN good and bad.
LETTERS = {"ASAS-SN": ("GB", "B", "G"), "ASAS": ("ABCD", "D", "A")}
GOOD_WORDS, BAD_WORDS = {"good", "ok", "true", "t", "yes", "y"}, {"bad", "poor", "false", "f", "no", "n"}
# Yes or no: whether a row is a limit of brightness and no detection.
LIMIT_FLAG = (
    "upperlimit",
    "isupperlimit",
    "upperlim",
    "uplim",
    "ulim",
    "islimit",
    "fainterthan",
    "nondetection",
    "limit",
)
ZERO_POINT = ("zp", "zeropoint", "zeropt", "magzp", "zpmag", "zpab", "magzeropoint", "photzp")
ZERO_POINT_SYSTEM = ("zpsys", "magsys", "zeropointsystem", "zpsystem", "photsys")
# Names by which fluxes of Rubin are known to be in nJy, and ASAS-SN's in mJy.
RUBIN_FLUX = {"psfflux", "psflux", "apflux", "scienceflux", "psfdiffflux", "totflux", "forcedpsfflux"}
RUBIN = {"diaobjectid", "diasourceid", "ccdvisitid", "midpointtai", "midpointmjdtai", "expmidptmjd", "psflux"}
RUBIN |= {"psfdiffflux", "parentobjectid", "forcedsourceid", "ssobjectid"}
ASAS_SN = {"camera", "fwhm", "limit"}
# Severe flags of the Kepler Archive Manual (KDMC-10008, table 2-3): attitude tweak 1, safe mode 2, coarse point 4,
# Earth point 8, reaction wheel desaturation 32, manual exclude 256, detector anomaly 2^14, no data 2^16, thruster
# firing 2^20. Cosmic rays and rolling bands are kept.
KEPLER_BITS = 1130799
# Severe flags of the TESS Science Data Products Description (EXP-TESS-ARC-ICD-0014, table 28): attitude tweak 1, safe
# mode 2, coarse point 4, Earth point 8, Argabrightening 16, desaturation 32, manual exclude 128, impulsive outlier 512,
# bad calibration 2^14. Cosmic rays and stray light are kept.
TESS_BITS = 17087
# Severe flags of quality columns whose name tells the survey: bit 15 of ZTF's catflags marks measurements spoilt by
# clouds, the Moon or bad pixels (IRSA's ZTF Lightcurve Queries filter by it, BAD_CATFLAGS_MASK=32768).
SEVERE = {"catflags": 1 << 15}
# Columns of text that repeats from row to row and names no star.
NO_STARS = {
    *("camera", "cam", "ccd", "detector", "instrument", "inst", "telescope", "tel", "site", "observatory", "station"),
    *("observer", "obs", "obscode", "observercode", "field", "survey", "reference", "ref", "utdate", *BAND, *QUALITY),
    *(
        "ccdid",
        "chip",
        "quadrant",
        "rcid",
        "fieldid",
        "programid",
        "visit",
        "ccdvisitid",
        "sector",
        "quarter",
        "season",
    ),
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
ZTF_NAMES = {f"{mark}{name}": name for name in "gri" for mark in ("z", "ZTF_", "ztf_", "ztf")}  # how ZTF writes g, r, i

ERROR = {
    "mag": ("magerr", "magerror", "emag", "sigmamag", "magsigma", "dmag", "merr", "magnitudeerror"),
    "flux": ("fluxerr", "fluxerror", "eflux", "sigmaflux", "fluxsigma", "dflux", "fluxunc", "fluxcalerr"),
    "": (),
}
PLAIN_ERROR = ("error", "err", "uncertainty", "unc", "sigma", "valueerr", "valueerror")


# What files write for no number, in any case.
MISSING = ("", "indef", "null", "none", "nan", "na", "n/a", "-", "--", "---", "----", "...", "*", "nodata", "untrusted")
LOST_DIGITS = 2.0**53  # whole numbers of this size and more aren't exact as floats
# Magnitudes and errors that surveys write where nothing was measured. All but the large ones may be real.
SUSPECT = (9.99, 9.999, 9.9999, -9.99, -9.999, 19.999, 29.9, 29.99, 29.999, 29.9999, 30.0, 0.0, -1.0)
SUSPECT_ERROR = (9.99, 9.999, 9.9999)
SUSPECT_FLUX = (
    -99.0,
    -99.9,
    -99.99,
    -999.0,
    -999.9,
    -999.99,
    -9999.0,
    -9999.99,
    99.0,
    99.99,
    999.0,
    999.99,
    9999.0,
    0.0,
)
FAR = 3.0  # mag from every other measurement: no star does that, and comes back to the same thousandth
NO_MAGNITUDE = 50.0  # no star is that faint: surveys write 99.99, -99, -999 and the like for no measurement
LIMIT = r"\s*[<>]\s*[-+]?\d+\.?\d*\s*$"  # >16.5, a star that was too faint to be seen
# What to do about text where numbers should be.
TEXT_FIXES = {
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}": "turn dates into days, as astropy.time.Time(dates).mjd does",
    r"[-+]?\d*[,;\t] *[-+]?\d+$": "write numbers with decimal points, not commas",
    LIMIT: "leave limits out, or, if the column is in magnitudes, say --unit mag",
}
YES, NO = ("t", "true", "y", "yes", "+"), ("f", "false", "n", "no", "-")


# ---- columns ------------------------------------------------------------------------------------------------------


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
    flag, limit : str, optional
        Yes or no: whether the brightness is bad, or a limit.
    zero_point, zero_point_system : str, optional
        The magnitude of one unit of flux, row by row.
    implied_unit : str, optional
        Of the brightness, by what survey the names are from.
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
    flag: str | None = None
    limit: str | None = None
    zero_point: str | None = None
    zero_point_system: str | None = None
    implied_unit: str | None = None

    @property
    def used(self) -> list[str]:
        """The chosen columns."""
        roles = (self.object_id, *self.per_observation, self.ra, self.dec)
        return list(dict.fromkeys(name for name in roles if name is not None))

    @property
    def per_observation(self) -> list[str]:
        """The chosen columns that have something to say about each observation, not about the object."""
        roles = (self.time, self.value, self.error, self.band, self.quality, self.flag, self.limit)
        names = (*roles, self.zero_point, self.zero_point_system)
        return list(dict.fromkeys(name for name in names if name is not None))


def normal_name(name: str) -> str:
    """Return a column's name as aliases are written."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"[\[(].*?[\])]", "", name.lower()))


def names_by_alias(names: Iterable[str]) -> dict[str, str]:
    """Return the names by their normal form, in order; the first of those that look the same."""
    known: dict[str, str] = {}
    for name in names:
        known.setdefault(normal_name(name), name)
    return known


def match_columns(
    names: Sequence[str], chosen: Mapping[str, str], path: str, load: Callable[[str], Any] | None = None
) -> Match:
    """Choose the column for each role; ``chosen`` names some outright.

    Parameters
    ----------
    names : sequence of str
        All columns.
    chosen : mapping of str
        Column by role; taken, or refused.
    path : str
        Of the file, for messages.
    load : callable, optional
        Returns a column by name; asked only where several columns fit one role, to see which of them has gaps.

    Raises
    ------
    Unreadable
        If there is no time or brightness, if two columns could be the brightness, or if a chosen column is missing.
    """
    known = names_by_alias(names)
    chosen = {role: _chosen_column(name, known, names, path) for role, name in chosen.items()}
    time = chosen.get("time") or _time_column(known, set(chosen.values()), names, path, load)
    _refuse_phases(time, path)
    value = chosen.get("value") or _value_column(known, {*chosen.values(), time}, names, path, load)
    kind = _kind(normal_name(value))
    scale, offset = scale_and_offset(time)
    has_zero_point = kind != "mag" and normal_name(value) not in RUBIN_FLUX
    zero_point = find_column(known, ZERO_POINT) if has_zero_point else None
    return Match(
        time=time,
        value=value,
        object_id=chosen.get("object_id") or _id_column(known, path, load),
        error=chosen.get("error") or _error_column(known, value, kind),
        band=chosen.get("band") or find_column(known, BAND),
        quality=chosen.get("quality") or find_column(known, QUALITY),
        ra=find_column(known, POSITION["ra"]),
        dec=find_column(known, POSITION["dec"]),
        time_scale=scale,
        offset=offset,
        kind=kind,
        flag=find_column(known, [normal_name(value) + suffix for suffix in ("flag", "isbad", "bad")]),
        limit=_limit_column(known, value, load),
        zero_point=zero_point,
        zero_point_system=find_column(known, ZERO_POINT_SYSTEM) if zero_point else None,
        implied_unit=_implied_unit(normal_name(value), set(known)),
    )


def find_column(known: Mapping[str, str], aliases: Iterable[str]) -> str | None:
    """Return the column under the first alias that the table has."""
    return next((known[alias] for alias in aliases if alias in known), None)


def _chosen_column(name: str, known: Mapping[str, str], names: Sequence[str], path: str) -> str:
    if name in names:
        return name
    if normal_name(name) in known:
        return known[normal_name(name)]
    raise Unreadable(path, f"has no column {name}; it has {list_names(names)}", "name one of these columns")


def _time_column(
    known: Mapping[str, str], used: set[str], names: Sequence[str], path: str, load: Callable[[str], Any] | None
) -> str:
    aliases = [*(alias for alias in TIME if alias in known), *(name for name in known if OFFSET.match(name))]
    columns = [known[alias] for alias in aliases if known[alias] not in used]
    if not columns:
        phases = next((name for name in names if PHASE.search(normal_name(name))), None)
        if phases:
            _refuse_phases(phases, path)
        fix = "say which column holds the times in days, --column time=NAME"
        raise Unreadable(path, f"has no time column; its columns are {list_names(names)}", fix)
    return _fullest(columns, path, load, "times")


def _refuse_phases(time: str, path: str) -> None:
    if PHASE.search(normal_name(time)):
        reason = f"has phases in column {time}, which are no days: it is a folded light curve"
        raise Unreadable(path, reason, "give the light curve before folding, or name its times, --column time=NAME")


def _fullest(columns: Sequence[str], path: str, load: Callable[[str], Any] | None, what: str) -> str:
    """Return the first of columns of one meaning that has the most numbers, and say which it was."""
    if len(columns) == 1 or load is None:
        return columns[0]
    loaded = {name: load(name) for name in columns}
    counts = {name: count_numbers(values) for name, values in loaded.items()}
    best = next(name for name in columns if counts[name] == max(counts.values()))
    if counts[columns[0]] < counts[best]:
        rows = len(loaded[best])
        logger.warning(
            "%s: %d of %d rows have no %s: %s is used", path, rows - counts[columns[0]], rows, columns[0], best
        )
    else:
        others = ", ".join(name for name in columns if name != best)
        logger.info("%s: column %s is used for the %s, not %s", path, best, what, others)
    return best


def count_numbers(values: Any) -> int:
    """Return how many entries of a column are finite numbers."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        if pa.types.is_integer(values.type) or pa.types.is_decimal(values.type):
            return len(values) - values.null_count
        values = values.to_pandas()
    series = pd.to_numeric(pd.Series(np.ma.filled(values, np.nan) if np.ma.isMA(values) else values), errors="coerce")
    return int(np.isfinite(series.to_numpy(np.float64, na_value=np.nan)).sum())


def _value_column(
    known: Mapping[str, str], used: set[str], names: Sequence[str], path: str, load: Callable[[str], Any] | None
) -> str:
    single = tuple(name for name in known if BAND_IN_NAME.match(name))
    groups = [[known[alias] for alias in group if alias in known and known[alias] not in used] for group in VALUE]
    groups = [group for group in (*groups, [known[name] for name in single if known[name] not in used]) if group]
    if not groups:
        fix = "say which column holds the flux or magnitude, --column value=NAME"
        raise Unreadable(path, f"has no brightness column; its columns are {list_names(names)}", fix)
    if load is not None and (len(groups) > 1 or len(groups[0]) > 1):
        groups = _groups_with_numbers(groups, path, load)
    if len(columns := groups[0]) > 1:
        fix = f"choose one, --column value={columns[0]}"
        raise Unreadable(path, f"has {len(columns)} brightness columns of equal standing: {', '.join(columns)}", fix)
    return columns[0]


def _groups_with_numbers(groups: list[list[str]], path: str, load: Callable[[str], Any]) -> list[list[str]]:
    """Return groups of brightnesses, the first one in use, without the columns that are empty or less full."""
    counts = {name: count_numbers(load(name)) for group in groups[:2] for name in group}
    filled = [[name for name in group if counts.get(name, 1)] for group in groups]
    filled = [group for group in filled if group] or groups
    first = filled[0]
    if len(first) > 1 and {normal_name(name) for name in first} <= SAME_MEANING:
        return [[_fullest(first, path, load, "brightness")]]
    same = [name for group in filled for name in group if normal_name(name) in SAME_MEANING]
    if len(first) == 1 and first[0] in same and len(same) > 1:
        return [[_fullest(same, path, load, "brightness")]]
    if first is not groups[0] and first != groups[0]:
        logger.warning("%s: column %s has no number: %s is used", path, groups[0][0], ", ".join(first))
    elif others := [name for group in filled[1:] for name in group]:
        logger.info("%s: column %s is used for the brightness, not %s", path, ", ".join(first), ", ".join(others))
    return [first]


def _kind(value: str) -> str:
    """Return whether a brightness is a magnitude or a flux by its column's normal name; empty if it doesn't tell."""
    if value.endswith("jy") or value == "fnu":
        return "flux"
    return next((kind for kind in ("mag", "flux") if kind in value), "")


def _id_column(known: Mapping[str, str], path: str, load: Callable[[str], Any] | None) -> str | None:
    """Return the column of the objects: of several, the first in which some rows share one."""
    columns = [known[alias] for alias in OBJECT_ID if alias in known]
    if len(columns) < 2 or load is None:
        return columns[0] if columns else None
    for name in columns:
        values = as_series(load(name))
        if values.notna().any() and (len(values) < 2 or values.nunique() < len(values)):
            if name != columns[0]:
                reason = "is empty" if as_series(load(columns[0])).isna().all() else "numbers the rows"
                logger.warning("%s: column %s %s: %s names the objects", path, columns[0], reason, name)
            return name
    return columns[0]


def _own_errors(value: str) -> list[str]:
    """Return the aliases of a brightness's own uncertainty: magpsf goes with sigmapsf."""
    aliases = [value + suffix for suffix in ("err", "error", "unc", "uncertainty", "sigma")]
    aliases += [prefix + value for prefix in ("e", "err", "error", "sigma", "d")]
    aliases += [value.replace("mag", "sigma"), value.replace("mag", "sigmamag"), value.replace("flux", "fluxerr")]
    return [alias for alias in aliases if alias != value]


def _error_column(known: Mapping[str, str], value: str, kind: str) -> str | None:
    """Return the column of a brightness's uncertainty: its own, else a general one that isn't another brightness's."""
    own = _own_errors(normal_name(value))
    others = {alias for group in VALUE for alias in group if alias in known and known[alias] != value}
    others |= {alias for alias in known if BAND_IN_NAME.match(alias) and known[alias] != value}
    taken = {alias for other in others for alias in _own_errors(other)} - set(own)
    general = (*ERROR[kind], *PLAIN_ERROR)
    return find_column(known, [*own, *(alias for alias in general if alias not in taken)])


def _limit_column(known: Mapping[str, str], value: str, load: Callable[[str], Any] | None) -> str | None:
    """Return the column that says yes or no to whether a row is a limit; a column of depths is none."""
    own = [normal_name(value) + suffix for suffix in ("upperlimit", "uplim", "limit", "islimit")]
    columns = [known[alias] for alias in (*own, *LIMIT_FLAG) if alias in known and known[alias] != value]
    return next((name for name in columns if load is not None and not _is_depth(load(name))), None)


def _is_depth(values: Any) -> bool:
    """Tell whether a column holds numbers other than 0 and 1: how faint a star could be seen."""
    numeric = pd.to_numeric(as_series(values), errors="coerce").dropna()
    return bool(len(numeric)) and not numeric.isin([0, 1]).all()


def _implied_unit(value: str, known: set[str]) -> str | None:
    """Return the unit that a survey's brightness is known to be in, by the columns beside it."""
    if value in RUBIN_FLUX and known & RUBIN:
        return "nJy"
    if value == "flux" and (("asassnid" in known) or known >= ASAS_SN):
        return "mJy"
    if value == "fluxcal":
        return units.FLUXCAL
    named = {"ujy": "uJy", "njy": "nJy", "fluxujy": "uJy", "fluxnjy": "nJy", "fluxmjy": "mJy", "fluxjy": "Jy"}
    return named.get(value)


def scale_and_offset(text: str) -> tuple[str, float]:
    """Return the time scale that a column's name or a stated unit stands for, and the offset that brings numbers there.

    >>> [scale_and_offset(text) for text in ("HJD-2450000", "BJD_TDB - 2457000", "MJD", "JD (2400000.5+)", "date")]
    [('HJD', 2450000.0), ('BTJD', 0.0), ('MJD', 0.0), ('MJD', 0.0), ('', 0.0)]
    """
    alias = normal_name(text)
    if alias in SHORT_DATES:
        return "JD", SHORT_DATES[alias]
    date, zero = DATE_NAME.search(text.replace("_", " ")), ZERO_POINT_OF_TIME.search(text)
    base = (date[1].lower() if date else TIME.get(alias, "").lower()) or ""
    base = {"tbjd": "btjd"}.get(base, base)
    if zero is None or (zero[3] and base != "mjd") or base in ("btjd", "bkjd"):
        return TIME.get(alias) or base.upper(), 0.0
    offset = float(zero[3]) if zero[3] else float(f"{zero[1]}.{zero[2] or 0}")
    if base == "mjd":
        return ("MJD", offset) if zero[3] else ("MJD", 0.0)
    exact = {("bjd", 2457000.0): "BTJD", ("bjd", 2454833.0): "BKJD", ("jd", 2400000.5): "MJD", ("", 2400000.5): "MJD"}
    exact |= {("", 2457000.0): "BTJD", ("", 2454833.0): "BKJD"}
    if scale := exact.get((base, offset)):
        return scale, 0.0
    return (base.upper() or "JD"), offset


def list_names(names: Sequence[str], most: int = 30) -> str:
    """Return the first names in a line, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


# ---- values -------------------------------------------------------------------------------------------------------


def numbers(values: Any, name: str, path: str, dtype: type = np.float64) -> NDArray:
    """Return a column as floating-point numbers (N,), missing ones as NaN.

    Raises
    ------
    Unreadable
        If the column holds text, naming the first.
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        values = values.to_pandas() if pa.types.is_string(values.type) else values.to_numpy(zero_copy_only=False)
    try:
        return np.ascontiguousarray(pd.to_numeric(values), dtype)
    except (ValueError, TypeError):
        series = without_missing_words(as_series(values))
        with suppress(ValueError, TypeError):
            return np.ascontiguousarray(pd.to_numeric(series), dtype)
        bad = series[pd.to_numeric(series, errors="coerce").isna() & series.notna()]
        text = str(bad.iloc[0]).strip()
        reason = f"holds text in column {name}: {text!r} in row {bad.index[0] + 1}"
        units_row = "leave out the row of units" if text.isalpha() and bad.index.tolist() == [0] else None
        fix = next((fix for pattern, fix in TEXT_FIXES.items() if re.match(pattern, text)), units_row)
        raise Unreadable(path, reason, fix or "leave such rows out or name another column") from None


def without_missing_words(series: pd.Series) -> pd.Series:
    """Return a column of text with the words of `MISSING` missing."""
    if pd.api.types.is_numeric_dtype(series):
        return series
    words = series.astype("string").str.strip().str.lower()
    return series.mask(words.isin(MISSING).fillna(True).to_numpy(bool))


def column_numbers(data: Mapping[str, Any], name: str, path: str) -> NDArray[np.float64]:
    """Return a loaded column as numbers (N,).

    Raises
    ------
    Unreadable
        If the table has no such column, naming those that it has, or it holds text.
    """
    if name not in data:
        reason = f"has no column {name}; of the known ones it has {', '.join(data)}"
        raise Unreadable(path, reason, "choose one of these")
    return numbers(data[name], name, path)


def identifiers(values: Any, name: str, path: str = "the table") -> pa.Array:
    """Return object identifiers as text: whole numbers without ``.0``, the number of a catalogue with its prefix.

    Raises
    ------
    Unreadable
        If digits are lost: two stars may share a number that was rounded.
    """
    encoded = _encoded_identifiers(values, name, path)
    return encoded.dictionary.take(encoded.indices)


def _encoded_identifiers(values: Any, name: str, path: str) -> pa.DictionaryArray:
    """Return object identifiers as text, each distinct one once."""
    array = as_arrow(values)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    distinct = array.dictionary
    _refuse_lost_digits(distinct, name, path)
    names = _plain_text(distinct)
    if prefix := PREFIXES.get(normal_name(name)):
        names = pa.array([f"{prefix} {i}" if i and i.isdigit() else i for i in names.to_pylist()], pa.string())
    if names.null_count or len(pc.unique(names)) < len(names):
        return names.take(array.indices).dictionary_encode()
    return pa.DictionaryArray.from_arrays(array.indices, names)


def _refuse_lost_digits(array: pa.Array, name: str, path: str) -> None:
    """Refuse identifiers that were numbers with a fraction, or of more digits than those hold."""
    text = pa.types.is_string(array.type) or pa.types.is_large_string(array.type)
    if text:
        rounded = pc.match_substring_regex(array, r"^\s*[-+]?\d+\.?\d*[eE][-+]?\d+\s*$")
        if not pc.any(rounded).as_py():
            return
        example = str(array.filter(rounded.fill_null(False))[0].as_py()).strip()
        if "." not in example and not example.upper().startswith(("1E", "2E")) and len(pc.unique(array)) > 1:
            return  # 4e12 may be the name of a star
    elif pa.types.is_floating(array.type):
        limit = LOST_DIGITS if array.type == pa.float64() else 2.0**24
        numbers = floats(array, np.float64)
        rounded = np.abs(numbers) >= limit
        if not rounded.any():
            if np.any(numbers[np.isfinite(numbers)] % 1):
                fix = "name the column of the objects, --column object_id=NAME"
                raise Unreadable(path, f"has numbers with a fraction in column {name}, which name no objects", fix)
            return
        example = f"{numbers[rounded][0]:.17g}"
    else:
        return
    reason = f"has rounded identifiers in column {name}, such as {example}: two objects may have become one"
    fix = "write them as whole numbers (int64) or text, or leave the column out with another --column object_id"
    raise Unreadable(path, reason, fix)


def _plain_text(distinct: pa.Array) -> pa.Array:
    """Return identifiers as text, without blanks around them; whole numbers that were written as 11.0 lose the zero."""
    names = strings(distinct)
    if pa.types.is_floating(distinct.type) or pa.types.is_integer(distinct.type):
        return names
    names = pc.utf8_trim_whitespace(names)
    if len(names) and pc.all(pc.match_substring_regex(names, r"^\d+\.0$")).as_py():
        names = pc.utf8_slice_codeunits(names, 0, -2)
    return pc.if_else(pc.equal(names, ""), None, names)


def object_codes(values: Any, name: str, path: str) -> tuple[pa.Array, NDArray[np.int64]]:
    """Return the identifiers (n,) in order of appearance and the index of each row's, (N,).

    Raises
    ------
    Unreadable
        If a row has none.
    """
    encoded = _encoded_identifiers(values, name, path)
    if encoded.null_count:
        fix = "fill the column, or leave these rows out"
        raise Unreadable(path, f"has {encoded.null_count} rows without {name}", fix)
    return encoded.dictionary, encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def bands(
    values: Any, name: str | None, options: ReadOptions, path: str
) -> tuple[tuple[str, ...], NDArray[np.uint8] | None]:
    """Return the names of the bands and the index (N,) of each observation's.

    Raises
    ------
    Unreadable
        If there are more than 256 bands: then the column is none.
    """
    if values is None or name is None:
        return (options.band or NO_BAND,), None
    numbered = NUMBERED.get(normal_name(name))
    encoded = strings(values).fill_null(NO_BAND).dictionary_encode()
    names = [str(band).strip() for band in encoded.dictionary.to_pylist()]
    names = [ZTF_NAMES.get(band, band) for band in names]
    if numbered and all(band.isdigit() and int(band) in numbered for band in names):
        names = [numbered[int(band)] for band in names]
    distinct = list(dict.fromkeys(names))
    if len(distinct) > MOST_BANDS:
        raise Unreadable(path, f"has {len(distinct)} different bands in column {name}", "--column band=NAME")
    codes = np.array([distinct.index(band) for band in names], np.uint8)
    return tuple(distinct) or (NO_BAND,), codes[encoded.indices.to_numpy(zero_copy_only=False)]


def signs(values: Any) -> NDArray[np.float64]:
    """Return a column of yes and no, or of signs, as +1 and -1 (N,); NaN where it is missing or neither.

    Yes is True, a number above 0, or one of ``t true y yes + 1`` in any case; no is False, any other number, or one of
    ``f false n no - 0``. Surveys spell one column in several ways: ZTF's ``isdiffpos`` is ``t`` and ``f`` in some
    packets, ``1`` and ``0`` or ``-1`` in others, and a number at brokers.
    """
    array = as_arrow(values)
    if pa.types.is_null(array.type):
        return np.full(len(array), np.nan)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        array = array.dictionary_encode()
    if pa.types.is_dictionary(array.type):
        distinct = np.array([*(sign(text) for text in array.dictionary.to_pylist()), np.nan])
        return distinct[array.indices.fill_null(len(distinct) - 1).to_numpy(zero_copy_only=False)]
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    number = floats(array, np.float64)
    return np.where(np.isnan(number), np.nan, np.where(number > 0, 1.0, -1.0))


def sign(value: Any) -> float:
    """Return one value of yes or no as +1 or -1, NaN if it is neither; see `signs`."""
    word = str(value).strip().lower()
    if word in YES or word in NO:
        return 1.0 if word in YES else -1.0
    number = pd.to_numeric(word, errors="coerce")
    return np.nan if np.isnan(number) else (1.0 if number > 0 else -1.0)


def flags(values: Any) -> Mask:
    """Return a column of yes and no as a mask (N,), spelled in any way that `signs` knows; missing is no."""
    return signs(values) > 0


def degrees(values: Any, name: str) -> NDArray[np.float64] | None:
    """Return a coordinate (N,) in degrees, None if it is sexagesimal: not worth losing the light curves for."""
    try:
        return numbers(values, name, "")
    except Unreadable:
        return None


# ---- times --------------------------------------------------------------------------------------------------------


def days_per_unit(stated: str | None, column: str, options: ReadOptions, path: str) -> float:
    """Return the length in days of the unit that times are stated in; without one they are in days.

    Raises
    ------
    Unreadable
        If it is no unit of time, and no time scale is given to say that the numbers are days all the same.
    """
    if (not stated or JULIAN.match(stated)) and (after := UNIT_AFTER_TIME.match(column)):
        stated = after[1]
    if not stated or JULIAN.match(stated):
        return 1.0
    if (factor := units.days_in_unit(stated)) is not None:
        return factor
    if options.time_scale:
        return 1.0
    fix = "fix the unit (s, min, h, d and yr are known), or, if the times are in days, say their --time-scale"
    raise Unreadable(path, f"has times in the unknown unit {stated!r} (column {column})", fix)


def infer_time_scale(named: str, time: NDArray[np.float64]) -> str:
    """Return the time scale that the column's name and the numbers (days) speak for.

    If they disagree, it is that of the numbers where they can be nothing else, or else ``"unknown"``.
    """
    finite = time[:1000][np.isfinite(time[:1000])]
    if not len(finite):
        return named or "unknown"
    middle = float(np.median(finite))
    if 2.4e6 < middle < 2.6e6:
        return named if named in ("JD", "HJD", "BJD") else "JD"
    if named in ("MJD", "JD") and 1.5e4 < middle < 1e5:
        return "MJD"
    if named == "":
        return "MJD" if 4e4 < middle < 7e4 else "unknown"
    return named if named in ("BTJD", "BKJD") and middle < 2e4 else "unknown"


def check_time_scale(match: Match, time: NDArray[np.float64], path: str) -> str:
    """Return the scale of times (N,), with a warning where it isn't the one that the column is named after."""
    scale = infer_time_scale(match.time_scale, time)
    if match.time_scale and scale != match.time_scale:
        logger.warning(
            "%s: column %s holds times around %.7g, which are no %s: their scale is taken as %s. Another: --time-scale",
            path,
            match.time,
            np.nanmedian(time),
            match.time_scale,
            scale,
        )
    return scale


@dataclass(frozen=True)
class Measured:
    """The observations of a table's rows, judged.

    Parameters
    ----------
    time : float64 (N,)
        Days; NaN where there is no observation.
    value, error : float32 (N,)
        NaN for limits and missing ones; the error is None if there is none.
    good : bool (N,)
        False for rows that the quality cut leaves out.
    unit, time_scale : str
        Of value and time.
    left_out : Counter
        Number of rows by the reason why they are no measurement.
    """

    time: NDArray[np.float64]
    value: NDArray[np.float32]
    error: NDArray[np.float32] | None
    good: Mask
    unit: str
    time_scale: str
    left_out: Counter[str] = field(default_factory=Counter)


def measure(
    data: Mapping[str, Any],
    match: Match,
    options: ReadOptions,
    path: str,
    stated: Mapping[str, str],
    *,
    stated_scale: str | None = None,
    offset: float = 0.0,
    codes: NDArray[np.int64] | None = None,
) -> Measured:
    """Return what a table's rows measured: the one way from any table's columns to numbers, flat or nested.

    Parameters
    ----------
    data : mapping
        The columns `Match.per_observation` by name, each (N,).
    stated : mapping of str
        Units of the columns as the file writes them; a unit in a column's name counts too.
    stated_scale : str, optional
        Time scale by the file's header.
    offset : float
        What the header adds to the times [d].
    codes : int64 (N,), optional
        The object of each row; without it all are of one.

    Raises
    ------
    Unreadable
        If a column holds text, or is in an unknown unit.
    """
    left_out = Counter[str]()
    stated = {name: unit for name in match.used if (unit := stated.get(name) or units.unit_in_name(name))}
    time, scale = times(data[match.time], match, options, path, stated.get(match.time), offset)
    time = _without_padding_times(time, left_out)
    value, error, unit = brightness(
        data,
        match,
        options,
        path,
        kind=match.kind,
        stated=stated.get(match.value),
        stated_error=stated.get(match.error or ""),
        codes=codes,
        left_out=left_out,
    )
    good = passes_quality(data.get(match.quality or ""), match, options, path, len(time))
    if match.flag and options.quality != "none":
        good &= ~flags(data[match.flag])
    left_out["flags"] += int((~good).sum())
    scale = _agreed_scale(stated_scale, scale, time)
    scale = options.time_scale or scale or check_time_scale(match, time, path)
    return Measured(time, value, error, good, unit, scale, +left_out)


def times(
    values: Any, match: Match, options: ReadOptions, path: str, stated: str | None, offset: float = 0.0
) -> tuple[NDArray[np.float64], str | None]:
    """Return times (N,) in days, and the scale that their unit states, None if none.

    Raises
    ------
    Unreadable
        If they are in an unknown unit.
    """
    if stated and stated.strip().lower() in ("phase", "cycles", "cycle", "dimensionless", "norm"):
        _refuse_phases("phase", path)
    time = numbers(values, match.time, path)
    _warn_of_rounded_times(values, time, match.time, path)
    time = units.scale(time, days_per_unit(stated, match.time, options, path))
    scale, zero = scale_and_offset(stated) if stated and JULIAN.match(stated) else ("", 0.0)
    if match.offset or not (zero or scale in ("BTJD", "BKJD") or not match.time_scale):
        scale, zero = "", match.offset
    offset = 0.0 if match.time_scale else offset  # the header's zero point is of TIME
    finite = time[:1000][np.isfinite(time[:1000])]
    if zero and len(finite) and np.median(finite) >= (2.3e6 if zero > 1e6 else zero):
        logger.warning("%s: column %s counts from no zero point, whatever its name: %.7g", path, match.time, finite[0])
        zero = 0.0
    return (time + (zero + offset) if zero + offset else time), scale or None


def _agreed_scale(header: str | None, unit: str | None, time: NDArray[np.float64]) -> str | None:
    """Return the stated scale, None if the numbers can't be in it: a full Julian date is no BTJD."""
    finite = time[:1000][np.isfinite(time[:1000])]
    middle = np.median(finite) if len(finite) else 0.0
    stated = header or unit
    return None if stated in ("BTJD", "BKJD", "MJD") and middle > 2.3e6 else stated


def _warn_of_rounded_times(values: Any, time: NDArray[np.float64], name: str, path: str) -> None:
    """Warn of dates in 32 bits: those of Julian dates are a quarter of a day apart."""
    kind = str(getattr(values, "type", getattr(values, "dtype", "")))
    if kind not in ("float", "float32", ">f4", "<f4", "halffloat", "float16"):
        return
    largest = np.float32(np.nanmax(np.abs(time[:1000]), initial=0.0))
    if np.isfinite(largest) and (step := float(np.spacing(largest))) > 1e-3:
        logger.warning(
            "%s: the times in column %s are 32-bit numbers, rounded to %.2g d: short periods are lost. "
            "Fix: write them in 64 bits",
            path,
            name,
            step,
        )


def _without_padding_times(time: NDArray[np.float64], left_out: Counter[str]) -> NDArray[np.float64]:
    """Return times (N,) with 0, -99 and the like as NaN where all others are dates: such rows pad a table."""
    low = time < 100
    if not low.any() or not (dates := time[~low & np.isfinite(time)]).size or dates.min() < 1e4:
        return time
    padding = np.isin(time, [0.0, *(x for x in SUSPECT_FLUX if x < 100)])
    left_out["padding"] += int(padding.sum())
    return np.where(padding, np.nan, time)


# ---- brightness ---------------------------------------------------------------------------------------------------


def brightness(
    data: Mapping[str, Any],
    match: Match,
    options: ReadOptions,
    path: str,
    *,
    kind: str,
    stated: str | None,
    stated_error: str | None = None,
    codes: NDArray[np.int64] | None = None,
    left_out: Counter[str] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, str]:
    """Return the brightnesses (N,), their uncertainties, None if there are none, and the unit.

    Magnitudes come out in mag, fluxes with a zero point in nJy; limits and missing ones are NaN. If the options name a
    unit, the numbers stay as they are.

    Parameters
    ----------
    data : mapping
        Columns by name.
    kind : {"mag", "flux", ""}
        What the brightness is by its name.
    stated, stated_error : str, optional
        Units as the file writes them.
    codes : int64 (N,), optional
        The object of each row.
    left_out : Counter, optional
        Takes the number of rows by the reason why they are no measurement.

    Raises
    ------
    Unreadable
        If a column holds text, or the unit is none of brightness.
    """
    if stated and not options.unit:
        _refuse_unknown_unit(stated, kind, match.value, path)
    if stated_error and not options.unit and not units.is_brightness(stated_error):
        _refuse_unknown_unit(stated_error, "", match.error or "", path)
    unit, factor = units.brightness_unit(kind, stated or match.implied_unit)
    if options.unit:
        unit, factor = options.unit, 1.0
    counts = Counter[str]()
    value = units.scale(
        numbers(_without_limits(data[match.value], unit, counts), match.value, path, np.float32), factor
    )
    error = None
    if match.error is not None:
        error = numbers(data[match.error], match.error, path, np.float32)
        error = units.scale(error, factor if options.unit else units.error_factor(stated_error, factor, unit))
    if match.limit is not None and match.limit in data:
        value = _masked(value, flags(data[match.limit]), f"limits by column {match.limit}", counts)
    judge = _judged_magnitudes if unit.lower().startswith("mag") else _judged_fluxes
    value, error = judge(value, error, codes, counts)
    log_left_out(path, counts)
    if left_out is not None:
        left_out.update(counts)
    if match.zero_point is not None and not options.unit:
        value, error, unit = _by_zero_points(data, match, value, error, unit, stated, path)
    return value, error, unit


def log_left_out(path: str, counts: Mapping[str, int]) -> None:
    """Say how many numbers are no measurements, by reason."""
    for reason, count in counts.items():
        sure = reason.startswith(("limits such as", "limits by", "dummy", "missing"))
        logger.log(logging.INFO if sure else logging.WARNING, "%s: %d %s made NaN", path, count, reason)


def _refuse_unknown_unit(stated: str, kind: str, column: str, path: str) -> None:
    fits = units.is_brightness(stated) and (
        kind != "mag" or stated.lower() in units.LINEAR or units.magnitude_factor(stated)
    )
    if not fits:
        reason = f"has brightnesses in the unknown unit {stated!r} (column {column})"
        fix = "say which unit the numbers are in, --unit mag, nJy, mJy, relative, ..., or name another column"
        raise Unreadable(path, reason, fix)


def _by_zero_points(
    data: Mapping[str, Any],
    match: Match,
    value: NDArray[np.float32],
    error: NDArray[np.float32] | None,
    unit: str,
    stated: str | None,
    path: str,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, str]:
    """Return fluxes whose zero points a column tells, in nJy; of another system than AB, at one zero point.

    Notes
    -----
    F = f * 3631 Jy * 10^(-0.4 zp), and so for the error.
    """
    name = str(match.zero_point)
    plain = unit in ("flux", "unknown") or (stated or unit).strip().lower() in units.LINEAR
    if unit.lower().startswith("mag") or not plain:
        logger.info("%s: column %s isn't used: the brightness is in %s", path, name, unit)
        return value, error, unit
    zero = numbers(data[name], name, path)
    systems = _systems(data.get(match.zero_point_system or ""))
    if systems <= {"ab", "ab_b12", ""}:
        factor, unit, how = units.nanojansky_per_unit(zero), "nJy", "AB"
    else:
        factor, unit, how = 10 ** (-0.4 * (zero - units.FLUXCAL_ZERO)), "flux", ", ".join(sorted(systems))
        logger.warning("%s: the zero points are of the system %s: fluxes come out at zero point 27.5 of it", path, how)
    if missing := int((np.isnan(factor) & ~np.isnan(value)).sum()):
        logger.warning("%s: %d fluxes without a zero point in column %s made NaN", path, missing, name)
    else:
        logger.info("%s: fluxes are calibrated by column %s, to %s", path, name, unit)
    value = (value * factor).astype(np.float32)
    return value, None if error is None else (error * factor).astype(np.float32), unit


def _systems(values: Any) -> set[str]:
    """Return the distinct systems of zero points, in lower case."""
    return set() if values is None else {str(value).strip().lower() for value in as_series(values).dropna().unique()}


def _masked(values: NDArray[np.float32], mask: Mask, reason: str, counts: Counter[str]) -> NDArray[np.float32]:
    """Return numbers (N,) with those of a mask as NaN, and count them."""
    mask = mask & ~np.isnan(values)
    if not mask.any():
        return values
    counts[reason] += int(mask.sum())
    return np.where(mask, np.float32(np.nan), values)


def _judged_magnitudes(
    value: NDArray[np.float32], error: NDArray[np.float32] | None, codes: NDArray[np.int64] | None, counts: Counter[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return magnitudes (N,) and errors with NaN for what can't be a measurement, and count it by reason."""
    impossible = np.zeros(len(value), bool)
    if error is not None and len(error):
        error, impossible = _judged_errors(error, counts)
        value = _masked(value, impossible, "limits (magnitudes whose error is impossible, such as 99.99)", counts)
    value = _masked(
        value, dummy_magnitudes(value, "mag"), f"dummy magnitudes ({NO_MAGNITUDE:g} or more either way)", counts
    )
    for suspect in SUSPECT:
        equal = value == np.float32(suspect)
        if np.count_nonzero(equal) and not _have_near_neighbours(value, equal, codes):
            evidence = _is_far(value, equal, codes)
            doubtful = np.zeros(len(value), bool) if error is None else np.isnan(error) | (error <= 0)
            repeated = equal.sum() > 1 or abs(suspect) > 28
            mask = equal & evidence & (doubtful | repeated)
            value = _masked(value, mask, f"magnitudes of exactly {suspect:g}, far from all others,", counts)
    return value, error


def _judged_errors(error: NDArray[np.float32], counts: Counter[str]) -> tuple[NDArray[np.float32], Mask]:
    """Return errors of magnitudes with the impossible ones as NaN, and which of them mean that nothing was measured.

    An error of 9.999 or 99.99 is a limit's; one below 0 tells only that the error is unknown, and so does one number in
    all rows.
    """
    large = (error >= 9) & ((error >= NO_MAGNITUDE) | np.isin(error, np.array(SUSPECT_ERROR, np.float32)))
    below = error < 0
    if below.any():
        counts["errors below 0"] += int(below.sum())
    if not large.any():
        return (np.where(below, np.float32(np.nan), error) if below.any() else error), large
    if not (np.isfinite(error) & ~large & ~below).any():
        counts["errors that are the same impossible number everywhere"] += int(large.sum())
        return np.full(len(error), np.nan, np.float32), np.zeros(len(error), bool)
    return np.where(large | below, np.float32(np.nan), error), large


def _have_near_neighbours(value: NDArray[np.float32], equal: Mask, codes: NDArray[np.int64] | None) -> bool:
    """Tell whether each of some equal magnitudes has one of its star that is no further than `FAR` in the next row."""
    rows = np.flatnonzero(equal)
    near = np.zeros(len(rows), bool)
    for step in (-1, 1):
        others = np.clip(rows + step, 0, len(value) - 1)
        same_star = True if codes is None else codes[others] == codes[rows]
        near |= same_star & ~equal[others] & (np.abs(value[others] - value[rows]) <= FAR)
    return bool(near.all())


def _is_far(value: NDArray[np.float32], equal: Mask, codes: NDArray[np.int64] | None) -> Mask:
    """Tell which of some equal magnitudes are further than `FAR` from all others of their star (N,).

    A star without any other is compared with all the others.
    """
    number, others = value[equal][0], ~equal & np.isfinite(value)
    if not others.any():
        return np.zeros(len(value), bool)
    everywhere = np.min(np.abs(value - number), where=others, initial=np.inf)
    if codes is None:
        return equal & bool(everywhere > FAR)
    stars = np.zeros(int(codes.max()) + 1, bool)
    stars[codes[equal]] = True
    rows = np.flatnonzero(stars[codes] & others)
    nearest = np.full(len(stars), np.inf, np.float32)
    np.minimum.at(nearest, codes[rows], np.abs(value[rows] - number))
    far = np.where(np.isfinite(nearest), nearest, everywhere) > FAR
    return equal & far[codes]


def _judged_fluxes(
    value: NDArray[np.float32], error: NDArray[np.float32] | None, codes: NDArray[np.int64] | None, counts: Counter[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return fluxes (N,) and errors with NaN for the likes of -999 that can't be a measurement, and count it by reason.

    Any number may be a flux: -999 is none where its error is impossible, or it is repeated far below all others.
    """
    doubtful = np.zeros(len(value), bool)
    if error is not None:
        below = error < 0
        if below.any():
            counts["errors below 0"] += int(below.sum())
            error = np.where(below, np.float32(np.nan), error)
        if np.any(error > 0):  # else the errors tell nothing
            doubtful = np.isnan(error)
    for suspect in SUSPECT_FLUX[:-1]:
        equal = value == np.float32(suspect)
        if not equal.any():
            continue
        rest = value[~equal & np.isfinite(value)]
        span = float(np.ptp(rest)) if len(rest) else 0.0
        far = bool(len(rest)) and (suspect < rest.min() - span or suspect > rest.max() + 5 * span)
        repeated = equal.sum() > 1 and far and len(rest) > 2 and suspect < 0
        mask = equal & (doubtful | repeated) if far or error is not None else np.zeros(len(value), bool)
        value = _masked(
            value, mask, f"fluxes of exactly {suspect:g}, with an impossible error or far from all others,", counts
        )
    return value, error


def warn_of_unknown_unit(unit: str, options: ReadOptions, path: str) -> None:
    """Warn that a brightness without a unit is taken as flux, which turns magnitudes upside down."""
    if unit == "unknown" and options.unit is None:
        logger.warning(
            "the brightness of %s has no known unit and is taken as flux; if it is in magnitudes, say --unit mag", path
        )


def _without_limits(values: Any, unit: str, counts: Counter[str]) -> Any:
    """Return a column with limits of magnitude such as ``>16.5`` missing, and count them; any other as it is."""
    kind = getattr(values, "type", None)
    if not unit.lower().startswith("mag") or (
        kind is not None and (pa.types.is_floating(kind) or pa.types.is_integer(kind))
    ):
        return values
    series = as_series(values)
    if pd.api.types.is_numeric_dtype(series):
        return values
    limits = series.astype("string").str.match(LIMIT).fillna(False).to_numpy(bool)
    if not limits.any():
        return values
    counts[f"limits such as {str(series[limits].iloc[0]).strip()}"] += int(limits.sum())
    return series.mask(limits)


def dummy_magnitudes(value: NDArray[np.float32], unit: str) -> Mask:
    """Mark the brightnesses (N,) that stand for no measurement: magnitudes of `NO_MAGNITUDE` and more either way.

    In other units every number may be a measurement.
    """
    return np.abs(value) >= NO_MAGNITUDE if unit.lower().startswith("mag") else np.zeros(len(value), bool)


def mask_dummies(value: NDArray[np.float32], unit: str, path: str) -> NDArray[np.float32]:
    """Return brightnesses (N,) with the `dummy_magnitudes` as NaN, which preprocessing drops; log how many."""
    dummy = dummy_magnitudes(value, unit)
    if not dummy.any():
        return value
    logger.info("%s: %d dummy magnitudes (%g or more either way) made NaN", path, dummy.sum(), NO_MAGNITUDE)
    return np.where(dummy, np.float32(np.nan), value)


def as_series(values: Any) -> pd.Series:
    """Return a column of any library as one of pandas."""
    return values.to_pandas() if isinstance(values, pa.Array | pa.ChunkedArray) else pd.Series(values)


# ---- quality ------------------------------------------------------------------------------------------------------


def unflagged(flags: NDArray, bits: int, quality: str) -> Mask:
    """Return which rows (N,) stay: those without any of ``bits``, without any flag (``"hard"``), or all."""
    if quality == "none":
        return np.ones(len(flags), bool)
    values = np.nan_to_num(flags).astype(np.int64)
    return values == 0 if quality == "hard" else (values & bits) == 0


def passes_quality(values: Any, match: Match, options: ReadOptions, path: str, n: int) -> Mask:
    """Return which rows (n,) of a table stay by its quality column.

    Flags have a meaning where the column's name tells the survey (`SEVERE`), letters where they are one of the known
    scales (`LETTERS`).
    """
    if match.quality is None or values is None or options.quality == "none":
        return np.ones(n, bool)
    if (by_letters := _passes_letters(values, match.quality, options.quality, path)) is not None:
        return by_letters
    severe = SEVERE.get(normal_name(match.quality), 0)
    if not (severe or options.quality == "hard"):
        return np.ones(n, bool)
    return unflagged(numbers(values, match.quality, path), severe, options.quality)


def _passes_letters(values: Any, name: str, quality: str, path: str) -> Mask | None:
    """Return which rows (N,) stay by a quality in letters or words, None if it is in numbers; what is missing stays."""
    kind = getattr(values, "type", getattr(values, "dtype", None))
    if isinstance(kind, pa.DataType) and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    series = as_series(values)
    if pd.api.types.is_bool_dtype(series) or pd.api.types.is_numeric_dtype(series):
        return None
    words = series.astype("string").str.strip()
    distinct = set(words.dropna().unique()) - {""}
    if not distinct or all(re.fullmatch(r"[-+]?\d+(\.0*)?", word) for word in distinct):
        return None
    upper, lower = {word.upper() for word in distinct}, {word.lower() for word in distinct}
    for survey, (scale, worst, best) in LETTERS.items():
        if (
            upper <= set(scale)
            and ((survey == "ASAS-SN") == (normal_name(name) != "grade"))
            and (survey == "ASAS" or upper == {"B"} or "G" in upper)
        ):
            passed = words.str.upper() == best if quality == "hard" else words.str.upper() != worst
            return _said_of_letters(passed, name, worst if quality != "hard" else f"other than {best}", path)
    if upper <= set("ABCD"):
        passed = words.str.upper() == "A" if quality == "hard" else words.str.upper() != "D"
        return _said_of_letters(passed, name, "D" if quality != "hard" else "other than A", path)
    if (
        lower <= GOOD_WORDS | BAD_WORDS
        and lower & BAD_WORDS
        and not lower <= {"t", "f", "true", "false", "y", "n", "yes", "no"}
    ):
        return _said_of_letters(~words.str.lower().isin(BAD_WORDS), name, "bad", path)
    shown = ", ".join(sorted(distinct)[:5])
    logger.info("%s: the qualities in column %s (%s) have no known meaning and aren't used", path, name, shown)
    return np.ones(len(words), bool)


def _said_of_letters(passed: pd.Series, name: str, worst: str, path: str) -> Mask:
    mask = passed.fillna(True).to_numpy(bool)
    if not mask.all():
        logger.info("%s: %d rows of quality %s (column %s) are left out", path, (~mask).sum(), worst, name)
    return mask
