"""CSV, which holds nothing but values, and ECSV, the same under a head with units, UCDs and descriptions.

Both leave columns of lists (embeddings) out: numbers in a text in a cell are of no use. What is unknown is empty.
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
    plain = rows.plain(lists=False)
    with open(path, "wb") as file:
        _body(plain, file, True, lambda column: column)


def write_ecsv(rows: Rows, path: Path) -> None:
    """Write rows as ECSV, separated by commas."""
    plain = rows.plain(lists=False)
    with open(path, "wb") as file:
        file.write(_head(plain))
        _body(plain, file, False, _as_python)


def _body(rows: Rows, file: BinaryIO, names: bool, form: Callable[[pa.ChunkedArray], pa.ChunkedArray]) -> None:
    empty = pa.table({n: form(c) for n, c in zip(rows.schema.names, rows.schema.empty_table().columns, strict=True)})
    options = pa.csv.WriteOptions(include_header=names)
    with pa.csv.CSVWriter(file, empty.schema, write_options=options) as writer:
        for batch in rows.batches():
            writer.write_table(pa.table([form(column) for column in batch.columns], schema=empty.schema))


def _as_python(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return truth values as ECSV spells them."""
    return pc.if_else(column, "True", "False") if pa.types.is_boolean(column.type) else column


def _head(rows: Rows) -> bytes:
    """Return what stands above the first row, as astropy writes it."""
    text = io.StringIO()
    astropy_table(rows.schema, rows.about).write(text, format="ascii.ecsv", delimiter=",")
    return text.getvalue().encode()
