"""The REST interface: ``POST /classify``, ``GET /models``, ``GET /health``, and the page ``/docs`` that describes them.

A light curve that can't be classified is an answer with its status. A request that can't be understood is a 4xx whose
``detail`` says what is wrong and how to fix it. A request that takes longer than `MAX_ARRIVAL` to arrive is refused
(408), and so is one that waits longer than `goodricke.service.model_queue.MAX_WAIT` for its model (503).

Places are limited by what they cost: `MAX_LARGE_BODIES` bodies above `SMALL_BODY` arrive at a time, `MAX_READING` are
read, and requests that take more than a moment have `MAX_LARGE` places of their own, so that they never take those of
small ones.
"""

# No deferred annotations: FastAPI reads those of functions that are defined within functions.

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial, reduce
from operator import or_
from pathlib import Path
from threading import Event
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter, fail_after, to_thread
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from goodricke import __version__
from goodricke.models.bundle import Model
from goodricke.service.answers import Work, answer_request, as_parameters, read_file, read_json
from goodricke.service.model_queue import MAX_WAIT, BusyError, ClientGoneError, ModelQueue
from goodricke.service.requests import MAX_BYTES, TooLargeError
from goodricke.service.schemas import (
    EXAMPLE,
    MAX_COST,
    MAX_CURVES,
    MAX_POINTS,
    ClassifyParameters,
    Health,
    LightCurve,
    ModelCard,
    Problem,
    answers_type,
    fault_sentence,
    parameters_type,
)
from goodricke.service.security import Access, Guard

MAX_ARRIVAL = 30.0  # seconds for a request to arrive
MAX_REQUESTS = 32  # small ones that are computed or wait for their model, in threads of their own
MAX_LARGE = 8  # the same of large ones
LARGE_COST = 100_000  # observations times passes of a large request
MAX_READING = 4  # bodies that are parsed at a time, which takes up to twenty times their memory
SMALL_BODY = 1 << 20  # bytes
MAX_LARGE_BODIES = 8  # larger ones that arrive at a time
CLIENT_GONE = 499  # nginx's code for a client that has closed the connection: for logs only
STATIC = Path(__file__).parent / "static"

ABOUT = """
Light curves in; classes, calibrated probabilities and embeddings out.

Where the server was started with a token, scripts send it as `Authorization: Bearer TOKEN`; a browser that has opened
this page by the address that was printed has it as a cookie.
"""


def create_rest_app(
    models: Sequence[Model], access: Access | None = None, rows: int | None = None, lifespan: Any = None
) -> FastAPI:
    """Return an application with the REST interface, its page, and the guard in front.

    Parameters
    ----------
    models : sequence of Model
        Each is served under its name.
    access : Access, optional
        Who may connect; by default this machine's own browser.
    rows : int, optional
        Of a catalog that is served too, for ``/health``.
    lifespan : callable, optional
        See `fastapi.FastAPI`.

    Raises
    ------
    ValueError
        If two models have one name.
    """
    app = FastAPI(
        title="goodricke",
        version=__version__,
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        dependencies=[Depends(refuse_repeated)],
    )
    app.include_router(rest_routes(models, rows))
    app.mount("/docs-static", StaticFiles(directory=STATIC))
    app.add_middleware(Guard, access=access or Access())

    @app.exception_handler(RequestValidationError)
    def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": fault_sentence(error.errors())}, 422)

    return app


async def refuse_repeated(request: Request) -> None:
    """Refuse a query with a parameter that is given twice: which one counts would be a guess.

    Raises
    ------
    HTTPException
        422 with the names of such parameters.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    if len(names) != len(set(names)):
        repeated = sorted({name[:100] for name in names if names.count(name) > 1}) if len(names) < 1000 else ["many"]
        raise HTTPException(422, f"given more than once: {', '.join(repeated[:10])}. Fix: give each parameter once")


def rest_routes(models: Sequence[Model], rows: int | None = None) -> APIRouter:
    """Return the paths of the REST interface; see `create_rest_app`."""
    names = [model.name for model in models]
    if duplicates := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two models are called {', '.join(duplicates)}: serve one, or rename one in its config.json")
    routes, queues = APIRouter(), {model.name: ModelQueue(model) for model in models}

    @routes.get("/health", tags=["about"], summary="Is the server there?")
    async def health() -> Health:
        return Health(version=__version__, models=names, rows=rows)

    @routes.get("/models", tags=["about"], summary="The models that are served, and what they take")
    async def list_models() -> list[ModelCard]:
        return [ModelCard.from_model(queue.model, queue.most_points) for queue in queues.values()]

    @routes.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse((STATIC / "docs.html").read_text(encoding="utf-8"))

    if queues:
        _add_classify(routes, queues)
    return routes


def _add_classify(routes: APIRouter, queues: dict[str, ModelQueue]) -> None:
    parameters_of_models, places = parameters_type(list(queues)), Places()

    @routes.post(
        "/classify",
        tags=["classify"],
        summary="Classify light curves: as JSON, or a file",
        description=_CLASSIFY,
        response_model=reduce(or_, [answers_type(queue.model) for queue in queues.values()]),
        responses=problems(400, 408, 413, 415, 422, 503),
        openapi_extra={"requestBody": _request_body()},
    )
    async def classify(
        request: Request,
        parameters: Annotated[parameters_of_models, Query()],  # type: ignore[valid-type]
    ) -> Response:
        queue = queues[parameters.model_name]  # type: ignore[attr-defined]
        read = await _receive(request, queue, parameters, places.bodies)
        try:
            work = await _in_thread(places.reading, read)
            limiter = places.large if work.cost > LARGE_COST else places.small
            async with _watch_client(request) as gone:
                return JSONResponse(await _in_thread(limiter, partial(answer_request, work, gone.is_set)))
        except ClientGoneError:
            return Response(status_code=CLIENT_GONE)
        except BusyError as error:
            raise HTTPException(503, str(error), {"Retry-After": "10"}) from None
        except TooLargeError as error:
            raise HTTPException(413, str(error)) from None
        except ValueError as error:
            raise HTTPException(422, as_parameters(str(error))) from None


class Places:
    """How many requests are in each stage at a time."""

    def __init__(self) -> None:
        self.bodies, self.reading = CapacityLimiter(MAX_LARGE_BODIES), CapacityLimiter(MAX_READING)
        self.small, self.large = CapacityLimiter(MAX_REQUESTS), CapacityLimiter(MAX_LARGE)


T = TypeVar("T")


async def _in_thread(limiter: CapacityLimiter, function: Callable[[], T]) -> T:
    """Call a function in a thread once there is a place for it.

    Raises
    ------
    BusyError
        If there is none within `MAX_WAIT`.
    """
    place = object()
    try:
        with fail_after(MAX_WAIT):
            await limiter.acquire_on_behalf_of(place)
    except TimeoutError:
        raise BusyError(f"too many requests wait for their turn: none of theirs within {MAX_WAIT:g} s") from None
    try:
        return await to_thread.run_sync(function, limiter=CapacityLimiter(1))
    finally:
        limiter.release_on_behalf_of(place)


@asynccontextmanager
async def _watch_client(request: Request) -> AsyncIterator[Event]:
    """Give an event that is set once the client of a request, whose body has arrived, has gone."""
    gone = Event()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone.set()

    task = asyncio.create_task(watch())
    try:
        yield gone
    finally:
        task.cancel()


async def _receive(
    request: Request, queue: ModelQueue, parameters: ClassifyParameters, bodies: CapacityLimiter
) -> Callable[[], Work]:
    """Wait for a request's body; return the function that reads it."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    place = object()
    try:
        with fail_after(MAX_ARRIVAL):
            if kind == "multipart/form-data":
                return partial(read_file, queue, parameters, *await _uploaded_file(request, bodies, place))
            if kind == "application/json":
                body = b"".join([part async for part in _body(request, bodies, place)])
                return partial(read_json, queue, parameters, body)
    except TimeoutError:
        detail = f"the request took more than {MAX_ARRIVAL:g} s to arrive: send less at once"
        raise HTTPException(408, detail) from None
    finally:
        if any(borrower is place for borrower in bodies.statistics().borrowers):
            bodies.release_on_behalf_of(place)
    fix = "send application/json, or a file as multipart/form-data (curl -F file=@lightcurve.fits)"
    raise HTTPException(415, f"a body of type {kind or 'unknown'} is not understood: {fix}")


async def _body(request: Request, bodies: CapacityLimiter, place: object) -> AsyncGenerator[bytes, None]:
    """Give the body of a request in parts, up to `MAX_BYTES`; a large one waits for a place among such bodies."""
    size = 0
    async for part in request.stream():
        if size <= SMALL_BODY < size + len(part):
            await bodies.acquire_on_behalf_of(place)
        size += len(part)
        if size > MAX_BYTES:
            fix = "send it in parts, or use `goodricke classify`"
            raise HTTPException(413, f"the request is larger than {MAX_BYTES >> 20} MiB: {fix}")
        yield part


async def _uploaded_file(request: Request, bodies: CapacityLimiter, place: object) -> tuple[str, bytes]:
    """Return name and content of a form's only file."""
    fix = "send one file as the field `file`: curl -F file=@lightcurve.fits"
    try:
        form = await MultiPartParser(request.headers, _body(request, bodies, place), max_files=1, max_fields=0).parse()
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
    """Return the OpenAPI description of the body of ``POST /classify``: FastAPI can describe one type only."""
    light_curve = LightCurve.model_json_schema()
    about = "FITS, CSV, ECSV, VOTable, Parquet or Avro, of any product that `goodricke inspect` recognises"
    file = {"type": "string", "format": "binary", "description": about}
    form = {"type": "object", "required": ["file"], "properties": {"file": file}, "additionalProperties": False}
    examples = {"one": {"value": EXAMPLE}, "several": {"value": [EXAMPLE, {**EXAMPLE, "object_id": "another"}]}}
    several = {"type": "array", "items": light_curve, "maxItems": MAX_CURVES}
    return {
        "required": True,
        "content": {
            "application/json": {"schema": {"anyOf": [light_curve, several]}, "examples": examples},
            "multipart/form-data": {"schema": form},
        },
    }


_CLASSIFY = f"""
Send a light curve as JSON, or a list of them; or one file as a form: `curl -F file=@lightcurve.fits`.

There is an answer for each light curve, in order. One that can't be classified has a `status` other than OK, a
`reason`, and nulls: never a default score. A fault of the request itself is a 4xx with `detail`.

An answer is the row that `goodricke classify` writes for the same light curve. At most {MAX_BYTES >> 20} MiB,
{MAX_CURVES:,} light curves and {MAX_POINTS:,} observations in a request, and {MAX_COST:,} observations times passes.
"""


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI description of refusals."""
    return {code: {"model": Problem, "description": _REFUSALS[code]} for code in codes}


_REFUSALS = {
    400: "Not a form with a file",
    404: "Not there",
    408: f"The request took more than {MAX_ARRIVAL:g} s to arrive",
    413: "Too large",
    415: "Neither JSON nor a form",
    422: "Not understood: the detail says what is wrong and how to fix it",
    503: f"The model was busy for {MAX_WAIT:g} s",
}
