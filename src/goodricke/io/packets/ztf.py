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

from goodricke.data.units import AB_ZERO
from goodricke.io.packets.avro_columns import Table
from goodricke.io.packets.measurements import Measured, PacketOptions, Parsed, from_magnitudes, in_unit, kept
from goodricke.io.packets.skip_program import REAL, TEXT, UNKNOWN, WHOLE, YES_OR_NO, Layout

Float = NDArray[np.float64]

BANDS = ("g", "r", "i")  # of fid 1, 2, 3
MJD = 2400000.5
SAME = 1e-5  # days: an exposure takes 30 s
TIMES = (50_000.0, 100_000.0)  # MJD, 1995 to 2132
WARNED = -99_990.0  # forced fluxes below are codes
OF_REFERENCE = {"distnr": REAL, "magnr": REAL, "sigmagnr": REAL}
DETECTION = {
    **{"jd": REAL, "fid": WHOLE, "candid": WHOLE, "magpsf": REAL, "sigmapsf": REAL, "isdiffpos": TEXT},
    **OF_REFERENCE,
}
FORCED = {
    **{"jd": REAL, "fid": WHOLE, "forcediffimflux": REAL, "forcediffimfluxunc": REAL, "magzpsci": REAL},
    **{"procstatus": TEXT},
    **OF_REFERENCE,
}


def layout(options: PacketOptions) -> Layout:
    """Return which fields of a packet are wanted."""
    flags = dict.fromkeys(options.flags, YES_OR_NO)
    scores = {"rb": REAL, "drb": REAL} if options.reliability is not None else {}
    latest = DETECTION | {"ra": REAL, "dec": REAL} | scores | flags
    fields = {"objectId": TEXT, "candidate": latest, "prv_candidates": [DETECTION | scores | flags]}
    return Layout(fields | ({"fp_hists": [FORCED]} if options.forced else {}))


def parse(tables: dict[str, Table], options: PacketOptions) -> Parsed:
    """Return the object, the new observation and the history of each packet."""
    packets = tables[""]
    n = len(packets.owner)
    history = [_detections(tables["prv_candidates"].owner, tables["prv_candidates"].columns, "", options)]
    if options.forced:
        history.append(_forced(tables["fp_hists"], options))
    return Parsed(
        packets.columns["objectId"],
        packets.columns["candidate.ra"],
        packets.columns["candidate.dec"],
        _detections(np.arange(n), packets.columns, "candidate.", options),
        history,
        BANDS,
        options.unit or "mag",
        "MJD",
        SAME,
        TIMES,
        np.zeros(n, bool),
    )


def total_flux(
    difference: tuple[Float, Float], reference: tuple[Float, Float], distance: Float, furthest: float
) -> tuple[Float, Float]:
    """Return the flux of the source and its error (N,) [nJy] from its difference to the reference image.

    Parameters
    ----------
    difference : float64 (N,) twice
        Flux and error, with the sign of ``isdiffpos`` [nJy].
    reference : float64 (N,) twice
        Of the source in the reference image: ``magnr`` and ``sigmagnr`` as flux [nJy].
    distance : float64 (N,)
        How far that source is: ``distnr`` [arcsec].
    furthest : float
        From where on it is another one: NaN.

    Notes
    -----
    F = F_ref + sgn F_diff, i.e. m = -2.5 log10(10^(-0.4 magnr) + sgn 10^(-0.4 magpsf)) (Forster et al. 2021, section
    3.1, who ask for distnr < 1.4 arcsec), with sigma_F^2 = sigma_ref^2 + sigma_diff^2, as if both were independent:
    that is on the safe side, since the difference's error already has a part of the reference's.
    """
    flux = difference[0] + reference[0]
    return np.where(distance < furthest, flux, np.nan), np.hypot(difference[1], reference[1])


def _detections(owner: NDArray[np.int64], columns: dict[str, Any], before: str, options: PacketOptions) -> Measured:
    """Return the detections (N,) in columns whose names begin with ``before``."""
    of = {name: columns[before + name] for name in DETECTION}
    flux, error = from_magnitudes(of["magpsf"], of["sigmapsf"])
    score = None
    if options.reliability is not None:
        deep = columns[before + "drb"]
        score = np.where(np.isfinite(deep), deep, columns[before + "rb"])
    good = kept(columns, before, score, options)
    return _measured(owner, of["candid"], of, (sign(of["isdiffpos"]) * flux, error), good, options)


def sign(isdiffpos: pa.Array) -> Float:
    """Return +1 where the source is brighter than in the reference image (N,), -1 where fainter, NaN if not told."""
    result = np.full(len(isdiffpos), np.nan)
    for texts, value in ((("t", "1", "true"), 1.0), (("f", "0", "-1", "false"), -1.0)):
        result[pc.is_in(isdiffpos, pa.array(texts)).to_numpy(zero_copy_only=False)] = value
    return result


def _forced(table: Table, options: PacketOptions) -> Measured:
    """Return forced photometry: counts, which the zero point turns into a flux."""
    of = table.columns
    with np.errstate(all="ignore"):
        zero = AB_ZERO * 10 ** (-0.4 * of["magzpsci"])
    there = (of["forcediffimflux"] > WARNED) & (of["forcediffimfluxunc"] > 0) & (of["magzpsci"] > 0)
    flux = np.where(there, of["forcediffimflux"] * zero, np.nan)
    good = pc.equal(of["procstatus"], "0").fill_null(True).to_numpy(zero_copy_only=False)
    keys = np.full(len(flux), UNKNOWN)
    return _measured(table.owner, keys, of, (flux, of["forcediffimfluxunc"] * zero), good, options)


def _measured(
    owner: NDArray[np.int64],
    key: NDArray[np.int64],
    of: dict[str, Any],
    flux: tuple[Float, Float],
    good: NDArray[np.bool_] | None,
    options: PacketOptions,
) -> Measured:
    """Return measurements of a difference (N,), as that or as the total."""
    if options.photometry == "total":
        reference = from_magnitudes(of["magnr"], of["sigmagnr"])
        flux = total_flux(flux, reference, of["distnr"], options.reference_distance)
    value, error = in_unit(*flux, options.unit or "mag")
    band = np.where((of["fid"] >= 1) & (of["fid"] <= len(BANDS)), of["fid"] - 1, -1)
    good = np.ones(len(band), bool) if good is None else good
    return Measured(owner, key, of["jd"] - MJD, value, error, band, good)
