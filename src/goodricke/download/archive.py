"""What the download needs to know of an archive: its ids, where the files are, and how to check a response."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

import pyarrow as pa

from goodricke.download.http import Client, InvalidResponseError

SERVERS = {
    "archive": "https://archive.stsci.edu",  # MAST's plain files
    "mast": "https://mast.stsci.edu",  # its API
    "alerce": "https://api.alerce.online/ztf/v1",
    "gaia": "https://gea.esac.esa.int",
}
ABSENT, FAILED, NO_TARGET = "absent", "failed", "no target"
FITS_BLOCK = 2880  # bytes; a complete FITS file is a multiple of it


class MissingTarget(NamedTuple):
    """A row of the list of targets without light curves."""

    target: str
    kind: str  # absent: the archive has none; failed: tried again next time; no target: the list names none
    reason: str
    url: str = ""


class FileLocation(NamedTuple):
    """Where a file may be, and its name on the disk."""

    name: str
    url: str


class FileRequest(NamedTuple):
    """Files with the light curves of some targets; each comes from the first of its locations that has it."""

    targets: tuple[str, ...]
    files: tuple[tuple[FileLocation, ...], ...]


@dataclass(frozen=True)
class DataArchive(ABC):
    """An archive, and what to download from it; the four are in modules of their names.

    Parameters
    ----------
    base_url : str, optional
        Of a mirror with the archive's paths, in place of its servers.
    """

    NAME: ClassVar[str]
    READER: ClassVar[str]  # that must recognise the files
    PREFIX: ClassVar[str] = ""  # of the ids that the reader gives
    DIGITS: ClassVar[int] = 16  # of an id, at most
    PER_SHARD: ClassVar[int] = 1000  # targets
    RATE: ClassVar[float] = 5.0  # requests per second
    CONNECTIONS: ClassVar[int] = 4
    TIMEOUT: ClassVar[float] = 60.0  # s
    ABSENT_REASON: ClassVar[str] = "the archive has no light curve"

    base_url: str | None = field(default=None, kw_only=True)

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What determines the files, besides the targets."""

    @abstractmethod
    def file_requests(
        self, client: Client, targets: Sequence[str], columns: pa.Table
    ) -> tuple[list[FileRequest], list[MissingTarget]]:
        """Return the requests for the targets' files, and the targets without any.

        Parameters
        ----------
        client : Client
            For archives that must be searched for the names of the files.
        targets : list of str (n,)
        columns : pyarrow.Table (n rows)
            The other columns of the list of targets.
        """

    def parse_target(self, text: str) -> str | None:
        """Return the target in a cell of a list, in its canonical form; None if there is none."""
        number = text.strip().upper().removeprefix(self.PREFIX.upper().strip()).strip()
        plain = number.isascii() and number.isdigit() and len(number) <= self.DIGITS
        return str(int(number)) if plain and int(number) else None

    def object_id(self, target: str) -> str:
        """Return the id that the reader gives a target."""
        return f"{self.PREFIX}{target}"

    def is_alias(self, object_id: str) -> bool:
        """Return whether files of this archive may have such an id instead of the target's."""
        return False

    def target_url(self, target: str, url: str) -> str:
        """Return the address of one target, for that of a request with several targets."""
        return url

    def check(self, body: bytes) -> None:
        """Check a response before it is written.

        Raises
        ------
        InvalidResponseError
            If it is no such file.
        """
        if body[:9] != b"SIMPLE  =" or len(body) % FITS_BLOCK:
            raise InvalidResponseError(f"sent {len(body):,} bytes that are no complete FITS file")

    def tables(self, path: Path, targets: Sequence[str]) -> list[Path]:
        """Return the files for the reader, converted from a downloaded one if necessary.

        Raises
        ------
        AbsentFileError
            If it is empty.
        InvalidResponseError
            If it can't be converted.
        """
        return [path]

    def server(self, name: str) -> str:
        """Return the address of a server: the mirror's, that of the environment, or the usual one."""
        variable = f"GOODRICKE_{name.upper()}_URL"
        return check_base_url(self.base_url or os.environ.get(variable) or SERVERS[name])


def check_base_url(url: str) -> str:
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
