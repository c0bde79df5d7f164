"""Light curves from requests: JSON as `schemas.LightCurve`, or a file of any product that `goodricke.io` reads.

An uploaded file is read in a private temporary folder, under a safe name. Only its own contents count: a list of paths
is not followed, and a file that refers to other files is refused.
"""

from __future__ import annotations

import gzip
import logging
import re
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from goodricke.data import photometry, ragged
from goodricke.data.arrow import NO_BAND
from goodricke.data.lightcurves import LightCurves
from goodricke.io import ReadOptions, Unreadable, measurements, roles
from goodricke.io.files import SourceFile
from goodricke.io.reading import read_pieces
from goodricke.service.schemas import MAX_CURVES, MAX_POINTS, LightCurve

MAX_BYTES = 32 << 20  # of a request
MAX_UNPACKED = 256 << 20  # bytes of a file after decompression

# A VOTable may have its data in another place, even in a file of this machine, from where astropy would read them.
EXTERNAL_DATA = re.compile(rb"<\s*[\w:]*STREAM[^>]*(href|gzip)|<!ENTITY", re.IGNORECASE)


WHERE = "The light curves"  # what messages call those in JSON


class TooLargeError(ValueError):
    """A request holds more than the service takes."""


Batches = list[tuple[NDArray[np.int64], LightCurves]]  # light curves, with their positions in the request


def light_curves_from_json(items: Sequence[LightCurve], columns: Sequence[str] = ()) -> tuple[Batches, dict[int, str]]:
    """Return light curves in batches of one unit and time scale, and why others can't be read.

    Parameters
    ----------
    items : sequence of LightCurve
    columns : sequence of str
        Context columns of the model, which each item must have.

    Returns
    -------
    list of (int (n,), LightCurves)
        The light curves that can be read, each with its position among the items. They are those of a request without
        the others.
    dict of str
        By position, what is wrong with each of the others and the fix.

    Raises
    ------
    TooLargeError
        If there are too many light curves or observations.
    """
    _check_size(len(items), sum(len(item.time) for item in items))
    kinds, faults = dict[tuple[str, str, str | None], list[int]](), dict[int, str]()
    for number, item in enumerate(items):
        first = measurements.first_times(_floats(item.time))
        scale = item.time_scale or measurements.infer_time_scale("", first)
        if fault := _fault(item, first, columns):
            faults[number] = fault
        else:
            kinds.setdefault((item.unit, scale, item.time_scale), []).append(number)
    batches: Batches = []
    for (_, scale, _), rows in kinds.items():
        batches += _batches(items, rows, columns, scale, faults)
    return batches, faults


def _fault(item: LightCurve, first: NDArray[np.float64], columns: Sequence[str]) -> str | None:
    """Return what is wrong with a light curve, by its first times (m,), and the fix; None if nothing is."""
    if missing := [name for name in columns if name not in item.columns]:
        return (
            f"lacks {', '.join(missing)}, which the model needs for each object. "
            f'Fix: add it, {{"columns": {{"{missing[0]}": 0.1}}}}, null where unknown'
        )
    if item.time_scale is None and len(first) and (middle := float(np.median(first))) > measurements.MOST_DAYS:
        return (
            f"has times around {middle:.6g}, which are no days: seconds, as a rule. "
            'Fix: convert them to days, or state the scale, "time_scale"'
        )
    return None


def _batches(
    items: Sequence[LightCurve], rows: list[int], columns: Sequence[str], scale: str, faults: dict[int, str]
) -> Batches:
    """Return some items of one kind as batches: one, unless they can't be read together; add their faults."""
    try:
        return [(np.array(rows), _batch([items[row] for row in rows], columns, scale))]
    except ValueError as error:
        if len(rows) > 1:
            return [batch for row in rows for batch in _batches(items, [row], columns, scale, faults)]
        is_known = isinstance(error, Unreadable)
        faults[rows[0]] = f"{error.reason}. Fix: {error.fix}" if is_known else str(error)  # type: ignore[attr-defined]
        return []


def _batch(items: Sequence[LightCurve], columns: Sequence[str], scale: str) -> LightCurves:
    """Return light curves of one unit and scale, judged by `measurements` as those of any table are.

    Raises
    ------
    ValueError
        If they can't be read, or not together: of more than 256 bands.
    """
    bands, band = roles.bands(
        pa.array([name for item in items for name in _band_names(item)], pa.string()), "band", ReadOptions(), WHERE
    )
    data = {"time": np.concatenate([_floats(item.time) for item in items])}
    with np.errstate(over="ignore"):  # an infinite number is no measurement
        data["value"] = np.concatenate([_floats(item.value) for item in items]).astype(np.float32)
        if any(item.error is not None for item in items):
            errors = [[np.nan] * len(item.time) if item.error is None else item.error for item in items]
            data["error"] = np.concatenate([_floats(error) for error in errors]).astype(np.float32)
        match = roles.Match("time", "value", error="error" if "error" in data else None)
        options, stated = ReadOptions(time_scale=scale), dict.fromkeys(("value", "error"), items[0].unit)
        offsets = ragged.offsets_from_counts(np.array([len(item.time) for item in items]))
        codes, remarks = ragged.owner(offsets), measurements.Remarks(WHERE)
        measured = measurements.measure(data, match, options, WHERE, stated, codes=codes, remarks=remarks)
    remarks.say_left_out()
    objects = {name: pa.array([item.columns[name] for item in items], pa.float64()) for name in columns}
    if any(item.photometry for item in items):
        objects[photometry.COLUMN] = pa.array([item.photometry for item in items], pa.string())
    curves = LightCurves.from_arrays(
        [item.object_id for item in items],
        offsets,
        measured.time,
        measured.value,
        measured.error,
        band,
        bands=bands,
        unit=measured.unit,
        time_scale=measured.time_scale,
        objects=pa.table(objects) if objects else None,
    )
    used = np.isfinite(measured.time) & np.isfinite(measured.value)
    return curves if used.all() else curves.where(used)


def _floats(values: Sequence[float | None]) -> NDArray[np.float64]:
    """Return numbers with NaN for null."""
    return np.array(values, np.float64)


def _band_names(item: LightCurve) -> list[str | None]:
    """Return the band of each observation."""
    return item.band if isinstance(item.band, list) else [item.band or NO_BAND] * len(item.time)


def light_curves_from_file(
    name: str, content: bytes, options: ReadOptions, columns: Sequence[str] = ()
) -> tuple[list[LightCurves], tuple[str, str] | None]:
    """Return the light curves of an uploaded file in batches; if it is unreadable, also its name and the reason.

    Raises
    ------
    TooLargeError
        If it holds more than a request may.
    """
    with TemporaryDirectory(prefix="goodricke-") as folder:
        path = Path(folder) / safe_file_name(name)
        path.write_bytes(content)
        batches, failure = list[LightCurves](), None
        try:
            _check_contents(path)
            for _, curves in read_pieces(str(path), options, MAX_POINTS):
                batches.append(_select_columns(curves, columns))
                _check_size(sum(map(len, batches)), sum(len(batch.time) for batch in batches))
        except Unreadable as error:
            failure = path.name, f"{error.reason}. Fix: {error.fix}.".replace(f"{folder}/", "")
    return batches, failure


def safe_file_name(name: str) -> str:
    """Return a file's name without folders and special characters."""
    plain = re.sub(r"[^\w.+-]", "_", re.split(r"[/\\]", name)[-1]).lstrip(".")
    return plain.encode()[-150:].decode(errors="ignore").lstrip(".") or "upload"


def _select_columns(curves: LightCurves, columns: Sequence[str]) -> LightCurves:
    """Return light curves with only these columns in their table of objects."""
    table = curves.table_of_objects
    table = table.select([name for name in (*columns, photometry.COLUMN) if name in table.column_names])
    return replace(curves, objects=table if table.num_columns else None)


def _check_contents(path: Path) -> None:
    """Refuse a file that unpacks to too much, or whose data are in another file.

    Raises
    ------
    TooLargeError, Unreadable
    """
    with open(path, "rb") as stream:
        is_gzip = stream.read(2) == b"\x1f\x8b"
    if is_gzip:
        _check_gzip(path)
    file = SourceFile(path)
    if file.kind == "votable" and EXTERNAL_DATA.search(file.raw):
        raise Unreadable(path, "is a VOTable whose data are elsewhere or packed", "write it with the data in it")
    if file.kind == "parquet":
        meta = file.parquet.metadata
        values = [
            sum(meta.row_group(group).column(column).num_values for group in range(meta.num_row_groups))
            for column in range(meta.num_columns)
        ]
        _check_size(0, max([meta.num_rows, *values]))


def _check_gzip(path: Path) -> None:
    unpacked = 0
    try:
        with gzip.open(path) as file:
            while piece := file.read(1 << 20):
                unpacked += len(piece)
                if unpacked > MAX_UNPACKED:
                    fix = "classify it with `goodricke classify`"
                    raise TooLargeError(f"the file unpacks to more than {MAX_UNPACKED >> 20} MiB: {fix}")
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return  # the readers report it


def _check_size(curves: int, points: int) -> None:
    for number, limit, what in ((curves, MAX_CURVES, "light curves"), (points, MAX_POINTS, "observations")):
        if number > limit:
            fix = "send them in parts, or use `goodricke classify` or `goodricke catalog` on the files"
            raise TooLargeError(f"{number:,} {what} in one request, and the limit is {limit:,}: {fix}")


class _WarningCollector(logging.Filter):
    """Takes one thread's warnings out of the log."""

    def __init__(self) -> None:
        super().__init__()
        self.warnings, self.thread = list[str](), threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record goes to the log."""
        if record.thread != self.thread or record.levelno < logging.WARNING:
            return True
        self.warnings.append(record.getMessage())
        return False


@contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Collect the package's warnings of this thread: they are for the client, not for the server's log."""
    log, collector = logging.getLogger("goodricke"), _WarningCollector()
    log.addFilter(collector)
    try:
        yield collector.warnings
    finally:
        log.removeFilter(collector)
