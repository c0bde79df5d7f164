"""Parquet: every column as it is, with its meaning in the column's metadata and, as a VOTable, in the file's.

A VOTable without rows under the key ``IVOA.VOTable-Parquet.content`` is the IVOA's way (VOParquet 1.0) of stating
units and UCDs in Parquet: TOPCAT knows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from goodricke.data.formats.metadata import BATCH, Meaning, Rows, describe, spell_unit
from goodricke.data.formats.votable import head

ROW_GROUP = 8 * BATCH  # rows in memory at once, some hundred MB with a wide embedding


def write_parquet(rows: Rows, path: Path) -> None:
    """Write rows as Parquet."""
    schema = documented_schema(rows.schema, rows.about)
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for table in row_groups(rows, ROW_GROUP):
            file.write_table(table.cast(schema), row_group_size=ROW_GROUP)


def documented_schema(schema: pa.Schema, about: Mapping[str, str]) -> pa.Schema:
    """Return a schema with the meaning of its columns and the metadata of the table."""
    fields = [f.with_metadata({**(f.metadata or {}), **_column_metadata(describe(f))}) for f in schema]
    content = head(Rows(schema, 0, lambda: iter(()), about), in_parquet=True)
    votable = {"IVOA.VOTable-Parquet.version": "1.0", "IVOA.VOTable-Parquet.content": content}
    return pa.schema(fields, metadata={**about, **votable})


def _column_metadata(meaning: Meaning) -> dict[str, str]:
    meaning = meaning._replace(unit=spell_unit(meaning.unit, "vounit"))
    return {name: text for name, text in meaning._asdict().items() if text}


def row_groups(rows: Rows, size: int) -> Iterator[pa.Table]:
    """Give the rows in tables of about ``size`` rows."""
    group: list[pa.Table] = []
    for batch in rows.batches():
        group.append(batch)
        if sum(map(len, group)) >= size:
            yield pa.concat_tables(group)
            group = []
    if group:
        yield pa.concat_tables(group)
