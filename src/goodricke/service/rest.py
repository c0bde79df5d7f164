"""The REST interface: ``POST /classify``, ``GET /models``, ``GET /health``, and the page ``/docs`` that describes them.

A light curve that can't be classified is an answer with its status. A request that can't be understood is a 4xx whose
``detail`` says what is wrong and how to fix it. A request that takes longer than `MAX_ARRIVAL` to arrive is refused
(408), and so is one that waits longer than `goodricke.service.model_queue.MAX_WAIT` for its model (503).
"""

# No deferred annotations: FastAPI reads those of functions that are defined within functions.

from collections.abc import AsyncGenerator, Callable, Sequence
from functools import partial, reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any

from anyio import CapacityLimiter, fail_after, to_thread
from fastapi import APIRouter, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from goodricke import __version__
from goodricke.models.bundle import Model
from goodricke.service.answers import Answer, as_parameters, classify_file, classify_json
from goodricke.service.model_queue import MAX_WAIT, BusyError, ModelQueue
from goodricke.service.requests import MAX_BYTES, TooLargeError
from goodricke.service.schemas import (
    EXAMPLE,
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
MAX_REQUESTS = 32  # that are computed or wait for their model, in threads of their own
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
    )
    app.include_router(rest_routes(models, rows))
    app.mount("/docs-static", StaticFiles(directory=STATIC))
    app.add_middleware(Guard, access=access or Access())

    @app.exception_handler(RequestValidationError)
    def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": fault_sentence(error.errors())}, 422)

    return app


def rest_routes(models: Sequence[Model], rows: int | None = None) -> APIRouter:
    """Return the paths of the REST interface; see `create_rest_app`."""
    names = [model.name for model in models]
    if duplicates := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"two models are called {', '.join(duplicates)}: serve one, or rename one in its config.json")
    routes = APIRouter()

    @routes.get("/health", tags=["about"], summary="Is the server there?")
    async def health() -> Health:
        return Health(version=__version__, models=names, rows=rows)

    @routes.get("/models", tags=["about"], summary="The models that are served, and what they take")
    async def list_models() -> list[ModelCard]:
        return [ModelCard.from_model(model) for model in models]

    @routes.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse((STATIC / "docs.html").read_text(encoding="utf-8"))

    if models:
        _add_classify(routes, {model.name: ModelQueue(model) for model in models})
    return routes


def _add_classify(routes: APIRouter, queues: dict[str, ModelQueue]) -> None:
    parameters_of_models = parameters_type(list(queues))
    limiter = CapacityLimiter(MAX_REQUESTS)

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
        work = await _receive(request, queues[parameters.model_name], parameters)  # type: ignore[attr-defined]
        try:
            return JSONResponse(await to_thread.run_sync(work, limiter=limiter))
        except BusyError as error:
            raise HTTPException(503, str(error), {"Retry-After": "10"}) from None
        except TooLargeError as error:
            raise HTTPException(413, str(error)) from None
        except ValueError as error:
            raise HTTPException(422, as_parameters(str(error))) from None


async def _receive(request: Request, queue: ModelQueue, parameters: ClassifyParameters) -> Callable[[], Answer]:
    """Wait for a request's body; return the function that answers it."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        with fail_after(MAX_ARRIVAL):
            if kind == "multipart/form-data":
                return partial(classify_file, queue, parameters, *await _uploaded_file(request))
            if kind == "application/json":
                return partial(classify_json, queue, parameters, b"".join([part async for part in _body(request)]))
    except TimeoutError:
        detail = f"the request took more than {MAX_ARRIVAL:g} s to arrive: send less at once"
        raise HTTPException(408, detail) from None
    fix = "send application/json, or a file as multipart/form-data (curl -F file=@lightcurve.fits)"
    raise HTTPException(415, f"a body of type {kind or 'unknown'} is not understood: {fix}")


async def _body(request: Request) -> AsyncGenerator[bytes, None]:
    """Give the body of a request in parts, up to `MAX_BYTES`."""
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BYTES:
            fix = "send it in parts, or use `goodricke classify`"
            raise HTTPException(413, f"the request is larger than {MAX_BYTES >> 20} MiB: {fix}")
        yield part


async def _uploaded_file(request: Request) -> tuple[str, bytes]:
    """Return name and content of a form's only file."""
    fix = "send one file as the field `file`: curl -F file=@lightcurve.fits"
    try:
        form = await MultiPartParser(request.headers, _body(request), max_files=1, max_fields=0).parse()
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
{MAX_CURVES:,} light curves and {MAX_POINTS:,} observations in a request.
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
