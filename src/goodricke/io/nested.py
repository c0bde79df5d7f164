"""Nested Parquet: one row per object, its light curve in a list; HATS, nested-pandas, LSDB and goodricke write it.

The light curve is a ``struct<list>`` or ``list<struct>`` column of any name, or several plain list columns side by side
(time, mag, ...); the names inside are found by the aliases in `roles`. The other columns become per-object columns. A
file of any size is read a few rows at a time. Dummy magnitudes such as 99.99 become NaN.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.data.arrow import first_uneven, inner_fields, inner_lists, is_list, list_lengths, one_chunk
from goodricke.data.lightcurves import LightCurves
from goodricke.io import roles
from goodricke.io.files import SourceFile, name_stem
from goodricke.io.fits import CUT_SHORT
from goodricke.io.observations import OBJECT_COLUMNS, choose_bands, object_columns
from goodricke.io.options import ReadOptions, Unreadable

NAME = "nested"
SIDE_BY_SIDE = ""  # stands for plain list columns instead of one nested column


def recognises(file: SourceFile) -> bool:
    """Tell whether the file is Parquet with lists in it, and no plain table that happens to have one."""
    return file.kind == "parquet" and bool(_candidates(file.parquet.schema_arrow))


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read the whole file.

    Raises
    ------
    Unreadable
        If no nested column holds times and brightnesses, or several do.
    """
    parts = list(stream(file, options, 1 << 62))
    return parts[0] if len(parts) == 1 else LightCurves.concat(parts)


def stream(file: SourceFile, options: ReadOptions, max_points: int) -> Iterator[LightCurves]:
    """Read the file in batches of about ``max_points`` observations.

    Raises
    ------
    Unreadable
        As `read`, and if the file is damaged further on.
    """
    schema = file.parquet.schema_arrow
    column, match = _find_light_curve(schema, file.path, options)
    file.columns_read = [f"{column}.{name}" if column else name for name in match.used]
    if not file.parquet.metadata.num_rows:
        raise Unreadable(file.path, "is a table without rows", "leave the file out")
    size = min(max(1, int(max_points / max(_points_per_row(file), 1.0))), 1 << 20)
    groups = range(file.parquet.num_row_groups) if file.groups is None else file.groups
    first, scale = sum(file.parquet.metadata.row_group(i).num_rows for i in range(groups.start)), ""
    for table in _tables(file, size, _wanted_columns(schema, column), groups):
        part = _light_curves(file.path, options, table, column, match, first, scale)
        first, scale = first + len(table), part.time_scale
        yield part


def from_table(table: pa.Table, options: ReadOptions, name: str) -> LightCurves:
    """Return the light curves of a table in memory as `read` does those of a file; ``name`` stands for its path.

    Raises
    ------
    Unreadable
        As `read`.
    """
    column, match = _find_light_curve(table.schema, name, options)
    table = table.select(_wanted_columns(table.schema, column))
    return choose_bands(_light_curves(name, options, table, column, match, 0, ""), options, name)


def _tables(file: SourceFile, size: int, names: list[str], groups: range) -> Iterator[pa.Table]:
    """Give the file's rows a few at a time; no table spans two row groups: Arrow can't join nested dictionaries."""
    try:
        for group in groups:
            for batch in file.parquet.iter_batches(size, [group], names):
                yield pa.Table.from_batches([batch])
    except (pa.ArrowInvalid, OSError) as error:
        raise Unreadable(file.path, f"is a damaged Parquet file ({error})", CUT_SHORT) from error


# ---- the column of light curves -----------------------------------------------------------------------------------


def _candidates(schema: pa.Schema) -> dict[str, list[str]]:
    """Return the columns that could hold a light curve, and the names inside them."""
    nested = {f.name: [inner.name for inner in inner_fields(f.type)] for f in schema if inner_fields(f.type)}
    plain = [f.name for f in schema if is_list(f.type) and not pa.types.is_nested(f.type.value_type)]
    return nested | ({SIDE_BY_SIDE: plain} if len(plain) > 1 else {})


def _find_light_curve(schema: pa.Schema, path: str, options: ReadOptions) -> tuple[str, roles.Match]:
    """Return the nested column that holds times and brightnesses, and the names inside it."""
    fitting, refusals = {}, list[Unreadable]()
    inner = {role: name for role, name in options.chosen.items() if role != "object_id"}
    for column, names in _candidates(schema).items():
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


def _wanted_columns(schema: pa.Schema, column: str) -> list[str]:
    """Return the columns to load: the light curve, and whatever is one number or text per object."""
    light_curve = [f.name for f in schema if f.name == column or (column == SIDE_BY_SIDE and is_list(f.type))]
    plain = [f.name for f in schema if not pa.types.is_nested(f.type) and not pa.types.is_binary(f.type)]
    return [name for name in schema.names if name in {*light_curve, *plain}]


def _points_per_row(file: SourceFile) -> float:
    """Return the mean length of the longest list, from the Parquet footer."""
    meta = file.parquet.metadata
    groups = [meta.row_group(i) for i in range(meta.num_row_groups)]
    values = sum(max((g.column(j).num_values for j in range(g.num_columns)), default=0) for g in groups)
    return float(values / max(meta.num_rows, 1))


# ---- rows to light curves -----------------------------------------------------------------------------------------


def _light_curves(
    path: str, options: ReadOptions, table: pa.Table, column: str, match: roles.Match, first: int, scale: str
) -> LightCurves:
    """Return the light curves of some rows; ``first`` is the number of the first of them."""
    metadata = table.schema.metadata or {}
    offsets, flat = _flatten(table, column, match, path)
    time = roles.numbers(flat[match.time], match.time, path) + match.offset
    timed = np.isfinite(time)
    good = roles.passes_quality(flat.get(match.quality or ""), match, options, path, len(time))
    stated = metadata.get(b"unit", b"").decode() or None
    value, error, unit = roles.brightness(flat, match, options, path, kind="" if stated else match.kind, stated=stated)
    if not first:
        roles.warn_of_unknown_unit(unit, options, path)
    stated_scale = metadata.get(b"time_scale", b"").decode() or scale or roles.infer_time_scale(match.time_scale, time)
    bands, band = _bands(flat, table, match, options, offsets, path)
    curves = LightCurves.from_arrays(
        _ids(path, table, options, first),
        offsets,
        time,
        value,
        error,
        band,
        bands=bands,
        unit=unit,
        time_scale=options.time_scale or stated_scale,
        objects=_objects(path, table, offsets, ragged.total(timed & ~good, offsets)),
    )
    return curves if (timed & good).all() else curves.where(timed & good)


def _flatten(
    table: pa.Table, column: str, match: roles.Match, path: str
) -> tuple[NDArray[np.int64], dict[str, pa.Array]]:
    """Return the offsets (n + 1,) and the flat columns (N,) that are in use, by name.

    Raises
    ------
    Unreadable
        If the lists of one row differ in length.
    """
    lists = table if column == SIDE_BY_SIDE else inner_lists(table[column])
    roles_inside = (match.time, match.value, match.error, match.band, match.quality)
    names = list(dict.fromkeys(name for name in roles_inside if name is not None))
    if uneven := first_uneven([lists[name] for name in names]):
        name, row = names[uneven[0]], uneven[1] + 1
        raise Unreadable(path, f"has {match.time} and {name} of different length in row {row}", "fix the row")
    offsets = ragged.offsets_from_counts(list_lengths(lists[match.time]))
    return offsets, {name: one_chunk(lists[name]).flatten() for name in names}


def _bands(
    flat: Mapping[str, pa.Array],
    table: pa.Table,
    match: roles.Match,
    options: ReadOptions,
    offsets: NDArray[np.int64],
    path: str,
) -> tuple[tuple[str, ...], NDArray[np.uint8] | None]:
    """Return the bands' names and each observation's index, from inside the light curve or from a column of objects."""
    if match.band is not None:
        return roles.bands(flat[match.band], match.band, options, path)
    name = roles.find_column(_plain_columns(table), roles.BAND)
    bands, band = roles.bands(table[name] if name else None, name, options, path)
    return bands, None if band is None else ragged.spread(band, offsets)


def _plain_columns(table: pa.Table) -> dict[str, str]:
    """Return the names of the columns with one number or text per object, by their normal name."""
    return roles.names_by_alias(f.name for f in table.schema if not pa.types.is_nested(f.type))


def _ids(path: str, table: pa.Table, options: ReadOptions, first: int) -> pa.Array:
    """Return the identifiers: of the id column, else file name and row number."""
    chosen = options.columns.get("object_id")
    name = chosen if chosen in table.column_names else roles.find_column(_plain_columns(table), roles.OBJECT_ID)
    if name is not None and not table[name].null_count:
        return roles.identifiers(table[name], name)
    stem = name_stem(path)
    return pa.array([f"{stem}:{first + i}" for i in range(len(table))], pa.string())


def _objects(path: str, table: pa.Table, offsets: NDArray[np.int64], n_flagged: NDArray) -> pa.Table:
    """Return the per-object columns: `OBJECT_COLUMNS`, filled from the file where it has them, and the file's own."""
    plain = _plain_columns(table)
    known = {f.name: table[f.name] for f in OBJECT_COLUMNS if f.name in table.column_names}
    known |= {
        role: table[name] for role, aliases in roles.POSITION.items() if (name := roles.find_column(plain, aliases))
    }
    for role in roles.POSITION:
        if role in known and not pa.types.is_floating(known[role].type):
            del known[role]  # sexagesimal
    if b"goodricke" not in (table.schema.metadata or {}):  # a pack tells what the light curves were read from
        known |= {"source": path, "n_read": np.diff(offsets), "n_flagged": n_flagged.astype(np.int64)}
    known.setdefault("product", "nested Parquet")
    result = object_columns(len(table), **known)
    for name in plain.values():
        if name not in result.column_names and name != "object_id":
            result = result.append_column(name, table[name])
    return result
