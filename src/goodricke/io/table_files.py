"""Opening plain tables of every format as a `Tabular`: names, units, and a way to load only the columns in use."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
from astropy.table import Table, meta
from astropy.time import Time

from goodricke.data import arrow
from goodricke.data.identifiers import first_rounded
from goodricke.data.units import days_in_unit
from goodricke.io import json_tables, roles
from goodricke.io.files import SourceFile
from goodricke.io.fits import BARYCENTRIC, CUT_SHORT, FitsTable
from goodricke.io.options import ReadOptions, Unreadable
from goodricke.io.text_layout import (
    BLANKS,
    HEADERLESS,
    NO_TABLE,
    NUMBER,
    TextLayout,
    split_cells,
    text_layout,
    units_in_names,
)

logger = logging.getLogger("goodricke")

KINDS = ("text", "json", "votable", "parquet", "fits")
NA_VALUES = ["-", "--", "---", "null", "None", "none", "INDEF", "indef", "Indef", "na", "untrusted", "?"]
# What pandas takes for missing beside these, and Arrow is told to take for it too.
NA_OF_PANDAS = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA"),
    *("NULL", "NaN", "n/a", "nan"),
)
SMALL_TEXT = 1 << 20  # bytes that one thread reads as soon as several

# Text that astropy reads: ECSV, and IPAC tables, whose names and types stand between bars.
SELF_DESCRIBING = {
    "ascii.ecsv": re.compile(rb"# %ECSV"),
    "ascii.ipac": re.compile(
        rb"(\\[^\n]*\n)*\|[^\n]*\|\s*\n(\|\s*(c|char|i|int|l|long|f|float|d|double|r|real|date)\s*)+\|\s*\n"
    ),
    "ascii.mrt": re.compile(rb"\s*Title:[^\n]*\n(?s:.*?)Byte-by-byte Description"),
}
SNANA = re.compile(rb"\s*(?:#[^\n]*\n\s*)*(SURVEY|SNID|FILTERS|SUBSURVEY)\w*:[ \t]")
VARLIST = re.compile(rb"(?m)^VARLIST:([^\n]*)")
README_OF_CDS = re.compile(rb"\s*[JIVX]+/[A-Za-z0-9+/]+ +\S.*\n=+")
FROM_VIZIER = "download the table from VizieR, as VOTable or TSV"
PRODUCTS = {
    **{"votable": "VOTable", "ascii.ecsv": "ECSV", "ascii.ipac": "IPAC table"},
    "ascii.mrt": "machine-readable table of the AAS",
}

# The zero point of dates in the description of their column: Julian date - 2450000, HJD-2400000.5
ZERO_POINT = re.compile(r"-\s*2[34]\d{5}(\.\d+)?(?!\d)")
ZERO_POINT_IN_COMMENT = re.compile(r"(?<![A-Za-z])[BH]?JD(?:[ _](?:TDB|UTC|TT))?\s*-\s*2[34]\d{5}(?:\.\d+)?(?!\d)")
# A VOTable's IDs are made of its names, without the units in them.
READ_BY_ASTROPY: dict[str, dict[str, Any]] = {"votable": {"use_names_over_ids": True}}

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
    time_offset : float
        What the header adds to the times, once in days [d].
    whole : sequence of str
        Columns with whole numbers, where that can be seen without reading them.
    roles : mapping of str
        Columns without names that can be only one thing, by role.
    named : bool
        Whether the columns have names.
    stated_in : str
        Where the file states units and time scale.
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
    time_offset: float = 0.0
    whole: Sequence[str] = ()
    roles: Mapping[str, str] = field(default_factory=dict)
    named: bool = True
    stated_in: str = "header"


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


def chosen_columns(table: Tabular, options: ReadOptions, path: str) -> dict[str, str]:
    """Return the columns that are chosen outright: by the options, or by a table without names that is plain enough.

    Raises
    ------
    Unreadable
        If the columns have no names, and neither the options nor the numbers tell them apart.
    """
    if table.named or len(table.names) in HEADERLESS:
        return options.chosen
    missing = [role for role in ("time", "value") if role not in options.chosen]
    if not missing or not set(missing) <= set(table.roles):
        if missing:
            fix = "name them by their numbers: --column time=1 --column value=2 --column error=3, and --unit mag if so"
            reason = f"is text without names of its columns; its columns are {roles.list_names(table.names)}"
            raise Unreadable(path, reason, fix)
        return options.chosen
    logger.warning(
        "%s: has no names of its %d columns: the first three hold Julian dates, magnitudes and errors%s, and are read. "
        "Others: %s",
        path,
        len(table.names),
        f", column {table.roles['band']} bands" if "band" in table.roles else "",
        " ".join(f"--column {role}={name}" for role, name in table.roles.items()),
    )
    return {**table.roles, **options.chosen}


def load_columns(file: SourceFile, *wanted: str) -> dict[str, Any]:
    """Return columns of a table by the names given, whatever their case; those that it lacks are missing."""
    source = open_table(file)
    known = roles.names_by_alias([*source.names, *source.lists])
    names = {name: known[roles.normal_name(name)] for name in wanted if roles.normal_name(name) in known}
    data = source.load(list(names.values()))
    file.columns_read = list(names.values())
    file.columns_ignored = [name for name in (*source.names, *source.lists) if name not in file.columns_read]
    return {name: data[written] for name, written in names.items()}


def _open(file: SourceFile, text_columns: Sequence[str]) -> Tabular:
    if file.kind == "text":
        form = next((form for form, mark in SELF_DESCRIBING.items() if mark.match(file.head)), None)
        if form is None and README_OF_CDS.match(file.head):
            raise Unreadable(file.path, "is the ReadMe of a catalogue at CDS, without its tables", FROM_VIZIER)
        return _astropy(file, form) if form else _text(file, text_columns)
    if file.kind == "json":
        return _json(file)
    if file.kind == "votable":
        return _astropy(file, "votable")
    return _parquet(file) if file.kind == "parquet" else _fits(file)


# ---- text ---------------------------------------------------------------------------------------------------------


def _text(file: SourceFile, text_columns: Sequence[str]) -> Tabular:
    raw = file.raw
    if SNANA.match(file.head) and (names := VARLIST.search(raw)):
        return _snana(file, names[1].decode("utf-8", "replace").split())
    form = text_layout(raw[: 1 << 18].decode("utf-8", "replace").removeprefix("\ufeff"), file.path)
    raw = _without_repeated_names(_without_cut_line(raw, form, file.path), form, file.path)

    def load(wanted: Sequence[str]) -> Mapping[str, Any]:
        as_text = {name for name in wanted if roles.normal_name(name) in roles.OBJECT_ID} | set(text_columns)
        try:
            frame: Mapping[str, Any] | pd.DataFrame | None = _read_regular_text(raw, form, wanted, as_text)
            frame = _read_text(raw, form, wanted, as_text, file.path) if frame is None else frame
        except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
            if isinstance(error, Unreadable):
                raise
            raise Unreadable(file.path, f"is no regular table ({error})", NO_TABLE) from error
        return {name: frame[name] for name in wanted}

    texts = [name for name, cell in zip(form.names, form.first, strict=False) if not _is_number(cell, form)]
    units = _zero_point_in_comments(raw, form) | units_in_names(form.names) | dict(form.units)
    return Tabular(
        form.names,
        load,
        form.product,
        units,
        form.time_scale,
        texts=texts,
        whole=[name for name, cell in zip(form.names, form.first, strict=False) if cell.isdecimal()],
        roles=form.roles,
        named=form.named,
        stated_in=("line of units" if form.named else "the numbers") if form.units else "comment",
    )


def _zero_point_in_comments(raw: bytes, form: TextLayout) -> dict[str, str]:
    """Return the zero point of times as their unit, where comments tell one: "# time is BJD - 2454833"."""
    names = [name for name in form.names if roles.TIME.get(roles.normal_name(name)) == ""]
    above = raw[: 1 << 18].split(b"\n", form.skip)[: form.skip]
    text = b"\n".join(line for line in above if line.lstrip().startswith(b"#")).decode("utf-8", "replace")
    told = {re.sub(r"[\s_]+", " ", zero[0]) for zero in ZERO_POINT_IN_COMMENT.finditer(text)} if names else set()
    return dict.fromkeys(names, told.pop()) if len(names) == len(told) == 1 else {}


def _is_number(cell: str, form: TextLayout) -> bool:
    return bool(NUMBER.match(cell.replace(",", ".") if form.decimal == "," else cell))


def _read_regular_text(
    raw: bytes, form: TextLayout, wanted: Sequence[str], as_text: set[str]
) -> Mapping[str, Any] | None:
    """Read columns of text that is as regular as Arrow wants it, several times faster than `_read_text`.

    None if it isn't: cells in quotation marks or with blanks before them, remarks, rows of another width, numbers in
    another notation.
    """
    separator, begin = form.separator.encode(), 0
    for _ in range(form.skip):
        begin = raw.find(b"\n", begin) + 1
    marks = (b'"', b"#", separator + b" ", b"\n ")
    odd = any(raw.find(mark, begin) >= 0 for mark in marks) or raw.count(b"\r", begin) != raw.count(b"\r\n", begin)
    if len(separator) != 1 or form.decimal != "." or odd or (form.skip and not begin) or not wanted:
        return None
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(pa.py_buffer(raw).slice(begin)),
            pa_csv.ReadOptions(use_threads=len(raw) > SMALL_TEXT, block_size=1 << 24, column_names=form.names),
            pa_csv.ParseOptions(delimiter=form.separator),
            pa_csv.ConvertOptions(
                include_columns=list(dict.fromkeys(wanted)),
                column_types=dict.fromkeys(as_text, pa.string()),
                null_values=[*NA_OF_PANDAS, *NA_VALUES],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid:
        return None
    first = dict(zip(form.names, form.first, strict=False))
    columns = {name: arrow.one_chunk(table[name]) for name in table.column_names}
    regular = all(name in as_text or _is_regular(values, first.get(name, "")) for name, values in columns.items())
    return columns if regular else None


def _is_regular(values: pa.Array, first: str) -> bool:
    """Tell whether Arrow took a column for what its first cell is, and lost no digit of whole numbers."""
    if pa.types.is_floating(values.type):
        return first_rounded(values) is None
    if pa.types.is_string(values.type):
        return not NUMBER.match(first)
    return pa.types.is_integer(values.type)


def _read_text(raw: bytes, form: TextLayout, wanted: Sequence[str], as_text: set[str], path: str) -> pd.DataFrame:
    """Read columns of a text table; in blank-separated text, cells left empty are found by their position."""
    by_blanks = form.separator == BLANKS
    last = form.names[-1]
    options: dict[str, Any] = {
        **{"names": form.names, "header": None, "skiprows": form.skip, "index_col": False},
        **{"usecols": list(dict.fromkeys([*wanted, *([last] if by_blanks else [])]))},
        **{"dtype": dict.fromkeys(as_text, str), "decimal": form.decimal, "na_values": NA_VALUES},
        **{"comment": "#", "skipinitialspace": True, "encoding_errors": "replace"},
    }
    frame = pd.read_csv(io.BytesIO(raw), sep=form.separator, **options)
    if not by_blanks or not frame[last].isna().any():
        return frame
    places = _places_of_cells(raw, form, last in wanted, path)
    if places is None:
        return frame
    del options["skipinitialspace"]
    return pd.read_fwf(io.BytesIO(raw), colspecs=places, **options)


def _places_of_cells(raw: bytes, form: TextLayout, last_wanted: bool, path: str) -> list[tuple[int, int]] | None:
    """Return where the cells of fixed-width text begin and end; None if every row has all its cells.

    Raises
    ------
    Unreadable
        If rows lack a cell, and the lines aren't aligned.
    """
    lines = list(enumerate(raw.decode("utf-8", "replace").splitlines(), 1))[form.skip :]
    lines = [(i, line) for i, line in lines if line.strip() and not line.lstrip().startswith("#")]
    counts = np.array([len(line.split()) for _, line in lines])
    n = len(form.names)
    short = counts < n
    remarks = not last_wanted and not _is_number(form.first[-1], form) and bool((counts[short] == n - 1).all())
    if not short.any() or remarks:
        return None
    width = max(len(line) for _, line in lines)
    filled = np.zeros(width + 2, bool)
    for _, line in lines:
        filled[1 : len(line) + 1] |= np.array([not mark.isspace() for mark in line], bool)
    edges = np.flatnonzero(np.diff(filled))
    if len(edges) != 2 * n:
        number = lines[int(np.flatnonzero(short)[0])][0]
        few = f"{counts[short][0]} cells under {n} names in line {number}"
        reason = f"has {few}, and which one is missing can't be told"
        raise Unreadable(path, reason, "write nan where a value is missing, or save the table as CSV")
    logger.info("%s: %d rows have empty cells, found by their place in the line", path, short.sum())
    return [(int(start), int(end)) for start, end in edges.reshape(n, 2)]


def _without_cut_line(raw: bytes, form: TextLayout, path: str) -> bytes:
    """Return the text without a last line that ends in the middle, which would give a wrong number."""
    end = raw.rfind(b"\n") + 1
    line = raw[end:]
    n_cells = len(split_cells(line.decode("utf-8", "replace"), form.separator))
    if end < 2 or not line.strip() or len(form.first) < len(form.names) or n_cells >= len(form.names):
        return raw
    if line.lstrip().startswith(b"#"):
        return raw
    logger.warning("%s: the last line has %d of %d cells and is left out", path, n_cells, len(form.names))
    return raw[:end]


def _without_repeated_names(raw: bytes, form: TextLayout, path: str) -> bytes:
    """Return the text without the line of names further down, as in files that were written one after another."""
    above = raw[: 1 << 18].split(b"\n", form.skip)[: form.skip]
    names = above[-1].strip() if above and form.named else b""
    if len(names) < 3 or raw.count(names) < 2:
        return raw
    lines = raw.split(b"\n")
    kept = [line for i, line in enumerate(lines) if i < form.skip or line.strip() != names]
    if n := len(lines) - len(kept):
        logger.info("%s: %d lines repeat the names of the columns, and are left out", path, n)
    return b"\n".join(kept)


def _snana(file: SourceFile, names: list[str]) -> Tabular:
    """Open SNANA's text format: keywords, the names after VARLIST, a row of numbers after each OBS."""
    text = file.raw.decode("utf-8", "replace")
    header = dict(re.findall(r"(?m)^(SNID|RA|DECL):[ \t]+(\S+)", text))
    body = "\n".join(line.partition(":")[2] for line in text.splitlines() if line.startswith("OBS:"))
    if not body:
        raise Unreadable(file.path, "is text of SNANA without any row (OBS:)", "leave the file out")
    try:
        frame = pd.read_csv(io.StringIO(body), sep=BLANKS, names=names, index_col=False, na_values=[*NA_VALUES, "NULL"])
    except (pd.errors.ParserError, ValueError) as error:
        raise Unreadable(file.path, f"is no regular table ({error})", NO_TABLE) from error
    ra, dec = (float(pd.to_numeric(header.get(name, ""), errors="coerce")) for name in ("RA", "DECL"))
    return Tabular(
        names,
        lambda wanted: {name: frame[name] for name in wanted},
        "SNANA text",
        object_id=header.get("SNID"),
        ra=None if np.isnan(ra) else ra,
        dec=None if np.isnan(dec) else dec,
    )


# ---- JSON ---------------------------------------------------------------------------------------------------------


def _json(file: SourceFile) -> Tabular:
    """Open a table in JSON; see `json_tables`."""
    table = json_tables.read_table(file)
    nested = [f.name for f in table.schema if arrow.is_list(f.type)]
    plain = [f.name for f in table.schema if not pa.types.is_nested(f.type)]
    meta = table.schema.metadata or {}
    texts = [f.name for f in table.schema if pa.types.is_string(f.type)]
    return Tabular(
        plain,
        lambda wanted: {name: table[name] for name in wanted},
        meta.get(b"product", b"JSON table").decode(),
        units_in_names(plain),
        meta.get(b"time_scale", b"").decode() or None,
        meta.get(b"object_id", b"").decode() or None,
        lists=nested,
        texts=texts,
        whole=[f.name for f in table.schema if pa.types.is_integer(f.type)],
    )


# ---- self-describing formats --------------------------------------------------------------------------------------


def _astropy(file: SourceFile, form: str) -> Tabular:
    """Open an ECSV, IPAC table or VOTable file by astropy."""
    raw, scale = with_known_times(file.raw) if form == "ascii.ecsv" else (file.raw, None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = Table.read(io.BytesIO(raw), format=form, **READ_BY_ASTROPY.get(form, {}))
    except Exception as error:  # astropy raises whatever its parsers raise
        reason = f"is in the format {PRODUCTS[form]}, but can't be parsed ({str(error)[:300]})"
        raise Unreadable(file.path, reason, "fix what the parser names, or save the table as CSV") from error
    return tabular_from_astropy(table, PRODUCTS[form], scale, "field" if form == "votable" else "header")


def tabular_from_astropy(table: Table, product: str, scale: str | None = None, stated_in: str = "unit") -> Tabular:
    """Return a table of astropy, a time series too, before its columns are read."""
    times = [name for name in table.colnames if isinstance(table[name], Time)]
    own = next((table[name].format.upper() for name in times if table[name].format in ("btjd", "bkjd")), None)
    plain_days = [name for name in times if own is None and _counts_from_zero(table[name])]
    lists = [name for name in table.colnames if name not in times and arrow.holds_arrays(table[name])]
    plain = [name for name in table.colnames if name not in lists]

    def load(wanted: Sequence[str]) -> Mapping[str, Any]:
        days = {
            name: (lambda column: np.asarray(column.value)) if own else (lambda column: column.mjd) for name in times
        } | dict.fromkeys(plain_days, lambda column: column.jd)
        how = days | dict.fromkeys(lists, arrow.lists_from_astropy)
        return {name: how.get(name, arrow.fill_masked)(table[name]) for name in wanted}

    units = {name: str(table[name].unit) for name in plain if getattr(table[name], "unit", None)}
    units |= _zero_points_described(table, [name for name in plain if name not in times])
    texts = [name for name in plain if name not in times and table[name].dtype.kind in "UO"]
    scale = scale or own or ("MJD" if times and not plain_days else None)
    whole = [name for name in plain if name not in times and table[name].dtype.kind in "iu"]
    return Tabular(plain, load, product, units, scale, lists=lists, texts=texts, whole=whole, stated_in=stated_in)


def _counts_from_zero(column: Time) -> bool:
    """Tell whether plain numbers of days were called Julian dates, as lightkurve does with times without a format."""
    return bool(len(column)) and column.format == "jd" and abs(float(np.nanmedian(column.jd))) < 1e6


def _zero_points_described(table: Table, names: Sequence[str]) -> dict[str, str]:
    """Return the scale and the zero point of dates whose description tells it: "Heliocentric Julian Date - 2450000"."""
    described = {name: str(getattr(table[name], "description", "") or "") for name in names}
    return {
        name: f"{_julian_date(name, text)} {zero[0]}"
        for name, text in described.items()
        if roles.normal_name(name) in roles.TIME and (zero := ZERO_POINT.search(text))
    }


def _julian_date(name: str, description: str) -> str:
    """Return which Julian date a column holds, by its name or else its description."""
    if roles.TIME[roles.normal_name(name)]:
        return name
    for date, words in (("BJD", "barycent|(?<![a-z])bjd"), ("HJD", "heliocent|(?<![a-z])hjd")):
        if re.search(words, description, re.IGNORECASE):
            return date
    return "JD"


def _parquet(file: SourceFile) -> Tabular:
    def load(wanted: Sequence[str]) -> Mapping[str, Any]:
        try:
            table = file.parquet.read(columns=list(wanted), use_pandas_metadata=False)
        except (pa.ArrowInvalid, OSError) as error:
            raise Unreadable(file.path, f"is a damaged Parquet file ({error})", CUT_SHORT) from error
        return {name: table[name] for name in wanted}

    return tabular_from_arrow(file.parquet.schema_arrow, load, "Parquet table")


def tabular_from_arrow(table: pa.Table | pa.Schema, load: Load, product: str = "table") -> Tabular:
    """Return a flat table of Arrow, or of Parquet by its schema, before its columns are read."""
    schema = table if isinstance(table, pa.Schema) else table.schema
    plain = [f for f in schema if not pa.types.is_nested(f.type) and not pa.types.is_binary(f.type)]
    stated = {f.name: f.metadata[b"unit"].decode() for f in plain if f.metadata and b"unit" in f.metadata}
    units = units_in_names([f.name for f in plain]) | stated
    meta = schema.metadata or {}
    scale = meta.get(b"time_scale", b"").decode() or None
    lists = [f.name for f in schema if arrow.is_list(f.type)]
    texts = [f.name for f in plain if str(f.type) in ("string", "large_string") or pa.types.is_dictionary(f.type)]
    names, whole = [f.name for f in plain], [f.name for f in plain if pa.types.is_integer(f.type)]
    return Tabular(names, load, product, units, scale, lists=lists, texts=texts, whole=whole, stated_in="metadata")


def _fits(file: SourceFile) -> Tabular:
    fits = file.fits
    extensions = {str(table.value("EXTNAME")).upper() for table in fits.tables}
    if extensions & {"TARGETTABLES", "PIXELS"}:
        raise Unreadable(file.path, "is a target pixel file, not a light curve", "download the light curve (_lc, _llc)")
    if fits.tables and all(name in fits.tables[0] for name in ("FLUXCAL", "PHOTFLAG")) and "SNID" not in fits.tables[0]:
        raise Unreadable(file.path, "is the PHOT half of an SNANA pair", "give the HEAD file, the PHOT file beside it")
    if not fits.tables:
        raise Unreadable(file.path, "is a FITS file without a binary table", "check that it is a light curve")
    table = fits.tables[0]
    scale, units = _fits_time_scale(fits.text("TIME_FORMAT"), table.value("BJDREFI")), {}
    names, offset = [*table.time_names, *table.plain_names], None if table.time_names else _fits_time_offset(table)
    for name in names:
        if unit := table.unit(name):
            units[name] = unit
    return Tabular(
        names,
        lambda wanted: {name: table.mjd(name) if name in table.time_names else table[name] for name in wanted},
        "FITS table",
        units,
        "MJD" if table.time_names or offset is not None else scale,
        fits.text("LABEL", "OBJECT", "TARGETID", "TICID", "KEPLERID", "SNID") or None,
        fits.text("MISSION", "TELESCOP") or None,
        fits.number("RA_OBJ", "RA"),
        fits.number("DEC_OBJ", "DEC"),
        texts=table.names_of_kind("S"),
        time_offset=offset or 0.0,
        whole=table.names_of_kind("iu"),
        stated_in="header (TUNIT, TIMESYS, MJDREF)",
    )


def _fits_time_offset(table: FitsTable) -> float | None:
    """Return the MJD that the times count from, by MJDREF (or MJDREFI and MJDREFF) and TIMEZERO; None if none is told.

    High-energy missions write it (OGIP/93-003): MJD = MJDREF + TIMEZERO + TIME, in the unit of TIME.
    """

    def number(name: str) -> float:
        value = table.value(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0

    if all(table.value(name) is None for name in ("MJDREF", "MJDREFI")):
        return None
    days = days_in_unit(str(table.value("TIMEUNIT") or "s")) or 1.0
    zero = number("TIMEZERO") if table.value("TIMEZERO") is not None else number("TIMEZERI") + number("TIMEZERF")
    reference = number("MJDREF") or number("MJDREFI") + number("MJDREFF")
    return reference + zero * days if reference else None


def _fits_time_scale(stated: str, reference: Any) -> str | None:
    """Return the scale of TIME that a header tells: lightkurve's TIME_FORMAT, or the missions' BJDREFI."""
    if stated.upper() in ("BTJD", "BKJD", "MJD", "JD"):
        return stated.upper()
    return BARYCENTRIC.get(float(reference)) if isinstance(reference, int | float) else None


ECSV_COMMENTS = re.compile(rb"(?:#[^\n]*(?:\n|\Z))*")
# In ECSV: days from a zero point of their own, which lightkurve adds to the formats of `astropy.time`.
OWN_TIME_FORMAT = re.compile(rb"(\bformat: *)(btjd|bkjd)\b")


def ecsv_header(raw: bytes) -> Mapping[str, Any]:
    """Return the metadata of an ECSV file, the names in upper case; none if its header can't be parsed."""
    lines = ECSV_COMMENTS.match(raw)[0].decode("utf-8", "replace").splitlines()  # type: ignore[index]  # matches anything
    try:
        with warnings.catch_warnings(action="ignore"):
            parsed = meta.get_header_from_yaml(line[2:] for line in lines if not line.startswith("# %"))
        return {str(name).upper(): value for name, value in parsed.get("meta", {}).items()}
    except Exception:  # a YAML parser raises what it likes; the reader of the table tells what is wrong
        return {}


def with_known_times(raw: bytes) -> tuple[bytes, str | None]:
    """Return an ECSV file that astropy opens without lightkurve, and the scale of its times if they needed that.

    The numbers stay what they are: days that astropy takes as MJD.
    """
    end = ECSV_COMMENTS.match(raw).end()  # type: ignore[union-attr]  # matches anything
    own = OWN_TIME_FORMAT.search(raw, 0, end)
    if own is None:
        return raw, None
    return OWN_TIME_FORMAT.sub(rb"\1mjd", raw[:end]) + raw[end:], own[2].decode().upper()
