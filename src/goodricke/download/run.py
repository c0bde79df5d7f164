"""A download: targets in portions, each fetched by a few connections, read, and written as one shard of a pack.

A portion's files gather in a hidden folder of the pack, each under its name only when it is whole and readable, and
what the archive doesn't have is noted there. Then they are written as a shard, the shard is entered in the log, and
they are deleted. Killed at any moment, the same command asks for nothing a second time but what was on its way.

What a download shows: a bar with rate and time left, and what came of it.
"""

from __future__ import annotations

import csv
import io
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from goodricke.data.files import atomic_write
from goodricke.data.lightcurves import LightCurves
from goodricke.download.archive import ABSENT, FAILED, NO_TARGET, Archive, Ask, Missing
from goodricke.download.fetch import Fetcher, Had
from goodricke.download.http import Client
from goodricke.download.targets import Targets
from goodricke.io import ReadOptions
from goodricke.survey.jobs import lock_folder
from goodricke.survey.pack import GROUP_POINTS, sort_by_object
from goodricke.survey.shards import Entry, Folder, write_shard
from goodricke.survey.tasks import reading_settings

TARGETS, MISSING = "_targets.csv", "_missing.csv"  # underscores: no files of light curves
ENOUGH = 4  # failures in a row, and two more for each connection, that show a server to be down


class Portion(NamedTuple):
    """Some targets that become one shard."""

    name: str
    targets: tuple[str, ...]


class Down(RuntimeError):  # noqa: N818  it is
    """Nothing comes from the server any more."""


@dataclass(frozen=True)
class Download:
    """A download into a folder.

    Parameters
    ----------
    archive : Archive
    targets : Targets
    out : Path
    client : Client
    options : ReadOptions
        Of the reader: flux, quality cut.
    per_shard : int
        Targets per shard.
    connections : int
    keep : Path, optional
        Folder to keep the downloaded files in.
    """

    archive: Archive
    targets: Targets
    out: Path
    client: Client
    options: ReadOptions = field(default_factory=ReadOptions)
    per_shard: int = 1000
    connections: int = 4
    keep: Path | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the contents of the shards."""
        told = {"download": self.archive.NAME, **self.archive.settings, "reading": reading_settings(self.options)}
        return told | {"targets": self.targets.fingerprint, "per_shard": self.per_shard}

    def run(self, tick: Callable[[int], None] = lambda targets: None) -> dict[str, Any]:
        """Get what is left to get; return the manifest.

        Parameters
        ----------
        tick : callable
            Told how many more targets are done with, those of earlier runs first.

        Raises
        ------
        Down
            If the server doesn't answer any more; the same command goes on.
        ValueError
            If the folder holds something else, or another download is at work in it.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        with lock_folder(self.out):
            return self._run(tick)

    def _run(self, tick: Callable[[int], None]) -> dict[str, Any]:
        folder = Folder(self.out, "pack", self.settings).begin()
        atomic_write(self.out / TARGETS, self.targets.csv(self.archive))
        entries = folder.entries()
        for name in entries:
            self._put_away(self.out / f".{name}")  # of a run that was killed between log and broom
        left = list(self.left(entries))
        tick(len(self.targets.ids) - sum(len(portion.targets) for portion in left))
        for portion in left:
            folder.log(self._shard(portion, tick))
            self._put_away(self.out / f".{portion.name}")
        missing = self.missing(folder.entries())
        self._list(missing)
        counts = Counter(row.kind for row in missing)
        return folder.finish(targets=len(self.targets.ids), missing=dict(counts))

    def portions(self) -> Iterator[Portion]:
        """Give the portions of a run in which nothing fails."""
        ids, size = self.targets.ids, self.per_shard
        for number, start in enumerate(range(0, len(ids), size)):
            yield Portion(f"{self.archive.NAME}-{number:05d}", ids[start : start + size])

    def left(self, entries: Mapping[str, Entry]) -> Iterator[Portion]:
        """Give the portions that aren't in the log, and once more what failed in those that are."""
        for portion in self.portions():
            last = self._attempts(portion, entries)[-1]
            if last.name not in entries:
                yield last
            elif again := _failed(entries[last.name]):
                yield _next(last, again)

    def missing(self, entries: Mapping[str, Entry]) -> list[Missing]:
        """Return what could not be had, as of now."""
        found = list(self.targets.others)
        for portion in self.portions():
            attempts = [entries[p.name] for p in self._attempts(portion, entries) if p.name in entries]
            for number, entry in enumerate(attempts, 1):
                rows = (Missing(*row) for row in entry.details.get("missing", []))
                found += [row for row in rows if row.kind != FAILED or number == len(attempts)]
        return found

    def _attempts(self, portion: Portion, entries: Mapping[str, Entry]) -> list[Portion]:
        """Return a portion and, after it, the portions of what had failed that were tried again."""
        attempts = [portion]
        while (entry := entries.get(attempts[-1].name)) is not None and (again := _failed(entry)):
            following = _next(attempts[-1], again)
            if following.name not in entries:
                break
            attempts.append(following)
        return attempts

    def _shard(self, portion: Portion, tick: Callable[[int], None]) -> Entry:
        """Get a portion and write it; return the entry to log."""
        begun, hidden = time.perf_counter(), self.out / f".{portion.name}"
        hidden.mkdir(exist_ok=True)
        asks, missing = self.archive.asks(self.client, portion.targets, self.targets.rows(portion.targets))
        tick(len(missing))
        had = self._all(asks, Fetcher(self.archive, self.client, self.options, hidden), tick)
        missing += [row for each in had for row in each.missing]
        parts, odd = _alike([part for each in had for part in each.parts])
        missing += odd
        told: dict[str, Any] = {"targets": len(portion.targets), "missing": [list(row) for row in missing]}
        if not parts:
            return Entry(portion.name, seconds=round(time.perf_counter() - begun, 3), details=told)
        curves, name = self._joined(parts), f"{portion.name}.parquet"
        rows = max(1, int(GROUP_POINTS * len(curves) / max(len(curves.time), 1)))
        size, sha256 = write_shard(self.out / name, curves.to_arrow(), rows)
        told |= {"points": len(curves.time), "unit": curves.unit}
        seconds = round(time.perf_counter() - begun, 3)
        return Entry(portion.name, name, len(curves), size, sha256, seconds, details=told)

    def _all(self, asks: Sequence[Ask], fetcher: Fetcher, tick: Callable[[int], None]) -> list[Had]:
        """Get all that is asked for, by several connections; return it in the order asked for.

        Raises
        ------
        Down
            If one after the other fails.
        """
        pool = ThreadPoolExecutor(self.connections, thread_name_prefix="download")
        try:
            futures = [pool.submit(fetcher, ask) for ask in asks]
            self._watch(futures, tick)
            return [future.result() for future in futures]
        except BaseException:
            self.client.stop.set()  # whoever waits for a turn or a server gives up
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _watch(self, futures: Sequence[Future[Had]], tick: Callable[[int], None]) -> None:
        in_a_row = 0
        for future in as_completed(futures):
            had = future.result()
            tick(had.targets)
            in_a_row = in_a_row + 1 if had.failure else 0
            if in_a_row >= ENOUGH + 2 * self.connections:
                raise Down(
                    f"{in_a_row} requests in a row came to nothing. The last: {had.failure}\nThe server, or the way to "
                    "it, seems to be down. What came is kept: the same command goes on from there"
                )

    def _joined(self, parts: Sequence[tuple[str, LightCurves]]) -> LightCurves:
        """Return one batch with the columns of the list of targets, sorted by object, each light curve by time."""
        curves = LightCurves.concat([part for _, part in parts])
        owners = [target for target, part in parts for _ in range(len(part))]
        columns = self.targets.rows(owners)
        named = {name: columns[name] for name in columns.column_names}
        return sort_by_object(curves.with_columns(**named).sorted())

    def _put_away(self, hidden: Path) -> None:
        """Delete a portion's files, or keep them where they are to be kept."""
        if not hidden.is_dir():
            return
        if self.keep is not None:
            self.keep.mkdir(parents=True, exist_ok=True)
            for path in hidden.iterdir():
                if ".partial" not in path.name and path.suffix not in (".none", ".csv"):  # ours, not the archive's
                    shutil.move(path, self.keep / path.name)
        shutil.rmtree(hidden)

    def _list(self, missing: Sequence[Missing]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([Missing._fields, *missing])
        atomic_write(self.out / MISSING, text.getvalue())


def _alike(parts: list[tuple[str, LightCurves]]) -> tuple[list[tuple[str, LightCurves]], list[Missing]]:
    """Return the light curves of the usual unit and time scale, of which a shard has one, and what is odd."""
    kinds = Counter((part.unit, part.time_scale) for _, part in parts)
    if len(kinds) < 2:
        return parts, []
    usual = kinds.most_common(1)[0][0]
    odd = {target: part for target, part in parts if (part.unit, part.time_scale) != usual}
    reason = f"in another unit or time scale than the others, {' and '.join(usual)}"
    rows = [Missing(target, FAILED, reason, part.column("source")[0]) for target, part in odd.items()]
    return [each for each in parts if each[0] not in odd], rows


def _failed(entry: Entry) -> tuple[str, ...]:
    return tuple(row[0] for row in entry.details.get("missing", []) if row[1] == FAILED)


def _next(portion: Portion, targets: tuple[str, ...]) -> Portion:
    """Return the portion of what failed in another, ``kepler-00003-again-1`` after ``kepler-00003``."""
    name, _, number = portion.name.partition("-again-")
    return Portion(f"{name}-again-{int(number or 0) + 1}", targets)


# ---- What a download shows: a bar with rate and time left, and what came of it ---------------------------------------


MEANING = {
    ABSENT: "the archive has none",
    FAILED: "failed; the same command tries them again",
    NO_TARGET: "lines that name no target of this archive",
}


class _Rate(ProgressColumn):
    """Targets per second, and how much has come."""

    def __init__(self, download: Download) -> None:
        super().__init__()
        self._client = download.client

    def render(self, task: Task) -> Text:
        """Return the text."""
        speed = f"{task.speed:.1f}/s" if task.speed else "--/s"
        return Text(f"{speed}, {self._client.bytes / 1e6:,.0f} MB")


def show_progress(download: Download) -> dict[str, Any]:
    """Run a download with a bar on the standard error; return the manifest."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(download))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(download.archive.NAME, total=len(download.targets.ids))
        return download.run(lambda targets: progress.advance(bar, targets))


def summary(download: Download, manifest: dict[str, Any], console: Console | None = None) -> None:
    """Print how many targets were had, and what became of the others."""
    console = console or Console()
    table = Table(show_header=False, box=None)
    table.add_row("light curves", f"{manifest['rows']:,}", f"of {manifest['targets']:,} targets")
    for kind, count in manifest["missing"].items():
        table.add_row(kind, f"{count:,}", MEANING[kind])
    shards = f"in {len(manifest['shards'])} shards, {download.out}"
    table.add_row("on the disk", f"{manifest['bytes'] / 1e6:,.1f} MB", shards)
    table.add_row("this time", f"{download.client.bytes / 1e6:,.1f} MB", f"in {download.client.requests:,} requests")
    console.print(table)
    if manifest["missing"]:
        console.print(f"What could not be had, and why: {download.out / MISSING}", soft_wrap=True)
