"""TESS light curves of the MIT Quick-Look Pipeline (QLP), both generations of its format.

To sector 55 the detrended flux is KSPSAP_FLUX, from sector 56 DET_FLUX; SAP_FLUX is in both, and is what is read
unless another column is named: detrending for transits takes stellar variability away. All are relative to the median.
The uncertainty is the column of the flux if there is one, else that of the detrended flux.

QUALITY holds the flags of the spacecraft (`TESS_BITS` in `measurements`) and QLP's own flag of low precision: bit 13
(4096) to sector 55, bit 31 (2^30) from sector 56 on, where 4096 is the mission's flag of scattered light. These
cadences stay:

- ``"default"``: those whose value is exactly one of `KEEP`, the set used for ASTRAFier (its published reader): a lone
  cosmic ray, discontinuity, collateral cosmic ray, stray light or 8192. Two flags at once go.
- ``"bitmask"``: those without a severe flag of the spacecraft and without QLP's of low precision.
- ``"hard"``: those without any flag. ``"none"``: all.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import ZERO_POINTS
from goodricke.io import measurements
from goodricke.io.files import SourceFile
from goodricke.io.fits import FitsTable
from goodricke.io.observations import one_light_curve
from goodricke.io.options import ReadOptions, Unreadable

NAME = "qlp"
FLUX = "SAP_FLUX"
DETRENDED = ("KSPSAP_FLUX", "DET_FLUX")  # first and second generation
KEEP = (0, 64, 256, 1024, 2048, 8192)
LOW_PRECISION = 1 << 12, 1 << 30  # to sector 55, and from sector 56 on
SECOND_GENERATION = 56  # the first sector


def recognises(file: SourceFile) -> bool:
    """Tell whether the file is a QLP light curve, by its origin or by its columns."""
    if file.kind != "fits":
        return False
    named = file.fits.text("ORIGIN").upper().startswith("MIT/QLP")
    return named or any(name in table for table in file.fits.tables for name in DETRENDED)


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read one file as a batch of one; see the module for flux, uncertainty and quality.

    Raises
    ------
    Unreadable
        If the flux column or the TIC number is missing.
    """
    fits, table = file.fits, file.fits.table_with("SAP_FLUX", *DETRENDED)
    tic = fits.integer("TICID")
    if tic is None:
        raise Unreadable(file.path, "names no target (TICID)", "download the file again")
    flux = table.flux_column(options.flux or FLUX)
    scale, shift = fits.barycentric_scale(ZERO_POINTS["BTJD"])
    return one_light_curve(
        file,
        options,
        object_id=f"TIC {tic}",
        time=table["TIME"] + shift,
        value=table[flux],
        error=_error(table, flux),
        good=unflagged(table["QUALITY"], options.quality, low_precision(fits.integer("SECTOR"), table)),
        unit="relative",
        time_scale=scale,
        band="TESS",
        mission="TESS",
        product="QLP",
        **fits.observing_columns(),
    )


def low_precision(sector: int | None, table: FitsTable) -> int:
    """Return QLP's flag of low precision; where the sector is unknown, the detrended column tells the generation."""
    second = DETRENDED[1] in table if sector is None else sector >= SECOND_GENERATION
    return LOW_PRECISION[second]


def unflagged(flags: NDArray, quality: str, low_precision: int) -> NDArray[np.bool_]:
    """Return which cadences (n,) stay, by their QUALITY value; see the module."""
    if quality == "default":
        return np.isin(flags, KEEP)
    return measurements.unflagged(flags, measurements.TESS_BITS | low_precision, quality)


def _error(table: FitsTable, flux: str) -> NDArray | None:
    names = [f"{flux}_ERR", *(f"{name}_ERR" for name in DETRENDED)]
    return next((table[name] for name in names if name in table), None)
