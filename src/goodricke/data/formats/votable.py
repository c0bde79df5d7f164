"""VOTable 1.4, with rows as text (TABLEDATA): units, UCDs, descriptions; empty cells where nothing is known.

An empty cell is the null of every type since VOTable 1.3, so that no integer has to stand for none. Numbers are written
with as many digits as give the same number back.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from goodricke.data.formats.metadata import Limits, Rows, describe, floats, look_through, spelled

NAMESPACE = "http://www.ivoa.net/xml/VOTable/v1.3"  # of all versions from 1.3 on
NOT_XML = "[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x{fffe}\\x{ffff}]"  # characters that no XML can hold
DATATYPES = {"bool": "boolean", "uint8": "unsignedByte", "int16": "short", "int32": "int", "int64": "long"}


def write_votable(rows: Rows, path: Path) -> None:
    """Write rows as VOTable."""
    plain = rows.plain()
    with open(path, "wb") as file:
        file.write(head(plain, look_through(plain)).encode())
        for batch in plain.batches():
            file.write(_table_rows(batch))
        file.write(b"</TABLEDATA></DATA>\n</TABLE>\n</RESOURCE>\n</VOTABLE>\n")


def head(rows: Rows, limits: Mapping[str, Limits] | None = None, in_parquet: bool = False) -> str:
    """Return what stands above the first row; for a Parquet file the whole document, which has none."""
    plain = rows.plain()
    told = [f"<INFO name={_quoted(k)} value={_quoted(v)}/>" for k, v in rows.about.items()]
    ids = _ids(plain.schema.names)
    limits = limits or {}
    fields = [_field(f, limits.get(f.name, Limits(ascii=False)), own) for f, own in zip(plain.schema, ids, strict=True)]
    count = "" if in_parquet else f' nrows="{rows.count}"'
    data = "<DATA><TABLEDATA>\n"
    if in_parquet:
        data = "</TABLE>\n</RESOURCE>\n</VOTABLE>\n"
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<VOTABLE version="1.4" xmlns="{NAMESPACE}">',
            '<RESOURCE type="results">',
            *told,
            f'<TABLE name="predictions"{count}>',
            *fields,
            data,
        ]
    )


def _field(f: pa.Field, limits: Limits, own: str) -> str:
    meaning, kind = describe(f), f.type
    size = ""
    if pa.types.is_fixed_size_list(kind):
        kind, size = kind.value_type, f' arraysize="{f.type.list_size}"'
    if pa.types.is_string(kind):
        datatype, size = "char" if limits.ascii else "unicodeChar", ' arraysize="*"'
    else:
        datatype = DATATYPES.get(str(kind), "double" if kind == pa.float64() else "float")
    own = f' ID="{own}"' if own else ""
    unit = f" unit={_quoted(spelled(meaning.unit, 'vounit'))}" if meaning.unit else ""
    ucd = f" ucd={_quoted(meaning.ucd)}" if meaning.ucd else ""
    said = f"<DESCRIPTION>{escape(_clean(meaning.description))}</DESCRIPTION>" if meaning.description else ""
    return f'<FIELD name={_quoted(f.name)}{own} datatype="{datatype}"{size}{unit}{ucd}>{said}</FIELD>'


def _ids(names: Sequence[str]) -> list[str]:
    """Return an ID for each name that is none itself, which readers would have to make up, and else nothing."""
    ids: list[str] = []
    for name in names:
        known = name if re.fullmatch("[A-Za-z_][A-Za-z0-9_.-]*", name) else ""
        made = "" if known else re.sub("[^A-Za-z0-9_]", "_", f"_{name}" if name[:1].isdigit() else name)
        while made in {*names, *ids, "_" * len(made)} - {""}:
            made += "_x"
        ids.append(made)
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
        numbers = _numbers(pa.array(floats(column, width).ravel()))
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
    spelled_ = pc.if_else(pc.is_nan(column), "NaN", column.cast(pa.string()))
    return pc.if_else(pc.is_inf(column), pc.if_else(pc.greater(column, 0), "+Inf", "-Inf"), spelled_)
