"""Gaia DR3 epoch photometry from ESA's DataLink service, many sources in one request.

``/data-server/data?RETRIEVAL_TYPE=EPOCH_PHOTOMETRY&ID=1,2,...``. The structure RAW gives a table with a row per source,
packed in a ZIP; sources without epoch photometry, as most are, are simply not in it.
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

from goodricke.download.archive import Archive, Ask, Missing, Place
from goodricke.download.http import Absent, Client, Damaged

TOGETHER = 100  # sources per request: an address of 2,000 characters; the service allows 5,000 sources
RELEASE = "Gaia DR3"


@dataclass(frozen=True)
class Gaia(Archive):
    """All epochs in G, BP and RP of a source.

    Parameters
    ----------
    together : int
        Sources per request.
    """

    NAME: ClassVar[str] = "gaia"
    READER: ClassVar[str] = "gaia"
    PER_SHARD: ClassVar[int] = 10_000
    RATE: ClassVar[float] = 0.5
    NONE: ClassVar[str] = f"{RELEASE} has no epoch photometry of this source"

    together: int = TOGETHER

    @property
    def settings(self) -> dict[str, Any]:
        """The release."""
        return {"release": RELEASE}

    def target(self, text: str) -> str | None:
        """Return a source's number, of ``123...`` or ``Gaia DR3 123...``."""
        number = text.strip().upper().removeprefix(RELEASE.upper()).strip()
        return str(int(number)) if number.isascii() and number.isdigit() and 0 < int(number) < 2**63 else None

    def asks(self, client: Client, targets: Sequence[str], columns: pa.Table) -> tuple[list[Ask], list[Missing]]:
        """See `Archive.asks`; one request per `together` sources."""
        rest, asks = iter(targets), list[Ask]()
        while part := tuple(islice(rest, self.together)):
            asks.append(Ask(part, ((self._place(part),),)))
        return asks, []

    def _place(self, sources: Sequence[str]) -> Place:
        told = {"RETRIEVAL_TYPE": "EPOCH_PHOTOMETRY", "ID": ",".join(sources), "RELEASE": RELEASE}
        told |= {"DATA_STRUCTURE": "RAW", "FORMAT": "csv", "VALID_DATA": "false", "USE_ZIP_ALWAYS": "true"}
        url = f"{self.server('gaia')}/data-server/data?{urlencode(told, safe=',')}"
        return Place(f"gaia-{sources[0]}-{len(sources)}.zip", url)

    def address(self, target: str, url: str) -> str:
        """Return the address of one source: that of a hundred would stand in every row."""
        return self._place([target]).url

    def check(self, body: bytes) -> None:
        """See `Archive.check`; what is in it is seen when it is taken apart."""
        if body and body[:2] != b"PK" and b"source_id" not in body[:1024]:
            raise Damaged(f"sent neither a ZIP nor a table: {body[:80].decode('utf-8', 'replace')!r}")

    def tables(self, path: Path, targets: Sequence[str]) -> list[Path]:
        """Return the tables in the ZIP; a server that doesn't pack gives the table itself."""
        if not path.stat().st_size:
            raise Absent(f"{len(targets)} sources: no epoch photometry")
        found = _unzipped(path) if zipfile.is_zipfile(path) else [_plain(path)]
        found = [table for table in found if _has_rows(table)]
        if not found:
            raise Absent(f"{len(targets)} sources: no epoch photometry")
        return found


def _plain(path: Path) -> Path:
    if path.read_bytes()[:2] == b"PK":
        raise Damaged("sent a ZIP that is cut short")
    return path


def _unzipped(path: Path) -> list[Path]:
    """Unpack the CSV files beside the ZIP, under names of our own: those in a ZIP may lead anywhere."""
    found = []
    try:
        with zipfile.ZipFile(path) as packed:
            for number, name in enumerate(n for n in packed.namelist() if n.lower().endswith(".csv")):
                table = path.with_suffix(f".{number}.csv")
                table.write_bytes(packed.read(name))
                found.append(table)
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise Damaged(f"sent a ZIP that can't be unpacked ({error})") from error
    return found


def _has_rows(table: Path) -> bool:
    with open(table, "rb") as file:
        return len(list(islice((line for line in file if line.strip() and line[:1] != b"#"), 2))) == 2
