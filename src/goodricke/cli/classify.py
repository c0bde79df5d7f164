"""The command ``goodricke classify``: files in; predictions, a table and figures out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from goodricke.cli.options import (
    Device,
    Level,
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
from goodricke.models.hub import completions

if TYPE_CHECKING:
    from rich.console import Console

    from goodricke.data.lightcurves import LightCurves
    from goodricke.data.predictions import Predictions
    from goodricke.evaluation.figures.figure_files import Draw
    from goodricke.io import Unreadable
    from goodricke.models.bundle import Model
    from goodricke.models.bundle import Precision as PrecisionName
    from goodricke.uncertainty.prediction_sets import Coverage

    Batch = tuple[LightCurves | None, Sequence[Unreadable]]

log = logging.getLogger("goodricke")

MOST_FIGURES = 1000  # by default: a survey's would fill a disk

OptionalModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="Shipped model (see `goodricke models list`), folder or hub id  [default: by the light curves]",
        show_default=False,
        autocompletion=completions,
    ),
]


@reading_options
def classify(
    sources: Sources,
    model: OptionalModel = None,
    out: Annotated[Path | None, typer.Option(help="Results: .parquet, .csv, .ecsv, .fits or .vot")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a figure per object into this folder")] = None,
    pdf: Annotated[Path | None, typer.Option(help="Write all figures into one file, a page each")] = None,
    plot_first: Annotated[
        int, typer.Option(help="Draw the first light curves only, at most so many, about a second each; 0: all", min=0)
    ] = MOST_FIGURES,
    per_star: Annotated[
        bool,
        typer.Option("--per-star", help="One row per star: its sectors, quarters and long light curves combined"),
    ] = False,
    pieces: Annotated[
        float | None,
        typer.Option(
            help="Length [d] of the pieces of long dense light curves; 0: whole  [default: whole; with --per-star as "
            "long as those of the training]",
            show_default=False,
        ),
    ] = None,
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
        bool, typer.Option("--strict", help="Stop at bands that the model doesn't have instead of leaving them out")
    ] = False,
) -> None:
    """Classify light curves: a table on the terminal, one row per light curve in --out, figures with --plot or --pdf.

    Without --model, dense space photometry goes to tess-sim and sparse light curves to variables.
    A file that can't be read gets a row with the status UNREADABLE and a line in the log; the run continues.
    Exit code: 0 all classified, 3 some were not, 2 wrong usage.
    """
    from goodricke.uncertainty.prediction_sets import Coverage

    options: dict[str, Any] = {
        "device": device,
        "workers": workers,
        "strict": strict,
        "precision": precision,
        "reading": reading,
    }
    options |= {"pdf": pdf, "coverage": Coverage(coverage, per_class), "per_star": per_star, "pieces": pieces}
    options["plot_first"] = plot_first
    exit_with(classify_files, sources, model, out, plot, mc, seed, **options)


def classify_files(
    sources: Sequence[str],
    model: str | None = None,
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
    pdf: Path | None = None,
    per_star: bool = False,
    pieces: float | None = None,
    plot_first: int = MOST_FIGURES,
) -> int:
    """Classify all light curves in files, batch by batch; print a table, write predictions and figures.

    Parameters
    ----------
    sources : list of str
        Whatever `goodricke.io.find` takes.
    model : str, optional
        By default the one for these light curves, see `goodricke.inference.default_model`.
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
    pdf : Path, optional
        File for all figures, a page each.
    per_star : bool
        Whether to merge the light curves of each star, see `goodricke.survey.per_star.one_per_star`.
    pieces : float, optional
        Length [d] of the pieces of long dense light curves, see `goodricke.models.pieces`; 0 for whole ones. By default
        that of the training light curves with ``per_star``, else whole ones.
    plot_first : int
        Number of light curves that are drawn, the first ones; 0 for all.

    Returns
    -------
    int
        Exit code: done if every light curve was classified.
    """
    from rich.console import Console

    from goodricke import inference
    from goodricke.cli.tables import PER_STAR, SHOWN, bands_of, print_predictions
    from goodricke.data.progress import counting
    from goodricke.io import read_batches
    from goodricke.models.bundle import load_model, read_config
    from goodricke.uncertainty.prediction_sets import COVERAGE

    console = console or Console()
    if out is not None:
        from goodricke.data import formats

        formats.check(out)
    if model is not None:  # what it was trained on, unless --flux names another
        reading = {"photometry": read_config(model).flux_kind, **(reading or {})}
    batches: Iterable[Batch] = _with_log(read_batches(list(sources), **(reading or {})))
    if model is None:
        first, batches = inference.peek(batches)
        model, reason = inference.default_model(first)
        console.print(f"Model {model}: {inference.as_options(reason)}", highlight=False, markup=False)
    loaded = load_model(model, device, precision=precision)
    bands, n_curves = list[str](), 0
    with counting(console) as counts, _figures(plot, pdf, plot_first) as draw:

        def finished(curves: LightCurves, predictions: Predictions) -> None:
            nonlocal n_curves
            n_curves += len(curves)
            bands.extend(bands_of(curves[: max(SHOWN - len(bands), 0)]))
            if draw is not None:
                draw(curves, predictions, counts.counter("figures"))

        result, _ = inference.classify_batches(
            batches,
            loaded,
            strict=strict,
            finished=finished,
            passes=passes,
            seed=seed,
            workers=workers,
            tick=counts.counter("light curves"),
            coverage=coverage or COVERAGE,
            pieces=_piece_length(loaded, pieces, per_star),
        )
    if per_star:
        from goodricke.survey.per_star import one_per_star

        show, bands = show or partial(print_predictions, after_class=[PER_STAR]), []
        result = one_per_star(result, loaded, coverage or COVERAGE)
    (show or partial(print_predictions, bands=bands))(result, f"{loaded.name} ({loaded.hash})", console)
    if out is not None:
        result.write(out)
        console.print(f"{len(result):,} rows written to {out}")
    for place in (place for place in (plot, pdf) if place is not None):
        console.print(f"figures in {place}", highlight=False)
    if draw is not None and 0 < plot_first < n_curves:
        console.print(f"{plot_first:,} of {n_curves:,} light curves drawn, the first ones; all of them: --plot-first 0")
    return ExitCode.DONE if result.ok.all() else ExitCode.SOME_FAILED


def _figures(folder: Path | None, pdf: Path | None, most: int) -> AbstractContextManager[Draw | None]:
    """Return what gives the function that draws; see `goodricke.evaluation.figures.figure_files`."""
    if folder is None and pdf is None:
        return nullcontext()
    from goodricke.evaluation.figures.figure_files import figure_files

    return figure_files(folder, pdf, most or None)


def _piece_length(model: Model, pieces: float | None, per_star: bool) -> float | None:
    """Return the length [d] of the pieces of long light curves, None to leave them whole."""
    from goodricke.models.pieces import training_span
    from goodricke.preprocess import DenseConfig

    if not isinstance(model.preprocessing, DenseConfig):
        if pieces:
            raise ValueError(f"--pieces: {model.name} is no model of dense light curves. Fix: leave it out")
        return None
    if pieces is not None:
        return pieces or None
    try:
        return training_span(model) if per_star else None
    except ValueError as error:  # an imported model has no recorded light curves
        log.warning("long light curves stay whole: %s", error)
        return None


def _with_log(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yield batches of light curves, and log the files that can't be read."""
    for curves, failures in batches:
        for failure in failures:
            log.warning("%s", failure)
        yield curves, failures
