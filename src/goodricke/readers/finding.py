"""From what a user gives (file, folder, pattern, list) to the paths of the files to read, in a stable order."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from goodricke.readers.options import Unreadable

FORMATS = ("fits", "fit", "fts", "csv", "ecsv", "txt", "dat", "tsv", "lc", "vot", "votable", "xml", "tbl", "avro")
SUFFIXES = (*(f".{name}{packed}" for name in FORMATS for packed in ("", ".gz")), ".parquet", ".pq")
HATS = ("hats.properties", "properties")  # one of them is in the folder of a HATS catalog
THUMBNAIL = "data_thumbnail.parquet"  # among the files of a HATS catalog: rows that are in the others
COLLECTION = "collection.properties"  # and this one in that of a HATS collection, which names its catalog
LISTS = (".txt", ".lst", ".list", "")  # suffixes that a list of paths may have

Given = str | Path | Sequence[str | Path]


def find(source: Given, *, recursive: bool = False) -> list[str]:
    """Return the paths of the files to read.

    Parameters
    ----------
    source : path, str or sequence of them
        A file (always taken, whatever its suffix), a folder (its files with one of `SUFFIXES`, sorted by name; hidden
        ones and those beginning with an underscore are left out), a HATS catalog or collection, a pattern with ``*``,
        ``?`` or ``[]`` (``**`` for any depth), or a text file with one path per line, relative to itself or to the
        working folder.
    recursive : bool
        Whether folders are searched with all their subfolders.

    Raises
    ------
    Unreadable
        If a pattern matches nothing or a folder holds no such file.
    """
    paths = list[str]()
    for found in each(source, recursive=recursive):
        if isinstance(found, Unreadable):
            raise found
        paths.append(found)
    return paths


def each(source: Given, *, recursive: bool = False) -> Iterator[str | Unreadable]:
    """Give the paths of `find` one by one; in place of an item of the source that names no file, why not."""
    for item in [source] if isinstance(source, str | Path) else source:
        path = os.fspath(item)
        try:
            yield from _named_by(path, recursive)
        except Unreadable as refusal:
            yield refusal
        except OSError as error:
            yield Unreadable(error.filename or path, f"can't be searched ({error.strerror})", "check the permissions")


def _named_by(path: str, recursive: bool) -> Iterator[str]:
    if os.path.isdir(path):
        yield from _filled(path, _in_folder(path, recursive), "holds no file that could be a light curve", recursive)
    elif glob.has_magic(path) and not os.path.exists(path):
        matches = sorted(name for name in glob.iglob(path, recursive=True) if os.path.isfile(name))
        yield from _filled(path, matches, "matches no file", True)
    else:
        yield from _listed(path) or [path]


def _filled(path: str, found: Iterable[str], empty: str, deep: bool) -> Iterator[str]:
    count = 0
    for count, name in enumerate(found, 1):  # noqa: B007  the last number is the count
        yield name
    if not count:
        raise Unreadable(
            path, empty, "check the path" if deep else "check the path, or search subfolders with --recursive"
        )


def _in_folder(folder: str, recursive: bool) -> Iterator[str]:
    catalog = hats_catalog(folder)
    if catalog is not None:
        within = _in_plain_folder(os.path.join(catalog, "dataset"), True)
        yield from (path for path in within if os.path.basename(path) != THUMBNAIL)
    else:
        yield from _in_plain_folder(folder, recursive)


def hats_catalog(folder: str) -> str | None:
    """Return the folder of the HATS catalog that a folder is or, as a collection, holds; None for any other folder."""
    if os.path.isfile(os.path.join(folder, COLLECTION)):
        with open(os.path.join(folder, COLLECTION), encoding="utf-8") as file:
            told = dict(line.strip().split("=", 1) for line in file if "=" in line and line[0] != "#")
        folder = os.path.join(folder, told.get("hats_primary_table_url", ""))
    known = any(os.path.isfile(os.path.join(folder, name)) for name in HATS)
    return folder if known and os.path.isdir(os.path.join(folder, "dataset")) else None


def _in_plain_folder(folder: str, recursive: bool) -> Iterator[str]:
    with os.scandir(folder) as entries:
        found = sorted((entry for entry in entries if entry.name[0] not in "._"), key=lambda entry: entry.name)
    for entry in found:
        if entry.is_dir():
            if recursive:
                yield from _in_plain_folder(entry.path, recursive)
        elif entry.name.lower().endswith(SUFFIXES):
            yield entry.path


def _listed(path: str) -> list[str]:
    """Return the paths that a text file lists; none if it isn't such a list."""
    if not path.lower().endswith(LISTS) or os.path.splitext(path)[1].lower() not in LISTS or not os.path.isfile(path):
        return []
    with open(path, encoding="utf-8", errors="replace") as file:
        first = next((line.strip() for line in file if line.strip() and not line.startswith("#")), "")
        if "\x00" in first or not _resolve(first, path):
            return []
        file.seek(0)
        lines = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    return [_resolve(line, path) or line for line in lines]


def _resolve(line: str, list_path: str) -> str | None:
    """Return the existing file that a line of a list names, None if there is none."""
    places = (os.path.join(os.path.dirname(list_path), line), line) if 0 < len(line) < 4096 else ()
    return next((place for place in places if os.path.isfile(place)), None)
