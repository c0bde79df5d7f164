"""The command ``goodricke``: every command, by the module that defines it.

A module is imported when its command is asked for. It parses arguments and prints; at its top it imports only what
``--help`` needs, and everything heavy in the function that runs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from goodricke.models.runtime.memory import keep_freed_memory

# The module of each command, in the order of the help; a module with an ``app`` is a group of commands.
COMMANDS = {
    **{"inspect": "inspect", "classify": "classify", "train": "train", "pretrain": "train", "evaluate": "evaluate"},
    **{"doctor": "doctor", "simulate": "simulate", "calibrate": "evaluate", "novelty": "evaluate"},
    **{"real-stars": "evaluate", "pack": "survey", "catalog": "survey", "examine": "survey", "convert": "survey"},
    **{"thresholds": "survey", "similar": "similar", "suggest": "similar", "explore": "explore", "serve": "serve"},
    **{"models": "models", "demo": "demo", "download": "download", "alerts": "alerts"},
}


class _CommandsByName(Mapping[str, Any]):
    """The commands; each is imported when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        module = import_module(f"goodricke.cli.{COMMANDS[name]}")
        holder = typer.Typer(rich_markup_mode="rich")
        if hasattr(module, "app"):
            holder.add_typer(module.app, name=name)
        else:
            holder.command()(getattr(module, name.replace("-", "_")))
        return get_group(holder).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Program(TyperGroup):
    """The group of all commands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _CommandsByName()  # type: ignore[assignment]


app = typer.Typer(
    name="goodricke",
    cls=_Program,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Turn light curves into classes, probabilities and embeddings.\n\n"
    "Start with [bold]goodricke demo[/], then [bold]goodricke inspect YOUR_FILES[/] and "
    "[bold]goodricke classify YOUR_FILES[/].",
)


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
