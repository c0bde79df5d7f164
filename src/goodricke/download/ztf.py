"""ZTF's detections through ALeRCE: ``/objects/ZTF18abbuksn/lightcurve``, as the broker's own client asks for them.

An answer holds detections and non-detections. Light curves are made of the detections, as `readers.alerce` reads them;
the non-detections, which are no measurements, remain in the files that ``--keep-files`` keeps.
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

from goodricke.download.archive import Archive, Ask, Missing, Place
from goodricke.download.http import Absent, Client, Damaged

OID = re.compile(r"ZTF\d{2}[a-z]{7}")


@dataclass(frozen=True)
class Ztf(Archive):
    """All detections of an object."""

    NAME: ClassVar[str] = "ztf"
    READER: ClassVar[str] = "alerce"
    PER_SHARD: ClassVar[int] = 5000
    RATE: ClassVar[float] = 3.0
    NONE: ClassVar[str] = "ALeRCE knows no such object, or no detection of it"

    @property
    def settings(self) -> dict[str, Any]:
        """Nothing but the targets decides."""
        return {}

    def target(self, text: str) -> str | None:
        """Return the name of an object, ZTF18abbuksn."""
        name = text.strip()
        name = name[:3].upper() + name[3:].lower()
        return name if OID.fullmatch(name) else None

    def asks(self, client: Client, targets: Sequence[str], columns: pa.Table) -> tuple[list[Ask], list[Missing]]:
        """See `Archive.asks`; one request per object."""
        base = self.server("alerce")
        return [Ask((t,), ((Place(f"{t}.json", f"{base}/objects/{t}/lightcurve"),),)) for t in targets], []

    def check(self, body: bytes) -> None:
        """See `Archive.check`."""
        detections(body)

    def tables(self, path: Path, targets: Sequence[str]) -> list[Path]:
        """Return the detections as the table that the reader takes."""
        found = detections(path.read_bytes())
        if not found:
            raise Absent(f"{targets[0]}: no detection")
        table = path.with_suffix(".csv")
        pd.DataFrame(found).assign(oid=targets[0]).to_csv(table, index=False)
        return [table]


def detections(body: bytes) -> list[dict[str, Any]]:
    """Return the detections of an answer.

    Raises
    ------
    Damaged
        If it is no light curve.
    """
    try:
        found = json.loads(body)["detections"]
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"sent no light curve ({error!r})") from error
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Damaged("sent a light curve whose detections are no list")
    return found
