"""Forced photometry of ATLAS, as its server writes it (Tonry et al. 2018; Smith et al. 2020; fallingstar-data.com).

Flux is ``uJy`` with ``duJy`` [uJy, AB]: of the difference image, or of the target image if that was asked for. It is
negative where the source is fainter than in the reference image. The column ``m`` is the same in magnitudes, with the
sign of the flux, and is never read. Bands are ``c`` (cyan), ``o`` (orange) and ``H`` in column ``F``.

Quality: ``"default"`` leaves out rows with an error flag (``err`` other than 0) and such as ATLAS itself calls
unreliable: an uncertainty above 4,000 uJy, or a sky fainter than 24.5 or brighter than 14 mag per square arcsecond
(``Sky``). Only ``"hard"`` also cuts at a chi/N above 100, which bright stars have too. ``"bitmask"`` judges by ``err``
alone.
"""

from __future__ import annotations

import logging

import numpy as np

from goodricke.data.lightcurves import LightCurves
from goodricke.io import roles, table, table_files
from goodricke.io.files import SourceFile
from goodricke.io.observations import Observations, light_curves
from goodricke.io.options import ReadOptions, Unreadable

logger = logging.getLogger("goodricke")

NAME = "atlas"
NEEDED = ("MJD", "uJy", "duJy", "F")
MAX_ERROR = 4000.0  # uJy
SKY = (14.0, 24.5)  # mag per square arcsecond
MAX_CHI = 100.0


def recognises(file: SourceFile) -> bool:
    """Tell whether the file is a table of ATLAS's forced photometry, by its columns."""
    return table_files.column_names(file).issuperset(name.lower() for name in NEEDED)


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read the one light curve of the file; see the module for fluxes and quality.

    Raises
    ------
    Unreadable
        If the options name another flux.
    """
    if options.columns:  # named by the user: any table
        return table.read(file, options)
    if (options.flux or "uJy").lower() != "ujy":
        raise Unreadable(file.path, f"has no flux {options.flux}", "leave --flux out: uJy is read, and m is the same")
    data = table_files.load_columns(file, *NEEDED, "err", "chi/N", "Sky", "RA", "Dec")
    number = {name: roles.column_numbers(data, name, file.path) for name in data if name != "F"}
    good = np.ones(len(number["MJD"]), bool)
    if options.quality != "none":
        good &= ~(number["err"] != 0) if "err" in number else True
    if options.quality in ("default", "hard"):
        good &= number["duJy"] < MAX_ERROR
        good &= ~((number["Sky"] < SKY[0]) | (number["Sky"] > SKY[1])) if "Sky" in number else True
    if options.quality == "hard" and "chi/N" in number:
        good &= number["chi/N"] < MAX_CHI
    value, error = number["uJy"], number["duJy"]
    rows = Observations(None, number["MJD"], value, error, data["F"], "F", good, number.get("RA"), number.get("Dec"))
    if n := int((~good).sum()):
        logger.info("%s: %d rows left out by ATLAS's cuts on err, duJy and Sky. All: --quality none", file.path, n)
        file.left_out["flags"] += n
    return light_curves(
        file,
        options,
        rows,
        unit="uJy",
        time_scale="MJD",
        keep_order=True,
        mission="ATLAS",
        product="ATLAS forced photometry",
    )
