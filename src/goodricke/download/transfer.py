"""A download: targets in portions, each fetched over a few connections, read, and written as one shard of a pack.

The files of a portion are kept in a hidden folder of the pack, under their names only when they are complete and
readable, with notes of the files that the archive doesn't have. Then they are written as a shard, the shard is entered
in the log, and they are deleted. After a kill at any moment, the same command repeats only unfinished requests.
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

import pyarrow as pa

from goodricke.data.files import atomic_path, atomic_write
from goodricke.data.lightcurves import LightCurves
from goodricke.download.archive import ABSENT, FAILED, DataArchive, FileLocation, FileRequest, MissingTarget
from goodricke.download.http import AbsentFileError, Client, InvalidResponseError, RequestError
from goodricke.download.targets import Targets
from goodricke.io import ReadOptions
from goodricke.io.files import SourceFile
from goodricke.io.options import Unreadable
from goodricke.io.products import find_reader
from goodricke.io.reading import errors_as_unreadable
from goodricke.survey.jobs import lock_folder
from goodricke.survey.pack import GROUP_POINTS, sort_by_object
from goodricke.survey.shards import Entry, Folder, write_shard
from goodricke.survey.tasks import reading_settings

TARGETS, MISSING = "_targets.csv", "_missing.csv"  # underscores: no files of light curves
MAX_FAILURES = 4  # in a row, and two more for each connection, before the server counts as down

TargetCurves = list[tuple[str, LightCurves]]  # targets and their light curves
Advance = Callable[[int], None]


class Portion(NamedTuple):
    """Targets whose light curves become one shard."""

    name: str
    targets: tuple[str, ...]


class ServerDownError(RuntimeError):
    """The server doesn't answer any more."""


@dataclass(frozen=True)
class Download:
    """A download into a folder.

    Parameters
    ----------
    archive : DataArchive
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

    archive: DataArchive
    targets: Targets
    out: Path
    client: Client
    options: ReadOptions = field(default_factory=ReadOptions)
    per_shard: int = 1000
    connections: int = 4
    keep: Path | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What determines the contents of the shards."""
        settings = {"download": self.archive.NAME, **self.archive.settings, "reading": reading_settings(self.options)}
        return settings | {"targets": self.targets.fingerprint, "per_shard": self.per_shard}

    def run(self, advance: Advance = lambda targets: None) -> dict[str, Any]:
        """Download the remaining targets; return the manifest.

        Parameters
        ----------
        advance : callable
            Called with the number of targets that are finished, first of those of earlier runs.

        Raises
        ------
        ServerDownError
            If the server doesn't answer any more; the same command goes on.
        ValueError
            If the folder holds something else, or another download is running in it.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        with lock_folder(self.out):
            folder = Folder(self.out, "pack", self.settings).begin()
            atomic_write(self.out / TARGETS, self.targets.csv(self.archive))
            entries = folder.entries()
            for name in entries:
                self._clear(self.out / f".{name}")  # of a run that was killed after the log entry
            portions = list(self.remaining_portions(entries))
            advance(len(self.targets.ids) - sum(len(portion.targets) for portion in portions))
            for portion in portions:
                folder.log(self._write_portion(portion, advance))
                self._clear(self.out / f".{portion.name}")
            missing = self.missing(folder.entries())
            self._write_missing(missing)
            counts = Counter(row.kind for row in missing)
            return folder.finish(targets=len(self.targets.ids), missing=dict(counts))

    def portions(self) -> Iterator[Portion]:
        """Yield all portions, without repetitions."""
        ids, size = self.targets.ids, self.per_shard
        for number, start in enumerate(range(0, len(ids), size)):
            yield Portion(f"{self.archive.NAME}-{number:05d}", ids[start : start + size])

    def remaining_portions(self, entries: Mapping[str, Entry]) -> Iterator[Portion]:
        """Yield the portions that aren't in the log, and repetitions of failed targets of those that are."""
        for portion in self.portions():
            last = self._repetitions(portion, entries)[-1]
            if last.name not in entries:
                yield last
            elif failed := _failed_targets(entries[last.name]):
                yield _repetition(last, failed)

    def missing(self, entries: Mapping[str, Entry]) -> list[MissingTarget]:
        """Return the targets without light curves, according to the log."""
        missing = list(self.targets.unrecognised)
        for portion in self.portions():
            logged = [entries[p.name] for p in self._repetitions(portion, entries) if p.name in entries]
            for number, entry in enumerate(logged, 1):
                rows = (MissingTarget(*row) for row in entry.details.get("missing", []))
                missing += [row for row in rows if row.kind != FAILED or number == len(logged)]
        return missing

    def _repetitions(self, portion: Portion, entries: Mapping[str, Entry]) -> list[Portion]:
        """Return a portion and the repetitions of its failed targets in the log."""
        portions = [portion]
        while (entry := entries.get(portions[-1].name)) is not None and (failed := _failed_targets(entry)):
            repetition = _repetition(portions[-1], failed)
            if repetition.name not in entries:
                break
            portions.append(repetition)
        return portions

    def _write_portion(self, portion: Portion, advance: Advance) -> Entry:
        """Download a portion and write its shard; return the entry for the log."""
        start, hidden = time.perf_counter(), self.out / f".{portion.name}"
        hidden.mkdir(exist_ok=True)
        columns = self.targets.rows(portion.targets)
        requests, missing = self.archive.file_requests(self.client, portion.targets, columns)
        advance(len(missing))
        fetched = self._fetch(requests, Fetcher(self.archive, self.client, self.options, hidden), advance)
        missing += [row for item in fetched for row in item.missing]
        parts, other_units = _split_other_units([part for item in fetched for part in item.parts])
        missing += other_units
        details: dict[str, Any] = {"targets": len(portion.targets), "missing": [list(row) for row in missing]}
        if not parts:
            return Entry(portion.name, seconds=round(time.perf_counter() - start, 3), details=details)
        curves, name = self._join(parts), f"{portion.name}.parquet"
        rows = max(1, int(GROUP_POINTS * len(curves) / max(len(curves.time), 1)))
        size, sha256 = write_shard(self.out / name, curves.to_arrow(), rows)
        details |= {"points": len(curves.time), "unit": curves.unit}
        seconds = round(time.perf_counter() - start, 3)
        return Entry(portion.name, name, len(curves), size, sha256, seconds, details=details)

    def _fetch(self, requests: Sequence[FileRequest], fetcher: Fetcher, advance: Advance) -> list[Fetched]:
        """Return the results of requests in their order, over several connections."""
        pool = ThreadPoolExecutor(self.connections, thread_name_prefix="download")
        try:
            futures = [pool.submit(fetcher, request) for request in requests]
            self._watch(futures, advance)
            return [future.result() for future in futures]
        except BaseException:
            self.client.stop.set()  # ends the waiting of the other threads
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _watch(self, futures: Sequence[Future[Fetched]], advance: Advance) -> None:
        """Wait for requests; raise `ServerDownError` after many failures in a row."""
        failures = 0
        for future in as_completed(futures):
            fetched = future.result()
            advance(fetched.targets)
            failures = failures + 1 if fetched.failure else 0
            if failures >= MAX_FAILURES + 2 * self.connections:
                raise ServerDownError(
                    f"{failures} requests in a row failed. The last: {fetched.failure}\nThe server, or the network, "
                    "seems to be down. Fix: run the same command again later; it continues with the files so far"
                )

    def _join(self, parts: TargetCurves) -> LightCurves:
        """Return one batch with the columns of the list of targets, sorted by object, each light curve by time."""
        curves = LightCurves.concat([part for _, part in parts])
        columns = self.targets.rows([target for target, part in parts for _ in range(len(part))])
        return sort_by_object(curves.with_columns(**{n: columns[n] for n in columns.column_names}).sorted())

    def _clear(self, hidden: Path) -> None:
        """Delete the files of a portion, or move the archive's to the folder that keeps them."""
        if not hidden.is_dir():
            return
        if self.keep is not None:
            self.keep.mkdir(parents=True, exist_ok=True)
            for path in hidden.iterdir():
                if ".partial" not in path.name and path.suffix not in (".none", ".csv"):
                    shutil.move(path, self.keep / path.name)
        shutil.rmtree(hidden)

    def _write_missing(self, missing: Sequence[MissingTarget]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([MissingTarget._fields, *missing])
        atomic_write(self.out / MISSING, text.getvalue())


def _split_other_units(parts: TargetCurves) -> tuple[TargetCurves, list[MissingTarget]]:
    """Return the light curves in the most common unit and time scale, of which a shard has one, and the others."""
    kinds = Counter((part.unit, part.time_scale) for _, part in parts)
    if len(kinds) < 2:
        return parts, []
    usual = kinds.most_common(1)[0][0]
    others = {target: part for target, part in parts if (part.unit, part.time_scale) != usual}
    reason = f"in another unit or time scale than the others, {' and '.join(usual)}"
    rows = [MissingTarget(target, FAILED, reason, part.column("source")[0]) for target, part in others.items()]
    return [(target, part) for target, part in parts if target not in others], rows


def _failed_targets(entry: Entry) -> tuple[str, ...]:
    return tuple(row[0] for row in entry.details.get("missing", []) if row[1] == FAILED)


def _repetition(portion: Portion, targets: tuple[str, ...]) -> Portion:
    """Return the portion of failed targets of another, ``kepler-00003-again-1`` after ``kepler-00003``."""
    name, _, number = portion.name.partition("-again-")
    return Portion(f"{name}-again-{int(number or 0) + 1}", targets)


@dataclass(frozen=True)
class Fetched:
    """The result of a `FileRequest`.

    Parameters
    ----------
    targets : int
        Their number.
    parts : list of (str, LightCurves)
        Targets and their light curves.
    missing : list of MissingTarget
    failure : RequestError, optional
    """

    targets: int
    parts: TargetCurves = field(default_factory=list)
    missing: list[MissingTarget] = field(default_factory=list)
    failure: RequestError | None = None


@dataclass(frozen=True)
class Fetcher:
    """Fetches and reads the files of requests, in any thread.

    Parameters
    ----------
    archive : DataArchive
    client : Client
    options : ReadOptions
    folder : Path
        For the files; those that are in it are not requested again.
    """

    archive: DataArchive
    client: Client
    options: ReadOptions
    folder: Path

    def __call__(self, request: FileRequest) -> Fetched:
        """Fetch the files of a request; if one fails, all fail, lest a star have part of its light curves twice."""
        number, parts = len(request.targets), TargetCurves()
        for locations in request.files:
            try:
                parts += self._fetch_file(request.targets, locations)
            except AbsentFileError:
                continue
            except RequestError as error:
                return Fetched(number, [], self._missing(request.targets, FAILED, error.reason, error.url), error)
        present = {target for target, _ in parts}
        absent = [target for target in request.targets if target not in present]
        url = request.files[-1][0].url
        return Fetched(number, parts, self._missing(absent, ABSENT, self.archive.ABSENT_REASON, url))

    def _missing(self, targets: Sequence[str], kind: str, reason: str, url: str) -> list[MissingTarget]:
        return [MissingTarget(target, kind, reason, self.archive.target_url(target, url)) for target in targets]

    def _fetch_file(self, targets: Sequence[str], locations: Sequence[FileLocation]) -> TargetCurves:
        """Return the light curves of a file, from the first of its locations that has it.

        Raises
        ------
        AbsentFileError, RequestError
            If none has it, or one doesn't answer.
        """
        for number, location in enumerate(locations):
            path = self.folder / location.name
            note = self.folder / f"{location.name}.{number}.none"  # written by an earlier, killed run
            if note.exists():
                continue
            try:
                return self._from_disk(path, targets, location.url) or self._from_archive(path, targets, location.url)
            except AbsentFileError:
                path.unlink(missing_ok=True)
                note.touch()
        raise AbsentFileError(locations[-1].url)

    def _from_disk(self, path: Path, targets: Sequence[str], url: str) -> TargetCurves:
        if not path.exists():
            return []
        try:
            return self._read(path, targets, url)
        except InvalidResponseError:  # the disk was full, or the machine went down
            path.unlink()
            return []

    def _from_archive(self, path: Path, targets: Sequence[str], url: str) -> TargetCurves:
        def accept(body: bytes) -> TargetCurves:
            self.archive.check(body)
            with atomic_path(path) as partial:
                partial.write_bytes(body)
                return self._read(partial, targets, url)

        return self.client.get(url, accept)

    def _read(self, path: Path, targets: Sequence[str], url: str) -> TargetCurves:
        """Return the light curves of a downloaded file by target.

        Raises
        ------
        AbsentFileError
            If there is none in it.
        InvalidResponseError
            If it can't be read, is of another product, or of none of the targets.
        """
        parts = TargetCurves()
        for table in self.archive.tables(path, targets):
            try:
                parts += self._split(self._light_curves(table), targets, url)
            except Unreadable as error:
                raise InvalidResponseError(f"sent a file that {error.reason}") from error
            finally:
                if table != path:
                    table.unlink(missing_ok=True)
        return parts

    def _light_curves(self, path: Path) -> LightCurves:
        with errors_as_unreadable(str(path)):
            file = SourceFile(path)
            reader = find_reader(file)
            if reader.NAME != self.archive.READER:
                raise Unreadable(path, f"is no {self.archive.READER} light curve but read as {reader.NAME}")
            return reader.read(file, self.options)

    def _split(self, curves: LightCurves, targets: Sequence[str], url: str) -> TargetCurves:
        """Return the light curves by target, with the column ``source``, the address that they came from."""
        by_id = {self.archive.object_id(target): target for target in targets}
        only = targets[0] if len(targets) == 1 else None
        owners = [by_id.get(name, only if self.archive.is_alias(name) else None) for name in curves.ids]
        if None in owners:
            stranger = curves.ids[owners.index(None)]
            raise InvalidResponseError(f"sent a light curve of {stranger}, which wasn't requested")
        sources = [self.archive.target_url(str(owner), url) for owner in owners]
        curves = curves.with_columns(source=pa.array(sources, pa.string()))
        return [(str(owner), curves[row]) for row, owner in enumerate(owners)]
