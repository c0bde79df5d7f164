"""Light curves of Kepler, K2 and TESS that lightkurve saved: ``to_fits`` or ``write``, as FITS or ECSV.

They stay what they were: ``TIC n``, ``KIC n`` or ``EPIC n``, days of the mission's scale (BTJD, BKJD), and cadences
with a severe flag left out as `spoc` does, if the file has a column of flags. Flux is FLUX unless another column is
named; its uncertainty is ``<flux>_ERR``. A flux without a unit is relative if it is about 1, as lightkurve
normalises; per cent, parts per thousand and parts per million become relative. A folded light curve is refused: its
times are phases.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from goodricke.data.lightcurves import LightCurves
from goodricke.data.units import UNIT_NAMES, ZERO_POINTS
from goodricke.io import measurements, roles, table_files
from goodricke.io.files import SourceFile
from goodricke.io.fits import FitsTable
from goodricke.io.observations import one_light_curve
from goodricke.io.options import ReadOptions, Unreadable
from goodricke.io.products.spoc import PREFIXES

logger = logging.getLogger("goodricke")

NAME = "lightkurve"
FLUX, QUALITY = "FLUX", ("QUALITY", "SAP_QUALITY")
FOLDED = ("PERIOD", "NORMALIZE_PHASE", "EPOCH_PHASE", "PHNORM", "PHEPOCH")
KEYWORDS = (
    *("CREATOR", "MISSION", "TELESCOP", "TARGETID", "TICID", "KEPLERID", "OBJECT", "LABEL", "AUTHOR", "SECTOR"),
    *("QUARTER", "CAMPAIGN", "CAMERA", "CCD", "RA_OBJ", "DEC_OBJ", *FOLDED),
)
SCALES = {"TESS": "BTJD", "K2": "BKJD", "Kepler": "BKJD"}
FRACTIONS = {"%": 1e-2, "percent": 1e-2, "pct": 1e-2, "ppt": 1e-3, "ppm": 1e-6}


def recognises(file: SourceFile) -> bool:
    """Tell whether lightkurve saved the file: its header says so, or names mission and target as lightkurve does."""
    if file.kind == "fits":
        fits = file.fits
        table = fits.tables[0] if fits.tables else None
        if table is None or "TIME" not in table:
            return False
        saved_by_lightkurve = fits.text("CREATOR").startswith("lightkurve")
        saved_by_astropy = fits.get("TARGETID") is not None and bool(table.time_names)
        columns = (saved_by_lightkurve or saved_by_astropy) and (FLUX in table or _is_folded(_header(file)))
    else:
        columns = file.kind == "text" and file.head.startswith(b"# %ECSV") and "TARGETID" in _header(file)
    return columns and (_mission(_header(file)) is not None or _is_folded(_header(file)))


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read one file as a batch of one; see the module for flux, unit and quality.

    Raises
    ------
    Unreadable
        If it is folded, or the flux or time is missing.
    """
    header = _header(file)
    if _is_folded(header):
        period = header.get("PERIOD")
        reason = (
            f"is a folded light curve of lightkurve{f' (period {period} d)' if period else ''}: its times are phases"
        )
        raise Unreadable(file.path, reason, "save the light curve as it is before fold()")
    mission = _mission(header)
    assert mission is not None, "read follows recognises"
    flux = (options.flux or FLUX).upper()
    wanted = ("TIME", flux, f"{flux}_ERR", *QUALITY)
    data, units, scale = _columns_of_fits(file, wanted, mission) if file.kind == "fits" else _columns(file, wanted)
    missing = [name for name in ("TIME", flux) if name not in data]
    if missing:
        raise Unreadable(file.path, f"has no column {missing[0]}", "name its flux column with --flux")
    value, error = data[flux], data.get(f"{flux}_ERR")
    unit = units.get(flux) or _unit_of(value, file.path)
    if options.unit is None and (factor := FRACTIONS.get(unit)):
        unit, value, error = "relative", _relative(value, factor), None if error is None else error * factor
    quality = next((data[name] for name in QUALITY if name in data), None)
    bits = measurements.TESS_BITS if mission == "TESS" else measurements.KEPLER_BITS
    return one_light_curve(
        file,
        options,
        object_id=_object_id(file, header, mission),
        time=data["TIME"],
        value=value,
        error=error,
        good=np.ones(len(value), bool) if quality is None else measurements.unflagged(quality, bits, options.quality),
        unit=UNIT_NAMES.get(unit, unit),
        time_scale=scale or SCALES[mission],
        band="TESS" if mission == "TESS" else "Kepler",
        mission=mission,
        product=str(header.get("AUTHOR") or "lightkurve"),
        **{name: _integer(header.get(name.upper())) for name in ("sector", "quarter", "campaign", "camera", "ccd")},
        **{name: _float(header.get(f"{name.upper()}_OBJ", header.get(name.upper()))) for name in ("ra", "dec")},
    )


def _header(file: SourceFile) -> Mapping[str, Any]:
    """Return what the file states about itself, by keyword."""
    if "lightkurve" not in file.cache:
        if file.kind == "fits":
            values = {name: file.fits.get(name) for name in KEYWORDS}
            file.cache["lightkurve"] = {name: value for name, value in values.items() if value is not None}
        else:
            file.cache["lightkurve"] = table_files.ecsv_header(file.raw)
    return file.cache["lightkurve"]


def _mission(header: Mapping[str, Any]) -> str | None:
    stated = {str(header.get(name, "")).lower() for name in ("MISSION", "TELESCOP")}
    return next((mission for mission in ("K2", "TESS", "Kepler") if mission.lower() in stated), None)


def _is_folded(header: Mapping[str, Any]) -> bool:
    """Tell whether the times are phases: lightkurve's class says so, or a phase beside a period does."""
    return "Folded" in str(header.get("CREATOR", "")) or ("PERIOD" in header and any(n in header for n in FOLDED[1:]))


def _columns_of_fits(
    file: SourceFile, wanted: tuple[str, ...], mission: str
) -> tuple[dict[str, NDArray], dict[str, str | None], str | None]:
    """Return the columns by name, their units, and the scale of the times."""
    table = file.fits.tables[0]
    data = {name: table[name] for name in wanted[1:] if name in table}
    units = {name: table.unit(name) for name in data}
    data["TIME"], scale = _time_of_fits(file, table, mission)
    return data, units, scale


def _time_of_fits(file: SourceFile, table: FitsTable, mission: str) -> tuple[NDArray, str]:
    """Return the times and their scale; a pair of Julian dates comes back to the mission's scale."""
    if table.time_names:
        scale = SCALES[mission]
        return table.mjd(table.time_names[0]) + (ZERO_POINTS["MJD"] - ZERO_POINTS[scale]), scale
    stated = (table.unit("TIME") or "").strip().upper()
    if stated in (*ZERO_POINTS, "JD", "BJD", "HJD"):
        return table["TIME"], stated
    scale, shift = file.fits.barycentric_scale(ZERO_POINTS[SCALES[mission]])
    return table["TIME"] + shift, scale


def _columns(file: SourceFile, wanted: tuple[str, ...]) -> tuple[dict[str, NDArray], dict[str, str | None], str | None]:
    """Return the columns of an ECSV file by name, their units, and the scale of the times."""
    source = table_files.open_table(file)
    data = {
        name: roles.numbers(values, name, file.path) for name, values in table_files.load_columns(file, *wanted).items()
    }
    stated = {name.upper(): unit for name, unit in source.units.items()}
    return data, {name: stated.get(name) for name in data}, source.time_scale


def _unit_of(value: NDArray, path: str) -> str:
    """Return the unit of a flux that states none: relative if its median is near 1."""
    finite = value[np.isfinite(value)]
    middle = float(np.median(finite)) if len(finite) else 1.0
    if 0.1 < middle < 10:
        return "relative"
    logger.info("%s: the flux has no unit, and its median of %.4g is not that of a relative flux", path, middle)
    return "flux"


def _relative(value: NDArray, factor: float) -> NDArray[np.float64]:
    """Return flux in a fraction of the median as relative flux around 1; fractions around 0 are changes."""
    relative = value.astype(np.float64) * factor
    return relative + 1 if abs(np.nanmedian(relative)) < 0.5 else relative


def _object_id(file: SourceFile, header: Mapping[str, Any], mission: str) -> str:
    number = next(
        (n for name in ("TARGETID", "TICID", "KEPLERID") if (n := _integer(header.get(name))) is not None), None
    )
    if number is not None:
        return f"{PREFIXES[mission]} {number}"
    return str(header.get("LABEL") or header.get("OBJECT") or file.stem)


def _integer(value: Any) -> int | None:
    try:
        return None if value is None or isinstance(value, bool) else int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _float(value: Any) -> float | None:
    try:
        return None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
