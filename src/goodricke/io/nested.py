"""Nested Parquet: one row per object, its light curve in a list; HATS, nested-pandas, LSDB and goodricke write it.

The light curve is a ``struct<list>`` or ``list<struct>`` column of any name, or several plain list columns side by side
(time, mag, ...); the names inside are found by the aliases in `columns`. Columns beside it become per-object columns.
A file of any size is read a few rows at a time. Dummy magnitudes such as 99.99 become NaN.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.data import ragged, units
from goodricke.data.arrow import is_list
from goodricke.data.lightcurves import LightCurves
from goodricke.io import building, roles
from goodricke.io.files import Opened, stem_of
from goodricke.io.fits import CUT_SHORT
from goodricke.io.options import ReadOptions, Unreadable
from goodricke.io.table import bands_of, identifiers, numbers

NAME = "nested"
SIDE_BY_SIDE = ""  # stands for plain list columns beside each other instead of one nested column


def recognises(file: Opened) -> bool:
    """Tell whether the file is Parquet with lists in it, and no plain table that happens to have one."""
    return file.kind == "parquet" and bool(_candidates(file.parquet.schema_arrow))


def read(file: Opened, options: ReadOptions) -> LightCurves:
    """Read the whole file.

    Raises
    ------
    Unreadable
        If no nested column holds times and brightnesses, or several do.
    """
    parts = list(stream(file, options, 1 << 62))
    return parts[0] if len(parts) == 1 else LightCurves.concat(parts)


def stream(file: Opened, options: ReadOptions, max_points: int) -> Iterator[LightCurves]:
    """Read the file in batches of about ``max_points`` observations.

    Raises
    ------
    Unreadable
        As `read`, and if the file is damaged further on.
    """
    column, match = _choose(file.parquet.schema_arrow, file.path, options)
    file.noted = [f"{column}.{name}" if column else name for name in match.used]
    rows = max(1, int(max_points / max(_points_per_row(file), 1.0)))
    names = [f.name for f in file.parquet.schema_arrow if _is_wanted(f, column)]
    if not file.parquet.metadata.num_rows:
        raise Unreadable(file.path, "is a table without rows", "leave the file out")
    groups = range(file.parquet.num_row_groups) if file.groups is None else file.groups
    first, scale = sum(file.parquet.metadata.row_group(i).num_rows for i in range(groups.start)), ""
    for table in _tables(file, min(rows, 1 << 20), names, groups):
        part = _batch(file.path, options, table, column, match, first, scale)
        first, scale = first + len(table), part.time_scale
        yield part


def from_table(table: pa.Table, options: ReadOptions, name: str) -> LightCurves:
    """Return the light curves of a table in memory as `read` does those of a file; ``name`` stands for its path.

    Raises
    ------
    Unreadable
        As `read`.
    """
    column, match = _choose(table.schema, name, options)
    wanted = table.select([f.name for f in table.schema if _is_wanted(f, column)])
    return building.as_told(_batch(name, options, wanted, column, match, 0, ""), options, name)


def _tables(file: Opened, rows: int, names: list[str], groups: range) -> Iterator[pa.Table]:
    """Give the file's rows a few at a time; no piece spans two row groups: Arrow can't join nested dictionaries."""
    try:
        for group in groups:
            for batch in file.parquet.iter_batches(rows, [group], names):
                yield pa.Table.from_batches([batch])
    except (pa.ArrowInvalid, OSError) as error:
        raise Unreadable(file.path, f"is a damaged Parquet file ({error})", CUT_SHORT) from error


def _batch(
    path: str, options: ReadOptions, table: pa.Table, column: str, match: roles.Match, first: int, scale: str
) -> LightCurves:
    """Return the light curves of some rows; ``first`` is the number of the first of them."""
    lists, meta = _lists(table, column), table.schema.metadata or {}
    offsets, flat = _flatten(lists, match, path)
    time = numbers(flat["time"], match.time, path) + match.offset
    bands, band = _bands(flat, table, column, match, options, offsets, path)
    ids = _ids(path, table, options, first)
    timed = np.isfinite(time)
    good = np.ones(len(time), bool)
    severe = roles.SEVERE.get(roles.normal_name(match.quality or ""), 0)
    if "quality" in flat and (severe or options.quality == "hard"):
        good = building.unflagged(numbers(flat["quality"], match.quality or "", path), severe, options.quality)
    value, error, unit = _brightness(path, options, flat, match, meta.get(b"unit", b"").decode() or None)
    if not first:
        roles.warn_of_unknown_unit(unit, options, path)
    stated = meta.get(b"time_scale", b"").decode() or scale or roles.infer_time_scale(match.time_scale, time)
    curves = LightCurves.from_arrays(
        ids,
        offsets,
        time,
        value,
        error,
        band,
        bands=bands,
        unit=unit,
        time_scale=options.time_scale or stated,
        objects=_objects(path, table, column, offsets, ragged.total(timed & ~good, offsets)),
    )
    return curves.where(timed & good) if not (timed & good).all() else curves


def _brightness(
    path: str, options: ReadOptions, flat: Mapping[str, pa.Array], match: roles.Match, stated: str | None
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, str]:
    """Return the brightnesses (N,), their uncertainties and the unit, which the file's metadata may state."""
    unit, factor = units.brightness_unit("" if stated else match.kind, stated)
    if options.unit:
        unit, factor = options.unit, 1.0
    value = units.scale(numbers(flat["value"], match.value, path, np.float32), factor)
    value = building.without_dummies(value, unit, path)
    if "error" not in flat:
        return value, None, unit
    return value, units.scale(numbers(flat["error"], match.error or "", path, np.float32), factor), unit


# ---- finding the light curve --------------------------------------------------------------------------------------


def _candidates(schema: pa.Schema) -> dict[str, list[str]]:
    """Return the columns that could hold a light curve, and the names inside each."""
    found = {f.name: [inner.name for inner in _inside(f.type)] for f in schema if _inside(f.type)}
    plain = [f.name for f in schema if is_list(f.type) and not pa.types.is_nested(f.type.value_type)]
    return found | ({SIDE_BY_SIDE: plain} if len(plain) > 1 else {})


def _choose(schema: pa.Schema, path: str, options: ReadOptions) -> tuple[str, roles.Match]:
    """Return the nested column that holds times and brightnesses, and the names inside it."""
    fitting, refusals = {}, list[Unreadable]()
    inner = {role: name for role, name in options.chosen.items() if role != "object_id"}
    candidates = _candidates(schema)
    for column, names in candidates.items():
        try:
            fitting[column] = roles.match_columns(names, inner, path)
        except Unreadable as refusal:
            refusals.append(refusal)
    if "lightcurve" in fitting:  # what goodricke and HATS call it
        return "lightcurve", fitting["lightcurve"]
    if len(fitting) > 1:
        fix = "write the one wanted to a file of its own"
        raise Unreadable(path, f"has several nested light curves: {', '.join(fitting)}", fix)
    if not fitting:
        raise refusals[0]
    return next(iter(fitting.items()))


def _inside(kind: pa.DataType) -> list[pa.Field]:
    """Return the fields of a ``struct<list>`` or ``list<struct>`` type, none for any other."""
    if pa.types.is_struct(kind) and kind.num_fields and all(is_list(f.type) for f in kind):
        return list(kind)
    if is_list(kind) and pa.types.is_struct(kind.value_type):
        return list(kind.value_type)
    return []


def _is_wanted(field: pa.Field, column: str) -> bool:
    """Whether to load a column: the light curve, and whatever is one number or text per object."""
    if field.name == column or (column == SIDE_BY_SIDE and is_list(field.type)):
        return True
    return not pa.types.is_nested(field.type) and not pa.types.is_binary(field.type)


def _points_per_row(file: Opened) -> float:
    """Return the mean length of the longest list, from the Parquet footer."""
    meta = file.parquet.metadata
    groups = [meta.row_group(i) for i in range(meta.num_row_groups)]
    values = sum(max((g.column(j).num_values for j in range(g.num_columns)), default=0) for g in groups)
    return float(values / max(meta.num_rows, 1))


# ---- taking it apart ----------------------------------------------------------------------------------------------


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _lists(table: pa.Table, column: str) -> dict[str, pa.Array]:
    """Return the light curves' fields as list arrays (n,)."""
    if column == SIDE_BY_SIDE:
        return {name: _whole(table[name]) for name in table.column_names if is_list(table[name].type)}
    array = _whole(table[column])
    names = [field.name for field in _inside(array.type)]
    if pa.types.is_struct(array.type):
        return dict(zip(names, array.flatten(), strict=True))
    offsets = pa.array(ragged.offsets_from_counts(_lengths(array)))
    return {
        name: pa.LargeListArray.from_arrays(offsets, part)
        for name, part in zip(names, array.flatten().flatten(), strict=True)
    }


def _lengths(lists: pa.Array) -> NDArray[np.int64]:
    """Return the length of each list (n,), 0 for a null one."""
    return pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)


def _flatten(
    lists: Mapping[str, pa.Array], match: roles.Match, path: str
) -> tuple[NDArray[np.int64], dict[str, pa.Array]]:
    """Return the offsets (n + 1,) and the flat column (N,) of each role.

    Raises
    ------
    Unreadable
        If the lists of one row differ in length.
    """
    counts = _lengths(lists[match.time])
    flat = {}
    for role in ("time", "value", "error", "band", "quality"):
        name = getattr(match, role)
        if name is None:
            continue
        if not np.array_equal(_lengths(lists[name]), counts):
            row = int(np.flatnonzero(_lengths(lists[name]) != counts)[0])
            raise Unreadable(path, f"has {match.time} and {name} of different length in row {row + 1}", "fix the row")
        flat[role] = lists[name].flatten()
    return ragged.offsets_from_counts(counts), flat


def _bands(
    flat: Mapping[str, pa.Array],
    table: pa.Table,
    column: str,
    match: roles.Match,
    options: ReadOptions,
    offsets: NDArray[np.int64],
    path: str,
) -> tuple[tuple[str, ...], NDArray[np.uint8] | None]:
    """Return the bands' names and each observation's index, from inside the light curve or one per object beside it."""
    if "band" in flat:
        return bands_of(flat.get("band"), match.band, options, path)
    beside = roles.find_column(_plain(table), roles.BAND)
    names, band = bands_of(table[beside] if beside else None, beside, options, path)
    return names, None if band is None else ragged.spread(band, offsets)


def _plain(table: pa.Table) -> dict[str, str]:
    """Return the names of the columns with one number or text per object, by their normal name."""
    return roles.names_by_alias(f.name for f in table.schema if not pa.types.is_nested(f.type))


def _ids(path: str, table: pa.Table, options: ReadOptions, first: int) -> pa.Array:
    """Return the identifiers: of the id column, else file name and row number."""
    wanted = options.columns.get("object_id")
    name = wanted if wanted in table.column_names else roles.find_column(_plain(table), roles.OBJECT_ID)
    if name is not None and not table[name].null_count:
        return identifiers(table[name], name)
    stem = stem_of(path)
    return pa.array([f"{stem}:{first + i}" for i in range(len(table))], pa.string())


def _objects(path: str, table: pa.Table, column: str, offsets: NDArray[np.int64], n_flagged: NDArray) -> pa.Table:
    """Return the per-object columns: `building.ABOUT`, filled from the file where it has them, and the file's own."""
    plain = _plain(table)
    known = {f.name: table[f.name] for f in building.ABOUT if f.name in table.column_names}
    known |= {
        role: table[plain[alias]] for role, all_ in roles.POSITION.items() for alias in all_[::-1] if alias in plain
    }
    for role in roles.POSITION:
        if role in known and not pa.types.is_floating(known[role].type):
            del known[role]  # sexagesimal
    if b"goodricke" not in (table.schema.metadata or {}):  # a pack tells what the light curves were read from
        known |= {"source": path, "n_read": np.diff(offsets), "n_flagged": n_flagged.astype(np.int64)}
    known.setdefault("product", "nested Parquet")
    result = building.about(len(table), **known)
    for name in plain.values():
        if name not in result.column_names and name != "object_id":
            result = result.append_column(name, table[name])
    return result
