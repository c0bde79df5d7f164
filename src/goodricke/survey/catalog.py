"""``goodricke catalog``: classify a survey task by task; whoever does a task, the shard that comes out is the same.

`Classification` is the pure function of it: a task in, a shard of predictions on the disk, its entry out. It is mapped
over the tasks by one of `goodricke.survey.jobs` or `goodricke.survey.jobs`.

What ``goodricke pack`` and ``goodricke catalog`` do: see the work done, tell how far it is, keep the books.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as ProgressTask
from rich.table import Table

from goodricke.data.arrow import NO_BAND
from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import MEANING, Predictions, Status
from goodricke.inference import classify
from goodricke.io import ReadOptions, Unreadable
from goodricke.models.bundle import BundleConfig, Model, Precision, find_model, load_model
from goodricke.preprocess import MultibandConfig
from goodricke.preprocess.multiband import to_magnitudes
from goodricke.survey import jobs
from goodricke.survey import pack as packing
from goodricke.survey.jobs import count
from goodricke.survey.pack import Packing, left, settings_of
from goodricke.survey.shards import COMMON, UNREADABLE, Entry, Folder, alone, write_shard
from goodricke.survey.tasks import Task, plan
from goodricke.uncertainty.prediction_sets import COVERAGE, Coverage

log = logging.getLogger("goodricke")

ROW_GROUP = 100_000
# Observations in a task: about ten minutes of one core, which is what a crash costs at most.
DENSE_POINTS, MULTIBAND_POINTS = 5_000_000, 30_000_000
FEWEST_POINTS = 250_000

# Threads of a process share its model, and Monte-Carlo passes swap a network's dropout: one asks it at a time. Dask has
# threads where it was not told otherwise.
ALONE = threading.Lock()


@dataclass(frozen=True)
class Classification:
    """One way to classify: called with a task it writes the task's shard; other processes can have it.

    Parameters
    ----------
    out : Path
        Folder for the shards.
    model : str
        Folder of the model, where every process finds it.
    model_hash : str
        Of the model that the run began with.
    passes, seed, precision, device, coverage
        See `goodricke.classify`.
    options : ReadOptions
    """

    out: Path
    model: str
    model_hash: str
    passes: int = 20
    seed: int = 0
    precision: Precision = "auto"
    device: str = "cpu"
    options: ReadOptions = field(default_factory=ReadOptions)
    coverage: Coverage = COVERAGE

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the contents of the shards."""
        kept: dict[str, Any] = {"passes": self.passes, "seed": self.seed, "precision": self.precision}
        kept["coverage"] = list(self.coverage)
        return {"model_hash": self.model_hash, **kept, "reading": settings_of(self.options)}

    def __call__(self, task: Task) -> list[Entry]:
        """Classify the light curves of a task and write its shard.

        Raises
        ------
        ValueError
            If the model is no longer the one that the run began with.
        """
        begun, model = time.perf_counter(), loaded(self.model, self.device, self.precision)
        state = task.fingerprint  # before the reading: a file that changes meanwhile is then read again
        if model.hash != self.model_hash:
            raise ValueError(f"{self.model} has changed since the run began ({model.hash}, was {self.model_hash})")
        result, seen, unread = self._classified(task, model)
        name = f"shard-{task.name}.parquet"
        told = {"model": model.name, "model_hash": model.hash, "classes": ",".join(model.classes)}
        size, sha256 = write_shard(self.out / name, result.table, ROW_GROUP, **told, input=state)
        seconds = round(time.perf_counter() - begun, 3)
        unreadable = [[f.path, f.reason, f.fix] for f in unread]
        more: dict[str, Any] = {"input": state, **seen}
        more |= {"status": counts(result.column("status"))} | ({"unreadable": unreadable} if unreadable else {})
        return [Entry(task.name, name, len(result), size, sha256, seconds, more=more)]

    def _classified(self, task: Task, model: Model) -> tuple[Predictions, dict[str, Any], list[Unreadable]]:
        """Return the predictions, what the light curves are in (units, bands, several at once), what can't be read."""
        parts, unread, units, bands = list[Predictions](), list[Unreadable](), set[str](), set[str]()
        several = False
        for curves, failures in task.batches(self.options):
            unread += failures
            if curves is not None:
                if wrong_unit(curves, model):
                    parts.append(refused(curves, model, self.passes))
                    count(len(curves))
                    continue
                with ALONE:
                    parts.append(classify(curves, model, self.passes, self.seed, tick=count, coverage=self.coverage))
                units.add(curves.unit)
                bands.update(curves.bands)
                several |= bool(curves.has_several_bands.any())
        seen = {"units": sorted(units), "bands": sorted(bands), "several_bands": several}
        return join_predictions(parts, unread, model), seen, unread


@lru_cache(1)
def loaded(model: str, device: str, precision: Precision) -> Model:
    """Return a model, loaded once in each process."""
    return load_model(model, device, precision=precision)


def join_predictions(parts: Sequence[Predictions], unread: Sequence[Unreadable], model: Model) -> Predictions:
    """Join batches of predictions of a model, and add a row for each file that couldn't be read."""
    if not parts:
        parts = [_nothing(model, passes=0)]
    if not unread:
        return Predictions.concat(parts)
    failed = Predictions.failed([Path(failure.path).name for failure in unread], Status.UNREADABLE, parts[0])
    paths, table = pa.array([failure.path for failure in unread]), failed.table
    if "source" in table.column_names:
        table = table.drop_columns(["source"])
    return Predictions.concat([*parts, Predictions(table.append_column("source", paths), failed.classes)])


def wrong_unit(curves: LightCurves, model: Model) -> str:
    """Return why a model can't take light curves in their unit, nothing if it can."""
    try:
        if isinstance(model.preprocessing, MultibandConfig):
            to_magnitudes(curves[:0], model.preprocessing)
    except ValueError as error:
        return str(error)
    return ""


def refused(curves: LightCurves, model: Model, passes: int) -> Predictions:
    """Return a row with a status, and nothing else but what is known of the object, for each light curve."""
    result = Predictions.failed(curves.ids, Status.WRONG_UNIT, _nothing(model, passes))
    table, objects = result.table, curves.table_of_objects
    for name in [name for name in objects.column_names if name not in table.column_names]:
        table = table.append_column(name, objects[name])
    return Predictions(table, result.classes)


def _nothing(model: Model, passes: int) -> Predictions:
    """Return predictions without a row."""
    return classify(LightCurves.from_arrays(pa.array([], pa.string()), [0], [], []), model, passes)


def warn_of_unknown_bands(bands: Sequence[str], config: BundleConfig) -> None:
    """Say so where observations are left out because a multi-band model doesn't know their band."""
    if not isinstance(config.preprocessing, MultibandConfig):
        return
    known = config.preprocessing.bands
    unknown = [band for band in bands if band not in known]
    told = config.name, ", ".join(known), known[0]
    if unknown == [NO_BAND]:
        log.warning("observations without a band are left out: %s knows %s. Say which it is, e.g. --band %s", *told)
    elif unknown:
        log.warning(
            "observations in %s are left out: %s knows %s. If one of these is meant, say so: --band %s=%s",
            *(", ".join(unknown), *told[:2], unknown[0], told[2]),
        )


def warn_of_several_bands(bands: Sequence[str], config: BundleConfig) -> None:
    """Say so where a model of one band gets light curves in several."""
    if not isinstance(config.preprocessing, MultibandConfig) and not getattr(config.preprocessing, "bands", None):
        told = ", ".join(bands), config.name, bands[0]
        log.warning(
            "light curves in %s: %s takes their bands together, each less its median. One alone: --band %s", *told
        )


def warn_of_other_data(unit: str, config: BundleConfig) -> None:
    """Say so where light curves in a unit are plainly not of the kind that a model was trained on."""
    magnitudes = config.unit.startswith("mag")
    if "unknown" not in (config.unit, unit) and magnitudes != unit.lower().startswith("mag"):
        log.warning(
            "%s was trained on %s (%s, band %s), and these light curves are in %s: its probabilities may not hold",
            *(config.name, config.trained_on, config.unit, "/".join(config.bands), unit),
        )


def counts(values: np.ndarray) -> dict[str, int]:
    """Return how often each value comes."""
    names, numbers = np.unique(values.astype(str), return_counts=True)
    return {str(k): int(v) for k, v in zip(names, numbers, strict=True)}


def begin(classification: Classification, sources: Sequence[str], points: int | None) -> tuple[Folder, list[Task]]:
    """Make or take up the folder of a catalog; return it and the tasks left to do."""
    model = loaded(classification.model, classification.device, classification.precision)
    points = points or task_points(model, classification.passes)
    folder = Folder(classification.out, "catalog", {**classification.settings, "model": model.name}).begin()
    return folder, left(folder, plan(classification.out, sources, points, classification.options))


def task_points(model: Model, passes: int) -> int:
    """Return how many observations make about ten minutes of one core."""
    if isinstance(model.preprocessing, MultibandConfig):
        return MULTIBAND_POINTS
    return max(DENSE_POINTS // max(passes if model.stochastic else 1, 1), FEWEST_POINTS)


# ---- What ``goodricke pack`` and ``goodricke catalog`` do: see the work done, tell how far it is, keep th ------------


DONE, SOME_FAILED = 0, 3
Function = Callable[[Task], list[Entry]]


def pack(
    sources: Sequence[str],
    out: Path,
    workers: int = 1,
    shard_points: int = packing.SHARD_POINTS,
    options: dict[str, Any] | None = None,
    console: Console | None = None,
) -> int:
    """Pack light curves into shards; see `goodricke.survey.pack`.

    Parameters
    ----------
    sources : list of str
        Whatever `goodricke.io.find` takes.
    out : Path
        A new folder, or that of a run that was broken off.
    workers : int
        Processes.
    shard_points : int
        Observations in a shard, about.
    options : dict, optional
        Of the readers, see `goodricke.io.ReadOptions`.

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
    """Classify a survey into a catalog; see `goodricke.survey.catalog`.

    Parameters
    ----------
    sources : list of str
        Packs, nested Parquet files, HATS catalogs, or whatever `goodricke.io.find` takes.
    model : str
        See `goodricke.load_model`.
    out : Path
        A new folder, or that of a run that was broken off: it goes on where that stopped.
    workers : int
        Processes of one thread each. On a GPU they share it: while one reads, another computes.
    passes, seed, device, precision
        See `goodricke.classify`.
    dask : str, optional
        ``local``, the address of a scheduler, or ``slurm:FILE``; see `goodricke.survey.jobs`.
    points : int, optional
        Observations per shard, about; by default some ten minutes' work of one core.
    options : dict, optional
        Of the readers, see `goodricke.io.ReadOptions`.
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
        folder, tasks = begin(job, sources, points)
        carry_out(folder, job, tasks, workers, dask, "light curves", console)
        for unit in {unit for entry in folder.entries().values() for unit in entry.more.get("units", [])}:
            warn_of_other_data(unit, loaded.config)
        bands = {band for entry in folder.entries().values() for band in entry.more.get("bands", [])}
        warn_of_unknown_bands(sorted(bands), loaded.config)
        if any(entry.more.get("several_bands") for entry in folder.entries().values()):
            warn_of_several_bands(sorted(bands), loaded.config)
        lost, manifest = folder.list_unreadable(), folder.finish(status=_status(folder))
    _tell_statuses(manifest, out, console)
    _tell_unreadable(lost, out, console)
    return SOME_FAILED if _tell_failures(manifest, console) else DONE


def carry_out(
    folder: Folder,
    job: Function,
    tasks: Sequence[Task],
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
    job: Function, tasks: Sequence[Task], workers: int, dask: str | None, counter: Any
) -> jobs.Done[Task, list[Entry]]:
    if dask is not None:
        from goodricke.survey.jobs import on_dask

        return on_dask(job, tasks, dask, workers)
    if workers > 1 and len(tasks) > 1:
        return jobs.processes(job, tasks, workers, counter)
    jobs.progress.counter = counter
    return jobs.here(job, tasks)


class _Rate(TextColumn):
    """Light curves per second so far."""

    def render(self, task: ProgressTask) -> Any:
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
