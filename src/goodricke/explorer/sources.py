"""Light curves of objects, found among the files that were given, and nowhere else.

Where an object's light curves are is looked up once: nested Parquet (packs, HATS) by the column of ids alone, tables
with many objects by reading them. Of other files, with an object each, the catalog tells which is whose
(``source``); where it doesn't, they are read one after the other until the object is found.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from goodricke.catalog.examination.sample import rows_of
from goodricke.catalog.periods import PLACE
from goodricke.catalog.tasks import files_of
from goodricke.explorer.table import Table
from goodricke.lightcurves import LightCurves
from goodricke.readers import ReadOptions, Unreadable, columns, nested
from goodricke.readers.opened import Opened
from goodricke.readers.streaming import pieces
from goodricke.readers.table import identifiers

log = logging.getLogger("goodricke")

KEPT = 64  # objects whose light curves are remembered
WHOLE = 4  # tables that are
WHOLE_POINTS = 20_000_000  # observations up to which they are
PIECE = 1 << 62


class Place(NamedTuple):
    """Where light curves are."""

    path: str
    group: int | None = None  # row group of a nested Parquet file
    rows: tuple[int, ...] = ()  # in that row group


@dataclass(frozen=True, eq=False)
class _Nested:
    """A nested Parquet file."""

    path: str
    ids: pa.Array
    ends: np.ndarray  # last row + 1 of each row group

    def places(self, object_id: str) -> list[Place]:
        rows = np.flatnonzero(pc.equal(self.ids, object_id).to_numpy(zero_copy_only=False))
        group = np.searchsorted(self.ends, rows, side="right")
        starts = np.r_[0, self.ends[:-1]]
        return [Place(self.path, int(g), tuple((rows[group == g] - starts[g]).tolist())) for g in np.unique(group)]


class Sources:
    """Light curves by their objects.

    Parameters
    ----------
    given : sequence of str
        Packs, HATS catalogs, files, folders, patterns, lists of files.
    table : Table
        The catalog's, whose rows are of these light curves.
    **options
        Of the readers, see `goodricke.readers.ReadOptions`.

    Raises
    ------
    ValueError
        If the sources name no file.
    """

    def __init__(self, given: Sequence[str], table: Table, **options: Any) -> None:
        self.options, self._table = ReadOptions(**options), table
        self.files = [os.path.abspath(path) for path in files_of(given, self.options.recursive)]
        missing = [path for path in self.files if not os.path.isfile(path)]
        if missing and len(missing) == len(self.files):
            raise ValueError(f"--light-curves {missing[0]}: no such file; give what the catalog was made from")
        self._allowed = {os.path.realpath(path): path for path in self.files}
        self._lock, self._indexed = threading.RLock(), False
        self._nested, self._single = list[_Nested](), list[str]()
        self._told: dict[str, list[str]] = {}  # files by object, of those that were read for their ids
        self._unread: Iterator[str] = iter(())
        self._found: OrderedDict[str, LightCurves | None] = OrderedDict()
        self._whole: OrderedDict[str, LightCurves] = OrderedDict()

    def of_row(self, row: int) -> LightCurves | None:
        """Return the light curve of a row of the catalog, None if there is none.

        Raises
        ------
        Unreadable
            If its file can't be read.
        """
        told = self._table.rows(np.array([row]), ["object_id"])
        if not told:
            return None
        object_id = told[0]["object_id"]
        curves = self.of(object_id)
        if curves is None:
            return None
        siblings = self._table.siblings(object_id, list(PLACE))
        names = curves.table_of_objects
        theirs = pa.table({"object_id": curves.object_id, **{n: names[n] for n in names.column_names if n in PLACE}})
        which = rows_of(siblings.drop_columns(["row"]), theirs)[siblings["row"].to_pylist().index(row)]
        if which < 0:
            return None
        return curves[np.array([which])]

    def of(self, object_id: str) -> LightCurves | None:
        """Return all light curves of an object, None if there are none.

        Raises
        ------
        Unreadable
            If a file of the object can't be read.
        """
        with self._lock:
            if object_id not in self._found:
                self._found[object_id] = self._read(object_id)
                while len(self._found) > KEPT:
                    self._found.popitem(last=False)
            self._found.move_to_end(object_id)
            return self._found[object_id]

    # ---- finding ----------------------------------------------------------------------------------------------------

    def _read(self, object_id: str) -> LightCurves | None:
        self._index()
        parts = [self._load(place) for found in self._nested for place in found.places(object_id)]
        if not parts:
            parts = [self._whole_file(path) for path in self._files_of(object_id)]
        kept = [part[rows] for part in parts if len(rows := _rows(part, object_id))]
        if not kept:
            return None
        same = [part for part in kept if (part.unit, part.time_scale) == (kept[0].unit, kept[0].time_scale)]
        return LightCurves.concat(same) if len(same) > 1 else same[0]

    def _index(self) -> None:
        """Look at each file once: which are nested Parquet, and whose light curves those hold."""
        if self._indexed:
            return
        for path in self.files:
            try:
                found = _ids_of(path, self.options) if path.endswith((".parquet", ".pq")) else None
            except (Unreadable, OSError, pa.ArrowException) as error:
                log.warning("%s: left out (%s)", path, error)
                continue
            if found is None:
                self._single.append(path)
            else:
                self._nested.append(found)
        self._unread, self._indexed = iter(self._single), True

    def _files_of(self, object_id: str) -> list[str]:
        """Return which of the other files an object's light curves are in."""
        known = self._told.get(object_id)
        if known:
            return known
        told = self._table.siblings(object_id, ["source"])
        sources = set(told["source"].to_pylist()) if "source" in told.column_names else set()
        here = [
            self._allowed[real] for s in sorted(filter(None, sources)) if (real := os.path.realpath(s)) in self._allowed
        ]
        if here:
            return here
        for path in self._unread:  # until it is found; the next object goes on from there
            self._note(path)
            if object_id in self._told:
                break
        return self._told.get(object_id, [])

    def _note(self, path: str) -> None:
        try:
            for name in set(self._whole_file(path).ids):
                self._told.setdefault(name, []).append(path)
        except Unreadable as error:
            log.warning("skipped %s", error)

    # ---- reading ----------------------------------------------------------------------------------------------------

    def _load(self, place: Place) -> LightCurves:
        """Read some rows of a row group."""
        assert place.group is not None
        file = Opened(place.path)
        table = file.parquet.read_row_group(place.group).take(pa.array(place.rows))
        meta = file.parquet.schema_arrow.metadata
        return nested.from_table(table.replace_schema_metadata(meta), self.options, place.path)

    def _whole_file(self, path: str) -> LightCurves:
        if path not in self._whole:
            parts = [curves for _, curves in pieces(path, self.options, PIECE)]
            whole = parts[0] if len(parts) == 1 else LightCurves.concat(parts)
            if len(whole.time) > WHOLE_POINTS:
                return whole
            self._whole[path] = whole
            while len(self._whole) > WHOLE:
                self._whole.popitem(last=False)
        return self._whole[path]


def _ids_of(path: str, options: ReadOptions) -> _Nested | None:
    """Return whose light curves a nested Parquet file holds, None if it is another file."""
    file = Opened(path)
    if not nested.recognises(file):
        return None
    schema, meta = file.parquet.schema_arrow, file.parquet.metadata
    plain = columns.by_normal_name(f.name for f in schema if not pa.types.is_nested(f.type))
    wanted = options.columns.get("object_id")
    name = wanted if wanted in schema.names else columns.first(plain, columns.OBJECT_ID)
    if name is None:
        return None
    column = file.parquet.read([name])[name]
    ids = None if column.null_count else identifiers(column, name)
    ends = np.cumsum([meta.row_group(i).num_rows for i in range(meta.num_row_groups)])
    return None if ids is None else _Nested(path, ids.combine_chunks() if hasattr(ids, "combine_chunks") else ids, ends)


def _rows(curves: LightCurves, object_id: str) -> np.ndarray:
    return np.flatnonzero(pc.equal(curves.object_id, object_id).to_numpy(zero_copy_only=False))


def thinned(curves: LightCurves, most: int) -> LightCurves:
    """Return one light curve with at most so many observations, drawn at random, the same each time."""
    n = len(curves.time)
    if n <= most:
        return curves
    keep = np.zeros(n, bool)
    keep[np.random.default_rng(0).permutation(n)[:most]] = True
    return curves.where(keep)
