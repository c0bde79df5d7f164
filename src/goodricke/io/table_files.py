"""Opening plain tables of every format as a `Tabular`: names, units, and a way to load only the columns in use."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa
from astropy.table import Table
from astropy.time import Time

from goodricke.data import arrow
from goodricke.data.units import unit_in_name
from goodricke.io import roles
from goodricke.io.files import SourceFile
from goodricke.io.fits import BARYCENTRIC, CUT_SHORT
from goodricke.io.options import Unreadable

KINDS = ("text", "votable", "parquet", "fits")
NO_TABLE = "check that it is a table of observations with a line of column names"
HEADERLESS = {2: ["time", "value"], 3: ["time", "value", "error"]}
COMMENT = ("#", "%", "!", "\\", "//")
WITH_BRACKETS = re.compile(r"[^\s,;\[(]+(?:\s*(?:\[[^\]]*\]|\([^)]*\)))*")  # "time [s] flux" are two names
NUMBER = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?$|^[+-]?(nan|inf|null|none|-+)$|^$", re.IGNORECASE)

# Text that astropy reads: ECSV, and IPAC tables, whose names and types stand between bars.
SELF_DESCRIBING = {
    "ascii.ecsv": re.compile(rb"# %ECSV"),
    "ascii.ipac": re.compile(
        rb"(\\[^\n]*\n)*\|[^\n]*\|\s*\n(\|\s*(c|char|i|int|l|long|f|float|d|double|r|real|date)\s*)+\|\s*\n"
    ),
}
PRODUCTS = {"votable": "VOTable", "ascii.ecsv": "ECSV", "ascii.ipac": "IPAC table"}

Load = Callable[[Sequence[str]], Mapping[str, Any]]


@dataclass(frozen=True)
class Tabular:
    """A table before its columns are read.

    Parameters
    ----------
    names : sequence of str
        Columns with one number or text per row.
    load : callable
        Returns the columns with the given names, array-like.
    product, object_id, mission, time_scale : str
        What the file states about itself.
    units : mapping of str
        Units of the columns that have one, as written.
    lists : sequence of str
        Columns with an array per row, which ``load`` gives as Arrow lists.
    texts : sequence of str
        Columns with text, where that can be seen without reading them.
    ra, dec : float, optional
        Position of the one object [deg].
    """

    names: Sequence[str]
    load: Load
    product: str
    units: Mapping[str, str] = field(default_factory=dict)
    time_scale: str | None = None
    object_id: str | None = None
    mission: str | None = None
    ra: float | None = None
    dec: float | None = None
    lists: Sequence[str] = ()
    texts: Sequence[str] = ()


def column_names(file: SourceFile) -> frozenset[str]:
    """Return the normal names of a table's columns, those with lists too; none if it can't be opened as a table."""
    if "names" not in file.cache:
        try:
            table = open_table(file) if file.kind in KINDS else None
        except Unreadable:  # the reader that takes it in the end raises it again
            table = None
        names = [*table.names, *table.lists] if table else []
        file.cache["names"] = frozenset(roles.normal_name(name) for name in names)
    return file.cache["names"]


def open_table(file: SourceFile, text_columns: Sequence[str] = ()) -> Tabular:
    """Open a table of any format; identifiers and ``text_columns`` of a text file are kept as text.

    Raises
    ------
    Unreadable
        If it is no table or has no row.
    """
    key = ("table", *text_columns)
    if key not in file.cache:
        file.cache[key] = _open(file, text_columns)
    return file.cache[key]


def load_columns(file: SourceFile, *wanted: str) -> dict[str, Any]:
    """Return columns of a table by the names given, whatever their case; those that it lacks are missing."""
    source = open_table(file)
    known = roles.names_by_alias([*source.names, *source.lists])
    names = {name: known[roles.normal_name(name)] for name in wanted if roles.normal_name(name) in known}
    data = source.load(list(names.values()))
    file.columns_read = list(names.values())
    return {name: data[written] for name, written in names.items()}


def _open(file: SourceFile, text_columns: Sequence[str]) -> Tabular:
    if file.kind == "text":
        form = next((form for form, mark in SELF_DESCRIBING.items() if mark.match(file.head)), None)
        return _astropy(file, form) if form else _text(file, text_columns)
    if file.kind == "votable":
        return _astropy(file, "votable")
    return _parquet(file) if file.kind == "parquet" else _fits(file)


# ---- text ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """How a text table is laid out: columns' names, separator, lines before the first row of numbers, and that row."""

    names: list[str]
    separator: str
    skip: int
    product: str
    first: list[str]


def layout(lines: Sequence[str], path: str) -> Layout:
    """Return how a text table is laid out, from its first lines.

    The names are on the first line that isn't a comment; or, if there are numbers on that line, on the last comment.

    Raises
    ------
    Unreadable
        If there is no row, or the columns are unknown.
    """
    rows = [(i, line) for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith(COMMENT)]
    if not rows:
        raise Unreadable(path, "is a text file without any row", NO_TABLE)
    separator = _separator(rows[min(1, len(rows) - 1)][1])
    begin, top = rows[0]
    cells = _split(top, separator)
    product = "CSV" if separator == "," else "text table"
    _check_width(rows, separator, path)
    if not any(cell and NUMBER.match(cell) for cell in cells):
        if len(rows) < 2:
            raise Unreadable(path, "is a text file without any row of numbers", NO_TABLE)
        # ZTF's forced photometry has commas between the names and blanks between the numbers
        names = cells if _separator(top) == separator else re.split(r"[,;\s]+", top.strip(" ,;\t\r\n"))
        first = _split(rows[1][1], separator)
        if len(bracketed := WITH_BRACKETS.findall(top)) == len(first) < len(names):
            names = bracketed
        return Layout(_unique(names), separator, begin + 1, product, first)
    comments = [line.lstrip(" #%!\\/") for line in lines[:begin] if line.strip(" #%!\\/\r\n")]
    last = comments[-1].strip() if comments else ""
    for names in (re.split(r"[,;\s]+", last), _split(last, separator), WITH_BRACKETS.findall(last)):
        if len(names) == len(cells) and not all(NUMBER.match(name) for name in names):
            return Layout(_unique(names), separator, begin, product, cells)
    numbered = [str(i + 1) for i in range(len(cells))]
    return Layout(HEADERLESS.get(len(cells), numbered), separator, begin, product, cells)


def _text(file: SourceFile, text_columns: Sequence[str]) -> Tabular:
    form = layout(file.raw[: 1 << 18].decode("utf-8", "replace").removeprefix("\ufeff").splitlines(), file.path)

    def load(wanted: Sequence[str]) -> Mapping[str, Any]:
        as_text = {name for name in wanted if roles.normal_name(name) in roles.OBJECT_ID} | set(text_columns)
        try:
            frame = pd.read_csv(
                io.BytesIO(file.raw),
                sep=form.separator,
                names=form.names,
                header=None,
                skiprows=form.skip,
                usecols=list(wanted),
                dtype=dict.fromkeys(as_text, str),
                comment="#",
                skipinitialspace=True,
                encoding_errors="replace",
                na_values=["-", "--", "---", "null", "None", "none"],
                index_col=False,
            )
        except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
            raise Unreadable(file.path, f"is no regular table ({error})", NO_TABLE) from error
        return {name: frame[name] for name in wanted}

    texts = [name for name, cell in zip(form.names, form.first, strict=False) if not NUMBER.match(cell)]
    return Tabular(form.names, load, form.product, _units_in_names(form.names), texts=texts)


def _units_in_names(names: Sequence[str]) -> dict[str, str]:
    """Return the units that columns have in their names."""
    return {name: unit for name in names if (unit := unit_in_name(name))}


def _check_width(rows: Sequence[tuple[int, str]], separator: str, path: str) -> None:
    """Refuse a table whose later rows are wider than its second; a separator at the end of a line is no cell."""
    if separator == r"\s+":  # remarks at the end of a line are common there, and do no harm
        return
    marks = f"{separator} \t\r\n"
    width = max(len(_split(line.rstrip(marks), separator)) for _, line in rows[:2])
    for number, line in rows[2:]:
        if '"' not in line and len(_split(line.rstrip(marks), separator)) > width:
            raise Unreadable(path, f"is no regular table (line {number + 1} has more than {width} cells)", NO_TABLE)


def _separator(line: str) -> str:
    return next((mark for mark in (",", ";", "\t", "|") if mark in line), r"\s+")


def _split(line: str, separator: str) -> list[str]:
    parts = line.split() if separator == r"\s+" else line.split(separator)
    return [part.strip().strip("\"'") for part in parts]


def _unique(names: Sequence[str]) -> list[str]:
    """Return the names, the second of the same kind with a number."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return result


# ---- self-describing formats --------------------------------------------------------------------------------------


def _astropy(file: SourceFile, form: str) -> Tabular:
    """Open an ECSV, IPAC table or VOTable file by astropy."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = Table.read(io.BytesIO(file.raw), format=form)
    except Exception as error:  # astropy raises whatever its parsers raise
        raise Unreadable(file.path, f"is a damaged {PRODUCTS[form]} file ({error})", CUT_SHORT) from error
    times = [name for name in table.colnames if isinstance(table[name], Time)]
    lists = [name for name in table.colnames if name not in times and arrow.holds_arrays(table[name])]
    plain = [name for name in table.colnames if name not in lists]

    def load(wanted: Sequence[str]) -> Mapping[str, Any]:
        how = dict.fromkeys(times, lambda column: column.mjd) | dict.fromkeys(lists, arrow.lists_from_astropy)
        return {name: how.get(name, arrow.fill_masked)(table[name]) for name in wanted}

    units = {name: str(table[name].unit) for name in plain if getattr(table[name], "unit", None)}
    texts = [name for name in plain if name not in times and table[name].dtype.kind in "UO"]
    return Tabular(plain, load, PRODUCTS[form], units, "MJD" if times else None, lists=lists, texts=texts)


def _parquet(file: SourceFile) -> Tabular:
    schema = file.parquet.schema_arrow
    plain = [f for f in schema if not pa.types.is_nested(f.type) and not pa.types.is_binary(f.type)]

    def load(wanted: Sequence[str]) -> Mapping[str, Any]:
        try:
            table = file.parquet.read(columns=list(wanted), use_pandas_metadata=False)
        except (pa.ArrowInvalid, OSError) as error:
            raise Unreadable(file.path, f"is a damaged Parquet file ({error})", CUT_SHORT) from error
        return {name: table[name] for name in wanted}

    stated = {f.name: f.metadata[b"unit"].decode() for f in plain if f.metadata and b"unit" in f.metadata}
    units = _units_in_names([f.name for f in plain]) | stated
    meta = schema.metadata or {}
    scale = meta.get(b"time_scale", b"").decode() or None
    lists = [f.name for f in schema if arrow.is_list(f.type)]
    texts = [f.name for f in plain if str(f.type) in ("string", "large_string") or pa.types.is_dictionary(f.type)]
    return Tabular([f.name for f in plain], load, "Parquet table", units, scale, lists=lists, texts=texts)


def _fits(file: SourceFile) -> Tabular:
    fits = file.fits
    names = {str(table.value("EXTNAME")).upper() for table in fits.tables}
    if names & {"TARGETTABLES", "PIXELS"}:
        raise Unreadable(file.path, "is a target pixel file, not a light curve", "download the light curve (_lc, _llc)")
    if fits.tables and all(name in fits.tables[0] for name in ("FLUXCAL", "PHOTFLAG")) and "SNID" not in fits.tables[0]:
        raise Unreadable(file.path, "is the PHOT half of an SNANA pair", "give the HEAD file, the PHOT file beside it")
    if not fits.tables:
        raise Unreadable(file.path, "is a FITS file without a binary table", "check that it is a light curve")
    table = fits.tables[0]
    scale, units = _fits_time_scale(fits.text("TIME_FORMAT"), table.value("BJDREFI")), {}
    for name in table.plain_names:
        if unit := table.unit(name):
            units[name] = unit
    return Tabular(
        table.plain_names,
        lambda wanted: {name: table[name] for name in wanted},
        "FITS table",
        units,
        scale,
        fits.text("LABEL", "OBJECT", "TARGETID", "TICID", "KEPLERID", "SNID") or None,
        fits.text("MISSION", "TELESCOP") or None,
        fits.number("RA_OBJ", "RA"),
        fits.number("DEC_OBJ", "DEC"),
    )


def _fits_time_scale(stated: str, reference: Any) -> str | None:
    """Return the scale of TIME that a header tells: lightkurve's TIME_FORMAT, or the missions' BJDREFI."""
    if stated.upper() in ("BTJD", "BKJD", "MJD", "JD"):
        return stated.upper()
    return BARYCENTRIC.get(float(reference)) if isinstance(reference, int | float) else None
