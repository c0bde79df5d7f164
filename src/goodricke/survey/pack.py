"""``goodricke pack``: open millions of small files once and keep their light curves in a few big ones.

Each shard is a nested Parquet file (one row per light curve, as `LightCurves.to_arrow`) of one unit and time scale,
sorted by object, so that the light curves of a star in one shard are neighbours, in row groups that later tasks can
take apart.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from goodricke.data.lightcurves import LightCurves
from goodricke.io import ReadOptions
from goodricke.survey.shards import MANIFEST, Entry, Folder, write_shard
from goodricke.survey.tasks import PIECE, Task, plan

log = logging.getLogger("goodricke")

SHARD_POINTS = 12_000_000  # observations in a shard: 250 MB in memory, some 60 to 150 MB on the disk
TASK_POINTS = 10_000_000  # observations in a task, guessed from the sizes of the files
GROUP_POINTS = 250_000  # observations in a row group: the least that a task can take


@dataclass(frozen=True)
class Packing:
    """One packing: called with a task it writes the task's shards; other processes can have it.

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
        """What decides the contents of the shards."""
        return {"reading": settings_of(self.options), "shard_points": self.shard_points}

    def __call__(self, task: Task) -> list[Entry]:
        """Read the files of a task and write its shard, or several of different units; the task's entry comes last."""
        begun, entries, unreadable = time.perf_counter(), list[Entry](), list[list[str]]()
        state = task.fingerprint  # before the reading: a file that changes meanwhile is then read again
        for curves in self._shards(task, unreadable):
            name = f"shard-{task.name}{f'-{len(entries)}' if entries else ''}.parquet"
            entries.append(self._write(name, f"{task.name}/{len(entries)}", curves))
        told = {"parts": len(entries), "files": len(task.files), "unreadable": unreadable, "input": state}
        return [*entries, Entry(task.name, seconds=round(time.perf_counter() - begun, 3), more=told)]

    def _shards(self, task: Task, unreadable: list[list[str]]) -> Iterator[LightCurves]:
        """Give the light curves of a shard after the other; add to the list what can't be read."""
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
        curves = by_object(curves)
        rows = max(1, int(GROUP_POINTS * len(curves) / max(len(curves.time), 1)))
        size, sha256 = write_shard(self.out / name, curves.to_arrow(), rows)
        return Entry(task, name, len(curves), size, sha256, more={"points": len(curves.time), "unit": curves.unit})


def settings_of(options: ReadOptions) -> dict[str, Any]:
    """Return what was asked of the readers, as JSON has it."""
    return {k: dict(v) if isinstance(v, Mapping) else v for k, v in vars(options).items() if k != "recursive"}


def by_object(curves: LightCurves) -> LightCurves:
    """Return light curves sorted by object and, of one object, by their first time; ids of digits by their number."""
    ids = curves.object_id
    first = np.full(len(curves), np.inf)
    filled = curves.n_obs > 0
    first[filled] = curves.time[curves.offsets[:-1][filled]]
    text = pc.rank(ids, tiebreaker="dense").to_numpy().astype(np.int64)
    length = pc.utf8_length(ids).to_numpy(zero_copy_only=False)
    order = np.lexsort((first, text, length))
    return curves if np.array_equal(order, np.arange(len(order))) else curves[order]


def begin(packing: Packing, sources: Sequence[str]) -> tuple[Folder, list[Task]]:
    """Make or take up the folder; return it and the tasks left to do."""
    folder = Folder(packing.out, "pack", packing.settings).begin()
    return folder, left(folder, plan(packing.out, sources, TASK_POINTS, packing.options))


def left(folder: Folder, tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks that aren't done, have failed, whose shard is lost, or whose files have changed since.

    Files may be deleted, or their disk be away, once they are packed: a task without any of its files stays as it is.
    """
    entries, kept = folder.entries(), list[Task]()

    def done(task: Task) -> bool:
        entry = entries.get(task.name)
        if entry is None or entry.error is not None or not _has_shards(folder, entries, entry):
            return False
        if entry.more.get("input") == task.fingerprint:
            return True
        if not _is_gone(task):
            return False
        kept.append(task)
        return True

    found = [task for task in tasks if not done(task)]
    if kept:
        which = f"{len(kept):,} tasks (the first: {kept[0].files[0]})"
        log.warning("the files of %s are gone; what was made of them before is kept", which)
    return found


def _is_gone(task: Task) -> bool:
    """Whether none of a task's files is left, unless they were shards of a pack, which has others in their place."""
    of_a_pack = (Path(task.files[0]).parent / MANIFEST).exists()
    return not of_a_pack and not any(map(os.path.exists, task.files))


def _has_shards(folder: Folder, entries: Mapping[str, Entry], entry: Entry) -> bool:
    """Whether all that a task has written is there still."""
    parts = [entries.get(f"{entry.task}/{k}") for k in range(entry.more.get("parts", 0))]
    return all(e is not None and (e.shard is None or (folder.path / e.shard).is_file()) for e in [entry, *parts])
