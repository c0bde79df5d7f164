"""What ``goodricke pack`` and ``goodricke catalog`` do: see the work done, tell how far it is, keep the books."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from goodricke.catalog import classify as classifying
from goodricke.catalog import pack as packing
from goodricke.catalog import tasks as planning
from goodricke.catalog import work
from goodricke.catalog.classify import Classification
from goodricke.catalog.folder import COMMON, UNREADABLE, Entry, Folder, alone
from goodricke.catalog.pack import Packing
from goodricke.models.bundle import find_model, load_model
from goodricke.predictions import MEANING, Status
from goodricke.readers import ReadOptions
from goodricke.uncertainty.conformal import COVERAGE, Coverage

log = logging.getLogger("goodricke")

DONE, SOME_FAILED = 0, 3
Function = Callable[[planning.Task], list[Entry]]


def pack(
    sources: Sequence[str],
    out: Path,
    workers: int = 1,
    shard_points: int = packing.SHARD_POINTS,
    options: dict[str, Any] | None = None,
    console: Console | None = None,
) -> int:
    """Pack light curves into shards; see `goodricke.catalog.pack`.

    Parameters
    ----------
    sources : list of str
        Whatever `goodricke.readers.find` takes.
    out : Path
        A new folder, or that of a run that was broken off.
    workers : int
        Processes.
    shard_points : int
        Observations in a shard, about.
    options : dict, optional
        Of the readers, see `goodricke.readers.ReadOptions`.

    Returns
    -------
    int
        0 if everything could be read, 3 if not: ``unreadable.csv`` and the manifest tell what.
    """
    console = console or Console()
    job = Packing(out.absolute(), ReadOptions(**(options or {})), shard_points)
    with alone(job.out):
        folder, tasks = packing.begin(job, sources)
        carry_out(folder, job, tasks, workers, None, "files", console)
        lost, manifest = folder.list_unreadable(), folder.finish()
    console.print(
        f"{manifest['rows']:,} light curves in {len(manifest['shards']):,} shards, "
        f"{manifest['bytes'] / 1e6:,.1f} MB, in {out}"
    )
    _tell_unreadable(lost, out, console)
    return SOME_FAILED if _tell_failures(manifest, console) or lost else DONE


def catalog(
    sources: Sequence[str],
    model: str,
    out: Path,
    workers: int = 1,
    passes: int = 20,
    seed: int = 0,
    device: str = "cpu",
    precision: Any = "auto",
    dask: str | None = None,
    points: int | None = None,
    options: dict[str, Any] | None = None,
    coverage: Coverage = COVERAGE,
    console: Console | None = None,
) -> int:
    """Classify a survey into a catalog; see `goodricke.catalog.classify`.

    Parameters
    ----------
    sources : list of str
        Packs, nested Parquet files, HATS catalogs, or whatever `goodricke.readers.find` takes.
    model : str
        See `goodricke.load_model`.
    out : Path
        A new folder, or that of a run that was broken off: it goes on where that stopped.
    workers : int
        Processes of one thread each. On a GPU they share it: while one reads, another computes.
    passes, seed, device, precision
        See `goodricke.classify`.
    dask : str, optional
        ``local``, the address of a scheduler, or ``slurm:FILE``; see `goodricke.catalog.distribute`.
    points : int, optional
        Observations per shard, about; by default some ten minutes' work of one core.
    options : dict, optional
        Of the readers, see `goodricke.readers.ReadOptions`.
    coverage : Coverage
        What is promised of the prediction sets.

    Returns
    -------
    int
        0 if all shards were made, 3 if some were set aside; the manifest tells why. Light curves that could not be
        classified have a row with their status and don't count here.
    """
    console = console or Console()
    read = ReadOptions(**(options or {}))
    loaded = load_model(model, device, precision=precision)
    where = str(find_model(model).absolute())
    job = Classification(out.absolute(), where, loaded.hash, passes, seed, loaded.precision, device, read, coverage)
    with alone(job.out):
        folder, tasks = classifying.begin(job, sources, points)
        carry_out(folder, job, tasks, workers, dask, "light curves", console)
        for unit in {unit for entry in folder.entries().values() for unit in entry.more.get("units", [])}:
            classifying.warn_of_other_data(unit, loaded.config)
        bands = {band for entry in folder.entries().values() for band in entry.more.get("bands", [])}
        classifying.warn_of_unknown_bands(sorted(bands), loaded.config)
        if any(entry.more.get("several_bands") for entry in folder.entries().values()):
            classifying.warn_of_several_bands(sorted(bands), loaded.config)
        lost, manifest = folder.list_unreadable(), folder.finish(status=_status(folder))
    _tell_statuses(manifest, out, console)
    _tell_unreadable(lost, out, console)
    return SOME_FAILED if _tell_failures(manifest, console) else DONE


def carry_out(
    folder: Folder,
    job: Function,
    tasks: Sequence[planning.Task],
    workers: int,
    dask: str | None,
    unit: str,
    console: Console,
) -> None:
    """Do the tasks and log each as it is done, with a progress bar."""
    known = len(folder.entries())
    if known:
        console.print(f"{folder.path}: going on, {len(tasks):,} tasks left")
    if tasks:
        (folder.path / COMMON).unlink(missing_ok=True)  # till all is done again, the shards tell their columns
    counter = get_context("spawn").Value("q", 0)
    with _progress(sum(task.rows for task in tasks), unit, counter, console) as advance:
        for task, result in _done(job, tasks, workers, dask, counter):
            if isinstance(result, Exception):
                log.warning("task %s (%s, ...): %s", task.name, task.files[0], result)
                folder.log(Entry(task.name, error=f"{type(result).__name__}: {result}", more={"files": task.files}))
            else:
                folder.log(*result)
            advance(task.rows)


def _done(
    job: Function, tasks: Sequence[planning.Task], workers: int, dask: str | None, counter: Any
) -> work.Done[planning.Task, list[Entry]]:
    if dask is not None:
        from goodricke.catalog.distribute import on_dask

        return on_dask(job, tasks, dask, workers)
    if workers > 1 and len(tasks) > 1:
        return work.processes(job, tasks, workers, counter)
    work.progress.counter = counter
    return work.here(job, tasks)


class _Rate(TextColumn):
    """Light curves per second so far."""

    def render(self, task: Task) -> Any:
        """Return the text."""
        from rich.text import Text

        speed = task.completed / task.elapsed if task.elapsed else 0.0
        return Text(f"{speed:,.1f} / s" if speed < 100 else f"{speed:,.0f} / s")


@contextmanager
def _progress(total: int, unit: str, counter: Any, console: Console) -> Iterator[Callable[[int], None]]:
    """Show a bar that moves as processes count objects, and is put right when a task is done."""
    columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TextColumn(unit), _Rate(""))
    finished, stop = 0, threading.Event()
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
        row = bar.add_task("", total=total)

        def watch() -> None:
            while not stop.wait(0.5):
                bar.update(row, completed=min(max(finished, counter.value), total))

        def advance(rows: int) -> None:
            nonlocal finished
            finished += rows

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield advance
        finally:
            stop.set()
            thread.join()


def _status(folder: Folder) -> dict[str, int]:
    total = Counter[str]()
    for entry in folder.entries().values():
        total.update(entry.more.get("status", {}))
    return dict(total)


def _tell_statuses(manifest: dict[str, Any], out: Path, console: Console) -> None:
    table = Table(
        title=f"{manifest['rows']:,} light curves, {manifest['bytes'] / 1e6:,.1f} MB, in {out}", title_justify="left"
    )
    for name in ("status", "light curves", ""):
        table.add_column(name, justify="right" if name == "light curves" else "left")
    for status, number in sorted(manifest["status"].items(), key=lambda item: -item[1]):
        table.add_row(status, f"{number:,}", MEANING[Status(status)])
    console.print(table)


def _tell_unreadable(lost: int, out: Path, console: Console) -> None:
    if lost:
        console.print(f"[red]{lost:,} files can't be read[/]: {out / UNREADABLE} tells which and why")


def _tell_failures(manifest: dict[str, Any], console: Console) -> bool:
    """Tell which tasks were set aside; return whether there is one."""
    failed: dict[str, str] = manifest["failed"]
    for task, error in list(failed.items())[:10]:
        console.print(f"[red]task {task} failed[/]: {error}")
    if failed:
        console.print(f"{len(failed):,} tasks set aside; the same command tries them again")
    return bool(failed)
