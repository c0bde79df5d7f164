"""Columns with an array per row, as Parquet, VOTable, ECSV and CSV (there as text) hold them, as Arrow lists."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from goodricke import ragged


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
        ragged.offsets_of(np.array([len(cell) for cell in cells], np.int64)), pa.array(flat)
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
