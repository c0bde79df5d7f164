"""High-level science products (MAST's HLSP) made of Kepler, K2 and TESS images: one row of `PRODUCTS` each.

==========  ==================  ===============  ==================================================================
product     default flux        uncertainty      cadences left out (``"default"`` and ``"bitmask"``)
==========  ==================  ===============  ==================================================================
TASOC       FLUX_CORR           FLUX_CORR_ERR    severe TESS flags in QUALITY or PIXEL_QUALITY
eleanor     CORR_FLUX           FLUX_ERR         severe TESS flags; eleanor's own bits 17 and 18 are kept
PATHOS      PSF_FLUX_COR        none             severe TESS flags in DQUALITY
CDIPS       TFA1 (magnitudes)   IRE1             quality of the aperture (IRQ1) other than G, good
K2SFF       FCOR of BESTAPER    none             MOVING: the thrusters fired
K2VARCAT    DETFLUX             DETFLUX_ERR      none: the file has no flags
EVEREST     FLUX                FRAW_ERR         severe K2 flags, no fine point, and what EVEREST masks (bits 23, 24)
==========  ==================  ===============  ==================================================================

``--flux NAME`` names another column, read with its own uncertainty; for K2SFF also an extension (``CIRC_APER3``) or one
of its columns (``CIRC_APER3.FRAW``). Where the default holds no number the next candidate of its row is read, with a
warning. Parts per million become relative flux, 1 + x * 1e-6. ``"hard"`` leaves out every flagged cadence, ``"none"``
keeps all. A reader of another product of this kind is a row more.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import UNIT_NAMES, ZERO_POINTS
from goodricke.io import measurements
from goodricke.io.files import SourceFile
from goodricke.io.fits import FitsFile, FitsTable
from goodricke.io.observations import one_light_curve
from goodricke.io.options import ReadOptions
from goodricke.io.roles import Mask

logger = logging.getLogger("goodricke")

NAME = "hlsp"
GOOD = ("G", "0")  # how CDIPS marks a good measurement
PER_MILLION = 1e-6

# EVEREST keeps K2's flags and adds its own, counted from 1 (its documentation, "FITS files"): 23 flagged in the target
# pixel file, 24 not a number, 25 outlier, 27 in a transit. An outlier to its model may be a flare or an eclipse,
# so 25 and 27 are kept. No fine point (bit 16 of K2) is among the flags that EVEREST masks.
EVEREST_BITS = measurements.KEPLER_BITS | 1 << 15 | 1 << 22 | 1 << 23
# TASOC's PIXEL_QUALITY has the flags of the pixels. QUALITY has those of the corrected light curve: 1 bad pixels, 2
# manual exclude, 4 sigma clip, 8 to 64 a jump that was corrected, 128 interpolated (early releases: those of TESS).
# The mask of TESS leaves out the bad, excluded and interpolated of both.


@dataclass(frozen=True)
class Product:
    """One product: how its files are told from others, and what in them is a light curve.

    Parameters
    ----------
    columns : tuple of str
        Columns that only files of this product have together.
    fluxes : tuple of str
        The default flux, and what is read instead if it holds no number.
    errors : mapping of str
        The column of the uncertainty by a pattern of the flux's name, which `re.Match.expand` completes.
    bits : mapping of str to int
        Severe flags by the column that holds them.
    letters : str, optional
        Pattern for the column of quality letters of a flux.
    unit : str
        Of fluxes whose column states none.
    """

    name: str
    mission: str
    columns: tuple[str, ...]
    fluxes: tuple[str, ...]
    errors: Mapping[str, str] = field(default_factory=dict)
    bits: Mapping[str, int] = field(default_factory=dict)
    time: str = "TIME"
    scale: str = "BTJD"
    unit: str = "electron / s"
    letters: str | None = None


OWN_ERROR = {r"(.+)": r"\g<1>_ERR"}
APERTURES = tuple(f"AP{i}_FLUX_COR" for i in (4, 3, 2, 1))
PRODUCTS = (
    Product(
        "TASOC", "TESS", ("FLUX_RAW", "FLUX_CORR", "PIXEL_QUALITY"), ("FLUX_CORR", "FLUX_RAW"), OWN_ERROR,
        {"QUALITY": measurements.TESS_BITS, "PIXEL_QUALITY": measurements.TESS_BITS},
    ),
    Product(
        "eleanor", "TESS", ("RAW_FLUX", "CORR_FLUX"), ("CORR_FLUX", "RAW_FLUX"), {"(RAW|CORR|PCA)_FLUX": "FLUX_ERR"},
        {"QUALITY": measurements.TESS_BITS},
    ),
    Product(
        "PATHOS", "TESS", ("PSF_FLUX_RAW", "PSF_FLUX_COR"), ("PSF_FLUX_COR", *APERTURES), OWN_ERROR,
        {"DQUALITY": measurements.TESS_BITS},
    ),
    Product(
        "CDIPS", "TESS", ("TMID_BJD", "IRM1", "TFA1"), ("TFA1", "TFA2", "TFA3", "IRM1"),
        {r"IFL(\d)": r"IFE\g<1>", r"(?:IRM|TFA|PCA)(\d)": r"IRE\g<1>"},
        time="TMID_BJD", scale="BJD", unit="mag", letters=r"IRQ\g<1>",
    ),
    Product(
        "K2SFF", "K2", ("FCOR", "FRAW", "MOVING"), ("FCOR", "FRAW"), OWN_ERROR, {"MOVING": -1},
        time="T", scale="BKJD", unit="relative",
    ),
    Product(
        *("K2VARCAT", "K2", ("APTFLUX", "DETFLUX"), ("DETFLUX", "APTFLUX"), OWN_ERROR),
        {"QUALITY": measurements.KEPLER_BITS},
        scale="BKJD", unit="relative",
    ),
    Product(
        "EVEREST", "K2", ("FLUX", "FRAW", "FRAW_ERR", "CADN"), ("FLUX", "FRAW"), {"(FLUX|FCOR|FRAW)": "FRAW_ERR"},
        {"QUALITY": EVEREST_BITS}, scale="BKJD",
    ),
)  # fmt: skip


def recognises(file: SourceFile) -> bool:
    """Tell whether the file is a light curve of one of the `PRODUCTS`, by its columns."""
    return file.kind == "fits" and _find(file.fits) is not None


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read one file as a batch of one; see the module for flux, uncertainty and quality.

    Raises
    ------
    Unreadable
        If the flux column or the time is missing.
    """
    found = _find(file.fits)
    assert found is not None, "read follows recognises"
    product, table = found
    table, flux = _table_and_flux(file.fits, product, table, options)
    scale, shift = _time_scale(file.fits, product)
    time = table[product.time] + shift
    value, error = table[flux], _error(product, table, flux)
    stated = (table.unit(flux) or "").strip()
    unit = UNIT_NAMES.get(stated, stated) if stated else product.unit
    if product.name == "CDIPS" and flux.upper().startswith("IFL"):
        unit = "flux"  # counts of the detector
    if stated == "ppm" and options.unit is None:
        value, unit = 1 + value.astype(np.float64) * PER_MILLION, "relative"
        error = None if error is None else error * PER_MILLION
    fits = file.fits
    return one_light_curve(
        file,
        options,
        object_id=_object_id(file, product),
        time=time,
        value=value,
        error=error,
        good=_unflagged(product, table, flux, options.quality, len(time)),
        unit=unit,
        time_scale=scale,
        band="TESS" if product.mission == "TESS" else "Kepler",
        mission=product.mission,
        product=product.name,
        campaign=fits.integer("CAMPAIGN"),
        **fits.observing_columns(),
    )


def _find(fits: FitsFile) -> tuple[Product, FitsTable] | None:
    """Return the product and its first table, None if it is none of `PRODUCTS`."""
    for table in fits.tables:
        for product in PRODUCTS:
            if product.time in table and all(name in table for name in product.columns):
                return product, table
    return None


def _table_and_flux(fits: FitsFile, product: Product, table: FitsTable, options: ReadOptions) -> tuple[FitsTable, str]:
    """Return the table that is read and the name of the flux in it: as the options say, or the default."""
    wanted = (options.flux or "").upper()
    extension, _, column = wanted.partition(".")
    named = next((t for t in fits.tables if wanted and str(t.value("EXTNAME")).upper() == extension), None)
    if named is not None and product.time in named:
        table, wanted = named, column
    if wanted:
        return table, table.flux_column(wanted)
    present = [name for name in product.fluxes if name in table]
    filled = [name for name in present if np.isfinite(table[name].astype(np.float64)).any()]
    flux = (filled or present)[0]
    if flux != product.fluxes[0]:
        logger.warning(
            "%s: %s holds no number, %s is read instead. Another: --flux NAME", fits.path, product.fluxes[0], flux
        )
    return table, flux


def _time_scale(fits: FitsFile, product: Product) -> tuple[str, float]:
    """Return the scale of the times, and what must be added to them."""
    if product.scale == "BJD":
        return "BJD", 0.0
    return fits.barycentric_scale(ZERO_POINTS[product.scale])


def _object_id(file: SourceFile, product: Product) -> str:
    """Return ``TIC n`` or ``EPIC n``, else the name of the target, else of the file."""
    fits = file.fits
    number = fits.integer(*(("TICID", "TIC_ID", "TIC") if product.mission == "TESS" else ("KEPLERID", "EPIC")))
    if number is not None:
        return f"{'TIC' if product.mission == 'TESS' else 'EPIC'} {number}"
    name = fits.text("OBJECT", "GAIA-ID", "GAIAID")
    if not name:
        logger.warning("%s names no target; it is called %s after the file", file.path, file.stem)
    return name or file.stem


def _error(product: Product, table: FitsTable, flux: str) -> NDArray | None:
    for pattern, name in product.errors.items():
        if matched := re.fullmatch(pattern, flux.upper()):
            return table.get(matched.expand(name))
    return None


def _unflagged(product: Product, table: FitsTable, flux: str, quality: str, n: int) -> Mask:
    """Return which cadences (n,) stay."""
    good = np.ones(n, bool)
    if product.letters and quality != "none":
        digit = re.search(r"(\d)$", flux)
        letters = table.get(digit.expand(product.letters)) if digit else None
        return good if letters is None else np.isin(letters, GOOD)
    for column, bits in product.bits.items():
        flags = table.get(column)
        if flags is not None:
            good &= measurements.unflagged(flags, bits, quality)
    return good
