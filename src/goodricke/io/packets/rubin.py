"""Alerts of the Rubin Observatory (schemas 10.0 to 11.1): Avro with a Confluent header, or Avro files.

Fluxes are in nJy. ``psfFlux`` is that of the difference to the template, ``scienceFlux`` that of the source itself, by
forced photometry on the visit's image. Times are the middle of the exposure as MJD in TAI, 37 s ahead of UTC: the time
scale says so, and light curves in UTC are not to be mixed with them. Objects of the solar system, which have an
``ssObjectId``, are left out by default. So are measurements that were withdrawn, or whose flux has its flag set.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.io.packets.avro_columns import RecordTable
from goodricke.io.packets.measurements import (
    NOT_POSITIVE,
    WRONG_PHOTOMETRY,
    Measurements,
    PacketOptions,
    ParsedPackets,
    band_indices,
    convert_flux,
    passes_cuts,
)
from goodricke.io.packets.skip_program import MISSING, REAL, TEXT, WHOLE, YES_OR_NO, Layout

BANDS = ("u", "g", "r", "i", "z", "y")
TIME_SCALE = "MJD (TAI)"
SAME_EXPOSURE = 1e-5  # days: an exposure takes 30 s
TIME_RANGE = (50_000.0, 100_000.0)  # MJD, 1995 to 2132
FLUX = {"total": "scienceFlux", "difference": "psfFlux"}
FLAGS = {"scienceFlux": "forced_PsfFlux_flag", "psfFlux": "psfFlux_flag", "apFlux": "apFlux_flag"}
MEASUREMENT = {"midpointMjdTai": REAL, "band": TEXT, "timeWithdrawnMjdTai": REAL}
NUMBER = 2  # of `schema`, in a Confluent header where no registry is given
UNREAD = {"float": 62, "boolean": 22}  # fields of a source in version 11.0 beside those that are named in `schema`
OBJECTS = {"diaObjectId": WHOLE, "ssObjectId": WHOLE}
REFERENCE = {"templateFlux": REAL, "scienceFlux": REAL}


def schema() -> str:
    """Return a schema of goodricke's own as JSON, which the same code reads as Rubin's.

    Rubin's own schemas are under the GPL-3 and don't come with goodricke. This one has the fields that are read, under
    Rubin's names, and as many others as stand for the rest, so that decoding costs as much; its numbers are made up.
    """

    def nullable(kind: Any, *names: str) -> list[dict[str, Any]]:
        return [{"name": name, "type": ["null", kind], "default": None} for name in names]

    def record(name: str, *fields: dict[str, Any]) -> dict[str, Any]:
        return {"type": "record", "name": f"goodricke.rubin.{name}", "fields": list(fields)}

    time = {"name": "midpointMjdTai", "type": "double"}
    place = [{"name": name, "type": "double"} for name in ("ra", "dec")]
    fluxes = [part for name in ("psfFlux", "scienceFlux") for part in nullable("float", name, f"{name}Err")]
    marks = [*nullable("string", "band"), *nullable("double", "timeWithdrawnMjdTai")]
    unread = [part for kind, n in UNREAD.items() for part in nullable(kind, *(f"{kind}{i}" for i in range(n)))]
    flags = nullable("boolean", "psfFlux_flag", "forced_PsfFlux_flag", "pixelFlags_saturatedCenter")
    key = {"name": "diaSourceId", "type": "long"}
    score = nullable("float", "reliability")
    source = record(
        "diaSource", key, *nullable("long", *OBJECTS), time, *place, *fluxes, *score, *marks, *flags, *unread
    )
    forced = record("diaForcedSource", time, *place, *fluxes, *marks)
    dia_object = record("diaObject", {"name": "diaObjectId", "type": "long"}, *place, *unread[:62])
    alert = record("alert", key, {"name": "diaSource", "type": source})
    alert["fields"] += nullable({"type": "array", "items": source["name"]}, "prvDiaSources")
    alert["fields"] += nullable({"type": "array", "items": forced}, "prvDiaForcedSources")
    alert["fields"] += nullable(dia_object, "diaObject")
    alert["fields"] += nullable("bytes", "cutoutDifference", "cutoutScience", "cutoutTemplate")
    return json.dumps(alert)


def flux_name(options: PacketOptions) -> str:
    """Return the name of the flux that is wanted.

    Raises
    ------
    ValueError
        If it is of another photometry, or forced photometry doesn't have it.
    """
    name = options.flux or FLUX[options.flux_kind]
    if options.photometry and name in FLUX.values() and name != FLUX[options.photometry]:
        raise ValueError(f"{name} is no {options.photometry} photometry of Rubin's: {FLUX[options.photometry]} is")
    if options.forced and name not in FLUX.values():
        raise ValueError(f"Rubin's forced photometry has no {name}; it has {' and '.join(FLUX.values())}")
    return name


def layout(options: PacketOptions) -> Layout:
    """Return which fields of a packet are wanted."""
    flux = flux_name(options)
    measurement = MEASUREMENT | {flux: REAL, f"{flux}Err": REAL}
    flags = dict.fromkeys((*([FLAGS[flux]] if flux in FLAGS else []), *options.flags), YES_OR_NO)
    score = {"reliability": REAL} if options.reliability is not None else {}
    source = measurement | {"diaSourceId": WHOLE, "ra": REAL, "dec": REAL} | OBJECTS | flags | score
    latest = source | (REFERENCE if _tells_reference(options) else {})
    fields: dict[str, Any] = {"diaSource": latest, "prvDiaSources": [source], "diaObject": {"diaObjectId": WHOLE}}
    required: list[tuple[str, ...]]
    required = [(f"diaSource.{name}",) for name in ("midpointMjdTai", "band", flux, *options.flags, *score)]
    required.append(("diaSource.diaObjectId", "diaObject.diaObjectId"))
    return Layout(fields | ({"prvDiaForcedSources": [measurement]} if options.forced else {}), required)


def parse(tables: dict[str, RecordTable], options: PacketOptions) -> ParsedPackets:
    """Return the object, the new observation and the history of each packet."""
    packets, previous = tables[""], tables["prvDiaSources"]
    n, fields = len(packets.owner), packets.columns
    history = [_sources(previous.owner, previous.columns, "", options)]
    if options.forced:
        forced = tables["prvDiaForcedSources"]
        keys = np.full(len(forced.owner), MISSING)
        history.append(_measurements(forced.owner, keys, forced.columns, "", None, options))
    ids, moving = _objects(fields)
    return ParsedPackets(
        object_id=ids,
        ra=fields["diaSource.ra"],
        dec=fields["diaSource.dec"],
        new=_sources(np.arange(n), fields, "diaSource.", options),
        history=history,
        bands=BANDS,
        unit=options.unit or "nJy",
        time_scale=TIME_SCALE,
        same_exposure=SAME_EXPOSURE,
        time_range=TIME_RANGE,
        moving=moving,
        solar_system=options.solar_system,
        reasons=_without_brightness(fields, options),
        reference=_reference_flux(fields) if _tells_reference(options) else None,
    )


def _tells_reference(options: PacketOptions) -> bool:
    """Return whether the flux that is wanted is a difference, to which that of the template can be added."""
    return flux_name(options) == FLUX["difference"]


def _reference_flux(fields: dict[str, Any]) -> NDArray[np.float64]:
    """Return the flux in the template at the new observations (n,) [nJy], NaN where the packet doesn't tell it.

    It is ``templateFlux``, forced photometry of the template, or else ``scienceFlux`` less the difference.
    """
    template, total = (fields[f"diaSource.{name}"] for name in REFERENCE)
    return np.where(np.isfinite(template), template, total - fields[f"diaSource.{FLUX['difference']}"])


def _without_brightness(fields: dict[str, Any], options: PacketOptions) -> list[tuple[NDArray[np.bool_], str, str]]:
    """Return the new observations (n,) without the brightness that is wanted, by reason."""
    name = flux_name(options)
    flux = fields[f"diaSource.{name}"]
    reasons = [(np.isnan(flux), WRONG_PHOTOMETRY, f"has no {name}")]
    if options.unit == "mag":
        reasons.append((flux <= 0, NOT_POSITIVE, f"has a {name} that is not positive, which has no magnitude"))
    return reasons


def _objects(fields: dict[str, Any]) -> tuple[pa.Array, NDArray[np.bool_]]:
    """Return the names of the objects (n,), null where there is none, and which are of the solar system."""
    ids = fields["diaSource.diaObjectId"]
    ids = np.where(ids > 0, ids, fields["diaObject.diaObjectId"])
    moving_ids = fields["diaSource.ssObjectId"]
    moving = moving_ids > 0
    names = pa.array(np.where(moving, moving_ids, ids), mask=~((ids > 0) | moving)).cast(pa.string())
    if not moving.any():
        return names, moving
    return pc.if_else(pa.array(moving), pc.binary_join_element_wise("ssObject", names, " "), names), moving


def _sources(owner: NDArray[np.int64], columns: dict[str, Any], prefix: str, options: PacketOptions) -> Measurements:
    """Return the sources (N,) in columns whose names begin with ``prefix``."""
    score = columns[prefix + "reliability"] if options.reliability is not None else None
    good = passes_cuts(columns, prefix, score, options)
    flag = FLAGS.get(flux_name(options))
    if flag is not None:
        clear = ~columns[prefix + flag]
        good = clear if good is None else good & clear
    return _measurements(owner, columns[prefix + "diaSourceId"], columns, prefix, good, options)


def _measurements(
    owner: NDArray[np.int64],
    key: NDArray[np.int64],
    columns: dict[str, Any],
    prefix: str,
    good: NDArray[np.bool_] | None,
    options: PacketOptions,
) -> Measurements:
    """Return measurements (N,), withdrawn ones marked as not good."""
    flux = flux_name(options)
    value, error = convert_flux(columns[prefix + flux], columns[f"{prefix}{flux}Err"], options.unit or "nJy")
    is_valid = np.isnan(columns[prefix + "timeWithdrawnMjdTai"])
    good = is_valid if good is None else good & is_valid
    band = band_indices(columns[prefix + "band"], BANDS)
    return Measurements(owner, key, columns[prefix + "midpointMjdTai"], value, error, band, good)
