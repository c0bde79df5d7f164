"""What there is to do: a survey's files cut into tasks, each read in bounded memory and written as one shard.

The tasks are written to ``tasks.jsonl`` before the work begins. A run that goes on from there does the same tasks,
whatever has been added to the source since: new files make new tasks after the old ones, and a task whose files have
changed is done again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from goodricke.data.lightcurves import LightCurves
from goodricke.io import ReadOptions, Unreadable, read_batches
from goodricke.io import files as finding
from goodricke.io.files import Opened
from goodricke.io.reading import pieces
from goodricke.survey.shards import MANIFEST, UNREADABLE, read_log, read_manifest, shards_in, whole_file

TASKS = "tasks.jsonl"
PIECE = 1_000_000  # observations read at once


@dataclass(frozen=True)
class Task:
    """Some files, or some row groups of one Parquet file.

    Parameters
    ----------
    name : str
        Its number, which names its shard.
    files : tuple of str
    groups : (int, int), optional
        First row group and the one after the last.
    rows : int
        Light curves, as far as the files tell without being read; else files.
    """

    name: str
    files: tuple[str, ...]
    groups: tuple[int, int] | None = None
    rows: int = 0

    @property
    def fingerprint(self) -> str:
        """SHA-256 of names, sizes and times of change of the files, first 16 digits; changes when a file does."""
        told = hashlib.sha256()
        for path in self.files:
            try:
                status = os.stat(path)
                told.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
            except OSError:
                told.update(f"{path}\0missing\n".encode())
        return told.hexdigest()[:16]

    def batches(
        self, options: ReadOptions, max_points: int = PIECE
    ) -> Iterator[tuple[LightCurves | None, list[Unreadable]]]:
        """Give the light curves batch by batch, and what can't be read; see `goodricke.io.read_batches`."""
        try:
            if self.groups is None:
                yield from read_batches(list(self.files), max_points=max_points, **vars(options))
                return
            for _, curves in pieces(self.files[0], options, max_points, range(*self.groups)):
                yield curves, []
        except Unreadable as failure:
            yield None, [failure]


def plan(folder: Path, sources: Sequence[str], points: int, options: ReadOptions) -> list[Task]:
    """Return the tasks of a folder that is being written, those of an earlier run first.

    Parameters
    ----------
    folder : Path
        Where ``tasks.jsonl`` is kept.
    sources : sequence of str
        Files, folders, patterns, lists of files, packs and HATS catalogs.
    points : int
        Observations per task, as far as they can be told without reading; half a megabyte of other files than Parquet
        is taken for 10,000 of them.
    options : ReadOptions

    Raises
    ------
    Unreadable
        If the sources name no file.
    """
    path = folder / TASKS
    old = [_task(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []
    fitted, new = _fitted(folder, old, points)
    new += _cut(_unknown(folder, sources, options.recursive, {file for task in old for file in task.files}), points)
    if not old and not any(os.path.exists(file) for task in new for file in task.files):  # a slip of the pen
        raise Unreadable(", ".join(sources), "names no file", "give files or folders of light curves")
    new = [replace(task, name=f"{len(old) + i:06d}") for i, task in enumerate(new)]
    if new:
        with whole_file(path) as file:
            file.write("".join(json.dumps(asdict(task)) + "\n" for task in old + new).encode())
    return fitted + new


def _unknown(folder: Path, sources: Sequence[str], recursive: bool, known: set[str]) -> Iterator[str]:
    """Give the files that are not known yet, each once, but not what stands in the folder that is being written."""
    for path in files_of(sources, recursive):
        if path not in known and not _is_own(path, folder):
            known.add(path)
            yield path


def _is_own(path: str, folder: Path) -> bool:
    """Whether a file is one that we write: the folder may be inside the source."""
    place, name = os.path.split(path)
    ours = name == UNREADABLE or (name.startswith("shard-") and name.endswith(".parquet"))
    return ours and os.path.isdir(place) and os.path.samefile(place, folder)


def _fitted(folder: Path, tasks: list[Task], points: int) -> tuple[list[Task], list[Task]]:
    """Fit tasks to Parquet files that were written anew: return them, and further ones for row groups they don't take.

    A file is looked at again if a task of it is left to do.
    """
    logged = {entry.task: entry.more.get("input") for entry in read_log(folder)}
    cut, end = [task for task in tasks if task.groups], dict[str, int]()
    for task in cut:
        end[task.files[0]] = max(end.get(task.files[0], 0), task.groups[1] if task.groups else 0)
    looked_at = dict.fromkeys(task.files[0] for task in cut if logged.get(task.name) != task.fingerprint)
    number, further = dict[str, int](), list[Task]()
    for path in looked_at:
        groups = list(_row_groups(path))
        if groups:
            number[path] = len(groups)
        if len(groups) > end[path]:
            further += _cut_parquet(path, groups, points, end[path])

    def fitted(task: Task) -> Task:
        most = number.get(task.files[0])
        return task if task.groups is None or most is None else replace(task, groups=_within(task.groups, most))

    return [fitted(task) for task in tasks], further


def _within(groups: tuple[int, int], most: int) -> tuple[int, int]:
    return min(groups[0], most), min(groups[1], most)


def _task(told: dict[str, Any]) -> Task:
    groups = tuple(told["groups"]) if told["groups"] else None
    return Task(told["name"], tuple(told["files"]), groups, told["rows"])


def files_of(sources: Sequence[str], recursive: bool = False) -> Iterator[str]:
    """Give the files of sources; in place of an item that names none the item itself, which then can't be read.

    Raises
    ------
    ValueError
        If a source is a catalog of predictions, which has no light curves.
    """
    for source in sources:
        if (Path(source) / MANIFEST).is_file():
            yield from _shards_of(Path(source).absolute())
            continue
        for found in finding.each(source, recursive=recursive):
            # whole paths: the run may go on elsewhere, and workers may have another working folder
            yield os.path.abspath(found.path if isinstance(found, Unreadable) else found)


def _shards_of(path: Path) -> list[str]:
    """Return the shards of a pack.

    Raises
    ------
    ValueError
        If it is a catalog of predictions, which has no light curves.
    """
    if read_manifest(path)["kind"] != "pack":
        raise ValueError(f"{path} holds predictions, not light curves: give what it was made of")
    return [str(path / str(entry.shard)) for entry in shards_in(path)]


def _cut(files: Iterator[str], points: int) -> Iterator[Task]:
    """Give tasks of about ``points`` observations each."""
    waiting, weight = list[str](), 0.0
    for path in files:
        groups = list(_row_groups(path))
        if groups:
            yield from _cut_parquet(path, groups, points)
            continue
        size = os.path.getsize(path) / 50 if os.path.exists(path) else 0
        if waiting and weight + size > points:
            yield Task("", tuple(waiting), None, len(waiting))
            waiting, weight = [], 0.0
        waiting.append(path)
        weight += size
    if waiting:
        yield Task("", tuple(waiting), None, len(waiting))


def _cut_parquet(path: str, groups: list[tuple[int, int]], points: int, first: int = 0) -> Iterator[Task]:
    """Give tasks of some row groups each; ``groups`` has rows and observations of each, ``first`` is where to begin."""
    start, rows, weight = first, 0, 0
    for i, (n, observations) in enumerate(groups[first:], first):
        if i > start and weight + observations > points:
            yield Task("", (path,), (start, i), rows)
            start, rows, weight = i, 0, 0
        rows, weight = rows + n, weight + observations
    yield Task("", (path,), (start, len(groups)), rows)


def _row_groups(path: str) -> Iterator[tuple[int, int]]:
    """Give rows and observations of each row group; nothing if the file is no nested Parquet."""
    from goodricke.io import nested

    try:
        file = Opened(path)
        if not nested.recognises(file):
            return
        meta = file.parquet.metadata
    except (Unreadable, OSError):
        return
    for i in range(meta.num_row_groups):
        group = meta.row_group(i)
        yield group.num_rows, max((group.column(j).num_values for j in range(group.num_columns)), default=0)
