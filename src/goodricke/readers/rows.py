"""Surveys' tables with one row per observation: columns by name, and from rows to light curves.

For readers of products whose columns are known. A table of any columns is for `table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke import ragged
from goodricke.lightcurves import LightCurves
from goodricke.readers import building, columns, tabular
from goodricke.readers.opened import Opened
from goodricke.readers.options import ReadOptions, Unreadable
from goodricke.readers.table import bands_of, identifiers, numbers

Mask = NDArray[np.bool_]
TRUE = ("true", "t", "1", "yes")


def load(file: Opened, *wanted: str) -> dict[str, Any]:
    """Return columns of a table by the names given, whatever their case; those that it lacks are missing."""
    source = tabular.open_table(file)
    known = columns.by_normal_name([*source.names, *source.lists])
    names = {name: known[columns.normal(name)] for name in wanted if columns.normal(name) in known}
    data = source.load(list(names.values()))
    file.noted = list(names.values())
    return {name: data[own] for name, own in names.items()}


def flags(values: Any) -> Mask:
    """Return a column of yes and no as a mask (N,): booleans, their names in any case, or numbers above 0."""
    array = pa.array(values, from_pandas=True) if not isinstance(values, pa.Array | pa.ChunkedArray) else values
    if pa.types.is_boolean(array.type):
        return array.fill_null(False).to_numpy(zero_copy_only=False).astype(bool)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        lower = pc.utf8_lower(pc.utf8_trim_whitespace(array))
        return pc.is_in(lower, pa.array(TRUE, array.type)).to_numpy(zero_copy_only=False).astype(bool)
    return np.nan_to_num(pd.to_numeric(np.asarray(array.to_numpy(zero_copy_only=False)), errors="coerce")) > 0


def firsts(*keys: NDArray, best: NDArray[np.floating] | None = None) -> Mask:
    """Mark the rows (N,) that are the first with their combination of keys (N,), or the one with most of ``best``."""
    order = np.lexsort(keys if best is None else (-best, *keys))  # stable: of equal rows the first comes first
    new = np.ones(len(order), bool)
    new[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    result = np.zeros(len(order), bool)
    result[order] = new
    return result


@dataclass(frozen=True)
class Rows:
    """Observations of many objects, in any order.

    Parameters
    ----------
    object_id : array-like (N,)
        Whole numbers or text; None if all are of one object, which is then called after the file.
    time : float64 (N,)
        Days; NaN for a row that is no observation (an upper limit, a repetition): it counts nowhere.
    value, error : floating (N,)
    band : array-like (N,)
        Names or numbers, as the column ``band_name`` has them.
    good : bool (N,)
        False where the quality cut leaves the observation out.
    ra, dec : float64 (N,), optional
        Degrees; that of the first observation is the object's.
    """

    object_id: Any
    time: NDArray[np.float64]
    value: NDArray[np.floating]
    error: NDArray[np.floating]
    band: Any
    band_name: str
    good: Mask
    ra: NDArray[np.float64] | None = None
    dec: NDArray[np.float64] | None = None


def codes_of(object_id: Any, name: str, n: int, file: Opened) -> tuple[pa.Array, NDArray[np.int64]]:
    """Return the identifiers (n,) in order of appearance and the index of each row's, (N,).

    Raises
    ------
    Unreadable
        If a row has none, or there is no row.
    """
    if not n:
        raise Unreadable(file.path, "is a table without rows", "leave the file out")
    if object_id is None:
        return pa.array([file.stem], pa.string()), np.zeros(n, np.int64)
    ids = identifiers(object_id, name)
    if ids.null_count:
        mend = "fill the column, or leave these rows out"
        raise Unreadable(file.path, f"has {ids.null_count} rows without {name}", mend)
    encoded = ids.dictionary_encode()
    return encoded.dictionary, encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def light_curves(
    file: Opened, options: ReadOptions, rows: Rows, *, unit: str, time_scale: str, **known: Any
) -> LightCurves:
    """Return the light curves of a table's rows, each in order of time; rows without a time go, flagged ones too.

    Parameters
    ----------
    unit, time_scale : str
        Of `rows`, unless the options say otherwise.
    **known
        Columns of `building.ABOUT` that are the same for all objects.

    Raises
    ------
    Unreadable
        As `codes_of`, and if there are more than 256 bands.
    """
    ids, codes = codes_of(rows.object_id, "object_id", len(rows.time), file)
    bands, band = bands_of(rows.band, rows.band_name, options, file.path)
    order = np.lexsort((rows.time, codes))
    offsets = ragged.offsets_of(np.bincount(codes, minlength=len(ids)))
    timed, good = np.isfinite(rows.time)[order], rows.good[order]
    positions = {name: _of_objects(values, codes, len(ids)) for name, values in (("ra", rows.ra), ("dec", rows.dec))}
    curves = LightCurves.from_arrays(
        ids,
        offsets,
        rows.time[order],
        rows.value[order],
        rows.error[order],
        None if band is None else band[order],
        bands=bands,
        unit=options.unit or unit,
        time_scale=options.time_scale or time_scale,
        objects=building.about(
            len(ids),
            source=file.path,
            n_read=ragged.total(timed, offsets).astype(np.int64),
            n_flagged=ragged.total(timed & ~good, offsets).astype(np.int64),
            **positions | known,
        ),
    )
    return curves if (timed & good).all() else curves.where(timed & good)


def _of_objects(values: NDArray[np.float64] | None, codes: NDArray[np.int64], n: int) -> NDArray[np.float64] | None:
    """Return each object's first value (n,) of a column (N,)."""
    if values is None:
        return None
    result = np.full(n, np.nan)
    result[codes[::-1]] = values[::-1]  # the first is written last
    return result


def number(data: Mapping[str, Any], name: str, path: str) -> NDArray[np.float64]:
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
