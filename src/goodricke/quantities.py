"""Times and brightnesses with units, as lightkurve and astropy have them, in days and magnitudes or flux."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def factor_to(unit: Any, wanted: str) -> float | None:
    """Return what numbers in an astropy unit are multiplied by to be in ``wanted``, None if they can't be.

    A magnitude of any system is a magnitude; dB and dex, which grow with the flux, are none.
    """
    try:
        factor = float(getattr(unit, "function_unit", unit).to(wanted))
    except (AttributeError, TypeError, ValueError):
        return None
    return factor if factor > 0 else None


def in_magnitudes(value: Any, error: Any) -> tuple[NDArray, NDArray | None, str]:
    """Return brightnesses, uncertainties and unit, in mag if the unit is some other part or multiple of it."""
    unit = getattr(value, "unit", None)
    factor = factor_to(unit, "mag")
    name = "mag" if factor not in (None, 1.0) else str(unit or "")
    if error is None:
        return plain(value) * (factor or 1.0), None, name
    own = factor_to(getattr(error, "unit", None), "mag") if factor is not None else None
    return plain(value) * (factor or 1.0), plain(error) * (own or factor or 1.0), name


def in_days(time: Any) -> tuple[NDArray, str]:
    """Return the times of a series in days, and their scale."""
    scale = str(getattr(time, "format", None) or "").upper()
    offset = {"BTJD": 2457000.0, "BKJD": 2454833.0, "MJD": 2400000.5}.get(scale)
    if hasattr(time, "jd"):
        return np.asarray(time.jd) - (offset or 0.0), scale if offset else "JD"
    unit = getattr(time, "unit", None)
    factor = factor_to(unit, "d") if str(unit or "") else 1.0
    if factor is None:
        raise ValueError(f"the times are in {unit}, which is no unit of time; convert them to days")
    return plain(time) * factor, scale if offset else "unknown"


def plain(quantity: Any) -> NDArray:
    """Return the numbers of an astropy Quantity, masked or not, masked entries as NaN."""
    if hasattr(quantity, "unmasked"):
        return np.where(np.asarray(quantity.mask), np.nan, np.asarray(quantity.unmasked.value, np.float64))
    quantity = getattr(quantity, "value", quantity)
    return np.asarray(np.ma.filled(np.ma.asarray(quantity, np.float64), np.nan))


def part_of(series: Any, name: str) -> Any:
    """Return an attribute or a column of a time series, None if it has neither."""
    if name in getattr(series, "colnames", ()):
        return series[name]
    return getattr(series, name, None)
