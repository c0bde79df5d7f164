"""Paths of the table, below ``/api``: what the catalog is, rows, counts, diagrams, export, the alert engine."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse, PlainTextResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.background import BackgroundTask

from goodricke import __version__
from goodricke.data.answer_text import NOVEL
from goodricke.data.formats import Rows, write
from goodricke.data.formats.metadata import BATCH
from goodricke.explorer.conditions import Name, Sort, Where
from goodricke.explorer.session import Explorer
from goodricke.explorer.views import add_view

FORMULA = r"^[=+\-@\t\r]"  # how a formula begins
Finite = Annotated[float, Field(allow_inf_nan=False)] | None
View = tuple[Finite, Finite, Finite, Finite]  # x from, to, y from, to; null: as far as there are points
Format = Literal["csv", "parquet", "vot", "ecsv", "fits", "ids"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    where: Where = Where()


class RowsBody(_Body):
    """Matching rows, their order, and their columns."""

    sort: Annotated[list[Sort], Field(max_length=20)] = []
    offset: Annotated[int, Field(ge=0, le=1 << 40)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    columns: Annotated[list[Name], Field(max_length=1000)] | None = None


class PositionBody(_Body):
    """A row among the matching ones in an order."""

    sort: Annotated[list[Sort], Field(max_length=20)] = []
    row: Annotated[int, Field(ge=0, le=1 << 40)]


class CountsBody(_Body):
    """The column whose values are counted."""

    by: Name = "class"


class HistogramBody(_Body):
    """A column of numbers."""

    column: Name
    bins: Annotated[int, Field(ge=1, le=200)] = 50


class DiagramBody(_Body):
    """The largest number of points, the part of the diagram, and whether more points are counted in cells."""

    most: Annotated[int, Field(ge=1, le=50_000)] = 20_000
    view: View | None = None
    cells: bool = False


class CrosstabBody(_Body):
    """Two columns whose values are counted together."""

    x: Name = "class"
    y: Name


class ExportBody(_Body):
    """The format of the file."""

    format: Format = "csv"


def table_routes(explorer: Explorer) -> APIRouter:
    """Return the paths."""
    routes, table = APIRouter(prefix="/api", tags=["explorer"]), explorer.table

    @routes.get("/about")
    def about() -> dict[str, Any]:
        return describe(explorer)

    def rows(body: RowsBody) -> dict[str, Any]:
        """Return the number of matching rows, and some of them in order."""
        start = time.perf_counter()
        total, page = table.page(body.where, body.sort, body.offset, body.limit, body.columns)
        return {"total": total, "rows": page, "seconds": round(time.perf_counter() - start, 4)}

    def position(body: PositionBody) -> dict[str, int | None]:
        """Return the place of a row in an order, null if it doesn't match."""
        return {"index": table.position(body.where, body.sort, body.row)}

    def counts(body: CountsBody) -> dict[str, Any]:
        """Return the number of matching rows with each value of a column."""
        return table.counts(body.where, body.by)

    def histogram(body: HistogramBody) -> dict[str, Any]:
        """Return a histogram of a column of the matching rows."""
        return table.histogram(body.where, body.column, body.bins)

    def diagram(name: str, body: DiagramBody) -> dict[str, Any]:
        """Return points of a diagram."""
        return explorer.diagrams.points(name, body.where, body.most, body.view, body.cells)

    def crosstab(body: CrosstabBody) -> dict[str, Any]:
        """Return the number of matching rows with each pair of values of two columns: a confusion matrix."""
        return table.crosstab(body.where, body.x, body.y)

    def export(body: ExportBody) -> Response:
        """Return the matching rows as a file."""
        return export_rows(explorer, body.where, body.format)

    columns = [*table.columns, "label", "comment"]
    for path, answer in (("/rows", rows), ("/position", position), ("/counts", counts), ("/histogram", histogram)):
        add_view(routes, path, answer, columns)
    add_view(routes, "/crosstab", crosstab, columns)
    add_view(routes, "/diagrams/{name:path}", diagram, columns)
    add_view(routes, "/export", export, columns, response_class=Response)

    @routes.get("/live")
    def live() -> dict[str, Any]:
        if explorer.engine is None:
            raise HTTPException(404, "no alert engine is open: goodricke explore CATALOG --alerts STATE")
        return explorer.engine.now()

    return routes


def describe(explorer: Explorer) -> dict[str, Any]:
    """Return what the page needs at its start."""
    diagrams, missing = explorer.diagrams.about()
    labels, queue = explorer.labels, explorer.model_queue
    columns = [
        {"name": c.name, "type": c.kind, "hidden": c.hidden, "about": c.about, "unit": c.unit}
        for c in explorer.store.columns
    ]
    label_names = [*explorer.classes, *(name for name in labels.names() if name not in explorer.classes)]
    return {
        "title": explorer.catalog.path.resolve().name,
        "version": __version__,
        "rows": len(explorer.table),
        "model": _describe_model(explorer),
        "classes": list(explorer.classes),
        "columns": columns,
        "diagrams": diagrams,
        "missing": missing,
        "light_curves": explorer.light_curves is not None,
        "alerts": explorer.engine is not None,
        "samp": explorer.samp is not None,
        "multiband": queue is not None and queue.is_multiband and explorer.light_curves is not None,
        "neighbours": explorer.has_embeddings,
        "labels": {"file": str(labels.path), "count": labels.count(), "names": label_names},
        "coverage": explorer.coverage,
        "novel": NOVEL,
    }


def _describe_model(explorer: Explorer) -> dict[str, Any] | None:
    if "model" not in explorer.about:
        return None
    config = None if explorer.model is None else explorer.model.config
    return {
        "name": explorer.about["model"],
        "hash": explorer.about.get("model_hash", ""),
        "found": config is not None,
        "simulated": config is not None and config.simulated,
        "photometry": None if config is None else config.flux_kind,
        "trained_on": "" if config is None else config.trained_on,
        "summary": explorer.no_model if config is None else config.summary,
    }


def export_rows(explorer: Explorer, where: Where, kind: Format) -> Response:
    """Return the matching rows as a file, in the catalog's order.

    The file has all columns of the table, then ``label`` and ``comment``; a column of the catalog with one of these
    names is called ``catalog_label``. The format ``ids`` is a list of the objects, each once. Texts of a CSV that a
    spreadsheet would take for a formula have an apostrophe in front.
    """
    name = explorer.catalog.path.resolve().stem
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._+-") else "_" for c in name) + "-selection"
    matching = explorer.table.matching(where)
    rows = np.arange(len(explorer.table)) if matching is None else np.sort(matching)
    parts = [rows[first : first + BATCH] for first in range(0, len(rows), BATCH)]
    if kind == "ids":
        ids = dict.fromkeys(i for part in parts for i in explorer.table.object_ids(part))
        headers = {"Content-Disposition": f'attachment; filename="{name}.txt"'}
        return PlainTextResponse("".join(f"{i}\n" for i in ids), headers=headers)

    def batches() -> Iterator[pa.Table]:
        tables = map(explorer.table.arrow, parts)
        yield from map(defuse_formulas, tables) if kind == "csv" else tables

    folder = Path(tempfile.mkdtemp(prefix="goodricke-"))
    path = folder / f"selection.{kind}"
    try:
        schema = explorer.table.arrow(np.zeros(0, np.int64)).schema
        write(Rows(schema, len(rows), batches, explorer.about), path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    clean = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
    return FileResponse(path, filename=f"{name}.{kind}", background=clean)


def defuse_formulas(table: pa.Table) -> pa.Table:
    """Return a table whose texts no spreadsheet takes for a formula: one that begins as a formula gets an apostrophe.

    Examples
    --------
    >>> defuse_formulas(pa.table({"a": ["=1+1", "-2", "V1 = 2", None], "b": [-1, 2, 3, 4]}))["a"].to_pylist()
    ["'=1+1", "'-2", 'V1 = 2', None]
    """
    for index, column in enumerate(table.schema):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            texts = pc.replace_substring_regex(table[column.name], FORMULA, r"'\0")
            table = table.set_column(index, column, texts)
    return table
