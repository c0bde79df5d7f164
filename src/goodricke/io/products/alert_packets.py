"""Alert packets of ZTF and Rubin in files (``.avro``): a light curve per packet, its history included.

Decoded by `goodricke.io.packets` (``pip install 'goodricke[alerts]'``). ZTF's brightness is the total magnitude, of
variable stars; with ``flux="difference"`` the flux of the difference [nJy], of transients, which may be negative and
has no magnitude then. Rubin's is ``scienceFlux`` [nJy], with
``"difference"`` ``psfFlux``. A folder of packets of one object gives a light curve for each packet, the last the
longest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.data.photometry import with_photometry
from goodricke.io.files import SourceFile
from goodricke.io.observations import object_columns
from goodricke.io.options import ReadOptions, Unreadable

NAME = "alert"
CHOICES = "--flux total or --flux difference"


def recognises(file: SourceFile) -> bool:
    """Tell whether the file is an Avro file."""
    return file.kind == "avro"


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read all packets of the file.

    Raises
    ------
    Unreadable
        If none can be used, or the extra is missing.
    """
    survey = "ztf" if b"ztf" in file.head.lower() else "rubin"
    photometry: Any = (options.flux or options.photometry or "total").lower()
    if photometry not in ("total", "difference"):
        raise Unreadable(file.path, f"is an alert packet, which has no flux {options.flux}", CHOICES)
    unit = "nJy" if photometry == "difference" else None
    try:
        from goodricke.io.packets import PacketOptions, decode

        alerts = decode([file.raw], survey, PacketOptions(photometry=photometry, unit=unit))
        if not len(alerts) and options.photometry == "total" and not options.flux:  # the row will say so
            difference = decode([file.raw], survey, PacketOptions(photometry="difference", unit="nJy"))
            photometry, alerts = ("difference", difference) if len(difference) else (photometry, alerts)
    except ImportError as error:
        raise Unreadable(file.path, "is an alert packet", f"{error}") from error
    if not len(alerts):
        why = alerts.failures[0].error if alerts.failures else "holds no alert"
        other = "--flux difference takes the difference photometry" if photometry == "total" else "leave the file out"
        raise Unreadable(file.path, why, other)
    both = LightCurves.concat([alerts.history, alerts.new])
    owner = ragged.owner(both.offsets) % len(alerts)  # the history of each alert first, then the new ones
    order = np.lexsort((both.time, owner))
    counts = np.bincount(owner, minlength=len(alerts))
    place = {axis: alerts.new.column(axis) for axis in ("ra", "dec")}
    used = np.isfinite(both.value[order])
    about: dict[str, Any] = {
        "mission": "ZTF" if survey == "ztf" else "Rubin",
        "product": "alert packet",
        "n_read": counts,
    }
    about |= {"n_flagged": 0, "n_used": np.bincount(owner[order][used], minlength=len(alerts))}
    curves = LightCurves.from_arrays(
        alerts.object_id,
        ragged.offsets_from_counts(counts),
        both.time[order],
        both.value[order],
        both.error[order],
        both.band[order],
        bands=both.bands,
        unit=options.unit or both.unit,
        time_scale=options.time_scale or both.time_scale,
        objects=object_columns(len(alerts), source=file.path, **place, **about),
    )
    return with_photometry(curves, photometry)
