"""Alerts of the Zwicky Transient Facility: an Avro file each, with its schema inside (schemas 3.x and 4.x).

The time is that at which the exposure began, UTC (``jd``). ``prv_candidates`` lists detections and upper limits of the
last 30 days; upper limits are no measurements. ``fp_hists`` (since 4.01) is forced photometry at the object's place;
of it only what has the processing status 0 (no warning) is used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.data.units import AB_ZERO, MJD_ZERO
from goodricke.io.packets.avro_columns import RecordTable
from goodricke.io.packets.measurements import (
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
    latest = DETECTION | {"ra": REAL, "dec": REAL} | scores | flags
    fields = {"objectId": TEXT, "candidate": latest, "prv_candidates": [DETECTION | scores | flags]}
    return Layout(fields | ({"fp_hists": [FORCED]} if options.forced else {}))


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
        moving=np.zeros(n, bool),
    )


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
    if options.photometry == "total":
        reference = flux_from_magnitudes(fields["magnr"], fields["sigmagnr"])
        flux = total_flux(flux, reference, fields["distnr"], options.reference_distance)
    value, error = convert_flux(*flux, options.unit or "mag")
    band = np.where((fields["fid"] >= 1) & (fields["fid"] <= len(BANDS)), fields["fid"] - 1, -1)
    good = np.ones(len(band), bool) if good is None else good
    return Measurements(owner, key, fields["jd"] - MJD_ZERO, value, error, band, good)
