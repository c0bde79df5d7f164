"""``GET /objects``: the rows of a catalog by object and by class, and the light curves of its objects, for scripts."""

# No deferred annotations: FastAPI reads those of functions that are defined within functions.

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, create_model

from goodricke.data.json import json_values
from goodricke.data.lightcurves import LightCurves
from goodricke.explorer.store import Column, RowStore
from goodricke.io import Unreadable
from goodricke.service.rest import problems
from goodricke.service.schemas import LightCurve, as_json

_EXACT = ConfigDict(extra="forbid", protected_namespaces=())
_Id = Annotated[str, Path(max_length=500, description="As the catalog spells it; it may hold slashes")]


class Objects:
    """Rows of a catalog by object and by class.

    Parameters
    ----------
    store : RowStore
        See `goodricke.explorer.store.open_row_store`.
    """

    def __init__(self, store: RowStore) -> None:
        self.store = store
        self._keys = {column.name: column.key for column in store.columns}
        self._probability = self._keys.get("class_probability", self._keys["p_max"])
        self.classes = [name[2:] for name in self._keys if name.startswith("p_") and name != "p_max"]
        if "class_probability" in self._keys:  # nodes of a taxonomy that occur
            sql = f"SELECT DISTINCT {self._keys['class']} FROM {store.rows} ORDER BY 1"
            names = [name for (name,) in store.execute(sql, []).fetchall() if name is not None]
            self.classes += [name for name in names if name not in self.classes]

    def rows(self, object_id: str) -> list[dict[str, Any]]:
        """Return all the rows of an object, in order."""
        return self._select(f"WHERE CAST({self._keys['object_id']} AS VARCHAR) = ? ORDER BY row", [object_id])

    def page(self, label: str | None, p_min: float, limit: int, after: int) -> list[dict[str, Any]]:
        """Return the next rows of a class, or of all, with a probability of at least ``p_min``, in order."""
        conditions: list[tuple[str, Any]] = [("row > ?", after)]
        if label is not None:
            conditions.append((f"{self._keys['class']} = ?", label))
        if p_min > 0:
            conditions.append((f"{self._probability} >= ?", p_min))
        where = " AND ".join(sql for sql, _ in conditions)
        return self._select(f"WHERE {where} ORDER BY row LIMIT ?", [*(value for _, value in conditions), limit])

    def _select(self, rest: str, values: Sequence[Any]) -> list[dict[str, Any]]:
        """Return rows by the names of their columns; ``rest`` must be made of the columns' keys only."""
        keys = ["row", *self._keys.values()]
        rows = self.store.execute(f"SELECT {', '.join(keys)} FROM {self.store.rows} {rest}", values).fetchall()
        return [dict(zip(["row", *self._keys], row, strict=True)) for row in rows]


def catalog_routes(store: RowStore, light_curves: Callable[[str], LightCurves | None] | None = None) -> APIRouter:
    """Return the paths of a catalog.

    Parameters
    ----------
    store : RowStore
        The catalog's rows.
    light_curves : callable, optional
        Returns the light curves of an object by its id, None if there are none.
    """
    routes, objects = APIRouter(tags=["catalog"]), Objects(store)
    row = _row_type(store.columns)
    class_name = Enum("Class", {name: name for name in objects.classes}, type=str)  # type: ignore[misc]
    page = create_model(
        "Page",
        __config__=ConfigDict(extra="forbid"),
        objects=(list[row], Field(description="Rows of the catalog, in order")),  # type: ignore[valid-type]
        after=(int | None, Field(description="To be given as `after` for the next page; null: this was the last")),
    )
    fix = "check the spelling; GET /objects lists what there is"

    @routes.get("/objects", summary="Rows of the catalog, page by page", response_model=page, responses=problems(422))
    def list_objects(
        label: Annotated[class_name | None, Query(alias="class", description="Class of the row")] = None,
        p_min: Annotated[float, Query(ge=0, le=1, description="Least probability of that class")] = 0.0,
        limit: Annotated[int, Query(ge=1, le=1000, description="Rows in a page")] = 100,
        after: Annotated[int, Query(ge=-1, lt=2**53, description="Number of the last row of the page before")] = -1,
    ) -> Response:
        """List the rows in the order of the catalog; the page's `after`, if not null, asks for the next."""
        rows = objects.page(None if label is None else label.value, p_min, limit + 1, after)
        is_last, rows = len(rows) <= limit, rows[:limit]
        return JSONResponse({"objects": json_values(rows), "after": None if is_last else rows[-1]["row"]})

    if light_curves is not None:

        @routes.get(
            "/objects/{object_id:path}/light_curve",
            summary="Its light curves",
            response_model=list[LightCurve],
            responses=problems(404, 422),
        )
        def get_light_curves(object_id: _Id) -> Response:
            """Return the light curves of an object, as `POST /classify` takes them."""
            try:
                curves = light_curves(object_id)
            except Unreadable as error:
                raise HTTPException(404, str(error)) from None
            if curves is None or not len(curves):
                raise HTTPException(404, f"no light curve of {object_id!r}: {fix}")
            return JSONResponse(json_values(as_json(curves)))

    @routes.get(
        "/objects/{object_id:path}",
        summary="What the catalog says of an object",
        response_model=list[row],  # type: ignore[valid-type]
        responses=problems(404, 422),
    )
    def get_object(object_id: _Id) -> Response:
        """Return all the rows of an object: one for each of its light curves, such as the sectors of TESS."""
        rows = objects.rows(object_id)
        if not rows:
            raise HTTPException(404, f"no object {object_id!r} in the catalog: {fix}")
        return JSONResponse(json_values(rows))

    return routes


def _row_type(columns: Sequence[Column]) -> type[BaseModel]:
    """Return the schema of a row of a catalog."""
    fields: dict[str, Any] = {"row": (int, Field(description="Number of the row in the catalog, from 0"))}
    fields |= {column.name: (_value_type(column) | None, Field(description=column.about)) for column in columns}
    return create_model("Row of the catalog", __config__=_EXACT, **fields)


def _value_type(column: Column) -> Any:
    """Return the Python type of a column's values."""
    number = int if column.is_integer else float
    return {"text": str, "number": number, "boolean": bool, "list": list[str | float | None]}[column.kind]
