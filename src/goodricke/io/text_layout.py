"""How a text table is laid out: names, separator, decimal mark, rows of units, where its numbers begin.

Known beside plain CSV and blank-separated text: VizieR's TSV (names, a row of units, a row of dashes), AAVSO's extended
format (with or without its line of names), AAVSO's downloads without a line of names, and numbers with decimal commas.
"""

from __future__ import annotations

import csv
import logging
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from goodricke.data.units import brightness_unit, days_in_unit, unit_in_name
from goodricke.io.options import Unreadable

logger = logging.getLogger("goodricke")

NO_TABLE = "check that it is a table of observations with a line of column names"
HEADERLESS = {2: ["time", "value"], 3: ["time", "value", "error"]}
COMMENT = ("#", "%", "!", "\\", "//")
SEPARATORS = (",", ";", "\t", "|")
BLANKS = r"\s+"
WITH_BRACKETS = re.compile(r"[^\s,;\[(]+(?:\s*(?:\[[^\]]{0,99}\]|\([^)]{0,99}\)))*")  # "time [s] flux" are two names
MISSING = ("nan", "inf", "null", "none", "indef", "na", "n/a", "untrusted")  # words for no number, in any case
NUMBER = re.compile(
    rf"^[+-]?(\d+(\.\d*)?|\.\d+)([eEdD][+-]?\d+)?$|^[+-]?({'|'.join(MISSING)}|-+|\?)$|^$", re.IGNORECASE
)
DECIMAL_COMMA = re.compile(r"^[+-]?\d+,\d+([eE][+-]?\d+)?$")
RDB_KIND = re.compile(r"^\d*[NSM]$")  # number, text or month: the second line of an RDB table
DASHES = re.compile(r"^-*$")
TIME_WORD = re.compile(r"(?<![a-z])[bhmrt]?jd(?![a-z]{3})|time|date(?!d)|epoch", re.IGNORECASE)
MOST_PREAMBLE = 40  # lines about the star above the names
# The order of columns is fixed in both of AAVSO's formats (https://www.aavso.org/aavso-extended-file-format).
AAVSO_FORMATS = {
    "extended": [
        "NAME",
        "DATE",
        "MAG",
        "MERR",
        "FILT",
        "TRANS",
        "MTYPE",
        "CNAME",
        "CMAG",
        "KNAME",
        "KMAG",
        "AMASS",
        "GROUP",
        "CHART",
        "NOTES",
    ],
    "visual": ["NAME", "DATE", "MAG", "COMMENTCODE", "COMP1", "COMP2", "CHART", "NOTES"],
}
AAVSO_DOWNLOAD = (
    *("JD", "Magnitude", "Uncertainty", "HQuncertainty", "Band", "Observer Code", "Comment Code(s)", "Comp Star 1"),
    *("Comp Star 2", "Charts", "Comments", "Transfomed", "Airmass", "Validation Flag", "Cmag", "Kmag", "HJD"),
    *("Star Name", "Observer Affiliation", "Measurement Method", "Grouping Method", "ADS Reference", "Digitizer"),
    "Credit",
)
PLAIN_JULIAN = (2.4e6, 2.6e6)  # days: times that can be nothing else
PLAIN_MAGNITUDE = (3.0, 30.0)  # numbers around 0 or 1 may be relative to something
PLAIN_ERROR = 2.0  # mag
# Files of OGLE have no names: heliocentric Julian dates, in full or short, magnitudes and uncertainties.
OGLE = re.compile(r"^OGLE[-_]", re.IGNORECASE)
BAND = re.compile(r"^([UBVRIJHKG]|[RI]c|Ks|[ugrizy]'?|BP|RP|W[1-4]|C[VR]|TESS)$")
SHORT_JULIAN = (0.0, 2e4)  # days after JD 2450000, since 1995


@dataclass(frozen=True)
class TextLayout:
    """How a text table is laid out.

    Parameters
    ----------
    names : list of str
        One per column.
    separator : str
        As `pandas.read_csv` takes it.
    skip : int
        Lines before the first row of numbers.
    product : str
        What the file is called.
    first : list of str
        The cells of the first row of numbers.
    decimal : str
        The mark between whole and fractional part.
    units : mapping of str
        From a row of units under the names.
    time_scale : str, optional
        Where the header states it.
    roles : mapping of str
        Columns of text without names that can be only one thing, by role.
    named : bool
        Whether the columns have names.
    """

    names: list[str]
    separator: str
    skip: int
    product: str
    first: list[str]
    decimal: str = "."
    units: Mapping[str, str] = field(default_factory=dict)
    time_scale: str | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    named: bool = True


Rows = Sequence[tuple[int, str]]  # number and text of lines


def text_layout(text: str, path: str) -> TextLayout:
    """Return how a text table is laid out, from its beginning.

    The names are on the first line that isn't a comment; or, if there are numbers on that line, on the last comment.

    Raises
    ------
    Unreadable
        If there is no row, or rows are wider than the names.
    """
    lines = re.split(r"\r\n|\r|\n", text)
    rows: Rows = [(i, s) for i, s in enumerate(lines) if s.strip() and not s.lstrip().startswith(COMMENT)]
    if not rows:
        raise Unreadable(path, "is a text file without any row", NO_TABLE)
    if (aavso := _aavso_format(lines[: rows[0][0]], rows, path)) is not None:
        return aavso
    rows = _without_preamble(rows, path)
    if len(rows) > 1 and rows[1][1].startswith("Aperture:"):  # Muniwin's second line
        rows = [(rows[1][0], rows[0][1]), *rows[2:]]
    separator = _separator([line for _, line in rows[:3]])
    decimal = "," if separator != "," and _has_decimal_commas(rows[:50], separator) else "."
    begin, top = rows[0]
    cells = split_cells(top, separator)
    product = "CSV" if separator == "," else "text table"
    if any(cell and _is_number(cell, decimal) for cell in cells):
        _check_width(rows, separator, path)
        return _names_in_comment(lines[:begin], rows, separator, decimal, product, path)
    if len(rows) < 2:
        raise Unreadable(path, "is a text file without any row of numbers", NO_TABLE)
    # ZTF's forced photometry has commas between the names and blanks between the numbers
    names = cells if _separator([top]) == separator else re.split(r"[,;\s]+", top.strip(" ,;\t\r\n"))
    n_header, units = _rows_under_names(rows, separator)
    if len(rows) <= n_header:
        raise Unreadable(path, "is a text file without any row of numbers", NO_TABLE)
    _check_width([rows[0], *rows[n_header:]], separator, path)
    _check_one_table(rows[n_header:], separator, path)
    first = split_cells(rows[n_header][1], separator)
    if len(bracketed := WITH_BRACKETS.findall(top)) == len(first) < len(names):
        names = bracketed
    names = _unique(names)
    stated = {name: unit for name, unit in zip(names, units, strict=False) if unit}
    if n_header > 1:
        product = "VizieR table" if any("vizier" in line.lower() for line in lines[:begin]) else product
    return TextLayout(names, separator, rows[n_header - 1][0] + 1, product, first, decimal, stated)


def _without_preamble(rows: Rows, path: str) -> Rows:
    """Return rows from the line of names on, where lines about the star without a comment mark are above it.

    It is the first line that names a time above a line of as many cells that begins with a number.
    """
    if TIME_WORD.search(rows[0][1]) or NUMBER.match(split_cells(rows[0][1], _separator([rows[0][1]]))[0]):
        return rows
    for i in range(1, min(len(rows) - 1, MOST_PREAMBLE)):
        (_, names), (_, numbers) = rows[i : i + 2]
        separator = _separator([names, numbers])
        cells, first = split_cells(names, separator), split_cells(numbers, separator)
        is_header = TIME_WORD.search(names) and len(cells) == len(first) > 1 and not any(map(NUMBER.match, cells))
        if is_header and any(cell and NUMBER.match(cell) for cell in first):
            logger.info("%s: the %d lines above the names of the columns are skipped", path, i)
            return rows[i:]
    return rows


def split_cells(line: str, separator: str) -> list[str]:
    """Return the cells of a line without blanks and quotation marks around them."""
    if '"' in line and separator != BLANKS:  # separators within quotation marks are none
        with suppress(csv.Error, StopIteration):
            return [cell.strip().strip("\"'") for cell in next(csv.reader([line], delimiter=separator))]
    parts = line.split() if separator == BLANKS else line.split(separator)
    return [part.strip().strip("\"'") for part in parts]


def units_in_names(names: Sequence[str]) -> dict[str, str]:
    """Return the units that columns have in their names."""
    return {name: unit for name in names if (unit := unit_in_name(name))}


# ---- names --------------------------------------------------------------------------------------------------------


def _names_in_comment(
    comments: Sequence[str], rows: Rows, separator: str, decimal: str, product: str, path: str
) -> TextLayout:
    """Return the layout of a table whose first row has numbers: the names are on the last comment, or nowhere."""
    begin, top = rows[0]
    cells = split_cells(top, separator)
    remarks = [line.lstrip(" #%!\\/") for line in comments if line.strip(" #%!\\/\r\n")]
    last = remarks[-1].strip() if remarks else ""
    for names in (re.split(r"[,;\s]+", last), split_cells(last, separator), WITH_BRACKETS.findall(last)):
        if len(names) == len(cells) and not all(NUMBER.match(name) for name in names):
            return TextLayout(_unique(names), separator, begin, product, cells, decimal)
    for remark in reversed(remarks[:-1]):  # names, and more remarks below them
        names = split_cells(remark, separator)
        if len(names) == len(cells) and TIME_WORD.search(remark) and not any(map(NUMBER.match, names)):
            return TextLayout(_unique(names), separator, begin, product, cells, decimal)
    if len(cells) in (23, 24) and separator == "," and _in_range(cells[0], PLAIN_JULIAN) and cells[4].isalpha():
        return TextLayout(list(AAVSO_DOWNLOAD[: len(cells)]), separator, begin, "AAVSO download", cells, decimal)
    if len(cells) >= 3 and OGLE.match(os.path.basename(path)) and _is_ogle(rows, separator, decimal):
        names = ["HJD" if _in_range(cells[0], PLAIN_JULIAN) else "HJD-2450000", "mag", "mag_err"]
        names += [str(i + 1) for i in range(3, len(cells))]
        roles = _plain_roles(names, rows, separator)
        return TextLayout(
            names, separator, begin, "OGLE photometry", cells, decimal, roles=roles, named=len(names) == 3
        )
    if len(cells) in HEADERLESS:
        names = HEADERLESS[len(cells)]
        units = dict.fromkeys(names[1:], "mag") if _is_plain(rows, separator, decimal) else {}
        return TextLayout(names, separator, begin, product, cells, decimal, units, named=False)
    names = [str(i + 1) for i in range(len(cells))]
    plain = _plain_roles(names, rows, separator) if _is_plain(rows, separator, decimal) else {}
    units = {plain["value"]: "mag", plain["error"]: "mag"} if plain else {}
    return TextLayout(names, separator, begin, product, cells, decimal, units, roles=plain, named=False)


def _plain_roles(names: Sequence[str], rows: Rows, separator: str) -> dict[str, str]:
    """Return the roles of columns that begin with time, magnitude and error; one of bands further on has its own."""
    cells = [split_cells(line, separator) for _, line in rows[:1000]]
    bands = [
        name for i, name in enumerate(names) if i > 2 and all(len(row) > i and BAND.match(row[i]) for row in cells)
    ]
    return dict(zip(("time", "value", "error"), names, strict=False)) | ({"band": bands[0]} if len(bands) == 1 else {})


def _is_plain(rows: Rows, separator: str, decimal: str) -> bool:
    """Tell whether the first three columns can be only Julian dates, magnitudes and their uncertainties."""
    return _are_magnitudes(rows, separator, decimal, PLAIN_JULIAN)


def _is_ogle(rows: Rows, separator: str, decimal: str) -> bool:
    """Tell whether three columns are dates, magnitudes and uncertainties as OGLE writes them."""
    return any(_are_magnitudes(rows, separator, decimal, dates) for dates in (SHORT_JULIAN, PLAIN_JULIAN))


def _are_magnitudes(rows: Rows, separator: str, decimal: str, dates: tuple[float, float]) -> bool:
    """Tell whether the first three columns are in the ranges of some dates, magnitudes and their uncertainties."""
    cells = [[cell.replace(decimal, ".") for cell in split_cells(line, separator)[:3]] for _, line in rows[:1000]]
    if any(len(row) < 3 for row in cells) or not all("." in row[1] and "." in row[2] for row in cells[:1]):
        return False
    ranges = (dates, PLAIN_MAGNITUDE, (0.0, PLAIN_ERROR))
    return all(all(map(_in_range, row, ranges)) for row in cells)


def _in_range(cell: str, limits: tuple[float, float]) -> bool:
    try:
        return limits[0] <= float(cell) <= limits[1]
    except ValueError:
        return False


def _rows_under_names(rows: Rows, separator: str) -> tuple[int, list[str]]:
    """Return how many rows the names take with a row of units and one of dashes below, and the units."""
    below = [split_cells(line, separator) for _, line in rows[1:3]]
    dashes = next((i for i, cells in enumerate(below) if any(cells) and all(map(DASHES.match, cells))), None)
    if dashes is not None:
        return dashes + 2, below[0] if dashes else []
    if len(below) > 1 and _are_units(below[0]):
        return 2, below[0]
    if len(below) > 1 and len(below[0]) > 1 and all(map(RDB_KIND.match, below[0])):
        return 2, []
    return 1, []


def _are_units(cells: Sequence[str]) -> bool:
    """Tell whether a row has units alone, one of time among them."""
    words = [cell.strip("[]()") for cell in cells]
    if any(cell and NUMBER.match(cell) for cell in words):
        return False
    is_time = [bool(word) and days_in_unit(word) is not None for word in words]
    is_other = [word in ("", "mag", "deg") or brightness_unit("", word)[1] != 1 or "Jy" in word for word in words]
    return any(is_time) and all(time or other for time, other in zip(is_time, is_other, strict=True))


def _check_one_table(rows: Rows, separator: str, path: str) -> None:
    """Refuse a file with a second table further down, which VizieR gives where several were asked for."""
    for number, line in rows:
        if line.startswith("---") and all(map(DASHES.match, split_cells(line, separator))):
            reason = f"holds several tables (the names of another stand above line {number + 1})"
            raise Unreadable(path, reason, "save the one with the observations to a file of its own")


def _aavso_format(comments: Sequence[str], rows: Rows, path: str) -> TextLayout | None:
    """Return the layout of a file in one of AAVSO's formats, None if it is none."""
    header = dict(
        line.lstrip("# ").strip().upper().split("=", 1) for line in comments if re.match(r"#\s*\w+\s*=", line)
    )
    columns = AAVSO_FORMATS.get(header.get("TYPE", "").lower())
    if columns is None:
        return None
    written = header.get("DELIM", ",")
    separator = {"TAB": "\t", "COMMA": ",", "SEMICOLON": ";", "": ","}.get(written, written)
    dates = header.get("DATE", "JD")
    if dates not in ("JD", "HJD", "BJD"):
        fix = "convert the dates to Julian dates and write #DATE=JD"
        raise Unreadable(path, f"is in AAVSO's {header['TYPE'].lower()} format with dates of the kind {dates}", fix)
    begin, top = rows[0]
    first = split_cells(top, separator)
    if first[0].upper() == "NAME":
        first, begin = (split_cells(rows[1][1], separator) if len(rows) > 1 else []), begin + 1
    named = [line.lstrip("# ") for line in comments if line.lstrip("# ").upper().startswith("NAME")]
    names = split_cells(named[-1], separator) if named else columns
    if len(names) < len(first):
        raise Unreadable(path, f"has rows of {len(first)} cells under {len(names)} names", NO_TABLE)
    return TextLayout(names, separator, begin, "AAVSO extended format", first, time_scale=dates)


# ---- separators and widths ----------------------------------------------------------------------------------------


def _separator(lines: Sequence[str]) -> str:
    """Return the separator that stands between the cells of the first row of numbers.

    A mark that the line of names has as often wins; where marks contradict each other, a comma between digits is a
    decimal mark.
    """
    row = lines[min(1, len(lines) - 1)]
    marks = [mark for mark in SEPARATORS if mark in row]
    if "," in marks and (len(marks) > 1 or re.search(r"\d,\d+\s+[-+]?\d+,\d", row)):
        others = [mark for mark in marks if mark != ","] or [BLANKS]
        fitting = [mark for mark in others if all(map(_could_be_decimal, split_cells(row, mark)))]
        if fitting and any(DECIMAL_COMMA.match(cell) for cell in split_cells(row, fitting[0])):
            return fitting[0]
    return marks[0] if marks else BLANKS


def _could_be_decimal(cell: str) -> bool:
    return "," not in cell or bool(DECIMAL_COMMA.match(cell))


def _has_decimal_commas(rows: Rows, separator: str) -> bool:
    """Tell whether numbers have decimal commas: some have one comma each, and none has a point."""
    cells = [cell for _, line in rows for cell in split_cells(line, separator)]
    with_comma = [cell for cell in cells if DECIMAL_COMMA.match(cell)]
    return bool(with_comma) and not any("." in cell and NUMBER.match(cell) for cell in cells)


def _is_number(cell: str, decimal: str) -> bool:
    return bool(NUMBER.match(cell) or (decimal == "," and DECIMAL_COMMA.match(cell)))


def _check_width(rows: Rows, separator: str, path: str) -> None:
    """Refuse a table whose later rows are wider than its second; a separator at the end of a line is no cell."""
    if separator == BLANKS:  # remarks at the end of a line are common there, and do no harm
        return
    marks = f"{separator} \t\r\n"
    width = max(len(split_cells(line.rstrip(marks), separator)) for _, line in rows[:2])
    for number, line in rows[2:]:
        if line.count(separator) >= width and '"' not in line and line.rstrip(marks).count(separator) >= width:
            raise Unreadable(path, f"is no regular table (line {number + 1} has more than {width} cells)", NO_TABLE)


def _unique(names: Sequence[str]) -> list[str]:
    """Return the names, the second of the same kind with a number."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return result
