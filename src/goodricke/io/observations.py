"""From rows of observations to light curves: how readers end.

A reader judges the columns of its product (`roles`) and gives `Observations` of many objects, or the arrays of one
object. Here they become `LightCurves` with the same per-object columns whatever the product.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.io import roles
from goodricke.io.files import SourceFile
from goodricke.io.options import ReadOptions, Unreadable
from goodricke.io.roles import Mask

logger = logging.getLogger("goodricke")

# The columns that `LightCurves.objects` has whatever the reader, null where a product doesn't tell.
OBJECT_COLUMNS = pa.schema(
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
        ("n_read", pa.int64()),  # observations in the file
        ("n_flagged", pa.int64()),  # of them left out by the quality cut
        ("n_used", pa.int64()),  # of them measurements: with a time and a finite brightness, and not flagged
    ]
)


class Named(Protocol):
    """A file, or a table in memory: what messages and objects are called after."""

    path: str

    @property
    def stem(self) -> str:
        """The name without folder and ending."""


@dataclass(frozen=True)
class Observations:
    """Observations of many objects, in any order.

    Parameters
    ----------
    object_id : array-like (N,)
        Whole numbers or text; None if all are of one object, which is then called after the file.
    time : float64 (N,)
        Days; NaN for a row that is no observation (an upper limit, a repetition).
    value, error : floating (N,)
        The error is None if there is none.
    band : array-like (N,)
        Names or numbers, as the column ``band_name`` has them; None if all are of one band.
    good : bool (N,)
        False where the quality cut leaves the observation out.
    ra, dec : float64 (N,) or float, optional
        Degrees; that of the first observation is the object's.
    id_name : str
        The column of the identifiers.
    object_name : str, optional
        Of the one object, where the file tells it.
    codes : tuple of string array (n,) and int64 (N,), optional
        The identifiers and the index of each row's, if the reader has them already.
    one_band : str, optional
        Of all, where no column has bands.
    """

    object_id: Any
    time: NDArray[np.float64]
    value: NDArray[np.floating]
    error: NDArray[np.floating] | None
    band: Any
    band_name: str | None
    good: Mask
    ra: NDArray[np.float64] | float | None = None
    dec: NDArray[np.float64] | float | None = None
    id_name: str = "object_id"
    object_name: str | None = None
    codes: tuple[pa.Array, NDArray[np.int64]] | None = None
    one_band: str | None = None


def light_curves(
    file: Named,
    options: ReadOptions,
    rows: Observations,
    *,
    unit: str,
    time_scale: str,
    keep_order: bool = False,
    **known: Any,
) -> LightCurves:
    """Return the light curves of a table's rows that are measurements.

    Rows go that have no time or no finite brightness (limits and missing ones), and flagged ones.

    Parameters
    ----------
    unit, time_scale : str
        Of `rows`, unless the options say otherwise.
    keep_order : bool
        Whether the observations of an object stay in the order of the table; else they are sorted by time. Rows
        without a time then count as read.
    **known
        Columns of `OBJECT_COLUMNS` that are the same for all objects.

    Raises
    ------
    Unreadable
        If there is no row, a row has no object, or there are more than 256 bands.
    """
    ids, codes = rows.codes or identify(file, rows.object_id, rows.id_name, len(rows.time), rows.object_name)
    bands, band = roles.bands(rows.band, rows.band_name, options, file.path, in_name=rows.one_band)
    order: Any = np.lexsort((rows.time, codes)) if not keep_order else np.argsort(codes, kind="stable")
    if keep_order and (np.diff(codes) >= 0).all():  # sorted by object, the usual case: no copy
        order = slice(None)
    offsets = ragged.offsets_from_counts(np.bincount(codes, minlength=len(ids)))
    timed, good = np.isfinite(rows.time)[order], rows.good[order]
    band = None if band is None else band[order]
    if options.band in bands and len(bands) > 1 and band is not None:  # as if no other had been read
        in_band = band == bands.index(options.band)
        order, timed, good, band = np.arange(len(codes))[order][in_band], timed[in_band], good[in_band], None
        offsets, bands = ragged.select(in_band, offsets), (options.band,)
    value = rows.value[order]
    used = timed & good & np.isfinite(value)
    read = np.diff(offsets) if keep_order else ragged.total(timed, offsets).astype(np.int64)
    curves = LightCurves.from_arrays(
        ids,
        offsets,
        rows.time[order],
        value,
        None if rows.error is None else rows.error[order],
        band,
        bands=bands,
        unit=options.unit or unit,
        time_scale=options.time_scale or time_scale,
        objects=object_columns(
            len(ids),
            source=file.path,
            n_read=read,
            n_flagged=ragged.total(timed & ~good, offsets).astype(np.int64),
            n_used=ragged.total(used, offsets).astype(np.int64),
            ra=_first_value(rows.ra, codes, len(ids)),
            dec=_first_value(rows.dec, codes, len(ids)),
            **known,
        ),
    )
    return curves if used.all() else curves.where(used)


def identify(
    file: Named, object_id: Any, name: str, n: int, object_name: str | None = None
) -> tuple[pa.Array, NDArray[np.int64]]:
    """Return the identifiers in order of appearance and the index of each row's, (n,).

    Raises
    ------
    Unreadable
        If a row has none, or there is no row.
    """
    if not n:
        raise Unreadable(file.path, "is a table without rows", "check that it is a table of observations")
    if object_id is None:
        return pa.array([object_name or file.stem], pa.string()), np.zeros(n, np.int64)
    return roles.object_codes(object_id, name, file.path)


def one_light_curve(
    file: SourceFile,
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
    return LightCurves.from_arrays(
        pa.array([object_id]),
        np.array([0, keep.sum()]),
        time[keep],
        value[keep],
        None if error is None else error[keep],
        bands=(options.band or band,),
        unit=options.unit or unit,
        time_scale=options.time_scale or time_scale,
        objects=object_columns(
            1,
            source=file.path,
            n_read=len(time),
            n_flagged=int((timed & ~good).sum()),
            n_used=int((keep & np.isfinite(value)).sum()),
            **known,
        ),
    )


def object_columns(n: int, **known: Any) -> pa.Table:
    """Return the `OBJECT_COLUMNS` of ``n`` objects; each known value is one for all, or an array (n,)."""
    columns = []
    for field in OBJECT_COLUMNS:
        value = known.pop(field.name, None)
        if value is None:
            columns.append(pa.nulls(n, field.type))
        elif isinstance(value, pa.Array | pa.ChunkedArray | np.ndarray):
            columns.append(pa.array(value, from_pandas=True).cast(field.type))
        else:
            columns.append(pa.array([value] * n, field.type) if n == 1 else pa.repeat(pa.scalar(value, field.type), n))
    assert not known, f"no per-object column {', '.join(known)}"
    return pa.Table.from_arrays(columns, schema=OBJECT_COLUMNS)


def choose_bands(curves: LightCurves, options: ReadOptions, path: str) -> LightCurves:
    """Return light curves with only the band of the options, as if no other had been read, and bands renamed."""
    if options.band and curves.bands != (options.band,):
        counts, bands = curves.n_obs, ", ".join(curves.bands)
        curves = curves.in_band(options.band)
        if "n_read" in curves.table_of_objects.column_names:
            others = pa.array(counts - curves.n_obs)
            used = ragged.total(np.isfinite(curves.value), curves.offsets).astype(np.int64)
            known = {"n_read": pc.subtract(curves.table_of_objects["n_read"], others)}
            curves = curves.with_columns(**known, n_used=pa.array(used))
        if not len(curves.time):
            logger.warning(
                "%s has no observation in band %s, only in %s: keep one of these, or --band %s=%s",
                path,
                options.band,
                bands,
                options.band,
                bands.split(", ")[0],
            )
    return curves.rename_bands(options.rename_bands)


def _first_value(values: Any, codes: NDArray[np.int64], n: int) -> Any:
    """Return each object's first value (n,) of a column (N,); what is no column stays as it is."""
    if not isinstance(values, np.ndarray):
        return values
    result = np.full(n, np.nan)
    result[codes[::-1]] = values[::-1]  # the first is written last
    return result
