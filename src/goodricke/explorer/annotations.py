"""Labels and comments given in the explorer: a CSV with a row per object, which `goodricke train` can read.

Several explorers, and people with an editor, may write to one file: each change is applied to what the file holds at
that moment, behind a lock, and the file is replaced atomically.
"""

from __future__ import annotations

import csv
import io
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from goodricke.data.files import atomic_path
from goodricke.io.options import Unreadable

COLUMNS = ("object_id", "label", "comment", "time")
MAX_LENGTH = {"label": 100, "comment": 2000}  # characters


@dataclass(frozen=True)
class Annotation:
    """Label and comment of an object; all its light curves share them, as a star has one class."""

    object_id: str
    label: str | None = None
    comment: str | None = None
    time: str | None = None  # of the last change, UTC
    other: dict[str, str] = field(default_factory=dict)  # the file's further columns

    def as_json(self) -> dict[str, Any]:
        """Return the values of `COLUMNS`."""
        return {name: getattr(self, name) for name in COLUMNS}


class LabelFile:
    """A file of labels.

    Parameters
    ----------
    path : Path
        May be absent. A file that exists has columns ``object_id`` and ``label``, such as `goodricke suggest` writes;
        its other columns stay.

    Raises
    ------
    Unreadable
        If the file is no such CSV.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, threading.RLock()
        self._stamp: tuple[int, int, int] | None = (0, 0, 0)  # of the file when it was last read
        self._entries: dict[str, Annotation] = {}
        self._columns, self._version = list(COLUMNS), 0
        self._refresh()

    def get(self, object_id: str) -> Annotation | None:
        """Return the annotation of an object, None if it has none."""
        with self._lock:
            self._refresh()
            return self._entries.get(object_id)

    def current(self) -> tuple[int, list[Annotation]]:
        """Return a number that changes with the file, and all annotations."""
        with self._lock:
            self._refresh()
            return self._version, list(self._entries.values())

    def names(self) -> list[str]:
        """Return the labels that the file uses, sorted."""
        return sorted({e.label for e in self.current()[1] if e.label is not None})

    def count(self) -> int:
        """Return the number of objects with a label."""
        return sum(e.label is not None for e in self.current()[1])

    def change(self, object_id: str, **values: str | None) -> Annotation:
        """Set the ``label`` of an object, its ``comment``, or both; what is absent stays as the file has it.

        Raises
        ------
        ValueError
            If a text is too long, or the file can't be written.
        """
        self.change_all({object_id: values})
        return self.get(object_id) or Annotation(object_id)

    def change_all(self, changes: Mapping[str, Mapping[str, str | None]]) -> list[Annotation]:
        """Change many objects at once, all or none; return their annotations as they were.

        Raises
        ------
        ValueError
            If a text is too long, or the file can't be written.
        """
        changes = {i: {name: _one_line(text, name) for name, text in v.items()} for i, v in changes.items()}
        with self._lock, self._file_lock():
            self._refresh()
            before = [self._entries.get(object_id) or Annotation(object_id) for object_id in changes]
            now = datetime.now(UTC).isoformat(timespec="seconds")
            for old in before:
                label, comment = (changes[old.object_id].get(name, getattr(old, name)) for name in MAX_LENGTH)
                if label is None and comment is None and not any(old.other.values()):
                    self._entries.pop(old.object_id, None)
                else:
                    self._entries[old.object_id] = Annotation(old.object_id, label, comment, now, old.other)
            self._write()
            return before

    def remove(self, object_id: str) -> None:
        """Remove label and comment of an object."""
        self.change(object_id, label=None, comment=None)

    def _refresh(self) -> None:
        """Read the file if it has changed."""
        try:
            stamp = _stamp(self.path.stat())
        except (FileNotFoundError, NotADirectoryError):
            stamp = None
        if stamp == self._stamp:
            return
        self._version += 1
        self._entries, self._columns = ({}, list(COLUMNS)) if stamp is None else _read(self.path)
        self._stamp = stamp

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns, restval="", lineterminator="\n")
        writer.writeheader()
        for entry in self._entries.values():
            writer.writerow({**entry.other, **{n: v for n, v in entry.as_json().items() if v is not None}})
        with atomic_path(self.path) as partial:
            partial.write_bytes(text.getvalue().encode())
            stamp = _stamp(partial.stat())  # of this file: another may replace it at once
        self._stamp, self._version = stamp, self._version + 1

    @contextmanager
    def _file_lock(self) -> Iterator[None]:
        """Keep other writers out during a change."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path.with_name(f".{self.path.name}.lock"), "w") as file:
                _lock(file)
                yield
        except OSError as error:
            fix = "name another file by --labels"
            raise ValueError(f"{self.path}: can't be written ({error.strerror}): {fix}") from error


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    """Return numbers that change with a file."""
    return status.st_mtime_ns, status.st_size, status.st_ino


def _lock(file: Any) -> None:
    """Wait for the lock of a file, which the system releases when the file is closed."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    fcntl.flock(file, fcntl.LOCK_EX)


def _read(path: Path) -> tuple[dict[str, Annotation], list[str]]:
    """Return the annotations of a file by object, and the names of its columns.

    Raises
    ------
    Unreadable
        If it is no CSV with columns ``object_id`` and ``label``.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, names = list(reader), list(reader.fieldnames or COLUMNS)
    except (UnicodeDecodeError, csv.Error) as error:
        raise Unreadable(str(path), f"is no CSV ({error})", "name another file by --labels") from error
    if rows and (None in rows[0] or not {"object_id", "label"} <= set(names)):
        columns = ", ".join(names)
        fix = "rename them, or --labels NEW"
        raise Unreadable(str(path), f"has no columns object_id and label; it has {columns}", fix)
    entries = dict[str, Annotation]()
    for row in rows:
        label, comment, time = (row.get(n) or None for n in COLUMNS[1:])
        other = {n: row[n] or "" for n in names if n not in COLUMNS}
        entries[row["object_id"]] = Annotation(row["object_id"], label, comment, time, other)
    return entries, [*names, *(n for n in COLUMNS if n not in names)]


def _one_line(text: str | None, name: str) -> str | None:
    """Return a text on one line, None if it is empty."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text or "").split())
    if len(text) > MAX_LENGTH[name]:
        raise ValueError(f"a {name} has at most {MAX_LENGTH[name]} characters, not {len(text)}")
    return text or None
