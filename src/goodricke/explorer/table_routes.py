"""Paths of the table: what there is, rows, counts, diagrams, export, the live view.

A selection as a file: the table's rows with the labels given here, in the formats that catalogs are written in.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, PlainTextResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask

from goodricke import __version__
from goodricke.data.formats import Rows, write
from goodricke.data.formats.metadata import BATCH
from goodricke.explorer.query import Name, Sort, Where
from goodricke.explorer.session import Explorer

Format = Literal["csv", "parquet", "vot", "ecsv", "fits", "ids"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    where: Where = Where()


class RowsWanted(_Body):
    """Which rows, in which order, with which columns."""

    sort: Annotated[list[Sort], Field(max_length=20)] = []
    offset: Annotated[int, Field(ge=0, le=1 << 40)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    columns: Annotated[list[Name], Field(max_length=1000)] | None = None


class PositionWanted(_Body):
    """Of which row, among which, in which order."""

    sort: Annotated[list[Sort], Field(max_length=20)] = []
    row: Annotated[int, Field(ge=0, le=1 << 40)]


class CountsWanted(_Body):
    """What to count by."""

    by: Name = "class"


class HistogramWanted(_Body):
    """Of which column of numbers."""

    column: Name
    bins: Annotated[int, Field(ge=1, le=200)] = 50


class PointsWanted(_Body):
    """How many points at most."""

    most: Annotated[int, Field(ge=1, le=50_000)] = 20_000


class ExportWanted(_Body):
    """In which format."""

    format: Format = "csv"


def router(explorer: Explorer) -> APIRouter:
    """Return the paths."""
    routes, table = APIRouter(prefix="/api", tags=["explorer"]), explorer.table

    @routes.get("/about")
    def about() -> dict[str, Any]:
        return told_of(explorer)

    @routes.post("/rows")
    def rows(wanted: RowsWanted) -> dict[str, Any]:
        begun = time.perf_counter()
        total, found = table.page(wanted.where, wanted.sort, wanted.offset, wanted.limit, wanted.columns)
        return {"total": total, "rows": found, "seconds": round(time.perf_counter() - begun, 4)}

    @routes.post("/position")
    def position(wanted: PositionWanted) -> dict[str, int | None]:
        return {"index": table.position(wanted.where, wanted.sort, wanted.row)}

    @routes.post("/counts")
    def counts(wanted: CountsWanted) -> dict[str, Any]:
        return table.counts(wanted.where, wanted.by)

    @routes.post("/histogram")
    def histogram(wanted: HistogramWanted) -> dict[str, Any]:
        return table.histogram(wanted.where, wanted.column, wanted.bins)

    @routes.post("/diagrams/{name}")
    def diagram(name: str, wanted: PointsWanted) -> dict[str, Any]:
        return explorer.diagrams.points(name, wanted.where, wanted.most)

    @routes.get("/labels")
    def labels() -> dict[str, Any]:
        return {"file": str(explorer.labels.path), "entries": [e.told() for e in explorer.labels.current()[1]]}

    @routes.post("/export", response_class=Response)
    def export(wanted: ExportWanted) -> Response:
        return exported(explorer, wanted.where, wanted.format)

    @routes.get("/live")
    def live() -> dict[str, Any]:
        if explorer.live is None:
            raise HTTPException(404, "no alert engine is looked at: goodricke explore CATALOG --alerts STATE")
        return explorer.live.now()

    return routes


def told_of(explorer: Explorer) -> dict[str, Any]:
    """Return what the page is told at its start."""
    diagrams, missing = explorer.diagrams.about()
    labels, desk, title = explorer.labels, explorer.desk, explorer.catalog.path.resolve().name
    own = [{"name": c.name, "type": c.kind, "hidden": c.hidden, "about": c.about} for c in explorer.store.columns]
    known = [*explorer.classes, *(name for name in labels.known() if name not in explorer.classes)]
    return {
        "title": title,
        "version": __version__,
        "rows": len(explorer.table),
        "model": _model(explorer),
        "classes": list(explorer.classes),
        "columns": own,
        "diagrams": diagrams,
        "missing": missing,
        "light_curves": explorer.light_curves is not None,
        "alerts": explorer.live is not None,
        "multiband": desk is not None and desk.multiband and explorer.light_curves is not None,
        "neighbours": explorer.has_neighbours,
        "labels": {"file": str(labels.path), "count": labels.count(), "known": known},
        "coverage": explorer.coverage,
    }


def _model(explorer: Explorer) -> dict[str, Any] | None:
    told = explorer.about
    if "model" not in told:
        return None
    config = None if explorer.model is None else explorer.model.config
    summary = explorer.no_model if config is None else config.summary
    simulated = config is not None and config.simulated
    return {"name": told["model"], "hash": told.get("model_hash", ""), "simulated": simulated, "summary": summary}


def exported(explorer: Explorer, where: Where, kind: Format) -> Response:
    """Return the rows that a condition is true of as a file."""
    name = f"{explorer.catalog.path.resolve().stem}-selection"
    if kind == "ids":
        told = {"Content-Disposition": f'attachment; filename="{_plain(name)}.txt"'}
        return PlainTextResponse("".join(f"{i}\n" for i in ids_of(explorer, where)), headers=told)
    folder = Path(tempfile.mkdtemp(prefix="goodricke-"))
    clean = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    path = folder / f"selection{FORMATS[kind]}"
    try:
        write_rows(explorer, where, path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return FileResponse(path, filename=f"{_plain(name)}{FORMATS[kind]}", background=clean)


def _plain(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "._+-") else "_" for c in name)


# ---- A selection as a file: the table's rows with the labels given here, in the formats that catalogs are ------------


FORMATS = {kind: f".{kind}" for kind in ("csv", "parquet", "vot", "ecsv", "fits")}


def write_rows(explorer: Explorer, where: Where, path: Path) -> None:
    """Write the rows that a condition is true of, in the catalog's order; the suffix names the format.

    All columns of the table but the embeddings, then ``label`` and ``comment``; a column of the catalog that had one of
    these names is called ``catalog_label``.
    """
    found = explorer.table.matching(where)
    rows = np.arange(len(explorer.table)) if found is None else np.sort(found)
    schema = explorer.table.arrow(np.zeros(0, np.int64)).schema

    def batches() -> Iterator[pa.Table]:
        for first in range(0, len(rows), BATCH):
            yield explorer.table.arrow(rows[first : first + BATCH])

    write(Rows(schema, len(rows), batches, explorer.about), path)


def ids_of(explorer: Explorer, where: Where) -> list[str]:
    """Return the objects of the rows that a condition is true of, each once, in the catalog's order."""
    found = explorer.table.matching(where)
    rows = np.arange(len(explorer.table)) if found is None else np.sort(found)
    batches = (explorer.table.ids(rows[first : first + BATCH]) for first in range(0, len(rows), BATCH))
    return list(dict.fromkeys(i for batch in batches for i in batch))
