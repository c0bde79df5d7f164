"""The envelope of the records in an Avro message: a file, a Confluent header, or none.

A schema is parsed once, however many messages carry it: one that comes inside each message, as ZTF's do, is recognised
by its bytes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.io.files import AVRO_MAGIC
from goodricke.io.packets import skip_program
from goodricke.io.packets.skip_program import Layout, OtherSchemaError

CONFLUENT = 5  # bytes before a Confluent message: 0, and the number of the schema
MAX_BLOCK = 1 << 24  # bytes of a block once it is unpacked
MAX_UNPACKED = 1 << 26  # bytes of all blocks of a message
MAX_SCHEMA = 1 << 22  # bytes of a schema
MAX_SCHEMAS = 64  # that are remembered


class DecodingPlan(NamedTuple):
    """How the records of one writer's schema are decoded."""

    writer: Any
    layout: Layout
    operations: NDArray[np.int32]

    @classmethod
    def from_json(cls, schema: str, layout: Layout) -> DecodingPlan:
        """Return the plan for a schema as JSON text.

        Raises
        ------
        OtherSchemaError
            If it is no Avro schema, or not of alerts such as the layout wants.
        """
        try:
            writer = import_fastavro().parse_schema(json.loads(schema))
            return cls(writer, layout, skip_program.compile_schema(writer, layout))
        except OtherSchemaError:
            raise
        except Exception as error:  # a schema may be anything
            raise OtherSchemaError(f"the schema can't be read ({type(error).__name__}: {error})") from error


class RecordBlock(NamedTuple):
    """Bytes that hold records of one schema."""

    data: bytes
    start: int
    stop: int
    records: int
    plan: DecodingPlan


class FileHeader(NamedTuple):
    """The beginning of an Avro file, down to the marker that ends each block."""

    text: bytes
    plan: DecodingPlan
    codec: str


class MessageReader:
    """Finds the records in messages, in any envelope, and remembers schemas.

    Parameters
    ----------
    layout : Layout
    schema : str, optional
        JSON of messages that name none.
    find_schema : callable, optional
        From the number in a Confluent header to a schema's JSON.
    """

    def __init__(self, layout: Layout, schema: str | None, find_schema: Callable[[int], str] | None) -> None:
        self.layout, self.find_schema = layout, find_schema
        self.default_plan = None if schema is None else DecodingPlan.from_json(schema, layout)
        self.headers: list[FileHeader] = []
        self.plans: dict[int, DecodingPlan] = {}

    def blocks(self, message: bytes) -> list[RecordBlock]:
        """Return where the records are.

        Raises
        ------
        ValueError
            If there is none, the schema is unknown or not of alerts, or the envelope is damaged.
        RegistryUnreachableError
            If a registry's server doesn't answer.
        """
        if not message:
            raise ValueError("is empty")
        if message[:4] == AVRO_MAGIC:
            return self._blocks_in_file(message)
        if message[0] == 0 and self.find_schema is not None and len(message) > CONFLUENT:
            return [RecordBlock(message, CONFLUENT, len(message), 1, self._plan(int.from_bytes(message[1:CONFLUENT])))]
        if self.default_plan is None:
            raise ValueError("is neither an Avro file nor has a schema's number; give the schema if it has none")
        return [RecordBlock(message, 0, len(message), 1, self.default_plan)]

    def _plan(self, number: int) -> DecodingPlan:
        if number not in self.plans:
            assert self.find_schema is not None
            plan = DecodingPlan.from_json(self.find_schema(number), self.layout)
            if len(self.plans) >= MAX_SCHEMAS:
                self.plans.pop(next(iter(self.plans)))
            self.plans[number] = plan
        return self.plans[number]

    def _blocks_in_file(self, message: bytes) -> list[RecordBlock]:
        header = next((header for header in self.headers if message.startswith(header.text)), None)
        if header is None:
            header = _read_header(message, self.layout)
            self.headers = [header, *self.headers[: MAX_SCHEMAS - 1]]
        at = len(header.text)
        marker, at, blocks = message[at : at + 16], at + 16, []
        while at < len(message):
            count, at = read_integer(message, at)
            size, at = read_integer(message, at)
            end = at + size
            if not 0 < count <= max(size, 0) or message[end : end + 16] != marker or len(marker) < 16:
                raise ValueError("has a damaged block: cut short, or changed on the way")
            blocks.append(_read_block(message, at, end, count, header))
            at = end + 16
            if sum(block.stop - block.start for block in blocks) > MAX_UNPACKED:
                raise ValueError(f"has more than {MAX_UNPACKED >> 20} MB of records")
        if not blocks:
            raise ValueError("is an Avro file without a record")
        return blocks


def read_integer(data: bytes, at: int) -> tuple[int, int]:
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


def _read_header(message: bytes, layout: Layout) -> FileHeader:
    """Return the header of an Avro file."""
    about: dict[bytes, bytes] = {}
    at = len(AVRO_MAGIC)
    while True:
        count, at = read_integer(message, at)
        if count < 0:
            count = -count
            _, at = read_integer(message, at)
        if count == 0:
            break
        for _ in range(count):
            key, at = _read_bytes(message, at)
            about[key], at = _read_bytes(message, at)
    if b"avro.schema" not in about:
        raise ValueError("is an Avro file without a schema")
    if len(about[b"avro.schema"]) > MAX_SCHEMA:
        raise ValueError(f"has a schema of more than {MAX_SCHEMA >> 20} MB")
    codec = about.get(b"avro.codec", b"null").decode("ascii", "replace")
    return FileHeader(message[:at], DecodingPlan.from_json(about[b"avro.schema"].decode(), layout), codec)


def _read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    length, at = read_integer(data, at)
    if not 0 <= length <= len(data) - at:
        raise ValueError(skip_program.ERRORS[skip_program.TRUNCATED])
    return data[at : at + length], at + length


def _read_block(message: bytes, at: int, end: int, count: int, header: FileHeader) -> RecordBlock:
    """Return a block of a file, decompressed."""
    if header.codec == "null":
        return RecordBlock(message, at, end, count, header.plan)
    plain = _decompress(message[at:end], header.codec)
    return RecordBlock(plain, 0, len(plain), count, header.plan)


def _decompress(block: bytes, codec: str) -> bytes:
    """Return a block decompressed; one that is cut off at `MAX_BLOCK` fails in decoding."""
    if codec not in ("deflate", "snappy", "zstandard"):
        raise ValueError(f"is packed with {codec}, which isn't known; null, deflate, snappy and zstandard are")
    try:
        if codec == "deflate":
            return zlib.decompressobj(-15).decompress(block, MAX_BLOCK)
        if codec == "snappy":  # the last four bytes are a checksum
            size = min(_snappy_length(block), MAX_BLOCK)
            return pa.Codec("snappy").decompress(block[:-4], size, asbytes=True)
        with pa.CompressedInputStream(pa.BufferReader(block), "zstd") as file:
            return file.read(MAX_BLOCK)
    except Exception as error:  # each library has its own
        raise ValueError(f"has a packed block that is damaged ({error})") from error


def _snappy_length(block: bytes) -> int:
    """Return the length of a block once it is unpacked, the number with which it begins."""
    length = 0
    for i, byte in enumerate(block[:5]):
        length |= (byte & 127) << 7 * i
        if byte < 128:
            return length
    raise ValueError("it has no length")


def import_fastavro() -> Any:
    """Return fastavro, or an error that names the extra."""
    try:
        import fastavro
    except ImportError as error:
        raise ImportError("alerts need fastavro: pip install 'goodricke[alerts]'") from error
    return fastavro
