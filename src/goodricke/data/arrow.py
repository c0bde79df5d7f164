"""Arrow columns to arrays and back: text, numbers, bands as small indices, lists of points, tables joined."""

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


def as_arrow(values: Any) -> pa.Array:
    """Return a column of any library as one Arrow array, missing values as null."""
    return one_chunk(values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, from_pandas=True))


def one_chunk(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return a column as one array, without a copy if it is in one chunk already."""
    if isinstance(column, pa.Array):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def strings(values: Any) -> pa.Array:
    """Return object ids or band names as one Arrow string array; whole numbers lose a trailing ``.0``."""
    array = as_arrow(values)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_floating(array.type):
        array = array.cast(pa.int64())
    return array if array.type == pa.string() else array.cast(pa.string())


def floats(values: Any, dtype: type) -> NDArray:
    """Return numbers as a contiguous NumPy array, nulls and masked entries as NaN; no copy if the type is right.

    Raises
    ------
    ValueError
        If they are dates, or text that is no number.
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        values = one_chunk(values).to_numpy(zero_copy_only=False)
    if getattr(getattr(values, "dtype", None), "kind", "") in ("M", "m"):
        raise ValueError("dates are no numbers of days; convert them, as with astropy.time.Time(dates).mjd")
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(np.ma.asarray(values, dtype), np.nan)
    return np.ascontiguousarray(values, dtype)


def columns_by_name(table: Any) -> dict[str, Any]:
    """Return the columns of a pandas or Arrow table, or of a mapping."""
    if isinstance(table, pa.Table):
        return {name: table[name] for name in table.column_names}
    return {str(name): table[name] for name in (table.columns if hasattr(table, "columns") else table)}


def is_nested_pandas(series: Any) -> bool:
    """Tell whether a column of a frame is one of nested-pandas."""
    return hasattr(series, "nest")


def table_from_frame(frame: Any) -> pa.Table:
    """Return a frame as an Arrow table: nested columns as lists of structs, unit and time scale in the metadata."""
    columns = [frame[name] for name in frame.columns]
    arrays = [pa.array(c.array) if is_nested_pandas(c) else pa.Array.from_pandas(c) for c in columns]
    metadata = {name: str(frame.attrs[name]) for name in ("unit", "time_scale") if name in frame.attrs}
    return pa.table(arrays, names=[str(name) for name in frame.columns]).replace_schema_metadata(metadata or None)


# ---- bands --------------------------------------------------------------------------------------------------------


def band_codes(band: pa.Array | None) -> tuple[tuple[str, ...], NDArray[np.uint8] | None]:
    """Return the names of the bands and the index (N,) of each observation's."""
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


def band_index(band: ArrayLike) -> NDArray[np.uint8]:
    """Return band indices in 8 bits.

    Raises
    ------
    ValueError
        If one doesn't fit: NumPy would wrap it around.
    """
    band = np.asarray(band)
    if band.size and (band.min() < 0 or band.max() >= MOST_BANDS):
        raise ValueError(f"band indices must be from 0 to {MOST_BANDS - 1}, not {band.min()} to {band.max()}")
    return np.ascontiguousarray(band, np.uint8)


# ---- lists --------------------------------------------------------------------------------------------------------


def is_list(kind: pa.DataType) -> bool:
    """Tell whether an Arrow type is a list of any sort."""
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def list_lengths(lists: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    """Return the length of each list (n,), 0 for a null one."""
    return pc.list_value_length(one_chunk(lists)).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)


def first_uneven(lists: Sequence[pa.Array | pa.ChunkedArray]) -> tuple[int, int] | None:
    """Return the first column whose lists differ in length from the first column's, and the first such row."""
    counts = list_lengths(lists[0])
    for column, array in enumerate(lists[1:], 1):
        different = np.flatnonzero(list_lengths(array) != counts)
        if len(different):
            return column, int(different[0])
    return None


def inner_fields(kind: pa.DataType) -> list[pa.Field]:
    """Return the fields of a ``struct<list>`` or ``list<struct>`` type, none for any other."""
    if pa.types.is_struct(kind) and kind.num_fields and all(is_list(f.type) for f in kind):
        return list(kind)
    if is_list(kind) and pa.types.is_struct(kind.value_type):
        return list(kind.value_type)
    return []


def inner_lists(column: pa.Array | pa.ChunkedArray) -> dict[str, pa.Array]:
    """Return the fields of a ``struct<list>`` or ``list<struct>`` column as list arrays (n,).

    Raises
    ------
    ValueError
        If the column is neither.
    """
    array = one_chunk(column)
    names = [field.name for field in inner_fields(array.type)]
    if not names:
        raise ValueError(f"the nested column must hold structs of lists or lists of structs, not {array.type}")
    if pa.types.is_struct(array.type):
        return dict(zip(names, array.flatten(), strict=True))
    offsets = pa.array(ragged.offsets_from_counts(list_lengths(array)))
    fields = zip(names, array.flatten().flatten(), strict=True)
    return {name: pa.LargeListArray.from_arrays(offsets, field) for name, field in fields}


def unnest(column: pa.Array | pa.ChunkedArray) -> tuple[NDArray[np.int64], dict[str, pa.Array]]:
    """Return offsets (n + 1,) and the flat fields (N,) of a ``struct<list>`` or ``list<struct>`` column.

    Raises
    ------
    ValueError
        If the column is neither, or the lists of one row differ in length.
    """
    lists = inner_lists(column)
    if uneven := first_uneven(list(lists.values())):
        raise ValueError(f"field {list(lists)[uneven[0]]!r} differs in length from the others in the same row")
    counts = list_lengths(next(iter(lists.values())))
    return ragged.offsets_from_counts(counts), {name: array.flatten() for name, array in lists.items()}


def fill_masked(column: Any) -> Any:
    """Return the numbers of an astropy column or quantity, masked ones as NaN."""
    values = getattr(column, "unmasked", getattr(column, "value", column))
    values = np.ma.asarray(getattr(values, "value", values))
    if values.dtype.kind in "iuf":
        return np.ma.filled(values.astype(np.float64), np.nan) if np.ma.is_masked(values) else np.asarray(values)
    return np.asarray(values.astype(str))


def holds_arrays(column: Any) -> bool:
    """Tell whether an astropy column holds an array per row, all of one length or of different lengths."""
    if getattr(column, "ndim", 1) > 1:
        return True
    return column.dtype.kind == "O" and any(isinstance(cell, np.ndarray | list) for cell in column)


def lists_from_astropy(column: Any) -> pa.ListArray:
    """Return an astropy column of arrays as Arrow lists, masked numbers as NaN."""
    cells = [fill_masked(np.ma.atleast_1d(cell if isinstance(cell, np.ndarray) else np.array(cell))) for cell in column]
    flat = np.concatenate(cells) if cells else np.zeros(0)
    offsets = ragged.offsets_from_counts(np.array([len(cell) for cell in cells], np.int64))
    return pa.LargeListArray.from_arrays(offsets, pa.array(flat))


def lists_from_column(values: Any) -> pa.Array | None:
    """Return a column of lists, or of arrays in text such as ``"[1, 2]"``, as Arrow lists; None if it holds none."""
    cells = as_arrow(values)
    if is_list(cells.type):
        return cells
    if not (pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type)):
        return None
    cells = pc.utf8_trim_whitespace(cells.cast(pa.string()))
    if not pc.any(pc.match_substring_regex(cells, r"^[\[({]")).as_py():
        return None
    return pc.split_pattern(pc.utf8_trim(cells, "[](){} "), ",")


def numbers_from_text(cells: pa.Array) -> pa.Array:
    """Return the members of arrays in text as numbers, as text where one of them is no number."""
    plain = pc.utf8_trim(cells, " \"'")
    missing = pc.is_in(pc.utf8_lower(plain), pa.array(["", "null", "none", "nan", "--"]))
    plain = pc.if_else(missing, pa.scalar(None, pa.string()), plain)
    try:
        return plain.cast(pa.float64())
    except pa.ArrowInvalid:
        return plain


# ---- tables -------------------------------------------------------------------------------------------------------


def join_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """Join one or more tables end to end; a missing column is null, one of conflicting types becomes text."""
    if any(not table.schema.equals(tables[0].schema) for table in tables):
        names = dict.fromkeys(name for table in tables for name in table.column_names)
        conflicting = [n for n in names if not _agree([t.select([n]) for t in tables if n in t.column_names])]
        tables = [_with_text(table, conflicting) for table in tables]
    return pa.concat_tables(tables, promote_options="permissive")


def _agree(tables: Sequence[pa.Table]) -> bool:
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
