"""Kepler, K2 and TESS light curves from the missions' own pipelines, which share one format.

Files ``kplr*_llc.fits``, ``ktwo*_llc.fits``, ``tess*_lc.fits`` and the TESS-SPOC products made from full-frame images.
Flux is PDCSAP_FLUX (systematics removed) unless another column is named, e.g. SAP_FLUX, in electrons per second.
Quality: ``"default"`` and ``"bitmask"`` leave out cadences with a severe flag (`KEPLER_BITS`, `TESS_BITS`).
"""

from __future__ import annotations

from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import UNIT_NAMES, ZERO_POINTS
from goodricke.io import measurements
from goodricke.io.files import SourceFile
from goodricke.io.fits import FitsFile, FitsTable
from goodricke.io.observations import one_light_curve
from goodricke.io.options import ReadOptions, Unreadable

NAME = "spoc"
FLUX = "PDCSAP_FLUX"
PREFIXES = {"Kepler": "KIC", "K2": "EPIC", "TESS": "TIC"}


def recognises(file: SourceFile) -> bool:
    """Tell whether the file is one of the missions' own light curves."""
    if file.kind != "fits" or file.fits.text("TELESCOP").lower() not in ("kepler", "tess"):
        return False
    return any("TIME" in t and ("SAP_FLUX" in t or "PDCSAP_FLUX" in t) for t in file.fits.tables)


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read one file as a batch of one; see the module for flux, unit and quality.

    Raises
    ------
    Unreadable
        If the flux column or the target's number is missing.
    """
    fits, table = file.fits, file.fits.table_with("SAP_FLUX", "PDCSAP_FLUX")
    mission = _mission(fits)
    flux = table.flux_column(options.flux or FLUX)
    scale, shift = fits.barycentric_scale(ZERO_POINTS["BTJD" if mission == "TESS" else "BKJD"])
    quality = table["QUALITY" if "QUALITY" in table else "SAP_QUALITY"]
    bits = measurements.TESS_BITS if mission == "TESS" else measurements.KEPLER_BITS
    unit = table.unit(flux) or "e-/s"
    return one_light_curve(
        file,
        options,
        object_id=_object_id(fits, mission),
        time=table["TIME"] + shift,
        value=table[flux],
        error=table.get(f"{flux}_ERR"),
        good=measurements.unflagged(quality, bits, options.quality),
        unit=UNIT_NAMES.get(unit, unit),
        time_scale=scale,
        band="TESS" if mission == "TESS" else "Kepler",
        mission=mission,
        product=_product(fits, table, mission),
        quarter=fits.integer("QUARTER"),
        campaign=fits.integer("CAMPAIGN"),
        **fits.observing_columns(),
    )


def _mission(fits: FitsFile) -> str:
    return "TESS" if fits.text("TELESCOP").upper() == "TESS" else ("K2" if fits.text("MISSION") == "K2" else "Kepler")


def _object_id(fits: FitsFile, mission: str) -> str:
    number = fits.integer("TICID" if mission == "TESS" else "KEPLERID")
    if number is not None:
        return f"{PREFIXES[mission]} {number}"
    name = fits.text("OBJECT")
    if not name:
        raise Unreadable(fits.path, "names no target (TICID, KEPLERID, OBJECT)", "download the file again")
    return name


def _product(fits: FitsFile, table: FitsTable, mission: str) -> str:
    """Name the product with its cadence, e.g. ``SPOC 120 s``, ``Kepler long cadence``."""
    if mission != "TESS":
        return f"{mission} {fits.text('OBSMODE') or 'light curve'}"
    frames, seconds = fits.number("NUM_FRM"), fits.number("FRAMETIM")
    return f"SPOC {frames * seconds:.0f} s" if frames and seconds else "SPOC"
