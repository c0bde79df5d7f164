"""ZTF's detections through ALeRCE: ``/objects/ZTF18abbuksn/lightcurve``, the request of the broker's own client.

A response has detections and non-detections. Light curves are made of the detections; the non-detections, which are
no measurements, stay in the files of ``--keep-files``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pyarrow as pa

from goodricke.download.archive import DataArchive, FileLocation, FileRequest, MissingTarget
from goodricke.download.http import AbsentFileError, Client, InvalidResponseError

OID = re.compile(r"ZTF\d{2}[a-z]{7}")


@dataclass(frozen=True)
class Ztf(DataArchive):
    """All detections of an object."""

    NAME: ClassVar[str] = "ztf"
    READER: ClassVar[str] = "alerce"
    PER_SHARD: ClassVar[int] = 5000
    RATE: ClassVar[float] = 3.0
    CONNECTIONS: ClassVar[int] = 2
    ABSENT_REASON: ClassVar[str] = "ALeRCE knows no such object, or no detection of it"

    @property
    def settings(self) -> dict[str, Any]:
        """Only the targets determine the files."""
        return {}

    def parse_target(self, text: str) -> str | None:
        """Return the name of an object, ZTF18abbuksn."""
        name = text.strip()
        name = name[:3].upper() + name[3:].lower()
        return name if OID.fullmatch(name) else None

    def file_requests(
        self, client: Client, targets: Sequence[str], columns: pa.Table
    ) -> tuple[list[FileRequest], list[MissingTarget]]:
        """See `DataArchive.file_requests`; one request per object."""
        base = self.server("alerce")
        return [
            FileRequest((t,), ((FileLocation(f"{t}.json", f"{base}/objects/{t}/lightcurve"),),)) for t in targets
        ], []

    def check(self, body: bytes) -> None:
        """See `DataArchive.check`."""
        detections(body)

    def tables(self, path: Path, targets: Sequence[str]) -> list[Path]:
        """Return the detections as a table."""
        rows = detections(path.read_bytes())
        if not rows:
            raise AbsentFileError(f"{targets[0]}: no detection")
        table = path.with_suffix(".csv")
        pd.DataFrame(rows).assign(oid=targets[0]).to_csv(table, index=False)
        return [table]


def detections(body: bytes) -> list[dict[str, Any]]:
    """Return the detections in a response.

    Raises
    ------
    InvalidResponseError
        If it is no light curve.
    """
    try:
        rows = json.loads(body)["detections"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidResponseError(f"sent no light curve ({error!r})") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InvalidResponseError("sent a light curve whose detections are no list")
    return rows
