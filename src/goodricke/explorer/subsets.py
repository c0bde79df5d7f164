"""Selections saved under a name: conditions in a JSON file beside the labels, ``{"NAME": {"all": [...]}}``."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from pydantic import ValidationError

from goodricke.data.files import atomic_path
from goodricke.explorer.conditions import AllOf, AnyOf, Condition, InSubset, Not, Where
from goodricke.io.options import Unreadable

LONGEST_NAME = 100  # characters
MOST = 500  # subsets


class SubsetFile:
    """A file of subsets.

    Parameters
    ----------
    path : Path
        May be absent.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.version, self._lock = path, 0, threading.RLock()
        self._stamp: tuple[int, int] | None = None
        self._entries: dict[str, Where] = {}

    def all(self) -> dict[str, Where]:
        """Return the conditions of all subsets by their names."""
        with self._lock:
            self._refresh()
            return dict(self._entries)

    def get(self, name: str) -> Where | None:
        """Return the conditions of a subset, None if there is none of this name."""
        return self.all().get(name)

    def save(self, name: str, where: Where) -> None:
        """Save conditions under a name; subsets within them are replaced by their conditions.

        Raises
        ------
        ValueError
            If the name is empty or too long, there are too many subsets, or the file can't be written.
        """
        name = name.strip()
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            raise ValueError(f"a subset has a name of 1 to {LONGEST_NAME} characters on one line")
        with self._lock:
            entries = self.all()
            entries[name] = Where(all=[self._expanded(c) for c in where.all])
            if len(entries) > MOST:
                raise ValueError(f"there are {MOST} subsets: remove some")
            self._write(entries)

    def remove(self, name: str) -> None:
        """Remove a subset, if there is one of this name."""
        with self._lock:
            entries = self.all()
            if entries.pop(name, None) is not None:
                self._write(entries)

    def _expanded(self, condition: Condition) -> Condition:
        match condition:
            case InSubset(subset=name) if (where := self.get(name)) is not None:
                return AllOf(all=where.all)
            case AllOf(all=parts):
                return AllOf(all=[self._expanded(part) for part in parts])
            case AnyOf(any=parts):
                return AnyOf(any=[self._expanded(part) for part in parts])
            case Not(negated=part):
                return Not.model_validate({"not": self._expanded(part)})
        return condition

    def _refresh(self) -> None:
        """Read the file if it has changed.

        Raises
        ------
        Unreadable
            If it holds no subsets.
        """
        try:
            status = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            if self._entries:
                self._entries, self._stamp, self.version = {}, None, self.version + 1
            return
        stamp = (status.st_mtime_ns, status.st_size)
        if stamp == self._stamp:
            return
        try:
            stored = json.loads(self.path.read_text("utf-8"))
            entries = {name: Where.model_validate(where) for name, where in stored.items()}
        except (ValueError, AttributeError, ValidationError) as error:
            raise Unreadable(str(self.path), "holds no subsets", "move it away, or mend it") from error
        self._entries, self._stamp, self.version = entries, stamp, self.version + 1

    def _write(self, entries: dict[str, Where]) -> None:
        text = json.dumps({name: where.model_dump(by_alias=True) for name, where in entries.items()}, indent=1)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(self.path) as partial:
                partial.write_text(text, "utf-8")
        except OSError as error:
            fix = "name a file in another folder by --labels"
            raise ValueError(f"{self.path}: can't be written ({error.strerror}). Fix: {fix}") from error
        self._refresh()
