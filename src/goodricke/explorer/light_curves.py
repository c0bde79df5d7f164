"""Light curves of the catalog's objects: where they are found, and what the page shows of one.

Light curves come only from the files that the user names. Nested Parquet (packs, HATS) is searched by its column of
ids; tables with many objects are read once. For files with one object each, the catalog's column ``source`` names the
file of an object; without it, they are read one after the other until the object is found.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.data.json import json_values
from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.figures.style import COLOURS
from goodricke.explorer.cache import Cache
from goodricke.explorer.table import CatalogTable
from goodricke.io import ReadOptions, Unreadable, nested, roles
from goodricke.io.files import SourceFile
from goodricke.io.reading import read_pieces
from goodricke.io.roles import identifiers
from goodricke.preprocess.cleaning import finite_points
from goodricke.survey.examine.sample import match_light_curves
from goodricke.survey.tasks import source_files
from goodricke.survey.variability import PLACE

log = logging.getLogger("goodricke")

Float = NDArray[np.float64]
Integers = NDArray[np.int64]

CACHED_OBJECTS = 64  # whose light curves stay in memory
CACHED_FILES = 4  # tables that do
MAX_CACHED_POINTS = 20_000_000  # observations up to which a table does
WIDTH, HEIGHT, MARGIN = 150, 84, 5  # of a thumbnail [px]
THUMBNAIL_POINTS = 400
BLUE_TO_RED = "uUBbgGVvrRiIzZyYJHK"  # last letters of bands' names
SINGLE_BAND_COLOUR = "#7d8794"
BLUE, RED, GREEN, PINK = COLOURS[:4]
BAND_COLOURS = {"u": BLUE, "B": BLUE, "g": GREEN, "V": GREEN, "G": GREEN, "r": RED, "R": RED, "i": PINK, "I": PINK}
SIZE = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
FRAME = f'<svg xmlns="http://www.w3.org/2000/svg" {SIZE}>{{}}</svg>'
EMPTY = FRAME.format("")


class Sources:
    """Light curves by their objects.

    Parameters
    ----------
    sources : sequence of str
        Packs, HATS catalogs, files, folders, patterns, lists of files.
    table : CatalogTable
        Of the catalog that was made from them.
    **options
        Of the readers, see `goodricke.io.ReadOptions`.

    Raises
    ------
    ValueError
        If none of the files exists.
    """

    def __init__(self, sources: Sequence[str], table: CatalogTable, **options: Any) -> None:
        self.options, self._table = ReadOptions(**options), table
        self.files = [os.path.abspath(path) for path in source_files(sources, self.options.recursive)]
        missing = [path for path in self.files if not os.path.isfile(path)]
        if missing and len(missing) == len(self.files):
            raise ValueError(f"--light-curves {missing[0]}: no such file; give what the catalog was made from")
        self._allowed = {os.path.realpath(path): path for path in self.files}
        self._lock, self._is_indexed = threading.RLock(), False
        self._nested, self._other_files = list[_NestedFile](), list[str]()
        self._files_by_object: dict[str, list[str]] = {}  # of those that were read for their ids
        self._unread: Iterator[str] = iter(())
        self._objects, self._tables = Cache(CACHED_OBJECTS), Cache(CACHED_FILES)

    def find_row(self, row: int) -> LightCurves | None:
        """Return the light curve of a row of the catalog, None if there is none.

        Raises
        ------
        Unreadable
            If its file can't be read.
        """
        rows = self._table.rows(np.array([row]), ["object_id"])
        curves = self.find(rows[0]["object_id"]) if rows else None
        if curves is None:
            return None
        own = self._table.rows_of_object(rows[0]["object_id"], list(PLACE))
        context = curves.table_of_objects
        keys = {"object_id": curves.object_id, **{n: context[n] for n in context.column_names if n in PLACE}}
        index = match_light_curves(own.drop_columns(["row"]), pa.table(keys))[own["row"].to_pylist().index(row)]
        return None if index < 0 else curves[np.array([index])]

    def find(self, object_id: str) -> LightCurves | None:
        """Return all light curves of an object, None if there are none.

        Raises
        ------
        Unreadable
            If a file of the object can't be read.
        """
        with self._lock:
            return self._objects.get(object_id, lambda: self._read(object_id))

    def _read(self, object_id: str) -> LightCurves | None:
        """Read the light curves of an object; of several units, those of the first."""
        self._index()
        parts = [part for file in self._nested for part in file.read(object_id, self.options) if len(part)]
        if not parts:
            tables = [self._read_file(path) for path in self._find_files(object_id)]
            parts = [table[rows] for table in tables if len(rows := _rows_of_object(table, object_id))]
        if not parts:
            return None
        kind = (parts[0].unit, parts[0].time_scale)
        alike = [part for part in parts if (part.unit, part.time_scale) == kind]
        return LightCurves.concat(alike) if len(alike) > 1 else alike[0]

    def _index(self) -> None:
        """Open each file once: read the ids of nested Parquet, list the others."""
        if self._is_indexed:
            return
        for path in self.files:
            try:
                file = _open_nested(path, self.options) if path.endswith((".parquet", ".pq")) else None
            except (Unreadable, OSError, pa.ArrowException) as error:
                log.warning("%s: left out (%s)", path, error)
                continue
            if file is None:
                self._other_files.append(path)
            else:
                self._nested.append(file)
        self._unread, self._is_indexed = iter(self._other_files), True

    def _find_files(self, object_id: str) -> list[str]:
        """Return which of the other files have light curves of an object."""
        if object_id in self._files_by_object:
            return self._files_by_object[object_id]
        rows = self._table.rows_of_object(object_id, ["source"])
        sources = set(rows["source"].to_pylist()) if "source" in rows.column_names else set()
        paths = [os.path.realpath(source) for source in sorted(filter(None, sources))]
        if files := [self._allowed[path] for path in paths if path in self._allowed]:
            return files
        for path in self._unread:  # until the object is found; a search for another one continues from there
            try:
                for name in set(self._read_file(path).ids):
                    self._files_by_object.setdefault(name, []).append(path)
            except Unreadable as error:
                log.warning("skipped %s", error)
            if object_id in self._files_by_object:
                break
        return self._files_by_object.get(object_id, [])

    def _read_file(self, path: str) -> LightCurves:
        """Read all light curves of a file."""
        return self._tables.get(path, lambda: self._read_table(path), keep=lambda t: len(t.time) <= MAX_CACHED_POINTS)

    def _read_table(self, path: str) -> LightCurves:
        parts = [curves for _, curves in read_pieces(path, self.options, 1 << 62)]
        return parts[0] if len(parts) == 1 else LightCurves.concat(parts)


@dataclass(frozen=True, eq=False)
class _NestedFile:
    """A nested Parquet file with its objects' ids."""

    path: str
    ids: pa.Array
    group_ends: Integers  # last row + 1 of each row group

    def read(self, object_id: str, options: ReadOptions) -> list[LightCurves]:
        """Read the light curves of an object, from each row group that has some."""
        rows = np.flatnonzero(pc.equal(self.ids, object_id).to_numpy(zero_copy_only=False))
        if not len(rows):
            return []
        file, parts = SourceFile(self.path), list[LightCurves]()
        groups = np.searchsorted(self.group_ends, rows, side="right")
        starts = np.r_[0, self.group_ends[:-1]]
        meta = file.parquet.schema_arrow.metadata
        for group in np.unique(groups).tolist():
            table = file.parquet.read_row_group(group).take(pa.array(rows[groups == group] - starts[group]))
            parts.append(nested.from_table(table.replace_schema_metadata(meta), options, self.path))
        return parts


def _open_nested(path: str, options: ReadOptions) -> _NestedFile | None:
    """Return a nested Parquet file with its ids, None if it is another file."""
    file = SourceFile(path)
    if not nested.recognises(file):
        return None
    schema, meta = file.parquet.schema_arrow, file.parquet.metadata
    aliases = roles.names_by_alias(f.name for f in schema if not pa.types.is_nested(f.type))
    chosen = options.columns.get("object_id")
    name = chosen if chosen in schema.names else roles.find_column(aliases, roles.OBJECT_ID)
    if name is None:
        return None
    column = file.parquet.read([name])[name]
    ids = None if column.null_count else identifiers(column, name)
    if ids is None:
        return None
    ends = np.cumsum([meta.row_group(i).num_rows for i in range(meta.num_row_groups)])
    return _NestedFile(path, ids.combine_chunks() if hasattr(ids, "combine_chunks") else ids, ends)


def _rows_of_object(curves: LightCurves, object_id: str) -> Integers:
    return np.flatnonzero(pc.equal(curves.object_id, object_id).to_numpy(zero_copy_only=False))


# ---- what the page shows of one light curve -------------------------------------------------------------------------


def thin(curves: LightCurves, most: int) -> LightCurves:
    """Return one light curve with at most so many observations, drawn at random, the same each time."""
    n = len(curves.time)
    if n <= most:
        return curves
    chosen = np.zeros(n, bool)
    chosen[np.random.default_rng(0).permutation(n)[:most]] = True
    return curves.where(chosen)


def points(curve: LightCurves, most: int, period: float | None) -> dict[str, Any]:
    """Return the observations of a light curve in order of time, at most so many of them, drawn at random."""
    curve = sort_bands(finite_points(curve).sorted())
    shown = thin(curve, most)
    return {
        "time": shown.time.tolist(),
        "value": _json_floats(shown.value),
        "error": _json_floats(shown.error),
        "band": shown.band.tolist(),
        "bands": list(shown.bands),
        "unit": shown.unit,
        "magnitudes": shown.in_magnitudes,
        "time_scale": shown.time_scale,
        "shown": len(shown.time),
        "total": len(curve.time),
        "period": period,
        "t0": float(curve.time[0]) if len(curve.time) else None,
    }


def join_light_curves(curves: LightCurves) -> LightCurves:
    """Return all light curves of a star as one, each brought to the level of the first.

    Total fluxes are multiplied so that the medians agree; magnitudes, and fluxes of differences, are shifted.
    """
    if len(curves) < 2:
        return curves
    value, levels = curves.value.copy(), [_level(curve) for curve in curves]
    first = next((level for level in levels if np.isfinite(level)), 0.0)
    for (start, stop), level in zip(pairwise(curves.offsets.tolist()), levels, strict=True):
        part = value[start:stop]
        if not np.isfinite(level):
            continue
        if not curves.in_magnitudes and min(level, first) > 5 * float(np.nanstd(part)):
            value[start:stop] = part * (first / level)
        else:
            value[start:stop] = part + (first - level)
    joined = curves[np.array([0])]
    return replace(
        joined,
        offsets=np.array([0, len(value)]),
        time=curves.time,
        value=value,
        error=curves.error,
        band=curves.band,
    ).sorted()


def _level(curve: LightCurves) -> float:
    """Return the median brightness of a light curve, NaN without any."""
    good = np.isfinite(curve.value)
    return float(np.median(curve.value[good])) if good.any() else np.nan


def subtract_frequency(curve: LightCurves, frequency: float, harmonics: int = 1) -> LightCurves:
    """Return a light curve less the best-fitting sines of a frequency and of its harmonics: prewhitened.

    Parameters
    ----------
    curve : LightCurves
        One. Each band with more than twice as many observations as the series has terms has a fit of its own.
    frequency : float
        [1/d]
    harmonics : int
        Number of sines, of 1, 2, ... times the frequency.
    """
    value = curve.value.astype(np.float64)
    good = np.isfinite(curve.time) & np.isfinite(value)
    cycles = frequency * (curve.time - curve.time[good].min(initial=0.0))
    angle = 2 * np.pi * np.multiply.outer(cycles - np.floor(cycles), np.arange(1, harmonics + 1))
    terms = np.concatenate([np.ones((len(value), 1)), np.cos(angle), np.sin(angle)], axis=1)
    for band in range(len(curve.bands)):
        here = good & (curve.band == band)
        if here.sum() <= 2 * terms.shape[1]:
            continue
        known = here & (curve.error > 0)
        weight = np.where(known, 1 / np.where(known, curve.error, 1), 1)[here] if known.sum() == here.sum() else 1.0
        fit = terms[here] * np.reshape(weight, (-1, 1))
        coefficients, *_ = np.linalg.lstsq(fit, value[here] * weight, rcond=None)
        value[here] -= terms[here][:, 1:] @ coefficients[1:]
    return replace(curve, value=value.astype(np.float32))


def thumbnail(curve: LightCurves, period: float | None) -> str:
    """Return a light curve as a small SVG without axes, folded where a period [d] is given; bright is up."""
    curve = sort_bands(thin(finite_points(curve), THUMBNAIL_POINTS))
    x = curve.time % period if period else curve.time
    y = -curve.value.astype(np.float64) if curve.in_magnitudes else curve.value.astype(np.float64)
    if len(y) > 10:
        low, high = np.quantile(y, (0.01, 0.99))
        y = np.clip(y, low - 0.15 * (high - low), high + 0.15 * (high - low))
    if period:
        x, y, band = np.r_[x, x + period], np.r_[y, y], np.r_[curve.band, curve.band]
    else:
        band = curve.band
    across, down = _spread(x, MARGIN, WIDTH - MARGIN), _spread(-y, MARGIN, HEIGHT - MARGIN)
    bands = np.unique(band)
    paths = [
        _dots(
            across[band == b],
            down[band == b],
            _band_colour(curve.bands[b], int(b)) if len(bands) > 1 else SINGLE_BAND_COLOUR,
        )
        for b in bands
    ]
    return FRAME.format("".join(paths))


def sort_bands(curve: LightCurves) -> LightCurves:
    """Return a light curve with its bands from blue to red: their order differs between files and objects."""
    order = sorted(range(len(curve.bands)), key=lambda k: (BLUE_TO_RED.find(curve.bands[k][-1:]), curve.bands[k]))
    rank = np.argsort(order).astype(np.uint8)
    return replace(curve, bands=tuple(curve.bands[k] for k in order), band=rank[curve.band])


def _band_colour(band: str, k: int) -> str:
    """Return the colour of a band's light, as in the page's charts."""
    return BAND_COLOURS.get(band[-1:], COLOURS[k % len(COLOURS)])


def _dots(x: Float, y: Float, colour: str) -> str:
    """Return dots as one path of strokes without length."""
    marks = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    return f'<path d="{marks}" stroke="{colour}" stroke-width="2.2" stroke-linecap="round"/>'


def _spread(values: Float, low: float, high: float) -> Float:
    """Return numbers scaled to the range from low to high; all in its middle if they are equal."""
    if not len(values) or not np.ptp(values) > 0:
        return np.full(len(values), (low + high) / 2)
    return low + (values - values.min()) / np.ptp(values) * (high - low)


def _json_floats(values: NDArray[np.floating]) -> list[float | None]:
    """Return numbers with nine decimals, null for NaN."""
    return json_values(np.round(values.astype(np.float64), 9))
