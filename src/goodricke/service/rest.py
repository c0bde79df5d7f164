"""The REST interface: ``POST /classify``, ``GET /objects/...``, and an OpenAPI page that teaches them.

`router` gives the paths to an application: that of ``goodricke explore`` and of ``goodricke serve`` alike.

What can't be classified is an answer with its status; what can't be understood is a 4xx whose ``detail`` says what is
wrong and how to fix it. A request that stays away for `READ` seconds is given up (408), one that waits for its
model's turn for longer than `goodricke.service.model_queue.PATIENCE` is told to come back (503).

From a request about a model to what is answered: rows of `goodricke.Predictions` as JSON, with reasons.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from enum import Enum
from functools import partial, reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from anyio import CapacityLimiter, fail_after, to_thread
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.routing import APIRoute
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, create_model
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from goodricke import __version__
from goodricke.data.lightcurves import LightCurves
from goodricke.data.predictions import MEANING, Status
from goodricke.explorer.objects import Objects
from goodricke.explorer.store import Store
from goodricke.io import Unreadable
from goodricke.models.bundle import Model
from goodricke.service import requests
from goodricke.service.model_queue import PATIENCE, Busy, Desk, Question
from goodricke.service.requests import MOST_BYTES, TooLarge
from goodricke.service.schemas import (
    EXAMPLE,
    MOST_CURVES,
    MOST_POINTS,
    Health,
    How,
    LightCurve,
    ModelCard,
    Problem,
    answers_of,
    as_json,
    how_of,
    names_of,
    row_of,
)
from goodricke.survey.catalog import warn_of_other_data, warn_of_several_bands

READ = 30.0  # seconds for a request to arrive
AT_ONCE = 32  # requests that are worked on or wait for their model, in threads of their own
PAGE = Path(__file__).parent / "static" / "docs.html"

ABOUT = """
Light curves in; classes, calibrated probabilities and embeddings out.

Where the server was started with a token, scripts send it as `Authorization: Bearer TOKEN`; a browser that has opened
this page by the address that was printed has it as a cookie.
"""

Find = Callable[[str], LightCurves | None]
_Id = Annotated[str, InPath(max_length=500, description="As the catalog spells it; it may hold slashes")]


def router(models: Sequence[Model], catalog: Store | None = None, light_curves: Find | None = None) -> APIRouter:
    """Return the paths of the REST interface.

    Parameters
    ----------
    models : sequence of Model
        To be asked by their names.
    catalog : Store, optional
        A catalog's rows.
    light_curves : callable, optional
        Gives the light curves of an object by its id, None if there are none.

    Raises
    ------
    ValueError
        If two models have one name.
    """
    names = [model.name for model in models]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two models are called {', '.join(twice)}: serve one, or change the name in a config.json")
    routes = APIRouter(route_class=_Route)
    objects = Objects(catalog) if catalog is not None else None
    _add_about(routes, models, objects)
    if models:
        _add_classify(routes, {model.name: Desk(model) for model in models})
    if objects is not None:
        _add_objects(routes, objects, light_curves)
    return routes


# ---- what there is --------------------------------------------------------------------------------------------------


def _add_about(routes: APIRouter, models: Sequence[Model], objects: Objects | None) -> None:
    @routes.get("/health", tags=["about"], summary="Is the server there?")
    async def health() -> Health:
        rows = None if objects is None else objects.count
        return Health(version=__version__, models=[model.name for model in models], rows=rows)

    @routes.get("/models", tags=["about"], summary="The models that are served, and what they take")
    async def list_models() -> list[ModelCard]:
        return [ModelCard.of(model) for model in models]

    @routes.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))


# ---- classify -------------------------------------------------------------------------------------------------------


def _add_classify(routes: APIRouter, desks: dict[str, Desk]) -> None:
    how_type = how_of(list(desks))
    limiter = CapacityLimiter(AT_ONCE)

    @routes.post(
        "/classify",
        tags=["classify"],
        summary="Classify light curves: as JSON, or a file",
        description=_CLASSIFY,
        response_model=reduce(or_, [answers_of(desk.model) for desk in desks.values()]),
        responses=_problems(400, 408, 413, 415, 422, 503),
        openapi_extra={"requestBody": _request_body()},
    )
    async def classify(request: Request, how: Annotated[how_type, Query()]) -> Response:  # type: ignore[valid-type]
        work = await _work_of(request, desks[how.name], how)  # type: ignore[attr-defined]
        try:
            return JSONResponse(await to_thread.run_sync(work, limiter=limiter))
        except Busy as error:
            raise HTTPException(503, str(error), {"Retry-After": "10"}) from None
        except TooLarge as error:
            raise HTTPException(413, str(error)) from None
        except ValueError as error:
            raise HTTPException(422, in_query(str(error))) from None


async def _work_of(request: Request, desk: Desk, how: How) -> Callable[[], dict[str, Any]]:
    """Return what is to be done about a request, once it has arrived."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        with fail_after(READ):
            if kind == "multipart/form-data":
                return partial(answer_file, desk, how, *await _uploaded(request))
            if kind == "application/json":
                return partial(answer_json, desk, how, b"".join([piece async for piece in _limited(request)]))
    except TimeoutError:
        raise HTTPException(408, f"the request took more than {READ:g} s to arrive: send less at once") from None
    fix = "send application/json, or a file as multipart/form-data (curl -F file=@lightcurve.fits)"
    raise HTTPException(415, f"a body of type {kind or 'unknown'} is not understood: {fix}")


async def _limited(request: Request) -> AsyncGenerator[bytes, None]:
    """Give the body of a request piece by piece, up to `MOST_BYTES`."""
    size = 0
    async for piece in request.stream():
        size += len(piece)
        if size > MOST_BYTES:
            fix = "send it in parts, or use `goodricke classify`"
            raise HTTPException(413, f"the request is larger than {MOST_BYTES >> 20} MiB: {fix}")
        yield piece


async def _uploaded(request: Request) -> tuple[str, bytes]:
    """Return name and content of the one file of a form."""
    fix = "send one file as the field `file`: curl -F file=@lightcurve.fits"
    try:
        form = await MultiPartParser(request.headers, _limited(request), max_files=1, max_fields=0).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise HTTPException(400, f"no form with a file ({getattr(error, 'message', error)}): {fix}") from None
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise HTTPException(422, f"the form has no field `file` with a file: {fix}")
    try:
        return file.filename or "upload", await file.read()
    finally:
        await form.close()


def _request_body() -> dict[str, Any]:
    """Return what OpenAPI is told of the body of ``POST /classify``: FastAPI knows of one type only."""
    one = LightCurve.model_json_schema()
    about = "FITS, CSV, ECSV, VOTable, Parquet or Avro, of any product that `goodricke inspect` recognises"
    file = {"type": "string", "format": "binary", "description": about}
    form = {"type": "object", "required": ["file"], "properties": {"file": file}, "additionalProperties": False}
    examples = {"one": {"value": EXAMPLE}, "several": {"value": [EXAMPLE, {**EXAMPLE, "object_id": "another"}]}}
    several = {"type": "array", "items": one, "maxItems": MOST_CURVES}
    return {
        "required": True,
        "content": {
            "application/json": {"schema": {"anyOf": [one, several]}, "examples": examples},
            "multipart/form-data": {"schema": form},
        },
    }


_CLASSIFY = f"""
Send a light curve as JSON, or a list of them; or one file as a form: `curl -F file=@lightcurve.fits`.

There is an answer for each light curve, in order. One that can't be classified has a `status` other than OK, a
`reason`, and nulls: never a default score. What the request itself got wrong is a 4xx with `detail`.

An answer is the row that `goodricke classify` writes for the same light curve. At most {MOST_BYTES >> 20} MiB,
{MOST_CURVES:,} light curves and {MOST_POINTS:,} observations in a request.
"""


# ---- the catalog ----------------------------------------------------------------------------------------------------


def _add_objects(routes: APIRouter, objects: Objects, light_curves: Find | None) -> None:
    row = row_of(objects.store.columns)
    label = Enum("Class", {name: name for name in objects.classes}, type=str)  # type: ignore[misc]
    page = create_model(
        "Page",
        __config__=ConfigDict(extra="forbid"),
        objects=(list[row], Field(description="Rows of the catalog, in order")),  # type: ignore[valid-type]
        after=(int | None, Field(description="To be given as `after` for the next page; null: this was the last")),
    )
    none = "check the spelling; GET /objects lists what there is"

    @routes.get(
        "/objects",
        tags=["catalog"],
        summary="Rows of the catalog, page by page",
        response_model=page,
        responses=_problems(422),
    )
    def list_objects(
        label: Annotated[label | None, Query(alias="class", description="Most probable class")] = None,
        p_min: Annotated[float, Query(ge=0, le=1, description="Least probability of that class")] = 0.0,
        limit: Annotated[int, Query(ge=1, le=1000, description="Rows in a page")] = 100,
        after: Annotated[int, Query(ge=-1, lt=2**53, description="Number of the last row of the page before")] = -1,
    ) -> Response:
        """List the rows in the order of the catalog; the page's `after`, if not null, asks for the next."""
        found = objects.page(None if label is None else label.value, p_min, limit + 1, after)
        rows = found[:limit]
        return JSONResponse({"objects": finite(rows), "after": rows[-1]["row"] if len(found) > limit else None})

    if light_curves is not None:

        @routes.get(
            "/objects/{object_id:path}/light_curve",
            tags=["catalog"],
            summary="Its light curves",
            response_model=list[LightCurve],
            responses=_problems(404, 422),
        )
        def get_light_curves(object_id: _Id) -> Response:
            """Return the light curves of an object, as `POST /classify` takes them."""
            try:
                found = light_curves(object_id)
            except Unreadable as error:
                raise HTTPException(404, str(error)) from None
            if found is None or not len(found):
                raise HTTPException(404, f"no light curve of {object_id!r}: {none}")
            return JSONResponse(finite(as_json(found)))

    @routes.get(
        "/objects/{object_id:path}",
        tags=["catalog"],
        summary="What the catalog says of an object",
        response_model=list[row],  # type: ignore[valid-type]
        responses=_problems(404, 422),
    )
    def get_object(object_id: _Id) -> Response:
        """Return all the rows of an object: one for each of its light curves, such as the sectors of TESS."""
        found = objects.of(object_id)
        if not found:
            raise HTTPException(404, f"no object {object_id!r} in the catalog: {none}")
        return JSONResponse(finite(found))


# ---- refusals -------------------------------------------------------------------------------------------------------


class _Route(APIRoute):
    """A path whose refusals are told in a sentence."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except RequestValidationError as error:
                raise HTTPException(422, sentence(error.errors())) from None

        return handle


def _problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI is told of refusals."""
    return {code: {"model": Problem, "description": _REFUSALS[code]} for code in codes}


_REFUSALS = {
    400: "Not a form with a file",
    404: "Not there",
    408: f"The request took more than {READ:g} s to arrive",
    413: "Too large",
    415: "Neither JSON nor a form",
    422: "Not understood: the detail says what is wrong and how to fix it",
    503: f"The model was busy for {PATIENCE:g} s",
}


# ---- From a request about a model to what is answered: rows of `goodricke.Predictions` as JSON, with reas ------------


log = logging.getLogger("goodricke")

Answer = dict[str, Any]

_ONE, _SEVERAL = TypeAdapter(LightCurve), TypeAdapter(list[LightCurve])
SHOWN = 3  # faults of a request that are told


def answer_json(desk: Desk, how: How, body: bytes) -> Answer:
    """Return what a model says of a light curve as JSON, or of a list of them.

    Raises
    ------
    ValueError
        If they are not as `LightCurve` has them, or not of the kind that the model takes.
    """
    several = body.lstrip()[:1] == b"["
    try:
        items = _SEVERAL.validate_json(body) if several else [_ONE.validate_json(body)]
    except ValidationError as error:
        raise ValueError(sentence(error.errors(include_url=False))) from None
    answers: list[Answer] = [{}] * len(items)
    with requests.remarks() as notes:
        if how.told:
            notes.append(f"{', '.join(how.told)}: left out, they are for files; light curves as JSON tell themselves")
        for rows, curves in requests.of_json(items, told_columns(desk)):
            for row, answer in zip(rows, _answers(desk, how, curves), strict=True):
                answers[row] = answer
    return _reply(desk, notes, answers)


def answer_file(desk: Desk, how: How, name: str, content: bytes) -> Answer:
    """Return what a model says of the light curves in a file; what can't be read of it is one answer, the last.

    Raises
    ------
    ValueError
        If they are not of the kind that the model takes.
    """
    with requests.remarks() as notes:
        batches, failure = requests.of_file(name, content, how.options, told_columns(desk))
        answers = [answer for curves in batches for answer in _answers(desk, how, curves)]
    if failure is not None:
        file, reason = failure
        blank = dict.fromkeys(names_of(desk.model))
        told = {"object_id": file, "status": str(Status.UNREADABLE), "reason": in_query(reason), "n_obs": 0}
        answers.append({**blank, **told, "model": desk.model.name, "model_hash": desk.model.hash})
    return _reply(desk, notes, answers)


def told_columns(desk: Desk) -> Sequence[str]:
    """Return the numbers per object that a model is told beside light curves."""
    return getattr(desk.model.preprocessing, "columns", ())


def _answers(desk: Desk, how: How, curves: LightCurves) -> list[Answer]:
    """Return an answer for each light curve: its row of the predictions, and why if it has no class."""
    warn_of_other_data(curves.unit, desk.model.config)
    _warn_of_unknown_bands(curves, desk)
    if curves.has_several_bands.any():
        warn_of_several_bands(curves.bands, desk.model.config)
    if how.history and not desk.multiband:
        fix = "ask without history, or a multi-band model (see /models)"
        raise ValueError(f"{desk.model.name} answers about whole light curves and has no history: {fix}")
    table = desk.classify(Question(curves, how.passes, how.seed, how.promise)).table
    names = names_of(desk.model) + (["embedding"] if how.embedding else [])
    blank = dict.fromkeys(names)
    kept = table.select([name for name in names if name in table.column_names])
    answers = [{**blank, **row} for row in kept.to_pylist()]
    steps = desk.history(curves) if how.history else []
    for number, answer in enumerate(answers):
        well = answer["status"] == Status.OK
        answer["reason"] = None if well else in_query(MEANING[Status(answer["status"])])
        if how.history:
            answer["history"] = steps[number] if well else None
    return answers


def _warn_of_unknown_bands(curves: LightCurves, desk: Desk) -> None:
    known = desk.model.config.bands
    unknown = [name for b in np.unique(curves.band) if (name := curves.bands[b]) not in known]
    if unknown and desk.multiband:
        told = (", ".join(unknown), desk.model.name, ", ".join(known))
        log.warning("observations in %s are left out: %s knows %s. If one of these is meant, call it so", *told)


def _reply(desk: Desk, notes: Sequence[str], answers: Sequence[Answer]) -> Answer:
    remarks = list(dict.fromkeys(in_query(note) for note in notes))
    told = {"model": desk.model.name, "model_hash": desk.model.hash, "notes": remarks}
    return finite({**told, "answers": list(answers)})


def finite(value: Any) -> Any:
    """Return what goes into JSON: NaN and infinities as null, and anything odd as text."""
    if isinstance(value, Mapping):
        return {str(key): finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def in_query(told: str) -> str:
    """Return what the package tells users of the command line with its options as this interface calls them."""
    told = re.sub(r"--column object_id=", "?id_column=", told)
    told = re.sub(r"--column (\w+)=", r"?\1_column=", told)
    told = told.replace("--time-scale", "?time_scale=")
    return re.sub(r"--(flux|unit|band|quality)\b ?", r"?\1=", told)


def sentence(faults: Sequence[Mapping[str, Any]]) -> str:
    """Return what Pydantic finds wrong, as a sentence."""
    told = []
    for fault in faults[:SHOWN]:
        where = ".".join(str(part) for part in fault["loc"] if part not in ("query", "path"))
        why = FIXES.get(fault["type"], fault["msg"].removeprefix("Value error, "))
        told.append(f"{where}: {why}" if where else why)
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return "; ".join(told) + more + ". /docs shows what a request may hold"


FIXES = {
    "extra_forbidden": "not known here, is it misspelt?",
    "missing": "is missing",
    "float_type": "must be a number, or null where there is none",
}
