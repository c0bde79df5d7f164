"""Files of light curves: the paths that a file, folder, pattern or list stands for, and a file that readers share."""

from __future__ import annotations

import glob
import gzip
import os
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from goodricke.data.hub import is_hub_address, local_path
from goodricke.io.fits import CUT_SHORT, FitsFile
from goodricke.io.options import Unreadable

# Of files in a folder; JSON isn't among them: what lies beside light curves is a manifest. A pattern finds it (*.json).
FORMATS = ("fits", "fit", "fts", "csv", "ecsv", "txt", "dat", "tsv", "lc", "vot", "votable", "xml", "tbl", "avro")
SUFFIXES = (*(f".{name}{packed}" for name in FORMATS for packed in ("", ".gz")), ".parquet", ".pq")
HATS = ("hats.properties", "properties")  # one of them is in the folder of a HATS catalog
THUMBNAIL = "data_thumbnail.parquet"  # among the files of a HATS catalog: rows that are in the others
COLLECTION = "collection.properties"  # and this one in that of a HATS collection, which names its catalog
LISTS = (".txt", ".lst", ".list", "")  # suffixes that a list of paths may have
AVRO_MAGIC = b"Obj\x01"  # of an Avro object container file
JSON_START = re.compile(rb"(\xef\xbb\xbf)?\s*(\{\s*[\"}]|\[\s*[\[{\]])")
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # how text in it begins: Excel's "Unicode text"
NO_TEXT = bytes((*range(9), *range(14, 32)))  # control characters
HEAD = 4096  # bytes that tell text from binary

Source = str | Path | Sequence[str | Path]


def find(source: Source, *, recursive: bool = False) -> list[str]:
    """Return the paths of the files to read.

    Parameters
    ----------
    source : path, str or sequence of them
        A file (always taken, whatever its suffix), a folder (its files with one of `SUFFIXES`, sorted by name; hidden
        ones and those beginning with an underscore are left out), a HATS catalog or collection, a pattern with ``*``,
        ``?`` or ``[]`` (``**`` for any depth), a text file with one path per line, relative to itself or to the
        working folder, or a file on the Hugging Face hub (``hf://datasets/OWNER/NAME/FILE``), which is downloaded.
    recursive : bool
        Whether folders are searched with all their subfolders.

    Raises
    ------
    Unreadable
        If a pattern matches nothing or a folder holds no such file.
    """
    paths = list[str]()
    for path in iterate(source, recursive=recursive):
        if isinstance(path, Unreadable):
            raise path
        paths.append(path)
    return paths


def iterate(source: Source, *, recursive: bool = False) -> Iterator[str | Unreadable]:
    """Give the paths of `find` one by one; in place of an item of the source that names no file, why not."""
    for item in [source] if isinstance(source, str | Path) else source:
        path = os.fspath(item)
        try:
            yield from _expand(path, recursive)
        except Unreadable as refusal:
            yield refusal
        except OSError as error:
            yield Unreadable(error.filename or path, f"can't be searched ({error.strerror})", "check the permissions")


def _expand(path: str, recursive: bool) -> Iterator[str]:
    path = on_this_machine(path)
    if os.path.isdir(path):
        fix = "check the path" if recursive else "check the path, or search subfolders with --recursive"
        yield from _require_one(_in_folder(path, recursive), path, "holds no file that could be a light curve", fix)
    elif glob.has_magic(path) and not os.path.exists(path):
        matches = sorted(name for name in glob.iglob(path, recursive=True) if os.path.isfile(name))
        yield from _require_one(matches, path, "matches no file", "check the path")
    else:
        yield from _paths_in_list(path) or [path]


def on_this_machine(path: str) -> str:
    """Return a path, of a file on the Hugging Face hub that of the local copy.

    Raises
    ------
    Unreadable
        If it can't be downloaded.
    """
    if not is_hub_address(path):
        return path
    try:
        return str(local_path(path))
    except (FileNotFoundError, ValueError) as error:
        raise Unreadable(path, *_reason_and_fix(str(error).removeprefix(f"{path}: "))) from error


def _reason_and_fix(text: str) -> tuple[str, str]:
    """Return the two parts of an error of `goodricke.data.hub`."""
    for mark in (". Fix: ", ". Try ", ". Check "):
        reason, found, fix = text.partition(mark)
        if found:
            return f"can't be read: {reason}", (mark[2:].lower() if mark != ". Fix: " else "") + fix.rstrip(".")
    return f"can't be read: {text}", "check the address"


def _require_one(paths: Iterable[str], source: str, reason: str, fix: str) -> Iterator[str]:
    """Give the paths; raise `Unreadable` at the end if there was none."""
    count = 0
    for count, path in enumerate(paths, 1):  # noqa: B007  the last number is the count
        yield path
    if not count:
        raise Unreadable(source, reason, fix)


def _in_folder(folder: str, recursive: bool) -> Iterator[str]:
    catalog = hats_catalog(folder)
    if catalog is not None:
        paths = _in_plain_folder(os.path.join(catalog, "dataset"), True)
        yield from (path for path in paths if os.path.basename(path) != THUMBNAIL)
    else:
        yield from _in_plain_folder(folder, recursive)


def hats_catalog(folder: str) -> str | None:
    """Return the folder of the HATS catalog that a folder is or, as a collection, holds; None for any other folder."""
    if os.path.isfile(os.path.join(folder, COLLECTION)):
        with open(os.path.join(folder, COLLECTION), encoding="utf-8") as file:
            properties = dict(line.strip().split("=", 1) for line in file if "=" in line and line[0] != "#")
        folder = os.path.join(folder, properties.get("hats_primary_table_url", ""))
    is_catalog = any(os.path.isfile(os.path.join(folder, name)) for name in HATS)
    return folder if is_catalog and os.path.isdir(os.path.join(folder, "dataset")) else None


def _in_plain_folder(folder: str, recursive: bool) -> Iterator[str]:
    with os.scandir(folder) as entries:
        visible = sorted((entry for entry in entries if entry.name[0] not in "._"), key=lambda entry: entry.name)
    for entry in visible:
        if entry.is_dir():
            if recursive:
                yield from _in_plain_folder(entry.path, recursive)
        elif entry.name.lower().endswith(SUFFIXES):
            yield entry.path


def _paths_in_list(path: str) -> list[str]:
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


# ---- one file -----------------------------------------------------------------------------------------------------


class SourceFile:
    """A file that some reader may take; nothing is read before it is needed.

    Parameters
    ----------
    path : path or str
    groups : range, optional
        Row groups that are wanted of a Parquet file, all by default; readers of whole tables ignore them.

    Raises
    ------
    Unreadable
        If it is missing, a folder or empty.
    """

    def __init__(self, path: Path | str, groups: range | None = None) -> None:
        path = on_this_machine(str(path))
        self.path, self.groups = path, groups
        self.columns_read: list[str] = []  # by a reader of tables
        self.columns_ignored: list[str] = []
        self.left_out: Counter[str] = Counter()  # rows that are no measurement, by the reason
        self.origins: dict[str, str] = {}  # where unit and time scale were found
        self.cache: dict[Any, Any] = {}  # what one reader found out while recognising, for the others
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
        return self.raw[:HEAD] if head[:2] in (b"\x1f\x8b", *UTF_16) else head

    @cached_property
    def raw(self) -> bytes:
        """All bytes, after decompression; text in UTF-16 as UTF-8."""
        try:
            data = Path(self.path).read_bytes()
            data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
            return _as_utf_8(data) if data[:2] in UTF_16 else data
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise Unreadable(self.path, f"is a damaged gzip file ({error})", CUT_SHORT) from error
        except OSError as error:
            raise Unreadable(self.path, f"can't be read ({error})", "check the permissions") from error

    @cached_property
    def kind(self) -> str:
        """What the bytes are: fits, parquet, avro, votable, html, json, text or binary."""
        head = self.head
        if head[:9] == b"SIMPLE  =":
            return "fits"
        if head[:4] == b"PAR1":
            return "parquet"
        if head.startswith(AVRO_MAGIC):
            return "avro"
        if len(head.translate(None, NO_TEXT)) < len(head):
            return "binary"
        start = head[:1000].lstrip().lower()
        if start.startswith((b"<!doctype html", b"<html")):
            return "html"
        if JSON_START.match(start):
            return "json"
        return "votable" if b"<votable" in start else "text"

    @cached_property
    def fits(self) -> FitsFile:
        """The file as FITS."""
        return FitsFile(self.path, self.raw)

    @cached_property
    def parquet(self) -> pq.ParquetFile:
        """The file as Parquet; opening reads the footer alone."""
        try:
            parquet = pq.ParquetFile(self.path)
            _names(parquet.schema_arrow)
            return parquet
        except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
            raise Unreadable(self.path, f"is a damaged Parquet file ({error})", CUT_SHORT) from error

    @property
    def used_columns(self) -> list[str]:
        """The columns that were read, of tables of any kind."""
        tables = self.fits.tables if self.kind == "fits" else ()
        return list(dict.fromkeys([*self.columns_read, *(name for table in tables for name in table.columns_read)]))

    @property
    def unused_columns(self) -> list[str]:
        """The columns that weren't read, of tables of any kind; of a FITS file, those of the tables in use."""
        if self.columns_ignored or self.kind != "fits":
            return self.columns_ignored
        used = {name.upper() for name in self.used_columns}
        names = (name for table in self.fits.tables if table.columns_read for name in table.plain_names)
        return list(dict.fromkeys(name for name in names if name.upper() not in used))

    @property
    def stem(self) -> str:
        """The name of the file without its suffixes: the object's name where the file tells none."""
        return name_stem(self.path)


def _as_utf_8(data: bytes) -> bytes:
    """Return text in UTF-16 as UTF-8; what is none as it is."""
    try:
        return data.decode("utf-16").encode()
    except UnicodeDecodeError:
        return data


class TableInMemory(SourceFile):
    """A table of astropy in place of a file: what readers of ECSV files ask of one is given at once.

    Parameters
    ----------
    name : str
        Stands for the path in messages.
    table : Tabular
        See `table_files`.
    header : mapping
        The table's metadata.
    """

    def __init__(self, name: str, table: Any, header: Mapping[str, Any]) -> None:
        self.path, self.groups = name, None
        self.columns_read, self.columns_ignored = list[str](), list[str]()
        self.left_out, self.origins = Counter[str](), dict[str, str]()
        self.cache = {("table",): table, "lightkurve": {str(key).upper(): value for key, value in header.items()}}
        self.__dict__.update(kind="text", head=b"# %ECSV", raw=b"")

    @property
    def stem(self) -> str:
        """The name of the one object where the table tells none."""
        return str(self.cache["lightkurve"].get("OBJECT") or self.path)


def _names(fields: Iterable[pa.Field]) -> list[str]:
    """Return the names of columns and of what is in them; damaged ones raise UnicodeDecodeError."""
    names = list[str]()
    for field in fields:
        inner = [field.type.field(i) for i in range(field.type.num_fields)]
        names += [field.name, *_names(inner)]
    return names


def name_stem(path: str) -> str:
    """Return the name of a file without its suffixes."""
    name = Path(path).name
    for suffix in (".gz", Path(name.removesuffix(".gz")).suffix):
        name = name.removesuffix(suffix) if suffix else name
    return name or Path(path).name
