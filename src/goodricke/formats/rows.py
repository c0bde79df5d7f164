"""`Rows`: a table that may be larger than the memory, what is said of it, and columns as every format can hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

BATCH = 16_384
BETWEEN = "|"


@dataclass(frozen=True)
class Rows:
    """A table to be gone through more than once, batch by batch, each time the same.

    Parameters
    ----------
    schema : pyarrow.Schema
    count : int
        Rows.
    batches : callable
        Gives the rows from the beginning, as tables of that schema.
    about : dict of str
        What is said of the whole: model, its hash, version of the package, configuration, ...
    """

    schema: pa.Schema
    count: int
    batches: Callable[[], Iterator[pa.Table]]
    about: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, table: pa.Table, about: Mapping[str, str]) -> Rows:
        """Return the rows of a table in memory."""
        starts = range(0, table.num_rows, BATCH)
        return cls(table.schema, table.num_rows, lambda: (table.slice(start, BATCH) for start in starts), about)

    def table(self) -> pa.Table:
        """Return all rows in memory."""
        return pa.concat_tables([self.schema.empty_table(), *self.batches()])

    def plain(self, lists: bool = True) -> Rows:
        """Return numbers, truth values, text and, if wanted, lists of numbers of one length; the rest is left out.

        Raises
        ------
        ValueError
            While going through the rows, if a number is too large.
        """
        kinds = {f.name: plain_type(f.type) for f in self.schema}
        kept = [f for f in self.schema if (k := kinds[f.name]) and (lists or not pa.types.is_nested(k))]
        schema = pa.schema([f.with_type(kinds[f.name]) for f in kept])

        def batches() -> Iterator[pa.Table]:
            for batch in self.batches():
                yield pa.table([_cast(batch[f.name], f) for f in schema], schema=schema)

        return Rows(schema, self.count, batches, self.about)


def plain_type(kind: pa.DataType) -> pa.DataType | None:
    """Return the type that astronomers' formats have for an Arrow type, None if they have none.

    They know no unsigned integers of more than 8 bits: the next wider signed one holds those. Lists of names are one
    text, with `BETWEEN` between them.
    """
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_fixed_size_list(kind):
        floating = pa.types.is_floating(kind.value_type)
        return pa.list_(plain_type(kind.value_type), kind.list_size) if floating else None
    if pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
        return pa.string()
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return None
    if pa.types.is_unsigned_integer(kind):
        return {8: pa.uint8(), 16: pa.int32()}.get(kind.bit_width, pa.int64())
    if pa.types.is_floating(kind):
        return pa.float64() if kind.bit_width == 64 else pa.float32()
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return pa.int16() if pa.types.is_int8(kind) else kind
    return pa.float64() if pa.types.is_decimal(kind) else pa.string()


def _cast(column: pa.ChunkedArray, wanted: pa.Field) -> pa.Array:
    whole = column.combine_chunks()
    if whole.type.equals(wanted.type):
        return whole
    try:
        if pa.types.is_fixed_size_list(whole.type):
            return lists(floats(whole, whole.type.list_size).astype(np.float32), whole.is_null())
        if pa.types.is_list(whole.type):
            return pc.binary_join(whole, BETWEEN)
        return (whole.dictionary_decode() if pa.types.is_dictionary(whole.type) else whole).cast(wanted.type)
    except pa.ArrowInvalid as error:
        raise ValueError(
            f"column {wanted.name} can't be written ({error}): use .parquet or .csv, or leave it out"
        ) from error


def floats(column: pa.Array, width: int) -> np.ndarray:
    """Return lists of one length as an array (n, width), NaN where there is none."""
    data = np.full((len(column), width), np.nan, np.float64 if column.type.value_type.bit_width == 64 else np.float32)
    valid = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    data[valid] = column.drop_null().flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
    return data


def lists(data: np.ndarray, null: pa.Array | None = None) -> pa.FixedSizeListArray:
    """Return the rows of an array (n, width) as Arrow lists."""
    flat = pa.array(np.ascontiguousarray(data).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, data.shape[1], mask=null)


class Limits(NamedTuple):
    """What must be known of a column before its first row is written."""

    width: int = 0  # of text: the longest, in bytes
    ascii: bool = True  # whether text is
    nulls: bool = False
    low: int | None = None  # of integers: the least


def look_through(rows: Rows) -> dict[str, Limits]:
    """Go through the rows once and return the limits of the columns with text and integers."""
    found: dict[str, Limits] = {}
    for batch in rows.batches():
        for f in rows.schema:
            if pa.types.is_string(f.type) or pa.types.is_integer(f.type):
                found[f.name] = _wider(found.get(f.name, Limits()), batch[f.name])
    return found


def _wider(known: Limits, column: pa.ChunkedArray) -> Limits:
    nulls = known.nulls or column.null_count > 0
    if pa.types.is_integer(column.type):
        low = pc.min(column).as_py()
        lows = [x for x in (known.low, low) if x is not None]
        return Limits(nulls=nulls, low=min(lows) if lows else None)
    width = max(known.width, pc.max(pc.binary_length(column)).as_py() or 0)
    ascii_only = known.ascii and bool(pc.all(pc.string_is_ascii(column)).as_py() in (True, None))
    return Limits(width, ascii_only, nulls)
