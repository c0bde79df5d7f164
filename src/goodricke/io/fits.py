"""FITS headers and binary tables, by `astropy.io.fits`, with the few operations that the readers of products need."""

from __future__ import annotations

import io
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from goodricke.data.units import ZERO_POINTS
from goodricke.io.options import Unreadable

# Barycentric time scales by their zero points [JD].
BARYCENTRIC = {ZERO_POINTS["BTJD"]: "BTJD", ZERO_POINTS["BKJD"]: "BKJD", 0.0: "BJD"}
UNIT_IN_COMMENT = re.compile(r"^- \{name: ([^,{}]+), unit: ([^,{}]+)[,}]", re.MULTILINE)
CUT_SHORT = "download it again: the transfer was broken off"
_FILTERS = threading.RLock()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence astropy's warnings, in one thread at a time: the filters of warnings belong to the integer process."""
    with _FILTERS, warnings.catch_warnings(action="ignore"):
        yield


@_quiet()
def header_value(headers: list[fits.Header], *keywords: str) -> Any:
    """Return the first value among keywords in headers; None if all are missing, empty, undefined or malformed."""
    for header in headers:
        for keyword in keywords:
            with suppress(KeyError, fits.VerifyError):
                value = header[keyword]
                if value != "" and not isinstance(value, fits.card.Undefined):
                    return value
    return None


class FitsTable:
    """One binary table: its columns by name, in any case."""

    def __init__(self, path: str, raw: bytes, hdu: fits.BinTableHDU) -> None:
        length = header_value([hdu.header], "NAXIS2")
        if not isinstance(length, int) or length < 0:
            raise Unreadable(
                path, "has a broken header (a table without its number of rows)", "check it with fitsverify"
            )
        self.path, self.header, self.length, self.columns_read = path, hdu.header, length, list[str]()
        self._raw, self._hdu = raw, hdu

    def value(self, keyword: str) -> Any:
        """Return the value of a keyword of this table's header, None if there is none."""
        return header_value([self.header], keyword)

    @cached_property
    @_quiet()
    def _rows(self) -> NDArray:
        """The rows as they are in the file; ``hdu.data``, which also scales, takes three times as long."""
        try:
            kind = self._hdu.columns.dtype.newbyteorder(">")
            if kind.itemsize != self.header["NAXIS1"]:
                raise ValueError(f"columns of {kind.itemsize} bytes in rows of {self.header['NAXIS1']}")
            return np.frombuffer(self._raw, kind, self.length, self._hdu.fileinfo()["datLoc"])
        except Exception as error:  # astropy raises whatever its parsers raise
            raise Unreadable(self.path, f"has a broken table ({error})", "check it with fitsverify") from error

    @cached_property
    def _names(self) -> dict[str, str]:
        return {name.upper(): name for name in self._rows.dtype.names or ()}

    @cached_property
    def plain_names(self) -> list[str]:
        """Names of the columns with one number or text per row, as written in the file."""
        kinds = self._rows.dtype
        return [name for name in self._names.values() if kinds[name].kind in "iufS" and not kinds[name].shape]

    def names_of_kind(self, kinds: str) -> list[str]:
        """Return the plain columns whose NumPy kind is one of ``kinds``: "S" text, "i" and "u" whole numbers."""
        return [name for name in self.plain_names if self._rows.dtype[name].kind in kinds]

    @cached_property
    def time_names(self) -> list[str]:
        """Names of the columns of times that astropy wrote: two numbers per row, whose sum is the Julian date."""
        kinds = self._rows.dtype
        pairs = [name for name in self._names.values() if kinds[name].base.kind == "f" and kinds[name].shape == (2,)]
        numbers = {name: i for i, name in enumerate(kinds.names or (), 1)}
        return [name for name in pairs if self.value(f"TCTYP{numbers[name]}") or self.value("JDREF") is not None]

    def mjd(self, name: str) -> NDArray[np.float64]:
        """Return the MJD (n,) of one of `time_names`, to the precision of the pair."""
        self.columns_read.append(name)
        pair = np.asarray(self._rows[name], np.float64)
        return (pair[:, 0] - ZERO_POINTS["MJD"]) + pair[:, 1] + float(self.value("JDREF") or 0)

    def __contains__(self, name: str) -> bool:
        return name.upper() in self._names

    @_quiet()
    def __getitem__(self, name: str) -> NDArray:
        """Return a column (n,) in native byte order, scaled as the header says, undefined integers as NaN.

        Raises
        ------
        Unreadable
            If there is no such column, or it holds more than one number per row.
        """
        if name not in self:
            reason = f"has no column {name}; it has {', '.join(self._names.values())}"
            raise Unreadable(self.path, reason, "name another column")
        if (name := self._names[name.upper()]) not in self.plain_names:
            raise Unreadable(self.path, f"column {name} is not one number per row", "name another column")
        self.columns_read.append(name)
        column = self._hdu.columns[name]
        unscaled = column.bscale is None and column.bzero is None and column.format.format != "L"
        values = np.asarray((self._rows if unscaled else self._hdu.data)[name])
        if values.dtype.kind == "S":
            return np.char.strip(np.char.decode(values, "ascii", "replace"))
        if column.null is not None:
            undefined = values == column.null * (column.bscale or 1) + (column.bzero or 0)
            values = np.where(undefined, np.nan, values) if undefined.any() else values
        return values.astype(values.dtype.newbyteorder("="))

    def get(self, name: str) -> NDArray | None:
        """Return a column, None if there is none of that name."""
        return self[name] if name in self else None  # noqa: SIM401  this is that method

    def flux_column(self, name: str) -> str:
        """Return the name of a flux column.

        Raises
        ------
        Unreadable
            If the table doesn't have it, naming the flux columns that it has.
        """
        if name in self:
            return name
        others = [n for n in self.plain_names if "FLUX" in n.upper() and "ERR" not in n.upper()]
        raise Unreadable(self.path, f"has no flux column {name}", f"choose one of {', '.join(others)} with --flux")

    def unit(self, name: str) -> str | None:
        """Return the unit of a column as written in the file, or in the comments for units that FITS doesn't know."""
        name = self._names[name.upper()]
        return self._hdu.columns[name].unit or self._units_in_comments.get(name)

    @cached_property
    def _units_in_comments(self) -> dict[str, str]:
        """Units by column, as astropy keeps those that no TUNIT may hold (electron / s): in YAML in the comments."""
        comments = header_value([self.header], "COMMENT")
        return dict(UNIT_IN_COMMENT.findall("\n".join(str(line) for line in comments))) if comments else {}


class FitsFile:
    """A FITS file held in memory: the primary header and the binary tables.

    Raises
    ------
    Unreadable
        If a header is broken, or the file ends before its headers say it does.
    """

    @_quiet()
    def __init__(self, path: str, raw: bytes) -> None:
        hdus, where, end = list[Any](), {"datLoc": 0}, 0
        with suppress(Exception):  # astropy raises whatever its parsers raise; what that leaves unread is seen below
            for hdu in fits.open(io.BytesIO(raw), memmap=False, disable_image_compression=True):
                where = hdu.fileinfo()
                end = where["datLoc"] + where["datSpan"]
                hdus.append(hdu)
        if not hdus or raw[end : end + 8] == b"XTENSION":
            name = f"extension {len(hdus)}" if hdus else "the primary header"
            raise Unreadable(path, f"has a broken or unfinished header ({name})", CUT_SHORT)
        if end > len(raw) and (least := where["datLoc"] + hdus[-1].size) > len(raw):  # else only padding is missing
            raise Unreadable(path, f"is cut short: {len(raw):,} of at least {least:,} bytes are there", CUT_SHORT)
        self.path, self.header = path, hdus[0].header
        self.tables = [FitsTable(path, raw, hdu) for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]

    def get(self, *keywords: str) -> Any:
        """Return the first value found among keywords, in the primary header, then in the tables'; None if none."""
        return header_value([self.header, *(table.header for table in self.tables)], *keywords)

    def number(self, *keywords: str) -> float | None:
        """Return the first value found among keywords if it is a number."""
        value = self.get(*keywords)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def text(self, *keywords: str) -> str:
        """Return the first value found among keywords as text, empty if there is none."""
        value = self.get(*keywords)
        return "" if value is None else str(value).strip()

    def integer(self, *keywords: str) -> int | None:
        """Return the first value found among keywords as an integer, None if it is none."""
        value = self.get(*keywords)
        try:
            return None if value is None or isinstance(value, bool) else int(value)
        except (TypeError, ValueError):
            return None

    def observing_columns(self) -> dict[str, Any]:
        """Return the per-object columns that the headers of TESS and Kepler state: sector, camera, CCD, position."""
        numbers = {name: self.integer(name.upper()) for name in ("sector", "camera", "ccd")}
        return numbers | {"ra": self.number("RA_OBJ"), "dec": self.number("DEC_OBJ")}

    def table_with(self, *columns: str) -> FitsTable:
        """Return the first binary table that has one of the columns.

        Raises
        ------
        Unreadable
            If none has.
        """
        for table in self.tables:
            if any(name in table for name in columns):
                return table
        raise Unreadable(self.path, f"has no table with a column {' or '.join(columns)}", "download the file again")

    def barycentric_scale(self, default: float) -> tuple[str, float]:
        """Return the name of the barycentric time scale and what must be added to TIME to be in it [d].

        Parameters
        ----------
        default : float
            The zero point of TIME if the header has none [JD].
        """
        integer, fraction = self.number("BJDREFI"), self.number("BJDREFF", "BJDREFR")  # TGLC writes the latter
        reference = default if integer is None else integer + (fraction or 0.0)
        nearest = min(BARYCENTRIC, key=lambda zero: abs(zero - reference))
        return (BARYCENTRIC[nearest], reference - nearest) if abs(reference - nearest) < 1 else ("BJD", reference)
