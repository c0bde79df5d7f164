"""CSV, values alone, and ECSV, the same with units, UCDs and descriptions above the first row.

Short lists (other periods) are text: with `BETWEEN` between the numbers of a CSV's, in ECSV as JSON. Longer ones
(embeddings) are left out: in a cell they are of no use. Unknown values are empty.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from goodricke.data.formats.metadata import BETWEEN, Rows, astropy_table
from goodricke.data.json import json_values

SHORT = 3  # numbers of a list that is text in a cell


def write_csv(rows: Rows, path: Path) -> None:
    """Write rows as CSV with a line of names."""
    plain = rows.portable(longest=SHORT)
    with open(path, "wb") as file:
        _write_body(plain, file, True, _joined_lists)


def write_ecsv(rows: Rows, path: Path) -> None:
    """Write rows as ECSV, separated by commas."""
    plain = rows.portable(longest=SHORT)
    with open(path, "wb") as file:
        file.write(_head(plain))
        _write_body(plain, file, False, lambda column: _json_lists(_spell_booleans(column)))


def _write_body(rows: Rows, file: BinaryIO, names: bool, convert: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> None:
    empty = pa.table({n: convert(c) for n, c in zip(rows.schema.names, rows.schema.empty_table().columns, strict=True)})
    options = pa.csv.WriteOptions(include_header=names)
    with pa.csv.CSVWriter(file, empty.schema, write_options=options) as writer:
        for batch in rows.batches():
            writer.write_table(pa.table([convert(column) for column in batch.columns], schema=empty.schema))


def _spell_booleans(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return truth values as ECSV spells them."""
    return pc.if_else(column, "True", "False") if pa.types.is_boolean(column.type) else column


def _joined_lists(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return short lists as texts with `BETWEEN` between the numbers that there are."""
    return _list_texts(column, lambda numbers: BETWEEN.join(repr(x) for x in numbers if x is not None and x == x))


def _json_lists(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return short lists as JSON, null for NaN."""
    return _list_texts(column, lambda numbers: json.dumps(json_values(numbers), separators=(",", ":")))


def _list_texts(column: pa.ChunkedArray, text: Callable[[list[float | None]], str]) -> pa.ChunkedArray:
    if not pa.types.is_fixed_size_list(column.type):
        return column
    texts = [None if numbers is None else text(numbers) for numbers in column.to_pylist()]
    return pa.chunked_array([texts], pa.string())


def _head(rows: Rows) -> bytes:
    """Return the text above the first row, as astropy writes it."""
    text = io.StringIO()
    astropy_table(rows.schema, rows.about).write(text, format="ascii.ecsv", delimiter=",")
    return text.getvalue().encode()
