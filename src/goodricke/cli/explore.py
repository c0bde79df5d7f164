"""The command ``goodricke explore``: parse, call, serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from goodricke.cli.options import Reading, console, exit_with, reading_options
from goodricke.data.exit_codes import ExitCode
from goodricke.models.hub import completions


@reading_options
def explore(
    catalog: Annotated[
        Path, typer.Argument(help="Catalog folder, HATS catalog, or a .parquet of classify --out", show_default=False)
    ],
    light_curves: Annotated[
        list[str] | None,
        typer.Option(help="What the catalog was made from: pack, nested Parquet, files, folders; repeatable"),
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option("--with", help="Table with more columns by object id, such as joined.parquet of examine --out"),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV that labels given here are kept in  [default: NAME-labels.csv beside the catalog]"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The one that made the catalog, if it isn't found by the name in the catalog",
            autocompletion=completions,
        ),
    ] = None,
    alerts: Annotated[
        str | None, typer.Option(help="State store of a running alert engine: a folder or redis://...")
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(help="Its worker's metrics, for lag and rates: http://HOST:PORT/metrics")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; any but this machine's own needs a token")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: one that is free")] = 0,
    token: Annotated[
        str | None, typer.Option(envvar="GOODRICKE_TOKEN", help="What visitors must show  [default: made if needed]")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser")] = True,
    *,
    reading: Reading,
) -> None:
    """Look at a catalog in the browser: sort, filter, select in diagrams, see light curves, give labels.

    goodricke explore CATALOG --light-curves SRC

    Labels given there are read by `goodricke train`, `examine` and `thresholds`.
    The first start copies the table to the cache folder; later ones are quick.
    From another machine: ssh -L 8000:localhost:8000 HOST, and --port 8000 there.
    """
    reading |= {"light_curves": light_curves or (), "beside": beside, "labels": labels, "model": model}
    exit_with(run, catalog, host, port, token, browser, alerts=alerts, metrics=metrics, **reading)


def run(catalog: Path, host: str, port: int, token: str | None, browser: bool, **options: Any) -> int:
    """Open a catalog and serve it until the user ends it.

    Raises
    ------
    ImportError
        If the extra isn't installed.
    ValueError
        If something can't be opened, or the address is taken.
    """
    from goodricke.explorer.store import EXTRA
    from goodricke.service.security import LOCAL, Access, new_token

    try:
        import uvicorn
    except ImportError as error:
        raise ImportError(f"the explorer needs uvicorn: {EXTRA}") from error
    import torch

    from goodricke.explorer.app import create_app

    torch.set_num_threads(1)  # small batches: more threads only wait for each other
    access = Access(host, token or (None if host in LOCAL else new_token()))
    socket = listening(host, port)  # first: a port that is taken is told before a catalog is copied
    screen, explorer = console(), _opened(catalog, options)
    address = address_of(host, socket.getsockname()[1], access.token)
    config = uvicorn.Config(create_app(explorer, access), log_level="warning", server_header=False, access_log=False)
    screen.print(f"{len(explorer.table):,} rows at {address}", markup=False, soft_wrap=True)
    screen.print(f"labels go to {explorer.labels.path}; end with Ctrl-C", markup=False, soft_wrap=True)
    if browser:
        _show(address)
    uvicorn.Server(config).run(sockets=[socket])
    return ExitCode.DONE


def listening(host: str, port: int) -> Any:
    """Return a socket that listens.

    Raises
    ------
    ValueError
        If it can't.
    """
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen()  # who comes before the server is ready waits
    except OSError as error:
        made.close()
        fix = "take another --port, or 0 for a free one" if port else "check --host"
        raise ValueError(f"can't listen at {host}:{port} ({error.strerror}): {fix}") from error
    made.set_inheritable(True)
    return made


def address_of(host: str, port: int, token: str | None) -> str:
    """Return what to open in a browser."""
    import socket

    from goodricke.service.security import EVERYWHERE

    name = socket.gethostname() if host in EVERYWHERE else f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")


def _opened(catalog: Path, options: dict[str, Any]) -> Any:
    """Open the explorer, with a progress bar where rows are copied."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from goodricke.explorer.session import open_explorer
    from goodricke.survey.shards import Catalog

    columns = (TextColumn("copying rows"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=len(Catalog.open(catalog)), visible=False)
        return open_explorer(catalog, tick=lambda n: bar.update(task, advance=n, visible=True), **options)


def _show(address: str) -> None:
    """Open a browser once the server answers: the socket waits for it already."""
    import threading
    import webbrowser

    threading.Timer(0.5, webbrowser.open, [address]).start()
