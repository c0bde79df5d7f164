r"""FITS binary tables, row by row: units, UCDs (TUCDn), descriptions (TCOMMn), TNULL where an integer is unknown.

Text is padded to the longest of its column, and in ASCII, all that FITS has: any other character is an escape, such
as ``\u03b4`` for a delta. Unknown numbers are NaN, unknown text is empty. Lists whose lengths differ are left out.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from goodricke.data.formats.metadata import (
    Limits,
    Rows,
    astropy_table,
    column_limits,
    describe,
    list_floats,
    spell_unit,
)

log = logging.getLogger("goodricke")

BLOCK = 2880  # bytes; everything in FITS is a multiple of it
FORMS = {"S": "{}A", "?": "L", "u1": "B", "i2": "I", "i4": "J", "i8": "K", "f4": "E", "f8": "D"}
# Names of FITS have eight letters; what isn't listed is cut.
KEYWORDS = {"goodricke": "CREATOR", "model_hash": "MODHASH", "thresholds": "THRESH", "per_star": "PERSTAR"}


def write_fits(rows: Rows, path: Path) -> None:
    """Write rows as the first extension of a FITS file."""
    from astropy.io import fits

    plain = _ascii_rows(rows.portable())
    limits = column_limits(plain)
    layout = np.dtype([_layout(f, limits.get(f.name, Limits())) for f in plain.schema])
    with open(path, "wb") as file:
        file.write(fits.PrimaryHDU().header.tostring().encode("ascii"))
        file.write(_header(plain, layout, limits).tostring().encode("ascii"))
        for batch in plain.batches():
            file.write(_records(batch, layout).tobytes())
        file.write(b"\0" * (-layout.itemsize * plain.count % BLOCK))


def _ascii_rows(rows: Rows) -> Rows:
    """Return rows with names and text in ASCII, and names that differ by more than upper and lower case."""
    names: list[str] = []
    for name in rows.schema.names:
        names.append(_distinct_name(names, to_ascii(name)))
    fields = [
        f.with_name(name).with_metadata({k: v for k, v in describe(f)._asdict().items() if v})
        for f, name in zip(rows.schema, names, strict=True)
    ]
    schema = pa.schema(fields)

    def batches() -> Iterator[pa.Table]:
        for batch in rows.batches():
            yield pa.table([_escaped(column.combine_chunks()) for column in batch.columns], schema=schema)

    return Rows(schema, rows.count, batches, rows.about)


def _distinct_name(names: Sequence[str], name: str) -> str:
    used, wanted, number = {n.lower() for n in names}, name, 1
    while name.lower() in used:
        number += 1
        name = f"{wanted}_{number}"
    if name != wanted:
        log.warning("FITS: a second column %s is named %s: names that differ by case only are one there", wanted, name)
    return name


def _escaped(column: pa.Array) -> pa.Array:
    if not pa.types.is_string(column.type) or not pc.any(pc.match_substring_regex(column, "[^ -~]")).as_py():
        return column
    return pa.array([None if text is None else to_ascii(text) for text in column.to_pylist()], pa.string())


def _layout(f: pa.Field, limits: Limits) -> tuple[Any, ...]:
    """Return name, big-endian type and shape of a column."""
    if pa.types.is_fixed_size_list(f.type):
        return f.name, ">f8" if f.type.value_type == pa.float64() else ">f4", (f.type.list_size,)
    if pa.types.is_string(f.type):
        return f.name, f"S{max(limits.width, 1)}"
    if pa.types.is_boolean(f.type):
        return f.name, "S1"
    kind = np.dtype(f.type.to_pandas_dtype())
    if kind.kind in "iu" and limits.nulls and limits.low is not None and limits.low == _null_integer(kind):
        kind = np.dtype("i8" if kind.itemsize > 2 else "i4")  # the number that stands for null is in use
    return f.name, kind.newbyteorder(">")


def _null_integer(kind: np.dtype) -> int:
    """Return the integer that stands for null: the smallest, of unsigned bytes the largest."""
    return int(np.iinfo(kind).min) if kind.kind == "i" else int(np.iinfo(kind).max)


def _header(rows: Rows, layout: np.dtype, limits: Mapping[str, Limits]) -> Any:
    """Return the header of the table."""
    from astropy.io.fits import Header

    header = Header()
    cards = [("XTENSION", "BINTABLE"), ("BITPIX", 8), ("NAXIS", 2), ("NAXIS1", layout.itemsize), ("NAXIS2", rows.count)]
    for key, value in [*cards, ("PCOUNT", 0), ("GCOUNT", 1), ("TFIELDS", len(rows.schema))]:
        header[key] = value
    for number, f in enumerate(rows.schema, 1):
        for key, value in _column(f, layout[f.name], limits.get(f.name, Limits())).items():
            if value not in ("", None):
                header[f"{key}{number}"] = value
    header["EXTNAME"] = "PREDICTIONS"
    header["LONGSTRN"] = ("OGIP 1.0", "long texts go on in CONTINUE")
    for name, text in rows.about.items():
        header[KEYWORDS.get(name, to_ascii(name).upper()[:8])] = to_ascii(_about(name, text))
    for line in _for_astropy(rows.schema):
        header["COMMENT"] = line
    return header


def _for_astropy(schema: pa.Schema) -> list[str]:
    """Return the comments in which astropy keeps descriptions and UCDs; it doesn't read TCOMM and TUCD."""
    from astropy.io import fits

    file = io.BytesIO()
    astropy_table(schema, {}).write(file, format="fits")
    header = fits.getheader(io.BytesIO(file.getvalue()), 1)
    return [str(line) for line in header.get("COMMENT", ())]


def _about(name: str, text: str) -> str:
    return f"goodricke {text}" if name == "goodricke" else text


def _column(f: pa.Field, kind: np.dtype, limits: Limits) -> dict[str, Any]:
    """Return the keywords of a column."""
    base, shape = kind.subdtype or (kind, ())
    form = "L" if pa.types.is_boolean(f.type) else FORMS[base.kind if base.kind == "S" else base.str[1:]]
    form = f"{shape[0]}{form}" if shape else form.format(base.itemsize)
    meaning = describe(f)
    null = _null_integer(base) if base.kind in "iu" and limits.nulls else None
    about = {"TUCD": meaning.ucd, "TCOMM": to_ascii(meaning.description)}
    return {"TTYPE": f.name, "TFORM": form, "TUNIT": spell_unit(meaning.unit, "fits"), "TNULL": null, **about}


def _records(batch: pa.Table, layout: np.dtype) -> np.ndarray:
    """Return rows as FITS lays them out."""
    records = np.zeros(len(batch), layout)
    for f, column in zip(batch.schema, batch.columns, strict=True):
        records[f.name] = _values(column.combine_chunks(), layout[f.name])
    return records


def _values(column: pa.Array, kind: np.dtype) -> np.ndarray:
    if pa.types.is_fixed_size_list(column.type):
        return list_floats(column, column.type.list_size)
    if pa.types.is_string(column.type):
        return _text(column, kind.itemsize)
    if pa.types.is_boolean(column.type):
        return np.array([b"\0", b"F", b"T"])[column.cast(pa.int8()).fill_null(-1).to_numpy() + 1]
    if pa.types.is_floating(column.type):
        return column.to_numpy(zero_copy_only=False)
    null = pa.scalar(_null_integer(kind), pa.int64()).cast(pa.from_numpy_dtype(kind.newbyteorder("=")))
    return column.cast(null.type).fill_null(null).to_numpy(zero_copy_only=False)


def _text(column: pa.Array, width: int) -> np.ndarray:
    padded = pc.ascii_rpad(column.fill_null(""), width, " ")
    return np.frombuffer("".join(padded.to_pylist()).encode("ascii"), f"S{width}")


def to_ascii(text: str) -> str:
    r"""Return text as FITS can hold it: anything but printable ASCII as an escape, such as ``\u03b4`` for a delta."""
    return "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode() for c in str(text))
