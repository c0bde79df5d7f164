"""SuperWASP light curves as its archive gives them: FITS with TMID, FLUX2 and TAMFLUX2 (Butters et al. 2010).

TMID is the middle of an exposure in seconds since JD_REF, 2004-01-01 00:00 (JD 2453005.5) if the header doesn't say
otherwise; the times are heliocentric. Flux is TAMFLUX2, corrected by SysRem, in micro-Vega (1 is magnitude 15), unless
another column is named; its uncertainty is ``<flux>_ERR``. A point without an uncertainty above 0 was not corrected:
its corrected flux is missing. Quality: ``"hard"`` leaves out rows with any FLAG; the flags have no known severity.
"""

from __future__ import annotations

import logging

import numpy as np

from goodricke.data.lightcurves import LightCurves
from goodricke.io import measurements
from goodricke.io.files import SourceFile
from goodricke.io.observations import one_light_curve
from goodricke.io.options import ReadOptions

logger = logging.getLogger("goodricke")

NAME = "superwasp"
FLUX = "TAMFLUX2"
EPOCH = 2453005.5  # JD of 2004-01-01 00:00
DAY = 86400.0  # seconds


def recognises(file: SourceFile) -> bool:
    """Tell whether the file is a light curve of SuperWASP, by its columns."""
    return file.kind == "fits" and any("TMID" in t and "TAMFLUX2" in t for t in file.fits.tables)


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read one file as a batch of one; see the module for time, flux and quality.

    Raises
    ------
    Unreadable
        If the flux column is missing.
    """
    fits, table = file.fits, file.fits.table_with(FLUX)
    flux = table.flux_column((options.flux or FLUX).upper())
    reference = fits.number("JD_REF")
    value, error = table[flux], table.get(f"{flux}_ERR")
    if error is not None and (unmeasured := ~(error > 0)).any():
        logger.info("%s: %d rows of %s without an uncertainty made NaN", file.path, unmeasured.sum(), flux)
        value = np.where(unmeasured, np.nan, value)
    flags = table.get("FLAG")
    bits = 0  # none is known to be severe
    return one_light_curve(
        file,
        options,
        object_id=fits.text("OBJNAME", "OBJECT") or file.stem,
        time=table["TMID"].astype(np.float64) / DAY + (EPOCH if reference is None else reference),
        value=value,
        error=error,
        good=np.ones(len(value), bool) if flags is None else measurements.unflagged(flags, bits, options.quality),
        unit="flux",
        time_scale="HJD",
        band="WASP",
        mission="SuperWASP",
        product="SuperWASP",
        ra=fits.number("RA_OBJ", "RA"),
        dec=fits.number("DEC_OBJ", "DEC"),
    )
