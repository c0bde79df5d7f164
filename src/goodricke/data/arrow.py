"""Columns of any table as the arrays of a batch: strings in Arrow, numbers in NumPy, bands as small indices.

Joining Arrow tables that were made apart.

Columns with an array per row, as Parquet, VOTable, ECSV and CSV (there as text) hold them, as Arrow lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from goodricke.data import ragged

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
        offsets = ragged.offsets_from_counts(pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False))
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
    return ragged.offsets_from_counts(first), {name: part.flatten() for name, part in lists.items()}


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


# ---- Joining Arrow tables that were made apart -----------------------------------------------------------------------


def join(tables: Sequence[pa.Table]) -> pa.Table:
    """Join tables end to end; a column missing from one is null there, one whose types don't go together is text.

    Parameters
    ----------
    tables : sequence of pyarrow.Table
        At least one.
    """
    if any(not table.schema.equals(tables[0].schema) for table in tables):
        names = dict.fromkeys(name for table in tables for name in table.column_names)
        at_odds = [n for n in names if not _go_together([t.select([n]) for t in tables if n in t.column_names])]
        tables = [_with_text(table, at_odds) for table in tables]
    return pa.concat_tables(tables, promote_options="permissive")


def _go_together(tables: Sequence[pa.Table]) -> bool:
    try:
        pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException:
        return False
    return True


def _with_text(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return a table with some columns, where it has them, as text."""
    for name in set(names) & set(table.column_names):
        text = [None if value is None else str(value) for value in table[name].to_pylist()]
        table = table.set_column(table.column_names.index(name), name, pa.array(text, pa.string()))
    return table


# ---- Columns with an array per row, as Parquet, VOTable, ECSV and CSV (there as text) hold them, as Arrow ------------


def is_list(kind: pa.DataType) -> bool:
    """Tell whether an Arrow type is a list of any sort."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def unmasked(column: Any) -> Any:
    """Return the numbers of an astropy column or quantity, masked ones as NaN."""
    values = getattr(column, "unmasked", getattr(column, "value", column))
    values = np.ma.asarray(getattr(values, "value", values))
    if values.dtype.kind in "iuf":
        return np.ma.filled(values.astype(np.float64), np.nan) if np.ma.is_masked(values) else np.asarray(values)
    return np.asarray(values.astype(str))


def holds_arrays(column: Any) -> bool:
    """Tell whether an astropy column holds an array per row, all of one length or each of its own."""
    if getattr(column, "ndim", 1) > 1:
        return True
    return column.dtype.kind == "O" and any(isinstance(cell, np.ndarray | list) for cell in column)


def of_astropy(column: Any) -> pa.ListArray:
    """Return an astropy column of arrays as Arrow lists, masked numbers as NaN."""
    cells = [unmasked(np.ma.atleast_1d(cell if isinstance(cell, np.ndarray) else np.array(cell))) for cell in column]
    flat = np.concatenate(cells) if cells else np.zeros(0)
    return pa.LargeListArray.from_arrays(
        ragged.offsets_from_counts(np.array([len(cell) for cell in cells], np.int64)), pa.array(flat)
    )


def of_column(values: Any) -> pa.Array | None:
    """Return a column as Arrow lists, None if it holds no arrays."""
    cells = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, from_pandas=True)
    cells = cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells
    if is_list(cells.type):
        return cells
    if not (pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type)):
        return None
    cells = pc.utf8_trim_whitespace(cells.cast(pa.string()))
    if not pc.any(pc.match_substring_regex(cells, r"^[\[({]")).as_py():
        return None
    return pc.split_pattern(pc.utf8_trim(cells, "[](){} "), ",")


def parsed(cells: pa.Array) -> pa.Array:
    """Return the members of arrays in text as numbers if they are, else as the text that they are."""
    plain = pc.utf8_trim(cells, " \"'")
    missing = pc.is_in(pc.utf8_lower(plain), pa.array(["", "null", "none", "nan", "--"]))
    plain = pc.if_else(missing, pa.scalar(None, pa.string()), plain)
    try:
        return plain.cast(pa.float64())
    except pa.ArrowInvalid:
        return plain
