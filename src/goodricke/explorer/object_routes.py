"""Paths of one row, below ``/api/rows``: values, light curve, periodogram, history, neighbours, thumbnail, label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Path, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from goodricke.data.answer_text import (
    class_probability,
    is_novel,
    leaves_text,
    period_as_json,
    set_text,
    set_title,
)
from goodricke.data.json import json_values
from goodricke.data.lightcurves import LightCurves
from goodricke.data.period_answer import period_column
from goodricke.data.predictions import NODE
from goodricke.explorer import light_curves
from goodricke.explorer.conditions import Text
from goodricke.explorer.periodograms import describe_periodogram, is_orbital
from goodricke.explorer.session import Explorer

RADIUS = 2.0  # arcsec around a position, in links to other archives


class CurveOptions(NamedTuple):
    """What is asked of a light curve."""

    together: bool = False  # all of the object's as one
    subtract: float | None = None  # [1/d]
    harmonics: int = 1


ALONE = CurveOptions()
Row = Annotated[int, Path(ge=0, le=1 << 40, description="Number of the row in the catalog, from 0")]


class AnnotationBody(BaseModel):
    """Label and comment of an object: null removes one, an absent one stays."""

    model_config = ConfigDict(extra="forbid")
    label: Text | None = None
    comment: Annotated[str | None, Query(max_length=5000)] = None


def object_routes(explorer: Explorer) -> APIRouter:
    """Return the paths."""
    routes = APIRouter(prefix="/api/rows/{row}", tags=["explorer"])

    def values(row: int) -> dict[str, Any]:
        return find_values(explorer, row)

    def curve(row: int, asked: CurveOptions = ALONE) -> LightCurves:
        return find_light_curve(explorer, row, values(row)["object_id"], asked)

    def period(row: int) -> float | None:
        return period_to_fold_on(values(row))

    def draw_thumbnail(row: int, fold: bool) -> str:
        try:
            return light_curves.thumbnail(curve(row), period(row) if fold else None)
        except (HTTPException, ValueError):  # browsers report an image that is missing as an error
            return light_curves.EMPTY

    @routes.get("")
    def describe_row(row: Row) -> dict[str, Any]:
        return describe(explorer, values(row))

    @routes.get("/light_curve")
    def light_curve(row: Row, asked: Asked, most: Annotated[int, Query(ge=1, le=200_000)] = 20_000) -> dict[str, Any]:
        return light_curves.points(curve(row, asked), most, period(row))

    @routes.get("/periodogram")
    def periodogram(
        row: Row, asked: Asked, band: Annotated[str | None, Query(max_length=100)] = None
    ) -> dict[str, Any]:
        return explorer.cache.get(
            ("periodogram", row, band, asked),
            lambda: describe_periodogram(
                curve(row, asked), band or None, values(row).get("class"), explorer.dense_preprocessing
            ),
        )

    @routes.get("/history")
    def history(row: Row) -> dict[str, Any]:
        return explorer.cache.get(("history", row), lambda: probability_history(explorer, curve(row)))

    @routes.get("/neighbours")
    def neighbours(row: Row, k: Annotated[int, Query(ge=1, le=100)] = 8) -> list[dict[str, Any]]:
        return find_neighbours(explorer, values(row)["object_id"], k)

    @routes.get("/thumbnail", response_class=Response)
    def thumbnail(row: Row, fold: bool = True) -> Response:
        svg = explorer.cache.get(("thumbnail", row, fold), lambda: draw_thumbnail(row, fold))
        return Response(svg, media_type="image/svg+xml", headers={"Cache-Control": "private, max-age=600"})

    @routes.put("/label")
    def put_label(row: Row, body: AnnotationBody) -> dict[str, Any]:
        return explorer.labels.change(values(row)["object_id"], **body.model_dump(exclude_unset=True)).as_json()

    @routes.delete("/label")
    def remove_label(row: Row) -> dict[str, Any]:
        object_id = values(row)["object_id"]
        explorer.labels.remove(object_id)
        return {"object_id": object_id, "label": None, "comment": None, "time": None}

    return routes


def read_options(
    together: Annotated[bool, Query(description="all light curves of the object as one")] = False,
    subtract: Annotated[float | None, Query(gt=0, le=1e5, description="a frequency [1/d] to prewhiten by")] = None,
    harmonics: Annotated[int, Query(ge=1, le=8, description="number of its sines")] = 1,
) -> CurveOptions:
    """Return what a query asks of a light curve."""
    return CurveOptions(together, subtract, harmonics)


Asked = Annotated[CurveOptions, Depends(read_options)]


def find_values(explorer: Explorer, row: int) -> dict[str, Any]:
    """Return the values of a row.

    Raises
    ------
    HTTPException
        404 if there is no such row.
    """
    values = explorer.table.row(row)
    if values is None:
        raise HTTPException(404, f"no row {row}: the catalog has {len(explorer.table):,}, counted from 0")
    return values


def find_light_curve(explorer: Explorer, row: int, object_id: str, asked: CurveOptions) -> LightCurves:
    """Return the light curve of a row, or all of its object as one, less a frequency where asked.

    Raises
    ------
    HTTPException
        404 if there is none.
    """
    source = explorer.light_curves
    if source is None:
        raise HTTPException(404, "no light curves are open: goodricke explore CATALOG --light-curves SRC")
    curve = source.find(object_id) if asked.together else source.find_row(row)
    if curve is None:
        fix = "give what the catalog was made from"
        raise HTTPException(404, f"{object_id}: no light curve among those of --light-curves; {fix}")
    if asked.together:
        curve = light_curves.join_light_curves(curve)
    if asked.subtract is not None:
        curve = light_curves.subtract_frequency(curve, asked.subtract, asked.harmonics)
    return curve


def period_to_fold_on(fields: Mapping[str, Any]) -> float | None:
    """Return a row's period [d]: the answered one, else that of the dominant frequency, else of the network's fold.

    Of eclipsing and ellipsoidal stars the dominant frequency is twice that of the orbit.
    """
    column, f1 = period_column(fields), fields.get("f1")
    period = None if column is None else fields[column]
    if column != "period" and isinstance(f1, float) and f1 > 0:
        return (2 if is_orbital(fields.get("class")) else 1) / f1
    return period


def describe(explorer: Explorer, values: dict[str, Any]) -> dict[str, Any]:
    """Return what the page shows of a row, apart from its light curve."""
    fields = {n: v for n, v in values.items() if n not in ("row", "label", "comment")}
    p = [{"class": c, "p": fields.get(f"p_{c}"), "spread": fields.get(f"std_{c}")} for c in explorer.classes]
    nodes = [{"class": n.removeprefix(NODE), "p": v} for n, v in fields.items() if n.startswith(NODE) and v is not None]
    is_classified = fields.get("class") is not None
    return {
        "row": values["row"],
        "fields": fields,
        "probabilities": sorted((e for e in p if e["p"] is not None), key=lambda e: -fields[f"p_{e['class']}"]),
        "class_probability": class_probability(fields) if is_classified else None,
        "nodes": sorted(nodes, key=lambda e: -e["p"]),
        "leaves": leaves_text(fields, explorer.classes) if is_classified and nodes else "",
        "prediction_set": fields.get("prediction_set") or [],
        "set_text": set_text(fields) if isinstance(fields.get("prediction_set"), list) else "",
        "set_title": set_title(explorer.catalog.schema) if explorer.coverage else "Prediction set",
        "period": period_as_json(fields),
        "is_new": is_novel(fields),
        "novelty": fields.get("novelty"),
        "label": values["label"],
        "comment": values["comment"],
        "links": links(fields.get("ra"), fields.get("dec")),
        "light_curve": explorer.light_curves is not None,
        "light_curves": len(explorer.table.rows_of_object(values["object_id"], [])),
    }


def probability_history(explorer: Explorer, curve: LightCurves) -> dict[str, Any]:
    """Return the probabilities after every observation.

    Raises
    ------
    HTTPException
        404 without a multi-band model.
    """
    queue = explorer.model_queue
    if queue is None:
        raise HTTPException(404, f"no history: {explorer.no_model}")
    if not queue.is_multiband:
        raise HTTPException(404, f"no history: {queue.model.name} is a model of whole light curves")
    [history] = queue.history(curve)
    return json_values({"steps": [*range(1, len(history["time"]) + 1)], **history, "novelty": None})  # type: ignore[arg-type]


def find_neighbours(explorer: Explorer, object_id: str, k: int) -> list[dict[str, Any]]:
    """Return the objects with the nearest embeddings, with their rows; none if this or all others have no embedding.

    Raises
    ------
    HTTPException
        404 if the catalog has no embeddings at all.
    """
    if not explorer.has_embeddings:
        raise HTTPException(404, "no neighbours: the catalog has no embeddings")
    try:
        neighbours = explorer.neighbours.of([object_id], k).to_pylist()
    except ValueError:  # no embedding
        return []
    rows = explorer.table.first_rows([neighbour["object_id"] for neighbour in neighbours])
    names = ("object_id", "class", "distance")
    result = list[dict[str, Any]]()
    for neighbour in neighbours:
        annotation = explorer.labels.get(neighbour["object_id"])
        label = None if annotation is None else annotation.label
        p = None if neighbour["class"] is None else class_probability(neighbour)
        shown = {n: neighbour[n] for n in names} | {"probability": p, "label": label}
        result.append({"row": rows[neighbour["object_id"]]} | shown)
    return result


def links(ra: float | None, dec: float | None) -> list[dict[str, str]]:
    """Return addresses of other archives' pages about a position [deg]; none without a position.

    Examples
    --------
    >>> [link["name"] for link in links(10.0, -5.0)]
    ['SIMBAD', 'VSX', 'MAST', 'ALeRCE', 'Aladin']
    """
    if ra is None or dec is None or not (np.isfinite(ra) and -90 <= dec <= 90):
        return []
    position = quote(f"{ra:.6f} {dec:+.6f}")
    simbad = f"https://simbad.cds.unistra.fr/simbad/sim-coo?Coord={position}&Radius={RADIUS:g}&Radius.unit=arcsec"
    urls = {
        "SIMBAD": simbad,
        "VSX": f"https://vsx.aavso.org/index.php?view=results.get&coords={position}&format=d&size=10&unit=3",
        "MAST": f"https://mast.stsci.edu/portal/Mashup/Clients/Mast/Portal.html?searchQuery={position}",
        "ALeRCE": f"https://alerce.online/?ra={ra:.6f}&dec={dec:.6f}&radius={RADIUS:g}&page=1",
        "Aladin": f"https://aladin.cds.unistra.fr/AladinLite/?target={position}&fov=0.1",
    }
    return [{"name": name, "url": url} for name, url in urls.items()]
