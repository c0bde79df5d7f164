"""What an archive must know to be downloaded from: its ids, where the files are, and what to make of an answer."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

import pyarrow as pa

from goodricke.download.http import Client, Damaged

SERVERS = {
    "archive": "https://archive.stsci.edu",  # MAST's plain files
    "mast": "https://mast.stsci.edu",  # its API
    "alerce": "https://api.alerce.online/ztf/v1",
    "gaia": "https://gea.esac.esa.int",
}
ABSENT, FAILED, NO_TARGET = "absent", "failed", "no target"
FITS_BLOCK = 2880  # bytes; a whole FITS file is a multiple of it


class Missing(NamedTuple):
    """A row of the list of what could not be had."""

    target: str
    kind: str  # absent: the archive has none; failed: tried again next time; no target: the list names none
    reason: str
    url: str = ""


class Place(NamedTuple):
    """Where a file may be, and its name on the disk."""

    name: str
    url: str


class Ask(NamedTuple):
    """What some targets are had by: files, each of them in the first of its places that has it."""

    targets: tuple[str, ...]
    files: tuple[tuple[Place, ...], ...]


@dataclass(frozen=True)
class Archive(ABC):
    """An archive and what is wanted of it; the four are in modules of their names.

    Parameters
    ----------
    base_url : str, optional
        Of a mirror that has the archive's paths, in place of its servers.
    """

    NAME: ClassVar[str]
    READER: ClassVar[str]  # that must recognise the files
    PREFIX: ClassVar[str] = ""  # of the ids that the reader gives
    DIGITS: ClassVar[int] = 16  # that an id may have
    PER_SHARD: ClassVar[int] = 1000  # targets
    RATE: ClassVar[float] = 5.0  # requests per second, if nothing else is asked for
    NONE: ClassVar[str] = "the archive has no light curve"

    base_url: str | None = field(default=None, kw_only=True)

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What decides which files are had, beside the targets."""

    @abstractmethod
    def asks(self, client: Client, targets: Sequence[str], columns: pa.Table) -> tuple[list[Ask], list[Missing]]:
        """Return how the targets are had, and those that can't be.

        Parameters
        ----------
        client : Client
            Where the archive must be asked for the files' names.
        targets : list of str (n,)
        columns : pyarrow.Table (n rows)
            What the list of targets tells about them.
        """

    def target(self, text: str) -> str | None:
        """Return the target that a cell of a list names, in its one form; None if it names none."""
        number = text.strip().upper().removeprefix(self.PREFIX.upper().strip()).strip()
        plain = number.isascii() and number.isdigit() and len(number) <= self.DIGITS
        return str(int(number)) if plain and int(number) else None

    def object_id(self, target: str) -> str:
        """Return the id under which the reader gives a target."""
        return f"{self.PREFIX}{target}"

    def is_alias(self, object_id: str) -> bool:
        """Tell whether an id is of a kind that this archive's files may have instead of the target's."""
        return False

    def address(self, target: str, url: str) -> str:
        """Return where one target can be looked at, given the address that it was asked for with others."""
        return url

    def check(self, body: bytes) -> None:
        """Look whether an answer can be what was asked for, before it is written.

        Raises
        ------
        Damaged
            If it can't.
        """
        if body[:9] != b"SIMPLE  =" or len(body) % FITS_BLOCK:
            raise Damaged(f"sent {len(body):,} bytes that are no whole FITS file")

    def tables(self, path: Path, targets: Sequence[str]) -> list[Path]:
        """Return the files that the reader takes, made of a downloaded one if need be.

        Raises
        ------
        Absent
            If it turns out to hold nothing.
        Damaged
            If it can't be taken apart.
        """
        return [path]

    def server(self, name: str) -> str:
        """Return the address of a server: as asked for, as the environment says, or the usual one."""
        variable = f"GOODRICKE_{name.upper()}_URL"
        return checked_url(self.base_url or os.environ.get(variable) or SERVERS[name])


def checked_url(url: str) -> str:
    """Return a base URL without a slash at its end.

    Raises
    ------
    ValueError
        If it is none, or has a password in it, which would end in logs and shards.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"{url!r} is no base URL: write it as https://mirror.example.org/path")
    if "@" in parts.netloc or parts.query:
        raise ValueError(f"the base URL for {parts.hostname} must hold no password and no query; leave them out")
    return url.rstrip("/")
