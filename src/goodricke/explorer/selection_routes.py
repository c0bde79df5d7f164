"""Paths of selections, below ``/api``: labels of all objects that match, subsets with names, and rows sent by SAMP."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from goodricke.explorer.conditions import InSubset, Name, Text, Where
from goodricke.explorer.samp import SampLink
from goodricke.explorer.session import Explorer

MOST_LABELS = 200_000  # objects that are labelled at once
BATCH = 65_536  # rows
SubsetName = Annotated[str, Path(max_length=100)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SelectionLabel(_Body):
    """A label for all objects that match; null removes theirs."""

    where: Where
    label: Text | None


class ObjectLabel(_Body):
    """The label of an object; null removes it."""

    object_id: Annotated[str, Field(max_length=500)]
    label: Text | None


class ObjectLabels(_Body):
    """Labels of objects."""

    entries: Annotated[list[ObjectLabel], Field(max_length=MOST_LABELS)]


class SubsetBody(_Body):
    """Conditions to save."""

    where: Where


def selection_routes(explorer: Explorer) -> APIRouter:
    """Return the paths."""
    routes = APIRouter(prefix="/api", tags=["explorer"])
    table, labels = explorer.table, explorer.labels

    def change(values: dict[str, str | None]) -> dict[str, Any]:
        before = labels.change_all({i: {"label": label} for i, label in values.items()})
        return {"changed": len(before), "before": [{"object_id": e.object_id, "label": e.label} for e in before]}

    @routes.get("/labels")
    def get_labels() -> dict[str, Any]:
        return {"file": str(labels.path), "entries": [e.as_json() for e in labels.current()[1]]}

    @routes.post("/labels")
    def label_selection(body: SelectionLabel) -> dict[str, Any]:
        """Give all objects that match one label; return what they had."""
        rows = table.matching(body.where)
        rows = np.arange(len(table)) if rows is None else np.sort(rows)
        if len(rows) > MOST_LABELS:
            raise HTTPException(400, f"{len(rows):,} rows match: {MOST_LABELS:,} are labelled at once at most")
        parts = (rows[first : first + BATCH] for first in range(0, len(rows), BATCH))
        return change(dict.fromkeys((i for part in parts for i in table.object_ids(part)), body.label))

    @routes.put("/labels")
    def put_labels(body: ObjectLabels) -> dict[str, Any]:
        """Set the labels of some objects, as to undo a change."""
        asked = {entry.object_id: entry.label for entry in body.entries}
        unknown = asked.keys() - table.first_rows(list(asked)).keys()
        if unknown:
            raise HTTPException(400, f"{sorted(unknown)[0]!r}: no object of the catalog")
        return change(asked)

    @routes.get("/subsets")
    def get_subsets() -> dict[str, Any]:
        names = explorer.subsets.all()
        return {
            "file": str(explorer.subsets.path),
            "subsets": [
                {"name": name, "count": _count(explorer, name), "where": where.model_dump(by_alias=True)}
                for name, where in names.items()
            ],
        }

    @routes.put("/subsets/{name}")
    def save_subset(name: SubsetName, body: SubsetBody) -> dict[str, Any]:
        count = table.total(body.where)  # refuses conditions that can't be asked
        explorer.subsets.save(name, body.where)
        return {"name": name.strip(), "count": count}

    @routes.delete("/subsets/{name}")
    def remove_subset(name: SubsetName) -> dict[str, Any]:
        explorer.subsets.remove(name)
        return {"name": name}

    return routes


def _count(explorer: Explorer, name: Name) -> int | None:
    """Return the number of rows of a subset; None if its conditions don't fit the catalog any more."""
    try:
        return explorer.table.total(Where(all=[InSubset(subset=name)]))
    except ValueError:
        return None


class SampSelection(_Body):
    """Rows to send."""

    where: Where = Where()


class SampRow(_Body):
    """A row to point others at."""

    row: int


def samp_routes(explorer: Explorer) -> APIRouter:
    """Return the paths."""
    routes = APIRouter(prefix="/api/samp", tags=["explorer"])

    def link() -> SampLink:
        if explorer.samp is None:
            raise HTTPException(404, "SAMP is off: goodricke explore CATALOG --samp")
        return explorer.samp

    @routes.get("")
    def events(after: Annotated[int, Query(ge=0)] = 0) -> dict[str, Any]:
        return {"events": link().events(after)}

    @routes.post("/table")
    def send_table(body: SampSelection) -> dict[str, int]:
        return {"rows": link().send_table(body.where)}

    @routes.post("/rows")
    def send_rows(body: SampSelection) -> dict[str, int]:
        return {"rows": link().send_rows(body.where)}

    @routes.post("/highlight")
    def highlight(body: SampRow) -> dict[str, int]:
        link().highlight(body.row)
        return {"row": body.row}

    return routes
