"""Columns of another table beside a catalog's, by the objects' ids: positions, Gaia or TIC parameters, labels."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from goodricke.formats import Rows
from goodricke.readers import Unreadable, columns, tabular
from goodricke.readers.opened import Opened
from goodricke.readers.table import identifiers

log = logging.getLogger("goodricke")


def join_table(rows: Rows, path: Path) -> Rows:
    """Add the columns of a table with one row per object; null where it has no row for an object.

    Positions are filled in where the catalog has none. Other columns that the catalog has too, and such as could be
    taken for probabilities of a class (``p_``, ``std_``), are left out. Of several rows of an object the first counts.

    Parameters
    ----------
    rows : Rows
    path : Path
        CSV, ECSV, VOTable, FITS or Parquet with a column for the object's id.

    Raises
    ------
    Unreadable
        If it is no table, or no column is the object's id.
    ValueError
        If no object of the catalog is in it.
    """
    ids, table = read_table(path)
    table = table.select([n for n in table.column_names if _wanted(n, rows.schema)])
    known = pa.array(ids, pa.string())
    schema = _schema(rows.schema, table.schema)
    found = sum(int(pc.count(_places(batch, known)).as_py()) for batch in rows.batches())
    if not found:
        own: list[str] = next((batch["object_id"][:3].to_pylist() for batch in rows.batches()), [])
        raise ValueError(
            f"{path}: has none of the catalog's objects; its ids look like {', '.join(ids[:3])}, "
            f"the catalog's like {', '.join(map(str, own))}. Give a table of these objects"
        )
    log.info("%s: %s of %s rows found by their ids", path, f"{found:,}", f"{rows.count:,}")

    def batches() -> Iterator[pa.Table]:
        for batch in rows.batches():
            yield _joined(batch, table.take(_places(batch, known)), schema)

    return Rows(schema, rows.count, batches, rows.about)


def read_table(path: Path) -> tuple[list[str], pa.Table]:
    """Return the ids of a table of objects and its other columns, positions under the names ``ra`` and ``dec``."""
    file = Opened(path)
    if file.kind not in ("text", "votable", "parquet", "fits"):
        raise Unreadable(file.path, "is no table", tabular.NO_TABLE)
    table = tabular.open_table(file)
    names = columns.by_normal_name(list(table.names))
    id_name = columns.first(names, columns.OBJECT_ID)
    if id_name is None:
        raise Unreadable(file.path, f"has no column for an object id; it has {', '.join(table.names)}", "name one id")
    data = table.load(table.names)
    ids = identifiers(data[id_name], id_name).to_pylist()
    position = {columns.first(names, aliases): name for name, aliases in columns.POSITION.items()}
    frame = pd.DataFrame({position.get(n, n): _plain(data[n]) for n in table.names if n != id_name})
    keep = ~pd.Series(ids).duplicated().to_numpy()
    whole = pa.Table.from_pandas(frame[keep], preserve_index=False).replace_schema_metadata(None)
    return [i for i, kept in zip(ids, keep, strict=True) if kept], whole


def _plain(values: object) -> object:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values.to_pandas()
    return values if isinstance(values, pd.Series) else np.asarray(values)


def _wanted(name: str, own: pa.Schema) -> bool:
    if name in ("ra", "dec") or (name not in own.names and not name.startswith(("p_", "std_"))):
        return True
    log.warning("column %s of the table is left out: it could be taken for the catalog's own", name)
    return False


def _schema(own: pa.Schema, other: pa.Schema) -> pa.Schema:
    known = [f for f in own if not (pa.types.is_null(f.type) and f.name in other.names)]
    return pa.schema([*known, *(f for f in other if f.name not in {k.name for k in known})])


def _places(batch: pa.Table, known: pa.Array) -> pa.Array:
    return pc.index_in(batch["object_id"].combine_chunks().cast(pa.string()), known)


def _joined(batch: pa.Table, beside: pa.Table, schema: pa.Schema) -> pa.Table:
    found = {n: batch[n].combine_chunks() for n in batch.column_names}
    for name in beside.column_names:
        column = beside[name].combine_chunks()
        known = found.get(name)
        if known is None or pa.types.is_null(known.type):
            found[name] = column
        else:
            known = pc.if_else(pc.is_nan(known), pa.scalar(None, known.type), known)
            found[name] = pc.coalesce(known, column.cast(known.type, safe=False))
    return pa.table([found[f.name] for f in schema], schema=schema)
