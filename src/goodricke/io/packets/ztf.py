"""Alerts of the Zwicky Transient Facility: an Avro file each, with its schema inside (schemas 3.x and 4.x).

The time is that at which the exposure began, UTC (``jd``). ``prv_candidates`` lists detections and upper limits of the
last 30 days; upper limits are no measurements. ``fp_hists`` (since 4.01) is forced photometry at the object's place;
of it only what has the processing status 0 (no warning) is used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.data.units import AB_ZERO, MJD_ZERO
from goodricke.io.packets.avro_columns import RecordTable
from goodricke.io.packets.measurements import (
    NOT_POSITIVE,
    WRONG_PHOTOMETRY,
    Measurements,
    PacketOptions,
    ParsedPackets,
    convert_flux,
    flux_from_magnitudes,
    passes_cuts,
)
from goodricke.io.packets.skip_program import MISSING, REAL, TEXT, WHOLE, YES_OR_NO, Layout
from goodricke.io.roles import signs

Float = NDArray[np.float64]

BANDS = ("g", "r", "i")  # of fid 1, 2, 3
SAME_EXPOSURE = 1e-5  # days: an exposure takes 30 s
TIME_RANGE = (50_000.0, 100_000.0)  # MJD, 1995 to 2132
LEAST_FORCED_FLUX = -99_990.0  # smaller numbers are codes
SAME_MOVING = 1.0  # arcsec to where an object of the solar system was predicted
SOLAR_SYSTEM = {"ssdistnr": REAL, "ssnamenr": TEXT}
REFERENCE = {"distnr": REAL, "magnr": REAL, "sigmagnr": REAL}
DETECTION = REFERENCE | {
    "jd": REAL,
    "fid": WHOLE,
    "candid": WHOLE,
    "magpsf": REAL,
    "sigmapsf": REAL,
    "isdiffpos": TEXT,
}
FORCED = REFERENCE | {
    "jd": REAL,
    "fid": WHOLE,
    "forcediffimflux": REAL,
    "forcediffimfluxunc": REAL,
    "magzpsci": REAL,
    "procstatus": TEXT,
}


def layout(options: PacketOptions) -> Layout:
    """Return which fields of a packet are wanted."""
    flags = dict.fromkeys(options.flags, YES_OR_NO)
    scores = {"rb": REAL, "drb": REAL} if options.reliability is not None else {}
    latest = DETECTION | {"ra": REAL, "dec": REAL, **SOLAR_SYSTEM} | scores | flags
    fields = {"objectId": TEXT, "candidate": latest, "prv_candidates": [DETECTION | scores | flags]}
    needed = ["jd", "fid", "magpsf", "isdiffpos", *options.flags]
    needed += ["magnr", "distnr"] if options.flux_kind == "total" else []
    required: list[tuple[str, ...]] = [("objectId",), *((f"candidate.{name}",) for name in needed)]
    required += [("candidate.drb", "candidate.rb")] if scores else []
    return Layout(fields | ({"fp_hists": [FORCED]} if options.forced else {}), required)


def parse(tables: dict[str, RecordTable], options: PacketOptions) -> ParsedPackets:
    """Return the object, the new observation and the history of each packet."""
    packets = tables[""]
    n = len(packets.owner)
    history = [_detections(tables["prv_candidates"].owner, tables["prv_candidates"].columns, "", options)]
    if options.forced:
        history.append(_forced(tables["fp_hists"], options))
    return ParsedPackets(
        object_id=packets.columns["objectId"],
        ra=packets.columns["candidate.ra"],
        dec=packets.columns["candidate.dec"],
        new=_detections(np.arange(n), packets.columns, "candidate.", options),
        history=history,
        bands=BANDS,
        unit=options.unit or "mag",
        time_scale="MJD",
        same_exposure=SAME_EXPOSURE,
        time_range=TIME_RANGE,
        moving=_is_moving(packets.columns),
        solar_system=options.solar_system,
        reasons=_without_brightness(packets.columns, options),
        reference=_reference_flux(packets.columns, options) if options.flux_kind == "difference" else None,
    )


def _reference_flux(columns: dict[str, Any], options: PacketOptions) -> Float:
    """Return the flux [nJy] of the source in the reference image at the new observations (n,), NaN without one."""
    magnitude, distance = columns["candidate.magnr"], columns["candidate.distnr"]
    flux = flux_from_magnitudes(magnitude, np.zeros(len(magnitude)))[0]
    return np.where((distance >= 0) & (distance < options.reference_distance), flux, np.nan)


def _is_moving(columns: dict[str, Any]) -> NDArray[np.bool_]:
    """Return which new observations (n,) are of a known object of the solar system."""
    name, distance = columns["candidate.ssnamenr"], columns["candidate.ssdistnr"]
    near = (distance >= 0) & (distance <= SAME_MOVING)  # -999 where there is none
    if not near.any():
        return near
    is_name = pc.invert(pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(name.fill_null(""))), pa.array(["", "null"])))
    return near & is_name.to_numpy(zero_copy_only=False)


def _without_brightness(columns: dict[str, Any], options: PacketOptions) -> list[tuple[NDArray[np.bool_], str, str]]:
    """Return the new observations (n,) without the brightness that is wanted, by reason."""
    fields = {name: columns[f"candidate.{name}"] for name in DETECTION}
    flux = signs(fields["isdiffpos"]) * flux_from_magnitudes(fields["magpsf"], fields["sigmapsf"])[0]
    reasons = []
    if options.flux_kind == "total":
        reference = flux_from_magnitudes(fields["magnr"], fields["sigmagnr"])[0]
        has_source = (fields["distnr"] < options.reference_distance) & np.isfinite(reference)
        text = f'has no total brightness: no source of the reference image is within {options.reference_distance:g}"'
        reasons.append((np.isfinite(flux) & ~has_source, WRONG_PHOTOMETRY, text))
        flux = flux + reference
    if (options.unit or "mag") == "mag":
        text = f"has a {options.flux_kind} flux that is not positive, which has no magnitude"
        reasons.append((flux <= 0, NOT_POSITIVE, text))
    return reasons


def total_flux(
    difference: tuple[Float, Float], reference: tuple[Float, Float], distance: Float, max_distance: float
) -> tuple[Float, Float]:
    """Return the flux of the source and its error (N,) [nJy] from its difference to the reference image.

    Parameters
    ----------
    difference : float64 (N,) twice
        Flux and error, with the sign of ``isdiffpos`` [nJy].
    reference : float64 (N,) twice
        Of the source in the reference image: ``magnr`` and ``sigmagnr`` as flux [nJy].
    distance : float64 (N,)
        Distance of that source: ``distnr`` [arcsec].
    max_distance : float
        From this distance on it is another source: NaN.

    Notes
    -----
    F = F_ref + sgn F_diff, i.e. m = -2.5 log10(10^(-0.4 magnr) + sgn 10^(-0.4 magpsf)) (Forster et al. 2021, section
    3.1, who ask for distnr < 1.4 arcsec), with sigma_F^2 = sigma_ref^2 + sigma_diff^2, as if both were independent:
    an overestimate, since the difference's error already contains a part of the reference's.
    """
    flux = difference[0] + reference[0]
    return np.where(distance < max_distance, flux, np.nan), np.hypot(difference[1], reference[1])


def _detections(owner: NDArray[np.int64], columns: dict[str, Any], prefix: str, options: PacketOptions) -> Measurements:
    """Return the detections (N,) in columns whose names begin with ``prefix``."""
    fields = {name: columns[prefix + name] for name in DETECTION}
    flux, error = flux_from_magnitudes(fields["magpsf"], fields["sigmapsf"])
    score = None
    if options.reliability is not None:
        deep = columns[prefix + "drb"]
        score = np.where(np.isfinite(deep), deep, columns[prefix + "rb"])
    good = passes_cuts(columns, prefix, score, options)
    return _measurements(owner, fields["candid"], fields, (signs(fields["isdiffpos"]) * flux, error), good, options)


def _forced(table: RecordTable, options: PacketOptions) -> Measurements:
    """Return forced photometry: counts, which the zero point turns into a flux."""
    fields = table.columns
    with np.errstate(all="ignore"):
        zero = AB_ZERO * 10 ** (-0.4 * fields["magzpsci"])
    valid = (
        (fields["forcediffimflux"] > LEAST_FORCED_FLUX) & (fields["forcediffimfluxunc"] > 0) & (fields["magzpsci"] > 0)
    )
    flux = np.where(valid, fields["forcediffimflux"] * zero, np.nan)
    good = pc.equal(fields["procstatus"], "0").fill_null(True).to_numpy(zero_copy_only=False)
    keys = np.full(len(flux), MISSING)
    return _measurements(table.owner, keys, fields, (flux, fields["forcediffimfluxunc"] * zero), good, options)


def _measurements(
    owner: NDArray[np.int64],
    key: NDArray[np.int64],
    fields: dict[str, Any],
    flux: tuple[Float, Float],
    good: NDArray[np.bool_] | None,
    options: PacketOptions,
) -> Measurements:
    """Return measurements of a difference (N,), as that or as the total."""
    if options.flux_kind == "total":
        reference = flux_from_magnitudes(fields["magnr"], fields["sigmagnr"])
        flux = total_flux(flux, reference, fields["distnr"], options.reference_distance)
    value, error = convert_flux(*flux, options.unit or "mag")
    band = np.where((fields["fid"] >= 1) & (fields["fid"] <= len(BANDS)), fields["fid"] - 1, -1)
    good = np.ones(len(band), bool) if good is None else good
    return Measurements(owner, key, fields["jd"] - MJD_ZERO, value, error, band, good)
