"""Archived alert packets (.avro files) as a stream: unchanged, in order of time, keyed by object.

Of a file with several packets, every packet becomes a file of its own with the same schema. Packets that are no alerts
of a fixed object (solar system, failed measurements) are skipped.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from goodricke.io.packets import UNREADABLE, Alerts, PacketOptions, decode
from goodricke.io.packets.avro import import_fastavro

SUFFIX = ".avro"
logger = logging.getLogger("goodricke")

SURVEYS: tuple[Literal["ztf", "rubin"], ...] = ("ztf", "rubin")
BATCH = 200  # files


class PacketLocation(NamedTuple):
    """The file of a packet and its number in it, with the time and object of its observation."""

    day: float
    object_id: str
    path: Path
    number: int


@dataclass(frozen=True)
class Archive:
    """The packets of files.

    Parameters
    ----------
    format : {"ztf", "rubin"}
    locations : list
        Of the packets, in order of time.
    skipped : int
        Number of packets that are no alerts of a fixed object.
    """

    format: Literal["ztf", "rubin"]
    locations: list[PacketLocation]
    skipped: int

    @property
    def days(self) -> np.ndarray:
        """Time of each packet's observation [d], (n,)."""
        return np.array([location.day for location in self.locations], np.float64)

    @property
    def objects(self) -> int:
        """Number of objects."""
        return len({location.object_id for location in self.locations})

    def packets(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield key and message of the packets one by one; only `BATCH` files are in memory."""
        for location in self.locations:
            yield location.object_id.encode(), read_packets(location.path)[location.number]


def open_archive(sources: Sequence[str]) -> Archive:
    """Find the packets of one survey in files or folders of files.

    Parameters
    ----------
    sources : sequence of str
        Of ``.avro`` files and folders.

    Raises
    ------
    ValueError
        If there are none, or none can be read.
    """
    paths = [path for source in sources for path in _files(Path(source))]
    if not paths:
        fix = "name the folder that has them, or leave out --packets for light curves"
        raise ValueError(
            f"no {SUFFIX} files in {', '.join(sources)}: packets are sent as surveys give them. Fix: {fix}"
        )
    format: Literal["ztf", "rubin"] | None = None
    locations, skipped, refusals = list[PacketLocation](), 0, list[str]()
    for batch in (paths[k : k + BATCH] for k in range(0, len(paths), BATCH)):
        files = list[tuple[Path, int]]()
        for path in batch:
            try:
                format = format or _survey(path)
                files += [(path, number) for number in range(len(read_packets(path)))]
            except ValueError as error:
                refusals.append(str(error))
        if format is None:
            continue
        alerts = _decode_all([read_packets(path)[number] for path, number in files], format)
        bad = [failure for failure in alerts.failures if failure.status == UNREADABLE]
        refusals += [f"{files[failure.index][0]} is no alert of {format}: it {failure.error}" for failure in bad]
        skipped += len(alerts.failures) - len(bad)
        times, names = alerts.new.time.tolist(), alerts.object_id.to_pylist()
        rows = zip(times, names, alerts.index.tolist(), strict=True)
        locations += [PacketLocation(day, name, *files[index]) for day, name, index in rows]
    if format is None or (refusals and not locations and not skipped):
        raise ValueError(refusals[0])
    if refusals:
        logger.warning("%d files or packets are left out, since they can't be read: %s", len(refusals), refusals[0])
    return Archive(format, sorted(locations, key=lambda location: location.day), skipped)


def _decode_all(messages: Sequence[bytes], format: str) -> Alerts:
    """Return alerts of any brightness: the workers judge which of them they can use."""
    return decode(messages, format, PacketOptions(photometry="difference", unit="nJy"))


def _files(source: Path) -> list[Path]:
    if source.is_dir():
        return sorted(source.rglob(f"*{SUFFIX}"))
    if source.suffix != SUFFIX:
        raise ValueError(f"{source} is no {SUFFIX} file: leave out --packets to send its light curves as slim records")
    return [source]


def _survey(path: Path) -> Literal["ztf", "rubin"]:
    """Return the survey whose packets a file holds.

    Raises
    ------
    ValueError
        If there is none.
    """
    reason = ""
    for format in SURVEYS:
        alerts = _decode_all(read_packets(path)[:1], format)
        if all(failure.status != UNREADABLE for failure in alerts.failures):
            return format
        reason = alerts.failures[0].error
    raise ValueError(f"{path} holds packets of none of {', '.join(SURVEYS)}: the first one {reason}")


@lru_cache(BATCH)
def read_packets(path: Path) -> list[bytes]:
    """Return the packets in a file, as one Avro file per packet.

    Raises
    ------
    ValueError
        If it is no Avro file.
    """
    fastavro, data = import_fastavro(), path.read_bytes()
    try:
        if sum(block.num_records for block in fastavro.block_reader(io.BytesIO(data))) == 1:
            return [data]
        reader = fastavro.reader(io.BytesIO(data))
        schema, codec = reader.writer_schema, reader.codec
        return [_one_record_file(record, schema, codec) for record in reader]
    except Exception as error:  # fastavro raises of every kind
        raise ValueError(f"{path} is no Avro file, or damaged ({type(error).__name__}: {error})") from error


def _one_record_file(record: dict, schema: object, codec: str) -> bytes:
    file = io.BytesIO()
    import_fastavro().writer(file, schema, [record], codec=codec)
    return file.getvalue()
