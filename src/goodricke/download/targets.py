"""The list of targets: text with an id per line, or CSV with an id and other columns, such as labels."""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from goodricke.download.archive import NO_TARGET, DataArchive, MissingTarget
from goodricke.io.observations import OBJECT_COLUMNS
from goodricke.io.roles import OBJECT_ID, normal_name

logger = logging.getLogger("goodricke")

RESERVED = {"object_id", "lightcurve", *OBJECT_COLUMNS.names}  # columns that a shard has anyway
MORE_IDS = {"oid", "gaia", "gaiadr3", "kicnumber", "ticnumber", "starname", "starid"}


@dataclass(frozen=True)
class Targets:
    """Targets of an archive, in order of their ids, each once.

    Parameters
    ----------
    ids : tuple of str (n,)
        In the archive's canonical form, e.g. ``"757076"``.
    columns : pyarrow.Table (n rows)
        The other columns of the list; empty cells are null.
    unrecognised : list of MissingTarget
        Lines that name no target of this archive.
    """

    ids: tuple[str, ...]
    columns: pa.Table
    unrecognised: list[MissingTarget]

    def rows(self, ids: Sequence[str]) -> pa.Table:
        """Return the columns of some targets."""
        return self.columns.take(pa.array([self._place[i] for i in ids], pa.int64()))

    @cached_property
    def _place(self) -> dict[str, int]:
        return {target: row for row, target in enumerate(self.ids)}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of ids and columns: another list makes another download."""
        text = repr((self.ids, self.columns.to_pydict(), [other.target for other in self.unrecognised]))
        return hashlib.sha256(text.encode()).hexdigest()

    def csv(self, archive: DataArchive) -> bytes:
        """Return the list as a CSV table with the ids that light curves have: labels for ``goodricke train``."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["object_id", *self.columns.column_names])
        values = [column.to_pylist() for column in self.columns.columns]
        for row, target in enumerate(self.ids):
            writer.writerow([archive.object_id(target), *(column[row] for column in values)])
        return out.getvalue().encode()


def read_targets(path: Path | str, archive: DataArchive, id_column: str | None = None) -> Targets:
    """Read a list of targets.

    Parameters
    ----------
    path : path or str
        Text with cells between commas, semicolons, tabs or bars; lines that begin with # are comments. Without a line
        of names the first cell is the id and the second the label.
    archive : DataArchive
        Whose ids they are.
    id_column : str, optional
        Name of the column of ids, if it isn't recognised.

    Raises
    ------
    ValueError
        If there is no such column, a line has more cells than names, or no line names a target.
    """
    names, rows = _rows(Path(path), archive)
    key = _id_column(names, id_column, path)
    names = names or _default_names(max(map(len, rows), default=1))
    targets, unrecognised = dict[str, list[str]](), list[MissingTarget]()
    for cells in rows:
        if len(cells) > len(names):
            raise ValueError(f"{path}: {cells[:3]} has {len(cells)} cells, the first line {len(names)}; fix the line")
        cells += [""] * (len(names) - len(cells))
        target = archive.parse_target(cells[key])
        if target is None:
            unrecognised.append(MissingTarget(cells[key], NO_TARGET, f"is no {archive.PREFIX or archive.NAME + ' '}id"))
        elif targets.setdefault(target, cells)[key + 1 :] != cells[key + 1 :]:
            logger.warning("%s: %s is in the list twice, with different entries; the first is used", path, cells[key])
    if not targets:
        raise ValueError(f"{path}: no line names a target; ids look like {archive.object_id('757076')!r} or '757076'")
    ids = sorted(targets, key=lambda target: (len(target), target))
    columns = {
        _column_name(name): _parse_column([targets[target][i] for target in ids])
        for i, name in enumerate(names)
        if i != key
    }
    table = pa.table(columns) if columns else pa.table({"_": ids}).drop_columns(["_"])
    return Targets(tuple(ids), table, unrecognised)


def _rows(path: Path, archive: DataArchive) -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns, none if the list has no line of names, and the cells of the lines."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is no text ({error}); save the list as CSV") from error
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise ValueError(f"{path}: names no target; write one id per line")
    delimiter = next((mark for mark in (",", ";", "\t", "|") if mark in lines[0]), ",")
    rows = [[cell.strip() for cell in cells] for cells in csv.reader(lines, delimiter=delimiter, skipinitialspace=True)]
    known = {*OBJECT_ID, *MORE_IDS}
    named = any(normal_name(cell) in known for cell in rows[0]) and not any(
        archive.parse_target(cell) for cell in rows[0]
    )
    return (rows[0], rows[1:]) if named else ([], rows)


def _id_column(names: list[str], wanted: str | None, path: Path | str) -> int:
    if wanted is not None:
        if wanted not in names:
            raise ValueError(f"{path}: has no column {wanted}; it has {', '.join(names) or 'no line of names'}")
        return names.index(wanted)
    ranked = [*OBJECT_ID, *MORE_IDS]
    found = [i for i, name in enumerate(names) if normal_name(name) in ranked]
    return min(found, key=lambda i: ranked.index(normal_name(names[i])), default=0)


def _default_names(width: int) -> list[str]:
    return ["id", "label", *(f"column_{i}" for i in range(3, width + 1))][:width]


def _column_name(name: str) -> str:
    return f"target_{name}" if name in RESERVED else name


def _parse_column(cells: list[str]) -> pa.Array:
    """Return cells as integers, numbers or text, whichever fits all; 007 is text, and an empty cell is null."""
    text = pa.array([cell or None for cell in cells], pa.string())
    if any(re.match(r"[+-]?0\d", cell) for cell in cells) or text.null_count == len(text):
        return text
    for kind in (pa.int64(), pa.float64()):
        try:
            return text.cast(kind)
        except pa.ArrowInvalid:
            continue
    return text
