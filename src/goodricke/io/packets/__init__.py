"""Alert packets in, columns out: the new observation of each object, and what its packet says came before.

==============  =================================================================================================
format          messages
==============  =================================================================================================
``ztf``         ZTF's: Avro files with their schema inside (`goodricke.io.packets.ztf`)
``rubin``       Rubin's: Avro with a Confluent header, or Avro files (`goodricke.io.packets.rubin`)
``slim``        goodricke's own record of one observation (`goodricke.io.packets.slim`)
``fink``        rows of Fink's API for ZTF, in JSON (`goodricke.io.packets.json_rows`)
``alerce``      detections of ALeRCE's API for ZTF, in JSON
``json``        ZTF's packets in JSON, or rows of either
``rubin-json``  Rubin's packets in JSON
==============  =================================================================================================

Only the fields that are needed are decoded; images are skipped. A message that can't be read or used becomes a
`Failure` and doesn't affect the others: an alert is decoded in the same way alone and in any batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from types import ModuleType
from typing import Any

import numpy as np

from goodricke.io.packets import avro_columns, json_rows, rubin, slim, ztf
from goodricke.io.packets.avro import MessageReader
from goodricke.io.packets.avro_columns import RecordTable
from goodricke.io.packets.measurements import (
    MOVING,
    NON_FINITE,
    NOT_POSITIVE,
    REJECTED,
    UNKNOWN_BAND,
    UNREADABLE,
    WRONG_PHOTOMETRY,
    Alerts,
    Failure,
    PacketOptions,
    assemble,
    error_text,
)
from goodricke.io.packets.schemas import Registry, RegistryUnreachableError, UnknownSchemaError, read_schema

__all__ = [
    "FORMATS",
    "MOVING",
    "NON_FINITE",
    "NOT_POSITIVE",
    "REJECTED",
    "UNKNOWN_BAND",
    "UNREADABLE",
    "WRONG_PHOTOMETRY",
    "Alerts",
    "Failure",
    "PacketOptions",
    "RegistryUnreachableError",
    "decode",
    "error_text",
    "photometry",
]

OWN_SCHEMAS = {slim.NUMBER: slim.schema, rubin.NUMBER: rubin.schema}  # schemas that come with the package
SURVEYS: dict[str, ModuleType] = {"ztf": ztf, "rubin": rubin, "slim": slim}
SURVEYS |= {"fink": ztf, "alerce": ztf, "json": ztf, "rubin-json": rubin}
IN_JSON: dict[str, Callable[[bytes], Mapping[str, Any]]] = {
    "json": json_rows.ztf_packet,
    "rubin-json": json_rows.json_object,
}
IN_JSON |= {"fink": json_rows.fink_row, "alerce": json_rows.alerce_row}
FORMATS = tuple(SURVEYS)


def decode(messages: Sequence[bytes], format: str, options: PacketOptions | None = None) -> Alerts:
    """Decode a batch of messages.

    Parameters
    ----------
    messages : sequence of bytes
    format : str
        One of `FORMATS`.
    options : PacketOptions, optional

    Returns
    -------
    Alerts
        The usable alerts, in the order of the messages, and the failures.

    Raises
    ------
    ValueError
        If there is no such format, or the options don't go with it.
    RegistryUnreachableError
        If a schema is needed and the registry's server doesn't answer: nothing is wrong with the messages, try again.
    ImportError
        If fastavro isn't installed, or ``options.compiled`` is True and numba isn't.
    """
    return _decoder(format, options or PacketOptions()).decode(messages, 0)


def photometry(format: str, options: PacketOptions) -> dict[str, Any]:
    """Return the kind of photometry in a stream's light curves: a state of one kind can't go on with another.

    Parameters
    ----------
    format : str
        One of `FORMATS`.
    options : PacketOptions

    Raises
    ------
    ValueError
        If there is no such format, or Rubin's forced photometry lacks the flux.
    """
    survey = _decoder(format, options).survey
    if survey is slim:
        return {"survey": "slim", "unit": options.unit or "mag"}
    cuts = {"forced": bool(options.forced), "reliability": options.reliability, "flags": sorted(options.flags)}
    if survey is rubin:
        return {"survey": "rubin", "flux": rubin.flux_name(options), "unit": options.unit or "nJy"} | cuts
    near = {"reference_distance": options.reference_distance} if options.flux_kind == "total" else {}
    return {"survey": "ztf", "flux": options.flux_kind, "unit": options.unit or "mag"} | near | cuts


@lru_cache(maxsize=16)
def _decoder(format: str, options: PacketOptions) -> Decoder:
    return Decoder(format, options)


class Decoder:
    """Decodes messages of one format, remembering their schemas."""

    def __init__(self, format: str, options: PacketOptions) -> None:
        if format not in SURVEYS:
            raise ValueError(f"no alert format {format!r}; there are: {', '.join(FORMATS)}")
        if format != "slim" and options.unit not in (None, "mag", "nJy"):
            raise ValueError(f"{format} packets come in 'mag' or 'nJy', not {options.unit!r}")
        self.survey, self.options = SURVEYS[format], options
        self.layout = self.survey.layout(options)
        self.parse_json = IN_JSON.get(format)
        if self.parse_json is None:
            default = slim.schema() if format == "slim" else None
            schema = read_schema(options.schema) if options.schema else default
            self.reader = MessageReader(self.layout, schema, _schema_finder(options.registry))
        if options.compiled and not avro_columns.has_numba():
            raise ImportError("compiled decoding needs numba: pip install 'goodricke[alerts]'")
        fast = avro_columns.has_numba() if options.compiled is None else options.compiled
        self.decoder = avro_columns.CompiledDecoder if fast else avro_columns.FastavroDecoder

    def decode(self, messages: Sequence[bytes], first: int) -> Alerts:
        """Return the alerts of messages, the first of which has the index ``first``."""
        try:
            return self._decode_batch(messages, first)
        except (RegistryUnreachableError, ImportError):  # no message's fault
            raise
        except Exception as error:  # a message may hold anything: halve the batch to find the one at fault
            if not messages:
                raise
            if len(messages) == 1:
                alerts = self._decode_batch([], first)
                alerts.failures.append(Failure(first, f"{type(error).__name__}: {error}"))
                return alerts
            half = len(messages) // 2
            return Alerts.concat([self.decode(messages[:half], first), self.decode(messages[half:], first + half)])

    def _decode_batch(self, messages: Sequence[bytes], first: int) -> Alerts:
        failures: list[Failure] = []
        read = self._read_json if self.parse_json else self._read_avro
        tables = read(messages, first, failures)
        return assemble(self.survey.parse(tables, self.options), tables[""].owner, failures)

    def _read_avro(self, messages: Sequence[bytes], first: int, failures: list[Failure]) -> dict[str, RecordTable]:
        decoder = self.decoder(self.layout, len(messages))
        for i, message in enumerate(messages, first):
            try:
                decoder.add(self.reader.blocks(message), i)
            except ValueError as error:
                failures.append(Failure(i, str(error)))
        return decoder.tables()

    def _read_json(self, messages: Sequence[bytes], first: int, failures: list[Failure]) -> dict[str, RecordTable]:
        assert self.parse_json is not None
        packets, owner = [], []
        for i, message in enumerate(messages, first):
            try:
                packet = self.parse_json(message)
                self.layout.check(partial(avro_columns.has_field, packet))
                packets.append(packet)
                owner.append(i)
            except Exception as error:  # any JSON, of any depth
                failures.append(Failure(i, f"{type(error).__name__}: {error}"))
        return avro_columns.tables_from_records(packets, np.array(owner, np.int64), self.layout)


def _schema_finder(place: str | None) -> Callable[[int], str]:
    """Return a function from a schema's number to its JSON: the registry's, or one that comes with the package."""
    registry = None if place is None else Registry(place)

    def find(number: int) -> str:
        if registry is not None:
            return registry.schema(number)
        if number not in OWN_SCHEMAS:
            fix = "state the registry's address, or a folder of schemas, as `registry`"
            raise UnknownSchemaError(f"has the schema {number}, which isn't known here. Fix: {fix}")
        return OWN_SCHEMAS[number]()

    return find
