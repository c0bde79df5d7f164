"""The columns of any table: their roles, units, limits, quality and missing values, all judged here.

Columns are found by the aliases under which surveys know time, brightness, band and object. Their values become
numbers, identifiers, bands and yes or no; times and brightnesses come out in known units; limits, dummies and flagged
rows are marked.

Names are compared in lower case, without spaces, underscores, punctuation and bracketed units: ``MJD [d]`` is ``mjd``.
Where several columns fit one role, the first alias wins; flux comes before magnitude (it keeps negative
measurements). Aliases in one inner tuple have equal standing: two of them in one table is an error, not a guess.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.data import units
from goodricke.data.arrow import MOST_BANDS, NO_BAND, as_arrow, floats, strings
from goodricke.io.options import ReadOptions, Unreadable

logger = logging.getLogger("goodricke")

Mask = NDArray[np.bool_]

# A Julian date is in days, whatever zero point follows it: "BJD - 2457000, days".
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
BAND_IN_NAME = re.compile(
    r"^([a-cf-z](mag|flux)|(mag|flux)[a-cf-z])$"
)  # Vmag, mag_g, fluxr, equals; e and d are errors

BAND = (
    *("band", "passband", "filter", "filtername", "filtercode", "filt", "flt", "fid", "filterid", "bandpass"),
    *("photometricband",),
)
QUALITY = (
    *("quality", "sapquality", "qualityflag", "qflag", "flags", "flag", "tessflags", "catflags", "photflag"),
    *("infobitssci",),
)
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


def normal_name(name: str) -> str:
    """Return a column's name as aliases are written."""
    return re.sub(r"[^a-z0-9]", "", re.sub(r"[\[(].*?[\])]", "", name.lower()))


def names_by_alias(names: Iterable[str]) -> dict[str, str]:
    """Return the names by their normal form, in order; the first of those that look the same."""
    known: dict[str, str] = {}
    for name in names:
        known.setdefault(normal_name(name), name)
    return known


def match_columns(names: Sequence[str], chosen: Mapping[str, str], path: str) -> Match:
    """Choose the column for each role; ``chosen`` names some outright.

    Raises
    ------
    Unreadable
        If there is no time or brightness, if two columns could be the brightness, or if a chosen column is missing.
    """
    known = names_by_alias(names)
    chosen = {role: _chosen_column(name, known, names, path) for role, name in chosen.items()}
    time = chosen.get("time") or _time_column(known, names, path)
    value = chosen.get("value") or _value_column(known, set(chosen.values()), names, path)
    kind = next((kind for kind in ("mag", "flux") if kind in normal_name(value)), "")
    scale, offset = _scale_and_offset(normal_name(time))
    return Match(
        time=time,
        value=value,
        object_id=chosen.get("object_id") or find_column(known, OBJECT_ID),
        error=chosen.get("error") or find_column(known, _error_aliases(normal_name(value), kind)),
        band=chosen.get("band") or find_column(known, BAND),
        quality=chosen.get("quality") or find_column(known, QUALITY),
        ra=find_column(known, POSITION["ra"]),
        dec=find_column(known, POSITION["dec"]),
        time_scale=scale,
        offset=offset,
        kind=kind,
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


def _time_column(known: Mapping[str, str], names: Sequence[str], path: str) -> str:
    name = find_column(known, TIME) or next((known[name] for name in known if OFFSET.match(name)), None)
    if name is None:
        fix = "say which column holds the times in days, --column time=NAME"
        raise Unreadable(path, f"has no time column; its columns are {list_names(names)}", fix)
    return name


def _value_column(known: Mapping[str, str], used: set[str], names: Sequence[str], path: str) -> str:
    single = tuple(name for name in known if BAND_IN_NAME.match(name))
    for group in (*VALUE, single):
        columns = [known[alias] for alias in group if alias in known and known[alias] not in used]
        if len(columns) > 1:
            fix = f"choose one, --column value={columns[0]}"
            raise Unreadable(
                path, f"has {len(columns)} brightness columns of equal standing: {', '.join(columns)}", fix
            )
        if columns:
            return columns[0]
    fix = "say which column holds the flux or magnitude, --column value=NAME"
    raise Unreadable(path, f"has no brightness column; its columns are {list_names(names)}", fix)


def _error_aliases(value: str, kind: str) -> list[str]:
    """Return the aliases of the uncertainty of a brightness column, its own first: magpsf goes with sigmapsf."""
    aliases = [value + suffix for suffix in ("err", "error", "unc", "uncertainty", "sigma")]
    aliases += [prefix + value for prefix in ("e", "err", "error", "sigma", "d")]
    aliases += [value.replace("mag", "sigma"), value.replace("mag", "sigmamag"), value.replace("flux", "fluxerr")]
    return [alias for alias in aliases if alias != value] + [*ERROR[kind], *PLAIN_ERROR]


def _scale_and_offset(time: str) -> tuple[str, float]:
    """Return the scale that a time column's normal name stands for, and the offset that brings its numbers there."""
    reduced = OFFSET.match(time)
    if not reduced:
        return TIME.get(time, ""), 0.0
    offset = int(reduced[2]) + (0.5 if len(time) > len(reduced[1]) + 7 else 0.0)
    exact = {("bjd", 2457000.0): "BTJD", ("bjd", 2454833.0): "BKJD", ("jd", 2400000.5): "MJD"}.get((reduced[1], offset))
    return (exact, 0.0) if exact else (reduced[1].upper(), offset)


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
        series = pd.Series(values)
        bad = series[pd.to_numeric(series, errors="coerce").isna() & series.notna()]
        text = str(bad.iloc[0]).strip()
        reason = f"holds text in column {name}: {text!r} in row {bad.index[0] + 1}"
        units_row = "leave out the row of units" if text.isalpha() and bad.index.tolist() == [0] else None
        fix = next((fix for pattern, fix in TEXT_FIXES.items() if re.match(pattern, text)), units_row)
        raise Unreadable(path, reason, fix or "leave such rows out or name another column") from None


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


def identifiers(values: Any, name: str) -> pa.Array:
    """Return object identifiers as text: whole numbers without ``.0``, the number of a catalogue with its prefix."""
    ids = strings(values)
    prefix = PREFIXES.get(normal_name(name))
    if prefix is None:
        return ids
    encoded = ids.dictionary_encode()
    named = pa.array([f"{prefix} {i}" if i.isdigit() else i for i in encoded.dictionary.to_pylist()], pa.string())
    return named.take(encoded.indices)


def object_codes(values: Any, name: str, path: str) -> tuple[pa.Array, NDArray[np.int64]]:
    """Return the identifiers (n,) in order of appearance and the index of each row's, (N,).

    Raises
    ------
    Unreadable
        If a row has none.
    """
    ids = identifiers(values, name)
    if ids.null_count:
        fix = "fill the column, or leave these rows out"
        raise Unreadable(path, f"has {ids.null_count} rows without {name}", fix)
    encoded = ids.dictionary_encode()
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
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, str]:
    """Return the brightnesses (N,), their uncertainties, None if there are none, and the unit.

    Magnitudes come out in mag; limits and dummies among them are NaN. If the options name a unit, the numbers stay as
    they are.

    Parameters
    ----------
    data : mapping
        Columns by name.
    kind : {"mag", "flux", ""}
        What the brightness is by its name.
    stated, stated_error : str, optional
        Units as the file writes them.

    Raises
    ------
    Unreadable
        If a column holds text.
    """
    unit, factor = units.brightness_unit(kind, stated)
    if options.unit:
        unit, factor = options.unit, 1.0
    value = numbers(mask_limits(data[match.value], unit, path), match.value, path, np.float32)
    value = mask_dummies(units.scale(value, factor), unit, path)
    if match.error is None:
        return value, None, unit
    error = numbers(data[match.error], match.error, path, np.float32)
    return value, units.scale(error, factor if options.unit else units.error_factor(stated_error, factor, unit)), unit


def warn_of_unknown_unit(unit: str, options: ReadOptions, path: str) -> None:
    """Warn that a brightness without a unit is taken as flux, which turns magnitudes upside down."""
    if unit == "unknown" and options.unit is None:
        logger.warning(
            "the brightness of %s has no known unit and is taken as flux; if it is in magnitudes, say --unit mag", path
        )


def mask_limits(values: Any, unit: str, path: str) -> Any:
    """Return a column with limits of magnitude such as ``>16.5`` missing, and log how many; any other as it is."""
    if not unit.lower().startswith("mag"):
        return values
    series = as_series(values)
    if pd.api.types.is_numeric_dtype(series):
        return values
    limits = series.astype("string").str.match(LIMIT).fillna(False).to_numpy(bool)
    if limits.any():
        logger.info("%s: %d limits such as %s made NaN", path, limits.sum(), series[limits].iloc[0])
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
    """Return which rows (n,) of a table stay by its quality column, whose flags only `SEVERE` gives a meaning."""
    severe = SEVERE.get(normal_name(match.quality or ""), 0)
    if match.quality is None or not (severe or options.quality == "hard"):
        return np.ones(n, bool)
    return unflagged(numbers(values, match.quality, path), severe, options.quality)
