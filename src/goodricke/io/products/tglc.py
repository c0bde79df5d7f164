"""TESS-Gaia light curves (TGLC; Han & Brandt 2023), versions 1 (Gaia DR2, later DR3) and 2 (Gaia DR3).

Flux is ``aperture_flux`` in electrons per second unless another column is named: ``psf_flux``, or the calibrated
``cal_aper_flux`` and ``cal_psf_flux`` (relative to the median). The calibrated ones went through a biweight filter of
WOTAN_WL = 1 day, which takes away every variation slower than that: good for transits, not for stars. ``"psf"``,
``"aper"``, ``"cal_psf"`` and ``"cal_aper"`` name the four in short. The uncertainty is one number per file.

Quality: ``"default"`` and ``"hard"`` keep cadences whose TESS_flags and TGLC_flags are both 0, as TGLC's authors do;
``"bitmask"`` leaves out severe TESS flags alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import ZERO_POINTS
from goodricke.io import measurements
from goodricke.io.files import SourceFile
from goodricke.io.fits import FitsFile, FitsTable
from goodricke.io.observations import one_light_curve
from goodricke.io.options import ReadOptions, Unreadable

NAME = "tglc"
FLUX = "aperture_flux"
SHORT = {"psf": "psf_flux", "aper": "aperture_flux", "cal_psf": "cal_psf_flux", "cal_aper": "cal_aper_flux"}
ERRORS = {"psf_flux": "PSF_ERR", "aperture_flux": "APER_ERR", "cal_psf_flux": "CPSF_ERR", "cal_aper_flux": "CAPE_ERR"}


def recognises(file: SourceFile) -> bool:
    """Tell whether the file is a TGLC light curve, by its columns."""
    return file.kind == "fits" and any("TGLC_flags" in t and "cal_psf_flux" in t for t in file.fits.tables)


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read one file as a batch of one; see the module for flux, unit and quality.

    Raises
    ------
    Unreadable
        If the flux column or the target's name is missing.
    """
    fits, table = file.fits, file.fits.table_with("TGLC_flags")
    wanted = (options.flux or FLUX).lower()
    flux = table.flux_column(SHORT.get(wanted, wanted))
    scale, shift = fits.barycentric_scale(ZERO_POINTS["BTJD"])
    time, sigma = table["time"] + shift, fits.number(ERRORS.get(flux, ""))
    return one_light_curve(
        file,
        options,
        object_id=_object_id(fits),
        time=time,
        value=table[flux],
        error=None if sigma is None else np.full(len(time), sigma, np.float32),
        good=_unflagged(table, options.quality),
        unit="relative" if flux.startswith("cal_") else "electron / s",
        time_scale=scale,
        band="TESS",
        mission="TESS",
        product="TGLC v1" if fits.get("CONTAMRT") is None else "TGLC v2",  # the contamination ratio came with version 2
        **fits.observing_columns(),
    )


def _object_id(fits: FitsFile) -> str:
    """Return ``TIC <number>`` where the header tells it, else the Gaia name."""
    tic = fits.integer("TICID")
    gaia = fits.text("OBJECT") or (f"Gaia DR3 {fits.text('GAIADR3')}" if fits.get("GAIADR3") else "")
    if tic is None and not gaia:
        raise Unreadable(fits.path, "names no target (TICID, OBJECT)", "download the file again")
    return gaia if tic is None else f"TIC {tic}"


def _unflagged(table: FitsTable, quality: str) -> NDArray[np.bool_]:
    if quality in ("default", "hard"):
        return (table["TESS_flags"] == 0) & (table["TGLC_flags"] == 0)
    return measurements.unflagged(table["TESS_flags"], measurements.TESS_BITS, quality)
