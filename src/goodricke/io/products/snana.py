"""SNANA photometry in FITS: a HEAD file with one row per object, and beside it a PHOT file with the observations.

Flux is FLUXCAL (zero point 27.5 mag); the HEAD file is the one to give, the PHOT file is found by the name in it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.io import measurements, roles
from goodricke.io.files import SourceFile
from goodricke.io.fits import FitsTable
from goodricke.io.observations import object_columns
from goodricke.io.options import ReadOptions, Unreadable

NAME = "snana"
FLUXCAL = "36.3078 nJy"  # SNANA's calibrated fluxes have a zero point of 27.5 mag (AB)
POINTERS = ("PTROBS_MIN", "PTROBS_MAX")  # first and last row of an object in the PHOT file, counted from 1


def recognises(file: SourceFile) -> bool:
    """Tell whether the file is the HEAD of an SNANA pair."""
    if file.kind != "fits" or not file.fits.tables:
        return False
    return all(name in file.fits.tables[0] for name in ("SNID", *POINTERS))


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read all objects of a HEAD file and the PHOT file beside it.

    Raises
    ------
    Unreadable
        If the PHOT file is missing or shorter than the HEAD file says.
    """
    head, phot = file.fits.tables[0], _photometry(file)
    begin, end = (head[name].astype(np.int64) for name in POINTERS)
    counts = end - begin + 1
    if (counts < 0).any() or (begin < 1).any() or end.max(initial=0) > phot.length:
        raise Unreadable(phot.path, "is shorter than its HEAD file says", "download the pair again")
    offsets = ragged.offsets_from_counts(counts)
    rows = np.arange(offsets[-1]) + ragged.spread(begin - 1 - offsets[:-1], offsets)
    flux = (options.flux or "FLUXCAL").upper()
    bands, band = roles.bands(phot["FLT" if "FLT" in phot else "BAND"][rows], "FLT", options, phot.path)
    good = measurements.unflagged(phot["PHOTFLAG"][rows], 0, options.quality if "PHOTFLAG" in phot else "none")
    curves = LightCurves.from_arrays(
        pa.array([str(i) for i in head["SNID"].tolist()], pa.string()),
        offsets,
        phot["MJD"][rows],
        phot[flux][rows],
        phot[f"{flux}ERR"][rows],
        band,
        bands=bands,
        unit=options.unit or FLUXCAL,
        time_scale=options.time_scale or "MJD",
        objects=object_columns(
            head.length,
            source=file.path,
            mission=file.fits.text("SURVEY") or None,
            product="SNANA",
            ra=head["RA"],
            dec=head["DECL" if "DECL" in head else "DEC"],
            n_read=counts,
            n_flagged=ragged.total(~good, offsets).astype(np.int64),
        ),
    )
    return curves if good.all() else curves.where(good)


def _photometry(file: SourceFile) -> FitsTable:
    """Return the table of the PHOT file that the HEAD file names."""
    named = file.fits.text("PHOTFILE")
    path = Path(file.path)
    for name in (named, path.name.replace("HEAD", "PHOT")):
        other = path.with_name(name) if name else path
        if other != path and other.exists():
            return SourceFile(other).fits.table_with("FLUXCAL")
    fix = "put it beside the HEAD file"
    raise Unreadable(file.path, f"needs its PHOT file {named or 'of the same name'}, which is missing", fix)
