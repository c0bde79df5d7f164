"""Paths of one row: its numbers, light curve, periodogram, history, neighbours, picture and label."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import numpy as np
from fastapi import APIRouter, HTTPException, Path, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from goodricke.data.lightcurves import LightCurves
from goodricke.explorer import light_curves
from goodricke.explorer.query import Text
from goodricke.explorer.session import Explorer

MODEL_COLUMNS = ("p_", "std_")
RADIUS = 2.0  # arcsec around a position, in what other archives are asked

Row = Annotated[int, Path(ge=0, le=1 << 40, description="Number of the row in the catalog, from 0")]


class LabelGiven(BaseModel):
    """What is said of an object: null for nothing; what isn't given stays."""

    model_config = ConfigDict(extra="forbid")
    label: Text | None = None
    comment: Annotated[str | None, Query(max_length=5000)] = None


def router(explorer: Explorer) -> APIRouter:
    """Return the paths."""
    routes = APIRouter(prefix="/api/rows/{row}", tags=["explorer"])

    def fields_of(row: int) -> dict[str, Any]:
        found = explorer.table.row(row)
        if found is None:
            raise HTTPException(404, f"no row {row}: the catalog has {len(explorer.table):,}, counted from 0")
        return found

    def curve_of(row: int) -> LightCurves:
        object_id = fields_of(row)["object_id"]
        if explorer.light_curves is None:
            raise HTTPException(404, "no light curves are open: goodricke explore CATALOG --light-curves SRC")
        found = explorer.light_curves.of_row(row)
        if found is None:
            told = f"{object_id}: no light curve among those of --light-curves; give what the catalog was made from"
            raise HTTPException(404, told)
        return found

    def period_of(fields: dict[str, Any]) -> float | None:
        f1, folded = fields.get("f1"), fields.get("fold_period")
        return 1 / f1 if isinstance(f1, float) and f1 > 0 else folded

    def picture_of(row: int, period: float | None) -> str:
        try:
            return light_curves.picture(curve_of(row), period)
        except (HTTPException, ValueError):  # a picture that isn't there would be an error in every browser
            return light_curves.EMPTY

    @routes.get("")
    def one(row: Row) -> dict[str, Any]:
        return told_of(explorer, fields_of(row))

    @routes.get("/light_curve")
    def light_curve(row: Row, most: Annotated[int, Query(ge=1, le=200_000)] = 20_000) -> dict[str, Any]:
        return light_curves.points(curve_of(row), most, period_of(fields_of(row)))

    @routes.get("/periodogram")
    def periodogram(row: Row, band: Annotated[str | None, Query(max_length=100)] = None) -> dict[str, Any]:
        return explorer.remember(("periodogram", row, band), lambda: light_curves.spectrum(curve_of(row), band or None))

    @routes.get("/history")
    def history(row: Row) -> dict[str, Any]:
        return explorer.remember(("history", row), lambda: history_of(explorer, curve_of(row)))

    @routes.get("/neighbours")
    def neighbours(row: Row, k: Annotated[int, Query(ge=1, le=100)] = 8) -> list[dict[str, Any]]:
        return neighbours_of(explorer, fields_of(row)["object_id"], k)

    @routes.get("/thumbnail", response_class=Response)
    def thumbnail(row: Row, fold: bool = True) -> Response:
        period = period_of(fields_of(row)) if fold else None
        svg = explorer.remember(("picture", row, fold), lambda: picture_of(row, period))
        return Response(svg, media_type="image/svg+xml", headers={"Cache-Control": "private, max-age=600"})

    @routes.put("/label")
    def put_label(row: Row, given: LabelGiven) -> dict[str, Any]:
        return explorer.labels.change(fields_of(row)["object_id"], **given.model_dump(exclude_unset=True)).told()

    @routes.delete("/label")
    def remove_label(row: Row) -> dict[str, Any]:
        object_id = fields_of(row)["object_id"]
        explorer.labels.remove(object_id)
        return {"object_id": object_id, "label": None, "comment": None, "time": None}

    return routes


def told_of(explorer: Explorer, fields: dict[str, Any]) -> dict[str, Any]:
    """Return what the page shows of a row beside its light curve."""
    own = {n: v for n, v in fields.items() if n not in ("row", "label", "comment")}
    p = [{"class": c, "p": own.get(f"p_{c}"), "spread": own.get(f"std_{c}")} for c in explorer.classes]
    known = sorted((e for e in p if e["p"] is not None), key=lambda e: own[f"p_{e['class']}"], reverse=True)
    return {
        "row": fields["row"],
        "fields": own,
        "probabilities": known,
        "prediction_set": own.get("prediction_set") or [],
        "novelty": own.get("novelty"),
        "label": fields["label"],
        "comment": fields["comment"],
        "links": links(own.get("ra"), own.get("dec")),
        "light_curve": explorer.light_curves is not None,
    }


def history_of(explorer: Explorer, curve: LightCurves) -> dict[str, Any]:
    """Return the probabilities after every observation.

    Raises
    ------
    HTTPException
        404 if there is no multi-band model to ask.
    """
    desk = explorer.desk
    if desk is None:
        raise HTTPException(404, f"no history: {explorer.no_model}")
    if not desk.multiband:
        raise HTTPException(404, f"no history: {desk.model.name} is a model of whole light curves")
    told = desk.history(curve)[0]
    p = {name: _finite(values) for name, values in told["p"].items()}  # type: ignore[attr-defined]
    return {"steps": list(range(1, len(told["time"]) + 1)), **told, "p": p, "novelty": None}  # type: ignore[arg-type]


def neighbours_of(explorer: Explorer, object_id: str, k: int) -> list[dict[str, Any]]:
    """Return the objects most like one, with their rows; none if it has no embedding, or no other has.

    Raises
    ------
    HTTPException
        404 if the catalog has no embeddings at all.
    """
    if not explorer.has_neighbours:
        raise HTTPException(404, "no neighbours: the catalog has no embeddings")
    try:
        found = explorer.neighbours.of([object_id], k).to_pylist()
    except ValueError:  # of this object, or of all
        return []
    rows = explorer.table.rows_of([each["object_id"] for each in found])
    told = list[dict[str, Any]]()
    for each in found:
        entry = explorer.labels.of(each["object_id"])
        names = ("object_id", "class", "p_max", "distance")
        label = None if entry is None else entry.label
        told.append({"row": rows[each["object_id"]], **{n: each[n] for n in names}, "label": label})
    return told


def links(ra: float | None, dec: float | None) -> list[dict[str, str]]:
    """Return addresses of other archives' pages about a position [deg]; none without one.

    Examples
    --------
    >>> [link["name"] for link in links(10.0, -5.0)]
    ['SIMBAD', 'VSX', 'MAST', 'ALeRCE', 'Aladin']
    """
    if ra is None or dec is None or not (np.isfinite(ra) and -90 <= dec <= 90):
        return []
    at, both = f"{ra:.6f}", f"{ra:.6f} {dec:+.6f}"
    place = quote(both)
    alerce = f"?ra={at}&dec={dec:.6f}&radius={RADIUS:g}&page=1"
    return [
        {
            "name": "SIMBAD",
            "url": f"https://simbad.cds.unistra.fr/simbad/sim-coo?Coord={place}&Radius={RADIUS:g}&Radius.unit=arcsec",
        },
        {
            "name": "VSX",
            "url": f"https://vsx.aavso.org/index.php?view=results.get&coords={place}&format=d&size=10&unit=3",
        },
        {"name": "MAST", "url": f"https://mast.stsci.edu/portal/Mashup/Clients/Mast/Portal.html?searchQuery={place}"},
        {"name": "ALeRCE", "url": f"https://alerce.online/{alerce}"},
        {"name": "Aladin", "url": f"https://aladin.cds.unistra.fr/AladinLite/?target={place}&fov=0.1"},
    ]


def _finite(values: list[float]) -> list[float | None]:
    return [v if np.isfinite(v) else None for v in values]
