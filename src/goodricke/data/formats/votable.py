"""VOTable 1.4, with rows as text (TABLEDATA): units, UCDs, descriptions; empty cells where nothing is known.

An empty cell is the null of every type since VOTable 1.3, so that no integer has to stand for null. Numbers are written
with as many digits as give the same number back.

Parquet has every column as it is, its meaning in the column's metadata and, as a VOTable without rows, in the file's
key ``IVOA.VOTable-Parquet.content`` (VOParquet 1.0): TOPCAT knows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from goodricke.data.formats.metadata import (
    BATCH,
    Limits,
    Meaning,
    Rows,
    column_limits,
    describe,
    list_floats,
    spell_unit,
)

NAMESPACE = "http://www.ivoa.net/xml/VOTable/v1.3"  # of all versions from 1.3 on
NOT_XML = "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x{fffe}\\x{ffff}]"  # characters that no XML can hold
DATATYPES = {"bool": "boolean", "uint8": "unsignedByte", "int16": "short", "int32": "int", "int64": "long"}


def write_votable(rows: Rows, path: Path) -> None:
    """Write rows as VOTable."""
    portable = rows.portable()
    with open(path, "wb") as file:
        file.write(head(portable, column_limits(portable)).encode())
        for batch in portable.batches():
            file.write(_table_rows(batch))
        file.write(b"</TABLEDATA></DATA>\n</TABLE>\n</RESOURCE>\n</VOTABLE>\n")


def head(rows: Rows, limits: Mapping[str, Limits] | None = None, in_parquet: bool = False) -> str:
    """Return the text before the first row; for a Parquet file the whole document, which has no rows."""
    portable = rows.portable()
    infos = [f"<INFO name={_quoted(k)} value={_quoted(v)}/>" for k, v in rows.about.items()]
    ids = _ids(portable.schema.names)
    limits = limits or {}
    fields = [_field(f, limits.get(f.name, Limits(ascii=False)), i) for f, i in zip(portable.schema, ids, strict=True)]
    count = "" if in_parquet else f' nrows="{rows.count}"'
    data = "<DATA><TABLEDATA>\n"
    if in_parquet:
        data = "</TABLE>\n</RESOURCE>\n</VOTABLE>\n"
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<VOTABLE version="1.4" xmlns="{NAMESPACE}">',
            '<RESOURCE type="results">',
            *infos,
            f'<TABLE name="predictions"{count}>',
            *fields,
            data,
        ]
    )


def _field(f: pa.Field, limits: Limits, identifier: str) -> str:
    meaning, kind = describe(f), f.type
    size = ""
    if pa.types.is_fixed_size_list(kind):
        kind, size = kind.value_type, f' arraysize="{f.type.list_size}"'
    if pa.types.is_string(kind):
        datatype, size = "char" if limits.ascii else "unicodeChar", ' arraysize="*"'
    else:
        datatype = DATATYPES.get(str(kind), "double" if kind == pa.float64() else "float")
    identifier = f' ID="{identifier}"' if identifier else ""
    unit = f" unit={_quoted(spell_unit(meaning.unit, 'vounit'))}" if meaning.unit else ""
    ucd = f" ucd={_quoted(meaning.ucd)}" if meaning.ucd else ""
    description = f"<DESCRIPTION>{escape(_clean(meaning.description))}</DESCRIPTION>" if meaning.description else ""
    return f'<FIELD name={_quoted(f.name)}{identifier} datatype="{datatype}"{size}{unit}{ucd}>{description}</FIELD>'


def _ids(names: Sequence[str]) -> list[str]:
    """Return an ID for every name that is no valid ID itself, an empty text for the others."""
    ids: list[str] = []
    for name in names:
        valid = name if re.fullmatch("[A-Za-z_][A-Za-z0-9_.-]*", name) else ""
        identifier = "" if valid else re.sub("[^A-Za-z0-9_]", "_", f"_{name}" if name[:1].isdigit() else name)
        while identifier in {*names, *ids, "_" * len(identifier)} - {""}:
            identifier += "_x"
        ids.append(identifier)
    return ids


def _quoted(text: str) -> str:
    return quoteattr(_clean(text))


def _clean(text: str) -> str:
    return pc.replace_substring_regex(pa.scalar(text, pa.string()), NOT_XML, "?").as_py()


def _table_rows(batch: pa.Table) -> bytes:
    """Return rows as the elements of TABLEDATA."""
    if not len(batch):
        return b""
    cells = [_cells(column.combine_chunks()) for column in batch.columns]
    lines = pc.binary_join_element_wise(*cells, "</TD><TD>", null_handling="replace", null_replacement="")
    text: str = "</TD></TR>\n<TR><TD>".join(lines.to_pylist())
    return f"<TR><TD>{text}</TD></TR>\n".encode()


def _cells(column: pa.Array) -> pa.Array:
    """Return values (n,) as text, null where there is none."""
    if pa.types.is_fixed_size_list(column.type):
        width = column.type.list_size
        numbers = _numbers(pa.array(list_floats(column, width).ravel()))
        offsets = pa.array(np.arange(0, len(numbers) + 1, width), pa.int32())
        return pc.binary_join(pa.ListArray.from_arrays(offsets, numbers), " ")
    if pa.types.is_floating(column.type):
        return _numbers(column)
    if not pa.types.is_string(column.type):
        return column.cast(pa.string())
    text = pc.replace_substring_regex(column, NOT_XML, "?")
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;")):
        text = pc.replace_substring(text, character, entity)
    return text


def _numbers(column: pa.Array) -> pa.Array:
    """Return floating-point numbers as VOTable spells them."""
    text = pc.if_else(pc.is_nan(column), "NaN", column.cast(pa.string()))
    return pc.if_else(pc.is_inf(column), pc.if_else(pc.greater(column, 0), "+Inf", "-Inf"), text)


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
