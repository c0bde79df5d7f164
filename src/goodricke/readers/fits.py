"""FITS headers and binary tables, fast: the few keywords and columns asked for, straight from the bytes.

A survey is millions of small files, and `astropy.io.fits` spends several milliseconds on each, nearly all of them on
describing columns and cards that nobody reads; and its warnings belong to the whole process, so that reading in threads
can't silence them. The tests hold this module against astropy, keyword by keyword and column by column.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.readers.options import Unreadable

BLOCK = 2880  # FITS files are made of blocks of this many bytes
CARD = 80
TYPES = {"L": "S1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8", "A": "S"}
WIDTHS = {"L": 1, "X": 0, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}
CUT_SHORT = "download it again: the transfer was broken off"
TEXT = re.compile(r"\s*'((?:[^']|'')*)'")

Header = dict[str, str]  # keyword to the text of its value and comment; see `value_of`


def header_at(raw: bytes, start: int) -> tuple[Header, int]:
    """Return the header that begins at a byte, and where its data begin.

    Raises
    ------
    ValueError
        If it has no END.
    """
    end = raw.find(b"END" + b" " * 77, start)
    while end >= 0 and (end - start) % CARD:  # the same bytes inside a card
        end = raw.find(b"END" + b" " * 77, end + 1)
    if end < 0:
        raise ValueError("no END")
    text, header = raw[start:end].decode("latin-1"), Header()
    for i in range(0, len(text), CARD):
        keyword, card = text[i : i + 8].rstrip(), text[i : i + CARD]
        if keyword == "HIERARCH" and "=" in card:
            keyword, _, rest = card[9:].partition("=")
            header.setdefault(keyword.strip().upper(), rest)
        elif card[8:10] == "= ":
            header.setdefault(keyword, card[10:])
    return header, start + -(-(end + CARD - start) // BLOCK) * BLOCK


def value_of(header: Header, keyword: str) -> Any:
    """Return a keyword's value as str, bool, int or float; None if it is missing, undefined or malformed."""
    text = header.get(keyword)
    if text is None:
        return None
    if found := TEXT.match(text):
        return found[1].replace("''", "'").rstrip() or None
    word = text.partition("/")[0].strip()
    if word in ("T", "F"):
        return word == "T"
    for kind in (int, float):
        try:
            return kind(word.replace("D", "E"))
        except ValueError:
            pass
    return None


def whole(header: Header, keyword: str, default: int | None = None) -> int:
    """Return a keyword's value as an integer.

    Raises
    ------
    ValueError
        If it is missing without a default, or no integer.
    """
    value = value_of(header, keyword)
    if value is None and default is not None:
        return default
    if not isinstance(value, int):
        raise ValueError(f"{keyword} is {value}")
    return value


def data_size(header: Header) -> int:
    """Return the number of bytes of data after a header, without padding (FITS standard 4.0, equations 1 and 2)."""
    axes = [whole(header, f"NAXIS{i + 1}") for i in range(whole(header, "NAXIS"))]
    if not axes:
        return 0
    size = abs(whole(header, "BITPIX")) // 8 * whole(header, "GCOUNT", 1)
    return size * (whole(header, "PCOUNT", 0) + int(np.prod(axes, dtype=np.int64)))


class FitsTable:
    """One binary table extension: its header, and its columns by name (any case) as native NumPy arrays."""

    def __init__(self, path: str, raw: bytes, header: Header, start: int) -> None:
        self.path, self.header, self._raw, self._start = path, header, raw, start
        self.used: list[str] = []  # columns that were read
        self.length, self._width = whole(header, "NAXIS2"), whole(header, "NAXIS1")

    def value(self, keyword: str) -> Any:
        """Return the value of a keyword of this extension's header, None if there is none."""
        return value_of(self.header, keyword)

    @cached_property
    def _fields(self) -> dict[str, tuple[str, int, int, int]]:
        """Type code, repeat count, byte offset in a row and number of each column, by its upper-case name."""
        fields, offset = {}, 0
        for i in range(1, whole(self.header, "TFIELDS", 0) + 1):
            found = re.match(r"\s*(\d*)([LXBIJKAEDCMPQ])", str(self.value(f"TFORM{i}")))
            if not found:
                raise Unreadable(self.path, f"column {i} has no valid format", "check the file with fitsverify")
            repeat, code = int(found[1] or 1), found[2]
            fields[str(self.value(f"TTYPE{i}") or f"col{i}").upper()] = (code, repeat, offset, i)
            offset += (repeat + 7) // 8 if code == "X" else repeat * WIDTHS[code]
        return fields

    @cached_property
    def names(self) -> list[str]:
        """Names of the columns as written in the file."""
        return [str(self.value(f"TTYPE{field[3]}") or name) for name, field in self._fields.items()]

    @cached_property
    def plain_names(self) -> list[str]:
        """Names of the columns with one number or text per row."""
        flat = [code == "A" or (code in TYPES and repeat == 1) for code, repeat, _, _ in self._fields.values()]
        return [name for name, keep in zip(self.names, flat, strict=True) if keep]

    def __contains__(self, name: str) -> bool:
        return name.upper() in self._fields

    def __getitem__(self, name: str) -> NDArray:
        """Return a column (n,) in native byte order, scaled as the header says, undefined integers as NaN.

        Raises
        ------
        Unreadable
            If there is no such column, or it holds more than one number per row.
        """
        if name not in self:
            raise Unreadable(self.path, f"has no column {name}; it has {', '.join(self.names)}", "name another column")
        code, repeat, offset, number = self._fields[name.upper()]
        if code not in TYPES or (repeat != 1 and code != "A"):
            raise Unreadable(self.path, f"column {name} is not one number per row", "name another column")
        kind = f"S{repeat}" if code == "A" else TYPES[code]
        self.used.append(self.names[number - 1])
        if not self.length:
            return np.zeros(0, kind)
        column: NDArray = np.ndarray(self.length, kind, self._raw, self._start + offset, (self._width,))
        return self._scaled(column.astype(column.dtype.newbyteorder("=")), number)

    def get(self, name: str) -> NDArray | None:
        """Return a column, None if there is none of that name."""
        return self[name] if name in self else None  # noqa: SIM401  this is that method

    def _scaled(self, column: NDArray, number: int) -> NDArray:
        if column.dtype.kind == "S":
            return np.char.strip(np.char.decode(column, "ascii", "replace"))
        null, scale, zero = (self.value(f"{key}{number}") for key in ("TNULL", "TSCAL", "TZERO"))
        result = column
        if scale not in (None, 1) or zero not in (None, 0):
            result = column * (1.0 if scale is None else scale) + (0.0 if zero is None else zero)
        if null is not None and column.dtype.kind in "iu" and (column == null).any():
            result = np.where(column == null, np.nan, result)
        return result

    def unit(self, name: str) -> str | None:
        """Return the unit of a column as written in the file."""
        unit = self.value(f"TUNIT{self._fields[name.upper()][3]}")
        return None if unit is None else str(unit)


class FitsFile:
    """A FITS file held in memory: the primary header and the binary tables.

    Raises
    ------
    Unreadable
        If it is no FITS file, or ends before its headers say it does.
    """

    def __init__(self, path: str, raw: bytes) -> None:
        self.path, self.tables, self.header = path, list[FitsTable](), Header()
        start = number = 0
        while start < len(raw) and (start == 0 or raw[start : start + 8] == b"XTENSION"):
            try:
                header, data = header_at(raw, start)
                end = data + data_size(header)
            except ValueError as error:
                where = f"extension {number}" if number else "the primary header"
                raise Unreadable(path, f"has a broken or unfinished header ({where}: {error})", CUT_SHORT) from error
            if end > len(raw):
                have = f"{len(raw):,} of at least {end:,} bytes are there"
                raise Unreadable(path, f"is cut short: {have}", CUT_SHORT)
            if not number:
                self.header = header
            elif value_of(header, "XTENSION") == "BINTABLE":
                self.tables.append(FitsTable(path, raw, header, data))
            start, number = data + -(-(end - data) // BLOCK) * BLOCK, number + 1

    def get(self, *keywords: str) -> Any:
        """Return the first value found among keywords, in the primary header, then in the tables'; None if none."""
        for header in (self.header, *(table.header for table in self.tables)):
            for keyword in keywords:
                value = value_of(header, keyword)
                if value is not None:
                    return value
        return None

    def number(self, *keywords: str) -> float | None:
        """Return the first value found among keywords if it is a number."""
        value = self.get(*keywords)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def text(self, *keywords: str) -> str:
        """Return the first value found among keywords as text, empty if there is none."""
        value = self.get(*keywords)
        return "" if value is None else str(value).strip()
