"""TESS light curves by sector: QLP and TGLC from MAST's high-level products, SPOC (2 minutes) from the mission's own.

- QLP: the path follows from the TIC number, ``/hlsps/qlp/s0014/0000/0002/7755/4109/hlsp_qlp_tess_ffi_...``.
- TGLC: the path follows from Gaia DR3 number, camera and CCD. The list of targets may have them (columns gaia, camera,
  ccd); else MAST's search finds the TIC numbers, a few hundred in a request.
- SPOC: names have a serial number. MAST has a script per sector, for curl, that lists all of them.

Files come from MAST's plain file server if it has them; the API answers many requests with 429.

A list of targets of several sectors becomes one list for each: the sector is in a column of that name, or in the name
of a file of the mission or of QLP, as in the ASTRAFier authors' ``train_catalog.csv`` (label, path):
``..._s0014-0000000277554109_tess_v01_llc.fits`` is TIC 277554109 in sector 14.
"""

from __future__ import annotations

import csv
import io
import json
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa

from goodricke.data.files import atomic_write
from goodricke.download.archive import ABSENT, DataArchive, FileLocation, FileRequest, MissingTarget
from goodricke.download.http import AbsentFileError, Client, InvalidResponseError, RequestError
from goodricke.io.roles import OBJECT_ID, normal_name

PRODUCTS = ("qlp", "tglc", "spoc")
SPOC_NAME = re.compile(r"tess\d{13}-s(\d{4})-(\d{16})-\d{4}-s_lc\.fits")
GAIA = ("gaia", "gaiadr3", "gaiaid", "gaiasourceid", "sourceid", "gaiadr3sourceid")
PER_SEARCH = 200  # TIC numbers
POLLS = 60  # of a search, until it is given up


@dataclass(frozen=True)
class Tess(DataArchive):
    """Light curves of one product and sector.

    Parameters
    ----------
    product : {"qlp", "tglc", "spoc"}
    sector : int

    Raises
    ------
    ValueError
        If there is no such product or sector.
    """

    NAME: ClassVar[str] = "tess"
    PREFIX: ClassVar[str] = "TIC "

    product: str = "qlp"
    sector: int = 1
    _spoc_files: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    _lock: Any = field(default_factory=threading.Lock, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.product not in PRODUCTS:
            raise ValueError(f"product is one of {', '.join(PRODUCTS)}, not {self.product!r}")
        if not 1 <= self.sector <= 9999:
            raise ValueError(f"TESS's sectors are numbered from 1; there is no {self.sector}")

    @property
    def READER(self) -> str:  # type: ignore[override]  # noqa: N802  depends on the product
        """The reader's name."""
        return self.product

    @property
    def ABSENT_REASON(self) -> str:  # type: ignore[override]  # noqa: N802
        """What the absence of a file means."""
        return f"no {self.product.upper()} light curve in sector {self.sector}"

    @property
    def settings(self) -> dict[str, Any]:
        """Product and sector."""
        return {"product": self.product, "sector": self.sector}

    def is_alias(self, object_id: str) -> bool:
        """Return whether it is the Gaia number that TGLC files of stars without a TIC number have."""
        return self.product == "tglc" and object_id.startswith("Gaia")

    def file_requests(
        self, client: Client, targets: Sequence[str], columns: pa.Table
    ) -> tuple[list[FileRequest], list[MissingTarget]]:
        """See `DataArchive.file_requests`; SPOC and TGLC need requests for the names."""
        if self.product == "qlp":
            locations: Mapping[str, tuple[FileLocation, ...]] = {target: (self._qlp(target),) for target in targets}
        elif self.product == "spoc":
            names = self._spoc_names(client)
            locations = {target: (self._spoc(names[target]),) for target in targets if target in names}
        else:
            locations = self._tglc_from_columns(targets, columns)
            locations |= self._tglc_from_search(client, [t for t in targets if t not in locations])
        requests = [FileRequest((target,), (locations[target],)) for target in targets if target in locations]
        return requests, [MissingTarget(t, ABSENT, self._absence, "") for t in targets if t not in locations]

    @property
    def _absence(self) -> str:
        if self.product == "spoc":
            return f"not in the list of sector {self.sector}'s 2-minute light curves"
        hint = "if you know its file, give columns gaia (DR3), camera and ccd in the list of targets"
        return f"MAST's search knows no TGLC light curve in sector {self.sector}; {hint}"

    def _qlp(self, target: str) -> FileLocation:
        tic, sector = f"{int(target):016d}", f"s{self.sector:04d}"
        name = f"hlsp_qlp_tess_ffi_{sector}-{tic}_tess_v01_llc.fits"
        return FileLocation(name, f"{self.server('archive')}/hlsps/qlp/{sector}/{digit_folders(tic)}/{name}")

    def _spoc(self, name: str) -> FileLocation:
        return FileLocation(name, f"{self.server('mast')}/api/v0.1/Download/file?uri=mast:TESS/product/{name}")

    def _spoc_names(self, client: Client) -> dict[str, str]:
        """Return the file names of the sector by TIC number; requested once in a run."""
        script = f"/missions/tess/download_scripts/sector/tesscurl_sector_{self.sector}_lc.sh"
        with self._lock:
            if not self._spoc_files:
                url = self.server("archive") + script
                try:
                    self._spoc_files.update(client.get(url, self._parse_script))
                except AbsentFileError:
                    raise ValueError(f"{url}: MAST has no list of sector {self.sector}: not released yet?") from None
            return self._spoc_files

    def _parse_script(self, body: bytes) -> dict[str, str]:
        names = {str(int(m[2])): m[0] for m in SPOC_NAME.finditer(body.decode("ascii", "replace"))}
        if not names:
            raise InvalidResponseError("lists no light curve")
        return names

    def _tglc_from_columns(self, targets: Sequence[str], columns: pa.Table) -> dict[str, tuple[FileLocation, ...]]:
        """Return the locations for targets with Gaia number, camera and CCD in the list."""
        known = {normal_name(name.removeprefix("target_")): name for name in columns.column_names}
        gaia = next((known[name] for name in GAIA if name in known), None)
        if gaia is None or not {"camera", "ccd"} <= set(known):
            return {}
        rows = zip(targets, *(columns[n].to_pylist() for n in (gaia, known["camera"], known["ccd"])), strict=True)
        return {
            target: (self._tglc(tglc_path(self.sector, int(str(number).split()[-1]), int(camera), int(ccd))),)
            for target, number, camera, ccd in rows
            if None not in (number, camera, ccd)
        }

    def _tglc_from_search(self, client: Client, targets: Sequence[str]) -> dict[str, tuple[FileLocation, ...]]:
        """Return the locations of the targets that MAST's search finds."""
        locations: dict[str, tuple[FileLocation, ...]] = {}
        for start in range(0, len(targets), PER_SEARCH):
            part = targets[start : start + PER_SEARCH]
            for row in search(client, self.server("mast"), self._filters(part)):
                uri, target = str(row.get("dataURL") or ""), str(row.get("target_name") or "").removeprefix("TIC ")
                if uri.startswith("mast:HLSP/tglc/") and uri.endswith(".fits") and target in part:
                    locations[target] = self._tglc_locations(uri.removeprefix("mast:HLSP/tglc/"))
        return locations

    def _filters(self, targets: Sequence[str]) -> dict[str, Iterable[Any]]:
        return {"provenance_name": ["TGLC"], "sequence_number": [self.sector], "target_name": list(targets)}

    def _tglc_locations(self, path: str) -> tuple[FileLocation, ...]:
        """Return the plain file and, in case that has moved, the API."""
        url = f"{self.server('mast')}/api/v0.1/Download/file?uri=mast:HLSP/tglc/{path}"
        return self._tglc(path), FileLocation(path.rpartition("/")[2], url)

    def _tglc(self, path: str) -> FileLocation:
        return FileLocation(path.rpartition("/")[2], f"{self.server('archive')}/hlsps/tglc/{path}")


def digit_folders(digits: str) -> str:
    """Return sixteen digits as four folders."""
    return "/".join(digits[i : i + 4] for i in range(0, 16, 4))


def tglc_path(sector: int, gaia: int, camera: int, ccd: int) -> str:
    """Return a TGLC file's path; its folders are the Gaia number without its last five digits."""
    folder = f"s{sector:04d}/cam{camera}-ccd{ccd}/{digit_folders(f'{gaia // 100_000:016d}')}"
    return f"{folder}/hlsp_tglc_tess_ffi_gaiaid-{gaia}-s{sector:04d}-cam{camera}-ccd{ccd}_tess_v1_llc.fits"


def search(client: Client, server: str, filters: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    """Search MAST's observations, repeating the request while the status is EXECUTING.

    Raises
    ------
    RequestError
        If it can't be reached, or fails.
    """
    conditions = [{"paramName": name, "values": list(values)} for name, values in filters.items()]
    params = {"columns": "target_name,dataURL", "filters": conditions}
    request = {"service": "Mast.Caom.Filtered", "format": "json", "params": params, "timeout": 30}
    form = {"request": json.dumps(request)}
    url = f"{server}/api/v0/invoke"
    try:
        for _ in range(POLLS):
            rows = client.get(url, _parse_search, form)
            if rows is not None:
                return rows
    except AbsentFileError:
        raise RequestError(url, "is no search of MAST", "check the base URL") from None
    raise RequestError(url, f"is still searching after {POLLS} requests", "run the same command again later")


def _parse_search(body: bytes) -> list[dict[str, Any]] | None:
    try:
        response = json.loads(body)
        status = response["status"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidResponseError(f"sent no answer of MAST's search ({error!r})") from error
    if status == "EXECUTING":
        return None
    if status != "COMPLETE":
        raise InvalidResponseError(f"says {status}: {response.get('msg', '')}")
    return list(response.get("data") or [])


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
