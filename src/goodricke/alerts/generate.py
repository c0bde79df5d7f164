"""Light curves as a night's stream of alerts, for load tests and demonstrations: the inverse of `packets.decode`.

A source is encoded once and then copied into all later packets of its object, so that packets are made faster than
they are read.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import nanojansky
from goodricke.io.packets import rubin
from goodricke.io.packets.avro import import_fastavro
from goodricke.io.packets.schemas import VERSION, read_schema

POOL = 1 << 20  # random bytes that images are cut from
IMAGES = ("cutoutDifference", "cutoutScience", "cutoutTemplate")
NULL = b"\0"
ABSENT = ("ssObjectId", "parentDiaSourceId", "timeWithdrawnMjdTai", "ssSource", "mpc_orbits")
RELIABILITY = 0.9


class Observation(NamedTuple):
    """One observation to be told of."""

    object_id: str
    alert_id: int
    time: float
    band: str
    value: float
    error: float
    ra: float
    dec: float


def packets(
    curves: LightCurves,
    format: Literal["slim", "rubin"] = "slim",
    previous: int = 10,
    cutouts: int = 54_000,
    seed: int = 0,
    schema: str | Path | None = None,
) -> Iterator[tuple[bytes, bytes]]:
    """Make an alert of each observation, in order of time.

    Parameters
    ----------
    curves : LightCurves
        In any unit for slim records, else in magnitudes or nJy. ``objects`` may have ``ra`` and ``dec`` [deg].
        Observations without a finite time and value make no alert.
    format : {"slim", "rubin"}
        goodricke's own records without a header, or Rubin's packets with a Confluent header.
    previous : int
        How many earlier observations of the object a packet has at most.
    cutouts : int
        Bytes of the three images together: random, since real ones are packed.
    seed : int
        Of the images.
    schema : path, optional
        Rubin's schema (``lsst.v11_0.alert.avsc`` with its parts beside it) or an Avro file that has it; the number in
        the header follows from its version (1100). By default `goodricke.io.packets.rubin.schema`.

    Yields
    ------
    key, message : bytes
        The key is the object's identifier. An observation's identifier is its place in ``curves``, counted from 1.
        Rubin's objects have numbers: see `rubin_id`.

    Raises
    ------
    ValueError
        If there is no such format, or Rubin doesn't have the unit or a band.
    """
    if format not in ("slim", "rubin"):
        raise ValueError(f"the formats that can be made are 'slim' and 'rubin', not {format!r}")
    if format == "slim":
        make: Callable[[Observation, list[bytes]], bytes] = _slim_packet
        encode = _slim_point
    else:
        curves = _for_rubin(curves)
        maker = _Rubin(rubin.schema() if schema is None else read_schema(schema), cutouts, seed)
        make, encode = maker.packet, maker.source
    return _stream(curves, make, encode, previous)


def rubin_id(object_id: str) -> int:
    """Return an identifier as the number that Rubin's packets have: itself, or one that is made from it."""
    if object_id.isdecimal() and 0 < int(object_id) < 2**63:
        return int(object_id)
    return int.from_bytes(hashlib.blake2b(object_id.encode(), digest_size=8).digest()) % (2**62) + 1


def _stream(
    curves: LightCurves,
    make: Callable[[Observation, list[bytes]], bytes],
    encode: Callable[[Observation], bytes],
    previous: int,
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the packets of all observations; of each object the last ones are at hand as bytes."""
    earlier: dict[str, deque[bytes]] = defaultdict(lambda: deque(maxlen=previous))
    for observation in _observations(curves):
        before = earlier[observation.object_id]
        yield observation.object_id.encode(), make(observation, list(before))
        before.append(encode(observation))


def _observations(curves: LightCurves) -> Iterator[Observation]:
    """Yield all observations in order of time."""
    usable = np.flatnonzero(np.isfinite(curves.time) & np.isfinite(curves.value))
    owner = ragged.owner(curves.offsets)
    names, ra, dec = curves.ids, _positions(curves, "ra"), _positions(curves, "dec")
    for i in usable[np.argsort(curves.time[usable], kind="stable")].tolist():
        star = int(owner[i])
        measured = float(curves.time[i]), curves.bands[curves.band[i]], float(curves.value[i]), float(curves.error[i])
        yield Observation(names[star], i + 1, *measured, float(ra[star]), float(dec[star]))


def _positions(curves: LightCurves, name: str) -> NDArray[np.float64]:
    there = name in curves.table_of_objects.column_names
    return curves.column(name).astype(np.float64) if there else np.full(len(curves), np.nan)


# ---- slim records -------------------------------------------------------------------------------------------------


def _long(number: int) -> bytes:
    """Return a number in Avro's variable length."""
    bits, parts = (number << 1) ^ (number >> 63), bytearray()
    while bits > 127:
        parts.append(bits & 127 | 128)
        bits >>= 7
    parts.append(bits)
    return bytes(parts)


def _text(text: str) -> bytes:
    data = text.encode()
    return _long(len(data)) + data


def _slim_point(of: Observation) -> bytes:
    return struct.pack("<d", of.time) + _text(of.band) + struct.pack("<ff", of.value, of.error)


def _slim_packet(of: Observation, before: list[bytes]) -> bytes:
    places = [NULL if np.isnan(angle) else b"\2" + struct.pack("<d", angle) for angle in (of.ra, of.dec)]
    return b"".join([_text(of.object_id), _long(of.alert_id), _slim_point(of), *places, _list(before, 1)])


def _list(items: list[bytes], branch: int) -> bytes:
    """Return encoded items as the branch of a union that is a list; null (the other branch) if there is none."""
    if not items:
        return _long(1 - branch)
    return b"".join([_long(branch), _long(len(items)), *items, NULL])


# ---- Rubin's packets ----------------------------------------------------------------------------------------------


def _for_rubin(curves: LightCurves) -> LightCurves:
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


class _Rubin:
    """Makes packets of one schema.

    Parameters
    ----------
    schema : str
        JSON.
    cutouts, seed : int
        As of `packets`.
    """

    def __init__(self, schema: str, cutouts: int, seed: int) -> None:
        fastavro = import_fastavro()
        self.writer = fastavro.schemaless_writer
        parsed: Any = fastavro.parse_schema(json.loads(schema))
        self.fields = {field["name"]: field["type"] for field in parsed["fields"]}
        self.source_schema = fastavro.parse_schema(json.loads(json.dumps(self.fields["diaSource"])))
        self.of_source = _filled(self.source_schema)
        self.object_schema = fastavro.parse_schema(json.loads(json.dumps(_other(self.fields["diaObject"]))))
        self.of_object = _filled(self.object_schema)
        self.objects: dict[str, bytes] = {}
        version = VERSION.search(schema)
        self.number = rubin.NUMBER if version is None else int(version[1]) * 100 + int(version[2])
        rng = np.random.default_rng(seed)
        self.size, self.pool = cutouts // len(IMAGES), rng.bytes(POOL + cutouts)
        self.rest = {name: self._nothing(name, kind) for name, kind in self.fields.items()}

    def packet(self, of: Observation, before: list[bytes]) -> bytes:
        """Return a packet with encoded earlier sources."""
        known = {
            "diaSourceId": _long(of.alert_id),
            "diaSource": self.source(of),
            "prvDiaSources": _list(before, _branch(self.fields["prvDiaSources"])),
            "diaObject": self._object(of),
            **{name: self._image(of, part) for part, name in enumerate(IMAGES)},
        }
        parts = [known[name] if name in known else self.rest[name] for name in self.fields]
        return b"".join([NULL, self.number.to_bytes(4), *parts])

    def source(self, of: Observation) -> bytes:
        """Return an encoded source."""
        error = None if np.isnan(of.error) else of.error
        fluxes = dict.fromkeys(rubin.FLUX.values(), of.value)
        errors = {f"{name}Err": error for name in fluxes}
        place = {"ra": 0.0 if np.isnan(of.ra) else of.ra, "dec": 0.0 if np.isnan(of.dec) else of.dec}
        ids = {"diaSourceId": of.alert_id, "diaObjectId": int(of.object_id)}
        about = {"midpointMjdTai": of.time, "band": of.band, "reliability": RELIABILITY}
        return self._encoded(self.source_schema, self.of_source | fluxes | errors | place | ids | about)

    def _encoded(self, schema: Any, record: dict[str, Any]) -> bytes:
        file = BytesIO()
        self.writer(file, schema, record)
        return file.getvalue()

    def _object(self, of: Observation) -> bytes:
        if of.object_id not in self.objects:
            record = self.of_object | {"diaObjectId": int(of.object_id)}
            data = self._encoded(self.object_schema, record)
            self.objects[of.object_id] = _long(_branch(self.fields["diaObject"])) + data
        return self.objects[of.object_id]

    def _image(self, of: Observation, part: int) -> bytes:
        start = (of.alert_id * 7919 + part * self.size) % POOL
        data = self.pool[start : start + self.size]
        return _long(_branch(self.fields[IMAGES[part]])) + _long(len(data)) + data

    def _nothing(self, name: str, kind: Any) -> bytes:
        """Return the bytes of a field that isn't told."""
        return _long(kind.index("null")) if isinstance(kind, list) and "null" in kind else b""


def _branch(kind: Any) -> int:
    """Return which branch of a union isn't null."""
    return next(i for i, part in enumerate(kind) if part != "null")


def _other(kind: Any) -> Any:
    return kind[_branch(kind)]


def _filled(schema: Any) -> dict[str, Any]:
    """Return a record with something in each field: most of those of a real packet are measured."""
    values = {"float": 1.5, "double": 1.5, "int": 7, "long": 7, "boolean": False, "string": "", "bytes": b""}
    result = {}
    for field in schema["fields"]:
        kind = field["type"]
        kind, nullable = (_other(kind), True) if isinstance(kind, list) else (kind, False)
        nothing = nullable and (field["name"] in ABSENT or not isinstance(kind, str) or kind == "long")
        result[field["name"]] = None if nothing else values[kind]
    return result
