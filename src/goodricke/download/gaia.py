"""Gaia DR3 epoch photometry from ESA's DataLink service, many sources in one request.

``/data-server/data?RETRIEVAL_TYPE=EPOCH_PHOTOMETRY&ID=1,2,...``. The structure RAW gives a table with a row per source,
packed in a ZIP; sources without epoch photometry, most of them, are not in it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode

import pyarrow as pa

from goodricke.download.archive import DataArchive, FileLocation, FileRequest, MissingTarget
from goodricke.download.http import AbsentFileError, Client, InvalidResponseError

PER_REQUEST = 100  # sources per request: an address of 2,000 characters; the service allows 5,000 sources
RELEASE = "Gaia DR3"


@dataclass(frozen=True)
class Gaia(DataArchive):
    """All epochs in G, BP and RP of a source.

    Parameters
    ----------
    per_request : int
        Sources per request.
    """

    NAME: ClassVar[str] = "gaia"
    READER: ClassVar[str] = "gaia"
    PER_SHARD: ClassVar[int] = 10_000
    RATE: ClassVar[float] = 0.5
    CONNECTIONS: ClassVar[int] = 2
    TIMEOUT: ClassVar[float] = 300.0
    ABSENT_REASON: ClassVar[str] = f"{RELEASE} has no epoch photometry of this source"

    per_request: int = PER_REQUEST

    @property
    def settings(self) -> dict[str, Any]:
        """The release."""
        return {"release": RELEASE}

    def parse_target(self, text: str) -> str | None:
        """Return a source's number, of ``123...`` or ``Gaia DR3 123...``."""
        number = text.strip().upper().removeprefix(RELEASE.upper()).strip()
        return str(int(number)) if number.isascii() and number.isdigit() and 0 < int(number) < 2**63 else None

    def file_requests(
        self, client: Client, targets: Sequence[str], columns: pa.Table
    ) -> tuple[list[FileRequest], list[MissingTarget]]:
        """See `DataArchive.file_requests`; one request per `per_request` sources."""
        parts = [tuple(targets[i : i + self.per_request]) for i in range(0, len(targets), self.per_request)]
        return [FileRequest(part, ((self._location(part),),)) for part in parts], []

    def _location(self, sources: Sequence[str]) -> FileLocation:
        query = {"RETRIEVAL_TYPE": "EPOCH_PHOTOMETRY", "ID": ",".join(sources), "RELEASE": RELEASE}
        query |= {"DATA_STRUCTURE": "RAW", "FORMAT": "csv", "VALID_DATA": "false", "USE_ZIP_ALWAYS": "true"}
        url = f"{self.server('gaia')}/data-server/data?{urlencode(query, safe=',')}"
        return FileLocation(f"gaia-{sources[0]}-{len(sources)}.zip", url)

    def target_url(self, target: str, url: str) -> str:
        """Return the address of one source, which is shorter than that of a hundred."""
        return self._location([target]).url

    def check(self, body: bytes) -> None:
        """See `DataArchive.check`; `tables` checks the contents."""
        if body and body[:2] != b"PK" and b"source_id" not in body[:1024]:
            raise InvalidResponseError(f"sent neither a ZIP nor a table: {body[:80].decode('utf-8', 'replace')!r}")

    def tables(self, path: Path, targets: Sequence[str]) -> list[Path]:
        """Return the tables in the ZIP; a server without compression sends the table itself."""
        if zipfile.is_zipfile(path):
            tables = _unzip(path)
        elif path.read_bytes()[:2] == b"PK":
            raise InvalidResponseError("sent a ZIP that is cut short")
        else:
            tables = [path]
        tables = [table for table in tables if _has_rows(table)]
        if not tables:
            raise AbsentFileError(f"{len(targets)} sources: no epoch photometry")
        return tables


def _unzip(path: Path) -> list[Path]:
    """Unpack the CSV files into the same folder under new names: those in a ZIP may lead anywhere."""
    tables = []
    try:
        with zipfile.ZipFile(path) as packed:
            for number, name in enumerate(n for n in packed.namelist() if n.lower().endswith(".csv")):
                table = path.with_suffix(f".{number}.csv")
                table.write_bytes(packed.read(name))
                tables.append(table)
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise InvalidResponseError(f"sent a ZIP that can't be unpacked ({error})") from error
    return tables


def _has_rows(table: Path) -> bool:
    with open(table, "rb") as file:
        return len(list(islice((line for line in file if line.strip() and line[:1] != b"#"), 2))) == 2
