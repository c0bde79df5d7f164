"""Light curves of objects, found among the files that were given, and nowhere else.

Where an object's light curves are is looked up once: nested Parquet (packs, HATS) by the column of ids alone, tables
with many objects by reading them. Of other files, with an object each, the catalog tells which is whose
(``source``); where it doesn't, they are read one after the other until the object is found.

What the page shows of one light curve: its points, its periodogram, a small picture.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from goodricke.data.lightcurves import LightCurves
from goodricke.evaluation.figures.style import COLOURS
from goodricke.explorer.table import Table
from goodricke.io import ReadOptions, Unreadable, nested, roles
from goodricke.io.files import Opened
from goodricke.io.reading import pieces
from goodricke.io.table import identifiers
from goodricke.preprocess.cleaning import align_bands, clip_outliers, distinct_points, finite_points
from goodricke.preprocess.periods import PeriodSearch, periodogram
from goodricke.survey.examine.sample import rows_of
from goodricke.survey.tasks import files_of
from goodricke.survey.variability import PLACE, Limits, highest_frequency, sine_amplitude

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
        Of the readers, see `goodricke.io.ReadOptions`.

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
    plain = roles.by_normal_name(f.name for f in schema if not pa.types.is_nested(f.type))
    wanted = options.columns.get("object_id")
    name = wanted if wanted in schema.names else roles.first(plain, roles.OBJECT_ID)
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


# ---- What the page shows of one light curve: its points, its periodogram, a small picture ----------------------------


Float = NDArray[np.float64]

SHOWN = 4000  # frequencies of a periodogram
PEAKS = 5
APART = 1.5  # natural widths 1 / span between two peaks
WIDTH, HEIGHT, EDGE = 150, 84, 5  # of a thumbnail
DRAWN = 400  # its points
BLUE_TO_RED = "uUBbgGVvrRiIzZyYJHK"  # last letters of bands' names
ONE_BAND = "#7d8794"
BLUE, RED, GREEN, PINK = COLOURS[:4]
BAND_COLOURS = {"u": BLUE, "B": BLUE, "g": GREEN, "V": GREEN, "G": GREEN, "r": RED, "R": RED, "i": PINK, "I": PINK}
SIZE = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
FRAME = f'<svg xmlns="http://www.w3.org/2000/svg" {SIZE}>{{}}</svg>'
EMPTY = FRAME.format("")


def points(curve: LightCurves, most: int, period: float | None) -> dict[str, Any]:
    """Return the observations of a light curve in order of time, at most so many of them, drawn at random."""
    curve = by_colour(finite_points(curve).sorted())
    shown = thinned(curve, most)
    return {
        "time": shown.time.tolist(),
        "value": _floats(shown.value),
        "error": _floats(shown.error),
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


def spectrum(curve: LightCurves, band: str | None = None) -> dict[str, Any]:
    """Return the Lomb-Scargle periodogram of a light curve, as the highest power in each of `SHOWN` steps.

    Parameters
    ----------
    curve : LightCurves
        One light curve.
    band : str, optional
        The one band to look at; by default all together, each less its median.

    Returns
    -------
    dict
        ``frequency`` [1/d], ``power`` (0 to 1), and ``peaks``: the highest ones, at least 1.5 / span apart, with
        ``amplitude`` the semi-amplitude of the sine that fits best, in the unit of the light curve.

    Raises
    ------
    ValueError
        If the light curve has no such band.
    """
    chosen = "all bands together, each less its median" if len(curve.bands) > 1 else ""
    if band:
        if band not in curve.bands:
            raise ValueError(f"no band {band!r} here: it has {', '.join(curve.bands)}")
        curve, chosen = curve.where(curve.band == curve.bands.index(band)), f"band {band} alone"
    clean = clip_outliers(align_bands(distinct_points(finite_points(curve)).sorted()), sigma=10, rounds=5)
    told: dict[str, Any] = {"frequency": [], "power": [], "peaks": [], "band": band, "note": chosen}
    if len(clean.time) < 5:
        return told | {"note": f"{len(clean.time)} usable observations: a periodogram needs 5"}
    search = PeriodSearch(shortest=1 / highest_frequency(clean.time, Limits()))
    found = periodogram(clean.time, clean.value, clean.error, search)
    if found is None:
        return told | {"note": "no period can be searched: no spread in brightness, or too little or too much time"}
    span = float(np.ptp(clean.time))
    peaks = [_peak(clean, found.frequency, found.power, k) for k in highest_peaks(found.frequency, found.power, span)]
    frequency, power = _outline(found.frequency, found.power)
    return told | {"frequency": frequency.tolist(), "power": power.tolist(), "peaks": peaks}


def highest_peaks(frequency: Float, power: Float, span: float, most: int = PEAKS) -> list[int]:
    """Return where the highest peaks of a periodogram are, the highest first, none within `APART` / span of another."""
    inner = np.flatnonzero((power[1:-1] >= power[:-2]) & (power[1:-1] > power[2:])) + 1
    found = list[int]()
    for k in inner[np.argsort(-power[inner], kind="stable")][:1000].tolist():
        if all(abs(frequency[k] - frequency[other]) > APART / span for other in found):
            found.append(k)
        if len(found) == most:
            break
    return found


def picture(curve: LightCurves, period: float | None) -> str:
    """Return a light curve as a small SVG without axes, folded where a period [d] is given; bright is up."""
    curve = by_colour(thinned(finite_points(curve), DRAWN))
    x = curve.time % period if period else curve.time
    y = -curve.value.astype(np.float64) if curve.in_magnitudes else curve.value.astype(np.float64)
    if len(y) > 10:
        low, high = np.quantile(y, (0.01, 0.99))
        y = np.clip(y, low - 0.15 * (high - low), high + 0.15 * (high - low))
    if period:
        x, y, band = np.r_[x, x + period], np.r_[y, y], np.r_[curve.band, curve.band]
    else:
        band = curve.band
    across, down = _scaled(x, EDGE, WIDTH - EDGE), _scaled(-y, EDGE, HEIGHT - EDGE)
    several = len(np.unique(band)) > 1
    paths = [
        _dots(across[band == b], down[band == b], _colour(curve.bands[b], int(b)) if several else ONE_BAND)
        for b in np.unique(band)
    ]
    return FRAME.format("".join(paths))


def by_colour(curve: LightCurves) -> LightCurves:
    """Return a light curve with its bands from blue to red: files have them in any order, and each object another."""
    order = sorted(range(len(curve.bands)), key=lambda k: (BLUE_TO_RED.find(curve.bands[k][-1:]), curve.bands[k]))
    place = np.argsort(order).astype(np.uint8)
    return replace(curve, bands=tuple(curve.bands[k] for k in order), band=place[curve.band])


def _colour(band: str, k: int) -> str:
    """Return the colour of a band's light, as in the page's charts."""
    return BAND_COLOURS.get(band[-1:], COLOURS[k % len(COLOURS)])


def _dots(x: Float, y: Float, colour: str) -> str:
    """Return dots as one path of strokes without length."""
    marks = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    return f'<path d="{marks}" stroke="{colour}" stroke-width="2.2" stroke-linecap="round"/>'


def _scaled(values: Float, low: float, high: float) -> Float:
    """Return numbers spread from low to high; all in the middle if they are one."""
    if not len(values) or not np.ptp(values) > 0:
        return np.full(len(values), (low + high) / 2)
    return low + (values - values.min()) / np.ptp(values) * (high - low)


def _peak(curve: LightCurves, frequency: Float, power: Float, k: int) -> dict[str, float]:
    """Return a peak, its frequency refined by a parabola through its three highest points."""
    left, middle, right = power[k - 1 : k + 2]
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend < 0 else 0.0
    at = float(frequency[k] + shift * (frequency[1] - frequency[0]))
    amplitude = sine_amplitude(curve.time, curve.value, curve.error, curve.band, at)
    return {"frequency": at, "period": 1 / at, "power": float(np.clip(middle, 0, 1)), "amplitude": amplitude}


def _outline(frequency: Float, power: Float) -> tuple[Float, Float]:
    """Return the highest power in each of `SHOWN` even steps, where it is: no peak is lost."""
    if len(power) <= SHOWN:
        return frequency, np.clip(power, 0, 1)
    starts = np.linspace(0, len(power), SHOWN + 1).astype(int)[:-1]
    step = np.searchsorted(starts, np.arange(len(power)), side="right") - 1
    order = np.lexsort((power, step))
    highest = order[np.r_[starts[1:], len(power)] - 1]
    return frequency[highest], np.clip(power[highest], 0, 1)


def _floats(values: NDArray[np.floating]) -> Sequence[float | None]:
    """Return numbers as JSON has them."""
    return [x if np.isfinite(x) else None for x in np.round(values.astype(np.float64), 9).tolist()]
