"""What is a measurement: times, brightnesses, limits, flags and missing values of a table's rows, all judged here.

`roles` says which column is what; here the columns become days and magnitudes or fluxes in known units, and each row
that is no measurement gets the reason why: it pads the table, has no time, is flagged, is a limit, a dummy or missing.

A number that stands for no measurement (99.99, 29.999, -999) is told from a real one by evidence: it is outside the
sky, or its error is impossible, or it is repeated exactly and far from the other measurements of its star. The evidence
is that of the whole table, however few rows are judged at a time.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.data import units
from goodricke.io.options import ReadOptions, Unreadable
from goodricke.io.roles import (
    LIMIT,
    Mask,
    Match,
    as_series,
    calendar_days,
    flags,
    normal_name,
    numbers,
    refuse_phases,
    scale_and_offset,
    signs,
    without_missing_words,
)

logger = logging.getLogger("goodricke")

# A Julian date is in days, whatever zero point follows it: "BJD - 2457000, days".
JULIAN = re.compile(r"^\W*([a-z]{0,2}jd(tdb|utc|tai|tt)?(?![a-z])|julian|days?\b)", re.IGNORECASE)
UNIT_AFTER_TIME = re.compile(r"^times?_(s|sec|secs|seconds|min|minutes|h|hr|hours|d|days|yr|years)$", re.IGNORECASE)
# Qualities in letters: those that a survey's makers leave out. ASAS grades A (best) to D (worst), ASAS-SN good and bad.
LETTERS = {"ASAS-SN": ("GB", "B", "G"), "ASAS": ("ABCD", "D", "A")}
# AAVSO's validation: passed (V), prevalidated (Z), none (U, N), discrepant (T), published (P).
AAVSO_LETTERS = ("VZTUNP", "T", "VZP")
GOOD_WORDS, BAD_WORDS = {"GOOD", "OK", "TRUE", "T", "YES", "Y"}, {"BAD", "POOR", "FALSE", "F", "NO", "N"}
YES_OR_NO = {"T", "F", "TRUE", "FALSE", "Y", "N", "YES", "NO"}
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
# Magnitudes, errors and fluxes that surveys write where nothing was measured. All but the large ones may be real.
SUSPECT = (9.99, 9.999, 9.9999, -9.99, -9.999, 19.999, 29.9, 29.99, 29.999, 29.9999, 30.0, 0.0, -1.0)
SUSPECT_ERROR = (9.99, 9.999, 9.9999)
SUSPECT_FLUX = (
    *(-99.0, -99.9, -99.99, -999.0, -999.9, -999.99, -9999.0, -9999.99, 99.0, 99.99, 999.0, 999.99, 9999.0),
    *(-99999.0, -999999.0, 99999.0),
)
PADDING = (0.0, *(x for x in SUSPECT_FLUX if x < 100))  # times of rows that fill a table up
MOST_DAYS = 1e7  # 27,000 years: Julian dates are around 2.46e6
FAR = 3.0  # mag from every other measurement: no star does that, and comes back to the same thousandth
N_FIRST = 1000  # times that tell the zero point and the scale of all
NO_FLUX = 1e19  # in no unit is a star that bright: programs write 1e20, 1e30 or the largest number for no measurement
NO_MAGNITUDE = 50.0  # no star is that faint: surveys write 99.99, -99, -999 and the like for no measurement
UNDOUBTED = ("limits such as", "limits by", "dummy", "missing", "padding", "without", "flagged", "rows of")


@dataclass
class Remarks:
    """What is said about a file: each kind of message once, however many batches it is read in.

    Parameters
    ----------
    path : str
    left_out : Counter
        Number of rows that are no measurement, by the reason; each row has one reason.
    origins : dict of str
        Where the unit and the time scale were found.
    any_used : bool
        Whether any row is a measurement.
    """

    path: str
    left_out: Counter[str] = field(default_factory=Counter)
    origins: dict[str, str] = field(default_factory=dict)
    errors: Counter[str] = field(default_factory=Counter)
    said: set[str] = field(default_factory=set)
    any_used: bool = False

    def say(self, level: int, message: str, *values: Any) -> None:
        """Log a message about the file, unless one of its kind was logged before."""
        if message not in self.said:
            self.said.add(message)
            logger.log(level, f"%s: {message}", self.path, *values)

    def say_left_out(self) -> None:
        """Log how many rows are no measurements, by reason, and what was made of errors."""
        for reason, count in self.left_out.items():
            undoubted = reason.startswith(UNDOUBTED) and self.any_used
            logger.log(logging.INFO if undoubted else logging.WARNING, "%s: %d %s left out", self.path, count, reason)
        for reason, count in self.errors.items():
            logger.warning("%s: %d %s made NaN", self.path, count, reason)


@dataclass
class Evidence:
    """What all rows of a table say about its doubtful numbers.

    Parameters
    ----------
    first_date : float
        The least time that isn't near 0 [d].
    has_good_errors, has_positive_errors : bool
        Whether some error is possible for a magnitude; above 0.
    counts : Counter
        How often each suspect brightness comes.
    nearest : dict of float
        Distance of each suspect magnitude to the nearest other one [mag].
    low, high : float
        Range of the fluxes that aren't suspect.
    n_others : int
        Number of these.
    """

    first_date: float = np.inf
    has_good_errors: bool = False
    has_positive_errors: bool = False
    counts: Counter[float] = field(default_factory=Counter)
    nearest: dict[float, float] = field(default_factory=dict)
    low: float = np.inf
    high: float = -np.inf
    n_others: int = 0

    def add(self, parsed: Parsed) -> None:
        """Add the evidence of some rows."""
        time, value, error = parsed.time, parsed.value, parsed.error
        self.first_date = min(self.first_date, np.min(time, where=time >= 100, initial=np.inf))
        if error is not None:
            large = _is_large(error)
            self.has_good_errors |= bool((np.isfinite(error) & ~large & (error >= 0)).any())
            self.has_positive_errors |= bool(np.any(error > 0))
        if parsed.in_magnitudes:
            self._add_magnitudes(value if error is None else value[~large])
        else:
            self._add_fluxes(value)

    def _add_magnitudes(self, value: NDArray[np.float32]) -> None:
        finite = value[np.abs(value) < NO_MAGNITUDE]
        for suspect in SUSPECT:
            equal = finite == np.float32(suspect)
            self.counts[suspect] += int(np.count_nonzero(equal))
            distance = float(np.min(np.abs(finite - np.float32(suspect)), where=~equal, initial=np.inf))
            self.nearest[suspect] = min(self.nearest.get(suspect, np.inf), distance)

    def _add_fluxes(self, value: NDArray[np.float32]) -> None:
        suspect = np.isin(value, np.array(SUSPECT_FLUX, np.float32))
        numbers, counts = np.unique(value[suspect], return_counts=True)
        self.counts.update(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
        others = value[~suspect & (np.abs(value) < NO_FLUX)]
        self.n_others += len(others)
        self.low = min(self.low, float(np.min(others, initial=np.inf)))
        self.high = max(self.high, float(np.max(others, initial=-np.inf)))


class WholeTable(Protocol):
    """What all rows of a table say where some of them are judged at a time."""

    def evidence(self) -> Evidence:
        """Return the evidence about doubtful numbers."""

    def distinct(self, column: str) -> Any:
        """Return the values (n,) of a column, each at least once."""

    def first_times(self) -> NDArray[np.float64]:
        """Return the `first_times` of the table, in its own unit."""


@dataclass(frozen=True)
class AllRows:
    """A table whose rows are all judged at once."""

    parsed: Parsed
    data: Mapping[str, Any]

    def evidence(self) -> Evidence:
        """Return the evidence of the rows."""
        return gather_evidence(self.parsed)

    def distinct(self, column: str) -> Any:
        """Return the column."""
        return self.data[column]

    def first_times(self) -> NDArray[np.float64]:
        """Return the first times."""
        return self.parsed.first_times


@dataclass(frozen=True)
class Parsed:
    """Columns as numbers in known units, not yet judged; limits and missing ones are NaN.

    Parameters
    ----------
    time : float64 (N,)
        Days.
    value, error : float32 (N,)
    unit : str
    limits : dict of mask (N,)
        Rows that are marked as limits, by the reason.
    time_scale : str, optional
        By the unit of the times.
    first_times : float64 (m,)
        Of the whole table [d].
    """

    time: NDArray[np.float64]
    value: NDArray[np.float32]
    error: NDArray[np.float32] | None
    unit: str
    limits: dict[str, Mask]
    time_scale: str | None
    first_times: NDArray[np.float64]

    @property
    def in_magnitudes(self) -> bool:
        """Whether the brightness is a magnitude."""
        return self.unit.lower().startswith("mag")


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
    """

    time: NDArray[np.float64]
    value: NDArray[np.float32]
    error: NDArray[np.float32] | None
    good: Mask
    unit: str
    time_scale: str


class RowReasons:
    """Why rows (N,) are no measurements: the first reason that is given counts."""

    def __init__(self, n: int) -> None:
        self._number, self._names = np.zeros(n, np.uint8), ["measured"]

    def mark(self, rows: Mask, reason: str) -> None:
        """Give rows (N,) a reason."""
        if rows.any() and (new := rows & (self._number == 0)).any():
            self._names = self._names if reason in self._names else [*self._names, reason]
            self._number[new] = self._names.index(reason)

    @property
    def counts(self) -> Counter[str]:
        """The number of rows by reason."""
        if len(self._names) == 1:
            return Counter()
        counts = np.bincount(self._number, minlength=len(self._names)).tolist()
        return +Counter(dict(zip(self._names[1:], counts[1:], strict=True)))


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
    remarks: Remarks | None = None,
    whole: WholeTable | None = None,
    stated_in: str = "header",
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
    remarks : Remarks, optional
        Takes what is to be said about the rows; left-out rows are counted and not yet logged.
    whole : WholeTable, optional
        The table of which these are some rows: what is judged by all rows is asked of it.
    stated_in : str
        Where the file states units and scale.

    Raises
    ------
    Unreadable
        If a column holds text, or is in an unknown unit.
    """
    remarks = Remarks(path) if remarks is None else remarks
    if match.unit is not None and match.unit in data and not options.unit:
        unit = _unit_of_rows(whole.distinct(match.unit) if whole else data[match.unit], match, path)
        stated = {**stated, **({match.value: unit, match.error or "": unit} if unit else {})}
    parsed = parse(data, match, options, path, stated, offset, remarks, whole)
    whole = whole or AllRows(parsed, data)
    evidence = _Once(whole.evidence)
    reasons = RowReasons(len(parsed.time))
    time = _without_padding(parsed.time, evidence, reasons)
    reasons.mark(np.isnan(time), "without a time")
    values = data.get(match.quality or "")
    good, quality_reason = passes_quality(values, match, options, path, len(time), remarks, whole)
    reasons.mark(~good, quality_reason)
    if match.flag and options.quality != "none":
        flagged = flags(data[match.flag])
        reasons.mark(flagged, f"flagged by column {match.flag}")
        good = good & ~flagged
    for reason, rows in parsed.limits.items():
        reasons.mark(rows, reason)
    judge = _judged_magnitudes if parsed.in_magnitudes else _judged_fluxes
    value, error = judge(parsed.value, parsed.error, codes, evidence, reasons, remarks)
    unit = parsed.unit
    if match.zero_point is not None and not options.unit:
        stated_unit = _stated_units(match, stated).get(match.value)
        systems = _systems(whole.distinct(match.zero_point_system)) if match.zero_point_system else set[str]()
        zero = data[match.zero_point]
        value, error, unit = _by_zero_points(
            zero, systems, match, value, error, unit, stated_unit, path, reasons, remarks
        )
    reasons.mark(~np.isfinite(value), "missing brightnesses")
    remarks.left_out.update(reasons.counts)
    remarks.any_used |= bool(np.any(np.isfinite(time) & good & np.isfinite(value)))
    scale = _agreed_scale(stated_scale, parsed.time_scale, parsed.first_times)
    remarks.origins |= _origins(match, options, stated, stated_in, stated_scale, scale, unit)
    scale = options.time_scale or scale or check_time_scale(match, parsed.first_times, remarks)
    return Measured(time, value, error, good, unit, scale)


class _Once:
    """A function without arguments that is called once at most."""

    def __init__(self, function: Callable[[], Evidence]) -> None:
        self._function, self._result = function, list[Evidence]()

    def __call__(self) -> Evidence:
        if not self._result:
            self._result.append(self._function())
        return self._result[0]


def _unit_of_rows(values: Any, match: Match, path: str) -> str | None:
    """Return the unit that a column names row by row, None if it names none.

    Raises
    ------
    Unreadable
        If it names several.
    """
    named = without_missing_words(as_series(values)).dropna()
    distinct = sorted({str(unit).strip() for unit in named.unique()})
    if pd.api.types.is_numeric_dtype(named) or not distinct:
        return None
    if len(distinct) > 1:
        reason = (
            f"has brightnesses in several units in column {match.value} ({', '.join(distinct)} in column {match.unit})"
        )
        raise Unreadable(path, reason, "convert them to one unit, or save those of each unit to a file of its own")
    return distinct[0]


def gather_evidence(*parts: Parsed) -> Evidence:
    """Return the evidence of some rows."""
    evidence = Evidence()
    for part in parts:
        evidence.add(part)
    return evidence


def parse(
    data: Mapping[str, Any],
    match: Match,
    options: ReadOptions,
    path: str,
    stated: Mapping[str, str],
    offset: float,
    remarks: Remarks,
    whole: WholeTable | None = None,
) -> Parsed:
    """Return columns as numbers in days and in a known unit of brightness; see `measure`.

    Raises
    ------
    Unreadable
        If a column holds text, or is in an unknown unit.
    """
    stated = _stated_units(match, stated)
    first = whole.first_times() if whole else None
    time, first, scale = times(data[match.time], match, options, path, stated.get(match.time), offset, remarks, first)
    unit, factor, error_factor = _unit_and_factors(match, options, path, stated)
    limits = dict[str, Mask]()
    texts = _without_limits(data[match.value], unit, limits)
    value = units.scale(numbers(texts, match.value, path, np.float32), factor)
    error = None
    if match.error is not None and error_factor is None:
        of_error = stated.get(match.error)
        remarks.say(
            logging.WARNING, "column %s is in %s, which is no error in %s: not used", match.error, of_error, unit
        )
    elif match.error is not None and error_factor is not None:
        error = units.scale(numbers(data[match.error], match.error, path, np.float32), error_factor)
    if match.limit is not None and match.limit in data:
        limits[f"limits by column {match.limit}"] = flags(data[match.limit])
    if match.detection is not None and match.detection in data:
        limits[f"limits, not detected by column {match.detection}"] = signs(data[match.detection]) < 0
    if match.magnitude is not None and match.magnitude in data:
        _without_limits(data[match.magnitude], "mag", limits)
    if (name := match.magnitude_error) is not None and name in data:
        limits[f"limits by column {name} (99.99 and the like)"] = _is_large(numbers(data[name], name, path))
    for rows in limits.values():
        value = np.where(rows, np.float32(np.nan), value)
    return Parsed(time, value, error, unit, limits, scale, first)


def _stated_units(match: Match, stated: Mapping[str, str]) -> dict[str, str]:
    """Return the units of the columns in use, from the file or their names."""
    return {name: unit for name in match.used if (unit := stated.get(name) or _unit_in_name(name, match))}


def _unit_in_name(column: str, match: Match) -> str | None:
    """Return the unit in a column's name; what is in square brackets after a flux is one, known or not."""
    if (unit := units.unit_in_name(column)) is not None or column not in (match.value, match.error):
        return unit
    bracket = units.BRACKET.search(column)
    text = (bracket[1] or bracket[2]).strip() if bracket else ""
    if bracket and bracket[1] and "flux" in column.lower():
        return text
    return text if text.lower() in units.LINEAR - {"-", "1", "none", "flux", "unknown"} else None


def _origins(
    match: Match,
    options: ReadOptions,
    stated: Mapping[str, str],
    stated_in: str,
    stated_scale: str | None,
    scale: str | None,
    unit: str,
) -> dict[str, str]:
    """Return where the unit of the brightness, that of the times, their scale and the bands were found."""
    origins = {}
    for what, column in (("unit", match.value), ("time unit", match.time)):
        in_name = _unit_in_name(column, match)
        if what == "unit" and options.unit:
            origins[what] = "--unit"
        elif what == "unit" and match.zero_point is not None and unit == "nJy":
            origins[what] = f"zero points in column {match.zero_point}"
        elif stated.get(column) and stated[column] != in_name:
            origins[what] = f"{stated_in}, column {column}"
        elif in_name or (what == "time unit" and UNIT_AFTER_TIME.match(column)):
            origins[what] = f"name of {column}"
        elif what == "unit" and match.implied_unit:
            origins[what] = "the survey, known by its columns"
        elif what == "unit" and match.kind:
            origins[what] = f"name of {column}"
        else:
            origins[what] = "default"
    if match.band or match.band_in_name:
        origins["band"] = f"column {match.band}" if match.band else f"name of {match.value}"
    if options.time_scale:
        origins["time scale"] = "--time-scale"
    elif scale:
        origins["time scale"] = stated_in if stated_scale == scale else f"{stated_in} or name of {match.time}"
    else:
        origins["time scale"] = f"name of {match.time} and the numbers" if match.time_scale else "the numbers"
    return origins


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


def check_time_scale(match: Match, time: NDArray[np.float64], remarks: Remarks) -> str:
    """Return the scale of the first times (m,), with a warning where the column is named after another one."""
    scale = infer_time_scale(match.time_scale, time)
    if match.time_scale and scale != match.time_scale:
        remarks.say(
            logging.WARNING,
            "column %s holds times around %.7g, which are no %s: their scale is taken as %s. Another: --time-scale",
            match.time,
            np.median(time),
            match.time_scale,
            scale,
        )
    return scale


def times(
    values: Any,
    match: Match,
    options: ReadOptions,
    path: str,
    stated: str | None,
    offset: float,
    remarks: Remarks,
    first: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], str | None]:
    """Return times (N,) in days, the first ones (m,) of the table, and the scale that their unit states, None if none.

    Parameters
    ----------
    first : float64 (m,), optional
        The first times of the table of which these are some rows, in its own unit.

    Raises
    ------
    Unreadable
        If they are in an unknown unit.
    """
    if stated and stated.strip().lower() in ("phase", "cycles", "cycle", "dimensionless", "norm"):
        refuse_phases("phase", path)
    if (dates := calendar_days(values)) is not None:
        return _dates(dates, match, remarks, first)
    time = numbers(values, match.time, path)
    _warn_of_rounded_times(values, time, match.time, remarks)
    days = days_per_unit(stated, match.time, options, path)
    first, time = units.scale(first_times(time) if first is None else first, days), units.scale(time, days)
    scale, zero = scale_and_offset(stated) if stated and JULIAN.match(stated) else ("", 0.0)
    if match.offset or not (zero or scale in ("BTJD", "BKJD") or not match.time_scale):
        scale, zero = "", match.offset
    offset = 0.0 if match.time_scale else offset  # the header's zero point is of TIME
    if normal_name(match.time) == "tjd" and len(first) and 1e3 < np.median(first) < 5e3:  # of TESS, not truncated
        scale, zero = "BTJD", 0.0
    if zero and len(first) and np.median(first) >= (2.3e6 if zero > 1e6 else zero):
        message = "column %s counts from no zero point, whatever its name: %.7g"
        remarks.say(logging.WARNING, message, match.time, first[0])
        zero = 0.0
    if zero + offset:
        time, first = time + (zero + offset), first + (zero + offset)
    _refuse_no_days(first, match, options, path)
    return time, first, scale or None


def _dates(
    days: NDArray[np.float64], match: Match, remarks: Remarks, first: NDArray[np.float64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], str | None]:
    """Return what `times` does of dates of the calendar, or of durations, which have no scale."""
    first = first_times(days) if first is None else first
    if not len(first) or np.median(first) < 1e4:
        return days, first, None
    remarks.say(logging.INFO, "the dates in column %s are taken as UTC, and become MJD", match.time)
    return days, first, "MJD"


def _refuse_no_days(first: NDArray[np.float64], match: Match, options: ReadOptions, path: str) -> None:
    """Refuse times whose first ones (m,) are ages of the Earth: seconds, as a rule, without their unit."""
    if len(first) and first.max() > MOST_DAYS and np.median(first) > MOST_DAYS and not options.time_scale:
        reason = f"has times around {np.median(first):.6g} in column {match.time}, which are no days"
        fix = f'write their unit in the name of the column, "{match.time} [s]", or convert them to days'
        raise Unreadable(path, reason, fix)


def first_times(time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the first `N_FIRST` of times (N,) that are numbers and don't pad a table; without any, of the numbers."""
    parts, n = list[NDArray[np.float64]](), 0
    for start in range(0, len(time), N_FIRST):
        part = time[start : start + N_FIRST]
        part = part[np.isfinite(part)]
        parts.append(part[~np.isin(part, PADDING)] if np.any(part < 100) else part)
        if (n := n + len(parts[-1])) >= N_FIRST:
            break
    return np.concatenate(parts)[:N_FIRST] if n else time[np.isfinite(time)][:N_FIRST]


def _agreed_scale(header: str | None, unit: str | None, time: NDArray[np.float64]) -> str | None:
    """Return the stated scale, None if the first times (m,) can't be in it: a full Julian date is no BTJD."""
    middle = np.median(time) if len(time) else 0.0
    stated = header or unit
    return None if stated in ("BTJD", "BKJD", "MJD") and middle > 2.3e6 else stated


def _warn_of_rounded_times(values: Any, time: NDArray[np.float64], name: str, remarks: Remarks) -> None:
    """Warn of dates in 32 bits: those of Julian dates are a quarter of a day apart."""
    kind = str(getattr(values, "type", getattr(values, "dtype", "")))
    if kind not in ("float", "float32", ">f4", "<f4", "halffloat", "float16"):
        return
    largest = np.float32(np.nanmax(np.abs(time[:1000]), initial=0.0))
    if np.isfinite(largest) and (step := float(np.spacing(largest))) > 1e-3:
        remarks.say(
            logging.WARNING,
            "the times in column %s are 32-bit numbers, rounded to %.2g d: short periods are lost. "
            "Fix: write them in 64 bits",
            name,
            step,
        )


def _without_padding(
    time: NDArray[np.float64], evidence: Callable[[], Evidence], reasons: RowReasons
) -> NDArray[np.float64]:
    """Return times (N,) with 0, -99 and the like as NaN where all others are dates: such rows fill a table up."""
    if not np.any(time < 100) or not 1e4 <= evidence().first_date < np.inf:
        return time
    padding = np.isin(time, PADDING)
    reasons.mark(padding, "padding rows")
    return np.where(padding, np.nan, time)


# ---- brightness


def _unit_and_factors(
    match: Match, options: ReadOptions, path: str, stated: Mapping[str, str]
) -> tuple[str, float, float | None]:
    """Return the unit that a brightness comes out in, and what it and its uncertainty are multiplied by.

    The uncertainty's is None if it is in a unit that it can't be in.

    Raises
    ------
    Unreadable
        If the stated unit is none of brightness.
    """
    if options.unit:  # the numbers stay as they are
        return options.unit, 1.0, 1.0
    own, of_error = stated.get(match.value), stated.get(match.error or "")
    if own:
        _refuse_unknown_unit(own, match.kind, match.value, path)
    if of_error and not units.is_brightness(of_error):
        _refuse_unknown_unit(of_error, "", match.error or "", path)
    unit, factor = units.brightness_unit(match.kind, own or match.implied_unit)
    return unit, factor, units.error_factor(of_error, factor, unit)


def _refuse_unknown_unit(stated: str, kind: str, column: str, path: str) -> None:
    fits = units.is_brightness(stated) and (
        kind != "mag" or stated.lower() in units.LINEAR or units.magnitude_factor(stated)
    )
    if not fits:
        reason = f"has brightnesses in the unknown unit {stated!r} (column {column})"
        fix = "say which unit the numbers are in, --unit mag, nJy, mJy, relative, ..., or name another column"
        raise Unreadable(path, reason, fix)


def _by_zero_points(
    zero_points: Any,
    systems: set[str],
    match: Match,
    value: NDArray[np.float32],
    error: NDArray[np.float32] | None,
    unit: str,
    stated: str | None,
    path: str,
    reasons: RowReasons,
    remarks: Remarks,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, str]:
    """Return fluxes whose zero points a column tells, in nJy; of another system than AB, at one zero point.

    Notes
    -----
    F = f * 3631 Jy * 10^(-0.4 zp), and so for the error.
    """
    name = str(match.zero_point)
    plain = unit in ("flux", "unknown") or (stated or unit).strip().lower() in units.LINEAR
    if unit.lower().startswith("mag") or not plain:
        remarks.say(logging.INFO, "column %s isn't used: the brightness is in %s", name, unit)
        return value, error, unit
    zero = numbers(zero_points, name, path)
    if systems <= {"ab", "ab_b12", ""}:
        factor, unit, how = units.nanojansky_per_unit(zero), "nJy", "AB"
    else:
        factor, unit, how = 10 ** (-0.4 * (zero - units.FLUXCAL_ZERO)), "flux", ", ".join(sorted(systems))
        message = "the zero points are of the system %s: fluxes come out at zero point 27.5 of it"
        remarks.say(logging.WARNING, message, how)
    remarks.say(logging.INFO, "fluxes are calibrated by column %s, to %s", name, unit)
    reasons.mark(np.isnan(factor) & ~np.isnan(value), f"fluxes that have no zero point in column {name}")
    value = (value * factor).astype(np.float32)
    return value, None if error is None else (error * factor).astype(np.float32), unit


def _systems(values: Any) -> set[str]:
    """Return the distinct systems of zero points, in lower case."""
    return {str(value).strip().lower() for value in as_series(values).dropna().unique()}


def _masked(values: NDArray[np.float32], mask: Mask, reason: str, reasons: RowReasons) -> NDArray[np.float32]:
    """Return numbers (N,) with those of a mask as NaN, for a reason."""
    if not mask.any():
        return values
    reasons.mark(mask & ~np.isnan(values), reason)
    return np.where(mask, np.float32(np.nan), values)


def _judged_magnitudes(
    value: NDArray[np.float32],
    error: NDArray[np.float32] | None,
    codes: NDArray[np.int64] | None,
    evidence: Callable[[], Evidence],
    reasons: RowReasons,
    remarks: Remarks,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return magnitudes (N,) and errors with NaN for what can't be a measurement, and the reasons."""
    if error is not None and len(error):
        error, impossible = _judged_errors(error, evidence, remarks)
        reason = "limits of magnitude (their error is impossible, such as 99.99)"
        value = _masked(value, impossible, reason, reasons)
    low, high = np.fmin.reduce(value, initial=np.inf), np.fmax.reduce(value, initial=-np.inf)
    if not -NO_MAGNITUDE < low <= high < NO_MAGNITUDE:
        dummy = dummy_magnitudes(value, "mag")
        value = _masked(value, dummy, f"dummy magnitudes ({NO_MAGNITUDE:g} or more either way)", reasons)
    for suspect in SUSPECT:
        if not low <= np.float32(suspect) <= high:
            continue
        equal = value == np.float32(suspect)
        if np.count_nonzero(equal) and not _have_near_neighbours(value, equal, codes):
            far = _is_far(value, equal, codes, evidence().nearest[suspect])
            doubtful = np.zeros(len(value), bool) if error is None else np.isnan(error) | (error <= 0)
            repeated = evidence().counts[suspect] > 1 or abs(suspect) > 28
            mask = equal & far & (doubtful | repeated)
            value = _masked(value, mask, f"magnitudes of exactly {suspect:g}, far from all others,", reasons)
    return value, error


def _is_large(error: NDArray) -> Mask:
    """Tell which errors (N,) of magnitudes are those of a limit: 9.999, 99.99 and the like."""
    large = error >= 9
    if not large.any():
        return large
    return large & ((error >= NO_MAGNITUDE) | np.isin(error, np.array(SUSPECT_ERROR, error.dtype)))


def _judged_errors(
    error: NDArray[np.float32], evidence: Callable[[], Evidence], remarks: Remarks
) -> tuple[NDArray[np.float32], Mask]:
    """Return errors of magnitudes with the impossible ones as NaN, and which of them mean that nothing was measured.

    An error of 9.999 or 99.99 is a limit's; one below 0 tells only that the error is unknown, and so does one number in
    all rows.
    """
    large, below = _is_large(error), error < 0
    if below.any():
        remarks.errors["errors below 0"] += int(below.sum())
    if not large.any():
        return (np.where(below, np.float32(np.nan), error) if below.any() else error), large
    if not evidence().has_good_errors:
        remarks.errors["errors that are the same impossible number everywhere"] += int(large.sum())
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


def _is_far(value: NDArray[np.float32], equal: Mask, codes: NDArray[np.int64] | None, everywhere: float) -> Mask:
    """Tell which of some equal magnitudes are further than `FAR` from all others of their star (N,).

    Parameters
    ----------
    everywhere : float
        Distance to the nearest one in the whole table, which counts for a star without any other; infinite if there
        is none, and nothing is known [mag].
    """
    if codes is None:
        return equal & bool(FAR < everywhere < np.inf)
    number, others = value[equal][0], ~equal & np.isfinite(value)
    stars = np.zeros(int(codes.max()) + 1, bool)
    stars[codes[equal]] = True
    rows = np.flatnonzero(stars[codes] & others)
    nearest = np.full(len(stars), np.inf, np.float32)
    np.minimum.at(nearest, codes[rows], np.abs(value[rows] - number))
    far = np.where(np.isfinite(nearest), nearest > FAR, FAR < everywhere < np.inf)
    return equal & far[codes]


def _judged_fluxes(
    value: NDArray[np.float32],
    error: NDArray[np.float32] | None,
    codes: NDArray[np.int64] | None,
    evidence: Callable[[], Evidence],
    reasons: RowReasons,
    remarks: Remarks,
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return fluxes (N,) and errors with NaN for the likes of -999 that can't be a measurement, and the reasons.

    Any number may be a flux: -999 is none where its error is impossible, or it is repeated far below all others.
    """
    below = np.zeros(len(value), bool) if error is None else error < 0
    if error is not None and below.any():
        remarks.errors["errors below 0"] += int(below.sum())
        error = np.where(below, np.float32(np.nan), error)
    finite = np.isfinite(value)
    least, most = (
        float(np.min(value, where=finite, initial=np.inf)),
        float(np.max(value, where=finite, initial=-np.inf)),
    )
    if error is not None and least <= 0 <= most and (empty := (value == 0) & (error == 0)).any():
        empty &= evidence().has_positive_errors
        value = _masked(value, empty, "fluxes of 0 with an error of 0", reasons)
        error = _masked(error, empty, "fluxes of 0 with an error of 0", reasons)
    if least > -99 and (most < 99 or 9999 < least <= most < 99999):
        return value, error
    if max(-least, most) >= NO_FLUX:
        dummy = finite & (np.abs(value) >= NO_FLUX)
        value = _masked(value, dummy, f"dummy fluxes ({NO_FLUX:g} or more either way)", reasons)
        error = None if error is None else np.where(dummy, np.float32(np.nan), error)
    for suspect in SUSPECT_FLUX:
        equal = value == np.float32(suspect)
        if not equal.any():
            continue
        seen = evidence()
        doubtful = np.isnan(error) if error is not None and seen.has_positive_errors else np.zeros(len(value), bool)
        span = seen.high - seen.low if seen.n_others else 0.0
        far = bool(seen.n_others) and (suspect < seen.low - span or suspect > seen.high + 5 * span)
        repeated = seen.counts[float(np.float32(suspect))] > 1 and far and seen.n_others > 2 and suspect < 0
        if far or error is not None:
            reason = f"fluxes of exactly {suspect:g}, with an impossible error or far from all others,"
            value = _masked(value, equal & (doubtful | repeated), reason, reasons)
    return value, error


def warn_of_unknown_unit(unit: str, options: ReadOptions, remarks: Remarks) -> None:
    """Warn that a brightness without a unit is taken as flux, which turns magnitudes upside down."""
    if unit == "unknown" and options.unit is None:
        message = "the brightness has no known unit and is taken as flux; if it is in magnitudes, say --unit mag"
        remarks.say(logging.WARNING, message)


def _without_limits(values: Any, unit: str, limits: dict[str, Mask]) -> Any:
    """Return a column with limits of magnitude such as ``>16.5`` missing, and add them; any other as it is."""
    kind = getattr(values, "type", None)
    if not unit.lower().startswith("mag") or (
        kind is not None and (pa.types.is_floating(kind) or pa.types.is_integer(kind))
    ):
        return values
    if isinstance(values, np.ndarray) and values.dtype.kind in "fiu":
        return values
    series = as_series(values)
    if pd.api.types.is_numeric_dtype(series):
        return values
    rows = series.astype("string").str.match(LIMIT).fillna(False).to_numpy(bool)
    if not rows.any():
        return values
    limits[f"limits such as {str(series[rows].iloc[0]).strip()}"] = rows
    return series.mask(rows)


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


# ---- quality ------------------------------------------------------------------------------------------------------


def unflagged(flags: NDArray, bits: int, quality: str) -> Mask:
    """Return which rows (N,) stay: those without any of ``bits``, without any flag (``"hard"``), or all."""
    if quality == "none":
        return np.ones(len(flags), bool)
    values = np.nan_to_num(flags).astype(np.int64)
    return values == 0 if quality == "hard" else (values & bits) == 0


def passes_quality(
    values: Any, match: Match, options: ReadOptions, path: str, n: int, remarks: Remarks, whole: WholeTable
) -> tuple[Mask, str]:
    """Return which rows (n,) of a table stay by its quality column, and why the others don't.

    Flags have a meaning where the column's name tells the survey (`SEVERE`), letters where they are one of the known
    scales (`LETTERS`).
    """
    reason = f"flagged by column {match.quality}"
    if match.quality is None or values is None or options.quality == "none":
        return np.ones(n, bool), reason
    if (by_letters := _passes_letters(values, match.quality, options.quality, remarks, whole)) is not None:
        return by_letters
    severe = SEVERE.get(normal_name(match.quality), 0)
    if not (severe or options.quality == "hard"):
        remarks.origins["quality"] = (
            f"column {match.quality} isn't applied: what its flags mean isn't known (--quality hard)"
        )
        return np.ones(n, bool), reason
    return unflagged(numbers(values, match.quality, path), severe, options.quality), reason


def _passes_letters(
    values: Any, name: str, quality: str, remarks: Remarks, whole: WholeTable
) -> tuple[Mask, str] | None:
    """Return which rows (N,) stay by a quality in letters or words, and why the others don't; what is missing stays.

    None if it is in numbers.
    """
    kind = getattr(values, "type", getattr(values, "dtype", None))
    if isinstance(kind, pa.DataType) and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    series = as_series(values)
    if pd.api.types.is_bool_dtype(series) or pd.api.types.is_numeric_dtype(series):
        return None
    words, shown_words = _upper_words(series), as_series(whole.distinct(name)).dropna().unique()
    distinct = set(_upper_words(pd.Series(shown_words)).unique()) - {""}
    if not distinct or all(re.fullmatch(r"[-+]?\d+(\.0*)?", word) for word in distinct):
        return None
    if letters := _letters_of(distinct, name):
        worst, best = letters
        left_out = {word for word in distinct if word not in best} if quality == "hard" else {worst}
        shown = f"other than {best}" if quality == "hard" else worst
    elif distinct <= GOOD_WORDS | BAD_WORDS and distinct & BAD_WORDS and not distinct <= YES_OR_NO:
        left_out, shown = BAD_WORDS, "bad"
    else:
        some = ", ".join(sorted(map(str, shown_words))[:5])
        remarks.say(logging.INFO, "the qualities in column %s (%s) have no known meaning and aren't used", name, some)
        return np.ones(len(words), bool), ""
    return ~words.isin(left_out).fillna(False).to_numpy(bool), f"rows of quality {shown} (column {name})"


def _upper_words(series: pd.Series) -> pd.Series:
    """Return a column of text in upper case without blanks around it."""
    return series.astype("string").str.strip().str.upper()


def _letters_of(distinct: set[str], name: str) -> tuple[str, str] | None:
    """Return the worst and the best of a scale of letters, None if the words are of none."""
    if normal_name(name) == "validationflag":
        return AAVSO_LETTERS[1:] if distinct <= set(AAVSO_LETTERS[0]) else None
    is_grade = normal_name(name) == "grade"
    for survey, (scale, worst, best) in LETTERS.items():
        if distinct <= set(scale) and (survey == "ASAS" or (not is_grade and (distinct == {"B"} or "G" in distinct))):
            return worst, best
    return None
