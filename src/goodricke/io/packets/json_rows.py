"""Alerts of ZTF in JSON, as brokers give them: whole packets, rows of Fink's API, detections of ALeRCE's.

Fink's rows are a packet's ``candidate`` with ``i:`` before each name. ALeRCE gives the total magnitude itself
(``magpsf_corr``, with ``sigmapsf_corr_ext``) of detections that it could correct; from it and the difference follows
the magnitude in the reference image that it took, so that total and difference photometry both give ALeRCE's numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import log10
from typing import Any

from goodricke.io.packets.ztf import MJD

FINK = "i:"
FAR = 1e9  # arcsec: no source in the reference image


def record(message: bytes) -> dict[str, Any]:
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
    """Return an alert of ZTF as the packet that it came in, as far as it is told.

    Raises
    ------
    ValueError
        If it is none of the kinds above.
    """
    given = record(message)
    if "candidate" in given:
        previous = [_told(source) for source in given.get("prv_candidates") or ()]
        return given | {"candidate": _told(given["candidate"]), "prv_candidates": previous}
    if f"{FINK}candid" in given:
        return _of_fink(given)
    if "oid" in given and "magpsf" in given:
        return _of_alerce(given)
    raise ValueError("is neither a packet of ZTF nor a row of Fink or ALeRCE")


def fink_row(message: bytes) -> dict[str, Any]:
    """Return a row of Fink's as a packet of ZTF.

    Raises
    ------
    ValueError
        If it is none.
    """
    given = record(message)
    if f"{FINK}candid" not in given:
        raise ValueError(f"is no row of Fink: it has no {FINK}candid")
    return _of_fink(given)


def alerce_row(message: bytes) -> dict[str, Any]:
    """Return a detection of ALeRCE's as a packet of ZTF.

    Raises
    ------
    ValueError
        If it is none.
    """
    given = record(message)
    if not {"oid", "mjd", "magpsf"} <= given.keys():
        raise ValueError("is no detection of ALeRCE: it lacks oid, mjd or magpsf")
    return _of_alerce(given)


def _told(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return a source with identifiers as numbers and signs as text, whichever way they are written."""
    candid, positive = source.get("candid"), source.get("isdiffpos")
    result = dict(source) | {"candid": None if candid is None else int(candid)}
    if positive is not None and not isinstance(positive, str):
        result["isdiffpos"] = "t" if positive > 0 else "f"
    return result


def _packet(object_id: Any, candidate: Mapping[str, Any]) -> dict[str, Any]:
    return {"objectId": object_id, "candidate": _told(candidate), "prv_candidates": []}


def _of_fink(row: Mapping[str, Any]) -> dict[str, Any]:
    candidate = {name.removeprefix(FINK): value for name, value in row.items() if name.startswith(FINK)}
    return _packet(candidate.get("objectId"), candidate)


def _of_alerce(row: Mapping[str, Any]) -> dict[str, Any]:
    return _packet(row["oid"], _with_names_of_ztf(row))


def _with_names_of_ztf(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a detection as ALeRCE lists it with ZTF's names."""
    total, difference = row.get("magpsf_corr"), row["magpsf"]
    result = dict(row) | {"jd": row["mjd"] + MJD, "magnr": None, "sigmagnr": 0.0, "distnr": FAR}
    if not row.get("corrected") or total is None:
        return result
    sign = 1 if row["isdiffpos"] in (1, "1", "t", True) else -1
    reference = 10 ** (-0.4 * total) - sign * 10 ** (-0.4 * difference)
    if reference > 0:
        result |= {"magnr": -2.5 * log10(reference), "distnr": 0.0}
    return result
