"""The tasks of a survey: its files cut into pieces, each read in bounded memory; planned, run and logged.

The tasks are written to ``tasks.jsonl`` before the work begins. A run that goes on has the same tasks, whatever has
been added to the source since: new files make new tasks after the old ones, and a task whose files have changed is done
again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

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
from rich.text import Text

from goodricke.data.files import atomic_write
from goodricke.data.lightcurves import LightCurves
from goodricke.io import ReadOptions, Unreadable, files, read_batches
from goodricke.io.files import SourceFile
from goodricke.io.reading import read_pieces
from goodricke.survey import jobs
from goodricke.survey.shards import (
    COMMON,
    MANIFEST,
    UNREADABLE,
    Entry,
    Folder,
    completed_shards,
    read_log,
    read_manifest,
)

log = logging.getLogger("goodricke")

TASKS = "tasks.jsonl"
PIECE = 1_000_000  # observations read at once


@dataclass(frozen=True)
class SurveyTask:
    """Some files, or some row groups of one Parquet file.

    Parameters
    ----------
    name : str
        Its number, which names its shard.
    files : tuple of str
    groups : (int, int), optional
        First row group and the one after the last.
    rows : int
        Light curves, where the metadata of the files give their number; else files.
    """

    name: str
    files: tuple[str, ...]
    groups: tuple[int, int] | None = None
    rows: int = 0

    @property
    def fingerprint(self) -> str:
        """SHA-256 of names, sizes and times of change of the files, first 16 digits; changes when a file does."""
        digest = hashlib.sha256()
        for path in self.files:
            try:
                status = os.stat(path)
                digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
            except OSError:
                digest.update(f"{path}\0missing\n".encode())
        return digest.hexdigest()[:16]

    def batches(
        self, options: ReadOptions, max_points: int = PIECE
    ) -> Iterator[tuple[LightCurves | None, list[Unreadable]]]:
        """Give the light curves batch by batch, and the errors of files; see `goodricke.io.read_batches`."""
        try:
            if self.groups is None:
                yield from read_batches(list(self.files), max_points=max_points, **vars(options))
                return
            for _, curves in read_pieces(self.files[0], options, max_points, range(*self.groups)):
                yield curves, []
        except Unreadable as failure:
            yield None, [failure]


# ---- planning --------------------------------------------------------------------------------------------------------


def plan_tasks(folder: Path, sources: Sequence[str], points: int, options: ReadOptions) -> list[SurveyTask]:
    """Return the tasks of a folder that is being written, those of an earlier run first.

    Parameters
    ----------
    folder : Path
        Where ``tasks.jsonl`` is kept.
    sources : sequence of str
        Files, folders, patterns, lists of files, packs and HATS catalogs.
    points : int
        Observations per task, estimated without reading; half a megabyte of a file that is no Parquet counts as 10,000.
    options : ReadOptions

    Raises
    ------
    Unreadable
        If the sources name no file.
    """
    path = folder / TASKS
    old = [_task_from_json(line) for line in path.read_text().splitlines()] if path.exists() else []
    fitted, new = _fit_to_files(folder, old, points)
    old_files = {file for task in old for file in task.files}
    new += _cut(_new_files(folder, sources, options.recursive, old_files), points)
    if not old and not any(os.path.exists(file) for task in new for file in task.files):  # probably a typing error
        raise Unreadable(", ".join(sources), "names no file", "give files or folders of light curves")
    new = [replace(task, name=f"{len(old) + i:06d}") for i, task in enumerate(new)]
    if new:
        atomic_write(path, "".join(json.dumps(asdict(task)) + "\n" for task in old + new))
    return fitted + new


def unfinished(folder: Folder, tasks: Sequence[SurveyTask]) -> list[SurveyTask]:
    """Return the tasks that aren't done, have failed, whose shard is lost, or whose files have changed since.

    Files may be deleted, or their disk be away, once they are packed: a task with none of its files left stays done.
    """
    entries, without_files = folder.entries(), list[SurveyTask]()

    def is_done(task: SurveyTask) -> bool:
        entry = entries.get(task.name)
        if entry is None or entry.error is not None or not _shards_exist(folder, entries, entry):
            return False
        if entry.details.get("input") == task.fingerprint:
            return True
        if not _files_are_gone(task):
            return False
        without_files.append(task)
        return True

    left = [task for task in tasks if not is_done(task)]
    if without_files:
        which = f"{len(without_files):,} tasks (the first: {without_files[0].files[0]})"
        log.warning("the files of %s are gone; the shards made from them before stay", which)
    return left


def source_files(sources: Sequence[str], recursive: bool = False) -> Iterator[str]:
    """Give the absolute paths of the files of sources; of a source that names no file, its own.

    Raises
    ------
    ValueError
        If a source is a catalog of predictions, which has no light curves.
    """
    for source in sources:
        if (Path(source) / MANIFEST).is_file():
            yield from _pack_shards(Path(source).absolute())
            continue
        for path in files.iterate(source, recursive=recursive):
            # absolute: the run may go on elsewhere, and workers may have another working folder
            yield os.path.abspath(path.path if isinstance(path, Unreadable) else path)


def reading_settings(options: ReadOptions) -> dict[str, Any]:
    """Return the options of the readers as JSON can hold them."""
    return {k: dict(v) if isinstance(v, Mapping) else v for k, v in vars(options).items() if k != "recursive"}


def _new_files(folder: Path, sources: Sequence[str], recursive: bool, old: set[str]) -> Iterator[str]:
    """Give each file that is not among the old ones once, without the output in the folder that is being written."""
    for path in source_files(sources, recursive):
        if path not in old and not _is_output(path, folder):
            old.add(path)
            yield path


def _is_output(path: str, folder: Path) -> bool:
    """Whether a file is one that a run writes into the folder: the folder may be inside the source."""
    place, name = os.path.split(path)
    ours = name == UNREADABLE or (name.startswith("shard-") and name.endswith(".parquet"))
    return ours and os.path.isdir(place) and os.path.samefile(place, folder)


def _fit_to_files(folder: Path, tasks: list[SurveyTask], points: int) -> tuple[list[SurveyTask], list[SurveyTask]]:
    """Fit tasks to Parquet files that were rewritten: return them, and further ones for row groups that none has.

    A file is looked at again if a task of it is not done.
    """
    logged = {entry.task: entry.details.get("input") for entry in read_log(folder)}
    cut, end = [task for task in tasks if task.groups], dict[str, int]()
    for task in cut:
        end[task.files[0]] = max(end.get(task.files[0], 0), task.groups[1] if task.groups else 0)
    paths = dict.fromkeys(task.files[0] for task in cut if logged.get(task.name) != task.fingerprint)
    number, further = dict[str, int](), list[SurveyTask]()
    for path in paths:
        groups = list(_row_groups(path))
        if groups:
            number[path] = len(groups)
        if len(groups) > end[path]:
            further += _cut_parquet(path, groups, points, end[path])

    def fit(task: SurveyTask) -> SurveyTask:
        most = number.get(task.files[0])
        if task.groups is None or most is None:
            return task
        return replace(task, groups=(min(task.groups[0], most), min(task.groups[1], most)))

    return [fit(task) for task in tasks], further


def _task_from_json(line: str) -> SurveyTask:
    values = json.loads(line)
    groups = tuple(values["groups"]) if values["groups"] else None
    return SurveyTask(values["name"], tuple(values["files"]), groups, values["rows"])


def _pack_shards(path: Path) -> list[str]:
    if read_manifest(path)["kind"] != "pack":
        raise ValueError(f"{path} holds predictions, not light curves: give what it was made of")
    return [str(path / str(entry.shard)) for entry in completed_shards(path)]


def _cut(files: Iterator[str], points: int) -> Iterator[SurveyTask]:
    """Give tasks of about ``points`` observations each."""
    waiting, weight = list[str](), 0.0
    for path in files:
        groups = list(_row_groups(path))
        if groups:
            yield from _cut_parquet(path, groups, points)
            continue
        size = os.path.getsize(path) / 50 if os.path.exists(path) else 0
        if waiting and weight + size > points:
            yield SurveyTask("", tuple(waiting), None, len(waiting))
            waiting, weight = [], 0.0
        waiting.append(path)
        weight += size
    if waiting:
        yield SurveyTask("", tuple(waiting), None, len(waiting))


def _cut_parquet(path: str, groups: list[tuple[int, int]], points: int, first: int = 0) -> Iterator[SurveyTask]:
    """Give tasks of some row groups each, from ``first`` on; ``groups`` has rows and observations of each group."""
    start, rows, weight = first, 0, 0
    for i, (n, observations) in enumerate(groups[first:], first):
        if i > start and weight + observations > points:
            yield SurveyTask("", (path,), (start, i), rows)
            start, rows, weight = i, 0, 0
        rows, weight = rows + n, weight + observations
    yield SurveyTask("", (path,), (start, len(groups)), rows)


def _row_groups(path: str) -> Iterator[tuple[int, int]]:
    """Give rows and observations of each row group; nothing if the file is no nested Parquet, or damaged."""
    import pyarrow as pa

    from goodricke.io import nested

    try:
        file = SourceFile(path)
        if not nested.recognises(file):
            return
        lists = [field.name for field in file.parquet.schema_arrow if pa.types.is_nested(field.type)]
        yield from nested.row_group_sizes(file, lists, range(file.parquet.num_row_groups))
    except (Unreadable, OSError):
        return


def _files_are_gone(task: SurveyTask) -> bool:
    """Whether none of a task's files is left; not for shards of a pack, which has new ones in their place."""
    of_a_pack = (Path(task.files[0]).parent / MANIFEST).exists()
    return not of_a_pack and not any(map(os.path.exists, task.files))


def _shards_exist(folder: Folder, entries: Mapping[str, Entry], entry: Entry) -> bool:
    """Whether all shards that a task has written are still there."""
    parts = [entries.get(f"{entry.task}/{k}") for k in range(entry.details.get("parts", 0))]
    return all(e is not None and (e.shard is None or (folder.path / e.shard).is_file()) for e in [entry, *parts])


# ---- running ---------------------------------------------------------------------------------------------------------


def run_tasks(
    folder: Folder,
    job: Callable[[SurveyTask], list[Entry]],
    tasks: Sequence[SurveyTask],
    workers: int,
    cluster: str | None,
    unit: str,
    console: Console,
) -> None:
    """Run the tasks and log each when it is done, with a progress bar.

    Parameters
    ----------
    folder : Folder
    job : callable
        Writes a task's shards and returns their entries; can be pickled.
    tasks : sequence of SurveyTask
    workers : int
    cluster : str, optional
        See `goodricke.survey.jobs.run_on_dask`; without it, processes of this machine.
    unit : str
        What the bar counts.
    console : Console
    """
    if folder.entries():
        console.print(f"{folder.path}: continuing, {len(tasks):,} tasks left")
    if tasks:
        (folder.path / COMMON).unlink(missing_ok=True)  # until all is done again, the schema is that of the shards
    counter = get_context("spawn").Value("q", 0)
    with _progress_bar(sum(task.rows for task in tasks), unit, counter, console) as advance:
        for task, result in _execute(job, tasks, workers, cluster, counter):
            if isinstance(result, Exception):
                log.warning("task %s (%s, ...): %s", task.name, task.files[0], result)
                error = f"{type(result).__name__}: {result}"
                folder.log(Entry(task.name, error=error, details={"files": task.files}))
            else:
                folder.log(*result)
            advance(task.rows)


def print_failures(manifest: Mapping[str, Any], unreadable: int, out: Path, console: Console) -> bool:
    """Print how many files can't be read and which tasks have failed; return whether a task has failed."""
    if unreadable:
        console.print(f"[red]{unreadable:,} files can't be read[/]: {out / UNREADABLE} lists the files and the reasons")
    failed: dict[str, str] = manifest["failed"]
    for task, error in list(failed.items())[:10]:
        console.print(f"[red]task {task} failed[/]: {error}")
    if failed:
        console.print(f"{len(failed):,} tasks have failed; the same command tries them again")
    return bool(failed)


def _execute(
    job: Callable[[SurveyTask], list[Entry]],
    tasks: Sequence[SurveyTask],
    workers: int,
    cluster: str | None,
    counter: Any,
) -> jobs.Results[SurveyTask, list[Entry]]:
    if cluster is not None:
        return jobs.run_on_dask(job, tasks, cluster, workers)
    if workers > 1 and len(tasks) > 1:
        return jobs.run_in_processes(job, tasks, workers, counter)
    return jobs.run_here(job, tasks, counter)


class _RateColumn(TextColumn):
    """Light curves per second so far."""

    def render(self, task: ProgressTask) -> Text:
        """Return the text."""
        speed = task.completed / task.elapsed if task.elapsed else 0.0
        return Text(f"{speed:,.1f} / s" if speed < 100 else f"{speed:,.0f} / s")


@contextmanager
def _progress_bar(total: int, unit: str, counter: Any, console: Console) -> Iterator[Callable[[int], None]]:
    """Show a bar that moves as processes count objects, and is corrected when a task is done."""
    columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TextColumn(unit), _RateColumn(""))
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
