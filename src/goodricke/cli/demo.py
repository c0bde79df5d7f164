"""The commands ``goodricke demo`` and ``goodricke demo alerts``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goodricke.cli.classify import classify_files
from goodricke.cli.options import console, exit_with

if TYPE_CHECKING:
    from rich.console import Console

MODEL = "asas-v"

app = typer.Typer(help="Show what goodricke does on light curves that come with the package.")


@app.callback(invoke_without_command=True)
def demo(
    context: typer.Context,
    plot: Annotated[Path | None, typer.Option(help="Write a figure per star into this folder")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the results to this file")] = None,
) -> None:
    """Classify twelve real variable stars (ASAS survey) that come with the package; no network."""
    if context.invoked_subcommand is None:
        exit_with(classify_examples, out, plot, console())


@app.command("alerts")
def demo_alerts(
    light_curves: Annotated[
        list[str] | None, typer.Option(help="Yours, in ZTF's g and r  [default: simulated supernovae]")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(help="Days of the stream per second  [default: as fast as possible]")
    ] = None,
) -> None:
    """Start a broker, send a night of alerts, classify them live, compare with the whole light curves; no network."""
    from goodricke.cli.alert_demo import run

    exit_with(run, light_curves, speed)


def classify_examples(out: Path | None, plot: Path | None, console: Console) -> int:
    """Classify the light curves that come with the package; see `goodricke.cli.classify.classify_files`."""
    from goodricke.data.examples import example_files

    code = classify_files(example_files(), MODEL, out, plot, console=console)
    console.print(
        "True classes: 217801, 232798, 247327 are Miras, 243412 and 257141 contact binaries (EC). 224635 and 235913 are"
        " classical Cepheids, a class that this model does not know: it gives them one of its own classes all the same."
    )
    if plot is not None:
        from goodricke.evaluation.figures.objects import plot_overview
        from goodricke.inference import classify
        from goodricke.io import read

        stars = read(example_files())
        plot_overview(stars, classify(stars, MODEL), plot / "overview.png")
        console.print(f"Figures written to {plot}")
    return code
