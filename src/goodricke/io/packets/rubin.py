"""Alerts of the Rubin Observatory (schemas 10.0 to 11.1): Avro with a Confluent header, or Avro files.

Fluxes are in nJy. ``psfFlux`` is that of the difference to the template, ``scienceFlux`` that of the source itself, by
forced photometry on the visit's image. Times are the middle of the exposure as MJD in TAI, 37 s ahead of UTC: the time
scale says so, and light curves in UTC are not to be mixed with them. Objects of the solar system, which have no
``diaObjectId``, are left out. A measurement that was withdrawn, or whose flux has its flag set, is too.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.io.packets.avro_columns import Table
from goodricke.io.packets.measurements import Measured, PacketOptions, Parsed, codes_of, in_unit, kept
from goodricke.io.packets.skip_program import REAL, TEXT, UNKNOWN, WHOLE, YES_OR_NO, Layout

BANDS = ("u", "g", "r", "i", "z", "y")
TIME_SCALE = "MJD (TAI)"
SAME = 1e-5  # days: an exposure takes 30 s
TIMES = (50_000.0, 100_000.0)  # MJD, 1995 to 2132
FLUX = {"total": "scienceFlux", "difference": "psfFlux"}
FLAGS = {"scienceFlux": "forced_PsfFlux_flag", "psfFlux": "psfFlux_flag", "apFlux": "apFlux_flag"}
MEASUREMENT = {"midpointMjdTai": REAL, "band": TEXT, "timeWithdrawnMjdTai": REAL}
NUMBER = 2  # of `schema`, in a Confluent header where no registry is told
UNREAD = {"float": 62, "boolean": 22}  # fields of a source in version 11.0 beside those that are named in `schema`
OBJECTS = {"diaObjectId": WHOLE, "ssObjectId": WHOLE}


def schema() -> str:
    """Return a schema of our own as JSON, which the same code reads as Rubin's.

    Rubin's own schemas are under the GPL-3 and don't come with goodricke. This one has the fields that are read, under
    Rubin's names, and as many others as stand for the rest, so that decoding costs as much; its numbers are made up.
    """

    def maybe(kind: Any, *names: str) -> list[dict[str, Any]]:
        return [{"name": name, "type": ["null", kind], "default": None} for name in names]

    def record(name: str, *fields: dict[str, Any]) -> dict[str, Any]:
        return {"type": "record", "name": f"goodricke.rubin.{name}", "fields": list(fields)}

    time = {"name": "midpointMjdTai", "type": "double"}
    place = [{"name": name, "type": "double"} for name in ("ra", "dec")]
    fluxes = [part for name in ("psfFlux", "scienceFlux") for part in maybe("float", name, f"{name}Err")]
    marks = [*maybe("string", "band"), *maybe("double", "timeWithdrawnMjdTai")]
    unread = [part for kind, n in UNREAD.items() for part in maybe(kind, *(f"{kind}{i}" for i in range(n)))]
    flags = maybe("boolean", "psfFlux_flag", "forced_PsfFlux_flag", "pixelFlags_saturatedCenter")
    key = {"name": "diaSourceId", "type": "long"}
    score = maybe("float", "reliability")
    source = record("diaSource", key, *maybe("long", *OBJECTS), time, *place, *fluxes, *score, *marks, *flags, *unread)
    forced = record("diaForcedSource", time, *place, *fluxes, *marks)
    of_object = record("diaObject", {"name": "diaObjectId", "type": "long"}, *place, *unread[:62])
    alert = record("alert", key, {"name": "diaSource", "type": source})
    alert["fields"] += maybe({"type": "array", "items": source["name"]}, "prvDiaSources")
    alert["fields"] += maybe({"type": "array", "items": forced}, "prvDiaForcedSources")
    alert["fields"] += maybe(of_object, "diaObject")
    alert["fields"] += maybe("bytes", "cutoutDifference", "cutoutScience", "cutoutTemplate")
    return json.dumps(alert)


def flux_of(options: PacketOptions) -> str:
    """Return the name of the flux that is wanted.

    Raises
    ------
    ValueError
        If forced photometry doesn't have it.
    """
    name = options.flux or FLUX[options.photometry]
    if options.forced and name not in FLUX.values():
        raise ValueError(f"Rubin's forced photometry has no {name}; it has {' and '.join(FLUX.values())}")
    return name


def layout(options: PacketOptions) -> Layout:
    """Return which fields of a packet are wanted."""
    flux = flux_of(options)
    measurement = MEASUREMENT | {flux: REAL, f"{flux}Err": REAL}
    flags = dict.fromkeys((*([FLAGS[flux]] if flux in FLAGS else []), *options.flags), YES_OR_NO)
    score = {"reliability": REAL} if options.reliability is not None else {}
    source = measurement | {"diaSourceId": WHOLE, "ra": REAL, "dec": REAL} | OBJECTS | flags | score
    fields: dict[str, Any] = {"diaSource": source, "prvDiaSources": [source], "diaObject": {"diaObjectId": WHOLE}}
    return Layout(fields | ({"prvDiaForcedSources": [measurement]} if options.forced else {}))


def parse(tables: dict[str, Table], options: PacketOptions) -> Parsed:
    """Return the object, the new observation and the history of each packet."""
    packets, before = tables[""], tables["prvDiaSources"]
    n, of = len(packets.owner), packets.columns
    history = [_sources(before.owner, before.columns, "", options)]
    if options.forced:
        forced = tables["prvDiaForcedSources"]
        keys = np.full(len(forced.owner), UNKNOWN)
        history.append(_measured(forced.owner, keys, forced.columns, "", None, options))
    ids, moving = _objects(of)
    return Parsed(
        ids,
        of["diaSource.ra"],
        of["diaSource.dec"],
        _sources(np.arange(n), of, "diaSource.", options),
        history,
        BANDS,
        options.unit or "nJy",
        TIME_SCALE,
        SAME,
        TIMES,
        moving,
    )


def _objects(of: dict[str, Any]) -> tuple[pa.Array, NDArray[np.bool_]]:
    """Return the names of the objects (n,), null where there is none, and which are of the solar system."""
    ids = of["diaSource.diaObjectId"]
    ids = np.where(ids > 0, ids, of["diaObject.diaObjectId"])
    moving = ~(ids > 0) & (of["diaSource.ssObjectId"] > 0)
    return pa.array(ids, mask=~(ids > 0)).cast(pa.string()), moving


def _sources(owner: NDArray[np.int64], columns: dict[str, Any], before: str, options: PacketOptions) -> Measured:
    """Return the sources (N,) in columns whose names begin with ``before``."""
    score = columns[before + "reliability"] if options.reliability is not None else None
    good = kept(columns, before, score, options)
    flag = FLAGS.get(flux_of(options))
    if flag is not None:
        clear = ~columns[before + flag]
        good = clear if good is None else good & clear
    return _measured(owner, columns[before + "diaSourceId"], columns, before, good, options)


def _measured(
    owner: NDArray[np.int64],
    key: NDArray[np.int64],
    columns: dict[str, Any],
    before: str,
    good: NDArray[np.bool_] | None,
    options: PacketOptions,
) -> Measured:
    """Return measurements (N,), withdrawn ones marked as not good."""
    flux = flux_of(options)
    value, error = in_unit(columns[before + flux], columns[f"{before}{flux}Err"], options.unit or "nJy")
    standing = np.isnan(columns[before + "timeWithdrawnMjdTai"])
    good = standing if good is None else good & standing
    band = codes_of(columns[before + "band"], BANDS)
    return Measured(owner, key, columns[before + "midpointMjdTai"], value, error, band, good)
