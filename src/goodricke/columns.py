"""Columns of any table as the arrays of a batch: strings in Arrow, numbers in NumPy, bands as small indices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from goodricke import ragged

NO_BAND = "none"  # the band of light curves whose source names none
MOST_BANDS = 256  # that an 8-bit index can tell apart


def whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return a column as one array, without a copy if it is in one piece already."""
    if isinstance(column, pa.Array):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def strings(values: Any) -> pa.Array:
    """Return object ids or band names as one Arrow string array; whole numbers lose a trailing ``.0``."""
    array = whole(values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, from_pandas=True))
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_floating(array.type):
        array = array.cast(pa.int64())
    return array if array.type == pa.string() else array.cast(pa.string())


def floats(values: Any, dtype: type) -> NDArray:
    """Return numbers as a contiguous NumPy array, nulls and masked entries as NaN; no copy if the type is right."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        values = whole(values).to_numpy(zero_copy_only=False)
    if getattr(getattr(values, "dtype", None), "kind", "") in ("M", "m"):
        raise ValueError("dates are no numbers of days; convert them, as with astropy.time.Time(dates).mjd")
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(np.ma.asarray(values, dtype), np.nan)
    return np.ascontiguousarray(values, dtype)


def columns_of(table: Any) -> dict[str, Any]:
    """Return the columns of a pandas or Arrow table, or of a mapping, by name."""
    if isinstance(table, pa.Table):
        return {name: table[name] for name in table.column_names}
    return {str(name): table[name] for name in (table.columns if hasattr(table, "columns") else table)}


def unnest(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], dict[str, pa.Array]]:
    """Return offsets (n + 1,) and the flat fields of a ``struct<list>`` or ``list<struct>`` column."""
    array = whole(column)
    if pa.types.is_struct(array.type):
        lists = dict(zip([f.name for f in array.type], array.flatten(), strict=True))
    elif pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        flat = array.flatten()
        offsets = ragged.offsets_of(pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False))
        if not pa.types.is_struct(flat.type):
            raise ValueError(f"the nested column must hold structs of lists or lists of structs, not {array.type}")
        return offsets, dict(zip([f.name for f in flat.type], flat.flatten(), strict=True))
    else:
        raise ValueError(f"the nested column must hold structs of lists or lists of structs, not {array.type}")
    counts = {name: pc.list_value_length(part).fill_null(0) for name, part in lists.items()}
    first = next(iter(counts.values())).to_numpy(zero_copy_only=False)
    for name, count in counts.items():
        if not np.array_equal(first, count.to_numpy(zero_copy_only=False)):
            raise ValueError(f"field {name!r} differs in length from the others in the same row")
    return ragged.offsets_of(first), {name: part.flatten() for name, part in lists.items()}


def band_codes(band: pa.Array | None) -> tuple[tuple[str, ...], NDArray[np.uint8] | None]:
    """Return the names of the bands and the index of each observation's."""
    if band is None:
        return (NO_BAND,), None
    if not pa.types.is_dictionary(band.type) or band.null_count or band.dictionary.null_count:
        band = strings(band).fill_null(NO_BAND).dictionary_encode()
    names = tuple(map(str, band.dictionary.to_pylist())) or (NO_BAND,)
    check_bands(names)
    return names, np.ascontiguousarray(band.indices.to_numpy(zero_copy_only=False), np.uint8)


def check_bands(names: tuple[str, ...]) -> None:
    """Raise ValueError if there are more bands than an index tells apart."""
    if len(names) > MOST_BANDS:
        raise ValueError(f"{len(names)} different bands; at most {MOST_BANDS} are kept")


def small(band: ArrayLike) -> NDArray[np.uint8]:
    """Return band indices in 8 bits, refusing those that don't fit rather than wrapping them around."""
    band = np.asarray(band)
    if band.size and (band.min() < 0 or band.max() >= MOST_BANDS):
        raise ValueError(f"band indices must be from 0 to {MOST_BANDS - 1}, not {band.min()} to {band.max()}")
    return np.ascontiguousarray(band, np.uint8)
