"""Alerts as the broker Fink ships them in Parquet: whole alert packets of ZTF or Rubin, one per row, with history.

Every packet repeats the object's past: the light curve of an object is what all its packets hold together, each
measurement once (by ``candid``, ``diaSourceId``). Both surveys measure the difference to a reference image, so that
brightness is a flux in nJy which may be negative: Rubin's ``psfFlux`` (``apFlux``, ``scienceFlux`` and the like are
other choices), and ZTF's ``magpsf`` (or ``magap``) with the sign of ``isdiffpos``. ``flux="magpsf"`` named outright
gives ZTF's magnitudes of the difference as they are, without the sign. ZTF's history also lists upper limits: they are
no measurements. Rubin's forced photometry is not read.

Objects of the solar system have no ``diaObjectId`` and are called after their ``ssObjectId``. Numbers and texts beside
the packets (Fink's scores and classes) become columns of the objects, those of the last packet.

Quality, Rubin alone: unless ``"none"``, measurements whose PSF fit failed (``psfFlux_flag``) are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.data import ragged, units
from goodricke.data.lightcurves import LightCurves
from goodricke.io import table
from goodricke.io.files import Opened
from goodricke.io.fits import CUT_SHORT
from goodricke.io.options import ReadOptions, Unreadable
from goodricke.io.table import numbers

NAME = "fink"
MJD = 2400000.5


@dataclass(frozen=True)
class Packet:
    """Where an alert packet of a survey has what.

    Parameters
    ----------
    latest, history : str
        The measurement that raised the alert, and the list of those before it.
    key, time, band, flux : str
        Of a measurement: identifier, time of mid-exposure, band, the brightness that is the default.
    object_id : str
        Of the packet, or of its latest measurement.
    offset : float
        What is taken from the times to make them MJD [d].
    beside : tuple of str
        Other fields of a measurement that are read.
    """

    mission: str
    latest: str
    history: str
    key: str
    time: str
    band: str
    flux: str
    object_id: str
    offset: float
    beside: tuple[str, ...]


ZTF = Packet("ZTF", "candidate", "prv_candidates", "candid", "jd", "fid", "magpsf", "objectId", MJD, ("isdiffpos",))
RUBIN = Packet(
    *("Rubin", "diaSource", "prvDiaSources", "diaSourceId", "midpointMjdTai", "band", "psfFlux", "diaObjectId"),
    0.0,
    ("psfFlux_flag", "diaObjectId", "ssObjectId"),
)
MAGNITUDES = {"magpsf": "sigmapsf", "magap": "sigmagap"}  # of ZTF, and their errors


def recognises(file: Opened) -> bool:
    """Tell whether the file holds alert packets, by its nested columns."""
    return file.kind == "parquet" and _packet(file) is not None


def read(file: Opened, options: ReadOptions) -> LightCurves:
    """Read all packets of the file, one light curve per object; see the module for flux and quality.

    The whole file is taken at once, since an object's packets may be anywhere in it.

    Raises
    ------
    Unreadable
        If there is no such flux, the file has no row, or is damaged.
    """
    packet = _packet(file)
    assert packet is not None, "asked for without being recognised"
    flux, error = _flux(file, packet, options)
    wanted = (packet.key, packet.time, packet.band, flux, error, "ra", "dec", *packet.beside)
    packets = _load(file, packet, wanted)
    if not len(packets):
        raise Unreadable(file.path, "is a table without rows", "leave the file out")
    owner, points = _measurements(packets, packet, wanted)
    names = _object_ids(packets, packet)
    observations = _rows(points, packet, names.take(owner), flux, error, options, file.path)
    distinct = _distinct(points, packet, observations)
    observations = replace(observations, time=np.where(distinct, observations.time, np.nan))
    product, unit = f"Fink {packet.mission} alerts", "mag" if packet is ZTF and options.flux else "nJy"
    about = {"mission": packet.mission, "product": product}
    curves = table.light_curves(file, options, observations, unit=unit, time_scale="MJD", **about)
    return curves.with_columns(**_of_last_packets(packets, names, curves.object_id, points[packet.time]))


# ---- finding and loading ------------------------------------------------------------------------------------------


def _packet(file: Opened) -> Packet | None:
    schema = file.parquet.schema_arrow
    kinds = dict(zip(schema.names, schema.types, strict=True))
    for packet in (ZTF, RUBIN):
        latest, history = kinds.get(packet.latest), kinds.get(packet.history)
        if latest is not None and pa.types.is_struct(latest) and history is not None and pa.types.is_list(history):
            return packet
    return None


def _flux(file: Opened, packet: Packet, options: ReadOptions) -> tuple[str, str]:
    """Return the fields of brightness and error."""
    fields = [field.name for field in file.parquet.schema_arrow.field(packet.latest).type]
    wanted = (options.flux or packet.flux).lower()
    pairs = MAGNITUDES if packet is ZTF else {name: f"{name}Err" for name in fields if f"{name}Err" in fields}
    found = next((name for name in pairs if name.lower() == wanted), None)
    if found is None:
        choices = ", ".join(name for name in pairs if "flux" in name.lower() or packet is ZTF)
        raise Unreadable(file.path, f"has no flux {options.flux}", f"choose one of {choices} with --flux")
    return found, pairs[found]


def _load(file: Opened, packet: Packet, wanted: tuple[str, ...]) -> pa.Table:
    """Return the packets without images and fields that nobody asked for: one in a hundred bytes."""
    schema, parquet = file.parquet.schema_arrow, file.parquet
    leaves = [parquet.schema.column(i).path for i in range(len(parquet.schema))]
    inner = [leaf for leaf in leaves if leaf.split(".")[0] in (packet.latest, packet.history)]
    inner = [leaf for leaf in inner if leaf.split(".")[-1] in wanted]
    plain = [f.name for f in schema if not pa.types.is_nested(f.type) and not pa.types.is_binary(f.type)]
    file.noted = inner
    try:
        return parquet.read(columns=[*inner, *plain], use_pandas_metadata=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise Unreadable(file.path, f"is a damaged Parquet file ({error})", CUT_SHORT) from error


# ---- taking packets apart -----------------------------------------------------------------------------------------


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _measurements(
    packets: pa.Table, packet: Packet, wanted: tuple[str, ...]
) -> tuple[NDArray[np.int64], dict[str, pa.Array]]:
    """Return all measurements, the n packets' own and then their histories: whose packet (N,), and fields (N,)."""
    latest, history = _whole(packets[packet.latest]), _whole(packets[packet.history])
    counts = pc.list_value_length(history).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    owner = np.concatenate([np.arange(len(packets)), ragged.owner(ragged.offsets_from_counts(counts))])
    before = history.flatten()
    points = {}
    for name in wanted:
        halves = [_field(part, name) for part in (latest, before)]
        kind = next((half.type for half in halves if not pa.types.is_null(half.type)), pa.float64())
        points[name] = pa.concat_arrays([half.cast(kind) for half in halves])
    return owner, points


def _field(structs: pa.StructArray, name: str) -> pa.Array:
    """Return a field of structs (N,), null where a struct is or where there is no such field."""
    if structs.type.get_field_index(name) < 0:
        return pa.nulls(len(structs))
    return pc.struct_field(structs, name)


def _object_ids(packets: pa.Table, packet: Packet) -> pa.Array:
    """Return the name of each packet's object (n,)."""
    if packet is ZTF:
        return _whole(packets[packet.object_id]).cast(pa.string())
    latest = _whole(packets[packet.latest])
    star, moving = (_field(latest, name).cast(pa.int64()) for name in (packet.object_id, "ssObjectId"))
    known = pc.fill_null(pc.not_equal(star, 0), False)
    moving = pc.binary_join_element_wise("ssObject", moving.cast(pa.string()), " ")
    return pc.if_else(known, star.cast(pa.string()), moving)


def _rows(
    points: dict[str, pa.Array],
    packet: Packet,
    object_id: pa.Array,
    flux: str,
    error: str,
    options: ReadOptions,
    path: str,
) -> table.Rows:
    """Return measurements (N,) as rows: with the sign of the difference, in nJy unless magnitudes are asked for."""
    time, value, sigma = (numbers(points[name], name, path) for name in (packet.time, flux, error))
    ra, dec = (numbers(points[name], name, path) for name in ("ra", "dec"))
    if packet is ZTF and not options.flux:
        value, sigma = units.nanojansky(value, sigma)
        value = np.where(table.flags(points["isdiffpos"]), value, -value)
    good = np.ones(len(time), bool)
    if packet is RUBIN and options.quality != "none":
        good = ~table.flags(points["psfFlux_flag"])
    return table.Rows(object_id, time - packet.offset, value, sigma, points[packet.band], packet.band, good, ra, dec)


def _distinct(points: dict[str, pa.Array], packet: Packet, observations: table.Rows) -> NDArray[np.bool_]:
    """Return which rows (N,) are measurements: neither upper limits nor, of the same object, the same one again."""
    key = points[packet.key].cast(pa.int64())
    measured = np.isfinite(observations.value) & key.is_valid().to_numpy(zero_copy_only=False)
    codes = observations.object_id.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    return measured & table.firsts(measured, key.fill_null(0).to_numpy(zero_copy_only=False), codes)


def _of_last_packets(packets: pa.Table, names: pa.Array, objects: pa.Array, time: pa.Array) -> dict[str, Any]:
    """Return the plain columns of each object's last packet (n,), but those that identify a packet."""
    taken = time[: len(packets)].fill_null(-np.inf).to_numpy(zero_copy_only=False)
    order = np.argsort(taken, kind="stable")
    codes = pc.index_in(names, objects).to_numpy(zero_copy_only=False)[order]
    last = np.zeros(len(objects), np.int64)
    last[codes] = order
    own = ("objectId", "object_id", "lightcurve", "candid", "diaSourceId", "diaObjectId")
    plain = [f.name for f in packets.schema if not pa.types.is_nested(f.type) and f.name not in own]
    return {name: packets[name].take(last) for name in plain}
