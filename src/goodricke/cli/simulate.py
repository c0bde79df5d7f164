"""The command ``goodricke simulate``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from goodricke.cli.options import console, exit_with
from goodricke.data.exit_codes import ExitCode

if TYPE_CHECKING:
    from rich.progress import Progress


def simulate(
    out: Annotated[
        Path | None, typer.Option(help="Parquet file; the table of labels is written beside it", show_default=False)
    ] = None,
    cadence: Annotated[
        str, typer.Option(help="tess-30min, tess-10min, tess-200s, tess-2min, kepler or k2")
    ] = "tess-30min",
    sectors: Annotated[
        str, typer.Option(help="Sectors, quarters or campaigns: how many in a row, or which: 14,15,26")
    ] = "1",
    per_class: Annotated[int, typer.Option(min=1, help="Light curves of each class")] = 100,
    only: Annotated[list[str] | None, typer.Option("--class", help="Only this class; repeatable")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed: the same seed gives the same stars")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes")] = 1,
    figure: Annotated[
        Path | None,
        typer.Option(help="Draw 20 of each class (of a survey 5) into this file (.png, .pdf)", show_default=False),
    ] = None,
    survey: Annotated[
        str | None, typer.Option(help="Sparse light curves in several bands instead: rubin, ztf or gaia")
    ] = None,
    parameters: Annotated[
        bool, typer.Option("--parameters", help="Print the distributions of each kind of star, and their sources")
    ] = False,
) -> None:
    """Make labelled light curves: stars of nine classes as Kepler, K2 or TESS see them, with noise and artefacts.

    To train on:     goodricke simulate --out sim.parquet --per-class 1000 --workers 8
    To look at:      goodricke simulate --figure sim.png
    In many bands:   goodricke simulate --survey rubin --out sim.parquet   (variables, supernovae; or ztf, gaia)
    What they are:   goodricke simulate --parameters

    Classes:        APERIODIC, CONSTANT, CONTACT_ROT, DSCT_BCEP, ECLIPSE, GDOR_SPB, INSTRUMENT, RRLYR_CEPHEID, SOLARLIKE
    Of a survey:    AGN, CEPHEID, CONTACT, CV, DSCT, EB, KN, MICROLENS, MIRA, M_DWARF, RRL, SLSN, SNIA, SNIBC, SNII, TDE

    The file has a light curve per row, its true parameters in columns true_..., and sim-labels.csv the classes.
    Simulated light curves can start a model or test it; only real ones show what it is worth.
    """
    if parameters:
        exit_with(_print_parameters)
    if out is None and figure is None:
        raise typer.BadParameter("say what to make: --out FILE.parquet, --figure FILE.png or --parameters")
    if figure is not None and figure.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise typer.BadParameter(f"--figure {figure}: call it .png, .pdf or .svg")
    settings: dict[str, Any] = {"classes": only, "seed": seed}
    settings |= {"survey": survey} if survey else {"cadence": cadence, "sectors": _parse_sectors(sectors)}
    exit_with(_simulate, out, figure, per_class, settings, workers)


def _parse_sectors(text: str) -> int | tuple[int, ...]:
    """Return how many sectors, or their numbers."""
    try:
        numbers = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise typer.BadParameter(f"--sectors {text}: write how many, 3, or which, 14,15,26 (one: 14,)") from None
    return numbers if "," in text or not numbers else numbers[0]


def _simulate(out: Path | None, figure: Path | None, per_class: int, settings: dict[str, Any], workers: int) -> int:
    """Write light curves and draw a page of them; ``settings`` are those of `dense_simulation` or of a survey."""
    from goodricke.data.lightcurves import LightCurves
    from goodricke.simulate.blocks import Simulation, labels_path, write
    from goodricke.simulate.dense import dense_simulation
    from goodricke.simulate.overview import draw_dense, draw_multiband
    from goodricke.simulate.sparse import multiband_simulation

    simulation: Callable[..., Simulation] = multiband_simulation if "survey" in settings else dense_simulation
    if out is not None:
        plan = simulation(per_class, **settings)
        with _progress(plan.rows) as bar:
            advance = partial(bar.advance, bar.task_ids[0])
            number = write(plan.parts(workers), out, {"per_class": per_class, **settings}, advance)
        console().print(f"{number:,} simulated light curves: {out}, labels: {labels_path(out)}", soft_wrap=True)
    if figure is not None:
        per_figure = 5 if "survey" in settings else 20
        curves = LightCurves.concat(list(simulation(per_figure, **settings).parts(workers)))
        (draw_multiband if "survey" in settings else draw_dense)(curves, figure, per_figure)
        console().print(f"{per_figure} of each class: {figure}", soft_wrap=True)
    return ExitCode.DONE


def _progress(total: int) -> Progress:
    """Return a bar on the standard error, with one task."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("light curves"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    bar.add_task("", total=total)
    return bar


def _print_parameters() -> int:
    """Print the tables of parameters."""
    from rich.table import Table

    from goodricke.simulate.parameters import table, table_names, table_rows

    for name in table_names():
        title = f"{name} ({table(name).label}): {table(name).description}"
        text = Table(title=title, title_justify="left")
        for column in ("parameter", "distribution", "unit", "meaning", "literature"):
            text.add_column(column, overflow="fold")
        for row in table_rows(name):
            text.add_row(*row.values())
        console().print(text)
    return ExitCode.DONE
