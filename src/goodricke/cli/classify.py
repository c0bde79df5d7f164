"""The command ``goodricke classify``: files in; predictions, a table and figures out."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from goodricke.cli.options import (
    Device,
    Level,
    ModelOption,
    Passes,
    PerClass,
    Precision,
    Reading,
    Seed,
    Sources,
    Workers,
    exit_with,
    reading_options,
)
from goodricke.data.exit_codes import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from goodricke.data.lightcurves import LightCurves
    from goodricke.data.predictions import Predictions
    from goodricke.io import Unreadable
    from goodricke.models.bundle import Precision as PrecisionName
    from goodricke.uncertainty.prediction_sets import Coverage

    Batch = tuple[LightCurves | None, list[Unreadable]]

log = logging.getLogger("goodricke")


@reading_options
def classify(
    sources: Sources,
    model: ModelOption,
    out: Annotated[Path | None, typer.Option(help="Results: .parquet, .csv, .ecsv, .fits or .vot")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a figure per object into this folder")] = None,
    mc: Passes = 20,
    coverage: Level = 0.9,
    per_class: PerClass = False,
    seed: Seed = 0,
    *,
    reading: Reading,
    device: Device = "cpu",
    workers: Workers = 1,
    precision: Precision = "auto",
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at bands that the model doesn't know instead of leaving them out")
    ] = False,
) -> None:
    """Classify light curves: a table on the terminal, one row per light curve in --out, figures with --plot.

    A file that can't be read costs its row (status UNREADABLE) and a line in the log, never the run.
    Exit code: 0 all classified, 3 some were not, 2 wrong usage.
    """
    from goodricke.uncertainty.prediction_sets import Coverage

    options = {"device": device, "workers": workers, "strict": strict, "precision": precision, "reading": reading}
    exit_with(classify_files, sources, model, out, plot, mc, seed, coverage=Coverage(coverage, per_class), **options)


def classify_files(
    sources: Sequence[str],
    model: str,
    out: Path | None = None,
    plot: Path | None = None,
    passes: int = 20,
    seed: int = 0,
    device: str = "cpu",
    workers: int = 1,
    reading: Reading | None = None,
    strict: bool = False,
    precision: PrecisionName = "auto",
    coverage: Coverage | None = None,
    console: Console | None = None,
    show: Callable[[Predictions, str, Console], None] | None = None,
) -> int:
    """Classify all light curves in files, batch by batch; print a table, write predictions and figures.

    Parameters
    ----------
    sources : list of str
        Whatever `goodricke.io.find` takes.
    model : str
    out : Path, optional
        File for the predictions; its suffix names the format.
    plot : Path, optional
        Folder for a figure per object.
    passes, seed, device, workers
        See `goodricke.classify`.
    reading : dict, optional
        See `goodricke.io.ReadOptions`.
    strict : bool
        Raise ValueError at bands that a multi-band model doesn't know.
    precision : {"auto", "float32", "bfloat16"}
        See `goodricke.models.bundle.Model`.
    coverage : Coverage, optional
        Of the prediction sets; 0.9 by default.
    show : callable, optional
        Prints the predictions under a title; `goodricke.cli.tables.print_predictions` by default.

    Returns
    -------
    int
        Exit code: done if every light curve was classified.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from goodricke import inference
    from goodricke.cli.tables import print_predictions
    from goodricke.data import formats
    from goodricke.io import read_batches
    from goodricke.models.bundle import load_model
    from goodricke.uncertainty.prediction_sets import COVERAGE

    console = console or Console()
    if out is not None:
        formats.check(out)
    if plot is not None:
        plot.mkdir(parents=True, exist_ok=True)
    loaded = load_model(model, device, precision=precision)
    figures: set[Path] = set()
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} light curves"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=None)

        def finished(curves: LightCurves, predictions: Predictions) -> None:
            if plot is not None:
                _plot(curves, predictions, plot, figures)

        result, _ = inference.classify_batches(
            _with_log(read_batches(list(sources), **(reading or {}))),
            loaded,
            strict=strict,
            finished=finished,
            passes=passes,
            seed=seed,
            workers=workers,
            tick=partial(progress.advance, bar),
            coverage=coverage or COVERAGE,
        )
    (show or print_predictions)(result, f"{loaded.name} ({loaded.hash})", console)
    if out is not None:
        result.write(out)
        console.print(f"{len(result):,} rows written to {out}")
    return ExitCode.DONE if result.ok.all() else ExitCode.SOME_FAILED


def _with_log(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yield batches of light curves, and log the files that can't be read."""
    for curves, failures in batches:
        for failure in failures:
            log.warning("%s", failure)
        yield curves, failures


def _plot(curves: LightCurves, predictions: Predictions, folder: Path, written: set[Path]) -> None:
    """Draw a figure per light curve, adding it to those written; no failure stops the others."""
    from goodricke.data.predictions import Predictions
    from goodricke.evaluation.figures.objects import plot_object
    from goodricke.evaluation.figures.style import figure_name

    for i, name in enumerate(curves.ids):
        first = folder / figure_name(name)
        again = (first.with_stem(f"{first.stem}_{count}") for count in itertools.count(2))
        path = next(path for path in itertools.chain([first], again) if path not in written)
        written.add(path)
        try:
            plot_object(curves[i], Predictions(predictions.table.slice(i, 1), predictions.classes), path)
        except Exception as error:  # a picture is not worth the run
            log.warning("%s: no figure (%s: %s)", name, type(error).__name__, error)
