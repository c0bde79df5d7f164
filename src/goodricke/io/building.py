"""What every reader ends with: quality cuts, the time's zero point, dummies, and the per-object columns."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.data.lightcurves import LightCurves
from goodricke.io.files import Opened
from goodricke.io.fits import FitsFile, FitsTable
from goodricke.io.options import ReadOptions, Unreadable

logger = logging.getLogger("goodricke")

Mask = NDArray[np.bool_]

# The columns that `LightCurves.objects` has whatever the reader, null where a product doesn't tell.
ABOUT = pa.schema(
    [
        ("source", pa.string()),  # path of the file
        ("mission", pa.string()),
        ("product", pa.string()),
        ("sector", pa.int32()),  # TESS
        ("quarter", pa.int32()),  # Kepler
        ("campaign", pa.int32()),  # K2
        ("camera", pa.int32()),
        ("ccd", pa.int32()),
        ("ra", pa.float64()),  # degrees
        ("dec", pa.float64()),
        ("n_read", pa.int64()),  # cadences in the file
        ("n_flagged", pa.int64()),  # of them left out by the quality cut
    ]
)

# Severe flags of the Kepler Archive Manual (KDMC-10008, table 2-3): attitude tweak 1, safe mode 2, coarse point 4,
# Earth point 8, reaction wheel desaturation 32, manual exclude 256, detector anomaly 2^14, no data 2^16, thruster
# firing 2^20. Cosmic rays and rolling bands are kept.
KEPLER_BITS = 1130799
# Severe flags of the TESS Science Data Products Description (EXP-TESS-ARC-ICD-0014, table 28): attitude tweak 1, safe
# mode 2, coarse point 4, Earth point 8, Argabrightening 16, desaturation 32, manual exclude 128, impulsive outlier 512,
# bad calibration 2^14. Cosmic rays and stray light are kept.
TESS_BITS = 17087

NO_MAGNITUDE = 50.0  # no star is that faint: surveys write 99.99, -99, -999 and the like for no measurement

ZERO_POINTS = {2457000.0: "BTJD", 2454833.0: "BKJD", 0.0: "BJD"}


def unflagged(quality: NDArray, bits: int, how: str) -> Mask:
    """Return which cadences (n,) stay: those without any of ``bits``, without any flag (``"hard"``), or all."""
    if how == "none":
        return np.ones(len(quality), bool)
    flags = np.nan_to_num(quality).astype(np.int64)
    return flags == 0 if how == "hard" else (flags & bits) == 0


def zero_point(file: FitsFile, default: float) -> tuple[str, float]:
    """Return the name of a barycentric time scale and what must be added to TIME to be in it [d]."""
    whole, part = file.number("BJDREFI"), file.number("BJDREFF", "BJDREFR")  # TGLC writes the latter
    reference = default if whole is None else whole + (part or 0.0)
    nearest = min(ZERO_POINTS, key=lambda zero: abs(zero - reference))
    return (ZERO_POINTS[nearest], reference - nearest) if abs(reference - nearest) < 1 else ("BJD", reference)


def flux_table(file: Opened, *columns: str) -> FitsTable:
    """Return the first binary table that has one of the columns.

    Raises
    ------
    Unreadable
        If none has.
    """
    for table in file.fits.tables:
        if any(name in table for name in columns):
            return table
    raise Unreadable(file.path, f"has no table with a column {' or '.join(columns)}", "download the file again")


def flux_name(table: FitsTable, wanted: str | None, default: str) -> str:
    """Return the flux column to read.

    Raises
    ------
    Unreadable
        If the table doesn't have it, naming the flux columns that it has.
    """
    name = wanted or default
    if name in table:
        return name
    others = [n for n in table.plain_names if "FLUX" in n.upper() and "ERR" not in n.upper()]
    raise Unreadable(table.path, f"has no flux column {name}", f"choose one of {', '.join(others)} with --flux")


def dummies(value: NDArray[np.float32], unit: str) -> Mask:
    """Mark the brightnesses (N,) that stand for no measurement: magnitudes of `NO_MAGNITUDE` and more either way.

    In other units every number may be a measurement.
    """
    return np.abs(value) >= NO_MAGNITUDE if unit.lower().startswith("mag") else np.zeros(len(value), bool)


def without_dummies(value: NDArray[np.float32], unit: str, path: str) -> NDArray[np.float32]:
    """Return brightnesses (N,) with the `dummies` as NaN, so that preprocessing drops them; log how many."""
    dummy = dummies(value, unit)
    if not dummy.any():
        return value
    logger.info("%s: %d dummy magnitudes (%g or more either way) made NaN", path, dummy.sum(), NO_MAGNITUDE)
    return np.where(dummy, np.float32(np.nan), value)


def whole_number(value: Any) -> int | None:
    """Return a header value as an integer, None if it isn't one."""
    try:
        return None if value is None or isinstance(value, bool) else int(value)
    except (TypeError, ValueError):
        return None


def about(n: int, **known: Any) -> pa.Table:
    """Return the per-object columns `ABOUT` of ``n`` objects; each known value is one for all, or an array (n,)."""
    columns = []
    for field in ABOUT:
        value = known.pop(field.name, None)
        if isinstance(value, pa.Array | pa.ChunkedArray | np.ndarray):
            columns.append(pa.array(value, from_pandas=True).cast(field.type))
        else:
            columns.append(pa.array([value] * n, field.type) if n == 1 else pa.repeat(pa.scalar(value, field.type), n))
    assert not known, f"no per-object column {', '.join(known)}"
    return pa.Table.from_arrays(columns, schema=ABOUT)


def as_told(curves: LightCurves, options: ReadOptions, path: str) -> LightCurves:
    """Return a reader's light curves with only the band asked for, as if it read no other, and bands renamed."""
    if options.band and curves.bands != (options.band,):
        counts, there = curves.n_obs, ", ".join(curves.bands)
        curves = curves.in_band(options.band)
        if "n_read" in curves.table_of_objects.column_names:
            left_out = pa.array(counts - curves.n_obs)
            curves = curves.with_columns(n_read=pc.subtract(curves.table_of_objects["n_read"], left_out))
        if not len(curves.time):
            told = path, options.band, there, options.band, there.split(", ")[0]
            logger.warning("%s has no observation in band %s, only in %s: keep one of these, or --band %s=%s", *told)
    return curves.rename_bands(options.rename_bands)


def one_light_curve(
    file: Opened,
    options: ReadOptions,
    *,
    object_id: str,
    time: NDArray[np.float64],
    value: NDArray,
    error: NDArray | None,
    good: Mask,
    unit: str,
    time_scale: str,
    band: str,
    **known: Any,
) -> LightCurves:
    """Return a batch of one from a mission's file: rows without a time are padding and go, flagged ones go too."""
    timed = np.isfinite(time)
    keep = timed & good
    n_read, n_flagged = len(time), int((timed & ~good).sum())
    return LightCurves.from_arrays(
        pa.array([object_id]),
        np.array([0, keep.sum()]),
        time[keep],
        value[keep],
        None if error is None else error[keep],
        bands=(options.band or band,),
        unit=options.unit or unit,
        time_scale=options.time_scale or time_scale,
        objects=about(1, source=file.path, n_read=n_read, n_flagged=n_flagged, **known),
    )
