"""A catalog's rows in DuckDB: copied once from Parquet to a file in the user's cache, which later starts open at once.

A page of a table that is sorted by any column needs that column of all rows and all columns of a hundred rows. Parquet
gives the first quickly, and not the second: its row groups are unpacked whole. The copy has no embeddings.

Columns are called ``c0``, ``c1``, ... there: no name that stands in a file, or comes from a browser, is part of SQL.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from goodricke.data.formats import describe
from goodricke.data.formats.metadata import plain_type
from goodricke.survey.shards import Catalog
from goodricke.survey.similar import CACHE, identity

log = logging.getLogger("goodricke")

EXTRA = "pip install 'goodricke[explore]'"
FORMAT = 1  # of the copy
BATCH = 65_536
FEW_CLASSES = 8  # up to which all probabilities are shown from the beginning
OWN = {"label": "catalog_label", "comment": "catalog_comment", "row": "catalog_row"}  # what the page's own are not
SELDOM = ("model", "model_hash", "source", "mission", "product", "aleatoric_entropy", "n_read", "n_flagged", "camera")

CLOSED = (  # what is asked from now on reaches no file, whatever it is
    "SET enable_external_access = false",
    "SET python_enable_replacements = false",
    "SET lock_configuration = true",
)

Kind = Literal["text", "number", "boolean", "list"]


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Parameters
    ----------
    name : str
        As the page shows it.
    key : str
        In SQL.
    kind : {"text", "number", "boolean", "list"}
    whole : bool
        Whether its numbers are integers.
    hidden : bool
        Whether the page leaves it out until it is asked for.
    empty : bool
        Whether no row has a value.
    about : str
        What it means, and its unit.
    """

    name: str
    key: str
    kind: Kind
    whole: bool = False
    hidden: bool = False
    empty: bool = False
    about: str = ""


def columns_of(schema: pa.Schema) -> tuple[pa.Schema, list[Column]]:
    """Return the fields that are copied, as they are copied, and what the table's columns are."""
    kept = [f.with_type(kind) for f in schema if (kind := _kept(f.type)) is not None]
    many = sum(f.name.startswith("p_") for f in kept) > FEW_CLASSES
    found = list[Column]()
    for i, f in enumerate(kept):
        meaning = describe(f)
        about = f"{meaning.description} [{meaning.unit}]" if meaning.unit else meaning.description
        hidden = f.name in SELDOM or f.name.startswith("std_")
        hidden |= many and f.name.startswith("p_") and f.name != "p_max"
        whole = pa.types.is_integer(f.type)
        found.append(Column(OWN.get(f.name, f.name), f"c{i}", _kind(f.type), whole, hidden, False, about))
    return pa.schema(kept), found


def _kept(kind: pa.DataType) -> pa.DataType | None:
    """Return as what a column is copied, None if it isn't: embeddings, light curves, bytes."""
    if pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
        return kind
    return None if pa.types.is_nested(kind) else plain_type(kind)


def _kind(kind: pa.DataType) -> Kind:
    if pa.types.is_list(kind):
        return "list"
    if pa.types.is_boolean(kind):
        return "boolean"
    return "text" if pa.types.is_string(kind) else "number"


class Store:
    """Rows of a catalog, to be asked by many threads.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
    rows : str
        The table's name in SQL: ``row`` and the columns' keys.
    columns : list of Column
    count : int
    """

    def __init__(self, connection: Any, rows: str, columns: Sequence[Column], count: int) -> None:
        self._connection, self.rows, self.columns, self.count = connection, rows, list(columns), count
        self.changing = threading.Lock()  # held by who makes or drops a table

    def ask(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """Run a query in a connection of its own; return the result to fetch from."""
        return self._connection.cursor().execute(sql, list(parameters))

    def arrow(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Run a query; return the whole result."""
        return self._connection.cursor().sql(sql, params=list(parameters)).to_arrow_table()

    def keep(self, name: str, table: pa.Table) -> None:
        """Make a small table beside the rows, in place of one of that name."""
        with self.changing:
            cursor = self._connection.cursor()
            cursor.register("incoming", table)
            cursor.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM incoming")
            cursor.unregister("incoming")

    def drop(self, name: str) -> None:
        """Drop such a table."""
        with self.changing:
            self._connection.cursor().execute(f"DROP TABLE IF EXISTS {name}")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


def open_store(
    catalog: Catalog, beside: pa.Table | None = None, tick: Callable[[int], None] = lambda rows: None
) -> Store:
    """Open the copy of a catalog; make it first if there is none, or the catalog has changed.

    Parameters
    ----------
    catalog : Catalog
    beside : pyarrow.Table (n rows), optional
        Further columns of each row; the schema's metadata tell what they were read from.
    tick : callable
        Gets the number of rows after each batch that is copied, for a progress bar.

    Raises
    ------
    ImportError
        If DuckDB isn't installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise ImportError(f"the explorer needs duckdb: {EXTRA}") from error
    schema, columns = columns_of(_joined_schema(catalog.schema, beside))
    path, state = cached(catalog.path), _state(catalog, beside)
    connection, rows = duckdb.connect(":memory:"), "kept.rows"
    if not _attached(connection, path, state):
        try:
            _make(path, catalog, schema, beside, state, tick)
            made = _attached(connection, path, state)
        except (OSError, duckdb.Error) as error:
            log.warning("%s: no copy can be kept there (%s): every start reads the catalog anew", path, error)
            made = False
        if not made:
            rows = "rows"
            _copy(connection, rows, catalog, schema, beside, tick)
    for setting in CLOSED:
        connection.execute(setting)
    return Store(connection, rows, _empty_hidden(connection, rows, columns), len(catalog))


def cached(path: Path, name: str = "rows.duckdb") -> Path:
    """Return where something made of a catalog is kept, in the user's cache folder."""
    root = Path(os.environ.get(CACHE) or Path.home() / ".cache")
    return root / "goodricke" / f"explore-{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}" / name


def _state(catalog: Catalog, beside: pa.Table | None) -> str:
    """Return a hash of what the copy is made of."""
    told = [FORMAT, identity(catalog), None if beside is None else str(beside.schema.metadata)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _attached(connection: Any, path: Path, state: str) -> bool:
    """Attach the copy in a file if it is of that state; other explorers may have it open too."""
    import duckdb

    if not path.exists():
        return False
    with suppress(duckdb.Error):
        connection.execute("ATTACH ? AS kept (READ_ONLY)".replace("?", _quoted(path)))
        with suppress(duckdb.Error):
            if connection.execute("SELECT state FROM kept.about").fetchall() == [(state,)]:
                return True
        connection.execute("DETACH kept")
    return False


def _make(
    path: Path,
    catalog: Catalog,
    schema: pa.Schema,
    beside: pa.Table | None,
    state: str,
    tick: Callable[[int], None],
) -> None:
    """Write the copy to a file; it appears whole or not at all."""
    import duckdb

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    try:
        with duckdb.connect(str(partial)) as connection:
            _copy(connection, "rows", catalog, schema, beside, tick)
            connection.execute("CREATE TABLE about AS SELECT ? AS state", [state])
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
        partial.with_name(partial.name + ".wal").unlink(missing_ok=True)


def _copy(
    connection: Any,
    name: str,
    catalog: Catalog,
    schema: pa.Schema,
    beside: pa.Table | None,
    tick: Callable[[int], None],
) -> None:
    fields = [pa.field("row", pa.int64()), *(pa.field(f"c{i}", f.type) for i, f in enumerate(schema))]
    batches = _batches(catalog, schema, beside, pa.schema(fields), tick)
    incoming = pa.RecordBatchReader.from_batches(pa.schema(fields), batches)
    connection.register("incoming", incoming)
    connection.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
    connection.unregister("incoming")


def _batches(
    catalog: Catalog, schema: pa.Schema, beside: pa.Table | None, copied: pa.Schema, tick: Callable[[int], None]
) -> Iterator[pa.RecordBatch]:
    """Give the rows in the order of the files, NaN as null, under the columns' keys."""
    own, first = [f.name for f in schema if f.name in catalog.schema.names], 0
    for batch in catalog.dataset.to_batches(columns=own, batch_size=BATCH):
        n = len(batch)
        here = {name: batch[name] for name in own}
        if beside is not None:
            _add_beside(here, beside.slice(first, n), schema)
        arrays = [_finite(pc.cast(here[f.name], f.type)) for f in schema]
        yield pa.record_batch([pa.array(np.arange(first, first + n)), *arrays], schema=copied)
        first += n
        tick(n)


def _add_beside(here: dict[str, pa.Array], beside: pa.Table, schema: pa.Schema) -> None:
    """Add columns of another table to those of some rows; what both have is filled in where it isn't known."""
    for name in beside.column_names:
        column = pc.cast(beside[name].combine_chunks(), schema.field(name).type)
        here[name] = column if name not in here else pc.coalesce(_finite(pc.cast(here[name], column.type)), column)


def _finite(column: pa.Array) -> pa.Array:
    """Return a column with null for NaN: what isn't known."""
    if not pa.types.is_floating(column.type):
        return column
    return pc.if_else(pc.fill_null(pc.is_nan(column), False), pa.scalar(None, column.type), column)


def _joined_schema(own: pa.Schema, beside: pa.Table | None) -> pa.Schema:
    """Return the schema of a catalog with further columns; those it has already stay in their place."""
    if beside is None:
        return own
    fields = [beside.schema.field(f.name) if f.name in beside.column_names else f for f in own]
    return pa.schema([*fields, *(f for f in beside.schema if f.name not in own.names)])


def _empty_hidden(connection: Any, rows: str, columns: Sequence[Column]) -> list[Column]:
    """Find the columns without any value, and hide them."""
    if not columns:
        return []
    counted = connection.execute(f"SELECT {', '.join(f'count({c.key})' for c in columns)} FROM {rows}").fetchone()
    assert counted is not None
    return [c if n else replace(c, hidden=True, empty=True) for c, n in zip(columns, counted, strict=True)]


def _quoted(path: Path) -> str:
    """Return a path as a literal: ATTACH takes no parameter. It is ours, of letters, digits and the cache's folder."""
    return "'" + str(path).replace("'", "''") + "'"
