"""Tables as other tools open them: Parquet, CSV, ECSV, FITS and VOTable, written batch by batch in flat memory."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from goodricke.data.files import atomic_path
from goodricke.data.formats.fits import write_fits
from goodricke.data.formats.metadata import Meaning, Rows, describe
from goodricke.data.formats.text import write_csv, write_ecsv
from goodricke.data.formats.votable import write_parquet, write_votable

__all__ = ["WRITERS", "Meaning", "Rows", "check", "describe", "find_writer", "write"]

Writer = Callable[[Rows, Path], None]
WRITERS: dict[str, Writer] = {
    ".parquet": write_parquet,
    ".csv": write_csv,
    ".ecsv": write_ecsv,
    ".fits": write_fits,
    ".vot": write_votable,
}


def find_writer(path: str | Path) -> Writer:
    """Return the function that writes the format named by a file's suffix.

    Raises
    ------
    ValueError
        If the suffix names none.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in WRITERS:
        raise ValueError(f"{path}: can't write {suffix or 'a file without suffix'}; use {', '.join(WRITERS)}")
    return WRITERS[suffix]


def check(path: str | Path) -> None:
    """Raise at once what `write` would raise in the end; make the file's folder if there is none.

    Raises
    ------
    ValueError
        If the suffix names no format.
    OSError
        If it is a folder, or the folder around it can't be written to.
    """
    find_writer(path)
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    if Path(path).is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def write(rows: Rows, path: str | Path) -> None:
    """Write to a file whose suffix names the format. It appears complete or not at all, in place of an older one.

    Raises
    ------
    ValueError
        If the suffix names no format, or the format can't hold what is to be written.
    """
    path, writer = Path(path), find_writer(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as partial:
        writer(rows, partial)
