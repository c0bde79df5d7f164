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
from goodricke.preprocess.cleaning import align_bands, clip_outliers, distinct_points, finite_points
from goodricke.preprocess.periods import PeriodSearch, periodogram
from goodricke.survey.examine.sample import match_light_curves
from goodricke.survey.tasks import source_files
from goodricke.survey.variability import PLACE, SearchLimits, highest_frequency, refine_peak, sine_amplitude

log = logging.getLogger("goodricke")

Float = NDArray[np.float64]
Integers = NDArray[np.int64]

CACHED_OBJECTS = 64  # whose light curves stay in memory
CACHED_FILES = 4  # tables that do
MAX_CACHED_POINTS = 20_000_000  # observations up to which a table does
MAX_FREQUENCIES = 4000  # of a periodogram on the page
PEAKS = 5
MIN_SEPARATION = 1.5  # of two peaks, in natural widths 1 / span
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


def periodogram_peaks(curve: LightCurves, band: str | None = None) -> dict[str, Any]:
    """Return the Lomb-Scargle periodogram of a light curve and its highest peaks.

    Parameters
    ----------
    curve : LightCurves
        One light curve.
    band : str, optional
        The only band to use; by default all together, each less its median.

    Returns
    -------
    dict
        ``frequency`` [1/d] and ``power`` (0 to 1), the highest in each of `MAX_FREQUENCIES` steps; ``peaks``, at least
        `MIN_SEPARATION` / span apart, with ``amplitude``, the semi-amplitude of the best-fitting sine in the unit of
        the light curve.

    Raises
    ------
    ValueError
        If the light curve has no such band.
    """
    note = "all bands together, each less its median" if len(curve.bands) > 1 else ""
    if band:
        if band not in curve.bands:
            raise ValueError(f"no band {band!r} here: it has {', '.join(curve.bands)}")
        curve, note = curve.where(curve.band == curve.bands.index(band)), f"only band {band}"
    clean = clip_outliers(align_bands(distinct_points(finite_points(curve)).sorted()), sigma=10, rounds=5)
    result: dict[str, Any] = {"frequency": [], "power": [], "peaks": [], "band": band, "note": note}
    if len(clean.time) < 5:
        return result | {"note": f"{len(clean.time)} usable observations: a periodogram needs 5"}
    search = PeriodSearch(shortest=1 / highest_frequency(clean.time, SearchLimits()))
    spectrum = periodogram(clean.time, clean.value, clean.error, search)
    if spectrum is None:
        return result | {"note": "no period can be searched: no spread in brightness, or too little or too much time"}
    frequency, power = spectrum.frequency, spectrum.power
    peaks = [_peak(clean, frequency, power, k) for k in highest_peaks(frequency, power, float(np.ptp(clean.time)))]
    frequency, power = _outline(frequency, power)
    return result | {"frequency": frequency.tolist(), "power": power.tolist(), "peaks": peaks}


def highest_peaks(frequency: Float, power: Float, span: float, most: int = PEAKS) -> list[int]:
    """Return the indices of a periodogram's highest peaks, highest first, at least `MIN_SEPARATION` / span apart."""
    inner = np.flatnonzero((power[1:-1] >= power[:-2]) & (power[1:-1] > power[2:])) + 1
    peaks = list[int]()
    for k in inner[np.argsort(-power[inner], kind="stable")][:1000].tolist():
        if all(abs(frequency[k] - frequency[other]) > MIN_SEPARATION / span for other in peaks):
            peaks.append(k)
        if len(peaks) == most:
            break
    return peaks


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


def _peak(curve: LightCurves, frequency: Float, power: Float, k: int) -> dict[str, float]:
    """Return the peak at index ``k`` of a periodogram."""
    peak = refine_peak(frequency, power, k)
    amplitude = sine_amplitude(curve.time, curve.value, curve.error, curve.band, peak)
    return {"frequency": peak, "period": 1 / peak, "power": float(np.clip(power[k], 0, 1)), "amplitude": amplitude}


def _outline(frequency: Float, power: Float) -> tuple[Float, Float]:
    """Return the highest power in each of `MAX_FREQUENCIES` even steps and its frequency: no peak is lost."""
    if len(power) <= MAX_FREQUENCIES:
        return frequency, np.clip(power, 0, 1)
    starts = np.linspace(0, len(power), MAX_FREQUENCIES + 1).astype(int)[:-1]
    step = np.searchsorted(starts, np.arange(len(power)), side="right") - 1
    order = np.lexsort((power, step))
    highest = order[np.r_[starts[1:], len(power)] - 1]
    return frequency[highest], np.clip(power[highest], 0, 1)


def _json_floats(values: NDArray[np.floating]) -> list[float | None]:
    """Return numbers with nine decimals, null for NaN."""
    return json_values(np.round(values.astype(np.float64), 9))
