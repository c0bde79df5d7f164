"""Plain tables with one row per observation: CSV, blank-separated text, ECSV, VOTable, Parquet, any FITS table.

Columns are found by the aliases in `columns`, or as `ReadOptions.columns` names them. A table without an object column
is one object, named after the file (a FITS table: after its header). Text without a line of names and with two or
three columns is time, brightness, uncertainty. The unit is ``"mag"`` for magnitudes (mmag are converted), else what the
file tells, else ``"flux"``, or ``"unknown"`` with a warning if the column's name doesn't even say that. Times whose
column has a unit are converted to days. Dummy magnitudes such as 99.99 and limits such as >16.5 become NaN. Of flags,
only ZTF's catflags have a meaning that is known here: rows with a severe one are left out. A text column that isn't
used and seems to name the stars gets a warning.

Surveys' tables with one row per observation: columns by name, and from rows to light curves.

For readers of products whose columns are known. A table of any columns is for `table`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.data import ragged, units
from goodricke.data.arrow import NO_BAND
from goodricke.data.lightcurves import LightCurves
from goodricke.io import building, roles, table_files
from goodricke.io.files import Opened
from goodricke.io.options import ReadOptions, Unreadable
from goodricke.io.roles import Match

logger = logging.getLogger("goodricke")

NAME = "table"
LIMIT = r"\s*[<>]\s*[-+]?\d+\.?\d*\s*$"  # >16.5, a star that was too faint to be seen
# What to do about text where numbers should be.
TEXTS = {
    r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}": "turn dates into days, as astropy.time.Time(dates).mjd does",
    r"[-+]?\d*[,;\t] *[-+]?\d+$": "write numbers with decimal points, not commas",
    LIMIT: "leave limits out, or, if the column is in magnitudes, say --unit mag",
}


def recognises(file: Opened) -> bool:
    """Tell whether the file is any table at all; the last reader to be asked."""
    return file.kind in ("text", "votable", "parquet", "fits")


def read(file: Opened, options: ReadOptions) -> LightCurves:
    """Read all the light curves of a table.

    Raises
    ------
    Unreadable
        If it is no table, is empty, or a column is missing or ambiguous.
    """
    source = table_files.open_table(file, [options.columns["object_id"]] if "object_id" in options.columns else ())
    found = roles.match_columns(source.names, options.chosen, file.path)
    data, file.noted = source.load(found.used), found.used
    file.found["not used"] = [name for name in (*source.names, *source.lists) if name not in found.used]
    length = roles.days_per_unit(source.units.get(found.time), found.time, options, file.path)
    time = units.scale(numbers(data[found.time], found.time, file.path), length) + found.offset
    if not len(time):
        raise Unreadable(file.path, "is a table without rows", table_files.NO_TABLE)
    ids, codes = _objects(file, data, found, source.object_id, len(time))
    # a table sorted by object, the usual case, is taken as it is; else rows are gathered, objects as they come first
    order = slice(None) if (np.diff(codes) >= 0).all() else np.argsort(codes, kind="stable")
    bands, band = bands_of(data[found.band] if found.band else None, found.band, options, file.path)
    if not (found.object_id or source.object_id):
        _warn_of_merged_stars(file, source, found, time, band)
    offsets, time = ragged.offsets_from_counts(np.bincount(codes, minlength=len(ids))), time[order]
    keep, n_flagged = _kept(file, options, data, found, order, time, offsets)
    value, error, unit = _brightness(file, options, source, data, found)
    curves = LightCurves.from_arrays(
        ids,
        offsets,
        time,
        value[order],
        None if error is None else error[order],
        None if band is None else band[order],
        bands=bands,
        unit=unit,
        time_scale=options.time_scale or source.time_scale or _time_scale(found, time, file.path),
        objects=building.about(
            len(ids),
            source=file.path,
            mission=source.mission,
            product=source.product,
            n_read=np.diff(offsets),
            n_flagged=n_flagged,
            ra=_position(data, found.ra, order, offsets, source.ra),
            dec=_position(data, found.dec, order, offsets, source.dec),
        ),
    )
    return curves if keep.all() else curves.where(keep)


def _brightness(
    file: Opened, options: ReadOptions, source: table_files.Tabular, data: Mapping[str, Any], found: Match
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, str]:
    """Return the brightnesses (N,), their uncertainties and the unit; as they are if the options say the unit."""
    unit, factor = units.brightness_unit(found.kind, source.units.get(found.value))
    roles.warn_of_unknown_unit(unit, options, file.path)
    if options.unit:
        unit, factor = options.unit, 1.0
    measured = _without_limits(data[found.value], unit, file.path)
    value = units.scale(numbers(measured, found.value, file.path, np.float32), factor)
    value = building.without_dummies(value, unit, file.path)
    if not found.error:
        return value, None, unit
    own = factor if options.unit else units.error_factor(source.units.get(found.error), factor, unit)
    return value, units.scale(numbers(data[found.error], found.error, file.path, np.float32), own), unit


def _without_limits(values: Any, unit: str, path: str) -> Any:
    """Return a column with limits of magnitude such as ``>16.5`` missing, and log how many; any other as it is."""
    if not unit.lower().startswith("mag"):
        return values
    series = _series(values)
    if pd.api.types.is_numeric_dtype(series):
        return values
    limits = series.astype("string").str.match(LIMIT).fillna(False).to_numpy(bool)
    if limits.any():
        logger.info("%s: %d limits such as %s made NaN", path, limits.sum(), series[limits].iloc[0])
    return series.mask(limits)


def _time_scale(found: Match, time: NDArray[np.float64], path: str) -> str:
    """Return the scale of times (N,), with a warning where it isn't the one that the column is named after."""
    scale = roles.infer_time_scale(found.time_scale, time)
    if found.time_scale and scale != found.time_scale:
        told = path, found.time, np.nanmedian(time), found.time_scale, scale
        logger.warning(
            "%s: column %s holds times around %.7g, which are no %s: their scale is taken as %s. Another: --time-scale",
            *told,
        )
    return scale


def _kept(
    file: Opened,
    options: ReadOptions,
    data: Mapping[str, Any],
    found: Match,
    order: Any,
    time: NDArray,
    offsets: NDArray,
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return which observations (N,) stay, and how many of each object (n,) went for their flags."""
    timed = np.isfinite(time)
    good = np.ones(len(time), bool)
    severe = roles.SEVERE.get(roles.normal_name(found.quality or ""), 0)
    if found.quality and (severe or options.quality == "hard"):
        flags = numbers(data[found.quality], found.quality, file.path)[order]
        good = building.unflagged(flags, severe, options.quality)
    return timed & good, ragged.total(timed & ~good, offsets).astype(np.int64)


def _objects(
    file: Opened, data: Mapping[str, Any], found: Match, name: str | None, n: int
) -> tuple[pa.Array, NDArray[np.int64]]:
    """Return the identifiers in order of appearance and the index of each row's, (n,)."""
    if found.object_id is None:
        return pa.array([name or file.stem]), np.zeros(n, np.int64)
    ids = identifiers(data[found.object_id], found.object_id)
    if ids.null_count:
        fix = "fill the column, or leave these rows out"
        raise Unreadable(file.path, f"has {ids.null_count} rows without {found.object_id}", fix)
    encoded = ids.dictionary_encode()
    return encoded.dictionary, encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _warn_of_merged_stars(
    file: Opened, source: table_files.Tabular, found: Match, time: NDArray[np.float64], band: NDArray[np.uint8] | None
) -> None:
    """Say so where a text column that isn't used seems to name the stars, which make one light curve without it."""
    texts = [name for name in source.texts if name not in found.used and roles.normal_name(name) not in roles.NO_STARS]
    timed, n_values = np.isfinite(time), dict[str, int]()
    bands = np.zeros(len(time), np.uint8) if band is None else band
    for name, values in source.load(texts).items() if texts else ():
        codes = pd.factorize(_series(values)[timed], use_na_sentinel=False)[0]  # a missing one is a name like others
        n = len(np.unique(codes))
        if 2 <= n <= len(codes) / 3 and _are_merged(codes, time[timed], bands[timed]):
            n_values[name] = n
    if n_values:
        name = max(n_values, key=n_values.__getitem__)
        logger.warning(
            "%s: column %s isn't used, and its %d values look like as many light curves, taken as one. "
            "If it names the stars: --column object_id=%s (the bands: --column band=%s)",
            *(file.path, name, n_values[name], name, name),
        )


def _are_merged(codes: NDArray[np.int64], time: NDArray[np.float64], band: NDArray[np.uint8]) -> bool:
    """Tell whether rows (N,) with the same code, counted as they come, are plainly light curves of their own.

    Either they come one after another, each nearly in order of time (within a band), and go over the same time again;
    or most rows share their time and band with one of another code, and none with one of its own.
    """
    if (np.diff(codes) >= 0).all():
        offsets = ragged.offsets_from_counts(np.bincount(codes))
        start, end = (ragged.extreme(time, offsets, each) for each in (np.minimum, np.maximum))
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


def _series(values: Any) -> pd.Series:
    return values.to_pandas() if isinstance(values, pa.Array | pa.ChunkedArray) else pd.Series(values)


def identifiers(values: Any, name: str) -> pa.Array:
    """Return object identifiers as text: whole numbers without ``.0``, the number of a catalogue with its prefix."""
    if not isinstance(values, pa.Array | pa.ChunkedArray):
        values = pa.array(values, from_pandas=True)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_floating(values.type):
        values = values.cast(pa.int64())
    values = values.cast(pa.string())
    prefix = roles.PREFIXES.get(roles.normal_name(name))
    if prefix is None:
        return values
    encoded = values.dictionary_encode()
    named = pa.array([f"{prefix} {i}" if i.isdigit() else i for i in encoded.dictionary.to_pylist()], pa.string())
    return named.take(encoded.indices)


def numbers(values: Any, name: str, path: str, dtype: type = np.float64) -> NDArray:
    """Return a column as floating-point numbers (N,), missing ones as NaN.

    Raises
    ------
    Unreadable
        If the column holds text, naming the first.
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        values = values.to_pandas() if pa.types.is_string(values.type) else values.to_numpy(zero_copy_only=False)
    try:
        return np.ascontiguousarray(pd.to_numeric(values), dtype)
    except (ValueError, TypeError):
        series = pd.Series(values)
        bad = series[pd.to_numeric(series, errors="coerce").isna() & series.notna()]
        text = str(bad.iloc[0]).strip()
        reason = f"holds text in column {name}: {text!r} in row {bad.index[0] + 1}"
        units = "leave out the row of units" if text.isalpha() and bad.index.tolist() == [0] else None
        fix = next((fix for kind, fix in TEXTS.items() if re.match(kind, text)), units)
        raise Unreadable(path, reason, fix or "leave such rows out or name another column") from None


def bands_of(
    values: Any, name: str | None, options: ReadOptions, path: str
) -> tuple[tuple[str, ...], NDArray[np.uint8] | None]:
    """Return the names of the bands and the index of each observation's.

    Raises
    ------
    Unreadable
        If there are more than 256 bands: then the column is none.
    """
    if values is None or name is None:
        return (options.band or NO_BAND,), None
    numbered = roles.NUMBERED.get(roles.normal_name(name))
    names = identifiers(values, "").fill_null(NO_BAND).dictionary_encode()
    spelled = [str(band).strip() for band in names.dictionary.to_pylist()]
    spelled = [roles.ZTF_NAMES.get(band, band) for band in spelled]
    if numbered and all(band.isdigit() and int(band) in numbered for band in spelled):
        spelled = [numbered[int(band)] for band in spelled]
    bands = list(dict.fromkeys(spelled))
    if len(bands) > 256:
        raise Unreadable(path, f"has {len(bands)} different bands in column {name}", "--column band=NAME")
    codes = np.array([bands.index(band) for band in spelled], np.uint8)
    return tuple(bands) or (NO_BAND,), codes[names.indices.to_numpy(zero_copy_only=False)]


def _position(
    data: Mapping[str, Any], name: str | None, order: Any, offsets: NDArray, stated: float | None
) -> NDArray[np.float64] | float | None:
    """Return the coordinate of each object (n,), that of its first row; None if it isn't in degrees."""
    if name is None:
        return stated
    try:
        return numbers(data[name], name, "")[order][offsets[:-1]]
    except Unreadable:  # sexagesimal: not worth losing the light curves for
        return None


# ---- Surveys' tables with one row per observation: columns by name, and from rows to light curves --------------------


Mask = NDArray[np.bool_]
TRUE = ("true", "t", "1", "yes")


def load(file: Opened, *wanted: str) -> dict[str, Any]:
    """Return columns of a table by the names given, whatever their case; those that it lacks are missing."""
    source = table_files.open_table(file)
    known = roles.names_by_alias([*source.names, *source.lists])
    names = {name: known[roles.normal_name(name)] for name in wanted if roles.normal_name(name) in known}
    data = source.load(list(names.values()))
    file.noted = list(names.values())
    return {name: data[own] for name, own in names.items()}


def flags(values: Any) -> Mask:
    """Return a column of yes and no as a mask (N,): booleans, their names in any case, or numbers above 0."""
    array = pa.array(values, from_pandas=True) if not isinstance(values, pa.Array | pa.ChunkedArray) else values
    if pa.types.is_boolean(array.type):
        return array.fill_null(False).to_numpy(zero_copy_only=False).astype(bool)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        lower = pc.utf8_lower(pc.utf8_trim_whitespace(array))
        return pc.is_in(lower, pa.array(TRUE, array.type)).to_numpy(zero_copy_only=False).astype(bool)
    return np.nan_to_num(pd.to_numeric(np.asarray(array.to_numpy(zero_copy_only=False)), errors="coerce")) > 0


def firsts(*keys: NDArray, best: NDArray[np.floating] | None = None) -> Mask:
    """Mark the rows (N,) that are the first with their combination of keys (N,), or the one with most of ``best``."""
    order = np.lexsort(keys if best is None else (-best, *keys))  # stable: of equal rows the first comes first
    new = np.ones(len(order), bool)
    new[1:] = np.any([key[order][1:] != key[order][:-1] for key in keys], axis=0)
    result = np.zeros(len(order), bool)
    result[order] = new
    return result


@dataclass(frozen=True)
class Rows:
    """Observations of many objects, in any order.

    Parameters
    ----------
    object_id : array-like (N,)
        Whole numbers or text; None if all are of one object, which is then called after the file.
    time : float64 (N,)
        Days; NaN for a row that is no observation (an upper limit, a repetition): it counts nowhere.
    value, error : floating (N,)
    band : array-like (N,)
        Names or numbers, as the column ``band_name`` has them.
    good : bool (N,)
        False where the quality cut leaves the observation out.
    ra, dec : float64 (N,), optional
        Degrees; that of the first observation is the object's.
    """

    object_id: Any
    time: NDArray[np.float64]
    value: NDArray[np.floating]
    error: NDArray[np.floating]
    band: Any
    band_name: str
    good: Mask
    ra: NDArray[np.float64] | None = None
    dec: NDArray[np.float64] | None = None


def codes_of(object_id: Any, name: str, n: int, file: Opened) -> tuple[pa.Array, NDArray[np.int64]]:
    """Return the identifiers (n,) in order of appearance and the index of each row's, (N,).

    Raises
    ------
    Unreadable
        If a row has none, or there is no row.
    """
    if not n:
        raise Unreadable(file.path, "is a table without rows", "leave the file out")
    if object_id is None:
        return pa.array([file.stem], pa.string()), np.zeros(n, np.int64)
    ids = identifiers(object_id, name)
    if ids.null_count:
        fix = "fill the column, or leave these rows out"
        raise Unreadable(file.path, f"has {ids.null_count} rows without {name}", fix)
    encoded = ids.dictionary_encode()
    return encoded.dictionary, encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def light_curves(
    file: Opened, options: ReadOptions, rows: Rows, *, unit: str, time_scale: str, **known: Any
) -> LightCurves:
    """Return the light curves of a table's rows, each in order of time; rows without a time go, flagged ones too.

    Parameters
    ----------
    unit, time_scale : str
        Of `rows`, unless the options say otherwise.
    **known
        Columns of `building.ABOUT` that are the same for all objects.

    Raises
    ------
    Unreadable
        As `codes_of`, and if there are more than 256 bands.
    """
    ids, codes = codes_of(rows.object_id, "object_id", len(rows.time), file)
    bands, band = bands_of(rows.band, rows.band_name, options, file.path)
    order = np.lexsort((rows.time, codes))
    offsets = ragged.offsets_from_counts(np.bincount(codes, minlength=len(ids)))
    timed, good = np.isfinite(rows.time)[order], rows.good[order]
    positions = {name: _of_objects(values, codes, len(ids)) for name, values in (("ra", rows.ra), ("dec", rows.dec))}
    curves = LightCurves.from_arrays(
        ids,
        offsets,
        rows.time[order],
        rows.value[order],
        rows.error[order],
        None if band is None else band[order],
        bands=bands,
        unit=options.unit or unit,
        time_scale=options.time_scale or time_scale,
        objects=building.about(
            len(ids),
            source=file.path,
            n_read=ragged.total(timed, offsets).astype(np.int64),
            n_flagged=ragged.total(timed & ~good, offsets).astype(np.int64),
            **positions | known,
        ),
    )
    return curves if (timed & good).all() else curves.where(timed & good)


def _of_objects(values: NDArray[np.float64] | None, codes: NDArray[np.int64], n: int) -> NDArray[np.float64] | None:
    """Return each object's first value (n,) of a column (N,)."""
    if values is None:
        return None
    result = np.full(n, np.nan)
    result[codes[::-1]] = values[::-1]  # the first is written last
    return result


def number(data: Mapping[str, Any], name: str, path: str) -> NDArray[np.float64]:
    """Return a loaded column as numbers (N,).

    Raises
    ------
    Unreadable
        If the table has no such column, naming those that it has, or it holds text.
    """
    if name not in data:
        reason = f"has no column {name}; of the known ones it has {', '.join(data)}"
        raise Unreadable(path, reason, "choose one of these")
    return numbers(data[name], name, path)
