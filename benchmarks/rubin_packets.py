"""Light curves as Rubin's full alert packets, images and all, for load tests; the inverse of `packets.decode`.

A source is encoded once and then copied into all later packets of its object, so that packets are made faster than
they are read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.alerts.replay import Observation, avro_list, avro_long, encode_alerts
from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import nanojansky
from goodricke.io.packets import rubin
from goodricke.io.packets.avro import import_fastavro
from goodricke.io.packets.schemas import VERSION, read_schema

POOL = 1 << 20  # random bytes that images are cut from
IMAGES = ("cutoutDifference", "cutoutScience", "cutoutTemplate")
ALWAYS_NULL = ("ssObjectId", "parentDiaSourceId", "timeWithdrawnMjdTai", "ssSource", "mpc_orbits")
RELIABILITY = 0.9


def rubin_packets(
    curves: LightCurves,
    previous: int = 10,
    cutouts: int = 54_000,
    seed: int = 0,
    schema: str | Path | None = None,
) -> Iterator[tuple[bytes, bytes]]:
    """Yield an alert packet with a Confluent header for each observation, in order of time.

    Parameters
    ----------
    curves : LightCurves
        In magnitudes or nJy. ``objects`` may have ``ra`` and ``dec`` [deg]. Observations without a finite time and
        value make no alert.
    previous : int
        How many earlier observations of the object a packet has at most.
    cutouts : int
        Bytes of the three images together: random, since real ones are compressed.
    seed : int
        Of the images.
    schema : path, optional
        Rubin's schema (``lsst.v11_0.alert.avsc`` with its parts beside it) or an Avro file that has it; the number in
        the header follows from its version (1100). By default `goodricke.io.packets.rubin.schema`.

    Yields
    ------
    key, message : bytes
        The key is the object's identifier; see `rubin_id`. An observation's identifier is its place in ``curves``,
        counted from 1.

    Raises
    ------
    ValueError
        If Rubin doesn't have the unit or a band.
    """
    encoder = _Encoder(rubin.schema() if schema is None else read_schema(schema), cutouts, seed)
    return encode_alerts(_as_rubin(curves), encoder.packet, encoder.source, previous)


def rubin_id(object_id: str) -> int:
    """Return an identifier as the number that Rubin's packets have: itself, or one made from it."""
    if object_id.isdecimal() and 0 < int(object_id) < 2**63:
        return int(object_id)
    return int.from_bytes(hashlib.blake2b(object_id.encode(), digest_size=8).digest()) % (2**62) + 1


def _as_rubin(curves: LightCurves) -> LightCurves:
    """Return light curves in nJy, with numbers as identifiers."""
    unknown = sorted({curves.bands[i] for i in np.unique(curves.band)} - set(rubin.BANDS))
    if unknown:
        raise ValueError(f"Rubin has no band {', '.join(unknown)}; rename with dataclasses.replace(curves, bands=...)")
    ids = pa.array([str(rubin_id(name)) for name in curves.ids], pa.string())
    value: NDArray[np.floating] = curves.value
    error: NDArray[np.floating] = curves.error
    if curves.in_magnitudes:
        value, error = nanojansky(curves.value, curves.error)
    elif curves.unit != "nJy":
        raise ValueError(f"Rubin's fluxes are in nJy, the light curves in {curves.unit}; convert them first")
    arrays = curves.offsets, curves.time, value, error, curves.band
    return LightCurves.from_arrays(ids, *arrays, bands=curves.bands, unit="nJy", objects=curves.objects)


class _Encoder:
    """Encodes packets of one schema (JSON); ``cutouts`` and ``seed`` as of `rubin_packets`."""

    def __init__(self, schema: str, cutouts: int, seed: int) -> None:
        fastavro = import_fastavro()
        self.writer = fastavro.schemaless_writer
        parsed: Any = fastavro.parse_schema(json.loads(schema))
        self.fields = {field["name"]: field["type"] for field in parsed["fields"]}
        self.source_schema = fastavro.parse_schema(json.loads(json.dumps(self.fields["diaSource"])))
        self.source_filler = _filler(self.source_schema)
        self.object_schema = fastavro.parse_schema(json.loads(json.dumps(_not_null(self.fields["diaObject"]))))
        self.object_filler = _filler(self.object_schema)
        self.objects: dict[str, bytes] = {}
        version = VERSION.search(schema)
        self.number = rubin.NUMBER if version is None else int(version[1]) * 100 + int(version[2])
        rng = np.random.default_rng(seed)
        self.size, self.pool = cutouts // len(IMAGES), rng.bytes(POOL + cutouts)
        self.nulls = {
            name: avro_long(kind.index("null")) if isinstance(kind, list) and "null" in kind else b""
            for name, kind in self.fields.items()
        }

    def packet(self, observation: Observation, history: Sequence[bytes]) -> bytes:
        """Return a packet with encoded earlier sources."""
        fields = self.nulls | {
            "diaSourceId": avro_long(observation.alert_id),
            "diaSource": self.source(observation),
            "prvDiaSources": avro_list(history, _branch(self.fields["prvDiaSources"])),
            "diaObject": self._object(observation),
            **{name: self._image(observation, k) for k, name in enumerate(IMAGES)},
        }
        return b"".join([b"\0", self.number.to_bytes(4), *(fields[name] for name in self.fields)])

    def source(self, observation: Observation) -> bytes:
        """Return an encoded source."""
        error = None if np.isnan(observation.error) else observation.error
        fluxes = dict.fromkeys(rubin.FLUX.values(), observation.value)
        values = {
            **fluxes,
            **{f"{name}Err": error for name in fluxes},
            "ra": 0.0 if np.isnan(observation.ra) else observation.ra,
            "dec": 0.0 if np.isnan(observation.dec) else observation.dec,
            "diaSourceId": observation.alert_id,
            "diaObjectId": int(observation.object_id),
            "midpointMjdTai": observation.time,
            "band": observation.band,
            "reliability": RELIABILITY,
        }
        return self._encode(self.source_schema, self.source_filler | values)

    def _encode(self, schema: Any, record: dict[str, Any]) -> bytes:
        file = BytesIO()
        self.writer(file, schema, record)
        return file.getvalue()

    def _object(self, observation: Observation) -> bytes:
        name = observation.object_id
        if name not in self.objects:
            data = self._encode(self.object_schema, self.object_filler | {"diaObjectId": int(name)})
            self.objects[name] = avro_long(_branch(self.fields["diaObject"])) + data
        return self.objects[name]

    def _image(self, observation: Observation, k: int) -> bytes:
        start = (observation.alert_id * 7919 + k * self.size) % POOL
        data = self.pool[start : start + self.size]
        return avro_long(_branch(self.fields[IMAGES[k]])) + avro_long(len(data)) + data


def _branch(kind: Any) -> int:
    """Return which branch of a union isn't null."""
    return next(i for i, part in enumerate(kind) if part != "null")


def _not_null(kind: Any) -> Any:
    return kind[_branch(kind)]


def _filler(schema: Any) -> dict[str, Any]:
    """Return a record with a value in most fields, as in a real packet."""
    values = {"float": 1.5, "double": 1.5, "int": 7, "long": 7, "boolean": False, "string": "", "bytes": b""}
    result = {}
    for field in schema["fields"]:
        kind = field["type"]
        kind, nullable = (_not_null(kind), True) if isinstance(kind, list) else (kind, False)
        is_null = nullable and (field["name"] in ALWAYS_NULL or not isinstance(kind, str) or kind == "long")
        result[field["name"]] = None if is_null else values[kind]
    return result
