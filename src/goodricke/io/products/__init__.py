"""Which reader takes a file: the first that recognises its content, whatever the file is called.

To add a product, write a module with ``NAME``, ``recognises`` and ``read`` as `Reader` says, and add it to `READERS`,
before the readers that would take its files for something more general. A reader of files too big for memory also has
``stream(file, options, max_points)``, which gives the light curves in pieces; see `nested`.
"""

from __future__ import annotations

import re
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
    astrafier,
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
WORKBOOK = ("is a workbook of a spreadsheet (Excel, LibreOffice)", "save the sheet as CSV")
IN_PYTHON = "open it in Python, and give the arrays to goodricke.LightCurves.from_arrays"
# What other files are, by their first bytes, and what to do about them.
OTHER_FILES = {
    re.compile(rb"\x89HDF\r\n\x1a\n"): ("is an HDF5 file", "save the table as Parquet or CSV"),
    re.compile(rb"\xd0\xcf\x11\xe0"): WORKBOOK,
    re.compile(rb"\x93NUMPY"): ("is an array of NumPy (.npy)", IN_PYTHON),
    re.compile(rb"\x80[\x02-\x05](?!\x00{6}\{)"): (  # not the length of the header of safetensors
        "is a pickle of Python, which can run any code and is never opened",
        IN_PYTHON,
    ),
    re.compile(rb"SQLite format 3"): ("is an SQLite database", "save the table as CSV"),
    re.compile(rb"%PDF"): ("is a PDF document, not data", "look for the table that belongs to it"),
    re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8"): ("is a picture, not data", "look for the table that belongs to it"),
    re.compile(rb"ARROW1|\xff\xff\xff\xff"): ("is an Arrow (Feather) file", "save the table as Parquet"),
    re.compile(rb"version https://git-lfs"): ("is a pointer of Git LFS, not the file itself", "git lfs pull"),
    re.compile(rb"\s*<\?xml(?!.*<votable)(?=.*<Error>)", re.S | re.I): (
        "is an archive's error message in XML, not data",
        "open it in a text editor to see why",
    ),
}
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
    astrafier,
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
    if (known := next((what for mark, what in OTHER_FILES.items() if mark.match(file.head)), None)) is not None:
        raise Unreadable(file.path, *known)
    for reader in READERS:
        if reader.recognises(file):
            return reader
    if file.kind == "html":
        login = re.search(rb"log[ -]?in|sign[ -]?in|password", file.head, re.IGNORECASE)
        what = "is a web page, not data: a login page" if login else HTML
        fix = "log in to the archive first, and download the file then" if login else "open it in a browser to see why"
        raise Unreadable(file.path, what, fix)
    packed = next((name for magic, name in DAMAGED_ZIP.items() if file.head.startswith(magic)), None)
    if packed == "ZIP" and (b"[Content_Types].xml" in file.raw or b"opendocument.spreadsheet" in file.raw):
        raise Unreadable(file.path, WORKBOOK[0], WORKBOOK[1])
    if packed == "ZIP" and b".npy" in file.head:
        raise Unreadable(file.path, "is a file of NumPy arrays (.npz)", IN_PYTHON)
    if packed == "ZIP" and b"/data.pkl" in file.head:
        what = "is a file of PyTorch, a pickle, which can run any code and is never opened"
        fix = "save its tensors as .safetensors, and label_map as a .json of the same name beside it"
        raise Unreadable(file.path, what, fix)
    if packed:
        raise Unreadable(file.path, f"is a {packed} archive", "unpack it first")
    if file.head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable(file.path, "is damaged text in UTF-16", "save it as UTF-8, or as plain CSV")
    fix = "give FITS, Parquet, CSV, ECSV, VOTable or plain text"
    raise Unreadable(file.path, "is a binary file of no known kind", fix)
