"""Pan-STARRS1 DR2 detections: the Detection table, from MAST's API or CasJobs (Flewelling et al. 2020).

Flux is ``psfFlux`` [Jy] turned into AB magnitudes; ``apFlux`` and ``kronFlux`` are the other choices. With a unit given
(``unit="Jy"``) the numbers stay as they are. Times are MJD (TAI) at the middle of the exposure.

Quality: ``"default"`` is the cut of Becker et al. (2025, appendix A, after Magnier et al. 2013, table 2): psfQfPerfect
above 0.9, a flux above 0 and above its error, none of the bits `BITS` in infoFlag, infoFlag2, infoFlag3. ``"bitmask"``
judges by the flags alone, ``"hard"`` is the default and no flag whatever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.data import units
from goodricke.data.lightcurves import LightCurves
from goodricke.io import measurements, roles, table, table_files
from goodricke.io.files import SourceFile
from goodricke.io.observations import Observations, light_curves
from goodricke.io.options import ReadOptions, Unreadable

NAME = "panstarrs"
FLUX = "psfFlux"
FLUXES = ("psfFlux", "apFlux", "kronFlux")
BAND = ("filterID", "filterType", "filter", "band")
NANO = 1e9  # nJy in a Jy
PERFECT = 0.9  # least part of the PSF's weight on good pixels
# The excluded flags, each a single bit.
BITS = {
    "infoFlag": 8 | 16 | 32 | 128 | 256 | 1024 | 2048 | 4096 | 8192 | 32768 | 65536 | 131072 | 262144 | 4194304
    | 268435456 | 536870912 | 1073741824 | 2147483648,
    "infoFlag2": 8 | 16 | 32 | 64 | 4096 | 8192 | 16384 | 4194304,
    "infoFlag3": 8192 | 16384,
}  # fmt: skip


def recognises(file: SourceFile) -> bool:
    """Tell whether the file is a table of Pan-STARRS detections, by its columns."""
    names = table_files.column_names(file)
    needed = ("objID", "obsTime", FLUX, f"{FLUX}Err")
    return names.issuperset(roles.normal_name(n) for n in needed) and any(roles.normal_name(n) in names for n in BAND)


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read all light curves of the table; see the module for flux, unit and quality.

    Raises
    ------
    Unreadable
        If the flux column is missing, or a row has no object.
    """
    if options.columns:  # named by the user: any table
        return table.read(file, options)
    flux = next((name for name in FLUXES if name.lower() == (options.flux or FLUX).lower()), options.flux or FLUX)
    others = ("objID", "obsTime", "psfQfPerfect", "ra", "dec")
    data = table_files.load_columns(file, flux, f"{flux}Err", *others, *BITS, *BAND)
    value, error, time = (roles.column_numbers(data, name, file.path) for name in (flux, f"{flux}Err", "obsTime"))
    if "psfQfPerfect" not in data and options.quality in ("default", "hard"):
        fix = "ask MAST for the columns psfQfPerfect, infoFlag, infoFlag2, infoFlag3 too, or say --quality none"
        raise Unreadable(file.path, "has no psfQfPerfect to judge its detections by", fix)
    good = _good(data, value, error, options.quality, file.path)
    if not options.unit:
        value, error = units.ab_magnitudes(value * NANO, error * NANO)
    band = next(name for name in BAND if name in data)
    ra, dec = (roles.column_numbers(data, name, file.path) if name in data else None for name in ("ra", "dec"))
    time = np.where(time > 0, time, np.nan)  # -999 is unknown
    rows = Observations(data["objID"], time, value, error, data[band], band, good, ra, dec)
    return light_curves(
        file, options, rows, unit="mag", time_scale="MJD", mission="Pan-STARRS1", product="Pan-STARRS1 detections"
    )


def _good(
    data: Mapping[str, Any], flux: NDArray[np.float64], error: NDArray[np.float64], quality: str, path: str
) -> NDArray[np.bool_]:
    """Return which detections (N,) the quality cut keeps; a missing column of flags doesn't judge."""
    good = np.ones(len(flux), bool)
    for name, bits in BITS.items():
        if name in data:
            good &= measurements.unflagged(roles.column_numbers(data, name, path), bits, quality)
    if quality in ("default", "hard"):
        good &= (roles.column_numbers(data, "psfQfPerfect", path) > PERFECT) & (flux > 0) & (error > 0) & (flux > error)
    return good
