"""Which reader takes a file: the first that recognises its content, whatever the file is called.

To add a product, write a module with ``NAME``, ``recognises`` and ``read`` as `Reader` says, and add it to `READERS`,
before the readers that would take its files for something more general. A reader of files too big for memory also has
``stream(file, options, max_points)``, which gives the light curves in pieces; see `nested`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from goodricke.data.lightcurves import LightCurves
from goodricke.io import nested, table
from goodricke.io.files import SourceFile
from goodricke.io.options import ReadOptions, Unreadable
from goodricke.io.products import (
    alerce,
    alert_packets,
    asas3,
    atlas,
    fink,
    gaia,
    gaia_alerts,
    hlsp,
    lightkurve,
    neowise,
    panstarrs,
    qlp,
    snana,
    spoc,
    superwasp,
    tglc,
    ztf_forced,
)

HTML = "is a web page, not data: an archive's error message or a login page"
DAMAGED_ZIP = {b"PK\x03\x04": "ZIP", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class Reader(Protocol):
    """A module that reads one product."""

    NAME: str

    def recognises(self, file: SourceFile) -> bool:
        """Tell from the content whether this reader takes the file."""
        ...

    def read(self, file: SourceFile, options: ReadOptions) -> LightCurves:
        """Read all light curves of the file, or raise `Unreadable`."""
        ...


READERS: tuple[Reader, ...] = (
    alert_packets,
    lightkurve,
    qlp,
    tglc,
    hlsp,
    spoc,
    superwasp,
    gaia_alerts,
    asas3,
    snana,
    ztf_forced,
    atlas,
    neowise,
    alerce,
    gaia,
    panstarrs,
    fink,
    nested,
    table,
)


def recognise(path: Path | str) -> Reader:
    """Return the reader for a file, chosen by its content.

    Raises
    ------
    Unreadable
        If there is none.
    """
    return find_reader(SourceFile(path))


def find_reader(file: SourceFile) -> Reader:
    """Return the reader for an opened file.

    Raises
    ------
    Unreadable
        If there is none.
    """
    for reader in READERS:
        if reader.recognises(file):
            return reader
    if file.kind == "html":
        raise Unreadable(file.path, HTML, "download it again and look at what comes back")
    packed = next((name for magic, name in DAMAGED_ZIP.items() if file.head.startswith(magic)), None)
    if packed == "ZIP" and b"[Content_Types].xml" in file.raw:
        raise Unreadable(file.path, "is a workbook of Excel", "save the sheet as CSV")
    if packed:
        raise Unreadable(file.path, f"is a {packed} archive", "unpack it first")
    if file.head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable(file.path, "is text in UTF-16", "save it as UTF-8, or as plain CSV")
    fix = "give FITS, Parquet, CSV, ECSV, VOTable or plain text"
    raise Unreadable(file.path, "is a binary file of no known kind", fix)
