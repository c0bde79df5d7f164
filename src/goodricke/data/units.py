"""Units of time and brightness: everything becomes days, magnitudes or flux here.

Files state units as text (``"mmag"``, ``"time [s]"``); lightkurve and astropy hand over quantities and time objects.
AB magnitudes and nJy are converted into each other, with their uncertainties.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from astropy import units
from numpy.typing import NDArray

AB_ZERO = 3631e9  # nJy, the flux of a source of AB magnitude 0 (Oke & Gunn 1983; Tonry et al. 2012)
MAGNITUDES_PER_E = 2.5 / np.log(10)  # of magnitude per relative change of flux
MJD_ZERO = 2400000.5  # JD
# Time scales counted from a zero point of their own [JD].
ZERO_POINTS = {"BTJD": 2457000.0, "BKJD": 2454833.0, "MJD": MJD_ZERO}

STANDARDISED = "standardised"  # unit of flux that is detrended, with median 0 and standard deviation 1, already
# Spellings that astropy doesn't know, with what they are called here.
UNIT_NAMES = {"e-/s": "electron / s", "electron/s": "electron / s", "": "relative", "dimensionless": "relative"}
TIME_UNITS = {"sec": "s", "secs": "s", "mins": "min", "hrs": "h", "yrs": "yr"}  # beyond those that astropy knows
BRACKET = re.compile(r"\[([^\[\]]+)\]\s*$|\(((?:[^()]|\([^()]*\))+)\)\s*$")
# Units of brightness after the name, as where no brackets can be: flux_mJy, d_mag_mmag, or nothing else (mmag, e_mmag).
AFTER_NAME = re.compile(r"(?:^|[_ ])(mmag|ppm|ppt|percent|[mun]?jy)$", re.IGNORECASE)
IN_LETTERS = {"mjy": "mJy", "ujy": "uJy", "njy": "nJy", "jy": "Jy"}
# Physical types of a brightness; "unknown" are counts, magnitudes and the like. Of others astropy has many that mean
# something else in the name of a column: V is a band and no volt, TT a time scale and no teratesla.
BRIGHTNESS = {"spectral flux density", "spectral flux density wav", "photon flux density", "photon flux density wav"}
BRIGHTNESS |= {"energy flux", "irradiance", "surface brightness", "unknown"}


# A magnitude in any system and spelling: mag, mags, ABmag, mag(AB), mag_ab, "Vega mag", AB, m_AB; millimagnitudes.
SYSTEM = r"(ab|st|vega|gaia|johnson|cousins|sdss|instrumental|inst)?"
MAGNITUDE = re.compile(
    rf"^{SYSTEM}[\W_]*(m|milli)?[\W_]*mag(nitude)?s?[\W_]*{SYSTEM}[\W_]*$|^(m_)?(ab|st|vega)$", re.IGNORECASE
)
# Brightnesses that aren't physical, but linear all the same.
LINEAR = {"relative", "relative flux", "flux", "normalized", "normalised", "normalized flux", "normalised flux"}
LINEAR |= {
    "arbitrary",
    "arb",
    "arb. units",
    "a.u.",
    "unknown",
    "unitless",
    "none",
    "-",
    "1",
    "ppm",
    "ppt",
    "percent",
    "%",
}
LINEAR |= {
    "counts",
    "count",
    "counts/s",
    "count/s",
    "cts",
    "cts/s",
    "ct",
    "ct/s",
    "adu",
    "adu/s",
    "dn",
    "dn/s",
    "electrons",
}
LINEAR |= {"electrons/s", "electrons per second", "e-", "e/s", "e-/cadence", "fluxcal"}
MAGGIES = {"maggy": AB_ZERO, "maggies": AB_ZERO, "mgy": AB_ZERO, "nmgy": AB_ZERO * 1e-9, "nanomaggy": AB_ZERO * 1e-9}
MAGGIES |= {"nanomaggies": AB_ZERO * 1e-9}
FRACTIONS = {"relative": 1.0, "percent": 1e-2, "%": 1e-2, "ppt": 1e-3, "ppm": 1e-6}
FLUXCAL_ZERO = 27.5  # AB magnitude of a FLUXCAL of 1 (SNANA manual, section 4.4)
FLUXCAL = "36.3078 nJy"


# ---- magnitudes and fluxes ----------------------------------------------------------------------------------------


def ab_magnitudes(
    flux: NDArray[np.floating], error: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return AB magnitudes (N,) and their uncertainties of fluxes in nJy; where there is no flux above 0, NaN.

    Notes
    -----
    m = -2.5 log10(F / 3631 Jy) (Becker et al. 2025, Eq. 1), sigma_m = 2.5 / ln 10 * sigma_F / F.
    """
    positive = np.where(flux > 0, flux, np.nan).astype(np.float64)
    return -2.5 * np.log10(positive / AB_ZERO), MAGNITUDES_PER_E * error / positive


def nanojansky(
    magnitude: NDArray[np.floating], error: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return fluxes (N,) in nJy and their uncertainties of AB magnitudes: the inverse of `ab_magnitudes`."""
    flux = AB_ZERO * 10 ** (-0.4 * np.asarray(magnitude, np.float64))
    return flux, flux * error / MAGNITUDES_PER_E


def nanojansky_per_unit(zero_point: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the flux (N,) in nJy of one unit whose AB magnitude is the zero point: 3631 Jy * 10^(-0.4 zp)."""
    return AB_ZERO * 10 ** (-0.4 * np.asarray(zero_point, np.float64))


# ---- units as files state them ------------------------------------------------------------------------------------


def unit_in_name(column: str) -> str | None:
    """Return the unit at the end of a column's name, of time or brightness; None if there is none.

    One of time is in brackets; one of brightness may be the last word, too.

    >>> [unit_in_name(column) for column in ("flux(mJy)", "time [s]", "time (BJD - 2457000)", "mag (V)", "e_mmag")]
    ['mJy', 's', None, None, 'mmag']
    """
    if after := AFTER_NAME.search(column):
        return IN_LETTERS.get(after[1].lower(), after[1].lower())
    bracket = BRACKET.search(column)
    text = (bracket[1] or bracket[2]).strip() if bracket else ""
    if text in UNIT_NAMES or text in UNIT_NAMES.values():
        return text or None
    unit = units.Unit(text, parse_strict="silent")
    known = not isinstance(unit, units.UnrecognizedUnit) and BRIGHTNESS & set(str(unit.physical_type).split("/"))
    if days_in_unit(text):
        return None if re.search("flux|mag", column, re.IGNORECASE) else text  # H and a are no hours or years there
    return text if known and text not in ("AB", "ST") else None  # zero points of magnitudes


def brightness_unit(kind: str, stated: str | None) -> tuple[str, float]:
    """Return the unit of a brightness column, and what its numbers are multiplied by to be in it.

    Parameters
    ----------
    kind : {"mag", "flux", ""}
        What the column's name says.
    stated : str, optional
        Its unit as the file writes it.
    """
    factor = magnitude_factor(stated) if stated else None
    if kind == "mag" or (factor is not None and factor != 1):
        return "mag", factor or 1.0
    if factor is not None and not str(stated).lower().startswith("mag"):
        return "mag", 1.0
    if stated is not None and stated.strip().lower() in MAGGIES:
        return "nJy", MAGGIES[stated.strip().lower()]
    if stated is not None:
        return UNIT_NAMES.get(stated, stated), 1.0
    return ("flux" if kind == "flux" else "unknown"), 1.0


def magnitude_factor(stated: str) -> float | None:
    """Return what numbers in a unit of magnitude, of any system, are multiplied by to be in mag; None if it is none.

    >>> [magnitude_factor(text) for text in ("ABmag", "Vega", "mmag", "millimagnitudes", "nJy", "maggy")]
    [1.0, 1.0, 0.001, 0.001, None, None]
    """
    text = stated.strip()
    if match := MAGNITUDE.match(text):
        return 1e-3 if match[2] else 1.0
    return None if text.lower() in MAGGIES else _stated_factor(text, "mag")


def is_brightness(stated: str) -> bool:
    """Tell whether a stated unit is one of brightness: a magnitude, a flux, counts, or a number relative to another.

    >>> [is_brightness(text) for text in ("mJy", "ppm", "36.3078 nJy", "banana", "km", "dB")]
    [True, True, True, False, False, False]
    """
    text = stated.strip().rstrip("!?.,;:")
    lower = text.lower()
    if not text or magnitude_factor(text) is not None or lower in LINEAR or lower in MAGGIES:
        return True
    if text in UNIT_NAMES or text in UNIT_NAMES.values():
        return True
    unit = units.Unit(text, parse_strict="silent")
    if isinstance(unit, units.UnrecognizedUnit) or hasattr(unit, "function_unit"):
        return False
    if (BRIGHTNESS - {"unknown"}) & set(str(unit.physical_type).split("/")):
        return True
    counts = {"electron", "ct", "count", "adu", "DN", "ph", "photon", "pix", "bit"}
    return unit.physical_type == "dimensionless" or bool(counts & {str(base) for base in unit.bases})


def error_factor(stated: str | None, value_factor: float, unit: str) -> float | None:
    """Return what an uncertainty is multiplied by to be in the unit of its value; None if it can't be: mag of a flux.

    Parameters
    ----------
    stated : str, optional
        Unit of the uncertainty as the file writes it; without one it is in the value's.
    value_factor : float
        What the value is multiplied by.
    unit : str
        In which the value comes out.

    >>> [error_factor(*x) for x in ((None, 1e-3, "mag"), ("mmag", 1, "mag"), ("nJy", 1, "uJy"), ("mag", 1, "nJy"))]
    [0.001, 0.001, 0.001, None]
    """
    if not stated:
        return value_factor
    own, lower = magnitude_factor(stated), stated.strip().lower()
    if unit == "mag" or own is not None:
        return own if unit == "mag" and own is not None else (value_factor if unit == "mag" else None)
    if lower in FRACTIONS and unit.lower() in FRACTIONS:
        return FRACTIONS[lower] / FRACTIONS[unit.lower()]
    name, factor = brightness_unit("flux", stated)
    parsed = [units.Unit(text, parse_strict="silent") for text in (name, unit)]
    if name == unit or any(isinstance(one, units.UnrecognizedUnit) for one in parsed):
        return factor if name == unit else value_factor
    return factor * float(parsed[0].to(parsed[1])) if parsed[0].is_equivalent(parsed[1]) else None


def days_in_unit(stated: str) -> float | None:
    """Return the length in days of a unit of time, however it is spelled; None if it is none."""
    lower = stated.strip().lower()
    spellings = (stated, lower, TIME_UNITS.get(lower, lower), lower.removesuffix("s") if len(lower) > 3 else lower)
    return next((factor for text in spellings if (factor := _stated_factor(text, "d")) is not None), None)


def scale(values: NDArray, factor: float) -> NDArray:
    """Return numbers times a factor, without a copy if it is 1."""
    return values if factor == 1 else (values * factor).astype(values.dtype)


def _stated_factor(stated: str, wanted: str) -> float | None:
    return factor_to(units.Unit(stated.strip(), parse_strict="silent"), wanted)


# ---- quantities of lightkurve and astropy -------------------------------------------------------------------------


def factor_to(unit: Any, wanted: str) -> float | None:
    """Return what numbers in an astropy unit are multiplied by to be in ``wanted``, None if they can't be.

    A magnitude of any system is a magnitude; dB and dex, which grow with the flux, are none.
    """
    try:
        factor = float(getattr(unit, "function_unit", unit).to(wanted))
    except (AttributeError, TypeError, ValueError):
        return None
    return factor if factor > 0 else None


def brightness_of_series(value: Any, error: Any) -> tuple[NDArray, NDArray | None, str]:
    """Return brightnesses, uncertainties and unit, in mag if the unit is some other part or multiple of it."""
    unit = getattr(value, "unit", None)
    factor = factor_to(unit, "mag")
    name = "mag" if factor not in (None, 1.0) else str(unit or "")
    if error is None:
        return plain_numbers(value) * (factor or 1.0), None, name
    own = factor_to(getattr(error, "unit", None), "mag") if factor is not None else None
    return plain_numbers(value) * (factor or 1.0), plain_numbers(error) * (own or factor or 1.0), name


def time_of_series(time: Any) -> tuple[NDArray, str]:
    """Return the times of a series in days, and their scale.

    Raises
    ------
    ValueError
        If they are in no unit of time.
    """
    name = str(getattr(time, "format", None) or "").upper()
    zero = ZERO_POINTS.get(name)
    if hasattr(time, "jd"):
        return np.asarray(time.jd) - (zero or 0.0), name if zero else "JD"
    unit = getattr(time, "unit", None)
    factor = factor_to(unit, "d") if str(unit or "") else 1.0
    if factor is None:
        raise ValueError(f"the times are in {unit}, which is no unit of time; convert them to days")
    return plain_numbers(time) * factor, name if zero else "unknown"


def plain_numbers(quantity: Any) -> NDArray:
    """Return the numbers of an astropy Quantity, masked or not, masked entries as NaN."""
    if hasattr(quantity, "unmasked"):
        return np.where(np.asarray(quantity.mask), np.nan, np.asarray(quantity.unmasked.value, np.float64))
    quantity = getattr(quantity, "value", quantity)
    return np.asarray(np.ma.filled(np.ma.asarray(quantity, np.float64), np.nan))


def series_column(series: Any, name: str) -> Any:
    """Return an attribute or a column of a time series, None if it has neither."""
    if name in getattr(series, "colnames", ()):
        return series[name]
    return getattr(series, name, None)


# ---- angles ---------------------------------------------------------------------------------------------------------


SEXAGESIMAL = re.compile(r"^\s*[-+−]?\d{1,3}[\s:hd°]+\d{1,2}[\s:m'′]+\d{1,2}(\.\d*)?[\s\"″s]*$")


def sexagesimal_degrees(texts: Any, in_hours: bool) -> NDArray[np.float64] | None:
    """Return angles (N,) such as ``05:34:31.94`` or ``+22 00 52.2`` in degrees, NaN for missing ones.

    Parameters
    ----------
    texts : array-like (N,) of str
    in_hours : bool
        Whether they are hours, as of a right ascension; text that names degrees (``d``, ``°``) is in degrees.

    Returns
    -------
    float64 (N,)
        None if one of them is no such angle.

    Examples
    --------
    >>> sexagesimal_degrees(["05:34:31.94", None], True).round(5).tolist(), sexagesimal_degrees(["-05 23 28"], False)
    ([83.63308, nan], array([-5.39111111]))
    """
    cells = ["" if text is None or text != text else str(text).strip() for text in texts]
    angles = {"": np.nan}
    for text in set(cells) - {""}:
        if not SEXAGESIMAL.match(text):
            return None
        hours, minutes, seconds = (float(number) for number in re.findall(r"\d+(?:\.\d*)?", text)[:3])
        sign = -1.0 if text.lstrip()[0] in "-−" else 1.0
        is_hours = in_hours and not re.search("[d°]", text)
        angles[text] = sign * (hours + minutes / 60 + seconds / 3600) * (15.0 if is_hours else 1.0)
    result = np.array([angles[text] for text in cells], np.float64)
    return result if np.isfinite(result).any() else None


# ---- columns for astropy --------------------------------------------------------------------------------------------


def astropy_unit(unit: str) -> Any:
    """Return the astropy unit of a brightness, None where astropy has none."""
    if unit in ("unknown", "flux", "relative"):
        return units.dimensionless_unscaled if unit == "relative" else None
    parsed = units.Unit(unit, parse_strict="silent")
    return None if isinstance(parsed, units.UnrecognizedUnit) else parsed


def astropy_times(time: NDArray[np.float64], time_scale: str) -> Any:
    """Return times in days (N,) as astropy's ``Time`` where their zero point is known, else as they are, in days."""
    from astropy.time import Time

    if time_scale in ("BTJD", "BKJD"):
        return Time(time, ZERO_POINTS[time_scale], format="jd", scale="tdb")
    if time_scale in ("MJD", "JD", "HJD", "BJD"):
        scale = "tdb" if time_scale == "BJD" else "utc"
        return Time(time, format="mjd" if time_scale == "MJD" else "jd", scale=scale)
    return time * units.d


def days_since(time: Any, time_scale: str) -> NDArray[np.float64]:
    """Return an astropy ``Time`` (N,) in days of a time scale: the inverse of `astropy_times`."""
    return np.asarray((time.jd1 - ZERO_POINTS.get(time_scale, 0.0)) + time.jd2)
