"""One thing that is asked for: from the archive to files on the disk to light curves, or the reason why not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from goodricke.data.lightcurves import LightCurves
from goodricke.download.archive import ABSENT, FAILED, Archive, Ask, Missing, Place
from goodricke.download.http import Absent, Client, Damaged, Failed
from goodricke.io.files import SourceFile
from goodricke.io.options import ReadOptions, Unreadable
from goodricke.io.products import find_reader
from goodricke.io.reading import errors_as_unreadable


@dataclass(frozen=True)
class Had:
    """What came of an `Ask`: light curves with the target each part is of, and what didn't come."""

    targets: int
    parts: list[tuple[str, LightCurves]] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    failure: Failed | None = None


@dataclass(frozen=True)
class Fetcher:
    """Gets asks, in any thread.

    Parameters
    ----------
    archive : Archive
    client : Client
    options : ReadOptions
    folder : Path
        For the files; those that are there needn't be asked for.
    """

    archive: Archive
    client: Client
    options: ReadOptions
    folder: Path

    def __call__(self, ask: Ask) -> Had:
        """Get the files of an ask; one that fails fails them all, lest a star be had in part and twice."""
        parts = list[tuple[str, LightCurves]]()
        for places in ask.files:
            try:
                parts += self._file(ask.targets, places)
            except Absent:
                continue
            except Failed as failure:
                rows = self._missing(ask.targets, FAILED, failure.why, failure.url)
                return Had(len(ask.targets), [], rows, failure)
        had = {target for target, _ in parts}
        absent = [target for target in ask.targets if target not in had]
        return Had(len(ask.targets), parts, self._missing(absent, ABSENT, self.archive.NONE, ask.files[-1][0].url))

    def _missing(self, targets: Sequence[str], kind: str, reason: str, url: str) -> list[Missing]:
        return [Missing(target, kind, reason, self.archive.address(target, url)) for target in targets]

    def _file(self, targets: Sequence[str], places: Sequence[Place]) -> list[tuple[str, LightCurves]]:
        """Return the light curves of a file, from the first of its places that has it.

        Raises
        ------
        Absent, Failed
            If none has it, or one doesn't answer.
        """
        for place in places:
            note = self.folder / f"{place.name}.{places.index(place)}.none"  # of an earlier, killed run
            if note.exists():
                continue
            try:
                return self._from_disk(targets, place) or self._from_archive(targets, place)
            except Absent:
                (self.folder / place.name).unlink(missing_ok=True)
                note.touch()
        raise Absent(places[-1].url)

    def _from_disk(self, targets: Sequence[str], place: Place) -> list[tuple[str, LightCurves]]:
        path = self.folder / place.name
        if not path.exists():
            return []
        try:
            return self._read(path, targets, place.url)
        except Damaged:  # the disk was full, or the machine went down
            path.unlink()
            return []

    def _from_archive(self, targets: Sequence[str], place: Place) -> list[tuple[str, LightCurves]]:
        path = self.folder / place.name

        def accept(body: bytes) -> list[tuple[str, LightCurves]]:
            self.archive.check(body)
            partial = path.with_name(f"{path.stem}.partial{path.suffix}")
            partial.write_bytes(body)
            parts = self._read(partial, targets, place.url)
            os.replace(partial, path)
            return parts

        return self.client.get(place.url, accept)

    def _read(self, path: Path, targets: Sequence[str], url: str) -> list[tuple[str, LightCurves]]:
        """Return the light curves of a downloaded file, each target's apart.

        Raises
        ------
        Absent
            If there is none in it.
        Damaged
            If it can't be read, is of another product, or of none of the targets.
        """
        parts = list[tuple[str, LightCurves]]()
        for table in self.archive.tables(path, targets):
            try:
                parts += self._apart(self._curves(table), targets, url)
            except Unreadable as error:
                raise Damaged(f"sent a file that {error.reason}") from error
            finally:
                if table != path:
                    table.unlink(missing_ok=True)
        return parts

    def _curves(self, path: Path) -> LightCurves:
        with errors_as_unreadable(str(path)):
            file = SourceFile(path)
            reader = find_reader(file)
            if reader.NAME != self.archive.READER:
                raise Unreadable(path, f"is no {self.archive.READER} light curve but read as {reader.NAME}")
            return reader.read(file, self.options)

    def _apart(self, curves: LightCurves, targets: Sequence[str], url: str) -> list[tuple[str, LightCurves]]:
        """Return each target with its light curves, which name the address that they came from."""
        wanted = {self.archive.object_id(target): target for target in targets}
        alone = targets[0] if len(targets) == 1 else None
        owners = [wanted.get(name, alone if self.archive.is_alias(name) else None) for name in curves.ids]
        if None in owners:
            stranger = curves.ids[owners.index(None)]
            raise Damaged(f"sent a light curve of {stranger}, which wasn't asked for")
        sources = [self.archive.address(str(owner), url) for owner in owners]
        curves = curves.with_columns(source=pa.array(sources, pa.string()))
        return [(str(owner), curves[row]) for row, owner in enumerate(owners)]
