"""A list of targets of several TESS sectors: one list for each, and the labels of all stars.

The sector is in a column of that name, or in the name of a file of the mission or of QLP, as in the ASTRAFier authors'
``train_catalog.csv`` (label, path): ``..._s0014-0000000277554109_tess_v01_llc.fits`` is TIC 277554109 in sector 14.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import NamedTuple

from goodricke.data.files import atomic_write
from goodricke.download.tess import Tess
from goodricke.io.roles import OBJECT_ID, normal_name

FILE_NAME = re.compile(r"s(\d{4})-(\d{16})\D")
SECTOR = "sector"


class SectorTargets(NamedTuple):
    """The targets of all sectors of a list."""

    names: tuple[str, ...]  # of the other columns
    rows: dict[int, dict[str, tuple[str, ...]]]  # by sector, then by TIC number: the other columns' cells
    unrecognised: int  # lines without sector or TIC number

    def write(self, folder: Path) -> dict[int, Path]:
        """Write the list of each sector, and the labels of all stars as ``_targets.csv``; return the lists' paths."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = {sector: folder / f"_sector-{sector:04d}.csv" for sector in self.rows}
        for sector, path in paths.items():
            atomic_write(path, _csv(self.names, self.rows[sector]))
        stars: dict[str, tuple[str, ...]] = {}
        for rows in self.rows.values():
            stars |= {tic: cells for tic, cells in rows.items() if tic not in stars}
        atomic_write(folder / "_targets.csv", _csv(self.names, stars))
        return paths


def read_sector_targets(path: Path, id_column: str | None = None) -> SectorTargets:
    """Read a CSV table with a line of names, each further line a star in a sector.

    Raises
    ------
    ValueError
        If no line tells a sector and a TIC number, or a star has different entries in two lines of one sector.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        names, *lines = [cells for cells in csv.reader(file) if any(cells)] or [[]]
    sector_at = next((k for k, name in enumerate(names) if normal_name(name) == SECTOR), None)
    ids = [k for k, name in enumerate(names) if name == id_column or (not id_column and normal_name(name) in OBJECT_ID)]
    archive, rows, unrecognised = Tess(), dict[int, dict[str, tuple[str, ...]]](), 0
    file_at = next((k for cells in lines for k, cell in enumerate(cells) if FILE_NAME.search(cell)), None)
    by_name = not (sector_at is not None and ids) and file_at is not None
    dropped = {file_at} if by_name else {sector_at, *ids[:1]}
    kept = [k for k in range(len(names)) if k not in dropped]
    for cells in lines:
        cells = [*cells, *[""] * (len(names) - len(cells))]
        match = FILE_NAME.search(cells[file_at]) if by_name and file_at is not None else None
        number = match[1] if match else cells[sector_at].strip() if sector_at is not None and ids else ""
        tic = archive.parse_target(match[2] if match else cells[ids[0]] if ids else "")
        if not number.isdigit() or not int(number) or tic is None:
            unrecognised += 1
            continue
        rows.setdefault(int(number), {}).setdefault(tic, tuple(cells[k] for k in kept))
    if not rows:
        raise ValueError(
            f"{path}: no line tells a sector and a TIC number. Fix: name the sector with --sector, or give a CSV table "
            "with columns tic and sector, or with the names of QLP's files (..._s0014-0000000277554109_...)"
        )
    return SectorTargets(tuple(names[k] for k in kept), dict(sorted(rows.items())), unrecognised)


def _csv(names: tuple[str, ...], rows: dict[str, tuple[str, ...]]) -> bytes:
    """Return rows by TIC number as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["object_id", *names])
    writer.writerows([f"TIC {tic}", *cells] for tic, cells in sorted(rows.items(), key=lambda row: int(row[0])))
    return out.getvalue().encode()
