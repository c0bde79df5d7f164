"""A file opened once: its first bytes tell what it is, and readers share what was read."""

from __future__ import annotations

import gzip
import zlib
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from goodricke.readers.fits import CUT_SHORT, FitsFile
from goodricke.readers.options import Unreadable

HEAD = 4096  # bytes looked at to tell text from binary


class Opened:
    """A file that some reader may take; nothing is read before it is asked for.

    Parameters
    ----------
    path : path or str
    groups : range, optional
        Row groups that are wanted of a Parquet file, all by default; readers of whole tables know no such thing.

    Raises
    ------
    Unreadable
        If it is missing, a folder or empty.
    """

    def __init__(self, path: Path | str, groups: range | None = None) -> None:
        self.path, self.groups = str(path), groups
        self.noted: list[str] = []  # columns that a reader of tables used
        self.found: dict[Any, Any] = {}  # what one reader found out while recognising, for the others to use
        plain = Path(path)
        if plain.is_dir():
            raise Unreadable(path, "is a folder", "give the file in it that is meant")
        if not plain.exists():
            raise Unreadable(path, "does not exist", "check the path")
        if plain.stat().st_size == 0:
            raise Unreadable(path, "is empty (0 bytes)", CUT_SHORT)

    @cached_property
    def head(self) -> bytes:
        """The first bytes, after decompression."""
        try:
            with open(self.path, "rb") as file:
                head = file.read(HEAD)
        except OSError as error:
            raise Unreadable(self.path, f"can't be opened ({error.strerror})", "check the permissions") from error
        return self.raw[:HEAD] if head[:2] == b"\x1f\x8b" else head

    @cached_property
    def raw(self) -> bytes:
        """All bytes, after decompression."""
        try:
            data = Path(self.path).read_bytes()
            return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Unreadable(self.path, f"is a damaged gzip file ({error})", CUT_SHORT) from error
        except OSError as error:
            raise Unreadable(self.path, f"can't be read ({error})", "check the permissions") from error

    @cached_property
    def kind(self) -> str:
        """What the bytes are: ``"fits"``, ``"parquet"``, ``"votable"``, ``"html"``, ``"text"`` or ``"binary"``."""
        head = self.head
        if head[:9] == b"SIMPLE  =":
            return "fits"
        if head[:4] == b"PAR1":
            return "parquet"
        if b"\x00" in head or sum(byte < 9 or 13 < byte < 32 for byte in head) > 0:
            return "binary"
        start = head[:1000].lstrip().lower()
        if start.startswith((b"<!doctype html", b"<html")):
            return "html"
        return "votable" if b"<votable" in start else "text"

    @cached_property
    def fits(self) -> FitsFile:
        """The file as FITS."""
        return FitsFile(self.path, self.raw)

    @cached_property
    def parquet(self) -> pq.ParquetFile:
        """The file as Parquet; opening reads the footer alone."""
        try:
            return pq.ParquetFile(self.path)
        except (pa.ArrowInvalid, OSError) as error:
            raise Unreadable(self.path, f"is a damaged Parquet file ({error})", CUT_SHORT) from error

    @property
    def used(self) -> list[str]:
        """The columns that were read."""
        tables = self.fits.tables if self.kind == "fits" else ()
        return list(dict.fromkeys([*self.noted, *(name for table in tables for name in table.used)]))

    @property
    def stem(self) -> str:
        """The name of the file without its suffixes: the object's name where the file tells none."""
        return stem_of(self.path)


def stem_of(path: str) -> str:
    """Return the name of a file without its suffixes."""
    name = Path(path).name
    for suffix in (".gz", Path(name.removesuffix(".gz")).suffix):
        name = name.removesuffix(suffix) if suffix else name
    return name or Path(path).name
