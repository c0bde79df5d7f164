"""Alerts as the broker Fink ships them in Parquet: full alert packets of ZTF or Rubin, one per row, with history.

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
from goodricke.data.arrow import list_lengths, one_chunk
from goodricke.data.lightcurves import LightCurves
from goodricke.data.photometry import with_photometry
from goodricke.io import roles
from goodricke.io.files import SourceFile
from goodricke.io.fits import CUT_SHORT
from goodricke.io.observations import Observations, light_curves
from goodricke.io.options import ReadOptions, Unreadable

NAME = "fink"


@dataclass(frozen=True)
class PacketFields:
    """The names of the fields in an alert packet of a survey.

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
    others : tuple of str
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
    others: tuple[str, ...]


ZTF = PacketFields(
    mission="ZTF",
    latest="candidate",
    history="prv_candidates",
    key="candid",
    time="jd",
    band="fid",
    flux="magpsf",
    object_id="objectId",
    offset=units.MJD_ZERO,
    others=("isdiffpos",),
)
RUBIN = PacketFields(
    mission="Rubin",
    latest="diaSource",
    history="prvDiaSources",
    key="diaSourceId",
    time="midpointMjdTai",
    band="band",
    flux="psfFlux",
    object_id="diaObjectId",
    offset=0.0,
    others=("psfFlux_flag", "diaObjectId", "ssObjectId"),
)
SCIENCE_FLUX = "scienceFlux"  # of Rubin: of the source itself
MAGNITUDES = {"magpsf": "sigmapsf", "magap": "sigmagap"}  # of ZTF, and their errors


def recognises(file: SourceFile) -> bool:
    """Tell whether the file holds alert packets, by its nested columns."""
    return file.kind == "parquet" and _packet(file) is not None


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read all packets of the file, one light curve per object; see the module for flux and quality.

    The whole file is taken at once, since an object's packets may be anywhere in it.

    Raises
    ------
    Unreadable
        If there is no such flux, the file has no row, or is damaged.
    """
    packet = _packet(file)
    assert packet is not None, "not a table of alert packets"
    flux, error = _flux(file, packet, options)
    wanted = (packet.key, packet.time, packet.band, flux, error, "ra", "dec", *packet.others)
    packets = _load(file, packet, wanted)
    if not len(packets):
        raise Unreadable(file.path, "is a table without rows", "leave the file out")
    owner, points = _measurements(packets, packet, wanted)
    names = _object_ids(packets, packet)
    observations = _observations(points, packet, names.take(owner), flux, error, options, file.path)
    measured = _is_measurement(points, packet, observations)
    observations = replace(observations, time=np.where(measured, observations.time, np.nan))
    curves = light_curves(
        file,
        options,
        observations,
        unit="mag" if packet is ZTF and options.flux else "nJy",
        time_scale="MJD",
        mission=packet.mission,
        product=f"Fink {packet.mission} alerts",
    )
    others = _last_packet_columns(packets, names, curves.object_id, points[packet.time])
    return with_photometry(curves.with_columns(**others), "total" if flux == SCIENCE_FLUX else "difference")


# ---- finding and loading ------------------------------------------------------------------------------------------


def _packet(file: SourceFile) -> PacketFields | None:
    schema = file.parquet.schema_arrow
    kinds = dict(zip(schema.names, schema.types, strict=True))
    for packet in (ZTF, RUBIN):
        latest, history = kinds.get(packet.latest), kinds.get(packet.history)
        if latest is not None and pa.types.is_struct(latest) and history is not None and pa.types.is_list(history):
            return packet
    return None


def _flux(file: SourceFile, packet: PacketFields, options: ReadOptions) -> tuple[str, str]:
    """Return the fields of brightness and error."""
    fields = [field.name for field in file.parquet.schema_arrow.field(packet.latest).type]
    of_source = packet is RUBIN and options.photometry == "total" and SCIENCE_FLUX in fields
    wanted = (options.flux or (SCIENCE_FLUX if of_source else packet.flux)).lower()
    pairs = MAGNITUDES if packet is ZTF else {name: f"{name}Err" for name in fields if f"{name}Err" in fields}
    name = next((name for name in pairs if name.lower() == wanted), None)
    if name is None:
        choices = ", ".join(name for name in pairs if "flux" in name.lower() or packet is ZTF)
        raise Unreadable(file.path, f"has no flux {options.flux}", f"choose one of {choices} with --flux")
    return name, pairs[name]


def _load(file: SourceFile, packet: PacketFields, wanted: tuple[str, ...]) -> pa.Table:
    """Return the packets with the fields in use only, without images: one in a hundred bytes."""
    schema, parquet = file.parquet.schema_arrow, file.parquet
    leaves = [parquet.schema.column(i).path for i in range(len(parquet.schema))]
    inner = [leaf for leaf in leaves if leaf.split(".")[0] in (packet.latest, packet.history)]
    inner = [leaf for leaf in inner if leaf.split(".")[-1] in wanted]
    plain = [f.name for f in schema if not pa.types.is_nested(f.type) and not pa.types.is_binary(f.type)]
    file.columns_read = inner
    try:
        return parquet.read(columns=[*inner, *plain], use_pandas_metadata=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise Unreadable(file.path, f"is a damaged Parquet file ({error})", CUT_SHORT) from error


# ---- taking packets apart -----------------------------------------------------------------------------------------


def _measurements(
    packets: pa.Table, packet: PacketFields, wanted: tuple[str, ...]
) -> tuple[NDArray[np.int64], dict[str, pa.Array]]:
    """Return the packets (N,) of all measurements, n new ones and then the histories, and their fields (N,)."""
    latest, history = one_chunk(packets[packet.latest]), one_chunk(packets[packet.history])
    offsets = ragged.offsets_from_counts(list_lengths(history))
    owner = np.concatenate([np.arange(len(packets)), ragged.owner(offsets)])
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


def _object_ids(packets: pa.Table, packet: PacketFields) -> pa.Array:
    """Return the name of each packet's object (n,)."""
    if packet is ZTF:
        return one_chunk(packets[packet.object_id]).cast(pa.string())
    latest = one_chunk(packets[packet.latest])
    star, moving = (_field(latest, name).cast(pa.int64()) for name in (packet.object_id, "ssObjectId"))
    known = pc.fill_null(pc.not_equal(star, 0), False)
    moving = pc.binary_join_element_wise("ssObject", moving.cast(pa.string()), " ")
    return pc.if_else(known, star.cast(pa.string()), moving)


def _observations(
    points: dict[str, pa.Array],
    packet: PacketFields,
    object_id: pa.Array,
    flux: str,
    error: str,
    options: ReadOptions,
    path: str,
) -> Observations:
    """Return measurements (N,) as rows: with the sign of the difference, in nJy unless the options name a magnitude."""
    time, value, sigma = (roles.numbers(points[name], name, path) for name in (packet.time, flux, error))
    ra, dec = (roles.numbers(points[name], name, path) for name in ("ra", "dec"))
    if packet is ZTF and not options.flux:
        value, sigma = units.nanojansky(value, sigma)
        value = roles.signs(points["isdiffpos"]) * value
    good = np.ones(len(time), bool)
    if packet is RUBIN and options.quality != "none":
        good = ~roles.flags(points["psfFlux_flag"])
    return Observations(object_id, time - packet.offset, value, sigma, points[packet.band], packet.band, good, ra, dec)


def _is_measurement(points: dict[str, pa.Array], packet: PacketFields, observations: Observations) -> NDArray[np.bool_]:
    """Return which rows (N,) are measurements: neither upper limits nor, of the same object, the same one again."""
    key = points[packet.key].cast(pa.int64())
    measured = np.isfinite(observations.value) & key.is_valid().to_numpy(zero_copy_only=False)
    codes = observations.object_id.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    return measured & ragged.first_of_each(measured, key.fill_null(0).to_numpy(zero_copy_only=False), codes)


def _last_packet_columns(packets: pa.Table, names: pa.Array, objects: pa.Array, time: pa.Array) -> dict[str, Any]:
    """Return the plain columns of each object's last packet (n,), but those that identify a packet."""
    latest = time[: len(packets)].fill_null(-np.inf).to_numpy(zero_copy_only=False)
    order = np.argsort(latest, kind="stable")
    codes = pc.index_in(names, objects).to_numpy(zero_copy_only=False)[order]
    last = np.zeros(len(objects), np.int64)
    last[codes] = order
    identity = ("objectId", "object_id", "lightcurve", "candid", "diaSourceId", "diaObjectId")
    plain = [f.name for f in packets.schema if not pa.types.is_nested(f.type) and f.name not in identity]
    return {name: packets[name].take(last) for name in plain}
