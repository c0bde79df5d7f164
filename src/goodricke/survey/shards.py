"""Folders of Parquet shards, which `pack` and `catalog` write: nothing half-written, nothing lost, everything signed.

A shard is written under a hidden name, flushed to the disk and renamed; then a line about it (rows, bytes, SHA-256)
goes to ``shards.jsonl``. A shard counts as done once its line is there, so that a run killed at any moment repeats at
most the shards it was at. ``manifest.json`` says what the folder is and how it was made and, at the end, sums up the
lines.

The rows of a catalog as `goodricke.data.formats.Rows`, and what its manifest and its shards say of the whole.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq

from goodricke import __version__
from goodricke.data.arrow import join
from goodricke.data.formats import Rows
from goodricke.data.formats.metadata import BATCH
from goodricke.io.files import THUMBNAIL, hats_catalog

FORMAT = 1
MANIFEST, LOG, COMMON, UNREADABLE = "manifest.json", "shards.jsonl", "_common_metadata", "unreadable.csv"


@dataclass(frozen=True)
class Entry:
    """A line of the log: a shard that is done, or a task that failed."""

    task: str
    shard: str | None = None  # None: nothing was written
    rows: int = 0
    bytes: int = 0
    sha256: str = ""
    seconds: float = 0.0
    error: str | None = None
    more: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """Return it as a line of JSON."""
        told = {k: v for k, v in vars(self).items() if v not in (None, "", {}) and k != "more"}
        return json.dumps(told | self.more)

    @classmethod
    def of(cls, line: str) -> Entry:
        """Return what a line says."""
        told: dict[str, Any] = json.loads(line)
        known = {k: told.pop(k) for k in list(told) if k in cls.__dataclass_fields__ and k != "more"}
        return cls(**known, more=told)


@dataclass(frozen=True)
class Folder:
    """A folder of shards that is being written.

    Parameters
    ----------
    path : Path
    kind : str
        ``"pack"`` or ``"catalog"``.
    settings : dict
        Everything that decides what the shards hold; a folder is continued with the same settings only.
    """

    path: Path
    kind: str
    settings: dict[str, Any]

    def begin(self) -> Folder:
        """Make the folder, or go on with one that was made with the same settings.

        Raises
        ------
        ValueError
            If it holds something else, or was made with other settings.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if not (self.path / MANIFEST).exists():
            others = sorted(p.name for p in self.path.iterdir() if p.name[0] != ".")
            if others:
                raise ValueError(f"{self.path} is not empty ({others[0]}, ...) and no {self.kind}: choose a new folder")
            self._write_manifest({})
        told = read_manifest(self.path)
        if told["kind"] != self.kind:
            raise ValueError(f"{self.path} is a {told['kind']}, not a {self.kind}: choose another folder")
        known, asked = told["settings"], json.loads(json.dumps(self.settings))
        changed = sorted(k for k in known.keys() | asked.keys() if known.get(k) != asked.get(k))
        if changed:
            was = ", ".join(told for k in changed for told in _changes(k, known.get(k), asked.get(k)))
            raise ValueError(
                f"{self.path} was begun with other settings: {was}. "
                "Run with the same to go on, choose a new folder, or delete this one"
            )
        for stale in self.path.glob(".*.partial"):
            stale.unlink()
        return self

    def entries(self) -> dict[str, Entry]:
        """Return the last word on each task by its name."""
        return {entry.task: entry for entry in read_log(self.path)}

    def log(self, *entries: Entry) -> None:
        """Add lines to the log and see them to the disk."""
        with open(self.path / LOG, "a+b") as file:
            if file.tell() and not _ends_with_newline(file):  # a line torn by a crash
                file.write(b"\n")
            file.write(b"".join(entry.line().encode() + b"\n" for entry in entries))
            file.flush()
            os.fsync(file.fileno())

    def list_unreadable(self) -> int:
        """Write ``unreadable.csv`` if something couldn't be read, else away with it; return how many files."""
        rows = [row for entry in self.entries().values() for row in entry.more.get("unreadable", [])]
        if rows:
            text = io.StringIO()
            csv.writer(text).writerows([["file", "reason", "fix"], *rows])
            with whole_file(self.path / UNREADABLE) as file:
                file.write(text.getvalue().encode())
        else:
            (self.path / UNREADABLE).unlink(missing_ok=True)  # of an earlier run, before the files were fixed
        return len(rows)

    def finish(self, **summary: Any) -> dict[str, Any]:
        """Sum up: write the manifest with all shards, and their common schema for other tools; return the manifest.

        Shards that count no more, of files that have changed since, are deleted: whoever reads ``shard-*.parquet`` must
        not have them beside those that came after.
        """
        shards = shards_in(self.path)
        counted = {str(e.shard) for e in shards}
        for path in self.path.glob("shard-*.parquet"):
            if path.name not in counted:
                path.unlink()
        failed = {e.task: e.error for e in self.entries().values() if e.error}
        told = {
            **summary,
            "finished": _now(),
            "rows": sum(e.rows for e in shards),
            "bytes": sum(e.bytes for e in shards),
            "failed": failed,
            "shards": [json.loads(e.line()) for e in shards],
        }
        schema = common_schema([self.path / str(e.shard) for e in shards])
        if schema is not None:
            with whole_file(self.path / COMMON) as file:
                pq.write_metadata(schema, file)
        return self._write_manifest(told)

    def _write_manifest(self, told: Mapping[str, Any]) -> dict[str, Any]:
        head = {"format": FORMAT, "kind": self.kind, "goodricke": __version__, "begun": _now()}
        if (self.path / MANIFEST).exists():
            head["begun"] = read_manifest(self.path)["begun"]
        manifest = {**head, "settings": self.settings, **told}
        with whole_file(self.path / MANIFEST) as file:
            file.write(json.dumps(manifest, indent=2).encode() + b"\n")
        return manifest


class whole_file:  # noqa: N801  a context manager, used like open
    """Open a file for writing that appears under its name whole, or not at all; adds up its SHA-256 on the way."""

    def __init__(self, path: Path) -> None:
        self.path, self.partial = path, path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._hash = hashlib.sha256()

    def __enter__(self) -> whole_file:
        self._file: BinaryIO = open(self.partial, "wb")
        return self

    def write(self, data: Any) -> int:
        """Write bytes."""
        self._hash.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        """See `io.IOBase`."""
        self._file.flush()

    def tell(self) -> int:
        """See `io.IOBase`."""
        return self._file.tell()

    def close(self) -> None:
        """Leave the closing to the end of the ``with``: Arrow closes what it has written to."""

    closed = False

    @property
    def sha256(self) -> str:
        """Of what was written."""
        return self._hash.hexdigest()

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
                self.size = self._file.tell()
                self._file.close()
                self.partial.replace(self.path)
        finally:
            with suppress(OSError):  # on a full disk the last bytes don't go out; the half file must go all the more
                self._file.close()
            self.partial.unlink(missing_ok=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep a second run out of a folder; the system lets go of the lock however this one ends.

    Raises
    ------
    ValueError
        If there is another already.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / ".lock"
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{folder}: another run is at work there; wait for it, or choose a new folder") from None
        except OSError:  # a file system without locks
            pass
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def write_shard(path: Path, table: pa.Table, row_group: int, **told: str) -> tuple[int, str]:
    """Write a table as a shard; ``told`` goes into its metadata. Return its size in bytes and its SHA-256."""
    meta = {**(table.schema.metadata or {}), b"goodricke": __version__.encode()}
    meta |= {k.encode(): v.encode() for k, v in told.items()}
    with whole_file(path) as file:
        pq.write_table(table.replace_schema_metadata(meta), file, compression="zstd", row_group_size=max(row_group, 1))
    return file.size, file.sha256


def common_schema(paths: Sequence[Path]) -> pa.Schema | None:
    """Return the schema that all shards fit in, without metadata; None if there is no shard."""
    schemas = [pq.read_schema(path).remove_metadata() for path in paths]
    distinct = list({schema.to_string(): schema for schema in schemas}.values())
    return join([schema.empty_table() for schema in distinct]).schema if distinct else None


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of a folder.

    Raises
    ------
    ValueError
        If there is none, it is damaged, or this package is too old for it.
    """
    try:
        told: dict[str, Any] = json.loads((path / MANIFEST).read_text())
        newer = told["format"] > FORMAT
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: no pack or catalog of goodricke ({MANIFEST}: {error!r})") from error
    if newer:
        raise ValueError(f"{path}: written by goodricke {told.get('goodricke')}; update this one ({__version__})")
    return told


def read_log(path: Path) -> Iterator[Entry]:
    """Give the lines of a folder's log; one torn by a crash is left out."""
    lines = (path / LOG).read_text().splitlines() if (path / LOG).exists() else []
    for line in lines:
        try:
            yield Entry.of(line)
        except (ValueError, TypeError):
            continue


def shards_in(path: Path) -> list[Entry]:
    """Return the shards of a folder that are done, in order.

    A task that writes several has a line ``TASK/0``, ``TASK/1``, ... for each and, last, one of its own that says how
    many ``parts`` there are: those without it, and those of an earlier time when there were more, don't count.
    """
    entries = {entry.task: entry for entry in read_log(path)}

    def counts(entry: Entry) -> bool:
        task, _, part = entry.task.partition("/")
        whole = entries.get(task)
        return not part or (whole is not None and int(part) < whole.more.get("parts", 0))

    return sorted((e for e in entries.values() if e.shard and counts(e)), key=lambda e: str(e.shard))


# ---- reading --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Catalog:
    """A catalog to read: one row per light curve (see `goodricke.Predictions`), in any number of Parquet files.

    Parameters
    ----------
    path : Path
        What it was opened from.
    files : tuple of Path
    manifest : dict
        Of a folder that ``goodricke catalog`` wrote; empty for other files.
    """

    path: Path
    files: tuple[Path, ...]
    manifest: dict[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> Catalog:
        """Open a catalog folder, a HATS catalog, a folder of Parquet files, or one file of ``goodricke classify``.

        Raises
        ------
        ValueError
            If there is no such thing, or no row of a prediction in it.
        """
        path = Path(path)
        manifest = read_manifest(path) if (path / MANIFEST).exists() else {}
        if manifest:
            files = tuple(path / str(entry.shard) for entry in shards_in(path))
        elif path.is_dir():
            inside = hats_catalog(str(path))  # without margins and statistics
            root = path if inside is None else Path(inside) / "dataset"
            files = tuple(sorted(p for p in root.rglob("*.parquet") if p.name[0] not in "._" and p.name != THUMBNAIL))
        else:
            files = (path,) if path.exists() else ()
        if not files:
            raise ValueError(f"{path}: no catalog there: give a folder that `goodricke catalog` wrote, or a .parquet")
        catalog = cls(path, files, manifest)
        try:
            classes = catalog.classes
        except pa.ArrowInvalid as error:
            raise ValueError(
                f"{path}: is no Parquet file, or damaged: give a folder that `goodricke catalog` wrote, or a .parquet"
            ) from error
        if not classes:
            raise ValueError(f"{path}: has no columns p_<CLASS>: it holds no predictions")
        return catalog

    @property
    def schema(self) -> pa.Schema:
        """Columns of all the files together."""
        common = self.path / COMMON
        found = pq.read_schema(common) if self.manifest and common.exists() else common_schema(self.files)
        assert found is not None  # there is a file
        return found

    @property
    def dataset(self) -> pa.dataset.Dataset:
        """The rows, to scan without loading them all."""
        return pa.dataset.dataset([str(f) for f in self.files], schema=self.schema, format="parquet")

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the model."""
        return tuple(n[2:] for n in self.schema.names if n.startswith("p_") and n != "p_max")

    def __len__(self) -> int:
        return sum(pq.read_metadata(f).num_rows for f in self.files)

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows, in order, or some columns of them."""
        return self.dataset.to_table(columns=None if columns is None else list(columns))


def _ends_with_newline(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _changes(name: str, old: Any, new: Any) -> list[str]:
    """Return what has changed of a setting, of a group of settings one by one."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
        return [told for k in keys for told in _changes(f"{name}.{k}", old.get(k), new.get(k))]
    return [f"{name} = {_short(old)} (now {_short(new)})"]


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 80 else text[:77] + "..."


# ---- The rows of a catalog as `goodricke.data.formats.Rows`, and what its manifest and its shards say of  ------------


KEPT = ("goodricke", "model", "model_hash", "settings", "input", "per_star", "thresholds")


def rows_of(catalog: Catalog) -> Rows:
    """Return the rows of a catalog, to go through in memory that doesn't grow with them."""
    schema = catalog.schema.remove_metadata()

    def batches() -> Iterator[pa.Table]:
        for path in catalog.files:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):  # one by one: a reader of several keeps the bytes of them all
                    for batch in file.iter_batches(BATCH, [group], use_threads=False):
                        yield _fitted(batch, schema)

    return Rows(schema, len(catalog), batches, about(catalog))


def _fitted(batch: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    """Return rows with the columns of all the files together."""
    known = dict(zip(batch.schema.names, batch.columns, strict=True))
    columns = [known[f.name].cast(f.type) if f.name in known else pa.nulls(len(batch), f.type) for f in schema]
    return pa.table(columns, schema=schema)


def about(catalog: Catalog) -> dict[str, str]:
    """Return what is said of a catalog: model and its hash, version, configuration, hash of the input, classes.

    From the manifest and the shards' metadata; of files that have neither, the model is that of the first row.
    """
    own = {k.decode(): v for k, v in (pq.read_schema(catalog.files[0]).metadata or {}).items()}
    told = {k: own[k].decode() for k in KEPT if k in own}
    manifest = catalog.manifest
    if manifest:
        settings: dict[str, Any] = manifest.get("settings", {})
        told |= {"goodricke": manifest["goodricke"], "settings": json.dumps(settings)}
        told |= {k: str(settings[k]) for k in ("model", "model_hash") if k in settings}
        told |= {"input": _together([s["input"] for s in manifest.get("shards", ()) if "input" in s])}
    first = [n for n in ("model", "model_hash") if n in catalog.schema.names]
    for row in catalog.dataset.head(1, columns=first).to_pylist():
        told = {k: v for k, v in row.items() if v} | told
    told = {"goodricke": __version__, **told, "classes": ",".join(catalog.classes)}
    return {k: v for k, v in told.items() if v}


def _together(hashes: list[str]) -> str:
    """Return one hash of several, whatever their order; of one, itself; of none, nothing."""
    if len(hashes) < 2:
        return "".join(hashes)
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()[:16]
