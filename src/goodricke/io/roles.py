"""The columns of any table and their roles: which is the time, the brightness, its error, the band, the object.

Columns are found by the aliases under which surveys know them. Names are compared in lower case, without spaces,
underscores, punctuation and bracketed units: ``MJD [d]`` is ``mjd``. Where several columns fit one role, the first
alias wins, unless it has gaps that another of the same meaning fills; flux comes before magnitude (it keeps negative
measurements). Aliases in one inner tuple have equal standing: two of them in one table, both with numbers, is an error,
not a guess. The error, the zero point, the flag and the mark of limits belong to the brightness that is chosen, never
to another one.

The values of a column become numbers, identifiers, bands, or yes and no here. What they measure, and which rows are no
measurement, is judged in `measurements`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.data import units
from goodricke.data.arrow import MOST_BANDS, NO_BAND, as_arrow, floats, strings
from goodricke.data.identifiers import first_rounded
from goodricke.io.options import ReadOptions, Unreadable

logger = logging.getLogger("goodricke")

Mask = NDArray[np.bool_]

OBJECT_ID = (
    *("objectid", "oid", "diaobjectid", "id", "sourceid", "snid", "starid", "lcid", "lightcurveid", "targetid"),
    *("ticid", "tic", "kepid", "kic", "epic", "epicid", "gaiaid", "gaiasourceid", "objid", "iauname", "object", "name"),
    *("star", "starname", "objectname", "masterid", "asassnid", "asasid", "coaddobjectid", "ssobjectid", "crtsid"),
    *("superwaspid", "ogleid", "gaiadr3id", "gaiadr2id", "allwiseid", "ztfid", "desid", "ps1id", "sdssid", "hipid"),
    *("hip", "2massid", "tmassid", "varid", "event", "eventname", "transient", "designation", "starnumber"),
    *("numericalid", "objname", "targetname", "target", "locusid", "hatid", "cssid", "sssid", "mlsid", "diasourceid"),
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
    **dict.fromkeys(("timemin", "timeminutes"), ""),
}
# Times only where no other column has any: dates of the calendar, as a rule.
DATES = (
    "dateobs",
    "obsdate",
    "dateobserved",
    "datetime",
    "timestamp",
    "dateutc",
    "utc",
    "utdate",
    "obsdateutc",
    "isotime",
    "isodate",
)
SHORT_DATES = {"rjd": 2400000.0, "tjd": 2440000.5}  # reduced and truncated Julian dates, by their zero point [JD]
PHASE = re.compile(r"phase|^folded|^phi$")
FOLDED = ("phase", "cycle", "cyclenumber", "epochtime", "timeoriginal", "timefolded")
# Names like HJD-2450000, BJD_TDB (2457000+) or MJD-50000: the scale, and what the numbers need added to them.
DATE_NAME = re.compile(r"(?<![a-z])(bjd|hjd|mjd|rjd|jd|btjd|bkjd|tbjd)(?![a-z]{4})", re.IGNORECASE)
ZERO_POINT_OF_TIME = re.compile(r"(?<!\d)(2[34]\d{5})(?:[._](\d+))?(?!\d)|(?<=[-+( ])([3-6]\d{4}(?:\.\d+)?)(?!\d)")
OFFSET = re.compile(r"^(hjd|bjd|jd|time|t)(tdb|utc|tt)?(24\d{5})[05]?$|^mjd[3-6]\d{4}[05]?$")

RELATIVE = {"relflux", "relativeflux", "normflux", "normalizedflux", "normalisedflux", "fluxrel", "fluxnorm"}
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
    ("psfmag",),
    ("fluxpsf", "fluxauto", "fluxaper"),
    ("apermag3",),  # the aperture of 1 arcsecond, which VISTA and UKIDSS recommend
    tuple(sorted(RELATIVE)),
    ("relfluxt1",),  # AstroImageJ's target
    ("vc",),  # Muniwin: variable minus comparison star
)
UNIT_AT_END = re.compile(r"(mmag|ppm|ppt|percent|[mun]?jy)$")
# Brightnesses of one meaning: a fuller one among them takes the place of one with gaps.
SAME_MEANING = {"value", "flux", "fluxcal", "mag", "magnitude"}
BANDS_IN_NAMES = r"[a-cf-z]|hp|bp|rp|bt|vt|ks|kp|ic|rc|w[1-4]"  # e and d are errors
BAND_IN_NAME = re.compile(rf"^(({BANDS_IN_NAMES})(mag|flux)|(mag|flux)({BANDS_IN_NAMES}))$")  # Vmag, mag_g, fluxr
# The same as written, where the letters can be one band only: gmag, Vmag, VMAG; not GMAG (Gaia's G, or Sloan's g).
BAND_AS_WRITTEN = re.compile(
    r"^(?:(?P<before>[ugrizyUBVRIJHKG]|Hp|BP|RP|BT|VT|Ks|Kp|[RI]c|W[1-4])[_ .-]?(?:[Mm]ag(?:nitude)?|[Ff]lux)"
    r"|(?:[Mm]ag(?:nitude)?|[Ff]lux)[_ .-]?(?P<after>[ugrizyUBVRIJHKG]|Hp|BP|RP|BT|VT|Ks|Kp|[RI]c|W[1-4])"
    r"|(?P<capital>[UBVJHK])_?(?:MAG|FLUX)|(?:MAG|FLUX)_?(?P<last>[UBVJHK]))(?:\s*[\[(].*)?$"
)
# A magnitude called after its band alone, where nothing else can be the brightness.
BARE_BAND = re.compile(r"^(U|B|V|R|I|J|H|K|Ks|Hp|BP|RP|[RI]c)$")
# A date that isn't of the observation.
OTHER_DATE = re.compile(r"ref|disc|max|min(?!us)|peak|first|last|start|end|begin|err|unc|zero|trig|expl|rise|int|frac")
# A name that speaks of a brightness, and one that speaks of something else as well.
SPEAKS_OF_BRIGHTNESS = re.compile(r"flux|mag(?!e|n(?!itude))|^counts?$|^(count)?rate$|^intensity$|^brightness$")
SPEAKS_OF_MORE = re.compile(
    r"err|unc|sig|std|rms|variance|magvar|fluxvar|lim|depth|zp|zero|ref|sky|bkg|bg|back|flag|bad|ext|colou?r|comp|chk|check|templ|snr"
    r"|ratio|qual|num|count.*mag|unit|sys|type|image|amp|peak|max|min|mean|median|host|galaxy|nearest|cat"
)

BAND = (
    *("band", "passband", "filter", "filtername", "filtercode", "filt", "flt", "fid", "filterid", "bandpass"),
    *("photometricband", "photfilter", "photband", "obsfilter"),
)
QUALITY = (
    *("quality", "sapquality", "qualityflag", "qflag", "flags", "flag", "tessflags", "catflags", "photflag"),
    *("infobitssci", "grade", "validationflag"),
)
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
DETECTION = ("detected", "isdetected", "detection", "isdetection", "detectedbool", "detectionflag")
ZERO_POINT = ("zp", "zeropoint", "zeropt", "magzp", "zpmag", "zpab", "magzeropoint", "photzp")
# Text: the unit of the brightness, row by row; after the name of the brightness too (flux_unit).
UNIT = ("fluxunit", "fluxunits", "magunit", "magunits", "magnitudeunit", "brightnessunit")
ZERO_POINT_SYSTEM = ("zpsys", "magsys", "zeropointsystem", "zpsystem", "photsys")
# Names by which fluxes of Rubin are known to be in nJy, and ASAS-SN's in mJy.
RUBIN_FLUX = {"psfflux", "psflux", "apflux", "scienceflux", "psfdiffflux", "totflux", "forcedpsfflux"}
RUBIN = {"diaobjectid", "diasourceid", "ccdvisitid", "midpointtai", "midpointmjdtai", "expmidptmjd", "psflux"}
RUBIN |= {"psfdiffflux", "parentobjectid", "forcedsourceid", "ssobjectid"}
ASAS_SN = (
    *({"asassnid"}, {"camera", "fwhm", "limit"}, {"hjd", "camera", "mag", "magerr", "fluxerr"}),
    {"jd", "camera", "filter", "mag", "magerr", "fluxerr"},
)
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
    "vistafilterid": dict(enumerate(("Z", "Y", "J", "H", "Ks"), 1)),
}
RUBIN_BANDS = {"Y": "y"}  # how ELAsTiCC writes Rubin's y, which isn't the Y of others
ZTF_NAMES = {f"{mark}{name}": name for name in "gri" for mark in ("z", "ZTF_", "ztf_", "ztf")}  # how ZTF writes g, r, i

ERROR = {
    "mag": ("magerr", "magerror", "emag", "sigmamag", "magsigma", "dmag", "merr", "magnitudeerror"),
    "flux": ("fluxerr", "fluxerror", "eflux", "sigmaflux", "fluxsigma", "dflux", "fluxunc", "fluxcalerr"),
    "": (),
}
PLAIN_ERROR = ("error", "err", "uncertainty", "unc", "sigma", "valueerr", "valueerror")


CALENDAR_DATE = r"\s*\d{4}-\d{2}-\d{2}([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?\s*(Z|UTC|[+-]00:?00)?\s*$"
MJD_OF_1970 = 40587.0  # the day from which computers count
# What files write for no number, in any case.
MISSING = (
    *("", "indef", "null", "none", "nan", "na", "n/a", "-", "--", "---", "----", "...", "*", "nodata", "untrusted"),
    *("?", "\u2013", "\u2014"),  # and dashes of typesetters
)
FORTRAN = r"^\s*([-+]?(?:\d+\.?\d*|\.\d+))[dD]([-+]?\d+)\s*$"  # 1.5D+00, a double of Fortran
LIMIT = r"\s*[<>]\s*[-+]?\d+(?:\.\d*)?\s*$"  # >16.5, a star that was too faint to be seen
# What to do about text where numbers should be.
TEXT_FIXES = {
    r"\d{1,2}:\d{2}": "join date and time in one column, 2026-01-31T06:30:00, or give the days as numbers",
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}": "turn dates into days, as astropy.time.Time(dates).mjd does",
    r"[-+]?\d*[,;\t] *[-+]?\d+$": "write numbers with decimal points, not commas",
    LIMIT: "leave limits out, or, if the column is in magnitudes, say --unit mag",
}
# A mark of limits ("<", ">") in a column of its own is a yes, as in catalogues at CDS (l_Vmag).
YES, NO = ("t", "true", "y", "yes", "+", "<", ">", "<=", ">="), ("f", "false", "n", "no", "-")


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
    detection : str, optional
        Yes or no: whether a magnitude is of a detection; a flux is one all the same where nothing was detected.
    zero_point, zero_point_system : str, optional
        The magnitude of one unit of flux, row by row.
    implied_unit : str, optional
        Of the brightness, by what survey the names are from.
    unit : str, optional
        Of the brightness, row by row.
    magnitude, magnitude_error : str, optional
        The magnitude beside the flux, and its error, where they mark limits (ASAS-SN: >16.5 and 99.99).
    band_label : str, optional
        What `bands` calls the column of bands, which tells how a survey numbers or writes them.
    band_in_name : str, optional
        The band that the name of the brightness tells (Vmag), where no column does.
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
    detection: str | None = None
    zero_point: str | None = None
    zero_point_system: str | None = None
    implied_unit: str | None = None
    unit: str | None = None
    magnitude: str | None = None
    magnitude_error: str | None = None
    band_label: str | None = None
    band_in_name: str | None = None

    @property
    def used(self) -> list[str]:
        """The chosen columns."""
        roles = (self.object_id, *self.per_observation, self.ra, self.dec)
        return list(dict.fromkeys(name for name in roles if name is not None))

    @property
    def per_observation(self) -> list[str]:
        """The chosen columns that have something to say about each observation, not about the object."""
        roles = (self.time, self.value, self.error, self.band, self.quality, self.flag, self.limit, self.detection)
        names = (*roles, self.zero_point, self.zero_point_system, self.unit, self.magnitude, self.magnitude_error)
        return list(dict.fromkeys(name for name in names if name is not None))


@lru_cache(4096)
def normal_name(name: str) -> str:
    """Return a column's name as aliases are written."""
    name = name.lower().removeprefix("i:").removeprefix("ant_")  # Fink and ANTARES mark the columns of alerts
    return re.sub(r"[^a-z0-9]", "", re.sub(r"[\[(][^\])]{0,99}[\])]", "", name))


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
    refuse_phases(time, path)
    value = chosen.get("value") or _value_column(known, {*chosen.values(), time}, names, path, load)
    kind = "mag" if BARE_BAND.match(value) else _kind(normal_name(value))
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
        detection=find_column(known, DETECTION) if kind == "mag" else None,
        zero_point=zero_point,
        zero_point_system=find_column(known, ZERO_POINT_SYSTEM) if zero_point else None,
        implied_unit=_implied_unit(normal_name(value), set(known)),
        unit=find_column(known, [normal_name(value) + "unit", normal_name(value) + "units", *UNIT]),
        **_magnitude_beside(normal_name(value), known),
        **_bands_of(value, chosen.get("band") or find_column(known, BAND), set(known)),
    )


def _bands_of(value: str, band: str | None, known: set[str]) -> dict[str, str]:
    """Return what the names of the columns tell about bands: a survey's way to write them, or the only one."""
    if band is None:
        return {"band_in_name": name} if (name := band_as_written(value)) else {}
    if normal_name(value).startswith("apermag"):
        return {"band_label": f"VISTA {band}"}
    return {"band_label": f"Rubin {band}" if known & RUBIN else band}


def band_as_written(value: str) -> str | None:
    """Return the band that the name of a brightness tells, None if it tells none for certain.

    >>> [band_as_written(name) for name in ("Vmag", "mag_g", "Hpmag", "VMAG", "GMAG", "vmag", "magnitude")]
    ['V', 'g', 'Hp', 'V', None, None, None]
    """
    if BARE_BAND.match(value):
        return value
    matched = BAND_AS_WRITTEN.match(value.strip())
    return next((band for band in matched.groups() if band), None) if matched else None


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
    columns = columns or [known[alias] for alias in DATES if alias in known and known[alias] not in used]
    named = [name for name in names if DATE_NAME.search(name) and not OTHER_DATE.search(normal_name(name))]
    named = [name for name in named if name not in used]
    if not columns and len(named) == 1:
        logger.warning("%s: column %s is taken for the times, by its name. Another: --column time=NAME", path, named[0])
        columns = named
    if not columns:
        phases = next((name for name in names if PHASE.search(normal_name(name))), None)
        if phases:
            refuse_phases(phases, path)
        fix = "say which column holds the times in days, --column time=NAME"
        raise Unreadable(path, f"has no time column; its columns are {list_names(names)}", fix)
    return _fullest(columns, path, load, "times")


def refuse_phases(time: str, path: str) -> None:
    """Refuse a column of phases as times.

    Raises
    ------
    Unreadable
        If it is one by its name.
    """
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
        return _value_by_its_name(known, used, names, path)
    if load is not None and (len(groups) > 1 or len(groups[0]) > 1):
        groups = _groups_with_numbers(groups, path, load)
    if len(columns := groups[0]) > 1:
        fix = f"choose one, --column value={columns[0]}"
        raise Unreadable(path, f"has {len(columns)} brightness columns of equal standing: {', '.join(columns)}", fix)
    return columns[0]


def _value_by_its_name(known: Mapping[str, str], used: set[str], names: Sequence[str], path: str) -> str:
    """Return the only column whose name, though no alias, speaks of a brightness and of nothing else.

    Raises
    ------
    Unreadable
        If there is none, or more than one.
    """
    aliases = [alias for alias in known if SPEAKS_OF_BRIGHTNESS.search(alias) and not SPEAKS_OF_MORE.search(alias)]
    errors = {error for kind in ERROR.values() for error in kind}
    likely = [known[alias] for alias in aliases if known[alias] not in used and alias not in errors]
    likely = likely or [name for name in names if BARE_BAND.match(name) and name not in used]
    if len(likely) == 1:
        logger.warning(
            "%s: column %s is taken for the brightness, by its name. Another: --column value=NAME", path, likely[0]
        )
        return likely[0]
    if likely:
        reason = f"has several columns that may be the brightness: {list_names(likely)}"
        raise Unreadable(path, reason, f"choose one, --column value={likely[0]}")
    fix = "say which column holds the flux or magnitude, --column value=NAME"
    raise Unreadable(path, f"has no brightness column; its columns are {list_names(names)}", fix)


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
    if empty := [name for name in groups[0] if not counts.get(name, 1)]:
        logger.warning("%s: column %s has no number: %s is used", path, ", ".join(empty), ", ".join(first))
    elif others := [name for group in filled[1:] for name in group]:
        logger.info("%s: column %s is used for the brightness, not %s", path, ", ".join(first), ", ".join(others))
    return [first]


def _kind(value: str) -> str:
    """Return whether a brightness is a magnitude or a flux by its column's normal name; empty if it doesn't tell."""
    if value.endswith("jy") or re.search(r"^fnu$|^counts?$|rate$|^intensity$", value):
        return "flux"
    if value == "vc":
        return "mag"
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
    aliases += [value.replace("mag", "magerr"), *(["s1"] if value == "vc" else [])]
    if unit := UNIT_AT_END.search(value):  # flux_err_mJy and flux_err of flux_mJy
        aliases += [value[: unit.start()] + error + end for end in (unit[0], "") for error in ("err", "error", "unc")]
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
    own += [prefix + normal_name(value) for prefix in ("l", "limit", "ul")]
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
    if _is_asas_sn(value, known):
        return "mJy"
    if value == "fluxcal":
        return units.FLUXCAL
    if value in RELATIVE:
        return "relative"
    named = {"ujy": "uJy", "njy": "nJy", "fluxujy": "uJy", "fluxnjy": "nJy", "fluxmjy": "mJy", "fluxjy": "Jy"}
    return named.get(value)


def _is_asas_sn(value: str, known: set[str]) -> bool:
    """Tell whether a brightness is a flux of ASAS-SN, by the columns beside it."""
    return value == "flux" and any(names <= known for names in ASAS_SN)


def _magnitude_beside(value: str, known: Mapping[str, str]) -> dict[str, str]:
    """Return the magnitude and its error beside a flux of ASAS-SN, which mark the limits among its rows."""
    if not _is_asas_sn(value, set(known)):
        return {}
    columns = {"magnitude": ("mag", "magnitude"), "magnitude_error": ERROR["mag"]}
    return {role: name for role, aliases in columns.items() if (name := find_column(known, aliases))}


def scale_and_offset(text: str) -> tuple[str, float]:
    """Return the time scale that a column's name or a stated unit stands for, and the offset that brings numbers there.

    >>> [scale_and_offset(text) for text in ("HJD-2450000", "BJD_TDB - 2457000", "MJD", "JD (2400000.5+)", "date")]
    [('HJD', 2450000.0), ('BTJD', 0.0), ('MJD', 0.0), ('MJD', 0.0), ('', 0.0)]
    """
    alias = normal_name(text)
    if alias in SHORT_DATES:
        return "JD", SHORT_DATES[alias]
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", text.replace("_", " ").replace("minus", "-"))  # JD-2,450,000
    date, zero = DATE_NAME.search(plain), ZERO_POINT_OF_TIME.search(plain)
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
    if type(values) is np.ndarray and values.dtype.kind in "fiu":  # no subclass that masks numbers
        return np.ascontiguousarray(values, dtype)
    if isinstance(values, pa.Array | pa.ChunkedArray):
        if pa.types.is_floating(values.type) or pa.types.is_integer(values.type):
            return floats(values, dtype)
        values = values.to_pandas() if pa.types.is_string(values.type) else values.to_numpy(zero_copy_only=False)
    try:
        return np.ascontiguousarray(pd.to_numeric(values), dtype)
    except (ValueError, TypeError):
        series = without_missing_words(as_series(values))
        with suppress(ValueError, TypeError):
            return np.ascontiguousarray(pd.to_numeric(series), dtype)
        with suppress(ValueError, TypeError, AttributeError):
            return np.ascontiguousarray(pd.to_numeric(series.str.replace(FORTRAN, r"\1e\2", regex=True)), dtype)
        bad = series[pd.to_numeric(series, errors="coerce").isna() & series.notna()]
        text = str(bad.iloc[0]).strip()
        reason = f"holds text in column {name}: {text!r} in row {bad.index[0] + 1}"
        units_row = "leave out the row of units" if text.isalpha() and bad.index.tolist() == [0] else None
        fix = next((fix for pattern, fix in TEXT_FIXES.items() if re.match(pattern, text)), units_row)
        raise Unreadable(path, reason, fix or "leave such rows out or name another column") from None


def calendar_days(values: Any) -> NDArray[np.float64] | None:
    """Return a column of dates, as timestamps or ISO 8601 text, as MJD (N,), and durations as days; None for others.

    Dates are UTC.

    >>> calendar_days(["1858-11-17T12:00", "2000-01-01 00:00:00Z", ""])
    array([5.0000e-01, 5.1544e+04,        nan])
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        kind = values.type
        if not (pa.types.is_temporal(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            return None
        values = values.cast(pa.timestamp("us")) if pa.types.is_date(kind) else values
    elif getattr(getattr(values, "dtype", None), "kind", "O") in "biufc":
        return None
    series = as_series(values)
    if series.dtype.kind == "m":
        return np.asarray(pd.to_timedelta(series).dt.total_seconds(), np.float64) / 86400
    if series.dtype.kind != "M":
        first = next((str(cell) for cell in series if not pd.isna(cell) and str(cell).strip()), "")
        if not re.match(CALENDAR_DATE, first):
            return None
        series = without_missing_words(series)
        if not series.dropna().astype(str).str.match(CALENDAR_DATE).all():
            return None
        series = series.str.strip().str.removesuffix("UTC").str.strip()
    dates = pd.to_datetime(series, format=None if series.dtype.kind == "M" else "ISO8601", utc=True, errors="coerce")
    days = (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(1, "D")
    return np.asarray(days, np.float64) + MJD_OF_1970


def day_numbers(values: Any, name: str, path: str) -> NDArray[np.float64]:
    """Return a column of times as numbers (N,) in the file's own unit, dates of the calendar as MJD.

    Raises
    ------
    Unreadable
        If the column holds other text, naming the first.
    """
    dates = calendar_days(values)
    return numbers(values, name, path) if dates is None else dates


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


def identifiers(
    values: Any, name: str, path: str = "the table", whole: Callable[[], pa.Array] | None = None
) -> pa.Array:
    """Return object identifiers as text: whole numbers without ``.0``, the number of a catalogue with its prefix.

    Parameters
    ----------
    whole : callable, optional
        Gives the identifiers of the table of which these are some, each at least once; asked only in doubt.

    Raises
    ------
    Unreadable
        If digits are lost: two stars may share a number that was rounded.
    """
    encoded = _encoded_identifiers(values, name, path, whole)
    return encoded.dictionary.take(encoded.indices)


def _encoded_identifiers(
    values: Any, name: str, path: str, whole: Callable[[], pa.Array] | None = None
) -> pa.DictionaryArray:
    """Return object identifiers as text, each distinct one once."""
    array = as_arrow(values)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    distinct = array.dictionary
    whole = whole or (lambda: distinct)
    _refuse_lost_digits(distinct, name, path, whole)
    names = _plain_text(distinct, whole)
    if prefix := PREFIXES.get(normal_name(name)):
        names = pa.array([f"{prefix} {i}" if i and i.isdigit() else i for i in names.to_pylist()], pa.string())
    if names.null_count or len(pc.unique(names)) < len(names):
        return names.take(array.indices).dictionary_encode()
    return pa.DictionaryArray.from_arrays(array.indices, names)


def _refuse_lost_digits(array: pa.Array, name: str, path: str, whole: Callable[[], pa.Array]) -> None:
    """Refuse identifiers that were numbers with a fraction, or of more digits than those hold."""
    text = pa.types.is_string(array.type) or pa.types.is_large_string(array.type)
    if text:
        rounded = pc.match_substring_regex(array, r"^\s*[-+]?\d+\.?\d*[eE][-+]?\d+\s*$")
        if not pc.any(rounded).as_py():
            return
        example = str(array.filter(rounded.fill_null(False))[0].as_py()).strip()
        if "." not in example and not example.upper().startswith(("1E", "2E")) and len(pc.unique(whole())) > 1:
            return  # 4e12 may be the name of a star
    elif pa.types.is_floating(array.type):
        if (largest := first_rounded(array)) is None:
            numbers = floats(array, np.float64)
            if np.any(numbers[np.isfinite(numbers)] % 1):
                fix = "name the column of the objects, --column object_id=NAME"
                raise Unreadable(path, f"has numbers with a fraction in column {name}, which name no objects", fix)
            return
        example = f"{largest:.17g}"
    else:
        return
    reason = f"has rounded identifiers in column {name}, such as {example}: two objects may have become one"
    fix = "write them as whole numbers (int64) or text, or leave the column out with another --column object_id"
    raise Unreadable(path, reason, fix)


def _plain_text(distinct: pa.Array, whole: Callable[[], pa.Array]) -> pa.Array:
    """Return identifiers as text, without blanks around them; whole numbers that were written as 11.0 lose the zero."""
    names = strings(distinct)
    if pa.types.is_floating(distinct.type) or pa.types.is_integer(distinct.type):
        return names
    names = pc.utf8_trim_whitespace(names)
    if len(names) and _end_in_zero(names) and _end_in_zero(strings(whole())):
        names = pc.utf8_slice_codeunits(names, 0, -2)
    return pc.if_else(pc.equal(names, ""), None, names)


def _end_in_zero(names: pa.Array) -> bool:
    """Tell whether all identifiers are whole numbers written as 11.0."""
    return bool(pc.all(pc.match_substring_regex(names, r"^\s*\d+\.0\s*$")).as_py())


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
    values: Any,
    name: str | None,
    options: ReadOptions,
    path: str,
    whole: Callable[[], pa.Array] | None = None,
    in_name: str | None = None,
) -> tuple[tuple[str, ...], NDArray[np.uint8] | None]:
    """Return the names of the bands and the index (N,) of each observation's.

    Parameters
    ----------
    name : str, optional
        The column's name, or `Match.band_label`.
    in_name : str, optional
        The only band, if there is no column, and the options name none.
    whole : callable, optional
        Gives the bands of the table of which these are some, each at least once.

    Raises
    ------
    Unreadable
        If there are more than 256 bands: then the column is none.
    """
    if values is None or name is None:
        return (options.band or in_name or NO_BAND,), None
    numbered = NUMBERED.get(normal_name(name)) or NUMBERED.get(normal_name(name).removeprefix("rubin"))
    text = strings(values)
    encoded = (text.fill_null(NO_BAND) if text.null_count else text).dictionary_encode()
    names = _band_names(encoded.dictionary)
    if numbered and _are_of(numbered, names) and (whole is None or _are_of(numbered, _band_names(strings(whole())))):
        names = [numbered.get(int(band), band) if band.isdigit() else band for band in names]
    if normal_name(name).startswith("rubin"):
        names = [RUBIN_BANDS.get(band, band) for band in names]
    distinct = list(dict.fromkeys(names))
    if len(distinct) > MOST_BANDS:
        raise Unreadable(path, f"has {len(distinct)} different bands in column {name}", "--column band=NAME")
    codes = np.array([distinct.index(band) for band in names], np.uint8)
    return tuple(distinct) or (NO_BAND,), codes[encoded.indices.to_numpy(zero_copy_only=False)]


def _band_names(distinct: pa.Array) -> list[str]:
    """Return the names of bands as text."""
    names = [str(band).strip() for band in distinct.drop_null().unique().to_pylist()]
    return [ZTF_NAMES.get(band, band) for band in names]


def _are_of(numbered: Mapping[int, str], names: Sequence[str]) -> bool:
    """Tell whether all bands that have a name are numbers of a survey's."""
    return all(band == NO_BAND or (band.isdigit() and int(band) in numbered) for band in names)


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
    """Return a coordinate (N,) in degrees, of numbers or sexagesimal text (a right ascension in hours, as usual).

    None if it is neither: not worth losing the light curves for.
    """
    try:
        return numbers(values, name, "")
    except Unreadable:
        return units.sexagesimal_degrees(as_series(values), normal_name(name) in POSITION["ra"])


def as_series(values: Any) -> pd.Series:
    """Return a column of any library as one of pandas."""
    return values.to_pandas() if isinstance(values, pa.Array | pa.ChunkedArray) else pd.Series(values)
