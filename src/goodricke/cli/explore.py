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
        typer.Option(help="Light curves of the catalog: pack, nested Parquet, files, folders; repeatable"),
    ] = None,
    extra: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            help="Table with more columns by object id, such as joined.parquet of examine --out; repeatable, the first "
            "that has a value counts",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV for the labels that you give  [default: NAME-labels.csv beside the catalog]"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Model that made the catalog, if its name in the catalog doesn't lead to it",
            autocompletion=completions,
        ),
    ] = None,
    alerts: Annotated[
        str | None, typer.Option(help="State store of a running alert engine: a folder or redis://...")
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(help="Metrics of the engine's worker, for lag and rates: http://HOST:PORT/metrics")
    ] = None,
    samp: Annotated[
        bool, typer.Option("--samp", help="Exchange tables and rows with TOPCAT, Aladin, ... on this machine")
    ] = False,
    host: Annotated[str, typer.Option(help="Address to listen at; any but this machine's own needs a token")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any free one")] = 0,
    token: Annotated[
        str | None,
        typer.Option(envvar="GOODRICKE_TOKEN", help="Token that a visitor must give  [default: made if needed]"),
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
    reading |= {"light_curves": light_curves or (), "extra": extra, "labels": labels, "model": model, "samp": samp}
    exit_with(run, catalog, host, port, token, browser, alerts=alerts, metrics=metrics, **reading)


def run(catalog: Path, host: str, port: int, token: str | None, browser: bool, **options: Any) -> int:
    """Open a catalog and serve it until the user ends it.

    Raises
    ------
    ImportError
        If the extra ``explore`` isn't installed.
    ValueError
        If something can't be opened, or the port is taken.
    """
    from goodricke.service.server import Server

    server = Server(host, port, token)  # first: a taken port is reported before a catalog is copied
    explorer = _open(catalog, options)
    from goodricke.explorer.app import create_app

    app, address, screen = create_app(explorer, server.access), server.address(), console()
    screen.print(f"{len(explorer.table):,} rows at {address}", markup=False, soft_wrap=True)
    screen.print(f"labels go to {explorer.labels.path}; end with Ctrl-C", markup=False, soft_wrap=True)
    if browser:
        _show(address)
    server.run(app)
    return ExitCode.DONE


def _open(catalog: Path, options: dict[str, Any]) -> Any:
    """Open the explorer, with a progress bar while rows are copied."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from goodricke.explorer.session import open_explorer
    from goodricke.survey.shards import Catalog

    columns = (TextColumn("copying rows"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=len(Catalog.open(catalog)), visible=False)
        return open_explorer(catalog, progress=lambda n: bar.update(task, advance=n, visible=True), **options)


def _show(address: str) -> None:
    """Open a browser a moment later, when the server answers."""
    import threading
    import webbrowser

    threading.Timer(0.5, webbrowser.open, [address]).start()
