"""The application: paths, page, errors, and who may ask."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from goodricke import __version__
from goodricke.explorer.session import Explorer
from goodricke.explorer.store import EXTRA
from goodricke.service.security import Access, Guard

log = logging.getLogger("goodricke")

STATIC = Path(__file__).parent / "static"


def create_app(explorer: Explorer, access: Access | None = None) -> Any:
    """Return the application of an explorer.

    Parameters
    ----------
    explorer : Explorer
        Closed when the application ends.
    access : Access, optional
        Who may ask; by default this machine's own browser.

    Returns
    -------
    fastapi.FastAPI

    Raises
    ------
    ImportError
        If the extra isn't installed.
    """
    try:
        from fastapi import FastAPI
        from fastapi.staticfiles import StaticFiles

        from goodricke.explorer import object_routes, table_routes
        from goodricke.service import rest
    except ImportError as error:
        raise ImportError(f"the explorer needs fastapi and uvicorn ({error.name} is missing): {EXTRA}") from error

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        explorer.close()

    app = FastAPI(title="goodricke", version=__version__, docs_url=None, redoc_url=None, lifespan=life)
    app.include_router(table_routes.router(explorer))
    app.include_router(object_routes.router(explorer))
    find = None if explorer.light_curves is None else explorer.light_curves.of
    app.include_router(rest.router([] if explorer.model is None else [explorer.model], explorer.store, find))
    app.mount("/static", StaticFiles(directory=STATIC))
    _add_page(app)
    _add_errors(app)
    app.add_middleware(Guard, access=access or Access())
    return app


def _add_page(app: Any) -> None:
    from fastapi.responses import FileResponse

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-store"})


def _add_errors(app: Any) -> None:
    """Let every error be told as ``{"detail": "what, likely cause, fix"}``."""
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse

    @app.exception_handler(RequestValidationError)
    def unlike_the_schema(_: Any, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": sentence(error)}, 422)

    @app.exception_handler(ValueError)
    def refused(_: Any, error: ValueError) -> JSONResponse:
        log.debug("refused", exc_info=error)
        return JSONResponse({"detail": str(error)}, 400)

    @app.exception_handler(OSError)
    def gone(_: Any, error: OSError) -> JSONResponse:
        log.warning("%s", error)
        return JSONResponse({"detail": f"a file can't be read ({error}): was it moved, deleted or replaced?"}, 503)


def sentence(error: Any) -> str:
    """Return in words what is wrong with a request."""
    told = [(".".join(str(x) for x in each["loc"] if x != "body"), each["msg"]) for each in error.errors()]
    return "; ".join(dict.fromkeys(f"{place}: {words}" if place else words for place, words in told))[:1000]
