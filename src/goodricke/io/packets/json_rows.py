"""Alerts of ZTF in JSON, as brokers give them: full packets, rows of Fink's API, detections of ALeRCE's.

Fink's rows are a packet's ``candidate`` with ``i:`` before each name. ALeRCE gives the total magnitude itself
(``magpsf_corr``, with ``sigmapsf_corr_ext``) of detections that it could correct; from it and the difference follows
the magnitude in the reference image that it took, so that total and difference photometry both give ALeRCE's numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import log10
from typing import Any

from goodricke.data.units import MJD_ZERO
from goodricke.io.roles import sign

FINK = "i:"
FAR = 1e9  # arcsec: no source in the reference image


def json_object(message: bytes) -> dict[str, Any]:
    """Return the object that a JSON message holds.

    Raises
    ------
    ValueError
        If it holds none.
    """
    result = json.loads(message)
    if not isinstance(result, dict):
        raise ValueError(f"holds {type(result).__name__}, not an object with names")
    return result


def ztf_packet(message: bytes) -> dict[str, Any]:
    """Return an alert of ZTF, of any of the kinds above, as a packet.

    Raises
    ------
    ValueError
        If it is none of them.
    """
    alert = json_object(message)
    if "candidate" in alert:
        previous = [_source(source) for source in alert.get("prv_candidates") or ()]
        return alert | {"candidate": _source(alert["candidate"]), "prv_candidates": previous}
    if f"{FINK}candid" in alert:
        return _packet_from_fink(alert)
    if "oid" in alert and "magpsf" in alert:
        return _packet_from_alerce(alert)
    raise ValueError("is neither a packet of ZTF nor a row of Fink or ALeRCE")


def fink_row(message: bytes) -> dict[str, Any]:
    """Return a row of Fink's as a packet of ZTF.

    Raises
    ------
    ValueError
        If it is none.
    """
    row = json_object(message)
    if f"{FINK}candid" not in row:
        raise ValueError(f"is no row of Fink: it has no {FINK}candid")
    return _packet_from_fink(row)


def alerce_row(message: bytes) -> dict[str, Any]:
    """Return a detection of ALeRCE's as a packet of ZTF.

    Raises
    ------
    ValueError
        If it is none.
    """
    row = json_object(message)
    if not {"oid", "mjd", "magpsf"} <= row.keys():
        raise ValueError("is no detection of ALeRCE: it lacks oid, mjd or magpsf")
    return _packet_from_alerce(row)


def _source(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return a source with its sign as text, whichever way it is written."""
    positive = source.get("isdiffpos")
    return dict(source) | {"isdiffpos": None if positive is None else str(positive)}


def _packet(object_id: Any, candidate: Mapping[str, Any]) -> dict[str, Any]:
    return {"objectId": object_id, "candidate": _source(candidate), "prv_candidates": []}


def _packet_from_fink(row: Mapping[str, Any]) -> dict[str, Any]:
    candidate = {name.removeprefix(FINK): value for name, value in row.items() if name.startswith(FINK)}
    return _packet(candidate.get("objectId"), candidate)


def _packet_from_alerce(row: Mapping[str, Any]) -> dict[str, Any]:
    total, difference = row.get("magpsf_corr"), row["magpsf"]
    candidate = dict(row) | {"jd": row["mjd"] + MJD_ZERO, "magnr": None, "sigmagnr": 0.0, "distnr": FAR}
    if row.get("corrected") and total is not None:
        reference = 10 ** (-0.4 * total) - sign(row["isdiffpos"]) * 10 ** (-0.4 * difference)
        if reference > 0:
            candidate |= {"magnr": -2.5 * log10(reference), "distnr": 0.0}
    return _packet(row["oid"], candidate)
