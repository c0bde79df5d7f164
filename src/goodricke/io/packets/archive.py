"""Archived alert packets (.avro files) as a stream: as they were, in order of time, keyed by object.

Where a file holds several packets, each becomes a file of its own with the same schema. Packets that are no alerts of
one fixed object (solar system, failed measurements) are left out.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from goodricke.io.packets import UNREADABLE, Alerts, PacketOptions, decode
from goodricke.io.packets.avro import fastavro_module

SUFFIX = ".avro"
SURVEYS: tuple[Literal["ztf", "rubin"], ...] = ("ztf", "rubin")
AT_ONCE = 200  # files


class _Place(NamedTuple):
    """Where a packet is."""

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
    places : list
        Of the packets, in order of time.
    left_out : int
        Packets that are none of a fixed object.
    """

    format: Literal["ztf", "rubin"]
    places: list[_Place]
    left_out: int

    @property
    def days(self) -> np.ndarray:
        """Time of each packet's observation [d], (n,)."""
        return np.array([place.day for place in self.places], np.float64)

    @property
    def objects(self) -> int:
        """Number of objects."""
        return len({place.object_id for place in self.places})

    def packets(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield key and message of each packet, read when its turn comes."""
        for place in self.places:
            yield place.object_id.encode(), packets_in(place.path)[place.number]


def open_archive(sources: Sequence[str]) -> Archive:
    """Look through files, or folders of files, for packets of one survey.

    Parameters
    ----------
    sources : sequence of str
        Of ``.avro`` files and folders.

    Raises
    ------
    ValueError
        If there are none, or a file holds none.
    """
    paths = [path for source in sources for path in _files(Path(source))]
    if not paths:
        raise ValueError(f"no {SUFFIX} files in {', '.join(sources)}: packets are sent from files as surveys give them")
    format = _survey(paths[0])
    places, left_out = list[_Place](), 0
    for some in (paths[k : k + AT_ONCE] for k in range(0, len(paths), AT_ONCE)):
        found = [(path, number) for path in some for number in range(len(packets_in(path)))]
        alerts = _decoded([packets_in(path)[number] for path, number in found], format)
        for failure in alerts.failures:
            if failure.status == UNREADABLE:
                raise ValueError(f"{found[failure.index][0]} is no alert of {format}: it {failure.error}")
        left_out += len(alerts.failures)
        told = zip(alerts.new.time.tolist(), alerts.object_id.to_pylist(), alerts.index.tolist(), strict=True)
        places += [_Place(day, name, *found[index]) for day, name, index in told]
    return Archive(format, sorted(places, key=lambda place: place.day), left_out)


def _decoded(messages: Sequence[bytes], format: str) -> Alerts:
    """Return alerts of whatever brightness: a packet that one worker can't use is for the next to judge."""
    return decode(messages, format, PacketOptions(photometry="difference", unit="nJy"))


def _files(source: Path) -> list[Path]:
    if source.is_dir():
        return sorted(source.rglob(f"*{SUFFIX}"))
    if source.suffix != SUFFIX:
        raise ValueError(f"{source} is no {SUFFIX} file: leave out --packets to send its light curves as slim records")
    return [source]


def _survey(path: Path) -> Literal["ztf", "rubin"]:
    """Return whose packets a file holds.

    Raises
    ------
    ValueError
        If nobody's.
    """
    why = ""
    for format in SURVEYS:
        alerts = _decoded(packets_in(path)[:1], format)
        if all(failure.status != UNREADABLE for failure in alerts.failures):
            return format
        why = alerts.failures[0].error
    raise ValueError(f"{path} holds packets of none of {', '.join(SURVEYS)}: the first one {why}")


@lru_cache(AT_ONCE)
def packets_in(path: Path) -> list[bytes]:
    """Return the packets in a file, each as an Avro file.

    Raises
    ------
    ValueError
        If it is no Avro file.
    """
    fastavro, data = fastavro_module(), path.read_bytes()
    try:
        if sum(block.num_records for block in fastavro.block_reader(io.BytesIO(data))) == 1:
            return [data]
        reader = fastavro.reader(io.BytesIO(data))
        schema, codec = reader.writer_schema, reader.codec
        return [_alone(record, schema, codec) for record in reader]
    except Exception as error:  # fastavro raises of every kind
        raise ValueError(f"{path} is no Avro file, or damaged ({type(error).__name__}: {error})") from error


def _alone(record: dict, schema: object, codec: str) -> bytes:
    file = io.BytesIO()
    fastavro_module().writer(file, schema, [record], codec=codec)
    return file.getvalue()
