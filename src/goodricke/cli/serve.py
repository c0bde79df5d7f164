"""The command ``goodricke serve``: models, and a catalog if there is one, as a REST service without the explorer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from goodricke.cli.options import Device, Recursive, console, exit_with
from goodricke.data.exit_codes import ExitCode
from goodricke.models.hub import completions


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
        list[str] | None, typer.Option(help="Light curves of the catalog, for /objects/ID/light_curve; repeatable")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; any but this machine's own needs a token")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(envvar="GOODRICKE_TOKEN", help="Token that a client must give  [default: made if needed]"),
    ] = None,
    recursive: Recursive = False,
    device: Device = "cpu",
) -> None:
    """Serve models over HTTP: light curves in as JSON or files, classes out as JSON.

    goodricke serve variables ztf-bts

    curl -F file=@lightcurve.csv "http://127.0.0.1:8000/classify?model=variables"

    Its page /docs describes requests and answers, and sends some to try.
    One thread computes, and requests that wait for a model share its next call; Ctrl-C ends it.
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
        If the extra ``explore`` isn't installed.
    ValueError
        If something can't be opened, or the port is taken.
    """
    from goodricke.service.server import Server

    server = Server(host, port, token)  # first: a taken port is reported before anything is loaded
    from goodricke.explorer.app import create_service
    from goodricke.explorer.session import open_explorer
    from goodricke.models.bundle import load_model

    loaded = [load_model(name, device) for name in dict.fromkeys(models)]
    explorer = None
    if catalog is not None:
        explorer = open_explorer(catalog, light_curves=light_curves, recursive=recursive)
    app, screen = create_service(loaded, explorer, server.access), console()
    names = ", ".join(model.name for model in loaded)
    screen.print(f"{names} at {server.address('docs')}", markup=False, soft_wrap=True)
    if server.access.token:
        screen.print("scripts send the header   Authorization: Bearer TOKEN", markup=False)
    screen.print("end with Ctrl-C", markup=False)
    server.run(app)
    return ExitCode.DONE
