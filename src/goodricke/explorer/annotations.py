"""Labels and comments given in the explorer: a CSV with a row per object, which `goodricke train` reads as it is.

Several explorers, and people with an editor, may write to one file: each change is made to what the file holds at that
moment, behind a lock, and the file is replaced whole.
"""

from __future__ import annotations

import csv
import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from goodricke.io.options import Unreadable
from goodricke.survey.shards import whole_file

NAMES = ("object_id", "label", "comment", "time")
LONGEST = {"label": 100, "comment": 2000}  # characters


@dataclass(frozen=True)
class Entry:
    """What was said of an object: any of its light curves, for a star has one class."""

    object_id: str
    label: str | None = None
    comment: str | None = None
    time: str | None = None  # when, UTC
    more: dict[str, str] = field(default_factory=dict)  # columns that somebody else has put there

    def told(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {name: getattr(self, name) for name in NAMES}


class Labels:
    """A file of labels.

    Parameters
    ----------
    path : Path
        Needn't be there. A file that is there has columns ``object_id`` and ``label``, such as `goodricke suggest`
        writes; its other columns are kept.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, threading.RLock()
        self._state: tuple[int, int, int] | None = (0, 0, 0)
        self._entries: dict[str, Entry] = {}
        self._names, self._version = list(NAMES), 0
        self._read()

    def of(self, object_id: str) -> Entry | None:
        """Return what was said of an object, None if nothing was."""
        with self._lock:
            self._read()
            return self._entries.get(object_id)

    def current(self) -> tuple[int, list[Entry]]:
        """Return a number that changes with the file, and all entries."""
        with self._lock:
            self._read()
            return self._version, list(self._entries.values())

    def known(self) -> list[str]:
        """Return the labels that are in the file, sorted."""
        return sorted({e.label for e in self.current()[1] if e.label is not None})

    def count(self) -> int:
        """Return how many objects have a label."""
        return sum(e.label is not None for e in self.current()[1])

    def put(self, object_id: str, label: str | None, comment: str | None) -> Entry:
        """Say something of an object in place of what was said before; nothing at all removes it; see `change`."""
        return self.change(object_id, label=label, comment=comment)

    def change(self, object_id: str, **told: str | None) -> Entry:
        """Change the ``label`` of an object, its ``comment``, or both; what isn't given stays as the file has it.

        Raises
        ------
        ValueError
            If it is too long, or the file can't be written.
        """
        told = {name: _line(text, name) for name, text in told.items()}
        with self._lock, self._alone():
            self._read()
            old = self._entries.get(object_id) or Entry(object_id)
            label, comment = (told.get(name, getattr(old, name)) for name in LONGEST)
            if label is None and comment is None and not any(old.more.values()):
                self._entries.pop(object_id, None)
                entry = Entry(object_id)
            else:
                now = datetime.now(UTC).isoformat(timespec="seconds")
                entry = self._entries[object_id] = Entry(object_id, label, comment, now, old.more)
            self._write()
            return entry

    def remove(self, object_id: str) -> None:
        """Take back what was said of an object."""
        self.put(object_id, None, None)

    # ---- the file ---------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        """Read the file if it has changed."""
        state = self._now()
        if state == self._state:
            return
        self._version += 1
        if state is None:
            self._entries, self._names = {}, list(NAMES)
        else:
            self._entries, self._names = _read(self.path)
        self._state = state

    def _now(self) -> tuple[int, int, int] | None:
        try:
            told = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _state(told)

    def _write(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self._names, restval="", lineterminator="\n")
        writer.writeheader()
        for entry in self._entries.values():
            writer.writerow({**entry.more, **{n: v for n, v in entry.told().items() if v is not None}})
        with whole_file(self.path) as file:
            file.write(text.getvalue().encode())
            file.flush()
            written = file.partial.stat()  # of this file: the next moment another may be in its place
        self._state, self._version = _state(written), self._version + 1

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other writers out for the moment of a change."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path.with_name(f".{self.path.name}.lock"), "w") as file:
                _lock(file)
                yield
        except OSError as error:
            raise ValueError(
                f"{self.path}: can't be written ({error.strerror}): name another file by --labels"
            ) from error


def _state(told: os.stat_result) -> tuple[int, int, int]:
    """Return what changes with a file."""
    return told.st_mtime_ns, told.st_size, told.st_ino


def _lock(file: Any) -> None:
    """Wait for the lock of a file, which the system lets go of when the file is closed."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    fcntl.flock(file, fcntl.LOCK_EX)


def _read(path: Path) -> tuple[dict[str, Entry], list[str]]:
    """Return the entries of a file by object, and the names of its columns.

    Raises
    ------
    Unreadable
        If it isn't such a file.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
            names = list(rows[0]) if rows else _header(path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise Unreadable(str(path), f"is no CSV ({error})", "name another file by --labels") from error
    if rows and (None in names or not {"object_id", "label"} <= set(names)):
        has = ", ".join(str(n) for n in names)
        raise Unreadable(str(path), f"has no columns object_id and label; it has {has}", "rename them, or --labels NEW")
    own = [n for n in names if n not in NAMES and n is not None]
    found = dict[str, Entry]()
    for row in rows:
        label, comment, time = (row.get(n) or None for n in NAMES[1:])
        more = {n: row[n] or "" for n in own}
        found[row["object_id"]] = Entry(row["object_id"], label, comment, time, more)
    return found, [*names, *(n for n in NAMES if n not in names)]


def _header(path: Path) -> list[str]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        return next(csv.reader(file), list(NAMES))


def _line(text: str | None, what: str) -> str | None:
    """Return a text on one line, None if nothing is left of it."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text or "").split())
    if len(text) > LONGEST[what]:
        raise ValueError(f"a {what} has at most {LONGEST[what]} characters, not {len(text)}")
    return text or None
