"""Parquet: every column as it is, with its meaning in the column's metadata and, as a VOTable, in the file's.

A VOTable without rows under the key ``IVOA.VOTable-Parquet.content`` is the IVOA's way (VOParquet 1.0) of telling units
and UCDs in Parquet: TOPCAT knows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from goodricke.data.formats.metadata import BATCH, Meaning, Rows, describe, spelled
from goodricke.data.formats.votable import head

ROW_GROUP = 8 * BATCH  # rows in memory at once, some hundred MB with a wide embedding


def write_parquet(rows: Rows, path: Path) -> None:
    """Write rows as Parquet."""
    schema = documented(rows.schema, rows.about)
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for table in in_groups(rows, ROW_GROUP):
            file.write_table(table.cast(schema), row_group_size=ROW_GROUP)


def documented(schema: pa.Schema, about: Mapping[str, str]) -> pa.Schema:
    """Return a schema whose columns tell their meaning, and which tells what is said of the whole."""
    fields = [f.with_metadata({**(f.metadata or {}), **_told(describe(f))}) for f in schema]
    content = head(Rows(schema, 0, lambda: iter(()), about), in_parquet=True)
    told = {"IVOA.VOTable-Parquet.version": "1.0", "IVOA.VOTable-Parquet.content": content}
    return pa.schema(fields, metadata={**about, **told})


def _told(meaning: Meaning) -> dict[str, str]:
    told = meaning._replace(unit=spelled(meaning.unit, "vounit"))
    return {name: text for name, text in told._asdict().items() if text}


def in_groups(rows: Rows, size: int) -> Iterator[pa.Table]:
    """Give the rows in tables of about ``size`` rows."""
    kept: list[pa.Table] = []
    for batch in rows.batches():
        kept.append(batch)
        if sum(map(len, kept)) >= size:
            yield pa.concat_tables(kept)
            kept = []
    if kept:
        yield pa.concat_tables(kept)
