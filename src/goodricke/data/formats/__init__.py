"""Tables as other tools open them: Parquet, CSV, ECSV, FITS and VOTable, written batch by batch in flat memory."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from goodricke.data.formats.fits import write_fits
from goodricke.data.formats.metadata import Meaning, Rows, describe
from goodricke.data.formats.parquet import write_parquet
from goodricke.data.formats.text import write_csv, write_ecsv
from goodricke.data.formats.votable import write_votable

__all__ = ["WRITERS", "Meaning", "Rows", "check", "describe", "write", "writer_of"]

Writer = Callable[[Rows, Path], None]
WRITERS: dict[str, Writer] = {
    ".parquet": write_parquet,
    ".csv": write_csv,
    ".ecsv": write_ecsv,
    ".fits": write_fits,
    ".vot": write_votable,
}


def writer_of(path: str | Path) -> Writer:
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
    """Refuse before the work what `write` would refuse after it; make the file's folder if there is none.

    Raises
    ------
    ValueError
        If the suffix names no format.
    OSError
        If it is a folder, or one that can't be written to is around it.
    """
    writer_of(path)
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    if Path(path).is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def write(rows: Rows, path: str | Path) -> None:
    """Write to a file whose suffix names the format. It appears whole or not at all, in place of an older one.

    Raises
    ------
    ValueError
        If the suffix names no format, or the format can't hold what is to be written.
    """
    path, writer = Path(path), writer_of(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        writer(rows, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
