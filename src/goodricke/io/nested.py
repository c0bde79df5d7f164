"""Nested Parquet: one row per object, its light curve in a list; HATS, nested-pandas, LSDB and goodricke write it.

The light curve is a ``struct<list>`` or ``list<struct>`` column of any name, or several plain list columns side by side
(time, mag, ...), in one band or with the band before each name (g_time, g_mag, r_time, ...); the names inside are found
and judged by `roles` as those of any table. Of several nested columns `ReadOptions.light_curve` chooses one. The other
columns become per-object columns. A file of any size is read a few rows at a time; a row without an identifier is left
out. JSON with lists in its records is read in the same way.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.data import ragged
from goodricke.data.arrow import (
    as_arrow,
    first_uneven,
    inner_fields,
    inner_lists,
    is_list,
    list_lengths,
    one_chunk,
    strings,
)
from goodricke.data.lightcurves import LightCurves
from goodricke.io import json_tables, roles
from goodricke.io.files import SourceFile, name_stem
from goodricke.io.fits import CUT_SHORT
from goodricke.io.measurements import (
    N_FIRST,
    Evidence,
    Remarks,
    first_times,
    measure,
    parse,
    warn_of_unknown_unit,
)
from goodricke.io.observations import OBJECT_COLUMNS, choose_bands, object_columns
from goodricke.io.options import ReadOptions, Unreadable

logger = logging.getLogger("goodricke")

NAME = "nested"
SIDE_BY_SIDE = ""  # stands for plain list columns instead of one nested column
BAND_FIRST = re.compile(r"^(u|g|r|i|z|y|U|B|V|R|I|J|H|K|G|bp|rp|BP|RP|zg|zr|zi|w1|w2|W1|W2)[_.](\w+)$")
SAMPLE = 1000  # rows from which columns of one meaning are told apart
EVIDENCE_ROWS = 1 << 15  # read at a time where the whole file is looked at
PARTITION = re.compile(r"^(Norder|Npix)=(\d+)$")  # folders and files of a HATS catalog


def recognises(file: SourceFile) -> bool:
    """Tell whether the file is Parquet or JSON with lists in it, and no plain table that happens to have one."""
    if file.kind == "json":
        try:
            return bool(_candidates(json_tables.read_table(file).schema))
        except Unreadable:  # the reader of tables raises it again
            return False
    return file.kind == "parquet" and bool(_candidates(file.parquet.schema_arrow))


def holds_lists(schema: pa.Schema) -> bool:
    """Tell whether a table has one light curve per row, in lists, and not one observation."""
    return bool(_candidates(schema))


def read(file: SourceFile, options: ReadOptions) -> LightCurves:
    """Read the whole file; an empty partition of a HATS catalog gives no light curve.

    Raises
    ------
    Unreadable
        If no nested column holds times and brightnesses, or several do.
    """
    parts = list(stream(file, options, 1 << 62))
    if not parts:
        return LightCurves.from_arrays(pa.array([], pa.string()), np.zeros(1, np.int64), np.zeros(0), np.zeros(0))
    return parts[0] if len(parts) == 1 else LightCurves.concat(parts)


def stream(file: SourceFile, options: ReadOptions, max_points: int) -> Iterator[LightCurves]:
    """Read the file in batches of about ``max_points`` observations.

    Raises
    ------
    Unreadable
        As `read`, and if the file is damaged further on.
    """
    if file.kind == "json":
        yield from_table(json_tables.read_table(file), options, file.path)
        return
    if not file.parquet.metadata.num_rows:
        if _partition(file.path):
            return
        raise Unreadable(file.path, "is a table without rows", "leave the file out")
    schema = file.parquet.schema_arrow
    column, match = _find_light_curve(schema, file.path, options, lambda: _sample(file))
    file.columns_read = [f"{column}.{name}" if column else name for name in match.used]
    file.columns_ignored = _unused_columns(schema, column, match)
    groups = range(file.parquet.num_row_groups) if file.groups is None else file.groups
    wanted = _wanted_columns(schema, column)
    size = min(max(1, int(max_points / max(_points_per_row(file, wanted, groups), 1.0))), 1 << 20)
    first = sum(file.parquet.metadata.row_group(i).num_rows for i in range(groups.start))
    remarks = Remarks(file.path, file.left_out, file.origins)
    parts, whole = _Parts(file.path, options, column, match, remarks), _WholeFile(file, options, column, match, remarks)
    for table in _tables(file, size, wanted, groups):
        parts.whole = None if len(table) == file.parquet.metadata.num_rows else whole
        part = parts.light_curves(table, first)
        first += len(table)
        yield part
    remarks.say_left_out()


def _unused_columns(schema: pa.Schema, column: str, match: roles.Match) -> list[str]:
    """Return the columns inside the nested one that aren't used, and other nested ones."""
    candidates = _candidates(schema)
    inner = [f"{column}.{name}" if column else name for name in candidates[column] if name not in match.used]
    return [*inner, *(name for name in candidates if name not in (column, SIDE_BY_SIDE))]


class _WholeFile:
    """What all rows of a file say, whichever of them are read: a `WholeTable`; nothing is read before it is asked."""

    def __init__(
        self, file: SourceFile, options: ReadOptions, column: str, match: roles.Match, remarks: Remarks
    ) -> None:
        self._file, self._options, self._column = file, options, column
        self._match, self._remarks = match, remarks
        self._evidence: Evidence | None = None
        self._first_times: NDArray[np.float64] | None = None
        self._distinct: dict[tuple[str, str], pa.Array] = {}

    def evidence(self) -> Evidence:
        """Return the evidence about doubtful numbers."""
        if self._evidence is None:
            self._evidence, stated = (
                Evidence(),
                _stated_units(self._file.parquet.schema_arrow, self._column, self._match),
            )
            names = [name for name in self._match.per_observation if name != self._match.band]
            for flat in self._flat(names, EVIDENCE_ROWS):
                parsed = parse(flat, self._match, self._options, self._file.path, stated, 0.0, self._remarks, self)
                self._evidence.add(parsed)
        return self._evidence

    def distinct(self, column: str) -> pa.Array:
        """Return the distinct values of a column of the light curves."""
        key = ("light curves", column)
        if key not in self._distinct:
            self._distinct[key] = _unique(flat[column] for flat in self._flat([column], EVIDENCE_ROWS))
        return self._distinct[key]

    def distinct_of_objects(self, column: str) -> pa.Array:
        """Return the distinct values of a column with one value per object."""
        key = ("objects", column)
        if key not in self._distinct:
            self._distinct[key] = _unique(table[column] for table in self._tables([column], EVIDENCE_ROWS))
        return self._distinct[key]

    def first_times(self) -> NDArray[np.float64]:
        """Return the first times of the file, in its own unit."""
        if self._first_times is None:
            found, name = np.zeros(0), self._match.time
            for flat in self._flat([name], SAMPLE):
                found = np.concatenate([found, roles.day_numbers(flat[name], name, self._file.path)])
                if len(first_times(found)) == N_FIRST:
                    break
            self._first_times = first_times(found)
        return self._first_times

    def begin(self, flat: Mapping[str, pa.Array]) -> None:
        """Take the first times from the first rows of the file, if these are enough."""
        name = self._match.time
        first = first_times(roles.day_numbers(flat[name].slice(0, 10 * N_FIRST), name, self._file.path))
        if len(first) == N_FIRST:
            self._first_times = first

    def _flat(self, names: Sequence[str], size: int) -> Iterator[dict[str, pa.Array]]:
        """Give columns of the light curves, flattened, a few rows at a time."""
        for table in self._tables(_leaves(self._file, self._column, names), size):
            yield _flatten(table, self._column, names, self._file.path)[1]

    def _tables(self, columns: list[str], size: int) -> Iterator[pa.Table]:
        yield from _tables(self._file, size, columns, range(self._file.parquet.num_row_groups))


def _unique(arrays: Iterable[pa.Array | pa.ChunkedArray]) -> pa.Array:
    """Return the distinct values of arrays, as text if they are that."""
    parts = [pc.unique(strings(array) if pa.types.is_dictionary(array.type) else as_arrow(array)) for array in arrays]
    return pc.unique(pa.concat_arrays(parts))


def _leaves(file: SourceFile, column: str, names: Sequence[str]) -> list[str]:
    """Return the parts of a Parquet file that hold some columns of the light curves."""
    schema, paths = file.parquet.schema_arrow, file.parquet.schema
    lists = [f.name for f in schema if is_list(f.type)]
    if column == SIDE_BY_SIDE:
        return list(names) if set(names) <= set(lists) else lists
    leaves = [paths.column(i).path for i in range(len(paths))]
    inner = [leaf for leaf in leaves if leaf.startswith(f"{column}.") and {*leaf.split(".")[1:]} & {*names}]
    return inner if len(inner) >= len(names) else [column]


def _sample(file: SourceFile) -> pa.Table:
    """Return the first rows of a file."""
    return next(_tables(file, SAMPLE, file.parquet.schema_arrow.names, range(file.parquet.num_row_groups)))


def from_table(table: pa.Table, options: ReadOptions, name: str) -> LightCurves:
    """Return the light curves of a table in memory as `read` does those of a file; ``name`` stands for its path.

    Raises
    ------
    Unreadable
        As `read`.
    """
    column, match = _find_light_curve(table.schema, name, options, lambda: table.slice(0, SAMPLE))
    table, remarks = table.select(_wanted_columns(table.schema, column)), Remarks(name)
    curves = _Parts(name, options, column, match, remarks).light_curves(table, 0)
    remarks.say_left_out()
    return choose_bands(curves, options, name)


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


def _find_light_curve(
    schema: pa.Schema, path: str, options: ReadOptions, sample: Callable[[], pa.Table]
) -> tuple[str, roles.Match]:
    """Return the nested column that holds times and brightnesses, and the names inside it."""
    candidates = _candidates(schema)
    named = [name for name in candidates if name != SIDE_BY_SIDE]
    if options.light_curve is not None:
        if options.light_curve not in named:
            reason = f"has no nested column {options.light_curve}; it has {', '.join(named) or 'none'}"
            raise Unreadable(path, reason, f"--light-curve {named[0]}" if named else "leave --light-curve out")
        candidates = {options.light_curve: candidates[options.light_curve]}
    fitting, refusals = {}, list[Unreadable]()
    for column, names in candidates.items():
        try:
            fitting[column] = _match_inside(column, names, path, options, sample)
        except Unreadable as refusal:
            refusals.append(refusal)
    if "lightcurve" in fitting:  # what goodricke and HATS call it
        return "lightcurve", fitting["lightcurve"]
    if len(fitting) > 1:
        columns = [name for name in fitting if name != SIDE_BY_SIDE]
        proposed = next((name for name in columns if "forced" in name.lower()), columns[0])
        fix = f"choose one, --light-curve {proposed}"
        raise Unreadable(path, f"has several nested light curves: {', '.join(columns)}", fix)
    if not fitting:
        raise refusals[0]
    return next(iter(fitting.items()))


def _match_inside(
    column: str, names: Sequence[str], path: str, options: ReadOptions, sample: Callable[[], pa.Table]
) -> roles.Match:
    """Choose the column for each role inside a nested column, or among lists side by side."""
    inner = {role: name for role, name in options.chosen.items() if role != "object_id"}
    if column == SIDE_BY_SIDE and (bands := _names_by_band(names)):
        names = [*next(iter(bands.values())), "band"]

    def load(name: str) -> pa.Array:
        return _flatten(sample(), column, [name], path)[1][name]

    return roles.match_columns(names, inner, path, load)


def _names_by_band(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the columns by band and by what follows the band in their names, empty unless all are written so."""
    bands: dict[str, dict[str, str]] = {}
    for name in names:
        if (match := BAND_FIRST.match(name)) is None:
            return {}
        bands.setdefault(match[1], {})[match[2]] = name
    first = next(iter(bands.values()), {})
    return bands if len(first) > 1 and all(inner.keys() == first.keys() for inner in bands.values()) else {}


def _wanted_columns(schema: pa.Schema, column: str) -> list[str]:
    """Return the columns to load: the light curve, and whatever is one number or text per object."""
    light_curve = [f.name for f in schema if f.name == column or (column == SIDE_BY_SIDE and is_list(f.type))]
    plain = [f.name for f in schema if not pa.types.is_nested(f.type) and not pa.types.is_binary(f.type)]
    return [name for name in schema.names if name in {*light_curve, *plain}]


def _points_per_row(file: SourceFile, names: list[str], groups: range) -> float:
    """Return the mean length of the longest list in row groups: that of the first, in proportion to their bytes."""
    if not len(groups):
        return 0.0
    (rows, points), metadata = row_group_sizes(file, names, groups[:1])[0], file.parquet.metadata
    n_rows, n_bytes = zip(*((g.num_rows, g.total_byte_size) for g in map(metadata.row_group, groups)), strict=True)
    growth = (sum(n_bytes) / max(sum(n_rows), 1)) / max(n_bytes[0] / max(n_rows[0], 1), 1.0)
    return points / max(rows, 1) * max(growth, 0.0)


def row_group_sizes(file: SourceFile, names: Sequence[str], groups: range) -> list[tuple[int, int]]:
    """Return the rows of row groups and the values of their longest list among columns, from the Parquet footer.

    Raises
    ------
    Unreadable
        If a row group can't be read: its first row is, because damage that reading reports as an error ends the whole
        process where the footer is asked (Arrow doesn't catch it there).
    """
    paths = file.parquet.schema
    leaves = [j for j in range(len(paths)) if paths.column(j).path.split(".")[0] in names]
    sizes = []
    for i in groups:
        next(_tables(file, 1, list(names), range(i, i + 1)), None)
        group = file.parquet.metadata.row_group(i)
        sizes.append((group.num_rows, max((group.column(j).num_values for j in leaves), default=0)))
    return sizes


# ---- rows to light curves -----------------------------------------------------------------------------------------


@dataclass
class _Parts:
    """How some rows of a nested table become light curves.

    Parameters
    ----------
    path : str
    options : ReadOptions
    column : str
        The nested column.
    match : roles.Match
        The columns inside it.
    remarks : Remarks
        Of the whole file.
    whole : _WholeFile, optional
        The file, unless the rows are all of it.
    """

    path: str
    options: ReadOptions
    column: str
    match: roles.Match
    remarks: Remarks
    whole: _WholeFile | None = None

    def light_curves(self, table: pa.Table, first: int) -> LightCurves:
        """Return the light curves of some rows; ``first`` is the number of the first of them."""
        metadata, match = table.schema.metadata or {}, self.match
        table, ids = _identified(self.path, table, self.options, first, self.whole)
        offsets, flat = _flatten(table, self.column, match.per_observation, self.path)
        if b"unit" in metadata:
            match = replace(match, kind="")
        if self.whole is not None and not first:
            self.whole.begin(flat)
        measured = measure(
            flat,
            match,
            self.options,
            self.path,
            _stated_units(table.schema, self.column, match),
            stated_scale=metadata.get(b"time_scale", b"").decode() or None,
            codes=ragged.owner(offsets),
            remarks=self.remarks,
            whole=self.whole,
            stated_in="metadata",
        )
        warn_of_unknown_unit(measured.unit, self.options, self.remarks)
        bands, band = _bands(flat, table, match, self.options, offsets, self.path, self.whole)
        timed, good = np.isfinite(measured.time), measured.good
        used = timed & good & np.isfinite(measured.value)
        counts = {"n_flagged": ragged.total(timed & ~good, offsets), "n_used": ragged.total(used, offsets)}
        curves = LightCurves.from_arrays(
            ids,
            offsets,
            measured.time,
            measured.value,
            measured.error,
            band,
            bands=bands,
            unit=measured.unit,
            time_scale=measured.time_scale,
            objects=_objects(self.path, table, offsets, counts),
        )
        return curves if used.all() else curves.where(used)


def _stated_units(schema: pa.Schema, column: str, match: roles.Match) -> dict[str, str]:
    """Return the units of the columns of a light curve, from their metadata; the table's is that of the brightness."""
    fields = schema if column == SIDE_BY_SIDE else inner_fields(schema.field(column).type)
    stated = {f.name: f.metadata[b"unit"].decode() for f in fields if f.metadata and b"unit" in f.metadata}
    unit = (schema.metadata or {}).get(b"unit")
    return stated | ({match.value: unit.decode()} if unit else {})


def _flatten(
    table: pa.Table, column: str, names: Sequence[str], path: str
) -> tuple[NDArray[np.int64], dict[str, pa.Array]]:
    """Return the offsets (n + 1,) and the flat columns (N,) of some names.

    Raises
    ------
    Unreadable
        If the lists of one row differ in length.
    """
    if column == SIDE_BY_SIDE and not set(names) <= set(table.column_names):
        return _flatten_bands(table, names, path)
    lists = table if column == SIDE_BY_SIDE else inner_lists(table[column])
    if uneven := first_uneven([lists[name] for name in names]):
        name, row = names[uneven[0]], uneven[1] + 1
        raise Unreadable(path, f"has {names[0]} and {name} of different length in row {row}", "fix the row")
    offsets = ragged.offsets_from_counts(list_lengths(lists[names[0]]))
    return offsets, {name: one_chunk(lists[name]).flatten() for name in names}


def _flatten_bands(table: pa.Table, names: Sequence[str], path: str) -> tuple[NDArray[np.int64], dict[str, pa.Array]]:
    """Return offsets and flat columns of lists with the band before their names, the bands one after another."""
    bands = _names_by_band(_candidates(table.schema)[SIDE_BY_SIDE])
    inner = [name for name in names if name != "band"] or [next(iter(next(iter(bands.values()))))]
    parts = [_flatten(table, SIDE_BY_SIDE, [columns[name] for name in inner], path) for columns in bands.values()]
    counts = [np.diff(offsets) for offsets, _ in parts]
    order = pa.array(np.argsort(np.concatenate([ragged.owner(offsets) for offsets, _ in parts]), kind="stable"))
    flat = {}
    for i, name in enumerate(inner):
        columns = [list(part.values())[i] for _, part in parts]
        flat[name] = pa.concat_arrays(columns).take(order)
    codes = np.repeat(np.arange(len(bands)), [int(count.sum()) for count in counts])
    flat["band"] = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(list(bands))).take(order)
    return ragged.offsets_from_counts(np.sum(counts, axis=0)), {name: flat[name] for name in names}


def _bands(
    flat: Mapping[str, pa.Array],
    table: pa.Table,
    match: roles.Match,
    options: ReadOptions,
    offsets: NDArray[np.int64],
    path: str,
    whole: _WholeFile | None,
) -> tuple[tuple[str, ...], NDArray[np.uint8] | None]:
    """Return the bands' names and each observation's index, from inside the light curve or from a column of objects."""
    if (name := match.band) is not None:
        label = match.band_label
        return roles.bands(flat[name], label, options, path, partial(whole.distinct, name) if whole else None)
    name = roles.find_column(_plain_columns(table), roles.BAND)
    values, all_values = (
        table[name] if name else None,
        partial(whole.distinct_of_objects, name) if whole and name else None,
    )
    bands, band = roles.bands(values, name, options, path, all_values, match.band_in_name)
    return bands, None if band is None else ragged.spread(band, offsets)


def _plain_columns(table: pa.Table) -> dict[str, str]:
    """Return the names of the columns with one number or text per object, by their normal name."""
    return roles.names_by_alias(f.name for f in table.schema if not pa.types.is_nested(f.type))


def _identified(
    path: str, table: pa.Table, options: ReadOptions, first: int, whole: _WholeFile | None
) -> tuple[pa.Table, pa.Array]:
    """Return the rows that have an identifier and those; if none has, all rows, called after the file and numbered."""
    chosen = options.columns.get("object_id")
    name = chosen if chosen in table.column_names else roles.find_column(_plain_columns(table), roles.OBJECT_ID)
    if name is not None and _has_values(table[name], name, whole):
        if n := table[name].null_count:
            logger.warning("%s: %d rows without %s are left out", path, n, name)
            table = table.filter(pc.is_valid(table[name]))
        return table, roles.identifiers(
            table[name], name, path, partial(whole.distinct_of_objects, name) if whole else None
        )
    stem = _partition(path) or name_stem(path)
    if not first:
        logger.warning("%s has no identifiers: its objects are called %s:0, %s:1, ...", path, stem, stem)
    return table, pa.array([f"{stem}:{first + i}" for i in range(len(table))], pa.string())


def _has_values(column: pa.ChunkedArray, name: str, whole: _WholeFile | None) -> bool:
    """Tell whether a column has any value, in these rows or in others of the file."""
    if column.null_count < max(len(column), 1):
        return True
    return whole is not None and bool(len(whole.distinct_of_objects(name).drop_null()))


def _partition(path: str) -> str:
    """Return order and pixel of a partition of a HATS catalog, which a file's name alone doesn't tell apart."""
    matches = [PARTITION.match(name_stem(part)) for part in Path(path).parts]
    found = {match[1]: match[2] for match in matches if match}
    return f"Norder={found['Norder']}:Npix={found['Npix']}" if len(found) == 2 else ""


def _objects(path: str, table: pa.Table, offsets: NDArray[np.int64], counts: Mapping[str, NDArray]) -> pa.Table:
    """Return the per-object columns: `OBJECT_COLUMNS`, filled from the file where it has them, and the file's own."""
    plain = _plain_columns(table)
    known = {f.name: table[f.name] for f in OBJECT_COLUMNS if f.name in table.column_names}
    known |= {
        role: table[name] for role, aliases in roles.POSITION.items() if (name := roles.find_column(plain, aliases))
    }
    for role in roles.POSITION:
        if role in known and not pa.types.is_floating(known[role].type):
            if (angles := roles.degrees(known[role], role)) is None:
                del known[role]
            else:
                known[role] = pa.array(angles, from_pandas=True)
    if b"goodricke" not in (table.schema.metadata or {}):  # a pack tells what the light curves were read from
        known |= {"source": path, "n_read": np.diff(offsets)}
        known |= {name: values.astype(np.int64) for name, values in counts.items()}
    known.setdefault("product", "nested Parquet")
    result = object_columns(len(table), **known)
    for name in plain.values():
        if name not in result.column_names and name != "object_id":
            result = result.append_column(name, table[name])
    return result
