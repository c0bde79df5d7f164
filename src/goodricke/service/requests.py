"""From a request to light curves: JSON as `schemas.LightCurve`, or a file of any product that the readers know.

An uploaded file lies in a private temporary folder while it is read, under a name of harmless characters. It is taken
for what it holds alone: not for a list of paths, and not if it refers to other files.
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

from goodricke.data import ragged, units
from goodricke.data.arrow import NO_BAND
from goodricke.data.lightcurves import LightCurves
from goodricke.io import ReadOptions, Unreadable, building, roles
from goodricke.io.files import Opened
from goodricke.io.reading import pieces
from goodricke.io.table import bands_of
from goodricke.service.schemas import MOST_CURVES, MOST_POINTS, LightCurve

MOST_BYTES = 32 << 20  # of a request
MOST_UNPACKED = 256 << 20  # of a file, after decompression

# A VOTable may have its data elsewhere, even in a file of this machine, and astropy would fetch them.
ELSEWHERE = re.compile(rb"<\s*[\w:]*STREAM[^>]*(href|gzip)|<!ENTITY", re.IGNORECASE)


class TooLarge(ValueError):  # noqa: N818  what it is
    """More than a request may hold."""


def of_json(items: Sequence[LightCurve], told: Sequence[str] = ()) -> list[tuple[NDArray[np.int64], LightCurves]]:
    """Return light curves in batches of one unit and time scale, with their places among the items.

    Parameters
    ----------
    items : sequence of LightCurve
    told : sequence of str
        Columns that the model is told of each object.

    Raises
    ------
    ValueError
        If a light curve lacks such a column, or there are more than 256 bands.
    """
    _check_size(len(items), sum(len(item.time) for item in items))
    for number, item in enumerate(items):
        if missing := [name for name in told if name not in item.columns]:
            raise ValueError(
                f"light curve {number} ({item.object_id}) lacks {', '.join(missing)}, which the model is told of each "
                'object. Add it: {"columns": {"' + missing[0] + '": 0.1}}, null where unknown'
            )
    scales = [item.time_scale or roles.named_scale("", _numbers(item.time)) for item in items]
    kinds = [(item.unit, scale) for item, scale in zip(items, scales, strict=True)]
    places = [(np.array([i for i, k in enumerate(kinds) if k == kind]), kind) for kind in dict.fromkeys(kinds)]
    return [(rows, _batch([items[i] for i in rows], kind[1], told)) for rows, kind in places]


def _batch(items: Sequence[LightCurve], time_scale: str, told: Sequence[str]) -> LightCurves:
    """Return light curves of one unit, made as the reader of plain tables makes them."""
    unit, factor = units.brightness_unit("", items[0].unit)
    value, error = (
        units.scaled(_single(np.concatenate(parts)), factor)
        for parts in (
            [_numbers(item.value) for item in items],
            [_numbers(item.error) if item.error is not None else np.full(len(item.time), np.nan) for item in items],
        )
    )
    names = [name for item in items for name in _bands(item)]
    bands, band = bands_of(pa.array(names, pa.string()), "band", ReadOptions(), "The light curves")
    time = np.concatenate([_numbers(item.time) for item in items])
    objects = {name: pa.array([item.columns[name] for item in items], pa.float64()) for name in told}
    curves = LightCurves.from_arrays(
        [item.object_id for item in items],
        ragged.offsets_from_counts(np.array([len(item.time) for item in items])),
        time,
        building.without_dummies(value, unit, "JSON"),
        error,
        band,
        bands=bands,
        unit=unit,
        time_scale=time_scale,
        objects=pa.table(objects) if objects else None,
    )
    timed = np.isfinite(time)
    return curves if timed.all() else curves.where(timed)


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array(values, np.float64)  # null becomes NaN


def _single(values: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # infinite, and so not measured
        return values.astype(np.float32)


def _bands(item: LightCurve) -> list[str | None]:
    if isinstance(item.band, list):
        return item.band
    return [item.band or NO_BAND] * len(item.time)


def of_file(
    name: str, content: bytes, options: ReadOptions, told: Sequence[str] = ()
) -> tuple[list[LightCurves], tuple[str, str] | None]:
    """Return the light curves of an uploaded file in batches; and, if something can't be read, the file's name and why.

    Raises
    ------
    TooLarge
        If it holds more than a request may.
    """
    with TemporaryDirectory(prefix="goodricke-") as folder:
        path = Path(folder) / harmless(name)
        path.write_bytes(content)
        found, failure = list[LightCurves](), None
        try:
            _check_contents(path)
            for _, piece in pieces(str(path), options, MOST_POINTS):
                found.append(_alone(piece, told))
                _check_size(sum(map(len, found)), sum(len(each.time) for each in found))
        except Unreadable as error:
            failure = path.name, f"{error.reason}. Fix: {error.fix}.".replace(f"{folder}/", "")
    return found, failure


def harmless(name: str) -> str:
    """Return a file's name without folders and odd characters."""
    plain = re.sub(r"[^\w.+-]", "_", re.split(r"[/\\]", name)[-1]).lstrip(".")
    return plain.encode()[-150:].decode(errors="ignore").lstrip(".") or "upload"


def _alone(curves: LightCurves, told: Sequence[str]) -> LightCurves:
    """Return light curves with only those columns of their table of objects that the model is told."""
    table = curves.table_of_objects
    kept = table.select([column for column in told if column in table.column_names])
    return replace(curves, objects=kept if kept.num_columns else None)


def _check_contents(path: Path) -> None:
    """Refuse files that unpack to more than is sensible, or have their data elsewhere.

    Raises
    ------
    TooLarge, Unreadable
    """
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    if packed:
        _check_gzip(path)
    opened = Opened(path)
    if opened.kind == "votable" and ELSEWHERE.search(opened.raw):
        raise Unreadable(path, "is a VOTable whose data are elsewhere or packed", "write it with the data in it")
    if opened.kind == "parquet":
        told = opened.parquet.metadata
        values = [
            sum(told.row_group(group).column(column).num_values for group in range(told.num_row_groups))
            for column in range(told.num_columns)
        ]
        _check_size(0, max([told.num_rows, *values]))


def _check_gzip(path: Path) -> None:
    unpacked = 0
    try:
        with gzip.open(path) as file:
            while piece := file.read(1 << 20):
                unpacked += len(piece)
                if unpacked > MOST_UNPACKED:
                    raise TooLarge(f"the file unpacks to more than {MOST_UNPACKED >> 20} MiB: classify it locally")
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return  # the readers tell


def _check_size(curves: int, points: int) -> None:
    for number, most, what in ((curves, MOST_CURVES, "light curves"), (points, MOST_POINTS, "observations")):
        if number > most:
            fix = "send them in parts, or use `goodricke classify` or `goodricke catalog` on the files"
            raise TooLarge(f"{number:,} {what} in one request, and at most {most:,} are taken: {fix}")


class _Remarks(logging.Filter):
    """Keeps a thread's warnings, and lets all else pass."""

    def __init__(self) -> None:
        super().__init__()
        self.kept, self.thread = list[str](), threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the log has the record."""
        if record.thread != self.thread or record.levelno < logging.WARNING:
            return True
        self.kept.append(record.getMessage())
        return False


@contextmanager
def remarks() -> Iterator[list[str]]:
    """Collect what the package warns of in this thread meanwhile: it is for who asks, and not for the server's log."""
    log, own = logging.getLogger("goodricke"), _Remarks()
    log.addFilter(own)
    try:
        yield own.kept
    finally:
        log.removeFilter(own)
