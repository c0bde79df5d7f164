"""The command ``goodricke serve``: models, and a catalog if there is one, as a REST service without the explorer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from goodricke.cli.options import Device, Recursive, console, exit_with
from goodricke.data.exit_codes import ExitCode
from goodricke.models.hub import completions

if TYPE_CHECKING:
    from goodricke.data.lightcurves import LightCurves
    from goodricke.explorer.store import Store
    from goodricke.models.bundle import Model
    from goodricke.service.security import Access

KEEP_ALIVE = 15  # seconds that a connection stays open between requests
CONNECTIONS = 200  # beyond them: 503

Find = Any  # Callable[[str], LightCurves | None]


def serve(
    model: Annotated[
        list[str],
        typer.Argument(
            help="Shipped models (see `goodricke models list`), folders or hub ids", autocompletion=completions
        ),
    ],
    catalog: Annotated[
        Path | None, typer.Option(help="Catalog folder or .parquet of classify --out, for /objects")
    ] = None,
    light_curves: Annotated[
        list[str] | None, typer.Option(help="What the catalog was made from, for /objects/ID/light_curve; repeatable")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; any but this machine's own needs a token")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: one that is free")] = 8000,
    token: Annotated[
        str | None, typer.Option(envvar="GOODRICKE_TOKEN", help="What clients must show  [default: made if needed]")
    ] = None,
    recursive: Recursive = False,
    device: Device = "cpu",
) -> None:
    """Serve models over HTTP: light curves in as JSON or files, classes out as JSON.

    goodricke serve asas-v ztf-bts

    curl -F file=@lightcurve.csv "http://127.0.0.1:8000/classify?model=asas-v"

    What it takes and gives is on its page /docs, which also tries it out.
    One thread computes, requests that wait for a model are answered together; Ctrl-C ends it.
    """
    if light_curves and catalog is None:
        raise typer.BadParameter("--light-curves are those of a --catalog: name it")
    exit_with(run, model, catalog, light_curves or [], host, port, token, recursive, device)


def run(
    models: Sequence[str],
    catalog: Path | None,
    light_curves: Sequence[str],
    host: str,
    port: int,
    token: str | None,
    recursive: bool,
    device: str,
) -> int:
    """Serve until the user ends it.

    Raises
    ------
    ImportError
        If the extra isn't installed.
    ValueError
        If something can't be opened, or the address is taken.
    """
    from goodricke.cli.explore import address_of, listening
    from goodricke.explorer.store import EXTRA
    from goodricke.service.security import LOCAL, Access, new_token

    try:
        import uvicorn
    except ImportError as error:
        raise ImportError(f"serve needs uvicorn: {EXTRA}") from error
    import torch

    from goodricke.models.bundle import load_model

    access = Access(host, token or (None if host in LOCAL else new_token()))
    socket = listening(host, port)  # first: a port that is taken is told before anything is loaded
    torch.set_num_threads(1)
    loaded = [load_model(name, device) for name in dict.fromkeys(models)]
    store, find = _opened(catalog, light_curves, recursive)
    limits: dict[str, Any] = {
        "timeout_keep_alive": KEEP_ALIVE,
        "limit_concurrency": CONNECTIONS,
        "timeout_graceful_shutdown": 5,
    }
    config = uvicorn.Config(
        service(loaded, store, find, access), log_level="warning", server_header=False, access_log=False, **limits
    )
    screen, (place, mark, shown) = console(), address_of(host, socket.getsockname()[1], access.token).partition("?")
    screen.print(f"{', '.join(each.name for each in loaded)} at {place}docs{mark}{shown}", markup=False, soft_wrap=True)
    if access.token:
        screen.print("scripts send the header   Authorization: Bearer TOKEN", markup=False)
    screen.print("end with Ctrl-C", markup=False)
    uvicorn.Server(config).run(sockets=[socket])
    return ExitCode.DONE


def _opened(catalog: Path | None, light_curves: Sequence[str], recursive: bool) -> tuple[Store | None, Find]:
    """Return a catalog's rows, and what finds light curves of its objects."""
    if catalog is None:
        return None, None
    from goodricke.explorer.session import open_explorer

    explorer = open_explorer(catalog, light_curves=light_curves, recursive=recursive)
    return explorer.store, None if explorer.light_curves is None else explorer.light_curves.of


def service(
    models: Sequence[Model],
    catalog: Store | None = None,
    light_curves: Callable[[str], LightCurves | None] | None = None,
    access: Access | None = None,
) -> Any:
    """Return the application: the REST interface behind the guard, its page, and nothing else.

    Returns
    -------
    fastapi.FastAPI

    Raises
    ------
    ImportError
        If the extra isn't installed.
    """
    from goodricke.explorer.store import EXTRA
    from goodricke.service.security import Access, Guard

    try:
        from fastapi import FastAPI
        from fastapi.responses import RedirectResponse
        from fastapi.staticfiles import StaticFiles

        from goodricke.service.rest import ABOUT, router
    except ImportError as error:
        raise ImportError(f"serve needs fastapi and python-multipart ({error.name} is missing): {EXTRA}") from error
    from goodricke import __version__

    app = FastAPI(title="goodricke", version=__version__, description=ABOUT, docs_url=None, redoc_url=None)
    app.include_router(router(models, catalog, light_curves))
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))
    app.get("/", include_in_schema=False)(lambda: RedirectResponse("/docs"))
    app.add_middleware(Guard, access=access or Access())
    return app
