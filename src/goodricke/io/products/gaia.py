"""Gaia epoch photometry as the archive's DataLink ships it, DR2 and DR3, from one source or many.

Three shapes are in use: one row per observation with a column ``band`` (INDIVIDUAL and COMBINED until 2024); one row
per transit with columns for each band (INDIVIDUAL since then); one row per source with an array per column (RAW, and
the bulk files of the archive). Arrays in CSV are text: ``"[17.1, 17.2, null]"``.

Brightness is the magnitude (Vega) in G, BP and RP, its error 2.5 / ln 10 over the flux's signal-to-noise ratio;
``flux`` in electrons per second is the other choice. Times are barycentric Julian dates in TCB (which runs ahead of TDB
by some 20 s), to which the offset of 2455197.5 is added.

Quality: ``"default"`` and ``"bitmask"`` leave out what Gaia's photometric or variability processing rejected,
``"hard"`` also whatever has one of the other flags, which most transits do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.data import arrow, ragged, units
from goodricke.data.lightcurves import LightCurves
from goodricke.io import roles, table, table_files
from goodricke.io.files import SourceFile
from goodricke.io.observations import Observations, light_curves
from goodricke.io.options import ReadOptions, Unreadable

NAME = "gaia"
ID = "source_id"
REFERENCE = 2455197.5  # 2010-01-01T00:00, the zero of Gaia's times [JD]


class Series(NamedTuple):
    """The columns of one band's time series."""

    time: str
    mag: str
    flux: str
    flux_error: str
    flux_over_error: str
    rejected: tuple[str, ...]  # by the photometric or the variability processing
    other: str


LONG = Series(
    "time",
    "mag",
    "flux",
    "flux_error",
    "flux_over_error",
    ("rejected_by_photometry", "rejected_by_variability"),
    "other_flags",
)
WIDE = {
    "G": Series(
        "g_transit_time",
        "g_transit_mag",
        "g_transit_flux",
        "g_transit_flux_error",
        "g_transit_flux_over_error",
        ("rejected_by_photometry", "variability_flag_g_reject"),
        "g_other_flags",
    ),
    "BP": Series(
        "bp_obs_time",
        "bp_mag",
        "bp_flux",
        "bp_flux_error",
        "bp_flux_over_error",
        ("rejected_by_photometry", "photometry_flag_bp_reject", "variability_flag_bp_reject"),
        "bp_other_flags",
    ),
    "RP": Series(
        "rp_obs_time",
        "rp_mag",
        "rp_flux",
        "rp_flux_error",
        "rp_flux_over_error",
        ("rejected_by_photometry", "photometry_flag_rp_reject", "variability_flag_rp_reject"),
        "rp_other_flags",
    ),
}


def recognises(file: SourceFile) -> bool:
    """Tell whether the file holds Gaia's epoch photometry, in any of its shapes, by its columns."""
    names = table_files.column_names(file)
    shapes = ((LONG.time, LONG.mag, "transit_id", "band"), *((series.time, series.mag) for series in WIDE.values()))
    long, *wide = ({roles.normal_name(name) for name in shape} <= names for shape in shapes)
    return (long and roles.normal_name("rejected_by_variability") in names) or all(wide)


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read all light curves of the file; see the module for brightness, time and quality.

    Raises
    ------
    Unreadable
        If the options name another flux than mag and flux, or arrays of one source differ in length.
    """
    if options.columns:  # named by the user: any table
        return table.read(file, options)
    wanted = (options.flux or "mag").lower()
    if wanted not in ("mag", "flux"):
        raise Unreadable(file.path, f"has no brightness {wanted}", "choose mag or flux with --flux")
    wide = roles.normal_name(WIDE["G"].time) in table_files.column_names(file)
    named = WIDE if wide else {"": LONG}
    data = _load(file, named.values())
    n = len(data[next(iter(named.values())).time])
    parts = [_series(data, series, wanted, options.quality, file.path) for series in named.values()]
    time, value, error, good = (np.concatenate(column) for column in zip(*parts, strict=True))
    source = data.get(ID)
    rows = Observations(
        None if source is None else pa.concat_arrays([_ids(source)] * len(parts)),
        time + REFERENCE,
        value,
        error,
        np.repeat(list(named), n) if wide else data["band"],
        "band",
        good,
    )
    unit = "mag" if wanted == "mag" else "electron / s"
    return light_curves(
        file, options, rows, unit=unit, time_scale="BJD", mission="Gaia", product="Gaia epoch photometry"
    )


def _series(
    data: Mapping[str, Any], series: Series, wanted: str, quality: str, path: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return time, brightness, its error, and what the quality cut keeps, of one band (N,)."""
    time, value = (roles.column_numbers(data, name, path) for name in (series.time, getattr(series, wanted)))
    if wanted == "flux":
        error = roles.column_numbers(data, series.flux_error, path)
    elif series.flux_over_error in data:
        error = _magnitudes_per(roles.column_numbers(data, series.flux_over_error, path))
    else:
        flux, sigma = (roles.column_numbers(data, name, path) for name in (series.flux, series.flux_error))
        error = sigma * _magnitudes_per(flux)
    good = np.isfinite(value)  # a transit without BP or RP is no observation there
    for name in series.rejected if quality != "none" else ():
        good &= ~roles.flags(data[name]) if name in data else True
    if quality == "hard" and series.other in data:
        good &= np.nan_to_num(roles.column_numbers(data, series.other, path)) == 0
    return time, value, error, good


def _magnitudes_per(ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    return units.MAGNITUDES_PER_E / np.where(ratio > 0, ratio, np.nan)


# ---- arrays -------------------------------------------------------------------------------------------------------


def _load(file: SourceFile, series: Iterable[Series]) -> dict[str, Any]:
    """Return the columns of all series that the file has, flat; arrays are laid end to end.

    Raises
    ------
    Unreadable
        If the arrays of one source differ in length.
    """
    fields = [field for one in series for field in one]
    wanted = [name for field in fields for name in ([field] if isinstance(field, str) else field)]
    data = table_files.load_columns(file, ID, "band", *dict.fromkeys(wanted))
    columns = {name: arrow.lists_from_column(values) for name, values in data.items() if name != ID}
    lists = {name: cells for name, cells in columns.items() if cells is not None}
    if not lists:
        return data
    names = list(lists)
    if uneven := arrow.first_uneven(list(lists.values())):
        name, row = names[uneven[0]], uneven[1] + 1
        raise Unreadable(file.path, f"has {names[0]} and {name} of different length in row {row}", "fix the row")
    offsets = ragged.offsets_from_counts(arrow.list_lengths(lists[names[0]]))
    flat = {name: cells.flatten() for name, cells in lists.items()}
    flat = {n: arrow.numbers_from_text(cells) if pa.types.is_string(cells.type) else cells for n, cells in flat.items()}
    return flat | ({ID: _ids(data[ID]).take(ragged.owner(offsets))} if ID in data else {})


def _ids(values: Any) -> pa.Array:
    return roles.identifiers(values, ID)
