"""The dominant variability of millions of light curves, streamed: flat memory, any number of processes, resumable."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from goodricke.catalog.folder import Entry, Folder, read_manifest, write_shard
from goodricke.catalog.tasks import Task, files_of
from goodricke.catalog.variability import Limits, dominant_variability
from goodricke.lightcurves import LightCurves
from goodricke.predictions import Status
from goodricke.readers import Unreadable, read_batches

PLACE = {  # which light curve of a star it is
    "source": pa.string(),
    **{name: pa.int32() for name in ("sector", "quarter", "campaign", "camera", "ccd")},
}
CHUNK = 100  # light curves that a process takes at a time
ROWS = 20_000  # of a shard; what a run loses at most when it is killed
KIND = "periods"


class Piece(NamedTuple):
    """Light curves that a process takes at a time."""

    names: pa.Table  # (n rows) of the result: object_id and `PLACE`
    curves: LightCurves  # n, without their names: Arrow would send a whole batch's with each piece
    drawn: NDArray[np.bool_]  # (n,)
    unreadable: bool = False  # files that could not be read: empty light curves stand for them

    def after(self, n: int) -> Piece:
        """Leave out the first n."""
        return Piece(self.names.slice(n), self.curves[n:], self.drawn[n:], self.unreadable)


def measure(
    source: str | Sequence[str],
    out: Path,
    *,
    limits: Limits | None = None,
    drawn: Collection[str] = (),
    workers: int = 1,
    tick: Callable[[int], None] = lambda light_curves: None,
    rows: int = ROWS,
    **options: Any,
) -> Path:
    """Measure f1 and A1 of all light curves into a folder of Parquet files; go on where an earlier run stopped.

    Parameters
    ----------
    source : str or list of str
        Packs (`goodricke pack`), HATS catalogs, or what `goodricke.readers.read_batches` takes; the further ``options``
        are for it.
    out : Path
        The folder. Each file has ``rows`` rows, one per light curve whatever its state: ``object_id``, what tells the
        light curves of a star apart (`PLACE`), and the numbers of `Dominant`, null where there are none, with the
        reason in ``f1_status``.
    limits : Limits, optional
    drawn : collection of str
        Ids of the objects whose amplitude spectra are kept too, in the column ``spectrum``.
    workers : int
        Processes, of one thread each; this one reads. A script that asks for several needs
        ``if __name__ == "__main__":``.
    tick : callable
        Gets the number of light curves after each step, for a progress bar.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    ValueError
        If the folder was made from other light curves or with other settings.
    """
    limits, ids = limits or Limits(), frozenset(drawn)
    deep = bool(options.get("recursive"))
    names = list(files_of([source] if isinstance(source, str) else source, deep))
    settings: dict[str, Any] = {"source": names, "limits": limits.model_dump(), "rows": rows}
    settings["light curves"] = Task("", tuple(names)).fingerprint  # files of the same name may hold others
    settings |= {"options": {k: str(v) for k, v in options.items()}}
    settings |= {"drawn": len(ids), "drawn_hash": sha256("\n".join(sorted(ids)).encode()).hexdigest()[:12]}
    folder = Folder(out, KIND, settings).begin()
    if "finished" in read_manifest(out):
        tick(int(read_manifest(out)["rows"]))
        return out
    done = _done(folder)
    pieces = _after(_pieces(read_batches(names, **options), ids), done, folder, tick)
    with _executor(workers) as pool:
        tables = _in_order(pool, partial(measured, limits=limits), pieces, 3 * workers)
        for k, table in enumerate(_shards(tables, rows, tick), start=len(done)):
            name = f"part-{k:06d}.parquet"
            size, digest = write_shard(out / name, table, table.num_rows)
            folder.log(Entry(f"{k:06d}", name, table.num_rows, size, digest))
    folder.finish()
    return out


def read_measured(folder: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the rows that `measure` wrote, in the order of the light curves; all columns or some."""
    files = [folder / str(entry.shard) for entry in _done(Folder(folder, KIND, {}))]
    wanted = None if columns is None else list(columns)
    return pa.concat_tables([pq.read_table(f, columns=wanted).replace_schema_metadata(None) for f in files])


def _done(folder: Folder) -> list[Entry]:
    return sorted(folder.entries().values(), key=lambda entry: entry.task)


# ---- what is read ---------------------------------------------------------------------------------------------------


def _pieces(batches: Iterable[tuple[LightCurves | None, list[Unreadable]]], drawn: frozenset[str]) -> Iterator[Piece]:
    """Cut batches into what a process takes at a time."""
    for curves, failures in batches:
        if failures:
            yield _unreadable(failures)
        for start in range(0, 0 if curves is None else len(curves), CHUNK):
            assert curves is not None
            part = curves[start : start + CHUNK]
            nameless = replace(part, object_id=pa.array([""] * len(part)), objects=None)
            yield Piece(_names(part), nameless, np.array([name in drawn for name in part.ids], bool))


def _names(curves: LightCurves) -> pa.Table:
    """Return id and `PLACE` of light curves, null where the files don't tell."""
    about, n = curves.table_of_objects, len(curves)
    known = {k: about[k].cast(t) if k in about.column_names else pa.nulls(n, t) for k, t in PLACE.items()}
    return pa.table({"object_id": curves.object_id} | known)


def _unreadable(failures: Sequence[Unreadable]) -> Piece:
    """Return files that can't be read as rows, named as in a table of predictions."""
    n, paths = len(failures), [failure.path for failure in failures]
    nothing = LightCurves.from_arrays([Path(path).name for path in paths], np.zeros(n + 1), [], [])
    return Piece(_names(nothing.with_columns(source=pa.array(paths))), nothing, np.zeros(n, bool), True)


def _after(pieces: Iterable[Piece], done: list[Entry], folder: Folder, tick: Callable[[int], None]) -> Iterator[Piece]:
    """Leave out the light curves that an earlier run has measured: they are read again, which is the cheap part.

    Raises
    ------
    ValueError
        If those that come first now are others.
    """
    left = sum(entry.rows for entry in done)
    tick(left)
    last = pq.read_table(folder.path / str(done[-1].shard), columns=["object_id"])["object_id"][-1] if left else None
    for piece in pieces:
        n = len(piece.drawn)
        if 0 < left <= n and piece.names["object_id"][left - 1] != last:
            raise ValueError(f"{folder.path}: begun with other light curves; delete this folder and start anew")
        if left < n:
            yield piece.after(left) if left else piece
        left = max(left - n, 0)


# ---- what is computed -----------------------------------------------------------------------------------------------


def measured(piece: Piece, limits: Limits) -> pa.Table:
    """Return names and measurements of light curves as a table, one row each."""
    found = dominant_variability(piece.curves, limits, piece.drawn)
    status = np.full(len(found.status), Status.UNREADABLE) if piece.unreadable else found.status
    spectra = pa.array([None if s is None else s.astype(np.float32) for s in found.spectra], pa.list_(pa.float32()))
    columns: dict[str, Any] = {"f1_status": pa.array(status.astype(str), pa.string())}
    columns |= {"f1": _numbers(found.f1, pa.float64()), "span": _numbers(found.span, pa.float64())}
    for name in ("A1", "power", "log10_fap", "snr", "f_max"):
        columns[name if name in ("A1", "f_max") else f"f1_{name}"] = _numbers(getattr(found, name), pa.float32())
    columns["f1_n"] = pa.array(found.n_used, pa.int32())
    names = {name: piece.names[name] for name in piece.names.column_names}
    return pa.table(names | columns | {"spectrum": spectra})


def _numbers(values: NDArray[np.float64], kind: pa.DataType) -> pa.Array:
    return pa.array(values, kind, from_pandas=True)  # NaN is null


def _shards(tables: Iterable[pa.Table], rows: int, tick: Callable[[int], None]) -> Iterator[pa.Table]:
    """Join tables, and cut them, into those of ``rows`` rows; the last may have fewer."""
    waiting = list[pa.Table]()
    for table in tables:
        tick(table.num_rows)
        waiting.append(table)
        while sum(t.num_rows for t in waiting) >= rows:
            whole = pa.concat_tables(waiting)
            yield whole.slice(0, rows)
            waiting = [whole.slice(rows)]
    if any(t.num_rows for t in waiting):
        yield pa.concat_tables(waiting)


@contextmanager
def _executor(workers: int) -> Iterator[Executor | None]:
    """Give a pool of processes that are started afresh: forks of a process with OpenMP threads may hang."""
    if workers <= 1:
        yield None
        return
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_one_thread)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _one_thread() -> None:
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"


def _in_order(
    pool: Executor | None, function: Callable[[Piece], pa.Table], pieces: Iterable[Piece], ahead: int
) -> Iterator[pa.Table]:
    """Give ``function`` of each piece in order, computed by the pool at most ``ahead`` pieces before its turn."""
    if pool is None:
        yield from map(function, pieces)
        return
    running = deque[Future[pa.Table]]()
    for piece in pieces:
        running.append(pool.submit(function, piece))
        if len(running) >= ahead:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()
