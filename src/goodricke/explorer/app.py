"""The applications of ``goodricke explore`` and ``goodricke serve``: both have the REST interface, one the page too."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.middleware.gzip import GZipMiddleware

from goodricke.explorer.catalog_routes import catalog_routes
from goodricke.explorer.figure_routes import figure_routes
from goodricke.explorer.object_routes import object_routes
from goodricke.explorer.selection_routes import samp_routes, selection_routes
from goodricke.explorer.session import Explorer
from goodricke.explorer.table_routes import table_routes
from goodricke.models.bundle import Model
from goodricke.service.rest import create_rest_app
from goodricke.service.security import Access

log = logging.getLogger("goodricke")

GZIP_FROM, GZIP_LEVEL = 4000, 1  # bytes; the quickest level halves the numbers of a diagram
STATIC = Path(__file__).parent / "static"


def create_app(explorer: Explorer, access: Access | None = None) -> FastAPI:
    """Return the application of ``goodricke explore``.

    Parameters
    ----------
    explorer : Explorer
        Closed when the application ends.
    access : Access, optional
        Who may connect; by default this machine's own browser.
    """

    def prepare() -> None:
        try:
            explorer.diagrams.prepare()
        except Exception:  # the page gets the reason when it asks
            log.debug("no diagrams were prepared", exc_info=True)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        preparing = threading.Thread(target=prepare, daemon=True)
        preparing.start()
        yield
        preparing.join()
        explorer.close()

    models = [] if explorer.model is None else [explorer.model]
    app = create_rest_app(models, access, len(explorer.table), lifespan)
    app.include_router(catalog_routes(explorer.store, explorer.find_light_curves))
    app.include_router(table_routes(explorer))
    app.include_router(selection_routes(explorer))
    app.include_router(figure_routes(explorer))
    app.include_router(samp_routes(explorer))
    app.include_router(object_routes(explorer))
    app.add_middleware(GZipMiddleware, minimum_size=GZIP_FROM, compresslevel=GZIP_LEVEL)
    app.mount("/static", StaticFiles(directory=STATIC))

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-store"})

    @app.exception_handler(ValueError)
    def refuse(_: Request, error: ValueError) -> JSONResponse:
        log.debug("refused", exc_info=error)
        return JSONResponse({"detail": str(error)}, 400)

    @app.exception_handler(OSError)
    def report(_: Request, error: OSError) -> JSONResponse:
        log.warning("%s", error)
        return JSONResponse({"detail": f"a file can't be read ({error}): was it moved, deleted or replaced?"}, 503)

    return app


def create_service(models: Sequence[Model], explorer: Explorer | None = None, access: Access | None = None) -> FastAPI:
    """Return the application of ``goodricke serve``: models and, if an explorer is open, its catalog.

    Raises
    ------
    ValueError
        If two models have one name.
    """
    app = create_rest_app(models, access, None if explorer is None else len(explorer.table))
    if explorer is not None:
        app.include_router(catalog_routes(explorer.store, explorer.find_light_curves))
    app.get("/", include_in_schema=False)(lambda: RedirectResponse("/docs"))
    return app
