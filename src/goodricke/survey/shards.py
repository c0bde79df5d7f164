"""Folders of Parquet shards: written by `pack`, `catalog` and `download`, read as a `Catalog`.

A shard is written under a hidden name, flushed to the disk and renamed; then a line about it (rows, bytes, SHA-256)
goes to ``shards.jsonl``. A shard counts as done once its line is there. A run that is killed at any moment therefore
repeats at most the shards that it was writing. ``manifest.json`` says what the folder is and how it was made; at the
end it sums up the lines.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq

from goodricke import __version__
from goodricke.data.arrow import join_tables
from goodricke.data.files import atomic_path, atomic_write
from goodricke.data.formats import Rows
from goodricke.data.formats.metadata import BATCH
from goodricke.io.files import THUMBNAIL, hats_catalog

FORMAT = 1
MANIFEST, LOG, COMMON, UNREADABLE = "manifest.json", "shards.jsonl", "_common_metadata", "unreadable.csv"


# ---- writing ---------------------------------------------------------------------------------------------------------


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
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return it as a line of JSON."""
        values = {k: v for k, v in vars(self).items() if v not in (None, "", {}) and k != "details"}
        return json.dumps(values | self.details)

    @classmethod
    def from_json(cls, line: str) -> Entry:
        """Return what `to_json` wrote."""
        values: dict[str, Any] = json.loads(line)
        fields = {k: values.pop(k) for k in list(values) if k in cls.__dataclass_fields__ and k != "details"}
        return cls(**fields, details=values)


@dataclass(frozen=True)
class Folder:
    """A folder of shards that is being written.

    Parameters
    ----------
    path : Path
    kind : str
        ``"pack"``, ``"catalog"`` or ``"periods"``.
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
        manifest = read_manifest(self.path)
        if manifest["kind"] != self.kind:
            raise ValueError(f"{self.path} is a {manifest['kind']}, not a {self.kind}: choose another folder")
        old, new = manifest["settings"], json.loads(json.dumps(self.settings))
        changes = [text for k in _different_keys(old, new) for text in _changes(k, old.get(k), new.get(k))]
        if changes:
            raise ValueError(
                f"{self.path} was begun with other settings: {', '.join(changes)}. "
                "Fix: use the same settings to continue, choose a new folder, or delete this one"
            )
        for stale in self.path.glob(".*.partial*"):
            stale.unlink()
        return self

    def entries(self) -> dict[str, Entry]:
        """Return the last entry of each task by its name."""
        return {entry.task: entry for entry in read_log(self.path)}

    def log(self, *entries: Entry) -> None:
        """Add lines to the log and flush them to the disk."""
        with open(self.path / LOG, "a+b") as file:
            if file.tell() and not _ends_with_newline(file):  # a line torn by a crash
                file.write(b"\n")
            file.write(b"".join(entry.to_json().encode() + b"\n" for entry in entries))
            file.flush()
            os.fsync(file.fileno())

    def list_unreadable(self) -> int:
        """Write ``unreadable.csv`` if files couldn't be read, else delete it; return how many files."""
        rows = [row for entry in self.entries().values() for row in entry.details.get("unreadable", [])]
        if rows:
            text = io.StringIO()
            csv.writer(text).writerows([["file", "reason", "fix"], *rows])
            atomic_write(self.path / UNREADABLE, text.getvalue())
        else:
            (self.path / UNREADABLE).unlink(missing_ok=True)  # of an earlier run, before the files were fixed
        return len(rows)

    def finish(self, **summary: Any) -> dict[str, Any]:
        """Sum up: write the manifest with all shards, and their common schema for other tools; return the manifest.

        Shards that no longer count, because their files have changed since, are deleted: a tool that reads
        ``shard-*.parquet`` must not get both them and their successors.
        """
        shards = completed_shards(self.path)
        names = {str(e.shard) for e in shards}
        for path in self.path.glob("shard-*.parquet"):
            if path.name not in names:
                path.unlink()
        contents = {
            **summary,
            "finished": _now(),
            "rows": sum(e.rows for e in shards),
            "bytes": sum(e.bytes for e in shards),
            "failed": {e.task: e.error for e in self.entries().values() if e.error},
            "shards": [json.loads(e.to_json()) for e in shards],
        }
        schema = common_schema([self.path / str(e.shard) for e in shards])
        if schema is not None:
            with atomic_path(self.path / COMMON) as partial:
                pq.write_metadata(schema, partial)
        return self._write_manifest(contents)

    def _write_manifest(self, contents: Mapping[str, Any]) -> dict[str, Any]:
        head = {"format": FORMAT, "kind": self.kind, "goodricke": __version__, "begun": _now()}
        if (self.path / MANIFEST).exists():
            head["begun"] = read_manifest(self.path)["begun"]
        manifest = {**head, "settings": self.settings, **contents}
        atomic_write(self.path / MANIFEST, json.dumps(manifest, indent=2) + "\n")
        return manifest


def write_shard(path: Path, table: pa.Table, row_group: int, **metadata: str) -> tuple[int, str]:
    """Write a table as a shard with further metadata; return its size in bytes and its SHA-256."""
    meta = {**(table.schema.metadata or {}), b"goodricke": __version__.encode()}
    meta |= {k.encode(): v.encode() for k, v in metadata.items()}
    with atomic_path(path) as partial:
        table = table.replace_schema_metadata(meta)
        pq.write_table(table, partial, compression="zstd", row_group_size=max(row_group, 1))
        size, digest = partial.stat().st_size, file_sha256(partial)
    return size, digest


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def common_schema(paths: Sequence[Path]) -> pa.Schema | None:
    """Return the schema that all shards fit in, without metadata; None if there is no shard."""
    schemas = [pq.read_schema(path).remove_metadata() for path in paths]
    distinct = list({schema.to_string(): schema for schema in schemas}.values())
    return join_tables([schema.empty_table() for schema in distinct]).schema if distinct else None


def _ends_with_newline(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _different_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))


def _changes(name: str, old: Any, new: Any) -> list[str]:
    """Return the changes of a setting; of a group of settings those of each."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [text for k in _different_keys(old, new) for text in _changes(f"{name}.{k}", old.get(k), new.get(k))]
    return [f"{name} = {_shorten(old)} (now {_shorten(new)})"]


def _shorten(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 80 else text[:77] + "..."


# ---- reading ---------------------------------------------------------------------------------------------------------


def read_manifest(path: Path) -> dict[str, Any]:
    """Return the manifest of a folder.

    Raises
    ------
    ValueError
        If there is none, it is damaged, or this package is too old for it.
    """
    try:
        manifest: dict[str, Any] = json.loads((path / MANIFEST).read_text())
        newer = manifest["format"] > FORMAT
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: no pack or catalog of goodricke ({MANIFEST}: {error!r})") from error
    if newer:
        raise ValueError(f"{path}: written by goodricke {manifest.get('goodricke')}; update this one ({__version__})")
    return manifest


def read_log(path: Path) -> Iterator[Entry]:
    """Give the lines of a folder's log, without one torn by a crash."""
    lines = (path / LOG).read_text().splitlines() if (path / LOG).exists() else []
    for line in lines:
        try:
            yield Entry.from_json(line)
        except (ValueError, TypeError):
            continue


def completed_shards(path: Path) -> list[Entry]:
    """Return the shards of a folder that are done, in order.

    A task that writes several has an entry ``TASK/0``, ``TASK/1``, ... for each and, last, one of its own with their
    number in ``parts``. Without it none of them counts, and of an earlier run that made more, only so many count.
    """
    entries = {entry.task: entry for entry in read_log(path)}

    def counts(entry: Entry) -> bool:
        task, _, part = entry.task.partition("/")
        summary = entries.get(task)
        return not part or (summary is not None and int(part) < summary.details.get("parts", 0))

    return sorted((e for e in entries.values() if e.shard and counts(e)), key=lambda e: str(e.shard))


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
            files = tuple(path / str(entry.shard) for entry in completed_shards(path))
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
        schema = pq.read_schema(common) if self.manifest and common.exists() else common_schema(self.files)
        assert schema is not None  # there is a file
        return schema

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


PROVENANCE = ("goodricke", "model", "model_hash", "settings", "input", "per_star", "thresholds")


def catalog_rows(catalog: Catalog) -> Rows:
    """Return the rows of a catalog, to go through in memory that doesn't grow with them."""
    schema = catalog.schema.remove_metadata()

    def batches() -> Iterator[pa.Table]:
        for path in catalog.files:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):  # one by one: a reader of several keeps the bytes of them all
                    for batch in file.iter_batches(BATCH, [group], use_threads=False):
                        yield _with_schema(batch, schema)

    return Rows(schema, len(catalog), batches, provenance(catalog))


def provenance(catalog: Catalog) -> dict[str, str]:
    """Return where a catalog comes from: model and its hash, version, settings, hash of the input, classes.

    The values are those of the manifest and of the shards' metadata. In files that have neither, the model is that of
    the first row.
    """
    metadata = {k.decode(): v for k, v in (pq.read_schema(catalog.files[0]).metadata or {}).items()}
    values = {k: metadata[k].decode() for k in PROVENANCE if k in metadata}
    manifest = catalog.manifest
    if manifest:
        settings: dict[str, Any] = manifest.get("settings", {})
        values |= {"goodricke": manifest["goodricke"], "settings": json.dumps(settings)}
        values |= {k: str(settings[k]) for k in ("model", "model_hash") if k in settings}
        values |= {"input": _combine_hashes([s["input"] for s in manifest.get("shards", ()) if "input" in s])}
    names = [n for n in ("model", "model_hash") if n in catalog.schema.names]
    for row in catalog.dataset.head(1, columns=names).to_pylist():
        values = {k: v for k, v in row.items() if v} | values
    values = {"goodricke": __version__, **values, "classes": ",".join(catalog.classes)}
    return {k: v for k, v in values.items() if v}


def _with_schema(batch: pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    """Return rows with the columns of a schema, null where the batch has none."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    cast = [columns[f.name].cast(f.type) if f.name in columns else pa.nulls(len(batch), f.type) for f in schema]
    return pa.table(cast, schema=schema)


def _combine_hashes(hashes: list[str]) -> str:
    """Return one hash of several, whatever their order; of one, itself; of none, an empty string."""
    if len(hashes) < 2:
        return "".join(hashes)
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()[:16]
