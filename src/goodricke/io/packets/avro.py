"""What wraps the records in an Avro message: a file, a Confluent header, or nothing.

A schema is parsed once, however many messages carry it: one that comes inside each message, as ZTF's do, is recognised
by its bytes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from goodricke.io.packets import skip_program
from goodricke.io.packets.skip_program import Layout, OtherSchemaError

FILE = b"Obj\x01"  # how an Avro file begins
CONFLUENT = 5  # bytes before a Confluent message: 0, and the number of the schema
LARGEST = 1 << 24  # bytes of a block once it is unpacked
KEPT = 64  # schemas kept parsed


class Plan(NamedTuple):
    """What is done with the records of one writer's schema."""

    writer: Any
    layout: Layout
    operations: NDArray[np.int32]

    @classmethod
    def of(cls, schema: str, layout: Layout) -> Plan:
        """Return the plan for a schema as JSON text.

        Raises
        ------
        OtherSchemaError
            If it is no Avro schema, or not of alerts such as the layout wants.
        """
        try:
            writer = fastavro_module().parse_schema(json.loads(schema))
            return cls(writer, layout, skip_program.compile_schema(writer, layout))
        except OtherSchemaError:
            raise
        except Exception as error:  # a schema may be anything
            raise OtherSchemaError(f"the schema can't be read ({type(error).__name__}: {error})") from error


class Piece(NamedTuple):
    """Bytes that hold records of one schema."""

    data: bytes
    start: int
    stop: int
    records: int
    plan: Plan


class Header(NamedTuple):
    """What an Avro file begins with, down to the marker that ends each block."""

    text: bytes
    plan: Plan
    codec: str


class Opener:
    """Finds the records in messages, whatever wraps them, and remembers schemas.

    Parameters
    ----------
    layout : Layout
    schema : str, optional
        JSON of messages that name none.
    by_number : callable, optional
        From the number in a Confluent header to a schema's JSON.
    """

    def __init__(self, layout: Layout, schema: str | None, by_number: Callable[[int], str] | None) -> None:
        self.layout, self.by_number = layout, by_number
        self.bare = None if schema is None else Plan.of(schema, layout)
        self.headers: list[Header] = []
        self.numbered: dict[int, Plan] = {}

    def open(self, message: bytes) -> list[Piece]:
        """Return where the records are.

        Raises
        ------
        ValueError
            If there is none, the schema isn't known or isn't the right one, or the wrapping is damaged.
        RegistryUnreachableError
            If a registry's server doesn't answer.
        """
        if not message:
            raise ValueError("is empty")
        if message[:4] == FILE:
            return self._file(message)
        if message[0] == 0 and self.by_number is not None and len(message) > CONFLUENT:
            return [Piece(message, CONFLUENT, len(message), 1, self._numbered(int.from_bytes(message[1:CONFLUENT])))]
        if self.bare is None:
            raise ValueError("is neither an Avro file nor has a schema's number; give the schema if it has none")
        return [Piece(message, 0, len(message), 1, self.bare)]

    def _numbered(self, number: int) -> Plan:
        if number not in self.numbered:
            assert self.by_number is not None
            plan = Plan.of(self.by_number(number), self.layout)
            if len(self.numbered) >= KEPT:
                self.numbered.pop(next(iter(self.numbered)))
            self.numbered[number] = plan
        return self.numbered[number]

    def _file(self, message: bytes) -> list[Piece]:
        header = next((known for known in self.headers if message.startswith(known.text)), None)
        if header is None:
            header = _header(message, self.layout)
            self.headers = [header, *self.headers[: KEPT - 1]]
        at = len(header.text)
        marker, at, pieces = message[at : at + 16], at + 16, []
        while at < len(message):
            count, at = number_at(message, at)
            size, at = number_at(message, at)
            end = at + size
            if not 0 < count <= max(size, 0) or message[end : end + 16] != marker or len(marker) < 16:
                raise ValueError("has a damaged block: cut short, or changed on the way")
            pieces.append(_unpacked(message, at, end, count, header))
            at = end + 16
        if not pieces:
            raise ValueError("is an Avro file without a record")
        return pieces


def number_at(data: bytes, at: int) -> tuple[int, int]:
    """Return the number of variable length at a place, and where it ends.

    Raises
    ------
    ValueError
        If it doesn't end.
    """
    bits = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        bits |= (byte & 127) << shift
        if byte < 128:
            return (bits >> 1) ^ -(bits & 1), at
        shift += 7
    raise ValueError(skip_program.ERRORS[skip_program.TRUNCATED])


def _header(message: bytes, layout: Layout) -> Header:
    """Return the header of an Avro file."""
    about: dict[bytes, bytes] = {}
    at = len(FILE)
    while True:
        count, at = number_at(message, at)
        if count < 0:
            count = -count
            _, at = number_at(message, at)
        if count == 0:
            break
        for _ in range(count):
            key, at = _bytes_at(message, at)
            about[key], at = _bytes_at(message, at)
    if b"avro.schema" not in about:
        raise ValueError("is an Avro file without a schema")
    codec = about.get(b"avro.codec", b"null").decode("ascii", "replace")
    return Header(message[:at], Plan.of(about[b"avro.schema"].decode(), layout), codec)


def _bytes_at(data: bytes, at: int) -> tuple[bytes, int]:
    length, at = number_at(data, at)
    if not 0 <= length <= len(data) - at:
        raise ValueError(skip_program.ERRORS[skip_program.TRUNCATED])
    return data[at : at + length], at + length


def _unpacked(message: bytes, at: int, end: int, count: int, header: Header) -> Piece:
    """Return a block of a file as it was before it was packed."""
    if header.codec == "null":
        return Piece(message, at, end, count, header.plan)
    plain = _unpack(message[at:end], header.codec)
    return Piece(plain, 0, len(plain), count, header.plan)


def _unpack(block: bytes, codec: str) -> bytes:
    """Return a block unpacked; the walk finds it out if it was cut off for its size."""
    if codec not in ("deflate", "snappy", "zstandard"):
        raise ValueError(f"is packed with {codec}, which isn't known; null, deflate, snappy and zstandard are")
    try:
        if codec == "deflate":
            return zlib.decompressobj(-15).decompress(block, LARGEST)
        import cramjam

        if codec == "snappy":  # the last four bytes are a checksum
            return bytes(cramjam.snappy.decompress_raw(block[:-4]))
        return bytes(cramjam.zstd.decompress(block))
    except ImportError as error:
        raise ValueError(f"is packed with {codec}; to unpack it: pip install cramjam") from error
    except Exception as error:  # each library has its own
        raise ValueError(f"has a packed block that is damaged ({error})") from error


def fastavro_module() -> Any:
    """Return fastavro, or an error that names the extra."""
    try:
        import fastavro
    except ImportError as error:
        raise ImportError("alerts need fastavro: pip install 'goodricke[alerts]'") from error
    return fastavro
