"""Plain tables with one row per observation: CSV, blank-separated text, ECSV, VOTable, Parquet, any FITS table.

Columns are found by the aliases in `roles`, or as `ReadOptions.columns` names them. A table without an object column
is one object, named after the file (a FITS table: after its header). Text without a line of names and with two or
three columns is time, brightness, uncertainty. The unit is ``"mag"`` for magnitudes (mmag are converted), else what the
file states, else ``"flux"``, or ``"unknown"`` with a warning if the column's name doesn't even say that. Times whose
column has a unit are converted to days. Rows that are no measurement (dummies such as 99.99, limits such as >16.5,
missing ones, padding) are left out and counted. Of flags, only ZTF's catflags have a meaning that is known here: rows
with a severe one are left out. A text column that isn't used and seems to name the stars gets a warning.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.data.lightcurves import LightCurves
from goodricke.io import roles, table_files
from goodricke.io.files import SourceFile
from goodricke.io.measurements import Remarks, measure, warn_of_unknown_unit
from goodricke.io.observations import Observations, choose_bands, light_curves
from goodricke.io.options import ReadOptions
from goodricke.io.roles import Match

logger = logging.getLogger("goodricke")

NAME = "table"


def recognises(file: SourceFile) -> bool:
    """Tell whether the file is any table at all; the last reader that is tried."""
    return file.kind in table_files.KINDS


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read all the light curves of a table.

    Raises
    ------
    Unreadable
        If it is no table, is empty, or a column is missing or ambiguous.
    """
    names = [options.columns["object_id"]] if "object_id" in options.columns else ()
    return _light_curves(file, table_files.open_table(file, names), options)


@dataclass
class Frame:
    """A flat table in memory, in place of a `SourceFile`."""

    path: str
    stem: str
    columns_read: list[str] = field(default_factory=list)
    columns_ignored: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    origins: dict[str, str] = field(default_factory=dict)


def from_arrow(table: pa.Table, options: ReadOptions, name: str, stem: str = "frame") -> LightCurves:
    """Return the light curves of a flat table in memory as `read` does those of a file; ``name`` stands for its path.

    ``stem`` names its one object if no column does.

    Raises
    ------
    Unreadable
        As `read`.
    """
    source = table_files.tabular_from_arrow(table, lambda wanted: {column: table[column] for column in wanted})
    if (unit := (table.schema.metadata or {}).get(b"unit")) and "value" in source.names:  # as `LightCurves` have it
        source = replace(source, units={**source.units, "value": unit.decode()})
    return choose_bands(_light_curves(Frame(name, stem), source, options), options, name)


def _light_curves(file: SourceFile | Frame, source: table_files.Tabular, options: ReadOptions) -> LightCurves:
    """Return the light curves of an opened table."""
    chosen = table_files.chosen_columns(source, options, file.path)
    match = roles.match_columns(source.names, chosen, file.path, lambda name: source.load([name])[name])
    data, file.columns_read = source.load(match.used), match.used
    file.columns_ignored = [name for name in (*source.names, *source.lists) if name not in match.used]
    object_id = data[match.object_id] if match.object_id else None
    codes = roles.object_codes(object_id, match.object_id, file.path) if match.object_id else None
    remarks = Remarks(file.path, file.left_out, file.origins)
    measured = measure(
        data,
        match,
        options,
        file.path,
        source.units,
        stated_scale=source.time_scale,
        offset=source.time_offset,
        codes=codes[1] if codes else None,
        remarks=remarks,
        stated_in=source.stated_in,
    )
    remarks.say_left_out()
    ra = roles.degrees(data[match.ra], match.ra) if match.ra else source.ra
    dec = roles.degrees(data[match.dec], match.dec) if match.dec else source.dec
    warn_of_unknown_unit(measured.unit, options, remarks)
    if not (match.object_id or source.object_id):
        band = roles.bands(data[match.band] if match.band else None, match.band, options, file.path)[1]
        _warn_of_merged_stars(file, source, match, measured.time, band, ra, dec)
    rows = Observations(
        object_id,
        measured.time,
        measured.value,
        measured.error,
        data[match.band] if match.band else None,
        match.band_label,
        measured.good,
        ra,
        dec,
        match.object_id or "object_id",
        source.object_id,
        codes,
        match.band_in_name,
    )
    return light_curves(
        file,
        options,
        rows,
        unit=measured.unit,
        time_scale=measured.time_scale,
        keep_order=True,
        mission=source.mission,
        product=source.product,
    )


def _warn_of_merged_stars(
    file: SourceFile | Frame,
    source: table_files.Tabular,
    match: Match,
    time: NDArray[np.float64],
    band: NDArray[np.uint8] | None,
    ra: NDArray[np.float64] | float | None,
    dec: NDArray[np.float64] | float | None,
) -> None:
    """Warn where a column of text or whole numbers that isn't used seems to name the stars, which make one light curve.

    Or where the rows are at several places of the sky.
    """
    unused = [name for name in (*source.texts, *source.whole) if name not in match.used]
    unused = [name for name in unused if roles.normal_name(name) not in roles.NO_STARS]
    timed, n_values = np.isfinite(time), dict[str, int]()
    bands = np.zeros(len(time), np.uint8) if band is None else band
    for name, values in source.load(unused).items() if unused else ():
        # a missing name is a name like others
        codes = pd.factorize(roles.as_series(values)[timed], use_na_sentinel=False)[0]
        n = len(np.unique(codes))
        least = 2 if re.search("(id|name)$", roles.normal_name(name)) else 3  # rows of each
        if 2 <= n <= len(codes) / least and _are_merged(codes, time[timed], bands[timed]):
            n_values[name] = n
    if n_values:
        name = max(n_values, key=n_values.__getitem__)
        logger.warning(
            "%s: column %s isn't used, and its %d values look like as many light curves, taken as one. "
            "If it names the stars: --column object_id=%s (the bands: --column band=%s)",
            file.path,
            name,
            n_values[name],
            name,
            name,
        )
    elif n_places := _places(ra, dec):
        logger.warning(
            "%s: the rows are at %d places of the sky, and are taken as one light curve: no column is known "
            "to name the stars. Fix: --column object_id=NAME",
            file.path,
            n_places,
        )


def _places(ra: NDArray[np.float64] | float | None, dec: NDArray[np.float64] | float | None) -> int:
    """Return how many places apart rows (N,) are at, counted in steps of 30 arcseconds; 0 if it is one place."""
    if not (isinstance(ra, np.ndarray) and isinstance(dec, np.ndarray)):
        return 0
    finite = np.isfinite(ra) & np.isfinite(dec)
    if not finite.any() or np.ptp(ra[finite]) * np.cos(np.radians(dec[finite][0])) + np.ptp(dec[finite]) < 30 / 3600:
        return 0
    return len(np.unique(np.round(np.stack([ra[finite], dec[finite]]) * 120), axis=1).T)


def _are_merged(codes: NDArray[np.int64], time: NDArray[np.float64], band: NDArray[np.uint8]) -> bool:
    """Tell whether rows (N,) with the same code, numbered in order of appearance, are light curves of their own.

    Either they come one after another, each nearly in order of time (within a band), and go over the same time again;
    or most rows share their time and band with one of another code, and none with one of its own.
    """
    if (np.diff(codes) >= 0).all():
        offsets = ragged.offsets_from_counts(np.bincount(codes))
        start, end = ragged.extreme(time, offsets, np.minimum), ragged.extreme(time, offsets, np.maximum)
        order = np.argsort(start)
        again = start[order][1:] < np.maximum.accumulate(end[order])[:-1]
        rows = np.lexsort((band, codes))
        same = (np.diff(codes[rows]) == 0) & (np.diff(band[rows].astype(int)) == 0)
        steps = np.diff(time[rows])[same]
        return bool(len(steps) and again.mean() > 0.5 and max((steps >= 0).mean(), (steps <= 0).mean()) > 0.9)
    rows = np.lexsort((codes, band, time))
    same = (np.diff(time[rows]) == 0) & (np.diff(band[rows].astype(int)) == 0)
    shared = np.append(same, False) | np.append(False, same)
    return bool(shared.mean() > 0.5 and not (same & (np.diff(codes[rows]) == 0)).any())
