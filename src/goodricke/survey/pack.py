"""``goodricke pack``: read millions of small files once and keep their light curves in a few large ones.

Each shard is a nested Parquet file (one row per light curve, as `LightCurves.to_arrow`) of one unit and time scale. It
is sorted by object, so that the light curves of a star in one shard are neighbours, and cut into row groups, which
later tasks can divide among them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from rich.console import Console

from goodricke.data.exit_codes import ExitCode
from goodricke.data.lightcurves import LightCurves
from goodricke.io import ReadOptions
from goodricke.survey.jobs import lock_folder
from goodricke.survey.shards import Entry, Folder, write_shard
from goodricke.survey.tasks import (
    PIECE,
    SurveyTask,
    plan_tasks,
    print_failures,
    reading_settings,
    run_tasks,
    unfinished,
)

SHARD_POINTS = 12_000_000  # observations in a shard: 250 MB in memory, some 60 to 150 MB on the disk
TASK_POINTS = 10_000_000  # observations in a task, estimated from the sizes of the files
GROUP_POINTS = 250_000  # observations in a row group: the least that a task can have


def pack(
    sources: Sequence[str],
    out: Path,
    workers: int = 1,
    shard_points: int = SHARD_POINTS,
    options: dict[str, Any] | None = None,
    console: Console | None = None,
) -> int:
    """Pack light curves into shards.

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
        0 if everything could be read, 3 if not: ``unreadable.csv`` and the manifest list what could not.
    """
    console = console or Console()
    job = PackingJob(out.absolute(), ReadOptions(**(options or {})), shard_points)
    with lock_folder(job.out):
        folder = Folder(job.out, "pack", job.settings).begin()
        tasks = unfinished(folder, plan_tasks(job.out, sources, TASK_POINTS, job.options))
        run_tasks(folder, job, tasks, workers, None, "files", console)
        unreadable, manifest = folder.list_unreadable(), folder.finish()
    console.print(
        f"{manifest['rows']:,} light curves in {len(manifest['shards']):,} shards, "
        f"{manifest['bytes'] / 1e6:,.1f} MB, in {out}"
    )
    failed = print_failures(manifest, unreadable, out, console)
    return ExitCode.SOME_FAILED if failed or unreadable else ExitCode.DONE


@dataclass(frozen=True)
class PackingJob:
    """The work of `pack`: called with a task it writes the task's shards; can be sent to other processes.

    Parameters
    ----------
    out : Path
    options : ReadOptions
    shard_points : int
    """

    out: Path
    options: ReadOptions = field(default_factory=ReadOptions)
    shard_points: int = SHARD_POINTS

    @property
    def settings(self) -> dict[str, Any]:
        """Everything that decides the contents of the shards."""
        return {"reading": reading_settings(self.options), "shard_points": self.shard_points}

    def __call__(self, task: SurveyTask) -> list[Entry]:
        """Read the files of a task and write its shard, or several of different units; the task's entry comes last."""
        start, entries, unreadable = time.perf_counter(), list[Entry](), list[list[str]]()
        fingerprint = task.fingerprint  # before reading: a file that changes meanwhile is then read again
        for curves in self._shards(task, unreadable):
            name = f"shard-{task.name}{f'-{len(entries)}' if entries else ''}.parquet"
            entries.append(self._write(name, f"{task.name}/{len(entries)}", curves))
        details = {"parts": len(entries), "files": len(task.files), "unreadable": unreadable, "input": fingerprint}
        return [*entries, Entry(task.name, seconds=round(time.perf_counter() - start, 3), details=details)]

    def _shards(self, task: SurveyTask, unreadable: list[list[str]]) -> Iterator[LightCurves]:
        """Give the light curves of one shard after the other; add what can't be read to the list."""
        waiting: dict[tuple[str, str], list[LightCurves]] = {}
        for curves, failures in task.batches(self.options, min(PIECE, self.shard_points)):
            unreadable += [[f.path, f.reason, f.fix] for f in failures]
            if curves is None:
                continue
            parts = waiting.setdefault((curves.unit, curves.time_scale), [])
            parts.append(curves)
            if sum(len(part.time) for part in parts) >= self.shard_points:
                yield LightCurves.concat(waiting.pop((curves.unit, curves.time_scale)))
        for parts in waiting.values():
            yield LightCurves.concat(parts)

    def _write(self, name: str, task: str, curves: LightCurves) -> Entry:
        curves = sort_by_object(curves)
        rows = max(1, int(GROUP_POINTS * len(curves) / max(len(curves.time), 1)))
        size, sha256 = write_shard(self.out / name, curves.to_arrow(), rows)
        return Entry(task, name, len(curves), size, sha256, details={"points": len(curves.time), "unit": curves.unit})


def sort_by_object(curves: LightCurves) -> LightCurves:
    """Return light curves sorted by object and, of one object, by their first time; ids of digits by their number."""
    ids = curves.object_id
    first = np.full(len(curves), np.inf)
    filled = curves.n_obs > 0
    first[filled] = curves.time[curves.offsets[:-1][filled]]
    text = pc.rank(ids, tiebreaker="dense").to_numpy().astype(np.int64)
    length = pc.utf8_length(ids).to_numpy(zero_copy_only=False)
    order = np.lexsort((first, text, length))
    return curves if np.array_equal(order, np.arange(len(order))) else curves[order]
