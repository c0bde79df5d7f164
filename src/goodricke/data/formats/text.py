"""CSV, values alone, and ECSV, the same with units, UCDs and descriptions above the first row.

Columns of lists (embeddings) are left out: a list as text in a cell is of no use. Unknown values are empty.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from goodricke.data.formats.metadata import Rows, astropy_table


def write_csv(rows: Rows, path: Path) -> None:
    """Write rows as CSV with a line of names."""
    plain = rows.portable(lists=False)
    with open(path, "wb") as file:
        _write_body(plain, file, True, lambda column: column)


def write_ecsv(rows: Rows, path: Path) -> None:
    """Write rows as ECSV, separated by commas."""
    plain = rows.portable(lists=False)
    with open(path, "wb") as file:
        file.write(_head(plain))
        _write_body(plain, file, False, _spell_booleans)


def _write_body(rows: Rows, file: BinaryIO, names: bool, convert: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> None:
    empty = pa.table({n: convert(c) for n, c in zip(rows.schema.names, rows.schema.empty_table().columns, strict=True)})
    options = pa.csv.WriteOptions(include_header=names)
    with pa.csv.CSVWriter(file, empty.schema, write_options=options) as writer:
        for batch in rows.batches():
            writer.write_table(pa.table([convert(column) for column in batch.columns], schema=empty.schema))


def _spell_booleans(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return truth values as ECSV spells them."""
    return pc.if_else(column, "True", "False") if pa.types.is_boolean(column.type) else column


def _head(rows: Rows) -> bytes:
    """Return the text above the first row, as astropy writes it."""
    text = io.StringIO()
    astropy_table(rows.schema, rows.about).write(text, format="ascii.ecsv", delimiter=",")
    return text.getvalue().encode()
