"""The command ``goodricke``: every command, by the module that defines it.

The modules named here parse arguments and print; they import only what ``--help`` needs. Everything heavy is imported
by the command that runs.
"""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from goodricke.cli import (
    alerts,
    classify,
    demo,
    doctor,
    download,
    evaluate,
    explore,
    inspect,
    models,
    real_stars,
    serve,
    similar,
    simulate,
    survey,
    train,
)
from goodricke.models.runtime.memory import keep_freed_memory

COMMANDS = (
    *(inspect.inspect, classify.classify, train.train, train.pretrain, evaluate.evaluate, doctor.doctor),
    *(simulate.simulate, evaluate.calibrate, evaluate.novelty, real_stars.real_stars),
    *(survey.pack, survey.catalog, survey.examine, survey.convert, survey.thresholds),
    *(similar.similar, similar.suggest, explore.explore, serve.serve),
)
GROUPS = {"models": models.app, "demo": demo.app, "download": download.app, "alerts": alerts.app}

app = typer.Typer(
    name="goodricke",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Turn light curves into classes, probabilities and embeddings.\n\n"
    "Start with [bold]goodricke demo[/], then [bold]goodricke inspect YOUR_FILES[/] and "
    "[bold]goodricke classify YOUR_FILES[/].",
)
for command in COMMANDS:
    app.command()(command)
for name, group in GROUPS.items():
    app.add_typer(group, name=name)


def _print_version(wanted: bool) -> None:
    if wanted:
        from goodricke import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _configure_logging(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Write more to the log; show the traceback of errors")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    from rich.console import Console
    from rich.logging import RichHandler

    handler = RichHandler(console=Console(stderr=True), show_path=False, show_time=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    logging.getLogger("goodricke").setLevel(logging.INFO if verbose else logging.WARNING)


def main() -> None:
    """Run the command line."""
    keep_freed_memory()
    app()
