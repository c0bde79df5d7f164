"""A catalog's rows in DuckDB: copied once from Parquet to a file in the user's cache, which later starts reopen.

A page of a table that is sorted by any column needs that column of all rows, and all columns of a hundred rows. Parquet
gives the first quickly, but not the second: its row groups are unpacked as a whole. The copy leaves embeddings out.

In SQL the columns are called ``c0``, ``c1``, ...: no name from a file or a browser becomes part of SQL.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from goodricke.data.files import atomic_path
from goodricke.data.formats import describe
from goodricke.data.formats.metadata import portable_type
from goodricke.data.formats.text import SHORT
from goodricke.data.predictions import NODE
from goodricke.service.server import check_libraries
from goodricke.survey.shards import Catalog
from goodricke.survey.similar import CACHE, identity

log = logging.getLogger("goodricke")

FORMAT = 1  # of the copy
BATCH = 65_536  # rows
MAX_SHOWN_CLASSES = 8  # up to which the page shows all probabilities at first
RENAMED = {"label": "catalog_label", "comment": "catalog_comment", "row": "catalog_row"}  # names that the page uses
HIDDEN = (
    *("model", "model_hash", "source", "mission", "product", "aleatoric_entropy", "n_read", "n_flagged", "n_used"),
    *("camera", "period_alternatives", "period_alternative_probabilities"),
)
SAFE_SETTINGS = (  # later queries can't reach any file
    "SET enable_external_access = false",
    "SET python_enable_replacements = false",
    "SET lock_configuration = true",
)

Kind = Literal["text", "number", "boolean", "list"]
Progress = Callable[[int], object]


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Parameters
    ----------
    name : str
        On the page.
    key : str
        In SQL.
    kind : {"text", "number", "boolean", "list"}
    is_integer : bool
        Whether its numbers are integers.
    hidden : bool
        Whether the page leaves it out until the user chooses it.
    empty : bool
        Whether no row has a value.
    about : str
        Meaning and unit.
    unit : str
        Of its numbers.
    """

    name: str
    key: str
    kind: Kind
    is_integer: bool = False
    hidden: bool = False
    empty: bool = False
    about: str = ""
    unit: str = ""


class RowStore:
    """Rows of a catalog, for queries by many threads.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
    rows : str
        Name of the SQL table, whose columns are ``row`` and the columns' keys.
    columns : list of Column
    count : int
        Number of rows.
    """

    def __init__(self, connection: Any, rows: str, columns: Sequence[Column], count: int) -> None:
        self._connection, self.rows, self.columns, self.count = connection, rows, list(columns), count
        self._tables_lock = threading.Lock()  # held while a table is made or dropped

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Run a query in a connection of its own; return the result to fetch from.

        Raises
        ------
        ValueError
            If a value is none that the query can use, such as a wrong regular expression.
        """
        with _refusals():
            return self._connection.cursor().execute(sql, list(parameters))

    def read_arrow(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Run a query as `execute` does; return the result as an Arrow table."""
        with _refusals():
            return self._connection.cursor().sql(sql, params=list(parameters)).to_arrow_table()

    def create_table(self, name: str, table: pa.Table) -> None:
        """Make a small table next to the rows; it replaces one of that name."""
        with self._tables_lock:
            cursor = self._connection.cursor()
            cursor.register("incoming", table)
            cursor.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM incoming")
            cursor.unregister("incoming")

    def drop_table(self, name: str) -> None:
        """Drop such a table."""
        with self._tables_lock:
            self._connection.cursor().execute(f"DROP TABLE IF EXISTS {name}")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what DuckDB refuses for its value, such as a wrong regular expression, into a ValueError."""
    import duckdb

    try:
        yield
    except (duckdb.InvalidInputException, duckdb.OutOfRangeException) as error:
        raise ValueError(str(error).partition("\n")[0]) from None


def open_row_store(catalog: Catalog, extra: pa.Table | None = None, progress: Progress = lambda rows: None) -> RowStore:
    """Open the copy of a catalog; make it first if there is none, or if the catalog has changed.

    Parameters
    ----------
    catalog : Catalog
    extra : pyarrow.Table (n rows), optional
        Further columns of each row; the schema's metadata name their file.
    progress : callable
        Called with the number of rows after each batch that is copied.

    Raises
    ------
    ImportError
        If DuckDB isn't installed.
    """
    check_libraries("duckdb")
    import duckdb

    schema, columns = table_columns(_merged_schema(catalog.schema, extra))
    path, source = cache_path(catalog.path), _source_hash(catalog, extra)
    connection, rows = duckdb.connect(":memory:"), "stored.rows"
    if not _attach(connection, path, source):
        try:
            _write_copy(path, catalog, schema, extra, source, progress)
            is_attached = _attach(connection, path, source)
        except (OSError, duckdb.Error) as error:
            log.warning("%s: can't be written (%s): every start reads the catalog again", path, error)
            is_attached = False
        if not is_attached:
            rows = "rows"
            _fill_table(connection, rows, catalog, schema, extra, progress)
    for setting in SAFE_SETTINGS:
        connection.execute(setting)
    return RowStore(connection, rows, _hide_empty(connection, rows, columns), len(catalog))


def cache_path(catalog: Path, name: str = "rows.duckdb") -> Path:
    """Return the path of a file in the user's cache that is made from a catalog."""
    root = Path(os.environ.get(CACHE) or Path.home() / ".cache")
    return root / "goodricke" / f"explore-{hashlib.sha256(str(catalog.resolve()).encode()).hexdigest()[:16]}" / name


# ---- columns --------------------------------------------------------------------------------------------------------


def table_columns(schema: pa.Schema) -> tuple[pa.Schema, list[Column]]:
    """Return the fields to copy, with their types in the copy, and the table's columns."""
    fields = [f.with_type(kind) for f in schema if (kind := _copied_type(f.type)) is not None]
    many_classes = sum(f.name.startswith("p_") for f in fields) > MAX_SHOWN_CLASSES
    columns = list[Column]()
    for i, f in enumerate(fields):
        meaning = describe(f)
        about = f"{meaning.description} [{meaning.unit}]" if meaning.unit else meaning.description
        hidden = f.name in HIDDEN or f.name.startswith(("std_", NODE))
        hidden |= many_classes and f.name.startswith("p_") and f.name != "p_max"
        is_integer = pa.types.is_integer(f.type)
        name, unit = RENAMED.get(f.name, f.name), meaning.unit or ""
        columns.append(Column(name, f"c{i}", _kind(f.type), is_integer, hidden, False, about, unit))
    return pa.schema(fields), columns


def _copied_type(kind: pa.DataType) -> pa.DataType | None:
    """Return a column's type in the copy, None if it is left out: embeddings, light curves, bytes."""
    if pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
        return kind
    if pa.types.is_fixed_size_list(kind) and kind.list_size <= SHORT:  # other periods
        return pa.list_(pa.float64())
    return None if pa.types.is_nested(kind) else portable_type(kind)


def _kind(kind: pa.DataType) -> Kind:
    if pa.types.is_list(kind):
        return "list"
    if pa.types.is_boolean(kind):
        return "boolean"
    return "text" if pa.types.is_string(kind) else "number"


def _merged_schema(own: pa.Schema, extra: pa.Table | None) -> pa.Schema:
    """Return the schema of a catalog with extra columns; columns of both stay in their place."""
    if extra is None:
        return own
    fields = [extra.schema.field(f.name) if f.name in extra.column_names else f for f in own]
    return pa.schema([*fields, *(f for f in extra.schema if f.name not in own.names)])


def _hide_empty(connection: Any, rows: str, columns: Sequence[Column]) -> list[Column]:
    """Hide the columns without any value."""
    if not columns:
        return []
    counts = connection.execute(f"SELECT {', '.join(f'count({c.key})' for c in columns)} FROM {rows}").fetchone()
    assert counts is not None
    return [c if n else replace(c, hidden=True, empty=True) for c, n in zip(columns, counts, strict=True)]


# ---- the copy -------------------------------------------------------------------------------------------------------


def _source_hash(catalog: Catalog, extra: pa.Table | None) -> str:
    """Return a hash of the files that the copy is made from."""
    parts = [FORMAT, identity(catalog), None if extra is None else str(extra.schema.metadata)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _attach(connection: Any, path: Path, source: str) -> bool:
    """Attach the copy in a file if it has this source; other explorers may have it open too."""
    import duckdb

    if not path.exists():
        return False
    with suppress(duckdb.Error):
        literal = str(path).replace("'", "''")  # ATTACH takes no parameter
        connection.execute(f"ATTACH '{literal}' AS stored (READ_ONLY)")
        with suppress(duckdb.Error):
            if connection.execute("SELECT source FROM stored.about").fetchall() == [(source,)]:
                return True
        connection.execute("DETACH stored")
    return False


def _write_copy(
    path: Path, catalog: Catalog, schema: pa.Schema, extra: pa.Table | None, source: str, progress: Progress
) -> None:
    """Write the copy to a file, completely or not at all."""
    import duckdb

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as partial:
        partial.unlink(missing_ok=True)
        try:
            with duckdb.connect(str(partial)) as connection:
                _fill_table(connection, "rows", catalog, schema, extra, progress)
                connection.execute("CREATE TABLE about AS SELECT ? AS source", [source])
        finally:
            partial.with_name(f"{partial.name}.wal").unlink(missing_ok=True)


def _fill_table(
    connection: Any, name: str, catalog: Catalog, schema: pa.Schema, extra: pa.Table | None, progress: Progress
) -> None:
    fields = [pa.field("row", pa.int64()), *(pa.field(f"c{i}", f.type) for i, f in enumerate(schema))]
    batches = _row_batches(catalog, schema, extra, pa.schema(fields), progress)
    connection.register("incoming", pa.RecordBatchReader.from_batches(pa.schema(fields), batches))
    connection.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
    connection.unregister("incoming")


def _row_batches(
    catalog: Catalog, schema: pa.Schema, extra: pa.Table | None, copied: pa.Schema, progress: Progress
) -> Iterator[pa.RecordBatch]:
    """Give the rows in the order of the files, NaN as null, under the columns' keys."""
    own, first = [f.name for f in schema if f.name in catalog.schema.names], 0
    for batch in catalog.dataset.to_batches(columns=own, batch_size=BATCH):
        n = len(batch)
        columns = {name: batch[name] for name in own}
        if extra is not None:
            _add_extra(columns, extra.slice(first, n), schema)
        arrays = [_nan_as_null(pc.cast(columns[f.name], f.type)) for f in schema]
        yield pa.record_batch([pa.array(np.arange(first, first + n)), *arrays], schema=copied)
        first += n
        progress(n)


def _add_extra(columns: dict[str, pa.Array], extra: pa.Table, schema: pa.Schema) -> None:
    """Add extra columns to those of some rows; a column of both fills in the missing values."""
    for name in extra.column_names:
        column = pc.cast(extra[name].combine_chunks(), schema.field(name).type)
        if name in columns:
            column = pc.coalesce(_nan_as_null(pc.cast(columns[name], column.type)), column)
        columns[name] = column


def _nan_as_null(column: pa.Array) -> pa.Array:
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.fill_null(pc.is_nan(column), False), pa.scalar(None, column.type), column)
